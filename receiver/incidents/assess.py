"""One impact at one instant: users as far as they are known, the verdict of the law, and when it will rise. Pure."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

import msgspec

from receiver.catalogue import Service
from receiver.incidents.cause import judged_cause
from receiver.incidents.count import SHORT_GAP, Told, count, leaves_out_equipment
from receiver.incidents.outlook import moved, outlook
from receiver.law import causes, forecast
from receiver.law.conference import BusinessHours, function_facts
from receiver.law.counting import GROWING, Affected, Count
from receiver.law.estimate import WrongFigure
from receiver.law.explanation import explain_outage, suffered
from receiver.law.impairment import Impairment, impairment
from receiver.law.provisions import Flag, Text
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
from receiver.law.wording import JOINED_LATER, clock_time, problem
from receiver.model import Assessment, Conclusion, Incident
from receiver.stated import Stated

# what may differ from tick to tick without anyone caring
_IDLE = {"number", "assessed_at", "duration", "margin_seconds", "quality", "affected_users", "units"}
_IDLE |= {"users_per_hour", "major_on_trend_at", "major_earliest_at", "major_latest_at"}  # see `outlook.moved`
_cared_about = attrgetter(*(name for name in Conclusion.__struct_fields__ if name not in {*_IDLE, "affected"}))
_but_for_users = attrgetter(*(name for name in Conclusion.__struct_fields__ if name not in {*_IDLE, "affected", "margin_users"}))


class _Down(NamedTuple):
    """Since when all communications through the facility have been impossible (None: they are not), and until when that is known.

    `until` without `since` is when traffic was seen to flow.
    """

    since: datetime | None = None
    until: datetime | None = None


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
    stated: Stated = Stated(),  # noqa: B008 - frozen
) -> Assessment | None:
    """Judge the impact of `incident` on `service`. `restored_at` is when this service recovered, None while it has not.
    The times of the incident are those that stand: where persons stated others than were found, theirs.

    None if nothing changed since the previous one that a person would care about: it need not be explained anew. The number is the
    previous one's: the caller numbers what it keeps.
    """
    seen, quality = _quality(told, previous, recovered=restored_at is not None)
    affected = count(
        incident,
        service,
        told,
        _known_before(previous, restored_at, told.units, now),
        now,
        restored_at=restored_at,
        open_hours=open_hours,
        emergency_calls=stated.emergency_calls.get(service.name),
    )
    affected = msgspec.structs.replace(affected, stated=_stated_count(stated, service))
    effect = _effect(affected, seen, previous)
    rulebook = rulebook_on(incident.failure_started_at, rulebooks)
    started_at = incident.failure_started_at
    down = _all_traffic_down(service, told, rulebook, previous, started_at, restored_at, now)
    kind, plan_ends_at = judged_cause(stated, started_at, restored_at, now)
    rule = causes.cause(kind) if kind else None
    circumstances = Circumstances(
        # where nobody has said what the cause is, it is judged as a failure, and flagged
        cause=rule.cause if rule else "unknown",
        effect=effect,
        facility=service.facility,
        all_traffic_down=down.since is not None,
        installed_by_the_carrier=service.installed_by_the_carrier,
        all_traffic_down_for=(down.until or restored_at or now) - down.since if down.since else None,
    )
    trend = None if affected.stated else told.trend  # a number that a person stated does not grow by itself
    ahead = None if restored_at else outlook(service, rulebook, affected, circumstances, trend, started_at, now)
    new, judgement = _conclude(incident, service, restored_at, affected, circumstances, down, previous, rulebook, lead, now, ahead)
    units = tuple(unit for unit in told.units if unit is not None)
    new = msgspec.structs.replace(_as_stated(new, incident, stated, rule, plan_ends_at), quality=quality, units=units)
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
        new.quality,
        seen,
        (*_unsettled(service, new.affected), *_at_odds(incident, stated)),
        rule,
        plan_ends_at if kind == "planned_work_within_plan" and restored_at is None else None,
        stated.about(service.name),
        forecast.in_words(ahead) if ahead and new.major_on_trend_at else None,
    )
    return Assessment(**msgspec.structs.asdict(new), explanation=explanation)


def _stated_count(stated: Stated, service: Service) -> Count | None:
    """The number of users that a person stated; who, when and why is told beside it."""
    said = stated.users.get(service.name)
    if said is None:
        return None
    at = stated.by["users", service.name].at
    return Count(said.users, "stated", "", at, stopped=said.stopped, degraded=said.degraded)


def _as_stated(
    new: Conclusion, incident: Incident, stated: Stated, rule: causes.CauseRule | None, plan_ends_at: datetime | None
) -> Conclusion:
    """Nobody is called for what is no accident by a person's word; and planned work is none before its plan is over."""
    new = msgspec.structs.replace(new, acts_up_to=stated.last)
    if rule and rule.cause in ("no_failure", "non_telecom_equipment_failure"):
        # by that cause no time and no number of users makes it major
        new = msgspec.structs.replace(new, candidate=False, major_expected_at=None)
    if stated.drill or incident.dismissed or incident.joined_to:
        new = msgspec.structs.replace(new, candidate=False)
    planned = stated.planned
    began_in_plan = planned and planned.since <= new.failure_started_at  # else the plan says nothing of what was before it
    if new.major_since and rule and rule.id == "planned_work_overrun" and plan_ends_at and began_in_plan:
        new = msgspec.structs.replace(new, major_since=max(new.major_since, plan_ends_at))
    return new


