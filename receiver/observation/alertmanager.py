"""What is active at Alertmanager now, also what it never sends: silenced, inhibited, cut off, or sent while nobody listened.

Alertmanagers share silences, not alerts: each is asked, and what any of them has is active.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Annotated

import msgspec
import requests
from msgspec import Meta
from prometheus_client import Gauge

from receiver.observation.asking import Asker, NoAnswer, TooLarge
from receiver.settings import AlertmanagerSettings, SecretUnreadable

ALERTMANAGER_UP = Gauge(
    "art58_alertmanager_up",
    "Whether the Alertmanager told its active alerts when it was last asked (1) or not (0)",
    ["endpoint"],
    multiprocess_mode="livemostrecent",
)

_PATH = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"


class _Status(msgspec.Struct, rename="camel", frozen=True, gc=False):
    inhibited_by: tuple[str, ...] = ()


class Active(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """An alert that is active at an Alertmanager; `updated_at` is when that one was last told of it."""

    fingerprint: Annotated[str, Meta(min_length=1, max_length=128)]
    labels: dict[str, str]
    starts_at: Annotated[datetime, Meta(tz=True)]
    updated_at: Annotated[datetime, Meta(tz=True)]
    annotations: dict[str, str] = {}
    generator_url: str = msgspec.field(default="", name="generatorURL")
    status: _Status = _Status()

    @property
    def inhibited_by(self) -> tuple[str, ...]:
        """The fingerprints of the alerts that inhibit it, as any of the Alertmanagers says."""
        return self.status.inhibited_by


class Heard(msgspec.Struct, frozen=True):
    """Active alerts by fingerprint, and of each Alertmanager that did not tell its own why not."""

    active: dict[str, Active]
    problems: dict[str, str]


_DECODER = msgspec.json.Decoder(list[Active])


def ask(peers: Sequence[AlertmanagerSettings]) -> Heard:
    """What all of them have together, asked at the same time. Never raises: a failure is an answer."""
    if not peers:
        return Heard({}, {})
    with ThreadPoolExecutor(len(peers)) as threads:
        answers = list(threads.map(_ask, peers))
    active: dict[str, Active] = {}
    problems: dict[str, str] = {}
    for peer, answer in zip(peers, answers, strict=True):
        ALERTMANAGER_UP.labels(peer.url).set(not isinstance(answer, str))
        if isinstance(answer, str):
            problems[peer.url] = answer
            continue
        for alert in answer:
            known = active.get(alert.fingerprint)
            active[alert.fingerprint] = _both(known, alert) if known else alert
    return Heard(active, problems)


def _both(one: Active, other: Active) -> Active:
    """What two say of the same alert: the earlier start, the later news, and whatever inhibits it at either."""
    inhibited_by = tuple(sorted({*one.inhibited_by, *other.inhibited_by}))
    return msgspec.structs.replace(
        min(one, other, key=lambda alert: alert.starts_at),
        updated_at=max(one.updated_at, other.updated_at),
        status=_Status(inhibited_by),
    )


def _ask(peer: AlertmanagerSettings) -> list[Active] | str:
    """The active alerts of one, or why it did not tell."""
    with requests.Session() as session:
        try:
            asker = Asker("Alertmanager", "alertmanagers", session, peer)
            status, body = asker.ask("GET", peer.url.rstrip("/") + _PATH)
        except (NoAnswer, TooLarge, SecretUnreadable) as error:
            return str(error)
    if status != 200:
        return f"Alertmanager answered {status} when asked for its alerts: is the address right, with its path?"
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "Alertmanager answered with something else than its alerts: is the address right, with its path?"
