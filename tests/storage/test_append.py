"""What is added in the quick way is what SQLAlchemy reads, on disk or not there at all."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from receiver.storage import notifications
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.notifications import Arrived
from receiver.storage.packed import packed
from receiver.storage.tables import notifications as table
from tests import stores
from tests.samples import ASSESSED_AT as NOW

EARLIEST, LATEST = datetime(2020, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - the zone is added to them
IN_JAPAN = partial(datetime.replace, tzinfo=ZoneInfo("Asia/Tokyo"))


@pytest.fixture
def database(tmp_path: Path, each_store: str) -> Iterator[Database]:
    database = stores.opened(tmp_path)
    yield database
    database.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    stores.put_store(tmp_path / "art58.db")
    database = Database(f"sqlite:///{tmp_path}/art58.db", busy_seconds=0.2)
    yield database.inbox
    database.close()


def append(database: Database, *bodies: bytes, at: datetime = NOW) -> None:
    database.append(table, Arrived._fields, [Arrived("grafana", at, packed(body)) for body in bodies])


def kept(database: Database) -> list[bytes]:
    with database.read() as connection:
        return [body.body for body in notifications.waiting(connection, 99)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.datetimes(EARLIEST, LATEST).map(IN_JAPAN))
def test_it_adds_what_add_does(database: Database, bodies: list[bytes], at: datetime) -> None:
    with database.read() as connection:
        before = len(connection.execute(table.select()).all())
    append(database, *bodies, at=at)
    with database.write() as connection:
        for body in bodies:
            notifications.add(connection, "grafana", at, body)
    with database.read() as connection:
        rows = [tuple(row)[1:] for row in connection.execute(table.select().order_by(table.c.id))][before:]
    assert rows[: len(bodies)] == rows[len(bodies) :]
    assert len(rows) == 2 * len(bodies)


def test_of_rows_of_which_one_is_wrong_none_is_kept_and_the_next_are(database: Database) -> None:
    with pytest.raises((IntegrityError, sqlite3.IntegrityError)):
        database.append(table, Arrived._fields, [Arrived("grafana", NOW, b"good"), Arrived("grafana", NOW, None)])  # type: ignore[arg-type]
    append(database, b"next")
    assert kept(database) == [b"next"]


def test_while_another_has_the_store_it_is_unavailable_and_after_that_it_goes_on(file: Database) -> None:
    append(file, b"before")
    with closing(sqlite3.connect(file.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="cannot be written: database is locked"):
            append(file, b"meanwhile")
        other.execute("ROLLBACK")
    append(file, b"after")
    assert kept(file) == [b"before", b"after"]


def test_a_file_that_was_moved_away_is_noticed(file: Database, tmp_path: Path) -> None:
    append(file, b"before")
    path = tmp_path / "art58-inbox.db"
    path.rename(tmp_path / "away.db")
    with pytest.raises(StoreUnavailable, match="moved, replaced or deleted"):
        append(file, b"lost, if it were answered with 200")
    (tmp_path / "away.db").rename(path)
    append(file, b"after")
    assert kept(file) == [b"before", b"after"]


def test_a_file_that_is_moved_away_while_others_write_is_noticed(
    file: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(file, b"before")
    file._busy_seconds = 30
    insist, has_looked = file._insist, threading.Event()
    monkeypatch.setattr(file, "_insist", lambda *args: has_looked.set() or insist(*args))
    path = tmp_path / "art58-inbox.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        waits = pool.submit(append, file, b"lost, if it were answered with 200")
        assert has_looked.wait(10)
        path.rename(tmp_path / "away.db")
        other.execute("ROLLBACK")
        with pytest.raises(StoreUnavailable, match="moved, replaced or deleted"):
            waits.result(30)


def test_of_a_store_that_is_full_nobody_waits_for_room(file: Database) -> None:
    append(file, b"before")
    file._busy_seconds = 30
    assert file._line
    (pages,) = file._line.driver_connection.execute("PRAGMA page_count").fetchone()
    file._line.driver_connection.execute(f"PRAGMA max_page_count = {pages}")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="full"):
        append(file, os.urandom(20_000))
    assert time.monotonic() - began < 10
    append(file, b"after")
    assert kept(file) == [b"before", b"after"]


def test_nothing_is_kept_in_memory_of_large_bodies(file: Database) -> None:
    append(file, os.urandom(200_000))
    assert file._line
    append(file, os.urandom(200_000), os.urandom(200_000))
    assert not file._line, "SQLite's driver keeps the values of each statement until the next ones"
    append(file, b"after")
    assert len(kept(file)) == 4


def test_it_and_transactions_take_turns(file: Database) -> None:
    file._busy_seconds = 30  # the machine may be busy, too
    faults: list[Exception] = []

    def add(number: int) -> None:
        try:
            for turn in range(30):
                append(file, f"{number}-{turn}".encode())
                with file.write() as connection:
                    notifications.add(connection, "grafana", NOW, f"{number}+{turn}".encode())
        except Exception as error:  # noqa: BLE001 - whatever it is
            faults.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with file.read() as connection:
        assert notifications.count_waiting(connection) == 180
