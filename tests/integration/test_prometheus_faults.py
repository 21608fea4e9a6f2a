"""Whatever Prometheus does: ignorance makes nothing "none", lowers and closes nothing, and alerts are taken in meanwhile."""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from examples import peers
from receiver.catalogue import Catalogue
from receiver.delivery.plan import Route
from receiver.law.rulebook import shipped
from receiver.observation.prometheus import Prometheus
from receiver.settings import PrometheusSettings
from receiver.worker import Worker
from tests.fakes.memory import MemoryTarget
from tests.fakes.prometheus import FAULTS, SLOW, FakePrometheus
from tests.integration.conftest import PEERS, ROOT
from tests.receiver import SERVICES, TOKEN, Receiver

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
START = T0 - timedelta(minutes=2)
NAMES = {"voice", "data"}
ANSWERED = {fault for fault in FAULTS if "clock" in fault or "series more" in fault}
"""Faults in which its numbers are right all the same."""
SILENT = {fault for fault in FAULTS if "nothing" in fault or "restarted" in fault}
"""Faults in which it answers as if it had no series at all."""
HOLD = 3600


class House:
    """A receiver whose Prometheus can misbehave. core-1 is down for good since START: 50,000 users of each service."""

    def __init__(self, folder: Path, prometheus: FakePrometheus) -> None:
        self.prometheus, self.desk = prometheus, MemoryTarget("desk")
        self.receiver = Receiver(folder, prometheus.url, (Route("desk", "ticket"), self.desk), candidate_lead_seconds=0)
        self.receiver.clock.fixed = T0
        self._patient = self.receiver.worker
        self._clients: list[Prometheus] = []
        self.tell_of(50_000)
        started = START.timestamp()
        prometheus.remembers("art58:equipment_up", (started - 15, 1), (started, 0), equipment="core-1")

    def tell_of(self, users: int) -> None:
        """Let so many of the 50,000 be hit."""
        for service in NAMES:
            self.prometheus.holds("art58:users_under_equipment", 50_000, service=service, equipment="core-1")
        self.prometheus.holds("art58:users_unable", users, service="data", equipment="core-1")
        self.prometheus.holds("art58:equipment_up", 0 if users == 50_000 else 1, equipment="core-1")
        self.prometheus.holds("art58:call_loss_ratio", users / 50_000, service="voice", equipment="core-1")
        self.prometheus.holds("ALERTS_FOR_STATE", T0.timestamp(), alertname="Down", equipment="core-1")

    def count_by_traffic(self) -> None:
        """Nobody counts the data users who are hit; half of their traffic is missing since START."""
        self.prometheus.holds("art58:users_unable", None, service="data", equipment="core-1")
        day = timedelta(days=1)
        points = [
            ((START - back * day + slot * timedelta(minutes=5)).timestamp(), 500.0 if back == 0 else 1_000.0)
            for back in (28, 21, 14, 7, 0)
            for slot in range(48)
        ]
        self.prometheus.remembers("art58:traffic_bytes_per_hour", *points, service="data", equipment="core-1")

    def misbehave(self, fault: str | None) -> None:
        self.prometheus.misbehave(fault)
        self.receiver.worker = self._impatient() if fault in SLOW else self._patient

    def _impatient(self) -> Worker:
        """A worker that waits shorter than the fault takes."""
        it = self.receiver
        self._clients.append(Prometheus(PrometheusSettings(url=self.prometheus.url, timeout_seconds=0.3)))
        route = (Route("desk", "ticket"), self.desk)
        return Worker(it.settings, Catalogue(SERVICES), it.database, self._clients[-1], shipped(), [route], it.clock)

    def post(self, state: str, equipment: str = "core-1", ends: datetime | None = None) -> float:
        """Alertmanager's alerts for both services; the seconds to the 200."""
        alerts = [
            {
                "status": state,
                "labels": {"alertname": "Down", "service": service, "equipment": equipment},
                "startsAt": T0.isoformat(),
                "endsAt": ends.isoformat() if ends else "0001-01-01T00:00:00Z",
                "fingerprint": f"{service}-{equipment}",
            }
            for service in sorted(NAMES)
        ]
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        body = json.dumps({"version": "4", "status": state, "alerts": alerts}).encode()
        began = time.monotonic()
        peers.fetch(f"{self.receiver.url}/webhook/alertmanager", headers, body)  # raises on anything but a success
        return time.monotonic() - began

    def at(self, minutes: float) -> dict[str, Any]:
        """Derive and tick so many minutes after T0; the incident of core-1."""
        self.receiver.clock.fixed = T0 + timedelta(minutes=minutes)
        self.prometheus.now = self.receiver.clock().timestamp()
        self.receiver.worker.step()
        self.receiver.assess_at(self.receiver.clock())
        self.receiver.worker.deliver()
        return next(one for one in self.receiver.incidents() if {its["service"] for its in one["impacts"]} == NAMES)

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with FakePrometheus() as prometheus:
        house = House(tmp_path, prometheus)
        with house.receiver:
            yield house
        house.close()
        house.misbehave(None)


