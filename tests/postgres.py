"""A real PostgreSQL on 127.0.0.1 with its data in a folder of its own; `tests/get-postgres.sh` puts it where it is missing.

It ends with the process that started it. What it is told is not synced to disk unless that is asked for: tests are many.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg

from examples.peers import free_port
from receiver.storage.database import Database
from tests.serving import until

PASSWORD = "of the tests: it opens nothing"
_ROLES = f"CREATE ROLE art58 LOGIN CREATEDB; CREATE ROLE keeper LOGIN CREATEDB PASSWORD '{PASSWORD}'"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    assert elsewhere, "the tests need PostgreSQL: bash tests/get-postgres.sh"
    return Path(elsewhere).parent


class PostgresServer:
    """`url` leads to a new database with the tables in it; role art58 needs no password, keeper needs `PASSWORD`.

    Its data lie in a new folder `within` that one, or where temporary files do. `follows`: it is a standby of that one.
    """

    def __init__(
        self, *options: str, synced: bool = False, within: Path | None = None, follows: "PostgresServer | None" = None
    ) -> None:
        self._follows = follows
        self._programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="art58-postgres-", dir=within))
        self.port = free_port()
        self._options = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        self._options += ["shared_buffers=16MB", "max_connections=800", *options]
        self._options += [] if synced else ["fsync=off", "full_page_writes=off"]
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            if os.getuid() == 0:  # which PostgreSQL refuses
                shutil.chown(self.folder, "postgres", "postgres")
            if self._follows:
                of = ["-h", "127.0.0.1", "-p", str(self._follows.port), "-U", "admin"]
                subprocess.run(self._as_user("pg_basebackup", "-D", "data", "-R", "-c", "fast", *of), **self._quiet)
                self.start()
                return self
            subprocess.run(
                self._as_user("initdb", "-D", "data", "-A", "trust", "-U", "admin", "-E", "UTF8", "--no-sync"), **self._quiet
            )
            hba = self.folder / "data" / "pg_hba.conf"
            hba.write_text("host all keeper 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
            self.start()
            self.execute(_ROLES)
            self.execute("CREATE DATABASE pattern OWNER art58")
            with closing(Database(self.address("pattern"))) as database:
                database.migrate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [word for option in self._options for word in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            settings = self._quiet | {"stdout": log, "stderr": log}
            settings.pop("check")
            self._process = subprocess.Popen(self._as_user("postgres", "-D", "data", *options), **settings)
        until(self._answers, 30)

    def kill(self) -> None:
        """SIGKILL to all of it, as when its machine loses power."""
        assert self._process
        children = self._children()
        self._process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait(20)
        until(lambda: not any(Path("/proc", str(child)).exists() for child in children))

    def backends(self) -> list[int]:
        """The processes that serve a connection of role art58. When one is killed the server ends all others and recovers."""
        found = []
        for child in self._children():
            with suppress(OSError):
                if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"postgres: art58 "):
                    found.append(child)
        return found

    def _children(self) -> list[int]:
        assert self._process
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)

    def reload(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGHUP)

    def url(self, *, empty: bool = False) -> str:
        """The address of a new database."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} OWNER art58 TEMPLATE {'template0' if empty else 'pattern'}")
        return self.address(name)

    def address(self, name: str, role: str = "art58") -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """As the administrator; what it gives."""
        with psycopg.connect(self.address(name, "admin"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        """Also whether it is what it was made for: a standby, or not."""
        assert self._process
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return self.execute("SELECT pg_is_in_recovery()") == [(self._follows is not None,)]
        except psycopg.OperationalError:
            return False

    def _as_user(self, program: str, *words: str) -> list[str]:
        user = ["--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []
        return ["setpriv", *user, "--pdeathsig", "INT", str(self._programs / program), *words]

    @property
    def _quiet(self) -> dict[str, Any]:
        return {"cwd": self.folder, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "check": True}
