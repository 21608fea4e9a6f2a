"""A person may correct a number downwards, with a reason, and never hides what is measured later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.correction import Correction, standing
from receiver.law.estimate import WrongFigure

CORRECTED = Correction(measured=42_000, users=28_000, by="k.sato", reason="test lines counted in")


def test_the_corrected_number_stands_for_the_number_it_corrects() -> None:
    assert standing(42_000, CORRECTED) == 28_000
    assert CORRECTED.measured == 42_000


def test_a_larger_number_measured_later_stands_as_measured() -> None:
    assert standing(42_001, CORRECTED) == 42_001


def test_without_a_correction_the_measured_number_stands() -> None:
    assert standing(42_000, None) == 42_000


@given(st.integers(0, 100_000))
def test_a_correction_never_raises_a_number(measured: int) -> None:
    assert standing(measured, CORRECTED) <= measured


@pytest.mark.parametrize(
    ("measured", "users", "by", "reason"),
    [(10, 11, "k.sato", "r"), (10, -1, "k.sato", "r"), (-1, -1, "k.sato", "r"), (10, 5, " ", "r"), (10, 5, "k.sato", "")],
)
def test_a_raise_or_a_correction_without_person_or_reason_is_refused(measured: int, users: int, by: str, reason: str) -> None:
    with pytest.raises(WrongFigure):
        Correction(measured, users, by, reason)


def test_a_correction_may_change_nothing_or_leave_nobody() -> None:
    assert standing(10, Correction(10, 10, "k.sato", "confirmed")) == 10
    assert standing(10, Correction(10, 0, "k.sato", "false alarm")) == 0
