"""What one cause does is one incident, with an impact per service; what has nothing in common stays apart; late evidence counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.catalogue import Catalogue
from receiver.catalogue.topology import Declared, DeclaredUnit
from receiver.delivery.plan import Route
from receiver.incidents.acts import state
from receiver.model import Merged, Split
from receiver.observation import ancestors
from receiver.storage import acts, deliveries
from receiver.storage import incidents as store
from tests.fakes.memory import MemoryTarget
from tests.fakes.prometheus import FakePrometheus
from tests.incidents.test_derive import T0, alert, take_in
from tests.receiver import SERVICES, Receiver

NETWORK = Declared(
    units=(
        DeclaredUnit(name="core-1"),
        DeclaredUnit(name="agg-1", parent="core-1"),
        DeclaredUnit(name="cell-1", parent="agg-1", users={"voice": 400, "data": 900}),
        DeclaredUnit(name="cell-2", parent="agg-1", users={"voice": 300, "data": 700}),
        DeclaredUnit(name="cell-9", users={"voice": 50, "data": 60}),
    ),
    cause_labels=("ring",),
)


HOLD = timedelta(minutes=30)


class House:
    def __init__(self, prometheus: FakePrometheus, receiver: Receiver, desk: MemoryTarget) -> None:
        self.prometheus, self.receiver, self.desk = prometheus, receiver, desk

    def at(self, minutes: float) -> list[dict[str, Any]]:
        moment = T0 + timedelta(minutes=minutes)
        self.prometheus.now = moment.timestamp()
        self.receiver.assess_at(moment)
        self.receiver.worker.deliver()
        return self.living()

    def living(self) -> list[dict[str, Any]]:
        return sorted(self.receiver.incidents("open"), key=lambda each: each["failure_started_at"])

    def units(self) -> list[tuple[str, ...]]:
        with self.receiver.database.read() as connection:
            return sorted(each.units for each in store.living(connection))

    def written(self, id_: str) -> list[object]:
        with self.receiver.database.read() as connection:
            return [act.deed for act in acts.of_incidents(connection, [id_])[id_]]


@contextmanager
def house_in(folder: Path, network: Declared = NETWORK) -> Iterator[House]:
    desk = MemoryTarget("desk")
    with (
        FakePrometheus() as prometheus,
        Receiver(folder, prometheus.url, (Route("desk", "annotation"), desk), catalogue=Catalogue(SERVICES, network)) as receiver,
    ):
        receiver.clock.fixed = T0 + timedelta(minutes=30)
        prometheus.now = receiver.clock.fixed.timestamp()
        yield House(prometheus, receiver, desk)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path) as house:
        yield house


def minutes(incident: dict[str, Any], key: str) -> float | None:
    return (datetime.fromisoformat(incident[key]) - T0) / timedelta(minutes=1) if incident[key] else None


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_what_lies_under_failed_equipment_is_the_same_failure(house: House, order: tuple[int, ...]) -> None:
    bodies = [[alert(0, equipment="cell-1")], [alert(1, equipment="agg-1", service="data")], [alert(2, equipment="cell-2")]]
    take_in(house.receiver, *(bodies[place] for place in order))
    (incident,) = house.living()
    assert {impact["service"] for impact in incident["impacts"]} == {"voice", "data"}
    assert minutes(incident, "failure_started_at") == 0
    assert house.units() == [("agg-1",)]


def test_two_cells_under_equipment_that_works_are_two_failures(house: House) -> None:
    take_in(house.receiver, [alert(0, equipment="cell-1"), alert(0, equipment="cell-2"), alert(0, equipment="cell-9")])
    assert house.units() == [("cell-1",), ("cell-2",), ("cell-9",)]


def test_a_cell_that_fails_long_after_the_equipment_above_it_recovered_is_another_failure(house: House) -> None:
    take_in(house.receiver, [alert(0, 5, equipment="agg-1"), alert(66, equipment="cell-1")])
    assert len(house.receiver.incidents()) == 2
    take_in(house.receiver, [alert(64, equipment="cell-2")])
    assert sorted(house.units()) == [("agg-1",), ("cell-1",)]


def test_the_same_value_of_a_cause_label_is_the_same_cause(house: House) -> None:
    take_in(house.receiver, [alert(0, equipment="cell-1", ring="r1")], [alert(1, equipment="cell-9", ring="r1")])
    take_in(house.receiver, [alert(1, equipment="cell-2", ring="r2")])
    assert house.units() == [("cell-1", "cell-9"), ("cell-2",)]


def test_an_inhibited_alert_belongs_to_the_one_that_inhibits_it(house: House) -> None:
    inhibiting, inhibited = alert(0, equipment="cell-1"), alert(1, equipment="cell-9")
    take_in(house.receiver, [inhibited | {"inhibitedBy": [inhibiting["fingerprint"]]}], [inhibiting])
    assert house.units() == [("cell-1", "cell-9")]


def test_users_under_several_pieces_of_equipment_are_counted_together(house: House) -> None:
    """Cells of one ring, none above the other: 400 + 50 by the law's rule on several units."""
    take_in(house.receiver, [alert(0, equipment="cell-1", ring="r1"), alert(0, equipment="cell-9", ring="r1")])
    (incident,) = house.at(31)
    (impact,) = incident["impacts"]
    assert (impact["affected_users"], impact["method"]) == (450, "emergency_all_under_equipment")


