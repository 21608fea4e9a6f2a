"""Whether the tables of a store are of this version: known at most starts, and without Alembic, which takes long to import."""

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


@cache
def newest() -> str:
    """The revision that this version works on: the first word of the last file."""
    return max(_VERSIONS.glob("*.py")).name.partition("_")[0]


def has_newest(connection: Connection) -> bool:
    """Whether the store has that one, and no other."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars()) == [newest()]
