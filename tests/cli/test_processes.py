"""Processes that are forked from one that loaded what they need: how they end, and with whom."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(code: str) -> subprocess.CompletedProcess[str]:
    """That code in a Python of its own: the one of the tests has threads."""
    begin = "import os, signal, sys, time\nfrom receiver.cli import processes\n"
    return subprocess.run([sys.executable, "-c", begin + code], cwd=ROOT, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize(
    ("work", "code"),
    [("3", 3), ("sys.exit(4)", 4), ("sys.exit()", 0), ("sys.exit('why')", 1), ("1 / 0", 1), ("os.kill(os.getpid(), 15)", -15)],
)
def test_a_forked_process_ends_with_the_result_of_its_work_and_never_goes_on_with_its_parents(work: str, code: int) -> None:
    done = run(f"pid = processes.fork(lambda: {work})\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))")
    assert done.stdout == f"{code}\n"
    assert ("ZeroDivisionError" in done.stderr) == (work == "1 / 0")


def test_what_is_told_to_end_before_its_work_has_begun_ends() -> None:
    told = "processes.hold_signals()\npid = processes.fork(lambda: time.sleep(60))\nos.kill(pid, signal.SIGTERM)\n"
    assert run(told + "print(os.waitpid(pid, 0)[1])").stdout == f"{int(signal.SIGTERM)}\n"


def test_one_whose_parent_was_gone_before_it_could_say_so_does_not_live_on() -> None:
    assert run("processes.die_with(os.getpid())\nprint('no parent')").stdout == ""
    assert run("processes.die_with(os.getppid())\nprint('its parent')").stdout == "its parent\n"


def test_one_that_is_forked_dies_with_its_parent() -> None:
    code = """if True:
        reading, writing = os.pipe()
        processes.fork(lambda: time.sleep(60) or 0)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    reading, writing = os.pipe()
    begin = "import os, signal, time\nfrom receiver.cli import processes\n"
    running = subprocess.Popen([sys.executable, "-c", begin + code], cwd=ROOT, pass_fds=[writing])
    os.close(writing)
    assert running.wait(20) == -signal.SIGKILL
    assert os.read(reading, 1) == b""  # nobody holds the other end any more
    os.close(reading)
