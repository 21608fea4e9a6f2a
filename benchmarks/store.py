"""The store that a measurement runs on: a SQLite file, a PostgreSQL of its own that syncs every commit, or one that is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from tests.postgres import PostgresServer

OPTIONS = ("shared_buffers=128MB",)
"""PostgreSQL's own default, where that of the tests is smaller."""


class Store(msgspec.Struct, frozen=True):
    """`url` of a new, empty database, None for a SQLite file of the receiver's own; `server` where it is ours."""

    url: str | None = None
    server: PostgresServer | None = None


def option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option --store, which gives `store`: what `opened` takes."""
    told = "sqlite; postgresql (a server for this measurement, every commit on disk); or the address of an empty database."
    return click.option("--store", default="sqlite", show_default=True, help=told)(function)


@contextmanager
def opened(named: str, folder: Path) -> Iterator[Store]:
    """What the option names; a server has its data within `folder`, and ends with the block."""
    if named == "sqlite":
        yield Store()
    elif named == "postgresql":
        folder.chmod(0o711)  # where we are root it runs as another one, who has to reach its data
        with PostgresServer(*OPTIONS, synced=True, within=folder) as server:
            yield Store(server.url(empty=True), server)
    else:
        yield Store(named)
