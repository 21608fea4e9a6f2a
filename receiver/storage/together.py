"""Many threads, one commit: what waits for its turn at the store is written together, with one sync of the disk for all."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from receiver.storage.unavailable import StoreUnavailable

T = TypeVar("T")


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
        self._waiting: deque[_Entry[T]] = deque()

    def add(self, item: T) -> None:
        """Returns when it is written. Raises what the write for all raised: then none of it is; and StoreUnavailable where that was
        broken off, as by the end of its thread: then nobody knows.
        """
        entry = _Entry(item)
        self._waiting.append(entry)
        with self._turn:
            if not entry.is_taken:
                self._write_all()
        if entry.error:
            raise entry.error
        if not entry.is_done:
            raise StoreUnavailable("the thread that wrote for others was broken off")

    def _write_all(self) -> None:
        entries: list[_Entry[T]] = []
        # one by one: others add to it meanwhile
        for _ in range(len(self._waiting)):
            entry = self._waiting.popleft()
            entry.is_taken = True
            entries.append(entry)
        try:
            self._write([entry.item for entry in entries])
        except Exception as error:  # noqa: BLE001 - whatever it is, each of them is told
            for entry in entries:
                entry.error = error
        else:
            for entry in entries:
                entry.is_done = True
