"""A stand-in for whatever can be asked by GET: fixed answers by path. It refuses, and remembers, everything else."""

from collections.abc import Collection, Mapping
from typing import Any

from flask import Flask, Response, jsonify, request

from tests.fakes.faults import FakeServer


class FakePages(FakeServer):
    """`answers` is JSON by path, or a status in its place, or what gives it by the query; who does not send all of `headers` is
    answered 401. At `searches` questions are asked by POST.

    `asked` is every path that was asked for, `written` every other request that was no GET.
    """

    def __init__(self, headers: Mapping[str, str], answers: Mapping[str, Any], searches: Collection[str] = ()) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []
        self.written: list[tuple[str, str]] = []
        self._headers, self._searches = headers, searches
        app = Flask(__name__)
        super().__init__(app)
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        app.add_url_rule("/<path:_>", "all", lambda _: self._answer(), methods=methods)

    def _answer(self) -> Response | tuple[Response, int]:
        self.asked.append(request.path)
        if request.method != "GET" and request.path not in self._searches:
            self.written.append((request.method, request.path))
            return jsonify(message="this stand-in can be asked only"), 405
        if any(request.headers.get(name) != value for name, value in self._headers.items()):
            return jsonify(message="Bad credentials"), 401
        answer = self.answers.get(request.path, 404)
        if callable(answer):
            answer = answer(request.args)
        if isinstance(answer, int):
            return jsonify(message="Not Found" if answer == 404 else "Forbidden"), answer
        return jsonify(answer)
