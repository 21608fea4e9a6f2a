"""`/metrics`: what the processes counted, the present state of the store, read when asked, and until when the rules are checked."""

import os
from collections.abc import Iterable, Iterator, Sequence

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString

from receiver.law.freshness import checks
from receiver.law.rulebook import Rulebook
from receiver.model import Clock
from receiver.storage import deliveries, figures, heartbeat, notifications
from receiver.storage import incidents as store
from receiver.storage.database import Database
from receiver.storage.figures import Impact


class Family:
    """A gauge: its samples are the values of its labels, in their order, with a number. Gone through once."""

    def __init__(self, name: str, help_: str, samples: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> None:
        self.name, self.help, self.labels = name, help_, labels
        self._samples = samples

    def text(self) -> bytes:
        """In the text format, labels by their names. prometheus_client would keep an object for each line of all families first."""
        order = sorted(range(len(self.labels)), key=self.labels.__getitem__)
        lines = [f"# HELP {self.name} {self.help}\n# TYPE {self.name} gauge\n"]
        for values, number in self._samples:
            inside = ",".join(f'{self.labels[n]}="{_escaped(values[n])}"' for n in order)
            value = floatToGoString(number)  # type: ignore[no-untyped-call]
            lines.append(f"{self.name}{{{inside}}} {value}\n" if inside else f"{self.name} {value}\n")
        return "".join(lines).encode()


def blueprint(database: Database, rulebooks: tuple[Rulebook, ...], clock: Clock) -> Blueprint:
    room = Blueprint("metrics", __name__)

    @room.get("/metrics")
    def metrics() -> Response:
        families = [*stored(database), of_the_law(rulebooks, clock)]
        text = b"".join([generate_latest(_counted()), *(family.text() for family in families)])
        return Response(text, content_type=CONTENT_TYPE_LATEST)

    return room


def _counted() -> CollectorRegistry:
    """What this process counted, or all of them together where they leave their figures in a common folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def stored(database: Database) -> Iterator[Family]:
    """The present state of the store. Raises StoreUnavailable before anything is given."""
    with database.inbox.read() as connection:
        waiting = notifications.count_waiting(connection)
    with database.read() as connection:
        states = store.count_by_state(connection)
        impacts = list(figures.impacts(connection))
        owed = deliveries.count_by_state(connection)
        ticked = heartbeat.last(connection, "tick")
    yield Family("art58_notifications_waiting", "Stored bodies not yet derived", [((), waiting)])
    all_states = {"open": 0, "recovering": 0, "closed": 0} | states
    yield Family("art58_incidents", "Incidents by state", [((s,), n) for s, n in all_states.items()], "state")
    yield Family("art58_deliveries", "Rows of the ledger", owed.items(), "target", "state")
    if ticked:
        yield Family("art58_tick_last_timestamp_seconds", "When all incidents were last assessed", [((), ticked.timestamp())])
    yield from _of(impacts)


def of_the_law(rulebooks: tuple[Rulebook, ...], clock: Clock) -> Family:
    """Until when the rules are checked."""
    ends = [((check.rules,), check.ends_at.timestamp()) for check in checks(rulebooks, clock())]
    told = "End of the day by which somebody must look whether the law has changed these rules"
    return Family("art58_law_check_by_timestamp_seconds", told, ends, "rules")


def _of(impacts: Sequence[Impact]) -> Iterator[Family]:
    keyed = [((impact.incident_id, impact.service), impact) for impact in impacts]
    key = ("incident", "service")
    users = (((*one, i.method, str(i.measured).lower()), i.affected_users) for one, i in keyed if i.affected_users is not None)
    yield Family("art58_impact_affected_users", "Users hit", users, *key, "method", "measured")
    thresholds = ((one, i.condition.users) for one, i in keyed)
    yield Family("art58_impact_users_threshold", "Users of the nearest condition", thresholds, *key)
    started = ((one, i.failure_started_at.timestamp()) for one, i in keyed)
    yield Family("art58_impact_failure_started_timestamp_seconds", "Start of the failure", started, *key)
    major = ((one, moment.timestamp()) for one, i in keyed if (moment := i.major_since or i.major_expected_at))
    yield Family("art58_impact_major_timestamp_seconds", "When it became or will become major", major, *key)
    verdicts = (((*one, i.verdict), 1) for one, i in keyed)
    yield Family("art58_impact_verdict", "1 for the present verdict", verdicts, *key, "verdict")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
