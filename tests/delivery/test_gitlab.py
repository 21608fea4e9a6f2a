"""What is special about issues in GitLab: commands in text, notes that are no comments, pages with gaps, labels parted at commas,
a project that is named by number or path."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from receiver.delivery.opening import open_ticket
from receiver.delivery.targets import Change, Missing, Refused, Unfindable, Unreachable
from receiver.delivery.targets.gitlab import GitLabIssues
from receiver.law.provisions import Text
from tests.delivery.places.gitlab import TOKEN, settings
from tests.fakes.gitlab import FakeGitLab
from tests.samples import ASSESSED_AT, draft, say


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def gitlab(stack: ExitStack) -> FakeGitLab:
    return stack.enter_context(FakeGitLab(TOKEN))


@pytest.fixture
def target(stack: ExitStack, gitlab: FakeGitLab) -> GitLabIssues:
    return GitLabIssues(settings(stack, gitlab), 5)


def test_it_is_opened_by_its_settings(stack: ExitStack, gitlab: FakeGitLab) -> None:
    target = open_ticket(settings(stack, gitlab), lambda: ASSESSED_AT)
    assert target.find("inc-1") == []
    assert repr(target) == "GitLabIssues('tracker')"


@pytest.mark.parametrize("project", ["42", "network/incidents"])
def test_the_project_is_named_by_number_or_path(stack: ExitStack, gitlab: FakeGitLab, project: str) -> None:
    target = GitLabIssues(settings(stack, gitlab, project=project), 5)
    assert target.find("inc-1") == []
    assert target.create(draft()) == "1"


def test_no_command_in_text_is_obeyed(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    hostile = "/close\n  /assign @me\nx\r\n/label ~bug\n- /confidential"
    id_ = target.create(draft(text=Text(ja=hostile, en=hostile)))
    target.comment(id_, hostile, "inc-1#1")
    say(target, id_, draft(number=4, text=Text(ja=hostile, en=hostile)))
    assert gitlab.commands == []
    assert gitlab.issues[int(id_)]["state"] == "opened"


def test_the_stand_in_obeys_commands() -> None:
    with FakeGitLab(TOKEN) as gitlab:
        assert gitlab._obeyed(gitlab.issues[gitlab.add()], "a\n/close\nb") == "a\nb"
        assert gitlab.issues[1]["state"] == "closed"


def test_nobody_is_called_by_a_title(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    hostile = draft(title=Text(ja="@all #1 !2", en="/close " + "@a " * 200))
    id_ = target.create(hostile)
    title = gitlab.issues[int(id_)]["title"]
    assert "@a" not in title
    assert "#1" not in title
    assert len(title) <= 255
    seen = target.read(id_)
    assert seen is not None
    assert seen.fields["title"] == target.fields(hostile)["title"]


def test_only_issues_of_the_tokens_own_user_are_found(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    gitlab.add(labels=("a58:inc-1",))
    id_ = target.create(draft())
    assert target.find("inc-1") == [id_]


def test_all_pages_are_read_also_with_gaps(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    made = [target.create(draft()) for _ in range(61)]
    assert target.find("inc-1") == made
    target.comment(made[0], "x", "inc-1#1")
    for number in range(40):
        gitlab.note(1, f"note {number}")
        gitlab.notes[1][-1]["internal"] = number % 2 == 0
    assert target.has_comment(made[0], "inc-1#1")
    assert not target.has_comment(made[0], "inc-1#2")


@pytest.mark.parametrize("filters", [True, False])
def test_what_gitlab_writes_itself_is_no_comment(target: GitLabIssues, gitlab: FakeGitLab, filters: bool) -> None:
    gitlab.filters_notes = filters
    id_ = target.create(draft())
    gitlab.note(1, "changed the description <!-- art58 comment inc-1#1 -->", system=True)
    assert not target.has_comment(id_, "inc-1#1")


def test_a_label_that_a_person_adds_meanwhile_stays(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    id_ = target.create(draft())
    seen = target.read(id_)
    assert seen is not None
    gitlab.issues[1]["labels"].append("現地待ち")
    wanted = [*seen.fields["labels"], "verdict:none"]
    wanted.remove("verdict:major")
    target.write(id_, draft(), Change({"labels": wanted}), seen)
    assert sorted(gitlab.issues[1]["labels"]) == ["a58:inc-1", "art58", "service:voice", "verdict:none", "現地待ち"]


def test_a_label_that_a_person_takes_away_meanwhile_is_not_missed(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    id_ = target.create(draft())
    seen = target.read(id_)
    assert seen is not None
    gitlab.issues[1]["labels"].remove("art58")
    target.write(id_, draft(), Change({"labels": [*seen.fields["labels"], "verdict:none"]}), seen)
    assert "verdict:none" in gitlab.issues[1]["labels"]
    assert "art58" not in gitlab.issues[1]["labels"]


def test_a_label_of_ours_that_was_not_taken_is_told(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    id_ = target.create(draft())
    seen = target.read(id_)
    assert seen is not None
    gitlab.sets_labels = False
    with pytest.raises(Refused, match=r"did not take the labels verdict:none\. Give the token"):
        target.write(id_, draft(), Change({"labels": [*seen.fields["labels"], "verdict:none"]}), seen)


def test_a_label_is_one_label_whatever_it_says(target: GitLabIssues) -> None:
    hostile = draft(tags=("service:a,b", "a::b", "x" * 300, " "), fields={"labels": ["noc"]})
    id_ = target.create(hostile)
    seen = target.read(id_)
    assert seen is not None
    assert seen.fields["labels"] == target.fields(hostile)["labels"]
    assert {"service:a b", "a:b", "noc", "a58:inc-1"} < set(seen.fields["labels"])


def test_an_issue_without_its_label_is_told_of(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    gitlab.sets_labels = False
    with pytest.raises(Unfindable, match=r"made issue 1 without its label a58:inc-1\. Give the token .* put that label") as raised:
        target.create(draft())
    assert raised.value.remote_id == "1"


@pytest.mark.parametrize("key", ["", "a,b", "a b", "../x", "長", "-a", "k" * 101])
def test_what_cannot_be_a_label_is_refused(target: GitLabIssues, gitlab: FakeGitLab, key: str) -> None:
    with pytest.raises(Refused):
        target.find(key)
    with pytest.raises(Refused):
        target.create(draft(key=key))
    assert gitlab.requests == []


def test_it_is_made_as_the_settings_say(stack: ExitStack, gitlab: FakeGitLab) -> None:
    mapped = {"confidential": True, "assignee_ids": [9], "weight": 5}
    target = GitLabIssues(settings(stack, gitlab, issue_type="incident", fields=mapped), 5)
    id_ = target.create(draft(fields=mapped))
    one = gitlab.issues[int(id_)]
    assert (one["issue_type"], one["confidential"], one["weight"], one["assignees"][0]["id"]) == ("incident", True, 5, 9)
    seen = target.read(id_)
    assert seen is not None
    assert not seen.is_taken
    one["assignees"].append({"id": 8})
    taken = target.read(id_)
    assert taken is not None
    assert taken.is_taken


def test_a_field_that_issues_do_not_have_is_told_of_at_once(stack: ExitStack, gitlab: FakeGitLab) -> None:
    with pytest.raises(ValueError, match="an issue has no priority; fields are assignee_ids, confidential"):
        GitLabIssues(settings(stack, gitlab, fields={"priority": "high"}), 5)


def test_a_project_that_is_not_seen_is_no_deleted_issue(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    id_ = target.create(draft())
    gitlab.sees = False
    with pytest.raises(Missing):
        target.read(id_)


def test_429_says_when_to_come_again(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    gitlab.fail("429", retry_after="30")
    with pytest.raises(Unreachable) as error:
        target.create(draft())
    assert error.value.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize("kind", ["html_500", "not_json", "empty_json", "huge"])
def test_an_answer_that_says_nothing_is_tried_again(target: GitLabIssues, gitlab: FakeGitLab, kind: str) -> None:
    gitlab.fail(kind)  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        target.create(draft())


def test_a_wrong_token_is_told_without_it(stack: ExitStack, gitlab: FakeGitLab) -> None:
    gitlab._token = "another"
    with pytest.raises(Refused, match="Check the secret") as error:
        GitLabIssues(settings(stack, gitlab), 5).find("inc-1")
    assert TOKEN not in str(error.value)


def test_where_nothing_changed_nothing_is_sent(target: GitLabIssues, gitlab: FakeGitLab) -> None:
    id_ = target.create(draft())
    seen = target.read(id_)
    assert seen is not None
    before = len(gitlab.requests)
    target.write(id_, draft(), Change({}), seen)
    assert len(gitlab.requests) == before


@pytest.mark.parametrize("mark", ["", "a b", "x -->", "a\nb"])
def test_what_cannot_be_a_mark_is_refused(target: GitLabIssues, mark: str) -> None:
    with pytest.raises(Refused):
        target.comment(target.create(draft()), "x", mark)
