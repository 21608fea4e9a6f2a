"""Prometheus behind one small face: form-encoded POST, a time-out, one retry, the next address where one gives no whole answer,
`warnings` kept, and values a law can be fed with.
"""

import re
import time
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec
import requests
import structlog
from prometheus_api_client import PrometheusConnect
from prometheus_client import Counter, Gauge
from requests.adapters import HTTPAdapter, Retry
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, ReadTimeoutError

from receiver.settings import PrometheusSettings, Secret

MOST_MIB = 64
"""Larger answers are refused: read whole they would take a multiple of that in memory."""
MOST_REMARKS = 1000
"""So many remarks on the PromQL are told; then they are told anew, as after a restart."""
MOST_CLOCK_SECONDS = 30
MOST_AGE_SECONDS = 120
"""An answer is of the server's present: an older one came out of a cache, and is no measurement."""

QUERIES = Counter("art58_queries_total", "Queries to Prometheus by what became of them", ["outcome"])
for _outcome in ("ok", "failed"):
    QUERIES.labels(_outcome)  # there from the start: else the first failure would be no increase
ENDPOINT_UP = Gauge(
    "art58_prometheus_up",
    "Whether the address gave a whole answer when it was last asked (1) or not (0)",
    ["endpoint"],
    multiprocess_mode="livemostrecent",
)
CLOCK_OFFSET = Gauge(
    "art58_prometheus_clock_offset_seconds",
    "How far the clock at the address is ahead of ours, to about a second",
    ["endpoint"],
    multiprocess_mode="livemostrecent",
)

log = structlog.get_logger()


class QueryFailed(Exception):
    """The question got no whole answer: unreachable, too slow, refused or partial. The text is fit for a person's eyes."""


class _NotHere(QueryFailed):
    """The address is at fault, not the question: another one may give the answer."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One series' value at a time (Unix seconds)."""

    labels: dict[str, str]
    at: float
    value: float

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


