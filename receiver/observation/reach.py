"""Whether Prometheus and Alertmanager answer, and by how much their clocks differ from ours. Asked once, nothing is kept."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import msgspec
import requests

from receiver.model import Clock
from receiver.observation.asking import Access, Asker, NoAnswer, TooLarge
from receiver.settings import AlertmanagerSettings, PrometheusSettings, SecretUnreadable

_QUERY = "/api/v1/query"
_ALERTS = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true&filter=" + quote('alertname="art58-doctor"')
_HALF = timedelta(milliseconds=500)


class Reached(msgspec.Struct, frozen=True):
    """One address: why it gave no fit answer (None: it did), and how far its clock is ahead of ours (None: it does not say)."""

    url: str
    problem: str | None
    ahead: timedelta | None


class _Answered(msgspec.Struct, frozen=True):
    status: str


def prometheus(settings: PrometheusSettings, clock: Clock) -> Iterator[Reached]:
    """Every address of it. It is asked what every kind of query endpoint can tell: a number."""
    for url in (settings.url, *settings.also):
        address, form = url.rstrip("/") + _QUERY, {"query": "vector(1)"}
        yield _reached("Prometheus", "prometheus", settings, url, ("POST", address, form), _Answered, clock)


def alertmanager(settings: AlertmanagerSettings, clock: Clock) -> Reached:
    """It is asked as it always is, but for alerts that there are none of."""
    address = settings.url.rstrip("/") + _ALERTS
    return _reached("Alertmanager", "alertmanagers", settings, settings.url, ("GET", address, None), list[msgspec.Raw], clock)


def _reached(
    called: str, key: str, access: Access, url: str, what: tuple[str, str, dict[str, str] | None], type_: object, clock: Clock
) -> Reached:
    told: list[timedelta] = []

    def seen(headers: Mapping[str, str]) -> None:
        try:
            # the header has whole seconds, cut off
            told.append(parsedate_to_datetime(headers.get("Date", "")) + _HALF - clock())
        except (ValueError, TypeError, OverflowError):
            return

    with requests.Session() as session:
        try:
            status, body = Asker(called, key, session, access).ask(*what, seen)
        except (NoAnswer, TooLarge, SecretUnreadable) as error:
            return Reached(url, str(error), told[0] if told else None)
    ahead = told[0] if told else None
    if status != 200:
        return Reached(url, f"{called} answered {status}", ahead)
    try:
        msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Reached(url, f"{called} answered with something else than expected: is the address right, with its path?", ahead)
    return Reached(url, None, ahead)
