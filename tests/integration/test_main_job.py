"""The main job on the real Prometheus and Alertmanager: from a failing node to verdict, ticket and annotation, and to their end."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from examples import peers
from receiver.delivery.plan import Route
from receiver.delivery.targets.grafana import GrafanaAnnotations
from tests.fakes.grafana import FakeGrafana
from tests.fakes.memory import MemoryTarget
from tests.integration.conftest import USERS, Network, alertmanager, prometheus
from tests.receiver import Receiver

HOUR = timedelta(hours=1)


class House:
    """The receiver with the real pair before it and two targets behind it."""

    def __init__(
        self, network: Network, receiver: Receiver, prom: peers.Prometheus, desk: MemoryTarget, grafana: FakeGrafana
    ) -> None:
        self.network, self.receiver, self.prometheus, self.tickets, self.grafana = network, receiver, prom, desk, grafana

    def hear_of(self, what: str, state: str = "firing") -> None:
        """Wait for the webhook, then derive, assess and deliver once."""
        peers.wait_until(what, self.receiver.received, 20)
        peers.wait_until(f"the {state} alerts to be derived", lambda: self._settled(state), 20)

    def _settled(self, state: str) -> bool:
        self.receiver.worker.step()
        self.receiver.worker.deliver()
        wanted = ("open",) if state == "firing" else ("recovering", "closed")
        found = self.receiver.incidents()
        return len(found) == 1 and found[0]["state"] in wanted and len(found[0]["impacts"]) == len(USERS)

    def assess_at(self, moment: datetime) -> dict[str, Any]:
        """The incident after a tick at this moment."""
        self.receiver.assess_at(moment)
        self.receiver.worker.deliver()
        return self.receiver.incidents()[0]


@pytest.fixture
def house(tmp_path: Path, network: Network) -> Iterator[House]:
    tickets = MemoryTarget("desk")
    with FakeGrafana("grafana-token", dashboards=("art58",)) as grafana:
        annotations = GrafanaAnnotations("grafana", grafana.url, "grafana-token", "art58", 3, 5)
        routes = (Route("desk", "ticket"), tickets), (Route("grafana", "annotation"), annotations)
        # a receiver needs Prometheus' address, Prometheus Alertmanager's, and that the receiver's: the port comes first
        port = peers.free_port()
        with (
            Receiver(tmp_path, f"http://127.0.0.1:{port}", *routes, candidate_lead_seconds=600, hold_seconds=300) as receiver,
            alertmanager(tmp_path, receiver.url) as am,
            prometheus(network, tmp_path, am.url, port) as prom,
        ):
            peers.wait_until("the first samples", lambda: b"core-1" in query(prom, "art58:equipment_up"), 20)
            yield House(network, receiver, prom, tickets, grafana)
            network.down.clear()


def query(server: peers.Server, expression: str) -> bytes:
    return peers.fetch(f"{server.url}/api/v1/query?query={expression}")


def impact(incident: dict[str, Any], service: str) -> dict[str, Any]:
    return next(one for one in incident["impacts"] if one["service"] == service)


def test_one_alert_then_silence_and_the_verdict_turns_at_the_right_second(house: House) -> None:
    house.network.down.add("core-1")
    house.hear_of("the alert on core-1")
    incident = house.receiver.incidents()[0]
    started = datetime.fromisoformat(incident["failure_started_at"])
    voice, data = impact(incident, "voice"), impact(incident, "data")
    assert (voice["affected_users"], voice["method"], voice["measured"]) == (50_000, "emergency_all_under_equipment", True)
    assert (data["affected_users"], data["method"], data["measured"]) == (115_000, "direct", True)
    assert voice["verdict"] == data["verdict"] == "periodic"  # 30,000 users are enough for that
    assert datetime.fromisoformat(voice["major_expected_at"]) == started + HOUR

    before = house.assess_at(started + HOUR - timedelta(microseconds=1))
    assert {one["service"]: one["verdict"] for one in before["impacts"]} == {
        "voice": "periodic",
        "data": "periodic",
        "lpwa": "none",
    }
    after = house.assess_at(started + HOUR)
    assert {one["service"]: one["verdict"] for one in after["impacts"]} == {"voice": "major", "data": "major", "lpwa": "none"}
    assert (impact(after, "voice")["row"], impact(after, "data")["row"]) == (1, 6)
    assert datetime.fromisoformat(impact(after, "voice")["major_since"]) == started + HOUR
    assert after["verdict"] == "major"


def test_a_ticket_is_made_once_the_forecast_is_within_the_lead_and_follows_the_verdict(house: House) -> None:
    house.network.down.add("core-2")
    house.hear_of("the alert on core-2")
    started = datetime.fromisoformat(house.receiver.incidents()[0]["failure_started_at"])
    house.assess_at(started + timedelta(minutes=49, seconds=59))
    assert house.tickets.tickets == {}
    house.assess_at(started + timedelta(minutes=50))
    (ticket,) = house.tickets.said.values()
    assert not ticket.unmeasured
    house.assess_at(started + HOUR)
    (ticket,) = house.tickets.said.values()
    assert ticket.verdict == "major"
    assert [call[0] for call in house.tickets.calls] == ["find", "create", "read", "read", "write", "read", "comment"]


def test_resolved_closes_ticket_and_annotation_after_the_hold(house: House) -> None:
    house.network.down.add("core-3")
    house.hear_of("the alert on core-3")
    (point,) = house.grafana.annotations.values()
    assert "timeEnd" not in point or point["timeEnd"] in (0, point["time"])
    house.receiver.clock.ahead = timedelta(minutes=51)  # so that there is a ticket to resolve
    house.receiver.worker.assess(house.receiver.clock())
    house.receiver.clock.ahead = timedelta()
    house.network.down.clear()
    house.hear_of("its end", "resolved")
    recovering = house.receiver.incidents()[0]
    assert recovering["state"] == "recovering"
    restored = datetime.fromisoformat(recovering["restored_at"])
    assert house.assess_at(restored + timedelta(seconds=299))["state"] == "recovering"
    closed = house.assess_at(restored + timedelta(seconds=300))
    assert (closed["state"], closed["restored_at"]) == ("closed", recovering["restored_at"])
    assert closed["impacts"][0]["duration_seconds"] == int(
        (restored - datetime.fromisoformat(closed["failure_started_at"])).total_seconds()
    )
    assert house.receiver.incidents("open") == []
    assert house.tickets.resolved == set(house.tickets.tickets) != set()
    (region,) = house.grafana.annotations.values()
    assert region["time"] == int(datetime.fromisoformat(closed["failure_started_at"]).timestamp() * 1000)
    assert region["timeEnd"] == int(restored.timestamp() * 1000)


def test_without_prometheus_the_ticket_is_unmeasured_and_measured_later_with_the_start_unmoved(house: House) -> None:
    house.network.down.add("core-4")
    peers.wait_until("the alert on core-4", house.receiver.received, 20)
    house.prometheus.kill()
    house.receiver.worker.step()
    incident = house.receiver.incidents()[0]
    started = datetime.fromisoformat(incident["failure_started_at"])
    unmeasured = house.assess_at(started + HOUR)
    voice = impact(unmeasured, "voice")
    assert (voice["verdict"], voice["at_least"], voice["at_most"]) == ("indeterminate", "none", "major")
    assert (voice["measured"], voice["affected_users"]) == (False, None)
    (ticket,) = house.tickets.said.values()
    assert ticket.unmeasured

    # the restarted Prometheus has forgotten since when its alerts hold; the store and the series have not
    house.prometheus.start()
    peers.wait_until("samples after the restart", lambda: b"core-4" in query(house.prometheus, "art58:users_unable>0"), 20)
    measured = house.assess_at(started + HOUR)
    assert (impact(measured, "voice")["verdict"], impact(measured, "voice")["affected_users"]) == ("major", 50_000)
    found = datetime.fromisoformat(measured["failure_started_at"])
    assert timedelta() <= started - found < timedelta(seconds=5)  # the series may know it a little earlier, never later
    peers.wait_until("the alert sent anew", house.receiver.received, 20)
    house.receiver.clock.fixed = None
    house.receiver.worker.step()
    assert datetime.fromisoformat(house.receiver.incidents()[0]["failure_started_at"]) == found
    (ticket,) = house.tickets.said.values()
    assert not ticket.unmeasured
    assert [call[0] for call in house.tickets.calls].count("create") == 1


def test_a_prometheus_that_dies_lets_nothing_recover(house: House) -> None:
    house.network.down.add("core-5")
    house.hear_of("the alert on core-5")
    house.prometheus.kill()
    # its alerts expire, and Alertmanager says that they are resolved
    peers.wait_until("Alertmanager to say resolved", house.receiver.received, 20)
    house.receiver.worker.step()
    (incident,) = house.receiver.incidents()
    assert (incident["state"], incident["restored_at"]) == ("open", None)
    later = house.assess_at(datetime.fromisoformat(incident["failure_started_at"]) + HOUR)
    assert (later["state"], later["verdict"]) == ("open", "major")
    (ticket,) = house.tickets.said.values()
    assert not ticket.resolved
