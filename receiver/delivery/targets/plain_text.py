"""Text of others (label values, annotations) made fit to be shown: of bounded length, and without the characters that are not seen
themselves but change how the rest is read (controls, writing direction, zero width)."""

import re

_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_UNSEEN = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


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


def _without_unseen(text: str) -> str:
    return _UNSEEN.sub("", _BREAKS.sub("\n", text))
