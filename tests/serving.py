"""The real `art58 serve` as a process tree, for tests that need more than the app in their own process."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml

from examples.peers import free_port

Found = TypeVar("Found")
VOICE = {"name": "voice", "kind": "voice", "emergency_calls": True, "match": ['service="voice"']}


def until(condition: Callable[[], Found], seconds: float = 15) -> Found:
    """What `condition` gives as soon as it is true; AssertionError if it is not in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


class Served:
    """`art58 serve` over `folder`, from the first sign of readiness until the block ends; `options` are of the command line,
    `changes` are keys of config.yaml.
    """

    def __init__(self, folder: Path, *options: str, **changes: Any) -> None:
        self.folder = folder
        self.token = secrets.token_urlsafe(24)
        self.config = folder / "config.yaml"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._changes = {"listen": f"127.0.0.1:{port}", "external_url": self.url} | changes
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            until(self._ready, 60)  # all its processes must start: on a busy machine that takes long
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            if self._process and self._process.poll() is None:
                self.stop()
        finally:
            self.end()

    def start(self, command: str = "serve") -> None:
        """Write the configuration and start (the whole, or `web` or `worker` alone); do not wait."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "token").write_text(self.token)
        document = {
            "prometheus": {"url": "http://127.0.0.1:9", "timeout_seconds": 1},
            "authentication": {"bearer_tokens": [{"file": "token"}]},
            "services": [VOICE],
        }
        self.config.write_text(yaml.safe_dump(document | self._changes))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "receiver.cli", command, "--config", str(self.config), *self._options],
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """End it as an operator does (SIGTERM); its exit code. Nothing of it may be left."""
        self.terminate()
        return self.wait()

    def terminate(self) -> None:
        """Tell it to end (SIGTERM); do not wait."""
        assert self._process
        self._process.terminate()

    def kill(self) -> None:
        """Kill the supervisor (SIGKILL). Nothing of it may be left at once."""
        assert self._process
        self._process.kill()
        self._process.wait()
        until(lambda: not self.processes(), 5)

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal sends SIGINT to every process of the group in front."""
        assert self._process
        group = os.getpgid(self._process.pid)
        for pid in self.processes():
            with suppress(ProcessLookupError):  # it ends meanwhile
                if os.getpgid(pid) == group:
                    os.kill(pid, signal.SIGINT)

    def wait(self, seconds: float = 25) -> int:
        """The exit code, once it has ended by itself. Nothing of it may be left."""
        assert self._process
        try:
            code = self._process.wait(seconds)
        except BaseException:
            self.end()
            raise
        # the kernel ends the rest of what was killed or ended in the midst of something
        until(lambda: not self.processes(), 2)
        return code

    def processes(self, part: str = "") -> list[int]:
        """Every process of this tree, known by its configuration file; only those of `part` (serve, web, worker) if it is named."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().decode(errors="replace").split("\0")
                name = entry.with_name("comm").read_text().strip()
            except OSError:
                continue  # it has just ended
            if str(self.config) in words and (not part or name == f"art58 {part}"):
                found.append(int(entry.parent.name))
        return sorted(found)

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float = 10) -> tuple[int, Any]:
        """Status and JSON of the answer (text where it is no JSON)."""
        asked = urllib.request.Request(self.url + path, data=body, method=method, headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(asked, timeout=timeout) as response:
                status, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def _log(self) -> Path:
        return self.folder / "art58.log"

    def end(self) -> None:
        """Whatever is left, the supervisor first: it would start the others again."""
        for pid in self.processes("serve") + self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _ready(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log
        try:
            return self.request("GET", "/-/ready")[0] == 200
        except OSError:
            return False
