"""Stop or degradation from series: a real Prometheus over history made to the second, and answers that no sound one gives."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import peers
from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import QualityInputs, UserInputs
from receiver.law.impairment import Impairment, ObservedData, ObservedGuaranteed, ObservedVoice, impairment
from receiver.law.provisions import JST
from receiver.observation import history_queries, users
from receiver.observation.comparable_days import Calendar
from receiver.observation.history import Histories
from receiver.observation.prometheus import Prometheus, QueryFailed, Sample, Series, quoted
from receiver.observation.quality import Key, Qualities, Quality
from receiver.settings import PrometheusSettings
from tests.programs import PEERS

HOSTILE = 'x"}) or vector(1) #\\ \n.*|olt-1'

# a Wednesday; the last whole five minutes are those from 11:55, and the Wednesdays before it are plain working days
NOW = datetime(2025, 10, 22, 12, 3, tzinfo=JST)
NOON = datetime(2025, 10, 22, 12, 0, tzinfo=JST)
FAILED = datetime(2025, 10, 22, 9, 57, 30, tzinfo=JST)
USUAL = {date(2025, 10, 15): 100, date(2025, 10, 8): 104, date(2025, 10, 1): 96, date(2025, 9, 24): 110}

DATA = Service(name="data", kind="internet_access", match=('service="data"',), quality=QualityInputs(unit="Mbit/s"))
DELAY = Service(name="delay", kind="other", match=('service="delay"',), quality=QualityInputs(worse="higher", unit="ms"))
LEASED = Service(name="leased", kind="other", match=('service="leased"',), quality=QualityInputs(unit="Mbit/s"))
OWN = Service(
    name="own",
    kind="other",
    match=('service="own"',),
    equipment_label="box",
    quality=QualityInputs(connects="own_link", measured="sum by (box) (own_rate) # all ports", sla=50, unit="Mbit/s"),
)
PHONE = Service(name="phone", kind="voice", emergency_calls=False, match=('service="phone"',))
MOBILE = Service(name="mobile", kind="voice", emergency_calls=True, match=('service="mobile"',))
SATELLITE = Service(name="satellite", kind="internet_access", match=('service="satellite"',), facility="satellite")
WRONG = Service(name="wrong", kind="other", match=('service="wrong"',), quality=QualityInputs(connects="sum(", sla=1))


def with_own(name: str, **quality: Any) -> Service:
    return Service(
        name=name,
        kind="other",
        match=(f'service="{name}"',),
        equipment_label="box",
        quality=QualityInputs(unit="Mbit/s", **quality),
    )


OWNS = (
    with_own("pooled", connects=1, measured="sum(own_rate)", sla=100),
    with_own("labelled", connects=1, measured="own_pure{job=~'.+'}", sla=100),
    with_own("best", connects=1, measured="own_pure"),
    with_own("best-pooled", connects=1, measured="sum(own_pure)"),
    with_own("unstated", connects=1, measured="own_pure", sla="own_sla"),
    with_own("unanswered", connects=1, measured="own_pure", sla="sum("),
)
CATALOGUE = Catalogue((DATA, DELAY, LEASED, OWN, PHONE, MOBILE, SATELLITE, WRONG, *OWNS))

Points = list[tuple[float, float]]


def labels(service: str, equipment: str, **more: str) -> str:
    pairs = {"service": service, "equipment": equipment, **more}
    return "{" + ",".join(f"{name}={quoted(value)}" for name, value in pairs.items()) + "}"


def of_now() -> dict[str, dict[str, float]]:
    """What is true as long as these tests run."""
    works = ["inside", "better", "outside", "two", "moved", "new", "few", HOSTILE]
    return {
        "art58:connects": {
            labels("data", "cut"): 0,
            labels("data", "half-cut", line="1"): 1,
            labels("data", "half-cut", line="2"): 0,
            labels("data", "odd"): 0.5,
            **{labels("data", equipment): 1 for equipment in works},
            labels("delay", "slow"): 1,
            labels("delay", "fast"): 1,
            labels("leased", "missed"): 1,
            labels("leased", "met"): 1,
            labels("leased", "strict"): 1,
            labels("satellite", "sat-1"): 1,
            labels("satellite", "sat-2"): 1,
        },
        "art58:quality": {
            **{labels("data", equipment): 1 for equipment in works if equipment not in ("two", "moved")},
            labels("data", "two", unit="a"): 1,
            labels("data", "two", unit="b"): 1,
            labels("data", "moved", unit="b"): 1,
            labels("data", "nan"): float("nan"),
            labels("data", "negative"): -1,
            labels("data", "infinite"): float("inf"),
            labels("delay", "slow"): 1,
            labels("delay", "fast"): 1,
            labels("leased", "missed"): 80,
            labels("leased", "met"): 100,
            labels("leased", "edge"): 100,
            labels("leased", "strict"): 100,
            labels("leased", "pair", unit="a"): 100,
            labels("leased", "pair", unit="b"): 100,
        },
        "art58:sla": {
            labels("leased", "pair"): 100,
            labels("leased", "missed"): 100,
            labels("leased", "met"): 100,
            labels("leased", "edge"): 100,
            labels("leased", "strict", contract="a"): 100,
            labels("leased", "strict", contract="b"): 120,
            labels("leased", "silent"): 100,
        },
        "art58:silent_or_one_way": {
            labels("phone", "silent"): 1,
            **{labels("phone", equipment): 0 for equipment in ("80", "79", "all", "noisy", "too-much")},
            **{labels("mobile", equipment): 0 for equipment in ("some", "none")},
        },
        "art58:talking_impossible": {
            labels("phone", "noisy"): 1,
            **{labels("phone", equipment): 0 for equipment in ("silent", "80", "79", "all", "too-much")},
            **{labels("mobile", equipment): 0 for equipment in ("some", "none")},
        },
        "art58:call_loss_ratio": {
            labels("phone", "silent"): 0.1,
            labels("phone", "80"): 0.8,
            labels("phone", "79", prefecture="tokyo"): 0.79,
            labels("phone", "79", prefecture="osaka"): 0.1,
            labels("phone", "all"): 1,
            labels("phone", "noisy"): 0,
            labels("phone", "too-much"): 80,
            labels("mobile", "some"): 0.01,
            labels("mobile", "none"): 0,
        },
        "art58:all_traffic_down": {labels("satellite", "sat-1"): 1, labels("satellite", "sat-2"): 0},
        "own_link": {'{box="b1"}': 1, '{box="b2"}': 1},
        "own_pure": {'{box="b3",job="j",service="elsewhere"}': 60},
        "own_rate": {'{box="b1",port="1"}': 30, '{box="b1",port="2"}': 15, '{box="b2",port="1"}': 50},
    }


def steady(value: float, ends: datetime, minutes: int = 10) -> Points:
    """One value every 15 s in the time up to `ends`."""
    return [(ends.timestamp() - 15 * n, value) for n in range(minutes * 4)]


def of_then() -> dict[str, dict[str, Points]]:
    """What was at noon of the day of the failure and of days before it."""

    def usual(days: int = 4, factor: float = 1) -> Points:
        noons = [(datetime.combine(day, NOON.timetz()), value) for day, value in list(USUAL.items())[:days]]
        return [point for noon, value in noons for point in steady(value * factor, noon)]

    # 24 slots of five minutes from 10:00: the first 19 below 100
    two_hours = [(NOON.timestamp() - 7200 + 30 + 60 * n, 90 if n < 95 else 100) for n in range(120)]
    with_gap = [(at, value) for at, value in two_hours if not NOON.timestamp() - 600 < at < NOON.timestamp() - 300]
    with_gap[7] = (with_gap[7][0], float("nan"))
    return {
        "art58:quality": {
            labels("data", "inside"): usual() + steady(96, NOON),
            labels("data", "better"): usual() + steady(500, NOON),
            labels("data", "outside"): usual() + steady(60, NOON),
            labels("data", HOSTILE): usual() + steady(60, NOON),
            # together they would be as ever
            labels("data", "two", unit="a"): usual() + steady(60, NOON),
            labels("data", "two", unit="b"): usual() + steady(144, NOON),
            # one series now, two before
            labels("data", "moved", unit="a"): usual(factor=3),
            labels("data", "moved", unit="b"): usual() + steady(96, NOON),
            labels("data", "new"): usual() + steady(60, NOON),
            labels("data", "few"): usual(2) + steady(60, NOON),
            labels("delay", "slow"): usual() + steady(144, NOON),
            labels("delay", "fast"): usual() + steady(60, NOON),
            labels("leased", "missed"): two_hours,
            labels("leased", "met"): [(at, 100) for at, _ in two_hours],
            # once in five minutes, on the clock
            labels("leased", "edge"): [(NOON.timestamp() - 7200 + 300 * n, 80 if 0 < n <= 12 else 100) for n in range(25)],
            labels("leased", "strict"): with_gap,
            labels("leased", "pair", unit="a"): [(at, 100) for at, _ in two_hours],
            labels("leased", "pair", unit="b"): [(at, 90) for at, _ in two_hours],
        },
        "own_pure": {'{box="b3",job="j",service="elsewhere"}': usual() + steady(60, NOON, 125)},
        "own_rate": {
            '{box="b1",port="1"}': steady(30, NOON, 125),
            '{box="b1",port="2"}': steady(15, NOON, 125),
            '{box="b2",port="1"}': steady(50, NOON, 125),
        },
    }


def openmetrics(series: dict[str, dict[str, Points]]) -> str:
    lines = []
    for name, kinds in series.items():
        lines.append(f"# TYPE {name} gauge")
        lines += [f"{name}{its} {value} {at}" for its, points in kinds.items() for at, value in sorted(points)]
    return "\n".join([*lines, "# EOF", ""])


class Listening(Prometheus):
    """Notes what it is asked."""

    def __init__(self, settings: PrometheusSettings) -> None:
        super().__init__(settings)
        self.asked: list[str] = []

    def instant(self, query: str) -> list[Sample]:
        self.asked.append(query)
        return super().instant(query)

    def over(self, query: str, since: datetime, until: datetime, step: timedelta) -> list[Series]:
        self.asked.append(query)
        return super().over(query, since, until, step)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, now = tmp_path_factory.mktemp("history"), int(time.time())
    # also of the next half hour: the question may come late
    lasting = {
        name: {its: [(now + 60 * n, value) for n in range(-5, 30)] for its, value in kinds.items()}
        for name, kinds in of_now().items()
    }
    # one load each: promtool goes through all the time between the first sample and the last
    for name, series in {"now.txt": lasting, "then.txt": of_then()}.items():
        (folder / name).write_text(openmetrics(series))
        load = [str(PEERS / "promtool"), "tsdb", "create-blocks-from", "openmetrics", name, "data"]
        subprocess.run(load, cwd=folder, check=True, capture_output=True)
    flags = ["--storage.tsdb.retention.time=100y"]
    with peers.Prometheus(PEERS, folder, {"global": {}}, folder / "data", flags=flags) as prometheus:
        yield prometheus.url


@pytest.fixture
def real(server: str) -> Iterator[Listening]:
    client = Listening(PrometheusSettings(url=server))
    yield client
    client.close()


def qualities(prometheus: Prometheus, calendar: Calendar | None = None) -> Qualities:
    return Qualities(prometheus, Histories(prometheus), calendar or Calendar())


def observe(prometheus: Prometheus, *keys: Key, failed: datetime = FAILED, **more: Any) -> dict[Key, Quality]:
    hit: dict[str, set[str | None]] = {}
    for service, equipment in keys:
        hit.setdefault(service, set()).add(equipment)
    return qualities(prometheus).observe(CATALOGUE, hit, dict.fromkeys(keys, failed), NOW, **more)


def judged(quality: Quality) -> Impairment:
    return impairment(quality.observed, all_traffic_down=bool(quality.all_traffic_down))


def told(quality: Quality) -> str:
    return "\n".join(text.en for text in quality.evidence)


EFFECTS = [
    ("data", "cut", "stop"),
    ("data", "half-cut", "stop"),
    ("data", "inside", "normal"),
    ("data", "better", "normal"),
    ("data", "outside", "degradation"),
    ("data", "two", "degradation"),
    ("data", "moved", "normal"),
    ("data", HOSTILE, "degradation"),
    ("data", "few", "unknown"),
    ("data", "nobody-told", "unknown"),
    ("delay", "slow", "degradation"),
    ("delay", "fast", "normal"),
    ("leased", "missed", "degradation"),
    ("leased", "strict", "degradation"),
    ("leased", "met", "normal"),
    ("leased", "silent", "unknown"),
    ("leased", "pair", "normal"),
    ("own", "b1", "degradation"),
    ("own", "b2", "normal"),
    ("best", "b3", "degradation"),
    ("best-pooled", "b3", "degradation"),
    ("pooled", "b1", "degradation"),
    ("labelled", "b3", "degradation"),
    ("unstated", "b3", "unknown"),
    ("phone", "silent", "stop"),
    ("phone", "all", "stop"),
    ("phone", "80", "degradation"),
    ("phone", "79", "normal"),
    ("phone", "noisy", "degradation"),
    ("phone", "nobody-told", "unknown"),
    ("mobile", "some", "degradation"),
    ("mobile", "none", "normal"),
    ("satellite", "sat-1", "stop"),
    ("satellite", "sat-2", "unknown"),
]


@pytest.mark.live_prometheus
@pytest.mark.parametrize(("service", "equipment", "effect"), EFFECTS, ids=lambda value: value[:12])
def test_what_a_service_suffers_is_told_by_its_series(real: Listening, service: str, equipment: str, effect: str) -> None:
    quality = observe(real, (service, equipment))[service, equipment]
    assert quality.problem is None
    assert judged(quality).effect == effect


@pytest.mark.live_prometheus
def test_all_normalised_series_of_all_services_are_one_query(real: Listening) -> None:
    normalised = [(service, equipment) for service, equipment, _ in EFFECTS if service not in {"own", *(own.name for own in OWNS)}]
    found = observe(real, *normalised, failed=NOW)
    assert [judged(found[service, equipment]).effect for service, equipment, _ in EFFECTS if service in ("phone", "mobile")] == [
        effect for service, _, effect in EFFECTS if service in ("phone", "mobile")
    ]
    assert len(real.asked) == 1
    assert real.asked[0].startswith('{__name__=~"art58:all_traffic_down|art58:call_loss_ratio|art58:connects|')


@pytest.mark.live_prometheus
def test_promql_of_ones_own_is_asked_once_and_numbers_never(real: Listening) -> None:
    observe(real, ("own", "b1"), ("own", "b2"), failed=NOW)
    assert real.asked == ["own_link", "sum by (box) (own_rate) # all ports"]


@pytest.mark.live_prometheus
def test_best_effort_is_compared_with_the_same_five_minutes_of_comparable_days(real: Listening) -> None:
    quality = observe(real, ("data", "outside"))["data", "outside"]
    found = judged(quality)
    # median of 96, 100, 104, 110 is 102, the MAD 4: from 102 - 3 x 1.4826 x 4 = 84.2088 on it is normal
    assert "measured 60 Mbit/s; normal from 84.2088 Mbit/s to 119.7912 Mbit/s" in found.why.en
    assert "comparable times: 2025-09-24 11:55, 2025-10-01 11:55, 2025-10-08 11:55, 2025-10-15 11:55" in found.why.en
    assert "24.2088 Mbit/s outside" in found.why.en
    assert 'art58:connects{service="data",equipment="outside"} = 1' in told(quality)
    assert "average of 2025-10-22 11:55–12:00 JST 60 Mbit/s" in told(quality)
    assert 'art58:quality{service="data",equipment="outside"} = ' not in told(quality)  # the average stands for it
    assert "2025-09-17 (no values" in told(quality)


@pytest.mark.live_prometheus
def test_higher_may_be_worse(real: Listening) -> None:
    found = judged(observe(real, ("delay", "slow"))["delay", "slow"])
    assert "24.2088 ms outside" in found.why.en


@pytest.mark.live_prometheus
def test_too_few_comparable_days_make_no_band_and_say_so(real: Listening) -> None:
    quality = observe(real, ("data", "few"))["data", "few"]
    assert quality.observed == ObservedData(True, 1, None)
    assert "only 2 days are comparable with 2025-10-22, 3 are needed" in told(quality)


@pytest.mark.live_prometheus
def test_two_comparable_days_make_no_band_even_if_the_settings_ask_for_no_more(real: Listening) -> None:
    of_two = qualities(real, Calendar(at_least=2)).observe(CATALOGUE, {"data": {"few"}}, {("data", "few"): FAILED}, NOW)
    assert of_two["data", "few"].observed == ObservedData(True, 1, None)
    assert "only 2 comparable times (3 are needed)" in told(of_two["data", "few"])


@pytest.mark.live_prometheus
def test_days_of_other_accidents_are_not_compared_with(real: Listening) -> None:
    accidents = {"outside": {date(2025, 10, 15), date(2025, 10, 8)}}
    quality = observe(real, ("data", "outside"), accidents=lambda: accidents)["data", "outside"]
    assert judged(quality).effect == "unknown"
    assert "2025-10-15 (a day with an accident)" in told(quality)


@pytest.mark.live_prometheus
@pytest.mark.parametrize(("failed_at", "effect"), [("11:55:00", "degradation"), ("11:55:01", "unknown")])
def test_five_minutes_that_began_before_the_failure_tell_nothing_of_it(real: Listening, failed_at: str, effect: str) -> None:
    failed = datetime.fromisoformat(f"2025-10-22T{failed_at}+09:00")
    quality = observe(real, ("data", "new"), failed=failed)["data", "new"]
    assert judged(quality).effect == effect
    assert ("no whole five minutes since the failure yet" in told(quality)) == (effect == "unknown")


@pytest.mark.live_prometheus
def test_a_missed_sla_is_told_with_how_long_it_was_missed(real: Listening) -> None:
    quality = observe(real, ("leased", "missed"), ("leased", "met"))["leased", "missed"]
    assert quality.observed == ObservedGuaranteed(True, 80, 100, "lower", "Mbit/s")
    assert 'art58:sla{service="leased",equipment="missed"} = 100 Mbit/s' in told(quality)
    assert (
        "since 2025-10-22 10:00 JST the SLA was missed in 19 of 24 slots of five minutes, 1 h 35 min 00 s of 2 h 00 min 00 s. "
        "Nothing was subtracted from the duration"
    ) in told(quality)
    assert "19個でSLA未達（2時間00分00秒のうち1時間35分00秒）" in quality.evidence[-1].ja
    assert len(real.asked) == 2


@pytest.mark.live_prometheus
@pytest.mark.parametrize(
    ("failed", "says"),
    [
        (FAILED, "since 2025-10-22 10:00 JST the SLA was missed in 19 of 24 slots"),
        (FAILED + timedelta(seconds=150), "since 2025-10-22 10:00 JST the SLA was missed in 19 of 24 slots"),
        (FAILED + timedelta(seconds=151), "since 2025-10-22 10:05 JST the SLA was missed in 18 of 23 slots"),
        (NOON - timedelta(minutes=5), "since 2025-10-22 11:55 JST the SLA was missed in 0 of 1 slots"),
        # of a very long accident the last weeks
        (NOW - timedelta(days=60), "since 2025-09-21 12:00 JST the SLA was missed in 19 of 24 slots"),
    ],
)
def test_an_sla_is_told_of_whole_five_minutes_since_the_failure(real: Listening, failed: datetime, says: str) -> None:
    assert says in told(observe(real, ("leased", "missed"), failed=failed)["leased", "missed"])


@pytest.mark.live_prometheus
def test_incidents_of_different_age_are_each_told_of_their_own_time_from_one_query(real: Listening) -> None:
    since: dict[Key, datetime] = {("leased", "missed"): NOON - timedelta(minutes=30), ("leased", "met"): FAILED}
    found = qualities(real).observe(CATALOGUE, {"leased": {"missed", "met"}}, since, NOW)
    assert "missed in 1 of 6 slots" in told(found["leased", "missed"])
    assert "missed in 0 of 24 slots" in told(found["leased", "met"])
    assert len(real.asked) == 2


@pytest.mark.live_prometheus
def test_an_sla_is_missed_where_one_of_several_series_misses_it(real: Listening) -> None:
    assert "missed in 24 of 24 slots" in told(observe(real, ("leased", "pair"))["leased", "pair"])


@pytest.mark.live_prometheus
def test_a_sample_between_two_slots_is_of_the_earlier_one(real: Listening) -> None:
    assert "missed in 12 of 24 slots" in told(observe(real, ("leased", "edge"))["leased", "edge"])


@pytest.mark.live_prometheus
@pytest.mark.parametrize(("service", "equipment", "missed"), [("pooled", "b1", "24 of 24"), ("labelled", "b3", "24 of 24")])
def test_promql_of_ones_own_may_name_no_equipment_or_have_a_service_of_its_own(
    real: Listening, service: str, equipment: str, missed: str
) -> None:
    assert f"missed in {missed} slots" in told(observe(real, (service, equipment))[service, equipment])
    assert f'"|{equipment}"' in real.asked[-1]  # of the past no more is read than is needed


@pytest.mark.live_prometheus
def test_where_something_is_owed_that_nobody_can_tell_best_effort_is_not_the_measure(real: Listening) -> None:
    for service in ("unstated", "unanswered"):
        quality = observe(real, (service, "b3"))[service, "b3"]
        assert quality.observed == ObservedGuaranteed(True, 60, None, "lower", "Mbit/s")
        assert (quality.problem is None) == (service == "unstated")


@pytest.mark.live_prometheus
def test_of_several_contracts_the_strictest_counts_and_what_was_not_measured_was_neither_met_nor_missed(real: Listening) -> None:
    quality = observe(real, ("leased", "strict"))["leased", "strict"]
    assert quality.observed == ObservedGuaranteed(True, 100, 120, "lower", "Mbit/s")
    assert "= 120 Mbit/s (the worst of 2 series)" in told(quality)
    assert "missed in 22 of 22 slots of five minutes, 1 h 50 min 00 s of 1 h 50 min 00 s; 2 more have no" in told(quality)


@pytest.mark.live_prometheus
@pytest.mark.parametrize(("equipment", "missed"), [("b1", "24 of 24"), ("b2", "0 of 24")])
def test_an_sla_is_compared_with_promql_of_ones_own(real: Listening, equipment: str, missed: str) -> None:
    quality = observe(real, ("own", equipment))["own", equipment]
    assert f"missed in {missed} slots" in told(quality)
    assert "sla of own in the catalogue = 50 Mbit/s" in told(quality)


@pytest.mark.live_prometheus
def test_the_past_is_asked_for_once_in_five_minutes(real: Listening) -> None:
    seen, keys = qualities(real), [("leased", "missed"), ("data", "outside")]
    hit: dict[str, set[str | None]] = {service: {equipment} for service, equipment in keys}
    first, second = (seen.observe(CATALOGUE, hit, dict.fromkeys(keys, FAILED), NOW + timedelta(seconds=s)) for s in (0, 15))
    assert first == second
    assert len(real.asked) == 4  # of now twice, and each past once
    seen.observe(CATALOGUE, hit, dict.fromkeys(keys, FAILED), NOW + timedelta(minutes=2))
    assert len(real.asked) == 7


@pytest.mark.live_prometheus
def test_a_service_as_a_whole_is_as_bad_as_its_worst_equipment(real: Listening) -> None:
    found = observe(real, ("delay", None), ("delay", "fast"), ("leased", None), ("leased", "met"), ("satellite", None))
    assert judged(found["delay", "fast"]).effect == "normal"
    assert "24.2088 ms outside" in judged(found["delay", None]).why.en
    assert found["leased", None].observed == ObservedGuaranteed(True, 80, 120, "lower", "Mbit/s")
    assert "missed in 24 of 24 slots" in told(found["leased", None])
    assert "missed in 0 of 24 slots" in told(found["leased", "met"])
    assert found["satellite", None].all_traffic_down is True


@pytest.mark.live_prometheus
def test_the_queries_told_give_just_that_series(real: Listening) -> None:
    quality = observe(real, ("data", HOSTILE))["data", HOSTILE]
    connects = next(text.en for text in quality.evidence if text.en.startswith("art58:connects"))
    assert [sample.labels["equipment"] for sample in real.instant(connects.rpartition(" = ")[0])] == [HOSTILE]


@pytest.mark.live_prometheus
@pytest.mark.parametrize(
    ("service", "equipment", "says"),
    [
        ("data", "odd", "art58:connects is 0.5 for equipment=odd, service=data: needed is 0 or 1"),
        ("data", "nan", "art58:quality is nan for equipment=nan, service=data: needed is a number that is 0 or more"),
        ("data", "negative", "art58:quality is -1 for"),
        ("data", "infinite", "art58:quality is inf for"),
        ("phone", "too-much", "art58:call_loss_ratio is 80 for equipment=too-much, service=phone: needed is a share from 0 to 1"),
    ],
)
def test_what_cannot_be_is_a_problem_that_names_the_series(real: Listening, service: str, equipment: str, says: str) -> None:
    found = observe(real, (service, equipment), ("data", "inside"))
    assert says in (found[service, equipment].problem or "")
    assert judged(found[service, equipment]).effect == "unknown"
    assert found["data", "inside"].problem is None  # that of another equipment is no fault of this one


@pytest.mark.live_prometheus
def test_wrong_promql_is_a_problem_and_what_others_told_still_holds(real: Listening) -> None:
    found = observe(real, ("wrong", "x"), ("data", "cut"))
    assert "parse error" in (found["wrong", "x"].problem or "")
    assert judged(found["data", "cut"]).effect == "stop"


@pytest.mark.live_prometheus
def test_history_that_cannot_be_asked_is_a_problem_of_what_rests_on_it(real: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[Series]:
        raise QueryFailed("Prometheus did not answer")

    monkeypatch.setattr(real, "over", fails)
    found = observe(real, ("data", "inside"), ("leased", "missed"))
    assert found["data", "inside"].problem == "Prometheus did not answer"
    assert judged(found["data", "inside"]).effect == "unknown"
    # what the SLA owes and what is measured now are known: only for how long it was missed is not
    assert found["leased", "missed"].problem is None
    assert "could not be asked: Prometheus did not answer" in told(found["leased", "missed"])


@pytest.mark.live_prometheus
def test_history_is_asked_for_again_as_soon_as_it_can_be_had(real: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[Series]:
        raise QueryFailed("Prometheus did not answer")

    seen, keys = qualities(real), [("leased", "missed"), ("data", "outside")]
    hit: dict[str, set[str | None]] = {service: {equipment} for service, equipment in keys}
    with monkeypatch.context() as for_now:
        for_now.setattr(real, "over", fails)
        seen.observe(CATALOGUE, hit, dict.fromkeys(keys, FAILED), NOW)
    found = seen.observe(CATALOGUE, hit, dict.fromkeys(keys, FAILED), NOW + timedelta(seconds=15))
    assert judged(found["data", "outside"]).effect == "degradation"
    assert "missed in 19 of 24 slots" in told(found["leased", "missed"])


def test_a_failed_query_is_never_normal() -> None:
    client = Prometheus(PrometheusSettings(url="http://127.0.0.1:9"))
    found = observe(client, *((service, equipment) for service, equipment, _ in EFFECTS))
    assert {quality.problem for quality in found.values()} == {"Prometheus cannot be reached (ConnectionError)"}
    assert {judged(quality).effect for quality in found.values()} == {"unknown"}
    assert {quality.all_traffic_down for quality in found.values()} == {None}
    client.close()


@pytest.mark.live_prometheus
def test_the_call_loss_that_users_were_counted_from_is_taken_and_not_asked_for_again(real: Listening) -> None:
    own = Service(
        name="mobile",
        kind="voice",
        emergency_calls=True,
        match=('service="mobile"',),
        users=UserInputs(call_loss_ratio='art58:call_loss_ratio{service="mobile"} + 0.5'),
    )
    catalogue = Catalogue((own,))
    counted = users.observe(real, catalogue, {"mobile": {"some"}})
    real.asked.clear()
    key = ("mobile", "some")
    found = qualities(real).observe(
        catalogue, {"mobile": {"some"}}, {key: FAILED}, NOW, counted=counted, emergency_calls_affected={key: False}
    )
    assert len(real.asked) == 1
    assert found[key].observed == ObservedVoice(False, 0.51, False, True, False)
    assert 'art58:call_loss_ratio{service="mobile"} + 0.5 = 0.51' in told(found[key])
    assert judged(found[key]).effect == "normal"  # no emergency call was affected: from about 80 % on


# --- answers of any kind --------------------------------------------------------------------------------------------------------


class Saying(Prometheus):
    """Answers every question of now with these samples, and knows nothing of the past."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.asked: list[str] = []

    def instant(self, query: str) -> list[Sample]:
        return list(self.samples)

    def over(self, query: str, since: datetime, until: datetime, step: timedelta) -> list[Series]:
        self.asked.append(query)
        return []


