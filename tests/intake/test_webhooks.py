"""200 when the body is on disk, 4xx only for what can never be right, 503 for all that may pass, and never 429."""

import base64
import ctypes
import io
import json
import resource
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from receiver.model import Notification
from receiver.storage import notifications
from receiver.storage.packed import unpacked
from tests.apps import BEARER, PASSWORD, TOKEN, App

CAPTURED = Path(__file__).parents[1] / "data" / "alertmanager" / "alertmanager-0.33.1" / "05-group-mixed.json"
BODY = CAPTURED.read_bytes()
ALERTMANAGER, GRAFANA = "/webhook/alertmanager", "/webhook/grafana"
GRAFANA_BODY = BODY.replace(b'"version": "4"', b'"version": "1"')
CAP_DAC_OVERRIDE = 1 << 1
on_each_store = pytest.mark.usefixtures("each_store")


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def stored(app: App) -> list[tuple[str, bytes, str | None]]:
    """What another process finds in the store."""
    query = "SELECT source, body, refused FROM notifications ORDER BY id"
    if not app.settings.database_file:
        with psycopg.connect(app.settings.database) as there:
            found = there.execute(query).fetchall()
    else:
        with closing(sqlite3.connect(app.inbox)) as connection:
            found = connection.execute(query).fetchall()
    return [(source, unpacked(body), refused) for source, body, refused in found]


def counted(source: str, outcome: str) -> float:
    return REGISTRY.get_sample_value("art58_notifications_total", {"source": source, "outcome": outcome}) or 0


def said(response: TestResponse) -> Any:
    assert response.content_type == "application/json"
    return response.get_json()


@on_each_store
def test_a_notification_is_answered_200_when_its_very_bytes_are_in_the_store(app: App) -> None:
    before = counted("alertmanager", "stored")

    response = app.client.post(ALERTMANAGER, data=BODY, headers=BEARER)

    assert response.status_code == 200
    assert said(response) == {"status": "stored", "alerts": 3}
    assert stored(app) == [("alertmanager", BODY, None)]
    assert counted("alertmanager", "stored") == before + 1
    with app.database.inbox.read() as connection:
        (waiting,) = notifications.waiting(connection, 10)
    assert (waiting.body, waiting.received_at) == (BODY, app.clock.now)


@on_each_store
def test_the_same_notification_again_is_stored_again_as_nothing_is_judged_here(app: App) -> None:
    assert {app.client.post(ALERTMANAGER, data=BODY, headers=BEARER).status_code for _ in range(2)} == {200}
    assert len(stored(app)) == 2


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_grafana_may_post_or_put(app: App, method: str) -> None:
    response = app.client.open(GRAFANA, method=method, data=GRAFANA_BODY, headers=BEARER)
    assert (response.status_code, said(response)["alerts"]) == (200, 3)
    assert stored(app) == [("grafana", GRAFANA_BODY, None)]


@pytest.mark.parametrize(
    "headers",
    [BEARER, {"Authorization": f"bearer {TOKEN}"}, basic("alertmanager", PASSWORD), basic("anyone", TOKEN)],
    ids=["bearer", "lower case", "basic", "token as password"],
)
def test_every_known_way_in_is_open(app: App, headers: dict[str, str]) -> None:
    assert app.client.post(ALERTMANAGER, data=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {PASSWORD}"},
        {"Authorization": f"Token {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        basic("alertmanager", "wrong"),
        basic("alertmanager", ""),
        basic("other", PASSWORD),
        basic(TOKEN, "x"),
        basic("", ""),
    ],
    ids=str,
)
def test_nobody_else_comes_in_and_nothing_of_theirs_is_stored(app: App, headers: dict[str, str]) -> None:
    before = counted("alertmanager", "unauthorized")

    response = app.client.post(ALERTMANAGER, data=BODY, headers=headers)

    assert response.status_code == 401
    assert "error" in said(response)
    assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert stored(app) == []
    assert counted("alertmanager", "unauthorized") == before + 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.text(st.characters(min_codepoint=32, max_codepoint=255)).map(lambda text: "Basic " + text) | st.binary())
