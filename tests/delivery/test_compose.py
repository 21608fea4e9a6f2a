"""What is said of an incident: all of it, in two languages, and no foreign text that pretends to be ours."""

from datetime import timedelta

import msgspec

from receiver.catalogue import Catalogue
from receiver.delivery.compose import ALERTS_SHOWN, compose
from receiver.law import deadlines
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.model import Alert, Incident, Statement
from tests.receiver import SERVICES
from tests.samples import RESTORED_AT, STARTED_AT, assessment

INCIDENT = Incident(
    "inc-1", "c", "core-1", "open", STARTED_AT, STARTED_AT, "equipment_series", good_at=STARTED_AT - timedelta(seconds=15)
)
CATALOGUE = Catalogue((msgspec.structs.replace(SERVICES[0], title=Text("携帯電話（音声）", "Mobile voice")), *SERVICES[1:]))


def alert(number: int = 0, **labels: str) -> Alert:
    return Alert("alertmanager", f"f{number}", STARTED_AT, None, {"alertname": "Down", "cell": str(number)} | labels, {}, "")


DUTIES = deadlines.Settings(first_notice_target=timedelta(minutes=45))


def said(incident: Incident = INCIDENT, alerts: int = 1, other: Verdict = Verdict.NONE, **changes: object) -> Statement:
    one = assessment(**changes)
    second = assessment(number=4, service="data", verdict=other, candidate=False, major_expected_at=None)
    return compose(
        incident, [one, second], [alert(number) for number in range(alerts)], CATALOGUE, DUTIES, "https://noc.example/art58/"
    )


def test_it_names_service_verdict_start_equipment_and_numbers_in_both_languages() -> None:
    statement = said()
    assert statement.title.ja == "重大な事故に該当する可能性（要判断）: 携帯電話（音声）（発生中）"
    assert statement.title.en.startswith("Mobile voice: may apply as a major accident")
    for text in (statement.text.ja, statement.text.en):
        assert all(part in text for part in ("2026-11-21 12:00:00 JST", "2026-11-21 11:59:45 JST", "core-1", "42,000"))
    assert statement.url == "https://noc.example/art58/incidents/inc-1"
    assert statement.tags == ("art58", "a58:inc-1", "verdict:major", "service:voice", "service:data")
    assert (statement.number, statement.resolved) == (4, False)


def test_a_restored_incident_says_when_and_after_how_long() -> None:
    statement = said(msgspec.structs.replace(INCIDENT, state="closed", restored_at=RESTORED_AT))
    assert "1時間30分00秒" in statement.text.ja
    assert "1 h 30 min 00 s" in statement.text.en
    assert statement.resolved


def test_a_candidate_without_a_measured_number_is_marked_unmeasured() -> None:
    changes = {"verdict": Verdict.INDETERMINATE, "candidate": True, "measured": False, "affected_users": None}
    unmeasured = said(**changes, major_expected_at=None)
    assert unmeasured.unmeasured
    assert unmeasured.title.ja.startswith("【未計測】判定できない")
    assert unmeasured.title.en.startswith("[unmeasured]")


def test_a_candidate_says_when_it_may_become_major() -> None:
    title = said(verdict=Verdict.PERIODIC, candidate=True, major_since=None, other=Verdict.PERIODIC).title
    assert title.ja == "2026-11-21 13:00:00 JSTに重大な事故の基準に達する可能性（要判断）: 携帯電話（音声）（発生中）"
    assert "Mobile voice: may reach the threshold of a major accident" in title.en


def test_many_alerts_are_capped_and_the_rest_counted() -> None:
    text = said(alerts=ALERTS_SHOWN + 3).text
    assert text.en.count("- Down {") == ALERTS_SHOWN
    assert text.ja.endswith("ほか3件")
    assert text.en.endswith("and 3 more")


def test_a_label_value_cannot_forge_a_line() -> None:
    incident = msgspec.structs.replace(INCIDENT, equipment="core-1\n影響利用者数: 0人")
    hostile = alert(alertname="Down\n復旧: 済", cell="x" * 10_000)
    statement = compose(incident, [assessment()], [hostile], CATALOGUE, DUTIES, "https://noc.example")
    assert not any(line.startswith(("影響利用者数: 0", "復旧")) for line in statement.text.ja.splitlines())
    assert max(map(len, statement.text.ja.splitlines())) < 800


def test_what_may_be_owed_is_named_with_its_day_and_basis_and_left_to_a_person() -> None:
    text = said().text
    assert "期限 2026-12-21: 重大な事故の詳細報告（発生した日から30日以内）（法令、要判断）" in text.ja
    assert "Due: first public notice (as early as possible)" in text.en
    assert "Due 2026-12-21: detailed report on a major accident" in text.en
    assert "Due 2026-11-21 12:45:00 JST: first notice of a major accident (promptly) (law; a person decides)" in text.en


def test_nothing_is_named_as_owed_where_nothing_may_apply() -> None:
    assert "Due" not in said(verdict=Verdict.NONE, major_since=None, other=Verdict.NONE).text.en
