"""A Prometheus that answers at once with what the test says: for what the real one cannot be brought to say.

Where the real one can be had it is used: tests/observation and tests/integration.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Self

from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

Labels = tuple[tuple[str, str], ...]
Answer = dict[str, Any]
AVERAGE = re.compile(
    r"avg_over_time\((?P<name>[\w:]+)(?:\{.*\})?\[(?P<window>\d+)ms\](?: offset (?P<offset>\d+)d)?\), "
    r'"art58_days_before", "(?P<days>\d+)"'
)
UNREACHABLE = "is down: it cannot be reached"
CLOCKS = {"has a clock that is 10 minutes ahead": 600, "has a clock that is 10 minutes behind": -600}
SLOW = ("takes too long to answer", "sends its answer too slowly")


class FakePrometheus:
    """`series` is what it holds: (name, labels) and the value, `history` the samples (Unix seconds, value) of those that have some.

    `now` is its clock (None: the machine's). `down`: every query fails. `fault`: one of FAULTS.
    """

    def __init__(self) -> None:
        self.series: dict[tuple[str, Labels], float] = {}
        self.history: dict[tuple[str, Labels], list[tuple[float, float]]] = {}
        self.now: float | None = None
        self.down = False
        self.fault: str | None = None
        self.asked: list[str] = []
        self._app = Flask(__name__)
        self._app.add_url_rule("/api/v1/query", view_func=self._query, methods=["POST"])
        self._app.add_url_rule("/api/v1/query_range", view_func=self._range, methods=["POST"])
        self._listen(0)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _listen(self, port: int) -> None:
        fake = self

        class Handler(WSGIRequestHandler):
            def date_time_string(self, _: float | None = None) -> str:
                return super().date_time_string(fake._present())

        self._server = make_server("127.0.0.1", port, self._app, threaded=True, request_handler=Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def holds(self, name: str, value: float | None, **labels: str) -> None:
        """Set a series, or take it away."""
        key = (name, tuple(sorted(labels.items())))
        if value is None:
            self.series.pop(key, None)
        else:
            self.series[key] = value

    def remembers(self, name: str, *points: tuple[float, float], **labels: str) -> None:
        self.history[name, tuple(sorted(labels.items()))] = list(points)

    def misbehave(self, fault: str | None) -> None:
        """From now on one of FAULTS; None: well again."""
        if (fault == UNREACHABLE) != (self.fault == UNREACHABLE):
            port = self._server.server_port
            if fault == UNREACHABLE:
                self.__exit__()
            else:
                self._listen(port)
                self.__enter__()
        self.fault = fault

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
        now, kind = self._present(), "matrix" if query.endswith("]") else "vector"
        answer = _answer(kind, self._history(query, float(request.form["time"])) if kind == "matrix" else self._vector(query, now))
        return FAULTS[self.fault](answer) if self.fault else _response(answer)

    def _range(self) -> Response:
        """The averages that receiver.observation.history asks for, whatever their braces ask for; and the samples of selectors."""
        form = request.form
        self.asked.append(form["query"])
        if self.down:
            return Response("down for the test", 503)
        steps = range(int(float(form["start"])), int(float(form["end"])) + 1, int(float(form["step"])))
        averages = [one for term in AVERAGE.finditer(form["query"]) for one in self._averages(steps, **term.groupdict())]
        answer = _answer("matrix", [*averages, *self._shown(form["query"], steps)])
        return FAULTS[self.fault](answer) if self.fault else _response(answer)

    def _averages(self, steps: range, name: str, window: str, offset: str | None, days: str) -> Iterator[Answer]:
        for (series, labels), points in self.history.items():
            if series != name:
                continue
            values = []
            for at in steps:
                until = at - int(offset or 0) * 86400
                seen = [value for moment, value in points if until - int(window) / 1000 < moment <= until]
                values += [[at, str(sum(seen) / len(seen))]] if seen else []
            if values:
                yield {"metric": {**dict(labels), "art58_days_before": days}, "values": values}

    def _shown(self, query: str, steps: range) -> Iterator[Answer]:
        """Of a selector the samples that are shown at these steps, each for five minutes."""
        for (name, labels), points in self.history.items():
            if not query.startswith("{") or not _asks_for(query, name):
                continue
            last = {at: max((one for one in points if at - 300 < one[0] <= at), default=None) for at in steps}
            if values := [[at, str(one[1])] for at, one in last.items() if one]:
                yield {"metric": {"__name__": name, **dict(labels)}, "values": values}

    def _present(self) -> float:
        """Its clock, also in the header `Date`."""
        return (self.now or time.time()) + CLOCKS.get(self.fault or "", 0)

    def _vector(self, query: str, now: float) -> list[Answer]:
        return [
            {"metric": {"__name__": name, **dict(labels)}, "value": [now, str(value)]}
            for (name, labels), value in self.series.items()
            if _asks_for(query, name)
        ]

    def _history(self, query: str, until: float) -> list[Answer]:
        return [
            {"metric": {"__name__": name, **dict(labels)}, "values": [[at, str(value)] for at, value in points if at <= until]}
            for (name, labels), points in self.history.items()
            if query.startswith(name)
        ]


def _asks_for(query: str, name: str) -> bool:
    """A selector begins with the name of its series, or with a pattern of several names."""
    several = re.match(r'\{__name__=~"([^"]*)"', query)
    return name in several[1].split("|") if several else query.startswith(name)


def _answer(kind: str, result: Any) -> Answer:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def _response(answer: Answer, status: int = 200) -> Response:
    return Response(json.dumps(answer), status, content_type="application/json")


def _late(answer: Answer) -> Response:
    time.sleep(1)
    return _response(answer)


def _drip(answer: Answer) -> Response:
    def body() -> Iterator[str]:
        for letter in json.dumps(answer)[:20]:
            time.sleep(0.05)
            yield letter

    return Response(body())


def _valued(answer: Answer, value: str) -> Response:
    """Every number of now is this one."""
    kind, found = answer["data"]["resultType"], answer["data"]["result"]
    return _response(_answer(kind, [one | {"value": [one["value"][0], value]} if "value" in one else one for one in found]))


@cache
def _many() -> str:
    """10,000 series that nobody asked for."""
    labels = [{"service": "voice" if n % 2 else "data", "equipment": f"other-{n}"} for n in range(10_000)]
    return ",".join(json.dumps({"metric": its, "value": [4e9, "1"]}) for its in labels)


def _huge(answer: Answer) -> Response:
    head, found, tail = json.dumps(answer).partition('"result": [')
    return Response(head + found + _many() + ("," if answer["data"]["result"] else "") + tail)


def _old(answer: Answer) -> Response:
    """As it was before the failure."""
    kind, found = answer["data"]["resultType"], answer["data"]["result"]
    before = {"art58:equipment_up": "1", "art58:users_unable": "0", "art58:call_loss_ratio": "0"}
    for one in found:
        if "value" in one:
            one["value"] = [one["value"][0] - 600, before.get(one["metric"]["__name__"], one["value"][1])]
    return _response(_answer(kind, found))


def _endless(_: Answer) -> Response:
    return Response(" " * 1024 * 1024 for _ in range(1000))


def _forgotten(answer: Answer) -> Response:
    """Before the first scrape: nothing is known but its own alerts, since now."""
    found = [one for one in answer["data"]["result"] if one["metric"].get("__name__") == "ALERTS_FOR_STATE"]
    return _response(
        _answer(answer["data"]["resultType"], [one | {"value": [one["value"][0], str(one["value"][0])]} for one in found])
    )


FAULTS: dict[str, Callable[[Answer], Response]] = {
    UNREACHABLE: _response,  # it does not come so far
    SLOW[0]: _late,
    SLOW[1]: _drip,
    "answers 503, or any other error": lambda _: _response({"status": "error", "error": "overloaded"}, 503),
    "answers with something else than an answer to a query": lambda _: Response("<html>Sign in", 200),
    "answers in part, with warnings": lambda answer: _response(answer | {"warnings": ["one store is down"]}),
    "breaks off in the middle of its answer": lambda answer: Response(json.dumps(answer)[:-9]),
    "answers with another type than asked for": lambda answer: _response(_answer("scalar", [0, "0"])),
    "answers with NaN": lambda answer: _valued(answer, "NaN"),
    "answers with infinite or negative numbers": lambda answer: _valued(answer, "-Inf"),
    "answers with nothing: all its series are gone or stale": lambda answer: _response(_answer(answer["data"]["resultType"], [])),
    "has restarted and has no samples yet": _forgotten,
    "answers with 10,000 series more than asked for": _huge,
    "answers with more than 64 MiB": _endless,
    "is behind a cache that gives an old answer": _old,
    **dict.fromkeys(CLOCKS, _response),
}
"""What a Prometheus can do instead of answering well; each is a row of the table in docs/explanation/failure.md."""
