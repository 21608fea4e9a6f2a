"""What a series was during an accident, hour by hour, and at the same clock times on comparable days.

Read in slots that end on the clock, so that a running accident's figures change every five minutes and not with every tick. What is
absent is never taken as zero: it is said, and the caller takes another method.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

from receiver.law.provisions import JST, Text
from receiver.observation.comparable_days import Calendar, Comparable, comparable
from receiver.observation.history_queries import Answers, Day, Parts, Source, Together, batches
from receiver.observation.history_queries import Wanted as Wanted  # who compares takes it from here
from receiver.observation.prometheus import Prometheus, QueryFailed
from receiver.observation.slots import LONGEST, Span, clock, date_of, floor, hours, slot_and_end, slots
from receiver.observation.slots import SLOT as SLOT
from receiver.observation.users import shown_labels

MOST_BYTES_TOGETHER = 128 * 1024 * 1024
"""Of all answers of one call."""
MOST_KEPT = 20_000
"""Histories of one source."""

_HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)

_NO_SERIES = Text("この設備の系列がない", "no series of this equipment")
_NO_DATA = Text("同時刻の値に欠けがある", "no values for all of these times")
_TOO_SHORT = Text(
    "完結した5分間がまだなく、計測値を比べられない", "no whole five minutes yet: there are no values that could be compared"
)
_TOO_LONG = (
    f"the accident is longer than {LONGEST.days} days: its values are not asked for. Users counted from them are to be counted by "
    "another method"
)
_TOO_MUCH = (
    f"more than {MOST_BYTES_TOGETHER // 1024**2} MiB of history would have to be asked at once: this one is asked at a later tick. "
    "If that lasts, let alerts name larger equipment, or count by another method the users that are counted from it"
)


class Hour(msgspec.Struct, frozen=True):
    """An hour of the accident counted from its start, or a part of one: the last, and those before and after midnight in Japan.

    `weight` is the share of an hour that it covers, 0 < w <= 1. `actual` is the average in it and `usual` that on each
    comparable day, in the series' own unit.
    """

    starts_at: datetime
    weight: Fraction
    actual: float
    usual: dict[date, float]


class History(msgspec.Struct, frozen=True):
    """The hours; or `why_not` (too little is known: take the next method), or `problem` (a query failed: conclude nothing).

    `days` are all days that were compared with, newest first. `query` gives the same average in any Prometheus page, on those days
    as well: only the time asked of is another.
    """

    hours: tuple[Hour, ...] = ()
    days: tuple[date, ...] = ()
    evidence: Text | None = None
    query: str = ""
    why_not: Text | None = None
    problem: str | None = None


class _Told(NamedTuple):
    """What became of one day of an accident: compared with which days in the end."""

    comparable: Comparable
    hours: tuple[Hour, ...] = ()
    why_not: Text | None = None
    problem: str | None = None


class Histories:
    """Asks one Prometheus, and keeps what it said until the next five minutes are whole. Not for several threads at once."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._present: datetime | None = None
        self._kept: dict[tuple[Source, Calendar], dict[tuple[Wanted, frozenset[date]], History]] = defaultdict(dict)

    def compare(
        self,
        series: str,
        wanted: Iterable[Wanted],
        calendar: Calendar,
        accidents: Mapping[str | None, AbstractSet[date]],
        label: str,
        now: datetime,
        *,
        own: bool = False,
        together: Together = "sum",
    ) -> dict[Wanted, History]:
        """The history of `series` for each accident. Never raises: a failure is an answer.

        `series`, `label`, `own` and `together` are those of a Source: of a sum, a series that is missing now leaves too little
        known. `accidents` are the days of other accidents, by equipment: nothing is compared with them.
        """
        if (present := floor(now, SLOT)) != self._present:
            self._present = present
            self._kept.clear()
        source = Source(series, label, own, together)
        kept = self._kept[source, calendar]
        keys = {one: (one, frozenset(accidents.get(one.equipment, ()))) for one in wanted}
        found = {one: kept[key] for one, key in keys.items() if key in kept}
        new = _compare(self._prometheus, source, calendar, {one: key[1] for one, key in keys.items() if one not in found}, now)
        for one, history in new.items():
            if history.problem is None and len(kept) < MOST_KEPT:
                kept[keys[one]] = history
        return found | new


