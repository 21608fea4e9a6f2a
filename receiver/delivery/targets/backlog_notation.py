"""Plain lines in one of the two text formatting rules of Backlog, so that they are shown as they are."""

import re
from collections.abc import Callable
from typing import Literal

from receiver.delivery.targets.block import without_marks

Formatting = Literal["markdown", "backlog"]

_BULLETS = ("- ", "* ")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_MARKDOWN = re.compile(r"[\\`*\[\]|~!]|(?<![^\W_])_|_(?![^\W_])")
_MARKDOWN_START = re.compile(r"^(?=[#>+=-])|(?<=^\d)(?=[.)])|(?<=^\d\d)(?=[.)])")
_BACKLOG = re.compile(r"\\|'(?=')|(?<=')'|%(?=%)|(?<=%)%|\[(?=\[)|(?<=\[)\[|\{|\||&(?=\w+[;(])|#(?=[a-z])")
_BACKLOG_START = re.compile(r"^(?=[*+>-])")
_ISSUE_KEY = re.compile(r"\b([A-Z][A-Z0-9_]*)-(?=\d)")
_BACKSLASH = r"\\"
_MENTION = re.compile(r"<(?=@)")


def notation(text: str, formatting: Formatting) -> str:
    """The lines in that notation; a bullet at the start of a line stays one."""
    bare = [line.strip() for line in without_marks(text).split("\n")]
    if formatting == "backlog":
        return "\n".join(_escaped(line, _in_backlog, _BACKLOG_START) for line in bare)
    written: list[str] = []
    for line, following in zip(bare, [*bare[1:], ""], strict=True):
        goes_on = bool(line and following) and not following.startswith(_BULLETS)
        escaped = _escaped(line, _in_markdown, _MARKDOWN_START)
        if goes_on and line.startswith(_BULLETS):
            written += [escaped, ""]  # else the line below would belong to the list's last item
        else:
            written.append(f"{escaped}  " if goes_on else escaped)
    return "\n".join(written)


def _escaped(line: str, words: Callable[[str], str], start: re.Pattern[str]) -> str:
    if line.startswith(_BULLETS) and line[2:].strip():
        return f"- {start.sub(_BACKSLASH, words(line[2:].lstrip()))}"
    return start.sub(_BACKSLASH, words(line))


def _in_markdown(line: str) -> str:
    line = _ENTITY.sub("&amp;", line).replace("<", "&lt;")
    return _ISSUE_KEY.sub(r"\1\\-", _MARKDOWN.sub(r"\\\g<0>", line))


def _in_backlog(line: str) -> str:
    return _MENTION.sub("＜", _BACKLOG.sub(r"\\\g<0>", line))
