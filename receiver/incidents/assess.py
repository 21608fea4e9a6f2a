"""One impact at one instant: users as far as they are known, the verdict of the law, and when it will rise. Pure."""

from datetime import datetime, timedelta
from operator import attrgetter

import msgspec

from receiver.catalogue import Service
from receiver.incidents.count import count
from receiver.law import forecast
from receiver.law.counting import Affected
from receiver.law.explanation import explain_outage
from receiver.law.rulebook import Row, Rulebook, rulebook_on
from receiver.law.verdict import Circumstances, Judgement, Verdict, judge
from receiver.model import Assessment, Conclusion, Incident
from receiver.observation.users import UsersObserved

UNSTATED = Circumstances(cause="unknown", effect="unknown")
"""Nobody has said what the cause is, nor whether it is a stop or a degradation: it is judged as a failure, and flagged."""

# what may differ from tick to tick without anyone caring
_IDLE = {"number", "assessed_at", "duration", "margin_seconds"}
_cared_about = attrgetter(*(name for name in Conclusion.__struct_fields__ if name not in {*_IDLE, "affected"}))


def assess(
    incident: Incident,
    service: Service,
    restored_at: datetime | None,
    observed: UsersObserved,
    previous: Conclusion | None,
    rulebooks: tuple[Rulebook, ...],
    lead: timedelta,
    now: datetime,
) -> Assessment | None:
    """Judge the impact of `incident` on `service`. `restored_at` is when this service recovered, None while it has not.

    None if nothing changed since the previous one that a person would care about: it need not be explained anew. The number is the
    previous one's: the caller numbers what it keeps.
    """
    new, judgement, rulebook = _conclude(incident, service, restored_at, observed, previous, rulebooks, lead, now)
    if previous and not _changed(new, previous):
        return None
    explanation = explain_outage(
        judgement, service.facts, rulebook, new.affected, new.failure_started_at, new.major_since, new.major_expected_at
    )
    return Assessment(**msgspec.structs.asdict(new), explanation=explanation)


def end_without_service(last: Assessment, incident: Incident, now: datetime) -> Assessment | None:
    """The last assessment of an impact whose service is no longer in the catalogue, with the incident's present state and end.

    None if nothing of it changed.
    """
    new = msgspec.structs.replace(
        last, assessed_at=now, state=incident.state, restored_at=last.restored_at or incident.restored_at, major_expected_at=None
    )
    return new if _changed(new, last) else None


def _conclude(
    incident: Incident,
    service: Service,
    restored_at: datetime | None,
    observed: UsersObserved,
    previous: Conclusion | None,
    rulebooks: tuple[Rulebook, ...],
    lead: timedelta,
    now: datetime,
) -> tuple[Conclusion, Judgement, Rulebook]:
    started_at = incident.failure_started_at
    duration = max((restored_at or now) - started_at, timedelta())
    affected = count(incident, service, observed, previous.affected if previous else Affected(), recovered=restored_at is not None)
    rulebook = rulebook_on(started_at, rulebooks)
    facts, at_most = service.facts, affected.at_most
    judgement = judge(facts, rulebook, duration, affected.at_least, at_most, UNSTATED)
    row = rulebook.row_of(facts)
    major_since = _major_since(row, started_at, duration, affected, previous)
    expected = None
    if judgement.verdict != Verdict.MAJOR and restored_at is None:
        expected = forecast.major_at(row, started_at, at_most)
    known = affected.count
    new = Conclusion(
        incident_id=incident.id,
        number=previous.number if previous else 0,
        service=service.name,
        assessed_at=now,
        state=incident.state,
        failure_started_at=started_at,
        restored_at=restored_at,
        duration=duration,
        verdict=judgement.verdict,
        at_least=judgement.at_least,
        at_most=judgement.at_most,
        rulebook=rulebook.id,
        row=row.row,
        condition=judgement.condition,
        margin_seconds=judgement.margin_seconds,
        margin_users=judgement.margin_users,
        affected=affected,
        affected_users=known.users if known else affected.bound,
        method=known.method if known else "unmeasured",
        measured=known is not None,
        major_since=major_since,
        major_expected_at=expected,
        candidate=_is_candidate(judgement.verdict, judgement.at_most, expected, lead, now),
    )
    return new, judgement, rulebook


def _changed(new: Conclusion, previous: Conclusion) -> bool:
    """Whether something differs that a person would care about."""
    if _cared_about(new) != _cared_about(previous):
        return True
    if new.affected.problem is None and previous.affected.problem is None:
        # all users under the equipment may wobble: while a number is measured, that is not the number
        return new.affected.kept != previous.affected.kept
    return new.affected != previous.affected


def _major_since(
    row: Row, started_at: datetime, duration: timedelta, affected: Affected, previous: Conclusion | None
) -> datetime | None:
    """When the table was first fulfilled: as soon as it lasted long enough, or as the users of it became so many."""
    if previous and previous.major_since and previous.failure_started_at == started_at:
        return previous.major_since if duration >= previous.major_since - started_at else None
    users, moments = affected.at_least, []
    for condition in row.conditions:
        if duration >= condition.duration and users >= condition.users:
            moment = started_at + condition.duration
            fewer_before = previous is not None and previous.measured and previous.affected.at_least < condition.users
            if fewer_before and affected.count:
                # no later than now, should the clock of Prometheus be ahead of ours
                moment = min(max(moment, affected.count.at), started_at + duration)
            moments.append(moment)
    return min(moments, default=None)


def _is_candidate(verdict: Verdict, at_most: Verdict, expected: datetime | None, lead: timedelta, now: datetime) -> bool:
    if verdict == Verdict.MAJOR:
        return False
    return at_most == Verdict.MAJOR or (expected is not None and expected - now <= lead)
