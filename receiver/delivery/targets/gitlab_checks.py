"""What GitLab is asked to see whether issues can be made there.

By docs.gitlab.com/api (projects, members, milestones, personal_access_tokens, users), read in 2026-11. A role that comes from an
invited group stands only among all members, and of groups invited to groups not even there (gitlab-org/gitlab#583030): so who is
not found there is a warning. Not confirmed: `personal_access_tokens/self` for OAuth tokens. Not tried on a real GitLab.
"""

from collections.abc import Iterator
from datetime import date
from functools import partial
from urllib.parse import quote

import msgspec

from receiver.delivery.targets import Check, checking
from receiver.delivery.targets.checking import MILESTONE, PEOPLE, PROJECT, RIGHTS, Reader, asked
from receiver.law.provisions import Text
from receiver.settings.tickets import GitLabTicket

_PLANNER = 15
_EXPIRES_SOON_DAYS = 14
_A_PAGE = 50
_MOST_PAGES = 20
_TOKEN = Text("トークンの権限範囲と期限", "scopes and expiry of the token")
_NEW_TOKEN = Text(
    "scope api の新しいトークンを発行し、秘密情報のファイルを置き換えてください",
    "Make a new token with scope api, and put it in the secret's place",
)


class _Level(msgspec.Struct, frozen=True):
    access_level: int = 0


class _Levels(msgspec.Struct, frozen=True):
    project_access: _Level | None = None
    group_access: _Level | None = None


class _Project(msgspec.Struct, frozen=True):
    """`issues_enabled` is the older word for it."""

    archived: bool = False
    issues_enabled: bool = True
    issues_access_level: str = "enabled"
    permissions: _Levels | None = None


class _Token(msgspec.Struct, frozen=True):
    scopes: list[str] = []
    expires_at: date | None = None


class _Id(msgspec.Struct, frozen=True):
    id: int


def checks(ticket: GitLabTicket, reader: Reader, today: date) -> Iterator[Check]:
    path = f"/api/v4/projects/{quote(ticket.project, safe='')}"
    check, found = asked(PROJECT, lambda: reader.get(path, _Project))
    if found is None:
        yield check
        return
    no_issues = not found.issues_enabled or found.issues_access_level == "disabled"
    yield checking.in_use(check, is_archived=found.archived, has_no_issues=no_issues)
    yield _role(found.permissions or _Levels(), path, reader)
    yield _token(reader, today)
    for user in checking.fixed(ticket.fields.get("assignee_ids")):
        ask = partial(reader.get, f"{path}/members/all/{quote(str(user), safe='')}", msgspec.Raw)
        yield checking.warned(checking.there(PEOPLE, str(user), ask))
    if milestones := checking.fixed(ticket.fields.get("milestone_id")):
        check, there = asked(MILESTONE, lambda: _milestones(reader, path))
        yield checking.configured(MILESTONE, map(str, milestones), there, "milestone_id") if there is not None else check


def _role(levels: _Levels, path: str, reader: Reader) -> Check:
    level = max(one.access_level if one else 0 for one in (levels.project_access, levels.group_access))
    if level < _PLANNER:
        _, me = asked(RIGHTS, lambda: reader.get("/api/v4/user", _Id))
        _, member = asked(RIGHTS, lambda: reader.get(f"{path}/members/all/{me.id}", _Level)) if me else (None, None)
        level = max(level, member.access_level if member else 0)
    check = checking.rights([] if level >= _PLANNER else ["Planner / Reporter"])
    return check if level else checking.warned(check)


def _milestones(reader: Reader, path: str) -> set[str]:
    """The project's own and those of all groups above it: an issue may have either."""
    there: set[str] = set()
    for page in range(1, _MOST_PAGES + 1):
        params = {"include_ancestors": "true", "per_page": str(_A_PAGE), "page": str(page)}
        found = reader.get(f"{path}/milestones", list[_Id], **params)
        there |= {str(one.id) for one in found}
        if len(found) < _A_PAGE:
            break
    return there


def _token(reader: Reader, today: date) -> Check:
    check, token = asked(_TOKEN, lambda: reader.get("/api/v4/personal_access_tokens/self", _Token))
    if token is None:
        return checking.warned(check)
    if "api" not in token.scopes:
        said = ", ".join(token.scopes) or "none"
        return Check(_TOKEN, Text(f"権限範囲に api がありません（{said}）", f"its scopes lack api ({said})"), _NEW_TOKEN)
    days = (token.expires_at - today).days if token.expires_at else None
    if days is not None and days < _EXPIRES_SOON_DAYS:
        fault = Text(f"{token.expires_at}に失効します", f"it expires on {token.expires_at}")
        return Check(_TOKEN, fault, _NEW_TOKEN, is_warning=days >= 0)
    return check
