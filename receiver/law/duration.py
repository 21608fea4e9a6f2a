"""How long an accident lasted: from the failure of the equipment until the operator's action had the service back.

What is known of this stands in the guideline's draft (論点整理(案) R5.4.5, 論点(2)①); the guideline in force was not read.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Generic, TypeVar

import msgspec

from receiver.law.provisions import Flag, Provision, Text, cite, guideline, in_japan
from receiver.law.wording import clock_time, length

V = TypeVar("V")


START_AND_END = guideline("start_and_end")
IMPROVEMENT = guideline("improvement")
SLA_MET = guideline("sla_met")
ANNOUNCED = guideline("announced")


class Interval(msgspec.Struct, frozen=True):
    """From `start` to `end`, aware times; it must have a length."""

    start: datetime
    end: datetime


class Sla(msgspec.Struct, frozen=True):
    """A contract that says in numbers what quality is owed, and when that quality was met during the accident.

    `agrees_with_public_notice`: whether what users were told of the effect at the time agrees with `met`; None while nobody has
    said so. Without that agreement nothing is subtracted.
    """

    contract: str
    met: tuple[Interval, ...]
    agrees_with_public_notice: bool | None = None


class Course(msgspec.Struct, frozen=True):
    """What happened when; all times aware.

    `failed_at`: the equipment failed (not the alert). `impact_started_at`: users first felt it, later than the failure where a
    standby held. `restored_at`: the operator's action had the service available on request; None while it lasts.
    `user_action_needed`: users had to restart a device afterwards, which does not extend the duration. `announced_at`: recovery
    was announced, which does not end it.
    """

    failed_at: datetime
    restored_at: datetime | None = None
    impact_started_at: datetime | None = None
    announced_at: datetime | None = None
    user_action_needed: bool = False
    improvements: tuple[Interval, ...] = ()
    sla: Sla | None = None


class Duration(msgspec.Struct, frozen=True):
    """The duration that counts, with what it rests on; all times in Asia/Tokyo.

    `counted` = `whole` - `subtracted`. `whole` runs from `failed_at` to `counted_to`: the recovery, or the present if `ongoing`.
    `from_impact` is the same counted from the start of service impact, None when that is not known. `improved` is the length of
    the `improvements`: kept, not subtracted.
    """

    counted: timedelta
    whole: timedelta
    subtracted: timedelta
    from_impact: timedelta | None
    failed_at: datetime
    impact_started_at: datetime | None
    counted_to: datetime
    ongoing: bool
    announced_at: datetime | None
    improvements: tuple[Interval, ...]
    improved: timedelta
    arithmetic: Text
    flags: tuple[Flag, ...]
    citations: tuple[Provision, ...]


class ByStart(msgspec.Struct, Generic[V], frozen=True):
    """What the caller's judgement says from either start; `from_impact` and its verdict are None when no impact start is known."""

    from_failure: timedelta
    from_impact: timedelta | None
    verdict_from_failure: V
    verdict_from_impact: V | None
    differs: bool


def measure(course: Course, now: datetime | None = None) -> Duration:
    """The duration of an accident; `now` is needed while it lasts.

    Raises ValueError for a time without zone, an order that cannot be (recovery or present before the failure, impact before the
    failure or after the end, an announcement before the failure), and intervals that overlap, lie outside or have no length.
    """
    failed_at = in_japan(course.failed_at, "failed_at")
    end = _end(course, failed_at, now)
    impact = _optional(course.impact_started_at, "impact_started_at")
    announced = _optional(course.announced_at, "announced_at")
    if impact and not failed_at <= impact <= end:
        raise ValueError(f"impact_started_at {impact} lies outside the accident, {failed_at} to {end}: correct one of them")
    if announced and announced < failed_at:
        raise ValueError(f"announced_at {announced} is before failed_at {failed_at}")
    improvements = _checked(course.improvements, "improvements", failed_at, end)
    met = _checked(course.sla.met, "sla.met", failed_at, end) if course.sla else ()
    subtracted = met if course.sla and course.sla.agrees_with_public_notice is True else ()
    whole, minus = end - failed_at, _total(subtracted)
    after_impact = None if impact is None else end - impact - _total(_since(impact, subtracted))
    result = Duration(
        counted=whole - minus,
        whole=whole,
        subtracted=minus,
        from_impact=after_impact,
        failed_at=failed_at,
        impact_started_at=impact,
        counted_to=end,
        ongoing=course.restored_at is None,
        announced_at=announced,
        improvements=improvements,
        improved=_total(improvements),
        arithmetic=Text("", ""),
        flags=(),
        citations=_citations(course),
    )
    return msgspec.structs.replace(result, arithmetic=_arithmetic(result, course), flags=_flags(result, course))


def by_start(duration: Duration, judge: Callable[[timedelta], V]) -> ByStart[V]:
    """Whether the verdict would differ if one counted from the start of service impact; `judge` gives the verdict on a duration."""
    from_failure = judge(duration.counted)
    if duration.from_impact is None:
        return ByStart(duration.counted, None, from_failure, None, differs=False)
    from_impact = judge(duration.from_impact)
    return ByStart(duration.counted, duration.from_impact, from_failure, from_impact, differs=from_failure != from_impact)


def _optional(moment: datetime | None, name: str) -> datetime | None:
    return None if moment is None else in_japan(moment, name)