def of_each(incident: dict[str, Any], key: str) -> set[Any]:
    """What its impacts say."""
    return {one[key] for one in incident["impacts"]}


@pytest.mark.parametrize("fault", FAULTS)
def test_before_the_first_measurement_it_is_a_candidate_and_measured_later(house: House, fault: str) -> None:
    house.misbehave(fault)
    house.post("firing")
    incident = house.at(180)
    assert (incident["state"], of_each(incident, "at_most")) == ("open", {"major"})
    assert of_each(incident, "measured") == {fault in ANSWERED}
    assert of_each(incident, "verdict") == ({"major"} if fault in ANSWERED else {"indeterminate"})
    (ticket,) = house.desk.said.values()
    assert ticket.unmeasured == (fault not in ANSWERED)
    house.misbehave(None)
    later = house.at(181)
    assert (of_each(later, "verdict"), of_each(later, "affected_users")) == ({"major"}, {50_000})
    assert datetime.fromisoformat(later["failure_started_at"]) <= T0
    (ticket,) = house.desk.said.values()
    assert not ticket.unmeasured


@pytest.mark.parametrize("fault", FAULTS)
def test_users_counted_by_their_missing_traffic_are_not_made_none_nor_fewer(house: House, fault: str) -> None:
    house.count_by_traffic()
    house.misbehave(fault)
    house.post("firing")
    (first,) = (one for one in house.at(125)["impacts"] if one["service"] == "data")
    known = (first["measured"], first["verdict"], first["method"])
    assert known == ((True, "major", "traffic_difference") if fault in ANSWERED else (False, "indeterminate", "unmeasured"))
    assert first["at_most"] == "major"
    house.misbehave(None)
    (later,) = (one for one in house.at(130)["impacts"] if one["service"] == "data")
    # half of 50,000 users, in user-hours: for two hours and twelve minutes; ten where the start was settled by an empty history
    number = 54_166 if fault in SILENT else 55_000
    assert (later["verdict"], later["method"], later["affected_users"]) == ("major", "traffic_difference", number)
    house.misbehave(fault)
    (last,) = (one for one in house.at(140)["impacts"] if one["service"] == "data")
    assert (last["verdict"], last["affected_users"] >= number) == ("major", True)


