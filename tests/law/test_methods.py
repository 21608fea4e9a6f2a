"""Affected users of data and voice: the worked cases, exact to the last user, with every other admissible reading in sight."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law import fallback
from receiver.law.estimate import Estimate, NotComputable, Number, WrongFigure
from receiver.law.methods import (
    NegativeHours,
    Traffic,
    UnderDuration,
    all_under_equipment,
    call_shortfall,
    direct,
    emergency_voice,
    missing_registrations,
    traffic_difference,
    voice_rule,
)

GB = 10**9
BASELINE = (900 * GB, 1000 * GB, 1100 * GB)
ACTUAL = (450 * GB, 400 * GB, 880 * GB)
KNOWN = Traffic(BASELINE, ACTUAL, bytes_per_user_hour=GB // 50)
UNKNOWN = Traffic(BASELINE, ACTUAL)
READINGS: list[tuple[UnderDuration, NegativeHours]] = [
    (duration, negative) for duration in ("multiplied", "simultaneous") for negative in ("clipped", "signed")
]


def others(estimate: Estimate) -> list[int]:
    return [other.users for other in estimate.other_readings]


# --- best effort ---


def test_be_1_missing_traffic_over_traffic_per_user_and_hour() -> None:
    estimate = traffic_difference(KNOWN)
    assert (estimate.users, estimate.raw, estimate.capped) == (63_500, "63500", None)


def test_be_1b_without_the_duration_is_named_as_the_other_reading_and_falls_short_of_30_000() -> None:
    assert others(traffic_difference(KNOWN)) == [21_166]
    without = traffic_difference(KNOWN, duration="simultaneous")
    assert (without.users, without.raw, others(without)) == (21_166, "63500/3", [63_500])


@pytest.mark.parametrize(("duration", "negative"), READINGS)
@pytest.mark.parametrize("under", [None, 10_000, 400_000])
def test_be_1c_the_total_times_the_duration_is_never_produced(
    duration: UnderDuration, negative: NegativeHours, under: int | None
) -> None:
    estimate = traffic_difference(KNOWN, under, duration=duration, negative_hours=negative)
    assert 190_500 not in [estimate.users, *others(estimate)]
    assert estimate.most == 63_500


def test_be_2_traffic_per_user_assumes_that_all_under_the_equipment_were_using_it() -> None:
    estimate = traffic_difference(UNKNOWN, 400_000)
    assert (estimate.users, estimate.capped, others(estimate)) == (508_000, 400_000, [400_000, 169_333])
    assert estimate.inputs["bytes_per_user_hour"].value == 2_500_000
    assert (estimate.least, estimate.most) == (169_333, 508_000)


def test_be_2_spells_its_arithmetic_out() -> None:
    for words in (traffic_difference(UNKNOWN, 400_000).formula.ja, traffic_difference(UNKNOWN, 400_000).formula.en):
        for step in (
            "(900,000,000,000 - 450,000,000,000) + (1,000,000,000,000 - 400,000,000,000)",
            "= 1,270,000,000,000",
            "3,000,000,000,000 ÷ (400,000 × 3) = 2,500,000",
            "1,270,000,000,000 ÷ 2,500,000 = 508,000",
        ):
            assert step in words


def test_be_3_with_neither_sessions_nor_traffic_all_under_the_equipment_count() -> None:
    choice = fallback.best_effort(fallback.BestEffort(users_under_equipment=400_000))
    assert choice.estimate == all_under_equipment(400_000)
    assert choice.estimate.users == 400_000
    assert [passed.method for passed in choice.passed_over] == ["direct", "traffic_difference"]


def test_the_order_is_direct_then_traffic_then_all_under_the_equipment() -> None:
    known = fallback.BestEffort(failed_users=5, traffic=KNOWN, users_under_equipment=400_000)
    assert fallback.best_effort(known) == fallback.Choice(direct(5), ())
    known = msgspec.structs.replace(known, failed_users=None)
    choice = fallback.best_effort(known, duration="simultaneous", negative_hours="signed")
    assert choice.estimate == traffic_difference(KNOWN, 400_000, duration="simultaneous", negative_hours="signed")


def test_nobody_failed_is_known_and_goes_no_further() -> None:
    choice = fallback.best_effort(fallback.BestEffort(failed_users=0, users_under_equipment=400_000))
    assert choice.estimate == direct(0)


def test_traffic_that_gives_no_figure_per_user_leads_to_the_next_method_and_says_why() -> None:
    silent = Traffic((0, 0), (0, 0))
    choice = fallback.best_effort(fallback.BestEffort(traffic=silent, users_under_equipment=9))
    assert choice.estimate == all_under_equipment(9)
    assert "cannot be derived" in choice.passed_over[1].why.en
    assert "求められない" in choice.passed_over[1].why.ja


def test_nothing_known_gives_no_number_and_every_reason() -> None:
    choice = fallback.best_effort(fallback.BestEffort(traffic=UNKNOWN))
    assert choice.estimate is None
    assert len(choice.passed_over) == 3


@pytest.mark.parametrize("under", [None, 0])
def test_an_unknown_figure_per_user_needs_the_users_under_the_equipment(under: int | None) -> None:
    with pytest.raises(NotComputable, match=r"^bytes per user and hour are unknown and cannot be derived"):
        traffic_difference(UNKNOWN, under)


def test_an_hour_above_the_baseline_is_no_loss_unless_read_as_signed() -> None:
    traffic = Traffic((100, 100, 100), (40, 130, 100), bytes_per_user_hour=1)
    clipped, signed = traffic_difference(traffic), traffic_difference(traffic, negative_hours="signed")
    assert (clipped.users, others(clipped)) == (60, [20, 30, 10])
    assert (signed.users, others(signed)) == (30, [10, 60, 20])


def test_more_traffic_than_usual_all_along_hits_nobody() -> None:
    assert [traffic_difference(Traffic((1,), (9,), 1), negative_hours=sign).users for sign in ("clipped", "signed")] == [0, 0]


def test_a_partial_hour_counts_for_its_share() -> None:
    half = Traffic((100, 100), (0, 0), bytes_per_user_hour=1, hour_weights=(1, 0.5))
    assert traffic_difference(half).users == 150
    assert traffic_difference(half, duration="simultaneous").users == 100


rates = st.integers(0, 10**15)
hours = st.lists(st.tuples(rates, rates, st.fractions(Fraction(1, 60), 1)), min_size=1, max_size=6)


def of_hours(entries: list[tuple[int, int, Fraction]]) -> Traffic:
    baseline, actual, weights = zip(*entries, strict=True)
    return Traffic(baseline, actual, 1_000, weights)


@given(hours, st.sampled_from(READINGS))
def test_cutting_hours_in_two_changes_nothing(
    entries: list[tuple[int, int, Fraction]], reading: tuple[UnderDuration, NegativeHours]
) -> None:
    halves = [(baseline, actual, weight / 2) for baseline, actual, weight in entries for _ in range(2)]
    first, second = (
        traffic_difference(of_hours(each), 5, duration=reading[0], negative_hours=reading[1]) for each in (entries, halves)
    )
    assert (first.raw, first.capped, first.other_readings) == (second.raw, second.capped, second.other_readings)


@given(hours, st.integers(2, 5))
def test_the_same_loss_for_longer_grows_with_the_time_and_not_with_its_square(
    entries: list[tuple[int, int, Fraction]], times: int
) -> None:
    assert traffic_difference(of_hours(entries * times)).exact == times * traffic_difference(of_hours(entries)).exact


@given(hours, st.integers(0, 10**9))
def test_the_capped_number_is_at_most_all_users_and_always_among_the_readings(
    entries: list[tuple[int, int, Fraction]], under: int
) -> None:
    estimate = traffic_difference(of_hours(entries), under)
    assert estimate.capped == min(estimate.users, under)
    assert estimate.capped in [estimate.users, *others(estimate)]
    assert len({estimate.users, *others(estimate)}) == 1 + len(estimate.other_readings)


def test_a_long_outage_is_abridged_in_words_but_whole_in_the_inputs() -> None:
    estimate = traffic_difference(Traffic((7,) * 72, (5,) * 72, 1))
    assert estimate.formula.en.count("(7 - 5)") == 12
    assert len(estimate.inputs["baseline_bytes_per_hour"].value) == 72  # type: ignore[arg-type]


# --- voice with emergency calls ---


@pytest.mark.parametrize(
    ("case", "down", "rate", "users"),
    [
        ("EV-1", True, None, 50_000),
        ("EV-2", False, 0.70, 35_000),
        ("EV-3", False, 0.60, 30_000),
        ("EV-4", False, 0.50, 25_000),
        ("EV-5", False, None, 50_000),
        ("down beats a call-loss rate", True, 0.1, 50_000),
        ("not known whether down", None, 0.1, 50_000),
        ("no call lost", False, 0, 0),
        ("every call lost", False, 1, 50_000),
    ],
)
def test_emergency_voice(case: str, down: bool | None, rate: Number | None, users: int) -> None:
    assert emergency_voice(50_000, down, rate).users == users, case
    known = fallback.EmergencyVoice(completely_down=down, call_loss_rate=rate, users_under_equipment=50_000)
    chosen = fallback.emergency_voice(known).estimate
    assert chosen == emergency_voice(50_000, down, rate)


def test_a_call_loss_rate_is_never_rounded_up_to_the_threshold() -> None:
    estimate = emergency_voice(50_000, False, 0.59999)
    assert (estimate.users, estimate.raw, estimate.nearest) == (29_999, "29999.5", 30_000)


def test_partly_usable_names_all_users_as_the_other_reading() -> None:
    assert others(emergency_voice(50_000, False, 0.5)) == [50_000]
    assert others(emergency_voice(50_000, True)) == []


def test_a_percentage_is_refused_where_a_share_is_asked() -> None:
    with pytest.raises(WrongFigure, match=r"share \(0\.7\)"):
        emergency_voice(50_000, False, 70)


@pytest.mark.parametrize("affected", [True, None])
def test_emergency_calls_count_as_affected_unless_that_is_certainly_not_so(affected: bool | None) -> None:
    rule = voice_rule(affected)
    assert rule.special
    assert not rule.call_loss_threshold
    known = fallback.EmergencyVoice(affected, False, None, 50_000, fallback.OtherVoice(failed_users=3))
    choice = fallback.emergency_voice(known)
    assert choice.estimate == emergency_voice(50_000, False)
    assert [passed.method for passed in choice.passed_over] == ["emergency_call_loss"]


def test_emergency_calls_certainly_unaffected_leave_the_ordinary_count_and_the_80_percent_rule() -> None:
    rule = voice_rule(False)
    assert not rule.special
    assert rule.call_loss_threshold
    known = fallback.EmergencyVoice(False, True, None, 50_000, fallback.OtherVoice(failed_users=3))
    choice = fallback.emergency_voice(known)
    assert choice.estimate is not None
    assert (choice.estimate.method, choice.estimate.users) == ("direct", 3)
    assert [passed.why for passed in choice.passed_over] == [rule.why, rule.why]


def test_the_users_under_the_equipment_are_the_last_resort_of_the_ordinary_count_too() -> None:
    choice = fallback.emergency_voice(fallback.EmergencyVoice(False, users_under_equipment=50_000))
    assert choice.estimate is not None
    assert (choice.estimate.method, choice.estimate.users) == ("all_under_equipment", 50_000)
    own = fallback.OtherVoice(users_under_equipment=40_000)
    choice = fallback.emergency_voice(fallback.EmergencyVoice(False, users_under_equipment=50_000, ordinary=own))
    assert choice.estimate is not None
    assert choice.estimate.users == 40_000


@pytest.mark.parametrize(
    ("down", "rate", "why"), [(True, 0.5, "completely down"), (None, 0.5, "unknown whether"), (False, None, "rate is not known")]
)
def test_it_says_why_the_call_loss_rate_was_not_used(down: bool | None, rate: float | None, why: str) -> None:
    choice = fallback.emergency_voice(fallback.EmergencyVoice(None, down, rate, 50_000))
    assert why in choice.passed_over[0].why.en


def test_emergency_voice_without_any_number_of_users_gives_none() -> None:
    choice = fallback.emergency_voice(fallback.EmergencyVoice(completely_down=False, call_loss_rate=0.5))
    assert choice.estimate is None
    assert [passed.why for passed in choice.passed_over] == [fallback.NO_UNDER] * 2


# --- other voice ---


def test_kddi_2022_missing_calls_over_calls_per_person() -> None:
    assert call_shortfall(10_000_000, 6_000_000, 2).users == 2_000_000


def test_more_calls_than_normal_hit_nobody() -> None:
    assert call_shortfall(6_000_000, 10_000_000, 2).users == 0


def test_the_largest_shortfall_of_registrations_counts() -> None:
    estimate = missing_registrations([100, 200, 300], [90, 50, 290])
    assert estimate.users == 150
    assert "200 - 50 = 150" in estimate.formula.ja


def test_registrations_above_the_baseline_hit_nobody() -> None:
    assert missing_registrations([100], [101]).users == 0


def test_other_voice_takes_the_first_that_is_known() -> None:
    known = fallback.OtherVoice(1, 10_000_000, 6_000_000, 2, (100,), (60,), 9_000_000)
    found = []
    for unknown in (
        {},
        {"failed_users": None},
        {"calls_per_person": None},
        {"baseline_registrations": (), "actual_registrations": ()},
    ):
        known = msgspec.structs.replace(known, **unknown)
        choice = fallback.other_voice(known)
        assert choice.estimate is not None
        found.append((choice.estimate.method, choice.estimate.users, len(choice.passed_over)))
    assert found == [
        ("direct", 1, 0),
        ("call_shortfall", 2_000_000, 1),
        ("missing_registrations", 40, 2),
        ("all_under_equipment", 9_000_000, 3),
    ]
    assert fallback.other_voice(fallback.OtherVoice()).estimate is None


@pytest.mark.parametrize("unknown", ["normal_calls", "actual_calls", "calls_per_person"])
def test_calls_need_all_three_figures(unknown: str) -> None:
    known = msgspec.structs.replace(fallback.OtherVoice(None, 10, 6, 2, users_under_equipment=9), **{unknown: None})
    choice = fallback.other_voice(known)
    assert choice.estimate is not None
    assert choice.estimate.method == "all_under_equipment"


def test_missing_calls_and_registrations_spell_their_arithmetic_out() -> None:
    for words in (call_shortfall(10_000_000, 6_000_000, 2).formula.ja, call_shortfall(10_000_000, 6_000_000, 2).formula.en):
        assert "(10,000,000 - 6,000,000) ÷ 2 = 2,000,000" in words
    assert "5 ≥ 4: 0" in call_shortfall(4, 5, 1).formula.en
    assert "(4 - 4) ÷ 1 = 0" in call_shortfall(4, 4, 1).formula.en
    registrations = missing_registrations([100, 200, 300], [90, 50, 290]).formula
    assert "2番目" in registrations.ja
    assert "sample 2" in registrations.en


def test_registrations_without_their_baseline_are_refused_rather_than_passed_over() -> None:
    for known in (fallback.OtherVoice(baseline_registrations=(1,)), fallback.OtherVoice(actual_registrations=(1,))):
        with pytest.raises(WrongFigure):
            fallback.other_voice(known)


def test_the_average_at_a_time_shows_the_division_by_the_hours() -> None:
    multiplied, simultaneous = (
        traffic_difference(KNOWN, duration=reading).formula.en for reading in ("multiplied", "simultaneous")
    )
    assert "63,500, ÷ 3 h = 21,166.666666…" in simultaneous
    assert "21,166 affected users (21,166.666666…, whole users, the rest cut off)" in simultaneous
    assert "÷ 3 h" not in multiplied
    assert multiplied.endswith("63,500 affected users.")


def test_twelve_hours_are_spelled_out_in_full() -> None:
    assert "…" not in traffic_difference(Traffic((7,) * 12, (5,) * 12, 1)).formula.en
    assert "(7 - 5) + … + (7 - 5)" in traffic_difference(Traffic((7,) * 13, (5,) * 13, 1)).formula.en


def test_a_share_just_above_one_is_refused() -> None:
    with pytest.raises(WrongFigure):
        emergency_voice(50_000, False, 1.01)
