"""`art58 serve`: one command, two kinds of processes. gunicorn takes in requests, a worker assesses and delivers, so that neither
starves the other; this one starts them, starts again what died, and ends them together.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from prometheus_client import multiprocess

from receiver.catalogue import Catalogue
from receiver.delivery.opening import open_ticket
from receiver.delivery.opening_grafana import open_grafana
from receiver.delivery.plan import Route
from receiver.delivery.routes import route_of
from receiver.delivery.targets import Target
from receiver.law.rulebook import Rulebook
from receiver.model import Clock
from receiver.observation.prometheus import Prometheus
from receiver.settings import Settings
from receiver.storage.database import Database, StoreUnavailable
from receiver.web import create_app
from receiver.worker import Worker

STOP_SECONDS = 20
"""How long the processes may take to finish what they have begun."""

log = structlog.get_logger()


def serve(settings: Settings, config: Path, clock: Clock) -> int:
    """Run web and worker until SIGTERM or Ctrl-C; the exit code."""
    stop = _stop_on_signals()
    if why := _not_free(settings):
        log.error(
            "cannot listen: stop what listens there, or write another address",
            file=str(config),
            key="listen",
            listen=settings.listen,
            error=why,
        )
        return 1
    if not _migrated(settings, stop):
        return 0
    shutil.rmtree(settings.metrics_dir, ignore_errors=True)
    settings.metrics_dir.mkdir(parents=True, exist_ok=True)
    children = {part: _start(part, settings, config) for part in ("worker", "web")}
    log.info("serving", listen=settings.listen, data_dir=settings.data_dir)
    while not stop.wait(0.5):
        for part, child in children.items():
            if child.poll() is not None:
                log.error("a part ended by itself: starting it again", part=part, exit_code=child.returncode)
                stop.wait(1)
                children[part] = _start(part, settings, config)
    for child in children.values():
        child.terminate()
    for child in children.values():
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
    return 0


def run_web(settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], clock: Clock) -> None:
    """gunicorn in this process; it does not return."""
    _Gunicorn(settings, catalogue, rulebooks, clock).run()


def run_worker(settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], clock: Clock) -> int:
    """The worker in this process; the exit code."""
    stop = _stop_on_signals()
    if not _migrated(settings, stop):
        return 0
    database = Database.of(settings)
    prometheus = Prometheus(settings.prometheus)
    worker = Worker(settings, catalogue, database, prometheus, rulebooks, targets(settings, clock), clock)
    return 0 if worker.run(stop) else 1


def targets(settings: Settings, clock: Clock) -> list[tuple[Route, Target]]:
    """What the settings name, each with what it is given."""
    found = [(route, target) for one in settings.grafanas for route, target in open_grafana(one)]
    found += [(route_of(one), open_ticket(one, clock)) for one in settings.tickets]
    return found


def _not_free(settings: Settings) -> str | None:
    """Why the address cannot be listened on; None if it can. Asked before anything of a running receiver is touched."""
    host, port = settings.address
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _migrated(settings: Settings, stop: threading.Event) -> bool:
    """Bring the store to this version, waiting for it as long as it cannot be written; False if told to stop meanwhile."""
    while not stop.is_set():
        database = Database.of(settings)
        try:
            database.migrate()
        except StoreUnavailable as error:
            log.error("the store is not available: trying again", error=str(error))
            stop.wait(2)
        else:
            return True
        finally:
            database.close()
    return False


def _start(part: str, settings: Settings, config: Path) -> subprocess.Popen[bytes]:
    # the children must not outlive this process, even if it is killed: nobody would start them again
    die_with_parent = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    return subprocess.Popen(
        [sys.executable, "-m", "receiver.cli", part, "--config", str(config)],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(settings.metrics_dir)},
        preexec_fn=(lambda: die_with_parent(1, signal.SIGTERM)) if die_with_parent else None,
    )


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], clock: Clock) -> None:
        self._settings, self._catalogue, self._rulebooks, self._clock = settings, catalogue, rulebooks, clock
        super().__init__()

    def load_config(self) -> None:
        options = {
            "bind": self._settings.listen,
            "workers": self._settings.web_workers,
            "worker_class": "gthread",
            "threads": 8,
            "keepalive": 75,
            "graceful_timeout": 10,
            "timeout": 60,
            "loglevel": "warning",
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108 - gunicorn's heartbeat file
            "control_socket_disable": True,
            "child_exit": _forget_metrics,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return create_app(self._settings, self._catalogue, self._rulebooks, self._clock)


def _forget_metrics(_server: object, worker: Any) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