def test_failed_users_of_several_pieces_of_equipment_are_added_if_all_of_them_count(house: House) -> None:
    for cell, users in (("cell-1", 30), ("cell-9", 12)):
        house.prometheus.holds("art58:users_unable", users, service="data", equipment=cell)
    both = [alert(0, equipment=cell, service="data", ring="r1") for cell in ("cell-1", "cell-9")]
    take_in(house.receiver, both)
    assert house.living()[0]["impacts"][0]["affected_users"] == 42
    house.prometheus.holds("art58:users_unable", None, service="data", equipment="cell-9")
    assert house.at(32)[0]["impacts"][0]["at_least"] == house.at(32)[0]["impacts"][0]["at_most"] == "none"


def test_the_topology_is_learnt_from_metrics_before_anybody_is_told(tmp_path: Path) -> None:
    with house_in(tmp_path, Declared()) as house:
        house.prometheus.holds("art58:equipment_parent", 1, equipment="cell-1", parent="agg-1")
        take_in(house.receiver, [alert(0, equipment="cell-1"), alert(0, equipment="agg-1"), alert(0, equipment="cell-9")])
        assert house.units() == [("agg-1",), ("cell-9",)]
        house.receiver.worker.deliver()
        assert len(house.desk.tickets) == 2


def test_what_prometheus_cannot_tell_of_the_topology_joins_two_incidents_later(tmp_path: Path) -> None:
    with house_in(tmp_path, Declared()) as house:
        house.prometheus.down = True
        take_in(house.receiver, [alert(0, equipment="cell-1")], [alert(1, equipment="agg-1")])
        first, second = house.at(31)
        house.prometheus.down = False
        house.prometheus.holds("art58:equipment_parent", 1, equipment="cell-1", parent="agg-1")
        (whole,) = house.at(32)
        assert whole["id"] == first["id"]
        assert house.written(first["id"]) == house.written(second["id"]) == [Merged(part=second["id"], whole=first["id"])]
        # who was told of the second is told that it is part of the first: nothing of it stays open
        assert [house.desk.tickets[id_].key for id_ in house.desk.resolved] == [second["id"]]


def test_what_moved_to_another_incident_while_prometheus_was_asked_is_told_apart_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = ancestors.observe
    with house_in(tmp_path, Declared()) as house:
        take_in(house.receiver, [alert(0, equipment="agg-1")], [alert(0, equipment="cell-9")])
        house.prometheus.down = True
        take_in(house.receiver, [alert(0, equipment="cell-1")])
        house.prometheus.down = False
        house.prometheus.holds("art58:equipment_parent", 1, equipment="cell-1", parent="agg-1")
        of = {unit: each["id"] for each in house.living() for unit in each["units"]}

        def meanwhile(*asked: Any) -> Any:
            monkeypatch.undo()
            clock = house.receiver.clock
            merged = Merged(of["cell-1"], of["cell-9"])
            state(house.receiver.database, Catalogue(SERVICES), of["cell-1"], merged, "noc", "one cause", clock(), HOLD)
            return observe(*asked)

        monkeypatch.setattr(ancestors, "observe", meanwhile)
        house.at(31)
        assert [each["units"] for each in house.living()] == [["agg-1", "cell-9"]]


def test_late_news_of_an_end_part_what_was_one_incident(house: House) -> None:
    """The receiver heard of the second outage first, and of the end of the first one last."""
    take_in(house.receiver, [alert(0)])
    (one,) = house.at(1)
    take_in(house.receiver, [alert(120)])
    house.receiver.clock.fixed = T0 + timedelta(minutes=130)
    assert [each["id"] for each in house.at(130)] == [one["id"]]
    take_in(house.receiver, [alert(0, 10)])
    house.at(131)
    first, second = sorted(house.receiver.incidents(), key=lambda each: each["failure_started_at"])
    assert (first["id"], minutes(first, "restored_at"), second["state"]) == (one["id"], 10, "open")
    assert minutes(second, "failure_started_at") == 120
    (written,) = house.written(second["id"])
    assert isinstance(written, Split)
    assert (written.part, written.whole) == (second["id"], first["id"])


def test_late_evidence_between_two_incidents_makes_one_of_them(house: House) -> None:
    take_in(house.receiver, [alert(0, 10)])
    house.at(75)
    house.receiver.clock.fixed = T0 + timedelta(minutes=101)
    take_in(house.receiver, [alert(100)])
    first, second = sorted(house.receiver.incidents(), key=lambda each: each["failure_started_at"])
    assert (first["state"], second["state"]) == ("closed", "open")
    take_in(house.receiver, [alert(50, 60, service="data")])
    house.at(102)
    (whole,) = house.living()
    assert (whole["id"], minutes(whole, "failure_started_at")) == (first["id"], 0)
    with house.receiver.database.read() as connection:
        latest = store.latest_assessments(connection, [first["id"], second["id"]])
        owed = deliveries.of_incidents(connection, [first["id"], second["id"]])
        assert all(row.wanted == max(each.number for each in latest[row.incident_id]) for row in owed)
        assert {each.state for each in latest[first["id"]]} == {"open"}
        assert {each.state for each in latest[second["id"]]} == {"closed"}
        part = store.get(connection, second["id"])
    assert part
    assert (part.state, part.joined_to) == ("closed", first["id"])


def test_each_service_holds_its_recovery_for_as_long_as_it_says(tmp_path: Path) -> None:
    patient = tuple(msgspec.structs.replace(s, hold_seconds=7200.0) if s.name == "data" else s for s in SERVICES)
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url, catalogue=Catalogue(patient)) as receiver:
        receiver.clock.fixed = T0 + timedelta(minutes=95)
        take_in(
            receiver,
            [alert(0, 10), alert(90)],
            [alert(0, 10, equipment="x", service="data"), alert(90, equipment="x", service="data")],
        )
        assert len(receiver.incidents()) == 3
