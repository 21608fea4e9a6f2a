"""Prometheus as it answered at a moment of the past, and the alerts that it fired then.

The value of a query over a range at one of its steps is what an instant query gave at that moment: a whole stretch is asked for at
once and kept, and it is known from it until when the answers stay the same.
"""

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

import msgspec

from receiver.catalogue import Catalogue
from receiver.observation import rule_series
from receiver.observation.prometheus import NotOffered, Prometheus, QueryFailed, Sample, Series
from receiver.observation.rule_series import Labels, Stretch
from receiver.settings import PrometheusSettings

STRETCH = timedelta(hours=1)
"""So much of a query's past is asked for at once. With more, less of it is used: equipment that recovers is not asked for again."""
WINDOW = timedelta(days=7)
"""So much of the alerts' own series."""
OVERLAP = timedelta(minutes=15)
LOOK_BACK = timedelta(days=1)
"""So far before the time asked for the start of an alert is looked for that fires already."""
MOST_STEPS = 10_000
"""Prometheus refuses queries over more than 11,000 steps."""

_HANGS_ON_THE_RANGE = re.compile(r"@\s*(start|end)\s*\(")
_MS = timedelta(milliseconds=1)
_HALF_MS = 0.0005
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_T = TypeVar("_T")


class Unanswered(BaseException):
    """Prometheus cannot be asked now: that says nothing of what it told then, so nothing may be judged on it.

    No fault of one question, which all others are to survive: like Ctrl-C it ends the whole run.
    """


class _Known(NamedTuple):
    """What is known of a query from one step to another (ms), and the steps at which the answer is not that of the step before."""

    begins: int
    ends: int
    series: list[tuple[dict[str, str], dict[int, float]]]
    changes: list[int]
    problem: str | None = None

    def changes_after(self, moment: int, step: int) -> int:
        """Nothing is known of the step after the last one."""
        at = bisect_right(self.changes, moment)
        return self.changes[at] if at < len(self.changes) else self.ends + step


class _Over(NamedTuple):
    """The answer to a question over a range."""

    since: datetime
    until: datetime
    series: list[Series]


