"""Every living incident at one instant: find its start, count its users, follow its state, judge it, keep what changed.

The clock matters more than the webhook: an outage becomes major by lasting, with no new alert.
"""

from datetime import datetime, timedelta

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.incidents.assess import assess, changed
from receiver.incidents.follow import follow, recovered_at
from receiver.law.rulebook import Rulebook
from receiver.model import Alert, Assessment, Incident
from receiver.observation import failure_start, users
from receiver.observation.prometheus import Prometheus
from receiver.settings import Settings
from receiver.storage import incidents as store
from receiver.storage.database import Database


class Ticked(msgspec.Struct, frozen=True):
    """The assessments that were appended, and when the next one is due though nothing changes (None: nothing is in sight)."""

    appended: list[Assessment]
    next_at: datetime | None


def tick(
    database: Database,
    prometheus: Prometheus,
    catalogue: Catalogue,
    settings: Settings,
    rulebooks: tuple[Rulebook, ...],
    now: datetime,
) -> Ticked:
    """Assess all living incidents. Prometheus is asked between two transactions, in none of them."""
    with database.read() as connection:
        living = store.living(connection)
        alerts = store.alerts_of(connection, (incident.id for incident in living))
        previous = store.latest_assessments(connection, (incident.id for incident in living))
        without_data = frozenset(alert.name for alert in store.firing_alone(connection, "grafana") if alert.is_ignorance)
    if not living:
        return Ticked([], None)
    hold, lead = timedelta(seconds=settings.hold_seconds), timedelta(seconds=settings.candidate_lead_seconds)
    impacts = {incident.id: _impacts(alerts[incident.id], catalogue) for incident in living}
    started = _with_starts(living, alerts, impacts, prometheus)
    hit: dict[str, set[str | None]] = {}
    for incident in living:
        for service, _ in impacts[incident.id]:
            hit.setdefault(service.name, set()).add(incident.equipment)
    observed = users.observe(prometheus, catalogue, hit)

    appended: list[Assessment] = []
    due: list[datetime] = []
    with database.write() as connection:
        for before in living:
            incident = follow(started[before.id], recovered_at(alerts[before.id], without_data), hold, now)
            known = {assessment.service: assessment for assessment in previous[before.id]}
            number = max((assessment.number for assessment in known.values()), default=0)
            for service, its_alerts in impacts[before.id]:
                last = known.get(service.name)
                restored = recovered_at(its_alerts, without_data)
                new = assess(incident, service, restored, observed[service.name], last, rulebooks, lead, now)
                if new.major_expected_at:
                    due += [new.major_expected_at - lead, new.major_expected_at]
                if changed(new, last):
                    number += 1
                    appended.append(msgspec.structs.replace(new, number=number))
                    store.append(connection, appended[-1])
            if incident.restored_at:
                due.append(incident.restored_at + hold)
            if incident != before:
                store.save(connection, incident)
    return Ticked(appended, min((moment for moment in due if moment > now), default=None))


def _impacts(alerts: list[Alert], catalogue: Catalogue) -> list[tuple[Service, list[Alert]]]:
    """The services that these alerts are about, each with its alerts, in the order of the catalogue."""
    by_service: dict[str, list[Alert]] = {}
    for alert in alerts:
        for service in catalogue.services_of(alert.labels):
            by_service.setdefault(service.name, []).append(alert)
    return [(service, by_service[service.name]) for service in catalogue.services if service.name in by_service]


def _with_starts(
    living: list[Incident],
    alerts: dict[str, list[Alert]],
    impacts: dict[str, list[tuple[Service, list[Alert]]]],
    prometheus: Prometheus,
) -> dict[str, Incident]:
    """The incidents with their starts looked up where that is still to be done. A start never moves later."""
    known = {incident.id: incident for incident in living}
    asked = []
    for incident in living:
        if incident.start_settled or not impacts[incident.id]:
            continue
        service = impacts[incident.id][0][0]
        its_alerts = tuple(alerts[incident.id])
        label, series = service.equipment_label, service.users.equipment_up
        asked.append(failure_start.Asked(incident.id, incident.equipment, label, series, its_alerts))
    # what cannot be told is asked again at the next tick; until then the alerts' own times stand
    for id_, start in failure_start.find(prometheus, asked).items():
        incident = known[id_]
        if start.at < incident.failure_started_at or incident.start_basis == "starts_at":
            at = min(start.at, incident.failure_started_at)
            incident = msgspec.structs.replace(incident, failure_started_at=at, start_basis=start.basis, good_at=start.good_at)
        known[id_] = msgspec.structs.replace(incident, start_settled=True)
    return known
