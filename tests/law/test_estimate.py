"""Every estimate is plain, exact, cited and cut, never rounded; figures that cannot be are refused."""

import json
from decimal import Decimal
from fractions import Fraction
from types import ModuleType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law import conference, correction, estimate, fallback, methods, topology
from receiver.law.conference import (
    Meetings,
    host_entitled_accounts,
    probability,
)
from receiver.law.estimate import Estimate, Number, WrongFigure, exact_text, shown
from receiver.law.methods import (
    Traffic,
    all_under_equipment,
    call_shortfall,
    direct,
    emergency_voice,
    missing_registrations,
    traffic_difference,
)

GB = 10**9
BASELINE = (900 * GB, 1000 * GB, 1100 * GB)
ACTUAL = (450 * GB, 400 * GB, 880 * GB)
KNOWN = Traffic(BASELINE, ACTUAL, bytes_per_user_hour=GB // 50)
UNKNOWN = Traffic(BASELINE, ACTUAL)
SAMPLES: list[Estimate] = [
    direct(7),
    all_under_equipment(400_000),
    traffic_difference(UNKNOWN, 400_000),
    emergency_voice(50_000, False, 0.7),
    emergency_voice(50_000, None),
    call_shortfall(10, 4, 4),
    missing_registrations([10], [4]),
    probability(Meetings(1_000_000, 20, 0.75, 20, 8), 1.5, 9),
    host_entitled_accounts(12),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.method for sample in SAMPLES])
def test_an_estimate_is_plain_json_and_says_its_number_source_and_evidence_in_both_languages(sample: Estimate) -> None:
    plain = json.loads(msgspec.json.encode(sample))
    assert Fraction(plain["raw"]) // 1 == plain["users"]
    for words in (sample.formula.ja, sample.formula.en):
        assert f"{sample.users:,}" in words
    assert sample.citation.evidence in ("draft", "secondary")
    assert all(quantity["unit"] for quantity in plain["inputs"].values())


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.method for sample in SAMPLES])
def test_what_only_the_draft_says_is_called_a_draft(sample: Estimate) -> None:
    drafted = sample.citation.evidence == "draft"
    assert ("案" in sample.citation.says.ja) == drafted
    assert ("draft" in sample.citation.says.en) == drafted


WRONG: list[Number] = [-1, -0.5, float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity"), True, "7"]  # type: ignore[list-item]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_figures_that_cannot_be_are_refused_everywhere(wrong: Number) -> None:
    for give in (
        lambda: traffic_difference(Traffic((wrong,), (1,), 1)),
        lambda: traffic_difference(Traffic((1,), (wrong,), 1)),
        lambda: traffic_difference(Traffic((1,), (1,), wrong)),
        lambda: traffic_difference(Traffic((1,), (1,), 1, (wrong,))),
        lambda: traffic_difference(KNOWN, wrong),  # type: ignore[arg-type]
        lambda: direct(wrong),  # type: ignore[arg-type]
        lambda: all_under_equipment(wrong),  # type: ignore[arg-type]
        lambda: emergency_voice(1, False, wrong),
        lambda: emergency_voice(wrong, True),  # type: ignore[arg-type]
        lambda: call_shortfall(wrong, 1, 1),
        lambda: call_shortfall(1, wrong, 1),
        lambda: call_shortfall(1, 1, wrong),
        lambda: missing_registrations([wrong], [1]),  # type: ignore[list-item]
        lambda: missing_registrations([1], [wrong]),  # type: ignore[list-item]
        lambda: probability(Meetings(wrong, 1, 1, 1, 1), 1),  # type: ignore[arg-type]
        lambda: probability(Meetings(1, wrong, 1, 1, 1), 1),
        lambda: probability(Meetings(1, 1, wrong, 1, 1), 1),
        lambda: probability(Meetings(1, 1, 1, wrong, 1), 1),
        lambda: probability(Meetings(1, 1, 1, 1, wrong), 1),
        lambda: probability(Meetings(1, 1, 1, 1, 1), wrong),
        lambda: probability(Meetings(1, 1, 1, 1, 1), 1, wrong),
        lambda: host_entitled_accounts(wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(WrongFigure):
            give()


@pytest.mark.parametrize("half", [0.5, Fraction(1, 2), Decimal("0.5")])
def test_half_a_person_is_refused(half: Number) -> None:
    with pytest.raises(WrongFigure, match="whole"):
        direct(half)  # type: ignore[arg-type]


def test_a_divisor_of_zero_is_refused() -> None:
    for give in (
        lambda: traffic_difference(Traffic((1,), (1,), 0)),
        lambda: traffic_difference(Traffic((1,), (1,), 1, (0,))),
        lambda: call_shortfall(1, 1, 0),
        lambda: probability(Meetings(1, 1, 1, 0, 1), 1),
        lambda: probability(Meetings(1, 1, 1, 1, 0), 1),
    ):
        with pytest.raises(WrongFigure, match="above zero"):
            give()


@pytest.mark.parametrize(
    "traffic", [Traffic((), (), 1), Traffic((1,), (1, 2), 1), Traffic((1,), (1,), 1, (1, 1)), Traffic((1,), (1,), 1, (1.5,))]
)
def test_hours_that_do_not_fit_together_are_refused(traffic: Traffic) -> None:
    with pytest.raises(WrongFigure):
        traffic_difference(traffic)


@pytest.mark.parametrize(("baseline", "actual"), [([], []), ([1], []), ([1, 2], [1])])
def test_registrations_that_do_not_fit_together_are_refused(baseline: list[int], actual: list[int]) -> None:
    with pytest.raises(WrongFigure):
        missing_registrations(baseline, actual)


@given(st.fractions(max_denominator=10**6))
def test_the_exact_text_reads_back_as_the_same_number(figure: Fraction) -> None:
    assert Fraction(exact_text(figure)) == figure


@given(st.floats(0, 1e15))
def test_a_float_stands_for_the_decimal_that_it_prints_as(figure: float) -> None:
    assert call_shortfall(figure, 0, 1).exact == Fraction(repr(figure))


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Fraction(63_500), "63,500"),
        (Fraction(63_500, 3), "21,166.666666…"),
        (Fraction(1, 400), "0.0025"),
        (Fraction(-3, 2), "-1.5"),
        (Fraction(0), "0"),
        (Fraction(1, 3 * 10**6), "0.000000333333…"),
        (Fraction("29999.9999999"), "29,999.999999…"),
        # three digits that say something, and no more decimals than needed for them
        (Fraction(1, 1111), "0.000900090…"),
        (Fraction(3001, 3 * 10**6), "0.001000…"),
        (Fraction(1, 3 * 10**30), f"0.{'0' * 30}…"),
    ],
)
def test_a_figure_is_shown_cut_and_never_rounded(figure: Fraction, words: str) -> None:
    assert shown(figure) == words


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        ("63500", "63500"),
        ("1/5", "0.2"),
        ("-1/8", "-0.125"),
        ("63500/3", "63500/3"),
        ("0", "0"),
        (f"1/{5**25}", "0.0000000000000000033554432"),
    ],
)
def test_the_exact_text_is_as_short_as_it_can_be(figure: str, text: str) -> None:
    assert exact_text(Fraction(figure)) == text


@pytest.mark.parametrize(
    "module", [conference, correction, estimate, fallback, methods, topology], ids=lambda module: module.__name__
)
def test_values_of_the_law_cannot_be_changed(module: ModuleType) -> None:
    structs = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    assert structs
    assert all(each.__struct_config__.frozen for each in structs if each is not msgspec.Struct)
