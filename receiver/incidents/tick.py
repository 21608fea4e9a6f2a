"""Every living incident at one instant: find its start, count its users, follow its state, judge it, keep what changed.

The clock matters more than the webhook: an outage becomes major by lasting, with no new alert. Users are counted anew at regular
ticks; between them only that is looked at of which something is news, or whose time has come.
"""

from datetime import date, datetime, timedelta
from functools import partial
from typing import Literal, NamedTuple

import msgspec
import structlog

from receiver.catalogue import Catalogue
from receiver.incidents.ask import FAULTS, Impact, Observer
from receiver.incidents.assess import assess, end_without_service, is_larger_alone, withdraw
from receiver.incidents.cases import Case, Hit, Version, find_end, named
from receiver.incidents.count import Told
from receiver.incidents.derive import derive_again
from receiver.incidents.follow import awaits_a_person, follow
from receiver.incidents.known import Calm, Figures, Known, calm_until, figures_of
from receiver.incidents.learn import learn_topology
from receiver.incidents.starts import find_starts
from receiver.incidents.uncollected import uncollected
from receiver.law.counting import Affected
from receiver.law.rulebook import Rulebook
from receiver.law.verdict import Verdict
from receiver.model import Alert, Assessment, Conclusion, Incident
from receiver.observation import equipment, rule_series
from receiver.observation.comparable_days import Calendar, business_hours_of
from receiver.observation.equipment import Seen
from receiver.observation.prometheus import Prometheus
from receiver.settings import Settings
from receiver.stated import near_miss_of
from receiver.storage import acts, heartbeat
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database

log = structlog.get_logger()

Only = Literal["news or due", "due"]
"""What is judged of the living incidents: those of which something is another than before, or on whose time something hangs."""


class Ticked(msgspec.Struct, frozen=True):
    """The assessments that were appended, and when the next one is due though nothing changes (None: nothing is in sight).

    `living`: of how many incidents, `judged`: how many of them were looked at.
    """

    appended: list[Assessment]
    next_at: datetime | None
    living: int = 0
    judged: int = 0


@uncollected()
def tick(
    database: Database,
    observer: Observer,
    settings: Settings,
    rulebooks: tuple[Rulebook, ...],
    now: datetime,
    known: Known | None = None,
    *,
    only: Only | None = None,
) -> Ticked:
    """Assess the living incidents. Prometheus is asked between two transactions, in none of them.

    `known` is what the tick before left. `only`: not all of them, but those of which something is news or due; or just those due,
    which is found without looking at the others.
    """
    prometheus, catalogue = observer.prometheus, observer.catalogue
    known = known or Known(catalogue, settings)
    hold = timedelta(seconds=settings.hold_seconds)
    prometheus.begin()
    living, cases = _loaded(database, known, now, only)
    if by_hand := {case.incident.id for case in cases if case.incident.to_assess}:
        # a person may have joined, opened or dismissed what belongs together with others, or does not any more
        with database.write() as connection:
            derive_again(connection, catalogue, hold, by_hand, now)
        living, cases = _loaded(database, known, now, only)
    if learn_topology(database, prometheus, catalogue, cases, hold, now):
        known.cases.forget()
        living, cases = _loaded(database, known, now, only)
    if not cases:
        return Ticked([], known.next_at(now), living)
    _disbelieve_deleted_rules(database, cases, prometheus, catalogue, hold, now)
    find_starts(database, cases, prometheus, now)
    seen = equipment.observe(prometheus, catalogue, named([case for case in cases if case.unconfirmed(now)]))
    for case in cases:
        for hit in case.hits:
            believed = case.stated.restored_at or case.was_restored(hit) or _is_confirmed(case.incident, hit, seen)
            hit.restored = hit.ended if believed else None
    days = partial(_accident_days, database, settings.comparable_days.calendar, now)
    away_since = _away_since(database, settings, now)
    told = observer.ask(_impacts_of(cases), days, now, are_all=only is None, away_since=away_since)
    judged: list[_Judged] = []
    # not within the transaction: while that lasts, nothing can be taken in
    for case in cases:
        try:
            figures = figures_of(case, told)
            if only is None and known.is_calm(case, figures, now):
                continue
            incident, assessments = _judge(case, catalogue, told, seen, rulebooks, settings, now)
        except Exception:  # whatever it is: a fault in one incident must not stop the clock of all others
            FAULTS.inc()
            log.exception("left out of this tick by a fault", incident=case.incident.id)
            known.keep(case.incident.id, None, [])
            continue
        number = max((last.number for last in case.previous.values()), default=0)
        numbered = [msgspec.structs.replace(new, number=number + n) for n, new in enumerate(assessments, start=1)]
        judged.append(_Judged(case, incident, numbered, figures))
    stale = _saved(database, [each for each in judged if each.is_news])
    for each in judged:
        dates = _dates(each, timedelta(seconds=settings.candidate_lead_seconds), rulebooks, now)
        figures = each.figures if each.stays_so else None
        calm = Calm(figures, now, calm_until(each.incident, rulebooks, now)) if figures else None
        id_ = each.incident.id
        if id_ in stale:  # its moment may have come, and is still to be looked at
            known.keep(id_, None, [now, *dates])
        else:
            known.keep(id_, each.version, dates, calm)
    appended = [new for each in judged if each.incident.id not in stale for new in each.assessments]
    return Ticked(appended, known.next_at(now), living, len(cases))


