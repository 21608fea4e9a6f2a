"""The streams of tests/incidents come in over HTTP as Alertmanagers send them: several at once, again after each 503, and again
after an answer that got lost. The same incidents come of it.
"""

import http.client
import itertools
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.serving import make_server

from receiver.law.rulebook import shipped
from receiver.settings import AuthenticationSettings, SecretRef
from receiver.storage.database import Database, StoreUnavailable
from receiver.web import create_app
from tests.incidents.streams import EXAMPLES, Body, House, Stream, expected, found, moment, streams

TOKEN = "the-token-of-the-tests"  # no secret: it opens nothing
SENDERS = 4


@contextmanager
def served(folder: Path) -> Iterator[tuple[House, int]]:
    """A house with a door, and the port of that."""
    (folder / "token").write_text(TOKEN)
    tokens = AuthenticationSettings(bearer_tokens=(SecretRef(file=str(folder / "token")),))
    with House(folder / "store", authentication=tokens) as house:
        app = create_app(house.settings, house.catalogue, shipped(), house.clock)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield house, server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@contextmanager
def failing(every: int) -> Iterator[list[bool]]:
    """The store cannot be written each `every`-th time; whether each write, maybe of many bodies, failed. Put back in any case."""
    original, turn, failed = Database.append, itertools.count(1), []

    def append(*arguments: Any) -> None:
        failed.append(next(turn) % every == 0)
        if failed[-1]:
            raise StoreUnavailable("full, for the test")
        original(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Database, "append", append)
        yield failed


def send(port: int, one: Body, *, answer_lost: bool) -> None:
    """As Alertmanager does: again after any 5xx; and again if it never saw the answer."""
    for attempt in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            connection.request("POST", "/webhook/alertmanager", one.body, headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        assert status in (200, 503), f"Alertmanager would give up after a {status}"
        if status == 200 and not (answer_lost and attempt == 0):
            return
    raise AssertionError("20 times in vain")


def send_all(port: int, bodies: list[Body], lost: int) -> None:
    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(lambda numbered: send(port, numbered[1], answer_lost=numbered[0] % 5 == lost), enumerate(bodies)))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """No line in the log for each of hundreds of requests."""
    loggers = [logging.getLogger(name) for name in ("werkzeug", "receiver.web")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@given(streams(4), st.data())
@settings(max_examples=6 * EXAMPLES, suppress_health_check=list(HealthCheck))
def test_senders_at_once_and_again_after_failures_end_in_the_incidents_of_the_truth(stream: Stream, data: st.DataObject) -> None:
    order = data.draw(st.permutations(stream.before), label="order")
    every, lost = data.draw(st.integers(2, 5), label="fails each"), data.draw(st.integers(0, 4), label="answer lost")
    with TemporaryDirectory() as folder, failing(every) as failed, served(Path(folder)) as (house, port):
        house.clock.now = moment(max(one.at for one in stream.before + stream.last) + 1)
        stop = threading.Event()
        working = threading.Thread(target=_work, args=(house, stop))
        working.start()
        try:
            send_all(port, order, lost)
            house.clock.advance(minutes=1)
            send_all(port, list(stream.last), lost)
        finally:
            stop.set()
            working.join()
        assert any(failed) or len(failed) < every
        house.clock.advance(minutes=45)
        house.settle()
        assert found(house, stream.truth) == expected(stream.truth, house.clock())
        assert len({(row.incident_id, row.object) for row in house.owed()}) == len(house.owed())


def _work(house: House, stop: threading.Event) -> None:
    """The worker's loop, while bodies come in."""
    while not stop.wait(0.01):
        house.worker.step()
