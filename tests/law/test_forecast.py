"""What is foretold of an outage: the very microsecond at which the judge changes his mind, on each course the users may take."""

import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from itertools import combinations, product
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.forecast import NEWEST, TREND, Forecast, Reached, Trend, forecast, in_words, major_at, trend
from receiver.law.provisions import Text
from receiver.law.rulebook import Condition, Kind, Rulebook, ServiceFacts, shipped
from receiver.law.verdict import Cause, Circumstances, Effect, Facility, Verdict, judge

BOOKS = {book.id: book for book in shipped()}
STARTED_AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
INTERNET = ServiceFacts("internet_access")
"""Row 6 of JP-TBA58-2026: 2 h x 30,000 users or 1 h x 100,000."""

CABLE_DOWN = Circumstances(facility="submarine_cable", all_traffic_down=True)


def after(**since_failure: float) -> datetime:
    return STARTED_AT + timedelta(**since_failure)


def at(moment: datetime | None) -> str | None:
    """The time of day in UTC; the failure is at 03:00."""
    return None if moment is None else moment.astimezone(UTC).strftime("%H:%M:%S")


def steady(users_per_hour: int | Fraction) -> Trend:
    return Trend(users_per_hour, users_per_hour, users_per_hour)


def foretold(
    users: int | tuple[int, int | None] = 20_000,
    *,
    minutes: float = 0,
    facts: ServiceFacts = INTERNET,
    book: str = "JP-TBA58-2026",
    circumstances: Circumstances = Circumstances(),  # noqa: B008 - frozen
    **more: Any,
) -> Forecast:
    """The forecast so many minutes after the failure, for measured users or for at least and at most so many."""
    least, most = users if isinstance(users, tuple) else (users, users)
    return forecast(facts, BOOKS[book], STARTED_AT, after(minutes=minutes), least, most, circumstances, **more)


def major(*args: Any, **more: Any) -> Reached:
    found = foretold(*args, **more).major
    assert found
    return found


def periodic(*args: Any, **more: Any) -> Reached:
    found = foretold(*args, **more).periodic
    assert found
    return found


def times(reached: Reached) -> tuple[str | None, ...]:
    """Earliest, on the trend, latest, if users stay."""
    return at(reached.earliest), at(reached.on_trend), at(reached.latest), at(reached.if_users_stay)


# --- by hand -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("users", "minutes", "per_hour", "expected", "condition"),
    [
        # 30,000 after 15 minutes, 100,000 after 2 h: both conditions at 05:00, and the one with fewer users lacking is named
        (20_000, 0, 40_000, "05:00:00", Condition(7200, 30_000)),
        # one user an hour more: 100,000 is there 0.18 s before the two hours are over
        (20_000, 0, 40_001, "04:59:59", Condition(3600, 100_000)),
        # 100,000 after half an hour: the hour is what lacks
        (20_000, 0, 160_000, "04:00:00", Condition(3600, 100_000)),
        # 100,000 after 1 h 20 min
        (20_000, 0, 60_000, "04:20:00", Condition(3600, 100_000)),
        # 30,000 only after 2 h 30 min
        (20_000, 0, 4_000, "05:30:00", Condition(7200, 30_000)),
        # the same, seen after an hour with 24,000
        (24_000, 60, 4_000, "05:30:00", Condition(7200, 30_000)),
        (29_999, 0, 0, None, Condition(7200, 30_000)),
        (30_000, 0, 0, "05:00:00", Condition(7200, 30_000)),
        (99_999, 0, 0, "05:00:00", Condition(7200, 30_000)),
        (100_000, 0, 0, "04:00:00", Condition(3600, 100_000)),
        # who falls has been hit nevertheless
        (30_000, 0, -90_000, "05:00:00", Condition(7200, 30_000)),
        (29_999, 0, -90_000, None, Condition(7200, 30_000)),
    ],
)
def test_mobile_data_becomes_major_by_the_condition_that_is_fulfilled_first(
    users: int, minutes: float, per_hour: int, expected: str | None, condition: Condition
) -> None:
    found = major(users, minutes=minutes, trend=steady(per_hour))
    assert (at(found.on_trend), found.condition) == (expected, condition)


