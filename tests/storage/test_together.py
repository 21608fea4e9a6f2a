"""What many threads add is written together, in the order in which it came, and each is told whether it is on disk."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.tables import heartbeat as table
from receiver.storage.together import Together
from tests import stores
from tests.samples import ASSESSED_AT as NOW
from tests.serving import until


@pytest.fixture
def database(tmp_path: Path, each_store: str) -> Iterator[Database]:
    database = stores.opened(tmp_path)
    yield database
    database.close()


class Held:
    """Writes names; the first write waits until it is let go."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.written: list[list[str]] = []
        self.began, self.go_on = threading.Event(), threading.Event()
        self._fault = fault

    def __call__(self, connection: Connection, names: list[str]) -> None:
        self.written.append(names)
        connection.execute(insert(table), [{"name": name, "at": NOW} for name in names])
        if len(self.written) == 1:
            self.began.set()
            assert self.go_on.wait(10)
        elif self._fault:
            raise self._fault


def kept(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(row.name for row in connection.execute(table.select()))


def added(database: Database, held: Held, names: list[str]) -> list[BaseException | None]:
    """What became of each, where all but the first were added while that was being written."""
    together = Together(database, held)
    with ThreadPoolExecutor(len(names)) as pool:
        calls = [pool.submit(together.add, names[0])]
        assert held.began.wait(10)
        for name in names[1:]:
            waiting = len(together._waiting)
            calls.append(pool.submit(together.add, name))
            until(lambda waiting=waiting: len(together._waiting) > waiting)
        held.go_on.set()
        return [call.exception(10) for call in calls]


def test_what_waits_is_written_with_one_commit_in_the_order_in_which_it_came(database: Database) -> None:
    held = Held()
    names = [f"name-{number}" for number in range(8)]
    assert added(database, held, names) == [None] * 8
    assert held.written == [names[:1], names[1:]]
    assert kept(database) == sorted(names)


@pytest.mark.parametrize("fault", [StoreUnavailable("the disk is full"), ValueError("a fault of ours")])
def test_where_the_write_for_all_fails_each_of_them_is_told_and_nothing_is_kept(database: Database, fault: Exception) -> None:
    assert added(database, Held(fault), ["first", "second", "third"]) == [None, fault, fault]
    assert kept(database) == ["first"]


def test_after_a_failed_write_the_next_one_succeeds(database: Database) -> None:
    held = Held(StoreUnavailable("the disk is full"))
    added(database, held, ["first", "second"])
    held._fault = None
    Together(database, held).add("third")
    assert kept(database) == ["first", "third"]
