"""The clock and all that can go wrong around it: the verdict comes when it must, nothing closes or lowers by ignorance."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.catalogue import Catalogue
from receiver.delivery.plan import Route
from receiver.incidents import ask, derive, tick
from receiver.incidents.known import Known
from receiver.law.wording import OWN_FAULT
from receiver.model import Incident
from receiver.observation.history import Histories
from receiver.observation.quality import Qualities
from receiver.storage import heartbeat
from receiver.storage import incidents as store
from receiver.storage.database import Database
from tests.fakes.memory import MemoryTarget
from tests.fakes.prometheus import FakePrometheus
from tests.incidents.test_derive import alert, take_in
from tests.receiver import SERVICES, Receiver

pytestmark = pytest.mark.usefixtures("each_store")

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


class House:
    """A receiver, a Prometheus that says what it is told, a desk for tickets. Time stands still until it is set."""

    def __init__(self, prometheus: FakePrometheus, receiver: Receiver, desk: MemoryTarget) -> None:
        self.prometheus, self.receiver, self.desk = prometheus, receiver, desk

    def at(self, minutes: float) -> dict[str, Any]:
        """Tick so many minutes after T0; the only incident."""
        moment = T0 + timedelta(minutes=minutes)
        self.prometheus.now = moment.timestamp()
        self.receiver.assess_at(moment)
        self.receiver.worker.deliver()
        (incident,) = self.receiver.incidents()
        return incident

    def incident(self) -> Incident:
        with self.receiver.database.read() as connection:
            found = store.get(connection, self.receiver.incidents()[0]["id"])
        assert found
        return found

    def knows(self, **changes: Any) -> None:
        """Change what is known of the only incident."""
        incident = self.incident()
        with self.receiver.database.write() as connection:
            store.save(connection, msgspec.structs.replace(incident, **changes))

    def count_assessments(self) -> int:
        with self.receiver.database.read() as connection:
            return len(store.history(connection, self.receiver.incidents()[0]["id"]))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    desk = MemoryTarget("desk")
    with (
        FakePrometheus() as prometheus,
        Receiver(tmp_path, prometheus.url, (Route("desk", "ticket"), desk), candidate_lead_seconds=0) as receiver,
    ):
        receiver.clock.fixed = T0 + timedelta(minutes=1)
        prometheus.holds("art58:users_under_equipment", 50_000, service="voice", equipment="core-1")
        prometheus.holds("art58:equipment_up", 0, equipment="core-1")
        for equipment in ("core-1", "core-2"):
            # voice is counted as any other service here: certainly no emergency call was affected
            prometheus.holds("art58:emergency_calls_affected", 0, service="voice", equipment=equipment)
        yield House(prometheus, receiver, desk)


def impact(incident: dict[str, Any]) -> dict[str, Any]:
    (only,) = incident["impacts"]
    found: dict[str, Any] = only
    return found


def test_resolved_because_prometheus_died_is_no_recovery(house: House) -> None:
    take_in(house.receiver, [alert(0)])
    house.prometheus.down = True
    take_in(house.receiver, [alert(0, 6)])
    assert house.at(7)["state"] == "open"
    incident = house.at(60)
    assert (incident["state"], impact(incident)["verdict"], len(house.desk.tickets)) == ("open", "major", 1)
    house.prometheus.down = False
    assert house.at(61)["state"] == "open"  # its series says that it is still down
    house.prometheus.holds("art58:equipment_up", 1, equipment="core-1")
    recovering = house.at(62)
    assert (recovering["state"], recovering["restored_at"]) == ("recovering", "2026-11-21T03:06:00Z")
    house.prometheus.down = True
    assert house.at(63)["state"] == "recovering"  # once believed it stays so


def test_recoveries_of_many_services_are_confirmed_by_one_query(house: House) -> None:
    take_in(house.receiver, [alert(0), alert(0, service="data"), alert(0, equipment="core-2")])
    for equipment in ("core-1", "core-2"):
        house.prometheus.holds("art58:equipment_up", 1, equipment=equipment)
    house.prometheus.asked.clear()
    take_in(house.receiver, [alert(0, 6), alert(0, 6, service="data"), alert(0, 6, equipment="core-2")])
    assert {incident["state"] for incident in house.receiver.incidents()} == {"recovering"}
    asked = {query for query in house.prometheus.asked if query.startswith("art58:equipment_up{") and query.endswith("}")}
    assert asked == {'art58:equipment_up{equipment=~"core-1|core-2"}'}


def test_equipment_whose_series_fell_silent_is_not_known_to_work(house: House) -> None:
    take_in(house.receiver, [alert(0)])
    house.knows(start_basis="equipment_series")
    house.prometheus.holds("art58:equipment_up", None, equipment="core-1")
    take_in(house.receiver, [alert(0, 6)])
    assert house.at(7)["state"] == "open"
    house.prometheus.holds("art58:equipment_up", 1, equipment="core-1")
    assert house.at(8)["state"] == "recovering"


def test_each_service_recovers_for_itself(house: House) -> None:
    take_in(house.receiver, [alert(0), alert(0, service="data")])
    house.prometheus.holds("art58:equipment_up", 1, equipment="core-1")
    take_in(house.receiver, [alert(0), alert(0, 10, service="data")])
    incident = house.at(30)
    durations = {one["service"]: one["duration_seconds"] for one in incident["impacts"]}
    assert (incident["state"], durations) == ("open", {"voice": 1800, "data": 600})


def test_when_it_became_major_does_not_move_with_later_ticks(house: House) -> None:
    house.prometheus.holds("art58:users_unable", 29_999, service="voice", equipment="core-1")
    take_in(house.receiver, [alert(0)])
    house.at(120)
    house.prometheus.holds("art58:users_unable", 30_000, service="voice", equipment="core-1")
    assert impact(house.at(180))["major_since"] == "2026-11-21T06:00:00Z"  # at 04:00 the users were too few
    assert impact(house.at(181))["major_since"] == impact(house.at(240))["major_since"] == "2026-11-21T06:00:00Z"


def test_a_clock_of_prometheus_that_is_ahead_does_not_undo_the_moment(house: House) -> None:
    house.prometheus.holds("art58:users_unable", 29_999, service="voice", equipment="core-1")
    take_in(house.receiver, [alert(0)])
    house.at(120)
    house.prometheus.holds("art58:users_unable", 30_000, service="voice", equipment="core-1")
    house.prometheus.now = (T0 + timedelta(minutes=185)).timestamp()
    for minutes in (180, 181):
        house.receiver.assess_at(T0 + timedelta(minutes=minutes))
        assert impact(house.receiver.incidents()[0])["major_since"] == "2026-11-21T06:00:00Z"


def test_users_that_can_no_longer_be_counted_are_not_the_last_count(house: House) -> None:
    house.prometheus.holds("art58:users_unable", 100, service="voice", equipment="core-1")
    take_in(house.receiver, [alert(0)])
    assert impact(house.at(5))["verdict"] == "none"
    house.prometheus.holds("art58:users_unable", None, service="voice", equipment="core-1")
    one = impact(house.at(60))
    assert (one["verdict"], one["at_least"], one["at_most"], one["affected_users"]) == ("indeterminate", "none", "major", 100)
    assert len(house.desk.tickets) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0, 1e30, -5])
def test_no_odd_value_stops_the_clock(house: House, bad: float) -> None:
    house.prometheus.holds("ALERTS_FOR_STATE", bad, alertname="Art58EquipmentDown", service="voice", equipment="core-1")
    house.prometheus.holds("art58:equipment_up", bad, equipment="core-1")
    house.prometheus.holds("art58:users_unable", bad, service="voice", equipment="core-9")
    take_in(house.receiver, [alert(0)])
    assert impact(house.at(60))["at_most"] == "major"
    assert house.incident().failure_started_at == T0


def test_since_when_an_alert_is_pending_counts_as_the_start(house: House) -> None:
    active = T0 - timedelta(minutes=5)
    labels = {"alertname": "Art58EquipmentDown", "service": "voice", "equipment": "core-1"}
    house.prometheus.holds("ALERTS_FOR_STATE", active.timestamp(), **labels)
    house.prometheus.holds("ALERTS_FOR_STATE", active.timestamp() - 600, **labels | {"equipment": "core-2"})
    take_in(house.receiver, [alert(0)])
    assert (house.incident().failure_started_at, house.incident().start_basis) == (active, "alerts_for_state")


def test_a_start_once_learnt_never_moves_later_and_is_asked_for_once(house: House) -> None:
    take_in(house.receiver, [alert(0)])
    house.at(5)
    assert house.incident().start_settled
    asked = len([query for query in house.prometheus.asked if "ALERTS_FOR_STATE" in query])
    house.at(6)
    assert len([query for query in house.prometheus.asked if "ALERTS_FOR_STATE" in query]) == asked
    take_in(house.receiver, [alert(4, service="voice", cell="7")])
    house.at(7)
    assert len([query for query in house.prometheus.asked if "ALERTS_FOR_STATE" in query]) == asked + 1
    assert house.incident().failure_started_at == T0
    take_in(house.receiver, [alert(-3, service="voice", cell="8")])
    assert house.incident().failure_started_at == T0 - timedelta(minutes=3)


def test_the_worker_wakes_at_the_second_of_the_threshold_and_not_at_the_next_tick(house: House) -> None:
    take_in(house.receiver, [alert(0)])
    house.receiver.assess_at(T0 + timedelta(minutes=59, seconds=58))
    house.receiver.clock.fixed = T0 + timedelta(minutes=59, seconds=59)
    house.receiver.worker.step()
    assert impact(house.receiver.incidents()[0])["verdict"] == "periodic"
    house.receiver.clock.fixed = T0 + timedelta(minutes=60)
    house.receiver.worker.step()
    assert impact(house.receiver.incidents()[0])["verdict"] == "major"


def test_a_storm_of_alerts_does_not_stop_the_clock(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(house.receiver, [alert(0)])
    rounds: list[int] = []

    def ever_more(*_: object) -> int:
        rounds.append(1)
        house.receiver.clock.fixed = T0 + timedelta(minutes=60 + len(rounds))
        assert len(rounds) < 50, "it derives for ever"
        return 20

    monkeypatch.setattr("receiver.worker.derive_waiting", ever_more)
    house.receiver.worker.step()
    assert impact(house.receiver.incidents()[0])["verdict"] == "major"


def test_a_fault_in_one_incident_leaves_the_others_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(house.receiver, [alert(0), alert(0, equipment="core-2")])
    real = tick.assess

    def faulty(incident: Incident, *others: Any) -> Any:
        if incident.equipment == "core-2":
            raise ZeroDivisionError
        return real(incident, *others)

    monkeypatch.setattr(tick, "assess", faulty)
    house.receiver.assess_at(T0 + timedelta(minutes=60))
    verdicts = {one["impacts"][0]["affected_users"]: one["verdict"] for one in house.receiver.incidents()}
    assert verdicts[50_000] == "major"


@pytest.mark.parametrize("question", ["history", "topology", "quality"])
def test_a_fault_in_one_question_is_not_known_and_stops_no_clock(
    house: House, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    def faulty(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    house.prometheus.holds("art58:users_under_equipment", None, service="data", equipment="core-1")
    broken = {"history": (Histories, "compare"), "topology": (ask.topology, "observe"), "quality": (Qualities, "observe")}
    monkeypatch.setattr(*broken[question], faulty)
    take_in(house.receiver, [alert(0), alert(0, service="data")])
    voice, data = sorted(house.at(60)["impacts"], key=lambda one: one["service"], reverse=True)
    assert (voice["verdict"], voice["affected_users"]) == ("major", 50_000)
    assert (data["verdict"], data["measured"]) == ("indeterminate", False)
    assert (OWN_FAULT in data["reason"]["en"]) == (question != "quality")


def test_notifications_are_taken_in_while_incidents_are_judged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(house.receiver, [alert(0)])
    real, beats = tick.assess, []

    def watched(*arguments: Any) -> Any:
        other = Database(house.receiver.settings.database, busy_seconds=0)
        with other.write() as connection:
            heartbeat.beat(connection, "test", T0)
        other.close()
        beats.append(1)
        return real(*arguments)

    monkeypatch.setattr(tick, "assess", watched)
    house.receiver.assess_at(T0 + timedelta(minutes=60))
    assert (beats, impact(house.receiver.incidents()[0])["verdict"]) == ([1], "major")


def test_a_wobbling_bound_is_no_news_while_users_are_measured(house: House) -> None:
    house.prometheus.holds("art58:users_unable", 100, service="voice", equipment="core-1")
    take_in(house.receiver, [alert(0)])
    house.at(5)
    before = house.count_assessments()
    house.prometheus.holds("art58:users_under_equipment", 50_001, service="voice", equipment="core-1")
    house.at(6)
    assert house.count_assessments() == before


def test_what_fires_on_after_it_was_closed_was_never_over(house: House) -> None:
    take_in(house.receiver, [alert(0)])
    house.prometheus.holds("art58:equipment_up", 1, equipment="core-1")
    take_in(house.receiver, [alert(0, 2)])
    first = house.at(63)
    assert first["state"] == "closed"
    take_in(house.receiver, [alert(0)])  # the same startsAt: another Prometheus has sent it all the time
    (again,) = house.receiver.incidents()
    assert (again["id"], again["state"], again["restored_at"]) == (first["id"], "open", None)
    assert again["failure_started_at"] == "2026-11-21T03:00:00Z"


def test_late_news_of_a_closed_incident_change_nothing_of_it(house: House) -> None:
    take_in(house.receiver, [alert(0)])
    house.prometheus.holds("art58:equipment_up", 1, equipment="core-1")
    take_in(house.receiver, [alert(0, 2)])
    first = house.at(63)
    take_in(house.receiver, [alert(0, 1, service="voice", cell="late")])
    house.receiver.assess_at(T0 + timedelta(minutes=64))
    assert house.receiver.incidents() == [first]


def test_a_service_taken_out_of_the_catalogue_leaves_no_state_behind(house: House, tmp_path: Path) -> None:
    take_in(house.receiver, [alert(0)])
    house.at(60)
    worker, without = house.receiver.worker, Catalogue(SERVICES[1:])
    worker._catalogue = worker._observer.catalogue = without  # as after a restart
    worker._known = Known(without, house.receiver.settings)
    take_in(house.receiver, [alert(0, 62)])
    house.at(63)
    closed = house.at(130)
    assert (closed["state"], impact(closed)["verdict"], impact(closed)["duration_seconds"]) == ("restored", "major", 3720)
    assert house.desk.resolved == set(house.desk.tickets) != set()


def test_bodies_are_derived_in_batches_that_leave_room_for_the_intake(house: House) -> None:
    take_in(house.receiver, *[[alert(0, equipment=f"core-{n}")] for n in range(derive.BATCH + 5)])
    while house.receiver.received():
        house.receiver.worker.step()
    assert len(house.receiver.incidents()) == derive.BATCH + 5
