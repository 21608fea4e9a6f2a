"""Start and stop the programs the receiver works with: the real Prometheus and Alertmanager, or any other server.

Used by the demonstration, the integration tests and the benchmarks. Everything listens on 127.0.0.1, writes its log into
a folder that the caller names, and dies with the process that started it.
"""

import contextlib
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import yaml

Found = TypeVar("Found")
Config = Mapping[str, object] | str  # what the configuration file says: a mapping, or its text

# Debian's builds read templates and web files from this folder of their packages, and Alertmanager refuses to start
# without them. Unpacked binaries get a mount namespace of their own in which the folder is the unpacked one; the
# tmpfs keeps the machine's own /usr/share as it is.
SHARE = "/usr/share/prometheus"
SHOW_SHARE = f'mount -t tmpfs tmpfs /usr/share && mkdir {SHARE} && mount --bind "$0" {SHARE} && exec "$@"'
NAMESPACES = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
LOG_TAIL_LINES = 15


class PeerError(Exception):
    """A program could not be started, or did not do in time what was waited for."""


def free_port() -> int:
    """One below those that the kernel gives out by itself (from 32768 on): else it could be somebody's before a program that has
    yet to start listens there, and that one would be talked to in its place.
    """
    while True:
        port = random.randrange(10_000, 32_000)  # noqa: S311 - no secret depends on it
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(what: str, check: Callable[[], Found], timeout: float, step: float = 0.05) -> Found:
    """The first true answer of `check`; a refused connection or an HTTP error counts as "not yet"."""
    deadline = time.monotonic() + timeout
    reason = ""
    while time.monotonic() < deadline:
        try:
            if found := check():
                return found
        except OSError as error:
            reason = f" (last: {error})"
        time.sleep(step)
    raise PeerError(f"waited {timeout:g} s in vain for {what}{reason}")


def fetch(url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, timeout: float = 5) -> bytes:
    """GET, or POST where there is a body."""
    request = urllib.request.Request(url, body, dict(headers or {}))
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        content: bytes = answer.read()
        return content


def answers(url: str) -> bool:
    try:
        fetch(url)
    except urllib.error.HTTPError:
        return False
    return True


class Server:
    """One program that listens: started until it answers at `ready_path`, stopped with SIGTERM, its log in `work_dir`."""

    def __init__(self, name: str, command: Sequence[str], work_dir: Path, url: str, ready_path: str) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.work_dir = Path(work_dir)
        self.url = url
        self.ready_url = url + ready_path
        self.log = self.work_dir / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 30) -> Self:
        self.work_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # a session of its own: Ctrl-C in the terminal goes to the starter alone, which then ends things in order
            self.process = subprocess.Popen(
                [*dies_with_starter(), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(f"{self.name} to answer {self.ready_url}", self._ready, timeout)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self, timeout: float = 15) -> None:
        """End it in order; what has not ended in time, and what it left behind in its session, is killed."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def _ready(self) -> bool:
        assert self.process is not None  # noqa: S101 (for the type checker: start() has just set it)
        if (code := self.process.poll()) is not None:
            raise PeerError(f"{self.name} ended at start with exit code {code}. {self.log} ends:\n{self.log_tail()}")
        return answers(self.ready_url)

    def __enter__(self) -> Self:
        return self if self.process else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class Alertmanager(Server):
    def __init__(self, bin_dir: Path, work_dir: Path, config: Config, port: int | None = None) -> None:
        work_dir, port = Path(work_dir).resolve(), port or free_port()
        command = [
            *binary(bin_dir, "alertmanager"),
            f"--config.file={write_config(work_dir / 'alertmanager.yml', config)}",
            f"--storage.path={work_dir / 'alertmanager-data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        super().__init__("alertmanager", command, work_dir, f"http://127.0.0.1:{port}", "/-/ready")


class Prometheus(Server):
    """`flags` are added to the command line as they are, say "--rules.alert.resend-delay=1s"."""

    def __init__(
        self,
        bin_dir: Path,
        work_dir: Path,
        config: Config,
        data_dir: Path | None = None,
        port: int | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        work_dir, port = Path(work_dir).resolve(), port or free_port()
        command = [
            *binary(bin_dir, "prometheus"),
            f"--config.file={write_config(work_dir / 'prometheus.yml', config)}",
            f"--storage.tsdb.path={data_dir or work_dir / 'prometheus-data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            *flags,
        ]
        super().__init__("prometheus", command, work_dir, f"http://127.0.0.1:{port}", "/-/ready")


def write_config(path: Path, config: Config) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    return path


def dies_with_starter() -> list[str]:
    """A prefix for a command on Linux; elsewhere there is no such thing and the ordered stop has to do."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def binary(bin_dir: Path, name: str) -> list[str]:
    """The command for a program of `bin_dir`: plain when it is installed on the machine, else with its share folder shown."""
    path = (Path(bin_dir) / name).resolve()
    if not path.exists():
        raise PeerError(f"{Path(bin_dir) / name} is missing. Run: bash examples/get-peers.sh {bin_dir}")
    share = (Path(bin_dir) / ".." / "root").resolve() / SHARE.lstrip("/")
    if not path.is_relative_to(share.parents[2]):
        return [str(path)]
    return [*_namespace(str(share)), str(path)]


@functools.cache
def _namespace(share: str) -> list[str]:
    """The first way in which this machine lets us show `share` at the place where Debian's builds look for it."""
    for unshare in NAMESPACES:
        prefix = [*unshare, "sh", "-c", SHOW_SHARE, share]
        if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    raise PeerError(
        "Debian's Alertmanager needs the files of its package at " + SHARE + ", and this machine permits no mount "
        "namespace to show them there. Install both (apt-get install prometheus prometheus-alertmanager), then: rm -rf "
        ".peers; make demo PROMETHEUS=prometheus PROMTOOL=promtool ALERTMANAGER=prometheus-alertmanager AMTOOL=amtool"
    )


def versions(bin_dir: Path) -> dict[str, str]:
    """The versions of Prometheus and Alertmanager, say {"prometheus": "2.42.0", "alertmanager": "0.25.0"}."""
    return {name: _version(Path(bin_dir) / name) for name in ("prometheus", "alertmanager")}


def _version(path: Path) -> str:
    run = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True)
    # older builds write it to stderr; the first line reads "prometheus, version 2.42.0+ds (branch: …"
    return (run.stdout + run.stderr).split("version ", 1)[1].split(" ", 1)[0].split("+", 1)[0]