def test_every_course_has_its_own_instant() -> None:
    # 80,000 to 90,000 now; 100,000 after 10,000/60,000 h = 10 min, 20,000/40,000 h = 30 min, 20,000/24,000 h = 50 min
    found = major((80_000, 90_000), minutes=55, trend=Trend(40_000, 24_000, 60_000))
    assert times(found) == ("04:05:00", "04:25:00", "04:45:00", "05:00:00")


def test_the_nearest_condition_comes_with_what_it_still_lacks() -> None:
    found = major(80_000, minutes=20, trend=steady(60_000))
    assert found.condition == Condition(3600, 100_000)
    assert (found.users_lacking, found.time_lacking) == (20_000, timedelta(minutes=40))


def test_where_nothing_will_be_fulfilled_the_nearest_condition_is_the_one_with_the_fewest_more_users() -> None:
    found = major(20_000, minutes=90.5)
    assert found.condition == Condition(7200, 30_000)
    assert (found.users_lacking, found.time_lacking) == (10_000, timedelta(minutes=29.5))


def test_what_is_there_does_not_lack() -> None:
    found = major(30_001, minutes=120.5)
    assert (found.users_lacking, found.time_lacking) == (0, timedelta(0))


def test_users_are_there_in_the_microsecond_in_which_the_last_of_them_is_whole() -> None:
    # 1 user at 7 an hour: 3,600,000,000 / 7 = 514,285,714.28... microseconds
    found = periodic(29_999, trend=steady(7))
    assert found.on_trend == after(microseconds=514_285_715)
    exact = periodic(29_999, trend=steady(Fraction(3_600_000_000)))
    assert exact.on_trend == STARTED_AT + MICROSECOND


@pytest.mark.parametrize(
    ("users", "per_hour", "expected", "condition"),
    [
        (29_999, 0, "05:00:00", Condition(7200, 0)),
        (30_000, 0, "03:00:00", Condition(0, 30_000)),
        (20_000, 10_000, "04:00:00", Condition(0, 30_000)),
        (20_000, 5_000, "05:00:00", Condition(7200, 0)),
        (20_000, 4_999, "05:00:00", Condition(7200, 0)),
        (29_999, 1, "04:00:00", Condition(0, 30_000)),
    ],
)
def test_the_periodic_report_asks_for_users_or_for_time(
    users: int, per_hour: int, expected: str | None, condition: Condition
) -> None:
    found = periodic(users, trend=steady(per_hour))
    assert (at(found.on_trend), found.condition) == (expected, condition)


def test_what_is_reached_says_since_when_as_far_as_durations_tell() -> None:
    found = foretold(120_000, minutes=150, trend=Trend(10_000, 0, 20_000))
    assert found.major
    assert found.periodic
    assert times(found.major) == ("04:00:00",) * 4
    assert times(found.periodic) == ("03:00:00",) * 4


def test_without_a_trend_users_stay() -> None:
    found = foretold((20_000, 50_000))
    assert found.users_per_hour is None
    assert found.major
    assert times(found.major) == ("05:00:00", None, None, None)


def test_no_upper_bound_leaves_only_time() -> None:
    assert times(major((0, None))) == ("04:00:00", None, None, None)


def test_growth_ends_at_all_users_there_are() -> None:
    growing = {"trend": steady(80_000)}
    assert at(major(20_000, all_users=100_000, **growing).on_trend) == "04:00:00"
    assert at(major(20_000, all_users=99_999, **growing).on_trend) == "05:00:00"
    assert at(major(20_000, all_users=29_999, **growing).on_trend) is None


def test_users_who_are_hit_are_not_doubted_for_a_smaller_number_of_all() -> None:
    assert at(major(30_000, all_users=10).on_trend) == "05:00:00"


