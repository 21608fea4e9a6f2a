"""The users of one impact at one instant by the law's methods, from what Prometheus said. Pure.

Which method counts, and why none before it, is the business of `law.fallback`; here is said what is known to it. Not configured and
not answered are two things: without a finer method the coarser one is a definite count; where a query failed, what is left is a
bound and never becomes the number.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction
from statistics import median
from typing import NamedTuple

import msgspec

from receiver.catalogue import Service
from receiver.catalogue.inputs import NEEDS, REFINED_BY
from receiver.law import fallback
from receiver.law.conference import BusinessHours, Meetings, business_hours
from receiver.law.counting import EMERGENCY, GROWING, Affected, Count, keep_largest
from receiver.law.counting import METHODS as METHODS_IN_ORDER
from receiver.law.estimate import Estimate, Method, WrongFigure, exact
from receiver.law.fallback import Choice, PassedOver
from receiver.law.forecast import Trend
from receiver.law.methods import Traffic
from receiver.law.provisions import Text
from receiver.law.wording import (
    GONE,
    JOINED_LATER,
    METHODS,
    NO_SERIES,
    NO_SERIES_OF,
    NOBODY_LOOKED,
    RECOVERED_FIRST,
    clock_time,
)
from receiver.model import Incident
from receiver.observation.equipment_tree import shown_text
from receiver.observation.history import SLOT, History
from receiver.observation.quality import Quality
from receiver.observation.topology import Found
from receiver.observation.users import Reading, UsersObserved
from receiver.observation.users_past import Past

_BY_SIZE: tuple[Method, ...] = ("all_under_equipment", "emergency_all_under_equipment", "host_entitled_accounts")
"""They count what is known of the equipment at any time."""

_USERS_UNDER: tuple[Method, ...] = (*_BY_SIZE, "emergency_call_loss")
_USES_UNDER: tuple[Method, ...] = (*_USERS_UNDER, "traffic_difference")

LATE = timedelta(minutes=15)
"""A finer method that begins to count later than this is no measurement of the whole accident. Ours: no text says."""

SHORT_GAP = timedelta(minutes=5)
"""So long users may go unmeasured. Ours: no text says."""

_MOST_NAMED = 10
"""Pieces of equipment in one line."""

_OF_EMERGENCY_CALLS = ("emergency_calls_affected", "equipment_up", "call_loss_ratio")


class Told(msgspec.Struct, frozen=True):
    """All that was observed of one impact: the answers for its service; where they were asked for its traffic beside that of
    comparable days, what is below it, and its quality. `units`: the equipment that failed, if not that of the incident. `trend`:
    how its users grow. `uncounted`: of several of `units` those of which no users are known. `past`: what was told while nobody
    asked, if that was long.
    """

    observed: UsersObserved
    traffic: History | None = None
    below: Found | None = None
    quality: Quality | None = None
    units: tuple[str | None, ...] = ()
    trend: Trend | None = None
    uncounted: tuple[str, ...] = ()
    past: Past | None = None

    @property
    def figures(self) -> tuple[object, ...] | None:
        """What it tells without when that was sampled: two that are alike make one judgement of an outage that goes on.

        None where they may not: something could not be asked, or is told of a time that grows.
        """
        problem = self.quality.problem if self.quality else None
        if self.traffic or self.trend or self.past or problem or self.observed.has_problem:
            return None
        # lists: at each tick this is done for all incidents, and generators take half as long again
        told = tuple([(reading.value, reading.unit) if reading else None for reading in self.observed.readings(*self.units)])
        seen = (self.quality.observed, self.quality.all_traffic_down) if self.quality else None
        return (*told, seen, self.below, self.units, self.uncounted)


class _Under(NamedTuple):
    """All users under the failed equipment, those of them who were hit, and how that is known. `whole`: also those under what is
    below it and works.
    """

    users: int
    hit: int
    readings: tuple[Reading, ...]
    evidence: tuple[Text, ...] = ()
    whole: bool = True


class _Impact(msgspec.Struct, frozen=True):
    """One impact with what was observed of it. Of a recovered one nothing is asked that is measured of now."""

    incident: Incident
    service: Service
    told: Told
    restored_at: datetime | None
    now: datetime
    open_hours: BusinessHours | None
    emergency_calls: bool | None = None

    @property
    def units(self) -> tuple[str | None, ...]:
        """The equipment that failed; (None,) where nobody named any."""
        return self.told.units or (self.incident.equipment,)

    def reading(self, question: str) -> Reading | None:
        return self.told.observed.reading(question, *self.units)

    def value_now(self, question: str) -> float | None:
        reading = None if self.restored_at else self.reading(question)
        return reading.value if reading else None

    def users_now(self, question: str) -> int | None:
        value = self.value_now(question)
        return None if value is None else round(value)

    def problem_of(self, questions: Iterable[str]) -> str | None:
        answers = (self.told.observed.to(question) for question in questions)
        return next((answer.problem for answer in answers if answer and answer.problem), None)

    @property
    def ended_at(self) -> datetime:
        """The recovery, or the last whole slot before now: a number that grows by the second is told every few minutes."""
        if self.restored_at:
            return self.restored_at
        started_at = self.incident.failure_started_at
        return started_at + max(self.now - started_at, timedelta()) // SLOT * SLOT


def count(
    incident: Incident,
    service: Service,
    told: Told,
    before: Affected,
    now: datetime,
    *,
    restored_at: datetime | None = None,
    open_hours: BusinessHours | None = None,
    emergency_calls: bool | None = None,
) -> Affected:
    """The users of an impact by the first method that can be had; what was known before stays known.

    `emergency_calls`: a person says that they were affected, or that none was, whatever was observed.
    """
    impact = _Impact(incident, service, told, restored_at, now, open_hours, emergency_calls)
    if leaves_out_equipment(before.problem):
        return _counted_now(impact, before)
    was_in_doubt, past = before.problem == NOBODY_LOOKED, told.past
    counted_then = _caught_up(impact, past, before) if past else None
    if past and counted_then and past.problem is None and past.unseen <= SHORT_GAP:
        return _counted_now(impact, msgspec.structs.replace(counted_then, problem=None, unmeasured_since=None))
    if restored_at:
        after = _counted_now(impact, before)
        if was_in_doubt:
            return msgspec.structs.replace(before, bound=after.bound or before.bound)
        return _in_doubt(impact, before, after, past) if past and _is_nobody(after) and not before.kept else after
    after = _counted_now(impact, counted_then or before)
    if after.problem:
        after = _counted_now(impact, before)  # the whole time is asked of again
    is_nobody_hit = past and not past.is_down and _is_nobody(_counted_now(impact, Affected(bound=before.bound)))
    return _in_doubt(impact, before, after, past) if was_in_doubt or is_nobody_hit else after


def _caught_up(impact: _Impact, past: Past, before: Affected) -> Affected | None:
    """With what would have been counted at moments of the past, had anybody asked: the largest of it is kept. None: nothing was."""
    known, is_counted = before, False
    for at, observed in past.moments:
        # what is below it is known as it is now only
        told = Told(observed, units=impact.told.units)
        then = _Impact(impact.incident, impact.service, told, None, at, impact.open_hours, impact.emergency_calls)
        counted = _counted_now(then, msgspec.structs.replace(known, problem=None, unmeasured_since=None))
        if counted.problem is None:
            known, is_counted = counted, True
    if not is_counted:
        return None
    looked = f"{clock_time(past.since)} – {clock_time(past.until)}"
    why = Text(
        f"その時点では計測されず、後からさかのぼって照会した期間: {looked}。この数は{{at}}の値",
        f"not measured at that time, asked for afterwards: {looked}. The number is that of {{at}}",
    )
    kept = tuple(each if each in before.kept else _with_evidence(each, why) for each in known.kept)
    return msgspec.structs.replace(known, kept=kept, problem=before.problem, unmeasured_since=before.unmeasured_since)


def _with_evidence(known: Count, why: Text) -> Count:
    at = clock_time(known.at)
    return msgspec.structs.replace(known, evidence=(*known.evidence, Text(why.ja.format(at=at), why.en.format(at=at))))


def _is_nobody(affected: Affected) -> bool:
    """Whether nobody was counted who is hit."""
    return affected.problem is None and affected.count is not None and affected.count.most == 0


def _in_doubt(impact: _Impact, before: Affected, after: Affected, past: Past | None) -> Affected:
    """A zero of now tells nothing of the time in which nobody asked. What was counted of that is a floor."""
    kept = tuple(each for each in after.kept if each.most or each in before.kept)
    bound = after.bound
    if not bound and impact.told.below:
        bound = before.bound or impact.service.users_total  # of what is below it none is down now
    since = past.since if past else impact.incident.failure_started_at
    return Affected(kept, bound, NOBODY_LOOKED, before.unmeasured_since or since)


def _counted_now(impact: _Impact, before: Affected) -> Affected:
    """What is counted at this instant, with what was known before."""
    if impact.emergency_calls is False:
        before = msgspec.structs.replace(before, kept=tuple(each for each in before.kept if each.method not in EMERGENCY))
    known_before, bound, now, restored_at = before.count, before.bound, impact.now, impact.restored_at
    try:
        under = _under(impact)
        bound = _bound(impact, under, bound)
        if restored_at and known_before and known_before.method not in GROWING and not _is_news(impact, known_before):
            return _after_the_recovery(impact, under, msgspec.structs.replace(before, bound=bound), known_before)
        choice = _choice(impact, under)
    except WrongFigure as wrong:
        return _unmeasured(before, bound, str(wrong), now)
    if problem := _unanswered(impact, choice, before):
        return _unmeasured(before, bound, problem, now)
    if choice.estimate is None:
        return _unmeasured(before, bound, _why_nothing(impact), now)
    method = choice.estimate.method
    kept_before = next((each for each in before.kept if each.method == method), None)
    new = _counted(impact, choice, choice.estimate, under, kept_before)
    if known_before and METHODS_IN_ORDER.index(method) < METHODS_IN_ORDER.index(known_before.method):
        new = _since_late(impact, new, known_before)
    kept = tuple(each for each in before.kept if not _is_past_the_end(impact, each))
    return _kept(impact, msgspec.structs.replace(before, kept=kept, bound=bound), new)


def leaves_out_equipment(problem: str | None) -> bool:
    """Whether the number is that of some of the equipment that failed, and so no more than a floor."""
    return problem is not None and (problem == JOINED_LATER or problem.startswith(NO_SERIES_OF))


def _bound(impact: _Impact, under: _Under | None, before: int | None) -> int | None:
    """All users under the equipment; where of some of it none are known, what was known before, else all of the service."""
    if under and not impact.told.uncounted:
        return under.users
    least = under.users if under else 0
    return impact.service.users_total if before is None or before < least else before


def _after_the_recovery(impact: _Impact, under: _Under | None, before: Affected, known: Count) -> Affected:
    """What was not measured while it lasted no longer can be, save all users under equipment that was not counted then."""
    if not leaves_out_equipment(before.problem):
        return before
    choice = _choice(impact, under)
    if choice.estimate is None or choice.estimate.method != known.method or _unanswered(impact, choice, before):
        return before
    return _kept(impact, before, _counted(impact, choice, choice.estimate, under, known))


def _kept(impact: _Impact, before: Affected, new: Count) -> Affected:
    """With this count; all users under some of the equipment are no more than a floor."""
    kept, uncounted = keep_largest(before.kept, new), impact.told.uncounted
    if not uncounted or new.method not in _USERS_UNDER:
        return Affected(kept, before.bound)
    more = len(uncounted) - _MOST_NAMED
    names = [shown_text(name) for name in uncounted[:_MOST_NAMED]] + ([f"… (+{more:,})"] if more > 0 else [])
    return _unmeasured(msgspec.structs.replace(before, kept=kept), before.bound, NO_SERIES_OF + ", ".join(names), impact.now)


def _is_news(impact: _Impact, known: Count) -> bool:
    """Whether a person says that emergency calls were affected, who were not counted as such."""
    return bool(impact.emergency_calls) and impact.service.family == "emergency_voice" and known.method not in EMERGENCY


def _unmeasured(before: Affected, bound: int | None, why: str, now: datetime) -> Affected:
    return Affected(before.kept, bound, why, before.unmeasured_since or now)


def _since_late(impact: _Impact, new: Count, coarser: Count) -> Count:
    """A finer method that begins to count late in an accident cannot speak for those who were hit before."""
    if new.method in GROWING or impact.now - impact.incident.failure_started_at <= LATE or coarser.most <= new.most:
        return new
    name = METHODS[coarser.method]
    why = Text(
        f"この方法の計測は{clock_time(impact.now)}から。それまでの計測（{name.ja}）は最大{coarser.most:,}人",
        f"counted in this way since {clock_time(impact.now)} only; before: at most {coarser.most:,} ({name.en})",
    )
    return msgspec.structs.replace(new, at_most=coarser.most, evidence=(*new.evidence, why))


def _is_past_the_end(impact: _Impact, known: Count) -> bool:
    """Whether a number that grows was counted beyond the recovery, of which was not known yet."""
    return known.method in GROWING and impact.restored_at is not None and known.at > impact.restored_at


def _under(impact: _Impact) -> _Under | None:
    """Of equipment that has a name: what its own series says, else what is below it."""
    if None in impact.units:
        return None
    if reading := impact.reading("under_equipment"):
        saved = impact.reading("saved")
        if saved is None or not saved.users:
            return _Under(reading.users, reading.users, (reading,))
        if saved.users > reading.users:
            raise WrongFigure(f"saved: {saved.users} are more than the {reading.users} users under {impact.units[0]}")
        hit = reading.users - saved.users
        sums = f"{reading.users:,} - {saved.users:,} = {hit:,}"
        spared = Text(f"冗長化等により影響を受けなかった利用者を除く {sums}", f"without users saved by redundancy: {sums}")
        return _Under(reading.users, hit, (reading, saved), (spared,))
    below = impact.told.below
    if below is None or below.total is None:
        return None
    at = Reading(below.total.users, None, below.query, below.unit)
    formula = Text(below.total.formula.ja.removesuffix("。"), below.total.formula.en.removesuffix("."))
    return _Under(below.total.upper_bound, below.total.users, (at,), (formula,), whole=False)


def _choice(impact: _Impact, under: _Under | None) -> Choice:
    """What the law makes of all that is known. Saved users are left out but for emergency calls."""
    family, hit_under = impact.service.family, under.hit if under else None
    if family == "best_effort":
        return _best_effort(impact, under)
    if family == "web_conference":
        return _conference(impact, hit_under)
    ordinary = _voice(impact, hit_under)
    if family == "other_voice":
        return fallback.other_voice(ordinary)
    up = impact.value_now("equipment_up")
    return fallback.emergency_voice(
        fallback.EmergencyVoice(
            emergency_calls_affected=_emergency_calls(impact),
            completely_down=None if up is None else up == 0,
            call_loss_rate=impact.value_now("call_loss_ratio"),
            # of units below it, those that failed: of others nobody knows who could not have called
            users_under_equipment=under.users if under and under.whole else hit_under,
            ordinary=ordinary,
        )
    )


def _emergency_calls(impact: _Impact) -> bool | None:
    """Whether they are affected: by a person's word, else as was observed."""
    if impact.emergency_calls is not None:
        return impact.emergency_calls
    hit = impact.value_now("emergency_calls_affected")
    return None if hit is None else hit != 0


