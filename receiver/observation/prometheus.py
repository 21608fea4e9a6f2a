"""Prometheus behind one small face: form-encoded POST, a time-out, one retry, `warnings` kept, and values a law can be fed with."""

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_client import Counter
from requests.adapters import Retry
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, ReadTimeoutError

from receiver.settings import PrometheusSettings, Secret

QUERIES = Counter("art58_queries_total", "Queries to Prometheus by what became of them", ["outcome"])
for _outcome in ("ok", "failed"):
    QUERIES.labels(_outcome)  # there from the start: else the first failure would be no increase


class QueryFailed(Exception):
    """The question got no whole answer: unreachable, too slow, refused or partial. The text is fit for a person's eyes."""


class Sample(msgspec.Struct, frozen=True):
    """One series' value at a time (Unix seconds)."""

    labels: dict[str, str]
    at: float
    value: float

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


class Series(msgspec.Struct, frozen=True):
    """One series' raw samples (Unix seconds, value), oldest first."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class _Entry(msgspec.Struct):
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
    warnings: list[str] = []


class Prometheus:
    """One query endpoint. Not for several threads at once: requests promises no thread safety."""

    def __init__(self, settings: PrometheusSettings) -> None:
        token = settings.bearer_token.read() if settings.bearer_token else None
        self._timeout = settings.timeout_seconds
        self._unreachable = ""
        # the library's own default is three retries with back-off: a dead server would cost six seconds a query
        retry = Retry(total=None, connect=1, read=0, other=0, redirect=0, status=0, backoff_factor=0.1)
        self._client = PrometheusConnect(url=settings.url.rstrip("/"), retry=retry, timeout=settings.timeout_seconds)
        # an auth of our own also keeps requests from taking one out of ~/.netrc
        self._client._session.auth = _Bearer(token)

    def begin(self) -> None:
        """A new tick: a server that did not answer is asked again. Until then every further query fails at once."""
        self._unreachable = ""

    def instant(self, query: str) -> list[Sample]:
        """The value of every series of `query` at the server's own present. Raises QueryFailed."""
        entries = self._ask(query, None, "vector")
        return [Sample(entry.metric, entry.value[0], float(entry.value[1])) for entry in entries if entry.value]

    def raw(self, query: str, at: datetime) -> list[Series]:
        """The samples of a range selector (`series[1h]`) that ends at `at`. Raises QueryFailed."""
        entries = self._ask(query, at, "matrix")
        return [Series(entry.metric, [(moment, float(value)) for moment, value in entry.values]) for entry in entries]

    def close(self) -> None:
        self._client.close()

    def _ask(self, query: str, at: datetime | None, result_type: str) -> list[_Entry]:
        try:
            result = _result(*self._post(query, at), result_type)
        except QueryFailed:
            QUERIES.labels("failed").inc()
            raise
        QUERIES.labels("ok").inc()
        return result

    def _post(self, query: str, at: datetime | None) -> tuple[int, bytes]:
        form = {"query": query, "timeout": f"{self._timeout:g}"}
        if at is not None:
            form["time"] = f"{at.timestamp():.3f}"
        url = f"{self._client.url}/api/v1/query"
        if self._unreachable:
            raise QueryFailed(self._unreachable)
        deadline = time.monotonic() + self._timeout
        try:
            # the client's own POST puts the query in the URL, where long ones are cut off, and drops the warnings
            with self._client._session.post(url, data=form, timeout=self._timeout, allow_redirects=False, stream=True) as answer:
                return answer.status_code, self._body(answer, deadline)
        except requests.Timeout:
            self._unreachable = f"Prometheus did not answer within {self._timeout:g} s"
        except requests.RequestException as error:
            self._unreachable = f"Prometheus cannot be reached ({type(error).__name__})"
        raise QueryFailed(self._unreachable)

    def _body(self, answer: requests.Response, deadline: float) -> bytes:
        """The whole body. The time-out of requests is for each read: a slow drip would never end."""
        parts = []
        try:
            while part := answer.raw.read1(64 * 1024, decode_content=True):
                parts.append(part)
                if time.monotonic() > deadline:
                    raise requests.Timeout
        except ReadTimeoutError:
            raise requests.Timeout from None
        except HTTPError as error:
            raise requests.ConnectionError(error) from None
        return b"".join(parts)


class _Bearer(AuthBase):
    def __init__(self, token: Secret | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


def _result(status: int, body: bytes, result_type: str) -> list[_Entry]:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise QueryFailed(f"Prometheus answered {status} with something else than an answer to a query") from None
    if answer.status != "success" or answer.data is None:
        raise QueryFailed(f"Prometheus answered {status}: {_clean(answer.error)}")
    if answer.warnings:
        # a partial answer is too low a number, and nothing in the number says so
        raise QueryFailed(f"Prometheus answered in part: {_clean('; '.join(answer.warnings))}")
    if answer.data.result_type != result_type:
        raise QueryFailed(f"the query gives a {_clean(answer.data.result_type)}, needed is a {result_type}: correct its PromQL")
    try:
        entries = msgspec.json.decode(answer.data.result, type=list[_Entry])
        for entry in entries:
            for _, value in [*entry.values, *([entry.value] if entry.value else [])]:
                float(value)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise QueryFailed("Prometheus answered with values that are no numbers") from None
    return entries


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


def _escape_pattern(value: str) -> str:
    return "".join(f"\\{letter}" if letter in r"\.+*?()|[]{}^$" else letter for letter in value)