def said(question: str, service: str, values: Sequence[float], equipment: str = "e") -> list[Sample]:
    return [
        Sample({"__name__": f"art58:{question}", "service": service, "equipment": equipment, "n": str(n)}, 0, value)
        for n, value in enumerate(values)
    ]


@given(st.lists(st.floats(), min_size=1, max_size=4))
def test_a_connection_is_there_or_not_or_it_is_a_problem(values: list[float]) -> None:
    quality = observe(Saying(said("connects", "data", values)), ("data", "e"))["data", "e"]
    sound = all(value in (0, 1) for value in values)
    assert quality.observed == ObservedData(0 not in values if sound else None)
    assert (quality.problem is None) == sound


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=4))
def test_calls_are_as_bad_as_the_worst_of_several_series_says(lost: list[float], silent: list[float]) -> None:
    samples = said("call_loss_ratio", "phone", lost) + said("silent_or_one_way", "phone", silent)
    quality = observe(Saying(samples), ("phone", "e"))["phone", "e"]
    assert quality.observed == ObservedVoice(1 in silent, max(lost), None, False)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=4), st.lists(st.floats(0, 1e9), min_size=1, max_size=4), st.randoms())
def test_of_a_guaranteed_service_the_worst_is_compared_with_the_strictest(
    measured: list[float], owed: list[float], order: Any
) -> None:
    samples = said("quality", "leased", measured) + said("sla", "leased", owed)
    order.shuffle(samples)
    quality = observe(Saying(samples), ("leased", "e"))["leased", "e"]
    assert quality.observed == ObservedGuaranteed(None, min(measured), max(owed), "lower", "Mbit/s")
    assert "missed in 0 of 0 slots" in told(quality)


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_name_of_other_equipment_is_taken_for_it(name: str, other: str) -> None:
    samples = said("connects", "data", [0], other) + said("connects", "satellite", [0], name)
    quality = observe(Saying(samples), ("data", name))["data", name]
    assert quality.observed == ObservedData(False if other in (name, "") else None)


