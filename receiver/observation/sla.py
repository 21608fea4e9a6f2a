"""For how long a service did not reach what its SLA owes, since it failed: in slots that end on the clock."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from receiver.law.impairment import Worse
from receiver.law.provisions import JST, Text
from receiver.law.wording import length
from receiver.observation.history_queries import MOST_BYTES, POINT_BYTES, SERIES_BYTES, Source
from receiver.observation.prometheus import Prometheus, QueryFailed
from receiver.observation.slots import LONGEST, SLOT, floor


class Owed(NamedTuple):
    """What is owed at one equipment of a service (None: the worst of all) that failed, and where the measured values come from."""

    source: Source
    service: str
    equipment: str | None
    since: datetime
    sla: float
    worse: Worse

    def is_missed_by(self, value: float) -> bool:
        return value < self.sla if self.worse == "lower" else value > self.sla


class Attained(NamedTuple):
    """In how many whole slots from `begins` on an SLA was missed, of those measured, of all; or why that could not be asked."""

    begins: datetime
    missed: int = 0
    measured: int = 0
    slots: int = 0
    problem: str | None = None

    @property
    def in_words(self) -> Text:
        if self.problem:
            ja, en = "SLAの達成状況を確認できない", "how far the SLA was met could not be asked"
            return Text(f"{ja}: {self.problem}", f"{en}: {self.problem}")
        missed, measured = length(self.missed * SLOT), length(self.measured * SLOT)
        since, of = f"{self.begins.astimezone(JST):%Y-%m-%d %H:%M} JST", self.measured
        ja = f"{since}以降、5分ごとの平均{of}個のうち{self.missed}個でSLA未達（{measured.ja}のうち{missed.ja}）"
        en = f"since {since} the SLA was missed in {self.missed} of {of} slots of five minutes, {missed.en} of {measured.en}"
        if unmeasured := self.slots - of:
            ja, en = f"{ja}、ほかに計測値のないもの{unmeasured}個", f"{en}; {unmeasured} more have no measurement"
        return Text(f"{ja}。継続時間からは差し引いていない", f"{en}. Nothing was subtracted from the duration")


class Attainments:
    """Asks one Prometheus, and keeps what it said until the next five minutes are whole. Not for several threads at once."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._last: datetime | None = None
        self._kept: dict[Owed, Attained] = {}

    def ask(self, owed: Iterable[Owed], now: datetime) -> dict[Owed, Attained]:
        """Those for which a slot is whole: one question for all normalised series. Never raises: a failure is an answer."""
        if (last := floor(now, SLOT)) != self._last:
            self._last, self._kept = last, {}
        found: dict[Owed, Attained] = {}
        together: dict[tuple[Source, bool], list[Owed]] = defaultdict(list)
        for one in owed:
            if one in self._kept:
                found[one] = self._kept[one]
            elif _first_end(one.since, last) <= last:
                together[one.source, one.equipment is None].append(one)
        for asked in together.values():
            for batch in _batches(asked, last):
                attained = _ask(self._prometheus, batch, last)
                found |= attained
                self._kept |= {one: its for one, its in attained.items() if its.problem is None}
        return found


def _first_end(since: datetime, last: datetime) -> datetime:
    """When the first whole slot after the failure ended; of a very long accident the last weeks are asked for."""
    since = max(since, last - LONGEST)
    begins = floor(since, SLOT)
    return begins + SLOT if begins == since else begins + 2 * SLOT


def _batches(owed: list[Owed], last: datetime) -> Iterator[list[Owed]]:
    """So many that the answer stays small. The oldest come first, and decide on the range."""
    owed = sorted(owed, key=lambda one: (one.since, one.service, one.equipment or ""))
    while owed:
        slots = (last - _first_end(owed[0].since, last)) // SLOT + 1
        many = MOST_BYTES // (SERIES_BYTES + slots * POINT_BYTES)
        yield owed[:many]
        owed = owed[many:]


def _ask(prometheus: Prometheus, owed: list[Owed], last: datetime) -> dict[Owed, Attained]:
    """They have one source, and all of them name equipment, or none does."""
    source, named = owed[0].source, [one.equipment for one in owed if one.equipment is not None]
    # a slot that just meets an SLA would miss it by one sample of the slot before
    query = source.averages({one.service for one in owed}, named or None, SLOT)
    try:
        answer = prometheus.over(query, _first_end(owed[0].since, last), last, SLOT)
    except QueryFailed as error:
        return {one: Attained(one.since, problem=str(error)) for one in owed}
    points = {(series.labels.get("service", ""), series.labels.get(source.label, "")): series.points for series in answer}
    found = {}
    for one in owed:
        service = "" if source.own else one.service
        its = points.get((service, one.equipment or "")) or points.get((service, ""), [])
        found[one] = _attained(one, last, its)
    return found


def _attained(owed: Owed, last: datetime, points: list[tuple[float, float]]) -> Attained:
    """Against what is owed now. A slot without a number, or with one that cannot be, was not measured."""
    first = _first_end(owed.since, last)
    values = [value for at, value in points if at >= first.timestamp() and 0 <= value < math.inf]
    return Attained(first - SLOT, sum(map(owed.is_missed_by, values)), len(values), (last - first) // SLOT + 1)
