"""Jira, both kinds: an issue found by its label, moved along the workflow of its project, its rich text kept around our panel."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from receiver.delivery.opening import open_ticket
from receiver.delivery.targets import Change, Refused, Seen, Target, Unreachable
from receiver.delivery.targets.jira import Jira
from receiver.settings.tickets import JiraCloudTicket, JiraServerTicket
from tests.delivery.jira_desk import MAPPED, TOKEN, opened_with, paragraph
from tests.fakes.faults import FaultKind
from tests.fakes.jira import PROJECT, RESOLUTION, FakeJira, Transition, plain
from tests.samples import draft

URL = "http://127.0.0.1:9158/incidents/inc-1"
Opens = Callable[..., tuple[Jira, FakeJira]]

cloud = pytest.mark.parametrize("kind", ["cloud"])
server = pytest.mark.parametrize("kind", ["server"])


@pytest.fixture(params=["cloud", "server"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opens(kind: str) -> Iterator[Opens]:
    with ExitStack() as stack:
        yield lambda **how: opened_with(stack, kind, **how)  # type: ignore[arg-type]


def seen(target: Target, id_: str) -> Seen:
    found = target.read(id_)
    assert found is not None
    return found


def turn(target: Target, id_: str, state: str) -> None:
    target.write(id_, draft(number=4), Change({}, state=state), seen(target, id_))  # type: ignore[arg-type]


def saying(text: str) -> Any:
    return msgspec.structs.replace(draft(number=4), text=text)


def rewrite(target: Target, id_: str, text: str) -> None:
    target.write(id_, saying(text), Change({}), seen(target, id_))


# what is sent


@cloud
def test_jira_cloud_gets_an_issue_with_a_document(opens: Opens) -> None:
    target, jira = opens()
    assert target.create(msgspec.structs.replace(draft(fields=MAPPED), text=f"一行目\n二行目\n\n詳細: {URL}")) == "OPS-1"

    method, path, body = jira.requests[-1]
    assert (method, path) == ("POST", "/rest/api/3/issue")
    fields = body["fields"]
    assert fields["project"] == {"key": PROJECT}
    assert fields["issuetype"] == {"name": "Task"}
    assert fields["labels"] == ["a58-inc-1", "a58:inc-1", "art58", "service:voice", "verdict:major"]
    assert {name: fields[name] for name in MAPPED} == MAPPED
    (panel,) = fields["description"]["content"]
    assert panel["attrs"] == {"panelType": "info"}
    assert panel["content"][0]["content"][0]["text"] == "art58 inc-1"
    assert panel["content"][1]["content"] == [
        {"type": "text", "text": "一行目"},
        {"type": "hardBreak"},
        {"type": "text", "text": "二行目"},
    ]
    assert panel["content"][2]["content"][1] == {
        "type": "text",
        "text": URL,
        "marks": [{"type": "link", "attrs": {"href": URL}}],
    }


@server
def test_jira_data_center_gets_an_issue_with_markup(opens: Opens) -> None:
    target, jira = opens()
    target.create(msgspec.structs.replace(draft(), text=f"- 設備: mme-1\n*強調* {{panel}} [~admin] OPS-1 C:\\temp\n{URL}"))

    method, path, body = jira.requests[-1]
    assert (method, path) == ("POST", "/rest/api/2/issue")
    *shown, _, note, end = body["fields"]["description"].split("\n")
    assert shown == [
        "{panel:title=art58 inc-1}",
        "- 設備: mme-1",
        r"\*強調\* \{panel\} \[\~admin\] OPS\-1 C:&#92;temp",
        URL,
    ]
    assert note.startswith("_この枠内は自動で書き換わります。")
    assert end == "{panel}"


def test_nothing_is_sent_where_nothing_changes(opens: Opens) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    before = seen(target, id_)
    jira.requests.clear()
    target.write(id_, draft(), Change({"labels": before.fields["labels"]}), before)
    assert jira.requests == []


def test_a_title_has_255_characters_as_java_counts_them(opens: Opens) -> None:
    target, jira = opens()
    id_ = target.create(msgspec.structs.replace(draft(), title="📵" * 200 + "x" * 200))
    assert len(jira.issues[id_].fields["summary"].encode("utf-16-le")) // 2 <= 255


# found again


def test_of_several_pages_all_are_found_the_oldest_first(opens: Opens) -> None:
    target, jira = opens()
    made = [target.create(draft()) for _ in range(5)]
    assert target.find("inc-1") == made
    assert sum(path.rpartition("/rest")[2].endswith(("/search", "/search/jql")) for _, path, _ in jira.requests) == 3


def test_another_spelling_and_a_clone_are_not_found(opens: Opens) -> None:
    target, jira = opens()
    target.create(draft(key="INC-1"))
    clone = target.create(draft())
    jira.issues[clone].made_by = "yamada"
    assert target.find("inc-1") == []


@cloud
def test_time_is_given_until_jira_cloud_finds_what_was_made(opens: Opens) -> None:
    target, jira = opens()
    jira.lags = True
    id_ = target.create(draft())
    assert target.find("inc-1") == []
    assert target.settles == timedelta(seconds=30)
    jira.issues[id_].indexed = True
    assert target.find("inc-1") == [id_]


def test_a_comment_on_a_later_page_is_found(opens: Opens) -> None:
    target, _ = opens()
    id_ = target.create(draft())
    for number in range(1, 6):
        target.comment(id_, f"{number}", f"inc-1#{number}")
    assert target.has_comment(id_, "inc-1#1")
    assert not target.has_comment(id_, "inc-1#6")
    target.comment(id_, "inc-1#6", "inc-1#7")
    assert not target.has_comment(id_, "inc-1#6"), "only the last line is the mark"


def test_a_comment_ends_with_a_link_to_the_incident(opens: Opens, kind: str) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    target.comment(id_, f"復旧\nrestored\n{URL}", "inc-1#1")
    body = jira.issues[id_].comments[0]["body"]
    assert plain(body).split() == ["復旧", "restored", URL, "inc-1#1"]
    if kind == "cloud":
        assert body["content"][0]["content"][-1]["marks"] == [{"type": "link", "attrs": {"href": URL}}]
    else:
        assert f"\n{URL}\n" in body


def test_customers_do_not_see_our_comments_unless_they_may(opens: Opens) -> None:
    for may in (False, True):
        target, jira = opens(public_comments=may)
        id_ = target.create(draft())
        target.comment(id_, "restored", "inc-1#1")
        assert jira.issues[id_].comments[0]["jsdPublic"] is may


@pytest.mark.parametrize("key", ["", "inc 1", 'inc" OR project = "X', "長", "-1"])
def test_a_key_that_cannot_be_a_label_is_refused(opens: Opens, key: str) -> None:
    target, jira = opens()
    with pytest.raises(Refused):
        target.find(key)
    with pytest.raises(Refused):
        target.create(draft(key=key))
    assert jira.requests == []


# the workflow


def test_it_is_closed_by_the_transition_of_this_name_or_id(opens: Opens) -> None:
    for wanted in ("Won't do", "41"):
        target, jira = opens(close_transition=wanted)
        jira.transitions.append(Transition("41", "Won't do", "4"))
        id_ = target.create(draft())
        turn(target, id_, "closed")
        assert jira.issues[id_].status == "4"


def test_of_several_ways_to_close_none_is_guessed(opens: Opens) -> None:
    target, jira = opens()
    jira.transitions.append(Transition("41", "Won't do", "4"))
    id_ = target.create(draft())
    with pytest.raises(Refused, match=r"2 transitions.*close_transition; there are: Done \(31\), Won't do \(41\)"):
        turn(target, id_, "closed")


def test_without_a_way_to_close_a_person_is_told(opens: Opens) -> None:
    target, jira = opens(close_transition="完了")
    id_ = target.create(draft())
    with pytest.raises(Refused, match=r"no transition '完了' to make it closed.*In Progress \(21\)"):
        turn(target, id_, "closed")
    jira.transitions.clear()
    with pytest.raises(Refused, match="Check whether the account may move issues"):
        turn(target, id_, "closed")


def test_a_resolution_that_the_screen_asks_for_is_given(opens: Opens) -> None:
    target, jira = opens(close_fields={"resolution": {"name": "Done"}, "elsewhere": "x"})
    jira.transitions[2].screen = {"resolution": RESOLUTION}
    id_ = target.create(draft())
    turn(target, id_, "closed")
    assert jira.requests[-1][2] == {"transition": {"id": "31"}, "fields": {"resolution": {"name": "Done"}}}
    assert jira.issues[id_].status == "5"


def test_a_resolution_that_is_not_configured_is_asked_for(opens: Opens) -> None:
    target, jira = opens()
    jira.transitions[2].screen = {"resolution": RESOLUTION}
    id_ = target.create(draft())
    with pytest.raises(Refused, match="close_fields"):
        turn(target, id_, "closed")
    assert jira.issues[id_].status == "1"


def test_what_is_closed_is_opened_before_it_is_written_and_written_before_it_is_closed(opens: Opens) -> None:
    target, jira = opens()
    jira.locks_closed = True
    id_ = target.create(draft())
    target.write(id_, saying("restored"), Change({}, state="closed"), seen(target, id_))
    assert "restored" in plain(jira.issues[id_].fields["description"])
    target.write(id_, saying("broken again"), Change({}, state="open"), seen(target, id_))
    assert "broken again" in plain(jira.issues[id_].fields["description"])
    assert jira.issues[id_].status == "1"


# persons


def test_a_status_in_progress_is_a_persons_unless_we_set_it(opens: Opens) -> None:
    target, jira = opens(reopen_transition="In Progress")
    id_ = target.create(draft())
    jira.issues[id_].status = "5"
    turn(target, id_, "open")
    assert jira.issues[id_].status == "3"
    assert not seen(target, id_).is_taken

    other = target.create(draft(key="inc-2"))
    jira.issues[other].status = "3"
    assert seen(target, other).is_taken


def test_what_the_project_does_by_itself_is_no_persons_work(opens: Opens, kind: str) -> None:
    target, jira = opens(initial_status="In Progress", default_assignee="5b10lead" if kind == "cloud" else "lead")
    jira.default_assignee = "lead"
    id_ = target.create(draft())
    jira.issues[id_].status = "3"
    assert not seen(target, id_).is_taken
    jira.issues[id_].assignee = "art58"
    assert not seen(target, id_).is_taken
    jira.issues[id_].assignee = "yamada"
    assert seen(target, id_).is_taken


def test_a_label_that_a_person_adds_meanwhile_stays(opens: Opens) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    before = seen(target, id_)
    jira.issues[id_].fields["labels"].append("変電所")
    wanted = [one for one in before.fields["labels"] if one != "verdict:major"] + ["verdict:none"]
    target.write(id_, draft(number=4), Change({"labels": wanted}), before)
    assert set(jira.issues[id_].fields["labels"]) == {*wanted, "変電所"}


@cloud
def test_every_node_of_persons_stays_as_it_is(opens: Opens) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    document = jira.issues[id_].fields["description"]
    mention = {"type": "paragraph", "content": [{"type": "mention", "attrs": {"id": "5b10yamada", "text": "@山田"}}]}
    points = {"type": "bulletList", "content": [{"type": "listItem", "content": [paragraph("art58 inc-1")]}]}
    panel = {"type": "panel", "attrs": {"panelType": "note"}, "content": [paragraph("当番: 山田")]}
    document["content"][0]["attrs"] = {"panelType": "warning", "localId": "9a"}
    document["content"] = [mention, panel, *document["content"], points]

    rewrite(target, id_, "新しい")
    now = jira.issues[id_].fields["description"]["content"]
    assert [now[0], now[1], now[3]] == [mention, panel, points]
    assert now[2]["attrs"] == {"panelType": "warning", "localId": "9a"}
    assert "新しい" in plain(now[2])


@server
def test_what_persons_wrote_in_markup_stays_as_it_is(opens: Opens) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    ours = jira.issues[id_].fields["description"].replace("{panel:title=", "{panel:borderStyle=solid|title=")
    jira.issues[id_].fields["description"] = f"{{panel:title=当番}}\r\n[~yamada]\r\n{{panel}}\r\n{ours}\r\n||a||b||"

    rewrite(target, id_, "新しい \\1 {panel}")
    now = jira.issues[id_].fields["description"]
    assert now.startswith("{panel:title=当番}\r\n[~yamada]\r\n{panel}\r\n{panel:title=art58 inc-1}\n新しい &#92;1 \\{panel\\}\n")
    assert now.endswith("\n{panel}\r\n||a||b||")


@pytest.mark.parametrize("emptied", [None, "", {"type": "doc", "version": 1, "content": []}])
def test_an_emptied_description_is_left_empty(opens: Opens, kind: str, emptied: Any) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    jira.issues[id_].fields["description"] = emptied if kind == "cloud" or not isinstance(emptied, dict) else None
    assert not seen(target, id_).has_block
    target.write(id_, draft(number=4), Change({"title": "newer"}, block=False), seen(target, id_))
    assert jira.issues[id_].fields["summary"] == "newer"
    assert plain(jira.issues[id_].fields["description"]) == ""


def test_our_text_leaves_room_for_what_persons_wrote(opens: Opens, kind: str) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    if kind == "cloud":
        jira.issues[id_].fields["description"]["content"].append(paragraph("長" * 30_000))
    else:
        jira.issues[id_].fields["description"] += "長" * 30_000
    rewrite(target, id_, "新しい\n" * 9_000)
    shown = plain(jira.issues[id_].fields["description"])
    assert "長" * 30_000 in shown
    assert "cut here" in shown


# what goes wrong


@cloud
def test_a_token_that_sees_nothing_does_not_make_an_issue_deleted(opens: Opens) -> None:
    target, _ = opens(token="expired")
    with pytest.raises(Refused, match="the project cannot be seen"):
        target.read("OPS-1")


@server
def test_a_wrong_token_is_refused(opens: Opens) -> None:
    target, _ = opens(token="expired")
    with pytest.raises(Refused, match="401"):
        target.read("OPS-1")


def test_labels_that_are_on_no_screen_are_named_with_the_cure(opens: Opens) -> None:
    target, jira = opens()
    jira.screen.discard("labels")
    with pytest.raises(Refused, match=r"Field 'labels' cannot be set.*Put the field Labels on the screens"):
        target.create(draft())


def test_a_change_at_the_same_moment_is_tried_again(opens: Opens) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    before = seen(target, id_)
    jira.fail("status", status=409)
    with pytest.raises(Unreachable):
        target.write(id_, draft(number=4), Change({"title": "x"}), before)


def test_the_limit_of_calls_is_heeded(opens: Opens) -> None:
    target, jira = opens()
    jira.fail("429", retry_after="30")
    with pytest.raises(Unreachable) as caught:
        target.create(draft())
    assert caught.value.retry_after == timedelta(seconds=30)
    with pytest.raises(Unreachable, match="not called"):
        target.create(draft())
    assert jira.issues == {}


@pytest.mark.parametrize("fault", ["html_500", "not_json", "empty_json", "huge"])
def test_an_answer_that_cannot_be_right_counts_as_none(opens: Opens, fault: FaultKind) -> None:
    target, jira = opens()
    id_ = target.create(draft())
    calls: list[Callable[[], object]] = [
        lambda: target.find("inc-1"),
        lambda: target.create(draft()),
        lambda: target.read(id_),
        lambda: target.has_comment(id_, "inc-1#1"),
        lambda: target.write(id_, draft(), Change({}, state="closed"), found),
    ]
    found = seen(target, id_)
    for call in calls:
        jira.fail(fault)
        with pytest.raises(Unreachable):
            call()


def test_the_secret_is_told_to_nobody(opens: Opens) -> None:
    target, jira = opens()
    sent = jira.authorization.partition(" ")[2]
    jira.fail("status", status=400, message=f"bad header {sent} of {TOKEN}")
    with pytest.raises(Refused) as caught:
        target.create(draft())
    assert "bad header *** of ***" in str(caught.value)
    assert TOKEN not in repr(target)


# settings


def test_both_kinds_are_opened_from_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIRA_TOKEN", TOKEN)
    common = {"name": "jira", "url": "https://jira.example/jira", "project": "OPS"}
    login = {"email": "art58@carrier.example", "api_token": {"env": "JIRA_TOKEN"}}
    cloud_ = msgspec.convert({"kind": "jira_cloud", **common, **login}, JiraCloudTicket)
    server_ = msgspec.convert({"kind": "jira_server", **common, "token": {"env": "JIRA_TOKEN"}}, JiraServerTicket)
    for settings, base in ((cloud_, "/rest/api/3"), (server_, "/rest/api/2")):
        target = open_ticket(settings, lambda: datetime.now(UTC))
        assert isinstance(target, Jira)
        assert target.base == base


def test_what_the_receiver_writes_cannot_be_mapped(opens: Opens) -> None:
    with pytest.raises(ValueError, match="description"):
        opens(fields={"description": "{{ verdict }}"})
