"""The figures of all questions at once are those of each question."""

from itertools import product

import pytest

from receiver.observation.users import Answer, Reading, UsersObserved


def reading(value: float) -> Reading:
    return Reading(value, None, "q", "line")


EVERYWHERE = reading(9)
ANSWERS = {
    "unable": Answer("q", {"core-1": reading(1), "core-2": reading(2)}, together=reading(3)),
    "under_equipment": Answer("q", {"core-1": reading(10)}, together=reading(10)),
    "calls_per_person": Answer("q", together=EVERYWHERE, everywhere=EVERYWHERE),
    "saved": Answer("q", problem="it timed out"),
}


@pytest.mark.parametrize("units", [(None,), ("core-1",), ("core-2",), ("core-1", "core-2"), ("core-1", "core-3")])
def test_the_figures_of_all_questions_are_those_of_each(units: tuple[str | None, ...]) -> None:
    observed = UsersObserved(ANSWERS)
    assert observed.readings(*units) == [observed.reading(question, *units) for question in ANSWERS]


@pytest.mark.parametrize("asked", [names for size in (1, 2) for names in product(ANSWERS, repeat=size)])
def test_one_question_that_could_not_be_asked_is_a_problem(asked: tuple[str, ...]) -> None:
    assert UsersObserved({name: ANSWERS[name] for name in asked}).has_problem == ("saved" in asked)
