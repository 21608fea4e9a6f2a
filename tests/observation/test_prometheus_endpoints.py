"""Several addresses of one set of data: the next is asked where one gives no whole answer. What each is sent, TLS, clocks, huge
answers; and VictoriaMetrics as the second address of a real Prometheus.
"""

import gzip
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Self

import pytest
from flask import Flask, Response, request
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from werkzeug.serving import WSGIRequestHandler, make_server

from examples import peers
from receiver.observation.history import SLOT
from receiver.observation.prometheus import CLOCK_OFFSET, Prometheus, QueryFailed, any_of, narrowed, quoted
from receiver.settings import BasicUser, PrometheusSettings, SecretRef, TlsSettings
from tests.programs import PEERS, ROOT

VICTORIA = ROOT / ".peers" / "tools-root" / "bin" / "victoria-metrics"
DEAD = "http://127.0.0.1:9"
NOW = int(time.time()) // 15 * 15
# Prometheus counts the first instant of a range in, VictoriaMetrics does not: nothing may change just there
NOW -= 15 * (NOW % 300 == 15)
# other tests may run for long before these: what is of now then is still to be seen
LOOKBACK = "--query.lookback-delta=2h"
ODD = ['quo"te', "back\\slash", "new\nline", "日本", "{}[]()|^$+?", "a|b", '"}) or vector(1) #', "🚧", "‮rtl", "x" * 10_000]

Answer = Callable[[], Any]


class Endpoint:
    """An address that answers every query so; the headers of what it was asked."""

    def __init__(self, answer: Any, tls: ssl.SSLContext | None = None, date: str | None = None) -> None:
        class Dated(WSGIRequestHandler):
            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(timestamp) if date is None else date

        self.asked: list[dict[str, str]] = []
        self.forms: list[tuple[str, dict[str, str]]] = []
        app = Flask(__name__)

        @app.post("/api/v1/query")
        @app.post("/api/v1/query_range")
        def query() -> Any:
            self.asked.append(dict(request.headers))
            self.forms.append((request.path, request.form.to_dict()))
            return answer() if callable(answer) and not isinstance(answer, Response) else answer

        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Dated, ssl_context=tls)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def client(stack: ExitStack, *addresses: str, **more: Any) -> Prometheus:
    url, *also = addresses
    # on a busy machine an answer takes its time, after which the next address would be asked
    prometheus = Prometheus(PrometheusSettings(url=url, also=tuple(also), **({"timeout_seconds": 10} | more)))
    stack.callback(prometheus.close)
    return prometheus


def vector(value: int = 1, **more: Any) -> dict[str, Any]:
    # ahead, for an answer that is old is none, and other tests may run before this one
    sample = {"metric": {}, "value": [NOW + 7200, str(value)]}
    return {"status": "success", "data": {"resultType": "vector", "result": [sample]}, **more}


def values(prometheus: Prometheus) -> list[float]:
    return [sample.value for sample in prometheus.instant("up")]


def up(address: str) -> float | None:
    return REGISTRY.get_sample_value("art58_prometheus_up", {"endpoint": address})


NO_WHOLE_ANSWER: dict[str, tuple[Any, str]] = {
    "503": (Response('{"status":"error","error":"query timed out"}', 503), "503: query timed out"),
    "bad gateway": (Response("<html>", 502), "502 with something else"),
    "log-in page": (Response("<html>", 200), "200 with something else"),
    "redirect": (Response(status=302, headers={"Location": "/login"}), "302 with something else"),
    "refused": (Response('{"status":"error","error":"no org id"}', 401), "401: no org id"),
    "too many requests": (Response('{"status":"error","error":"slow down"}', 429), "429: slow down"),
    "warnings of Thanos": (vector(2, warnings=["no StoreAPIs matched"]), "in part: no StoreAPIs matched"),
    "partial by VictoriaMetrics": (vector(2, isPartial=True), "in part: a storage node did not answer"),
    "warnings of a remote read": (
        vector(
            2, warnings=["PromQL info: not a counter?", "remote_read: server returned HTTP status 500"], infos=["PromQL info: …"]
        ),
        "in part: remote_read: server returned HTTP status 500; PromQL info: not a counter?; PromQL info: …",
    ),
    "warnings cut off": (
        vector(2, warnings=["PromQL warning: quantile", "3 more warning annotations omitted"]),
        "in part: 3 more warning annotations omitted; PromQL warning: quantile",
    ),
    "warnings beside an error": (
        Response('{"status":"error","error":"timed out","warnings":["store 10.0.0.7 is slow"]}', 503),
        "503: timed out; store 10.0.0.7 is slow",
    ),
}