def _compare(
    prometheus: Prometheus, source: Source, calendar: Calendar, wanted: Mapping[Wanted, frozenset[date]], now: datetime
) -> dict[Wanted, History]:
    found: dict[Wanted, History] = {}
    days: dict[Wanted, tuple[Day, ...]] = {}

    @cache  # thousands fail at once
    def days_of(since: datetime, until: datetime, slot: timedelta, accidents: frozenset[date]) -> tuple[Day, ...]:
        return tuple(_days_of(since, until, slot, accidents, calendar))

    # in an order of its own: what is asked must not depend on the caller's
    for one in sorted(wanted, key=lambda one: (one.since, one.service, one.equipment or "", one.until)):
        slot, until = slot_and_end(one.since, one.until, now)
        if until - one.since < SLOT:
            found[one] = History(why_not=_TOO_SHORT)
        elif until - one.since > LONGEST:
            found[one] = History(problem=_TOO_LONG)
        else:
            days[one] = days_of(one.since, until, slot, wanted[one])
    worth_asking = (
        (one, day) for one, its in days.items() if not any(_too_few(day.comparable, calendar) for day in its) for day in its
    )
    told: dict[tuple[Wanted, date], _Told] = {}
    together = 0
    for batch in batches(source, worth_asking):
        together += batch.answer_bytes
        problem = _TOO_MUCH if together > MOST_BYTES_TOGETHER else None
        try:
            answers = {} if problem else batch.ask(prometheus)
        except QueryFailed as error:
            problem = str(error)
        for one, day in batch.asked:
            known = _Told(day.comparable, problem=problem) if problem else _tell(source, calendar, one, day, answers)
            told[one, day.date] = known
    for one, its in days.items():
        # not asked: this day, or another one of the accident, has too few others to be compared with
        all_told = [told.get((one, day.date)) or _Told(day.comparable, why_not=_too_few(day.comparable, calendar)) for day in its]
        found[one] = _assembled(source, one, its[0].slot, all_told)
    return found


def _days_of(since: datetime, until: datetime, slot: timedelta, accidents: frozenset[date], calendar: Calendar) -> Iterator[Day]:
    its_slots, its_hours = defaultdict(list), defaultdict(list)
    for span in slots(since, until, slot):
        its_slots[date_of(span.begins)].append(span)
    for span in hours(since, until):
        its_hours[date_of(span.begins)].append(span)
    # an accident of several weeks is none of its own comparable days
    left_out = accidents | its_slots.keys()
    for day, spans in its_slots.items():
        yield Day(tuple(spans), tuple(its_hours[day]), comparable(day, calendar, left_out))


def _too_few(compared: Comparable, calendar: Calendar) -> Text | None:
    had, needed = len(compared.days), calendar.at_least
    if had >= needed:
        return None
    return Text(
        f"{compared.day}と比べられる同種の日が{had}日しかない（{needed}日必要）",
        f"only {had} days are comparable with {compared.day}, {needed} are needed",
    )


# --- what was answered ----------------------------------------------------------------------------------------------------------


def _tell(source: Source, calendar: Calendar, wanted: Wanted, day: Day, answers: Answers) -> _Told:
    """The hours of one of its days, beside those of the days that have a value for every slot of it."""
    of_now, before = _parts(source, wanted, day, answers)
    for parts in (of_now, *before.values()):
        if problem := _wrong(source, parts, day.ends):
            return _Told(day.comparable, problem=problem)
    whole = {
        each: parts for each, parts in before.items() if parts and not any(_missing(part, day.ends) for part in parts.values())
    }
    compared = day.comparable
    if len(whole) < len(before):
        days, gone = [each for each in before if each in whole], [(each, _NO_DATA) for each in before if each not in whole]
        compared = msgspec.structs.replace(compared, days=tuple(days), left_out=(*compared.left_out, *gone))
    if not of_now and not any(before.values()):
        return _Told(compared, why_not=_NO_SERIES)
    if too_few := _too_few(compared, calendar):
        return _Told(compared, why_not=too_few)
    # a series that the newest of them has is missing now, and not zero
    expected = of_now.keys() | whole[compared.days[0]].keys()
    if missing := {end for labels in expected for end in _missing(of_now.get(labels, {}), day.ends)}:
        return _Told(compared, why_not=_unmeasured([slot for slot, end in zip(day.slots, day.ends, strict=True) if end in missing]))
    now, usual = _sums(of_now, day.ends), {each: _sums(parts, day.ends) for each, parts in whole.items()}
    return _Told(compared, tuple(_hour(hour, day.slots, now, usual) for hour in day.hours))


