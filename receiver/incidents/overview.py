"""The incidents at a glance, for whoever looks for one: a handful of queries, however many there are."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from receiver.law.provisions import Text
from receiver.law.verdict import Bounded, Verdict, gravest
from receiver.model import Conclusion, Incident, IncidentState
from receiver.stated import Stated, near_miss_of, stated
from receiver.storage import acts, deliveries
from receiver.storage import incidents as store
from receiver.storage.database import Connection

NOT_CLOSED: tuple[IncidentState, ...] = ("open", "recovering", "restored")
"""What goes on, and what waits for a person."""


class Expected(msgspec.Struct, frozen=True):
    """When it may become major: if nothing changes, or on the present trend."""

    at: datetime
    on_trend: bool

    @property
    def called(self) -> Text:
        if self.on_trend:
            return Text("現在の傾向での基準到達の見込み", "threshold expected on the present trend")
        return Text("基準到達の見込み", "threshold expected")


class Glance(msgspec.Struct, frozen=True):
    """An incident with what stands of it. `impacts`: the latest of each service. `verdict`: the gravest; None before the first.

    `dead_letters` is how many of its deliveries were given up. The soonest of its services counts for `major_expected_at` (if
    nothing changes) and `major_on_trend_at`.
    """

    incident: Incident
    stated: Stated
    impacts: tuple[Conclusion, ...]
    verdict: Verdict | None
    dead_letters: int = 0

    @property
    def stands(self) -> bool:
        """Whether the verdict is about it: not where it is a false alarm, or where another one has its verdict."""
        return not (self.incident.dismissed or self.incident.joined_to)

    @property
    def is_urgent(self) -> bool:
        """It may be major, or is about to be."""
        if not self.stands or self.stated.drill:
            return False
        return self.verdict is Verdict.MAJOR or any(impact.candidate for impact in self.impacts)

    @property
    def major_expected_at(self) -> datetime | None:
        return self._soonest(impact.major_expected_at for impact in self.impacts)

    @property
    def major_on_trend_at(self) -> datetime | None:
        return self._soonest(impact.major_on_trend_at for impact in self.impacts)

    @property
    def expected(self) -> Expected | None:
        """The sooner of both, as in the title of a ticket."""
        known = [(at, on_trend) for at, on_trend in ((self.major_on_trend_at, True), (self.major_expected_at, False)) if at]
        return Expected(*min(known)) if known else None

    def _soonest(self, times: Iterable[datetime | None]) -> datetime | None:
        if self.verdict is Verdict.MAJOR or not self.stands:
            return None
        return min((at for at in times if at), default=None)


def glance(incident: Incident, latest: Iterable[Conclusion], standing: Stated, dead_letters: int) -> Glance:
    """What stands of it by the latest of each of its services."""
    impacts = tuple(conclusion for conclusion in latest if not conclusion.withdrawn)
    near = near_miss_of(standing, incident.failure_started_at)
    judged: list[Bounded] = [*impacts, near] if near else [*impacts]
    return Glance(incident, standing, impacts, gravest(judged).verdict if judged else None, dead_letters)


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
    dead = deliveries.count_dead(connection, ids)
    return [glance(incident, latest[incident.id], stated(said[incident.id]), dead[incident.id]) for incident in every]
