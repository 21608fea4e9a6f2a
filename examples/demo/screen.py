"""What a person sees: lines with the time since the start, and a countdown that moves only on a terminal."""

import re
import sys
import time
import unicodedata
from datetime import datetime, timedelta, timezone
from typing import TextIO

JST = timezone(timedelta(hours=9), "JST")
PLAIN_STATUS_SECONDS = 10
COLUMNS = 120  # of a detail


def clock(at: datetime | float | None) -> str:
    """The time of day in Japan, say 14:07:30 JST; a dash when it is not known."""
    if at is None:
        return "-"
    moment = datetime.fromtimestamp(at, JST) if isinstance(at, int | float) else at.astimezone(JST)
    return moment.strftime("%H:%M:%S JST")


def folded(text: str, columns: int = COLUMNS) -> list[str]:
    """Rows that fit: words stay whole, Japanese may break anywhere and takes two columns a character."""
    rows, width = [""], 0
    for part in re.findall(r"[!-~]+ ?|.", text):
        needed = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in part)
        if width and width + needed > columns:
            rows.append("")
            width = 0
        if width or not part.isspace():
            rows[-1] += part
            width += needed
    return [row.rstrip() for row in rows]


class Screen:
    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.out = out
        self.moves = out.isatty()
        self.started = time.monotonic()
        self._last_status = float("-inf")
        self._status_stands = False

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def line(self, text: str) -> None:
        self._write(f"[{self.elapsed():6.1f} s] {text}")

    def detail(self, text: str) -> None:
        for row in folded(text):
            self._write(f"{'':11}{row}")

    def plain(self, text: str = "") -> None:
        self._write(text)

    def status(self, text: str) -> None:
        """What is being waited for: rewritten in place on a terminal, else a line now and then."""
        if self.moves:
            self.out.write(f"\r\x1b[K[{self.elapsed():6.1f} s] {text}")
            self.out.flush()
            self._status_stands = True
        elif self.elapsed() - self._last_status >= PLAIN_STATUS_SECONDS:
            self._last_status = self.elapsed()
            self.line(text)

    def _write(self, text: str) -> None:
        if self._status_stands:
            self.out.write("\r\x1b[K")
            self._status_stands = False
        self.out.write(text + "\n")
        self.out.flush()
