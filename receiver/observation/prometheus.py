"""Prometheus behind one small face: form-encoded POST, a time-out, one retry, the next address where one gives no whole answer,
`warnings` kept, and values a law can be fed with.
"""

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

import msgspec
import structlog
from prometheus_api_client import PrometheusConnect
from prometheus_client import Counter, Gauge
from requests.adapters import HTTPAdapter, Retry

from receiver.observation.asking import Asker, NoAnswer, TooLarge, clean
from receiver.settings import PrometheusSettings

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


class NotOffered(QueryFailed):
    """It answers, but does not tell that of itself: a store behind the same API has no rules, say."""


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


class _Document(msgspec.Struct):
    status: str
    data: msgspec.Raw


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
        for address in self._addresses:
            self._client._session.mount(address, HTTPAdapter(max_retries=retry))
        self._asker = Asker("Prometheus", "prometheus", self._client._session, settings)

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

    def document(self, path: str) -> msgspec.Raw:
        """What the first address that does says of itself at /api/v1/`path`, say its rules. Raises NotOffered, QueryFailed."""
        failures: list[QueryFailed] = []
        for address in self._addresses:
            try:
                return self._told_at(address, path)
            except QueryFailed as failure:
                failures.append(failure)
        offered = [failure for failure in failures if not isinstance(failure, NotOffered)]
        raise QueryFailed("; ".join(map(str, offered))) if offered else failures[0]

    def close(self) -> None:
        self._client.close()

    def _told_at(self, address: str, path: str) -> msgspec.Raw:
        if address in self._unreachable:
            raise QueryFailed(self._unreachable[address])
        try:
            status, body = self._asker.ask("GET", f"{address}/api/v1/{path}")
        except TooLarge as error:
            raise NotOffered(str(error)) from None
        except NoAnswer as error:
            self._unreachable[address] = str(error)
            raise QueryFailed(str(error)) from None
        if status >= 500 or status == 429:
            raise QueryFailed(f"Prometheus answered {status} when asked for {path}")
        try:
            answer = msgspec.json.decode(body, type=_Document)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NotOffered(f"Prometheus answered {status} with something else when asked for {path}") from None
        if status != 200 or answer.status != "success":
            raise NotOffered(f"Prometheus answered {status} when asked for {path}")
        return answer.data

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
        told = tuple(sorted(clean(remark) for remark in remarks))
        if not told or told in self._remarks:
            return
        if len(self._remarks) >= MOST_REMARKS:
            self._remarks.clear()
        self._remarks.add(told)
        log.warning("Prometheus remarks on a query: look at its PromQL", prometheus=address, query=clean(query), warnings=told)

    def _post(self, address: str, path: str, form: dict[str, str]) -> tuple[int, bytearray]:
        if address in self._unreachable:
            raise _NotHere(self._unreachable[address])
        # the client's own POST puts the query in the URL, where long ones are cut off, and drops the warnings
        url, seen = f"{address}/api/v1/{path}", partial(self._compare_clocks, address)
        try:
            return self._asker.ask("POST", url, data=form | {"timeout": f"{self._timeout:g}"}, seen=seen)
        except TooLarge as error:
            cure = "give the query fewer series, say by aggregating in it, sum by (equipment) (…), or in a recording rule"
            raise QueryFailed(f"{error}: {cure}") from None
        except NoAnswer as error:
            self._unreachable[address] = str(error)
            raise _NotHere(str(error)) from None

    def _compare_clocks(self, address: str, headers: Mapping[str, str]) -> None:
        """Starts of failures are read from its clock, deadlines from ours. A query for its time would cost one more each tick."""
        self._told = None
        try:
            told = self._told = parsedate_to_datetime(headers.get("Date", "")).timestamp()
        except (ValueError, OverflowError):
            return
        offset = told + 0.5 - time.time()  # the header has whole seconds, cut off
        CLOCK_OFFSET.labels(address).set(offset)
        off = abs(offset) > MOST_CLOCK_SECONDS
        if off and address not in self._off:
            log.warning("the clocks differ: set both by NTP", prometheus=address, ahead_of_ours_seconds=round(offset))
        (self._off.add if off else self._off.discard)(address)


def _result(status: int, body: bytearray, result_type: str) -> tuple[list[_Entry], list[str]]:
    """The entries, and what was remarked on the PromQL."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _NotHere(f"Prometheus answered {status} with something else than an answer to a query") from None
    warnings = answer.warnings or []
    if answer.status != "success" or answer.data is None:
        wrong_query = status in (400, 422)
        why = clean("; ".join([answer.error, *warnings]))
        raise (QueryFailed if wrong_query else _NotHere)(f"Prometheus answered {status}: {why}")
    # remarks on the PromQL begin so; anything else says that a store, a remote read or a node gave nothing. So does "3 more
    # warnings omitted": nobody can tell which
    missing = [warning for warning in warnings if not warning.startswith(_REMARKS)]
    remarks = [*(warning for warning in warnings if warning.startswith(_REMARKS)), *(answer.infos or ())]
    if missing or answer.is_partial:
        # a partial answer is too low a number, and nothing in the number says so
        missing = missing or ["a storage node did not answer"]
        raise _NotHere(f"Prometheus answered in part: {clean('; '.join([*missing, *remarks]))}")
    if answer.data.result_type != result_type:
        raise QueryFailed(f"the query gives a {clean(answer.data.result_type)}, needed is a {result_type}: correct its PromQL")
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


def quoted(value: str) -> str:
    """`value` as a PromQL string literal, so that no label value can end it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def any_of(values: Iterable[str]) -> str:
    """A PromQL pattern literal that fits just these values (RE2 syntax, anchored by Prometheus)."""
    return quoted("|".join(escaped(value) for value in sorted(values)))


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


def escaped(value: str) -> str:
    """A pattern (RE2 syntax) that fits just this value."""
    return value.translate(_ESCAPED)


_ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in r"\.+*?()|[]{}^$"})
