"""The loop that runs without webhooks: derive, assess, plan; and one thread per target that delivers.

A fault nobody foresaw ends the process with a trace: whoever started it starts it again, and the store says where to go on.
"""

import os
import threading
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import structlog
from prometheus_client import Counter, Histogram

from receiver.catalogue import Catalogue
from receiver.delivery.dispatcher import Dispatcher
from receiver.delivery.plan import Route, plan
from receiver.delivery.targets import Target
from receiver.incidents.ask import Observer
from receiver.incidents.derive import derive_waiting
from receiver.incidents.tick import tick
from receiver.law import freshness
from receiver.law.provisions import in_japan
from receiver.law.rulebook import Rulebook
from receiver.model import Assessment, Clock
from receiver.observation.prometheus import Prometheus
from receiver.settings import Settings
from receiver.storage import heartbeat
from receiver.storage.database import Database, StoreUnavailable

POLL_SECONDS = 0.2
"""How often the store is asked for new notifications and deliveries."""

TICK_SECONDS = Histogram(
    "art58_tick_seconds", "Time to assess all living incidents", buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30)
)
ASSESSMENTS = Counter("art58_assessments_total", "Assessments appended", ["verdict"])

log = structlog.get_logger()


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
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._database = database
        self._observer = Observer(prometheus, catalogue, settings.comparable_days.calendar)
        self._rulebooks = rulebooks
        self._routes = tuple(route for route, _ in targets)
        self._clock = clock
        self._next_tick: datetime | None = None
        self._warned_on: date | None = None
        self.dispatchers = [
            Dispatcher(
                database,
                target,
                catalogue,
                settings.duties.of_the_law,
                settings.external_url,
                f"{os.uname().nodename}:{os.getpid()}:{route.target}",
                clock,
            )
            for route, target in targets
        ]

    def step(self) -> None:
        """Derive what waits; assess and plan if that was news or the time has come. Raises StoreUnavailable."""
        news = False
        while derive_waiting(self._database, self._catalogue, self._clock()):
            news = True
            if self._is_due():
                break  # a storm of alerts must not stop the clock
        if news or self._is_due():
            self.assess(self._clock())

    def _is_due(self) -> bool:
        return self._next_tick is None or self._clock() >= self._next_tick

    def assess(self, now: datetime) -> list[Assessment]:
        """Assess every living incident at `now` and plan what is owed. Raises StoreUnavailable."""
        self._warn_of_old_rules(now)
        with TICK_SECONDS.time():
            ticked = tick(self._database, self._observer, self._settings, self._rulebooks, now)
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
        regular = now + timedelta(seconds=self._settings.tick_seconds)
        self._next_tick = min(regular, ticked.next_at) if ticked.next_at else regular
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

    def deliver(self) -> None:
        """Send everything that is due now, target after target. For tests and single steps; `run` gives each a thread."""
        for dispatcher in self.dispatchers:
            while dispatcher.send_next():
                pass

    def run(self, stop: threading.Event) -> bool:
        """Work until `stop` is set; False if a thread died of a fault."""
        failed = threading.Event()
        threads = [threading.Thread(target=_deliver, args=(d, stop, failed), daemon=True) for d in self.dispatchers]
        for thread in threads:
            thread.start()
        while not stop.is_set():
            try:
                self.step()
            except StoreUnavailable as error:
                log.error("the store is not available: trying again", error=str(error))
                stop.wait(1)
            stop.wait(POLL_SECONDS)
        for thread in threads:
            thread.join(timeout=15)
        return not failed.is_set()


def _deliver(dispatcher: Dispatcher, stop: threading.Event, failed: threading.Event) -> None:
    try:
        while not stop.is_set():
            try:
                while not stop.is_set() and dispatcher.send_next():
                    pass
            except StoreUnavailable as error:
                log.error("the store is not available: trying again", error=str(error))
                stop.wait(1)
            stop.wait(POLL_SECONDS)
    except BaseException:
        # a silent thread would owe deliveries for ever: end the process, loudly
        failed.set()
        stop.set()
        raise
