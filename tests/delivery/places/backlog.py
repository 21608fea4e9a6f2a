"""Backlog, with the key in a custom field and texts in Markdown."""

import html
import re
from contextlib import ExitStack

from receiver.delivery.targets.backlog import Backlog
from receiver.settings.tickets import BacklogTicket
from tests.delivery.places import Desk, Shown
from tests.delivery.places.servicenow import secret
from tests.fakes.backlog import ISSUE_TYPE, KEY_FIELD, LIST_FIELD, PROJECT, TEXT_FIELD, FakeBacklog

API_KEY = "not-for-anyone-5d41402abc4b2a76"
MAPPED = {
    "priorityId": 3,
    "categoryId": [7, 8],
    "dueDate": "2026-12-21",
    "estimatedHours": 1.5,
    f"customField_{TEXT_FIELD}": "verdict: major",
    f"customField_{LIST_FIELD}": [4, 5],
}


def opened(stack: ExitStack, timeout_seconds: float) -> Desk:
    fake = stack.enter_context(FakeBacklog(API_KEY))
    return desk_of(fake, Backlog(settings(fake.url), timeout_seconds))


def settings(url: str, **changes: object) -> BacklogTicket:
    common = {
        "name": "ops",
        "url": url,
        "api_key": secret(API_KEY),
        "project_id": PROJECT,
        "issue_type_id": ISSUE_TYPE,
        "key_field": KEY_FIELD,
        "per_minute": 100_000,
        "fields": MAPPED,
    }
    return BacklogTicket(**(common | changes))  # type: ignore[arg-type]


def plain(markdown: str) -> str:
    """Without the escapes."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown))


def desk_of(fake: FakeBacklog, target: Backlog) -> Desk:
    def shown(id_: str) -> Shown:
        issue = fake.issues[id_]
        said = [plain(one["content"]) for one in fake.comments[id_] if one["content"]]
        return Shown(issue["summary"], plain(issue["description"]), issue["status"]["id"] != 4, said)

    def writes_around(id_: str, above: str, below: str) -> None:
        fake.issues[id_]["description"] = f"{above}{fake.issues[id_]['description']}{below}"

    def takes_marks_away(id_: str) -> None:
        fake.issues[id_]["description"] = re.sub(r"\[art58 .*", "", fake.issues[id_]["description"])

    return Desk(
        target,
        lambda: len(fake.issues),
        shown,
        writes_around,
        takes_marks_away,
        lambda id_, title: fake.issues[id_].update(summary=title),
        lambda id_: fake.issues[id_].update(assignee={"id": 2, "name": "山田"}),
        lambda id_: fake.issues[id_].update(status={"id": 4, "name": "完了"}),
        lambda id_: fake.issues.__delitem__(id_),
        lambda: fake.fail("timeout_after_work"),
        secret=API_KEY,
        mapped=MAPPED,
    )
