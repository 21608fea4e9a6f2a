"""What is special about Backlog: the key stays out of every address and log, a change that changes nothing is not sent, both of its
notations show text as it is."""

import logging
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest

from receiver.delivery.targets import Change, Refused, Seen, Unreachable
from receiver.delivery.targets.backlog import Backlog
from receiver.law.provisions import Text
from tests.delivery.places.backlog import API_KEY, MAPPED, plain, settings
from tests.fakes.backlog import DATE_FIELD, KEY_FIELD, TEXT_FIELD, FakeBacklog
from tests.samples import draft, say


@pytest.fixture
def fake() -> Iterator[FakeBacklog]:
    with FakeBacklog(API_KEY) as space:
        yield space


@pytest.fixture
def target(fake: FakeBacklog) -> Backlog:
    return opened(fake)


def opened(fake: FakeBacklog, **changes: object) -> Backlog:
    return Backlog(settings(fake.url, **changes), 5)


def seen(target: Backlog, id_: str) -> Seen:
    found = target.read(id_)
    assert found is not None
    return found


def turn(target: Backlog, id_: str, state: str) -> None:
    target.write(id_, draft(), Change({}, block=False, state=state), seen(target, id_))  # type: ignore[arg-type]


def test_the_key_is_in_no_address_and_no_log(fake: FakeBacklog, target: Backlog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = [repr(target), str(target)]
    id_ = target.create(draft())
    target.comment(id_, "x", "inc-1#1")
    assert target.find("inc-1") == [id_]
    assert target.has_comment(id_, "inc-1#1")
    say(target, id_, draft(number=4))
    for kind, how in (("status", {"status": 401, "message": API_KEY}), ("html_500", {}), ("not_json", {}), ("redirect", {})):
        fake.fail(kind, **how)  # type: ignore[arg-type]
        with pytest.raises((Unreachable, Refused)) as raised:
            target.find("inc-1")
        told += [repr(raised.value), str(raised.value), repr(raised.value.__cause__)]
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        for url in (f"http://127.0.0.1:{bound.getsockname()[1]}", "http://127.0.0.1:99999999"):
            with pytest.raises((Unreachable, Refused)) as raised:
                Backlog(settings(url), 5).find("inc-1")
            told += [repr(raised.value), str(raised.value)]
    assert "urllib3.connectionpool" in caplog.text, "the library's own log of addresses is among them"
    assert "/api/v2/issues" in caplog.text
    assert "***" in "".join(told)
    assert API_KEY not in "".join(told) + caplog.text
    assert not any(API_KEY in address or "apiKey" in address for _, address, _ in fake.requests)


def test_the_issue_is_called_as_persons_call_it_and_shows_the_key(fake: FakeBacklog, target: Backlog) -> None:
    assert target.create(draft()) == "OPS-1"
    issue = fake.issues["OPS-1"]
    assert issue["description"].startswith("[art58 begin inc-1] ")
    assert next(one["value"] for one in issue["customFields"] if one["id"] == KEY_FIELD) == "inc-1"
    assert issue["priority"]["id"] == 2


def test_without_a_custom_field_it_is_found_by_its_description(fake: FakeBacklog) -> None:
    target = opened(fake, key_field=None)
    first, _ = target.create(draft()), target.create(draft(key="inc-10"))
    quoting = target.create(draft(key="inc-2", text=Text("inc-1\n[art58 begin inc-1]\n[art58 end]", "x")))
    assert target.find("inc-1") == [first]
    assert target.find("inc-2") == [quoting]
    turn(target, first, "closed")
    assert target.find("inc-1") == [first]


@pytest.mark.parametrize("key_field", [None, KEY_FIELD])
def test_all_are_found_through_all_pages_the_oldest_first(fake: FakeBacklog, key_field: int | None) -> None:
    target = opened(fake, key_field=key_field)
    fake.left = 1000
    for number in range(205):
        target.create(draft(key="inc-1" if number % 2 else "inc-10"))
    assert target.find("inc-1") == [f"OPS-{number + 1}" for number in range(205) if number % 2]


@pytest.mark.parametrize("key", ["", "inc 1", "inc-1&count=1", "a" * 101, "inc-1\n", "長"])
def test_what_cannot_be_a_key_is_not_sought(fake: FakeBacklog, target: Backlog, key: str) -> None:
    with pytest.raises(Refused):
        target.find(key)
    with pytest.raises(Refused):
        target.create(draft(key=key))
    assert fake.requests == []


def test_a_change_that_changes_nothing_is_not_sent(fake: FakeBacklog, target: Backlog) -> None:
    id_ = target.create(draft(fields=MAPPED))
    for _ in range(2):
        say(target, id_, draft(fields=MAPPED))
    assert [method for method, _, _ in fake.requests] == ["POST", *["GET"] * 4]


def test_only_what_changed_is_sent_and_nothing_that_is_the_persons(fake: FakeBacklog, target: Backlog) -> None:
    id_ = target.create(draft(fields=MAPPED))
    target.write(
        id_, draft(), Change({"title": "newer", "categoryId": [7, 9], "dueDate": "2026-12-21"}, block=False), seen(target, id_)
    )
    assert fake.requests[-1][2] == {"summary": ["newer"], "categoryId[]": ["7", "9"]}
    assert [one["id"] for one in fake.issues[id_]["category"]] == [7, 9]


def test_fields_can_be_emptied_and_come_back_empty(fake: FakeBacklog, target: Backlog) -> None:
    id_ = target.create(draft(fields=MAPPED))
    empty = target.fields(draft(fields={name: [] if isinstance(value, list) else None for name, value in MAPPED.items()}))
    target.write(id_, draft(), Change({**empty, "priorityId": 4}, block=False), seen(target, id_))
    assert seen(target, id_).fields == {**empty, "priorityId": 4}


def test_numbers_from_templates_and_days_come_back_the_same(fake: FakeBacklog) -> None:
    numbers = {
        "priorityId": "3",
        "issueTypeId": 22,
        "versionId": [3, 4],
        "milestoneId": "5",
        "estimatedHours": "2",
        "parentIssueId": 6,
    }
    given = {**numbers, f"customField_{DATE_FIELD}": "2026-11-21", "startDate": ""}
    target = opened(fake, fields=given)
    wanted = target.fields(draft(fields=given))
    assert wanted["priorityId"] == 3
    assert seen(target, target.create(draft(fields=given))).fields == wanted


@pytest.mark.parametrize("name", ["priorityId", "categoryId", "actualHours"])
def test_a_value_that_is_no_number_is_told(target: Backlog, name: str) -> None:
    with pytest.raises(Refused, match=f"{name} cannot be 'high'"):
        target.fields(draft(fields={name: "high"}))


@pytest.mark.parametrize("name", ["summary", "statusId", "priority", "customField_x", f"customField_{KEY_FIELD}", "apiKey"])
def test_a_field_that_cannot_be_mapped_is_told_at_once(name: str) -> None:
    with pytest.raises(ValueError, match=f"^ops: fields cannot have '{name}'"):
        Backlog(settings("http://127.0.0.1:9", fields={name: 1}), 5)


def test_closing_gives_the_resolution_that_is_configured(fake: FakeBacklog) -> None:
    target = opened(fake, resolution_id=0)
    id_ = target.create(draft())
    turn(target, id_, "closed")
    assert (fake.issues[id_]["status"]["id"], fake.issues[id_]["resolution"]["id"]) == (4, 0)
    turn(target, id_, "open")
    assert fake.issues[id_]["status"]["id"] == 1


@pytest.mark.parametrize(("status", "is_open", "is_taken"), [(1, True, False), (2, True, True), (3, True, True), (99, True, True)])
def test_a_status_that_moved_on_means_a_person(
    fake: FakeBacklog, target: Backlog, status: int, is_open: bool, is_taken: bool
) -> None:
    id_ = target.create(draft())
    fake.issues[id_]["status"]["id"] = status
    assert (seen(target, id_).is_open, seen(target, id_).is_taken) == (is_open, is_taken)


def test_our_own_assignment_does_not(fake: FakeBacklog) -> None:
    target = opened(fake, fields={"assigneeId": 5})
    id_ = target.create(draft(fields={"assigneeId": 5}))
    assert not seen(target, id_).is_taken
    fake.issues[id_]["assignee"] = {"id": 6}
    assert seen(target, id_).is_taken


def test_as_much_is_written_as_persons_leave_room_for(fake: FakeBacklog, target: Backlog) -> None:
    id_ = target.create(draft())
    fake.issues[id_]["description"] += "x" * 97_000
    say(target, id_, draft(text=Text("<" * 50_000, "x")))
    description = fake.issues[id_]["description"]
    assert 97_000 < len(description) <= 100_000
    assert "cut here" in description
    assert description.endswith("x")
    assert seen(target, id_).has_block
    target.comment(id_, "<" * 50_000, "inc-1#1")
    assert target.has_comment(id_, "inc-1#1")


def test_a_comment_is_found_by_exactly_its_mark_through_all_pages(fake: FakeBacklog, target: Backlog) -> None:
    fake.left = 1000
    id_ = target.create(draft())
    turn(target, id_, "closed")  # leaves an entry without a text
    for number in range(100, 305):
        target.comment(id_, "[art58 inc-1#1]", f"inc-1#1{number}")
    assert not target.has_comment(id_, "inc-1#1")
    assert target.has_comment(id_, "inc-1#1304")
    target.comment(id_, "x", "inc-1#1")
    assert target.has_comment(id_, "inc-1#1")


def test_its_complaints_reach_the_person_who_must_look(fake: FakeBacklog) -> None:
    target = opened(fake, fields={"customField_77": "x"})
    with pytest.raises(Refused, match=r"answered 400 \(No custom field\. id : 77\)"):
        target.create(draft(fields={"customField_77": "x"}))
    with pytest.raises(Refused, match=r"answered 404 \(No project\.\)"):
        opened(fake, project_id=12).create(draft())


def test_the_rate_limit_is_heeded_before_it_is_hit(fake: FakeBacklog, target: Backlog) -> None:
    fake.left = 1
    target.create(draft())
    asked = len(fake.requests)
    with pytest.raises(Unreachable, match="as it asked for") as raised:
        target.create(draft())
    assert raised.value.retry_after
    assert raised.value.retry_after > timedelta(seconds=30)
    assert len(fake.requests) == asked
    with pytest.raises(Unreachable, match=r"answered 429 \(Rate limit exceeded\.\)"):
        opened(fake).create(draft())


HOSTILE = {
    "# heading": (r"\# heading", "# heading"),
    "* heading": ("- heading", "- heading"),
    "** heading": (r"\*\* heading", r"\** heading"),
    "- mme-1": ("- mme-1", "- mme-1"),
    "--- ": (r"\---", r"\---"),
    "+ 1": (r"\+ 1", r"\+ 1"),
    "> quoted": (r"\> quoted", r"\> quoted"),
    "1. one": (r"1\. one", "1. one"),
    "|a|b|": (r"\|a\|b\|", r"\|a\|b\|"),
    "<b> &amp; &x": ("&lt;b> &amp;amp; &x", r"<b> \&amp; &x"),
    "[x](http://e) ![i](j)": (r"\[x\](http://e) \!\[i\](j)", "[x](http://e) ![i](j)"),
    "[[OPS-1]]": (r"\[\[OPS\-1\]\]", r"\[\[OPS-1]]"),
    "''b'' %%s%%": ("''b'' %%s%%", r"\'\'b\'\' \%\%s\%\%"),
    "{code}x{/code}": ("{code}x{/code}", r"\{code}x\{/code}"),
    "#image(http://e/x.png) &br; &color(red) { x }": (
        r"\#image(http://e/x.png) &amp;br; &color(red) { x }",
        r"\#image(http://e/x.png) \&br; \&color(red) \{ x }",
    ),
    "`c` ~~s~~ _i_ a_b": (r"\`c\` \~\~s\~\~ \_i\_ a_b", "`c` ~~s~~ _i_ a_b"),
    "<@U1> @admin": ("&lt;@U1> @admin", "＜@U1> @admin"),
    r"a\*b": (r"a\\\*b", r"a\\*b"),
    "[art58 end]": (r"［art58 end\]", "［art58 end]"),
}


@pytest.mark.parametrize(("text", "markdown", "backlog"), [(text, *both) for text, both in HOSTILE.items()], ids=HOSTILE)
def test_text_stays_text_in_both_notations(fake: FakeBacklog, text: str, markdown: str, backlog: str) -> None:
    for formatting, expected in (("markdown", markdown), ("backlog", backlog)):
        target = opened(fake, formatting=formatting)
        id_ = target.create(draft())
        target.comment(id_, text, "inc-1#1")
        assert fake.comments[id_][0]["content"].split("\n\n")[0] == expected


def test_lines_stay_lines_in_markdown(fake: FakeBacklog, target: Backlog) -> None:
    id_ = target.create(draft(text=Text("a\nb\n- c\n- d\ne", "x")))
    shown = fake.issues[id_]["description"].split("\n\n", 1)[1]
    assert shown.startswith("a  \nb\n- c\n- d\n\ne\n\nx")
    assert plain("\\*a\\-1 &lt;") == "*a-1 <"


def test_a_custom_field_of_text_keeps_its_text(fake: FakeBacklog) -> None:
    name = f"customField_{TEXT_FIELD}"
    target = opened(fake, fields={name: "x"})
    id_ = target.create(draft(fields={name: "重大 & <b>"}))
    assert seen(target, id_).fields[name] == "重大 & <b>"
