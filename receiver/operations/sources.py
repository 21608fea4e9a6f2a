"""The notifications of the past: those that a receiver kept, those in a file, or what the rules' own series tell of the alerts."""

import base64
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from receiver import payloads
from receiver.catalogue import Catalogue
from receiver.law.lined_yaml import Fault
from receiver.model import Learnt, Notification, Source
from receiver.observation import past
from receiver.observation.past import PastPrometheus
from receiver.storage import archive, replay
from receiver.storage.database import Database

MOST_FAULTS = 20
_EVER = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)  # in every time zone


class Unreadable(ValueError):
    """It is not what it should be. The text names the file, and lines and faults where there are some."""


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a file: `body` is the webhook's body as it was sent, as JSON or as a text that holds it.

    The others are those of an archive (storage.archive). Of what was refused nothing is replayed.
    """

    received_at: Annotated[datetime, Meta(tz=True)]
    source: Source
    body: msgspec.Raw = msgspec.Raw()
    learnt: Learnt = "webhook"
    id: int | None = None
    body_base64: str | None = None
    refused: str | None = None
    times: int = 1
    derived_at: datetime | None = None


_LINE = msgspec.json.Decoder(_Line)


def of_file(file: Path) -> list[Notification]:
    """All of a file of JSON Lines, packed by gzip or not, or of a folder that is an archive, in the order in which they came.

    Raises Unreadable.
    """
    found: list[Notification] = []
    faults: list[str] = []
    for one in archive.files(file) if file.is_dir() else (file,):
        _read(one, found, faults)
    if faults:
        raise Unreadable("\n".join(faults))
    if not found:
        raise Unreadable(f"{file}: no notification in it. Write one JSON object a line")
    return sorted(found, key=lambda one: (one.received_at, one.id))


def of_archive(folder: Path, since: datetime, until: datetime) -> list[Notification]:
    """Those of this time, both ends included, that went there; none where there is no such folder. Raises Unreadable."""
    found: list[Notification] = []
    faults: list[str] = []
    for one in archive.files(folder, since, until):
        _read(one, found, faults, since, until)
    if faults:
        raise Unreadable("\n".join(faults))
    return found


def _read(
    file: Path,
    found: list[Notification],
    faults: list[str],
    since: datetime = _EVER[0],
    until: datetime = _EVER[1],
) -> None:
    """Put what is in the file to those that were found, and to the faults."""
    known: set[tuple[int, datetime, bytes]] = set()
    opened: Any = gzip.open if file.suffix == ".gz" else Path.open
    try:
        with opened(file, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    one = _LINE.decode(line)
                    # a chunk stands there twice where the receiver was killed in between
                    key = one.id is not None and (one.id, one.received_at, hashlib.sha256(one.body).digest())
                    if one.refused is not None or not since <= one.received_at <= until or key in known:
                        continue
                    if key:
                        known.add(key)
                    found.append(_notification(number if one.id is None else one.id, one))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, payloads.Unacceptable) as error:
                    faults.append(str(_fault(file, number, error)))
                    if len(faults) >= MOST_FAULTS:
                        faults.append("… and what comes after was not looked at")
                        break
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Unreadable(f"{file}: cannot be read ({why}). Check the path and its permissions") from None


def _notification(id_: int, one: _Line) -> Notification:
    body = bytes(one.body)
    if one.body_base64 is not None:
        body = base64.b64decode(one.body_base64)
    elif not body:
        raise msgspec.ValidationError("Object missing required field `body`")
    elif body.startswith(b'"'):
        body = msgspec.json.decode(body, type=str).encode()
    if one.source != "person":
        payloads.decode(one.source, body)  # the receiver would have refused it
    else:
        raise payloads.Unacceptable("acts of persons are not replayed - at `$.source`")
    return Notification(id_, one.source, one.received_at, body, learnt=one.learnt)


_CURES = {
    "received_at": "Write when it came, with a zone: 2026-11-10T09:11:00+09:00",
    "source": "Write alertmanager or grafana",
    "body": "Write what the webhook sent, as JSON or as a text that holds it",
    "learnt": "Leave it out",
}
_KEY = re.compile(r" - at `\$\.?([^`]*)`$|(?:missing required|unknown) field `([^`]*)`")
_WORDS = (
    ("Object missing required field", "required key is missing:"),
    ("Object contains unknown field", "unknown key"),
    ("Invalid RFC3339 encoded datetime", "is no time"),
    ("Expected `datetime` with a timezone component", "is a time without a zone"),
    ("Invalid enum value", "cannot be"),
    ("Input data was truncated", "the JSON ends too early"),
    ("JSON is malformed", "it is no JSON"),
)
"""What the parser says, as people say it."""


def _fault(file: Path, number: int, error: Exception) -> Fault:
    """What is wrong with this line, at which key, and what to do about it."""
    wrong = str(payloads.Unacceptable(str(error)))  # names of keys in it may hold anything
    at = _KEY.search(wrong)
    key = (at[1] or at[2]) if at else ""
    wrong = wrong.removesuffix(f" - at `$.{key}`")
    for theirs, ours in _WORDS:
        wrong = wrong.replace(theirs, ours)
    if isinstance(error, payloads.Unacceptable) and key != "source":
        key = f"body.{key}".rstrip(".")
    if not key:
        return Fault(str(file), number, "", wrong, "Write one whole JSON object on each line")
    return Fault(str(file), number, key, wrong, _CURES.get(key.partition(".")[0], f"Known keys are {', '.join(_CURES)}"))


def of_database(
    database: Database, since: datetime | None, until: datetime | None, folder: Path | None = None
) -> list[Notification]:
    """Those that a receiver took in; those from `since` on that went to the archive in `folder`, too.

    Raises StoreUnavailable, Unreadable.
    """
    with database.inbox.read() as connection:
        known = replay.span(connection)
        kept = list(replay.accepted(connection, since or known[0], until or known[1])) if known else []
    before = known[0] if known else _EVER[1]
    archived = of_archive(folder, since, min(until or before, before)) if folder and since and since < before else []
    if known is None and not archived:
        raise Unreadable("it holds no notification")
    there = {(one.id, one.received_at) for one in kept}
    archived = [one for one in archived if (one.id, one.received_at) not in there]
    return sorted(archived + kept, key=lambda one: (one.received_at, one.id))


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
