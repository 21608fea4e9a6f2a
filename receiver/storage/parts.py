"""Which parts a store has: one database, or with SQLite a second file for the notifications."""

from sqlalchemy.engine import make_url

from receiver.storage.database import Database

INBOX = "notifications"
"""The table that lies in the part for what came in."""


def home(database: Database, table: str) -> Database:
    """The part in which this table is used."""
    return database.inbox if table == INBOX else database


def parts(database: Database) -> list[Database]:
    """Each part once, the main one first."""
    return [database] if database.inbox is database else [database, database.inbox]


def address(url: str) -> str:
    """As it may be shown."""
    return make_url(url).render_as_string(hide_password=True)
