"""Forked processes: what was imported before is in memory once for all of them, and none outlives the one it was forked by."""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
"""What a process that forks waits for instead of being interrupted by it."""

_PR_SET_PDEATHSIG = 1


def hold_signals() -> None:
    """From now on SIGNALS come only to whom waits for them (signal.sigtimedwait); processes forked by `fork` get them as usual."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def fork(work: Callable[[], int]) -> int:
    """Do `work` in a new process that ends with its result as the exit code; the id of that process.

    It is a group of its own: Ctrl-C at the terminal is for its parent, which ends it in order. No thread may run by now, and
    nothing may be open that two processes cannot share.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        die_with(parent)
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is: this process must not go on with what its parent does
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def die_with(parent: int) -> None:
    """Have the kernel kill this process as soon as `parent`, which forked it, is gone: nobody would watch over it any more.

    Nothing is lost by that which a power cut would not take: what was confirmed is on disk.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the kernel knew
        os._exit(1)


def call(name: str) -> None:
    """Have `ps -o comm` and `top` show this process by that name, of 15 letters at most, instead of as one more Python."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/comm").write_text(name)
