"""One HTTP call to a target, every outcome told apart: done, come again (Unreachable), can never be right (Refused).

Messages name the target, the host and the status; never the address (it may carry a token), the secret or a whole answer.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from receiver.delivery.targets import Refused, Unreachable
from receiver.delivery.targets.plain_text import one_line

T = TypeVar("T")

_MOST_ANSWER_BYTES = 1024 * 1024
_MOST_SAID = 200
_LONGEST_RETRY_AFTER = timedelta(days=1)
_CURES = {
    401: "Check the secret in the configuration",
    403: "Check what the secret allows",
    404: "Check the address, and whether it was deleted there",
    410: "The other side wants no more of this: take the target out of the configuration",
}


def call(
    target: str,
    method: str,
    url: str,
    *,
    timeout_seconds: float,
    secret: str,
    headers: Mapping[str, str],
    params: Mapping[str, str | list[str]] | None = None,
    body: bytes | None = None,
) -> bytes:
    """The body of a 2xx answer, cut after 1 MiB. `secret` appears in no message, even where the other side repeats it."""
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
    except ValueError:
        # requests' words for these quote the address or the header
        raise Refused(f"{target}: no request can be made of its address and secret. Check both for typing errors") from None
    except requests.Timeout:
        raise Unreachable(f"{target}: no answer from {_host(url)} within {timeout_seconds:g} s") from None
    except (OSError, urllib3.exceptions.HTTPError) as error:
        raise Unreachable(f"{target}: no connection to {_host(url)} ({type(error).__name__})") from None
    _check(target, response, answer, secret)
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


def _check(target: str, response: requests.Response, answer: bytes, secret: str) -> None:
    status = response.status_code
    if 200 <= status < 300:
        return
    said = f"{target}: answered {status}{_said(response, answer, secret)}"
    if status in (408, 429) or status >= 500:
        raise Unreachable(said, _retry_after(response))
    if 300 <= status < 400:
        raise Refused(f"{said}. Redirects are not followed: write the final address in the configuration")
    raise Refused(f"{said}. {_CURES.get(status, 'Check the address and the version of the other side')}")


def _said(response: requests.Response, answer: bytes, secret: str) -> str:
    text = answer.decode("utf-8", "replace").strip()
    if text.startswith("<") or "html" in response.headers.get("Content-Type", ""):
        return " with an HTML page"
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # no JSON: its words as they are
        text = msgspec.json.decode(answer, type=_Complaint).message or text
    text = one_line(text.replace(secret, "***") if secret else text, _MOST_SAID)
    return f" ({text})" if text else ""


class _Complaint(msgspec.Struct, frozen=True):
    message: str = ""


def _retry_after(response: requests.Response) -> timedelta | None:
    """`Retry-After` in seconds or as a date; a date is counted from the answer's own, so that clocks need not agree."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), _LONGEST_RETRY_AFTER)
    until, now = _http_date(value), _http_date(response.headers.get("Date", ""))
    if until is None or now is None:
        return None
    return max(timedelta(0), min(until - now, _LONGEST_RETRY_AFTER))


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