def test_nothing_grows_once_the_service_is_back() -> None:
    growing = {"ended_at": after(minutes=100), "trend": steady(1_000_000)}
    found = foretold(50_000, minutes=110, **growing)
    assert not found.ongoing
    assert found.users_per_hour is None
    assert found.major
    assert times(found.major) == (None,) * 4
    assert found.major.time_lacking == timedelta(minutes=20)
    assert found.periodic
    assert times(found.periodic) == ("03:00:00",) * 4


@pytest.mark.parametrize(("seconds", "expected"), [(7199.999999, None), (7200, "05:00:00"), (9000, "05:00:00")])
def test_a_restored_service_reached_what_it_lasted_for(seconds: float, expected: str | None) -> None:
    assert at(major(50_000, minutes=300, ended_at=after(seconds=seconds)).if_users_stay) == expected


def test_of_conditions_that_a_restored_service_had_users_for_the_nearest_in_time_is_named() -> None:
    found = major(150_000, minutes=300, ended_at=after(minutes=30))
    assert (found.condition, found.users_lacking, found.time_lacking) == (Condition(3600, 100_000), 0, timedelta(minutes=30))


def test_a_dead_submarine_cable_becomes_major_whatever_the_users() -> None:
    found = major(0, circumstances=CABLE_DOWN)
    assert times(found) == ("05:00:00",) * 4
    assert found.condition == Condition(7200, 0)
    assert at(major(100_000, circumstances=CABLE_DOWN).on_trend) == "04:00:00"


def test_clause_2_asks_for_the_time_that_the_rulebook_says() -> None:
    book = BOOKS["JP-TBA58-2026"]
    assert book.clause_2
    own = msgspec.structs.replace(book, clause_2=msgspec.structs.replace(book.clause_2, duration_seconds=1800))
    found = forecast(INTERNET, own, STARTED_AT, STARTED_AT, 0, 0, CABLE_DOWN).major
    assert found
    assert (times(found), found.condition) == (("03:30:00",) * 4, Condition(1800, 0))
    none = msgspec.structs.replace(book, clause_2=None)
    found = forecast(INTERNET, none, STARTED_AT, STARTED_AT, 0, 0, CABLE_DOWN).major
    assert found
    assert times(found) == (None,) * 4


def test_a_failure_of_other_equipment_goes_to_the_periodic_report_at_most() -> None:
    found = foretold(1_000_000, circumstances=Circumstances(cause="non_telecom_equipment_failure"))
    assert found.major is None
    assert found.periodic


@pytest.mark.parametrize("circumstances", [Circumstances(cause="no_failure"), Circumstances(add_on_function=True)])
def test_what_is_no_accident_has_nothing_to_reach(circumstances: Circumstances) -> None:
    found = foretold((0, None), circumstances=circumstances)
    assert (found.major, found.periodic) == (None, None)


def test_under_a_table_of_stops_alone_users_of_unknown_shares_may_become_major() -> None:
    found = major(50_000, book="JP-TBA58-2004", circumstances=Circumstances(effect="both"))
    assert times(found) == ("05:00:00", None, None, None)
    assert foretold(50_000, book="JP-TBA58-2004", circumstances=Circumstances(effect="degradation")).major is None


def test_judged_apart_a_stop_and_a_degradation_of_unknown_shares_take_twice_the_users_to_be_certain() -> None:
    both = {"book": "JP-TBA58-DRAFT-2023-04", "circumstances": Circumstances(effect="both")}
    assert times(major(59_998, facts=ServiceFacts("voice", emergency_calls=True), **both)) == ("04:00:00", None, None, None)
    certain = major(59_999, facts=ServiceFacts("voice", emergency_calls=True), **both)
    assert (times(certain), certain.condition) == (("04:00:00",) * 4, Condition(3600, 59_999))


def test_a_threshold_beyond_the_calendar_is_never_reached() -> None:
    assert major(29_999, trend=steady(Fraction(1, 100_000_000))).on_trend is None
    assert major(29_999, trend=steady(Fraction(1, 10**30))).on_trend is None


