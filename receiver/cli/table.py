"""Columns under one another in a terminal."""

import unicodedata
from collections.abc import Iterable


def lined_up(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines with columns under one another; the last is not filled up."""
    every = list(rows)
    widths = [max(map(_width, column)) for column in zip(*every, strict=True)]
    return [
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every
    ]


def noted(lines: Iterable[str], notes: Iterable[Iterable[str]]) -> list[str]:
    """Each line, with what is to be said of it below."""
    return [each for line, below in zip(lines, notes, strict=True) for each in (line, *(f"    {note}" for note in below))]


def _width(text: str) -> int:
    """How many places a terminal gives it: Japanese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
