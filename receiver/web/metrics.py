"""`/metrics`: what the processes counted, the present state of the store, read when asked, and until when the rules are checked."""

import os
from collections.abc import Iterable, Iterator

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from receiver.law.freshness import checks
from receiver.law.rulebook import Rulebook
from receiver.model import Assessment, Clock
from receiver.storage import deliveries, heartbeat, notifications
from receiver.storage import incidents as store
from receiver.storage.database import Database


def blueprint(database: Database, rulebooks: tuple[Rulebook, ...], clock: Clock) -> Blueprint:
    room = Blueprint("metrics", __name__)

    @room.get("/metrics")
    def metrics() -> Response:
        text = b"".join(generate_latest(registry) for registry in (_counted(), _stored(database, rulebooks, clock)))
        return Response(text, content_type=CONTENT_TYPE_LATEST)

    return room


def _counted() -> CollectorRegistry:
    """What this process counted, or all of them together where they leave their figures in a common folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _stored(database: Database, rulebooks: tuple[Rulebook, ...], clock: Clock) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_StoreCollector(database))
    registry.register(_LawCollector(rulebooks, clock))
    return registry


class _StoreCollector:
    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        with self._database.inbox.read() as connection:
            waiting = notifications.count_waiting(connection)
        with self._database.read() as connection:
            states = store.count_by_state(connection)
            latest = store.latest_assessments(connection, (incident.id for incident in store.living(connection)))
            owed = deliveries.count_by_state(connection)
            ticked = heartbeat.last(connection, "tick")
        yield _gauge("art58_notifications_waiting", "Stored bodies not yet derived", [((), waiting)])
        all_states = {"open": 0, "recovering": 0, "closed": 0} | states
        yield _gauge("art58_incidents", "Incidents by state", [((s,), n) for s, n in all_states.items()], "state")
        yield _gauge("art58_deliveries", "Rows of the ledger", [(key, n) for key, n in owed.items()], "target", "state")
        if ticked:
            yield _gauge("art58_tick_last_timestamp_seconds", "When all incidents were last assessed", [((), ticked.timestamp())])
        yield from _impacts([assessment for impacts in latest.values() for assessment in impacts])


class _LawCollector:
    def __init__(self, rulebooks: tuple[Rulebook, ...], clock: Clock) -> None:
        self._rulebooks, self._clock = rulebooks, clock

    def collect(self) -> Iterator[Metric]:
        ends = [((check.rules,), check.ends_at.timestamp()) for check in checks(self._rulebooks, self._clock())]
        told = "End of the day by which somebody must look whether the law has changed these rules"
        yield _gauge("art58_law_check_by_timestamp_seconds", told, ends, "rules")


def _impacts(latest: list[Assessment]) -> Iterator[Metric]:
    users, thresholds, started, major, verdicts = [], [], [], [], []
    for a in latest:
        key = (a.incident_id, a.service)
        if a.affected_users is not None:
            users.append(((*key, a.method, str(a.measured).lower()), a.affected_users))
        thresholds.append((key, a.condition.users))
        started.append((key, a.failure_started_at.timestamp()))
        verdicts.append(((*key, a.verdict.value), 1))
        moment = a.major_since or a.major_expected_at
        if moment:
            major.append((key, moment.timestamp()))
    yield _gauge("art58_impact_affected_users", "Users hit", users, "incident", "service", "method", "measured")
    yield _gauge("art58_impact_users_threshold", "Users of the nearest condition", thresholds, "incident", "service")
    yield _gauge("art58_impact_failure_started_timestamp_seconds", "Start of the failure", started, "incident", "service")
    yield _gauge("art58_impact_major_timestamp_seconds", "When it became or will become major", major, "incident", "service")
    yield _gauge("art58_impact_verdict", "1 for the present verdict", verdicts, "incident", "service", "verdict")


def _gauge(name: str, help_: str, samples: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family