def test_a_present_or_an_end_before_the_failure_counts_as_the_failure() -> None:
    found = foretold(20_000, minutes=-5, trend=steady(60_000))
    assert found == foretold(20_000, minutes=0, trend=steady(60_000))
    ended = foretold(30_000, minutes=5, ended_at=after(minutes=-5))
    assert ended == foretold(30_000, minutes=5, ended_at=STARTED_AT)


@pytest.mark.parametrize("name", ["started_at", "now", "ended_at"])
def test_a_time_without_zone_is_refused_by_name(name: str) -> None:
    moments: dict[str, Any] = {"started_at": STARTED_AT, "now": STARTED_AT, "ended_at": STARTED_AT}
    moments[name] = moments[name].replace(tzinfo=None)
    with pytest.raises(ValueError, match=f"^{name} has no time zone"):
        forecast(INTERNET, BOOKS["JP-TBA58-2026"], users_at_least=0, users_at_most=0, **moments)


# --- the trend -----------------------------------------------------------------------------------------------------------------


def measured(*users: int, every: timedelta = timedelta(minutes=1)) -> list[tuple[datetime, int]]:
    return [(STARTED_AT + number * every, each) for number, each in enumerate(users)]


def test_a_steady_growth_is_its_own_band() -> None:
    assert trend(measured(0, 100, 200, 300)) == steady(6_000)


def test_the_trend_is_the_median_of_all_slopes_between_their_quartiles() -> None:
    # 10 / 1, 40 / 2, 33 / 3, 30 / 1, 23 / 2, -7 / 1; in order -7, 10, 11, 11.5, 20, 30
    found = trend(measured(0, 10, 40, 33, every=HOUR))
    assert found == Trend(Fraction(45, 4), 10, 20)


@pytest.mark.parametrize(("count", "cut_off"), [(3, 0), (5, 2), (7, 5), (8, 6)])
def test_a_quarter_of_the_slopes_lies_outside_the_band_on_either_side(count: int, cut_off: int) -> None:
    # the slopes between cubes: (b^3 - a^3) / (b - a)
    slopes = sorted(a * a + a * b + b * b for a, b in combinations(range(count), 2))
    found = trend(measured(*(n**3 for n in range(count)), every=HOUR))
    assert found
    assert (found.low, found.high) == (slopes[cut_off], slopes[-1 - cut_off])


def test_one_wild_sample_does_not_sway_the_trend() -> None:
    found = trend(measured(0, 100, 200, 90_000, 400, 500, 600))
    assert found
    assert found.users_per_hour == 6_000


def test_falling_users_have_a_negative_trend() -> None:
    assert trend(measured(500, 400, 300)) == steady(-6_000)


def test_two_instants_are_no_trend() -> None:
    twice = [*measured(0, 100), *measured(0, 100)]
    assert trend(twice) is None
    assert trend([]) is None
    assert trend([*twice, (after(minutes=2), 200)]) == steady(6_000)


def test_of_two_samples_of_one_instant_the_larger_counts() -> None:
    doubled = [*measured(0, 100, 200), (after(minutes=1), 7), (after(minutes=2), 200)]
    assert trend(doubled) == trend(doubled[::-1]) == steady(6_000)


def test_the_newest_sixty_samples_count() -> None:
    # n squared users: every further sample changes the median
    growing = measured(*(n * n for n in range(100)))
    assert NEWEST == 60
    assert trend(growing) == trend(growing[-60:])
    assert trend(growing) != trend(growing[-59:])


def test_a_sample_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a sample has no time zone"):
        trend([(STARTED_AT.replace(tzinfo=None), 1)])


@pytest.mark.parametrize(("low", "high"), [(6, 7), (3, 4)])
def test_a_trend_outside_its_band_is_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match=f"5 users per hour lies outside its band, {low} to {high}"):
        Trend(5, low, high)


def test_the_method_is_cited_as_our_own_and_unverified() -> None:
    assert (TREND.evidence, TREND.basis) == ("assumed", "practice")


