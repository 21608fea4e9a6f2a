"""What persons stated, and what became of an incident by it, on page and API: all of it, escaped, with who, when and why."""

from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

import pytest

from receiver.law.near_miss import Answers
from receiver.law.verdict import Verdict
from receiver.model import (
    RECEIVER,
    Caused,
    Counted,
    Deed,
    Drilled,
    EmergencyCalls,
    Merged,
    NearMissAnswered,
    Planned,
    Timed,
)
from receiver.storage import acts
from tests.apps import BEARER, App, alert, incident
from tests.samples import RESTORED_AT, STARTED_AT, assessment
from tests.web.test_pages import HOSTILE, Seen, page

pytestmark = pytest.mark.usefixtures("each_store")


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def act(app: App, deed: Deed, *, who: str = "yamada", why: str = "seen on site", id_: str = "inc-1", after: int = 10) -> None:
    with app.database.write() as connection:
        acts.add(connection, id_, STARTED_AT + timedelta(minutes=after), who, why, deed)


def told(app: App, state: str = "all") -> dict[str, Any]:
    found = app.client.get("/api/v1/incidents", query_string={"state": state}, headers=BEARER).get_json()["incidents"]
    by_id: dict[str, Any] = {one["id"]: one for one in found}
    return by_id


def words(app: App, id_: str = "inc-1") -> str:
    return Seen(page(app, id_)).words


def test_the_history_has_acts_between_assessments_the_newest_first(app: App) -> None:
    app.keep(incident(), assessment(number=1, assessed_at=STARTED_AT + timedelta(minutes=5)), assessment(number=2))
    act(app, Caused("software"), why="the vendor says so", after=10)
    act(app, Merged("inc-2", "inc-1"), who=RECEIVER, why="the same cause", after=80)
    history = words(app).split("履歴 / History")[2]
    places = [history.index(said) for said in ("inc-2を", "2026-11-21 13:05:00", "原因: 意図しない", "2026-11-21 12:05:00")]
    assert places == sorted(places)
    for said in ("yamada", "the vendor says so", "cause: unintended software defect", RECEIVER, "2026-11-21 12:10:00 JST"):
        assert said in history


def test_the_api_tells_every_act_and_what_stands(app: App) -> None:
    app.keep(incident(units=("mme-1", "mme-2")), assessment(), alerts=[alert(), alert(fingerprint="f2", learnt="rule_series")])
    act(app, Caused("software"))
    act(app, Timed(STARTED_AT - timedelta(hours=1), RESTORED_AT))
    act(app, Counted("voice", 32_000))
    act(app, Planned(STARTED_AT, RESTORED_AT))
    act(app, EmergencyCalls("voice", affected=False))
    act(app, Caused("hardware"), who="sato", why="the log")
    one = told(app)["inc-1"]
    assert one["units"] == ["mme-1", "mme-2"]
    assert one["learnt"] == ["rule_series", "webhook"]
    assert one["stated"] == {
        "cause": "hardware",
        "started_at": "2026-11-21T02:00:00Z",
        "restored_at": "2026-11-21T04:30:00Z",
        "users": {"voice": 32_000},
        "planned": {"since": "2026-11-21T03:00:00Z", "until": "2026-11-21T04:30:00Z"},
        "drill": False,
        "emergency_calls": {"voice": False},
        "near_miss": {},
    }
    assert [each["act"] for each in one["acts"]] == ["cause", "times", "users", "planned", "emergency_calls", "cause"]
    assert one["acts"][-1] == {
        "id": 6,
        "at": "2026-11-21T03:10:00Z",
        "who": "sato",
        "why": "the log",
        "act": "cause",
        "kind": "hardware",
        "text": {"ja": "原因: 設備のハードウェア故障", "en": "cause: hardware failure of the equipment"},
    }


def test_a_drill_a_dismissal_and_a_part_say_so_before_all_else(app: App) -> None:
    app.keep(incident(dismissed=True), assessment())
    assert "【誤報として取下げ】" in words(app)
    app.keep(incident())
    act(app, Drilled())
    assert "【訓練】重大な事故に該当する可能性（要判断）" in words(app)
    assert "[drill] may apply" in words(app)
    app.keep(incident(state="closed", dismissed=True))
    assert "【訓練終了】" in words(app)
    app.keep(incident(id="inc-0"))
    app.keep(incident(state="closed", joined_to="inc-0"))
    assert "now part of inc-0" in words(app)
    assert 'href="/incidents/inc-0"' in page(app)
    assert 'href="/incidents/inc-1"' in page(app, "inc-0")
    assert "Became part" not in words(app, "inc-1")
    assert [told(app)[id_]["parts"] for id_ in ("inc-0", "inc-1")] == [["inc-1"], []]
    assert told(app)["inc-1"]["joined_to"] == "inc-0"


def test_nothing_is_owed_for_what_was_dismissed_or_became_a_part(app: App) -> None:
    app.keep(incident(), assessment())
    act(app, NearMissAnswered(CLASS_1))
    assert told(app)["inc-1"]["duties"]
    for changes in ({"dismissed": True}, {"joined_to": "inc-0"}):
        app.keep(incident(state="closed", **changes))
        assert told(app)["inc-1"]["duties"] == []
        assert "Due" in words(app)
        assert "Ordinance Art. 57(1)" not in words(app)


