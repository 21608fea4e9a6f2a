"""How fast users grow, from a real Prometheus over history made to the minute: each method from its own series."""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NoReturn

import pytest

from receiver.catalogue import Service
from receiver.catalogue.inputs import UserInputs
from receiver.law.counting import CountedBy
from receiver.law.forecast import Trend
from receiver.law.provisions import JST
from receiver.observation.prometheus import Prometheus, QueryFailed, quoted
from receiver.observation.trend import Trends, Wanted
from tests import backfilled

pytestmark = pytest.mark.live_prometheus

NOW = datetime(2025, 10, 22, 12, 3, tzinfo=JST)
SLOT = datetime(2025, 10, 22, 12, 0, tzinfo=JST)
FAILED = SLOT - timedelta(minutes=40)
MINUTES = range(-40, 1)
HOSTILE = 'x"}) or vector(1) #\\ \n.*|grows'
NAN = float("nan")


def service(name: str, label: str = "equipment", **users: Any) -> Service:
    return Service(name=name, kind="voice", match=(f'service="{name}"',), equipment_label=label, users=UserInputs(**users))


VOICE, DATA, WHOLE = service("voice"), service("data"), service("whole")
OWN = service("own", "box", unable="sum by (box) (own_users)  # all ports")
POOLED = service("pooled", "box", unable="sum(own_users)")
WRONG = service("wrong", unable="sum(")
CALLS = service("calls", calls_usual=100_000, calls_per_person=2)
FEWER = service("fewer", registrations_usual=50_000)


def ramp(begins: float, per_minute: float) -> Callable[[int], float]:
    return lambda minute: begins + per_minute * (minute + 40)


Values = Callable[[int], float | None]


def held() -> Iterable[tuple[str, dict[str, str], Values]]:
    """Series, labels, and the value of each minute up to 12:00 (minute 0)."""

    def of(name: str, equipment: str, values: Values, service: str = "voice", **more: str) -> tuple[str, dict[str, str], Values]:
        return f"art58:{name}", {"service": service, "equipment": equipment, **more}, values

    for equipment in ("grows", HOSTILE):
        yield of("users_unable", equipment, ramp(0, 100), unit="line")
    yield of("users_unable", "grows", ramp(0, 50), "data", unit="line")
    yield of("users_unable", "flat", lambda _: 20_000)
    yield of("users_unable", "falls", ramp(20_000, -100))
    # it grew before the failure that is asked about; the last ten minutes are level
    yield of("users_unable", "was-before", lambda minute: 1_000.0 * (min(minute, -10) + 40))
    # several exporters, each with a part; one breaks off for some minutes, one comes late
    yield of("users_unable", "parts", ramp(0, 100), prefecture="tokyo")
    yield of("users_unable", "parts", ramp(0, 20), prefecture="chiba")
    yield of("users_unable", "gap", ramp(0, 100), prefecture="tokyo")
    yield of("users_unable", "gap", lambda minute: 5_000 if minute < -20 or minute > -10 else None, prefecture="chiba")
    yield of("users_unable", "late", lambda _: 5_000, prefecture="tokyo")
    yield of("users_unable", "late", lambda minute: 5_000 if minute > -3 else None, prefecture="chiba")
    yield of("users_unable", "nan", lambda minute: NAN if minute == -5 else 100.0 * minute + 9_000)
    yield of("users_unable", "negative", ramp(-3_500, 100))
    yield of("users_unable", "infinite", lambda minute: math.inf if minute == -5 else 100.0 * minute + 9_000)
    yield of("users_stopped", "two-kinds", ramp(5_000, 10))
    yield of("users_degraded", "two-kinds", ramp(4_000, 100))
    yield of("users_unable", "", ramp(0, 100), "whole")
    yield of("users_unable", "east", ramp(0, 10), "whole")
    for one in "ab":
        yield "own_users", {"box": one, "port": "1"}, ramp(0, 30)
        yield "own_users", {"box": one, "port": "2"}, ramp(0, 20)
    yield of("calls", "grows", ramp(100_000, -200), "calls")
    yield of("registrations", "grows", ramp(50_000, -70), "fewer")
    yield of("under_equipment".replace("under", "users_under"), "grows", lambda _: 40_000)
    yield of("users_under_equipment", "falls", lambda _: 40_000)
    yield of("call_loss_ratio", "grows", lambda minute: 0.01 * (minute + 40), prefecture="tokyo")
    yield of("call_loss_ratio", "grows", lambda _: 0, prefecture="chiba")
    yield of("call_loss_ratio", "falls", lambda minute: 0.01 * (minute + 40))
    yield of("call_loss_ratio", "percent", lambda minute: 1.0 * (minute + 40))
    yield of("users_under_equipment", "percent", lambda _: 40_000)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    found: dict[str, list[str]] = {}
    for name, labels, values in held():
        its = ",".join(f"{label}={quoted(value)}" for label, value in labels.items())
        for minute in MINUTES:
            at = int((SLOT + timedelta(minutes=minute)).timestamp())
            # no mark of its end: absent for more than five minutes it is gone
            if (value := values(minute)) is not None:
                found.setdefault(name, []).append(f"{name}{{{its}}} {value} {at}")
    lines = [line for name, its in found.items() for line in (f"# TYPE {name} gauge", *its)]
    with backfilled.prometheus(tmp_path_factory.mktemp("trend"), "\n".join([*lines, "# EOF", ""])) as client:
        yield client