def _best_effort(impact: _Impact, under: _Under | None) -> Choice:
    traffic = _traffic(impact)
    if under is None or under.whole:
        users, saved = (under.users, under.users - under.hit) if under else (None, 0)
        return fallback.best_effort(fallback.BestEffort(_failed(impact), traffic, users, saved))
    if traffic and traffic.bytes_per_user_hour is None:
        # the traffic is that of all units below it, the users are those of the failed ones: neither divides the other
        traffic = None
    return fallback.best_effort(fallback.BestEffort(_failed(impact), traffic, under.hit))


def _failed(impact: _Impact) -> int | None:
    """Users who tried and could not; where they are counted in two kinds only, those of the larger kind at least."""
    if (unable := impact.users_now("unable")) is not None:
        return unable
    stopped, degraded = impact.users_now("stopped"), impact.users_now("degraded")
    return None if stopped is None or degraded is None else max(stopped, degraded)


def _voice(impact: _Impact, under: int | None) -> fallback.OtherVoice:
    usual, seen = impact.users_now("registrations_usual"), impact.users_now("registrations")
    registered = ((usual,), (seen,)) if usual is not None and seen is not None else ((), ())
    return fallback.OtherVoice(
        failed_users=_failed(impact),
        normal_calls=impact.value_now("calls_usual"),
        actual_calls=impact.value_now("calls"),
        calls_per_person=impact.value_now("calls_per_person"),
        baseline_registrations=registered[0],
        actual_registrations=registered[1],
        users_under_equipment=under,
    )


