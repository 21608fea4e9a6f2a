"""What the stand-ins for issue trackers share: routes over the address as it was sent, and closed schemas of what they take."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Flask, Response, jsonify, request

from tests.fakes.faults import FakeServer

Check = Callable[[Any], bool]
Answer = Response | tuple[Response, int] | tuple[Response, int, dict[str, str]]


class Route:
    """What is taken at one address: in the query, and as JSON in the body (None: there must be no body)."""

    def __init__(
        self, method: str, path: str, view: Callable[..., Answer], query: Mapping[str, Check], body: Mapping[str, Check] | None
    ) -> None:
        self.method, self.path, self.view = method, re.compile(path), view
        self.query, self.body = query, body


def text(value: Any) -> bool:
    return isinstance(value, str)


def number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def boolean(value: Any) -> bool:
    return isinstance(value, bool)


def texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def numbers(value: Any) -> bool:
    return isinstance(value, list) and all(number(one) for one in value)


def digits(value: Any) -> bool:
    """A number in a query."""
    return isinstance(value, str) and value.isdecimal()


def one_of(*values: Any) -> Check:
    return lambda value: value in values


def or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


class FakeTracker(FakeServer):
    """`requests` is what it was asked and let pass: method, address, JSON."""

    routes: tuple[Route, ...] = ()

    def __init__(self, port: int = 0) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        app = Flask(__name__)
        super().__init__(app, port)
        methods = ["GET", "POST", "PATCH", "PUT", "DELETE"]
        app.add_url_rule("/", "root", lambda: self._dispatch(), methods=methods)
        app.add_url_rule("/<path:_>", "all", lambda _: self._dispatch(), methods=methods)

    def unauthorized(self) -> Answer | None:
        """What is answered to one who may not call at all."""
        raise NotImplementedError

    def no_route(self) -> Answer:
        raise NotImplementedError

    def unknown(self, name: str) -> Answer:
        """To a query parameter or key of the body that the contract does not have."""
        raise NotImplementedError

    def wrong(self, name: str) -> Answer:
        """To a value that the contract does not allow."""
        raise NotImplementedError

    def _dispatch(self) -> Answer:
        refusal = self.unauthorized()
        if refusal:
            return refusal
        address = urlsplit(request.environ["REQUEST_URI"])  # as it was sent: %2F is no slash
        for route in self.routes:
            found = route.path.fullmatch(address.path)
            if found and route.method == request.method:
                return self._checked(route, dict(parse_qsl(address.query, keep_blank_values=True))) or self._work(route, found)
        return self.no_route()

    def _checked(self, route: Route, query: Mapping[str, str]) -> Answer | None:
        body = request.get_json(silent=True) if request.get_data() else None
        if request.get_data() and not (isinstance(body, dict) and request.is_json and route.body is not None):
            return self.wrong("body")
        for given, allowed in ((query, route.query), (body or {}, route.body or {})):
            for name, value in given.items():
                if name not in allowed:
                    return self.unknown(name)
                if not allowed[name](value):
                    return self.wrong(name)
        return None

    def _work(self, route: Route, found: re.Match[str]) -> Answer:
        self.requests.append((request.method, request.environ["REQUEST_URI"], request.get_json(silent=True)))
        return route.view(*found.groups())


def message(status: int, /, **said: Any) -> Answer:
    return jsonify(said), status
