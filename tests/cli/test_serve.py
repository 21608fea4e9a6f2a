"""`art58 serve` as a process tree: it comes up, survives what dies in it, ends whole, and keeps what it has confirmed."""

import errno
import io
import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from click.testing import CliRunner

from receiver.cli import main
from tests import own_rulebooks
from tests.fakes.ticket_webhook import FakeTicketWebhook
from tests.serving import VOICE, Served, until

BODY = (
    Path(__file__).parents[1] / "data" / "alertmanager" / "alertmanager-0.33.1" / "01-single-firing.json"
).read_bytes()  # fmt: skip
SECRET = "whsec_" + "dGVzdHMtb2Ytbm8td29ydGgtYXQtYWxs"


def asked(served: Served, query: str, file: str = "art58.db") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(served.folder / "data" / file)) as connection:
        return connection.execute(query).fetchall()


def stored(served: Served) -> int:
    return int(asked(served, "SELECT count(*) FROM notifications", "art58-inbox.db")[0][0])


def connect(served: Served) -> socket.socket:
    address = urlsplit(served.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("running")) as served:
        yield served


def test_it_takes_in_works_off_and_tells_its_figures_and_no_secret(running: Served) -> None:
    assert running.request("GET", "/-/ready") == (200, {"status": "ready"})
    assert running.request("POST", "/webhook/alertmanager", BODY) == (200, {"status": "stored", "alerts": 1})
    assert running.request("POST", "/webhook/alertmanager", b"{}")[0] == 400
    until(lambda: "art58_notifications_waiting 0.0" in running.request("GET", "/metrics")[1])
    until(lambda: "art58_tick_last_timestamp_seconds " in running.request("GET", "/metrics")[1])
    figures = running.request("GET", "/metrics")[1]
    # counted in one process, told by another
    assert 'art58_notifications_total{outcome="stored",source="alertmanager"} 1.0' in figures
    assert 'art58_queries_total{outcome="failed"}' in figures
    assert "art58_tick_seconds_count" in figures
    assert 'event="refused a body: its alerts are lost" source=alertmanager error=' in running.log
    assert running.token not in running.log
    assert "Traceback" not in running.log


class Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_that_cannot_be_written_is_no_fault_of_what_is_told_in_it() -> None:
    """A refused body would be answered 500, and sent again and again."""
    before = structlog.get_config()
    try:
        CliRunner().invoke(main, ["check", "no-such-file"])
        told = structlog.get_config()
    finally:
        structlog.configure(**before)
    closed = io.StringIO()
    closed.close()
    for file in (Full(), closed):
        logger = told["logger_factory"]()
        logger._file = file
        structlog.wrap_logger(logger, processors=told["processors"]).error("refused a body", source="alertmanager")


def test_where_the_port_is_taken_it_says_what_to_do_and_leaves_the_running_one_alone(running: Served) -> None:
    second = Served(running.folder, listen=urlsplit(running.url).netloc)
    second.token = running.token
    second.config = running.folder / "second.yaml"
    second.start()
    assert second.wait(30) == 1
    assert "Address already in use" in second.log
    assert "key=listen" in second.log
    assert "write another address" in second.log
    assert running.request("POST", "/webhook/alertmanager", BODY)[0] == 200
    assert 'outcome="stored"' in running.request("GET", "/metrics")[1]


def test_a_second_one_in_the_same_data_folder_is_refused_and_leaves_the_running_one_its_metrics(running: Served) -> None:
    second = Served(running.folder)
    second.token = running.token
    second.config = running.folder / "elsewhere.yaml"
    second.start()
    assert second.wait(30) == 1
    assert "key=data_dir" in second.log
    assert running.request("POST", "/webhook/alertmanager", BODY)[0] == 200
    assert 'outcome="stored"' in running.request("GET", "/metrics")[1]


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    served = Served(tmp_path / "receiver", data_dir="/proc/nowhere")
    served.start()
    assert served.wait(30) == 1
    assert "key=data_dir" in served.log
    assert "Traceback" not in served.log


def begun(served: Served, line: socket.socket) -> None:
    """Have a webhook in flight on that line: it has begun and waits for the body."""
    head = f"POST /webhook/alertmanager HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token}\r\n"
    line.sendall(f"{head}Expect: 100-continue\r\nContent-Length: {len(BODY)}\r\n\r\n".encode())
    assert line.recv(100).startswith(b"HTTP/1.1 100")


def refuses(served: Served) -> bool:
    try:
        connect(served).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("way", [Served.terminate, Served.interrupt])
def test_it_ends_within_seconds_finishes_what_is_in_flight_and_waits_for_no_idle_client(
    tmp_path: Path, way: Callable[[Served], None]
) -> None:
    with Served(tmp_path / "it") as served, connect(served) as line, closing(HTTPConnection(urlsplit(served.url).netloc)) as idle:
        idle.request("GET", "/-/healthy")
        idle.getresponse().read()
        begun(served, line)
        way(served)
        # The clock runs only on what gunicorn waits for: 2 s for an idle client, 10 s for one it serves. How long the processes
        # then need to exit depends on how busy the machine is; wait() allows for that.
        idle.sock.settimeout(8)
        assert idle.sock.recv(1) == b""  # it has hung up
        # the other process, which serves the line, may have heard of it a moment later
        until(lambda: refuses(served), 5)
        line.sendall(BODY)
        assert line.recv(100).startswith(b"HTTP/1.1 200")
        assert served.wait() == 0
        assert stored(served) == 1


