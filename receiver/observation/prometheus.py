"""Prometheus behind one small face: form-encoded POST, a time-out, one retry, `warnings` kept, and values a law can be fed with."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_client import Counter
from requests.adapters import Retry

from receiver.settings import PrometheusSettings

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


class Prometheus:
    """One query endpoint. Not for several threads at once: requests promises no thread safety."""

    def __init__(self, settings: PrometheusSettings) -> None:
        headers = {}
        if settings.bearer_token:
            headers["Authorization"] = f"Bearer {settings.bearer_token.read().reveal()}"
        self._timeout = settings.timeout_seconds
        # the library's own default is three retries with back-off: a dead server would cost six seconds a query
        retry = Retry(total=1, backoff_factor=0.1, allowed_methods=None, status_forcelist=())
        self._client = PrometheusConnect(
            url=settings.url.rstrip("/"), headers=headers, retry=retry, timeout=settings.timeout_seconds
        )

    def instant(self, query: str) -> list[Sample]:
        """The value of every series of `query` at the server's own present. Raises QueryFailed."""
        return [
            Sample(_labels(entry), float(entry["value"][0]), float(entry["value"][1])) for entry in self._ask(query, None, "vector")
        ]

    def raw(self, query: str, at: datetime) -> list[Series]:
        """The samples of a range selector (`series[1h]`) that ends at `at`. Raises QueryFailed."""
        answer = self._ask(query, at, "matrix")
        return [Series(_labels(entry), [(float(t), float(v)) for t, v in entry["values"]]) for entry in answer]

    def close(self) -> None:
        self._client.close()

    def _ask(self, query: str, at: datetime | None, result_type: str) -> list[dict[str, Any]]:
        try:
            result = self._post(query, at, result_type)
        except QueryFailed:
            QUERIES.labels("failed").inc()
            raise
        QUERIES.labels("ok").inc()
        return result

    def _post(self, query: str, at: datetime | None, result_type: str) -> list[dict[str, Any]]:
        form: dict[str, str] = {"query": query, "timeout": f"{self._timeout}s"}
        if at is not None:
            form["time"] = f"{at.timestamp():.3f}"
        try:
            # the client's own POST puts the query in the URL, where long ones are cut off, and drops the warnings
            answer = self._client._session.post(
                f"{self._client.url}/api/v1/query", data=form, headers=self._client.headers, timeout=self._timeout
            )
        except requests.Timeout:
            raise QueryFailed(f"Prometheus did not answer within {self._timeout:g} s") from None
        except requests.RequestException as error:
            raise QueryFailed(f"Prometheus cannot be reached ({type(error).__name__})") from None
        return _result(answer, result_type)


def _result(answer: requests.Response, result_type: str) -> list[dict[str, Any]]:
    try:
        document = answer.json()
    except ValueError:
        raise QueryFailed(f"Prometheus answered {answer.status_code} without JSON") from None
    if not isinstance(document, dict) or document.get("status") != "success":
        message = str(document.get("error", "") if isinstance(document, dict) else "")[:200]
        raise QueryFailed(f"Prometheus answered {answer.status_code}: {message}")
    if warnings := document.get("warnings"):
        # a partial answer is too low a number, and nothing in the number says so
        raise QueryFailed(f"Prometheus answered in part: {'; '.join(map(str, warnings))[:200]}")
    data = document.get("data", {})
    if data.get("resultType") != result_type:
        raise QueryFailed(f"the query gives a {data.get('resultType')}, needed is a {result_type}: correct its PromQL")
    result: list[dict[str, Any]] = data["result"]
    return result


def _labels(entry: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = entry["metric"]
    return labels


def quoted(value: str) -> str:
    """`value` as a PromQL string literal, so that no label value can end it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def any_of(values: Iterable[str]) -> str:
    """A PromQL pattern literal that fits just these values (RE2 syntax, anchored by Prometheus)."""
    return quoted("|".join(_escape_pattern(value) for value in sorted(values)))


def _escape_pattern(value: str) -> str:
    return "".join(f"\\{letter}" if letter in r"\.+*?()|[]{}^$" else letter for letter in value)
