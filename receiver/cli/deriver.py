"""Deriving in a process of its own while a storm lasts: it has a core for itself then, and the ticks of the worker have another.

An empty process waits for that, forked before the worker opens anything. For each storm it forks one, so that what that takes of
memory is given back by its end. Whoever of them dies: what was begun is derived once more, which changes nothing.
"""

import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import structlog

from receiver.catalogue import Catalogue
from receiver.cli import processes
from receiver.incidents.derive import derive_waiting
from receiver.incidents.reconcile import cut_short
from receiver.model import Clock
from receiver.settings import Settings
from receiver.storage.database import Database, StoreUnavailable
from receiver.worker import Helped

_LEADER, _CODE = struct.Struct("!q"), struct.Struct("!h")
_DERIVED, _CUT_SHORT, _NOT_DONE = 0, 3, 75
"""Exit codes of the process that derives; the last one after it has told why."""

log = structlog.get_logger()


class Deriver:
    """The worker's helper (see worker.Helper). To be made before this process has a thread or opens anything."""

    def __init__(self, settings: Settings, catalogue: Catalogue, clock: Clock) -> None:
        self._line, there = socket.socketpair()

        def work() -> int:
            self._line.close()
            return _wait(there, partial(_derive, settings, catalogue, clock))

        self._pid = processes.fork(work)
        there.close()
        self._is_there = True
        self._began_at: float | None = None

    def begin(self, leader: int) -> bool:
        try:
            self._line.sendall(_LEADER.pack(leader))
        except OSError:
            if self._is_there:
                log.error("the process that waits for a storm is gone: the worker derives by itself until it is started again")
            self._is_there = False
            return False
        log.info("much waits: deriving it in a process of its own")
        self._began_at = time.monotonic()
        return True

    def told(self) -> Helped:
        if self._began_at is None:
            return None
        try:
            said = self._line.recv(_CODE.size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return "at work"
        except OSError:
            said = b""
        seconds, self._began_at = round(time.monotonic() - self._began_at, 1), None
        (code,) = _CODE.unpack(said) if said else (None,)
        if code in (_DERIVED, _CUT_SHORT):
            log.info("derived what waited", seconds=seconds)
            return "derived" if code == _DERIVED else "cut short"
        if code != _NOT_DONE:
            log.error("the process that derives ended by itself: the worker goes on with what waits", exit_code=code)
        return None

    def close(self) -> None:
        """End it, at once."""
        self._line.close()
        os.waitpid(self._pid, 0)


def _wait(line: socket.socket, derive: Callable[[int], int]) -> int:
    """Have a new process derive whenever the worker says so, and tell its exit code, until the worker is gone."""
    processes.call("art58 derive")
    while order := line.recv(_LEADER.size):
        try:
            code = _derived(line, partial(derive, *_LEADER.unpack(order)))
        except OSError as error:  # of a machine that is out of memory or processes
            log.error("no process to derive what waits: the worker does so", error=str(error))
            code = _NOT_DONE
        with suppress(OSError):  # the worker may be gone
            line.sendall(_CODE.pack(code))
    return 0


def _derived(line: socket.socket, derive: Callable[[], int]) -> int:
    """Do it in a new process, which is ended with the worker; its exit code. Raises OSError."""
    ended, held_until_then = os.pipe()
    try:
        try:
            pid = processes.fork(derive)
        finally:
            os.close(held_until_then)
        if line.fileno() in select.select([line.fileno(), ended], [], [])[0]:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _derive(settings: Settings, catalogue: Catalogue, clock: Clock, leader: int) -> int:
    """Derive until nothing waits; the exit code."""
    database, hold, code = Database.of(settings), timedelta(seconds=settings.hold_seconds), _DERIVED
    database.follow(leader)
    try:
        while True:
            code = _CUT_SHORT if cut_short(database) else code
            if not derive_waiting(database, catalogue, hold, clock()):
                return code
    except StoreUnavailable as error:
        log.error("the store is not available: the worker tries again", error=str(error))
        return _NOT_DONE
