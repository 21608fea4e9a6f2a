"""What is special about issues on GitHub: pull requests among them, labels by which they are found and which may be dropped,
limits that are told with 403, issues that were deleted or moved."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from receiver.delivery.opening import open_ticket
from receiver.delivery.targets import Change, Missing, Refused, Unfindable, Unreachable
from receiver.delivery.targets.github import GitHubIssues
from tests.delivery.places.github import TOKEN, settings
from tests.fakes.github import FakeGitHub
from tests.samples import ASSESSED_AT, draft, say


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def github(stack: ExitStack) -> FakeGitHub:
    return stack.enter_context(FakeGitHub(TOKEN))


@pytest.fixture
def target(stack: ExitStack, github: FakeGitHub) -> GitHubIssues:
    return GitHubIssues(settings(stack, github), 5)


def labels(github: FakeGitHub, id_: str) -> list[str]:
    return [label["name"] for label in github.issues[int(id_)]["labels"]]


def test_it_is_opened_by_its_settings(stack: ExitStack, github: FakeGitHub) -> None:
    target = open_ticket(settings(stack, github), lambda: ASSESSED_AT)
    assert target.find("inc-1") == []
    assert repr(target) == "GitHubIssues('tracker')"


def test_only_issues_that_we_made_are_found(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft())
    body = github.issues[int(id_)]["body"]
    github.add(labels=("a58:inc-1",), body=body, pull_request=True)
    github.add(labels=("a58:inc-1",), body="a person's")
    assert target.find("inc-1") == [id_]


def test_all_pages_are_read(target: GitHubIssues, github: FakeGitHub) -> None:
    made = [target.create(draft()) for _ in range(61)]
    assert target.find("inc-1") == made
    for number in range(1, 62):
        target.comment(made[0], "x", f"inc-1#{number}")
    assert target.has_comment(made[0], "inc-1#61")
    assert not target.has_comment(made[0], "inc-1#62")


@pytest.mark.parametrize("key", ["20261122-abcdefghij.2", "k" * 46, "k" * 47, "k" * 100])
def test_a_key_of_any_length_has_a_label_that_github_takes(target: GitHubIssues, key: str) -> None:
    id_ = target.create(draft(key=key))
    target.create(draft(key=f"{key[:-1]}x"))
    assert target.find(key) == [id_]


@pytest.mark.parametrize("key", ["", "a,b", "a b", "../x", "長", "-a", "k" * 101])
def test_what_cannot_be_a_label_is_refused(target: GitHubIssues, github: FakeGitHub, key: str) -> None:
    with pytest.raises(Refused):
        target.find(key)
    with pytest.raises(Refused):
        target.create(draft(key=key))
    assert github.requests == []


def test_a_label_that_a_person_adds_meanwhile_stays(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft())
    seen = target.read(id_)
    assert seen is not None
    github.issues[int(id_)]["labels"].append({"id": 9, "name": "現地待ち"})
    wanted = [*seen.fields["labels"], "verdict:none"]
    wanted.remove("verdict:major")
    target.write(id_, draft(), Change({"labels": wanted}), seen)
    assert sorted(labels(github, id_)) == ["a58:inc-1", "art58", "service:voice", "verdict:none", "現地待ち"]


def test_a_label_that_is_gone_already_is_no_error(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft())
    seen = target.read(id_)
    assert seen is not None
    github.issues[int(id_)]["labels"].clear()
    target.write(id_, draft(), Change({"labels": []}, block=False), seen)
    assert labels(github, id_) == []


def test_labels_keep_to_the_limit_of_github(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft(tags=("service:" + "長" * 100, "a,b/c", "")))
    assert max(map(len, labels(github, id_))) == 50
    say(target, id_, draft(number=4, tags=("art58",)))
    assert labels(github, id_) == ["a58:inc-1", "art58"]


def test_an_issue_without_its_label_is_told_of(target: GitHubIssues, github: FakeGitHub) -> None:
    github.sets_labels = False
    with pytest.raises(Unfindable, match=r"made issue 1 without its label a58:inc-1\. Give the token .* put that label") as raised:
        target.create(draft())
    assert raised.value.remote_id == "1"


@pytest.mark.parametrize(
    "said",
    [
        "You have exceeded a secondary rate limit and have been temporarily blocked from content creation.",
        "API rate limit exceeded for user ID 1.",
    ],
)
def test_a_limit_told_with_403_is_waited_for(target: GitHubIssues, github: FakeGitHub, said: str) -> None:
    github.fail("status", status=403, message=said)
    with pytest.raises(Unreachable) as error:
        target.create(draft())
    assert error.value.retry_after == timedelta(minutes=1)
    assert target.find("inc-1") == []


def test_what_the_token_may_not_do_is_refused(target: GitHubIssues, github: FakeGitHub) -> None:
    github.fail("status", status=403, message="Resource not accessible by personal access token")
    with pytest.raises(Refused, match="Check what the secret allows"):
        target.create(draft())


def test_429_says_when_to_come_again(target: GitHubIssues, github: FakeGitHub) -> None:
    github.fail("429", retry_after="30")
    with pytest.raises(Unreachable) as error:
        target.create(draft())
    assert error.value.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize("kind", ["html_500", "not_json", "empty_json", "huge"])
def test_an_answer_that_says_nothing_is_tried_again(target: GitHubIssues, github: FakeGitHub, kind: str) -> None:
    github.fail(kind)  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        target.create(draft())


def test_a_wrong_token_is_told_without_it(stack: ExitStack, github: FakeGitHub) -> None:
    github._token = "another"
    with pytest.raises(Refused, match="Check the secret") as error:
        GitHubIssues(settings(stack, github), 5).find("inc-1")
    assert TOKEN not in str(error.value)


def test_an_issue_moved_to_another_repository_is_gone(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft())
    github.moved.add(int(id_))
    assert target.read(id_) is None


def test_a_repository_that_is_not_seen_is_no_deleted_issue(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft())
    github.sees = False
    with pytest.raises(Missing):
        target.read(id_)


def test_who_is_assigned_by_the_settings_has_not_taken_it(stack: ExitStack, github: FakeGitHub) -> None:
    target = GitHubIssues(settings(stack, github, fields={"assignees": ["Duty"]}), 5)
    id_ = target.create(draft(fields={"assignees": ["Duty"]}))
    assert github.issues[int(id_)]["assignees"] == [{"login": "Duty"}]
    seen = target.read(id_)
    assert seen is not None
    assert not seen.is_taken
    github.issues[int(id_)]["assignees"] = [{"login": "duty"}, {"login": "yamada"}]
    say(target, id_, draft(number=4, fields={"assignees": ["Duty"]}))
    assert github.issues[int(id_)]["assignees"] == [{"login": "duty"}, {"login": "yamada"}]
    taken = target.read(id_)
    assert taken is not None
    assert taken.is_taken


def test_a_field_that_issues_do_not_have_is_told_of_at_once(stack: ExitStack, github: FakeGitHub) -> None:
    with pytest.raises(ValueError, match="an issue has no priority; fields are assignees, labels, milestone, type"):
        GitHubIssues(settings(stack, github, fields={"priority": "high"}), 5)


def test_labels_by_mapping_stand_beside_ours(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft(fields={"labels": ["noc"]}))
    assert {"noc", "a58:inc-1", "verdict:major"} <= set(labels(github, id_))


def test_it_is_closed_with_the_reason_of_the_settings(stack: ExitStack, github: FakeGitHub) -> None:
    target = GitHubIssues(settings(stack, github, close_reason="not_planned"), 5)
    id_ = target.create(draft())
    seen = target.read(id_)
    assert seen is not None
    target.write(id_, draft(), Change({}, state="closed"), seen)
    assert github.issues[int(id_)]["state_reason"] == "not_planned"
    target.write(id_, draft(), Change({}, state="open"), seen)
    assert github.issues[int(id_)]["state_reason"] == "reopened"


def test_where_nothing_changed_nothing_is_sent(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft())
    seen = target.read(id_)
    assert seen is not None
    before = len(github.requests)
    target.write(id_, draft(), Change({}), seen)
    assert len(github.requests) == before


def test_much_text_of_persons_and_much_of_ours_keep_to_the_limit(target: GitHubIssues, github: FakeGitHub) -> None:
    id_ = target.create(draft())
    github.issues[int(id_)]["body"] += "長" * 60_000
    say(target, id_, draft(number=4, text=draft().statement.text, url="http://127.0.0.1/" + "@" * 100_000))
    assert github.issues[int(id_)]["body"].endswith("長" * 60_000)


@pytest.mark.parametrize("mark", ["", "a b", "x -->", "a\nb"])
def test_what_cannot_be_a_mark_is_refused(target: GitHubIssues, mark: str) -> None:
    with pytest.raises(Refused):
        target.comment(target.create(draft()), "x", mark)
