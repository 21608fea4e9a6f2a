"""The worker: when it looks at the dates of the rules, and how it ends."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from receiver import worker
from receiver.delivery.plan import Route
from receiver.model import Delivery
from receiver.storage import deliveries
from receiver.storage import incidents as store
from tests.apps import incident
from tests.fakes.memory import MemoryTarget
from tests.fakes.prometheus import FakePrometheus
from tests.receiver import Receiver
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
