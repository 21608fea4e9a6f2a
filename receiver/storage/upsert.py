"""Insert or replace, in one statement for all rows: nobody can come in between."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[Any, Any]]) -> None:
    """Insert these, or put them in the place of those with the same key; every row with the same columns."""
    if rows:
        connection.execute(_upserting(connection.dialect.name, table, tuple(rows[0])), rows)


def insert_missing(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert this unless there is one with the same key; whether it was."""
    return connection.execute(_insert(connection.dialect.name, table).on_conflict_do_nothing(), row).rowcount == 1


@cache
def _upserting(dialect: str, table: Table, columns: tuple[str, ...]) -> postgresql.Insert | sqlite.Insert:
    insert = _insert(dialect, table)
    key = [column.name for column in table.primary_key]
    changes = {name: insert.excluded[name] for name in columns if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=changes)


def _insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
