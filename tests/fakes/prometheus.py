"""A Prometheus that answers at once with what the test says: for what the real one cannot be brought to say.

Where the real one can be had it is used: tests/observation and tests/integration.
"""

import json
import threading
import time
from typing import Self

from flask import Flask, Response, request
from werkzeug.serving import make_server


class FakePrometheus:
    """`series` is what it holds: (name, labels) and the value; `now` its clock (None: the machine's). `down`: every query fails."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.now: float | None = None
        self.down = False
        self.asked: list[str] = []
        app = Flask(__name__)
        app.add_url_rule("/api/v1/query", view_func=self._query, methods=["POST"])
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def holds(self, name: str, value: float | None, **labels: str) -> None:
        """Set a series, or take it away."""
        key = (name, tuple(sorted(labels.items())))
        if value is None:
            self.series.pop(key, None)
        else:
            self.series[key] = value

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _query(self) -> Response:
        query = request.form["query"]
        self.asked.append(query)
        if self.down:
            return Response("down for the test", 503)
        now, kind = self.now or time.time(), "matrix" if query.endswith("]") else "vector"
        found = [
            {"metric": {"__name__": name, **dict(labels)}, "value": [now, str(value)]}
            for (name, labels), value in self.series.items()
            if query.startswith(name) and kind == "vector"  # it has no history
        ]
        answer = {"status": "success", "data": {"resultType": kind, "result": found}}
        return Response(json.dumps(answer), content_type="application/json")