def _quality(told: Told, previous: Conclusion | None, *, recovered: bool) -> tuple[Impairment | None, tuple[Text, ...]]:
    """What the service suffers now, and what that rests on; of what is over, or not known any more, what was told last."""
    seen, evidence = None if recovered else impaired(told), told.quality.evidence if told.quality else ()
    # where nobody measures the quality there is nothing to say of it
    if seen and (evidence or seen.effect != "unknown"):
        return seen, (suffered(seen), *evidence)
    return None, previous.quality if previous else ()


def _known_before(
    previous: Conclusion | None, restored_at: datetime | None, units: Iterable[str | None], now: datetime
) -> Affected:
    """What was known of the users. That they could not be measured in the last minutes before a recovery is no gap in it.

    It is a floor, and no upper bound, once more equipment belongs to it.
    """
    if previous is None:
        return Affected()
    # what a person stated is no measurement: it is taken from the acts again
    known = msgspec.structs.replace(previous.affected, stated=None)
    since = known.unmeasured_since
    if previous.units and _joined(units, previous):
        return msgspec.structs.replace(known, bound=None, problem=JOINED_LATER, unmeasured_since=since or now)
    if leaves_out_equipment(known.problem):
        return known
    if restored_at and previous.restored_at is None and previous.measured and since and restored_at - since <= SHORT_GAP:
        return msgspec.structs.replace(known, problem=None, unmeasured_since=None)
    return known


def _joined(units: Iterable[str | None], previous: Conclusion) -> set[str]:
    """The equipment that was not among that of the previous conclusion."""
    return {unit for unit in units if unit is not None}.difference(previous.units)


def _unsettled(service: Service, affected: Affected) -> tuple[Flag, ...]:
    left_out = affected.problem if leaves_out_equipment(affected.problem) and not affected.stated else None
    some: tuple[Flag, ...] = ()
    if left_out and affected.kept:
        why = problem(left_out)
        some = (Flag("equipment_not_counted", Text(f"{why.ja}。利用者数は下限", f"{why.en}. The number of users is a floor")),)
    if service.web_conference is None:
        return some
    _, unsure = function_facts(service.web_conference, service.charged, service.monthly_users_previous_fy)
    return (*some, Flag("video_alone", unsure)) if unsure else some


def _at_odds(incident: Incident, stated: Stated) -> tuple[Flag, ...]:
    """Where the start that a person stated and what was measured cannot both be so."""
    if not stated.started_at or not incident.good_at or incident.good_at <= stated.started_at:
        return ()
    began, good = clock_time(stated.started_at), clock_time(incident.good_at)
    return (
        Flag(
            "good_after_stated_start",
            Text(
                f"申告された発生（{began}）の後に正常の計測がある（{good}）。どちらが正しいか要確認",
                f"It was seen working at {good}, after the stated start at {began}: a person checks which is so",
            ),
        ),
    )


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
    kinds = (known.stopped or 0, known.degraded or 0) if known and affected.problem is None else (0, 0)
    if known and known.at_most is not None and known.users == max(kinds) and known.at_most <= sum(kinds):
        stopped, degraded = (Population(users, users, duration) for users in kinds)
        return judge_populations(service.facts, rulebook, duration, stopped, degraded, known.at_most, circumstances)
    return judge(service.facts, rulebook, duration, affected.at_least, affected.at_most, circumstances)


