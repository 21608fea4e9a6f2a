"""The migrations lead up and down, one by one, with data in every table, on each store."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from receiver.model import Closed, Delivery
from receiver.storage import acts, deliveries, heartbeat, incidents, notifications, topology
from receiver.storage.database import Database
from receiver.storage.newest import has_newest, newest
from receiver.storage.packed import MARK, unpacked
from receiver.storage.tables import metadata
from tests import stores
from tests.apps import alert, incident
from tests.samples import ASSESSED_AT as NOW
from tests.samples import assessment

MIGRATIONS = Path(heartbeat.__file__).parent / "migrations"


@pytest.fixture
def database(tmp_path: Path, each_store: str) -> Iterator[Database]:
    with closing(stores.opened(tmp_path)) as database:
        yield database


def config(connection: Any = None) -> Config:
    found = Config()
    found.set_main_option("script_location", str(MIGRATIONS))
    found.attributes["connection"] = connection
    return found


def down(database: Database, revision: str) -> None:
    for part in {database, database.inbox}:
        with part.write() as connection:
            command.downgrade(config(connection), revision)


def fill(database: Database) -> None:
    """Something in every table; two living incidents of one cause, as there may be by now."""
    with database.inbox.write() as connection:
        notifications.add(connection, "grafana", NOW, b"{}")
        notifications.refuse(connection, "alertmanager", NOW, b"{", "no JSON")
    with database.write() as connection:
        incidents.save(connection, incident(), incident(id="inc-2", to_assess=True))
        incidents.save_alerts(connection, [alert()])
        incidents.append(connection, assessment())
        acts.add(connection, "inc-1", NOW, "tanaka", "over", Closed())
        topology.learn(connection, "equipment", {"mme-1": None}, NOW)
        deliveries.want(connection, Delivery("inc-1", "desk", "ticket", 1, 0, "owed", 0, NOW))
        heartbeat.beat(connection, "tick", NOW)


def rows(database: Database) -> dict[str, list[Any]]:
    found = {}
    for name, table in metadata.tables.items():
        home = database.inbox if name == "notifications" else database
        with home.read() as connection:
            found[name] = [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
    return found


def test_going_down_unpacks_the_bodies_for_versions_that_compress_none(database: Database) -> None:
    sent = [b"{}", b" " * 10_000 + b"{}", MARK + b"refused"]
    with database.inbox.write() as connection:
        for body in sent:
            notifications.add(connection, "grafana", NOW, body)
    kept = [row[3] for row in rows(database)["notifications"]]
    assert [body == its for body, its in zip(kept, sent, strict=True)] == [True, False, False]
    down(database, "0003")
    assert [row[3] for row in rows(database)["notifications"]] == sent
    database.migrate()
    again = [row[3] for row in rows(database)["notifications"]]
    assert ([unpacked(body) for body in again], again[1]) == (sent, sent[1])


def indexes(database: Database) -> set[str | None]:
    with database.read() as connection:
        found = inspect(connection)
        return {index["name"] for table in metadata.tables for index in found.get_indexes(table)}


def test_each_step_down_and_up_again_keeps_what_both_versions_know(database: Database) -> None:
    fill(database)
    before, known = rows(database), indexes(database)
    assert all(before.values())
    revisions = [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]
    for revision in revisions[1:]:
        down(database, revision)
        database.migrate()
        after = rows(database)
        for name in ("notifications", "assessments", "heartbeat"):
            assert after[name] == before[name]
        for name in ("incidents", "alerts", "deliveries"):
            assert [row[:4] for row in after[name]] == [row[:4] for row in before[name]]
        assert indexes(database) == known


def test_the_last_file_is_the_newest_revision() -> None:
    assert newest() == ScriptDirectory.from_config(config()).get_current_head()


@pytest.mark.parametrize(("revision", "needs_it"), [("base", True), ("0004", True), (newest(), False)])
def test_alembic_is_imported_only_where_tables_have_to_change(database: Database, revision: str, needs_it: bool) -> None:
    down(database, revision)
    script = f"""if True:
        import sys
        from receiver.storage.database import Database
        Database({database.url!r}).migrate()
        print("alembic" in sys.modules)
    """
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(needs_it)
    for part in {database, database.inbox}:
        with part.read() as connection:
            assert has_newest(connection)


def test_a_store_of_two_revisions_is_not_taken_for_the_newest(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('0004')"))
        assert not has_newest(connection)


def test_down_to_nothing_and_up_again_gives_the_same_tables(database: Database) -> None:
    fill(database)
    known = indexes(database)
    down(database, "base")
    with database.read() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    database.migrate()
    assert not any(rows(database).values())
    assert indexes(database) == known
    fill(database)
