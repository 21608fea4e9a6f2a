"""The stores that the same tests run on: a test asks where its store is, and the fixture `each_store` says on which kind."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from receiver.storage.database import Database, inbox_of

on_server: list[Callable[[], str]] = []
"""Makes a database with the tables in it and gives its address, for the stores that the present test opens; none: SQLite."""
_known: dict[Path, str] = {}


def url_of(folder: Path) -> str | None:
    """Where the store is of what has its files in this folder; None: in a file there."""
    if not on_server:
        return None
    if folder not in _known:
        _known[folder] = on_server[-1]()
    return _known[folder]


def opened(folder: Path) -> Database:
    """A new store with the tables in it; SQLite's file is in this folder."""
    _known.pop(folder, None)
    if url := url_of(folder):
        return Database(url)
    folder.mkdir(exist_ok=True)
    put_store(folder / "art58.db")
    return Database(f"sqlite:///{folder}/art58.db")


def put_store(file: Path) -> None:
    """Make a migrated SQLite store there: copying one is much faster than migrating each test's own."""
    for path in (file, inbox_of(file)):
        path.write_bytes(_empty_store())


@cache
def _empty_store() -> bytes:
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/art58.db")
        database.migrate()
        database.close()
        return Path(folder, "art58.db").read_bytes()
