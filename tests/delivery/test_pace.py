"""How fast a target is called: evenly, no more often than configured, and not at all while it says so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from flask import Flask, Response

from receiver.delivery.targets import Refused, Unreachable
from receiver.delivery.targets import http as room
from receiver.delivery.targets.http import Api, Pace
from tests.fakes.faults import FakeServer

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


class Clock:
    """Time passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(room, "monotonic", clock.monotonic)
    monkeypatch.setattr(room, "sleep", clock.sleep)
    return clock


def answer(status: int, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update({"Date": format_datetime(NOW, usegmt=True)} | {k.replace("_", "-"): v for k, v in headers.items()})
    return response


def test_calls_are_spread_evenly_over_the_minute(clock: Clock) -> None:
    pace = Pace(per_minute=30)
    for _ in range(4):
        pace.wait("desk")
    assert clock.slept == [0, 2, 2, 2]


def test_who_would_wait_for_long_gives_up_before_the_call(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "sleep", clock.slept.append)  # others, who wait at the same time
    pace = Pace(per_minute=6)
    pace.wait("desk")
    pace.wait("desk")  # one turn is always waited for: else what needs two calls would never be done
    with pytest.raises(Unreachable, match=r"^desk: not called for 20 s, for our own limit of calls in a minute$") as raised:
        pace.wait("desk")
    assert raised.value.retry_after == timedelta(seconds=20)
    assert clock.slept == [0, 10]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (answer(429, Retry_After="90"), 90),
        (answer(503, Retry_After="90"), 90),
        (answer(403, Retry_After="90"), 90),
        (answer(429), None),
        (answer(500, Retry_After="90"), None),
        (answer(200, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(NOW.timestamp()) + 60)), 60),
        (answer(200, X_RateLimit_Remaining="0", X_RateLimit_Reset="2026-11-22T03:01Z"), 60),
        (answer(200, RateLimit_Remaining="0", RateLimit_Reset="60"), 60),
        (answer(200, X_RateLimit_Remaining="1", X_RateLimit_Reset=str(int(NOW.timestamp()) + 60)), None),
        (answer(200, X_RateLimit_Remaining="0", X_RateLimit_Reset="soon"), None),
        (answer(200, X_RateLimit_Remaining="0"), None),
    ],
)
def test_what_the_other_side_says_of_its_limits_is_heeded(clock: Clock, said: requests.Response, seconds: int | None) -> None:
    pace = Pace()
    pace.heed(said)
    if seconds is None:
        pace.wait("desk")
        return
    with pytest.raises(Unreachable, match=rf"^desk: not called for {seconds} s, as it asked for$"):
        pace.wait("desk")
    clock.now += seconds
    pace.wait("desk")


class Limited(FakeServer):
    """Answers as it is told."""

    def __init__(self, **headers: str) -> None:
        app = Flask(__name__)
        super().__init__(app)
        self.asked = 0

        def view(**_: Any) -> Response:
            self.asked += 1
            return Response("{}", 403, headers, mimetype="application/json")

        app.add_url_rule("/x", view_func=view)


@pytest.fixture(params=[{"Retry-After": "60"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, {}], ids=str)
def limited(request: pytest.FixtureRequest) -> Iterator[Limited]:
    with Limited(**request.param) as server:
        yield server


def test_403_means_come_again_only_where_it_is_for_a_limit(limited: Limited, request: pytest.FixtureRequest) -> None:
    api = Api("desk", limited.url, "secret", 10, {})
    is_limit = "{}" not in request.node.name
    with pytest.raises(Unreachable if is_limit else Refused, match=r"^desk: answered 403"):
        api.call("GET", "/x", dict[str, str])
    if is_limit:
        with pytest.raises(Unreachable, match="not called"):
            api.call("GET", "/x", dict[str, str])
        assert limited.asked == 1
