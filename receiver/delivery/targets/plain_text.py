"""Text of others (label values, annotations) made fit to be shown: of bounded length, and without the characters that are not seen
themselves but change how the rest is read (controls, writing direction, zero width)."""

import re
import unicodedata

_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_UNSEEN = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)

_INDENT = "    "
"""Before what a broken line goes on with."""


def lines(text: str, most_characters: int) -> str:
    """The text with its line breaks as newlines. Where it was cut, a last line says so."""
    cut = _without_unseen(text[:most_characters])
    if len(text) <= most_characters:
        return cut
    return f"{cut}\n…（長いため省略・全{len(text):,}文字 / cut here, {len(text):,} characters in all）"


def one_line(text: str, most_characters: int) -> str:
    """The text on one line, with an ellipsis where it was cut."""
    line = " ".join(_without_unseen(text[: most_characters + 1]).split())
    return line if len(text) <= most_characters else f"{line[: most_characters - 1]}…"


def head_and_rest(text: str) -> tuple[str, str]:
    """What stands before the first empty line, and what stands after it."""
    head, _, rest = text.partition("\n\n")
    return head, rest


def whole_lines(text: str, most_characters: int) -> str:
    """As many of its first lines as there is room for, then an ellipsis for the others. Only the very first is cut itself."""
    if len(text) <= most_characters:
        return text
    first, *others = text.split("\n")
    kept, room = [one_line(first, most_characters - 2)], most_characters - 2
    room -= len(kept[0])
    for line in others:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join([*kept, "…"])


def wrapped(text: str, most_columns: int) -> str:
    """The text with its long lines broken, at a blank where one is near: where lines are shown as they are, their ends would not
    be seen. A wide character takes two columns; of those whose width hangs on the font it is taken to be two.
    """
    return "\n".join(piece for line in text.split("\n") for piece in _pieces(line, most_columns))


def _pieces(line: str, most_columns: int) -> list[str]:
    pieces, start = list[str](), 0
    while (end := _fitting(line, start, most_columns - len(_INDENT) * bool(start))) < len(line):
        blank = line.rfind(" ", start + (end - start) // 2, end + 1)
        end = blank + 1 if blank > 0 else end
        pieces.append(line[start:end].rstrip(" "))
        start = end
    pieces.append(line[start:])
    return [pieces[0], *(f"{_INDENT}{piece}" for piece in pieces[1:])]


def _fitting(line: str, start: int, most_columns: int) -> int:
    """Up to where the line fits, from `start`; one character always does."""
    columns = 0
    for at in range(start, len(line)):
        columns += 2 if unicodedata.east_asian_width(line[at]) in "WFA" else 1
        if columns > most_columns:
            return max(at, start + 1)
    return len(line)


def _without_unseen(text: str) -> str:
    return _UNSEEN.sub("", _BREAKS.sub("\n", text))
