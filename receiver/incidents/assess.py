"""One impact at one instant: users as far as they are known, the verdict of the law, and when it will rise. Pure."""

from datetime import datetime, timedelta
from operator import attrgetter

import msgspec

from receiver.catalogue import Service
from receiver.incidents.count import Told, count
from receiver.law import forecast
from receiver.law.conference import BusinessHours, function_facts
from receiver.law.counting import GROWING, Affected
from receiver.law.estimate import WrongFigure
from receiver.law.explanation import explain_outage
from receiver.law.impairment import Impairment, impairment
from receiver.law.provisions import Flag
from receiver.law.rulebook import Row, Rulebook, rulebook_on
from receiver.law.verdict import (
    Circumstances,
    Effect,
    Judgement,
    Population,
    Verdict,
    judge,
    judge_populations,
    may_fall_under_clause_2,
)
from receiver.model import Assessment, Conclusion, Incident

# what may differ from tick to tick without anyone caring
_IDLE = {"number", "assessed_at", "duration", "margin_seconds"}
_cared_about = attrgetter(*(name for name in Conclusion.__struct_fields__ if name not in {*_IDLE, "affected"}))


def assess(
    incident: Incident,
    service: Service,
    restored_at: datetime | None,
    told: Told,
    previous: Conclusion | None,
    rulebooks: tuple[Rulebook, ...],
    lead: timedelta,
    now: datetime,
    open_hours: BusinessHours | None = None,
) -> Assessment | None:
    """Judge the impact of `incident` on `service`. `restored_at` is when this service recovered, None while it has not.

    None if nothing changed since the previous one that a person would care about: it need not be explained anew. The number is the
    previous one's: the caller numbers what it keeps.
    """
    evidence = told.quality.evidence if told.quality else ()
    seen = None if restored_at else impaired(told)
    affected = count(
        incident,
        service,
        told,
        previous.affected if previous else Affected(),
        now,
        restored_at=restored_at,
        open_hours=open_hours,
    )
    effect = _effect(affected, seen, previous)
    rulebook = rulebook_on(incident.failure_started_at, rulebooks)
    down = _all_traffic_down(told, rulebook, previous, recovered=restored_at is not None)
    circumstances = Circumstances(
        # nobody has said what the cause is: it is judged as a failure, and flagged
        cause="unknown",
        effect=effect,
        facility=service.facility,
        all_traffic_down=down,
        installed_by_the_carrier=service.installed_by_the_carrier,
    )
    new, judgement = _conclude(incident, service, restored_at, affected, circumstances, previous, rulebook, lead, now)
    if previous and not _changed(new, previous):
        return None
    explanation = explain_outage(
        judgement,
        service.facts,
        rulebook,
        new.affected,
        new.failure_started_at,
        new.major_since,
        new.major_expected_at,
        # where nobody measures the quality there is nothing to say of it
        seen if evidence or (seen and seen.effect != "unknown") else None,
        evidence,
        _unsettled(service),
    )
    return Assessment(**msgspec.structs.asdict(new), explanation=explanation)


def _unsettled(service: Service) -> tuple[Flag, ...]:
    if service.web_conference is None:
        return ()
    _, unsure = function_facts(service.web_conference, service.charged, service.monthly_users_previous_fy)
    return (Flag("video_alone", unsure),) if unsure else ()


def impaired(told: Told) -> Impairment | None:
    """What the service suffers now as far as its quality tells; None where nothing was told. Not answered is never normal."""
    quality = told.quality
    if quality is None:
        return None
    try:
        seen = impairment(quality.observed, all_traffic_down=bool(quality.all_traffic_down))
    except WrongFigure:
        return None
    return None if quality.problem and seen.effect == "normal" else seen


