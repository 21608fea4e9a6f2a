"""From assessments nobody has routed yet to rows of the ledger, idempotently: planning twice owes nothing twice."""

from datetime import datetime
from typing import Literal

import msgspec

from receiver.law.verdict import Verdict
from receiver.model import Assessment, Delivery, Incident
from receiver.storage import deliveries
from receiver.storage import incidents as store
from receiver.storage.database import Database


class Route(msgspec.Struct, frozen=True):
    """A target by name, and what it is given: a ticket for what may be major, an annotation for every incident."""

    target: str
    object: Literal["ticket", "annotation"]


def plan(database: Database, routes: tuple[Route, ...], now: datetime) -> int:
    """Owe every target what the new assessments ask for; how many incidents were looked at."""
    with database.write() as connection:
        ids = store.unrouted(connection)
        latest, numbers = store.latest_assessments(connection, ids), store.last_numbers(connection, ids)
        incidents = store.named(connection, ids)
        owed = {(row.incident_id, row.target, row.object) for row in deliveries.of_incidents(connection, ids)}
        for id_ in ids:
            number = numbers[id_]
            for route in routes:
                if (id_, route.target, route.object) in owed or _begins(route, incidents[id_], latest[id_]):
                    over = all(assessment.state in ("restored", "closed") for assessment in latest[id_])
                    deliveries.want(connection, _row(id_, route, number, over, now))
            store.mark_routed(connection, id_, number, now)
    return len(ids)


def _begins(route: Route, incident: Incident, latest: list[Assessment]) -> bool:
    """Whether this is the time to make the thing: later changes follow it wherever it was made."""
    if incident.dismissed or incident.joined_to:
        return False
    return route.object == "annotation" or any(a.verdict == Verdict.MAJOR or a.candidate for a in latest)


def _row(incident_id: str, route: Route, number: int, over: bool, now: datetime) -> Delivery:
    return Delivery(
        incident_id=incident_id,
        target=route.target,
        object=route.object,
        wanted=number,
        sent=0,
        resolve=over,
        state="owed",
        attempts=0,
        next_attempt_at=now,
    )