@pytest.mark.parametrize("fault", FAULTS)
def test_few_users_measured_before_do_not_make_it_none(house: House, fault: str) -> None:
    house.tell_of(100)
    house.post("firing")
    assert of_each(house.at(5), "verdict") == {"none"}
    house.tell_of(50_000)
    house.misbehave(fault)
    incident = house.at(180)
    assert (incident["state"], of_each(incident, "at_most")) == ("open", {"major"})
    assert of_each(incident, "verdict") == ({"major"} if fault in ANSWERED else {"indeterminate"})
    assert of_each(incident, "affected_users") == ({50_000} if fault in ANSWERED else {100})
    assert len(house.desk.tickets) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_many_users_measured_before_stay_counted(house: House, fault: str) -> None:
    house.post("firing")
    assert of_each(house.at(5), "affected_users") == {50_000}
    house.misbehave(fault)
    for minutes in (6, 180):
        incident = house.at(minutes)
        assert (incident["state"], of_each(incident, "affected_users")) == ("open", {50_000})
        assert datetime.fromisoformat(incident["failure_started_at"]) == START
    assert of_each(incident, "verdict") == of_each(incident, "at_least") == {"major"}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_it_lets_alertmanager_call_resolved_is_no_recovery(house: House, fault: str) -> None:
    house.post("firing")
    house.at(5)
    house.misbehave(fault)
    house.post("resolved", ends=T0 + timedelta(minutes=20))
    for minutes in (21, 22 + HOLD / 60, 180):
        incident = house.at(minutes)
        assert (incident["state"], incident["restored_at"]) == ("open", None)
    assert of_each(incident, "verdict") == {"major"}
    house.misbehave(None)
    assert house.at(181)["state"] == "open"  # its series says that it is still down
    house.prometheus.holds("art58:equipment_up", 1, equipment="core-1")
    assert house.at(182)["restored_at"] == "2026-11-21T03:20:00Z"


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - SILENT))
def test_resolved_is_no_recovery_either_where_the_start_could_never_be_asked_for(house: House, fault: str) -> None:
    house.misbehave(fault)
    house.post("firing")
    house.at(5)
    house.post("resolved", ends=T0 + timedelta(minutes=20))
    for minutes in (21, 22 + HOLD / 60):
        assert house.at(minutes)["state"] == "open"


@pytest.mark.parametrize("fault", FAULTS)
def test_alerts_are_taken_in_at_once_meanwhile(house: House, fault: str) -> None:
    house.post("firing")
    house.misbehave(fault)
    with ThreadPoolExecutor(1) as pool:
        tick = pool.submit(house.at, 5)
        seconds = [house.post("firing", f"core-{number}") for number in range(2, 7)]
        while not tick.done():
            seconds.append(house.post("firing", "core-7"))
        tick.result()
    assert max(seconds) < 1


def test_the_page_of_failures_tells_of_each_fault_and_no_other() -> None:
    page = (ROOT / "docs" / "explanation" / "failure.md").read_text(encoding="utf-8")
    table = page.partition("| What Prometheus does |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert {row[0]: row[1] == "measured" for row in rows} == {fault: fault in ANSWERED for fault in FAULTS}


def history(now: int) -> str:
    """Two units whose samples have ended; neither has a mark that says so, as after a scrape that failed."""
    lines = []
    for name, value in (("art58:equipment_up", 0), ("art58:users_under_equipment", 50_000), ("art58:users_unable", 50_000)):
        lines.append(f"# TYPE {name} gauge")
        for equipment, ended in (("lately", now - 120), ("long-ago", now - 480)):
            labels = f'{{service="data",equipment="{equipment}"}}'
            lines += [f"{name}{labels} {value} {at}" for at in range(ended - 600, ended + 1, 15)]
    return "\n".join([*lines, "# EOF", ""])


@pytest.mark.parametrize(("equipment", "verdict", "users"), [("lately", "periodic", 50_000), ("long-ago", "indeterminate", None)])
def test_samples_older_than_what_prometheus_calls_stale_are_no_measurement(
    tmp_path: Path, equipment: str, verdict: str, users: int | None
) -> None:
    now = int(time.time())
    (tmp_path / "history.txt").write_text(history(now))
    load = [str(PEERS / "promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
    subprocess.run(load, cwd=tmp_path, check=True, capture_output=True)
    alert = {
        "status": "firing",
        "labels": {"alertname": "Down", "service": "data", "equipment": equipment},
        "startsAt": datetime.fromtimestamp(now, UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": equipment,
    }
    body = json.dumps({"version": "4", "status": "firing", "alerts": [alert]}).encode()
    with (
        peers.Prometheus(PEERS, tmp_path, {"global": {}}, data_dir=tmp_path / "data") as server,
        Receiver(tmp_path, server.url) as receiver,
    ):
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        peers.fetch(f"{receiver.url}/webhook/alertmanager", headers, body)
        receiver.worker.step()
        (impact,) = receiver.incidents()[0]["impacts"]
    assert (impact["verdict"], impact["affected_users"]) == (verdict, users)