def test_that_nobody_watches_any_more_is_said_with_since_when_and_what_to_do(app: App) -> None:
    app.keep(incident(unwatched_since=STARTED_AT + timedelta(minutes=30)), assessment(), alerts=[alert()])
    assert "2026-11-21 12:30:00 JSTから、続いているかどうかを知らせるものがない" in words(app)
    assert "art58 act times" in words(app)
    assert told(app)["inc-1"]["unwatched_since"] == "2026-11-21T03:30:00Z"
    app.keep(incident(), assessment(number=4))
    assert "知らせるものがない" not in words(app)


def test_why_it_stays_open_though_its_alerts_are_resolved_is_said(app: App) -> None:
    over = {"ends_at": RESTORED_AT, "fired_at": STARTED_AT, "resolved_at": RESTORED_AT}
    app.keep(incident(), assessment(), alerts=[alert(**over), alert(fingerprint="f2")])
    assert "not confirmed" not in words(app)
    app.keep(incident(), alerts=[alert(fingerprint="f2", **over)])
    assert "All alerts are resolved, but it stays open: the recovery is not confirmed" in words(app)
    app.keep(incident(state="recovering"))
    assert "not confirmed" not in words(app)
    app.keep(incident(), alerts=[alert(fingerprint="f2", **over | {"fired_at": RESTORED_AT + timedelta(hours=1)})])
    assert "not confirmed" not in words(app)


def test_how_each_alert_was_learnt_is_told(app: App) -> None:
    app.keep(incident(), assessment(), alerts=[alert(), alert(fingerprint="f2", learnt="alertmanager_api")])
    for said in ("told by webhook", "found at Alertmanager's API", "learnt otherwise than by webhook"):
        assert said in words(app)


def test_a_stated_start_stands_beside_that_of_the_alerts(app: App) -> None:
    app.keep(incident(start_basis="person"), assessment(), alerts=[alert()])
    assert "by the alerts" not in words(app)
    act(app, Timed(started_at=STARTED_AT))
    assert "人の申告による / as a person stated" in words(app)
    assert "by the alerts 2026-11-21 12:00:15 JST" in words(app)


def test_restored_is_a_state_of_its_own_that_waits_for_a_person(app: App) -> None:
    app.keep(incident(state="restored", restored_at=RESTORED_AT), assessment())
    assert "復旧 / restored" in words(app)
    assert "art58 act close" in words(app)
    assert list(told(app, "restored")) == ["inc-1"]
    assert not told(app, "open")
    assert not told(app, "closed")


CLASS_1 = Answers(
    already_major=False,
    serves_30000_users=True,
    two_prefectures=True,
    beyond_terminal_side=True,
    key_function=True,
    could_not_stop=True,
    burned=True,
    planned=False,
    within_design=False,
    natural_disaster=False,
)


def test_a_near_miss_is_shown_with_checklist_answers_and_duties_where_somebody_answered(app: App) -> None:
    app.keep(incident(), assessment(verdict=Verdict.NONE, major_since=None))
    assert "おそれ事態 / Near-miss" not in words(app)
    assert told(app)["inc-1"]["near_miss"] is None
    act(app, NearMissAnswered(Answers(burned=True)), why="smoke was seen")
    one = told(app)["inc-1"]
    assert (one["verdict"], one["near_miss"]["outcome"]) == ("indeterminate", "cannot_be_told")
    assert {"verdict_open"} <= {flag for duty in one["duties"] for flag in duty["flags"]}
    asked = [question["fact"] for question in one["near_miss"]["open_questions"]]
    assert "two_prefectures" in asked
    assert "burned" not in asked
    for said in ("おそれ事態 / Near-miss", "はい / yes", "要回答 / open", "smoke was seen"):
        assert said in words(app)
    act(app, NearMissAnswered(CLASS_1), why="checked")
    one = told(app)["inc-1"]
    assert (one["verdict"], one["near_miss"]["outcome"], one["near_miss"]["class"]) == ("near_miss", "applies", 1)
    flags = {duty["id"]: duty["flags"] for duty in one["duties"]}
    assert "verdict_open" not in flags["near_miss_report"]
    assert "near_miss_first_notice" in flags
    assert "may apply as a near-miss (おそれ事態): a person decides" in words(app)
    assert "要回答" not in words(app)


def test_an_impact_that_may_be_major_goes_before_a_near_miss(app: App) -> None:
    app.keep(incident(), assessment())
    act(app, NearMissAnswered(CLASS_1))
    one = told(app)["inc-1"]
    assert one["verdict"] == "major"
    assert not {duty["id"] for duty in one["duties"]} & {"near_miss_first_notice", "near_miss_report"}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_a_person_typed_becomes_part_of_the_page(app: App, hostile: str) -> None:
    app.keep(incident(), assessment())
    act(app, NearMissAnswered(CLASS_1), who="x", why="x")
    act(app, EmergencyCalls("x", affected=True), who="x", why="x")
    own = Seen(page(app))
    act(app, NearMissAnswered(CLASS_1), who=hostile, why=hostile)
    act(app, EmergencyCalls(hostile, affected=True), who=hostile, why=hostile)
    text = page(app)
    seen = Seen(text)
    assert (seen.tags, seen.attributes, seen.comments) == (own.tags, own.attributes, [])
    assert seen.words.count(hostile) >= 26
    if escape(hostile) != hostile:
        assert hostile not in text


def test_of_the_same_time_the_assessment_comes_after_the_act(app: App) -> None:
    app.keep(incident(), assessment(assessed_at=STARTED_AT + timedelta(minutes=65)))
    act(app, Drilled(), after=65)
    history = words(app).split("履歴 / History")[2]
    assert history.index("voice") < history.index("訓練")