class Series(msgspec.Struct, frozen=True, gc=False):
    """One series' samples, or its values at the steps asked for (Unix seconds, value), oldest first."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class _Entry(msgspec.Struct, gc=False):
    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""
    warnings: list[str] | None = None
    infos: list[str] | None = None  # Prometheus 3, and Mimir
    is_partial: bool = msgspec.field(default=False, name="isPartial")  # VictoriaMetrics: a storage node did not answer


class Prometheus:
    """The addresses of one set of data, asked in order. Not for several threads at once: requests promises no thread safety."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._timeout = settings.timeout_seconds
        self._addresses = [url.rstrip("/") for url in (settings.url, *settings.also)]
        self._unreachable: dict[str, str] = {}
        self._off: set[str] = set()
        self._told: float | None = None
        self._remarks: set[tuple[str, ...]] = set()
        # the library's own default is three retries with back-off: a dead server would cost six seconds a query
        retry = Retry(total=None, connect=1, read=0, other=0, redirect=0, status=0, backoff_factor=0.1)
        self._client = PrometheusConnect(url=self._addresses[0], retry=retry, timeout=settings.timeout_seconds)
        session = self._client._session
        for address in self._addresses:
            session.mount(address, HTTPAdapter(max_retries=retry))
        session.headers.update(settings.headers)
        # an auth of our own also keeps requests from taking one out of ~/.netrc
        session.auth = _Authorization(settings)
        tls = settings.tls
        # given with each request: the session's own would give way to REQUESTS_CA_BUNDLE
        self._verify = tls.ca_file if tls else None
        self._cert = (tls.cert_file, tls.key_file) if tls and tls.cert_file and tls.key_file else None

    def begin(self) -> None:
        """A new tick: an address that did not answer is asked again. Until then no further query waits for it."""
        self._unreachable.clear()

    def instant(self, query: str) -> list[Sample]:
        """The value of every series of `query` at the server's own present. Raises QueryFailed."""
        entries = self._ask("query", {"query": query}, "vector")
        return [Sample(entry.metric, entry.value[0], float(entry.value[1])) for entry in entries if entry.value]

    def raw(self, query: str, at: datetime) -> list[Series]:
        """The samples of a range selector (`series[1h]`) that ends at `at`. Raises QueryFailed."""
        return _series(self._ask("query", {"query": query, "time": _seconds(at)}, "matrix"))

    def over(self, query: str, since: datetime, until: datetime, step: timedelta) -> list[Series]:
        """The values of `query` at `since` and every `step` after it, up to `until`. Raises QueryFailed."""
        form = {"query": query, "start": _seconds(since), "end": _seconds(until), "step": f"{step.total_seconds():.3f}"}
        return _series(self._ask("query_range", form, "matrix"))

    def close(self) -> None:
        self._client.close()

    def _ask(self, path: str, form: dict[str, str], result_type: str) -> list[_Entry]:
        try:
            result = self._first_whole(path, form, result_type)
        except QueryFailed:
            QUERIES.labels("failed").inc()
            raise
        QUERIES.labels("ok").inc()
        return result

    def _first_whole(self, path: str, form: dict[str, str], result_type: str) -> list[_Entry]:
        """The answer of the first address that has a whole one; each is asked once at most."""
        failures = {}
        for address in self._addresses:
            try:
                result, remarks = _result(*self._post(address, path, form), result_type)
                if result_type == "vector":
                    _refuse_old(result, self._told)
            except _NotHere as failure:
                ENDPOINT_UP.labels(address).set(0)
                failures[address] = str(failure)
            else:
                ENDPOINT_UP.labels(address).set(1)
                self._tell(remarks, address, form["query"])
                return result
        if len(failures) == 1:
            raise QueryFailed(*failures.values())
        raise QueryFailed("; ".join(f"{address}: {why}" for address, why in failures.items()))

    def _tell(self, remarks: list[str], address: str, query: str) -> None:
        """Each set of remarks once: the same query comes with every tick."""
        told = tuple(sorted(_clean(remark) for remark in remarks))
        if not told or told in self._remarks:
            return
        if len(self._remarks) >= MOST_REMARKS:
            self._remarks.clear()
        self._remarks.add(told)
        log.warning("Prometheus remarks on a query: look at its PromQL", prometheus=address, query=_clean(query), warnings=told)

    def _post(self, address: str, path: str, form: dict[str, str]) -> tuple[int, bytearray]:
        if address in self._unreachable:
            raise _NotHere(self._unreachable[address])
        deadline = time.monotonic() + self._timeout
        try:
            # the client's own POST puts the query in the URL, where long ones are cut off, and drops the warnings
            with self._client._session.post(
                f"{address}/api/v1/{path}",
                data=form | {"timeout": f"{self._timeout:g}"},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                cert=self._cert,
            ) as answer:
                self._compare_clocks(address, answer.headers.get("Date", ""))
                return answer.status_code, self._body(answer, deadline)
        except requests.Timeout:
            why = f"Prometheus did not answer within {self._timeout:g} s"
        except requests.exceptions.SSLError as error:
            why = f"TLS with Prometheus failed ({_tls_reason(error)}): check prometheus.tls"
        except OSError as error:  # that of requests, and that of a certificate's file gone meanwhile
            why = f"Prometheus cannot be reached ({type(error).__name__})"
        self._unreachable[address] = why
        raise _NotHere(why)

    def _compare_clocks(self, address: str, date: str) -> None:
        """Starts of failures are read from its clock, deadlines from ours. A query for its time would cost one more each tick."""
        self._told = None
        try:
            told = self._told = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return
        offset = told + 0.5 - time.time()  # the header has whole seconds, cut off
        CLOCK_OFFSET.labels(address).set(offset)
        off = abs(offset) > MOST_CLOCK_SECONDS
        if off and address not in self._off:
            log.warning("the clocks differ: set both by NTP", prometheus=address, ahead_of_ours_seconds=round(offset))
        (self._off.add if off else self._off.discard)(address)

    def _body(self, answer: requests.Response, deadline: float) -> bytearray:
        """The whole body. The time-out of requests is for each read: a slow drip would never end."""
        body = bytearray()
        try:
            while part := answer.raw.read1(64 * 1024, decode_content=True):
                body += part
                if len(body) > MOST_MIB * 1024 * 1024:
                    raise QueryFailed(
                        f"Prometheus answered with more than {MOST_MIB} MiB: give the query fewer series, "
                        "say by aggregating in it, sum by (equipment) (…), or in a recording rule"
                    )
                if time.monotonic() > deadline:
                    raise requests.Timeout
        except ReadTimeoutError:
            raise requests.Timeout from None
        except HTTPError as error:
            raise requests.ConnectionError(error) from None
        return body


