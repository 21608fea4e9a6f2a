"""One question over HTTP with what every question needs: who asks, TLS, a time-out for the whole answer, a largest size."""

import re
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Protocol

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, ReadTimeoutError

from receiver.settings import BasicUser, Secret, SecretRef, TlsSettings

MOST_MIB = 64
"""Larger answers are refused: read whole they would take a multiple of that in memory."""


class NoAnswer(Exception):
    """Unreachable, too slow, or not to be trusted. The text is fit for a person's eyes."""


class TooLarge(Exception):
    """An answer beyond MOST_MIB. The text is fit for a person's eyes."""


class Access(Protocol):
    """What the settings say of how a server is asked."""

    @property
    def timeout_seconds(self) -> float: ...
    @property
    def bearer_token(self) -> SecretRef | None: ...
    @property
    def basic(self) -> BasicUser | None: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def tls(self) -> TlsSettings | None: ...


class Asker:
    """Asks over `session`; `called` is who is asked, as people call it, `key` where the settings speak of it."""

    def __init__(self, called: str, key: str, session: requests.Session, access: Access) -> None:
        self._called, self._key, self._session, self._timeout = called, key, session, access.timeout_seconds
        session.headers.update(access.headers)
        # an auth of our own also keeps requests from taking one out of ~/.netrc
        session.auth = _Authorization(access)
        tls = access.tls
        # given with each request: the session's own would give way to REQUESTS_CA_BUNDLE
        self._verify = tls.ca_file if tls else None
        self._cert = (tls.cert_file, tls.key_file) if tls and tls.cert_file and tls.key_file else None

    def ask(
        self,
        method: str,
        url: str,
        data: dict[str, str] | None = None,
        seen: Callable[[Mapping[str, str]], None] = lambda headers: None,
    ) -> tuple[int, bytearray]:
        """Status and body; `seen` is shown the headers as soon as they are there. Raises NoAnswer, TooLarge."""
        deadline = time.monotonic() + self._timeout
        try:
            with self._session.request(
                method,
                url,
                data=data,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                cert=self._cert,
            ) as answer:
                seen(answer.headers)
                return answer.status_code, self._body(answer, deadline)
        except requests.Timeout:
            why = f"{self._called} did not answer within {self._timeout:g} s"
        except requests.exceptions.SSLError as error:
            why = f"TLS with {self._called} failed ({_tls_reason(error)}): check {self._key}.tls"
        except OSError as error:  # that of requests, and that of a certificate's file gone meanwhile
            why = f"{self._called} cannot be reached ({type(error).__name__})"
        raise NoAnswer(why)

    def _body(self, answer: requests.Response, deadline: float) -> bytearray:
        """The whole body. The time-out of requests is for each read: a slow drip would never end."""
        body = bytearray()
        try:
            while part := answer.raw.read1(64 * 1024, decode_content=True):
                body += part
                if len(body) > MOST_MIB * 1024 * 1024:
                    raise TooLarge(f"{self._called} answered with more than {MOST_MIB} MiB")
                if time.monotonic() > deadline:
                    raise requests.Timeout
        except ReadTimeoutError:
            raise requests.Timeout from None
        except HTTPError as error:
            raise requests.ConnectionError(error) from None
        return body


def clean(text: str) -> str:
    """What the other side said, fit for a log line and a page."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)[:200]


class _Authorization(AuthBase):
    """The token, or user and password, of the settings; else none."""

    def __init__(self, access: Access) -> None:
        self._header: Secret | None = None
        if access.bearer_token:
            self._header = Secret(f"Bearer {access.bearer_token.read().reveal()}")
        elif basic := access.basic:
            user = f"{basic.username}:{basic.password.read().reveal()}"
            self._header = Secret(f"Basic {b64encode(user.encode()).decode()}")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header.reveal()
        return request


def _tls_reason(error: requests.exceptions.SSLError) -> str:
    """What OpenSSL said, out of the nested texts around it."""
    found = re.search(r"\[SSL[^\]]*\] (.+?) \(_ssl\.c", str(error))
    return clean(found[1]) if found else "no reason given"
