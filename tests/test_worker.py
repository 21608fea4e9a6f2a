"""The worker: when it looks at the dates of the rules, and how it ends."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from benchmarks.senders import alert, body_of
from receiver import worker
from receiver.catalogue import Catalogue
from receiver.delivery.plan import Route
from receiver.incidents.derive import derive_waiting
from receiver.model import Delivery
from receiver.storage import deliveries, notifications
from receiver.storage import incidents as store
from receiver.worker import Helped
from tests.apps import incident
from tests.fakes.memory import MemoryTarget
from tests.fakes.prometheus import FakePrometheus
from tests.receiver import SERVICES, Receiver
from tests.samples import assessment

LAST_MINUTE = datetime(2027, 3, 1, 14, 59, tzinfo=UTC)  # 23:59 in Japan


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url) as receiver:
        yield receiver


def warnings(receiver: Receiver, now: datetime) -> list[Any]:
    receiver.clock.fixed = now
    with capture_logs() as logs:
        receiver.worker.step()
    return [log for log in logs if "check date" in log["event"]]


def test_it_warns_at_the_start_of_all_rules_that_are_overdue(receiver: Receiver) -> None:
    found = warnings(receiver, LAST_MINUTE + timedelta(days=30))
    assert {log["rules"] for log in found} >= {"near-miss", "deadlines", "guideline", "JP-TBA58-2026"}
    assert all((log["log_level"], log["check_by"]) == ("warning", "2027-03-01") for log in found)


def test_it_warns_once_on_each_day_in_japan_and_not_before_the_day_is_over(receiver: Receiver) -> None:
    after = [timedelta(0), timedelta(minutes=1), timedelta(hours=12), timedelta(hours=24), timedelta(hours=24, minutes=1)]
    assert [bool(warnings(receiver, LAST_MINUTE + passed)) for passed in after] == [False, True, False, False, True]


class Hanging(MemoryTarget):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__("desk")
        self.called, self.over = threading.Event(), threading.Event()

    def find(self, key: str) -> list[str]:
        self.called.set()
        self.over.wait(20)
        return super().find(key)


def test_what_hangs_when_the_worker_stops_is_given_back_after_a_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FINISH_SECONDS", 0.1)
    desk, stop = Hanging(), threading.Event()
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url, (Route("desk", "ticket"), desk)) as receiver:
        row = Delivery("inc-1", "desk", "ticket", 1, 0, "owed", 0, datetime.now(UTC))
        with receiver.database.write() as connection:
            store.save(connection, incident())
            store.append(connection, assessment())
            deliveries.want(connection, row)
        running = threading.Thread(target=receiver.worker.run, args=(stop,))
        running.start()
        assert desk.called.wait(20)
        stop.set()
        running.join(20)
        assert not running.is_alive()
        with receiver.database.read() as connection:
            (left,) = deliveries.of_incidents(connection, ["inc-1"])
        assert left.state == "owed"
        assert "stopped before an answer came" in str(left.last_error)
        desk.over.set()


def test_a_fault_in_any_of_its_threads_ends_it_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: faults.append(args.exc_value))
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url) as receiver:
        monkeypatch.setattr(receiver.worker, "step", lambda: 1 / 0)
        assert receiver.worker.run(threading.Event()) is False
    assert [type(fault) for fault in faults] == [ZeroDivisionError]


class Beside:
    """A helper that says what it is told to say."""

    def __init__(self) -> None:
        self.says: Helped = None
        self.begun: list[int] = []

    def begin(self, leader: int) -> bool:
        self.begun.append(leader)
        self.says = "at work"
        return True

    def told(self) -> Helped:
        says = self.says
        self.says = says if says == "at work" else None
        return says


LEFT = 50
"""So many bodies are left of a batch and these."""


@pytest.fixture
def helped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Receiver, Beside]]:
    """A receiver for which any body that is left is one too many."""
    monkeypatch.setattr(worker, "LONG_SECONDS", 0)
    beside = Beside()
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url, helper=beside, tick_seconds=3600) as receiver:
        receiver.worker.step()
        yield receiver, beside


def wait_there(receiver: Receiver, bodies: int) -> None:
    now, begun = receiver.clock(), time.time() - 60
    with receiver.database.inbox.write() as connection:
        for n in range(bodies):
            notifications.add(connection, "alertmanager", now, body_of(f"unit{n}", [alert(f"unit{n}", "voice", 0, begun)]))


def judged(receiver: Receiver) -> int:
    return sum(len(each["impacts"]) for each in receiver.incidents())


def test_what_many_wait_for_is_left_to_the_helper_and_judged_once_that_has_derived_it(helped: tuple[Receiver, Beside]) -> None:
    receiver, beside = helped
    wait_there(receiver, 500 + LEFT)
    receiver.worker.step()
    assert beside.begun == [receiver.database.leader]
    assert receiver.received() == LEFT
    for _ in range(3):
        receiver.worker.step()
    assert (receiver.received(), len(beside.begun)) == (LEFT, 1)
    assert (len(receiver.incidents()), judged(receiver)) == (500, 0)
    beside.says = "derived"
    receiver.worker.step()
    assert (receiver.received(), len(beside.begun)) == (0, 1)
    assert judged(receiver) == 500 + LEFT


def test_what_takes_little_time_is_derived_by_the_worker_itself(
    helped: tuple[Receiver, Beside], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, beside = helped
    monkeypatch.setattr(worker, "LONG_SECONDS", 60)
    wait_there(receiver, 500 + LEFT)
    receiver.worker.step()
    assert (receiver.received(), beside.begun) == (0, [])
    assert judged(receiver) == 500 + LEFT


def test_what_a_helper_that_died_left_is_derived_by_the_worker(helped: tuple[Receiver, Beside]) -> None:
    receiver, beside = helped
    wait_there(receiver, 500 + LEFT)
    receiver.worker.step()
    beside.says = None
    receiver.worker.step()
    assert receiver.received() == 0


@pytest.mark.parametrize("says", ["derived", None], ids=["ended", "died"])
def test_what_came_of_it_is_news_though_all_was_judged_a_moment_ago(helped: tuple[Receiver, Beside], says: Helped) -> None:
    receiver, beside = helped
    wait_there(receiver, 500 + LEFT)
    receiver.worker.step()
    receiver.worker.assess(receiver.clock())
    assert judged(receiver) == 500
    assert derive_waiting(receiver.database, Catalogue(SERVICES), timedelta(minutes=30), receiver.clock())
    assert receiver.received() == 0
    beside.says = says
    receiver.worker.step()
    assert judged(receiver) == 500 + LEFT


def test_alerts_missing_in_what_the_helper_derived_are_looked_for(
    helped: tuple[Receiver, Beside], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, beside = helped
    looked: list[datetime] = []
    monkeypatch.setattr(receiver.worker, "reconcile", looked.append)
    receiver.clock.fixed = datetime.now(UTC) + timedelta(seconds=worker.CUT_SHORT_SECONDS + 1)
    told: tuple[tuple[Helped, int], ...] = (("at work", 0), ("derived", 0), ("cut short", 1))
    for says, times in told:
        beside.says = says
        receiver.worker.step()
        assert len(looked) == times


def test_while_it_is_helped_it_keeps_no_core_busy(helped: tuple[Receiver, Beside], monkeypatch: pytest.MonkeyPatch) -> None:
    receiver, beside = helped
    beside.says = "at work"
    stop, looks = threading.Event(), []

    def told() -> Helped:
        looks.append(beside.says)
        return beside.says

    monkeypatch.setattr(beside, "told", told)
    threading.Timer(5 * worker.POLL_SECONDS, stop.set).start()
    receiver.worker.run(stop)
    assert 1 <= len(looks) <= 7
