"""What many wait for is derived in a process of its own while the worker ticks; whoever of them is killed, all of it is derived."""

import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from benchmarks.senders import alert, body_of
from receiver.cli import deriver
from receiver.storage import notifications
from receiver.storage.database import Database
from receiver.storage.tables import alerts, incidents
from tests.postgres import PostgresServer
from tests.serving import Served, until

BODIES, UNITS, EACH = 3_000, 100, 50
BEGINS, ENDS = "much waits: deriving it in a process of its own", "derived what waited"
DIED = "the process that derives ended by itself"


class Backlog:
    """A receiver that is not started yet, in whose store so many bodies wait: a failure and its end of each unit, by turns."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.served = Served(folder, tick_seconds=1, **({"database_url": url} if url else {}))
        (folder / "data").mkdir(parents=True)
        self.database = Database(url or f"sqlite:///{folder}/data/art58.db")
        self.database.migrate()
        self._now = time.time()

    def add(self, bodies: int) -> None:
        turns = [self._turn(None), self._turn(self._now - 5)]
        with self.database.inbox.write() as connection:
            for n in range(bodies):
                notifications.add(connection, "alertmanager", datetime.now(UTC), turns[n // UNITS % 2][n % UNITS])

    def _turn(self, ended: float | None) -> list[bytes]:
        units = [f"unit{n}" for n in range(UNITS)]
        return [body_of(unit, [alert(unit, "voice", n, self._now - 600, ended) for n in range(EACH)]) for unit in units]

    def waiting(self) -> int:
        with self.database.inbox.read() as connection:
            return notifications.count_waiting(connection)

    def is_derived(self) -> bool:
        """Whether nothing waits, and each unit has its one incident with its alerts, all of which are over."""
        if self.waiting():
            return False
        with self.database.read() as connection:
            over = select(func.count()).where(alerts.c.ends_at.is_not(None), alerts.c.incident_id.is_not(None))
            assert connection.execute(over).scalar_one() == UNITS * EACH
            assert connection.execute(select(func.count()).select_from(incidents)).scalar_one() == UNITS
        return True

    def derivers(self) -> list[int]:
        """The process that waits, and the one that derives, by their age."""
        pids = self.served.processes("derive")
        return sorted(pids, key=lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]))

    def two(self) -> list[int]:
        try:
            found = self.derivers()
        except OSError:
            return []
        return found if len(found) == 2 else []


@pytest.fixture
def backlog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backlog]:
    on_server = getattr(request, "param", "sqlite") == "postgresql"
    postgres: PostgresServer | None = request.getfixturevalue("postgres") if on_server else None
    backlog = Backlog(tmp_path / "it", postgres.url(empty=True) if postgres else None)
    backlog.add(BODIES)
    with closing(backlog.database), backlog.served:
        yield backlog


@pytest.mark.parametrize("backlog", ["sqlite", "postgresql"], indirect=True)
def test_it_derives_beside_the_worker_which_ticks_and_its_end_leaves_nothing(backlog: Backlog) -> None:
    waits, _ = until(backlog.two)
    until(backlog.is_derived, 60)
    until(lambda: ENDS in backlog.served.log)
    assert backlog.served.log.count(BEGINS) == 1
    assert backlog.derivers() == [waits]
    assert DIED not in backlog.served.log
    until(lambda: "verdict=" in backlog.served.log)
    assert backlog.served.stop() == 0


def test_the_next_storm_has_a_process_of_its_own_again(backlog: Backlog) -> None:
    until(lambda: ENDS in backlog.served.log, 60)
    backlog.add(BODIES)
    until(lambda: backlog.served.log.count(ENDS) == 2, 60)
    assert backlog.is_derived()


def test_if_the_one_that_derives_is_killed_another_goes_on(backlog: Backlog) -> None:
    waits, derives = until(backlog.two)
    os.kill(derives, signal.SIGKILL)
    until(lambda: f"{DIED}: the worker goes on with what waits" in backlog.served.log)
    until(backlog.is_derived, 60)
    assert backlog.derivers()[0] == waits
    assert backlog.served.log.count(BEGINS) == 2


def test_if_the_one_that_waits_is_killed_the_worker_goes_on(backlog: Backlog) -> None:
    waits, _ = until(backlog.two)
    os.kill(waits, signal.SIGKILL)
    until(lambda: DIED in backlog.served.log)
    until(backlog.is_derived, 60)
    assert backlog.derivers() == []
    assert backlog.served.log.count(BEGINS) == 1
    assert backlog.served.log.count("the process that waits for a storm is gone") == 1


def test_where_no_process_can_be_made_the_worker_is_told_and_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork(_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(deriver.processes, "fork", fork)
    monkeypatch.setattr(deriver.processes, "call", lambda _: None)
    here, there = socket.socketpair()
    waiting = threading.Thread(target=deriver._wait, args=(there, lambda _: 0))
    waiting.start()
    with here, there:
        for _ in range(2):
            here.sendall(deriver._LEADER.pack(7))
            assert here.recv(2) == deriver._CODE.pack(deriver._NOT_DONE)
        here.shutdown(socket.SHUT_WR)
        waiting.join(10)
        assert not waiting.is_alive()


def test_with_the_worker_they_end_and_the_next_one_has_all_derived(backlog: Backlog) -> None:
    both = until(backlog.two)
    (worker,) = backlog.served.processes("worker")
    os.kill(worker, signal.SIGKILL)
    until(lambda: not set(both) & set(backlog.served.processes()), 2)
    until(backlog.is_derived, 60)
    assert backlog.served.log.count(BEGINS) == 2


def test_told_to_end_it_does_not_wait_for_them(backlog: Backlog) -> None:
    until(backlog.two)
    assert backlog.served.stop() == 0
    assert backlog.waiting()
    assert "Traceback" not in backlog.served.log
    assert DIED not in backlog.served.log
