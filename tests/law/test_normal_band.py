"""The band of normal fluctuation that best-effort data is compared with: from comparable times, by a method of our own."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.estimate import NotComputable, Number, WrongFigure
from receiver.law.impairment import Band, Worse, normal_band
from receiver.law.provisions import Text

WEEKS = [("2026-10-24 20:00", 100), ("2026-10-31 20:00", 104), ("2026-11-07 20:00", 96), ("2026-11-14 20:00", 110)]


def test_a_band_names_its_times_and_its_arithmetic() -> None:
    assert normal_band(WEEKS[::-1], unit="Gbit/s") == Band(
        times=("2026-10-24 20:00", "2026-10-31 20:00", "2026-11-07 20:00", "2026-11-14 20:00"),
        median=Fraction(102),
        low=Fraction("84.2088"),
        high=Fraction("119.7912"),
        worse="lower",
        unit="Gbit/s",
        how=Text("中央値 ± 3 × 1.4826 × 4（MAD）", "median ± 3 × 1.4826 × 4 (MAD)"),
    )


def test_where_most_times_are_equal_the_band_goes_from_the_smallest_to_the_largest() -> None:
    band = normal_band([("a", 0.5), ("b", 0.5), ("c", 0.5), ("d", 9), ("e", 0.4)])
    assert (band.median, band.low, band.high, band.unit) == (Fraction(1, 2), Fraction(2, 5), 9, "")
    assert band.how == Text("MADが0のため最小から最大まで", "smallest to largest, as the MAD is 0")


@pytest.mark.parametrize("samples", [[], WEEKS[:1], WEEKS[:2]])
def test_fewer_than_three_comparable_times_make_no_band(samples: list[tuple[str, int]]) -> None:
    with pytest.raises(NotComputable) as refused:
        normal_band(samples)
    assert refused.value.why == Text(
        f"比較できる時点が{len(samples)}件しかない（3件以上必要）", f"only {len(samples)} comparable times (3 are needed)"
    )
    assert normal_band(WEEKS[:3])


@pytest.mark.parametrize(
    ("values", "low"), [((0, 50, 100), "-172.39"), ((10, 50, 100), "-127.912"), ((0, 0, 0), "0"), ((0, 9, 9), "0")]
)
def test_a_band_in_which_nothing_at_all_would_be_normal_is_no_band(values: tuple[int, ...], low: str) -> None:
    samples = list(zip("abc", values, strict=True))
    with pytest.raises(NotComputable) as refused:
        normal_band(samples)
    assert refused.value.why == Text(
        f"比較できる時点のばらつきが大きく（下限{low}）、0でも通常の範囲となる",
        f"comparable times scatter so much (low end {low}) that even 0 would be normal",
    )
    assert normal_band(samples, worse="higher").median == values[1]


@pytest.mark.parametrize(
    ("samples", "k", "refusal"),
    [
        ([*WEEKS, WEEKS[0]], 3, "samples: one comparable time is given twice"),
        ([*WEEKS, ("2026-11-21", -1)], 3, "2026-11-21: -1 is negative"),
        (WEEKS, 0, "k: must be above zero"),
    ],
)
def test_a_time_given_twice_or_a_figure_that_cannot_be_is_refused(samples: list[tuple[str, int]], k: int, refusal: str) -> None:
    with pytest.raises(WrongFigure) as refused:
        normal_band(samples, k=k)
    assert str(refused.value) == refusal


def test_a_narrower_band_lies_inside_a_wider_one() -> None:
    wide, narrow = normal_band(WEEKS), normal_band(WEEKS, k=2)
    assert wide.low < narrow.low < narrow.high < wide.high


values = st.integers(0, 10**6) | st.fractions(0, 1000, max_denominator=100)
series = st.lists(values, min_size=3, max_size=9).map(lambda vs: [(f"2026-01-{day:02}", v) for day, v in enumerate(vs, 1)])
directions = st.sampled_from(["lower", "higher"])


def band_or_none(samples: list[tuple[str, Number]], worse: Worse) -> Band | None:
    try:
        return normal_band(samples, worse=worse)
    except NotComputable:
        return None


@given(series, directions, st.fractions(Fraction(1, 1000), 1000))
def test_a_band_scales_with_its_values(samples: list[tuple[str, Number]], worse: Worse, by: Fraction) -> None:
    band = band_or_none(samples, worse)
    scaled = band_or_none([(label, Fraction(value) * by) for label, value in samples], worse)
    if band is None or scaled is None:
        assert band is scaled
    else:
        assert (scaled.median, scaled.low, scaled.high) == (band.median * by, band.low * by, band.high * by)


@given(series.flatmap(lambda samples: st.tuples(st.just(samples), st.permutations(samples))), directions)
def test_the_order_of_the_comparable_times_does_not_matter(
    both: tuple[list[tuple[str, Number]], list[tuple[str, Number]]], worse: Worse
) -> None:
    assert band_or_none(both[0], worse) == band_or_none(both[1], worse)


@given(series, directions)
def test_the_median_time_is_always_normal(samples: list[tuple[str, Number]], worse: Worse) -> None:
    band = band_or_none(samples, worse)
    if band is not None:
        assert band.low <= band.median <= band.high
        assert not band.beyond(band.median)
