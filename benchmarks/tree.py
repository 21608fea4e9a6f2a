"""The receiver as the tree of processes that `art58 serve` is: started over some store, looked into, killed in part or whole."""

import os
import signal
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import yaml

from examples.peers import Server, free_port

TOKEN = "benchmark"  # noqa: S105 - of a receiver that lives for some minutes
SERVICES: tuple[Mapping[str, Any], ...] = (
    {"name": "voice", "kind": "voice", "emergency_calls": True, "match": ['service="voice"']},
    {"name": "data", "kind": "internet_access", "charged": True, "match": ['service="data"']},
    {"name": "lpwa", "kind": "cellular_lpwa", "match": ['service="lpwa"']},
)
SAMPLE_SECONDS = 0.25

Role = Literal["supervisor", "master", "web", "worker", "deriver"]
"""What `art58 serve` is, what it starts, and the processes that gunicorn forks."""


def configured(folder: Path, prometheus: str, store: str | None, **more: Any) -> Path:
    """A configuration file in `folder`; `store` is the address of the database (none: a SQLite file there)."""
    (folder / "token").write_text(TOKEN)
    config: dict[str, Any] = {
        "listen": f"127.0.0.1:{free_port()}",
        "prometheus": {"url": prometheus},
        "authentication": {"bearer_tokens": [{"file": "token"}]},
        "services": [dict(service) for service in SERVICES],
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config | ({"database_url": store} if store else {}) | more))
    return file


def address(folder: Path, store: str | None) -> str:
    """Of the store that such a receiver uses."""
    return store or f"sqlite:///{folder / 'data' / 'art58.db'}"


def serving(file: Path) -> Server:
    """`art58 serve`, not yet started."""
    listen = yaml.safe_load(file.read_text())["listen"]
    command = [sys.executable, "-m", "receiver.cli", "serve", "--config", str(file)]
    return Server("receiver", command, file.parent, f"http://{listen}", "/-/ready")


def processes(root: int) -> dict[int, Role]:
    """The living processes of a receiver by what they are, also those whose parent was killed: its session is its own."""
    found: dict[int, Role] = {}
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        parent, session = _parent_and_session(pid)
        name = _name(pid) if session == root else ""
        if name == "art58 serve":
            found[pid] = "supervisor"
        elif name == "art58 worker":
            found[pid] = "worker"
        elif name == "art58 derive":
            found[pid] = "deriver"
        elif name == "art58 web":
            found[pid] = "master" if parent == root else "web"
    return found


def pss_mib(pids: Collection[int]) -> float:
    """The memory of these processes together: what several of them share is counted once."""
    return _mib(pids, "Pss:")


def own_mib(pids: Collection[int]) -> float:
    """What they allocated, in memory or swapped out. Libraries are left out: of them more is counted when another program ends."""
    return _mib(pids, "Pss_Anon:", "SwapPss:")


def _mib(pids: Collection[int], *kinds: str) -> float:
    total = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(kinds))
    return total / 1024


class Memory:
    """The memory of a receiver's processes, looked at four times a second: `peak`, and at the peak by role."""

    def __init__(self, root: int) -> None:
        self.peak = 0.0
        self.parts: dict[str, float] = {}
        self._root, self._ended = root, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            parts: dict[str, float] = {}
            for pid, role in processes(self._root).items():
                parts[role] = parts.get(role, 0) + pss_mib([pid])
            if (now := sum(parts.values())) > self.peak:
                self.peak, self.parts = now, parts


def kill(pids: Sequence[int]) -> None:
    """All at once, with no chance to clean up. Those that are gone are let be."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _parent_and_session(pid: int) -> tuple[int, int]:
    """0 where the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[1]), int(fields[3])


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""
