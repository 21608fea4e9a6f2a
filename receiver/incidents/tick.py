"""Every living incident at one instant: find its start, count its users, follow its state, judge it, keep what changed.

The clock matters more than the webhook: an outage becomes major by lasting, with no new alert.
"""

import gc
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial

import msgspec
import structlog

from receiver.catalogue import Catalogue
from receiver.incidents import correlate
from receiver.incidents.ask import FAULTS, Impact, Observer
from receiver.incidents.assess import assess, end_without_service, withdraw
from receiver.incidents.cases import Case, Hit, find_end, load, named
from receiver.incidents.count import Told
from receiver.incidents.derive import derive_again
from receiver.incidents.follow import awaits_a_person, follow
from receiver.incidents.learn import learn_topology
from receiver.incidents.starts import find_starts
from receiver.law.counting import Affected
from receiver.law.provisions import in_japan
from receiver.law.rulebook import Rulebook
from receiver.law.verdict import Verdict
from receiver.model import Alert, Assessment, Conclusion, Incident
from receiver.observation import equipment, rule_series
from receiver.observation.comparable_days import Calendar, business_hours_of
from receiver.observation.equipment import Seen
from receiver.observation.prometheus import Prometheus
from receiver.settings import Settings
from receiver.stated import near_miss_of
from receiver.storage import acts
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database

log = structlog.get_logger()


class Ticked(msgspec.Struct, frozen=True):
    """The assessments that were appended, and when the next one is due though nothing changes (None: nothing is in sight)."""

    appended: list[Assessment]
    next_at: datetime | None


