"""GitHub's stand-in."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from receiver.delivery.targets.github import GitHubIssues
from receiver.settings.tickets import GitHubTicket
from receiver.settings.types import SecretRef
from tests.delivery.places import Desk, Shown
from tests.delivery.shown_markdown import shown, with_marks_gone
from tests.fakes.github import FakeGitHub

TOKEN = "github_pat_11ABCDEFG0secret"


def settings(stack: ExitStack, github: FakeGitHub, **changes: object) -> GitHubTicket:
    """Those by which the stand-in is reached."""
    file = Path(stack.enter_context(TemporaryDirectory())) / "token"
    file.write_text(TOKEN)
    sample = GitHubTicket(
        name="tracker", url=github.url, repository="operator/incidents", token=SecretRef(file=str(file)), per_minute=100_000
    )
    return msgspec.structs.replace(sample, **changes)


def opened(stack: ExitStack, timeout_seconds: float) -> Desk:
    github = stack.enter_context(FakeGitHub(TOKEN))
    issues = github.issues

    def shows(id_: str) -> Shown:
        one = issues[int(id_)]
        comments = [shown(comment["body"]) for comment in github.comments.get(int(id_), [])]
        return Shown(one["title"], shown(one["body"]), one["state"] == "open", comments)

    def writes_around(id_: str, above: str, below: str) -> None:
        # GitHub's own editor writes lines in the manner of forms
        issues[int(id_)]["body"] = f"{above}{issues[int(id_)]['body']}{below}".replace("\n", "\r\n")

    def deletes(id_: str) -> None:
        del issues[int(id_)]
        github.deleted.add(int(id_))

    return Desk(
        GitHubIssues(settings(stack, github), timeout_seconds),
        github.made,
        shows,
        writes_around,
        lambda id_: issues[int(id_)].__setitem__("body", with_marks_gone(issues[int(id_)]["body"])),
        lambda id_, title: issues[int(id_)].__setitem__("title", title),
        lambda id_: issues[int(id_)].__setitem__("assignees", [{"login": "yamada"}]),
        lambda id_: issues[int(id_)].__setitem__("state", "closed"),
        deletes,
        lambda: github.fail("timeout_after_work", path="/repos"),
        TOKEN,
        {"milestone": 3, "type": "Incident"},
    )