def _effect(affected: Affected, seen: Impairment | None, previous: Conclusion | None) -> Effect:
    """All that was seen so far; a quality that is normal now takes nothing back. Nobody having said, it is judged as either."""
    kinds: set[str] = {previous.effect} if previous else set()
    kinds |= {seen.effect} if seen else set()
    if affected.count:
        kinds |= {"stop"} if affected.count.stopped else set()
        kinds |= {"degradation"} if affected.count.degraded else set()
    if "both" in kinds or {"stop", "degradation"} <= kinds:
        return "both"
    return "stop" if "stop" in kinds else "degradation" if "degradation" in kinds else "unknown"


def _judge(
    service: Service, rulebook: Rulebook, duration: timedelta, affected: Affected, circumstances: Circumstances
) -> Judgement:
    known = affected.count
    if known and known.at_most is not None and affected.problem is None:
        stopped, degraded = (Population(users or 0, users or 0, duration) for users in (known.stopped, known.degraded))
        return judge_populations(service.facts, rulebook, duration, stopped, degraded, known.at_most, circumstances)
    return judge(service.facts, rulebook, duration, affected.at_least, affected.at_most, circumstances)


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
    affected: Affected,
    circumstances: Circumstances,
    previous: Conclusion | None,
    rulebook: Rulebook,
    lead: timedelta,
    now: datetime,
) -> tuple[Conclusion, Judgement]:
    started_at = incident.failure_started_at
    duration = max((restored_at or now) - started_at, timedelta())
    at_most = affected.at_most
    judgement = _judge(service, rulebook, duration, affected, circumstances)
    row = rulebook.row_of(service.facts)
    by_clause_2 = _by_clause_2(rulebook, started_at, circumstances)
    major_since = _major_since(row, started_at, duration, affected, previous, by_clause_2 if judgement.by_clause_2 else None)
    expected = None
    if judgement.verdict != Verdict.MAJOR and restored_at is None:
        known = affected.count
        grows = known is not None and known.method in GROWING and affected.problem is None
        by_table = forecast.major_at(row, started_at, at_most, known.at if known and grows else None)
        expected = min((moment for moment in (by_table, by_clause_2) if moment), default=None)
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
        effect=circumstances.effect,
        all_traffic_down=circumstances.all_traffic_down,
    )
    return new, judgement


def _all_traffic_down(told: Told, rulebook: Rulebook, previous: Conclusion | None, *, recovered: bool) -> bool:
    """Whether clause 2 has all communications through the facility down. Once they were for its two hours, that stays."""
    was = previous is not None and previous.all_traffic_down
    if recovered or told.quality is None or told.quality.all_traffic_down is None:
        return was
    fulfilled = was and previous is not None and rulebook.clause_2 is not None and previous.duration >= rulebook.clause_2.duration
    return told.quality.all_traffic_down or fulfilled


def _changed(new: Conclusion, previous: Conclusion) -> bool:
    """Whether something differs that a person would care about."""
    if _cared_about(new) != _cared_about(previous):
        return True
    if new.affected.problem is None and previous.affected.problem is None:
        # all users under the equipment may wobble: while a number is measured, that is not the number
        return new.affected.kept != previous.affected.kept
    return new.affected != previous.affected


def _by_clause_2(rulebook: Rulebook, started_at: datetime, circumstances: Circumstances) -> datetime | None:
    """When clause 2 is fulfilled, if only time is lacking."""
    if rulebook.clause_2 is None or not may_fall_under_clause_2(circumstances):
        return None
    return started_at + rulebook.clause_2.duration


def _major_since(
    row: Row,
    started_at: datetime,
    duration: timedelta,
    affected: Affected,
    previous: Conclusion | None,
    by_clause_2: datetime | None,
) -> datetime | None:
    """When the table was first fulfilled, as soon as it lasted long enough, or as the users of it became so many; or clause 2."""
    if previous and previous.major_since and previous.failure_started_at == started_at:
        return previous.major_since if duration >= previous.major_since - started_at else None
    users, moments = affected.at_least, [by_clause_2] if by_clause_2 else []
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
