"""Voice with emergency calls has a count of its own: who could not have called, not who did. What is not known never lowers it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from receiver.catalogue import Service
from receiver.incidents.count import count
from receiver.law.counting import Affected
from receiver.law.wording import GONE, NO_SERIES, RECOVERED_FIRST
from receiver.model import Incident
from receiver.observation.users import Answer, Reading, UsersObserved

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
VOICE = Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',), users_total=900_000)
INCIDENT = Incident("inc-1", "equipment:equipment=core-1", "core-1", "open", T0, T0, "equipment_series")
UNKNOWN = Answer("nothing")
FAILED = Answer("failed", problem="Prometheus cannot be reached")


def says(value: float, query: str = "q") -> Answer:
    return Answer(query, {"core-1": Reading(value, T0, query, "line")})


def counted(
    under: Answer = says(50_000, "under"),  # noqa: B008 - frozen
    before: Affected = Affected(),  # noqa: B008 - frozen
    *,
    recovered: bool = False,
    service: Service = VOICE,
    **answers: Any,
) -> Affected:
    asked = {"unable": UNKNOWN, "equipment_up": UNKNOWN, "call_loss_ratio": UNKNOWN, "emergency_calls_affected": UNKNOWN} | answers
    return count(INCIDENT, service, UsersObserved(under_equipment=under, **asked), before, recovered=recovered)


@pytest.mark.parametrize(
    ("answers", "users", "method"),
    [
        # EV-1: down
        ({"equipment_up": says(0)}, 50_000, "emergency_all_under_equipment"),
        ({"equipment_up": says(0), "call_loss_ratio": says(0.1)}, 50_000, "emergency_all_under_equipment"),
        # EV-2 to EV-4: partly usable
        ({"equipment_up": says(1), "call_loss_ratio": says(0.7)}, 35_000, "emergency_call_loss"),
        ({"equipment_up": says(1), "call_loss_ratio": says(0.6)}, 30_000, "emergency_call_loss"),
        ({"equipment_up": says(1), "call_loss_ratio": says(0.5)}, 25_000, "emergency_call_loss"),
        # EV-5: rate unknown; and whether it is down unknown
        ({"equipment_up": says(1)}, 50_000, "emergency_all_under_equipment"),
        ({"call_loss_ratio": says(0.1)}, 50_000, "emergency_all_under_equipment"),
        # those who tried are not those who count
        ({"equipment_up": says(0), "unable": says(3)}, 50_000, "emergency_all_under_equipment"),
        ({"emergency_calls_affected": says(1), "unable": says(3)}, 50_000, "emergency_all_under_equipment"),
        # certainly unaffected: as any other service
        ({"emergency_calls_affected": says(0), "unable": says(3)}, 3, "direct"),
        ({"emergency_calls_affected": says(0)}, 50_000, "all_under_equipment"),
    ],
)
def test_users_are_counted_as_the_guideline_has_it(answers: dict[str, Answer], users: int, method: str) -> None:
    affected = counted(**answers)
    assert affected.count
    assert (affected.count.users, affected.count.method, affected.problem) == (users, method, None)
    assert affected.bound == 50_000


def test_voice_without_emergency_calls_is_counted_as_any_other_service() -> None:
    other = msgspec.structs.replace(VOICE, emergency_calls=False)
    affected = count(INCIDENT, other, UsersObserved(says(3), says(50_000)), Affected(), recovered=False)
    assert affected.count
    assert (affected.count.users, affected.count.method) == (3, "direct")


@pytest.mark.parametrize("asked", ["equipment_up", "call_loss_ratio", "emergency_calls_affected"])
def test_a_query_that_fails_leaves_all_users_under_it_as_a_bound(asked: str) -> None:
    affected = counted(**{"equipment_up": says(1), "call_loss_ratio": says(0.5)} | {asked: FAILED})
    assert (affected.kept, affected.bound, affected.problem) == ((), 50_000, "Prometheus cannot be reached")


def test_a_rate_that_cannot_be_is_a_problem_and_no_number() -> None:
    affected = counted(equipment_up=says(1), call_loss_ratio=says(70))
    assert affected.kept == ()
    assert affected.problem == "call_loss_rate: 70 is more than 1; give a share (0.7), not a percentage (70)"


@pytest.mark.parametrize(("under", "why"), [(UNKNOWN, NO_SERIES), (FAILED, "Prometheus cannot be reached")])
def test_without_the_users_under_it_all_users_of_the_service_are_the_bound(under: Answer, why: str) -> None:
    affected = counted(under, unable=says(3))
    assert (affected.kept, affected.bound, affected.problem) == ((), 900_000, why)


def test_what_recovered_before_it_was_measured_says_so() -> None:
    assert counted(UNKNOWN, recovered=True).problem == RECOVERED_FIRST


def test_the_evidence_names_every_query_and_the_arithmetic() -> None:
    affected = counted(equipment_up=says(1, "up"), call_loss_ratio=says(0.7, "lost"))
    assert affected.count
    assert affected.count.query == "under; up; lost"
    assert affected.count.formula
    assert "50,000 × 0.7 = 35,000" in affected.count.formula.en
    assert (affected.count.unit, affected.count.at) == ("line", T0)


def test_equipment_that_goes_down_wholly_later_counts_wholly() -> None:
    partly = counted(equipment_up=says(1), call_loss_ratio=says(0.5))
    wholly = counted(before=partly, equipment_up=says(0))
    assert partly.count
    assert wholly.count
    assert (partly.count.users, wholly.count.users) == (25_000, 50_000)
    better = counted(before=wholly, equipment_up=says(1), call_loss_ratio=says(0.9))
    assert better.count == wholly.count


def test_emergency_calls_that_are_hit_later_count_by_their_own_method() -> None:
    spared = counted(emergency_calls_affected=says(0), unable=says(3))
    hit = counted(before=spared, emergency_calls_affected=says(1), equipment_up=says(0))
    assert spared.count
    assert hit.count
    assert (spared.count.method, hit.count.method) == ("direct", "emergency_all_under_equipment")


def test_after_the_recovery_the_number_stands() -> None:
    known = counted(equipment_up=says(0))
    assert counted(before=known, recovered=True, equipment_up=says(1), call_loss_ratio=FAILED).count == known.count


OTHER = msgspec.structs.replace(VOICE, emergency_calls=False)
KDDI = {"calls_usual": says(10_000_000, "usual"), "calls": says(6_000_000, "calls"), "calls_per_person": says(2, "each")}
MISSING = {"registrations_usual": says(8_000_000), "registrations": says(350_000)}


@pytest.mark.parametrize(
    ("answers", "users", "method", "passed_over"),
    [
        (KDDI | MISSING | {"unable": says(7)}, 7, "direct", 0),
        (KDDI | MISSING, 2_000_000, "call_shortfall", 1),
        (KDDI | MISSING | {"calls_per_person": UNKNOWN}, 7_650_000, "missing_registrations", 2),
        ({}, 50_000, "all_under_equipment", 3),
    ],
)
def test_other_voice_takes_the_first_method_of_which_all_is_known(
    answers: dict[str, Answer], users: int, method: str, passed_over: int
) -> None:
    affected = counted(service=OTHER, **answers)
    assert affected.count
    assert (affected.count.users, affected.count.method) == (users, method)
    assert len(affected.count.passed_over) == passed_over
    assert all(why.en.endswith(": not measured") for why in affected.count.passed_over)


def test_the_arithmetic_of_missing_calls_is_kept() -> None:
    affected = counted(service=OTHER, **KDDI)
    assert affected.count
    assert affected.count.query == "usual; calls; each"
    assert affected.count.formula
    assert "(10,000,000 - 6,000,000) ÷ 2 = 2,000,000" in affected.count.formula.en


@pytest.mark.parametrize("asked", KDDI)
def test_a_query_of_a_finer_method_that_fails_makes_the_coarser_number_a_bound(asked: str) -> None:
    affected = counted(service=OTHER, **KDDI | {asked: FAILED})
    assert (affected.kept, affected.bound, affected.problem) == ((), 50_000, "Prometheus cannot be reached")


def test_a_figure_that_cannot_be_is_a_problem_and_no_number() -> None:
    affected = counted(service=OTHER, **KDDI | {"calls_per_person": says(0)})
    assert (affected.kept, affected.problem) == ((), "calls_per_person: must be above zero")


def test_a_method_that_counted_and_fell_silent_is_not_followed_by_a_coarser_one() -> None:
    known = counted(service=OTHER, **KDDI)
    silent = counted(service=OTHER, before=known, **KDDI | {"calls": UNKNOWN})
    assert (silent.kept, silent.problem) == (known.kept, GONE)
    # what comes back counts on, and the largest stays
    less = counted(service=OTHER, before=silent, **KDDI | {"calls": says(9_000_000)})
    assert less.count == known.count


def test_what_the_series_say_after_the_recovery_is_no_measurement_of_the_outage() -> None:
    """All works again, nothing is lost, no emergency call is affected: now. Nobody measured it then."""
    well = {"equipment_up": says(1), "call_loss_ratio": says(0), "emergency_calls_affected": says(0)}
    affected = counted(recovered=True, **well)
    assert affected.count
    assert (affected.count.users, affected.count.method) == (50_000, "emergency_all_under_equipment")
