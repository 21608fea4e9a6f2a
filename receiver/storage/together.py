"""Many threads, one commit: what waits for its turn at the store is written together, with one sync of the disk for all."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from receiver.storage.unavailable import StoreUnavailable

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long a write may hang before the others stop waiting for it: less than Alertmanager waits for an answer (10 s)."""


class _Entry(Generic[T]):
    __slots__ = ("error", "is_done", "is_waiting", "item")

    def __init__(self, item: T) -> None:
        self.item = item
        self.is_waiting, self.is_done = True, False
        self.error: Exception | None = None


class Together(Generic[T]):
    """Writes what many threads add by `write`, in the order in which it came. Whoever has the turn writes for all that wait."""

    def __init__(self, write: Callable[[list[T]], None]) -> None:
        self._write = write
        self._changed = threading.Condition(threading.Lock())
        self._waiting: list[_Entry[T]] = []
        self._since: float | None = None
        """When the write that is under way began."""

    def add(self, item: T) -> None:
        """Returns when it is written. Raises what the write for all raised: then none of it is; and StoreUnavailable where that
        hangs, or was broken off, as by the end of its thread: then nobody knows.
        """
        entry = _Entry(item)
        with self._changed:
            self._waiting.append(entry)
            # of several slow writes that come one after the other none hangs
            while self._since and not (entry.is_done or entry.error):
                left = self._since + PATIENCE_SECONDS - time.monotonic()
                if left <= 0:
                    if entry.is_waiting:
                        self._waiting.remove(entry)
                        entry.is_waiting = False
                    break
                self._changed.wait(left)
            entries = self._taken() if entry.is_waiting else []
        if entries:
            self._write_all(entries)
        if entry.error:
            raise entry.error
        if not entry.is_done:
            raise StoreUnavailable("the write by another thread, which this one waited for, hangs or was broken off")

    def _taken(self) -> list[_Entry[T]]:
        entries, self._waiting = self._waiting, []
        for entry in entries:
            entry.is_waiting = False
        self._since = time.monotonic()
        return entries

    def _write_all(self, entries: list[_Entry[T]]) -> None:
        try:
            self._write([entry.item for entry in entries])
        except Exception as error:  # noqa: BLE001 - whatever it is, each of them is told
            for entry in entries:
                entry.error = error
        else:
            for entry in entries:
                entry.is_done = True
        finally:
            with self._changed:
                self._since = None
                self._changed.notify_all()
