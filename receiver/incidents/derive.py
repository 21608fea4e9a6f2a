"""Stored bodies -> alerts -> incidents, idempotently and in one transaction: a kill at any line loses and doubles nothing."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from receiver import payloads
from receiver.catalogue import Catalogue
from receiver.incidents import correlate
from receiver.incidents.fold import fold, same_stretch
from receiver.model import Alert, AlertEvent, Incident
from receiver.storage import incidents as store
from receiver.storage import notifications
from receiver.storage.database import Database

BATCH = 20
"""Bodies per transaction: with a hundred alerts in each, nothing can be taken in for a tenth of a second."""


def derive_waiting(database: Database, catalogue: Catalogue, now: datetime) -> int:
    """Derive a batch of the waiting bodies; how many there were."""
    with database.read() as connection:
        if not notifications.waiting(connection, 1):
            return 0  # without taking a writer's turn
    with database.write() as connection:
        bodies = notifications.waiting(connection, BATCH)
        events: list[AlertEvent] = []
        for body in bodies:
            try:
                events += payloads.decode(body.source, body.body)
            except payloads.Unacceptable as error:
                # taken in by an older version that was less strict
                notifications.mark_refused(connection, body.id, str(error))
        known = store.sightings(connection, ((event.source, event.fingerprint) for event in events))
        changed: dict[tuple[str, str, datetime], Alert] = {}
        for event in events:
            its = known.setdefault((event.source, event.fingerprint), {})
            before = its.get(event.starts_at)
            alert = its[event.starts_at] = fold(event, before)
            # one that belongs to no incident is looked at again: the catalogue may know its service by now
            if alert != before or alert.incident_id is None:
                changed[event.source, event.fingerprint, event.starts_at] = alert
        if changed:
            living = {incident.cause: incident for incident in store.living(connection)}
            touched: dict[str, Incident] = {}
            for key, alert in changed.items():
                its = known[key[:2]]
                its[alert.starts_at] = changed[key] = _attach(alert, its.values(), living, touched, catalogue, now)
            for incident in touched.values():
                store.save(connection, incident)
            store.save_alerts(connection, changed.values())
        if bodies:
            notifications.mark_derived(connection, [body.id for body in bodies], now)
    return len(bodies)


def _attach(
    alert: Alert,
    sightings: Collection[Alert],
    living: dict[str, Incident],
    touched: dict[str, Incident],
    catalogue: Catalogue,
    now: datetime,
) -> Alert:
    """The alert with the incident it belongs to: that of its twin, else the living one of its cause, else a new one."""
    cause = correlate.cause_of(alert, catalogue)
    if alert.incident_id or alert.is_ignorance or cause is None:
        return alert
    twin = same_stretch(alert, sightings)
    if twin and twin.incident_id and (cause[0] not in living or living[cause[0]].id != twin.incident_id):
        return msgspec.structs.replace(alert, incident_id=twin.incident_id)  # of an incident that is closed
    incident = living.get(cause[0])
    if incident is None:
        incident = correlate.opened_by(alert, *cause, now)
    elif alert.starts_at < incident.failure_started_at:
        incident = msgspec.structs.replace(
            incident, failure_started_at=alert.starts_at, start_basis="starts_at", start_settled=False
        )
    elif incident.start_basis != "equipment_series":
        incident = msgspec.structs.replace(incident, start_settled=False)  # one more alert may know an earlier start
    living[cause[0]] = touched[incident.id] = incident
    return msgspec.structs.replace(alert, incident_id=incident.id)