@pytest.mark.parametrize(("answer", "why"), NO_WHOLE_ANSWER.values(), ids=NO_WHOLE_ANSWER)
def test_where_one_address_gives_no_whole_answer_the_next_is_asked(stack: ExitStack, answer: Any, why: str) -> None:
    bad, good = stack.enter_context(Endpoint(answer)), stack.enter_context(Endpoint(vector(7)))
    prometheus = client(stack, bad.url, good.url)
    assert values(prometheus) == [7]
    assert (up(bad.url), up(good.url)) == (0, 1)
    with pytest.raises(QueryFailed, match=f"^Prometheus answered {re.escape(why)}"):
        values(client(stack, bad.url))


def test_an_address_that_cannot_be_reached_gives_way_to_the_next_and_is_not_asked_again_in_this_tick(stack: ExitStack) -> None:
    gate = threading.Event()

    def slow_at_first() -> Any:
        gate.wait(5)
        return vector(1)

    first, second = stack.enter_context(Endpoint(slow_at_first)), stack.enter_context(Endpoint(vector(2)))
    stack.callback(gate.set)
    prometheus = client(stack, DEAD, first.url, second.url, timeout_seconds=0.5)
    assert [values(prometheus) for _ in range(20)] == [[2]] * 20
    assert (len(first.asked), len(second.asked)) == (1, 20)
    gate.set()
    prometheus.begin()
    assert values(prometheus) == [1]
    assert (up(DEAD), up(first.url)) == (0, 1)


def test_the_first_address_that_works_is_the_only_one_asked(stack: ExitStack) -> None:
    first, second = stack.enter_context(Endpoint(vector(1))), stack.enter_context(Endpoint(vector(2)))
    assert values(client(stack, first.url, second.url)) == [1]
    assert second.asked == []


@pytest.mark.parametrize("status", [400, 422])
def test_what_is_wrong_with_the_query_is_not_asked_of_others(stack: ExitStack, status: int) -> None:
    wrong = Response('{"status":"error","error":"parse error"}', status)
    first, second = stack.enter_context(Endpoint(wrong)), stack.enter_context(Endpoint(vector(2)))
    with pytest.raises(QueryFailed, match=f"^Prometheus answered {status}: parse error$"):
        values(client(stack, first.url, second.url))
    assert second.asked == []


def test_where_none_gives_a_whole_answer_each_is_told_with_its_reason(stack: ExitStack) -> None:
    partial = stack.enter_context(Endpoint(vector(warnings=["one store is down"])))
    with pytest.raises(QueryFailed) as failed:
        values(client(stack, DEAD, partial.url))
    dead = f"{DEAD}: Prometheus cannot be reached (ConnectionError)"
    assert str(failed.value) == f"{dead}; {partial.url}: Prometheus answered in part: one store is down"


@pytest.mark.parametrize(
    "more",
    [
        {"infos": ["PromQL info: …"]},
        {"warnings": ["PromQL info: metric might not be a counter"]},
        {"warnings": ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:67)"]},
        {"warnings": None},
        {"isPartial": False},
    ],
)
def test_a_remark_on_the_query_makes_no_answer_partial(stack: ExitStack, more: dict[str, Any]) -> None:
    assert values(client(stack, stack.enter_context(Endpoint(vector(3, **more))).url)) == [3]


def test_remarks_are_told_once_each_where_people_look(stack: ExitStack) -> None:
    remarks = {"warnings": ["PromQL warning: bucket label is missing"], "infos": ["PromQL info: not\na counter?"]}
    endpoint = stack.enter_context(Endpoint(vector(3, **remarks)))
    prometheus = client(stack, endpoint.url)
    with capture_logs() as logs:
        assert [values(prometheus) for _ in range(3)] == [[3]] * 3
    (told,) = logs
    assert told["warnings"] == ("PromQL info: not a counter?", "PromQL warning: bucket label is missing")
    assert (told["query"], told["prometheus"], told["log_level"]) == ("up", endpoint.url, "warning")


