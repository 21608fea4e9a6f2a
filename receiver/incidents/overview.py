"""The incidents at a glance, for whoever looks for one: a handful of queries, however many there are."""

from collections.abc import Iterable

import msgspec

from receiver.law.verdict import Bounded, Verdict, gravest
from receiver.model import Conclusion, Incident, IncidentState
from receiver.stated import Stated, near_miss_of, stated
from receiver.storage import acts
from receiver.storage import incidents as store
from receiver.storage.database import Connection

NOT_CLOSED: tuple[IncidentState, ...] = ("open", "recovering", "restored")
"""What goes on, and what waits for a person."""


class Glance(msgspec.Struct, frozen=True):
    """An incident with what stands of it. `impacts`: the latest of each service. `verdict`: the gravest; None before the first."""

    incident: Incident
    stated: Stated
    impacts: tuple[Conclusion, ...]
    verdict: Verdict | None

    @property
    def is_urgent(self) -> bool:
        """It may be major, or is about to be."""
        incident = self.incident
        if incident.dismissed or incident.joined_to or self.stated.drill:
            return False
        return self.verdict is Verdict.MAJOR or any(impact.candidate for impact in self.impacts)


def not_closed(connection: Connection, limit: int) -> list[Glance]:
    """The newest of those that are not closed: what may be major first, then the newest first."""
    return sorted(_glances(connection, store.listed(connection, NOT_CLOSED, limit)), key=lambda glance: not glance.is_urgent)


def closed(connection: Connection, limit: int) -> list[Glance]:
    """The newest of those that are closed, the newest first."""
    return _glances(connection, store.listed(connection, ("closed",), limit))


def _glances(connection: Connection, found: Iterable[Incident]) -> list[Glance]:
    every = list(found)
    ids = [incident.id for incident in every]
    latest, said = store.latest_conclusions(connection, ids), acts.of_incidents(connection, ids)
    return [_glance(incident, latest[incident.id], stated(said[incident.id])) for incident in every]


def _glance(incident: Incident, latest: Iterable[Conclusion], standing: Stated) -> Glance:
    impacts = tuple(conclusion for conclusion in latest if not conclusion.withdrawn)
    near = near_miss_of(standing, incident.failure_started_at)
    judged: list[Bounded] = [*impacts, near] if near else [*impacts]
    return Glance(incident, standing, impacts, gravest(judged).verdict if judged else None)
