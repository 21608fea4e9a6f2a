"""A series during an accident beside comparable days: on a real Prometheus over history made for it, hours worked out by hand.

The 21st of November 2026 is a Saturday; times are those of Japan.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.provisions import JST
from receiver.observation import history, history_queries, slots
from receiver.observation.comparable_days import Calendar
from receiver.observation.history import SLOT, Histories, History, Wanted
from receiver.observation.prometheus import Prometheus, Series, quoted
from receiver.settings import PrometheusSettings
from tests import backfilled
from tests.fakes.prometheus import FakePrometheus

SATURDAY, FRIDAY = date(2026, 11, 21), date(2026, 11, 20)
SATURDAYS = [SATURDAY - timedelta(weeks=n) for n in range(1, 7)]
FRIDAYS = [FRIDAY - timedelta(weeks=n) for n in range(1, 7)]
STEP = timedelta(minutes=1)
HOSTILE = 'x"}) or vector(1) #\\ \n.*|olt-1'
SERIES, QUALITY = "art58:bytes_per_hour", "art58:quality"
CALENDAR = Calendar()


def at(hour: float, day: date = SATURDAY) -> datetime:
    return datetime.combine(day, datetime.min.time(), JST) + timedelta(hours=hour)


LATER = at(24)


def wanted(since: datetime, until: datetime, equipment: str | None = "olt-1", service: str = "data") -> Wanted:
    return Wanted(service, equipment, since, until)


# --- what the series were: rate by (day, hour of the day) -----------------------------------------------------------------------


class Rates:
    """Samples a minute apart, 20 s after it, so that none lies between two slots."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[int, float]] = {}

    def put(self, labels: str, since: datetime, until: datetime, rate: float, name: str = SERIES) -> None:
        series = self.samples.setdefault(f"{name}{{{labels}}}", {})
        for number in range(int((until - since) / STEP)):
            series[int((since + number * STEP).timestamp()) + 20] = rate

    def cut(self, labels: str, since: datetime, until: datetime, name: str = SERIES) -> None:
        series = self.samples[f"{name}{{{labels}}}"]
        for moment in [moment for moment in series if since.timestamp() <= moment < until.timestamp()]:
            del series[moment]

    def text(self) -> str:
        lines = [
            f"{series} {value} {moment}" for series, points in self.samples.items() for moment, value in sorted(points.items())
        ]
        return "\n".join([*lines, "# EOF", ""])


def days(rates: Rates, labels: str, hours: tuple[float, float] = (9, 13), name: str = SERIES) -> None:
    """Usual traffic of Saturdays: 100 × weeks ago + the hour. In the accident 10 less than the hour."""
    for week, day in enumerate([SATURDAY, *SATURDAYS]):
        for hour in range(int(hours[0]), int(hours[1])):
            rates.put(labels, at(hour, day), at(hour + 1, day), 100 * week + hour if week else hour - 5, name)


