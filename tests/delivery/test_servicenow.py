"""What is special about ServiceNow: it keeps silent where others complain, imports may coalesce, and text in [code] is HTML."""

import base64
import logging
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

from receiver.delivery.targets import Change, Refused, Seen, Unfindable, Unreachable
from receiver.delivery.targets.servicenow import ServiceNow
from receiver.law.provisions import Text
from tests.delivery.places.servicenow import MAPPED, PASSWORD, secret, settings
from tests.fakes.servicenow import FakeServiceNow
from tests.samples import draft, say

STAGING = "u_art58_incident"
OURS = {"short_description", "description", "correlation_id", "correlation_display", "state", "work_notes"}


@pytest.fixture
def fake() -> Iterator[FakeServiceNow]:
    with FakeServiceNow("art58", PASSWORD) as instance:
        yield instance


@pytest.fixture
def target(fake: FakeServiceNow) -> ServiceNow:
    return opened(fake)


def opened(fake: FakeServiceNow, **changes: object) -> ServiceNow:
    return ServiceNow(settings(fake.url, **changes), 5)


def seen(target: ServiceNow, id_: str) -> Seen:
    found = target.read(id_)
    assert found is not None
    return found


def turn(target: ServiceNow, id_: str, state: str) -> None:
    target.write(id_, draft(), Change({}, block=False, state=state), seen(target, id_))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", "inc-1^ORsys_id!=x", "javascript:gs.sleep(9)", "inc 1", "a" * 101, "inc-1\n", "長"])
def test_a_key_cannot_say_anything_else_in_a_query(fake: FakeServiceNow, target: ServiceNow, key: str) -> None:
    with pytest.raises(Refused):
        target.find(key)
    with pytest.raises(Refused):
        target.create(draft(key=key))
    assert fake.requests == []


@pytest.mark.parametrize("mark", ["", "inc-1#1^ORvalueLIKEa", "inc-1#1]"])
def test_neither_can_a_mark(fake: FakeServiceNow, target: ServiceNow, mark: str) -> None:
    id_ = target.create(draft())
    asked = len(fake.requests)
    with pytest.raises(Refused):
        target.has_comment(id_, mark)
    assert len(fake.requests) == asked


def test_tickets_of_others_are_not_taken_for_ours_where_the_filter_is_ignored(fake: FakeServiceNow, target: ServiceNow) -> None:
    target.create(draft(key="inc-2"))
    fake.blind_columns.add("correlation_id")
    with pytest.raises(Refused, match="does not filter by correlation_id"):
        target.find("inc-1")


def test_neither_are_those_of_another_system_or_another_case(fake: FakeServiceNow, target: ServiceNow) -> None:
    ours, theirs, upper = (target.create(draft()) for _ in range(3))
    fake.incidents[theirs]["correlation_display"] = "their monitoring"
    fake.incidents[upper]["correlation_id"] = "INC-1"
    assert target.find("inc-1") == [ours]


def test_all_are_found_through_all_pages(fake: FakeServiceNow, target: ServiceNow) -> None:
    first = target.create(draft())
    for number in range(205):
        fake.incidents[f"{number:032d}"] = dict(fake.incidents[first]) | {"number": f"INC2{number:07d}"}
    found = target.find("inc-1")
    assert (len(found), len(set(found)), found[0]) == (206, 206, first)


def test_a_ticket_names_its_key_and_who_made_it(fake: FakeServiceNow, target: ServiceNow) -> None:
    row = fake.incidents[target.create(draft(fields=MAPPED))]
    assert (row["correlation_id"], row["correlation_display"]) == ("inc-1", "art58-receiver")
    assert "[art58 begin inc-1]" in row["description"]
    assert {name: row[name] for name in MAPPED} == MAPPED


def test_one_that_lost_its_key_is_not_kept_silent(fake: FakeServiceNow, target: ServiceNow) -> None:
    fake.read_only_columns.add("correlation_id")
    with pytest.raises(Unfindable, match=r"made [0-9a-f]{32} without its correlation_id\. Let .* write inc-1 there") as raised:
        target.create(draft())
    assert raised.value.remote_id in fake.incidents


def test_made_twice_through_an_import_set_it_is_one(fake: FakeServiceNow) -> None:
    target = opened(fake, import_set=STAGING)
    first = target.create(draft(fields=MAPPED))
    assert target.create(draft(fields=MAPPED)) == first == target.find("inc-1")[0]
    assert len(fake.incidents) == 1
    assert seen(target, first).fields == {"title": draft().title, **MAPPED}
    assert {(method, path) for method, path, _ in fake.requests if method == "POST"} == {("POST", f"/api/now/import/{STAGING}")}


def test_an_import_that_failed_is_not_taken_for_a_ticket(fake: FakeServiceNow) -> None:
    fake.import_error = "Unable to resolve target record"
    with pytest.raises(Refused, match=r"made no incident \(error Unable to resolve target record\)"):
        opened(fake, import_set=STAGING).create(draft())


