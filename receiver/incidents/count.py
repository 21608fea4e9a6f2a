"""The users of one impact at one instant by the law's methods, from what Prometheus said. Pure.

Not configured and not answered are two things: without a finer method the coarser one is a definite count; where a query failed,
what is left is a bound and never becomes the number.
"""

from collections.abc import Callable
from typing import NamedTuple

from receiver.catalogue import Service
from receiver.law import methods
from receiver.law.counting import Affected, Count, keep_largest
from receiver.law.estimate import Estimate, Method, WrongFigure
from receiver.law.provisions import Text
from receiver.law.wording import GONE, METHODS, NO_SERIES, RECOVERED_FIRST
from receiver.model import Incident
from receiver.observation.users import Reading, UsersObserved


class Way(NamedTuple):
    """A method, and what it needs to be told; `estimate` takes the figures in that order."""

    method: Method
    needs: tuple[str, ...]
    estimate: Callable[..., Estimate]


_DIRECT = Way("direct", ("unable",), lambda unable: methods.direct(round(unable)))
_ALL_UNDER = Way("all_under_equipment", ("under_equipment",), lambda under: methods.all_under_equipment(round(under)))
_BEST_EFFORT = (_DIRECT, _ALL_UNDER)
_OTHER_VOICE = (
    _DIRECT,
    Way("call_shortfall", ("calls_usual", "calls", "calls_per_person"), methods.call_shortfall),
    Way(
        "missing_registrations",
        ("registrations_usual", "registrations"),
        lambda usual, now: methods.missing_registrations([round(usual)], [round(now)]),
    ),
    _ALL_UNDER,
)
_EMERGENCY_VOICE = (
    Way("emergency_call_loss", ("under_equipment", "equipment_up", "call_loss_ratio"), methods.emergency_voice),
    Way("emergency_all_under_equipment", ("under_equipment",), methods.emergency_voice),
)
_NOT_KNOWN = Text("計測されていない", "not measured")


def ways(service: Service) -> tuple[Way, ...]:
    """The methods that can count users of this service, the preferred one first."""
    if service.kind != "voice":
        return _BEST_EFFORT
    return _EMERGENCY_VOICE if service.is_emergency_voice else _OTHER_VOICE


def count(incident: Incident, service: Service, observed: UsersObserved, before: Affected, *, recovered: bool) -> Affected:
    """The users of an impact by the first method that can be had; what was known before stays known."""
    under = observed.under_equipment.reading(incident.equipment) if incident.equipment is not None else None
    bound = under.users if under else (before.bound if before.bound is not None else service.users_total)
    if recovered and before.kept:
        return Affected(before.kept, bound)
    if service.is_emergency_voice:
        return _emergency_voice(incident, service, observed, before, under, bound, recovered=recovered)
    return _ordinary(incident, service, observed, before, bound, recovered=recovered)


def _ordinary(
    incident: Incident,
    service: Service,
    observed: UsersObserved,
    before: Affected,
    bound: int | None,
    *,
    recovered: bool,
) -> Affected:
    """The first method, in the legal order, of which all is known."""
    passed: list[Text] = []
    for way in _OTHER_VOICE if service.kind == "voice" else _BEST_EFFORT:
        # what was counted of users hit at a time is no more when the service is back
        is_of_now = way is not _ALL_UNDER
        readings = _readings(incident, observed, way)
        if readings and not (is_of_now and recovered):
            try:
                estimate = way.estimate(*(reading.value for reading in readings))
            except WrongFigure as wrong:
                return Affected(before.kept, bound, str(wrong))
            return Affected(keep_largest(before.kept, _counted(estimate, readings, tuple(passed))), bound)
        if is_of_now:
            if problem := next((a.problem for need in way.needs if (a := observed.to(need)) and a.problem), None):
                return Affected(before.kept, bound, problem)
            if not recovered and any(known.method == way.method for known in before.kept):
                # its exporter may have died with the equipment: what it counted last is not the number now
                return Affected(before.kept, bound, GONE)
        passed.append(Text(f"{METHODS[way.method].ja}: {_NOT_KNOWN.ja}", f"{METHODS[way.method].en}: {_NOT_KNOWN.en}"))
    return Affected(before.kept, bound, _why_nothing(observed, recovered=recovered))


def _readings(incident: Incident, observed: UsersObserved, way: Way) -> list[Reading]:
    """All that the way needs to be told, or nothing. All users under equipment are known only of equipment that has a name."""
    if way is _ALL_UNDER and incident.equipment is None:
        return []
    answers = (observed.to(need) for need in way.needs)
    readings = [reading for answer in answers if answer and (reading := answer.reading(incident.equipment))]
    return readings if len(readings) == len(way.needs) else []


def _emergency_voice(
    incident: Incident,
    service: Service,
    observed: UsersObserved,
    before: Affected,
    under: Reading | None,
    bound: int | None,
    *,
    recovered: bool,
) -> Affected:
    """All users under equipment that is down, also those who did not call; times the call-loss rate where it partly works.

    Only certainty that no emergency call was affected leaves the ordinary method.
    """
    # once it has recovered they tell of now, and nothing of the outage
    asked = () if recovered else (observed.emergency_calls_affected, observed.equipment_up, observed.call_loss_ratio)
    hit, up, lost = [answer.reading(incident.equipment) if answer else None for answer in asked] or (None, None, None)
    if hit and hit.value == 0:
        return _ordinary(incident, service, observed, before, bound, recovered=recovered)
    if under is None:
        return Affected(before.kept, bound, _why_nothing(observed, recovered=recovered))
    if problem := next((answer.problem for answer in asked if answer and answer.problem), None):
        return Affected(before.kept, bound, problem)
    try:
        estimate = methods.emergency_voice(under.users, None if up is None else up.value == 0, lost.value if lost else None)
    except WrongFigure as wrong:
        return Affected(before.kept, bound, str(wrong))
    return Affected(keep_largest(before.kept, _counted(estimate, [r for r in (under, up, lost) if r])), bound)


def _why_nothing(observed: UsersObserved, *, recovered: bool) -> str:
    return RECOVERED_FIRST if recovered else observed.under_equipment.problem or NO_SERIES


def _counted(estimate: Estimate, readings: list[Reading], passed_over: tuple[Text, ...] = ()) -> Count:
    """The estimate with its evidence; what the query itself answers needs no arithmetic."""
    first, queries = readings[0], "; ".join(reading.query for reading in readings)
    formula = None if estimate.method in ("direct", "all_under_equipment") else estimate.formula
    return Count(estimate.users, estimate.method, queries, first.at, first.unit, formula, passed_over)
