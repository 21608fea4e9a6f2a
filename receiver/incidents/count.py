"""The users of one impact at one instant by the law's methods, from what Prometheus said. Pure.

Not configured and not answered are two things: without a finer method the coarser one is a definite count; where a query failed,
what is left is a bound and never becomes the number.
"""

from receiver.catalogue import Service
from receiver.law import methods
from receiver.law.counting import Affected, Count, keep_largest
from receiver.law.estimate import Method, WrongFigure
from receiver.law.wording import GONE, NO_SERIES, RECOVERED_FIRST
from receiver.model import Incident
from receiver.observation.users import Reading, UsersObserved


def count(incident: Incident, service: Service, observed: UsersObserved, before: Affected, *, recovered: bool) -> Affected:
    """The users of an impact by the first method that can be had; what was known before stays known."""
    under = observed.under_equipment.reading(incident.equipment) if incident.equipment is not None else None
    bound = under.users if under else (before.bound if before.bound is not None else service.users_total)
    if recovered and before.kept:
        return Affected(before.kept, bound)
    if service.is_emergency_voice:
        return _emergency_voice(incident, observed, before, under, bound, recovered=recovered)
    return _ordinary(incident, observed, before, under, bound, recovered=recovered)


def _ordinary(
    incident: Incident, observed: UsersObserved, before: Affected, under: Reading | None, bound: int | None, *, recovered: bool
) -> Affected:
    """Users who tried and could not use it, else all users under the equipment."""
    direct = observed.unable.reading(incident.equipment)
    if direct and not recovered:
        return Affected(keep_largest(before.kept, _counted(direct, "direct")), bound)
    if observed.unable.problem:
        return Affected(before.kept, bound, observed.unable.problem)
    if not recovered and any(known.method == "direct" for known in before.kept):
        # its exporter may have died with the equipment: what it counted last is not the number now
        return Affected(before.kept, bound, GONE)
    if under:
        return Affected(keep_largest(before.kept, _counted(under, "all_under_equipment")), bound)
    return Affected(before.kept, bound, _why_nothing(observed, recovered=recovered))


def _emergency_voice(
    incident: Incident, observed: UsersObserved, before: Affected, under: Reading | None, bound: int | None, *, recovered: bool
) -> Affected:
    """All users under equipment that is down, also those who did not call; times the call-loss rate where it partly works.

    Only certainty that no emergency call was affected leaves the ordinary method.
    """
    asked = (observed.emergency_calls_affected, observed.equipment_up, observed.call_loss_ratio)
    hit, up, lost = (answer.reading(incident.equipment) if answer else None for answer in asked)
    if hit and hit.value == 0:
        return _ordinary(incident, observed, before, under, bound, recovered=recovered)
    if under is None:
        return Affected(before.kept, bound, _why_nothing(observed, recovered=recovered))
    if problem := next((answer.problem for answer in asked if answer and answer.problem), None):
        return Affected(before.kept, bound, problem)
    try:
        estimate = methods.emergency_voice(under.users, None if up is None else up.value == 0, lost.value if lost else None)
    except WrongFigure as wrong:
        return Affected(before.kept, bound, str(wrong))
    queries = [under.query, *(reading.query for reading in (up, lost) if reading)]
    new = Count(estimate.users, estimate.method, "; ".join(queries), under.at, under.unit, estimate.formula)
    return Affected(keep_largest(before.kept, new), bound)


def _why_nothing(observed: UsersObserved, *, recovered: bool) -> str:
    return RECOVERED_FIRST if recovered else observed.under_equipment.problem or NO_SERIES


def _counted(reading: Reading, method: Method) -> Count:
    return Count(reading.users, method, reading.query, reading.at, reading.unit)
