"""What settings are made of: names, addresses, times, and secrets that do not show themselves."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="lower-case letters, digits, - and _")]
Url = Annotated[
    str,
    Meta(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$", description="http(s) address without user, password or query"),
]
FilePath = Annotated[str, Meta(min_length=1)]
# `$` alone would also take a line end after it, and \d the digits of other scripts: Python reads no clock time or day from those
TimeOfDay = Annotated[
    str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)", description='clock time in Japan, in quotes: "22:00"')
]
Seconds = Annotated[float, Meta(gt=0, le=86400 * 7)]


class Secret:
    """A text that does not show itself: not in repr, not in str, not in logs. `reveal()` gives it to the one who sends it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "<secret>"


class SecretUnreadable(Exception):
    """A secret named in the configuration is not there."""


class SecretRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a secret lies: exactly one of the two. It is never written in the configuration itself."""

    file: Annotated[str | None, Meta(description="file that holds it (first line, printable ASCII)")] = None
    env: Annotated[str | None, Meta(description="environment variable that holds it")] = None

    def read(self) -> Secret:
        """The secret itself. Raises SecretUnreadable, which names the place and never the content."""
        if (self.file is None) == (self.env is None):
            raise SecretUnreadable("name exactly one of file and env")
        if self.env is not None:
            text = os.environ.get(self.env, "")
            place = f"environment variable {self.env}"
        else:
            place = f"file {self.file}"
            try:
                text = Path(self.file or "").read_text(encoding="utf-8-sig")
            except (OSError, ValueError) as error:
                raise SecretUnreadable(f"{place} cannot be read ({getattr(error, 'strerror', 'not text')})") from None
        line = text.strip(" \t\r\n").partition("\n")[0].rstrip(" \t\r")
        if not line:
            raise SecretUnreadable(f"{place} is empty or not set")
        if not (line.isascii() and line.isprintable()):
            raise SecretUnreadable(f"{place} holds a control character or one beyond ASCII in its first line")
        return Secret(line)
