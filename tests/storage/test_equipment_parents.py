"""What is above equipment is kept, and found again upwards from any of it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select

from receiver.storage import topology
from receiver.storage.database import Database
from receiver.storage.tables import equipment_parents
from tests import stores
from tests.samples import ASSESSED_AT as NOW

NETWORK = {"pon-1": "olt-1", "pon-2": "olt-1", "olt-1": "bras-1", "bras-1": None}


@pytest.fixture
def database(tmp_path: Path, each_store: str) -> Iterator[Database]:
    database = stores.opened(tmp_path)
    yield database
    database.close()


def learn(database: Database, parents: dict[str, str | None], label: str = "equipment") -> None:
    with database.write() as connection:
        topology.learn(connection, label, parents, NOW)


def parents(database: Database, *names: str, label: str = "equipment") -> dict[str, str | None]:
    with database.read() as connection:
        return topology.parents(connection, label, names)


def test_the_chain_is_followed_upwards_as_far_as_it_is_known(database: Database) -> None:
    learn(database, NETWORK)
    assert parents(database, "pon-1", "unheard-of") == {"pon-1": "olt-1", "olt-1": "bras-1", "bras-1": None}
    learn(database, {"pon-3": "olt-2"})
    assert parents(database, "pon-3") == {"pon-3": "olt-2"}
    assert parents(database) == {}


def test_what_is_told_anew_replaces_what_was_known(database: Database) -> None:
    learn(database, NETWORK)
    learn(database, {"pon-1": "olt-9", "bras-1": "site-1"})
    assert parents(database, "pon-1", "pon-2") == {
        "pon-1": "olt-9",
        "pon-2": "olt-1",
        "olt-1": "bras-1",
        "bras-1": "site-1",
    }
    with database.write() as connection:
        topology.learn(connection, "equipment", {"pon-1": None}, NOW + timedelta(hours=1))
        times = {child: at for child, at in connection.execute(select(equipment_parents.c.child, equipment_parents.c.learnt_at))}  # noqa: C416
    assert (times["pon-1"], times["pon-2"]) == (NOW + timedelta(hours=1), NOW)
    assert parents(database, "pon-1") == {"pon-1": None}


def test_the_same_name_under_another_label_is_other_equipment(database: Database) -> None:
    learn(database, NETWORK)
    learn(database, {"olt-1": "rack-1"}, label="box")
    assert parents(database, "olt-1", label="box") == {"olt-1": "rack-1"}
    assert parents(database, "olt-1") == {"olt-1": "bras-1", "bras-1": None}


def test_parents_that_lead_in_a_circle_end(database: Database) -> None:
    learn(database, {"a": "b", "b": "c", "c": "a", "self": "self"})
    assert parents(database, "a", "self") == {"a": "b", "b": "c", "c": "a", "self": "self"}


def test_of_thousands_each_statement_takes_some(database: Database) -> None:
    network: dict[str, str | None] = {f"pon-{n}": f"olt-{n % 3}" for n in range(1_500)}
    learn(database, network | {f"olt-{n}": None for n in range(3)})
    statements: list[int] = []

    def note(_connection: object, _cursor: object, _statement: str, bound: tuple[object, ...], *_: object) -> None:
        statements.append(len(bound))

    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        found = topology.parents(connection, "equipment", network)
    assert len(found) == 1_503
    assert len(statements) == 5
    assert max(statements) < 999  # the least that SQLite allows
