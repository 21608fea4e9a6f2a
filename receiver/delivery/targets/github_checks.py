"""What GitHub is asked to see whether issues can be made there.

By docs.github.com/en/rest (repos: get a repository; issues/assignees: check if a user can be assigned; issues/milestones), read in
2026-11. `permissions` is the role of the token's user and is not told to every kind of token; what a fine-grained token itself may
do, and whether the organisation has the configured type of issue, is not asked. Not tried on GitHub itself.
"""

from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

import msgspec

from receiver.delivery.targets import Check, checking
from receiver.delivery.targets.checking import MILESTONE, PEOPLE, PROJECT, Reader
from receiver.law.provisions import Text
from receiver.settings.tickets import GitHubTicket

_ROLE = Text(
    "利用者の役割（トークン自体の権限は確認できません）",
    "the role of the token's user (what the token itself may do cannot be asked)",
)


class _Repository(msgspec.Struct, frozen=True):
    archived: bool = False
    has_issues: bool = True
    permissions: dict[str, bool] | None = None


def checks(ticket: GitHubTicket, reader: Reader) -> Iterator[Check]:
    path = f"/repos/{ticket.repository}"
    check, found = checking.asked(PROJECT, lambda: reader.get(path, _Repository))
    if found is None:
        yield check
        return
    yield checking.in_use(check, is_archived=found.archived, has_no_issues=not found.has_issues)
    if found.permissions is not None:
        may = any(found.permissions.get(role) for role in ("triage", "push", "maintain", "admin"))
        yield checking.rights([] if may else ["Write (or Triage)"], _ROLE)
    for login in checking.fixed(ticket.fields.get("assignees")):
        ask = partial(reader.get, f"{path}/assignees/{quote(str(login), safe='')}", msgspec.Raw)
        yield checking.there(PEOPLE, str(login), ask)
    for number in checking.fixed(ticket.fields.get("milestone")):
        ask = partial(reader.get, f"{path}/milestones/{quote(str(number), safe='')}", msgspec.Raw)
        yield checking.there(MILESTONE, str(number), ask)
