"""Over a real PostgreSQL nothing answered with 200 is lost either: it is killed, goes read-only, comes back. Several receivers over
one database: test_postgres_delivery.py.
"""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PASSWORD, PostgresServer
from tests.serving import Served, until


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of its own, which may be killed; with every commit on disk."""
    with PostgresServer(synced=True) as server:
        yield server


def served_on(url: str, folder: Path, **changes: Any) -> Served:
    return Served(folder, database_url=url, tick_seconds=1, web_workers=1, **changes)


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


def equipment(served: Served) -> set[str]:
    status, answer = served.request("GET", "/api/v1/incidents?state=all&limit=1000")
    return {one["equipment"] for one in answer["incidents"]} if status == 200 else set()


def is_ready(served: Served) -> bool:
    return served.request("GET", "/-/ready")[0] == 200


def test_an_alert_becomes_an_incident_and_the_password_is_shown_nowhere(postgres: PostgresServer, tmp_path: Path) -> None:
    name = postgres.url(empty=True).rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} OWNER TO keeper")
    (tmp_path / "password").write_text(PASSWORD)
    password = {"database_password": {"file": str(tmp_path / "password")}}
    with served_on(postgres.address(name, "keeper"), tmp_path / "served", **password) as served:
        assert post(served, "core-1") == 200
        until(lambda: equipment(served) == {"core-1"})
        (tmp_path / "password").write_text("another one")
        assert served.stop() == 0
        assert PASSWORD not in served.log
    other = served_on(postgres.address(name, "keeper"), tmp_path / "other", **password)
    other.start()
    try:
        until(lambda: "password authentication failed" in other.log)
    finally:
        other.stop()
    assert "another one" not in other.log


def test_after_a_kill_of_the_server_under_load_it_answers_503_then_goes_on_and_has_all_it_answered_200(
    server: PostgresServer, tmp_path: Path
) -> None:
    taken: list[str] = []
    refused: list[str] = []
    done = threading.Event()

    def send(thread: int) -> None:
        number = 0
        while not done.is_set():
            number += 1
            name = f"core-{thread}-{number}"
            (taken if post(served, name) == 200 else refused).append(name)
            done.wait(0.02)

    with served_on(server.url(), tmp_path / "served") as served:
        senders = [threading.Thread(target=send, args=(thread,)) for thread in range(3)]
        for sender in senders:
            sender.start()
        until(lambda: len(taken) > 20)
        server.kill()
        until(lambda: len(refused) > 5)
        assert served.request("GET", "/-/healthy")[0] == 200
        assert not is_ready(served)
        server.start()
        before = len(taken)
        until(lambda: len(taken) > before + 10)
        done.set()
        for sender in senders:
            sender.join()
        until(lambda: equipment(served) >= set(taken), 30)
        assert served.stop() == 0


def test_when_the_primary_dies_the_promoted_standby_has_all_that_was_answered_200(server: PostgresServer, tmp_path: Path) -> None:
    name = server.url().rpartition("/")[2]
    with PostgresServer(synced=True, follows=server) as standby:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        server.reload()
        until(lambda: server.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)])
        hosts = "&".join(f"host=127.0.0.1:{each.port}" for each in (server, standby))
        with served_on(f"postgresql://art58@/{name}?{hosts}&target_session_attrs=read-write", tmp_path / "served") as served:
            taken = [f"core-{number}" for number in range(30) if post(served, f"core-{number}") == 200]
            assert len(taken) == 30
            server.kill()
            assert post(served, "meanwhile") == 503
            assert not is_ready(served)
            standby.execute("SELECT pg_promote()")
            until(lambda: post(served, "after") == 200, 30)
            until(lambda: equipment(served) == {*taken, "after"}, 30)
            assert served.stop() == 0


def test_while_a_standby_keeps_commits_waiting_senders_are_told_503_and_the_process_still_answers(
    server: PostgresServer, tmp_path: Path
) -> None:
    """No time-out of PostgreSQL ends such a wait: every thread and connection would be taken by it."""
    with served_on(server.url(), tmp_path / "served") as served, ThreadPoolExecutor(20) as threads:
        assert post(served, "before") == 200
        until(lambda: equipment(served) == {"before"})
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        server.reload()
        send = partial(served.request, "POST", "/webhook/alertmanager", timeout=60)
        hanging = [threads.submit(send, body("hangs")), threads.submit(send, b"{}")]
        hanging.append(threads.submit(served.request, "GET", "/-/ready", timeout=60))
        # these and the worker's; else one that comes after would take the place of one that others wait behind
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        until(lambda: len(server.execute(waiting)) > len(hanging))
        bodies = [body("meanwhile"), b"{}"] * 8
        assert {status for status, _ in threads.map(send, bodies)} == {503}
        known = time.monotonic()
        assert not any(is_ready(served) for _ in range(10)), "however often it is probed"
        assert served.request("GET", "/-/healthy")[0] == 200
        assert "before" in equipment(served)
        assert time.monotonic() - known < 4
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.reload()
        assert [each.result(30)[0] for each in hanging] == [200, 400, 200]
        assert post(served, "after") == 200
        until(lambda: equipment(served) >= {"before", "hangs", "after"}, 30)
        assert served.stop() == 0


def test_a_primary_that_has_become_read_only_costs_503_until_it_can_be_written_again(
    server: PostgresServer, tmp_path: Path
) -> None:
    def becomes(read_only: str) -> None:
        server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {read_only}")
        server.execute("SELECT pg_reload_conf()")

    with served_on(server.url(), tmp_path / "served") as served:
        assert post(served, "before") == 200
        becomes("on")
        until(lambda: post(served, "meanwhile") == 503)
        assert not is_ready(served)
        assert served.request("GET", "/api/v1/incidents")[0] == 200
        becomes("off")
        until(lambda: post(served, "after") == 200)
        assert is_ready(served)
        until(lambda: equipment(served) >= {"before", "after"})
