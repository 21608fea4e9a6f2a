"""Many threads, one commit: what waits for its turn at the store is written together, with one sync of the disk for all."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from receiver.storage.unavailable import StoreUnavailable

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long a write may hang before the others stop waiting for it: less than Alertmanager waits for an answer (10 s)."""


class _Entry(Generic[T]):
    __slots__ = ("error", "is_done", "is_taken", "item")

    def __init__(self, item: T) -> None:
        self.item = item
        self.is_taken = self.is_done = False
        self.error: Exception | None = None


class Together(Generic[T]):
    """Writes what many threads add by `write`, in the order in which it came. Whoever has the turn writes for all that wait."""

    def __init__(self, write: Callable[[list[T]], None]) -> None:
        self._write = write
        self._turn = threading.Lock()
        self._since: float | None = None
        """When the write that is under way began."""
        self._waiting: deque[_Entry[T]] = deque()

    def add(self, item: T) -> None:
        """Returns when it is written. Raises what the write for all raised: then none of it is; and StoreUnavailable where that
        hangs, or was broken off, as by the end of its thread: then nobody knows.
        """
        entry = _Entry(item)
        self._waiting.append(entry)
        since = self._since
        if self._turn.acquire(timeout=max(0.0, since + PATIENCE_SECONDS - time.monotonic()) if since else PATIENCE_SECONDS):
            try:
                if not entry.is_taken:
                    self._write_all()
            finally:
                self._turn.release()
        else:
            with suppress(ValueError):  # else it is taken
                self._waiting.remove(entry)
        if entry.error:
            raise entry.error
        if not entry.is_done:
            raise StoreUnavailable("the write by another thread, which this one waited for, hangs or was broken off")

    def _write_all(self) -> None:
        entries: list[_Entry[T]] = []
        # one by one: others add to it meanwhile, and who gives up takes its own away
        with suppress(IndexError):
            for _ in range(len(self._waiting)):
                entry = self._waiting.popleft()
                entry.is_taken = True
                entries.append(entry)
        self._since = time.monotonic()
        try:
            self._write([entry.item for entry in entries])
        except Exception as error:  # noqa: BLE001 - whatever it is, each of them is told
            for entry in entries:
                entry.error = error
        else:
            for entry in entries:
                entry.is_done = True
        finally:
            self._since = None