def _traffic(impact: _Impact) -> Traffic | None:
    """Hour by hour of the accident beside the median of the comparable days."""
    seen = impact.told.traffic
    if seen is None or not seen.hours:
        return None
    per_user = impact.reading("bytes_per_user_hour")
    return Traffic(
        baseline_bytes_per_hour=tuple(median([exact("traffic", each) for each in hour.usual.values()]) for hour in seen.hours),
        actual_bytes_per_hour=tuple(hour.actual for hour in seen.hours),
        bytes_per_user_hour=per_user.value if per_user else None,
        hour_weights=tuple(hour.weight for hour in seen.hours),
    )


def _conference(impact: _Impact, accounts: int | None) -> Choice:
    figures = [impact.reading(need) for need in NEEDS["conference_probability"]]
    hosts, *rest = [figure.value for figure in figures if figure] if all(figures) else [None]
    started_at = impact.incident.failure_started_at
    lasted = impact.ended_at - started_at
    return fallback.conference_function(
        fallback.ConferenceFunction(
            failed_users=_failed(impact),
            meetings=Meetings(round(hosts), *rest) if hosts is not None else None,
            outage_business_hours=business_hours(started_at, impact.ended_at, impact.open_hours) if impact.open_hours else None,
            outage_hours=Fraction(lasted // timedelta(microseconds=1), 3_600_000_000),
            host_entitled_accounts_under_equipment=accounts,
        )
    )


def _unanswered(impact: _Impact, choice: Choice, before: Affected) -> str | None:
    """Why nothing may be concluded: a question of the method that counts, or of one before it, was not answered."""
    counting = choice.estimate.method if choice.estimate else None
    kept = {known.method: known for known in before.kept}
    for method in [*(passed.method for passed in choice.passed_over), *([counting] if counting else [])]:
        if method not in impact.service.methods:
            continue
        if problem := _problem_of(impact, method):
            return problem
        if method in kept and method != counting and _broke_off(impact, kept[method]):
            # its exporter may have died with the equipment: what it counted last is not the number now
            return GONE
    return None


def _broke_off(impact: _Impact, last: Count) -> bool:
    """Whether a method that counted before should count now, and does not."""
    if last.method in GROWING:
        return last.at < impact.ended_at - SLOT
    return impact.restored_at is None and last.method not in _BY_SIZE and last.method not in EMERGENCY


def _problem_of(impact: _Impact, method: Method) -> str | None:
    """Why a method that would have counted could not be told what it needs; None where it is just not configured."""
    told = impact.told
    if method in EMERGENCY:
        spared = impact.restored_at or _emergency_calls(impact) is False
        return None if spared else impact.problem_of(_OF_EMERGENCY_CALLS)
    if method in _BY_SIZE:
        return impact.problem_of((*NEEDS[method], "saved")) or (told.below.problem if told.below else None)
    if method == "traffic_difference":
        return (told.traffic.problem if told.traffic else None) or impact.problem_of(["bytes_per_user_hour"])
    if impact.restored_at and method not in GROWING:
        return None
    return impact.problem_of((*NEEDS[method], *REFINED_BY.get(method, ())))


def _why_nothing(impact: _Impact) -> str:
    if impact.restored_at:
        return RECOVERED_FIRST
    below = impact.told.below
    return impact.problem_of(NEEDS[impact.service.methods[-1]]) or (below.problem if below else None) or NO_SERIES


def _counted(impact: _Impact, choice: Choice, estimate: Estimate, under: _Under | None, kept: Count | None) -> Count:
    """The estimate with its evidence; what the query itself answers needs no arithmetic."""
    method, traffic = estimate.method, impact.told.traffic
    readings = [reading for need in (*NEEDS[method], *REFINED_BY.get(method, ())) if (reading := impact.reading(need))]
    evidence: tuple[Text, ...] = ()
    if method in _USES_UNDER and under:
        # saved users count for emergency calls, and use the service as all others do
        its = under.readings if method == "all_under_equipment" or not under.whole else under.readings[:1]
        readings = [*its, *(reading for reading in readings if reading not in under.readings)]
        evidence = under.evidence if its == under.readings else ()
    queries = [reading.query for reading in readings]
    if method == "traffic_difference" and traffic:
        queries = [traffic.query, *queries]
        evidence += (traffic.evidence,) if traffic.evidence else ()
        evidence += _too_many(traffic, estimate, under)
    at = _until(impact) if method in GROWING else next((reading.at for reading in readings if reading.at), impact.now)
    new = Count(
        users=estimate.users,
        method=method,
        query="; ".join(queries),
        at=at,
        unit=next((reading.unit for reading in readings if reading.unit), ""),
        formula=None if method in ("direct", "all_under_equipment") else estimate.formula,
        passed_over=tuple(_passed_over(impact, passed) for passed in choice.passed_over),
        evidence=evidence,
        other_readings=estimate.other_readings,
    )
    return _in_two_kinds(impact, new, under, kept) if method == "direct" else new


def _too_many(traffic: History, estimate: Estimate, under: _Under | None) -> tuple[Text, ...]:
    """More than all users all the time: mostly bits taken for bytes, or seconds for hours."""
    hours = sum((hour.weight for hour in traffic.hours), Fraction())
    if under is None or not under.whole or estimate.users <= under.users * hours:
        return ()
    return (
        Text(
            f"配下の全利用者 {under.users:,}人が全時間影響を受けた場合を超える。系列の単位（1時間当たりのバイト）を確認のこと",
            f"more than if all {under.users:,} users under it had been hit all the time: check the unit, bytes per hour",
        ),
    )


def _until(impact: _Impact) -> datetime:
    """The end of what was counted of the accident so far."""
    if traffic := impact.told.traffic:
        last = traffic.hours[-1] if traffic.hours else None
        return last.starts_at + timedelta(hours=1) * last.weight.numerator / last.weight.denominator if last else impact.now
    return impact.ended_at


def _passed_over(impact: _Impact, passed: PassedOver) -> Text:
    name, why, traffic = METHODS[passed.method], passed.why, impact.told.traffic
    if passed.method not in impact.service.methods:
        why = Text("カタログの count_by により用いない", "not used, by count_by of the catalogue")
    elif passed.method == "traffic_difference" and traffic and traffic.why_not:
        why = traffic.why_not
    return Text(f"{name.ja}: {why.ja}", f"{name.en}: {why.en}")


def _in_two_kinds(impact: _Impact, new: Count, under: _Under | None, before: Count | None) -> Count:
    """With users of a stop and of a degradation counted apart: the largest of each so far, and together if nobody counted that."""
    stopped, degraded = impact.users_now("stopped"), impact.users_now("degraded")
    if stopped is None or degraded is None:
        return new
    if before and before.stopped is not None and before.degraded is not None:
        stopped, degraded = max(stopped, before.stopped), max(degraded, before.degraded)
    kinds = Text(
        f"停止を受けた利用者 {stopped:,}人、品質の低下を受けた利用者 {degraded:,}人",
        f"users with a stop: {stopped:,}, with a degradation: {degraded:,}",
    )
    new = msgspec.structs.replace(new, stopped=stopped, degraded=degraded, evidence=(*new.evidence, kinds))
    if impact.users_now("unable") is not None:
        return new
    most = stopped + degraded
    return msgspec.structs.replace(
        new, users=max(stopped, degraded), at_most=max(min(most, under.users), stopped, degraded) if under else most
    )
