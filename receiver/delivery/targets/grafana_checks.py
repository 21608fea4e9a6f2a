"""What Grafana is asked of a place for annotations: dashboard, panel, and whether annotations may be written there.

By grafana.com/docs (dashboard API; "list a service account token's permissions", /api/access-control/user/permissions; RBAC actions
and scopes) and grafana/grafana (`annotationsPermissions` of a dashboard's `meta`: pkg/api/dtos/dashboard.go; authz.go of the newer
API, which goes by the same permissions), read in 2026-11. An answer without these, of an older Grafana, says nothing about the
rights: then no check is made of them. Panels of a dashboard of the second schema are not told by this API. Not tried on a real one.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from receiver.delivery.targets import Check, Missing, Refused, checking
from receiver.delivery.targets.annotations import Place
from receiver.delivery.targets.checking import Reader, asked
from receiver.delivery.targets.plain_text import one_line
from receiver.law.provisions import Text

ANNOTATIONS = Text("アノテーションの読み取り", "annotations can be read")
_DASHBOARD = Text("ダッシュボード", "the dashboard is there")
_PANEL = Text("パネル", "the panel is there")
_RIGHTS = Text("アノテーションを作成・更新・削除する権限", "the right to make, change and delete annotations")
_CREATE, _WRITE, _DELETE = "annotations:create", "annotations:write", "annotations:delete"
_ORGANISATION = {"*", "annotations:*", "annotations:type:*", "annotations:type:organization"}


class _Actions(msgspec.Struct, frozen=True, rename="camel"):
    can_add: bool = False
    can_edit: bool = False
    can_delete: bool = False


class _May(msgspec.Struct, frozen=True):
    dashboard: _Actions | None = None


class _Meta(msgspec.Struct, frozen=True):
    may: _May | None = msgspec.field(name="annotationsPermissions", default=None)


class _Dashboard(msgspec.Struct, frozen=True):
    dashboard: dict[str, Any] = {}
    meta: _Meta = _Meta()


def checks(place: Place, reader: Reader) -> Iterator[Check]:
    if not place.dashboard_uid:
        yield from _organisation(reader)
        return
    check, found = asked(_DASHBOARD, lambda: _dashboard(place.dashboard_uid or "", reader))
    yield check
    if found is None:
        return
    panels = found.dashboard.get("panels")
    if place.panel_id is not None and isinstance(panels, list):
        yield checking.configured(_PANEL, [place.panel_id], _ids(panels), "panel_id")
    if may := found.meta.may and found.meta.may.dashboard:
        told = ((_CREATE, may.can_add), (_WRITE, may.can_edit), (_DELETE, may.can_delete))
        yield checking.rights((action for action, is_so in told if not is_so), _RIGHTS)


def _dashboard(uid: str, reader: Reader) -> _Dashboard:
    try:
        return reader.get(f"/api/dashboards/uid/{uid}", _Dashboard)
    except Missing:
        raise Refused(f"there is no dashboard {one_line(uid, 60)!r} in this organisation") from None


def _ids(panels: list[Any]) -> set[Any]:
    """A row that is folded up has its panels in it."""
    found = [one for one in panels if isinstance(one, dict)]
    inner = [one for row in found if isinstance(row.get("panels"), list) for one in row["panels"] if isinstance(one, dict)]
    return {one.get("id") for one in (*found, *inner)}


def _organisation(reader: Reader) -> Iterator[Check]:
    def told() -> dict[str, list[str] | None] | None:
        try:
            return reader.get("/api/access-control/user/permissions", dict[str, list[str] | None])
        except Missing:
            return None

    check, found = asked(_RIGHTS, told)
    if found is None:
        yield from [checking.warned(check)] if check.fault else []
        return
    lacking = (action for action in (_CREATE, _WRITE, _DELETE) if not _ORGANISATION.intersection(found.get(action) or []))
    yield checking.rights(lacking, _RIGHTS)
