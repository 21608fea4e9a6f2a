"""What Prometheus is asked of the past: averages of slots, now and on earlier days, of many accidents in one query."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec

from receiver.observation.comparable_days import Comparable
from receiver.observation.prometheus import Prometheus, Series, any_of, is_selector, narrowed, quoted
from receiver.observation.slots import Span

MOST_BYTES = 16 * 1024 * 1024
"""Of one answer, as reckoned: one series per equipment and service. Of more series it may grow to asking.MOST_MIB."""
MOST_READ = 10_000_000
"""Samples that Prometheus reads for one query, scraped every 15 s: a second or two of its time."""
MOST_QUERY_BYTES = 1024 * 1024
POINT_BYTES, SERIES_BYTES = 36, 250
EDGE = timedelta(milliseconds=1)
"""Prometheus 2 counts the moment at which a range begins, Prometheus 3 does not: so much shorter both give the same."""

_DAYS_BEFORE = "art58_days_before"
_SCRAPE = timedelta(seconds=15)
_EVALUATED = timedelta(minutes=1)

Together = Literal["sum", "min", "max"]


class Source(NamedTuple):
    """Where values come from: a normalised series with the labels `service` and `label`; `own`: any PromQL, told apart by `label`.

    `together` is what several series of one equipment make. The parts of a sum are read one by one, as one that is missing makes it
    too small; of the lowest and the highest value other labels do not matter, and NaN is left out, as PromQL does.
    """

    series: str
    label: str
    own: bool = False
    together: Together = "sum"

    def averages(self, services: Iterable[str], equipment: Iterable[str] | None, slot: timedelta, days_before: int = 0) -> str:
        """PromQL: the average of a slot that ends when it is asked of. `equipment`: of these alone; None: of all together.

        PromQL of one's own that is no plain selector is evaluated once a minute only, five times in the shortest slot: every 15 s
        takes Prometheus more than twice as long, and rates, or what a recording rule gives, say hardly more then.
        """
        values, window = self._picked(services, equipment), _duration(slot - EDGE)
        samples = f"{values}[{window}]" if is_selector(self.series) else f"(\n{values}\n)[{window}:{_duration(_EVALUATED)}]"
        # Japan has no daylight saving time: the same clock time is whole days before
        average = f"avg_over_time({samples}{f' offset {days_before}d' if days_before else ''})"
        if self.together == "sum":
            return average
        kept = [*([] if self.own else ["service"]), *([] if equipment is None else [self.label])]
        return f"{self.together} by ({', '.join(kept)}) ({average})"

    def _picked(self, services: Iterable[str], equipment: Iterable[str] | None) -> str:
        if not self.own:
            matchers = [_matcher("service", services), *([] if equipment is None else [_matcher(self.label, equipment)])]
            return f"{self.series}{{{','.join(matchers)}}}"
        # of a result that names no equipment the figure is that of all: see users.Answer
        return self.series if equipment is None else narrowed(self.series, self.label, [*equipment, ""])


class Wanted(msgspec.Struct, frozen=True):
    """An accident of a service: the equipment that failed (None: the whole service), and from when until when (its end, or now)."""

    service: str
    equipment: str | None
    since: datetime
    until: datetime


class Day(msgspec.Struct, frozen=True, dict=True):
    """One day of accidents of the same time: slots of one length, the hours, the days before it. Thousands may share it."""

    slots: tuple[Span, ...]
    hours: tuple[Span, ...]
    comparable: Comparable

    @property
    def date(self) -> date:
        return self.comparable.day

    @property
    def slot(self) -> timedelta:
        return self.slots[0].ends - self.slots[0].begins

    @cached_property
    def days_before(self) -> tuple[int, ...]:
        return tuple((self.date - day).days for day in self.comparable.days)

    @cached_property
    def ends(self) -> tuple[float, ...]:
        return tuple(slot.ends.timestamp() for slot in self.slots)


Parts = dict[tuple[tuple[str, str], ...], dict[float, float]]
"""The series that together are one figure, by their labels: value by the end of its slot, in Unix seconds."""

Answers = Mapping[tuple[str, str | None, str], Parts]
"""By service ("": own PromQL), equipment (None: all of them) and days before, as the label says."""


class Batch:
    """Days of accidents that one query asks for together: the same day, slots of one length, none or all with a name."""

    def __init__(self, source: Source, wanted: Wanted, day: Day) -> None:
        self._source = source
        self.asked: list[tuple[Wanted, Day]] = []
        self.answer_bytes = 0
        self._services: set[str] = set()
        self._equipment: set[str] = set()
        self._name_bytes = 0
        self._days_before = {0}
        self._slot, self._is_named = day.slot, wanted.equipment is not None
        self._begins, self._ends = day.slots[0].ends, day.slots[-1].ends
        self.take(wanted, day)

    def take(self, wanted: Wanted, day: Day) -> bool:
        """Whether there was room for it. The first one always has."""
        begins, ends = min(self._begins, day.slots[0].ends), max(self._ends, day.slots[-1].ends)
        services, names = {wanted.service} - self._services, {wanted.equipment or ""} - self._equipment
        days_before = self._days_before.union(day.days_before)
        # a byte of a name may need two for being escaped, and more in the form
        name_bytes = self._name_bytes + 2 * sum(len(name.encode(errors="replace")) for name in names)
        steps = (ends - begins) // self._slot + 1
        series = (len(self._equipment) + len(names)) * len(days_before)
        series *= 1 if self._source.own else len(self._services) + len(services)
        answer_bytes = series * (SERIES_BYTES + steps * POINT_BYTES)
        samples, query_bytes = series * steps * (self._slot // _SCRAPE), name_bytes * len(days_before)
        if self.asked and (answer_bytes > MOST_BYTES or samples > MOST_READ or query_bytes > MOST_QUERY_BYTES):
            return False
        self._begins, self._ends, self._days_before = begins, ends, days_before
        self._services |= services
        self._equipment |= names
        self._name_bytes, self.answer_bytes = name_bytes, answer_bytes
        self.asked.append((wanted, day))
        return True

    def ask(self, prometheus: Prometheus) -> Answers:
        """Each slot's average now and so many days before, told apart by a label of ours. Raises QueryFailed."""
        equipment = self._equipment if self._is_named else None
        averages = {days: self._source.averages(self._services, equipment, self._slot, days) for days in sorted(self._days_before)}
        query = "\nor\n".join(f'label_replace({its}, "{_DAYS_BEFORE}", "{days}", "", "")' for days, its in averages.items())
        return self._indexed(prometheus.over(query, self._begins, self._ends, self._slot))

    def _indexed(self, answer: list[Series]) -> Answers:
        found: dict[tuple[str, str | None, str], Parts] = defaultdict(dict)
        for series in answer:
            labels = dict(series.labels)
            days_before = labels.pop(_DAYS_BEFORE, "")
            service = "" if self._source.own else labels.get("service", "")
            equipment = labels.get(self._source.label, "") if self._is_named else None
            found[service, equipment, days_before][tuple(sorted(labels.items()))] = dict(series.points)
        return found


def batches(source: Source, asked: Iterable[tuple[Wanted, Day]]) -> Iterator[Batch]:
    """In the order in which they come: what is asked must not depend on anything else."""
    groups: dict[tuple[date, timedelta, bool], list[tuple[Wanted, Day]]] = defaultdict(list)
    for wanted, day in asked:
        groups[day.date, day.slot, wanted.equipment is None].append((wanted, day))
    for first, *others in groups.values():
        batch = Batch(source, *first)
        for each in others:
            if not batch.take(*each):
                yield batch
                batch = Batch(source, *each)
        yield batch


def _matcher(label: str, values: Iterable[str]) -> str:
    several = sorted(set(values))
    return f"{label}={quoted(several[0])}" if len(several) == 1 else f"{label}=~{any_of(several)}"


def _duration(length: timedelta) -> str:
    return f"{length // timedelta(milliseconds=1)}ms" if length.microseconds else f"{length // timedelta(seconds=1)}s"
