"""Whether users grow beyond doubt, and how fast: what the trend of a running accident is taken from."""

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.forecast import NEWEST, Trend, growth, trend

STARTED_AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def measured(*users: int) -> list[tuple[datetime, int]]:
    return [(STARTED_AT + number * MINUTE, each) for number, each in enumerate(users)]


def noisy(users: list[int], share: float, seed: int) -> list[tuple[datetime, int]]:
    source = random.Random(seed)  # noqa: S311 - no secret hangs on it
    return measured(*(round(each * source.gauss(1, share)) for each in users))


def outnumbered(count: int, excess: int) -> list[int]:
    """So many samples whose rising pairs outnumber the falling ones by so many: the older fall, one lies between, the rest rise."""
    lost, older = comb(count, 2) - excess, 1
    while older * (older + 1) <= lost:
        older += 1
    between = 2 * older + 1 - (lost - older * (older - 1))
    return [*range(2 * older, 0, -2), between, *range(2 * older + 2, older + count + 1)]


def test_steady_growth_is_its_own_band() -> None:
    assert growth(measured(*range(0, 3_100, 100))) == Trend(6_000, 6_000, 6_000)


def test_five_instants_are_the_fewest_that_leave_no_doubt() -> None:
    assert growth(measured(1, 2, 3, 4)) is None
    assert growth(measured(1, 2, 3, 4, 5))
    # with five, chance alone brings one falling pair more often than once in a hundred times
    assert growth(measured(1, 2, 3, 5, 4)) is None


@pytest.mark.parametrize(
    ("count", "excess"),
    # up to twelve samples 2.33 roots of n (n - 1) (2 n + 5) / 18, for more of them n (n - 1) / 4, rounded up
    [(5, 10), (6, 13), (7, 16), (8, 19), (9, 23), (10, 27), (11, 30), (12, 34), (13, 39), (14, 46), (15, 53), (16, 60), (31, 233)],
)
def test_growth_is_what_chance_makes_less_than_once_in_a_hundred_times_and_half_of_all_pairs(count: int, excess: int) -> None:
    assert growth(measured(*outnumbered(count, excess)))
    assert growth(measured(*outnumbered(count, excess - 1))) is None


@pytest.mark.parametrize("count", range(5))
def test_fewer_than_five_samples_are_no_growth_however_fast(count: int) -> None:
    assert growth(measured(*(each * 10_000 for each in range(count)))) is None


def test_a_single_user_an_hour_is_growth() -> None:
    assert growth([(STARTED_AT + number * timedelta(hours=1), number) for number in range(5)]) == Trend(1, 1, 1)


@pytest.mark.parametrize("users", [[7] * 31, [*range(31, 0, -1)], [0, 0, 0, 0, 0], [5, 1] * 15])
def test_users_who_stay_or_fall_do_not_grow(users: list[int]) -> None:
    assert growth(measured(*users)) is None


@pytest.mark.parametrize("before", range(1, 31))
def test_one_jump_is_no_growth_whenever_it_came(before: int) -> None:
    assert growth(measured(*[8_000] * before, *[20_000] * (31 - before))) is None


@pytest.mark.parametrize("seed", range(50))
def test_noise_on_a_plateau_is_no_growth(seed: int) -> None:
    assert growth(noisy([20_000] * 31, 0.05, seed)) is None


@pytest.mark.parametrize("seed", range(20))
def test_growth_is_seen_through_noise(seed: int) -> None:
    found = growth(noisy([10_000 + 300 * n for n in range(31)], 0.02, seed))
    assert found
    assert 9_000 < found.users_per_hour < 27_000
    assert found.low < 18_000 < found.high


