"""Which number of users stands: measured before conceivable, the finest method first, the largest reading of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.counting import METHODS, Affected, Count, keep_largest
from receiver.law.estimate import Method

NOON = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def direct(users: int, minute: int = 0) -> Count:
    return Count(users, "direct", "sum(art58:users_unable)", NOON + timedelta(minutes=minute))


def under_equipment(users: int, minute: int = 0) -> Count:
    return Count(users, "all_under_equipment", "sum(art58:users_under_equipment)", NOON + timedelta(minutes=minute))


def kept_of(counts: list[Count]) -> tuple[Count, ...]:
    kept: tuple[Count, ...] = ()
    for count in counts:
        kept = keep_largest(kept, count)
    return kept


counts = st.builds(
    lambda method, users, minute: direct(users, minute) if method == "direct" else under_equipment(users, minute),
    st.sampled_from(METHODS),
    st.integers(0, 10_000_000) | st.integers(0, 3),
    st.integers(0, 600),
)
bounds = st.none() | st.integers(0, 10_000_000)
problems = st.none() | st.just("query failed")


def test_the_direct_count_is_finer_than_all_users_under_the_equipment() -> None:
    assert METHODS.index("direct") < METHODS.index("traffic_difference") < METHODS.index("all_under_equipment")


def test_a_lower_reading_later_does_not_lower_the_figure() -> None:
    assert kept_of([direct(42_000, 0), direct(7, 1)]) == (direct(42_000, 0),)


def test_a_higher_reading_later_raises_the_figure_and_brings_its_own_time() -> None:
    assert kept_of([direct(7, 0), direct(42_000, 1)]) == (direct(42_000, 1),)


def test_of_equal_readings_the_earliest_stays() -> None:
    assert kept_of([direct(42_000, 0), direct(42_000, 1)]) == (direct(42_000, 0),)


def test_a_measured_zero_is_a_count() -> None:
    affected = Affected(kept=kept_of([direct(0)]), bound=50_000)
    assert affected.count == direct(0)
    assert affected.at_most == 0


def test_the_methods_are_kept_apart() -> None:
    assert kept_of([under_equipment(50_000), direct(10)]) == (direct(10), under_equipment(50_000))


@pytest.mark.parametrize("order", [1, -1])
def test_the_finest_method_stands_even_if_a_coarser_one_says_more(order: int) -> None:
    affected = Affected(kept=kept_of([direct(10), under_equipment(50_000)][::order]))
    assert affected.count == direct(10)
    assert affected.at_least == affected.at_most == 10


def test_a_measured_figure_is_its_own_upper_bound() -> None:
    affected = Affected(kept=(direct(42_000),), bound=90_000)
    assert (affected.at_least, affected.at_most) == (42_000, 42_000)


def test_while_nothing_was_measured_the_bound_is_the_most_and_zero_the_least() -> None:
    affected = Affected(bound=90_000, problem="query failed")
    assert affected.count is None
    assert (affected.at_least, affected.at_most) == (0, 90_000)


def test_without_any_bound_there_is_no_most() -> None:
    assert Affected(problem="query failed").at_most is None
    assert Affected(kept=(direct(42_000),), problem="query failed").at_most is None


def test_when_it_can_no_longer_be_measured_the_last_figure_is_the_least_and_the_bound_the_most() -> None:
    affected = Affected(kept=(direct(42_000),), bound=90_000, problem="query failed")
    assert affected.count == direct(42_000)
    assert (affected.at_least, affected.at_most) == (42_000, 90_000)


def test_a_bound_below_what_was_measured_gives_way() -> None:
    affected = Affected(kept=(direct(42_000),), bound=100, problem="query failed")
    assert (affected.at_least, affected.at_most) == (42_000, 42_000)


@given(st.lists(counts))
def test_of_each_method_the_largest_reading_is_kept_whatever_the_order(readings: list[Count]) -> None:
    largest: dict[Method, int] = {}
    for reading in readings:
        largest[reading.method] = max(reading.users, largest.get(reading.method, 0))
    assert {count.method: count.users for count in kept_of(readings)} == largest
    assert {count.method: count.users for count in kept_of(readings[::-1])} == largest


@given(st.lists(counts), counts)
def test_no_reading_lowers_what_is_kept(readings: list[Count], reading: Count) -> None:
    before = kept_of(readings)
    after = {count.method: count.users for count in keep_largest(before, reading)}
    assert all(after[count.method] >= count.users for count in before)


@given(st.lists(counts), bounds, problems)
def test_a_bound_never_becomes_a_count(readings: list[Count], bound: int | None, problem: str | None) -> None:
    affected = Affected(kept=kept_of(readings), bound=bound, problem=problem)
    assert set(affected.kept) <= set(readings)
    assert affected.count == Affected(kept=affected.kept).count
    assert affected.at_least == (affected.count.users if affected.count else 0)


@given(st.lists(counts), bounds, problems)
def test_the_least_never_exceeds_the_most(readings: list[Count], bound: int | None, problem: str | None) -> None:
    affected = Affected(kept=kept_of(readings), bound=bound, problem=problem)
    assert affected.at_most is None or affected.at_least <= affected.at_most


@given(st.lists(counts, min_size=1), bounds)
def test_ignorance_never_narrows_the_range(readings: list[Count], bound: int | None) -> None:
    known = Affected(kept=kept_of(readings), bound=bound)
    unknown = Affected(kept=known.kept, bound=bound, problem="query failed")
    assert unknown.at_least == known.at_least
    assert unknown.at_most is None or (known.at_most is not None and unknown.at_most >= known.at_most)
