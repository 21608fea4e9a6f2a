"""Nothing answered with 200 is lost: synced to disk first; a store that cannot take it answers 503; a kill changes nothing."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from examples import peers
from tests.integration.conftest import PEERS, ROOT
from tests.serving import Served, until

STRACE = ROOT / ".peers" / "tools-root" / "bin" / "strace"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path / "served", tick_seconds=1) as served:
        yield served


def body(equipment: str) -> bytes:
    alert = {
        "status": "firing",
        "labels": {"alertname": "Down", "service": "voice", "equipment": equipment},
        "annotations": {},
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": equipment,
    }
    return json.dumps({"version": "4", "status": "firing", "alerts": [alert]}).encode()


def post(served: Served, equipment: str) -> int:
    return served.request("POST", "/webhook/alertmanager", body(equipment))[0]


def incidents(served: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.request("GET", "/api/v1/incidents?state=all")[1]["incidents"]
    return found


@contextmanager
def traced(served: Served, folder: Path, *options: str) -> Iterator[Path]:
    """strace on the processes that take in requests; the file it writes."""
    output = folder / "trace"
    # gunicorn and its two workers: one that is started only now would escape
    processes = until(lambda: found if len(found := served.processes("web")) == 3 else None)
    pids = [option for pid in processes for option in ("-p", str(pid))]
    with (folder / "strace.log").open("wb") as log:
        process = subprocess.Popen([str(STRACE), "-f", "-s", "40", "-o", str(output), *options, *pids], stdout=log, stderr=log)
    try:
        until(lambda: all(is_traced(task) for pid in processes for task in Path(f"/proc/{pid}/task").iterdir()))
        yield output
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def is_traced(task: Path) -> bool:
    return "TracerPid:\t0\n" not in (task / "status").read_text()


def answers_without_sync(trace: str, process_of: dict[str, int]) -> tuple[int, int]:
    """How many 200s there were to webhooks, and how many of them by a process that had not synced since it read the request: one
    of its threads syncs for all that wait.
    """
    synced: dict[str, bool] = {}
    webhooks: set[str] = set()
    answered = unsynced = 0
    for line in trace.splitlines():
        thread, _, call = line.partition(" ")
        if "POST /webhook/" in call:
            webhooks.add(thread)
            synced[thread] = False
        elif re.search(r"\b(fsync|fdatasync)\b.*= 0", call):
            synced |= {other: True for other in synced if process_of[other] == process_of[thread]}
        elif "HTTP/1.1 200" in call and thread in webhooks:
            webhooks.discard(thread)
            answered += 1
            unsynced += not synced[thread]
    return answered, unsynced


def test_every_200_follows_a_sync_to_disk(served: Served, tmp_path: Path) -> None:
    with traced(served, tmp_path, "-e", "trace=fsync,fdatasync,recvfrom,sendto") as output, ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda number: post(served, f"core-{number}"), range(24)))
        process_of = {task.name: pid for pid in served.processes("web") for task in Path(f"/proc/{pid}/task").iterdir()}
    assert statuses == [200] * 24
    trace = output.read_text()
    assert answers_without_sync(trace, process_of) == (24, 0)
    # the check itself can fail: the same trace without its syncs
    without = re.sub(r"^.*\b(fsync|fdatasync)\b.*\n", "", trace, flags=re.MULTILINE)
    assert answers_without_sync(without, process_of) == (24, 24)


@contextmanager
def read_only(served: Served, folder: Path) -> Iterator[None]:
    """The disk has gone read-only."""
    with traced(served, folder, "-e", "trace=pwrite64,fdatasync", "-e", "inject=pwrite64:error=EROFS"):
        yield


@contextmanager
def locked(served: Served, _folder: Path) -> Iterator[None]:
    """Another one has the store and does not give it back."""
    with closing(sqlite3.connect(served.folder / "data" / "art58-inbox.db", isolation_level=None)) as other:
        until(lambda: has_locked(other))
        yield
        other.execute("ROLLBACK")


def has_locked(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False  # the receiver is writing just now
    return True


def test_on_a_disk_gone_read_only_it_answers_503_and_recovers_by_itself(served: Served, tmp_path: Path) -> None:
    assert post(served, "before") == 200
    with read_only(served, tmp_path):
        assert post(served, "meanwhile") == 503
        assert served.request("GET", "/-/ready")[0] == 503
        assert served.request("GET", "/-/healthy")[0] == 200
    assert post(served, "after") == 200
    assert served.request("GET", "/-/ready")[0] == 200
    until(lambda: len(incidents(served)) == 2)


@pytest.mark.parametrize("unwritable", [locked, read_only])
def test_while_the_store_cannot_be_written_alertmanager_is_told_503_and_comes_again_by_itself(
    served: Served, tmp_path: Path, unwritable: Callable[[Served, Path], AbstractContextManager[None]]
) -> None:
    webhook = {"url": f"{served.url}/webhook/alertmanager", "http_config": {"authorization": {"credentials": served.token}}}
    config = {
        "route": {"receiver": "art58", "group_wait": "100ms", "group_interval": "500ms"},
        "receivers": [{"name": "art58", "webhook_configs": [webhook]}],
    }
    with peers.Alertmanager(PEERS, tmp_path / "am", config) as alertmanager:
        with unwritable(served, tmp_path):
            alert = [{"labels": {"alertname": "Down", "service": "voice", "equipment": "core-1"}}]
            headers = {"Content-Type": "application/json"}
            peers.fetch(f"{alertmanager.url}/api/v2/alerts", headers, json.dumps(alert).encode())
            until(lambda: 'art58_notifications_total{outcome="unavailable",source="alertmanager"}' in refused(served))
            assert incidents(served) == []
        until(lambda: [incident["state"] for incident in incidents(served)] == ["open"])


def refused(served: Served) -> str:
    status, text = served.request("GET", "/metrics")
    if status != 200:
        return ""  # a figure of the store could not be read just now
    return "\n".join(line for line in text.splitlines() if not line.endswith(" 0.0"))


def test_killed_between_the_200_and_the_assessment_it_loses_nothing(served: Served) -> None:
    (worker,) = served.processes("worker")
    until(lambda: stopped_between_transactions(served, worker))
    assert [post(served, f"core-{number}") for number in range(5)] == [200] * 5
    assert incidents(served) == []
    for pid in served.processes():
        os.kill(pid, signal.SIGKILL)
    served.kill()  # reaps it, and waits until nothing of it is left
    served.start()
    until(lambda: len(assessed(served)) == 5)


def stopped_between_transactions(served: Served, worker: int) -> bool:
    """Stop the worker; set it going again if that caught it while it was the writer, when nobody else can write."""
    os.kill(worker, signal.SIGSTOP)
    if served.request("GET", "/-/ready")[0] == 200:
        return True
    os.kill(worker, signal.SIGCONT)
    return False


def assessed(served: Served) -> list[dict[str, Any]]:
    try:
        return [incident for incident in incidents(served) if incident["impacts"]]
    except OSError:
        return []  # it is not up again yet


def test_strace_is_at_hand() -> None:
    assert shutil.which(str(STRACE)), "strace is missing: run `make .peers/tools`"
