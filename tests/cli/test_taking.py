"""What a process that takes in requests adds to gunicorn's own: a thread stays with a connection whose next request is near."""

import gc
import io
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner
from gunicorn.workers import gthread
from gunicorn.workers.gthread import ThreadWorker

from receiver.cli import main, parts
from tests.serving import VOICE, Served


class Line:
    """A connection as gunicorn keeps it; each time it is handled, one byte is read from it, or the end."""

    def __init__(self) -> None:
        self.sock, self.client = socket.socketpair()
        self.read_ahead = io.BytesIO()
        self.parser = SimpleNamespace(unreader=SimpleNamespace(buf=self.read_ahead))
        self.handled: list[bytes] = []

    def handle(self) -> Any:
        ahead = self.read_ahead.getvalue()
        self.read_ahead.seek(0)
        self.read_ahead.truncate()
        self.handled.append(ahead or self.sock.recv(1))
        return self.handled[-1] != b""


@pytest.fixture
def taker(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.setattr(ThreadWorker, "handle", lambda _self, line: line.handle())
    monkeypatch.setattr(parts, "SOON_MILLISECONDS", 200)
    found: Any = object.__new__(parts._Taker)
    found.alive, found.nr_conns, found.cfg = True, 8, SimpleNamespace(threads=8)
    return found


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.sock.close()
    line.client.close()


def test_what_comes_soon_after_an_answer_is_handled_by_the_same_thread(taker: SimpleNamespace, line: Line) -> None:
    line.client.sendall(b"abc")
    assert taker.handle(line) is True
    assert line.handled == [b"a", b"b", b"c"], "after which nothing came"


def test_what_was_read_ahead_is_handled_without_waiting_for_more(taker: SimpleNamespace, line: Line) -> None:
    line.client.sendall(b"a")
    line.read_ahead.write(b"ahead")
    assert taker.handle(line) is True
    assert line.handled == [b"ahead", b"a"]


def test_a_connection_that_ends_is_given_back_as_ended(taker: SimpleNamespace, line: Line) -> None:
    line.client.sendall(b"a")
    line.client.close()
    assert taker.handle(line) is False
    assert line.handled == [b"a", b""]


def test_one_that_has_not_yet_sent_anything_is_left_to_gunicorn(
    taker: SimpleNamespace, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThreadWorker, "handle", lambda _self, line: line.handle() and gthread._DEFER)
    line.client.sendall(b"abc")
    assert taker.handle(line) is gthread._DEFER
    assert line.handled == [b"a"]


@pytest.mark.parametrize("change", [{"alive": False}, {"nr_conns": 9}])
def test_a_thread_stays_with_none_where_it_ends_or_others_wait_for_it(
    taker: SimpleNamespace, line: Line, change: dict[str, Any]
) -> None:
    vars(taker).update(change)
    line.client.sendall(b"abc")
    assert taker.handle(line) is True
    assert line.handled == [b"a"]


def test_connections_that_stay_open_keep_no_thread_from_others(tmp_path: Path) -> None:
    with Served(tmp_path / "it", "--workers", "1") as served:
        lines = [HTTPConnection(urlsplit(served.url).netloc, timeout=10) for _ in range(20)]
        for _ in range(3):
            for each in lines:
                each.request("GET", "/-/ready")
                assert each.getresponse().read() == b'{"status":"ready"}\n'
        for each in lines:
            each.close()


@pytest.mark.parametrize("command", ["web", "worker"])
def test_what_is_loaded_is_none_of_the_collectors_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    (tmp_path / "token").write_text("secret")
    document = {
        "prometheus": {"url": "http://127.0.0.1:9"},
        "authentication": {"bearer_tokens": [{"file": "token"}]},
        "services": [VOICE],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    seen: list[tuple[bool, bool]] = []
    monkeypatch.setattr(parts, f"run_{command}", lambda *_: seen.append((gc.isenabled(), gc.get_freeze_count() > 0)) or 0)
    try:
        result = CliRunner().invoke(main, [command, "--config", str(tmp_path / "config.yaml")])
    finally:
        gc.unfreeze()
    assert (result.exit_code, seen) == (0, [(True, True)]), result.output