def number_of(day: date) -> int:
    return day.toordinal() - date(2026, 10, 1).toordinal()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    rates = Rates()
    days(rates, 'service="data",equipment="olt-1"')
    days(rates, f'service="data",equipment={quoted(HOSTILE)}')
    # over midnight: Fridays are 1,000 and Saturdays 10 × as much before noon
    for week, day in enumerate([FRIDAY, *FRIDAYS]):
        rates.put('service="data",equipment="night"', at(22, day), at(24, day), 1000 + week)
        rates.put('service="data",equipment="night"', at(0, day + timedelta(days=1)), at(3, day + timedelta(days=1)), 10_000 + week)
    # each day its own number, for an accident over a weekend
    for ordinal in range(date(2026, 10, 9).toordinal(), date(2026, 11, 24).toordinal()):
        day = date.fromordinal(ordinal)
        rates.put('service="weekend",equipment="w"', at(0, day), at(24, day), number_of(day))
    # no data on two Saturdays, a gap of one slot on a third
    days(rates, 'service="data",equipment="new"')
    for day in SATURDAYS[4:]:
        rates.cut('service="data",equipment="new"', at(0, day), at(24, day))
    rates.cut('service="data",equipment="new"', at(9.5, SATURDAYS[0]), at(9.75, SATURDAYS[0]))
    days(rates, 'service="data",equipment="silent"')
    rates.cut('service="data",equipment="silent"', at(9.5), at(10))
    # two ports; the second is gone during the accident
    for port in "12":
        days(rates, f'service="data",equipment="ports",port="{port}"')
        days(rates, f'service="voice",equipment="half",port="{port}"')
    rates.cut('service="voice",equipment="half",port="2"', at(0), at(24))
    days(rates, 'service="data",equipment="broken"')
    rates.put('service="data",equipment="broken"', at(9.5, SATURDAYS[2]), at(9.75, SATURDAYS[2]), float("nan"))
    days(rates, 'service="data",equipment="negative"')
    rates.put('service="data",equipment="negative"', at(9.5), at(9.75), -1)
    # a quality by two probes: the second came a month ago, was lower than the first since, and is gone
    days(rates, 'service="data",equipment="probed",probe="a"', name=QUALITY)
    for week in (1, 2, 3, 4):
        day = SATURDAYS[week - 1]
        rates.put('service="data",equipment="probed",probe="b"', at(9, day), at(10, day), 50 + week, QUALITY)
    days(rates, 'service="data",equipment="other",probe="a"', name=QUALITY)
    rates.put('service="data",equipment="other",probe="a"', at(9), at(10), 1, QUALITY)
    days(rates, 'box="b1",port="1"', name="own_bits")
    days(rates, 'box="b1",port="2"', name="own_bits")
    days(rates, 'box="b2",port="1"', name="own_bits")
    with backfilled.prometheus(tmp_path_factory.mktemp("history"), rates.text(), "--storage.tsdb.retention.time=100y") as client:
        yield client


def ask(prometheus: Prometheus, *accidents: Wanted, now: datetime = LATER, series: str = SERIES, **more: object) -> list[History]:
    days = more.pop("days", {})
    found = Histories(prometheus).compare(series, accidents, CALENDAR, days, more.pop("label", "equipment"), now, **more)
    return [found[one] for one in accidents]


def figures(found: History) -> list[tuple[datetime, Fraction, float, list[float]]]:
    assert (found.problem, found.why_not) == (None, None)
    return [(hour.starts_at, hour.weight, hour.actual, list(hour.usual.values())) for hour in found.hours]


live = pytest.mark.live_prometheus


@live
@pytest.mark.parametrize("equipment", ["olt-1", HOSTILE], ids=["plain", "hostile"])
def test_each_hour_stands_beside_the_same_time_of_six_saturdays(real: Prometheus, equipment: str) -> None:
    (found,) = ask(real, wanted(at(9), at(11), equipment))
    assert figures(found) == [
        (at(9), 1, 4, [109, 209, 309, 409, 509, 609]),
        (at(10), 1, 5, [110, 210, 310, 410, 510, 610]),
    ]
    assert list(found.days) == list(found.hours[0].usual) == SATURDAYS


@live
def test_the_last_of_two_hours_and_ten_minutes_is_a_sixth(real: Prometheus) -> None:
    (found,) = ask(real, wanted(at(9), at(11 + 1 / 6)))
    assert figures(found)[2:] == [(at(11), Fraction(1, 6), 6, [111, 211, 311, 411, 511, 611])]


@live
def test_hours_are_counted_from_the_start_and_slots_weigh_what_lies_in_them(real: Prometheus) -> None:
    # from 9:32:30 on: 27.5 min of the hour have 4, 32.5 min have 5
    (found,) = ask(real, wanted(at(9) + timedelta(minutes=32, seconds=30), at(10) + timedelta(minutes=32, seconds=30)))
    ((begins, weight, actual, usual),) = figures(found)
    assert (begins, weight) == (at(9) + timedelta(minutes=32, seconds=30), 1)
    assert actual == pytest.approx((27.5 * 4 + 32.5 * 5) / 60)
    assert usual[0] == pytest.approx((27.5 * 109 + 32.5 * 110) / 60)


