"""Every living incident at one instant: find its start, count its users, follow its state, judge it, keep what changed.

The clock matters more than the webhook: an outage becomes major by lasting, with no new alert.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import partial

import msgspec
import structlog

from receiver.catalogue import Catalogue, Service
from receiver.incidents.ask import FAULTS, Impact, Observer
from receiver.incidents.assess import assess, end_without_service
from receiver.incidents.count import Told
from receiver.incidents.follow import follow, recovered_at
from receiver.law.counting import Affected
from receiver.law.provisions import in_japan
from receiver.law.rulebook import Rulebook
from receiver.model import Alert, Assessment, Conclusion, Incident
from receiver.observation import equipment, failure_start
from receiver.observation.comparable_days import Calendar, business_hours_of
from receiver.observation.equipment import Seen
from receiver.observation.prometheus import Prometheus
from receiver.settings import Settings
from receiver.storage import incidents as store
from receiver.storage.database import Database

log = structlog.get_logger()


class Ticked(msgspec.Struct, frozen=True):
    """The assessments that were appended, and when the next one is due though nothing changes (None: nothing is in sight)."""

    appended: list[Assessment]
    next_at: datetime | None


class _Case(msgspec.Struct, gc=False):
    """A living incident with all that is known of it at this tick.

    `ended`: when it, and each service, recovered by its alerts; `restored`: the same of each service, as far as it is believed.
    `gone`: what was last assessed of services that it has no more.
    """

    incident: Incident
    alerts: list[Alert]
    impacts: list[tuple[Service, list[Alert]]]
    previous: dict[str, Conclusion]
    ended: datetime | None
    service_ended: dict[str, datetime | None]
    gone: list[Assessment] = []
    restored: dict[str, datetime | None] = {}

    @property
    def unconfirmed(self) -> bool:
        """Whether its alerts tell of a recovery that was not told before."""
        if self.ended and self.incident.state == "open":
            return True
        return any(ended and not self.was_restored(name) for name, ended in self.service_ended.items())

    def holds_until(self, hold: timedelta) -> datetime:
        return self.incident.restored_at + hold if self.incident.restored_at else datetime.max.replace(tzinfo=UTC)

    def was_restored(self, service: str) -> bool:
        return service in self.previous and self.previous[service].restored_at is not None


def tick(
    database: Database,
    observer: Observer,
    settings: Settings,
    rulebooks: tuple[Rulebook, ...],
    now: datetime,
) -> Ticked:
    """Assess all living incidents. Prometheus is asked between two transactions, in none of them."""
    prometheus, catalogue = observer.prometheus, observer.catalogue
    cases = _load(database, catalogue)
    if not cases:
        return Ticked([], None)
    hold, lead = timedelta(seconds=settings.hold_seconds), timedelta(seconds=settings.candidate_lead_seconds)
    before = [case.incident for case in cases]
    prometheus.begin()
    _find_starts(cases, prometheus, now)
    seen = equipment.observe(
        prometheus, catalogue, _hit([case for case in cases if case.unconfirmed or case.holds_until(hold) <= now])
    )
    for case in cases:
        for service, _ in case.impacts:
            believed = case.was_restored(service.name) or _is_confirmed(case.incident, service, seen)
            case.restored[service.name] = case.service_ended[service.name] if believed else None
    days = partial(_accident_days, database, settings.comparable_days.calendar, now)
    told = observer.ask(_impacts_of(cases), days, now)

    appended: list[Assessment] = []
    saved: list[Incident] = []
    due: list[datetime] = []
    # not within the transaction: while that lasts, nothing can be taken in
    for case, was in zip(cases, before, strict=True):
        try:
            incident, assessments = _judge(case, told, seen, rulebooks, settings, now)
        except Exception:  # whatever it is: a fault in one incident must not stop the clock of all others
            FAULTS.inc()
            log.exception("left out of this tick by a fault", incident=was.id)
            continue
        due += _dates(incident, case.previous | {new.service: new for new in assessments}, hold, lead)
        number = max((last.number for last in case.previous.values()), default=0)
        appended += [msgspec.structs.replace(new, number=number + n) for n, new in enumerate(assessments, start=1)]
        if incident != was:
            saved.append(incident)
    if appended or saved:
        with database.write() as connection:
            store.append(connection, *appended)
            store.save(connection, *saved)
    return Ticked(appended, min((moment for moment in due if moment > now), default=None))


def _load(database: Database, catalogue: Catalogue) -> list[_Case]:
    with database.read() as connection:
        living = store.living(connection)
        alerts = store.alerts_of(connection, (incident.id for incident in living))
        previous = store.latest_conclusions(connection, (incident.id for incident in living))
        without_data = frozenset(alert.name for alert in store.firing_alone(connection, "grafana") if alert.is_ignorance)
        impacts = {incident.id: _impacts(alerts[incident.id], catalogue) for incident in living}
        of_impacts = {id_: {service.name for service, _ in its} for id_, its in impacts.items()}
        cut = [id_ for id_, its in of_impacts.items() if any(last.service not in its for last in previous[id_])]
        whole = store.latest_assessments(connection, cut)
    return [
        _Case(
            incident,
            alerts[incident.id],
            impacts[incident.id],
            {last.service: last for last in previous[incident.id]},
            recovered_at(alerts[incident.id], without_data),
            {service.name: recovered_at(its, without_data) for service, its in impacts[incident.id]},
            [last for last in whole[incident.id] if last.service not in of_impacts[incident.id]],
        )
        for incident in living
    ]


def _impacts(alerts: list[Alert], catalogue: Catalogue) -> list[tuple[Service, list[Alert]]]:
    """The services that these alerts are about, each with its alerts, in the order of the catalogue."""
    by_service: dict[str, list[Alert]] = {}
    for alert in alerts:
        for service in catalogue.services_of(alert.labels):
            by_service.setdefault(service.name, []).append(alert)
    return [(service, by_service[service.name]) for service in catalogue.services if service.name in by_service]


def _impacts_of(cases: list[_Case]) -> list[Impact]:
    nothing = Affected()
    return [
        Impact(
            case.incident,
            service,
            case.restored[service.name],
            case.previous[service.name].affected if service.name in case.previous else nothing,
        )
        for case in cases
        for service, _ in case.impacts
    ]


def _accident_days(database: Database, calendar: Calendar, now: datetime) -> dict[str | None, set[date]]:
    """The days in Japan on which equipment was failing, as far back as days are compared."""
    since = now - timedelta(weeks=calendar.weeks, days=1)
    days: dict[str | None, set[date]] = defaultdict(set)
    with database.read() as connection:
        for unit, started_at, restored_at in store.failing_since(connection, since):
            first, last = max(started_at, since), restored_at or now
            for ahead in range((in_japan(last, "now").date() - in_japan(first, "start").date()).days + 1):
                days[unit].add(in_japan(first, "start").date() + timedelta(days=ahead))
    return days


def _hit(cases: list[_Case]) -> dict[str, set[str | None]]:
    hit: dict[str, set[str | None]] = {}
    for case in cases:
        for service, _ in case.impacts:
            hit.setdefault(service.name, set()).add(case.incident.equipment)
    return hit


def _find_starts(cases: list[_Case], prometheus: Prometheus, now: datetime) -> None:
    """Look up the starts of the failures where that is still to be done. A start never moves later."""
    asked = []
    for case in cases:
        if not case.incident.start_settled and case.impacts and case.alerts:
            service = case.impacts[0][0]
            label, series = service.equipment_label, service.users.equipment_up
            asked.append(failure_start.Asked(case.incident.id, case.incident.equipment, label, series, tuple(case.alerts)))
    # what cannot be told is asked again at the next tick; until then the alerts' own times stand
    starts = failure_start.find(prometheus, asked, now)
    for case in cases:
        if start := starts.get(case.incident.id):
            incident = case.incident
            if start.at < incident.failure_started_at or incident.start_basis == "starts_at":
                at = min(start.at, incident.failure_started_at)
                incident = msgspec.structs.replace(incident, failure_started_at=at, start_basis=start.basis, good_at=start.good_at)
            case.incident = msgspec.structs.replace(incident, start_settled=True)


def _judge(
    case: _Case,
    told: dict[tuple[str, str], Told],
    seen: dict[str, Seen],
    rulebooks: tuple[Rulebook, ...],
    settings: Settings,
    now: datetime,
) -> tuple[Incident, list[Assessment]]:
    """The incident as it stands now, and an assessment of each of its impacts of which something changed."""
    hold, lead = timedelta(seconds=settings.hold_seconds), timedelta(seconds=settings.candidate_lead_seconds)
    ended = case.ended
    confirmed = all(_is_confirmed(case.incident, s, seen) for s, _ in case.impacts)
    if case.incident.state == "open" and not confirmed:
        ended = None
    incident = follow(case.incident, ended, hold, now)
    if incident.state == "closed" and not confirmed:
        incident = case.incident  # nobody saw that the recovery held
    assessments = []
    for service, _ in case.impacts:
        restored_at, hours = case.restored[service.name], None
        if service.web_conference:
            started_at = incident.failure_started_at
            hours = business_hours_of(settings.business_hours, started_at, max(restored_at or now, started_at))
        previous = case.previous.get(service.name)
        news = assess(incident, service, restored_at, told[incident.id, service.name], previous, rulebooks, lead, now, hours)
        assessments.append(news)
    assessments += [end_without_service(last, incident, now) for last in case.gone]
    return incident, [new for new in assessments if new]


def _is_confirmed(incident: Incident, service: Service, seen: dict[str, Seen]) -> bool:
    """Whether nothing speaks against a recovery that the alerts tell of: Prometheus answers, and the equipment works."""
    told = seen.get(service.name)
    if told is None or told.problem:
        return False
    if incident.equipment is None:
        return True
    # equipment whose series told of the failure and is silent now is not known to work
    return told.up.get(incident.equipment, incident.start_basis != "equipment_series")


def _dates(incident: Incident, latest: dict[str, Conclusion], hold: timedelta, lead: timedelta) -> list[datetime]:
    """When something will change though nothing happens: thresholds, the lead before them, the end of the hold."""
    dates = [incident.restored_at + hold] if incident.restored_at else []
    for each in latest.values():
        if each.major_expected_at:
            dates += [each.major_expected_at - lead, each.major_expected_at]
    return dates
