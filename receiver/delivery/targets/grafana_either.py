"""Grafana's annotations by whichever API it has: it is asked once, and what was made by the one is found by the other."""

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import msgspec

from receiver.delivery.targets import Change, Check, Draft, Missing, Seen
from receiver.delivery.targets.checking import asked
from receiver.delivery.targets.grafana import GrafanaAnnotations, headers
from receiver.delivery.targets.grafana_app import VERSION, GrafanaAppAnnotations
from receiver.delivery.targets.grafana_checks import ANNOTATIONS
from receiver.delivery.targets.http import call


class _Resource(msgspec.Struct, frozen=True):
    name: str = ""


class _Resources(msgspec.Struct, frozen=True):
    resources: list[_Resource] = []


class Question:
    """Whether a Grafana has the newer API. Several places share it: the first to need the answer asks."""

    def __init__(self, name: str, url: str, token: str, timeout_seconds: float, org_id: int | None = None) -> None:
        self._name = name
        self._url = f"{url.rstrip('/')}/apis/{VERSION}/"
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._headers = {"Accept": "application/json", **headers(token, org_id)}
        self._answer: bool | None = None
        self._lock = threading.Lock()

    def has_app_api(self) -> bool:
        """Raises Unreachable, Refused: then it is asked again the next time."""
        with self._lock:
            if self._answer is None:
                self._answer = self._ask()
            return self._answer

    def _ask(self) -> bool:
        try:
            answer = call(
                self._name,
                "GET",
                self._url,
                timeout_seconds=self._timeout_seconds,
                secret=self._token,
                headers=self._headers,
            )
            found = msgspec.json.decode(answer, type=_Resources)
        except Missing:
            return False  # older than 13, or [annotations.app_platform] is not enabled
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False  # a page: Grafana gives one for what it does not know
        return any(one.name == "annotations" for one in found.resources)


class GrafanaEither:
    """The same place by both APIs, of which the one is used that there is."""

    reads, comments, settles = True, False, timedelta()

    def __init__(self, legacy: GrafanaAnnotations, app: GrafanaAppAnnotations, question: Question) -> None:
        self.name = legacy.name
        self._legacy = legacy
        self._app = app
        self._question = question

    def __repr__(self) -> str:
        return f"GrafanaEither({self.name!r})"

    @property
    def _there(self) -> GrafanaAnnotations | GrafanaAppAnnotations:
        return self._app if self._question.has_app_api() else self._legacy

    def fields(self, draft: Draft) -> dict[str, Any]:
        return self._legacy.fields(draft)  # the same by both

    def find(self, key: str) -> list[str]:
        return self._there.find(key)

    def create(self, draft: Draft) -> str:
        return self._there.create(draft)

    def read(self, remote_id: str) -> Seen | None:
        return self._there.read(remote_id)

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        return self._there.write(remote_id, draft, change, seen)

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        raise NotImplementedError  # comments is False

    def has_comment(self, remote_id: str, mark: str) -> bool:
        raise NotImplementedError

    def remove(self, remote_id: str) -> None:
        self._there.remove(remote_id)

    def checks(self, today: date) -> Iterator[Check]:
        check, there = asked(ANNOTATIONS, lambda: self._there)
        yield from there.checks(today) if there else [check]
