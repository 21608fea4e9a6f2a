"""Old notifications out of the store into compressed files, one for each month: nothing is deleted before the disk has it there.

A file is gzip, and each line in it a JSON object: `zcat` and `art58 backtest --notifications` read it. Each chunk is a gzip member
that tells its own length in its header, so an end that was torn off by a kill or a full disk is found and cut off. A chunk that was
written, and not yet deleted when the receiver was killed, is written again: the same line twice, with the same id.
"""

import base64
import fcntl
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count, groupby
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import Row, and_, delete, func, or_, select

from receiver.law.provisions import JST
from receiver.model import Learnt, Source
from receiver.storage.database import Connection, Database
from receiver.storage.packed import unpacked
from receiver.storage.parts import INBOX, home
from receiver.storage.tables import notifications as table

ROWS, BYTES = 200, 1024 * 1024
"""Of a chunk at most, before it is compressed; one body may be larger."""
ENDING = ".jsonl.gz"

# gzip with an extra field: two letters, how long what follows is, and the length of the whole member
_FIXED = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H2sH", 8, b"A5", 4)
_LENGTH = struct.Struct("<L")
_HEADER_BYTES = len(_FIXED) + _LENGTH.size
_TAIL = struct.Struct("<LL")
_GZIP = 16 + zlib.MAX_WBITS


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One notification. `body` is what was sent, as a text; what is none is in `body_base64`. `refused` says why it was."""

    id: int
    received_at: datetime
    source: Source
    body: str | None = None
    body_base64: str | None = None
    learnt: Learnt = "webhook"
    refused: str | None = None
    times: int = 1
    derived_at: datetime | None = None


class Told(msgspec.Struct, frozen=True):
    """What lies in a folder."""

    folder: str
    files: int
    size_bytes: int


def tell(folder: Path) -> Told:
    """How much is in it by now. Raises OSError."""
    sizes = [file.stat().st_size for file in files(folder)]
    return Told(str(folder), len(sizes), sum(sizes))


def files(folder: Path, since: datetime | None = None, until: datetime | None = None) -> list[Path]:
    """Those of an archive that may hold what came in between, the earliest month first; none where there is no folder."""
    first, last = (_month(since) if since else ""), (_month(until) if until else "~")
    found = sorted(folder.glob(f"notifications-*{ENDING}"))
    return [file for file in found if first <= file.name.removeprefix("notifications-")[:7] <= last]


def _month(moment: datetime) -> str:
    """In Japan, as in all that is reported."""
    return moment.astimezone(JST).strftime("%Y-%m")


class Archive:
    """The files in `folder`, which is made when something goes there. Only the one that leads writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ends: dict[Path, int] = {}

    def move(self, database: Database, before: datetime, now: datetime) -> int:
        """Move one chunk of what came before that moment; how many notifications, 0: there are no more.

        What waits to be derived stays, however old it is, and so does the last one that came: its number must not be given again.
        Raises OSError, StoreUnavailable.
        """
        store = home(database, INBOX)
        with store.read() as connection:
            lines = _lines(_chunk(connection, before, now))
        for month, its in groupby(sorted(lines, key=_month_of), key=_month_of):
            self._append(month, b"".join(msgspec.json.encode(line) + b"\n" for line in its))
        if lines:
            with store.write() as connection:
                # one that was refused once more meanwhile is no longer the one that was written
                is_same = and_(table.c.id.in_([line.id for line in lines]), table.c.received_at < before)
                connection.execute(delete(table).where(is_same))
        return len(lines)

    def _append(self, month: str, lines: bytes) -> None:
        """On disk when it returns."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            file = self._folder / f"notifications-{month}{f'.{number}' if number > 1 else ''}{ENDING}"
            with file.open("a+b") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                end = self._end(file, opened)
                if end is None:
                    continue  # somebody packed it anew: it is left as it is
                opened.truncate(end)
                member = _member(lines)
                opened.write(member)
                opened.flush()
                os.fsync(opened.fileno())
                _sync_folder(self._folder)
                self._ends[file] = end + len(member)
                return

    def _end(self, file: Path, opened: BinaryIO) -> int | None:
        size = os.fstat(opened.fileno()).st_size
        return size if self._ends.get(file) == size else _whole_end(opened, size)


def _chunk(connection: Connection, before: datetime, now: datetime) -> Sequence[Row[Any]]:
    """The oldest that may go, by their numbers, for times have no index. Those that may not are passed over, until one is met that
    came in time: all after it came later.
    """
    last = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    is_done = or_(table.c.derived_at.is_not(None), table.c.refused.is_not(None))
    columns = select(
        table.c.id, table.c.received_at, table.c.refused, is_done.label("is_done"), func.length(table.c.body).label("size")
    )
    after, ids, held = -1, list[int](), 0
    while found := connection.execute(columns.where(table.c.id > after, table.c.id < last).order_by(table.c.id).limit(ROWS)).all():
        for row in found:
            if row.is_done and row.received_at < before:
                if ids and (held + row.size > BYTES or len(ids) == ROWS):
                    return _whole(connection, ids)
                ids.append(row.id)
                held += row.size
            elif row.is_done and row.refused is None and row.received_at <= now:
                return _whole(connection, ids)
            after = row.id
    return _whole(connection, ids)


def _whole(connection: Connection, ids: list[int]) -> Sequence[Row[Any]]:
    return connection.execute(select(table).where(table.c.id.in_(ids)).order_by(table.c.id)).all() if ids else ()


def _lines(rows: Iterable[Row[Any]]) -> list[Line]:
    """Of so many of them as are not too large together once they are unpacked; of one at least."""
    found: list[Line] = []
    held = 0
    for row in rows:
        body = unpacked(row.body)
        held += len(body)
        if found and held > BYTES:
            break
        text = base64_text = None
        try:
            text = body.decode()
        except UnicodeDecodeError:
            base64_text = base64.b64encode(body).decode()
        its = row.learnt, row.refused, row.times, row.derived_at
        found.append(Line(row.id, row.received_at, row.source, text, base64_text, *its))
    return found


def _month_of(line: Line) -> str:
    return _month(line.received_at)


def _member(lines: bytes) -> bytes:
    """As gzip packs it, with its own length in the header."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = deflate.compress(lines) + deflate.flush()
    length = _HEADER_BYTES + len(packed) + _TAIL.size
    return _FIXED + _LENGTH.pack(length) + packed + _TAIL.pack(zlib.crc32(lines), len(lines) % 2**32)


def _whole_end(opened: BinaryIO, size: int) -> int | None:
    """Where the last whole member ends; None: it holds something else than ours."""
    at = last = 0
    while at < size:
        opened.seek(at)
        header = opened.read(_HEADER_BYTES)
        if not (_FIXED.startswith(header[: len(_FIXED)]) or not any(header)):
            return None
        if not header.startswith(_FIXED) or len(header) < _HEADER_BYTES:
            return at  # torn off, or never written by a disk that lost its power
        length = _LENGTH.unpack(header[-_LENGTH.size :])[0]
        if at + length > size:
            return at
        last, at = at, at + length
    opened.seek(last)
    return at if at == 0 or _is_whole(opened.read(at - last)) else last


def _is_whole(member: bytes) -> bool:
    try:
        zlib.decompress(member, wbits=_GZIP)
    except zlib.error:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """So that a new file is found in it after a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
