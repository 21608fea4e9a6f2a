"""Work that makes objects by the hundred thousand which live until its end, none of them in a cycle: to look through them again and
again takes the garbage collector a fifth of its time.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """The collector rests; within another one it goes on resting."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
