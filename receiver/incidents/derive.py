"""Stored bodies -> alerts -> incidents, idempotently and in one transaction: a kill at any line loses and doubles nothing."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from receiver import payloads
from receiver.catalogue import Catalogue
from receiver.incidents import correlate
from receiver.incidents.fold import ended_at, fold, same_stretch
from receiver.model import Alert, AlertEvent, Incident
from receiver.storage import incidents as store
from receiver.storage import notifications
from receiver.storage.database import Connection, Database

BATCH = 20
"""Bodies per transaction: with a hundred alerts in each, nothing can be taken in for a tenth of a second."""


def derive_waiting(database: Database, catalogue: Catalogue, now: datetime) -> int:
    """Derive a batch of the waiting bodies; how many there were."""
    with database.read() as connection:
        if not notifications.waiting(connection, 1):
            return 0  # without taking a writer's turn
    with database.write() as connection:
        bodies = notifications.waiting(connection, BATCH)
        events: list[tuple[AlertEvent, datetime]] = []
        for body in bodies:
            try:
                events += ((event, body.received_at) for event in payloads.decode(body.source, body.body))
            except payloads.Unacceptable as error:
                # taken in by an older version that was less strict
                notifications.mark_refused(connection, body.id, str(error))
        known = store.sightings(connection, ((event.source, event.fingerprint) for event, _ in events))
        changed: dict[tuple[str, str, datetime], Alert] = {}
        for event, said_at in events:
            its = known.setdefault((event.source, event.fingerprint), {})
            its[event.starts_at] = fold(event, said_at, its.get(event.starts_at))
            changed[event.source, event.fingerprint, event.starts_at] = its[event.starts_at]
        if changed:
            house = _House(connection, catalogue, now)
            for key, alert in changed.items():
                its = known[key[:2]]
                its[alert.starts_at] = changed[key] = house.attach(alert, its.values())
            for incident in house.touched.values():
                store.save(connection, incident)
            store.save_alerts(connection, changed.values())
        if bodies:
            notifications.mark_derived(connection, [body.id for body in bodies], now)
    return len(bodies)


class _House:
    """The living incidents while a batch is derived, and those of them that it touched."""

    def __init__(self, connection: Connection, catalogue: Catalogue, now: datetime) -> None:
        self.touched: dict[str, Incident] = {}
        self._connection, self._catalogue, self._now = connection, catalogue, now
        living = store.living(connection)
        self._by_cause = {incident.cause: incident for incident in living}
        self._ids = {incident.id for incident in living}

    def attach(self, alert: Alert, sightings: Collection[Alert]) -> Alert:
        """The alert with the incident it belongs to: that of its twin, else the living one of its cause, else a new one.

        One whose incident was closed, and that fires still or again, belongs to a living one.
        """
        # one that belongs to no incident is looked at again and again: the catalogue may know its service by now
        cause = correlate.cause_of(alert, self._catalogue)
        over = ended_at(alert, sightings) is not None
        if alert.is_ignorance or cause is None or (alert.incident_id and (over or alert.incident_id in self._ids)):
            return alert
        twin = same_stretch(alert, sightings)
        if over and twin and twin.incident_id and twin.incident_id not in self._ids:
            return msgspec.structs.replace(alert, incident_id=twin.incident_id)  # of an incident that is closed
        incident = self._by_cause.get(cause[0])
        if incident is None:
            incident = correlate.opened_by(alert, *cause, self._now)
            while earlier := store.get(self._connection, incident.id):
                if over and earlier.restored_at and alert.starts_at <= earlier.restored_at:
                    return msgspec.structs.replace(alert, incident_id=earlier.id)  # late news of a closed incident
                incident = correlate.opened_by(alert, *cause, self._now, after=earlier.id)
        elif alert.starts_at < incident.failure_started_at:
            incident = msgspec.structs.replace(
                incident, failure_started_at=alert.starts_at, start_basis="starts_at", start_settled=False
            )
        elif incident.start_basis != "equipment_series":
            incident = msgspec.structs.replace(incident, start_settled=False)  # one more alert may know an earlier start
        self._by_cause[cause[0]] = self.touched[incident.id] = incident
        self._ids.add(incident.id)
        return msgspec.structs.replace(alert, incident_id=incident.id)