def test_closing_gives_the_code_and_the_notes_that_are_mandatory(fake: FakeServiceNow, target: ServiceNow) -> None:
    id_ = target.create(draft())
    turn(target, id_, "closed")
    row = fake.incidents[id_]
    assert (row["state"], row["close_code"]) == ("6", "Solution provided")
    assert "outage is over" in row["close_notes"]


def test_a_code_that_the_instance_does_not_have_is_told(fake: FakeServiceNow) -> None:
    target = opened(fake, close_code="Solved (Permanently)")
    id_ = target.create(draft())
    with pytest.raises(Refused, match=r"403 .*Invalid choice"):
        turn(target, id_, "closed")
    none = opened(fake, close_code="")
    with pytest.raises(Refused, match="Data Policy Exception"):
        turn(none, id_, "closed")


@pytest.mark.parametrize("state", ["closed", "open"])
def test_a_state_that_was_not_taken_is_told(fake: FakeServiceNow, target: ServiceNow, state: str) -> None:
    id_ = target.create(draft())
    fake.incidents[id_] |= {"state": "1" if state == "closed" else "6", "close_code": "Duplicate", "close_notes": "x"}
    fake.read_only_columns.add("state")
    with pytest.raises(Refused, match="did not take the state"):
        turn(target, id_, state)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_description_that_was_not_taken_is_told(fake: FakeServiceNow, target: ServiceNow, line_end: str) -> None:
    fake.line_end = line_end
    id_ = target.create(draft())
    fake.read_only_columns.add("description")
    newer = msgspec.structs.replace(draft(number=2), text="another")
    with pytest.raises(Refused, match="did not take description"):
        target.write(id_, newer, Change(target.fields(newer)), seen(target, id_))


def test_the_same_description_with_other_ends_of_lines_counts_as_taken(fake: FakeServiceNow, target: ServiceNow) -> None:
    fake.line_end = "\r\n"
    id_ = target.create(draft())
    target.write(id_, draft(number=2), Change({"title": "another"}), seen(target, id_))
    assert fake.incidents[id_]["short_description"] == "another"


@pytest.mark.parametrize("hidden", [False, True])
def test_a_work_note_that_was_not_taken_is_told(fake: FakeServiceNow, target: ServiceNow, hidden: bool) -> None:
    id_ = target.create(draft())
    fake.journal_hidden = hidden
    fake.read_only_columns.add("work_notes")
    with pytest.raises(Refused, match="did not take work_notes"):
        target.comment(id_, "changed", "inc-1#1")
    fake.read_only_columns.clear()
    target.comment(id_, "changed", "inc-1#1")
    assert len(fake.journal) == 1


@pytest.mark.parametrize(
    ("state", "is_open", "is_taken"), [("1", True, False), ("2", True, True), ("3", True, True), ("7", False, False)]
)
def test_a_state_that_moved_on_means_a_person(
    fake: FakeServiceNow, target: ServiceNow, state: str, is_open: bool, is_taken: bool
) -> None:
    id_ = target.create(draft())
    fake.incidents[id_]["state"] = state
    assert (seen(target, id_).is_open, seen(target, id_).is_taken) == (is_open, is_taken)


def test_neither_our_own_reopening_nor_our_own_assignment_does(fake: FakeServiceNow) -> None:
    person = "681b365ec0a80164000fb0b05854a0cd"
    target = opened(fake, reopened_state="2", fields={"assigned_to": person})
    id_ = target.create(draft(fields={"assigned_to": person}))
    turn(target, id_, "closed")
    turn(target, id_, "open")
    assert fake.incidents[id_]["state"] == "2"
    assert not seen(target, id_).is_taken
    fake.incidents[id_]["assigned_to"] = "a" * 32
    assert seen(target, id_).is_taken


@pytest.mark.parametrize("sign", ["長", "𠮷", "a\n"])
def test_both_marks_and_all_of_the_persons_text_stay_within_the_column(fake: FakeServiceNow, target: ServiceNow, sign: str) -> None:
    id_ = target.create(draft())
    row = fake.incidents[id_]
    row["description"] += "\r\n現地: " + "x" * 2000 + " END"
    for _ in range(2):
        say(target, id_, draft(text=Text(sign * 5000, "x")))
        assert len(row["description"].encode("utf-16-le")) // 2 <= 4000
        assert row["description"].endswith("x END")
        assert "cut here" in row["description"]
        assert seen(target, id_).has_block


def test_a_column_full_of_the_persons_text_is_left_alone(fake: FakeServiceNow, target: ServiceNow) -> None:
    id_ = target.create(draft())
    row = fake.incidents[id_]
    row["description"] = "[art58 begin inc-1]\n[art58 end]" + "x" * 3969
    before = row["description"]
    say(target, id_, draft())
    assert row["description"] == before


