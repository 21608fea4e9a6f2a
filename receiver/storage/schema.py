"""Which revision of the tables a store has, which one this version wants, and the way between them, up and down."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy import table as named

from receiver.storage.unavailable import StoreUnavailable

BASE = "base"
"""Before the first revision: no tables."""

_Columns = dict[str, dict[str, str | None]]
"""The default of each column, as SQL, of each table."""


class Newer(StoreUnavailable):
    """The tables are of a version that came after this one: it knows no way down from them."""


class Loss(msgspec.Struct, frozen=True):
    """What a way down throws away: a column of a table, or all of it. `rows` hold something there."""

    table: str
    column: str | None
    rows: int

    def __str__(self) -> str:
        return f"{self.table}{f'.{self.column}' if self.column else ''} ({self.rows:,} rows hold something there)"


@cache
def revisions() -> tuple[str, ...]:
    """All that this version knows, the first one first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())[::-1]


def wanted() -> str:
    """The one that this version works on."""
    return revisions()[-1]


def there(connection: Connection) -> str | None:
    """The one that this store has; None: it has no tables of ours yet."""
    return MigrationContext.configure(connection).get_current_revision()


def order(revision: str | None) -> int:
    """How far up it is: 0 is no tables. Raises Newer for one that this version does not know."""
    if revision is None or revision == BASE:
        return 0
    if revision not in revisions():
        known = f"the tables are of revision {revision}, and this version of art58 knows none after {wanted()}"
        raise Newer(f"{known}. Use the version that made them, or go down with it first: art58 db migrate --to {wanted()}")
    return revisions().index(revision) + 1


def change(connection: Connection, to: str) -> None:
    """Bring the tables up or down to this revision, within the transaction. Raises Newer."""
    here, there_ = order(there(connection)), order(to)
    if here != there_:
        (command.upgrade if here < there_ else command.downgrade)(_config(connection), to)


def losses(connection: Connection, to: str) -> list[Loss]:
    """What going down to this revision would throw away. It goes there: roll the transaction back."""
    before = _columns(connection)
    held = {name: {column: _held(connection, name, column, its[column]) for column in its} for name, its in before.items()}
    rows = {name: connection.execute(select(func.count()).select_from(named(name))).scalar_one() for name in before}
    change(connection, to)
    after = _columns(connection)
    found = []
    for name, its in before.items():
        if name not in after:
            found.append(Loss(name, None, rows[name]))
        else:
            found += [Loss(name, column, held[name][column]) for column in its if column not in after[name]]
    return [loss for loss in found if loss.rows]


def _columns(connection: Connection) -> _Columns:
    found = inspect(connection)
    names = [name for name in found.get_table_names() if name != "alembic_version"]
    return {name: {each["name"]: each["default"] for each in found.get_columns(name)} for name in names}


def _held(connection: Connection, table: str, column: str, default: str | None) -> int:
    """How many rows have something there that is not the default. The names are the database's own."""
    differs = f" AND {column} <> {default}" if default and "nextval" not in default else ""
    return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE {column} IS NOT NULL{differs}")).scalar_one())  # noqa: S608


def _config(connection: Any = None) -> Config:
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    found.attributes["connection"] = connection
    return found