def _parts(source: Source, wanted: Wanted, day: Day, answers: Answers) -> tuple[Parts, dict[date, Parts]]:
    """The series of this equipment: those of the accident, and those of each comparable day."""
    service = "" if source.own else wanted.service
    for name in (wanted.equipment, ""):
        of_now, *before = [answers.get((service, name, str(days)), {}) for days in (0, *day.days_before)]
        if of_now or any(before) or not source.own:
            break
    return of_now, dict(zip(day.comparable.days, before, strict=True))


def _wrong(source: Source, parts: Parts, ends: Sequence[float]) -> str | None:
    """What is no rate and no measurement: an exporter that is wrong once may be wrong in all that it said."""
    for labels, values in parts.items():
        for end in ends:
            if not 0 <= (value := values.get(end, 0)) < math.inf:
                of = shown_labels(dict(labels))
                at = clock(datetime.fromtimestamp(end, JST))
                what = f"{' '.join(source.series.split())[:120]}{f' of {of}' if of else ''}"
                return f"the average up to {at}, or of a comparable day at that time, is {value:g}: correct {what}"
    return None


def _missing(values: Mapping[float, float], ends: Sequence[float]) -> list[float]:
    return [end for end in ends if end not in values]


def _sums(parts: Parts, ends: Sequence[float]) -> list[float]:
    return [math.fsum(values[end] for values in parts.values()) for end in ends]


def _hour(hour: Span, its_slots: Sequence[Span], now: Sequence[float], usual: Mapping[date, Sequence[float]]) -> Hour:
    """The averages of the slots that lie in it, weighed by how much of each does."""
    lying = ((number, min(hour.ends, slot.ends) - max(hour.begins, slot.begins)) for number, slot in enumerate(its_slots))
    shares = [(number, share.total_seconds()) for number, share in lying if share > timedelta()]
    weight = Fraction((hour.ends - hour.begins) // _MICROSECOND, _HOUR // _MICROSECOND)
    return Hour(hour.begins, weight, _average(shares, now), {day: _average(shares, rates) for day, rates in usual.items()})


def added(histories: Sequence[History]) -> History:
    """The history of several pieces of equipment together, each asked of the same times."""
    if len(histories) == 1:
        return histories[0]
    problem = next((each.problem for each in histories if each.problem), None)
    why_not = next((each.why_not for each in histories if each.why_not), None)
    hours: list[Hour] = []
    for beside in () if problem or why_not else zip(*(each.hours for each in histories), strict=True):
        days = set[date].intersection(*(set(hour.usual) for hour in beside))
        usual = {day: math.fsum(hour.usual[day] for hour in beside) for day in days}
        hours.append(Hour(beside[0].starts_at, beside[0].weight, math.fsum(hour.actual for hour in beside), usual))
        if not usual:
            hours, why_not = [], Text("設備により比較した日が異なる", "the equipment was compared with different days")
            break
    evidence = [text for each in histories if (text := each.evidence)]
    return History(
        tuple(hours),
        tuple(sorted({day for each in histories for day in each.days}, reverse=True)),
        evidence[0] if evidence else None,
        "; ".join(each.query for each in histories),
        None if problem else why_not,
        problem,
    )


def _average(shares: Sequence[tuple[int, float]], rates: Sequence[float]) -> float:
    return math.fsum(seconds * rates[number] for number, seconds in shares) / math.fsum(seconds for _, seconds in shares)


def _assembled(source: Source, wanted: Wanted, slot: timedelta, told: Sequence[_Told]) -> History:
    problem = next((one.problem for one in told if one.problem), None)
    why_not = next((one.why_not for one in told if one.why_not), None)
    return History(
        () if problem or why_not else tuple(hour for one in told for hour in one.hours),
        tuple(sorted({day for one in told for day in one.comparable.days}, reverse=True)),
        _in_words(tuple(one.comparable for one in told)),
        source.averages([wanted.service], None if wanted.equipment is None else [wanted.equipment], slot),
        None if problem else why_not,
        problem,
    )


@lru_cache(maxsize=1024)
def _in_words(compared: tuple[Comparable, ...]) -> Text:
    """The same text, and one only, for the thousands that fail at once."""
    words = [each.in_words for each in compared]
    return Text("。".join(each.ja for each in words), ". ".join(each.en for each in words))


def _unmeasured(missing: Sequence[Span]) -> Text:
    begins, ends = clock(missing[0].begins), clock(missing[-1].ends)
    return Text(
        f"{begins}から{ends}までの間に計測値の欠けがある（欠測は0とみなさない）",
        f"values are missing at times from {begins} to {ends} (what is absent is not zero)",
    )