def test_no_credentials_whatever_break_the_gate(app: App, header: str | bytes) -> None:
    text = header if isinstance(header, str) else "Basic " + base64.b64encode(header).decode()
    assert app.client.post(ALERTMANAGER, data=BODY, headers={"Authorization": text}).status_code == 401


@on_each_store
def test_a_body_that_can_never_be_right_is_refused_kept_and_counted(app: App) -> None:
    before = counted("alertmanager", "refused")

    response = app.client.post(ALERTMANAGER, data=b'{"version": "4"}', headers=BEARER)

    assert response.status_code == 400
    assert "alerts" in said(response)["error"]
    assert counted("alertmanager", "refused") == before + 1
    with app.database.inbox.read() as connection:
        (refused,) = notifications.refused(connection, 10)
        assert notifications.count_waiting(connection) == 0
    assert (refused.source, refused.body, refused.refused) == ("alertmanager", b'{"version": "4"}', said(response)["error"])


@on_each_store
def test_of_a_refused_body_only_the_beginning_is_kept(app: App) -> None:
    assert app.client.post(ALERTMANAGER, data=b"x" * 1_000_000, headers=BEARER).status_code == 400
    ((_, body, _),) = stored(app)
    assert body == b"x" * 64 * 1024


def refused(app: App, limit: int = 10) -> list[Notification]:
    with app.database.inbox.read() as connection:
        return notifications.refused(connection, limit)


@on_each_store
def test_refused_bodies_are_listed_newest_first(app: App) -> None:
    for body in (b"1", b"2", b"3"):
        app.client.post(ALERTMANAGER, data=body, headers=BEARER)
    assert [notification.body for notification in refused(app, 2)] == [b"3", b"2"]


@on_each_store
def test_a_refused_body_that_comes_again_is_counted_and_becomes_the_latest(app: App) -> None:
    first = app.clock.now
    for body in (b"1", b"2", b"1"):
        app.client.post(ALERTMANAGER, data=body, headers=BEARER)
        app.clock.advance(minutes=5)
    assert [(it.body, it.times, it.received_at - first) for it in refused(app)] == [
        (b"1", 2, timedelta(minutes=10)),
        (b"2", 1, timedelta(minutes=5)),
    ]


@on_each_store
def test_the_same_body_is_kept_for_each_source_and_each_reason(app: App) -> None:
    for source, reason in (("alertmanager", "a"), ("alertmanager", "b"), ("grafana", "a")):
        with app.database.inbox.write() as connection:
            notifications.refuse(connection, source, app.clock.now, b"x", reason)  # type: ignore[arg-type]
    assert [it.times for it in refused(app)] == [1, 1, 1]


@on_each_store
def test_the_latest_thousand_refused_bodies_are_kept_and_what_was_taken_in_stays(app: App) -> None:
    assert app.client.post(ALERTMANAGER, data=BODY, headers=BEARER).status_code == 200
    with app.database.inbox.write() as connection:
        for number in range(1000):
            notifications.refuse(connection, "grafana", app.clock.now, b"%d" % number, "wrong")
    app.clock.advance(seconds=1)
    with app.database.inbox.write() as connection:
        for body in (b"0", b"new"):  # the oldest comes again: the next to go is the one after it
            notifications.refuse(connection, "grafana", app.clock.now, body, "wrong")
    kept = [it.body for it in refused(app, 2000)]
    assert (len(kept), kept[:3], kept[-1]) == (1000, [b"new", b"0", b"999"], b"2")
    assert stored(app)[0] == ("alertmanager", BODY, None)


UNANNOUNCED = {"environ_overrides": {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}}


