"""A store in memory for one thread, that can be copied into a file: whole, or not at all. It remembers what was read from it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Executable
from sqlalchemy.engine import FrozenResult, Result

from receiver.storage.database import Database

_Question = tuple[Any, ...]


class InMemory(Database):
    """Lives as long as this object. What was read is not read again until something is written: `writes` counts how often.

    Thousands of ticks in which nothing changes ask for the same; SQLite and SQLAlchemy take most of their time.
    """

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.writes = 0
        self._remembered: dict[_Question, FrozenResult[Any]] = {}

    @contextmanager
    def write(self, *, beside: bool = False) -> Iterator[Connection]:
        self.writes += 1
        self._remembered.clear()
        with super().write(beside=beside) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with ExitStack() as opened:
            yield cast(Connection, _Reading(self._remembered, lambda: opened.enter_context(super(InMemory, self).read())))

    def save(self, file: Path) -> None:
        """Copy it into `file`, which is the old copy or the new one whenever the power fails. Raises OSError."""
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        with closing(sqlite3.connect(new)) as copy:
            self._connection().backup(copy)
        new.replace(file)

    def load(self, file: Path) -> None:
        """Take the place of what is in `file`. Raises sqlite3.DatabaseError where that is no store."""
        self._remembered.clear()
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as copy:
            copy.backup(self._connection())

    def _connection(self) -> sqlite3.Connection:
        with closing(self.engine.raw_connection()) as pooled:
            return cast(sqlite3.Connection, pooled.driver_connection)


class _Reading:
    """Stands for a connection that only reads; `connect` is called when something is not remembered."""

    def __init__(self, remembered: dict[_Question, FrozenResult[Any]], connect: Any) -> None:
        self._remembered, self._connect = remembered, connect
        self._connection: Connection | None = None

    def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Result[Any]:
        question = _question(statement, parameters or {})
        answer = self._remembered.get(question)
        if answer is None:
            self._connection = self._connection or self._connect()
            answer = self._connection.execute(statement, parameters).freeze()
            self._remembered[question] = answer
        return answer()


def _question(statement: Executable, parameters: Mapping[str, Any]) -> _Question:
    """A statement with its values. One that is built anew each time is another one, and not remembered."""
    return statement, *((name, tuple(value) if isinstance(value, list) else value) for name, value in parameters.items())
