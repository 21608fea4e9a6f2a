"""The past anew: what would have been judged when, by the same derivation and the same ticks as live, on a clock that is set.

The clock moves in steps. A step at which nothing can be other than at the one before is passed over: no notification came, no
answer of Prometheus changed, no moment passed on which anything hangs.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from receiver.catalogue import Catalogue
from receiver.incidents.ask import Impact, Observer
from receiver.incidents.count import LATE, Told
from receiver.incidents.derive import derive_waiting
from receiver.incidents.known import Known
from receiver.incidents.learn import LEARNT_ANEW
from receiver.incidents.tick import Ticked, tick
from receiver.law.rulebook import Rulebook
from receiver.model import Conclusion, Incident, Notification
from receiver.observation.comparable_days import Calendar
from receiver.observation.past import PastPrometheus
from receiver.observation.quality import AccidentDays
from receiver.observation.slots import SLOT, date_of, floor
from receiver.settings import Settings
from receiver.storage import heartbeat, notifications, replay
from receiver.storage import incidents as store
from receiver.storage.in_memory import InMemory

CHECKPOINT_SECONDS = 5
"""So much work, and five minutes of the past, is lost at most when it is killed or Prometheus stops answering."""

NEW = 4 * SLOT
"""So long after a failure, what is compared with other times may first be comparable."""

_CURSOR = "backtest"
_JUST_AFTER = timedelta(microseconds=1)


class Past(msgspec.Struct, frozen=True):
    """What is replayed: from when until when, in which steps, with which notifications (in the order in which they came)."""

    since: datetime
    until: datetime
    step: timedelta
    told: Sequence[Notification]

    def step_of(self, moment: datetime) -> datetime:
        """The first step that is not before it."""
        return self.since + max(-(-(moment - self.since) // self.step), 0) * self.step


class Progress(msgspec.Struct, frozen=True):
    """How far it got: the moment of the past, the share that is done (0 to 1), ticks so far."""

    at: datetime
    share: float
    ticks: int


class _Known(NamedTuple):
    """After so many writes: the living incidents, what was last concluded of them, and moments on which something hangs."""

    writes: int
    living: list[Incident]
    latest: list[Conclusion]
    passing: list[datetime]


class _Observer(Observer):
    """Looks up the days of other accidents once in five minutes, if nothing is written: days change at midnight."""

    def __init__(self, prometheus: PastPrometheus, catalogue: Catalogue, calendar: Calendar, database: InMemory) -> None:
        super().__init__(prometheus, catalogue, calendar)
        self._database = database
        self._days: tuple[tuple[int, datetime], Mapping[str | None, AbstractSet[date]]] | None = None

    def ask(
        self,
        impacts: list[Impact],
        accidents: AccidentDays,
        now: datetime,
        *,
        are_all: bool = True,
        away_since: datetime | None = None,
    ) -> dict[tuple[str, str], Told]:
        def remembered() -> Mapping[str | None, AbstractSet[date]]:
            key = self._database.writes, floor(now, SLOT)
            if self._days is None or self._days[0] != key:
                self._days = key, accidents()
            return self._days[1]

        return super().ask(impacts, remembered, now, are_all=are_all, away_since=away_since)


class Backtest:
    """One replay. `file` keeps how far it got; one that is there already is gone on with. Not for several threads."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        rulebooks: tuple[Rulebook, ...],
        prometheus: PastPrometheus,
        past: Past,
        file: Path | None = None,
    ) -> None:
        self.database = InMemory()
        self.ticks = 0
        self._settings, self._catalogue, self._rulebooks = settings, catalogue, rulebooks
        self._prometheus, self._past, self._file = prometheus, past, file
        self._observer = _Observer(prometheus, catalogue, settings.comparable_days.calendar, self.database)
        self._known_of_ticks = Known(catalogue, settings)
        self._hold = timedelta(seconds=settings.hold_seconds)
        self._holds = {self._hold, *(timedelta(seconds=s.hold_seconds) for s in catalogue.services if s.hold_seconds)}
        self._durations = _durations(rulebooks)
        self._counts_meetings = any(service.web_conference for service in catalogue.services)
        self._known: _Known | None = None
        self._given = 0
        self._now = past.since
        if file and file.exists():
            self.database.load(file)
            self._go_on()
        else:
            self.database.migrate()
        self._saved = time.monotonic()

    def run(self, progress: Callable[[Progress], None] = lambda _: None, *, every_step: bool = False) -> None:
        """To the end of the time. Raises Unanswered, and may be interrupted: then a new one with the same file goes on.
        Nothing is lost if it is `progress` that raises KeyboardInterrupt, else what was done since the last checkpoint.

        `every_step`: none is passed over. The outcome is the same.
        """
        slot = None
        while self._now <= self._past.until:
            if (new := floor(self._now, SLOT)) != slot:
                slot = new
                self._keep()  # what is kept in memory besides the store is anew in each slot
                try:
                    progress(Progress(self._now, self._share(), self.ticks))
                except KeyboardInterrupt:
                    self._keep(at_once=True)
                    raise
            self._prometheus.present = self._now
            self._take_in()
            self._prometheus.forget_asked()
            writes = self.database.writes
            ticked = tick(self.database, self._observer, self._settings, self._rulebooks, self._now, self._known_of_ticks)
            self.ticks += 1
            settled = self.database.writes == writes
            if every_step or not settled:
                self._now += self._past.step
            else:
                self._now = min(self._next(ticked), self._past.until + self._past.step)
        self._keep(at_once=True)
        progress(Progress(self._past.until, 1.0, self.ticks))

    def _take_in(self) -> None:
        """What came since the last step, as the receiver would have."""
        told = self._past.told
        begins = self._given
        while self._given < len(told) and told[self._given].received_at <= self._now:
            self._given += 1
        if self._given == begins:
            return
        with self.database.inbox.write() as connection:
            for one in told[begins : self._given]:
                notifications.add(connection, one.source, one.received_at, one.body, one.learnt)
        while derive_waiting(self.database, self._catalogue, self._hold, self._now):
            pass

    # --- which step is next ---------------------------------------------------------------------------------------------------

    def _next(self, ticked: Ticked) -> datetime:
        """The first step at which anything may be other than now."""
        past, now = self._past, self._now
        coming = [past.told[self._given].received_at] if self._given < len(past.told) else []
        known = self._known_of_the_living()
        if known.living:
            if any(each.major_on_trend_at for each in known.latest):
                return now + past.step  # it is foretold from the present on
            coming += [self._prometheus.same_until(), *([ticked.next_at] if ticked.next_at else [])]
            coming += known.passing[bisect_right(known.passing, now) :][:1]
            coming += [floor(now, SLOT) + SLOT] if self._is_compared(known.living) else []
            coming += self._slots_of_meetings(known.living)
        soonest = min((moment for moment in coming if moment > now), default=None)
        return past.step_of(soonest) if soonest else past.until + past.step

    def _known_of_the_living(self) -> "_Known":
        """What the store has of the incidents that the clock can change; the same until it is written again."""
        if self._known is None or self._known.writes != self.database.writes:
            with self.database.read() as connection:
                living = store.living(connection)
                latest = store.latest_conclusions(connection, (incident.id for incident in living))
                learnt = replay.learnt_since(connection, floor(self._now, SLOT) - LEARNT_ANEW) if living else []
            conclusions = list(chain.from_iterable(latest.values()))
            passing = {*self._passing(living, conclusions), *(moment + LEARNT_ANEW + _JUST_AFTER for moment in learnt)}
            self._known = _Known(self.database.writes, living, conclusions, sorted(passing))
        return self._known

    def _is_compared(self, living: list[Incident]) -> bool:
        """Whether something is asked anew with the next five minutes: it was in these, or may be for the first time."""
        slot = floor(self._now, SLOT)
        is_new = any(self._now - incident.failure_started_at < NEW for incident in living)
        return is_new or self._prometheus.looked_back_at >= slot or date_of(slot) != date_of(slot + SLOT)

    def _passing(self, living: list[Incident], latest: list[Conclusion]) -> Iterator[datetime]:
        """The moments after which the law, or the receiver, may say something else though nothing happened."""
        lead = timedelta(seconds=self._settings.candidate_lead_seconds)
        moments = {incident.failure_started_at + duration for incident in living for duration in self._durations}
        moments |= {incident.restored_at + hold for incident in living if incident.restored_at for hold in self._holds}
        for each in latest:
            its = {moment for name in each.__struct_fields__ if isinstance(moment := getattr(each, name), datetime)}
            moments |= its
            if each.all_traffic_down_since:
                moments |= {each.all_traffic_down_since + duration for duration in self._durations}
        for moment in moments:
            # some things hang on a moment that is there, some on one that is past
            yield from (moment, moment + _JUST_AFTER, moment - lead, moment - lead + _JUST_AFTER)

    def _slots_of_meetings(self, living: list[Incident]) -> Iterator[datetime]:
        """Users of conferences are counted anew with every five minutes of the accident."""
        if self._counts_meetings:
            for incident in living:
                lasted = self._now - incident.failure_started_at
                yield incident.failure_started_at + (lasted // SLOT + 1) * SLOT

    # --- going on where it was left -------------------------------------------------------------------------------------------

    def _keep(self, *, at_once: bool = False) -> None:
        if self._file is None or (not at_once and time.monotonic() - self._saved < CHECKPOINT_SECONDS):
            return
        with self.database.write() as connection:
            heartbeat.beat(connection, _CURSOR, self._now)
        self.database.save(self._file)
        self._saved = time.monotonic()

    def _go_on(self) -> None:
        with self.database.read() as connection:
            self._now = heartbeat.last(connection, _CURSOR) or self._past.since
        # the steps before it were done with all that had come by then
        before = self._now - self._past.step
        self._given = sum(one.received_at <= before for one in self._past.told)

    def _share(self) -> float:
        """Time without incidents costs nothing: what counts is rather how many notifications are left."""
        passed = (self._now - self._past.since) / max(self._past.until - self._past.since, self._past.step)
        return self._given / len(self._past.told) if self._past.told else passed


def _durations(rulebooks: tuple[Rulebook, ...]) -> frozenset[timedelta]:
    """After which times of an accident a rule may say something else."""
    found = {LATE}
    for book in rulebooks:
        found |= {condition.duration for row in book.rows for condition in row.conditions} | {book.periodic.duration}
        found |= {book.clause_2.duration} if book.clause_2 else set()
    return frozenset(found)