def test_a_delivery_under_way_is_finished_and_recorded_before_it_ends(tmp_path: Path) -> None:
    with FakeTicketWebhook(SECRET) as desk:
        desk.fail("timeout_after_work", seconds=3)
        (tmp_path / "secret").write_text(SECRET)
        ticket = {"kind": "webhook", "name": "desk", "url": desk.hook_url, "secret": {"file": "secret"}}
        service = VOICE | {"users_total": 24_000_000, "match": ['service="mobile"']}
        with Served(tmp_path, tickets=[ticket], services=[service]) as served:
            assert served.request("POST", "/webhook/alertmanager", BODY)[0] == 200
            until(lambda: desk.messages, 60)
            assert served.stop() == 0
        assert list(desk.arrivals.values()) == [1]
        query = "SELECT state, claimed_by, attempts, remote_id IS NOT NULL FROM deliveries"
        assert asked(served, query) == [("sent", None, 0, 1)]


def test_a_second_interrupt_ends_it_in_the_midst_of_a_request(tmp_path: Path) -> None:
    with Served(tmp_path / "it", "--workers", "1") as served, connect(served) as line:
        assert len(served.processes("web")) == 2
        begun(served, line)
        served.interrupt()
        until(lambda: not answers(served))
        assert served.processes("web")
        served.interrupt()
        assert served.wait(5) == 130
        assert "stopped in the midst of something" in served.log


def test_if_the_supervisor_is_killed_nothing_of_it_is_left_and_nothing_confirmed_is_lost(tmp_path: Path) -> None:
    with Served(tmp_path / "it") as served, connect(served) as line:
        assert len(served.processes("web")) >= 2
        assert served.processes("worker")
        assert served.request("POST", "/webhook/alertmanager", BODY)[0] == 200
        begun(served, line)
        served.kill()
        assert stored(served) == 1


def test_if_gunicorn_is_killed_so_are_those_that_take_in_requests_that_the_next_may_listen(tmp_path: Path) -> None:
    with Served(tmp_path / "it") as served, connect(served) as line:
        master, *takers = until(lambda: whole_web(served))
        begun(served, line)
        os.kill(master, signal.SIGKILL)
        until(lambda: not set(takers) & set(served.processes("web")), 9)
        assert line.recv(100) == b""
        until(lambda: answers(served))


def test_whatever_is_killed_within_it_is_started_again(tmp_path: Path) -> None:
    with Served(tmp_path / "it") as served:
        (worker,) = served.processes("worker")
        master, *takers = until(lambda: whole_web(served))
        os.kill(worker, signal.SIGKILL)
        os.kill(takers[0], signal.SIGKILL)
        until(lambda: served.processes("worker") not in ([], [worker]))
        again = until(lambda: takers[0] not in served.processes("web") and whole_web(served))
        assert master in again
        until(lambda: answers(served))

        os.kill(master, signal.SIGKILL)
        until(lambda: not set(again) & set(served.processes("web")) and whole_web(served))
        until(lambda: answers(served))
        for part in ("worker", "web"):
            assert f"part={part} exit_code=-9" in served.log
        assert served.stop() == 0


def whole_web(served: Served) -> list[int]:
    """gunicorn's own process and its two that take in requests, once they are there."""
    found = served.processes("web")
    return found if len(found) == 3 else []


def answers(served: Served) -> bool:
    try:
        return bool(served.request("POST", "/webhook/alertmanager", BODY)[0] == 200)
    except OSError:
        return False


def test_web_and_worker_run_by_themselves_and_end_as_they_do_together(tmp_path: Path) -> None:
    with FakeTicketWebhook(SECRET) as desk:
        desk.fail("timeout_after_work")
        (tmp_path / "secret").write_text(SECRET)
        ticket = {"kind": "webhook", "name": "desk", "url": desk.hook_url, "secret": {"file": "secret"}}
        service = VOICE | {"users_total": 24_000_000, "match": ['service="mobile"']}
        web, worker = (Served(tmp_path, tickets=[ticket], services=[service]) for _ in range(2))
        worker.config, worker.token = tmp_path / "worker.yaml", web.token
        try:
            worker.start("worker")
            until(lambda: "this receiver judges from now on" in worker.log, 60)
            web.start("web")
            until(lambda: answers(web), 60)
            until(lambda: desk.messages, 60)
            worker.interrupt()
            assert web.stop() == 0
            assert worker.processes("worker")  # it waits for the answer
            worker.interrupt()
            assert worker.wait(5) == 130
        finally:
            web.end()
            worker.end()


def test_with_a_faulty_configuration_it_does_not_start_and_tells_every_fault(tmp_path: Path) -> None:
    served = Served(tmp_path / "it", services=[{"name": "voice", "kind": "voice", "match": ["service"]}])
    served.start()
    assert served.wait() == 1
    assert "services[0].emergency_calls" in served.log
    assert "services[0].match[0]" in served.log
    assert "Traceback" not in served.log


def test_rulebooks_of_ones_own_judge_and_are_watched(tmp_path: Path) -> None:
    files = own_rulebooks.write(tmp_path, from_day="2026-04-02", until="2026-04-01")
    mobile = VOICE | {"match": ['service="mobile"']}
    with Served(tmp_path, rulebooks=list(files), services=[mobile]) as served:
        assert served.request("POST", "/webhook/alertmanager", BODY)[0] == 200
        impacts = until(lambda: [i for one in served.request("GET", "/api/v1/incidents")[1]["incidents"] for i in one["impacts"]])
        assert [impact["rulebook"] for impact in impacts] == ["OWN"]
        figures = served.request("GET", "/metrics")[1]
        assert 'art58_law_check_by_timestamp_seconds{rules="OWN"}' in figures
        assert 'rules="JP-TBA58-2026"' not in figures
