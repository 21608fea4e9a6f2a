"""Whether a run told a secret to anybody: all that it says is searched for it, in every form in which it may be written.

What is searched is the receiver's own: what its processes print, the store as a dump, and by `art58 web` and `art58 deliveries` all
that persons and Prometheus are shown.
"""

import html
import json
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from examples.peers import Server, fetch, free_port
from receiver.settings.tickets import Ticket

WEB_TOKEN = "web-token'\"<&>%+/-not-for-anyone"  # noqa: S105 - of a receiver that lives for some minutes
WEB_PASSWORD = "web-password'\"<&>%+/-not-for-anyone"  # noqa: S105
WEB_USER = "noc"
BLOT = "***"
"""What the receiver writes where the other side repeated a secret."""
MOST_PAGES = 20
"""Of incidents whose deliveries show an error."""
_PART = 50_000
"""Characters of a text before and after what is put into a copy of it."""


def _base64(secret: str, before: int) -> str:
    """What of its base64 is the same whatever follows it and whichever `before` bytes stand before it: a user's name, for one."""
    encoded = b64encode(b"\0" * before + secret.encode()).decode()
    return encoded[(before * 8 + 5) // 6 : (before + len(secret.encode())) * 8 // 6]


WAYS: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: quote(text),
    lambda text: quote(text, safe=""),
    quote_plus,
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: text.replace("'", "''"),  # SQL
    lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),  # Python
    *(lambda text, before=before: _base64(text, before) for before in range(3)),
    *(lambda text, before=before: _base64(text, before).translate(str.maketrans("+/", "-_")) for before in range(3)),
)
"""In which a text is written into another one. How HTML writes it is many ways: there the text searched is read instead."""


@cache
def forms(secret: str) -> frozenset[str]:
    """In one way, or in one within another: JSON in a dump, for one."""
    return frozenset(outer(inner(secret)) for inner in WAYS for outer in WAYS)


def told(text: str, secrets: Iterable[str]) -> set[str]:
    """Those of the secrets that stand in the text."""
    texts = {text, html.unescape(text)}
    return {secret for secret in secrets if any(form in one for form in forms(secret) for one in texts)}


def planted(texts: Mapping[str, str], secrets: Sequence[str]) -> tuple[int, int]:
    """The proof that nothing is overlooked: how often a secret was put into a copy of a text, and how often it was found there."""
    put = found = 0
    for text in texts.values():
        before, after = text[:_PART], text[-_PART:]
        for way in (*WAYS, html.escape):
            copy = f"{before}{' '.join(map(way, secrets))}{after}"
            put, found = put + len(secrets), found + len(told(copy, secrets))
    return put, found


class Watch:
    """`art58 web` over the store of a run, and who reads all that it and the command line show. A context manager.

    `told` is what was seen so far: where a secret stood, and its number, as its name would tell it.
    """

    def __init__(self, folder: Path, tickets: Sequence[Ticket], secrets: Sequence[str]) -> None:
        self._folder = folder
        self.secrets = (*secrets, WEB_TOKEN, WEB_PASSWORD)
        self.told: set[str] = set()
        self._blotted: set[str] = set()
        self._texts: dict[str, str] = {}
        self.metrics = folder / "metrics"
        self.metrics.mkdir()
        self._config = folder / "config.yaml"
        self._basic = {"Authorization": f"Basic {b64encode(f'{WEB_USER}:{WEB_PASSWORD}'.encode()).decode()}"}
        self._bearer = {"Authorization": f"Bearer {WEB_TOKEN}"}
        address = f"127.0.0.1:{free_port()}"
        (folder / "web-token").write_text(WEB_TOKEN)
        (folder / "web-password").write_text(WEB_PASSWORD)
        config: dict[str, Any] = {
            "listen": address,
            "external_url": "http://noc.example",
            "data_dir": str(folder),
            "prometheus": {"url": "http://127.0.0.1:9"},
            "authentication": {
                "bearer_tokens": [{"file": "web-token"}],
                "basic": [{"username": WEB_USER, "password": {"file": "web-password"}}],
            },
            "tickets": msgspec.to_builtins(tickets),
            "services": [{"name": "voice", "kind": "voice", "emergency_calls": True, "match": ['service="voice"']}],
        }
        self._config.write_text(json.dumps(config))  # which is YAML, too
        command = ["env", f"PROMETHEUS_MULTIPROC_DIR={self.metrics}", *_art58("web"), "--config", str(self._config)]
        self._web = Server("web", command, folder, f"http://{address}", "/-/ready")

    def __enter__(self) -> "Watch":
        self._web.start(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._web.stop()

    def look(self, **more: str) -> None:
        """Search all that there is now, and `more` by place."""
        self._texts = self._read_all() | more
        for place, text in self._texts.items():
            self.told |= {f"secret {self.secrets.index(one)} in {place}" for one in told(text, self.secrets)}
            if BLOT in text:
                self._blotted.add(place)

    def figures(self) -> dict[str, int | str]:
        """Of all looks, and of what was put into copies of what the last one saw."""
        put, found = planted(self._texts, self.secrets)
        return {
            "secrets": len(self.secrets),
            "places": len(self._texts),
            "secrets_told": len(self.told),
            "blotted_out": self._texts["output"].count(BLOT),
            "blotted_out_in": ", ".join(sorted(self._blotted)),
            "planted": put,
            "planted_not_found": put - found,
        }

    def _read_all(self) -> dict[str, str]:
        """By place, what stands there now."""
        listed = [*_art58("deliveries"), "--config", str(self._config), "--json"]
        answer = subprocess.run(listed, capture_output=True, text=True, timeout=60, check=True)
        return {
            "store": self._dump(),
            "output": "".join(file.read_text(errors="replace") for file in sorted(self._folder.glob("*.log"))),
            "metrics": self._read("/metrics", {}),
            "api": "".join(self._read(f"/api/v1/{path}", self._bearer) for path in ("incidents?state=all", "refused")),
            "pages": "".join(self._read(path, self._basic) for path in ("/incidents", "/refused", *self._of_incidents())),
            "deliveries": answer.stdout + answer.stderr,
        }

    def _read(self, path: str, headers: Mapping[str, str]) -> str:
        return fetch(self._web.url + path, headers, timeout=30).decode()

    def _dump(self) -> str:
        with closing(sqlite3.connect(self._folder / "art58.db")) as connection:
            return "\n".join(connection.iterdump())

    def _of_incidents(self) -> list[str]:
        query = "SELECT DISTINCT incident_id FROM deliveries ORDER BY last_error IS NULL, incident_id LIMIT ?"
        with closing(sqlite3.connect(self._folder / "art58.db")) as connection:
            return [f"/incidents/{id_}" for (id_,) in connection.execute(query, (MOST_PAGES,))]


def _art58(command: str) -> list[str]:
    return [sys.executable, "-m", "receiver.cli", command]
