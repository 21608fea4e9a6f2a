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
    __slots__ = ("error", "is_done", "is_waiting", "item", "leads", "news")

    def __init__(self, item: T) -> None:
        self.item = item
        self.is_waiting, self.leads, self.is_done = True, False, False
        self.error: Exception | None = None
        self.news = threading.Lock()
        """Released when it is written or not, or when its thread is to write."""
        self.news.acquire()


class Together(Generic[T]):
    """Writes what many threads add by `write`, in the order in which it came. Whoever has the turn writes for all that wait.

    Nobody is woken but those for whom it wrote and the next one to write: the others would only compete with them.
    `clock` tells seconds.
    """

    def __init__(self, write: Callable[[list[T]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._lock = threading.Lock()
        """Held for what follows, never while anything is written."""
        self._waiting: list[_Entry[T]] = []
        self._since: float | None = None
        """When the write that is under way began, or the thread that is the next to write was told so. None: nobody writes."""

    def add(self, item: T) -> None:
        """Returns when it is written. Raises what the write for all raised: then none of it is; and StoreUnavailable where that
        hangs, or was broken off, as by the end of its thread: then nobody knows.
        """
        entry = _Entry(item)
        with self._lock:
            self._waiting.append(entry)
            if self._since is None:
                self._appoint(entry)
        if not entry.leads:
            self._wait(entry)
        if entry.leads:
            self._write_all()
        if entry.error:
            raise entry.error
        if not entry.is_done:
            raise StoreUnavailable("the write by another thread, which this one waited for, hangs or was broken off")

    def _appoint(self, entry: _Entry[T]) -> None:
        entry.leads, self._since = True, self._clock()

    def _wait(self, entry: _Entry[T]) -> None:
        """Until there is news of it, or the write that is under way hangs."""
        while True:
            with self._lock:
                if entry.leads or entry.is_done or entry.error or self._since is None:
                    return
                # of several slow writes that come one after the other none hangs
                left = self._since + PATIENCE_SECONDS - self._clock()
                if left <= 0:
                    if entry.is_waiting:
                        self._waiting.remove(entry)
                    return
            if entry.news.acquire(timeout=left):
                return

    def _write_all(self) -> None:
        with self._lock:
            entries, self._waiting = self._waiting, []
            for entry in entries:
                entry.is_waiting = False
            self._since = self._clock()
        try:
            self._write([entry.item for entry in entries])
        except Exception as error:  # noqa: BLE001 - whatever it is, each of them is told
            for entry in entries:
                entry.error = error
        else:
            for entry in entries:
                entry.is_done = True
        finally:
            with self._lock:
                self._since = None
                if self._waiting:
                    self._appoint(self._waiting[0])
                    self._waiting[0].news.release()
            for entry in entries:
                if not entry.leads:
                    entry.news.release()
