"""Both kinds of Jira as a desk: the target, the stand-in behind it, and persons at work there."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from receiver.delivery.targets.jira import Jira, JiraCloud, JiraServer
from receiver.settings.tickets import JiraCloudTicket, JiraServerTicket
from receiver.settings.types import SecretRef
from tests.delivery.places import Desk, Shown
from tests.fakes.jira import EMAIL, PROJECT, STATUSES, FakeJira, plain

TOKEN = "ATATT3xFfGF0Zt7Qx0PvN4"
MAPPED = {"priority": {"name": "High"}, "customfield_10050": "3"}


def opened_with(
    stack: ExitStack, kind: Literal["cloud", "server"], timeout_seconds: float = 10, token: str = TOKEN, **settings: Any
) -> tuple[Jira, FakeJira]:
    """The target with these settings, and its Jira."""
    jira = stack.enter_context(FakeJira(kind, TOKEN))
    file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "token"
    file.write_text(token)
    common: dict[str, Any] = {"name": "jira", "url": jira.url, "project": PROJECT, "fields": MAPPED}
    common |= {"per_minute": 100_000.0, **settings}
    if kind == "cloud":
        return JiraCloud(JiraCloudTicket(**common, email=EMAIL, api_token=SecretRef(file=str(file))), timeout_seconds), jira
    return JiraServer(JiraServerTicket(**common, token=SecretRef(file=str(file))), timeout_seconds), jira


def paragraph(text: str) -> dict[str, Any]:
    return {"type": "paragraph", "content": [{"type": "text", "text": text}]}


def opened(stack: ExitStack, timeout_seconds: float, kind: Literal["cloud", "server"]) -> Desk:
    target, jira = opened_with(stack, kind, timeout_seconds)

    def shown(id_: str) -> Shown:
        one = jira.issues[id_]
        comments = [plain(comment["body"]) for comment in one.comments]
        return Shown(one.fields["summary"], plain(one.fields["description"]), STATUSES[one.status][1] != "done", comments)

    def writes_around(id_: str, above: str, below: str) -> None:
        there = jira.issues[id_].fields["description"]
        if kind == "cloud":
            jira.issues[id_].fields["description"] = there | {
                "content": [paragraph(above.strip()), *there["content"], paragraph(below.strip())]
            }
        else:
            jira.issues[id_].fields["description"] = f"{above}{there}{below}"

    def takes_marks_away(id_: str) -> None:
        there = jira.issues[id_].fields["description"]
        if kind == "cloud":
            nodes = [inner for node in there["content"] for inner in node["content"] if node["type"] == "panel"]
            jira.issues[id_].fields["description"] = there | {"content": nodes}
        else:
            jira.issues[id_].fields["description"] = there.partition("}")[2].removesuffix("{panel}")

    return Desk(
        target,
        lambda: len(jira.issues),
        shown,
        writes_around,
        takes_marks_away,
        lambda id_, title: jira.issues[id_].fields.__setitem__("summary", title),
        lambda id_: setattr(jira.issues[id_], "assignee", "yamada"),
        lambda id_: setattr(jira.issues[id_], "status", "5"),
        lambda id_: jira.issues.__delitem__(id_),
        lambda: jira.fail("timeout_after_work"),
        secret=TOKEN,
        mapped=MAPPED,
    )
