"""Stop, degradation, normal or unknown, from what was observed."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.estimate import Number, WrongFigure
from receiver.law.impairment import (
    Band,
    Impairment,
    ObservedData,
    ObservedGuaranteed,
    ObservedVoice,
    State,
    Worse,
    impairment,
    normal_band,
)
from receiver.law.provisions import Provision, Text, guideline

WEEKS = [("2026-10-24 20:00", 100), ("2026-10-31 20:00", 104), ("2026-11-07 20:00", 96), ("2026-11-14 20:00", 110)]
BAND = normal_band(WEEKS, unit="Gbit/s")
NO_CONNECTION = Text(
    "利用者の端末機器等と事業者側の集線装置等との間でリンク又はセッションが確立できない",
    "no link or session can be established between the users' equipment and the carrier's aggregation equipment",
)
COMPARED = Text(
    "計測値 {} Gbit/s。通常の範囲 84.2088 Gbit/s〜119.7912 Gbit/s（中央値 102 Gbit/s、中央値 ± 3 × 1.4826 × 4（MAD）、"
    "比較した時点: 2026-10-24 20:00, 2026-10-31 20:00, 2026-11-07 20:00, 2026-11-14 20:00）: {}",
    "measured {} Gbit/s; normal from 84.2088 Gbit/s to 119.7912 Gbit/s (median 102 Gbit/s, median ± 3 × 1.4826 × 4 (MAD), "
    "comparable times: 2026-10-24 20:00, 2026-10-31 20:00, 2026-11-07 20:00, 2026-11-14 20:00): {}",
)


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
    assert (found.effect, found.why, found.citations) == ("stop", NO_CONNECTION, (guideline("stop_best_effort"),))
    assert found.citations[0].evidence == "draft"


@pytest.mark.parametrize(
    ("measured", "effect", "ja", "en"),
    [
        (60, "degradation", "24.2088 Gbit/sだけ範囲外", "24.2088 Gbit/s outside"),
        (96, "normal", "範囲内", "not worse than that"),
    ],
)
def test_data_is_compared_with_normal_fluctuation_by_the_rule_of_the_draft_and_a_band_of_our_own(
    measured: int, effect: str, ja: str, en: str
) -> None:
    found = impairment(ObservedData(connects=True, measured=measured, band=BAND))
    assert found.effect == effect
    assert found.why == Text(COMPARED.ja.format(measured, ja), COMPARED.en.format(measured, en))
    assert found.citations == (guideline("degradation_best_effort"), guideline("normal_band"))
    assert [(rule.evidence, rule.basis) for rule in found.citations] == [("draft", "guideline"), ("assumed", "practice")]
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
    ("seen", "ja", "en"),
    [
        (ObservedData(), "品質の計測値、通常の揺らぎの範囲", "the measured quality, the band of normal fluctuation"),
        (ObservedData(connects=True, measured=100), "通常の揺らぎの範囲", "the band of normal fluctuation"),
        (ObservedData(connects=True, band=BAND), "品質の計測値", "the measured quality"),
    ],
)
def test_what_is_not_known_of_data_is_named_and_never_normal(seen: ObservedData, ja: str, en: str) -> None:
    found = impairment(seen)
    assert (found.effect, found.why, found.flags) == ("unknown", Text(f"不明: {ja}", f"not known: {en}"), ())
    assert guideline("stop_best_effort") in found.citations


def test_data_as_good_as_usual_is_not_normal_while_nobody_has_said_that_it_connects() -> None:
    found = impairment(ObservedData(measured=100, band=BAND))
    ja, en = COMPARED.ja.format(100, "範囲内"), COMPARED.en.format(100, "not worse than that")
    assert found.effect == "unknown"
    assert found.why == Text(
        f"{ja}。不明: リンク又はセッションの確立の可否", f"{en}; not known: whether a link or session can be established"
    )
    assert guideline("stop_best_effort") in found.citations


def test_degraded_data_may_be_a_stop_while_nobody_has_said_that_it_connects() -> None:
    assert flags(impairment(ObservedData(measured=60, band=BAND))) == {"own_band", "stop_not_ruled_out"}


# --- voice ---


RULE_80 = Text("概ね80%（以上）が品質の低下", "degraded from about 80 % on")
WITHOUT_EMERGENCY = Text(
    f"緊急通報を取り扱わない音声伝送役務。{RULE_80.ja}", f"voice service without emergency calls; {RULE_80.en}"
)


@pytest.mark.parametrize(
    ("seen", "effect", "why", "rules"),
    [
        (
            ObservedVoice(silent_or_one_way=True, call_loss_rate=0, talking_impossible=True),
            "stop",
            Text("無音通話・片通話（呼が成立していない）", "silent or one-way calls: none is established"),
            ["stop_voice"],
        ),
        (
            ObservedVoice(call_loss_rate=1),
            "stop",
            Text("呼損率100%（呼が成立していない）", "100 % call loss: no call is established"),
            ["stop_voice"],
        ),
        (
            ObservedVoice(False, 0, talking_impossible=True),
            "degradation",
            Text("雑音・途中の中断等により実質的に通話が困難", "noise or drops make talking practically impossible"),
            ["degradation_voice"],
        ),
        (
            ObservedVoice(False, 0.9, False, handles_emergency_calls=False),
            "degradation",
            Text(f"呼損率90%。{WITHOUT_EMERGENCY.ja}", f"90 % call loss; {WITHOUT_EMERGENCY.en}"),
            ["degradation_voice"],
        ),
        (
            ObservedVoice(False, 0.2, False, handles_emergency_calls=False),
            "normal",
            Text(f"呼損率20%。{WITHOUT_EMERGENCY.ja}", f"20 % call loss; {WITHOUT_EMERGENCY.en}"),
            ["stop_voice", "degradation_voice"],
        ),
        (
            ObservedVoice(False, 0.001, False, handles_emergency_calls=True, emergency_calls_affected=True),
            "degradation",
            Text(
                "呼損率0.1%。緊急通報に影響があったため、緊急通報の算定方法による。80%の基準によらず呼損があれば品質の低下とする",
                "0.1 % call loss; emergency calls were affected: their own method; any loss counts, the rule of 80 % is not used",
            ),
            ["emergency_voice"],
        ),
        (
            ObservedVoice(None, 0.7, None, handles_emergency_calls=False),
            "unknown",
            Text(
                f"呼損率70%。{WITHOUT_EMERGENCY.ja}。不明: 無音通話・片通話の有無、雑音・中断の有無",
                f"70 % call loss; {WITHOUT_EMERGENCY.en}; "
                "not known: whether calls are silent or one-way, whether noise or drops prevent talking",
            ),
            ["stop_voice", "degradation_voice"],
        ),
        (
            ObservedVoice(False, None, False, handles_emergency_calls=False),
            "unknown",
            Text(f"{WITHOUT_EMERGENCY.ja}。不明: 呼損率", f"{WITHOUT_EMERGENCY.en}; not known: the call-loss rate"),
            ["stop_voice", "degradation_voice"],
        ),
    ],
)
def test_what_voice_suffered_comes_with_its_reason_and_its_rules(
    seen: ObservedVoice, effect: str, why: Text, rules: list[str]
) -> None:
    found = impairment(seen)
    assert (found.effect, found.why, found.citations) == (effect, why, tuple(guideline(rule) for rule in rules))


def test_where_every_call_is_lost_none_is_established_whoever_is_called() -> None:
    assert (ordinary(1).effect, emergency(1, None).effect) == ("stop", "stop")


def test_noise_that_makes_talking_impossible_is_a_degradation_whoever_is_called() -> None:
    assert {impairment(ObservedVoice(False, 0, True, handles)).effect for handles in (True, False, None)} == {"degradation"}


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
    assert guideline("degradation_voice") in found.citations


@pytest.mark.parametrize(
    ("rate", "near"), [(0.7499, False), (0.75, True), (0.79, True), (0.8, True), (0.85, True), (0.8501, False), (None, False)]
)
def test_within_5_points_of_80_percent_a_person_should_look_and_the_verdict_stays(rate: Number | None, near: bool) -> None:
    found = ordinary(rate)
    assert flags(found) == ({"near_80_percent"} if near else set())
    assert not near or "this program's own" in found.flags[0].text.en
    assert flags(emergency(rate, None)) == set()
    while_noise_is_unknown = impairment(ObservedVoice(False, rate, None, handles_emergency_calls=False))
    assert flags(while_noise_is_unknown) == flags(found)


@pytest.mark.parametrize("affected", [True, None])
@pytest.mark.parametrize("rate", [Fraction(1, 10**9), 0.5, 0.79, 0.8])
def test_where_emergency_calls_may_be_affected_any_loss_counts(affected: bool | None, rate: Number) -> None:
    found = emergency(rate, affected)
    assert (found.effect, found.citations) == ("degradation", (guideline("emergency_voice"),))
    assert emergency(0, affected).effect == "normal"


def test_where_emergency_calls_were_certainly_not_affected_the_rule_of_80_percent_applies() -> None:
    assert [emergency(rate, False).effect for rate in (0.79, 0.8)] == ["normal", "degradation"]
    assert cited(emergency(0.8, False)) == {guideline("degradation_voice"), guideline("emergency_voice")}


def test_whether_emergency_calls_are_handled_and_hit_is_taken_as_yes_while_nobody_says_no() -> None:
    assert impairment(ObservedVoice(False, 0.1, False)).effect == "degradation"
    assert impairment(ObservedVoice(False, 0.1, False, emergency_calls_affected=False)).effect == "normal"
    contradiction = ObservedVoice(False, 0.1, False, handles_emergency_calls=False, emergency_calls_affected=True)
    assert impairment(contradiction).effect == "degradation"


@pytest.mark.parametrize("seen", [ObservedVoice(None, 0, False), ObservedVoice(False, 0, None), ObservedVoice(False, None, False)])
def test_voice_of_which_anything_is_unknown_is_never_normal(seen: ObservedVoice) -> None:
    assert impairment(seen).effect == "unknown"


@pytest.mark.parametrize("rate", [0, 0.8])
def test_degraded_voice_may_be_a_stop_while_nobody_has_ruled_out_silent_calls(rate: Number) -> None:
    found = impairment(ObservedVoice(None, rate, talking_impossible=True))
    assert (found.effect, flags(found)) == ("degradation", {"stop_not_ruled_out"})
    assert flags(impairment(ObservedVoice(None, 0.9))) == {"stop_not_ruled_out"}


# --- guaranteed services ---


@pytest.mark.parametrize(
    ("measured", "effect", "ja", "en"),
    [
        (
            Decimal("99.8999"),
            "degradation",
            "計測値 99.8999 %、SLA 99.9 %: 0.0001 %の未達",
            "measured 99.8999 %, SLA 99.9 %: missed by 0.0001 %",
        ),
        (99.9, "normal", "計測値 99.9 %、SLA 99.9 %: 満たしている", "measured 99.9 %, SLA 99.9 %: met"),
    ],
)
def test_a_guaranteed_service_is_degraded_exactly_below_its_sla(measured: Number, effect: State, ja: str, en: str) -> None:
    found = impairment(ObservedGuaranteed(True, measured, 99.9, unit="%"))
    assert found == Impairment(effect, Text(ja, en), (guideline("degradation_guaranteed"),))


@pytest.mark.parametrize(
    ("measured", "effect", "en"),
    [(20, "normal", "measured 20, SLA 20: met"), (20.5, "degradation", "measured 20.5, SLA 20: missed by 0.5")],
)
def test_a_guaranteed_delay_is_missed_above_the_sla(measured: Number, effect: str, en: str) -> None:
    found = impairment(ObservedGuaranteed(True, measured, 20, worse="higher"))
    assert (found.effect, found.why.en) == (effect, en)


@pytest.mark.parametrize(
    ("seen", "ja", "en"),
    [
        (ObservedGuaranteed(True, None, 99), "品質の計測値", "the measured quality"),
        (ObservedGuaranteed(True, 99, None), "SLAの値", "what the SLA owes"),
        (ObservedGuaranteed(), "品質の計測値、SLAの値", "the measured quality, what the SLA owes"),
    ],
)
def test_without_the_sla_or_a_measurement_nothing_can_be_said(seen: ObservedGuaranteed, ja: str, en: str) -> None:
    found = impairment(seen)
    assert found == Impairment("unknown", Text(f"不明: {ja}", f"not known: {en}"), (guideline("degradation_guaranteed"),))


def test_a_guaranteed_service_without_connection_is_a_stop_too() -> None:
    found = impairment(ObservedGuaranteed(connects=False, measured=100, sla=99))
    assert found == Impairment("stop", NO_CONNECTION, (guideline("stop_best_effort"),))
    assert flags(impairment(ObservedGuaranteed(None, 1, 99))) == {"stop_not_ruled_out"}


# --- satellites and cables ---


@pytest.mark.parametrize(
    "seen", [ObservedData(True, 102, BAND), ObservedVoice(False, 0, False), ObservedGuaranteed(True, 100, 99), ObservedData()]
)
def test_all_traffic_down_is_a_stop_whatever_else_is_said(seen: ObservedData | ObservedVoice | ObservedGuaranteed) -> None:
    why = Text("その設備を用いる全ての通信が不能", "all communications through the facility are impossible")
    assert impairment(seen, all_traffic_down=True) == Impairment("stop", why, (guideline("stop_all_traffic"),))


# --- figures that cannot be ---


@pytest.mark.parametrize(
    ("seen", "refusal"),
    [
        (ObservedData(True, float("inf"), BAND), "measured: inf is not a finite number"),
        (ObservedVoice(call_loss_rate=-0.1), "call_loss_rate: -0.1 is negative"),
        (ObservedVoice(call_loss_rate=float("nan")), "call_loss_rate: nan is not a finite number"),
        (ObservedVoice(call_loss_rate=80), "call_loss_rate: 80 is more than 1; give a share (0.7), not a percentage (70)"),
        (ObservedVoice(call_loss_rate=1.01), "call_loss_rate: 1.01 is more than 1; give a share (0.7), not a percentage (70)"),
        (ObservedGuaranteed(True, -1, 99), "measured: -1 is negative"),
        (ObservedGuaranteed(True, 99, -1), "sla: -1 is negative"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_by_name(seen: ObservedData | ObservedVoice | ObservedGuaranteed, refusal: str) -> None:
    with pytest.raises(WrongFigure) as refused:
        impairment(seen)
    assert str(refused.value) == refusal


values = st.integers(0, 10**6) | st.fractions(0, 1000, max_denominator=100)
directions = st.sampled_from(["lower", "higher"])
rates = st.fractions(0, 1)
answers = st.none() | st.booleans()
GRAVITY = {"normal": 0, "unknown": 0, "degradation": 1, "stop": 2}


def band_between(one: Number, other: Number, worse: Worse) -> Band:
    low, high = sorted((Fraction(one), Fraction(other)))
    return Band(("2026-01-01",), low, low, high, worse, "", Text("-", "-"))


bands = st.builds(band_between, values, values, directions)


@given(bands, values, values, answers)
def test_a_worse_value_never_turns_degraded_data_into_normal(band: Band, one: Number, other: Number, connects: bool | None) -> None:
    better, poorer = sorted((Fraction(one), Fraction(other)), reverse=band.worse == "lower")
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
