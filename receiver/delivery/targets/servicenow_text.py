"""Texts and values as ServiceNow counts, shows and gives them back."""

import re
from collections.abc import Mapping
from typing import Any

from receiver.delivery.targets.plain_text import lines, one_line

_MOST_TITLE = 160
_NOTICE = 90  # characters of the line that says that text was cut
_CODE = re.compile(r"\[(?=\s*/?\s*code\s*\])", re.IGNORECASE)


def title(text: str) -> str:
    line = one_line(text, len(text))
    return one_line(line, _fitting(line, _MOST_TITLE))


def cut(text: str, room: int) -> str:
    """As much of it as there is room for; where it was cut, a last line says so."""
    whole = lines(text, len(text))
    if length(whole) <= room:
        return whole
    most = _fitting(whole, room - _NOTICE)
    return lines(whole, most) if most else ""


def length(text: str) -> int:
    """As Java counts: rare kanji and emoji take two places."""
    return len(text.encode("utf-16-le")) // 2


def without_html(text: str) -> str:
    """What stands in [code] in a work note is shown as HTML."""
    return _CODE.sub("［", text)


def as_text(value: Any) -> str:
    """As ServiceNow gives it back: lists (of watchers, say) with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(as_text(one) for one in value)
    return "" if value is None else str(value).strip()


def value_of(row: Mapping[str, Any], name: str) -> str:
    """A field that the user may not see is left out; a reference may still come as an object."""
    value = row.get(name)
    return as_text(value.get("value") if isinstance(value, dict) else value)


def _fitting(text: str, room: int) -> int:
    """How many characters from the front take no more than this room."""
    return len(text.encode("utf-16-le")[: 2 * max(0, room)].decode("utf-16-le", "ignore"))
