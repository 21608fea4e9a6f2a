"""Tickets as Markdown files in a folder, one per incident, for teams whose ticket system reads files and for a first look.

The receiver owns its keys of the front matter and the marked block; what a person writes anywhere else in the file is kept.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from receiver.delivery.targets import Change, Check, Draft, Refused, Seen, Unreachable, checking
from receiver.delivery.targets.markdown import escaped_line, markdown
from receiver.delivery.targets.plain_text import one_line
from receiver.law.provisions import JST

BEGIN = "<!-- art58 begin -->"
END = "<!-- art58 end -->"

_MOST_TITLE = 300
_MOST_TEXT = 40_000
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OURS = frozenset(("id", "state", "title", "verdict", "unmeasured", "started_at", "restored_at", "number"))


class _Persons(NamedTuple):
    """What is not ours in a ticket's file."""

    front_matter: str = ""
    above: str = "\n"
    below: str = "\n## メモ / Notes\n\n"


class TicketDirectory:
    """One folder, made when the first ticket is. A ticket's id is the name of its file; a file that was taken away is made anew."""

    reads, comments, settles = True, False, timedelta()

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def __repr__(self) -> str:
        return f"TicketDirectory({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, str]:
        return {"title": one_line(draft.title, _MOST_TITLE)}

    def find(self, key: str) -> list[str]:
        file = self._file(key)
        try:
            return [file.name] if file.is_file() else []
        except OSError as error:
            raise self._unreachable(error) from None

    def create(self, draft: Draft) -> str:
        return self._write(draft, self.fields(draft)["title"])

    def read(self, remote_id: str) -> Seen:
        """A file that was taken away is made anew: whoever takes tickets in from the folder may do so."""
        file = self._path / Path(remote_id).name
        try:
            if not file.is_file():
                return Seen({})
            content = file.read_bytes()
        except OSError as error:
            raise self._unreachable(error) from None
        title = _title(content.decode("utf-8", "surrogateescape"))
        return Seen({"title": title}, native=title)

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        """The file is known by the incident's key alone, so that no stored id can lead out of the folder."""
        return self._write(draft, change.fields.get("title") or seen.native or self.fields(draft)["title"])

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        raise NotImplementedError  # comments is False

    def has_comment(self, remote_id: str, mark: str) -> bool:
        raise NotImplementedError

    def checks(self, today: date) -> Iterator[Check]:
        """No file is made: that a disk is full shows only when one is."""
        yield checking.folder(self._path)

    def _write(self, draft: Draft, title: str) -> str:
        file = self._file(draft.key)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            persons, mode = _Persons(), 0o644
            if file.is_file():
                # bytes that are no UTF-8 (a person's editor may write Shift_JIS) go through unharmed
                persons = _persons(file.read_bytes().decode("utf-8", "surrogateescape"))
                mode = file.stat().st_mode & 0o777
            front_matter = _front_matter(draft, title, persons.front_matter)
            text = front_matter + persons.above + _block(draft) + persons.below
            _replace(file, text.encode("utf-8", "surrogateescape"), mode)
        except OSError as error:
            raise self._unreachable(error) from None
        return file.name

    def _file(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be the name of a file")
        return self._path / f"{key}.md"

    def _unreachable(self, error: OSError) -> Unreachable:
        return Unreachable(f"{self.name}: {self._path}: {error.strerror}. Check the folder, its permissions and the disk")


def _replace(file: Path, content: bytes, mode: int) -> None:
    """A reader sees the old file or the new one, never a part, also after a power cut."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _persons(text: str) -> _Persons:
    """What a person has in the file. Where the block is gone, all of it goes below the new one."""
    rest = text.removeprefix("\ufeff").splitlines(keepends=True)
    bare = [line.strip() for line in rest]
    front_matter = ""
    if bare and bare[0] == "---" and "---" in bare[1:]:
        end = bare.index("---", 1)
        front_matter = "".join(line for line in rest[1:end] if line.partition(":")[0] not in _OURS)
        rest, bare = rest[end + 1 :], bare[end + 1 :]
    if BEGIN in bare and END in bare[bare.index(BEGIN) :]:
        begin = bare.index(BEGIN)
        end = bare.index(END, begin)
        return _Persons(front_matter, "".join(rest[:begin]), "".join(rest[end + 1 :]))
    return _Persons(front_matter, below="".join(rest))


def _title(text: str) -> str | None:
    """The title in the front matter as it stands there; None if there is none."""
    rest = text.removeprefix("\ufeff").splitlines()
    if rest[:1] != ["---"]:
        return None
    for line in rest[1:]:
        name, _, value = line.partition(":")
        if name == "title":
            return _unquoted(value.strip())
        if line.strip() == "---":
            break
    return None


def _unquoted(value: str) -> str:
    """YAML's double quotes are JSON's; a person may have left them out."""
    try:
        found = json.loads(value)
    except ValueError:
        return value.strip("'\"")
    return found if isinstance(found, str) else value


def _front_matter(draft: Draft, title: str, persons: str) -> str:
    statement = draft.statement
    return (
        "---\n"
        f"id: {draft.key}\n"
        f"state: {'resolved' if statement.resolved else 'open'}\n"
        f"title: {json.dumps(title, ensure_ascii=False)}\n"
        f"verdict: {statement.verdict}\n"
        f"unmeasured: {'true' if statement.unmeasured else 'false'}\n"
        f"started_at: {_time(statement.started_at)}\n"
        f"restored_at: {_time(statement.restored_at)}\n"
        f"number: {statement.number}\n"
        f"{persons}"
        "---\n"
    )


def _time(at: datetime | None) -> str:
    return "null" if at is None else at.astimezone(JST).isoformat(timespec="seconds")


def _block(draft: Draft) -> str:
    return "\n".join(
        [
            BEGIN,
            f"# {escaped_line(one_line(draft.title, _MOST_TITLE))}",
            "",
            markdown(draft.text, _MOST_TEXT),
            "",
            "*この枠内は自動で書き換わります。メモは枠の外にお書きください。 / Rewritten automatically: write notes outside.*",
            END,
            "",
        ]
    )