def withdraw(last: Assessment, incident: Incident, now: datetime) -> Assessment | None:
    """The last word on a service that this incident does not hit by what is known now: another one does. None if it was said."""
    none = Verdict.NONE
    new = msgspec.structs.replace(
        last,
        assessed_at=now,
        state=incident.state,
        verdict=none,
        at_least=none,
        at_most=none,
        candidate=False,
        major_since=None,
        major_expected_at=None,
        users_per_hour=None,
        major_on_trend_at=None,
        major_earliest_at=None,
        major_latest_at=None,
        withdrawn=True,
    )
    return new if _changed(new, last) else None


def end_without_service(
    last: Assessment,
    incident: Incident,
    now: datetime,
    stated: Stated = Stated(),  # noqa: B008 - frozen
) -> Assessment | None:
    """The last assessment of an impact whose service is no longer in the catalogue, with the incident's present state and end.

    None if nothing of it changed.
    """
    new = msgspec.structs.replace(
        last,
        assessed_at=now,
        state=incident.state,
        restored_at=last.restored_at or incident.restored_at,
        major_expected_at=None,
        users_per_hour=None,
        major_on_trend_at=None,
        major_earliest_at=None,
        major_latest_at=None,
        candidate=last.candidate and not (stated.drill or incident.dismissed or incident.joined_to),
        acts_up_to=stated.last,
    )
    return new if _changed(new, last) else None


def _conclude(
    incident: Incident,
    service: Service,
    restored_at: datetime | None,
    affected: Affected,
    circumstances: Circumstances,
    down: _Down,
    previous: Conclusion | None,
    rulebook: Rulebook,
    lead: timedelta,
    now: datetime,
    ahead: forecast.Forecast | None,
) -> tuple[Conclusion, Judgement]:
    started_at = incident.failure_started_at
    duration = max((restored_at or now) - started_at, timedelta())
    at_most = affected.at_most
    judgement = _judge(service, rulebook, duration, affected, circumstances)
    row = rulebook.row_of(service.facts)
    by_clause_2 = _by_clause_2(rulebook, circumstances, down)
    if by_clause_2 and by_clause_2 <= now and judgement.at_most != Verdict.MAJOR:
        # whether it went on is not known
        judgement = msgspec.structs.replace(judgement, verdict=Verdict.INDETERMINATE, at_most=Verdict.MAJOR)
    major_since = None
    if judgement.at_least == Verdict.MAJOR:
        major_since = _major_since(row, started_at, duration, affected, previous, by_clause_2 if judgement.by_clause_2 else None)
    expected = None
    if judgement.verdict != Verdict.MAJOR and restored_at is None:
        known = affected.count
        grows = known is not None and known.method in GROWING and affected.problem is None
        by_table = forecast.major_at(row, started_at, at_most, known.at if known and grows else None)
        expected = min((moment for moment in (by_table, by_clause_2) if moment), default=None)
    grown = ahead.major if ahead and judgement.verdict != Verdict.MAJOR else None
    on_trend, earliest, latest = map(_utc, (grown.on_trend, grown.earliest, grown.latest) if grown else (None, None, None))
    soonest = min((moment for moment in (expected, on_trend) if moment), default=None)
    known = affected.count
    by_another_reading = (
        judgement.verdict != Verdict.MAJOR
        and known is not None
        and _is_major_by_another_reading(known, service, rulebook, judgement)
    )
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
        candidate=_is_candidate(judgement.verdict, judgement.at_most, soonest, lead, now) or by_another_reading,
        effect=circumstances.effect,
        all_traffic_down_since=down.since,
        all_traffic_down_until=down.until,
        users_per_hour=ahead.users_per_hour if ahead and grown else None,
        major_on_trend_at=on_trend,
        major_earliest_at=earliest,
        major_latest_at=latest,
    )
    return new, judgement


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(UTC)


