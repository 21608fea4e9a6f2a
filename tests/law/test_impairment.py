"""Stop, degradation, normal or unknown, from what was observed; and the band of normal fluctuation it is compared with."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.estimate import NotComputable, Number, WrongFigure
from receiver.law.impairment import (
    Band,
    Impairment,
    ObservedData,
    ObservedGuaranteed,
    ObservedVoice,
    Worse,
    impairment,
    normal_band,
)
from receiver.law.provisions import Provision, guideline

WEEKS = [("2026-10-24 20:00", 100), ("2026-10-31 20:00", 104), ("2026-11-07 20:00", 96), ("2026-11-14 20:00", 110)]
BAND = normal_band(WEEKS, unit="Gbit/s")
CLEAR = ObservedVoice(silent_or_one_way=False, talking_impossible=False, handles_emergency_calls=False)


def flags(found: Impairment) -> set[str]:
    return {flag.code for flag in found.flags}


def cited(found: Impairment) -> set[Provision]:
    return set(found.citations)


def ordinary(rate: Number | None) -> Impairment:
    """A voice service without emergency calls, nothing else wrong."""
    return impairment(ObservedVoice(False, rate, False, handles_emergency_calls=False))


def emergency(rate: Number | None, affected: bool | None) -> Impairment:
    return impairment(ObservedVoice(False, rate, False, handles_emergency_calls=True, emergency_calls_affected=affected))


# --- best-effort data ---


@pytest.mark.parametrize("measured", [None, 0, 100, 10**9])
def test_data_without_link_or_session_is_a_stop_whatever_was_measured(measured: int | None) -> None:
    found = impairment(ObservedData(connects=False, measured=measured, band=BAND))
    assert (found.effect, found.citations) == ("stop", (guideline("stop_best_effort"),))
    assert "link or session" in found.why.en
    assert found.citations[0].evidence == "draft"


def test_data_beyond_normal_fluctuation_is_a_degradation_and_says_by_how_much_and_against_what() -> None:
    found = impairment(ObservedData(connects=True, measured=60, band=BAND))
    assert found.effect == "degradation"
    assert found.why.en == (
        "measured 60 Gbit/s; normal from 84.2088 Gbit/s to 119.7912 Gbit/s (median 102 Gbit/s, median ± 3 × 1.4826 × 4 (MAD), "
        "comparable times: 2026-10-24 20:00, 2026-10-31 20:00, 2026-11-07 20:00, 2026-11-14 20:00): 24.2088 Gbit/s outside"
    )
    for number in ("60", "84.2088", "119.7912", "102", "24.2088", "2026-11-14 20:00"):
        assert number in found.why.ja


def test_the_rule_is_the_drafts_and_the_band_our_own_and_both_are_said() -> None:
    found = impairment(ObservedData(connects=True, measured=60, band=BAND))
    assert cited(found) == {guideline("degradation_best_effort"), guideline("normal_band")}
    assert {(rule.evidence, rule.basis) for rule in found.citations} == {("draft", "guideline"), ("assumed", "practice")}
    assert flags(found) == {"own_band"}


@pytest.mark.parametrize(
    ("measured", "effect"),
    [(Decimal("84.2087"), "degradation"), (Decimal("84.2088"), "normal"), (102, "normal"), (120, "normal"), (10**9, "normal")],
)
def test_the_edge_of_the_band_is_inside_and_better_than_usual_is_no_degradation(measured: Number, effect: str) -> None:
    found = impairment(ObservedData(connects=True, measured=measured, band=BAND))
    assert (found.effect, flags(found)) == (effect, {"own_band"})


def test_of_a_delay_only_higher_is_worse() -> None:
    band = normal_band([("a", 10), ("b", 10), ("c", 12)], worse="higher", unit="ms")
    assert (band.low, band.high) == (10, 12)
    effects = [impairment(ObservedData(True, value, band)).effect for value in (0, 10, 12, 12.001)]
    assert effects == ["normal", "normal", "normal", "degradation"]


@pytest.mark.parametrize(
    ("seen", "lacking"),
    [
        (ObservedData(), ["the measured quality", "the band"]),
        (ObservedData(connects=True, measured=100), ["the band"]),
        (ObservedData(connects=True, band=BAND), ["the measured quality"]),
        (ObservedData(measured=100, band=BAND), ["whether a link or session can be established"]),
    ],
)
def test_what_is_not_known_of_data_is_named_and_never_normal(seen: ObservedData, lacking: list[str]) -> None:
    found = impairment(seen)
    assert found.effect == "unknown"
    for part in lacking:
        assert part in found.why.en.partition("not known: ")[2]
    assert guideline("stop_best_effort") in found.citations


def test_degraded_data_may_be_a_stop_while_nobody_has_said_that_it_connects() -> None:
    assert flags(impairment(ObservedData(measured=60, band=BAND))) == {"own_band", "stop_not_ruled_out"}


# --- voice ---


def test_silent_or_one_way_calls_are_a_stop_even_where_few_calls_are_lost() -> None:
    found = impairment(ObservedVoice(silent_or_one_way=True, call_loss_rate=0, talking_impossible=True))
    assert (found.effect, found.citations) == ("stop", (guideline("stop_voice"),))


def test_where_every_call_is_lost_none_is_established_and_that_is_a_stop() -> None:
    assert (ordinary(1).effect, emergency(1, None).effect) == ("stop", "stop")


def test_noise_that_makes_talking_impossible_is_a_degradation_whoever_is_called() -> None:
    for handles in (True, False, None):
        found = impairment(ObservedVoice(False, 0, talking_impossible=True, handles_emergency_calls=handles))
        assert (found.effect, found.citations) == ("degradation", (guideline("degradation_voice"),))


@pytest.mark.parametrize(
    ("rate", "effect"),
    [
        (0, "normal"),
        (0.7999, "normal"),
        (Fraction(4, 5) - Fraction(1, 10**30), "normal"),
        (Decimal("0.8"), "degradation"),
        (0.8, "degradation"),
        (0.99, "degradation"),
    ],
)
def test_from_80_percent_call_loss_on_voice_without_emergency_calls_is_degraded(rate: Number, effect: str) -> None:
    found = ordinary(rate)
    assert found.effect == effect
    assert "about 80 %" in found.why.en
    assert "概ね80%" in found.why.ja
    assert guideline("degradation_voice") in found.citations


@pytest.mark.parametrize(
    ("rate", "near"), [(0.7499, False), (0.75, True), (0.79, True), (0.8, True), (0.85, True), (0.8501, False), (None, False)]
)
def test_within_5_points_of_80_percent_a_person_should_look_and_the_verdict_stays(rate: Number | None, near: bool) -> None:
    found = ordinary(rate)
    assert flags(found) == ({"near_80_percent"} if near else set())
    assert not near or "this program's own" in found.flags[0].text.en
    assert flags(emergency(rate, None)) == set()


@pytest.mark.parametrize("affected", [True, None])
@pytest.mark.parametrize("rate", [Fraction(1, 10**9), 0.5, 0.79, 0.8])
def test_where_emergency_calls_may_be_affected_any_loss_counts(affected: bool | None, rate: Number) -> None:
    found = emergency(rate, affected)
    assert (found.effect, found.citations) == ("degradation", (guideline("emergency_voice"),))
    assert "any loss counts" in found.why.en
    assert emergency(0, affected).effect == "normal"


def test_where_emergency_calls_were_certainly_not_affected_the_rule_of_80_percent_applies() -> None:
    assert [emergency(rate, False).effect for rate in (0.79, 0.8)] == ["normal", "degradation"]
    assert cited(emergency(0.8, False)) == {guideline("degradation_voice"), guideline("emergency_voice")}


def test_whether_emergency_calls_are_handled_and_hit_is_taken_as_yes_while_nobody_says_no() -> None:
    assert impairment(ObservedVoice(False, 0.1, False)).effect == "degradation"
    assert impairment(ObservedVoice(False, 0.1, False, emergency_calls_affected=False)).effect == "normal"
    contradiction = ObservedVoice(False, 0.1, False, handles_emergency_calls=False, emergency_calls_affected=True)
    assert impairment(contradiction).effect == "degradation"


@pytest.mark.parametrize(
    ("seen", "lacking"),
    [
        (ObservedVoice(None, 0, False), "whether calls are silent or one-way"),
        (ObservedVoice(False, 0, None), "whether noise or drops prevent talking"),
        (ObservedVoice(False, None, False), "the call-loss rate"),
    ],
)
def test_what_is_not_known_of_voice_is_named_and_never_normal(seen: ObservedVoice, lacking: str) -> None:
    found = impairment(seen)
    assert (found.effect, found.why.en.partition("not known: ")[2]) == ("unknown", lacking)


@pytest.mark.parametrize("rate", [0, 0.8])
def test_degraded_voice_may_be_a_stop_while_nobody_has_ruled_out_silent_calls(rate: Number) -> None:
    found = impairment(ObservedVoice(None, rate, talking_impossible=True))
    assert (found.effect, flags(found)) == ("degradation", {"stop_not_ruled_out"})
    assert flags(impairment(ObservedVoice(None, 0.9))) == {"stop_not_ruled_out"}


@pytest.mark.parametrize("rate", [80, 1.01, -0.1, float("nan")])
def test_a_call_loss_that_is_no_share_is_refused(rate: Number) -> None:
    with pytest.raises(WrongFigure, match="call_loss_rate"):
        ordinary(rate)


# --- guaranteed services ---


@pytest.mark.parametrize(("measured", "effect"), [(Decimal("99.8999"), "degradation"), (99.9, "normal"), (100, "normal")])
def test_a_guaranteed_service_is_degraded_exactly_below_its_sla(measured: Number, effect: str) -> None:
    found = impairment(ObservedGuaranteed(True, measured, 99.9, unit="%"))
    assert (found.effect, found.citations, found.flags) == (effect, (guideline("degradation_guaranteed"),), ())
    assert "SLA 99.9 %" in found.why.en
    assert ("missed by 0.0001 %" in found.why.en) == (effect == "degradation")


@pytest.mark.parametrize(("measured", "effect"), [(20, "normal"), (20.5, "degradation")])
def test_a_guaranteed_delay_is_missed_above_the_sla(measured: Number, effect: str) -> None:
    assert impairment(ObservedGuaranteed(True, measured, 20, worse="higher")).effect == effect


@pytest.mark.parametrize("seen", [ObservedGuaranteed(True, None, 99), ObservedGuaranteed(True, 99, None), ObservedGuaranteed()])
def test_without_the_sla_or_a_measurement_nothing_can_be_said(seen: ObservedGuaranteed) -> None:
    assert impairment(seen).effect == "unknown"


def test_a_guaranteed_service_without_connection_is_a_stop_too() -> None:
    assert impairment(ObservedGuaranteed(connects=False, measured=100, sla=99)).effect == "stop"
    assert flags(impairment(ObservedGuaranteed(None, 1, 99))) == {"stop_not_ruled_out"}


# --- satellites and cables ---


@pytest.mark.parametrize("seen", [ObservedData(True, 102, BAND), CLEAR, ObservedGuaranteed(True, 100, 99), ObservedData()])
def test_all_traffic_down_is_a_stop_whatever_else_is_said(seen: ObservedData | ObservedVoice | ObservedGuaranteed) -> None:
    found = impairment(seen, all_traffic_down=True)
    assert (found.effect, found.citations) == ("stop", (guideline("stop_all_traffic"),))


# --- the band ---


def test_a_band_names_its_times_and_its_arithmetic() -> None:
    assert BAND.times == tuple(sorted(label for label, _ in WEEKS))
    assert (BAND.median, BAND.low, BAND.high) == (102, Fraction("84.2088"), Fraction("119.7912"))
    assert BAND.how.en == "median ± 3 × 1.4826 × 4 (MAD)"


def test_where_most_times_are_equal_the_band_goes_from_the_smallest_to_the_largest() -> None:
    band = normal_band([("a", 5), ("b", 5), ("c", 5), ("d", 9), ("e", 4)])
    assert (band.median, band.low, band.high) == (5, 4, 9)
    assert "smallest to largest" in band.how.en


@pytest.mark.parametrize("samples", [[], WEEKS[:1], WEEKS[:2]])
def test_fewer_than_three_comparable_times_make_no_band(samples: list[tuple[str, int]]) -> None:
    with pytest.raises(NotComputable, match=f"only {len(samples)} comparable times"):
        normal_band(samples)
    assert normal_band(WEEKS[:3])


@pytest.mark.parametrize("values", [(0, 50, 100), (10, 50, 100), (0, 0, 0), (0, 9, 9)])
def test_a_band_in_which_nothing_at_all_would_be_normal_is_no_band(values: tuple[int, ...]) -> None:
    samples = list(zip("abc", values, strict=True))
    with pytest.raises(NotComputable, match="even 0 would be normal"):
        normal_band(samples)
    assert normal_band(samples, worse="higher").median == values[1]


def test_a_time_given_twice_or_a_figure_that_cannot_be_is_refused() -> None:
    with pytest.raises(WrongFigure, match="twice"):
        normal_band([*WEEKS, WEEKS[0]])
    with pytest.raises(WrongFigure, match="2026-11-21"):
        normal_band([*WEEKS, ("2026-11-21", -1)])
    with pytest.raises(WrongFigure, match="k"):
        normal_band(WEEKS, k=0)
    with pytest.raises(WrongFigure, match="measured"):
        impairment(ObservedData(True, float("inf"), BAND))


def test_a_narrower_band_lies_inside_a_wider_one() -> None:
    narrow = normal_band(WEEKS, k=2)
    assert BAND.low < narrow.low < narrow.high < BAND.high


values = st.integers(0, 10**6) | st.fractions(0, 1000, max_denominator=100)
series = st.lists(values, min_size=3, max_size=9).map(lambda vs: [(f"2026-01-{day:02}", v) for day, v in enumerate(vs, 1)])
directions = st.sampled_from(["lower", "higher"])
rates = st.fractions(0, 1)
answers = st.none() | st.booleans()
GRAVITY = {"normal": 0, "unknown": 0, "degradation": 1, "stop": 2}


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
        assert impairment(ObservedData(True, band.median, band)).effect == "normal"


@given(series, directions, values, values, answers)
def test_a_worse_value_never_turns_degraded_data_into_normal(
    samples: list[tuple[str, Number]], worse: Worse, one: Number, other: Number, connects: bool | None
) -> None:
    better, poorer = sorted((Fraction(one), Fraction(other)), reverse=worse == "lower")
    band = band_or_none(samples, worse)
    first, second = (impairment(ObservedData(connects, value, band)).effect for value in (better, poorer))
    assert GRAVITY[first] <= GRAVITY[second]


@given(directions, values, values, values)
def test_a_worse_value_never_turns_a_missed_sla_into_a_met_one(worse: Worse, one: Number, other: Number, sla: Number) -> None:
    better, poorer = sorted((Fraction(one), Fraction(other)), reverse=worse == "lower")
    first, second = (impairment(ObservedGuaranteed(True, value, sla, worse)).effect for value in (better, poorer))
    assert GRAVITY[first] <= GRAVITY[second]


@given(rates, rates, answers, answers, answers, answers)
def test_more_call_loss_never_turns_degraded_voice_into_normal(
    one: Fraction, other: Fraction, silent: bool | None, noise: bool | None, handles: bool | None, affected: bool | None
) -> None:
    first, second = (impairment(ObservedVoice(silent, rate, noise, handles, affected)).effect for rate in sorted((one, other)))
    assert GRAVITY[first] <= GRAVITY[second]


@given(rates | st.none(), answers, answers, answers, answers)
def test_only_what_is_known_to_be_no_harm_is_normal(
    rate: Fraction | None, silent: bool | None, noise: bool | None, handles: bool | None, affected: bool | None
) -> None:
    found = impairment(ObservedVoice(silent, rate, noise, handles, affected))
    if found.effect == "normal":
        assert (silent, noise) == (False, False)
        assert rate is not None
        assert rate < Fraction(4, 5)
    assert found.citations
    assert found.why.ja
    assert found.why.en