@pytest.mark.parametrize("series", [1, 2])
def test_no_question_about_the_past_grows_without_end(series: int) -> None:
    names = [f"{n:0200}" for n in range(2_000)]
    samples = [
        sample for name in names for service in ("data", "leased") for sample in said("quality", service, [1] * series, name)
    ]
    samples += [sample for name in names for sample in said("sla", "leased", [1], name)]
    prometheus, keys = Saying(samples), [(service, name) for service in ("data", "leased") for name in names]
    # in a day, answers of 288 slots for each equipment
    found = observe(prometheus, *keys, failed=NOW - timedelta(days=1))
    assert max(map(len, prometheus.asked)) < 1.5 * 1024 * 1024
    of_sla = [query.count("|") + 1 for query in prometheus.asked if "art58_days_before" not in query]
    assert len(of_sla) == 2
    assert sum(of_sla) == 2_000
    assert max(of_sla) * 288 * history_queries.POINT_BYTES <= history_queries.MOST_BYTES
    assert all("missed in 0 of 0 slots" in told(found["leased", name]) for name in names)
    assert len(prometheus.asked) <= 2 + 10  # however many series there are


def days_of_nobody() -> dict[str | None, set[date]]:
    raise AssertionError("nothing is compared")


@pytest.mark.parametrize("samples", [[], said("connects", "data", [1], "0"), said("sla", "data", [1], "0")])
def test_days_of_accidents_are_looked_up_only_where_something_is_compared(samples: list[Sample]) -> None:
    found = observe(Saying(samples), *(("data", str(n)) for n in range(3)), accidents=days_of_nobody)
    assert {judged(quality).effect for quality in found.values()} == {"unknown"}
    with pytest.raises(AssertionError, match="nothing is compared"):
        observe(Saying(said("quality", "data", [1], "0")), ("data", "0"), accidents=days_of_nobody)