moments = st.timedeltas(timedelta(), timedelta(days=8)).map(STARTED_AT.__add__)
samples = st.lists(st.tuples(moments, st.integers(0, 10**7)))


@given(samples, st.randoms())
def test_a_trend_lies_in_its_band_whatever_the_order_and_time_zone_of_the_samples(
    given_samples: list[tuple[datetime, int]], random: Any
) -> None:
    found = trend(given_samples)
    elsewhere = [(moment.astimezone(timezone(timedelta(hours=-7))), users) for moment, users in given_samples]
    random.shuffle(elsewhere)
    assert trend(elsewhere) == found
    if found:
        assert found.low <= found.users_per_hour <= found.high


# --- what must hold for every outage -------------------------------------------------------------------------------------------

facts_of_any_service = st.builds(
    ServiceFacts,
    kind=st.sampled_from(get_args(Kind)),
    emergency_calls=st.none() | st.booleans(),
    charged=st.none() | st.booleans(),
    monthly_users_previous_fy=st.none() | st.integers(0, 30_000_000),
)
any_circumstances = st.just(Circumstances()) | st.builds(
    Circumstances,
    cause=st.sampled_from(get_args(Cause)),
    effect=st.sampled_from(get_args(Effect)),
    facility=st.none() | st.sampled_from(get_args(Facility)),
    all_traffic_down=st.booleans(),
    installed_by_the_carrier=st.none() | st.booleans(),
    add_on_function=st.booleans(),
)
elapsed = st.sampled_from([0, 3600, 7200, 43_200]).map(lambda s: timedelta(seconds=s)) | st.timedeltas(
    timedelta(), timedelta(hours=30)
)
numbers = st.sampled_from([30_000, 60_000, 100_000, 1_000_000]).flatmap(lambda n: st.integers(n - 2, n + 2)) | st.integers(
    0, 2_000_000
)
slopes = st.integers(-50_000, 500_000) | st.fractions(-1000, 100_000, max_denominator=1000)
bands = st.tuples(slopes, slopes, slopes).map(sorted).map(lambda three: Trend(three[1], three[0], three[2]))

COURSES = ("if_users_stay", "on_trend", "earliest", "latest")


class Outage(NamedTuple):
    facts: ServiceFacts
    book: Rulebook
    circumstances: Circumstances
    lasted: timedelta
    least: int
    most: int | None
    band: Trend | None

    @property
    def now(self) -> datetime:
        return STARTED_AT + self.lasted

    def foretold(self, *, zone: tzinfo = UTC, ended_at: datetime | None = None) -> Forecast:
        started, now, ended = STARTED_AT.astimezone(zone), self.now.astimezone(zone), ended_at and ended_at.astimezone(zone)
        return forecast(
            self.facts, self.book, started, now, self.least, self.most, self.circumstances, trend=self.band, ended_at=ended
        )


least_and_most = st.tuples(numbers, st.none() | st.just(0) | numbers).map(lambda n: (n[0], None if n[1] is None else n[0] + n[1]))
outages = st.tuples(
    facts_of_any_service, st.sampled_from(shipped()), any_circumstances, elapsed, least_and_most, st.none() | bands
).map(lambda parts: Outage(*parts[:4], *parts[4], parts[5]))


def reached_in(found: Forecast) -> list[Reached]:
    return [each for each in (found.major, found.periodic) if each]


def instant_of(reached: Reached | None, course: str) -> datetime | None:
    found: datetime | None = reached and getattr(reached, course)
    return found


def no_later(early: datetime | None, late: datetime | None) -> bool:
    return late is None or (early is not None and early <= late)


