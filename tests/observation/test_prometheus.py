"""Questions to a real Prometheus over history loaded to the second, and to servers that misbehave."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import FunctionType
from typing import Any

import pytest
from flask import Flask, Response, request
from werkzeug.serving import make_server

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import UserInputs
from receiver.cli.live import check, in_words
from receiver.model import Alert
from receiver.observation import users
from receiver.observation.failure_start import Asked
from receiver.observation.prometheus import Prometheus, QueryFailed, any_of, quoted
from receiver.settings import AuthenticationSettings, PrometheusSettings, Settings
from tests import backfilled
from tests.observation.starts import find_starts

NOW = int(time.time()) // 15 * 15
# other tests may run for long before these: what is of now then is still to be seen
LOOKBACK = "--query.lookback-delta=2h"
HOSTILE = 'x"}) or vector(1) #\\ \n.*|core-1'
ODD = ["plain", "x", 'quo"te', "back\\slash", "new\nline", "a.b*c", "aXbbc", "日本", "{}[]()|^$+?", "a|b", ".*", "$1", "#"]
HOUR, STEP = 3600, 15
START = datetime.fromtimestamp(NOW, UTC)

VOICE = Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',))
DATA = Service(name="data", kind="internet_access", match=('service="data"',))
OWN = Service(
    name="own",
    kind="internet_access",
    match=('service="own"',),
    equipment_label="box",
    users=UserInputs(
        unable="sum by (box) (own_failed_sessions)", under_equipment="own_subscribers", equipment_up="min by (box) (own_up)"
    ),
)
IP_PHONE = Service(name="ip-phone", kind="voice", emergency_calls=False, match=('service="ip-phone"',))
CATALOGUE = Catalogue((VOICE, DATA, OWN, IP_PHONE))
SETTINGS = Settings(prometheus=PrometheusSettings(url="http://prometheus.example"), authentication=AuthenticationSettings())


EMERGENCY: dict[str, tuple[int, float | None, str, int]] = {
    # equipment with 50,000 voice users: whether it works, share of calls lost, and the users hit by which method
    "ev-1": (0, None, "emergency_all_under_equipment", 50_000),
    "ev-2": (1, 0.7, "emergency_call_loss", 35_000),
    "ev-3": (1, 0.6, "emergency_call_loss", 30_000),
    "ev-4": (1, 0.5, "emergency_call_loss", 25_000),
    "ev-5": (1, None, "emergency_all_under_equipment", 50_000),
    "spared": (0, 0.9, "direct", 3),
}


def history() -> str:
    """OpenMetrics text: what each equipment did up to NOW."""

    def states(*failed: tuple[int, int]) -> list[tuple[int, int]]:
        """1, but 0 in the stretches given in seconds before NOW."""
        times = range(NOW - 3 * HOUR, NOW + 1, STEP)
        return [(at, 0 if any(NOW - begin <= at <= NOW - end for begin, end in failed) else 1) for at in times]

    series = {
        "art58:equipment_up": {
            '{equipment="core-1"}': states((3000, 0)),
            '{equipment="flapping"}': states((6000, 4500), (3000, 0)),
            '{equipment="repaired"}': states((3000, 1500)),
            '{equipment="always-down"}': states((3 * HOUR, 0)),
            f"{{equipment={quoted(HOSTILE)}}}": states((1500, 0)),
            **{f'{{equipment="{name}"}}': [(NOW, up)] for name, (up, *_) in EMERGENCY.items()},
        },
        "art58:call_loss_ratio": {
            f'{{service="voice",equipment="{name}"}}': [(NOW, lost)]
            for name, (_, lost, *_) in EMERGENCY.items()
            if lost is not None
        },
        "art58:calls_usual": {'{service="ip-phone",equipment="kddi"}': [(NOW, 10_000_000)]},
        "art58:calls": {'{service="ip-phone",equipment="kddi"}': [(NOW, 6_000_000)]},
        "art58:calls_per_person": {'{service="ip-phone",equipment="kddi"}': [(NOW, 2)]},
        "art58:registrations_usual": {'{service="ip-phone",equipment="okinawa"}': [(NOW, 400_000)]},
        "art58:registrations": {'{service="ip-phone",equipment="okinawa"}': [(NOW, 300_000)]},
        "art58:emergency_calls_affected": {'{service="voice",equipment="spared"}': [(NOW, 0)]},
        "two_up": {
            '{equipment="pair",prefecture="tokyo"}': states((2400, 0)),
            '{equipment="pair",prefecture="osaka"}': states((900, 600)),
        },
        "own_up": {'{box="b1",port="1"}': states((1200, 0)), '{box="b1",port="2"}': states()},
        "art58:users_under_equipment": {
            '{service="voice",equipment="core-1",unit="line"}': [(NOW, 70_000)],
            '{service="data",equipment="core-1",unit="line"}': [(NOW, 90_000)],
            '{service="data",equipment="unmeasured",unit="line"}': [(NOW, 80_000)],
            f'{{service="voice",equipment={quoted(HOSTILE)},unit="line"}}': [(NOW, 7)],
            **{f'{{service="voice",equipment="{name}",unit="line"}}': [(NOW, 50_000)] for name in EMERGENCY},
        },
        "art58:users_unable": {
            '{service="voice",equipment="spared",unit="line"}': [(NOW, 3)],
            '{service="data",equipment="core-1",unit="line",prefecture="tokyo"}': [(NOW, 20_000)],
            '{service="data",equipment="core-1",unit="line",prefecture="osaka"}': [(NOW, 10_000)],
            '{service="data",equipment="core-2",unit="line"}': [(NOW, float("nan"))],
        },
        "odd": {f"{{name={quoted(name)}}}": [(NOW, 1)] for name in ODD},
        "own_failed_sessions": {'{box="b1",port="1"}': [(NOW, 40)], '{box="b1",port="2"}': [(NOW, 2)]},
        "own_subscribers": {'{box="b1"}': [(NOW, 500)]},
    }
    lines = []
    for name, kinds in series.items():
        lines.append(f"# TYPE {name} gauge")
        lines += [f"{name}{labels} {value} {at}" for labels, points in kinds.items() for at, value in points]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with backfilled.prometheus(tmp_path_factory.mktemp("history"), history(), LOOKBACK) as client:
        yield client


def down(equipment: str | None, minutes_ago: float = 0, label: str = "equipment", expression: str | None = None) -> Asked:
    """An incident whose alert began so long ago."""
    starts_at = datetime.fromtimestamp(NOW, UTC) - timedelta(minutes=minutes_ago)
    alert = Alert("alertmanager", "f", starts_at, None, {"alertname": "Down"}, {}, "")
    return Asked("inc", equipment, label, expression, (alert,))


def seconds_ago(moment: datetime | None) -> float | None:
    return None if moment is None else NOW - moment.timestamp()


@pytest.mark.parametrize(
    ("asked", "began", "good"),
    [
        (down("core-1"), 3000, 3015),
        (down("core-1", 30), 3000, 3015),
        (down("flapping"), 3000, 3015),
        (down("flapping", 90), 6000, 6015),
        (down("repaired", 40), 3000, 3015),
        (down(HOSTILE), 1500, 1515),
        (down("b1", label="box", expression="min by (box) (own_up)"), 1200, 1215),
        (down("b1", label="box", expression='own_up{port="1"}'), 1200, 1215),
        (down("b1", label="box", expression='own_up{port="1"} or own_up{port="9"}'), 1200, 1215),
        (down("b1", label="box", expression='own_up{port="1"} # the uplink'), 1200, 1215),
        (down("pair", expression="two_up"), 2400, 2415),
        (down("core-1", -60), 3000, 3015),
    ],
    ids=[
        "plain",
        "asked late",
        "second failure",
        "first failure",
        "repaired since",
        "hostile name",
        "any PromQL",
        "own selector",
        "two selectors",
        "with a comment",
        "two series of one equipment",
        "an alert that starts in the future",
    ],
)
def test_the_start_is_the_first_bad_sample_after_the_last_good_one(real: Prometheus, asked: Asked, began: int, good: int) -> None:
    start = find_starts(real, [asked], datetime.now(UTC))["inc"]
    assert start.basis == "equipment_series"
    # a subquery looks at its own steps, so it may be one step late
    assert began - STEP <= NOW - start.at.timestamp() <= began
    assert seconds_ago(start.good_at) is not None
    assert good - STEP <= NOW - start.good_at.timestamp() <= good + STEP if start.good_at else False


def test_equipment_never_seen_working_failed_at_its_first_sample_at_the_latest(real: Prometheus) -> None:
    start = find_starts(real, [down("always-down")], datetime.now(UTC))["inc"]
    assert (seconds_ago(start.at), start.good_at) == (3 * HOUR, None)


@pytest.mark.parametrize("asked", [down("repaired"), down("unknown"), down(None)], ids=["works", "no series", "not named"])
def test_without_evidence_the_alert_itself_is_the_start(real: Prometheus, asked: Asked) -> None:
    start = find_starts(real, [asked], datetime.now(UTC))["inc"]
    assert (start.basis, start.at) == ("starts_at", asked.known_by)


def test_users_are_read_per_service_and_equipment_from_one_query_per_series(real: Prometheus) -> None:
    observed = users.observe(real, CATALOGUE, {"voice": {"core-1"}, "data": {"core-1"}})
    assert observed["voice"].answers["unable"].reading("core-1") is None
    under = observed["voice"].answers["under_equipment"].reading("core-1")
    assert under is not None
    assert under.query == 'art58:users_under_equipment{service="voice",equipment="core-1"}'
    assert [sample.value for sample in real.instant(under.query)] == [70_000]
    assert (under.users, under.unit, seconds_ago(under.at)) == (70_000, "line", pytest.approx(0, abs=7200))
    unable = observed["data"].answers["unable"].reading("core-1")
    assert unable is not None
    assert unable.users == 30_000  # parts of one equipment


def test_no_label_value_reaches_promql_unescaped(real: Prometheus) -> None:
    observed = users.observe(real, CATALOGUE, {"voice": {HOSTILE}})
    under = observed["voice"].answers["under_equipment"]
    assert under.problem is None
    assert under.by_equipment.keys() == {HOSTILE}


def test_check_live_says_what_would_count_and_what_is_missing(real: Prometheus) -> None:
    voice, data, own, ip_phone = check(real, CATALOGUE, SETTINGS, datetime.now(UTC))
    assert (voice.equipment, voice.method, voice.users, voice.unit, voice.good) == (
        "core-1",
        "emergency_all_under_equipment",
        70_000,
        "line",
        True,
    )
    assert voice.missing == {"emergency_call_loss": ("art58:call_loss_ratio",)}
    assert [asked.question for asked in voice.asked][:3] == ["under_equipment", "equipment_up", "call_loss_ratio"]
    assert all(asked.age_seconds is None or 0 <= asked.age_seconds < 7200 for asked in voice.asked)
    assert (data.method, data.good, own.users) == ("direct", False, 42)  # one of its numbers is no number
    assert ["nan" in (asked.problem or "") for asked in data.asked if asked.question == "unable"] == [True]
    assert (ip_phone.equipment, ip_phone.method, ip_phone.users) == (None, "call_shortfall", 2_000_000)
    assert in_words(voice).splitlines()[0] == "voice: 70,000 line under or at core-1 by emergency_all_under_equipment"
    assert "  for emergency_call_loss: art58:call_loss_ratio would be needed" in in_words(voice)
    assert in_words(ip_phone).startswith("ip-phone: 2,000,000 users under or at the service by call_shortfall")


def test_own_promql_is_joined_by_the_equipment_label(real: Prometheus) -> None:
    observed = users.observe(real, CATALOGUE, {"own": {"b1"}})["own"]
    assert [
        reading and reading.users
        for reading in (observed.answers["unable"].reading("b1"), observed.answers["under_equipment"].reading("b1"))
    ] == [
        42,
        500,
    ]


def test_what_is_no_number_of_users_is_a_problem_and_not_a_count(real: Prometheus) -> None:
    answer = users.observe(real, CATALOGUE, {"data": {"core-2"}})["data"].answers["unable"]
    assert answer.by_equipment == {}
    assert answer.problem is not None
    assert "nan" in answer.problem
    assert "core-2" in answer.problem


def test_wrong_promql_says_so(real: Prometheus) -> None:
    with pytest.raises(QueryFailed, match="parse error"):
        real.instant("sum(")
    with pytest.raises(QueryFailed, match="needed is a vector"):
        real.instant("1 + 1")


@pytest.mark.parametrize("value", ODD)
def test_a_pattern_fits_just_its_value(real: Prometheus, value: str) -> None:
    found = real.instant(f"odd{{name=~{any_of([value])}}}")
    assert [sample.labels["name"] for sample in found] == [value]
    assert [sample.labels for sample in real.instant(f"odd{{name={quoted(value)}}}")] == [sample.labels for sample in found]


def test_a_pattern_fits_each_of_its_values(real: Prometheus) -> None:
    assert {sample.labels["name"] for sample in real.instant(f"odd{{name=~{any_of(ODD)}}}")} == set(ODD)


@contextmanager
def misbehaving(answer: Any) -> Iterator[tuple[Prometheus, list[str]]]:
    """A server that answers every query with this Flask response; the methods and paths it was asked."""
    app, asked = Flask(__name__), []

    @app.route("/api/v1/query", methods=["GET", "POST"])
    def query() -> Any:
        asked.append(f"{request.method} {request.full_path.rstrip('?')} {request.form['query']}")
        return answer() if isinstance(answer, FunctionType) else answer

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    client = Prometheus(PrometheusSettings(url=f"http://127.0.0.1:{server.server_port}", timeout_seconds=0.5))
    try:
        yield client, asked
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()


def vector(*samples: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(samples)}, **more}


def test_a_query_is_form_encoded_post_so_that_long_ones_are_not_cut_off() -> None:
    with misbehaving(vector()) as (client, asked):
        client.instant("x" * 20_000)
    assert asked == [f"POST /api/v1/query {'x' * 20_000}"]


def test_a_partial_answer_is_no_answer() -> None:
    with misbehaving(vector(warnings=["one store is down"])) as (client, _), pytest.raises(QueryFailed, match="in part: one store"):
        client.instant("up")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Response("<html>Bad gateway", 502), "502 with something else"),
        (Response('{"status":"error","error":"query timed out"}', 503), "503: query timed out"),
        (Response("[]", 200), "200 with something else"),
        (Response("{}", 200), "200 with something else"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "x"]}]}}, "no numbers"),
        ({"status": "success", "data": None}, "answered 200"),
    ],
)
def test_every_bad_answer_is_told_as_a_failed_query(answer: Any, says: str) -> None:
    with misbehaving(answer) as (client, _), pytest.raises(QueryFailed, match=says):
        client.instant("up")


def test_a_slow_server_costs_no_more_than_the_time_out() -> None:
    gate = threading.Event()

    def slow() -> Any:
        gate.wait(5)
        return vector()

    began = time.monotonic()
    with misbehaving(slow) as (client, _):
        with pytest.raises(QueryFailed, match=r"within 0\.5 s"):
            client.instant("up")
        assert time.monotonic() - began < 3
        gate.set()


def test_a_server_that_drips_costs_no_more_than_the_time_out() -> None:
    gate = threading.Event()

    def drip() -> Any:
        def body() -> Iterator[bytes]:
            while not gate.wait(0.1):
                yield b" "

        return Response(body())

    began = time.monotonic()
    with misbehaving(drip) as (client, _):
        with pytest.raises(QueryFailed, match=r"within 0\.5 s"):
            client.instant("up")
        assert time.monotonic() - began < 2
        gate.set()


def test_after_one_time_out_the_rest_of_the_tick_asks_no_more() -> None:
    gate = threading.Event()

    def slow_at_first() -> Any:
        gate.wait(5)
        return vector()

    with misbehaving(slow_at_first) as (client, asked):
        for _ in range(100):
            with pytest.raises(QueryFailed, match=r"within 0\.5 s"):
                client.instant("up")
        assert len(asked) == 1
        gate.set()
        client.begin()
        assert client.instant("up") == []


def test_a_dead_server_is_told_at_once() -> None:
    client = Prometheus(PrometheusSettings(url="http://127.0.0.1:9"))
    began = time.monotonic()
    with pytest.raises(QueryFailed, match="cannot be reached"):
        client.instant("up")
    assert time.monotonic() - began < 1
    client.close()
