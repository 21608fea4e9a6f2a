"""The loop that runs without webhooks: derive, assess, plan; and one thread per target that delivers.

A fault nobody foresaw ends the process with a trace: whoever started it starts it again, and the store says where to go on.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Literal, Protocol

import structlog
from prometheus_client import Counter, Gauge, Histogram

from receiver.catalogue import Catalogue
from receiver.delivery.dispatcher import Dispatcher
from receiver.delivery.plan import Route, plan
from receiver.delivery.targets import Target
from receiver.incidents.ask import FAULTS, Observer
from receiver.incidents.derive import derive_waiting
from receiver.incidents.known import Known
from receiver.incidents.reconcile import Reconciler, cut_short
from receiver.incidents.tick import Only, tick
from receiver.law import freshness
from receiver.law.provisions import in_japan
from receiver.law.rulebook import Rulebook
from receiver.model import Assessment, Clock
from receiver.observation.prometheus import Prometheus
from receiver.settings import Settings
from receiver.storage import heartbeat, notifications
from receiver.storage.archive import Archive
from receiver.storage.database import Database, StoreUnavailable

POLL_SECONDS = 0.2
"""How often the store is asked for new notifications and deliveries."""
FINISH_SECONDS = 13
"""How long a stopping worker waits for what is under way: longer than a target may take to answer a call."""
CUT_SHORT_SECONDS = 5
"""How soon after the last time missing alerts are looked for again where bodies are cut short: in a storm, many are."""
LONG_SECONDS = 1
"""What waits is derived by the helper where that would take the worker longer: to begin costs a quarter of a second."""
MANY = 200
"""With more living incidents than these, a tick is followed by a rest as long as it took."""

ARCHIVE_EVERY = timedelta(hours=1)
"""How soon after the last one went, old notifications are looked for again; while there are some, a chunk goes with each step."""

TICK_SECONDS = Histogram(
    "art58_tick_seconds", "Time to assess all living incidents", buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30)
)
ASSESSMENTS = Counter("art58_assessments_total", "Assessments appended", ["verdict"])
LEADER = Gauge(
    "art58_leader", "Whether the worker of this receiver judges (1) or delivers only (0)", multiprocess_mode="livemostrecent"
)

ARCHIVED = Counter("art58_notifications_archived_total", "Notifications moved out of the store into the archive")

log = structlog.get_logger()


Helped = Literal["at work", "derived", "cut short"] | None
"""What a helper tells: that it derives; that it has, and maybe that alerts were missing in a body; None: it does nothing."""


class Helper(Protocol):
    """Derives beside the worker, in another process: see cli.deriver."""

    def begin(self, leader: int) -> bool:
        """Have all derived that waits, in the name of that leader (Database.leader); whether that has begun."""
        ...

    def told(self) -> Helped:
        """What it tells by now; that it has derived, once only."""
        ...


class Worker:
    """Builds on what it is given; `targets` are the routes with the thing behind each."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        database: Database,
        prometheus: Prometheus,
        rulebooks: tuple[Rulebook, ...],
        targets: Sequence[tuple[Route, Target]],
        clock: Clock,
        helper: Helper | None = None,
    ) -> None:
        self._settings = settings
        self._helper = helper
        self._is_helped = False
        self._catalogue = catalogue
        self._database = database
        self._observer = Observer(prometheus, catalogue, settings.comparable_days.calendar)
        self._rulebooks = rulebooks
        self._routes = tuple(route for route, _ in targets)
        self._clock = clock
        self._reconciler = Reconciler(database, prometheus, settings.alertmanagers, catalogue)
        self._reconciled_at: datetime | None = None
        self._is_incomplete = self._cut_short = False
        self._known = Known(catalogue, settings)
        self._next_tick: datetime | None = None
        self._next_due: datetime | None = None
        self._ticked_at: datetime | None = None
        self._waited = False
        self._rests_until = 0.0
        self._warned_on: date | None = None
        self._led = False
        self._archive = Archive(settings.archive_folder) if settings.archive_folder else None
        self._archived_at: datetime | None = None
        self._archived = 0
        # those who claim must agree on the time
        clock_of_claims = database.clock(clock)
        self.dispatchers = [
            Dispatcher(
                database,
                target,
                catalogue,
                settings.duties.of_the_law,
                settings.external_url,
                f"{os.uname().nodename}:{os.getpid()}:{route.target}",
                clock_of_claims,
                route.policy,
                route.content,
            )
            for route, target in targets
        ]

    def _leads(self) -> bool:
        """Whether this worker may judge; one that begins to knows nothing of what the others did. Raises StoreUnavailable."""
        leads = False
        try:
            leads = self._database.leads()
        finally:
            LEADER.set(leads)
        if leads != self._led:
            log.info("this receiver judges from now on" if leads else "another receiver judges from now on; this one delivers")
            self._led, self._reconciled_at, self._next_tick = leads, None, None
            self._known = Known(self._catalogue, self._settings)
        return leads

    def step(self) -> bool:
        """Derive what waits and what is found; assess and plan if that was news or the time has come. Raises StoreUnavailable.

        Whether some may wait still, as the time had come in the midst of it.
        """
        is_left = self._derive()
        if self._is_to_reconcile():
            # before the first tick, too: an outage that ended while we were away must not be judged as if it lasted
            self.reconcile(self._clock())
            is_left = self._derive()
        if self._is_regular():
            self.assess(self._clock())
        elif (self._is_due() or (self._waited and not is_left)) and self._has_rested():
            # while much waits, what is news of an incident is soon news again
            self.assess(self._clock(), "due" if is_left else "news or due")
        return is_left

    def _derive(self) -> bool:
        """Whether it was broken off."""
        if self._is_being_helped():
            return True
        hold = timedelta(seconds=self._settings.hold_seconds)
        while True:
            self._cut_short = self._cut_short or cut_short(self._database)
            begin = time.monotonic()
            bodies = derive_waiting(self._database, self._catalogue, hold, self._clock())
            if not bodies:
                return False
            self._waited = True
            if self._gets_help((time.monotonic() - begin) / bodies):
                return True
            if self._is_regular() or (self._is_due() and self._has_rested()):
                return True  # a storm of alerts must not stop the clock

    def _is_being_helped(self) -> bool:
        was_helped, told = self._is_helped, self._helper.told() if self._helper else None
        self._is_helped = told == "at work"
        self._cut_short = self._cut_short or told == "cut short"
        if was_helped and not self._is_helped:
            # what came of it is news, however it ended, and nobody needs the time of a rest any more
            self._waited, self._rests_until = True, 0.0
        return self._is_helped

    def _gets_help(self, seconds_a_body: float) -> bool:
        """Whether so much waits that the helper derives it from now on."""
        if self._helper:
            with self._database.inbox.read() as connection:
                is_long = notifications.count_waiting(connection) * seconds_a_body > LONG_SECONDS
            self._is_helped = is_long and self._helper.begin(self._database.leader)
        return self._is_helped

    def _is_to_reconcile(self) -> bool:
        if self._reconciled_at is None:
            return True
        # nor may a clock that was set back
        passed = abs((self._clock() - self._reconciled_at).total_seconds())
        regular = self._settings.reconcile_seconds
        return self._is_incomplete or passed >= (min(CUT_SHORT_SECONDS, regular) if self._cut_short else regular)

    def reconcile(self, now: datetime) -> None:
        """Find what was never sent, and store it. Raises StoreUnavailable."""
        self._reconciled_at, self._cut_short, self._is_incomplete = now, False, False
        try:
            self._is_incomplete = not self._reconciler.run(now).is_complete
        except StoreUnavailable:
            raise
        except Exception:  # whatever it is: what was sent to us is judged all the same
            FAULTS.inc()
            log.exception("what was never sent was not looked for by a fault")

    def _is_regular(self) -> bool:
        """Whether it is time to assess all."""
        now = self._clock()
        if self._next_tick is None or self._ticked_at is None:
            return True
        return now >= self._next_tick or now < self._ticked_at  # it was set back: the next tick may be hours away

    def _is_due(self) -> bool:
        """Whether a moment has come on which something hangs."""
        return self._next_due is not None and self._clock() >= self._next_due

    def _has_rested(self) -> bool:
        return time.monotonic() >= self._rests_until

    def assess(self, now: datetime, only: Only | None = None) -> list[Assessment]:
        """Assess every living incident at `now`, or `only` some, and plan what is owed. Raises StoreUnavailable."""
        self._warn_of_old_rules(now)
        begin = time.monotonic()
        ticked = tick(self._database, self._observer, self._settings, self._rulebooks, now, self._known, only=only)
        took = time.monotonic() - begin
        if only is None:
            TICK_SECONDS.observe(took)
        for assessment in ticked.appended:
            ASSESSMENTS.labels(assessment.verdict.value).inc()
            log.info(
                "assessed",
                incident=assessment.incident_id,
                service=assessment.service,
                verdict=assessment.verdict.value,
                users=assessment.affected_users,
                method=assessment.method,
                state=assessment.state,
                major_expected_at=assessment.major_expected_at,
            )
        plan(self._database, self._routes, now)
        with self._database.write() as connection:
            heartbeat.beat(connection, "tick", now)
        self._ticked_at, self._next_due = now, ticked.next_at
        self._waited = self._waited and only == "due"
        if only is None:
            self._next_tick = now + timedelta(seconds=self._settings.tick_seconds)
        self._rests_until = time.monotonic() + took if ticked.living > MANY else 0.0
        return ticked.appended

    def _warn_of_old_rules(self, now: datetime) -> None:
        """Once on each day in Japan, so also at the start."""
        today = in_japan(now, "now").date()
        if today == self._warned_on:
            return
        self._warned_on = today
        for check in freshness.overdue(self._rulebooks, now):
            log.warning(
                "rules are past their check date: see whether the law has changed",
                rules=check.rules,
                check_by=str(check.check_by),
                last_checked=str(check.last_checked),
            )

    def archive(self, now: datetime) -> None:
        """Move one chunk of old notifications out of the store; where there is none, look again in an hour.

        Raises StoreUnavailable.
        """
        days = self._settings.keep_notifications_days
        if not self._archive or not days or (self._archived_at and abs(now - self._archived_at) < ARCHIVE_EVERY):
            return
        try:
            moved = self._archive.move(self._database, now - timedelta(days=days), now)
        except OSError as error:
            moved = 0
            log.error("old notifications stay in the store: the archive cannot be written, trying again later", error=str(error))
        ARCHIVED.inc(moved)
        self._archived += moved
        if not moved:
            self._archived_at = now
            if self._archived:
                log.info(
                    "old notifications went to the archive", notifications=self._archived, folder=self._settings.archive_folder
                )
            self._archived = 0

    def deliver(self) -> None:
        """Send everything that is due now, target after target. For tests and single steps; `run` gives each a thread."""
        for dispatcher in self.dispatchers:
            while dispatcher.send_next():
                pass

    def run(self, stop: threading.Event) -> bool:
        """Work until `stop` is set; False if a thread died of a fault.

        What is under way then is finished, but not waited for longer than FINISH_SECONDS: a tick that hangs has changed nothing
        yet, and an answer that does not come is looked for by the next one to hold that delivery.
        """
        failed = threading.Event()
        works = [self._judge, *(partial(_deliver, dispatcher) for dispatcher in self.dispatchers)]
        threads = [threading.Thread(target=_loudly, args=(work, stop, failed), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        stop.wait()
        deadline = time.monotonic() + FINISH_SECONDS
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
        for dispatcher in self.dispatchers:
            try:
                dispatcher.leave()
            except StoreUnavailable as error:
                log.error("a delivery is held for a minute still: the store is not available", error=str(error))
        return not failed.is_set()

    def _judge(self, stop: threading.Event) -> None:
        while not stop.is_set():
            is_left = False
            try:
                if self._leads():
                    is_left = self.step()
                    self.archive(self._clock())
            except StoreUnavailable as error:
                log.error("the store is not available: trying again", error=str(error))
                stop.wait(1)
            if not is_left or self._is_helped:
                stop.wait(POLL_SECONDS)
        self._database.resign()


def _deliver(dispatcher: Dispatcher, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            while not stop.is_set() and dispatcher.send_next(stop.is_set):
                pass
        except StoreUnavailable as error:
            log.error("the store is not available: trying again", error=str(error))
            stop.wait(1)
        stop.wait(POLL_SECONDS)


def _loudly(work: Callable[[threading.Event], None], stop: threading.Event, failed: threading.Event) -> None:
    try:
        work(stop)
    except BaseException:
        # a silent thread would owe deliveries for ever: end the process, loudly
        failed.set()
        stop.set()
        raise