def wanted(*units: str | None, of: Service = VOICE, method: CountedBy = "direct", since: datetime = FAILED) -> Wanted:
    return Wanted(of, units, method, since)


def trend(prometheus: Prometheus, *units: str | None, now: datetime = NOW, **more: Any) -> Trend | None:
    one = wanted(*units, **more)
    return Trends(prometheus).observe([one], now).get(one.key)


def steady(per_minute: int) -> Trend:
    return Trend(*[Fraction(60 * per_minute)] * 3)


def asked_by(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    over = prometheus.over

    def noted(query: str, *others: Any) -> Any:
        asked.append(query)
        return over(query, *others)

    monkeypatch.setattr(prometheus, "over", noted)
    return asked


def test_users_who_tried_and_could_not_use_it_grow_as_their_series_does(real: Prometheus) -> None:
    assert trend(real, "grows") == steady(100)


@pytest.mark.parametrize("equipment", ["flat", "falls", "unheard-of"])
def test_where_they_do_not_grow_there_is_nothing_to_tell(real: Prometheus, equipment: str) -> None:
    assert trend(real, equipment) is None


def test_what_was_before_the_failure_is_not_looked_at(real: Prometheus) -> None:
    level = SLOT - timedelta(minutes=10)
    assert trend(real, "was-before", now=level) == steady(1_000)
    assert trend(real, "was-before", now=level, since=level - timedelta(minutes=4)) == steady(1_000)
    # less than five minutes of it
    assert trend(real, "was-before", now=level, since=level - timedelta(minutes=3)) is None
    assert trend(real, "was-before", since=level) is None


def test_half_an_hour_is_looked_at(real: Prometheus) -> None:
    # level for ten minutes of thirty, and of forty
    found = trend(real, "was-before")
    assert found == trend(real, "was-before", since=SLOT - timedelta(minutes=30))


def test_parts_of_one_number_grow_together(real: Prometheus) -> None:
    assert trend(real, "parts") == steady(120)


def test_a_part_that_is_missing_at_times_is_not_zero_then(real: Prometheus) -> None:
    assert trend(real, "gap") == steady(100)
    # it came three minutes ago: nothing is known of its growth
    assert trend(real, "late") is None


@pytest.mark.parametrize("equipment", ["nan", "negative", "infinite"])
def test_what_is_no_number_of_users_is_no_trend(real: Prometheus, equipment: str) -> None:
    assert trend(real, equipment) is None


def test_several_pieces_of_equipment_grow_together_if_each_is_known(real: Prometheus) -> None:
    assert trend(real, "grows", "parts") == steady(220)
    assert trend(real, "grows", "flat") == steady(100)
    assert trend(real, "grows", "unheard-of") is None


def test_of_a_service_as_a_whole_its_own_series_counts_else_all_of_its_equipment(real: Prometheus) -> None:
    assert trend(real, None, of=WHOLE) == steady(100)
    assert trend(real, "east", of=WHOLE) == steady(10)
    assert trend(real, None, of=DATA) == steady(50)


def test_counted_in_two_kinds_the_larger_one_counts(real: Prometheus) -> None:
    found = trend(real, "two-kinds")
    assert found
    # the degraded are more from the eleventh minute on
    assert found.users_per_hour == 6_000


def test_promql_of_ones_own_is_asked_as_it_is(real: Prometheus) -> None:
    assert trend(real, "a", of=OWN) == steady(50)
    assert trend(real, "a", "b", of=OWN) == steady(100)
    # that names no equipment holds for whichever failed
    assert trend(real, "a", "b", of=POOLED) == steady(100)
    assert trend(real, None, of=POOLED) == steady(100)


def test_other_methods_count_each_minute_as_they_do_live(real: Prometheus) -> None:
    assert trend(real, "grows", of=CALLS, method="call_shortfall") == steady(100)
    assert trend(real, "grows", of=FEWER, method="missing_registrations") == steady(70)
    # the worst of the prefectures: a hundredth of 40,000 a minute
    assert trend(real, "grows", method="emergency_call_loss") == steady(400)


def test_a_figure_that_cannot_be_is_no_trend(real: Prometheus) -> None:
    assert trend(real, "percent", method="emergency_call_loss") is None


def test_users_who_may_be_under_several_pieces_of_equipment_are_not_added(real: Prometheus) -> None:
    assert trend(real, "falls", method="emergency_call_loss") == steady(400)
    assert trend(real, "grows", "falls", method="emergency_call_loss") is None


@pytest.mark.parametrize("method", ["stated", "all_under_equipment", "traffic_difference", "conference_probability"])
def test_what_does_not_count_a_moment_is_not_asked_for(
    real: Prometheus, monkeypatch: pytest.MonkeyPatch, method: CountedBy
) -> None:
    asked = asked_by(real, monkeypatch)
    assert trend(real, "grows", method=method) is None
    assert asked == []


def test_hostile_names_are_names(real: Prometheus) -> None:
    assert trend(real, HOSTILE) == steady(100)


def test_all_that_is_wanted_is_asked_together_and_once_in_five_minutes(real: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_by(real, monkeypatch)
    its = [
        *(wanted(unit) for unit in ("grows", "flat", "falls", HOSTILE)),
        wanted("grows", of=DATA),
        wanted("falls", method="emergency_call_loss", of=DATA),
        wanted("a", of=OWN),
        wanted("b", of=OWN),
    ]
    trends = Trends(real)
    first = trends.observe(its, NOW)
    assert set(first) == {its[0].key, its[3].key, its[4].key, its[6].key, its[7].key}
    # the series of this label, those of the other one (in two kinds), and the PromQL
    assert len(asked) == 3
    # what comes within the five minutes waits for the next
    late = wanted("parts")
    assert trends.observe([*its, late], NOW + timedelta(seconds=119)) == first
    assert len(asked) == 3
    assert late.key in trends.observe([late], NOW + timedelta(seconds=120))
    assert len(asked) == 4


def test_when_only_some_are_looked_at_nothing_is_asked_and_nothing_of_the_others_forgotten(
    real: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, trends, its = asked_by(real, monkeypatch), Trends(real), [wanted("grows"), wanted("falls")]
    assert trends.observe(its[:1], NOW, are_all=False) == {}
    known = trends.observe(its, NOW)
    assert trends.observe(its[:1], NOW + timedelta(seconds=120), are_all=False) == known
    assert len(asked) == 1
    assert trends.observe(its, NOW + timedelta(seconds=120)).keys() == known.keys()
    assert len(asked) == 2


def test_that_one_service_is_hit_as_a_whole_makes_no_other_question_longer(
    real: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_by(real, monkeypatch)
    assert len(Trends(real).observe([wanted("grows"), wanted(None, of=WHOLE)], NOW)) == 2
    assert sorted("equipment=~" in query for query in asked) == [False, True]


def test_as_long_as_nothing_is_wanted_the_five_minutes_do_not_begin(real: Prometheus) -> None:
    trends = Trends(real)
    assert trends.observe([], NOW) == {}
    assert trends.observe([wanted("grows")], NOW)


def test_a_query_that_fails_takes_nothing_back_for_half_an_hour(real: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    trends, its = Trends(real), [wanted("grows"), wanted("a", of=OWN)]
    known = trends.observe(its, NOW)
    assert len(known) == 2
    over = real.over

    def fails(query: str, *others: Any) -> Any:
        if "own_users" in query:
            return over(query, *others)
        raise QueryFailed("Prometheus cannot be reached")

    monkeypatch.setattr(real, "over", fails)
    soon, late = NOW + timedelta(minutes=5), NOW + timedelta(minutes=30)
    assert trends.observe([wanted("grows")], soon) == {its[0].key: known[its[0].key]}
    for minutes in range(10, 30, 5):
        assert trends.observe([wanted("grows")], NOW + timedelta(minutes=minutes))
    assert trends.observe([wanted("grows")], late) == {}


def test_a_query_that_fails_keeps_no_other_from_its_trend(real: Prometheus) -> None:
    its = [wanted("grows", of=WRONG), wanted("grows")]
    assert Trends(real).observe(its, NOW) == {its[1].key: steady(100)}


def test_it_never_raises(real: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> NoReturn:
        raise QueryFailed("Prometheus cannot be reached")

    monkeypatch.setattr(real, "over", fails)
    assert trend(real, "grows") is None
