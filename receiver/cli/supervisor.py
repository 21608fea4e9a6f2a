"""`art58 serve`: one command, two kinds of processes. gunicorn takes in requests, a worker assesses and delivers, so that neither
starves the other; this one loads what they need and forks them, forks again what died, and ends them together.

It opens no store, calls nobody and has no thread: a process forked from it begins like a new one, in a tenth of the memory.
"""

import fcntl
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from receiver.catalogue import Catalogue
from receiver.cli import processes
from receiver.law.rulebook import Rulebook
from receiver.model import Clock
from receiver.settings import Settings

STOP_SECONDS = 20
"""How long the processes may take to finish what they have begun."""
AGAIN_SECONDS = 1
"""A part that died is started again so much later: one that dies at once must not keep a core busy."""
STORE_SECONDS = 2
"""How often a store that is not available is tried again."""
HELD_SECONDS = 2
"""How long the data folder is waited for: the processes of a receiver that was killed are gone by then."""
_IN_USE = "another art58 serve works in the same data_dir: stop it, or name another folder for this one"
_NO_FOLDER = "data_dir cannot be used: name a folder that can be made and written, or give this user the right to"
_NOT_AVAILABLE = 75
"""Exit code of the process that brings the store to this version: try again."""

log = structlog.get_logger()


def serve(settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], config: Path, clock: Clock) -> int:
    """Run web and worker until SIGTERM or Ctrl-C; the exit code. `config` is the file that the settings are from."""
    processes.call("art58 serve")
    processes.hold_signals()
    if why := _not_free(settings):
        log.error(
            "cannot listen: stop what listens there, or write another address",
            file=str(config),
            key="listen",
            listen=settings.listen,
            error=why,
        )
        return 1
    try:
        held = _hold(settings)
        _share_metrics(settings.metrics_dir)
    except BlockingIOError:
        log.error(_IN_USE, file=str(config), key="data_dir", data_dir=settings.data_dir)
        return 1
    except OSError as error:
        log.error(_NO_FOLDER, file=str(config), key="data_dir", data_dir=settings.data_dir, error=str(error))
        return 1
    try:
        return _run(settings, catalogue, rulebooks, clock)
    finally:
        os.close(held)


def _run(settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], clock: Clock) -> int:
    """Bring the store to this version, then run web and worker; the exit code."""
    migrating = processes.fork(lambda: _migrate(settings))
    # it takes about as long as bringing the store to this version, and is not to be done in each process again
    from receiver.cli import parts

    code = _migrated(migrating, settings)
    if code is not None:
        return code
    parts.collect_what_comes()
    log.info("serving", listen=settings.listen, data_dir=settings.data_dir)
    given = (settings, catalogue, rulebooks, clock)
    return _Parts({"worker": lambda: parts.run_worker(*given, migrated=True), "web": lambda: parts.run_web(*given)}).watch()


def _not_free(settings: Settings) -> str | None:
    """Why the address cannot be listened on; None if it can. Asked before anything of a running receiver is touched."""
    host, port = settings.address
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _hold(settings: Settings) -> int:
    """Hold the data folder, so that no other `art58 serve` takes our metrics away or judges beside us; what to close.

    Raises BlockingIOError where another one holds it and goes on doing so, OSError where there can be no such folder.
    """
    folder = settings.metrics_dir.parent
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + HELD_SECONDS
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(held)
                raise
            time.sleep(0.05)
        except OSError:  # a file system without locks
            return held
        else:
            return held


def _share_metrics(folder: Path) -> None:
    """Have each process leave its metrics in `folder`. prometheus_client looks for that when it is imported, so not before."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _migrate(settings: Settings) -> int:
    """Bring the store to this version; the exit code of the process that did."""
    from receiver.storage.database import Database, StoreUnavailable

    database = Database.of(settings)
    try:
        database.migrate()
    except StoreUnavailable as error:
        log.error("the store is not available: trying again", error=str(error))
        return _NOT_AVAILABLE
    finally:
        database.close()
    return 0


def _migrated(pid: int, settings: Settings) -> int | None:
    """Wait until the store is of this version, for as long as it cannot be written; an exit code if that will not be."""
    while True:
        code = _ended(pid)
        if code is None:
            return 0  # told to stop
        if code != _NOT_AVAILABLE:
            return code or None
        if _told_to_stop(time.monotonic() + STORE_SECONDS):
            return 0
        pid = processes.fork(lambda: _migrate(settings))


def _ended(pid: int) -> int | None:
    """The exit code of that process once it has ended; None if we are told to stop before: then it is stopped, too."""
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if _told_to_stop(time.monotonic() + AGAIN_SECONDS, child_ends=True):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None


def _told_to_stop(until: float, *, child_ends: bool = False) -> bool:
    """Whether that happened before the time, of time.monotonic(), or the end of a process if that is waited for."""
    while (left := until - time.monotonic()) > 0:
        found = signal.sigtimedwait(processes.SIGNALS, left)
        if found and found.si_signo != signal.SIGCHLD:
            return True
        if found and child_ends:
            return False
    return False


class _Parts:
    """The processes forked from this one, by what they do."""

    def __init__(self, works: Mapping[str, Callable[[], int]]) -> None:
        self._works = works
        self._running = {processes.fork(work): part for part, work in works.items()}
        self._again_at: dict[str, float] = {}

    def watch(self) -> int:
        """Start again what ends, until told to stop; the exit code."""
        while not _told_to_stop(min(self._again_at.values(), default=time.monotonic() + AGAIN_SECONDS), child_ends=True):
            for part, code in self._reap().items():
                log.error("a part ended by itself: starting it again", part=part, exit_code=code)
                self._again_at[part] = time.monotonic() + AGAIN_SECONDS
            for part in [part for part, at in self._again_at.items() if at <= time.monotonic()]:
                del self._again_at[part]
                self._running[processes.fork(self._works[part])] = part
        return self._end()

    def _end(self) -> int:
        """Let all finish what they have begun, but not for longer than STOP_SECONDS, nor once Ctrl-C is pressed again."""
        self._send(signal.SIGTERM)
        deadline, code = time.monotonic() + STOP_SECONDS, 0
        while self._running and (left := deadline - time.monotonic()) > 0:
            found = signal.sigtimedwait(processes.SIGNALS, left)
            if found and found.si_signo == signal.SIGINT:
                code = 128 + signal.SIGINT
                break
            self._reap()
        if self._running:
            log.error("stopped in the midst of something", parts=",".join(self._running.values()))
        self._send(signal.SIGKILL)
        for pid in self._running:
            os.waitpid(pid, 0)
        return code

    def _send(self, number: signal.Signals) -> None:
        for pid in self._running:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _reap(self) -> dict[str, int]:
        """The parts that have ended, with their exit codes. As the first process of a container we are given others, too."""
        found = {}
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if part := self._running.pop(ended[0], None):
                    found[part] = os.waitstatus_to_exitcode(ended[1])
        return found