@on_each_store
@pytest.mark.parametrize("options", [{}, UNANNOUNCED], ids=["announced", "unannounced"])
def test_a_body_over_the_limit_is_refused_the_setting_is_named_and_its_beginning_kept(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    app = App(tmp_path, max_body_mib=1)
    before = counted("alertmanager", "too_large")
    too_large = BODY.ljust(1024 * 1024 + 1)

    def send() -> TestResponse:
        stream = {"input_stream": io.BytesIO(too_large)} if options else {"data": too_large}
        return app.client.post(ALERTMANAGER, headers=BEARER, **stream, **options)

    with capture_logs() as logged:
        response = send()

    assert response.status_code == 413
    assert "max_body_mib" in said(response)["error"]
    assert "max_body_mib" in logged[0]["error"]
    assert counted("alertmanager", "too_large") == before + 1
    assert stored(app) == [("alertmanager", too_large[: 64 * 1024], said(response)["error"])]
    assert send().status_code == 413
    assert [it.times for it in refused(app)] == [2]


@on_each_store
@pytest.mark.parametrize("options", [{}, UNANNOUNCED], ids=["announced", "unannounced"])
def test_a_body_of_just_the_limit_is_taken_in(tmp_path: Path, options: dict[str, Any]) -> None:
    app = App(tmp_path, max_body_mib=1)
    whole = BODY.ljust(1024 * 1024)
    stream = {"input_stream": io.BytesIO(whole)} if options else {"data": whole}
    assert app.client.post(ALERTMANAGER, headers=BEARER, **stream, **options).status_code == 200
    assert stored(app) == [("alertmanager", whole, None)]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", ALERTMANAGER, 405),
        ("PUT", ALERTMANAGER, 405),
        ("DELETE", GRAFANA, 405),
        ("GET", GRAFANA, 405),
        ("POST", "/webhook/other", 404),
        ("POST", "/webhook", 404),
    ],
)
def test_other_methods_and_addresses_are_refused_in_json(app: App, method: str, path: str, status: int) -> None:
    response = app.client.open(path, method=method, data=BODY, headers=BEARER)
    assert response.status_code == status
    assert list(said(response)) == ["error"]
    assert stored(app) == []


def expect_unavailable(app: App, source: str = ALERTMANAGER) -> None:
    """503 soon enough for the sender to wait for it, in JSON and counted."""
    before, began = counted("alertmanager", "unavailable"), time.monotonic()

    response = app.client.post(source, data=BODY, headers=BEARER)

    assert response.status_code == 503
    assert time.monotonic() - began < 4
    assert "send it again" in said(response)["error"]
    assert counted("alertmanager", "unavailable") == before + 1


def expect_recovered(app: App, rows: int = 1) -> None:
    response = app.client.post(ALERTMANAGER, data=BODY, headers=BEARER)
    assert response.status_code == 200
    assert len(stored(app)) == rows


