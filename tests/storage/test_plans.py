"""What is asked again and again does not read the history: SQLite says by which index it finds the rows."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event

from receiver.model import Remembered
from receiver.storage import deliveries, incidents, notifications, sightings, topology
from receiver.storage.database import Database
from tests.apps import alert, incident
from tests.samples import ASSESSED_AT as NOW
from tests.samples import assessment
from tests.stores import put_store

CLOSED = 2000


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A long history: closed incidents with their alerts, sent deliveries, derived and refused bodies; one incident is open."""
    file = Path(tmp_path_factory.mktemp("store"), "art58.db")
    put_store(file)
    database = Database(f"sqlite:///{file}")
    with database.write() as connection:
        for number in range(CLOSED + 1):
            id_, at, over = f"inc-{number}", NOW - timedelta(hours=number), number > 0
            state = "closed" if over else "open"
            incidents.save(connection, incident(id=id_, cause=id_, state=state, opened_at=at))
            incidents.append(connection, assessment(incident_id=id_))
            incidents.mark_routed(connection, {id_: 99}, at)
            seen = alert(fingerprint=id_, starts_at=at, ends_at=at if over else None, incident_id=id_)
            incidents.save_alerts(connection, [seen])
            owed = msgspec.structs.replace(DELIVERY, incident_id=id_, next_attempt_at=at)
            deliveries.want(connection, owed)
            if over:
                deliveries.claim(connection, "desk", "test", at)
                deliveries.record_sent(connection, owed, "test", 1, Remembered(), at)
            notifications.add(connection, "grafana", at, b"{}")
        notifications.mark_derived(connection, list(range(1, CLOSED + 1)), NOW)
        for number in range(100):
            notifications.refuse(connection, "grafana", NOW, b"%d" % number, "wrong")
    yield database
    database.close()


DELIVERY = deliveries.Delivery("inc", "desk", "ticket", 1, 0, "owed", 0, NOW)


def plans(database: Database, ask: Callable[[Connection], object]) -> list[str]:
    """How SQLite finds what these statements ask for."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", note)
        ask(connection)
        event.remove(connection, "before_cursor_execute", note)
        steps = [row for said in asked for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said[0]}", said[1])]
    return [step.detail for step in steps]


QUERIES: dict[str, tuple[Callable[[Connection], object], str]] = {
    "a delivery is due": (
        lambda c: deliveries.is_due(c, "desk", NOW),
        "SEARCH deliveries USING INDEX deliveries_due (target=? AND state=?",
    ),
    "a delivery is claimed": (
        lambda c: deliveries.claim(c, "none", "test", NOW),
        "SEARCH deliveries USING INDEX deliveries_due (target=? AND state=?",
    ),
    "alerts that fire alone": (
        lambda c: incidents.firing_alone(c, "alertmanager"),
        "SEARCH alerts USING INDEX alerts_alone (source=?)",
    ),
    "alerts about services that were not over": (
        lambda c: incidents.about_services(c, NOW),
        "SEARCH alerts USING INDEX alerts_by_end (ends_at>?)",
    ),
    "alerts of some causes that were not over": (
        lambda c: sightings.near(c, NOW, ["c1", "c2"], (), {}),
        "SEARCH alerts USING INDEX alerts_of_cause (cause=?)",
    ),
    "alerts of some incidents": (
        lambda c: sightings.of_incidents(c, ["i1", "i2"], (), {}),
        "SEARCH alerts USING INDEX alerts_of_incident (incident_id=?)",
    ),
    "an inhibited alert": (lambda c: incidents.any_inhibited(c, NOW), "USING INDEX alerts_inhibited"),
    "what is under equipment": (
        lambda c: topology.below(c, "equipment", ["a"]),
        "SEARCH equipment_parents USING INDEX equipment_by_parent (label=? AND parent=?)",
    ),
    "open incidents are listed": (
        lambda c: incidents.listed(c, ("open", "recovering"), 1000),
        "SEARCH incidents USING INDEX incidents_by_state (state=?)",
    ),
    "closed incidents are listed": (
        lambda c: incidents.listed(c, ("closed",), 1000),
        "SEARCH incidents USING INDEX incidents_by_state (state=?)",
    ),
    "all incidents are listed, the newest first": (
        lambda c: incidents.listed(c, ("open", "recovering", "restored", "closed"), 1000),
        "SCAN incidents USING INDEX incidents_by_time",
    ),
    "incidents of the last weeks": (
        lambda c: incidents.failing_days(c, NOW, NOW),
        "SEARCH incidents USING INDEX incidents_by_end (restored_at>?)",
    ),
    "living incidents": (incidents.living, "SEARCH incidents USING INDEX incidents_by_state (state=?)"),
    "unrouted assessments": (incidents.unrouted, "USING INDEX assessments_unrouted"),
    "waiting bodies": (lambda c: notifications.waiting(c, 20), "USING INDEX notifications_waiting"),
    "waiting bodies are counted": (notifications.count_waiting, "USING INDEX notifications_waiting"),
    "a refused body comes again": (
        lambda c: notifications.refuse(c, "grafana", NOW, b"0", "wrong"),
        "SEARCH notifications USING INDEX notifications_refused (source=? AND refused=?)",
    ),
    "refused bodies are listed": (
        lambda c: notifications.refused(c, 50),
        "SCAN notifications USING COVERING INDEX notifications_refused",
    ),
    "incidents are counted": (incidents.count_by_state, "SCAN incidents USING COVERING INDEX incidents_by_state"),
    "deliveries are counted": (deliveries.count_by_state, "SCAN deliveries USING COVERING INDEX deliveries_due"),
}


@pytest.mark.parametrize(("ask", "way"), QUERIES.values(), ids=QUERIES)
def test_an_index_leads_to_what_is_asked_for(database: Database, ask: Callable[[Connection], object], way: str) -> None:
    found = plans(database, ask)
    assert any(way in step for step in found), found
    assert [step for step in found if step.startswith("SCAN") and " USING " not in step] == []


def test_listing_open_incidents_reads_no_closed_one(database: Database) -> None:
    found = plans(database, lambda connection: incidents.listed(connection, ("open", "recovering"), 1000))
    assert [step for step in found if "SCAN" in step] == []
    with database.read() as connection:
        assert [it.id for it in incidents.listed(connection, ("open", "recovering"), 1000)] == ["inc-0"]
        assert len(incidents.listed(connection, ("closed",), 5000)) == CLOSED
        newest = incidents.listed(connection, ("open", "recovering", "restored", "closed"), 2)
    assert [it.id for it in newest] == ["inc-0", "inc-1"]