@given(outages)
def test_the_judge_changes_his_mind_at_the_foretold_instant_and_not_a_microsecond_before(outage: Outage) -> None:
    band = outage.band or steady(0)
    slope = {"if_users_stay": 0, "on_trend": band.users_per_hour, "earliest": band.high, "latest": band.low}

    def verdict(course: str, moment: datetime) -> Verdict:
        start = outage.most if course == "earliest" else outage.least
        hours = Fraction(max(moment - outage.now, timedelta()) // MICROSECOND, HOUR // MICROSECOND)
        users = None if start is None else start + math.floor(max(slope[course], 0) * hours)
        judged = judge(outage.facts, outage.book, moment - STARTED_AT, users or 0, users, outage.circumstances)
        return judged.at_most if course == "earliest" else judged.at_least

    found = outage.foretold()
    graver = {Verdict.MAJOR: found.major, Verdict.PERIODIC: found.periodic}
    for (wanted, reached), course in product(graver.items(), COURSES):
        instant, enough = instant_of(reached, course), {Verdict.MAJOR, wanted}
        if instant is None:
            assert verdict(course, outage.now + timedelta(days=50)) not in enough
        else:
            assert verdict(course, instant) in enough
            assert instant == STARTED_AT or verdict(course, instant - MICROSECOND) not in enough


@given(outages)
def test_the_trend_lies_between_the_earliest_and_the_latest_and_periodic_never_after_major(outage: Outage) -> None:
    found = outage.foretold()
    for reached in reached_in(found):
        assert no_later(reached.earliest, reached.on_trend)
        assert no_later(reached.on_trend, reached.latest)
        assert no_later(reached.latest, reached.if_users_stay)
    for course in COURSES:
        assert no_later(instant_of(found.periodic, course), instant_of(found.major, course))


@given(outages, numbers, st.integers(0, 100_000))
def test_more_users_or_a_steeper_trend_never_come_later(outage: Outage, more: int, steeper: int) -> None:
    band = outage.band or steady(0)
    many = outage._replace(least=outage.least + more, most=None if outage.most is None else outage.most + more)
    steep = outage._replace(band=Trend(band.users_per_hour + steeper, band.low + steeper, band.high + steeper))
    base = outage.foretold()
    for graver in (many.foretold(), steep.foretold()):
        for course in COURSES:
            assert no_later(instant_of(graver.major, course), instant_of(base.major, course))
            assert no_later(instant_of(graver.periodic, course), instant_of(base.periodic, course))


@given(outages, st.integers(-14, 14), st.none() | elapsed)
def test_the_notation_of_the_time_zone_does_not_matter(outage: Outage, hours: int, lasted: timedelta | None) -> None:
    ended_at = None if lasted is None else STARTED_AT + lasted
    here, there = (outage.foretold(zone=zone, ended_at=ended_at) for zone in (UTC, timezone(timedelta(hours=hours))))
    assert here == there
    assert in_words(here) == in_words(there)


@given(outages)
def test_the_earliest_without_a_trend_is_when_the_most_users_have_lasted_long_enough(outage: Outage) -> None:
    found = outage._replace(circumstances=Circumstances(), band=None).foretold()
    assert found.major
    assert found.major.earliest == major_at(outage.book.row_of(outage.facts), STARTED_AT, outage.most)


@given(outages)
def test_what_was_reached_when_the_service_came_back_is_what_the_judge_says_of_it(outage: Outage) -> None:
    found = outage.foretold(ended_at=outage.now)
    judged = judge(outage.facts, outage.book, outage.lasted, outage.least, outage.most, outage.circumstances)
    assert (instant_of(found.major, "on_trend") is not None) == (judged.at_least == Verdict.MAJOR)
    assert (instant_of(found.major, "earliest") is not None) == (judged.at_most == Verdict.MAJOR)
    assert (instant_of(found.periodic, "on_trend") is not None) == (judged.at_least != Verdict.NONE)
    assert (instant_of(found.periodic, "earliest") is not None) == (judged.at_most != Verdict.NONE)


@given(outages)
def test_what_the_nearest_condition_lacks_is_the_difference_to_what_is_there(outage: Outage) -> None:
    found = outage._replace(circumstances=Circumstances()).foretold()
    assert found.major
    assert found.major.condition in outage.book.row_of(outage.facts).conditions
    for reached in reached_in(found):
        assert reached.users_lacking == max(reached.condition.users - outage.least, 0)
        assert reached.time_lacking == max(reached.condition.duration - outage.lasted, timedelta())
        met = not reached.users_lacking and not reached.time_lacking
        assert met == (reached.on_trend is not None and reached.on_trend <= found.as_of)


# --- in words ------------------------------------------------------------------------------------------------------------------


def test_a_growing_outage_in_words() -> None:
    said = in_words(foretold(80_000, minutes=55, trend=Trend(Fraction(80_001, 2), 8_000, 60_000)))
    assert said.ja == (
        "重大な事故の基準には、利用者数が変わらなければ2026-11-21 14:00:00 JSTに達する可能性がある。"
        "現在の傾向（毎時+40,000人）では2026-11-21 13:24:59 JSTに達する可能性がある"
        "（早ければ2026-11-21 13:15:00 JST、遅ければ2026-11-21 14:00:00 JST）。"
        "最も近い条件（1時間00分00秒以上かつ100,000人以上）まで、時間はあと0時間05分00秒、利用者数はあと20,000人。"
        "定期報告の基準には、早ければ2026-11-21 12:00:00 JSTから達している可能性がある。"
        "傾向の根拠: 本ソフトウェアの推計方法（法令に定めはない）（運用、未確認の仮定）。"
        "見込みであり、要判断。"
    )
    assert said.en == (
        "The threshold of a major accident: if the number of users stays, it may be reached at 2026-11-21 14:00:00 JST; "
        "on the present trend (+40,000 users per hour), it may be reached at 2026-11-21 13:24:59 JST "
        "(as early as 2026-11-21 13:15:00 JST, as late as 2026-11-21 14:00:00 JST). "
        "The nearest condition (at least 1 h 00 min 00 s and at least 100,000 users) still needs 0 h 05 min 00 s and 20,000 users. "
        "The threshold of the periodic report may have been reached, as early as 2026-11-21 12:00:00 JST. "
        "Basis of the trend: this software's own method (no law prescribes one) (practice, assumed, not verified). "
        "These are expectations: a person decides."
    )


def test_an_unmeasured_outage_in_words() -> None:
    said = in_words(foretold((0, None), minutes=30))
    assert said.ja == (
        "重大な事故の基準には、利用者数が変わらなければ達しない見込み（早ければ2026-11-21 13:00:00 JST、遅ければ達しない）。"
        "最も近い条件（2時間00分00秒以上かつ30,000人以上）まで、時間はあと1時間30分00秒、利用者数はあと30,000人。"
        "定期報告の基準には、利用者数が変わらなければ2026-11-21 14:00:00 JSTに達する可能性がある"
        "（早ければ2026-11-21 12:00:00 JST、遅ければ2026-11-21 14:00:00 JST）。"
        "最も近い条件（2時間00分00秒以上）まで、時間はあと1時間30分00秒、利用者数はあと0人。"
        "見込みであり、要判断。"
    )
    assert said.en == (
        "The threshold of a major accident: if the number of users stays, not expected to be reached "
        "(as early as 2026-11-21 13:00:00 JST, or never). "
        "The nearest condition (at least 2 h 00 min 00 s and at least 30,000 users) still needs 1 h 30 min 00 s and 30,000 users. "
        "The threshold of the periodic report: if the number of users stays, it may be reached at 2026-11-21 14:00:00 JST "
        "(as early as 2026-11-21 12:00:00 JST, as late as 2026-11-21 14:00:00 JST). "
        "The nearest condition (at least 2 h 00 min 00 s) still needs 1 h 30 min 00 s and 0 users. "
        "These are expectations: a person decides."
    )


def test_a_restored_outage_in_words() -> None:
    said = in_words(foretold((20_000, 50_000), minutes=60, ended_at=after(minutes=30)))
    assert said.ja == (
        "重大な事故の基準には、役務が復旧したため、今後達しない見込み。"
        "最も近い条件（2時間00分00秒以上かつ30,000人以上）まで、時間はあと1時間30分00秒、利用者数はあと10,000人。"
        "定期報告の基準には、役務が復旧したため、今後達しない見込み"
        "（既に達していた可能性はあり、早ければ2026-11-21 12:00:00 JST）。"
        "最も近い条件（2時間00分00秒以上）まで、時間はあと1時間30分00秒、利用者数はあと0人。"
        "見込みであり、要判断。"
    )
    assert said.en == (
        "The threshold of a major accident: as the service recovered, not expected to be reached any more. "
        "The nearest condition (at least 2 h 00 min 00 s and at least 30,000 users) still needs 1 h 30 min 00 s and 10,000 users. "
        "The threshold of the periodic report: as the service recovered, not expected to be reached any more "
        "(but it may have been before, as early as 2026-11-21 12:00:00 JST). "
        "The nearest condition (at least 2 h 00 min 00 s) still needs 1 h 30 min 00 s and 0 users. "
        "These are expectations: a person decides."
    )


def test_what_is_reached_at_this_very_instant_may_have_been_reached_earlier_by_more_users() -> None:
    said = in_words(foretold((30_000, 100_000), minutes=120))
    assert "重大な事故の基準には、早ければ2026-11-21 13:00:00 JSTから達している可能性がある。" in said.ja
    assert "The threshold of a major accident may have been reached, as early as 2026-11-21 13:00:00 JST. " in said.en


def test_a_trend_that_changes_nothing_is_said_to_change_nothing() -> None:
    said = in_words(foretold(50_000, trend=Trend(-70, -90, 0)))
    assert "現在の傾向（毎時-70人）では同じ。" in said.ja
    assert "on the present trend (-70 users per hour), the same. " in said.en


def test_users_alone_may_be_what_the_nearest_condition_asks_for() -> None:
    said = in_words(foretold(20_000, trend=steady(20_000)))
    assert "最も近い条件（30,000人以上）まで、時間はあと0時間00分00秒、利用者数はあと10,000人" in said.ja
    assert "The nearest condition (at least 30,000 users) still needs 0 h 00 min 00 s and 10,000 users" in said.en


def test_part_of_a_second_that_lacks_is_a_second() -> None:
    assert "still needs 0 h 00 min 01 s" in in_words(foretold(30_000, minutes=120 - 1e-6)).en


def test_a_periodic_report_that_major_overtakes_is_not_spoken_of() -> None:
    said = in_words(foretold(100, circumstances=CABLE_DOWN))
    assert "重大な事故" in said.ja
    assert "定期報告" not in said.ja


def test_the_periodic_report_is_spoken_of_where_only_its_earliest_instant_comes_first() -> None:
    assert "定期報告" in in_words(foretold((100, 40_000), circumstances=CABLE_DOWN)).ja


def test_what_is_no_accident_has_no_threshold_in_sight() -> None:
    said = in_words(foretold(1_000_000, circumstances=Circumstances(cause="no_failure"), trend=steady(5)))
    assert said == Text(
        "この事情では報告の基準に達しない見込み。見込みであり、要判断。",
        "In these circumstances no reporting threshold is in sight. These are expectations: a person decides.",
    )


CONCLUSIONS_JA = r"該当|重大な事故(である|です|だ)|報告(義務|が必要|しなければ|を要)|違反"
CONCLUSIONS_EN = r"\bis a major accident|\bapplies\b|\bmust\b|\bshall\b|\bhas to\b|\bviolat|\bapply\b|reportable|\bwill be\b"


@given(outages, st.booleans())
def test_no_forecast_states_a_legal_conclusion(outage: Outage, ended: bool) -> None:
    said = in_words(outage.foretold(ended_at=outage.now if ended else None))
    assert not re.search(CONCLUSIONS_JA, said.ja)
    assert not re.search(CONCLUSIONS_EN, said.en)
    assert said.ja.endswith("要判断。")
    assert said.en.endswith("a person decides.")
