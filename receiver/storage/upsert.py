"""Insert or replace, in one statement for all rows: nobody can come in between."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Connection, Integer, Table, TypeDecorator
from sqlalchemy.dialects import postgresql, sqlite

Raw = tuple[Any, ...]
"""The values of a row as the driver takes them: a moment as whole microseconds."""


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[Any, Any]]) -> None:
    """Insert these, or put them in the place of those with the same key; every row with the same columns."""
    if rows:
        connection.execute(_upserting(connection.dialect.name, table, tuple(rows[0])), rows)


def insert_missing(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert this unless there is one with the same key; whether it was."""
    return connection.execute(_insert(connection.dialect.name, table).on_conflict_do_nothing(), row).rowcount == 1


def insert_raw(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Raw]) -> None:
    """Add rows by the ten thousand: each has the values of `columns`. None may be there: SQLite takes twice as long to replace one
    that is not.
    """
    _execute(connection, _inserting_raw(connection.dialect.name, table, columns), rows)


def update_raw(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Raw]) -> None:
    """Change these columns, and no others, of rows by the ten thousand: each has the new values and then its key."""
    _execute(connection, _updating_raw(connection.dialect.name, table, columns), rows)


def _execute(connection: Connection, statement: str, rows: Sequence[Raw]) -> None:
    """By the driver itself: SQLAlchemy takes longer over a row than the store."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":  # each column as one array: one statement, whose text does not grow
        connection.exec_driver_sql(statement, tuple(map(list, zip(*rows, strict=True))))
    else:
        connection.exec_driver_sql(statement, list(rows))


@cache
def _upserting(dialect: str, table: Table, columns: tuple[str, ...]) -> postgresql.Insert | sqlite.Insert:
    insert = _insert(dialect, table)
    key = [column.name for column in table.primary_key]
    changes = {name: insert.excluded[name] for name in columns if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=changes)


def _insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _inserting_raw(dialect: str, table: Table, columns: tuple[str, ...]) -> str:
    if dialect == "postgresql":
        values = f"SELECT * FROM {_arrays(table, columns)}"  # noqa: S608 - names of ours
    else:
        values = f"VALUES ({', '.join('?' for _ in columns)})"
    return f"INSERT INTO {table.name} ({', '.join(columns)}) {values}"


@cache
def _updating_raw(dialect: str, table: Table, columns: tuple[str, ...]) -> str:
    key = tuple(column.name for column in table.primary_key)
    if dialect == "postgresql":
        changes = ", ".join(f"{name} = new.{name}" for name in columns)
        same = " AND ".join(f"{table.name}.{name} = new.{name}" for name in key)
        new = f"{_arrays(table, (*columns, *key))} AS new({', '.join((*columns, *key))})"
        return f"UPDATE {table.name} SET {changes} FROM {new} WHERE {same}"  # noqa: S608
    changes = ", ".join(f"{name} = ?" for name in columns)
    return f"UPDATE {table.name} SET {changes} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608


def _arrays(table: Table, columns: tuple[str, ...]) -> str:
    return f"unnest({', '.join(f'%s::{_type(table, name)}[]' for name in columns)})"


def _type(table: Table, name: str) -> str:
    kind = table.c[name].type
    kind = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(kind, Boolean):
        return "boolean"
    return "bigint" if isinstance(kind, BigInteger) else "integer" if isinstance(kind, Integer) else "text"
