"""Notifications become incidents, the same ones however often and in whatever order they come."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.storage import notifications
from tests.fakes.prometheus import FakePrometheus
from tests.receiver import Receiver

pytestmark = pytest.mark.usefixtures("each_store")

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    # it answers and holds no series: users stay unmeasured
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url, hold_seconds=3600) as receiver:
        receiver.clock.fixed = T0 + timedelta(minutes=30)
        yield receiver


def alert(starts: float, ends: float | None = None, service: str = "voice", **labels: str) -> dict[str, Any]:
    """An alert as Alertmanager writes it; minutes after T0."""
    labels = {"alertname": "Art58EquipmentDown", "service": service, "equipment": "core-1"} | labels
    return {
        "status": "firing" if ends is None else "resolved",
        "labels": labels,
        "annotations": {},
        "startsAt": (T0 + timedelta(minutes=starts)).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z" if ends is None else (T0 + timedelta(minutes=ends)).isoformat(),
        "fingerprint": "-".join(labels.values())[:128],
    }


def take_in(receiver: Receiver, *bodies: list[dict[str, Any]], source: str = "alertmanager") -> None:
    version = {"alertmanager": "4", "grafana": "1"}[source]
    with receiver.database.inbox.write() as connection:
        for alerts in bodies:
            body = msgspec.json.encode({"version": version, "status": "firing", "alerts": alerts})
            notifications.add(connection, source, receiver.clock(), body)  # type: ignore[arg-type]
    receiver.worker.step()


def test_alerts_on_one_equipment_are_one_incident_with_an_impact_per_service(receiver: Receiver) -> None:
    take_in(receiver, [alert(0), alert(0, service="data")], [alert(1, service="lpwa")])
    (incident,) = receiver.incidents()
    assert [impact["service"] for impact in incident["impacts"]] == ["voice", "data", "lpwa"]
    assert datetime.fromisoformat(incident["failure_started_at"]) == T0


def test_an_alert_that_starts_in_the_future_has_started_now(receiver: Receiver) -> None:
    take_in(receiver, [alert(90)])
    assert datetime.fromisoformat(receiver.incidents()[0]["failure_started_at"]) == receiver.clock()


def test_different_equipment_is_a_different_incident(receiver: Receiver) -> None:
    take_in(receiver, [alert(0), alert(0, equipment="core-2")])
    assert len(receiver.incidents()) == 2


def test_an_alert_on_no_service_of_the_catalogue_opens_nothing(receiver: Receiver) -> None:
    take_in(receiver, [alert(0, service="television")])
    assert receiver.incidents() == []
    assert receiver.received() == 0


def test_repeats_add_neither_incidents_nor_assessments(receiver: Receiver) -> None:
    take_in(receiver, [alert(0)])
    before = receiver.incidents()
    take_in(receiver, [alert(0)], [alert(0)])
    assert receiver.incidents() == before


def test_a_flap_within_the_hold_continues_the_incident_and_the_gap_counts(receiver: Receiver) -> None:
    take_in(receiver, [alert(0)], [alert(0, 10)])
    assert receiver.incidents()[0]["state"] == "recovering"
    assert receiver.incidents()[0]["impacts"][0]["duration_seconds"] == 600
    take_in(receiver, [alert(20)])
    (incident,) = receiver.incidents()
    assert (incident["state"], incident["restored_at"]) == ("open", None)
    assert incident["impacts"][0]["duration_seconds"] == 1800


def test_after_the_hold_it_is_another_incident(receiver: Receiver) -> None:
    take_in(receiver, [alert(0)], [alert(0, 10)])
    receiver.clock.fixed = T0 + timedelta(minutes=70)
    take_in(receiver, [alert(0, 10)])
    receiver.worker.assess(receiver.clock())
    assert [incident["state"] for incident in receiver.incidents()] == ["closed"]
    take_in(receiver, [alert(70.5)])
    assert sorted(incident["state"] for incident in receiver.incidents()) == ["closed", "open"]


def test_a_late_twin_does_not_open_a_closed_incident_again(receiver: Receiver) -> None:
    take_in(receiver, [alert(0)], [alert(0, 10)])
    receiver.clock.fixed = T0 + timedelta(hours=2)
    receiver.worker.assess(receiver.clock())
    take_in(receiver, [alert(0.5)], [alert(0.5, 10)], [alert(0, 10)])
    assert [incident["state"] for incident in receiver.incidents()] == ["closed"]


def test_an_outage_that_came_and_went_unheard_is_still_an_incident(receiver: Receiver) -> None:
    take_in(receiver, [alert(0, 10)])
    (incident,) = receiver.incidents()
    assert incident["state"] == "recovering"
    assert incident["impacts"][0]["duration_seconds"] == 600


@pytest.mark.parametrize("order", list(permutations(range(4)))[::3])
def test_any_order_of_arrival_ends_in_the_same_incident(receiver: Receiver, order: tuple[int, ...]) -> None:
    bodies = [[alert(0)], [alert(0, 10)], [alert(15), alert(0, 10)], [alert(15, 20)]]
    for place in order:
        take_in(receiver, bodies[place])
        if random.Random(place).random() < 0.5:  # noqa: S311
            take_in(receiver, bodies[place])
    (incident,) = receiver.incidents()
    assert (incident["state"], incident["restored_at"]) == ("recovering", "2026-11-21T03:20:00Z")
    assert datetime.fromisoformat(incident["failure_started_at"]) == T0


def test_a_grafana_rule_without_data_neither_opens_nor_closes(receiver: Receiver) -> None:
    no_data = {"alertname": "DatasourceNoData", "rulename": "Voice down", "service": "voice"}
    take_in(receiver, [alert(0) | {"labels": no_data, "fingerprint": "nodata"}], source="grafana")
    assert receiver.incidents() == []
    take_in(receiver, [alert(0, alertname="Voice down")], [alert(0, 10, alertname="Voice down")], source="grafana")
    assert receiver.incidents()[0]["state"] == "open"
    take_in(receiver, [alert(0, 15) | {"labels": no_data, "fingerprint": "nodata"}], source="grafana")
    receiver.worker.assess(receiver.clock())
    assert receiver.incidents()[0]["state"] == "recovering"


def test_a_store_that_was_derived_once_is_not_derived_again(receiver: Receiver) -> None:
    take_in(receiver, [alert(0)])
    assert receiver.received() == 0
    with receiver.database.inbox.write() as connection:
        connection.exec_driver_sql("UPDATE notifications SET derived_at = NULL")  # as if killed before the mark
    before = receiver.incidents()
    receiver.worker.step()
    assert receiver.incidents() == before