def test_where_nobody_tells_anything_each_equipment_is_unknown_after_one_question_for_all() -> None:
    class Silent(Saying):
        def instant(self, query: str) -> list[Sample]:
            self.asked.append(query)
            return []

    prometheus = Silent([])
    keys = [(service, str(n)) for service in ("data", "leased", "mobile") for n in range(1_000)]
    affected = {("mobile", "1"): True, ("mobile", "2"): False}
    found = observe(prometheus, *keys, emergency_calls_affected=affected)
    assert len(prometheus.asked) == 1
    assert set(found) == set(keys)
    assert found["data", "7"] == Quality(ObservedData())
    for name, hit in (("1", True), ("2", False), ("3", None)):
        assert found["mobile", name] == Quality(ObservedVoice(handles_emergency_calls=True, emergency_calls_affected=hit))


def test_an_sla_that_cannot_be_is_an_sla_all_the_same() -> None:
    prometheus = Saying(said("quality", "data", [1]) + said("sla", "data", [float("nan")]))
    quality = observe(prometheus, ("data", "e"))["data", "e"]
    assert quality.observed == ObservedGuaranteed(None, 1, None, "lower", "Mbit/s")
    assert quality.problem == "art58:sla is nan for equipment=e, n=0, service=data: needed is a number that is 0 or more"
    assert prometheus.asked == []
