"""What a statement says of acts by persons, and of how an incident is followed."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from receiver.delivery.compose import compose
from receiver.law.near_miss import Answers
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.model import Act, Alert, Deed, Drilled, Incident, NearMissAnswered, Reopened, Statement, Timed
from receiver.stated import stated
from tests.delivery.test_compose import CATALOGUE, DUTIES, INCIDENT, alert
from tests.explained import STARTED_AT as NOON
from tests.samples import RESTORED_AT, STARTED_AT, assessment
from tests.web.test_acts_shown import CLASS_1


def said(
    *deeds: Deed, alerts: list[Alert] | None = None, parts: tuple[str, ...] = (), why: str = "why", **changes: Any
) -> Statement:
    about: dict[str, Any] = {name: changes.pop(name) for name in Incident.__struct_fields__ if name in changes}
    acts = [Act(n, "inc-1", NOON, "yamada", why, deed) for n, deed in enumerate(deeds, start=1)]
    incident = msgspec.structs.replace(INCIDENT, **about)
    shown = [alert()] if alerts is None else alerts
    return compose(incident, [assessment(**changes)], shown, CATALOGUE, DUTIES, "https://noc.example", stated(acts), parts)


def test_a_drill_says_so_in_title_text_and_tags() -> None:
    drill = said(Drilled())
    assert drill.title.ja.startswith("【訓練】重大な事故に該当する可能性（要判断）")
    assert drill.title.en.startswith("[drill] Mobile voice")
    assert "drill" in drill.tags
    assert "訓練であるとの申告" in drill.text.ja.splitlines()[0]
    real = said()
    assert not any("drill" in each for each in (real.title.en, real.text.en, *real.tags))


@pytest.mark.parametrize("how", [{"state": "closed", "dismissed": True}, {"state": "closed"}, {"state": "restored"}])
def test_a_drill_that_is_over_says_just_that_and_alarms_nobody(how: dict[str, Any]) -> None:
    title = said(Drilled(), **how).title
    assert title.ja == f"【訓練終了】携帯電話（音声）（{'復旧' if how['state'] == 'restored' else '終結'}）"
    assert title.en == f"[drill over] Mobile voice ({how['state']})"
    assert said(Drilled(), state="recovering").title.ja.startswith("【訓練】重大な事故")
    assert "重大な事故" in said(**how).title.ja


def test_what_was_dismissed_or_became_a_part_says_so_first() -> None:
    assert said(dismissed=True).title.ja.startswith("【誤報として取下げ】")
    assert "dismissed" in said(dismissed=True).tags
    part = said(joined_to="inc-9")
    assert part.title.en.startswith("[now part of inc-9] ")
    assert "inc-9の一部となった" in part.text.ja
    assert "Became part of it: inc-2, inc-3" in said(parts=("inc-2", "inc-3")).text.en


@pytest.mark.parametrize(
    ("state", "words", "over"),
    [
        ("open", Text("発生中", "ongoing"), False),
        ("recovering", Text("復旧確認中", "recovering"), False),
        ("restored", Text("復旧", "restored"), True),
        ("closed", Text("終結", "closed"), True),
    ],
)
def test_each_state_is_named_and_a_recovery_that_held_resolves(state: str, words: Text, over: bool) -> None:
    statement = said(state=state)
    assert statement.title.ja.endswith(f"（{words.ja}）")
    assert statement.title.en.endswith(f"({words.en})")
    assert statement.resolved is over


def test_that_nobody_watches_any_more_is_said() -> None:
    text = said(unwatched_since=STARTED_AT).text
    assert "Since 2026-11-21 12:00:00 JST nobody tells whether it goes on" in text.en
    assert "nobody tells" not in said(state="closed", unwatched_since=STARTED_AT).text.en


def test_why_it_is_open_is_said_by_whom_it_is_held_open() -> None:
    over = msgspec.structs.replace(alert(), ends_at=RESTORED_AT, resolved_at=RESTORED_AT)
    assert "the recovery is not confirmed" in said(alerts=[over]).text.en
    assert "a person says that it is not over" in said(Reopened(), alerts=[over]).text.en
    assert "not confirmed" not in said(Reopened(), alerts=[over]).text.en


def test_times_that_a_person_stated_stand_beside_those_of_the_alerts() -> None:
    over = msgspec.structs.replace(alert(), starts_at=STARTED_AT + timedelta(minutes=3), ends_at=RESTORED_AT)
    end = RESTORED_AT - timedelta(minutes=5)
    text = said(Timed(STARTED_AT, end), alerts=[over], restored_at=end, state="restored").text
    assert "故障の発生: 2026-11-21 12:00:00 JST（人の申告による）、アラートでは2026-11-21 12:03:00 JST\n" in text.ja
    assert "Restored: 2026-11-21 13:25:00 JST (after 1 h 25 min 00 s), by the alerts 2026-11-21 13:30:00 JST\n" in text.en
    assert "by the alerts" not in said(alerts=[over], restored_at=end, state="restored").text.en


def test_a_stated_number_is_not_called_measured() -> None:
    text = said(method="stated", affected_users=32_000).text
    assert "影響利用者数: 32,000人（人の申告）" in text.ja
    assert "(stated by a person)" in text.en


def test_a_near_miss_has_its_verdict_its_checklist_its_answers_and_its_duties() -> None:
    near = said(NearMissAnswered(CLASS_1), verdict=Verdict.NONE, major_since=None, major_expected_at=None)
    assert near.verdict == Verdict.NEAR_MISS
    assert near.title.en == "Mobile voice: may apply as a near-miss (おそれ事態): a person decides (ongoing)"
    assert "verdict:near_miss" in near.tags
    assert "yamada" in near.text.ja
    assert "期限 2026-11-21 12:45:00 JST: おそれ事態の第一報" in near.text.ja
    some = said(NearMissAnswered(Answers(burned=True)), verdict=Verdict.NONE, major_since=None, major_expected_at=None)
    assert some.verdict == Verdict.INDETERMINATE
    assert "Still to be answered" in some.text.en
    assert "Near-miss" not in said().text.en


def test_how_alerts_were_learnt_is_said_where_it_was_not_by_webhook() -> None:
    found = msgspec.structs.replace(alert(), learnt="rule_series")
    text = said(alerts=[found, alert(1)]).text
    assert "It has alerts learnt otherwise than by webhook: found in the rules' own series (ALERTS)" in text.en
    assert sum(line.endswith("（ルールの時系列（ALERTS）で発見）") for line in text.ja.splitlines()) == 1
    assert "learnt" not in said().text.en


def test_what_a_person_typed_cannot_forge_a_line() -> None:
    text = said(NearMissAnswered(CLASS_1), why="x\n影響利用者数: 0人\u202e").text
    assert not any(line.startswith("影響利用者数: 0") for line in text.ja.splitlines())
    assert "\u202e" not in text.ja