@live
def test_an_accident_over_midnight_uses_fridays_and_then_saturdays(real: Prometheus) -> None:
    (found,) = ask(real, wanted(at(23.5, FRIDAY), at(1), "night"))
    assert figures(found) == [
        (at(23.5, FRIDAY), Fraction(1, 2), 1000, [1001, 1002, 1003, 1004, 1005, 1006]),
        (at(0), Fraction(1, 2), 10_000, [10_001, 10_002, 10_003, 10_004, 10_005, 10_006]),
        (at(0.5), Fraction(1, 2), 10_000, [10_001, 10_002, 10_003, 10_004, 10_005, 10_006]),
    ]
    assert [list(hour.usual) for hour in found.hours] == [FRIDAYS, SATURDAYS, SATURDAYS]
    assert found.days == tuple(sorted(SATURDAYS + FRIDAYS, reverse=True))
    assert found.evidence
    assert "Days comparable with 2026-11-20 (Friday" in found.evidence.en
    assert "Days comparable with 2026-11-21 (Saturday" in found.evidence.en


@live
def test_an_accident_over_a_weekend_compares_each_of_its_days_with_its_like(real: Prometheus) -> None:
    # 52 hours in slots of 15 minutes; Monday is Labour Thanksgiving Day, so beside Sundays and the holidays of October and November
    (found,) = ask(real, wanted(at(22, FRIDAY), at(50), "w", "weekend"), now=at(100))
    sunday, monday = date(2026, 11, 22), date(2026, 11, 23)
    off = [date(2026, 11, 15), date(2026, 11, 8), date(2026, 11, 3), date(2026, 11, 1), date(2026, 10, 25), date(2026, 10, 18)]
    expected = [(FRIDAY, FRIDAYS)] * 2 + [(SATURDAY, SATURDAYS)] * 24
    expected += [(sunday, [sunday - timedelta(weeks=n) for n in range(1, 7)])] * 24 + [(monday, [*off, date(2026, 10, 12)])] * 2
    assert figures(found) == [
        (at(22 + number, FRIDAY), 1, number_of(day), [number_of(each) for each in its_days])
        for number, (day, its_days) in enumerate(expected)
    ]
    assert found.evidence
    assert "2026-11-22 (a day with an accident)" in found.evidence.en


@live
def test_days_without_a_value_in_every_slot_are_left_out_and_named(real: Prometheus) -> None:
    (found,) = ask(real, wanted(at(9), at(10), "new"))
    assert list(found.days) == SATURDAYS[1:4]
    assert found.evidence
    assert f"{SATURDAYS[0]} (no values for all of these times)" in found.evidence.en
    assert f"{SATURDAYS[5]}（同時刻の値に欠けがある）" in found.evidence.ja


@live
def test_too_few_days_are_a_reason_and_no_number(real: Prometheus) -> None:
    accident = wanted(at(9), at(10), "new")
    (found,) = ask(real, accident, days={"new": {SATURDAYS[1]}})
    assert found.hours == ()
    assert found.problem is None
    assert found.why_not
    assert found.why_not.en == "only 2 days are comparable with 2026-11-21, 3 are needed"
    assert found.evidence
    assert f"{SATURDAYS[1]} (a day with an accident)" in found.evidence.en


@live
def test_an_accident_on_a_comparable_day_leaves_it_out_for_that_equipment_alone(real: Prometheus) -> None:
    here, elsewhere = ask(real, wanted(at(9), at(10)), wanted(at(9), at(10), HOSTILE), days={"olt-1": {SATURDAYS[2]}})
    assert list(here.days) == [day for day in SATURDAYS if day != SATURDAYS[2]]
    assert list(elsewhere.days) == SATURDAYS