def _end(course: Course, failed_at: datetime, now: datetime | None) -> datetime:
    present, restored = _optional(now, "now"), _optional(course.restored_at, "restored_at")
    end = restored or present
    if end is None:
        raise ValueError("the accident has no restored_at: give the present time as now")
    if end < failed_at:
        raise ValueError(f"{'restored_at' if restored else 'now'} {end} is before failed_at {failed_at}")
    if present and present < end:
        raise ValueError(f"restored_at {end} is after now {present}")
    return end


def _checked(intervals: Sequence[Interval], name: str, start: datetime, end: datetime) -> tuple[Interval, ...]:
    """The intervals in Asia/Tokyo, in the order of time."""
    converted = [
        Interval(in_japan(interval.start, f"{name}[{number}].start"), in_japan(interval.end, f"{name}[{number}].end"))
        for number, interval in enumerate(intervals)
    ]
    for number, interval in enumerate(converted):
        if interval.end <= interval.start:
            raise ValueError(f"{name}[{number}] ends at {interval.end}, not after its start {interval.start}")
        if interval.start < start or interval.end > end:
            raise ValueError(f"{name}[{number}], {interval.start} to {interval.end}, lies outside the accident, {start} to {end}")
    ordered = sorted(converted, key=lambda interval: interval.start)
    for earlier, later in pairwise(ordered):
        if later.start < earlier.end:
            raise ValueError(f"{name}: the interval from {later.start} overlaps the one until {earlier.end}")
    return tuple(ordered)


def _total(intervals: Sequence[Interval]) -> timedelta:
    return sum((interval.end - interval.start for interval in intervals), timedelta())


def _since(moment: datetime, intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """The parts of the intervals after the moment."""
    return tuple(Interval(max(i.start, moment), i.end) for i in intervals if i.end > moment)


def _citations(course: Course) -> tuple[Provision, ...]:
    citations = [START_AND_END]
    if course.improvements:
        citations.append(IMPROVEMENT)
    if course.sla:
        citations.append(SLA_MET)
    if course.announced_at:
        citations.append(ANNOUNCED)
    return tuple(citations)


def _arithmetic(duration: Duration, course: Course) -> Text:
    """The calculation step by step, and where each step is from."""
    start, end, whole = clock_time(duration.failed_at), clock_time(duration.counted_to), length(duration.whole)
    until = Text("現在、継続中", "now, it lasts") if duration.ongoing else Text("役務の復旧", "service restored")
    parts = [Text(f"{end}（{until.ja}）−{start}（設備の故障）={whole.ja}", f"{end} ({until.en}) - {start} (failure) = {whole.en}")]
    if duration.subtracted:
        minus, counted = length(duration.subtracted), length(duration.counted)
        parts.append(
            Text(
                f"{whole.ja}−SLAを満たした{minus.ja}={counted.ja}",
                f"{whole.en} - {minus.en} within the SLA = {counted.en}",
            )
        )
    if duration.improvements:
        improved = length(duration.improved)
        parts.append(
            Text(f"一時的に改善した{improved.ja}は除外しない", f"{improved.en} of temporary improvement are not subtracted")
        )
    if course.user_action_needed:
        parts.append(
            Text(
                "端末の再起動等の利用者の操作に要した時間は含まない",
                "the time users needed to restart their devices is not part of it",
            )
        )
    if duration.announced_at:
        announced = clock_time(duration.announced_at)
        parts.append(Text(f"復旧の発表（{announced}）は終点ではない", f"recovery announced at {announced} is not the end"))
    cited = [cite(provision) for provision in duration.citations]
    parts.append(Text(f"根拠: {'、'.join(c.ja for c in cited)}", f"Basis: {', '.join(c.en for c in cited)}"))
    return Text("。".join(p.ja for p in parts) + "。", ". ".join(p.en for p in parts) + ".")


def _flags(duration: Duration, course: Course) -> tuple[Flag, ...]:
    flags = []
    if duration.from_impact is not None and duration.impact_started_at != duration.failed_at:
        other = length(duration.from_impact)
        flags.append(
            Flag(
                "impact_after_failure",
                Text(
                    f"役務への影響の開始から数えると{other.ja}（要判断）",
                    f"counted from the start of service impact it is {other.en}: a person decides",
                ),
            )
        )
    if course.sla and course.sla.met and course.sla.agrees_with_public_notice is not True:
        unknown = course.sla.agrees_with_public_notice is None
        flags.append(_SLA_UNCONFIRMED if unknown else _SLA_CONTRADICTED)
    if duration.announced_at and (duration.ongoing or duration.announced_at < duration.counted_to):
        flags.append(_ANNOUNCED_EARLY)
    return tuple(flags)


_SLA_UNCONFIRMED = Flag(
    "sla_notice_unconfirmed",
    Text(
        "SLAを満たした時間は、周知・広報の内容との整合が確認されていないため除外していない（要判断）",
        "time within the SLA is not subtracted: whether it agrees with what the public was told is not confirmed",
    ),
)
_SLA_CONTRADICTED = Flag(
    "sla_notice_disagrees",
    Text(
        "SLAを満たした時間は、周知・広報の内容と整合しないため除外していない",
        "time within the SLA is not subtracted: it does not agree with what the public was told",
    ),
)
_ANNOUNCED_EARLY = Flag(
    "announced_before_recovery",
    Text("復旧より前に復旧が発表されている（要確認）", "recovery was announced before the service had recovered: to be checked"),
)