def test_growth_in_steps_is_growth() -> None:
    stairs = [2_000 * (n // 6) for n in range(31)]
    found = growth(measured(*stairs))
    assert found
    assert 0.7 < found.users_per_hour / 20_000 < 1.3


def test_the_slope_is_that_of_the_newer_half_and_the_band_that_of_all() -> None:
    # 600 a minute, then 100
    slowing = [*range(0, 9_000, 600), *range(9_000, 10_600, 100)]
    found, whole = growth(measured(*slowing)), trend(measured(*slowing))
    assert found
    assert whole
    assert (found.users_per_hour, found.low, found.high) == (6_000, 6_000, whole.high)
    assert whole.high > 25_000


def test_of_growth_that_speeds_up_the_band_holds_the_slower_part() -> None:
    speeding = measured(*range(0, 1_500, 100), *range(1_500, 11_100, 600))
    found, whole, newer = growth(speeding), trend(speeding), trend(speeding[-16:])
    assert found
    assert whole
    assert newer
    assert (found.users_per_hour, found.low) == (36_000, whole.low)
    assert whole.low < newer.low


@pytest.mark.parametrize(("count", "newer"), [(5, 3), (30, 16), (31, 16), (60, 31)])
def test_the_newer_half_ends_at_the_sample_in_the_middle(count: int, newer: int) -> None:
    speeding = measured(*(n * n for n in range(count)))
    found, half = growth(speeding), trend(speeding[-newer:])
    assert found
    assert half
    assert found.users_per_hour == half.users_per_hour


def test_growth_that_has_ended_is_over_after_half_the_time() -> None:
    ended = [*range(0, 16_000, 1_000), *[15_000] * 15]
    assert growth(measured(*ended[:24])) is not None
    assert growth(measured(*ended)) is None


def test_one_wild_sample_is_no_end_of_it() -> None:
    users = [*range(0, 3_100, 100)]
    users[20] = 90_000
    found = growth(measured(*users))
    assert found
    assert found.users_per_hour == 6_000


def test_the_newest_sixty_samples_count() -> None:
    assert NEWEST == 60
    growing = measured(*(n * n for n in range(100)))
    assert growth(growing) == growth(growing[-60:])
    assert growth(growing) != growth(growing[-59:])
    fell_before = [*measured(*range(100_000, 0, -1_000)), *measured(*range(160))[100:]]
    assert growth(fell_before) == Trend(60, 60, 60)


def test_a_sample_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a sample has no time zone"):
        growth([(STARTED_AT.replace(tzinfo=None), 1)])


samples = st.lists(st.tuples(st.timedeltas(timedelta(), timedelta(days=8)).map(STARTED_AT.__add__), st.integers(0, 10**7)))


@given(samples, st.randoms())
def test_the_order_of_the_samples_is_nothing_and_growth_is_above_zero_in_its_band(
    given_samples: list[tuple[datetime, int]], shuffler: random.Random
) -> None:
    found = growth(given_samples)
    shuffler.shuffle(given_samples)
    assert growth(given_samples) == found
    if found:
        assert found.users_per_hour > 0
        assert found.low <= found.users_per_hour <= found.high


@given(samples.filter(lambda its: len({at for at, _ in its}) > 2))
def test_the_slopes_are_exact(given_samples: list[tuple[datetime, int]]) -> None:
    newest = sorted({at: max(users for each, users in given_samples if each == at) for at, _ in given_samples}.items())[-NEWEST:]
    slopes = sorted(
        Fraction((later - earlier) * 3_600_000_000, (end - start) // timedelta(microseconds=1))
        for n, (start, earlier) in enumerate(newest)
        for end, later in newest[n + 1 :]
    )
    half, quarter = len(slopes) // 2, (len(slopes) - 1) // 4
    middle = slopes[half] if len(slopes) % 2 else (slopes[half - 1] + slopes[half]) / 2
    assert trend(given_samples) == Trend(middle, slopes[quarter], slopes[-1 - quarter])


def test_slopes_that_a_float_cannot_tell_apart_keep_their_order() -> None:
    million = 10**6
    # the second slope is the smaller one, by a part in 10**18
    first, second = timedelta(microseconds=million**2 - 1), timedelta(microseconds=million**2 + million - 1)
    found = trend([(STARTED_AT, 0), (STARTED_AT + first, million), (STARTED_AT + first + second, 2 * million + 1)])
    assert found
    assert found.low < found.users_per_hour < found.high