def test_a_title_of_rare_kanji_is_not_taken_for_a_persons(fake: FakeServiceNow, target: ServiceNow) -> None:
    id_ = target.create(draft(title=Text("𠮷" * 200, "x")))
    assert seen(target, id_).fields["title"] == target.fields(draft(title=Text("𠮷" * 200, "x")))["title"]
    assert len(fake.incidents[id_]["short_description"].encode("utf-16-le")) // 2 <= 160


def test_values_are_as_servicenow_gives_them_back(fake: FakeServiceNow) -> None:
    given = {"urgency": 1, "category": None, "watch_list": ["a@example.jp", "b@example.jp"], "impact": True}
    target = opened(fake, fields=given)
    wanted = target.fields(draft(fields=given))
    assert seen(target, target.create(draft(fields=given))).fields == wanted
    assert wanted | {"title": ""} == {
        "title": "",
        "urgency": "1",
        "category": "",
        "watch_list": "a@example.jp,b@example.jp",
        "impact": "true",
    }


def test_a_work_note_cannot_be_html_or_carry_a_mark_of_its_own(fake: FakeServiceNow, target: ServiceNow) -> None:
    id_ = target.create(draft())
    target.comment(id_, "[code]<img src=x onerror=alert(1)>[/CODE] [ code ] [art58 inc-1#2]", "inc-1#1")
    note = fake.journal[0]["value"]
    assert "[code]" not in note.lower()
    assert "[/code]" not in note.lower()
    assert target.has_comment(id_, "inc-1#1")
    assert not target.has_comment(id_, "inc-1#2")


def test_where_the_journal_can_be_seen_one_short_question_is_enough(fake: FakeServiceNow, target: ServiceNow) -> None:
    id_ = target.create(draft())
    target.comment(id_, "changed", "inc-1#1")
    asked = len(fake.requests)
    assert target.has_comment(id_, "inc-1#1")
    assert len(fake.requests) == asked + 1
    assert fake.requests[-1][1].startswith("/api/now/table/sys_journal_field?")


@pytest.mark.parametrize("hidden", [False, True])
def test_a_note_is_found_by_exactly_its_mark_also_where_the_journal_is_hidden(
    fake: FakeServiceNow, target: ServiceNow, hidden: bool
) -> None:
    id_, other = target.create(draft()), target.create(draft(key="inc-2"))
    fake.journal_hidden = hidden
    for number in range(10, 160):
        target.comment(id_, "changed", f"inc-1#1{number}")
    target.comment(other, "changed", "inc-1#1")
    assert not target.has_comment(id_, "inc-1#1")
    target.comment(id_, "changed", "inc-1#1")
    assert target.has_comment(id_, "inc-1#1")


def test_the_rate_limit_is_heard_and_heeded(fake: FakeServiceNow, target: ServiceNow) -> None:
    fake.over_limit = 1
    with pytest.raises(Unreachable, match="Rate limit exceeded: Rate limit of 10 requests per hour") as raised:
        target.create(draft())
    assert raised.value.retry_after == timedelta(seconds=1234)
    with pytest.raises(Unreachable, match="as it asked for"):
        target.create(draft())
    assert fake.incidents == {}


def test_a_token_is_sent_as_a_bearer() -> None:
    with FakeServiceNow(token="tok") as instance:
        target = ServiceNow(settings(instance.url, user=None, password=None, token=secret("tok")), 5)
        assert target.find("inc-1") == []


@pytest.mark.parametrize(
    "given",
    [
        {"user": None},
        {"password": None},
        {"user": None, "password": None},
        {"token": secret("x")},
        {"user": "a:b"},
        *({"fields": {name: "x"}} for name in sorted(OURS | {"title", "comments", "sys_id", "a^b", "A"})),
    ],
)
def test_settings_that_cannot_work_are_told_at_once(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^now: "):
        ServiceNow(settings("http://127.0.0.1:9", **given), 5)


def test_neither_the_password_nor_what_is_sent_of_it_is_told(
    fake: FakeServiceNow, target: ServiceNow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = base64.b64encode(f"art58:{PASSWORD}".encode()).decode()
    fake.fail("status", status=400, message=f"{PASSWORD} {sent}")
    with pytest.raises(Refused) as raised:
        target.create(draft())
    told = f"{raised.value!r} {target!r} {caplog.text}"
    assert "*** ***" in told
    assert PASSWORD not in told
    assert sent not in told


def test_what_belongs_to_persons_is_never_sent(fake: FakeServiceNow, target: ServiceNow) -> None:
    id_ = target.create(draft())
    say(target, id_, draft(number=4))
    turn(target, id_, "closed")
    turn(target, id_, "open")
    target.comment(id_, "x", "inc-1#1")
    sent = {name for _, _, body in fake.requests if body for name in body}
    assert sent == OURS | {"close_code", "close_notes"}
