"""How much one process works on at once: bodies become many times their size in memory, and whoever sends large ones together must
not take what the others need.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Crowd:
    """Lets in all bodies of up to `small` bytes; of larger ones `most` bytes together, or one alone."""

    def __init__(self, small: int, most: int) -> None:
        self._small, self._most = small, most
        self._inside = 0
        self._lock = threading.Lock()

    @contextmanager
    def let_in(self, size: int) -> Iterator[bool]:
        """Whether a body of that many bytes may be read; it counts until the block ends."""
        if size <= self._small:  # those of a slow sender of large ones must not wait for it
            yield True
            return
        with self._lock:
            fits = not self._inside or self._inside + size <= self._most
            self._inside += size if fits else 0
        try:
            yield fits
        finally:
            if fits:
                with self._lock:
                    self._inside -= size