@live
def test_what_is_absent_during_the_accident_is_not_zero(real: Prometheus) -> None:
    silent, half = ask(real, wanted(at(9), at(11), "silent"), wanted(at(9), at(11), "half", "voice"))
    assert (silent.hours, silent.problem, half.hours, half.problem) == ((), None, (), None)
    assert silent.why_not
    assert half.why_not
    assert "from 2026-11-21 09:30 JST to 2026-11-21 10:00 JST" in silent.why_not.en
    assert "from 2026-11-21 09:00 JST to 2026-11-21 11:00 JST" in half.why_not.en


@live
def test_a_series_that_is_nowhere_is_too_little_history(real: Prometheus) -> None:
    (found,) = ask(real, wanted(at(9), at(11), "none such"))
    assert found.why_not
    assert found.why_not.en.startswith("no series of this equipment")


@live
@pytest.mark.parametrize(("equipment", "value"), [("broken", "nan"), ("negative", "-1")])
def test_what_is_no_traffic_is_a_problem_that_names_the_series(real: Prometheus, equipment: str, value: str) -> None:
    found, well = ask(real, wanted(at(9), at(10), equipment), wanted(at(9), at(10)))
    assert found.hours == ()
    assert found.problem
    assert f"is {value}: correct {SERIES} of equipment={equipment}" in found.problem
    assert well.hours


@live
def test_several_series_of_one_equipment_and_all_equipment_of_a_service_are_added(real: Prometheus) -> None:
    (ports,) = ask(real, wanted(at(9), at(10), "ports"))
    assert figures(ports) == [(at(9), 1, 8, [2 * 109, 2 * 209, 2 * 309, 2 * 409, 2 * 509, 2 * 609])]
    calendar_days = {None: frozenset(SATURDAYS[4:])}
    (none,) = ask(real, wanted(at(10), at(11), None), days=calendar_days)
    # olt-1, the hostile one, new, silent, broken, negative, and two ports
    assert figures(none) == [(at(10), 1, 8 * 5, [8 * 110, 8 * 210, 8 * 310, 8 * 410])]


@live
@pytest.mark.parametrize(
    "series",
    [
        "own_bits",
        'own_bits{port=~"1|2"}',
        "sum by (box) (own_bits)",
        "own_bits # of both ports",
        'sum by (box) (own_bits{port!=""})',
    ],
)
def test_own_promql_is_joined_by_its_label(real: Prometheus, series: str) -> None:
    both, one, together = ask(
        real, *(wanted(at(9.5), at(9.75), box) for box in ("b1", "b2", None)), series=series, label="box", own=True
    )
    assert [figures(each)[0][2] for each in (both, one, together)] == [8, 4, 12]
    assert figures(both)[0][3][0] == 218


@live
def test_own_promql_that_names_no_equipment_is_the_figure_of_any(real: Prometheus) -> None:
    (found,) = ask(real, wanted(at(9.5), at(9.75), "b1"), series="sum(own_bits)", label="box", own=True)
    assert figures(found)[0][2:] == (12, [3 * (109 + 100 * n) for n in range(6)])


@live
@pytest.mark.parametrize(
    ("together", "equipment", "now", "usual"),
    [
        # the label `probe` does not matter: neither that one is gone nor that it was not there before
        ("min", "probed", 4, [51, 52, 53, 54, 509, 609]),
        ("max", "probed", 4, [109, 209, 309, 409, 509, 609]),
        ("min", None, 1, [51, 52, 53, 54, 509, 609]),
        ("max", None, 4, [109, 209, 309, 409, 509, 609]),
    ],
)
def test_of_several_series_the_lowest_or_the_highest_may_be_the_figure(
    real: Prometheus, together: str, equipment: str | None, now: float, usual: list[float]
) -> None:
    for series, own in ((QUALITY, False), (f'{QUALITY}{{service="data"}}', True), (f"{QUALITY} * 1", True)):
        (found,) = ask(real, wanted(at(9), at(10), equipment), series=series, own=own, together=together)
        assert figures(found) == [(at(9), 1, now, usual)]


