"""A store in memory remembers what was read, never longer than it is so, and its copy is whole."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import bindparam, select

from receiver.storage import incidents as store
from receiver.storage.in_memory import InMemory
from receiver.storage.tables import incidents
from tests.apps import incident


@pytest.fixture
def database() -> InMemory:
    made = InMemory()
    made.migrate()
    return made


def named(database: InMemory, *ids: str) -> set[str]:
    with database.read() as connection:
        return set(store.named(connection, ids))


def test_what_was_read_is_read_anew_after_it_was_written(database: InMemory) -> None:
    assert named(database, "inc-1") == set()
    writes = database.writes
    with database.write() as connection:
        store.save(connection, incident())
    assert database.writes == writes + 1
    assert named(database, "inc-1") == named(database, "inc-1") == {"inc-1"}


def test_questions_that_differ_in_a_value_are_told_apart(database: InMemory) -> None:
    with database.write() as connection:
        store.save(connection, incident(), incident(id="inc-2"))
    assert named(database, "inc-1") == {"inc-1"}
    assert named(database, "inc-2") == {"inc-2"}
    assert named(database, "inc-1", "inc-2") == {"inc-1", "inc-2"}
    query = select(incidents.c.id).where(incidents.c.id.in_(bindparam("ids", expanding=True)))
    for _ in range(2):
        with database.read() as connection:
            for ids in (["inc-1"], ["inc-2"]):
                assert connection.execute(query, {"ids": ids}).scalars().all() == ids


def test_a_copy_is_taken_and_put_back(database: InMemory, tmp_path: Path) -> None:
    with database.write() as connection:
        store.save(connection, incident())
    database.save(tmp_path / "copy.db")
    other = InMemory()
    other.load(tmp_path / "copy.db")
    assert named(other, "inc-1") == {"inc-1"}
    assert [file.name for file in tmp_path.iterdir()] == ["copy.db"]


def test_what_is_no_copy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        InMemory().load(tmp_path / "copy.db")
