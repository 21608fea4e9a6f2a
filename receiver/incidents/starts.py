"""Since when: the starts of failures are looked up in the history of their equipment, and of their alerts."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial

import msgspec

from receiver.incidents import correlate
from receiver.incidents.cases import Case
from receiver.model import Alert
from receiver.observation import failure_start
from receiver.observation.prometheus import Prometheus
from receiver.storage import incidents as store
from receiver.storage.database import Database


def find_starts(database: Database, cases: list[Case], prometheus: Prometheus, now: datetime) -> None:
    """Look up the starts of the failures where that is still to be done. A start never moves later, but by a person's word.

    Raises StoreUnavailable.
    """
    unsettled = [case for case in cases if not case.incident.start_settled and case.hits and not case.stated.started_at]
    asked = {case.incident.id: _asked(case, case.alerts) for case in unsettled if case.alerts}
    # what cannot be told is asked again at the next tick; until then the alerts' own times stand
    starts = failure_start.find(
        prometheus, (one for its in asked.values() for one in its), now, partial(_whole, database, unsettled)
    )
    for case in cases:
        incident = case.incident
        if incident.start_basis == "starts_at" and case.alerts:
            # a start that lay ahead of a clock that was behind is what it is as soon as that is right
            at = min(case.alerts[0].starts_at, now)
            case.incident = incident = msgspec.structs.replace(incident, failure_started_at=at)
        if word := case.stated.started_at:
            case.incident = msgspec.structs.replace(incident, failure_started_at=word, start_basis="person", start_settled=True)
            continue
        its = [starts.get(one.incident_id) for one in asked.get(incident.id, ())]
        found = [start for start in its if start]
        if not found:
            continue
        start = min(found, key=lambda start: start.at)
        if start.at < incident.failure_started_at or incident.start_basis == "starts_at":
            at = min(start.at, incident.failure_started_at)
            incident = msgspec.structs.replace(incident, failure_started_at=at, start_basis=start.basis, good_at=start.good_at)
        case.incident = msgspec.structs.replace(incident, start_settled=len(found) == len(its))


def _whole(database: Database, cases: list[Case], names: Iterable[str]) -> dict[str, tuple[Alert, ...]]:
    """The alerts of these questions with all labels: by these they are told apart in Prometheus, nothing else hangs on them."""
    wanted = set(names)
    ids = {name.rpartition(" ")[0] for name in wanted}
    its = {case.incident.id: case for case in cases if case.incident.id in ids}
    with database.read() as connection:
        whole = store.plain_alerts_of(connection, its)
    every = (one for id_, case in its.items() if whole[id_] for one in _asked(case, whole[id_]))
    return {one.incident_id: one.alerts for one in every if one.incident_id in wanted}


def _asked(case: Case, alerts: list[Alert]) -> list[failure_start.Asked]:
    """One question for each piece of equipment that may have failed first."""
    by_cause: dict[str | None, list[Alert]] = {}
    for alert in alerts:
        by_cause.setdefault(alert.cause, []).append(alert)
    by_unit: dict[str | None, list[Alert]] = {}
    for of_cause in by_cause.values():
        equipment = correlate.equipment_of(of_cause[0])
        by_unit.setdefault(equipment[1] if equipment else None, []).extend(of_cause)
    # the one that told first may lie under what is known by now to have failed
    units = dict.fromkeys([*(unit for hit in case.hits for unit in hit.units), next(iter(by_unit))])
    asked = []
    for number, unit in enumerate(units):
        hit = next((hit for hit in case.hits if unit in hit.units or unit in hit.named), case.hits[0])
        label, series = hit.service.equipment_label, hit.service.users.equipment_up
        # what was moved to another incident meanwhile is judged at the next tick
        its = tuple(alerts if unit is None else by_unit.get(unit, alerts))
        asked.append(failure_start.Asked(f"{case.incident.id} {number}", unit, label, series, its, case.numbers))
    return asked
