"""Incidents as annotations in Grafana, by its HTTP API `/api/annotations`: a point when one starts, a region when it is over.

An annotation is found again by its tag `a58:<incident id>`. An unknown `dashboard_uid` is not an error to Grafana: it makes the
annotation one of the whole organisation.
"""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from receiver.delivery.targets import Refused, Unreachable
from receiver.delivery.targets.http import call, decode
from receiver.delivery.targets.plain_text import lines, one_line
from receiver.model import Statement

T = TypeVar("T")

_MOST_TITLE = 200
_MOST_TEXT = 2000  # of one language: escaped and in UTF-8, both stay far below the 64 KiB of a MySQL TEXT column
_MOST_TAG = 100  # key and value have 100 characters each in Grafana's database
_MOST_TAGS_BYTES = 500  # [annotations] tags_length by default, counted over the JSON of all tags
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Found(msgspec.Struct, frozen=True):
    id: int
    tags: list[str] | None = None


class _Added(msgspec.Struct, frozen=True):
    id: int = 0


class _Annotation(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What Grafana is told. A PATCH has no dashboard: an annotation stays where it was made."""

    text: str
    tags: list[str]
    time: int
    time_end: int | None = None
    dashboard_uid: str | None = msgspec.field(default=None, name="dashboardUID")
    panel_id: int | None = None


class GrafanaAnnotations:
    """One Grafana organisation: that of the service account whose `token` is given."""

    def __init__(
        self, name: str, url: str, token: str, dashboard_uid: str | None, panel_id: int | None, timeout_seconds: float
    ) -> None:
        self.name = name
        self._url = f"{url.rstrip('/')}/api/annotations"
        self._token = token
        self._dashboard_uid = dashboard_uid
        self._panel_id = panel_id if dashboard_uid else None
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        return f"GrafanaAnnotations({self.name!r})"

    def find(self, key: str) -> str | None:
        """The oldest annotation with the incident's tag.

        Grafana searches all of time where neither `from` nor `to` is given.
        """
        tag = self._key_tag(key)
        found = self._call("GET", "", list[_Found], params={"tags": [tag], "type": ["annotation"]})
        # looked at again, because some databases compare tags without regard to case
        ids = [one.id for one in found if one.id > 0 and tag in (one.tags or [])]
        return str(min(ids)) if ids else None

    def create(self, statement: Statement) -> str:
        annotation = msgspec.structs.replace(
            self._annotation(statement), dashboard_uid=self._dashboard_uid, panel_id=self._panel_id
        )
        added = self._call("POST", "", _Added, annotation)
        if added.id <= 0:
            raise Unreachable(f"{self.name}: did not say which annotation it made")
        return str(added.id)

    def update(self, remote_id: str, statement: Statement) -> None:
        # both ends are sent, so that a start learnt later moves the point, and an incident that was opened again is one
        start = _milliseconds(statement.started_at)
        self._patch(remote_id, msgspec.structs.replace(self._annotation(statement), time_end=start))

    def resolve(self, remote_id: str, statement: Statement) -> None:
        end = _milliseconds(statement.restored_at or statement.started_at)
        self._patch(remote_id, msgspec.structs.replace(self._annotation(statement), time_end=end))

    def _patch(self, remote_id: str, annotation: _Annotation) -> None:
        # Grafana takes id 0 for every annotation of no dashboard (grafana/grafana#99685)
        if not re.fullmatch(r"[1-9][0-9]{0,18}", remote_id):
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the id of an annotation")
        self._call("PATCH", f"/{remote_id}", dict[str, object], annotation)

    def _annotation(self, statement: Statement) -> _Annotation:
        tags = _short([self._key_tag(statement.key), *statement.tags])
        return _Annotation(text=_text(statement), tags=tags, time=_milliseconds(statement.started_at))

    def _key_tag(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be an incident's tag")
        return f"a58:{key}"

    def _call(
        self,
        method: str,
        path: str,
        type_: type[T],
        annotation: _Annotation | None = None,
        params: dict[str, str | list[str]] | None = None,
    ) -> T:
        answer = call(
            self.name,
            method,
            self._url + path,
            timeout_seconds=self._timeout_seconds,
            secret=self._token,
            headers={
                "Authorization": f"Bearer {self._token}",
                "Accept": "application/json",
                "Content-Type": "application/json",
            },
            params=params,
            body=msgspec.json.encode(annotation) if annotation else None,
        )
        return decode(self.name, answer, type_)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _short(tags: list[str]) -> list[str]:
    """The tags from the front that Grafana has room for; it would cut a second colon and what follows it."""
    kept: dict[str, None] = {}
    room = _MOST_TAGS_BYTES - len("[]")
    for tag in tags:
        name, colon, value = one_line(tag, _MOST_TAG).partition(":")
        short = f"{name}{colon}{value.replace(':', '_')}"
        room -= 0 if short in kept else len(short.encode()) + len('"",')
        if room < 0:
            break
        kept[short] = None
    return [tag for tag in kept if tag]


def _text(statement: Statement) -> str:
    """HTML, for Grafana shows it as such: our own few elements around escaped text."""
    parts = [
        part
        for title, text in ((statement.title.ja, statement.text.ja), (statement.title.en, statement.text.en))
        for part in (f"<b>{_escaped(one_line(title, _MOST_TITLE))}</b>", _escaped(lines(text, _MOST_TEXT)))
    ]
    if statement.url.startswith(("http://", "https://")):
        parts.append(f'<a href="{html.escape(statement.url)}">{_escaped(statement.url)}</a>')
    return "<br>".join(part for part in parts if part)


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>")
