"""The two kinds of processes of a receiver: gunicorn, which takes in requests, and the worker, which assesses and delivers."""

import gc
import os
import select
import signal
import threading
from contextlib import closing
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker
from prometheus_client import multiprocess

from receiver.catalogue import Catalogue
from receiver.cli import processes
from receiver.cli.deriver import Deriver
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

SOON_MILLISECONDS = 5
"""How long a thread waits for the next request of a connection: a sender under load needs less to send the next one."""

log = structlog.get_logger()


def collect_what_comes() -> None:
    """To be called when all is loaded. No collection looks at that again: each would hold requests up for a twentieth of a second,
    and write to every page of memory, which a forked process shares until then. One now would find next to nothing.
    """
    gc.freeze()
    gc.enable()


def run_web(settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], clock: Clock) -> int:
    """gunicorn in this process; the exit code."""
    processes.call("art58 web")
    _Gunicorn(settings, catalogue, rulebooks, clock).run()
    return 0


def run_worker(
    settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], clock: Clock, *, migrated: bool = False
) -> int:
    """The worker in this process; the exit code. `migrated` says that the store is known to be of this version."""
    processes.call("art58 worker")
    with closing(Deriver(settings, catalogue, clock)) as deriver:
        stop = _stop_on_signals()
        if not migrated and not _migrated(settings, stop):
            return 0
        database = Database.of(settings)
        prometheus = Prometheus(settings.prometheus)
        worker = Worker(settings, catalogue, database, prometheus, rulebooks, targets(settings, clock), clock, deriver)
        return 0 if worker.run(stop) else 1


def targets(settings: Settings, clock: Clock) -> list[tuple[Route, Target]]:
    """What the settings name, each with what it is given."""
    found = [(route, target) for one in settings.grafanas for route, target in open_grafana(one)]
    found += [(route_of(one), open_ticket(one, clock)) for one in settings.tickets]
    return found


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


def _stop_on_signals() -> threading.Event:
    """Set by SIGTERM or Ctrl-C; pressed again, Ctrl-C ends the process at once.

    A thread waits for them: a handler that sets an event in the thread that waits for it may come while that one holds its lock.
    """
    stop, signals = threading.Event(), {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def wait() -> None:
        while signal.sigwait(signals) != signal.SIGINT or not stop.is_set():
            stop.set()
        os._exit(128 + signal.SIGINT)

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], clock: Clock) -> None:
        self._settings, self._catalogue, self._rulebooks, self._clock = settings, catalogue, rulebooks, clock
        super().__init__()

    def load_config(self) -> None:
        options = {
            "bind": self._settings.listen,
            "workers": self._settings.web_workers,
            "worker_class": _Taker,
            "threads": 8,
            "keepalive": 75,
            "graceful_timeout": 10,
            "timeout": 60,
            "loglevel": "warning",
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108 - gunicorn's heartbeat file
            "control_socket_disable": True,
            "post_fork": _die_with_gunicorn,
            "child_exit": _forget_metrics,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return create_app(self._settings, self._catalogue, self._rulebooks, self._clock)


class _Taker(ThreadWorker):  # type: ignore[misc]
    """A process that takes in requests."""

    def handle(self, conn: Any) -> Any:
        """As gunicorn does, but what comes soon after an answer is handled by the same thread. To hand the connection to the main
        thread, which hands it to another one, takes as long as a third of the request.
        """
        goes_on = super().handle(conn)
        # with more connections than threads, each would keep others waiting
        while goes_on is True and self.alive and self.nr_conns <= self.cfg.threads and _comes_soon(conn):
            goes_on = super().handle(conn)
        return goes_on

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not self.alive:
            # it is about to finish what it has begun: who comes now is refused at once and may go elsewhere, instead of waiting
            # for an answer that nobody will give
            for listener in self.sockets:
                listener.close()


def _comes_soon(conn: Any) -> bool:
    """Whether the next request is there or comes within SOON_MILLISECONDS, or the end of the connection."""
    if conn.parser.unreader.buf.getvalue():  # it was read together with the last one
        return True
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(SOON_MILLISECONDS))


def _die_with_gunicorn(_server: object, worker: Any) -> None:
    # gunicorn's own processes notice it by looking, every so many seconds, and keep the address until then
    processes.die_with(worker.ppid)


def _forget_metrics(_server: object, worker: Any) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
