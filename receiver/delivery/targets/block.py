"""Our part of a description of plain lines: between two marks that persons see and an editor keeps. All around is theirs."""

import re
from typing import NamedTuple

_BEGIN = "[art58 begin {0}] この枠内は自動で書き換わります。メモは枠の外へ / Rewritten automatically: write notes outside"
_END = "[art58 end]"
_BLOCK = re.compile(r"^[ \t]*\[art58 begin ([A-Za-z0-9._-]+)\].*?^[ \t]*\[art58 end\]", re.DOTALL | re.MULTILINE)
_OURS = re.compile(r"\[(?=art58\b)", re.IGNORECASE)


class Place(NamedTuple):
    """Where our block stands: the key it names, and what persons have above and below."""

    key: str
    above: str
    below: str


def block(key: str, text: str) -> str:
    """The text between the marks; the upper one names the key."""
    return f"{_BEGIN.format(key)}\n\n{text}\n\n{_END}"


def place_in(description: str) -> Place | None:
    """None where a person took a mark away."""
    found = _BLOCK.search(description)
    return Place(found[1], description[: found.start()], description[found.end() :]) if found else None


def mark_line(mark: str) -> str:
    """The last line of a comment, by which it is found again."""
    return f"[art58 {mark}]"


def without_marks(text: str) -> str:
    """The text of others, in which nothing passes for one of our marks."""
    return _OURS.sub("［", text)
