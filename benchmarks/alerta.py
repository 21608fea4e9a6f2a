"""Alerta with PostgreSQL, the peer to compare with: installed from the package registry into a folder of its own, and run as the
receiver is, two processes with eight threads each, over a fresh database every time. PostgreSQL is Debian's.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.frame import ROOT
from examples.peers import PeerError, Server, free_port

HOME = ROOT / ".peers/alerta"
PACKAGES = ("alerta-server", "gunicorn", "psycopg2-binary")
WEBHOOK = "/api/webhooks/prometheus"


def installed() -> Path:
    """The folder with its commands; it is filled where it is not there yet."""
    commands, made = HOME / "bin", HOME / "made"
    if not made.exists():
        shutil.rmtree(HOME, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        subprocess.run([commands / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES], check=True)
        made.touch()
    return commands


class Alerta:
    """A PostgreSQL while it is entered, over which `server` gives one Alerta after the other."""

    def __init__(self, folder: Path) -> None:
        self._commands = installed()
        self._postgres = _postgres()
        self._folder, self._port, self._databases = folder, free_port(), 0

    def __enter__(self) -> Self:
        self._folder.mkdir()
        if os.getuid() == 0:  # PostgreSQL refuses to run as root, and has to reach its folder as another one
            shutil.chown(self._folder, "postgres", "postgres")
            self._folder.parent.chmod(0o711)
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-A", "trust", "-U", "bench", "--no-sync", "-E", "UTF8")
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        self._run("pg_ctl", "-D", data, "-l", self._folder / "log", "-w", "-o", options, "start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "stop")

    def server(self, folder: Path) -> Server:
        """One over a database of its own, not yet started. It makes its tables before it forks: two that do so at once fail."""
        self._databases += 1
        name = f"alerta{self._databases}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "bench", name)
        url = f"postgresql://bench@127.0.0.1:{self._port}/{name}"
        (folder / "alertad.conf").write_text(
            f"DATABASE_URL = {url!r}\nBASE_URL = '/api'\nSECRET_KEY = 'benchmark'\nAUTH_REQUIRED = False\n"
        )
        address = f"127.0.0.1:{free_port()}"
        options = f"--bind {address} --workers 2 --worker-class gthread --threads 8 --keep-alive 75 --log-level warning"
        options += " --worker-tmp-dir /dev/shm --no-control-socket --preload"
        settings = ["env", "SCRIPT_NAME=/api", f"ALERTA_SVR_CONF_FILE={folder / 'alertad.conf'}"]
        command = [*settings, str(self._commands / "gunicorn"), *options.split(), "alerta:create_app()"]
        return Server("alerta", command, folder, f"http://{address}", "/api/_")

    def _run(self, program: str, *arguments: str | Path) -> None:
        as_postgres: Sequence[str] = ("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()
        command = [*as_postgres, self._postgres / program, *arguments]
        # no pipe: the server that pg_ctl starts would keep it open
        log = self._folder.with_suffix(".log")
        with log.open("ab") as file:
            run = subprocess.run(command, stdout=file, stderr=file, cwd=self._folder, check=False)
        if run.returncode != 0:
            raise PeerError(f"{program} failed:\n{log.read_text(errors='replace')[-2000:]}")


def _postgres() -> Path:
    """Where the newest installed PostgreSQL has its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    if not found:
        raise PeerError("PostgreSQL is missing. Run: sudo apt-get install --no-install-recommends postgresql")
    return found[-1]