def _all_traffic_down(
    service: Service,
    told: Told,
    rulebook: Rulebook,
    previous: Conclusion | None,
    started_at: datetime,
    ended_at: datetime | None,
    now: datetime,
) -> _Down:
    """What is known of it at this instant. Once it was so for the two hours of clause 2, that stays."""
    was = _Down(previous.all_traffic_down_since, previous.all_traffic_down_until) if previous else _Down()
    if service.facility is None:
        return _Down()
    down = told.quality.all_traffic_down if told.quality and ended_at is None else None
    if down:
        # never seen to flow since the failure, it was down from then on
        return _Down(was.since or (started_at if was.until is None else now))
    # not known any more: since it was last told, and that may be long ago
    told_last = previous.assessed_at if previous and down is None else now
    until = was.until or ended_at or told_last
    if down is False and was.since and not (rulebook.clause_2 and until - was.since >= rulebook.clause_2.duration):
        return _Down(None, now)
    return _Down(was.since, until) if was.since or down is False else was


def _changed(new: Conclusion, previous: Conclusion) -> bool:
    """Whether something differs that a person would care about."""
    if _cared_about(new) != _cared_about(previous) or moved(new, previous) or _joined(new.units, previous):
        return True
    was, is_ = previous.affected, new.affected
    if is_.kept != was.kept or _kind(is_.problem) != _kind(was.problem):
        return True
    # all users under the equipment may wobble: while a number is measured, that is not the number
    return is_.problem is not None and _differ(is_.bound, was.bound)


def is_larger_alone(new: Conclusion, previous: Conclusion | None) -> bool:
    """Whether nothing is new but a number of users that was measured, of the same equipment: the same figures make the same then.

    Of what is kept the largest stays, however often it is counted; all else may hang on what was said before.
    """
    if previous is None or previous.affected.problem or new.affected.problem or new.units != previous.units:
        return False
    return _but_for_users(new) == _but_for_users(previous)


def _kind(problem: str | None) -> str | None:
    """A problem without its numbers: they may be others at each tick. Those in names of equipment are not."""
    return problem if leaves_out_equipment(problem) else problem and re.sub(r"\d+", "", problem)


def _differ(one: int | None, other: int | None) -> bool:
    """Whether two bounds differ by more than a hundredth."""
    return one != other if one is None or other is None else abs(one - other) * 100 > max(one, other)


def _is_major_by_another_reading(known: Count, service: Service, rulebook: Rulebook, judged: Judgement) -> bool:
    """Where the rule of the method can be read in another way: a person decides which, and must be asked in time."""
    users = max((other.users for other in known.other_readings), default=0)
    if users <= judged.users_at_least:
        return False
    return judge(service.facts, rulebook, judged.duration, users, users, judged.circumstances).verdict == Verdict.MAJOR


def _by_clause_2(rulebook: Rulebook, circumstances: Circumstances, down: _Down) -> datetime | None:
    """When clause 2 is fulfilled, if only time is lacking."""
    if rulebook.clause_2 is None or down.since is None or not may_fall_under_clause_2(circumstances):
        return None
    return down.since + rulebook.clause_2.duration


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
    at_least_before = previous.affected.at_least if previous and previous.measured else None
    users, moments = affected.at_least, [by_clause_2] if by_clause_2 else []
    for condition in row.conditions:
        if duration >= condition.duration and users >= condition.users:
            moment = started_at + condition.duration
            known = affected.count
            if known and known.method in GROWING:
                # from nobody at the failure to so many then
                moment = max(moment, started_at + (known.at - started_at) * condition.users / known.users)
            elif known and known.method != "stated" and at_least_before is not None and at_least_before < condition.users:
                # no later than now, should the clock of Prometheus be ahead of ours
                moment = min(max(moment, known.at), started_at + duration)
            moments.append(moment)
    return min(moments, default=None)


def _is_candidate(verdict: Verdict, at_most: Verdict, expected: datetime | None, lead: timedelta, now: datetime) -> bool:
    if verdict == Verdict.MAJOR:
        return False
    return at_most == Verdict.MAJOR or (expected is not None and expected - now <= lead)
