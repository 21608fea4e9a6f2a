"""A copy of a store in another one: every row with every value, all or nothing, and whoever works on it goes on."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Integer, LargeBinary, insert, select, text

from receiver.delivery.plan import Route
from receiver.storage import copying, heartbeat, incidents, notifications
from receiver.storage.alone import InUse
from receiver.storage.copying import Copied, NotCopied, Progress
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.parts import home
from receiver.storage.tables import chunks, metadata
from tests.cli.test_db import Keeper, fill
from tests.fakes.memory import MemoryTarget
from tests.fakes.prometheus import FakePrometheus
from tests.incidents.test_derive import T0, alert, take_in
from tests.postgres import PostgresServer
from tests.receiver import Receiver
from tests.serving import until
from tests.stores import put_store

OTHER = {"sqlite": "postgresql", "postgresql": "sqlite"}
Rows = dict[str, list[tuple[Any, ...]]]
_MICROSECOND = timedelta(microseconds=1)


def silent(_: Progress) -> None:
    """Nobody wants to know how far it got."""


class Places:
    """New empty stores of either kind."""

    def __init__(self, folder: Path, postgres: PostgresServer) -> None:
        self._folder, self._postgres, self._made = folder, postgres, 0

    def url(self, kind: str) -> str:
        self._made += 1
        return self._postgres.url() if kind == "postgresql" else f"sqlite:///{self._folder}/{self._made}/art58.db"

    def opened(self, kind: str) -> Database:
        database = Database(self.url(kind))
        if kind == "sqlite":
            put_store(Path(database.url.removeprefix("sqlite:///")))
        return database


@pytest.fixture
def places(tmp_path: Path, postgres: PostgresServer) -> Places:
    return Places(tmp_path, postgres)


@pytest.fixture
def both(places: Places, each_store: str) -> Iterator[tuple[Database, Database]]:
    """A store of this kind, and an empty one of the other."""
    with closing(places.opened(each_store)) as source, closing(places.opened(OTHER[each_store])) as target:
        yield source, target


def raw(database: Database) -> Rows:
    """Every row of every table as it lies there."""
    found: Rows = {}
    for table in copying._raw_tables():
        with home(database, table.name).read() as connection:
            found[table.name] = [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
    return found


def enter(database: Database, rows: Rows) -> None:
    for table in copying._raw_tables():
        names = [column.name for column in table.columns]
        with home(database, table.name).write() as connection:
            for chunk in chunks(rows[table.name]):
                connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in chunk])


# as the payloads let them in: no NUL, which no store keeps in texts
_HOSTILE = st.sampled_from(
    ["", " ", "'", '"; DROP TABLE incidents; --', "\\u0000", "\\", "%s", ":x", "\N{PILE OF POO}", "が", "か\u3099"]
)
_TEXTS = _HOSTILE | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)
_MOMENTS = st.sampled_from([0, 1, -1, 1_763_694_000_123_456]) | st.integers(-(2**62), 2**62)
_NUMBERS = st.sampled_from([0, 1, 2**31 - 1]) | st.integers(0, 2**31 - 1)
_BODIES = st.sampled_from([b"", b"\0", b"\xff\xfe\0\xed\xa0\x80", "断".encode()]) | st.binary(max_size=60)


def _values(column: Any, *, is_nullable: bool) -> st.SearchStrategy[Any]:
    kind = column.type
    if isinstance(kind, Boolean):
        found: st.SearchStrategy[Any] = st.booleans()
    elif isinstance(kind, LargeBinary):
        found = _BODIES
    elif isinstance(kind, Integer):
        found = _NUMBERS if kind.__class__ is Integer else _MOMENTS
    else:
        found = _TEXTS
    return found | st.none() if is_nullable else found


@st.composite
def _rows(draw: st.DrawFn) -> Rows:
    """Any rows that the tables take: what refers to an incident refers to one that is there."""
    found: Rows = {}
    for table, known in zip(copying._raw_tables(), metadata.sorted_tables, strict=True):
        there = [row[0] for row in found.get("incidents", [])]
        its = [
            st.sampled_from(there or [None]) if column.foreign_keys else _values(lies, is_nullable=bool(column.nullable))
            for lies, column in zip(table.columns, known.columns, strict=True)
        ]
        most = 4 if there or not any(column.foreign_keys for column in known.columns) else 0
        key = [number for number, column in enumerate(table.columns) if column.primary_key]
        rows = draw(st.lists(st.tuples(*its), max_size=most))
        found[table.name] = sorted(
            {tuple(row[n] for n in key): row for row in rows}.values(), key=lambda row: [row[n] for n in key]
        )
    return found


@settings(
    max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], phases=[Phase.generate]
)
@given(rows=_rows())
def test_whatever_lies_in_the_tables_is_there_after_a_copy_and_after_one_back(places: Places, rows: Rows) -> None:
    with ExitStack() as stack:
        one, two, three = (stack.enter_context(closing(places.opened(kind))) for kind in ("sqlite", "postgresql", "sqlite"))
        enter(one, rows)
        there = copying.copy(one, two, silent)
        back = copying.copy(two, three, silent)
        assert there == back
        for name, its in raw(three).items():
            assert sorted(map(repr, its)) == sorted(map(repr, rows[name]))
        assert {name: len(its) for name, its in rows.items()} == {one.table: one.rows for one in there}


def test_rows_keep_their_numbers_and_the_next_one_gets_the_next(both: tuple[Database, Database]) -> None:
    source, target = both
    fill(source)
    with source.inbox.write() as connection:
        for number in range(5):
            notifications.add(connection, "grafana", T0, b"%d" % number)
        connection.execute(text("DELETE FROM notifications WHERE id IN (1, 4)"))
    before = raw(source)
    copying.copy(source, target, silent)
    assert raw(target) == raw(source) == before
    with target.inbox.write() as connection:
        notifications.add(connection, "grafana", T0, b"next")
    assert raw(target)["notifications"][-1][0] == before["notifications"][-1][0] + 1


def test_bodies_larger_than_a_chunk_and_more_rows_than_one_go_over(
    both: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = both
    monkeypatch.setattr(copying, "ROWS", 7)
    monkeypatch.setattr(copying, "BYTES", 1000)
    with source.inbox.write() as connection:
        for number in range(40):
            notifications.add(connection, "grafana", T0 + number * _MICROSECOND, b"\0" * (number % 5) * 400)
    heard: list[Progress] = []
    copying.copy(source, target, heard.append)
    assert raw(target) == raw(source)
    mine = [one for one in heard if one.table == "notifications"]
    assert [one.done for one in mine if one.is_compared] == [one.done for one in mine if not one.is_compared]
    assert len(mine) > 20
    assert {one.rows for one in mine} == {40}


def test_a_target_that_holds_anything_is_left_alone(both: tuple[Database, Database]) -> None:
    source, target = both
    fill(source)
    with target.write() as connection:
        heartbeat.beat(connection, "tick", T0)
    before = raw(target)
    with pytest.raises(NotCopied, match="not empty: it has rows in heartbeat"):
        copying.copy(source, target, silent)
    assert raw(target) == before
    with target.write() as connection:
        connection.execute(text("DELETE FROM heartbeat"))
    copying.copy(source, target, silent)
    with pytest.raises(NotCopied, match="incidents"):
        copying.copy(source, target, silent)


def test_a_store_is_not_copied_onto_itself(both: tuple[Database, Database]) -> None:
    with pytest.raises(NotCopied, match="the same store"):
        copying.copy(both[0], Database(both[0].url), silent)


@pytest.mark.parametrize("side", [0, 1])
def test_nothing_is_copied_while_anybody_has_either_store_open(both: tuple[Database, Database], side: int) -> None:
    fill(both[0])
    with closing(Database(both[side].url)) as receiver:
        with receiver.inbox.read() as connection:
            notifications.count_waiting(connection)  # its connection stays open, as in a receiver that has nothing to do
        with pytest.raises(InUse, match="Stop the receiver"):
            copying.copy(*both, silent)
    assert not any(raw(both[1]).values())
    until(lambda: _tried(both))


def _tried(both: tuple[Database, Database]) -> list[Copied] | None:
    """A server takes a moment to see that somebody has gone."""
    try:
        return copying.copy(*both, silent)
    except InUse:
        return None


def test_nobody_writes_into_the_source_while_it_is_copied(both: tuple[Database, Database]) -> None:
    source, target = both
    fill(source)
    refused: list[str] = []

    def write(_: Progress) -> None:
        with closing(Database(source.url, busy_seconds=0.05)) as web:
            try:
                with web.inbox.write(beside=True) as connection:
                    notifications.add(connection, "grafana", T0, b"too late")
            except StoreUnavailable as error:
                refused.append(str(error))

    copied = copying.copy(source, target, write)
    assert refused
    assert raw(source)["notifications"] == raw(target)["notifications"]
    assert {one.table: one.rows for one in copied}["notifications"] == 2


def test_a_nul_in_a_text_of_an_old_store_is_told_and_replaced_where_the_target_takes_none(places: Places) -> None:
    with closing(places.opened("sqlite")) as source, closing(places.opened("postgresql")) as target:
        with source.inbox.write() as connection:
            notifications.refuse(connection, "grafana", T0, b"\0 stays", "no \0 JSON")
        copied = {one.table: one for one in copying.copy(source, target, silent)}
        assert (copied["notifications"].replaced, copied["incidents"].replaced) == (1, 0)
        (row,) = raw(target)["notifications"]
        assert (row[3], row[4]) == (b"\0 stays", "no \ufffd JSON")


def test_a_source_of_another_version_is_refused(both: tuple[Database, Database], tmp_path: Path) -> None:
    with both[0].write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    with pytest.raises(NotCopied, match="First: art58 db migrate"):
        copying.copy(*both, silent)


def test_a_copy_that_reads_back_otherwise_is_thrown_away(both: tuple[Database, Database]) -> None:
    """As by a fault of the disk, or a trigger that somebody put there."""
    source, target = both
    fill(source)
    with target.write() as connection:
        if target.is_sqlite:
            change = "UPDATE incidents SET cause = 'other' WHERE id = new.id"
            connection.exec_driver_sql(f"CREATE TRIGGER t AFTER INSERT ON incidents BEGIN {change}; END")
        else:
            connection.exec_driver_sql(
                "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.cause := 'other'; RETURN new; END$$"
            )
            connection.exec_driver_sql("CREATE TRIGGER t BEFORE INSERT ON incidents FOR EACH ROW EXECUTE FUNCTION f()")
    with pytest.raises(NotCopied, match="the copy is not the same: 1 rows were written to incidents"):
        copying.copy(source, target, silent)
    assert not any(raw(target).values())


@pytest.mark.parametrize("compared", [False, True])
def test_a_copy_that_is_killed_leaves_nothing_and_can_be_begun_anew(both: tuple[Database, Database], compared: bool) -> None:
    source, target = both
    fill(source)
    with source.inbox.write() as connection:
        for number in range(60):
            notifications.add(connection, "grafana", T0, b"%d" % number)
    for database in both:
        database.close()
    script = f"""if True:
        import os, signal
        from receiver.storage import copying
        from receiver.storage.database import Database
        copying.ROWS = 10
        def tell(progress):
            if progress.table == "notifications" and progress.done >= 30 and progress.is_compared == {compared}:
                os.kill(os.getpid(), signal.SIGKILL)
        copying.copy(Database("{source.url}"), Database("{target.url}"), tell)
    """
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    until(lambda: _tried(both))
    assert raw(target) == raw(source)
    assert len(raw(target)["notifications"]) == 62


def test_a_copy_that_is_killed_between_the_two_files_of_its_target_can_be_begun_anew(places: Places) -> None:
    with closing(places.opened("postgresql")) as source, closing(places.opened("sqlite")) as target:
        fill(source)
        source.close()
        target.close()
        script = f"""if True:
            import os, signal
            from sqlalchemy import Engine, event
            from receiver.storage import copying
            from receiver.storage.database import Database
            def commit(connection):
                if not "inbox" in connection.engine.url.database:
                    os.kill(os.getpid(), signal.SIGKILL)
            def tell(progress):
                if progress.table == "incidents" and progress.is_compared:
                    event.listen(Engine, "commit", commit)
            copying.copy(Database("{source.url}"), Database("{target.url}"), tell)
        """
        killed = subprocess.run([sys.executable, "-c", script], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert {name for name, rows in raw(target).items() if rows} == {"notifications"}
        until(lambda: _tried((source, target)))
        assert raw(target) == raw(source)


def test_the_command_copies_tells_the_pace_and_what_comes_next(places: Places, tmp_path: Path, each_store: str) -> None:
    url, other = places.url(each_store), places.url(OTHER[each_store])
    here, there = Keeper(tmp_path / "here", url), Keeper(tmp_path / "there", other)
    here("migrate")
    with closing(here.opened()) as source:
        fill(source)
        expected = raw(source)
    answer = here("copy", "--to", str(there.config))
    assert answer.exit_code == 0, answer.output
    assert "rows/s" in answer.stdout
    assert f"art58 serve --config {there.config}" in answer.stdout
    assert there.status()["ok"]
    with closing(there.opened()) as target:
        assert raw(target) == expected
    again = here("copy", "--to", str(there.config))
    assert (again.exit_code, "not empty" in again.stderr) == (1, True)


def test_a_source_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    here, there = Keeper(tmp_path / "here", None), Keeper(tmp_path / "there", None)
    answer = here("copy", "--to", str(there.config))
    assert (answer.exit_code, "there is no store yet" in answer.stderr) == (1, True)
    assert not (tmp_path / "here" / "data").exists()


def test_a_receiver_goes_on_with_the_copy_in_the_same_incident_with_the_same_ticket(
    places: Places, tmp_path: Path, each_store: str
) -> None:
    desk = MemoryTarget("desk")
    route = (Route("desk", "ticket"), desk)
    before, after = places.url(each_store), places.url(OTHER[each_store])
    with FakePrometheus() as prometheus:
        prometheus.holds("art58:users_under_equipment", 50_000, service="voice", equipment="core-1")
        prometheus.holds("art58:equipment_up", 0, equipment="core-1")
        with Receiver(tmp_path, prometheus.url, route, candidate_lead_seconds=0, database_url=before) as receiver:
            receiver.clock.fixed = T0 + timedelta(minutes=1)
            take_in(receiver, [alert(0)])
            receiver.assess_at(T0 + timedelta(minutes=70))
            receiver.worker.deliver()
            # not by the API: its web app would stay open in this process
            with receiver.database.read() as connection:
                (known,) = incidents.listed(connection, ("open",), 2)
            assert len(desk.tickets) == 1
        with closing(Database(before)) as source, closing(Database(after)) as target:
            copying.copy(source, target, silent)
        with Receiver(tmp_path, prometheus.url, route, candidate_lead_seconds=0, database_url=after) as receiver:
            receiver.clock.fixed = T0 + timedelta(minutes=71)
            prometheus.holds("art58:equipment_up", 1, equipment="core-1")
            take_in(receiver, [alert(0, 71)], [alert(0, 71, service="data")])
            receiver.assess_at(T0 + timedelta(minutes=72))
            receiver.worker.deliver()
            (found,) = receiver.incidents()
    assert (found["id"], found["state"]) == (known.id, "recovering")
    assert len(desk.tickets) == 1
    assert [action for action, _ in desk.calls].count("create") == 1