@live
def test_of_a_sum_no_part_may_be_missing(real: Prometheus) -> None:
    (found,) = ask(real, wanted(at(9), at(10), "probed"), series=QUALITY)
    assert found.why_not
    assert found.why_not.en.startswith("values are missing at times from 2026-11-21 09:00 JST to 2026-11-21 10:00 JST")


@live
def test_own_promql_of_a_slot_takes_nothing_of_the_one_before(real: Prometheus) -> None:
    # at 10:00:00 the newest sample is of 9:59:20
    (found,) = ask(real, wanted(at(9), at(11), "b2"), series="sum by (box) (own_bits)", label="box", own=True)
    assert [(actual, usual[0]) for _, _, actual, usual in figures(found)] == [(4, 109), (5, 110)]


@live
def test_the_query_gives_just_this_series_to_whoever_pastes_it(real: Prometheus) -> None:
    for more, equipment, series in [
        ({}, HOSTILE, SERIES),
        ({"together": "min"}, "other", QUALITY),
        ({"label": "box", "own": True}, "b2", "sum by (box) (own_bits)"),
    ]:
        accident = wanted(at(10), at(11), equipment)
        (found, _) = ask(real, accident, wanted(at(10), at(11), "b1"), series=series, **more)
        for hour in found.hours:
            for day, figure in [(SATURDAY, hour.actual), *hour.usual.items()]:
                (shown,) = real.over(found.query, at(10, day) + SLOT, at(11, day), SLOT)
                assert shown.labels[more.get("label", "equipment")] == equipment
                assert [value for _, value in shown.points] == [figure] * 12
        assert found.query.count(series) == 1  # kept for thousands: no copy for each day


@live
def test_wrong_promql_is_a_problem(real: Prometheus) -> None:
    (found,) = ask(real, wanted(at(9), at(10)), series="sum(", own=True)
    assert found.hours == ()
    assert found.why_not is None
    assert found.problem
    assert "parse error" in found.problem


# --- what is asked --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with FakePrometheus() as server:
        yield server


@pytest.fixture
def client(fake: FakePrometheus) -> Iterator[Prometheus]:
    prometheus = Prometheus(PrometheusSettings(url=fake.url))
    yield prometheus
    prometheus.close()


def remember(fake: FakePrometheus, *equipment: str, hours: tuple[int, int] = (9, 12), days: list[date] | None = None) -> None:
    for name in equipment:
        points = [
            ((at(hours[0], day) + number * STEP).timestamp() + 20, 50.0)
            for day in days or [SATURDAY, *SATURDAYS]
            for number in range((hours[1] - hours[0]) * 60)
        ]
        fake.remembers(SERIES, *points, service="data", equipment=name)


def test_all_accidents_of_a_day_are_asked_in_one_query_and_again_only_when_the_next_slot_is_whole(
    fake: FakePrometheus, client: Prometheus
) -> None:
    remember(fake, "a", "b")
    histories, accidents = Histories(client), [wanted(at(9), at(20), name) for name in ("a", "b")]

    def tick(minutes: float) -> list[Fraction]:
        now = at(10) + timedelta(minutes=minutes)
        found = histories.compare(SERIES, accidents, CALENDAR, {}, "equipment", now)
        return [sum((hour.weight for hour in found[one].hours), Fraction()) for one in accidents]

    assert [tick(minutes) for minutes in (0, 0.25, 4.9)] == [[Fraction(1)] * 2] * 3
    assert len(fake.asked) == 1
    assert tick(5) == [Fraction(13, 12)] * 2
    assert len(fake.asked) == 2


