"""The same annotations by Grafana's app-platform API `annotation.grafana.app/v0alpha1` (Grafana 13, alpha).

Times cannot be changed there: one with the new times is made, then the old one deleted. Killed in between, the next write finds
both by their tag. An id here is INCIDENT/NAME, so that what took the place of NAME is found though nobody noted its name.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, TypeVar

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
from receiver.delivery.targets.grafana import headers, with_fitted_tags
from receiver.delivery.targets.grafana_checks import ANNOTATIONS
from receiver.delivery.targets.http import Api
from receiver.delivery.targets.plain_text import one_line
from receiver.law.provisions import Text

T = TypeVar("T")

VERSION = "annotation.grafana.app/v0alpha1"
_MOST_PAGES = 100
_NO_API = Text("設定 api を auto か legacy にしてください", "Set api to auto or legacy: this Grafana has not the newer one")
_ID = re.compile(r"(?P<key>[A-Za-z0-9._-]+)/(?P<name>[A-Za-z0-9][A-Za-z0-9.-]{0,252})|(?P<number>[1-9][0-9]{0,18})")
_NUMBERED = re.compile(r"a-([0-9]+)")  # over the legacy tables, the name carries the legacy id


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    creation_timestamp: str | None = None


class _Spec(msgspec.Struct, frozen=True, omit_defaults=True):
    text: str
    time: int
    time_end: int | None = msgspec.field(default=None, name="timeEnd")
    dashboard_uid: str | None = msgspec.field(default=None, name="dashboardUID")
    panel_id: int | None = msgspec.field(default=None, name="panelID")
    tags: list[str] | None = None


class _Annotation(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec

    @property
    def fields(self) -> dict[str, Any]:
        spec = self.spec
        return {"text": spec.text, "tags": spec.tags or [], "time": spec.time, "timeEnd": spec.time_end or spec.time}

    @property
    def is_untouched(self) -> bool:
        return annotations.is_untouched(self.spec.text, self.spec.tags or [])

    @property
    def age(self) -> tuple[str, int, str]:
        """The oldest is the least; the legacy tables tell no time of creation but number them."""
        number = _NUMBERED.fullmatch(self.metadata.name)
        return self.metadata.creation_timestamp or "", int(number[1]) if number else 0, self.metadata.name


class _More(msgspec.Struct, frozen=True):
    token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, frozen=True):
    items: list[_Annotation] | None = None
    metadata: _More = _More()


class GrafanaAppAnnotations:
    """One place in one organisation. `namespace` is the organisation's: default, org-2, stacks-1234."""

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
        namespace: str | None = None,
    ) -> None:
        self.name = name
        self._place = Place(dashboard_uid, panel_id if dashboard_uid else None, services)
        self._api = Api(name, url, token, timeout_seconds, headers(token, org_id))
        self._root = f"/apis/{VERSION}/namespaces/{namespace or namespace_of(org_id)}"

    def __repr__(self) -> str:
        return f"GrafanaAppAnnotations({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, Any]:
        return annotations.fields(self.name, draft, self._place)

    def find(self, key: str) -> list[str]:
        return [f"{key}/{one.metadata.name}" for one in self._found(key)]

    def create(self, draft: Draft) -> str:
        wanted = annotations.times_of(self.fields(draft), draft.statement)
        annotations.check_dashboard(self.name, self._api, self._place)
        return f"{draft.key}/{self._make(wanted, self._place.dashboard_uid, self._place.panel_id)}"

    def read(self, remote_id: str) -> Seen | None:
        found = self._standing(remote_id)
        return Seen(found.fields, is_untouched=found.is_untouched, native=found) if found else None

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        old = seen.native or self._standing(remote_id)
        if old is None:
            raise Missing(f"{self.name}: there is no annotation {one_line(remote_id, 80)!r}")
        fields = with_fitted_tags(change.fields, self.fields(draft)["tags"])
        wanted = old.fields | fields
        if (wanted["time"], wanted["timeEnd"]) != (old.fields["time"], old.fields["timeEnd"]):
            return f"{draft.key}/{self._replace(draft.key, old, wanted)}"
        self._patch(old.metadata.name, fields)
        return f"{draft.key}/{old.metadata.name}"

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        raise NotImplementedError  # comments is False

    def has_comment(self, remote_id: str, mark: str) -> bool:
        raise NotImplementedError

    def remove(self, remote_id: str) -> None:
        """Take a double away: while another one stands, and nobody changed text or tags."""
        _, name = self._parts(remote_id)
        try:
            found = self._get(name)
        except Missing:
            return
        key = annotations.key_of(found.spec.tags or [])
        if found.is_untouched and any(one.metadata.name != name for one in self._found(key or "")):
            self._delete(name)

    def checks(self, today: date) -> Iterator[Check]:
        """Grafana's newer API is asked for annotations; dashboards and rights are the same by both."""
        check = checking.there(ANNOTATIONS, f"API {VERSION}", lambda: self.find(checking.UNKNOWN_KEY), _NO_API)
        yield check
        if check.fault is None:
            yield from grafana_checks.checks(self._place, Reader(self._api))

    def _replace(self, key: str, old: _Annotation, wanted: dict[str, Any]) -> str:
        """The one with these times in the place of the old one, what persons wrote in it included; its name."""
        name, times = old.metadata.name, (wanted["time"], wanted["timeEnd"])
        # made by a call that was killed before it could delete the old one, or whose answer was lost
        made = [one for one in self._found(key, old.spec) if (one.fields["time"], one.fields["timeEnd"]) == times]
        if made:
            new = made[0].metadata.name
            self._patch(new, {field: wanted[field] for field in ("text", "tags") if wanted[field] != made[0].fields[field]})
        else:
            new = self._make(wanted, old.spec.dashboard_uid, old.spec.panel_id)
        for one in (name, *(double.metadata.name for double in made[1:] if double.fields == wanted)):
            self._delete(one)
        return new

    def _make(self, wanted: dict[str, Any], dashboard_uid: str | None, panel_id: int | None) -> str:
        """The name: one that we chose would be no protection against doubles, as it is kept by some stores and lost by others."""
        end = wanted["timeEnd"] if wanted["timeEnd"] > wanted["time"] else None
        spec = _Spec(wanted["text"], wanted["time"], end, dashboard_uid, panel_id, wanted["tags"])
        body = {"apiVersion": VERSION, "kind": "Annotation", "metadata": {"generateName": "a-"}, "spec": spec}
        made = self._api.call("POST", f"{self._root}/annotations", dict[str, Any], body)
        metadata = made.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(name, str) or not name:
            raise Unreachable(f"{self.name}: did not say which annotation it made")
        return name

    def _patch(self, name: str, fields: dict[str, Any]) -> None:
        spec = {field: value for field, value in fields.items() if field in ("text", "tags")}
        if spec:
            kind = {"Content-Type": "application/merge-patch+json"}
            self._api.call("PATCH", f"{self._root}/annotations/{name}", dict[str, Any], {"spec": spec}, headers=kind)

    def _delete(self, name: str) -> None:
        try:
            self._api.call("DELETE", f"{self._root}/annotations/{name}", dict[str, Any])
        except Missing:
            return

    def _get(self, name: str) -> _Annotation:
        return self._api.call("GET", f"{self._root}/annotations/{name}", _Annotation)

    def _standing(self, remote_id: str) -> _Annotation | None:
        """The one of this id, or what took its place."""
        key, name = self._parts(remote_id)
        try:
            return self._get(name)
        except Missing:
            # over the legacy tables Grafana looks for a name among the newest 1,000 only; where the whole API is gone, this raises
            found = self._found(key) if key else [one for one in self._tagged("art58") if one.metadata.name == name]
        return next((one for one in found if one.metadata.name == name), found[0] if found else None)

    def _found(self, key: str, where: _Spec | None = None) -> list[_Annotation]:
        """All of this key in this place, or where another one stands, the oldest first."""
        place = Place(where.dashboard_uid, where.panel_id) if where else self._place
        tag = annotations.key_tag(self.name, key)
        found = (one for one in self._tagged(tag) if tag in (one.spec.tags or []))
        return sorted((one for one in found if place.has(one.spec.dashboard_uid, one.spec.panel_id)), key=lambda one: one.age)

    def _tagged(self, tag: str) -> Iterator[_Annotation]:
        params: dict[str, str | list[str]] = {"tag": [tag], "limit": "100"}
        for _ in range(_MOST_PAGES):
            page = self._api.call("GET", f"{self._root}/search", _Page, params=params)
            yield from page.items or []
            if not page.metadata.token:
                return
            params = {**params, "continue": page.metadata.token}

    def _parts(self, remote_id: str) -> tuple[str, str]:
        """Key and name; of an id of the legacy API only the name."""
        found = _ID.fullmatch(remote_id)
        if not found:
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the id of an annotation")
        return found["key"] or "", found["name"] or f"a-{found['number']}"


def namespace_of(org_id: int | None) -> str:
    """The namespace of an organisation that runs its own Grafana."""
    return "default" if org_id in (None, 1) else f"org-{org_id}"
