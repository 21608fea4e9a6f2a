"""Incidents as annotations in Grafana, by its legacy HTTP API `/api/annotations`: a point when one starts, a region when it is
over.

An annotation is found again by its tag `a58:<incident id>`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from receiver.delivery.targets import (
    Change,
    Check,
    Draft,
    Missing,
    Refused,
    Seen,
    Unreachable,
    annotations,
    checking,
    grafana_checks,
)
from receiver.delivery.targets.annotations import Place
from receiver.delivery.targets.checking import Reader
from receiver.delivery.targets.grafana_checks import ANNOTATIONS
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.plain_text import one_line

_PATH = "/api/annotations"
_ID = re.compile(r"(?:[A-Za-z0-9._-]+/a-)?([1-9][0-9]{0,18})")  # the newer API calls the same one INCIDENT/a-12


class _Found(msgspec.Struct, frozen=True):
    id: int
    text: str = ""
    tags: list[str] | None = None
    time: int = 0
    time_end: int = msgspec.field(default=0, name="timeEnd")
    dashboard_uid: str | None = msgspec.field(default=None, name="dashboardUID")
    panel_id: int | None = msgspec.field(default=None, name="panelId")


class _Added(msgspec.Struct, frozen=True):
    id: int = 0


def headers(token: str, org_id: int | None) -> dict[str, str]:
    """What goes with every call: a token is one organisation's own, credentials of a user are for the one that the header names."""
    return {"Authorization": f"Bearer {token}", **({"X-Grafana-Org-Id": str(org_id)} if org_id else {})}


class GrafanaAnnotations:
    """One place in one organisation: that of the service account whose `token` is given."""

    reads, comments, settles = True, False, timedelta()

    def __init__(
        self,
        name: str,
        url: str,
        token: str,
        dashboard_uid: str | None,
        panel_id: int | None,
        timeout_seconds: float,
        *,
        org_id: int | None = None,
        services: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self._place = Place(dashboard_uid, panel_id if dashboard_uid else None, services)
        self._api = Api(name, url, token, timeout_seconds, headers(token, org_id))

    def __repr__(self) -> str:
        return f"GrafanaAnnotations({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, Any]:
        return annotations.fields(self.name, draft, self._place)

    def find(self, key: str) -> list[str]:
        """All annotations of this place with the incident's tag; Grafana searches all of time where no `from` and `to` is given."""
        return [str(one.id) for one in self._found(annotations.key_tag(self.name, key))]

    def create(self, draft: Draft) -> str:
        wanted = annotations.times_of(self.fields(draft), draft.statement)
        annotations.check_dashboard(self.name, self._api, self._place)
        where = {"dashboardUID": self._place.dashboard_uid, "panelId": self._place.panel_id}
        annotation = wanted | {name: value for name, value in where.items() if value is not None}
        added = self._api.call("POST", _PATH, _Added, annotation)
        if added.id <= 0:
            raise Unreachable(f"{self.name}: did not say which annotation it made")
        return str(added.id)

    def read(self, remote_id: str) -> Seen | None:
        try:
            found = self._api.call("GET", self._one(remote_id), _Found)
        except Missing:
            return None
        tags = found.tags or []
        fields = {"text": found.text, "tags": tags, "time": found.time, "timeEnd": found.time_end or found.time}
        return Seen(fields, is_untouched=annotations.is_untouched(found.text, tags))

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        """A PATCH has no dashboard: an annotation stays where it was made."""
        if fields := with_fitted_tags(change.fields, self.fields(draft)["tags"]):
            self._api.call("PATCH", self._one(remote_id), dict[str, object], fields)
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        raise NotImplementedError  # comments is False

    def has_comment(self, remote_id: str, mark: str) -> bool:
        raise NotImplementedError

    def remove(self, remote_id: str) -> None:
        """Take a double away: while another one stands, and nobody changed text or tags."""
        seen = self.read(remote_id)
        if seen is None or not seen.is_untouched:
            return
        tag = annotations.key_tag(self.name, annotations.key_of(seen.fields["tags"]) or "")
        if all(self._one(str(one.id)) == self._one(remote_id) for one in self._found(tag)):
            return
        try:
            self._api.call("DELETE", self._one(remote_id), dict[str, object])
        except Missing:
            return

    def checks(self, today: date) -> Iterator[Check]:
        check, answer = checking.asked(ANNOTATIONS, lambda: self._api.call("GET", _PATH, list[_Found], params={"limit": "1"}))
        yield check
        if answer is not None:
            yield from grafana_checks.checks(self._place, Reader(self._api))

    def _found(self, tag: str) -> list[_Found]:
        params: dict[str, str | list[str]] = {"tags": [tag], "type": ["annotation"]}
        found = self._api.call("GET", _PATH, list[_Found], params=params)
        # looked at again, because some databases compare tags without regard to case
        ours = (one for one in found if one.id > 0 and tag in (one.tags or []))
        return sorted((one for one in ours if self._place.has(one.dashboard_uid, one.panel_id)), key=lambda one: one.id)

    def _one(self, remote_id: str) -> str:
        # Grafana takes id 0 for every annotation of no dashboard (grafana/grafana#99685)
        found = _ID.fullmatch(remote_id)
        if not found:
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the id of an annotation")
        return f"{_PATH}/{found[1]}"


def with_fitted_tags(fields: Mapping[str, Any], ours: list[str]) -> dict[str, Any]:
    """The fields to write, with as many tags as Grafana takes; without tags where it takes none other than those that are there."""
    written = dict(fields)
    if "tags" in written:
        tags = annotations.fitted(written.pop("tags"), ours)
        written |= {"tags": tags} if tags is not None else {}
    return written
