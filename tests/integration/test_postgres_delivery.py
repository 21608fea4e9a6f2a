"""Over a real PostgreSQL an alert that came in by HTTP becomes one ticket, however often receivers are started again, however many
share the store, and whichever of them is killed.
"""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from benchmarks.outages import Outages, Unit
from benchmarks.senders import alert, body_of
from tests.fakes.faults import Fault
from tests.fakes.servicenow import FakeServiceNow
from tests.postgres import PostgresServer
from tests.serving import Served, until

PASSWORD = "of the stand-in"
LONG_AGO = 4000
"""Seconds: an outage that began so long ago is major at once."""


class Site:
    """A network, a ticket system, and receivers over one new database."""

    def __init__(self, stack: ExitStack, postgres: PostgresServer, folder: Path) -> None:
        self.network = stack.enter_context(Outages())
        self.desk = stack.enter_context(FakeServiceNow("art58", PASSWORD))
        self.url = postgres.url(empty=True)
        self._stack, self._postgres, self._folder = stack, postgres, folder
        (folder / "password").write_text(PASSWORD)

    def receivers(self, *names: str) -> list[Served]:
        """They start at once, are ready, and are ended with the test."""
        served = [self._receiver(name) for name in names]
        for one in served:
            one.start()
        for one in served:
            until(lambda one=one: is_ready(one), 60)  # type: ignore[misc]
        return served

    def _receiver(self, name: str) -> Served:
        ticket = {"kind": "servicenow", "name": "now", "url": self.desk.url, "user": "art58", "per_minute": 100_000}
        served = Served(
            self._folder / name,
            database_url=self.url,
            tick_seconds=1,
            hold_seconds=1,
            web_workers=1,
            prometheus={"url": self.network.url},
            tickets=[ticket | {"password": {"file": str(self._folder / "password")}}],
        )
        self._stack.callback(kill_whole, served)
        return served

    def fails(self, name: str) -> None:
        self.network.units[name] = Unit(name, "voice", 50_000, time.time() - LONG_AGO)

    def recovers(self, name: str) -> None:
        self.network.units[name].up_since = time.time()

    def tell(self, served: Served, name: str) -> None:
        """What Alertmanager would send of it."""
        unit = self.network.units[name]
        body = body_of(name, [alert(name, unit.service, 0, unit.down_since, unit.up_since or None)])
        assert served.request("POST", "/webhook/alertmanager", body)[0] == 200

    def tickets(self) -> Counter[str]:
        """How many there are, by the equipment that they name."""
        texts = [f"{row['short_description']} {row['description']}" for row in self.desk.incidents.values()]
        return Counter(name for text in texts for name in self.network.units if re.search(rf"\b{name}\b", text))

    def let_time_pass(self) -> None:
        """Claims without a word from their holders end, and what waits for another try is due."""
        self._postgres.execute("UPDATE deliveries SET claimed_until = 0, next_attempt_at = 0", self.url.rpartition("/")[2])

    def unsent(self) -> int:
        query = "SELECT count(*) FROM deliveries WHERE state NOT IN ('sent', 'unsure') OR sent < wanted"
        return int(self._postgres.execute(query, self.url.rpartition("/")[2])[0][0])


@pytest.fixture
def site(postgres: PostgresServer, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(stack, postgres, tmp_path)


def is_ready(served: Served) -> bool:
    try:
        return served.request("GET", "/-/ready")[0] == 200
    except OSError:
        return False


def leads(served: Served) -> float:
    """What its metrics say; -1 if they say nothing."""
    with suppress(OSError):
        if found := re.search(r"^art58_leader (\S+)$", str(served.request("GET", "/metrics")[1]), re.MULTILINE):
            return float(found[1])
    return -1


def leader_of(receivers: Sequence[Served]) -> Served:
    """The one that says that it leads, once all others say that they do not."""
    return until(lambda: next((one for one in receivers if sorted(map(leads, receivers)) == [0, 1] and leads(one)), None))


def kill_whole(served: Served) -> None:
    """As when its machine is gone: none of it ends in order."""
    for pid in served.processes("serve") + served.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not served.processes())


def test_an_alert_becomes_one_ticket_though_its_receiver_was_stopped_before_it_was_made(site: Site) -> None:
    site.fails("core-1")
    site.desk.misbehave(1, 58, Fault("status", status=503))
    (first,) = site.receivers("first")
    site.tell(first, "core-1")
    until(lambda: site.desk.struck["status"])
    assert first.stop() == 0
    site.desk.misbehave(0, 58)
    site.let_time_pass()

    (second,) = site.receivers("second")
    until(lambda: site.tickets() == {"core-1": 1})
    site.recovers("core-1")
    site.tell(second, "core-1")
    until(lambda: any("State: ongoing → " in note["value"] for note in site.desk.journal))
    until(lambda: not site.unsent())
    assert site.tickets() == {"core-1": 1}


def test_of_two_receivers_one_judges_both_deliver_and_when_it_is_killed_the_other_goes_on_and_doubles_nothing(site: Site) -> None:
    names = [f"core-{number:02}" for number in range(16)]
    site.desk.misbehave(1, 58, Fault("timeout_after_work", seconds=0.1))
    receivers = site.receivers("one", "two")  # both bring the tables to their version
    leader = leader_of(receivers)
    (other,) = [one for one in receivers if one is not leader]
    for number, name in enumerate(names):
        site.fails(name)
        site.tell(receivers[number % 2], name)
    until(lambda: site.tickets().keys() == set(names), 30)
    until(lambda: not site.unsent(), 30)
    assert site.tickets() == dict.fromkeys(names, 1)
    assert ["assessed" in one.log for one in receivers] == [one is leader for one in receivers]
    delivered = [re.findall(r"delivered.*number=(\d+) remote_id=(\w+)", one.log) for one in receivers]
    assert all(delivered)
    assert not set(delivered[0]) & set(delivered[1])

    site.desk.misbehave(1, 58, Fault("timeout_after_work", seconds=0.3))
    site.fails("aggregation-1")
    site.tell(leader, "aggregation-1")
    until(lambda: len(site.desk.incidents) > len(names))  # made, but not yet told
    kill_whole(leader)
    site.fails("aggregation-2")
    site.tell(other, "aggregation-2")
    until(lambda: site.tickets()["aggregation-2"], 10)
    assert leads(other) == 1
    site.let_time_pass()
    until(lambda: not site.unsent())
    assert site.tickets() == dict.fromkeys([*names, "aggregation-1", "aggregation-2"], 1)
