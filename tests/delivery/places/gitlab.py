"""GitLab's stand-in."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from receiver.delivery.targets.gitlab import GitLabIssues
from receiver.settings.tickets import GitLabTicket
from receiver.settings.types import SecretRef
from tests.delivery.places import Desk, Shown
from tests.delivery.shown_markdown import shown, with_marks_gone
from tests.fakes.gitlab import FakeGitLab

TOKEN = "glpat-secret0123456789"


def settings(stack: ExitStack, gitlab: FakeGitLab, **changes: object) -> GitLabTicket:
    """Those by which the stand-in is reached."""
    file = Path(stack.enter_context(TemporaryDirectory())) / "token"
    file.write_text(TOKEN)
    sample = GitLabTicket(
        name="tracker", url=gitlab.url, project="network/incidents", token=SecretRef(file=str(file)), per_minute=100_000
    )
    return msgspec.structs.replace(sample, **changes)


def opened(stack: ExitStack, timeout_seconds: float) -> Desk:
    gitlab = stack.enter_context(FakeGitLab(TOKEN))
    issues = gitlab.issues

    def shows(id_: str) -> Shown:
        one = issues[int(id_)]
        comments = [shown(note["body"]) for note in gitlab.notes.get(int(id_), []) if not note["system"]]
        return Shown(one["title"], shown(one["description"]), one["state"] == "opened", comments)

    def writes_around(id_: str, above: str, below: str) -> None:
        issues[int(id_)]["description"] = f"{above}{issues[int(id_)]['description']}{below}"

    def deletes(id_: str) -> None:
        del issues[int(id_)]

    return Desk(
        GitLabIssues(settings(stack, gitlab), timeout_seconds),
        lambda: len(issues),
        shows,
        writes_around,
        lambda id_: issues[int(id_)].__setitem__("description", with_marks_gone(issues[int(id_)]["description"])),
        lambda id_, title: issues[int(id_)].__setitem__("title", title),
        lambda id_: issues[int(id_)].__setitem__("assignees", [{"id": 8}]),
        lambda id_: issues[int(id_)].__setitem__("state", "closed"),
        deletes,
        lambda: gitlab.fail("timeout_after_work", path="/api"),
        TOKEN,
        {"milestone_id": 3, "due_date": "2026-11-24"},
    )