@contextmanager
def _uncollected() -> Iterator[None]:
    """A tick makes objects by the hundred thousand that live until its end, none in a cycle: to look through them again and again
    takes the garbage collector a fifth of its time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_uncollected()
def tick(
    database: Database,
    observer: Observer,
    settings: Settings,
    rulebooks: tuple[Rulebook, ...],
    now: datetime,
) -> Ticked:
    """Assess all living incidents. Prometheus is asked between two transactions, in none of them."""
    prometheus, catalogue = observer.prometheus, observer.catalogue
    cases = load(database, catalogue)
    if not cases:
        return Ticked([], None)
    hold, lead = timedelta(seconds=settings.hold_seconds), timedelta(seconds=settings.candidate_lead_seconds)
    prometheus.begin()
    if by_hand := {case.incident.id for case in cases if case.incident.to_assess}:
        # a person may have joined, opened or dismissed what belongs together with others, or does not any more
        with database.write() as connection:
            derive_again(connection, catalogue, hold, by_hand, now)
        cases = load(database, catalogue)
    if learn_topology(database, prometheus, catalogue, cases, hold, now):
        cases = load(database, catalogue)
    before = [case.incident for case in cases]
    for case in cases:
        find_end(case, catalogue, hold)
    _disbelieve_deleted_rules(database, cases, prometheus, catalogue, hold, now)
    find_starts(cases, prometheus, now)
    seen = equipment.observe(prometheus, catalogue, named([case for case in cases if case.unconfirmed(now)]))
    for case in cases:
        for hit in case.hits:
            believed = case.stated.restored_at or case.was_restored(hit) or _is_confirmed(case.incident, hit, seen)
            hit.restored = hit.ended if believed else None
    days = partial(_accident_days, database, settings.comparable_days.calendar, now)
    told = observer.ask(_impacts_of(cases), days, now)

    appended: list[Assessment] = []
    saved: list[Incident] = []
    due: list[datetime] = []
    # not within the transaction: while that lasts, nothing can be taken in
    for case, was in zip(cases, before, strict=True):
        try:
            incident, assessments = _judge(case, catalogue, told, seen, rulebooks, settings, now)
        except Exception:  # whatever it is: a fault in one incident must not stop the clock of all others
            FAULTS.inc()
            log.exception("left out of this tick by a fault", incident=was.id)
            continue
        due += _dates(case, case.previous | {new.service: new for new in assessments}, lead)
        number = max((last.number for last in case.previous.values()), default=0)
        appended += [msgspec.structs.replace(new, number=number + n) for n, new in enumerate(assessments, start=1)]
        if incident != was:
            saved.append(incident)
    if appended or saved:
        with database.write() as connection:
            news = {each.incident_id for each in appended} | {incident.id for incident in saved}
            stale = _changed_since(connection, [(case, was) for case, was in zip(cases, before, strict=True) if was.id in news])
            appended = [each for each in appended if each.incident_id not in stale]
            store.append(connection, *appended)
            store.save(connection, *(incident for incident in saved if incident.id not in stale))
    return Ticked(appended, min((moment for moment in due if moment > now), default=None))


def _changed_since(connection: Connection, judged: list[tuple[Case, Incident]]) -> set[str]:
    """The incidents that others changed while Prometheus was asked: what is known of them here is past."""
    there = store.named(connection, (was.id for _, was in judged))
    alerts = store.alerts_of(connection, there)
    said = acts.of_incidents(connection, there)
    return {
        was.id
        for case, was in judged
        if there.get(was.id) != was
        or alerts[was.id] != case.alerts
        or any(act.id > (case.stated.last or 0) for act in said.get(was.id, ()))
    }


def _disbelieve_deleted_rules(
    database: Database, cases: list[Case], prometheus: Prometheus, catalogue: Catalogue, hold: timedelta, now: datetime
) -> None:
    """Alertmanager says "resolved", too, of an alert whose rule was deleted: that end is none, and nobody tells of it any more."""
    told_over = [case for case in cases if case.ended and case.incident.state == "open" and not case.stated.restored_at]
    deleted = rule_series.deleted_rules(prometheus, (alert for case in told_over for alert in case.alerts))
    seen: dict[correlate.Key, Alert] = {}
    for case in told_over:
        if any(alert.source == "alertmanager" and alert.name in deleted for alert in case.alerts):
            its = [_without_end(alert, now) if alert.name in deleted else alert for alert in case.alerts]
            seen |= {correlate.order_of(alert): alert for alert in case.alerts}
            case.alerts = its
            for hit in case.hits:
                hit.alerts = [_without_end(alert, now) if alert.name in deleted else alert for alert in hit.alerts]
            find_end(case, catalogue, hold)
            since = case.incident.unwatched_since or now
            case.incident = msgspec.structs.replace(case.incident, unwatched_since=since)
    if seen:
        with database.write() as connection:
            there = store.alerts_of(connection, {alert.incident_id for alert in seen.values() if alert.incident_id})
            # what others have heard of them meanwhile is newer
            same = [each for its in there.values() for each in its if each == seen.get(correlate.order_of(each))]
            store.save_alerts(connection, [_without_end(alert, now) for alert in same if alert.name in deleted])


def _without_end(alert: Alert, now: datetime) -> Alert:
    return msgspec.structs.replace(alert, ends_at=None, resolved_at=None, fired_at=now)


def _impacts_of(cases: list[Case]) -> list[Impact]:
    return [_impact_of(case, hit) for case in cases for hit in case.hits]


def _impact_of(case: Case, hit: Hit) -> Impact:
    last = case.previous.get(hit.service.name)
    affected, is_major = (last.affected, last.verdict == Verdict.MAJOR) if last else (Affected(), False)
    return Impact(case.incident, hit.service, hit.restored, affected, hit.units, is_major)


def _accident_days(database: Database, calendar: Calendar, now: datetime) -> dict[str | None, set[date]]:
    """The days in Japan on which equipment was failing, as far back as days are compared."""
    since = now - timedelta(weeks=calendar.weeks, days=1)
    days: dict[str | None, set[date]] = defaultdict(set)
    with database.read() as connection:
        for incident in store.failing_since(connection, since):
            first = in_japan(max(incident.failure_started_at, since), "start").date()
            last = in_japan(incident.restored_at or now, "now").date()
            its = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
            for unit in incident.units or (incident.equipment,):
                days[unit].update(its)
    return days


def _judge(
    case: Case,
    catalogue: Catalogue,
    told: dict[tuple[str, str], Told],
    seen: dict[str, Seen],
    rulebooks: tuple[Rulebook, ...],
    settings: Settings,
    now: datetime,
) -> tuple[Incident, list[Assessment]]:
    """The incident as it stands now, and an assessment of each of its impacts of which something changed."""
    settled = msgspec.structs.replace(case.incident, to_assess=False)
    if case.is_over:
        return settled, [new for last in case.gone if (new := end_without_service(last, settled, now, case.stated))]
    incident = _followed(case, settled, seen, now)
    assessments = _assessments(case, catalogue, incident, told, rulebooks, settings, now)
    if incident.state != "open":
        incident = msgspec.structs.replace(incident, unwatched_since=None)  # a recovery is believed of those who watch
    if incident.state == "restored":
        latest = case.previous | {new.service: new for new in assessments}
        near = near_miss_of(case.stated, incident.failure_started_at)
        if case.stated.is_closed or case.stated.drill or not awaits_a_person([*latest.values(), *([near] if near else [])]):
            incident = msgspec.structs.replace(incident, state="closed", closed_at=incident.closed_at or now)
            assessments = _assessments(case, catalogue, incident, told, rulebooks, settings, now)
    return incident, assessments


def _followed(case: Case, incident: Incident, seen: dict[str, Seen], now: datetime) -> Incident:
    ended = case.ended
    confirmed = case.stated.restored_at is not None or all(_is_confirmed(incident, hit, seen) for hit in case.hits)
    if incident.state == "open" and not confirmed:
        ended = None
    followed = follow(incident, ended, case.held_at, now)
    if followed.state == "restored" and incident.state == "recovering" and not confirmed:
        return incident  # nobody saw that the recovery held
    return followed


def _assessments(
    case: Case,
    catalogue: Catalogue,
    incident: Incident,
    told: dict[tuple[str, str], Told],
    rulebooks: tuple[Rulebook, ...],
    settings: Settings,
    now: datetime,
) -> list[Assessment]:
    lead = timedelta(seconds=settings.candidate_lead_seconds)
    assessments = []
    for hit in case.hits:
        service, hours = hit.service, None
        if service.web_conference:
            started_at = incident.failure_started_at
            hours = business_hours_of(settings.business_hours, started_at, max(hit.restored or now, started_at))
        previous = case.previous.get(service.name)
        news = assess(
            incident, service, hit.restored, told[incident.id, service.name], previous, rulebooks, lead, now, hours, case.stated
        )
        assessments.append(news)
    for last in case.gone:
        is_known = last.service in catalogue.by_name
        assessments.append(withdraw(last, incident, now) if is_known else end_without_service(last, incident, now, case.stated))
    return [new for new in assessments if new]


def _is_confirmed(incident: Incident, hit: Hit, seen: dict[str, Seen]) -> bool:
    """Whether nothing speaks against a recovery that the alerts tell of: Prometheus answers, and the equipment works."""
    told = seen.get(hit.service.name)
    if told is None or told.problem:
        return False
    # equipment whose series told of the failure and is silent now is not known to work
    silent = incident.start_basis != "equipment_series"
    return all(told.up.get(name, silent or name not in hit.units) for name in hit.named)


def _dates(case: Case, latest: dict[str, Conclusion], lead: timedelta) -> list[datetime]:
    """When something will change though nothing happens: thresholds, the lead before them, the end of the hold, of planned work."""
    dates = [date for date in (case.held_at, case.stated.plan_ends_at) if date]
    for each in latest.values():
        if each.major_expected_at:
            dates += [each.major_expected_at - lead, each.major_expected_at]
    return dates
