"""The store keeps what it was given, all of it or nothing, and its tables are those of tables.py."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, inspect, select
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateIndex

from receiver.storage import heartbeat, notifications
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.tables import metadata
from receiver.storage.tables import notifications as table

NOW = datetime(2026, 11, 21, 3, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "art58.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    database.migrate()
    yield database
    database.close()


def bodies(file: Path) -> list[bytes]:
    with closing(sqlite3.connect(file)) as connection:
        return [body for (body,) in connection.execute("SELECT body FROM notifications ORDER BY id")]


def test_what_was_written_is_there_for_others_and_after_a_kill(database: Database, file: Path) -> None:
    script = f"""if True:
        import os, signal
        from datetime import UTC, datetime
        from receiver.storage import notifications
        from receiver.storage.database import Database
        database = Database("sqlite:///{file}")
        with database.write() as connection:
            notifications.add(connection, "grafana", datetime.now(UTC), b"kept")
        with database.write() as connection:
            notifications.add(connection, "grafana", datetime.now(UTC), b"not yet")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert bodies(file) == [b"kept"]


def test_a_fault_within_a_transaction_leaves_nothing_of_it(database: Database, file: Path) -> None:
    def fail_halfway() -> None:
        with database.write() as connection:
            notifications.add(connection, "grafana", NOW, b"half")
            raise LookupError

    with pytest.raises(LookupError):
        fail_halfway()
    assert bodies(file) == []
    with database.write() as connection:
        notifications.add(connection, "grafana", NOW, b"whole")
    assert bodies(file) == [b"whole"]


def test_nothing_of_a_transaction_is_seen_before_its_end(database: Database, file: Path) -> None:
    with database.write() as connection:
        notifications.add(connection, "grafana", NOW, b"x")
        assert bodies(file) == []
    assert bodies(file) == [b"x"]


def test_a_view_does_not_change_while_it_is_looked_at(database: Database) -> None:
    with database.read() as view:
        assert notifications.count_waiting(view) == 0
        with database.write() as connection:
            notifications.add(connection, "grafana", NOW, b"x")
        assert notifications.count_waiting(view) == 0


def test_every_commit_is_synced_to_disk_and_readers_do_not_stop_writers(database: Database) -> None:
    with database.write() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("synchronous", "journal_mode")}
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert pragmas == {"synchronous": 2, "journal_mode": "wal"}


def test_migrating_from_nothing_gives_exactly_the_tables_and_doing_it_again_changes_nothing(database: Database, file: Path) -> None:
    def tables() -> list[tuple[str, str]]:
        with closing(sqlite3.connect(file)) as connection:
            return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()

    before = tables()
    database.migrate()
    assert tables() == before
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_the_partial_indexes_have_their_conditions(database: Database, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'"))
    indexes = [
        index
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    ]
    assert found == {index.name: str(CreateIndex(index).compile(dialect=sqlite_dialect())) for index in indexes}
    assert len(found) == 8


def test_the_migrations_lead_down_to_nothing_and_up_again(database: Database, file: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(heartbeat.__file__).parent / "migrations"))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with database.read() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    database.migrate()
    with database.write() as connection:
        notifications.add(connection, "grafana", NOW, b"x")
    assert bodies(file) == [b"x"]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.datetimes(
        datetime(1900, 1, 1),  # noqa: DTZ001 - the zone comes from the next argument
        datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
    )
)
def test_a_moment_comes_back_to_the_microsecond_in_utc(database: Database, moment: datetime) -> None:
    with database.write() as connection:
        heartbeat.beat(connection, "x", moment)
        found = heartbeat.last(connection, "x")
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


def test_a_time_without_zone_is_refused_with_the_cure(database: Database) -> None:
    with pytest.raises(StatementError, match="no time zone: pass an aware datetime"), database.write() as connection:
        heartbeat.beat(connection, "x", datetime(2026, 11, 21))  # noqa: DTZ001 - that is the fault


def test_two_writers_lose_no_update_of_each_other(database: Database) -> None:
    with database.write() as connection:
        heartbeat.beat(connection, "sum", NOW)
    faults: list[Exception] = []

    def add() -> None:
        mine = Database(database.url)  # as another process has it
        try:
            for _ in range(50):
                with mine.write() as connection:
                    known = heartbeat.last(connection, "sum")
                    assert known
                    heartbeat.beat(connection, "sum", known + timedelta(seconds=1))
        except StoreUnavailable as error:
            faults.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with database.read() as connection:
        assert heartbeat.last(connection, "sum") == NOW + timedelta(seconds=100)


def test_a_store_without_tables_is_unavailable_not_broken(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(StoreUnavailable, match="no such table"), database.read() as connection:
        notifications.count_waiting(connection)
    database.close()


def test_a_file_that_is_no_database_is_unavailable_not_broken(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(StoreUnavailable, match="not a database"):
        database.migrate()
    database.close()


def test_a_file_that_was_replaced_is_opened_anew(database: Database, file: Path) -> None:
    with database.write() as connection:
        notifications.add(connection, "grafana", NOW, b"before")
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(file.with_name("copy"))) as copy:
        old.backup(copy)
    with database.write() as connection:
        notifications.add(connection, "grafana", NOW, b"after the backup")
    for name in ("art58.db-wal", "art58.db-shm"):
        file.with_name(name).unlink()
    file.with_name("copy").replace(file)

    with pytest.raises(StoreUnavailable, match="moved, replaced or deleted"), database.write():
        pass
    with database.write() as connection:
        notifications.add(connection, "grafana", NOW, b"restored")
    assert bodies(file) == [b"before", b"restored"]


def test_bodies_of_before_there_was_an_inbox_are_moved_into_it_once(database: Database) -> None:
    with database.write() as connection:
        notifications.add(connection, "grafana", NOW, b"waits")
        notifications.add(connection, "grafana", NOW, b"derived")
        notifications.mark_derived(connection, [2], NOW)
        notifications.refuse(connection, "grafana", NOW, b"{", "no JSON")
    with database.inbox.write() as connection:  # an earlier move was killed before it had deleted them here
        notifications.add(connection, "grafana", NOW, b"waits")
    for _ in range(2):
        database.migrate()
        with database.inbox.read() as connection:
            assert [(body.id, body.body) for body in notifications.waiting(connection, 9)] == [(1, b"waits")]
            assert [body.body for body in notifications.refused(connection, 9)] == [b"{"]
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 3
        with database.read() as connection:
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_bodies_that_an_earlier_version_took_in_after_the_move_take_the_place_of_no_others(database: Database) -> None:
    moved, waiting, late = ([f"{which}-{number}".encode() for number in range(120)] for which in ("moved", "waiting", "late"))
    for home, bodies_ in ((database, moved), (database.inbox, waiting), (database, late)):
        with home.write() as connection:
            for body in bodies_:
                notifications.add(connection, "grafana", NOW, body)
        database.migrate()
    with database.inbox.read() as connection:
        found = [(body.id, body.body) for body in notifications.waiting(connection, 1000)]
    assert sorted(body for _, body in found) == sorted(moved + waiting + late)
    assert found[:240] == list(enumerate(moved + waiting, start=1)), "these keep their numbers"