class PastPrometheus(Prometheus):
    """Takes `present` for the present: a whole number of `step` (whole milliseconds) after where it was first set.

    `looked_back_at` is the present at which a question about other times was last asked.

    A query that fails where others do not fails as it did then; where none is answered, Unanswered is raised.
    """

    def __init__(self, settings: PrometheusSettings, step: timedelta) -> None:
        super().__init__(settings)
        self.present = self.looked_back_at = _EPOCH
        self._step = step
        self._known: dict[str, _Known] = {}
        self._over: dict[tuple[str, timedelta, timedelta], _Over] = {}
        self._steps: dict[str, int] = {}
        self._asked: set[str] = set()

    def instant(self, query: str) -> list[Sample]:
        """The value of every series of `query` at the present that was set. Raises QueryFailed, Unanswered."""
        self._asked.add(query)
        now, known = _ms(self.present), self._known.get(query)
        if known is None or not known.begins <= now <= known.ends:
            known = self._known[query] = self._fetch(query)
        if known.problem:
            raise QueryFailed(known.problem)
        return [Sample(labels, now / 1000, points[now]) for labels, points in known.series if now in points]

    def raw(self, query: str, at: datetime) -> list[Series]:
        self.looked_back_at = self.present
        return self._or_stop(lambda: super(PastPrometheus, self).raw(query, at))

    def over(self, query: str, since: datetime, until: datetime, step: timedelta) -> list[Series]:
        """Live asks the same of every five minutes, as far as they are past: here some that are to come are asked for with them."""
        self.looked_back_at = self.present
        asked = query, step, (since - _EPOCH) % step
        known = self._over.get(asked)
        if known is None or not known.since <= since <= until <= known.until:
            known = self._over[asked] = self._or_stop(lambda: self._over_and_on(query, since, until, step))
        begins, ends = since.timestamp() - _HALF_MS, until.timestamp() + _HALF_MS
        cut = (Series(one.labels, [point for point in one.points if begins < point[0] < ends]) for one in known.series)
        return [one for one in cut if one.points]

    def _over_and_on(self, query: str, since: datetime, until: datetime, step: timedelta) -> "_Over":
        more = 0 if _HANGS_ON_THE_RANGE.search(query) else STRETCH // step
        if more > 0 and (until - since) // step + more < MOST_STEPS:
            further = until + more * step
            try:
                return _Over(since, further, super().over(query, since, further, step))
            except QueryFailed:
                super().begin()
        return _Over(since, until, super().over(query, since, until, step))

    def document(self, path: str) -> msgspec.Raw:
        """What it says of itself now; which rules it has now says nothing of then."""
        if path.startswith("rules"):
            raise NotOffered("which rules there were then is not known")
        return super().document(path)

    def forget_asked(self) -> None:
        """Questions of the present from before are not asked again: whether their answers change is of no interest."""
        self._known = {query: known for query, known in self._known.items() if query in self._asked}
        self._over = {asked: known for asked, known in self._over.items() if known.until > self.present - STRETCH}
        self._asked.clear()

    def same_until(self) -> datetime:
        """The first step at which a question that was asked since `forget_asked` may have another answer than now."""
        now, step = _ms(self.present), self._step // _MS
        changes = (self._known[query].changes_after(now, step) for query in self._asked if query in self._known)
        return _EPOCH + min(changes, default=now + STRETCH // _MS) * _MS

    def _fetch(self, query: str) -> _Known:
        """As much of the stretch as can be had in one answer; a heavy query gives less at once."""
        at_once = 0 if _HANGS_ON_THE_RANGE.search(query) else self._left() // self._step
        steps = min(self._steps.get(query, at_once), at_once)
        begins, step = _ms(self.present), self._step // _MS
        while True:
            try:
                answer = super().over(query, self.present, self.present + steps * self._step, self._step)
            except QueryFailed as error:
                super().begin()
                if steps == 0:
                    self._must_answer(error)
                    self._steps[query] = 0
                    return _Known(begins, begins, [], [], str(error))
                steps //= 2
            else:
                self._steps[query] = max(1, 2 * steps)
                series = [(one.labels, {round(at * 1000): value for at, value in one.points}) for one in answer]
                ends = begins + steps * step
                return _Known(begins, ends, series, _changes((points for _, points in series), begins, ends, step))

    def _left(self) -> timedelta:
        """All stretches end at the same steps: where one does, its question is asked anew."""
        stretch = min(STRETCH, MOST_STEPS * self._step)
        left = stretch - (self.present - _EPOCH) % stretch
        return left if left > stretch / 2 else left + stretch

    def _or_stop(self, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        except QueryFailed as error:
            super().begin()
            self._must_answer(error)
            raise

    def _must_answer(self, error: QueryFailed) -> None:
        try:
            super().over("vector(1)", self.present, self.present, self._step)
        except QueryFailed:
            raise Unanswered(str(error)) from None


def _changes(series: Iterable[dict[int, float]], begins: int, ends: int, step: int) -> list[int]:
    found: set[int] = set()
    for points in series:
        before_at, before = begins - step, math.nan
        for at, value in points.items():
            if at != before_at + step:
                found.update((before_at + step, at))  # it was gone for a while
            elif at > begins and value != before:
                found.add(at)
            before_at, before = at, value
        if before_at < ends:
            found.add(before_at + step)
    return sorted(found)


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS


# --- the alerts that fired ------------------------------------------------------------------------------------------------------


def fired(prometheus: Prometheus, catalogue: Catalogue, since: datetime, until: datetime) -> list[Stretch]:
    """Every alert about a service of the catalogue that fired between, as the rules' own series (ALERTS) tell, earliest first.

    With the labels that Prometheus adds to what it sends. Alerts that were over before `since` are none of these; those that fired
    then began up to LOOK_BACK earlier. Raises QueryFailed, Unanswered.
    """
    external = rule_series.external_labels(prometheus)
    matchers = rule_series.matchers_of(catalogue, external)
    stretches: dict[Labels, list[Stretch]] = defaultdict(list)
    begins = since - LOOK_BACK
    while begins < until:
        # with a part of what was read before: an alert that fired at the edge is told in both
        reading = rule_series.read(prometheus, matchers, begins - OVERLAP, min(begins + WINDOW, until))
        for labels, its in reading.stretches.items():
            for one in its:
                _add(stretches[labels], one)
        if reading.up_to <= begins:
            raise QueryFailed(f"so many alerts fired about {begins:%Y-%m-%d %H:%M} UTC that Prometheus does not tell them in time")
        begins = reading.up_to
    found: list[Stretch] = []
    for labels, its in stretches.items():
        whole = tuple(sorted((dict(external or {}) | dict(labels)).items()))
        if catalogue.services_of(dict(whole)):
            found += (msgspec.structs.replace(one, labels=whole) for one in its if one.ended_at is None or one.ended_at > since)
    return sorted(found, key=lambda one: (one.first, one.labels))


def _add(known: list[Stretch], one: Stretch) -> None:
    """What was read later tells the end of a stretch, what was read before its beginning."""
    if known and one.first <= known[-1].last:
        known[-1] = msgspec.structs.replace(known[-1], last=one.last, ended_at=one.ended_at, proven=one.proven)
    else:
        known.append(one)


def bodies(alerts: Iterable[Stretch]) -> Iterator[tuple[datetime, bytes]]:
    """What Alertmanager would have sent of them at once, and when: webhook bodies of version 4."""
    told: dict[datetime, list[dict[str, object]]] = defaultdict(list)
    for one in alerts:
        alert: dict[str, object] = {
            "labels": dict(one.labels),
            "annotations": {},
            "startsAt": one.first,
            "generatorURL": "",
            "fingerprint": fingerprint(one.labels),
        }
        told[one.first].append({"status": "firing", **alert})
        if one.ended_at:
            told[one.ended_at].append({"status": "resolved", **alert, "endsAt": one.ended_at})
    for moment in sorted(told):
        yield moment, msgspec.json.encode({"version": "4", "alerts": told[moment]})


def fingerprint(labels: Iterable[tuple[str, str]]) -> str:
    """Alertmanager's own: FNV-1a over names and values in the order of the names."""
    digest = 14695981039346656037
    for pair in sorted(labels):
        for text in pair:
            for byte in (*text.encode(), 255):
                digest = (digest ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"
