"""From assessments nobody has routed yet to rows of the ledger, idempotently: planning twice owes nothing twice."""

import re
from datetime import datetime
from typing import Literal

import msgspec

from receiver.delivery.content import DEFAULT, Content
from receiver.delivery.follow import Policy
from receiver.delivery.sending import Send, Turn
from receiver.law.near_miss import NearMiss
from receiver.law.verdict import Verdict
from receiver.model import Assessment, Delivery, Incident
from receiver.stated import near_miss_of, stated
from receiver.storage import acts, deliveries
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database

_GENERATION = re.compile(r"\.[0-9]+$")

Object = Literal["ticket", "annotation", "annotation.major"]


class Route(msgspec.Struct, frozen=True):
    """A target by name, and what it is given: a ticket for what may be major, an annotation for every incident.

    `services`: only what hits one of these; none: all. With `major` an annotation's target is also given, once it is certain that
    an incident may be major, another one at the moment from which: the object "annotation.major". `send` says what makes a ticket
    and when it is told, `content` in which words.
    """

    target: str
    object: Literal["ticket", "annotation"]
    policy: Policy = Policy()
    services: tuple[str, ...] = ()
    major: bool = False
    send: Send = Send()
    content: Content = DEFAULT

    @property
    def objects(self) -> tuple[Object, ...]:
        return (self.object, "annotation.major") if self.object == "annotation" and self.major else (self.object,)


def plan(database: Database, routes: tuple[Route, ...], now: datetime) -> int:
    """Owe every target what the new assessments ask for; how many incidents were looked at."""
    with database.write() as connection:
        ids = store.unrouted(connection)
        latest, numbers = store.latest_assessments(connection, ids), store.last_numbers(connection, ids)
        incidents = store.named(connection, ids)
        owed = newest_objects(deliveries.of_incidents(connection, ids))
        near = _near_misses(connection, incidents, routes)
        routed: dict[str, int] = {}
        for id_ in ids:
            number = numbers[id_]
            waits = False
            for route, object_ in [(one, object_) for one in routes for object_ in one.objects]:
                known = owed.get((id_, route.target, object_))
                when = turn(route, object_, incidents[id_], latest[id_], near.get(id_), now, exists=known is not None)
                if when == "now":
                    deliveries.want(connection, row_of(id_, route.target, known or object_, number, now))
                waits = waits or when == "later"
            if not waits:  # else it is looked at again with the next tick
                routed[id_] = number
        store.mark_routed(connection, routed, now)
    return len(ids)


def _near_misses(connection: Connection, incidents: dict[str, Incident], routes: tuple[Route, ...]) -> dict[str, NearMiss]:
    """What persons answered on near-misses, where a target is to be told of these."""
    if not any(Verdict.NEAR_MISS in route.send.verdicts for route in routes):
        return {}
    said = acts.of_incidents(connection, incidents)
    found = {id_: near_miss_of(stated(said[id_]), incident.failure_started_at) for id_, incident in incidents.items()}
    return {id_: near for id_, near in found.items() if near}


def turn(
    route: Route,
    object_: Object,
    incident: Incident,
    latest: list[Assessment],
    near: NearMiss | None,
    now: datetime,
    *,
    exists: bool,
) -> Turn:
    """Whether this is the time to make the thing, or to bring it up to date: changes follow it wherever it was made."""
    hit = [a for a in latest if not route.services or a.service in route.services]
    if not exists and (incident.dismissed or incident.joined_to):
        return "never"
    if object_ == "ticket":
        return route.send.turn(hit, near, now, exists=exists)
    if object_ == "annotation.major":
        hit = [a for a in hit if a.verdict == Verdict.MAJOR and a.major_since]
    return "now" if exists or hit else "never"


def newest_objects(rows: list[Delivery]) -> dict[tuple[str, str, str], str]:
    """The object to follow by (incident, target, object of its route): of several that went on from one another the last."""
    newest = {}
    for row in sorted(rows, key=lambda row: len(row.object)):
        if not row.remembered.superseded:
            newest[row.incident_id, row.target, _GENERATION.sub("", row.object)] = row.object
    return newest


def row_of(incident_id: str, target: str, object_: str, number: int, now: datetime) -> Delivery:
    return Delivery(
        incident_id=incident_id,
        target=target,
        object=object_,
        wanted=number,
        sent=0,
        state="owed",
        attempts=0,
        next_attempt_at=now,
    )
