"""Alerts in PagerDuty by its Events API v2: a trigger when there is something to say, a resolve when it is over.

Nothing can be read there, and nothing need be: our key is the `dedup_key`, so that an event sent twice comes to the same. Where a
person resolved the alert meanwhile, the next news open a new one under the same key: that cannot be seen from here.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, timedelta
from typing import Any, Literal

import msgspec

from receiver.delivery.targets import Change, Check, Draft, Refused, Seen, Unreachable, checking
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.plain_text import lines, one_line
from receiver.law.provisions import Text
from receiver.settings.tickets import PagerDutyTicket, Severity

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_KEY_LENGTH = 32
_MOST_SUMMARY = 1024
_MOST_URL = 2000
_MOST_BODY_BYTES = 512 * 1024
_TEXT_SIZES = (40_000, 4_000, 400)  # characters: the first with which the body is small enough
_SEVERITIES: dict[str, Severity] = {
    "major": "critical",
    "indeterminate": "error",
    "near_miss": "warning",
    "periodic": "warning",
    "none": "info",
}
_PD_CEF = ("severity", "component", "group", "class")
"""What has a place of its own in the common event format; other mapped fields are details."""


class _Answer(msgspec.Struct, frozen=True):
    status: str = ""
    dedup_key: str = ""


class PagerDuty:
    """One integration of a service (or an event orchestration): that of the routing key, which goes in the body of every event."""

    reads, comments, settles = False, False, timedelta()

    def __init__(self, settings: PagerDutyTicket, timeout_seconds: float) -> None:
        self.name = settings.name
        self._settings = settings
        self._routing_key = settings.routing_key.read().reveal()
        self._api = Api(settings.name, settings.url, self._routing_key, timeout_seconds, {}, per_minute=settings.per_minute)

    def __repr__(self) -> str:
        return f"PagerDuty({self.name!r})"

    def fields(self, draft: Draft) -> Mapping[str, Any]:
        verdict = draft.statement.verdict.value
        own = (severity for of, severity in self._settings.severities.items() if of == verdict)
        return {"summary": one_line(draft.title, _MOST_SUMMARY), "severity": next(own, _SEVERITIES[verdict]), **draft.fields}

    def find(self, key: str) -> list[str]:
        """Always none: what is sent twice under one key is one alert there."""
        return []

    def create(self, draft: Draft) -> str:
        self._tell("trigger", draft.key, draft)
        return draft.key

    def read(self, remote_id: str) -> Seen | None:
        raise NotImplementedError  # reads is False

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        """A trigger tells the newest. One that we resolved is left alone until it is opened: any trigger would page anew."""
        if change.state == "closed":
            self._tell("resolve", remote_id, draft)
        elif seen.is_open or change.state == "open":
            self._tell("trigger", remote_id, draft)
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        raise NotImplementedError  # comments is False

    def has_comment(self, remote_id: str, mark: str) -> bool:
        raise NotImplementedError

    def checks(self, today: date) -> Iterator[Check]:
        """The Events API can be asked nothing: whether the key is one of theirs shows only when an event is sent."""
        yield checking.reachable(self._settings.url, 10)
        if (length := len(self._routing_key)) != _KEY_LENGTH:
            what = Text("連携キー（routing_key）の形", "form of the routing key")
            wrong = Text(f"{length}文字です（{_KEY_LENGTH}文字のはず）", f"it has {length} characters, not {_KEY_LENGTH}")
            cure = Text("Integration Key を確認してください", "Check the integration key of the service")
            yield Check(what, wrong, cure, is_warning=True)

    def _tell(self, action: Literal["trigger", "resolve"], key: str, draft: Draft) -> None:
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be a dedup_key")
        of_event = {"routing_key": self._routing_key, "event_action": action, "dedup_key": key}
        for most_characters in _TEXT_SIZES:
            event = of_event | self._said(draft, most_characters)
            if len(msgspec.json.encode(event)) <= _MOST_BODY_BYTES:
                break
        else:
            raise Refused(f"{self.name}: the mapped fields are larger than the 512 KB that an event may have")
        answer = self._api.call("POST", "/v2/enqueue", _Answer, event)
        if (answer.status, answer.dedup_key) != ("success", key):
            raise Unreachable(f"{self.name}: did not say that it took the event")

    def _said(self, draft: Draft, most_characters: int) -> dict[str, Any]:
        statement, url = draft.statement, one_line(draft.statement.url, _MOST_URL)
        fields = dict(self.fields(draft))
        told_at = max((one.assessed_at for one in statement.assessments), default=statement.started_at)
        payload = {
            "summary": fields.pop("summary"),
            "source": self._settings.source,
            "timestamp": told_at.astimezone(UTC).isoformat(timespec="milliseconds"),
            **{name: fields.pop(name) for name in _PD_CEF if name in fields},
            "custom_details": {
                "key": draft.key,
                "number": statement.number,
                "verdict": statement.verdict.value,
                "unmeasured": statement.unmeasured,
                "failure_started_at": statement.started_at.isoformat(),
                "restored_at": statement.restored_at.isoformat() if statement.restored_at else None,
                "tags": [one_line(tag, 100) for tag in statement.tags[:20]],
                "text": lines(draft.text, most_characters),
                **fields,
            },
        }
        event: dict[str, Any] = {"payload": payload, "client": self._settings.client}
        if url.startswith(("http://", "https://")):
            event |= {"links": [{"href": url, "text": draft.key}], "client_url": url}
        return event