SINCE, UNTIL = datetime.fromtimestamp(NOW - 3600, UTC), datetime.fromtimestamp(NOW, UTC)


def matrix(*values: str, **more: Any) -> dict[str, Any]:
    series = {"metric": {"equipment": "a"}, "values": [[NOW - 3600 + 60 * step, value] for step, value in enumerate(values)]}
    return {"status": "success", "data": {"resultType": "matrix", "result": [series]}, **more}


def test_a_range_is_asked_as_a_form_with_its_steps(stack: ExitStack) -> None:
    endpoint = stack.enter_context(Endpoint(matrix("1", "NaN", "2.5")))
    (series,) = client(stack, endpoint.url).over("sum(x)", SINCE, UNTIL, timedelta(minutes=1))
    assert series.labels == {"equipment": "a"}
    assert [at for at, _ in series.points] == [NOW - 3600, NOW - 3540, NOW - 3480]
    assert [str(value) for _, value in series.points] == ["1.0", "nan", "2.5"]
    times = {"start": f"{NOW - 3600}.000", "end": f"{NOW}.000", "step": "60.000"}
    assert endpoint.forms == [("/api/v1/query_range", {"query": "sum(x)", "timeout": "10", **times})]
    assert endpoint.asked[0]["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("answer", "why"), NO_WHOLE_ANSWER.values(), ids=NO_WHOLE_ANSWER)
def test_where_one_address_gives_no_whole_range_the_next_is_asked(stack: ExitStack, answer: Any, why: str) -> None:
    bad, good = stack.enter_context(Endpoint(answer)), stack.enter_context(Endpoint(matrix("7")))
    (series,) = client(stack, bad.url, good.url).over("x", SINCE, UNTIL, timedelta(minutes=1))
    assert series.points == [(NOW - 3600, 7)]
    with pytest.raises(QueryFailed, match=f"^Prometheus answered {re.escape(why)}"):
        client(stack, bad.url).over("x", SINCE, UNTIL, timedelta(minutes=1))


@pytest.mark.parametrize(("answer", "why"), [(vector(), "gives a vector"), (matrix("x"), "no numbers")])
def test_a_range_with_another_type_or_no_numbers_is_a_failed_query(stack: ExitStack, answer: Any, why: str) -> None:
    with pytest.raises(QueryFailed, match=why):
        client(stack, stack.enter_context(Endpoint(answer)).url).over("x", SINCE, UNTIL, timedelta(minutes=1))


def test_every_address_gets_the_headers_and_the_token(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t0ken")
    first, second = stack.enter_context(Endpoint(Response(status=503))), stack.enter_context(Endpoint(vector()))
    sent = {"X-Scope-OrgID": "tenant-1|tenant-2", "THANOS-TENANT": "carrier"}
    values(client(stack, first.url, second.url, headers=sent, bearer_token=SecretRef(env="TOKEN")))
    for (asked,) in (first.asked, second.asked):
        headers = {name.lower(): value for name, value in asked.items()}
        assert headers["x-scope-orgid"] == "tenant-1|tenant-2"
        assert headers["thanos-tenant"] == "carrier"
        assert headers["authorization"] == "Bearer t0ken"
        assert headers["content-type"] == "application/x-www-form-urlencoded"


def test_user_and_password_are_sent_as_utf_8_and_netrc_is_never_read(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("PASSWORD", "pass:word")
    endpoint = stack.enter_context(Endpoint(vector()))
    values(client(stack, endpoint.url, basic=BasicUser("監視", SecretRef(env="PASSWORD"))))
    values(client(stack, endpoint.url))
    assert [asked.get("Authorization") for asked in endpoint.asked] == ["Basic 55uj6KaWOnBhc3M6d29yZA==", None]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a server's and a client's certificate by it."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=art58 test authority")
    for name in ("server", "client"):
        openssl(
            *["req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"],
            *["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1"],
            *["-addext", "basicConstraints=critical,CA:FALSE"],
        )
    return folder


def served(certificates: Path, *, asks_for_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    if asks_for_certificate:
        context.load_verify_locations(certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_an_authority_of_ones_own_is_trusted_whatever_the_environment_names(
    stack: ExitStack, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ssl.get_default_verify_paths().openssl_cafile)
    endpoint = stack.enter_context(Endpoint(vector(5), served(certificates)))
    assert values(client(stack, endpoint.url, tls=TlsSettings(ca_file=str(certificates / "ca.pem")))) == [5]


def test_an_address_with_an_unknown_certificate_is_not_asked_and_the_reason_told(stack: ExitStack, certificates: Path) -> None:
    endpoint = stack.enter_context(Endpoint(vector(5), served(certificates)))
    with pytest.raises(QueryFailed, match=r"TLS .*certificate verify failed: .*certificate.*\): check prometheus\.tls$"):
        values(client(stack, endpoint.url))
    assert endpoint.asked == []


def test_a_client_certificate_is_shown_where_one_is_asked_for(stack: ExitStack, certificates: Path) -> None:
    endpoint = stack.enter_context(Endpoint(vector(5), served(certificates, asks_for_certificate=True)))
    ca, cert, key = (str(certificates / name) for name in ("ca.pem", "client.pem", "client.key"))
    assert values(client(stack, endpoint.url, tls=TlsSettings(ca, cert, key))) == [5]
    with pytest.raises(QueryFailed):
        values(client(stack, endpoint.url, tls=TlsSettings(ca)))


def test_a_certificate_file_gone_while_running_is_a_failed_query_and_no_crash(stack: ExitStack, certificates: Path) -> None:
    endpoint = stack.enter_context(Endpoint(vector(5), served(certificates)))
    with pytest.raises(QueryFailed, match=r"cannot be reached \(OSError\)"):
        values(client(stack, endpoint.url, tls=TlsSettings(str(certificates / "gone.pem"))))


MIB = 1024 * 1024
SPACES = b" " * (65 * MIB)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response(SPACES[at : at + MIB] for at in range(0, len(SPACES), MIB)),
        lambda: Response(gzip.compress(SPACES, 1), headers={"Content-Encoding": "gzip"}),
    ],
    ids=["plain", "compressed"],
)
def test_a_huge_answer_is_refused_with_what_to_do(stack: ExitStack, answer: Answer) -> None:
    first, second = stack.enter_context(Endpoint(answer)), stack.enter_context(Endpoint(vector()))
    prometheus = Prometheus(PrometheusSettings(url=first.url, also=(second.url,), timeout_seconds=20))
    stack.callback(prometheus.close)
    with pytest.raises(QueryFailed, match="more than 64 MiB: give the query fewer series"):
        values(prometheus)
    assert second.asked == []  # the same data would be as huge there


def offset(address: str) -> float | None:
    return REGISTRY.get_sample_value("art58_prometheus_clock_offset_seconds", {"endpoint": address})


@pytest.mark.parametrize("ahead", [-3600, 0, 45], ids=["behind", "right", "ahead"])
def test_the_clock_of_each_address_is_compared_with_ours_and_a_difference_told_once(stack: ExitStack, ahead: int) -> None:
    endpoint = stack.enter_context(
        Endpoint(vector(), date=format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True))
    )
    prometheus = client(stack, endpoint.url)
    with capture_logs() as logs:
        for _ in range(3):
            assert values(prometheus) == [1]  # the answer counts all the same
    assert offset(endpoint.url) == pytest.approx(ahead, abs=2)
    told = [(line["prometheus"], line["ahead_of_ours_seconds"]) for line in logs]
    assert told == ([(endpoint.url, pytest.approx(ahead, abs=2))] if ahead else [])


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 01 Jan 2026 00:00:00 +99999999999999999"])
def test_an_address_that_tells_no_time_is_asked_like_any_other(stack: ExitStack, date: str) -> None:
    CLOCK_OFFSET.clear()  # another test's server may have had this port
    endpoint = stack.enter_context(Endpoint(vector(), date=date))
    assert values(client(stack, endpoint.url)) == [1]
    assert offset(endpoint.url) is None


def history() -> list[tuple[str, int, int]]:
    """Series, value and time of each sample: equipment that failed 1,500 s ago, and names meant to break out of a query."""
    working = [('art58:equipment_up{equipment="olt-1"}', 1 if NOW - at > 1500 else 0, at) for at in range(NOW - 3600, NOW + 1, 15)]
    return working + [(f"odd{{name={quoted(name)}}}", number, NOW) for number, name in enumerate(ODD)]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    lines = [f"{series} {value} {at}" for series, value, at in sorted(history(), key=lambda sample: sample[0])]
    (folder / "history.txt").write_text("\n".join([*lines, "# EOF", ""]))
    load = [str(PEERS / "promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
    subprocess.run(load, cwd=folder, check=True, capture_output=True)
    with peers.Prometheus(PEERS, folder, {"global": {}}, folder / "data", flags=[LOOKBACK]) as server:
        yield server


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Server]:
    folder, port = tmp_path_factory.mktemp("victoria"), peers.free_port()
    # of itself it leaves out the newest 30 seconds, which the history ends in
    flags = [
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={folder}/data",
        "-search.latencyOffset=0s",
        "-search.maxLookback=2h",
    ]
    with peers.Server("victoria-metrics", [str(VICTORIA), *flags], folder, f"http://127.0.0.1:{port}", "/health") as server:
        lines = "\n".join(f"{series} {value} {at}000" for series, value, at in history())
        peers.fetch(f"{server.url}/api/v1/import/prometheus", body=lines.encode())
        peers.fetch(f"{server.url}/internal/force_flush")
        yield server


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_victoria_metrics_and_prometheus_read_an_escaped_name_alike(
    stack: ExitStack, real: peers.Prometheus, victoria: peers.Server, name: str
) -> None:
    for address in (real.url, victoria.url):
        prometheus = Prometheus(PrometheusSettings(url=address))
        stack.callback(prometheus.close)
        for query in (f"odd{{name={quoted(name)}}}", f"odd{{name=~{any_of([name])}}}"):
            assert [(sample.labels["name"], sample.value) for sample in prometheus.instant(query)] == [(name, ODD.index(name))]


def test_victoria_metrics_steps_in_with_the_same_samples_when_prometheus_is_gone(
    stack: ExitStack, real: peers.Prometheus, victoria: peers.Server
) -> None:
    query = 'art58:equipment_up{equipment="olt-1"}[1h]'

    def points(*addresses: str) -> list[list[tuple[float, float]]]:
        prometheus = Prometheus(PrometheusSettings(url=addresses[0], also=addresses[1:]))
        stack.callback(prometheus.close)
        return [series.points for series in prometheus.raw(query, datetime.fromtimestamp(NOW, UTC))]

    (there,) = points(real.url, victoria.url)
    assert next(at for at, value in there if value == 0) == NOW - 1500
    assert points(DEAD, victoria.url) == points(victoria.url)
    assert set(points(victoria.url)[0]) ^ set(there) <= {(NOW - 3600, 1)}  # one counts the first instant in, one does not


def test_a_range_is_the_same_from_both(stack: ExitStack, real: peers.Prometheus, victoria: peers.Server) -> None:
    until = datetime.fromtimestamp(NOW // 300 * 300 - 600, UTC)
    found = []
    for address in (real.url, victoria.url):
        prometheus = Prometheus(PrometheusSettings(url=address))
        stack.callback(prometheus.close)
        for series in (
            'art58:equipment_up{equipment="olt-1"}',
            narrowed("art58:equipment_up", "equipment", ["olt-1"]),
            narrowed("max by (equipment) (art58:equipment_up)", "equipment", ["olt-1", "a|b"]),
            narrowed("art58:equipment_up{} or odd # all", "equipment", ["olt-1"]),
        ):
            (one,) = prometheus.over(f"max_over_time(({series})[5m:15s])", until - timedelta(minutes=40), until, SLOT)
            found.append(one.points)
    assert len(found[0]) == 9
    assert {value for _, value in found[0]} == {0, 1}
    assert found == found[:1] * 8


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize(
    "expression", ["odd", "odd{ }", 'odd{name!=""}', 'odd{name!="",}', "odd or odd # {}", "max by (name) (odd)"]
)
def test_any_promql_is_narrowed_to_just_the_value(
    stack: ExitStack, real: peers.Prometheus, victoria: peers.Server, expression: str, name: str
) -> None:
    for address in (real.url, victoria.url):
        prometheus = Prometheus(PrometheusSettings(url=address))
        stack.callback(prometheus.close)
        found = prometheus.instant(narrowed(expression, "name", [name]))
        assert [(sample.labels["name"], sample.value) for sample in found] == [(name, ODD.index(name))]


def test_victoria_metrics_says_what_is_wrong_with_a_query(stack: ExitStack, victoria: peers.Server) -> None:
    with pytest.raises(QueryFailed, match=r"^Prometheus answered 422: .*sum\("):
        client(stack, victoria.url).instant("sum(")
