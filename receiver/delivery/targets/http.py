"""One HTTP call to a target, every outcome told apart: done, come again (Unreachable), can never be right (Refused).

Messages name the target, the host and the status; never the address (it may carry a token), the secret or a whole answer.
"""

import math
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic, sleep
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
import urllib3

from receiver.delivery.targets import Forbidden, Missing, Refused, Unreachable
from receiver.delivery.targets.plain_text import one_line

T = TypeVar("T")
Secrets = str | tuple[str, ...]
"""What must not be shown, in every form in which it is sent."""

_LONGEST_SLEEP = timedelta(seconds=5)
"""Rather than wait longer for its turn, a call gives up before it is made: the ledger comes again."""

_MOST_ANSWER_BYTES = 8 * 1024 * 1024  # a dashboard may have some
_MOST_SAID = 200
_LONGEST_RETRY_AFTER = timedelta(days=1)
_NOT_TAKEN = "Check what the configuration names there: project, fields, statuses, places. art58 doctor asks for them"
_CURES = {
    401: "Check the secret in the configuration",
    403: "Check what the secret allows",
    404: "Check address and names in the configuration, and whether the secret's user may see what they name",
    410: "The other side wants no more of this: take the target out of the configuration",
}


class Pace:
    """How fast one target may be called: so often in a minute, evenly, and not at all while it says so. For one process."""

    def __init__(self, per_minute: float | None = None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next_at = self._paused_until = -math.inf
        self._lock = threading.Lock()

    def wait(self, target: str) -> None:
        """Wait for the next turn. Raises Unreachable, before anything is done, where that is long."""
        with self._lock:
            now = monotonic()
            at = max(now, self._next_at, self._paused_until)
            if at - now > max(_LONGEST_SLEEP.total_seconds(), self._gap):
                why = "as it asked for" if at == self._paused_until else "for our own limit of calls in a minute"
                raise Unreachable(f"{target}: not called for {at - now:.0f} s, {why}", timedelta(seconds=at - now))
            self._next_at = at + self._gap
        sleep(at - now)

    def heed(self, response: requests.Response) -> None:
        """Pause where the answer says that no more is taken until some time."""
        until = _retry_after(response) if _is_limited(response) or response.status_code == 503 else None
        if until is None and _remaining(response) == "0":
            until = _until_reset(response)
        if until:
            with self._lock:
                self._paused_until = max(self._paused_until, monotonic() + until.total_seconds())


class Api:
    """A JSON API at `url`. `headers` and `params` go with every call, and what they carry, as `secret`, is shown in no message.

    `cures`: by status what to do about it, where this system means something of its own by it.
    """

    def __init__(
        self,
        name: str,
        url: str,
        secret: Secrets,
        timeout_seconds: float,
        headers: Mapping[str, str],
        *,
        params: Mapping[str, str] | None = None,
        per_minute: float | None = None,
        cures: Mapping[int, str] | None = None,
    ) -> None:
        self._name = name
        self._url = url.rstrip("/")
        self._secret = secret
        self._timeout_seconds = timeout_seconds
        self._headers = {"Accept": "application/json", **headers}
        self._params = params or {}
        self._pace = Pace(per_minute)
        self._cures = {400: _NOT_TAKEN, 422: _NOT_TAKEN} | dict(cures or {})

    def call(
        self,
        method: str,
        path: str,
        type_: type[T],
        body: Any = None,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        form: Mapping[str, str | list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """The answer as a `type_`; an empty one counts as null. `body` goes as JSON, `form` as a form. Raises as `call`."""
        content, kind = None, {}
        if form is not None:
            content, kind = urlencode(form, doseq=True).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        elif body is not None:
            content, kind = msgspec.json.encode(body), {"Content-Type": "application/json"}
        answer = call(
            self._name,
            method,
            self._url + path,
            timeout_seconds=self._timeout_seconds,
            secret=self._secret,
            headers={**self._headers, **kind, **(headers or {})},
            params={**self._params, **(params or {})},
            body=content,
            pace=self._pace,
            cures=self._cures,
        )
        return decode(self._name, answer or b"null", type_)


def call(
    target: str,
    method: str,
    url: str,
    *,
    timeout_seconds: float,
    secret: Secrets,
    headers: Mapping[str, str],
    params: Mapping[str, str | list[str]] | None = None,
    body: bytes | None = None,
    pace: Pace | None = None,
    cures: Mapping[int, str] | None = None,
) -> bytes:
    """The body of a 2xx answer, cut after 8 MiB. `secret` appears in no message, even where the other side repeats it."""
    if pace:
        pace.wait(target)
    try:
        with requests.request(
            method,
            url,
            params=params,
            data=body,
            headers=dict(headers),
            auth=_only_our_headers,
            timeout=timeout_seconds,
            allow_redirects=False,
            stream=True,
        ) as response:
            answer = _beginning(response, timeout_seconds)
            if pace:
                pace.heed(response)
    except ValueError:
        # requests' words for these quote the address or the header
        raise Refused(f"{target}: no request can be made of its address and secret. Check both for typing errors") from None
    except requests.Timeout:
        raise Unreachable(f"{target}: no answer from {_host(url)} within {timeout_seconds:g} s") from None
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise Unreachable(f"{target}: no connection to {_host(url)} ({type(error).__name__})") from None
    _check(target, response, answer, secret, _CURES | dict(cures or {}))
    return answer


def decode(target: str, answer: bytes, type_: type[T]) -> T:
    """The answer as a `type_`. What cannot be read may still have done its work, so it counts as no answer."""
    try:
        return msgspec.json.decode(answer, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreachable(f"{target}: answered something else than the JSON expected. Check the address") from None


def _only_our_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # given any `auth`, requests leaves our headers alone; else ~/.netrc or user:password@ in the address would replace them
    return request


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _beginning(response: requests.Response, timeout_seconds: float) -> bytes:
    """What there is of the body, up to a size and a time: an endless answer must not hold up the other deliveries."""
    answer, deadline = bytearray(), monotonic() + timeout_seconds
    for chunk in response.iter_content(1024):
        answer += chunk
        if len(answer) >= _MOST_ANSWER_BYTES:
            break
        if monotonic() > deadline:
            raise requests.Timeout
    return bytes(answer)


def _check(target: str, response: requests.Response, answer: bytes, secret: Secrets, cures: Mapping[int, str]) -> None:
    status = response.status_code
    if 200 <= status < 300:
        return
    said = f"{target}: answered {status}{_said(response, answer, secret)}"
    if status == 408 or status >= 500 or _is_limited(response):
        raise Unreachable(said, _retry_after(response))
    if 300 <= status < 400:
        raise Refused(f"{said}. Redirects are not followed: write the final address in the configuration")
    kind = {404: Missing, 410: Missing, 401: Forbidden, 403: Forbidden}.get(status, Refused)
    raise kind(f"{said}. {cures.get(status, 'Check the address and the version of the other side')}")


def _said(response: requests.Response, answer: bytes, secret: Secrets) -> str:
    text = answer.decode("utf-8", "replace").strip()
    if text.startswith("<") or "html" in response.headers.get("Content-Type", ""):
        return " with an HTML page"
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # no JSON: its words as they are
        text = msgspec.json.decode(answer, type=_Complaint).words() or text
    for one in (secret,) if isinstance(secret, str) else secret:
        text = text.replace(one, "***") if one else text
    text = one_line(text, _MOST_SAID)
    return f" ({text})" if text else ""


class _Complaint(msgspec.Struct, frozen=True, rename="camel"):
    """What went wrong as the known systems say it: `message` (GitHub, GitLab, Grafana), `error` (ServiceNow, OAuth),
    `errorMessages` (Jira), and `errors`: texts (Redmine), texts by field (Jira) or objects with a message (Backlog, GitHub)."""

    message: Any = None
    error: Any = None
    error_messages: Any = None
    errors: Any = None

    def words(self) -> str:
        said = [word for one in (self.message, self.error, self.error_messages, self.errors) for word in _words(one)]
        return "; ".join(dict.fromkeys(said))


def _words(said: Any) -> list[str]:
    if isinstance(said, str):
        return [said] if said else []
    if isinstance(said, list):
        return [word for one in said for word in _words(one)]
    if not isinstance(said, dict):
        return []
    if isinstance(said.get("message"), str):
        return [
            ": ".join(said[name] for name in ("message", "detail", "moreInfo") if isinstance(said.get(name), str) and said[name])
        ]
    return [f"{name}: {word}" for name, one in said.items() for word in _words(one)]


def _retry_after(response: requests.Response) -> timedelta | None:
    """`Retry-After` in seconds or as a date; a date is counted from the answer's own, so that clocks need not agree."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), _LONGEST_RETRY_AFTER)
    until, now = _http_date(value), _http_date(response.headers.get("Date", ""))
    if until is None or now is None:
        return None
    return max(timedelta(0), min(until - now, _LONGEST_RETRY_AFTER))


def _is_limited(response: requests.Response) -> bool:
    """Too many calls; GitHub and others say so with 403 as well."""
    says_when = "Retry-After" in response.headers or _remaining(response) == "0"
    return response.status_code == 429 or (response.status_code == 403 and says_when)


def _remaining(response: requests.Response) -> str | None:
    return response.headers.get("X-RateLimit-Remaining", response.headers.get("RateLimit-Remaining"))


def _until_reset(response: requests.Response) -> timedelta | None:
    """Until the present limit of calls is over: in seconds, or as seconds since 1970 or a date, counted from the answer's own."""
    value = response.headers.get("X-RateLimit-Reset", response.headers.get("RateLimit-Reset", "")).strip()
    now = _http_date(response.headers.get("Date", ""))
    try:
        if value.isdigit() and int(value) < 10**8:
            return min(timedelta(seconds=int(value)), _LONGEST_RETRY_AFTER)
        reset = datetime.fromtimestamp(int(value), UTC) if value.isdigit() else datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        return None
    if now is None or reset.tzinfo is None:
        return None
    return max(timedelta(0), min(reset - now, _LONGEST_RETRY_AFTER))


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
