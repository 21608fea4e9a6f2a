"""One impact at one instant: users as far as they are known, the verdict of the law, and when it will rise. Pure."""

from datetime import datetime, timedelta

import msgspec

from receiver.catalogue import Service
from receiver.incidents.count import count
from receiver.law import forecast
from receiver.law.counting import Affected
from receiver.law.explanation import explain_outage
from receiver.law.rulebook import Row, Rulebook, rulebook_on
from receiver.law.verdict import Circumstances, Verdict, judge
from receiver.model import Assessment, Incident
from receiver.observation.users import UsersObserved

UNSTATED = Circumstances(cause="unknown", effect="unknown")
"""Nobody has said what the cause is, nor whether it is a stop or a degradation: it is judged as a failure, and flagged."""

# what may differ from tick to tick without anyone caring
_IDLE = {"number", "assessed_at", "duration", "margin_seconds", "explanation"}


def assess(
    incident: Incident,
    service: Service,
    restored_at: datetime | None,
    observed: UsersObserved,
    previous: Assessment | None,
    rulebooks: tuple[Rulebook, ...],
    lead: timedelta,
    now: datetime,
) -> Assessment:
    """Judge the impact of `incident` on `service`. `restored_at` is when this service recovered, None while it has not.

    The number is the previous one's: the caller numbers what it keeps.
    """
    started_at = incident.failure_started_at
    duration = max((restored_at or now) - started_at, timedelta())
    affected = count(incident, service, observed, previous.affected if previous else Affected(), recovered=restored_at is not None)
    rulebook = rulebook_on(started_at, rulebooks)
    row = rulebook.row_of(service.facts)
    judgement = judge(service.facts, rulebook, duration, affected.at_least, affected.at_most, UNSTATED)
    major_since = _major_since(row, started_at, duration, affected, previous)
    expected = None
    if judgement.verdict != Verdict.MAJOR and restored_at is None:
        expected = forecast.major_at(row, started_at, affected.at_most)
    known = affected.count
    return Assessment(
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
        explanation=explain_outage(judgement, service.facts, rulebook, affected, started_at, major_since, expected),
    )


def end_without_service(last: Assessment, incident: Incident, now: datetime) -> Assessment:
    """The last assessment of an impact whose service is no longer in the catalogue, with the incident's present state and end."""
    return msgspec.structs.replace(
        last, assessed_at=now, state=incident.state, restored_at=last.restored_at or incident.restored_at, major_expected_at=None
    )


def changed(new: Assessment, previous: Assessment | None) -> bool:
    """Whether something differs that a person would care about."""
    return previous is None or _cared_about(new) != _cared_about(previous)


def _major_since(
    row: Row, started_at: datetime, duration: timedelta, affected: Affected, previous: Assessment | None
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


def _cared_about(assessment: Assessment) -> dict[str, object]:
    cared_about = {name: value for name, value in msgspec.structs.asdict(assessment).items() if name not in _IDLE}
    if assessment.affected.problem is None:
        # all users under the equipment may wobble: while a number is measured, that is not the number
        cared_about["affected"] = assessment.affected.kept
    return cared_about