def _loaded(database: Database, known: Known, now: datetime, only: Only | None) -> tuple[int, list[Case]]:
    """How many incidents live, and those to be judged."""
    if only == "due":
        return known.living(), known.cases.load(database, known.at_its_time(now))
    cases = known.cases.load(database)
    known.keep_living(cases)
    return len(cases), [case for case in cases if known.is_due(case, now)] if only else cases


class _Judged(NamedTuple):
    """An incident as it stands now, the new assessments of it, and by which figures, if these alone make it."""

    case: Case
    incident: Incident
    assessments: list[Assessment]
    figures: Figures | None

    @property
    def is_news(self) -> bool:
        return bool(self.assessments) or self.incident != self.case.version.incident

    @property
    def stays_so(self) -> bool:
        """Whether the same figures would make no news of it at the next tick."""
        if self.incident != self.case.version.incident:
            return False
        return all(is_larger_alone(new, self.case.previous.get(new.service)) for new in self.assessments)

    @property
    def version(self) -> Version:
        """As it is once that is kept."""
        was = self.case.version
        number = self.assessments[-1].number if self.assessments else was.number
        return was._replace(incident=self.incident, number=number)


def _saved(database: Database, news: list[_Judged]) -> set[str]:
    """Keep what is news; the ids of those of which it was not kept, as others changed them while Prometheus was asked.

    Of an outage that goes on it is kept where more was heard of its alerts alone: in a storm that is so at each tick, and its clock
    must not stop. It is looked at again for that, which of one that is over nobody would do.
    """
    if not news:
        return set()
    with database.write() as connection:
        heard_of, changed = _changed_since(connection, [each.case.version for each in news])
        going_on = {each.incident.id for each in news if each.incident.state == "open"}
        stale = changed | (heard_of - going_on)
        kept = [each for each in news if each.incident.id not in stale]
        store.append(connection, *(new for each in kept for new in each.assessments))
        store.save(connection, *(each.incident for each in kept if each.incident != each.case.version.incident))
    return stale


def _changed_since(connection: Connection, judged: list[Version]) -> tuple[set[str], set[str]]:
    """The incidents of whose alerts something else is known by now than this; and those that are others, or were judged or acted
    on.
    """
    ids = [version.incident.id for version in judged]
    there, told, acted = store.named(connection, ids), store.digests(connection, ids), acts.last(connection, ids)
    numbers = store.last_numbers(connection, ids)
    heard_of = {was.incident.id for was in judged if told.get(was.incident.id, 0) != was.told}
    now = {id_: (there.get(id_), numbers.get(id_, 0), acted.get(id_, 0)) for id_ in ids}
    return heard_of, {was.incident.id for was in judged if now[was.incident.id] != (was.incident, was.number, was.act)}


