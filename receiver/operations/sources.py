"""The notifications of the past: those that a receiver kept, those in a file, or what the rules' own series tell of the alerts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from receiver import payloads
from receiver.catalogue import Catalogue
from receiver.model import Learnt, Notification, Source
from receiver.observation import past
from receiver.observation.past import PastPrometheus
from receiver.storage import replay
from receiver.storage.database import Database

MOST_FAULTS = 20


class Unreadable(ValueError):
    """The file is not what it should be. The text names lines and faults."""


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a file: `body` is the webhook's body as it was sent, as JSON or as a text that holds it."""

    received_at: Annotated[datetime, Meta(tz=True)]
    source: Source
    body: msgspec.Raw
    learnt: Learnt = "webhook"


_LINE = msgspec.json.Decoder(_Line)


def of_file(file: Path) -> list[Notification]:
    """All of a file of JSON Lines, in the order in which they came. Raises Unreadable, OSError."""
    found: list[Notification] = []
    faults: list[str] = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                found.append(_notification(number, line))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, payloads.Unacceptable) as error:
                faults.append(f"{file}: line {number}: {error}")
                if len(faults) == MOST_FAULTS:
                    faults.append("… and what comes after was not looked at")
                    break
    if faults:
        raise Unreadable("\n".join(faults))
    if not found:
        raise Unreadable(f"{file}: no notification in it")
    return sorted(found, key=lambda one: (one.received_at, one.id))


def _notification(number: int, line: bytes) -> Notification:
    one = _LINE.decode(line)
    body = bytes(one.body)
    if body.startswith(b'"'):
        body = msgspec.json.decode(body, type=str).encode()
    if one.source != "person":
        payloads.decode(one.source, body)  # the receiver would have refused it
    else:
        raise payloads.Unacceptable("source is person: acts are no notifications")
    return Notification(number, one.source, one.received_at, body, learnt=one.learnt)


def of_database(database: Database, since: datetime | None, until: datetime | None) -> list[Notification]:
    """Those that a receiver took in. Raises StoreUnavailable, Unreadable."""
    with database.read() as connection:
        known = replay.span(connection)
        if known is None:
            raise Unreadable("the database holds no notification")
        return list(replay.accepted(connection, since or known[0], until or known[1]))


def of_rules(prometheus: PastPrometheus, catalogue: Catalogue, since: datetime, until: datetime) -> list[Notification]:
    """What the rules' own series tell of the time: as if each alert had been sent at once. Raises QueryFailed, Unanswered."""
    return list(_told(prometheus, catalogue, since, until))


def _told(prometheus: PastPrometheus, catalogue: Catalogue, since: datetime, until: datetime) -> Iterator[Notification]:
    prometheus.present = until
    alerts = past.fired(prometheus, catalogue, since, until)
    for number, (moment, body) in enumerate(past.bodies(alerts)):
        yield Notification(number, "alertmanager", max(moment, since), body, learnt="rule_series")


def span(told: list[Notification], hold: timedelta) -> tuple[datetime, datetime]:
    """From the first to when the last recovery in them has held."""
    return told[0].received_at, told[-1].received_at + hold