def test_only_whole_past_slots_count(fake: FakePrometheus, client: Prometheus) -> None:
    remember(fake, "a")
    (found,) = ask(client, wanted(at(9), at(20), "a"), now=at(10) + timedelta(minutes=4, seconds=59))
    assert [hour.weight for hour in found.hours] == [1]
    # of one that is over the last slot counts in part, once it is whole
    before, after = (ask(client, wanted(at(9), at(10.05), "a"), now=at(10) + timedelta(minutes=minute))[0] for minute in (4, 5))
    assert [[hour.weight for hour in each.hours] for each in (before, after)] == [[1], [1, Fraction(1, 20)]]


def test_a_question_that_failed_is_asked_again_at_the_next_tick(fake: FakePrometheus, client: Prometheus) -> None:
    remember(fake, "a")
    histories, accident, fake.down = Histories(client), wanted(at(9), at(10), "a"), True

    def tick() -> History:
        client.begin()
        return histories.compare(SERIES, [accident], CALENDAR, {}, "equipment", at(10))[accident]

    failed = tick()
    assert (failed.hours, failed.why_not) == ((), None)
    assert failed.problem == "Prometheus answered 503 with something else than an answer to a query"
    fake.down = False
    assert tick().hours


@pytest.mark.parametrize("lasted", [timedelta(), timedelta(minutes=4, seconds=59), timedelta(minutes=-5)])
def test_an_accident_without_five_whole_minutes_is_not_asked_for(
    fake: FakePrometheus, client: Prometheus, lasted: timedelta
) -> None:
    (found,) = ask(client, wanted(at(9), at(9) + lasted), now=at(10))
    assert found.why_not
    assert found.why_not.en.startswith("no whole five minutes yet")
    assert fake.asked == []


def test_an_accident_that_began_just_now_has_no_whole_slot(fake: FakePrometheus, client: Prometheus) -> None:
    (found,) = ask(client, wanted(at(9), at(10)), now=at(9) + timedelta(minutes=4, seconds=59))
    assert found.why_not
    assert fake.asked == []


def test_a_day_with_too_few_others_is_not_asked_for(fake: FakePrometheus, client: Prometheus) -> None:
    new_year = date(2026, 12, 30)
    (found,) = ask(client, wanted(at(9, new_year), at(10, new_year)), now=at(10, new_year))
    assert found.why_not
    assert "2026-12-30" in found.why_not.en
    assert fake.asked == []


@pytest.mark.parametrize(("hours", "seconds"), [(24, 300), (25, 900), (72, 900), (73, 3600)])
def test_longer_accidents_are_read_in_coarser_slots(fake: FakePrometheus, client: Prometheus, hours: int, seconds: int) -> None:
    ask(client, wanted(at(0, FRIDAY), at(hours, FRIDAY), "a"), now=at(200))
    assert all(f"[{seconds * 1000 - 1}ms]" in query for query in fake.asked)
    assert fake.asked


def test_an_accident_of_more_than_a_month_is_refused_with_what_to_do(fake: FakePrometheus, client: Prometheus) -> None:
    (found,) = ask(client, wanted(at(-24 * 40), at(0), "a"))
    assert found.problem
    assert "longer than 31 days" in found.problem
    assert fake.asked == []


def test_an_accident_of_weeks_is_no_comparable_day_of_its_own(fake: FakePrometheus, client: Prometheus) -> None:
    (found,) = ask(client, wanted(at(9, SATURDAYS[0]), at(10), "a"), now=at(10))
    assert found.evidence
    assert f"{SATURDAYS[0]} (a day with an accident)" in found.evidence.en