def _disbelieve_deleted_rules(
    database: Database, cases: list[Case], prometheus: Prometheus, catalogue: Catalogue, hold: timedelta, now: datetime
) -> None:
    """Alertmanager says "resolved", too, of an alert whose rule was deleted: that end is none, and nobody tells of it any more."""
    told_over = [case for case in cases if case.ended and case.incident.state == "open" and not case.stated.restored_at]
    deleted = rule_series.deleted_rules(prometheus, (alert for case in told_over for alert in case.alerts))
    disbelieved: dict[str, Case] = {}
    for case in told_over:
        if any(alert.source == "alertmanager" and alert.name in deleted for alert in case.alerts):
            disbelieved[case.incident.id] = case
            case.alerts = [_without_end(alert, now) if alert.name in deleted else alert for alert in case.alerts]
            for hit in case.hits:
                hit.alerts = [_without_end(alert, now) if alert.name in deleted else alert for alert in hit.alerts]
            find_end(case, catalogue, hold)
            since = case.incident.unwatched_since or now
            case.incident = msgspec.structs.replace(case.incident, unwatched_since=since)
    if disbelieved:
        with database.write() as connection:
            told = store.digests(connection, disbelieved)
            # what others have heard of them meanwhile is newer
            same = [id_ for id_, case in disbelieved.items() if told.get(id_) == case.version.told]
            there = store.alerts_of(connection, same)
            without = [_without_end(alert, now) for id_ in same for alert in there[id_] if alert.name in deleted]
            store.save_alerts(connection, without)
            for id_, digest in store.digests(connection, same).items():
                disbelieved[id_].version = disbelieved[id_].version._replace(told=digest)


def _without_end(alert: Alert, now: datetime) -> Alert:
    return msgspec.structs.replace(alert, ends_at=None, resolved_at=None, fired_at=now)


def _impacts_of(cases: list[Case]) -> list[Impact]:
    return [_impact_of(case, hit) for case in cases for hit in case.hits]


def _impact_of(case: Case, hit: Hit) -> Impact:
    last = case.previous.get(hit.service.name)
    affected, is_major = (last.affected, last.verdict == Verdict.MAJOR) if last else (Affected(), False)
    return Impact(case.incident, hit.service, hit.restored, affected, hit.units, is_major)


def _away_since(database: Database, settings: Settings, now: datetime) -> datetime | None:
    """When users were last measured by anybody, if ticks were left out since."""
    with database.read() as connection:
        last = heartbeat.last(connection, "tick")
    return last if last and now - last > timedelta(seconds=2 * settings.tick_seconds) else None


def _accident_days(database: Database, calendar: Calendar, now: datetime) -> dict[str | None, set[date]]:
    """The days in Japan on which equipment was failing, as far back as days are compared."""
    since = now - timedelta(weeks=calendar.weeks, days=1)
    with database.read() as connection:
        return store.failing_days(connection, since, now)


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


def _dates(judged: _Judged, lead: timedelta, rulebooks: tuple[Rulebook, ...], now: datetime) -> list[datetime]:
    """When something will change though nothing happens: thresholds, the lead before them, the end of the hold, planned work."""
    case = judged.case
    latest: dict[str, Conclusion] = case.previous | {new.service: new for new in judged.assessments}
    planned = case.stated.planned
    dates = [case.held_at, case.stated.plan_ends_at, planned.since if planned else None]
    for each in latest.values():
        if each.major_expected_at:
            dates += [each.major_expected_at - lead, each.major_expected_at]
        if each.all_traffic_down_since:
            # of what is expected only the first moment is told: that by the table may hide this one
            dates += [each.all_traffic_down_since + book.clause_2.duration for book in rulebooks if book.clause_2]
    return [date for date in dates if date and date > now]
