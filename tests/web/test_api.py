"""GET /api/v1/incidents: its form is a contract with whoever reads it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.law.verdict import Verdict
from receiver.storage import incidents
from tests.apps import BEARER, App, incident
from tests.samples import ASSESSED_AT, RESTORED_AT, STARTED_AT, assessment

pytestmark = pytest.mark.usefixtures("each_store")

PATH = "/api/v1/incidents"


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def listed(app: App, state: str | None = None) -> list[dict[str, Any]]:
    response = app.client.get(PATH, query_string={"state": state} if state else {}, headers=BEARER)
    assert (response.status_code, response.content_type) == (200, "application/json")
    document = response.get_json()
    assert list(document) == ["incidents"]
    found: list[dict[str, Any]] = document["incidents"]
    return found


def only(app: App, state: str | None = None) -> dict[str, Any]:
    (found,) = listed(app, state)
    return found


def test_an_incident_is_told_in_exactly_the_form_of_the_contract(app: App) -> None:
    app.keep(incident(), assessment())
    told = only(app)
    duties = told.pop("duties")
    assert told == {
        "id": "inc-1",
        "state": "open",
        "failure_started_at": "2026-11-21T03:00:00Z",
        "failure_start_basis": "equipment_series",
        "restored_at": None,
        "verdict": "major",
        "impacts": [
            {
                "service": "voice",
                "verdict": "major",
                "at_least": "major",
                "at_most": "major",
                "rulebook": "JP-TBA58-2026",
                "row": 1,
                "affected_users": 42_000,
                "affected_users_at_most": 42_000,
                "unit": "line",
                "effect": "unknown",
                "method": "direct",
                "measured": True,
                "duration_seconds": 3900,
                "major_since": "2026-11-21T04:00:00Z",
                "major_expected_at": "2026-11-21T04:00:00Z",
                "users_per_hour": None,
                "major_on_trend_at": None,
                "major_earliest_at": None,
                "major_latest_at": None,
                "flags": ["sample"],
                "reason": {"ja": assessment().reason.ja, "en": assessment().reason.en},
            }
        ],
        "equipment": "mme-1",
        "units": [],
        "joined_to": None,
        "dismissed": False,
        "unwatched_since": None,
        "near_miss": None,
        "stated": {
            "cause": None,
            "started_at": None,
            "restored_at": None,
            "users": {},
            "planned": None,
            "drill": False,
            "emergency_calls": {},
            "near_miss": {},
        },
        "acts": [],
        "parts": [],
        "learnt": [],
    }
    assert [duty["id"] for duty in duties] == ["public_notice_designated", "first_notice", "public_update", "detailed_report"]
    assert duties[-1] == {
        "id": "detailed_report",
        "what": {
            "ja": "重大な事故の詳細報告（発生した日から30日以内）",
            "en": "detailed report on a major accident (within 30 days from the day it occurred)",
        },
        "due_on": "2026-12-21",
        "due_at": None,
        "form": "様式第50の3",
        "to": {"ja": "総務大臣", "en": "Minister for Internal Affairs and Communications"},
        "basis": "law",
        "article": {"ja": "電気通信事業法施行規則 第57条第1項", "en": "Ordinance Art. 57(1)"},
        "evidence": "read",
        "why": duties[-1]["why"],
        "flags": ["short_form_unknown"],
    }
    assert "2026-11-21" in duties[-1]["why"]["en"]


def test_what_may_be_owed_follows_the_settings_and_what_is_conceivable(app: App) -> None:
    app.keep(incident(), assessment(verdict=Verdict.INDETERMINATE))
    duties = {duty["id"]: duty for duty in only(app)["duties"]}
    assert "verdict_open" in duties["detailed_report"]["flags"]
    assert duties["public_notice_designated"]["due_at"] == "2026-11-21T03:30:00Z"
    assert duties["first_notice"]["due_at"] == "2026-11-21T03:45:30Z"


def test_nothing_is_owed_where_nothing_may_apply(app: App) -> None:
    app.keep(incident(), assessment(verdict=Verdict.NONE))
    assert only(app)["duties"] == []


def test_japanese_is_sent_as_it_is_read(app: App) -> None:
    app.keep(incident(), assessment())
    assert "該当する可能性（要判断）" in app.client.get(PATH, headers=BEARER).get_data(as_text=True)


def test_what_is_not_known_is_null(app: App) -> None:
    app.keep(incident(), assessment(affected_users=None, measured=False, major_since=None, major_expected_at=None))
    (impact,) = only(app)["impacts"]
    unknown = {key for key, value in impact.items() if value is None}
    forecast = {"major_expected_at", "users_per_hour", "major_on_trend_at", "major_earliest_at", "major_latest_at"}
    assert unknown == {"affected_users", "major_since"} | forecast


def test_an_incident_not_yet_assessed_is_told_without_a_verdict(app: App) -> None:
    app.keep(incident())
    assert (only(app)["verdict"], only(app)["impacts"]) == (None, [])


def test_times_are_utc_and_end_in_z_also_with_parts_of_a_second(app: App) -> None:
    started = datetime(2026, 11, 21, 3, 0, 0, 732_000, tzinfo=UTC)
    app.keep(incident(failure_started_at=started), assessment())
    text = only(app)["failure_started_at"]
    assert text == "2026-11-21T03:00:00.732000Z"
    assert datetime.fromisoformat(text) == started


@pytest.fixture
def four(app: App) -> App:
    for number, state in enumerate(("open", "recovering", "closed", "restored"), start=1):
        app.keep(incident(id=f"inc-{number}", cause=f"c{number}", state=state, opened_at=STARTED_AT + timedelta(hours=number)))
    return app


@pytest.mark.parametrize(
    ("state", "ids"),
    [
        (None, ["inc-2", "inc-1"]),
        ("open", ["inc-2", "inc-1"]),
        ("closed", ["inc-3"]),
        ("restored", ["inc-4"]),
        ("all", ["inc-4", "inc-3", "inc-2", "inc-1"]),
    ],
)
def test_incidents_are_picked_by_state_the_newest_first(four: App, state: str | None, ids: list[str]) -> None:
    assert [one["id"] for one in listed(four, state)] == ids


@pytest.mark.parametrize("state", ["", "recovering", "OPEN", "' OR 1=1 --"])
def test_another_state_is_refused_and_the_right_ones_are_named(four: App, state: str) -> None:
    response = four.client.get(PATH, query_string={"state": state}, headers=BEARER)
    assert response.status_code == 400
    assert response.get_json() == {"error": "state is one of open, restored, closed, all"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["none", "wrong"])
def test_strangers_are_told_nothing(four: App, headers: dict[str, str]) -> None:
    response = four.client.get(PATH, headers=headers)
    assert response.status_code == 401
    assert list(response.get_json()) == ["error"]
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("verdicts", "gravest"),
    [
        (["none", "periodic"], "periodic"),
        (["near_miss", "periodic"], "near_miss"),
        (["indeterminate", "periodic"], "indeterminate"),
        (["indeterminate", "major", "none"], "major"),
    ],
)
def test_the_verdict_on_an_incident_is_the_gravest_of_its_services(app: App, verdicts: list[str], gravest: str) -> None:
    impacts = [assessment(number=n, service=f"s{n}", verdict=Verdict(v)) for n, v in enumerate(verdicts, start=1)]
    app.keep(incident(), *impacts)
    assert only(app)["verdict"] == gravest
    assert [impact["service"] for impact in only(app)["impacts"]] == [f"s{n}" for n in range(1, len(verdicts) + 1)]


def test_only_the_newest_assessment_of_a_service_counts(app: App) -> None:
    app.keep(
        incident(),
        assessment(number=1, verdict=Verdict.MAJOR),
        assessment(number=2, service="data", verdict=Verdict.NONE),
        assessment(number=3, verdict=Verdict.PERIODIC, affected_users=31_000),
    )
    told = only(app)
    assert told["verdict"] == "periodic"
    assert [(i["service"], i["verdict"]) for i in told["impacts"]] == [("voice", "periodic"), ("data", "none")]
    assert told["impacts"][0]["affected_users"] == 31_000


def test_the_duration_runs_with_the_clock_though_nothing_new_is_assessed(app: App) -> None:
    app.keep(incident(), assessment())
    app.clock.now = ASSESSED_AT + timedelta(seconds=10.9)
    assert only(app)["impacts"][0]["duration_seconds"] == 3910


def test_the_duration_stands_once_the_service_is_restored(app: App) -> None:
    app.keep(incident(state="recovering", restored_at=RESTORED_AT), assessment(restored_at=RESTORED_AT, state="recovering"))
    app.clock.now = RESTORED_AT + timedelta(hours=5)
    assert only(app)["impacts"][0]["duration_seconds"] == 5400
    assert only(app)["restored_at"] == "2026-11-21T04:30:00Z"


def test_the_duration_is_never_negative(app: App) -> None:
    app.keep(incident(), assessment())
    app.clock.now = STARTED_AT - timedelta(seconds=5)
    assert only(app)["impacts"][0]["duration_seconds"] == 0


def test_more_incidents_than_one_answer_holds_are_cut_at_the_oldest(app: App) -> None:
    with app.database.write() as connection:
        for number in range(1001):
            opened = STARTED_AT + timedelta(seconds=number)
            incidents.save(connection, incident(id=f"inc-{number}", cause=f"c{number}", opened_at=opened))
    ids = [one["id"] for one in listed(app)]
    assert (len(ids), ids[0], ids[-1]) == (1000, "inc-1000", "inc-1")


def test_a_store_that_cannot_be_read_is_told_as_503_in_json(four: App) -> None:
    four.lose_store()
    response = four.client.get(PATH, headers=BEARER)
    assert (response.status_code, list(response.get_json())) == (503, ["error"])