class _Authorization(AuthBase):
    """The token, or user and password, of the settings; else none."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._header: Secret | None = None
        if settings.bearer_token:
            self._header = Secret(f"Bearer {settings.bearer_token.read().reveal()}")
        elif basic := settings.basic:
            user = f"{basic.username}:{basic.password.read().reveal()}"
            self._header = Secret(f"Basic {b64encode(user.encode()).decode()}")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header.reveal()
        return request


def _tls_reason(error: requests.exceptions.SSLError) -> str:
    """What OpenSSL said, out of the nested texts around it."""
    found = re.search(r"\[SSL[^\]]*\] (.+?) \(_ssl\.c", str(error))
    return _clean(found[1]) if found else "no reason given"


def _result(status: int, body: bytearray, result_type: str) -> tuple[list[_Entry], list[str]]:
    """The entries, and what was remarked on the PromQL."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _NotHere(f"Prometheus answered {status} with something else than an answer to a query") from None
    warnings = answer.warnings or []
    if answer.status != "success" or answer.data is None:
        wrong_query = status in (400, 422)
        why = _clean("; ".join([answer.error, *warnings]))
        raise (QueryFailed if wrong_query else _NotHere)(f"Prometheus answered {status}: {why}")
    # remarks on the PromQL begin so; anything else says that a store, a remote read or a node gave nothing. So does "3 more
    # warnings omitted": nobody can tell which
    missing = [warning for warning in warnings if not warning.startswith(_REMARKS)]
    remarks = [*(warning for warning in warnings if warning.startswith(_REMARKS)), *(answer.infos or ())]
    if missing or answer.is_partial:
        # a partial answer is too low a number, and nothing in the number says so
        missing = missing or ["a storage node did not answer"]
        raise _NotHere(f"Prometheus answered in part: {_clean('; '.join([*missing, *remarks]))}")
    if answer.data.result_type != result_type:
        raise QueryFailed(f"the query gives a {_clean(answer.data.result_type)}, needed is a {result_type}: correct its PromQL")
    try:
        entries = msgspec.json.decode(answer.data.result, type=list[_Entry])
        for entry in entries:
            for _, value in [*entry.values, *([entry.value] if entry.value else [])]:
                float(value)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise QueryFailed("Prometheus answered with values that are no numbers") from None
    return entries, remarks


_REMARKS = ("PromQL info: ", "PromQL warning: ")
"""From 2.48 on among the warnings; Prometheus 3 puts the first kind among `infos`, Mimir as well."""


def _series(entries: list[_Entry]) -> list[Series]:
    return [Series(entry.metric, [(moment, float(value)) for moment, value in entry.values]) for entry in entries]


def _seconds(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _refuse_old(entries: list[_Entry], told: float | None) -> None:
    """Compared with its own clock: one that is off is another fault."""
    oldest = min((entry.value[0] for entry in entries if entry.value), default=told)
    if told is not None and oldest is not None and told - oldest > MOST_AGE_SECONDS:
        raise _NotHere(f"Prometheus answered with numbers {told - oldest:.0f} s old: is there a cache before it?")


def _clean(text: str) -> str:
    """What the other side said, fit for a log line and a page."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)[:200]


def quoted(value: str) -> str:
    """`value` as a PromQL string literal, so that no label value can end it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def any_of(values: Iterable[str]) -> str:
    """A PromQL pattern literal that fits just these values (RE2 syntax, anchored by Prometheus)."""
    return quoted("|".join(_escape_pattern(value) for value in sorted(values)))


def is_selector(expression: str) -> bool:
    """Whether samples can be asked of it as they are: `series` or `series{…}`. Any other PromQL needs a subquery."""
    return _SELECTOR.fullmatch(expression.strip()) is not None


def narrowed(expression: str, label: str, values: Iterable[str]) -> str:
    """The series of `expression` with one of these values of `label` ("" fits those without it). A selector stays one."""
    if found := _SELECTOR.fullmatch(expression.strip()):
        others = found[2] or ""
        return f"{found[1]}{{{label}=~{any_of(values)}{',' if others.strip() else ''}{others}}}"
    # no operator picks series by a pattern: mark those that fit, then keep what is marked. A line of its own for a comment's sake
    marked = f'label_replace((\n{expression}\n), "art58_asked", "1", "{label}", {any_of(values)})'
    return f'({marked} and on (art58_asked) label_replace(vector(1), "art58_asked", "1", "", ""))'


_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^{}]*)\})?")


def _escape_pattern(value: str) -> str:
    return value.translate(_ESCAPED)


_ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in r"\.+*?()|[]{}^$"})
