"""What is foretold of users who grow: in time for a person to decide, as an expectation, and no more often than it is news."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from receiver.catalogue import Service
from receiver.delivery.plan import Route
from receiver.incidents.assess import assess
from receiver.incidents.count import Told
from receiver.law.forecast import Trend
from receiver.law.rulebook import shipped
from receiver.law.verdict import Verdict
from receiver.model import Assessment, Incident
from receiver.observation.trend import Trends
from receiver.observation.users import Answer, Reading, UsersObserved
from tests import backfilled
from tests.conclusions import assert_no_conclusion
from tests.fakes.memory import MemoryTarget
from tests.incidents.test_derive import take_in
from tests.receiver import TOKEN, Receiver

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
VOICE = Service(name="voice", kind="voice", emergency_calls=False, match=('service="voice"',))
"""Row 3 of JP-TBA58-2026, of voice without emergency calls: 2 h x 30,000 users or 1 h x 100,000."""
INCIDENT = Incident("inc-1", "equipment:equipment=core-1", "core-1", "open", T0, T0, "equipment_series", start_settled=True)
GROWING = Trend(6_000, 3_000, 12_000)


def told(
    users: int | None, trend: Trend | None, *, under: int | None = None, method: str = "unable", why: str | None = None
) -> Told:
    def answer(number: int | None) -> Answer:
        return Answer("q", {} if number is None else {"core-1": Reading(number, T0, "q", "line")})

    counted = Answer("q", problem=why) if why else answer(users)
    return Told(UsersObserved({method: counted, "under_equipment": answer(under)}), trend=trend)


def news(
    users: int | None = 24_000,
    trend: Trend | None = GROWING,
    minutes: float = 60,
    previous: Assessment | None = None,
    *,
    incident: Incident = INCIDENT,
    restored_at: datetime | None = None,
    lead: float = 30,
    **more: Any,
) -> Assessment | None:
    now = T0 + timedelta(minutes=minutes)
    its = told(users, trend, **more)
    return assess(incident, VOICE, restored_at, its, previous, shipped(), timedelta(minutes=lead), now)


def assessed(*what: Any, **more: Any) -> Assessment:
    found = news(*what, **more)
    assert found
    return found


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def times(one: Assessment) -> tuple[datetime | None, ...]:
    return one.major_earliest_at, one.major_on_trend_at, one.major_latest_at, one.major_expected_at


# --- what is foretold ----------------------------------------------------------------------------------------------------------


def test_users_who_grow_make_it_major_at_the_time_that_their_trend_says() -> None:
    # 6,000 lack: at 100 a minute after an hour, at 50 after two; at 200 after half an hour, but the two hours are not over then
    one = assessed()
    assert times(one) == (after(120), after(120), after(180), None)
    assert (one.users_per_hour, one.verdict, one.candidate) == (6_000, "none", False)
    assert all(moment.tzinfo is UTC for moment in times(one) if moment)


def test_by_time_alone_it_would_be_later() -> None:
    # 30,000 are there already: 100,000 would be, at 100,000 an hour, after 42 minutes more
    one = assessed(30_000, Trend(100_000, 50_000, 200_000), 30)
    assert times(one) == (after(60), after(72), after(114), after(120))


@pytest.mark.parametrize("trend", [None, Trend(0, -9, 9), Trend(-6_000, -6_000, -6_000)])
def test_a_trend_that_is_flat_or_falls_says_nothing(trend: Trend | None) -> None:
    one = assessed(trend=trend)
    assert times(one) == (None,) * 4
    assert one.users_per_hour is None
    assert "trend" not in one.reason.en


def test_half_an_hour_of_growth_says_nothing_of_more_than_six_hours_ahead() -> None:
    assert assessed(24_000, steady(1_000)).major_on_trend_at == after(420)
    assert times(assessed(24_000, steady(999))) == (None,) * 4


def test_a_trend_that_makes_it_no_sooner_says_nothing() -> None:
    assert times(assessed(40_000, GROWING, 60)) == (None, None, None, after(120))


def test_all_users_under_the_equipment_are_as_many_as_there_can_be() -> None:
    assert assessed(under=30_000).major_on_trend_at == after(120)
    assert times(assessed(under=29_999)) == (None,) * 4


def test_nothing_is_foretold_of_users_who_are_not_measured_now() -> None:
    first = assessed()
    lost = assessed(None, GROWING, 61, first, why="Prometheus cannot be reached", under=90_000)
    assert (lost.major_on_trend_at, lost.users_per_hour) == (None, None)
    assert (lost.verdict, lost.major_expected_at, lost.candidate) == ("indeterminate", after(120), False)


def test_nothing_is_foretold_of_what_is_over_or_major_already() -> None:
    first = assessed()
    over = assessed(24_000, GROWING, 70, first, restored_at=after(65))
    assert times(over) == (None,) * 4
    major = assessed(40_000, GROWING, 130)
    assert (major.verdict, major.major_on_trend_at, major.users_per_hour) == (Verdict.MAJOR, None, None)


def test_it_is_a_candidate_once_the_time_on_the_trend_is_within_the_lead() -> None:
    slower = Trend(12_000, 12_000, 12_000)
    assert not assessed(24_000, slower, 89.9).candidate
    assert assessed(24_000, slower, 90).candidate
    assert not assessed(24_000, None, 90).candidate


def test_it_is_said_in_both_languages_as_an_expectation() -> None:
    one = assessed()
    for said in (one.reason.ja, one.reason.en):
        assert "2026-11-21 14:00:00 JST" in said
        assert "+6,000" in said
    assert "現在の傾向（毎時+6,000人）では2026-11-21 14:00:00 JSTに達する可能性がある" in one.reason.ja
    assert "on the present trend (+6,000 users per hour), it may be reached at 2026-11-21 14:00:00 JST" in one.reason.en
    assert "。。" not in one.reason.ja
    assert ".." not in one.reason.en
    assert_no_conclusion(one.reason)


def test_what_time_alone_does_is_said_once() -> None:
    said = assessed(30_000, Trend(100_000, 50_000, 200_000), 30).reason
    assert "if the number of users stays, it may be reached at 2026-11-21 14:00:00 JST" in said.en
    assert said.en.count("2026-11-21 14:00:00 JST") == 1


# --- what is news --------------------------------------------------------------------------------------------------------------


def steady(per_hour: int) -> Trend:
    return Trend(per_hour, per_hour, per_hour)


def test_a_time_that_wobbles_is_no_news() -> None:
    # 6,000 lack at 150 minutes: at 12,000 an hour until 180
    first = assessed(24_000, steady(12_000), 150)
    assert first.major_on_trend_at == after(180)
    assert news(24_000, steady(12_000), 150.25, first) is None
    assert news(24_000, steady(12_000), 155, first) is None
    assert assessed(24_000, steady(12_000), 155.01, first).major_on_trend_at == after(185.01)
    assert news(24_000, steady(15_000), 151, first, lead=1)


def test_far_ahead_a_tenth_of_the_time_left_is_no_news() -> None:
    # two hours left: twelve minutes
    first = assessed(24_000, steady(3_000), 130)
    assert first.major_on_trend_at == after(250)
    assert news(24_000, steady(3_000), 140, first) is None
    assert news(24_000, steady(3_000), 142, first)


def test_that_users_begin_or_cease_to_grow_is_news() -> None:
    first = assessed(24_000, None, 60)
    growing = assessed(24_000, GROWING, 61, first)
    assert growing.major_on_trend_at
    ceased = assessed(24_000, None, 62, growing)
    assert (ceased.major_on_trend_at, ceased.users_per_hour) == (None, None)


def test_another_band_or_slope_alone_is_no_news() -> None:
    first = assessed(24_000, Trend(12_000, 6_000, 24_000), 60)
    assert news(24_000, Trend(11_990, 1, 90_000), 60.5, first) is None


def test_it_survives_being_kept() -> None:
    one = assessed()
    assert msgspec.json.decode(msgspec.json.encode(one), type=Assessment) == one
    old = msgspec.json.decode(msgspec.json.encode(one))
    for name in ("users_per_hour", "major_on_trend_at", "major_earliest_at", "major_latest_at"):
        del old[name]
    assert times(msgspec.convert(old, Assessment)) == (None,) * 4


# --- from a real Prometheus ----------------------------------------------------------------------------------------------------

NOW = datetime.fromtimestamp(int(time.time()) // 60 * 60, UTC)
BEGAN = NOW - timedelta(minutes=50)
LOOKBACK = "--query.lookback-delta=2h"
LABELS = {"alertname": "Art58EquipmentDown", "service": "voice", "equipment": "core-1"}
ALERT = {"status": "firing", "labels": LABELS, "annotations": {}, "startsAt": BEGAN.isoformat(), "fingerprint": "f1"}


def history() -> str:
    """core-1 fails fifty minutes ago, and 400 users more are hit in each of them; under core-2 the same 40,000 are."""
    its, other = '{service="voice",equipment="core-1"}', '{service="voice",equipment="core-2"}'
    at = [(minute, int((NOW + timedelta(minutes=minute)).timestamp())) for minute in range(-60, 1)]
    return "\n".join(
        [
            "# TYPE art58:equipment_up gauge",
            *(f'art58:equipment_up{{equipment="core-1"}} {int(minute < -50)} {moment}' for minute, moment in at),
            "# TYPE art58:users_unable gauge",
            *(f"art58:users_unable{its} {400 * (minute + 50)} {moment}" for minute, moment in at if minute >= -50),
            *(f"art58:users_unable{other} 40000 {moment}" for minute, moment in at if minute >= -50),
            "# TYPE art58:emergency_calls_affected gauge",
            *(f"art58:emergency_calls_affected{each} 0 {at[-1][1]}" for each in (its, other)),
            "# TYPE art58:users_under_equipment gauge",
            f"art58:users_under_equipment{its} 90000 {at[-1][1]}",
            "# EOF",
            "",
        ]
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with backfilled.server(tmp_path_factory.mktemp("trend"), history(), LOOKBACK) as url:
        yield url


@pytest.fixture
def desk() -> MemoryTarget:
    return MemoryTarget("desk")


@pytest.fixture
def receiver(tmp_path: Path, address: str, desk: MemoryTarget) -> Iterator[Receiver]:
    with Receiver(tmp_path, address, (Route("desk", "ticket"), desk)) as running:
        running.clock.fixed = NOW
        take_in(running, [ALERT | {"endsAt": "0001-01-01T00:00:00Z"}])
        yield running


@pytest.mark.live_prometheus
def test_an_outage_that_spreads_has_its_ticket_before_there_are_so_many_users(receiver: Receiver, desk: MemoryTarget) -> None:
    receiver.worker.deliver()
    assert desk.tickets == {}
    now = NOW + timedelta(seconds=15)
    receiver.assess_at(now)
    receiver.worker.deliver()
    # 10,000 more at 400 a minute
    expected = now + timedelta(minutes=25)
    (incident,) = receiver.incidents()
    (impact,) = incident["impacts"]
    assert (impact["affected_users"], impact["method"], impact["verdict"]) == (20_000, "direct", "none")
    assert (impact["users_per_hour"], impact["major_expected_at"]) == (24_000, None)
    told = [impact[f"major_{which}_at"] for which in ("earliest", "on_trend", "latest")]
    assert told == [expected.isoformat().replace("+00:00", "Z")] * 3
    (ticket,) = desk.said.values()
    when = f"{expected + timedelta(hours=9):%Y-%m-%d %H:%M:%S} JST"
    assert ticket.title.ja.startswith(f"現在の傾向では{when}に重大な事故の基準に達する可能性（要判断）")
    assert f"may reach the threshold of a major accident (重大な事故) at {when} on the present trend: a person" in ticket.title.en
    assert f"現在の傾向（毎時+24,000人）では{when}に達する可能性がある" in ticket.text.ja
    assert f"on the present trend (+24,000 users per hour), it may be reached at {when}" in ticket.text.en
    page = receiver.app.test_client().get(f"/incidents/{incident['id']}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert f"現在の傾向での見込み / On the present trend<td>{when}" in page.text
    assert "+24,000人/時" in page.text


@pytest.mark.live_prometheus
def test_the_history_is_asked_for_once_in_five_minutes(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    over = receiver._prometheus.over
    monkeypatch.setattr(receiver._prometheus, "over", lambda query, *others: asked.append(query) or over(query, *others))
    slot = NOW - timedelta(minutes=NOW.minute % 5, seconds=0) + timedelta(minutes=5)
    for seconds in (0, 15, 30, 299):
        receiver.assess_at(slot + timedelta(seconds=seconds))
    assert len(asked) == 1
    receiver.assess_at(slot + timedelta(seconds=300))
    assert len(asked) == 2


@pytest.mark.live_prometheus
def test_a_fault_in_the_trend_stops_no_clock(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object, **__: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(Trends, "observe", faulty)
    receiver.assess_at(NOW + timedelta(seconds=15))
    ((impact,),) = [incident["impacts"] for incident in receiver.incidents()]
    assert (impact["affected_users"], impact["measured"], impact["major_on_trend_at"]) == (20_000, True, None)


@pytest.mark.live_prometheus
def test_no_trend_is_asked_for_before_it_is_measured_nor_once_it_is_major(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[tuple[str | None, ...]]] = []
    monkeypatch.setattr(Trends, "observe", lambda _, wanted, *__, **___: asked.append({one.units for one in wanted}) or {})
    take_in(receiver, [ALERT | {"labels": LABELS | {"equipment": "core-2"}, "fingerprint": "f2", "endsAt": "0001-01-01T00:00:00Z"}])
    for minutes in (1, 10, 11):
        receiver.assess_at(NOW + timedelta(minutes=minutes))
    assert {incident["verdict"] for incident in receiver.incidents()} == {"none", "major"}
    both, only_the_one_not_major = {("core-1",), ("core-2",)}, {("core-1",)}
    # at first only what is news is looked at, and that is not measured yet
    assert asked == [set(), both, both, only_the_one_not_major]
