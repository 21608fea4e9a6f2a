"""The tables of a store up or down to a revision: each part of it, up beside a running receiver, down alone."""

from receiver.storage import schema
from receiver.storage.alone import alone
from receiver.storage.database import Database
from receiver.storage.parts import address, parts
from receiver.storage.schema import BASE, Loss


class Change:
    """The way of one part from revision `here` (None: no tables) to `there`; nothing is changed before `make`."""

    def __init__(self, part: Database, here: str | None, there: str) -> None:
        self._part = part
        self.here, self.there = here, there
        self.address = address(part.url)
        self._is_down = schema.order(there) < schema.order(here)

    def losses(self) -> list[Loss]:
        """What it throws away. Raises InUse, StoreUnavailable."""
        if not self._is_down:
            return []
        found: list[Loss] = []
        try:
            with alone(self._part) as connection:
                found = schema.losses(connection, self.there)
                raise _LookedOnly
        except _LookedOnly:
            return found

    def make(self) -> None:
        """Do it, all or nothing. Raises InUse, StoreUnavailable."""
        if self.here == self.there:
            return
        with alone(self._part) if self._is_down else self._part.migrating() as connection:
            schema.change(connection, self.there)


class _LookedOnly(Exception):
    """Rolls back what was tried."""


def changes(database: Database, to: str) -> list[Change]:
    """One for each part. Raises Newer, StoreUnavailable."""
    found = []
    for part in parts(database):
        with part.read() as connection:
            here = schema.there(connection)
        found.append(Change(part, here or (BASE if to == BASE else None), to))
    return found
