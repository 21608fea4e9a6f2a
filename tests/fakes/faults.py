"""What all HTTP stand-ins share: a Flask app served on a thread, and faults that the next requests run into."""

import argparse
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from flask import Flask, Response, g, jsonify, request
from werkzeug.serving import make_server

FaultKind = Literal[
    "status", "429", "html_500", "redirect", "not_json", "empty_json", "huge", "endless", "timeout_after_work", "status_after_work"
]


@dataclass
class Fault:
    """What happens to the next `times` requests.

    `status`, `message` and `retry_after` shape the answer of the kinds `status` and `429`; `timeout_after_work` does the work and
    then keeps its answer to itself for `seconds`, or until the stand-in is closed; `status_after_work` does it and denies it.
    """

    kind: FaultKind
    times: int = 1
    status: int = 500
    message: str = "injected"
    retry_after: str | None = None
    seconds: float = 30.0
    path: str = ""
    """Only requests whose path begins so."""


class FakeServer:
    """A Flask app on 127.0.0.1; a context manager. `port` 0 takes a free one."""

    def __init__(self, app: Flask, port: int = 0) -> None:
        self._faults: list[Fault] = []
        self.struck: Counter[str] = Counter()
        """How often each kind of fault was met."""
        self._lock = threading.Lock()
        self._random: tuple[float, random.Random, tuple[Fault, ...]] | None = None
        self._closing = threading.Event()
        app.before_request(self._strike)
        app.after_request(self._hold)
        app.add_url_rule("/_fault", view_func=self._take_fault, methods=["POST"])
        self._server = make_server("127.0.0.1", port, app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(self, kind: FaultKind, **how: Any) -> None:
        with self._lock:
            self._faults.append(Fault(kind, **how))

    def misbehave(self, share: float, seed: int, *faults: Fault) -> None:
        """From now on this share of all requests runs into one of these faults; 0 ends it."""
        with self._lock:
            self._random = (share, random.Random(seed), faults) if share else None  # noqa: S311 - no secret

    def serve(self) -> None:
        """Serve on this thread until interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self._closing.set()
            self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take_fault(self) -> tuple[str, int]:
        fault: Mapping[str, Any] = request.get_json()
        self.fail(**fault)
        return "", 204

    def _strike(self) -> Response | None:
        g.fault = None
        if request.path == "/_fault":
            return None
        with self._lock:
            fault = next((f for f in self._faults if f.times > 0 and request.path.startswith(f.path)), None)
            if fault:
                fault.times -= 1
            elif self._random and self._random[1].random() < self._random[0]:
                fault = self._random[1].choice(self._random[2])
            if fault is None:
                return None
            self.struck[fault.kind] += 1
        if fault.kind in ("timeout_after_work", "status_after_work"):
            g.fault = fault
            return None
        if fault.kind == "endless":
            return Response(self._drops(), 200, mimetype="application/json")
        return _ANSWERS[fault.kind](fault)

    def _drops(self) -> Iterator[bytes]:
        while not self._closing.wait(0.05):
            yield b" " * 1024

    def _hold(self, response: Response) -> Response:
        fault: Fault | None = g.get("fault")
        if fault and fault.kind == "status_after_work":
            return _status(fault)
        if fault:
            self._closing.wait(fault.seconds)
        return response


def _status(fault: Fault) -> Response:
    response = jsonify(message=fault.message)
    response.status_code = 429 if fault.kind == "429" else fault.status
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


_ANSWERS: dict[str, Callable[[Fault], Response]] = {
    "status": _status,
    "429": _status,
    "html_500": lambda fault: Response("<html><body><h1>Bad gateway</h1></body></html>", 500, mimetype="text/html"),
    "redirect": lambda fault: Response("", 302, {"Location": "http://127.0.0.1:9/elsewhere"}),
    "not_json": lambda fault: Response("<html>Please log in</html>", 200, mimetype="text/html"),
    "empty_json": lambda fault: jsonify({}),
    "huge": lambda fault: Response(b"[" + b" " * 9_000_000 + b"]", 200, mimetype="application/json"),
}


def arguments(description: str, secret_option: str) -> argparse.Namespace:
    """`--port` and the file with the secret, for stand-ins run by themselves."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(secret_option, dest="secret_file", required=True)
    return parser.parse_args()