def test_ten_thousand_are_asked_in_answers_of_a_bounded_size(fake: FakePrometheus, client: Prometheus) -> None:
    names = [f"olt-{number:05}" for number in range(10_000)]
    found = Histories(client).compare(SERIES, [wanted(at(9), at(11), name) for name in names], CALENDAR, {}, "equipment", at(11))
    asked = [query.count("olt-") // 7 for query in fake.asked]
    assert sum(asked) == 10_000
    assert len(asked) <= 6
    assert max(asked) * 7 * (24 * history_queries.POINT_BYTES + history_queries.SERIES_BYTES) <= history_queries.MOST_BYTES
    assert max(map(len, fake.asked)) <= history_queries.MOST_QUERY_BYTES
    assert not any(each.problem for each in found.values())


def test_long_accidents_are_asked_in_questions_for_which_prometheus_reads_a_bounded_number_of_samples(
    fake: FakePrometheus, client: Prometheus
) -> None:
    # two days in slots of 15 minutes, 60 samples each, on seven days
    names = [f"olt-{number:05}" for number in range(400)]
    accidents = [wanted(at(0, FRIDAY), at(24, FRIDAY), name) for name in names]
    accidents += [wanted(at(0, FRIDAY), at(48, FRIDAY), name) for name in names]
    Histories(client).compare(SERIES, accidents, CALENDAR, {}, "equipment", at(100))
    coarse = [query.count("olt-") for query in fake.asked if "[899999ms]" in query]
    assert sum(coarse) == 2 * 7 * 400  # Friday and Saturday
    assert max(coarse) * 96 * 60 <= history_queries.MOST_READ


def test_what_is_too_much_at_once_is_told_and_asked_at_later_ticks(
    fake: FakePrometheus, client: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_queries, "MOST_BYTES", 60_000)
    monkeypatch.setattr(history, "MOST_BYTES_TOGETHER", 120_000)
    accidents = [wanted(at(9), at(11), f"olt-{number}") for number in range(20)]
    histories, left = Histories(client), []
    for _ in range(4):
        found = histories.compare(SERIES, accidents, CALENDAR, {}, "equipment", at(11))
        left.append(sum(each.problem is not None for each in found.values()))
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1] == 0


# --- laws of the hours ----------------------------------------------------------------------------------------------------------


@given(st.timedeltas(timedelta(), timedelta(days=300)), st.timedeltas(timedelta(minutes=5), timedelta(days=9)))
def test_the_hours_cover_the_accident_once(after: timedelta, lasts: timedelta) -> None:
    since = at(0, date(2026, 1, 1)) + after
    hours = list(slots.hours(since, since + lasts))
    assert sum((hour.ends - hour.begins for hour in hours), timedelta()) == lasts
    assert all(earlier.ends == later.begins for earlier, later in pairwise(hours))
    assert all(timedelta() < hour.ends - hour.begins <= timedelta(hours=1) for hour in hours)
    assert all(slots.date_of(hour.begins) == slots.date_of(hour.ends - timedelta(microseconds=1)) for hour in hours)


@given(st.integers(0, 150), st.integers(5, 150), st.integers(0, 30), st.randoms())
def test_weights_sum_to_the_duration_and_order_does_not_matter(start: int, lasts: int, cut: int, random: object) -> None:
    since = at(9) + timedelta(minutes=start, seconds=cut)
    one, other = (wanted(since, since + timedelta(minutes=lasts), name) for name in "ab")

    class Answering:
        def over(self, query: str, since: datetime, until: datetime, step: timedelta) -> list[Series]:
            steps = [since.timestamp() + n * 300 for n in range(int((until - since) / step) + 1)]
            found = [
                Series(
                    {"service": "data", "equipment": name, "part": part, "art58_days_before": str(before)},
                    [(at, at % 7919 / 7 + before) for at in steps],
                )
                for name in "ab"
                for part in "12345"
                for before in (0, 7, 14, 21, 28, 35, 42)
            ]
            random.shuffle(found)  # type: ignore[attr-defined]
            return found

    asked = [
        Histories(Answering()).compare(SERIES, accidents, CALENDAR, {}, "equipment", at(24))  # type: ignore[arg-type]
        for accidents in ([one, other], [other, one])
    ]
    assert asked[0] == asked[1]
    assert asked[0][one].hours == asked[0][other].hours
    assert sum((hour.weight for hour in asked[0][one].hours), Fraction()) == Fraction(lasts, 60)
