"""Tickets as Markdown files in a folder, one per incident, for teams whose ticket system reads files and for a first look.

The receiver owns its keys of the front matter and the marked block; what a person writes anywhere else in the file is kept.
"""

import json
import os
import re
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from receiver.delivery.targets import Refused, Unreachable
from receiver.delivery.targets.plain_text import lines, one_line
from receiver.law.provisions import JST
from receiver.model import Statement

BEGIN = "<!-- art58 begin -->"
END = "<!-- art58 end -->"

_MOST_TITLE = 200
_MOST_TEXT = 20_000
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BULLETS = ("- ", "* ")
_OURS = frozenset(("id", "state", "title", "verdict", "unmeasured", "started_at", "restored_at", "number"))

State = Literal["open", "resolved"]


class _Persons(NamedTuple):
    """What is not ours in a ticket's file."""

    front_matter: str = ""
    above: str = "\n"
    below: str = "\n## メモ / Notes\n\n"


class TicketDirectory:
    """One folder, made when the first ticket is. A ticket's id is the name of its file; a file that was taken away is made anew."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def __repr__(self) -> str:
        return f"TicketDirectory({self.name!r})"

    def find(self, key: str) -> str | None:
        file = self._file(key)
        try:
            return file.name if file.is_file() else None
        except OSError as error:
            raise self._unreachable(error) from None

    def create(self, statement: Statement) -> str:
        return self._write(statement, "open")

    def update(self, remote_id: str, statement: Statement) -> None:
        """The file is known by the incident's key alone, so that no stored id can lead out of the folder."""
        self._write(statement, "open")

    def resolve(self, remote_id: str, statement: Statement) -> None:
        self._write(statement, "resolved")

    def _write(self, statement: Statement, state: State) -> str:
        file = self._file(statement.key)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            persons, mode = _Persons(), 0o644
            if file.is_file():
                # bytes that are no UTF-8 (a person's editor may write Shift_JIS) go through unharmed
                persons = _persons(file.read_bytes().decode("utf-8", "surrogateescape"))
                mode = file.stat().st_mode & 0o777
            text = _front_matter(statement, state, persons.front_matter) + persons.above + _block(statement) + persons.below
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


def _front_matter(statement: Statement, state: State, persons: str) -> str:
    title = f"{one_line(statement.title.ja, _MOST_TITLE)} / {one_line(statement.title.en, _MOST_TITLE)}"
    return (
        "---\n"
        f"id: {statement.key}\n"
        f"state: {state}\n"
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


def _block(statement: Statement) -> str:
    return "\n".join(
        [
            BEGIN,
            f"# {_escaped(one_line(statement.title.ja, _MOST_TITLE))}",
            "",
            _markdown(statement.text.ja),
            "",
            f"# {_escaped(one_line(statement.title.en, _MOST_TITLE))}",
            "",
            _markdown(statement.text.en),
            "",
            f"詳細 / Details: {_escaped(one_line(statement.url, 1000))}",
            "",
            "*この枠内は自動で書き換わります。メモは枠の外にお書きください。 / Rewritten automatically: write notes outside.*",
            END,
            "",
        ]
    )


def _markdown(text: str) -> str:
    """The lines as Markdown that shows them as they are, each on a line of its own; a bullet at the start stays one."""
    escaped = [_escaped(line) for line in lines(text, _MOST_TEXT).split("\n")]
    written = []
    for line, following in zip(escaped, [*escaped[1:], ""], strict=True):
        goes_on = line and following and not following.startswith(_BULLETS)
        if goes_on and line.startswith(_BULLETS):
            written += [line, ""]  # else the line below would belong to the list's last item
        else:
            written.append(f"{line}  " if goes_on else line)
    return "\n".join(written)


def _escaped(line: str) -> str:
    """`<` as an entity, so that neither HTML nor our own marker can be written; the other signs with a backslash."""
    line = line.strip()
    bullet = line[:2] if line.startswith(_BULLETS) and line[2:].strip() else ""
    line = re.sub(r"&(?=#?\w+;)", "&amp;", line[len(bullet) :].lstrip()).replace("<", "&lt;")
    line = re.sub(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)
    return f"{bullet}\\{line}" if line.startswith(("#", ">", "+", "=", "-")) else f"{bullet}{line}"