def test_a_locked_store_costs_503_until_it_is_free_again(app: App) -> None:
    with closing(sqlite3.connect(app.inbox, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        expect_unavailable(app)
        other.execute("ROLLBACK")
    expect_recovered(app)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write there, not even root, who gives up for this thread what stands above all modes."""
    libc, header, capabilities = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, capabilities) == 0
    effective = capabilities[0]
    paths = [folder, *folder.iterdir()]
    modes = [path.stat().st_mode for path in paths]
    for path, mode in zip(paths, modes, strict=True):
        path.chmod(mode & ~0o222)
    capabilities[0] = effective & ~CAP_DAC_OVERRIDE
    assert libc.capset(header, capabilities) == 0
    try:
        yield
    finally:
        capabilities[0] = effective
        assert libc.capset(header, capabilities) == 0
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


def test_a_read_only_store_costs_503_until_it_can_be_written_again(app: App) -> None:
    with app.database.inbox.read() as connection:  # the worker has it open
        notifications.count_waiting(connection)
    with read_only(app.inbox.parent):
        expect_unavailable(app)
        expect_unavailable(app)
    expect_recovered(app)


def test_a_folder_that_is_gone_costs_503_until_it_is_back(app: App, tmp_path: Path) -> None:
    expect_recovered(app, rows=1)
    app.inbox.parent.rename(tmp_path / "elsewhere")
    expect_unavailable(app)
    # even what can never be right is asked for again, if it cannot be kept
    assert app.client.post(ALERTMANAGER, data=b"{}", headers=BEARER).status_code == 503
    (tmp_path / "elsewhere").rename(app.inbox.parent)
    expect_recovered(app, rows=2)


def test_nothing_is_written_into_a_file_that_was_deleted(app: App) -> None:
    expect_recovered(app)
    app.inbox.unlink()
    expect_unavailable(app)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """The kernel lets no file of this process grow beyond `size`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_503_until_there_is_room_again(app: App) -> None:
    expect_recovered(app, rows=1)
    with full_disk(app.inbox.with_name("art58-inbox.db-wal").stat().st_size):
        expect_unavailable(app)
        expect_unavailable(app)
    expect_recovered(app, rows=2)
    with closing(sqlite3.connect(app.inbox)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_intake_makes_no_network_call(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*call: object) -> None:
        raise AssertionError(f"a network call: {call}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert app.client.post(ALERTMANAGER, data=BODY, headers=BEARER).status_code == 200
    assert app.client.put(GRAFANA, data=GRAFANA_BODY, headers=basic("alertmanager", PASSWORD)).status_code == 200
    assert app.client.post(ALERTMANAGER, data=b"{}", headers=BEARER).status_code == 400


def test_no_answer_says_429_and_none_tells_a_secret_nor_does_the_log(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ways = [BEARER, basic("alertmanager", PASSWORD), basic("x", "a-guess-7q"), {"Authorization": "Bearer a-guess-7q"}, {}]
    bodies = [BODY, b"", b"{}", GRAFANA_BODY, json.dumps({"version": "4", "alerts": [{}]}).encode()]
    with capture_logs() as logged:
        answers = [
            app.client.open(path, method=method, data=body, headers=headers)
            for path in (ALERTMANAGER, GRAFANA, "/api/v1/incidents", "/incidents/x", "/metrics", "/-/ready", "/-/healthy", "/none")
            for method in ("GET", "POST", "PUT")
            for body in bodies
            for headers in ways
        ]
        app.inbox.unlink()
        answers.append(app.client.post(ALERTMANAGER, data=BODY, headers=BEARER))

    assert {answer.status_code for answer in answers} == {200, 400, 401, 404, 405, 503}
    told = f"{caplog.text}{logged}" + "".join(f"{answer.headers}{answer.text}" for answer in answers)
    assert {
        ("refused a body: its alerts are lost", "grafana"),
        ("not stored: the sender is told to come again", "alertmanager"),
    } <= {(line["event"], line["source"]) for line in logged}
    for secret in (TOKEN, PASSWORD, "a-guess-7q", base64.b64encode(f"alertmanager:{PASSWORD}".encode()).decode()):
        assert secret not in told


class Meanwhile(io.BytesIO):
    """A body while which is read something else happens."""

    def __init__(self, body: bytes, happens: Callable[[], None]) -> None:
        super().__init__(body)
        self._happens = [happens]

    def readinto(self, buffer: Any) -> int:
        while self._happens:
            self._happens.pop()()
        return super().readinto(buffer)


def padded(size: int) -> bytes:
    return BODY + b" " * (size - len(BODY))


def test_large_bodies_that_come_together_are_sent_away_for_a_second_and_small_ones_are_not(app: App) -> None:
    large, small, answers = padded(9 * 1024 * 1024), padded(256 * 1024), []

    def others() -> None:
        answers.extend(app.client.post(ALERTMANAGER, data=body, headers=BEARER) for body in (large, small))

    before = counted("alertmanager", "busy")
    stream = Meanwhile(large, others)
    first = app.client.post(ALERTMANAGER, input_stream=stream, content_length=len(large), headers=BEARER)
    assert [first.status_code, *(answer.status_code for answer in answers)] == [200, 503, 200]
    assert answers[0].headers["Retry-After"] == "1"
    assert "again" in said(answers[0])["error"]
    assert counted("alertmanager", "busy") == before + 1
    assert len(stored(app)) == 2
    assert app.client.post(ALERTMANAGER, data=large, headers=BEARER).status_code == 200


def test_one_whose_size_is_not_announced_counts_as_the_largest_that_may_come(app: App) -> None:
    answers = []

    def another() -> None:
        answers.append(app.client.post(ALERTMANAGER, input_stream=io.BytesIO(BODY), headers=BEARER, **UNANNOUNCED))

    stream = Meanwhile(padded(1024 * 1024), another)
    assert app.client.post(ALERTMANAGER, input_stream=stream, content_length=1024 * 1024, headers=BEARER).status_code == 200
    assert [answer.status_code for answer in answers] == [503]
