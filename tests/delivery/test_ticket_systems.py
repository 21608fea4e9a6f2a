"""The contract of every ticket system, its twin in memory included: made once and found again, kept up to date, persons' work kept,
commented once, closed and opened again; text stays text; what fails is Unreachable or Refused."""

import pkgutil
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module

import msgspec
import pytest

from receiver.delivery.targets import Change, Draft, Refused, Seen, Target, Unreachable
from tests.delivery import places
from tests.delivery.places import Desk
from tests.samples import draft

NAMES = sorted(module.name for module in pkgutil.iter_modules(places.__path__))

HOSTILE = {
    "script": "<script>alert(1)</script> 7*7",
    "marker": "art58 end\n<!-- art58 end -->\n[art58 end]\n7*7",
    "template": "{{7*7}} ${7*7} <%= 7*7 %> {code} [~admin] @admin #1 !img!",
    "breaks": "a\r\nb\u2028c\x85d\x00e\x1b[31m 7*7",
    "direction": "\u202e\u2066desrever\u200f 7*7",
    "surrogate": "\ud800 7*7",
    "long": "7*7" + "長" * 1_000_000,
}


@pytest.fixture
def timeout_seconds() -> float:
    return 10


@pytest.fixture(params=NAMES)
def desk(request: pytest.FixtureRequest, timeout_seconds: float) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield import_module(f"tests.delivery.places.{request.param}").opened(stack, timeout_seconds)


def seen(target: Target, id_: str) -> Seen:
    found = target.read(id_)
    assert found is not None
    return found


def saying(sample: Draft, title: str, text: str) -> Draft:
    return msgspec.structs.replace(sample, title=title, text=text)


def write(target: Target, id_: str, wanted: Draft, **change: object) -> str:
    """Every field as wanted, and the block; `change` as in Change."""
    return target.write(id_, wanted, Change(**{"fields": target.fields(wanted), **change}), seen(target, id_))  # type: ignore[arg-type]


def test_what_was_made_is_found_by_its_key_and_no_other(desk: Desk) -> None:
    assert desk.target.find("inc-1") == []
    first = desk.target.create(draft())
    desk.target.create(draft(key="inc-10"))
    assert desk.target.find("inc-1") == [first]
    second = desk.target.create(draft())
    assert desk.target.find("inc-1") == [first, second]
    assert desk.made() == 3


def test_what_was_written_is_read_back_the_same(desk: Desk) -> None:
    wanted = draft(fields=desk.mapped)
    id_ = desk.target.create(wanted)
    found = seen(desk.target, id_)
    assert {name: found.fields.get(name) for name in desk.target.fields(wanted)} == dict(desk.target.fields(wanted))
    assert set(desk.mapped) <= set(found.fields)
    assert (found.is_open, found.has_block, found.is_taken) == (True, True, False)


def test_a_change_is_made_in_its_place_and_what_persons_wrote_around_it_stays(desk: Desk) -> None:
    id_ = desk.target.create(draft())
    desk.writes_around(id_, "山田: 現地へ向かう\n", "\nカード交換済み *確認* <待ち>")
    newer = saying(draft(number=4), "newer title", "新しい 55,000 users")
    assert write(desk.target, id_, newer) == id_
    shown = desk.shown(id_)
    assert shown.title == "newer title"
    assert "55,000 users" in shown.description
    assert "42,000" not in shown.description
    assert "山田: 現地へ向かう" in shown.description
    assert "カード交換済み *確認* <待ち>" in shown.description
    assert desk.made() == 1


def test_the_same_written_twice_comes_to_the_same(desk: Desk) -> None:
    id_ = desk.target.create(draft())
    write(desk.target, id_, draft(number=4))
    once = desk.shown(id_)
    write(desk.target, id_, draft(number=4))
    assert desk.shown(id_) == once


def test_without_the_marks_the_description_is_the_persons(desk: Desk) -> None:
    id_ = desk.target.create(draft())
    desk.takes_marks_away(id_)
    assert not seen(desk.target, id_).has_block
    before = desk.shown(id_).description
    write(desk.target, id_, saying(draft(number=4), "newer title", "newer"), block=False)
    assert (desk.shown(id_).title, desk.shown(id_).description) == ("newer title", before)


def test_what_a_person_changed_is_seen(desk: Desk) -> None:
    id_ = desk.target.create(draft())
    desk.renames(id_, "山田が対応中")
    assert seen(desk.target, id_).fields["title"] == "山田が対応中"
    desk.takes_on(id_)
    assert seen(desk.target, id_).is_taken
    desk.closes(id_)
    assert not seen(desk.target, id_).is_open
    desk.deletes(id_)
    assert desk.target.read(id_) is None


def test_a_field_that_is_not_to_be_written_is_not(desk: Desk) -> None:
    id_ = desk.target.create(draft(fields=desk.mapped))
    desk.renames(id_, "山田が対応中")
    write(desk.target, id_, draft(number=4), fields={})
    assert desk.shown(id_).title == "山田が対応中"
    assert {name: seen(desk.target, id_).fields[name] for name in desk.mapped} == dict(desk.mapped)


def test_it_is_closed_and_opened_again(desk: Desk) -> None:
    id_ = desk.target.create(draft())
    write(desk.target, id_, draft(number=4), state="closed")
    assert not desk.shown(id_).is_open
    assert not seen(desk.target, id_).is_open
    assert desk.target.find("inc-1") == [id_], "one that is closed is found, too"
    write(desk.target, id_, draft(number=4), state="closed")
    assert not desk.shown(id_).is_open
    write(desk.target, id_, draft(number=5), state="open")
    assert desk.shown(id_).is_open
    assert not seen(desk.target, id_).is_taken, "what we did ourselves is no person's work"


def test_a_comment_is_found_by_its_mark(desk: Desk) -> None:
    id_ = desk.target.create(draft())
    assert not desk.target.has_comment(id_, "inc-1#1")
    desk.target.comment(id_, "判定が変わりました\nverdict changed <b>7*7</b>", "inc-1#1")
    desk.target.comment(id_, "another", "inc-1#10")
    assert desk.target.has_comment(id_, "inc-1#1")
    assert not desk.target.has_comment(id_, "inc-1#2")
    assert len(desk.shown(id_).comments) == 2
    assert "verdict changed <b>7*7</b>" in desk.shown(id_).comments[0]


@pytest.mark.parametrize("timeout_seconds", [0.5])
def test_what_was_made_without_an_answer_is_found(desk: Desk) -> None:
    desk.lose_next_answer()
    with pytest.raises(Unreachable):
        desk.target.create(draft())
    assert len(desk.target.find("inc-1")) == desk.made() == 1


@pytest.mark.parametrize("timeout_seconds", [0.5])
def test_a_comment_without_an_answer_is_found(desk: Desk) -> None:
    id_ = desk.target.create(draft())
    desk.lose_next_answer()
    with pytest.raises(Unreachable):
        desk.target.comment(id_, "restored", "inc-1#1")
    assert desk.target.has_comment(id_, "inc-1#1")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_stays_text(desk: Desk, text: str) -> None:
    hostile = saying(draft(), text, text)
    id_ = desk.target.create(hostile)
    found = seen(desk.target, id_)
    assert found.has_block
    assert found.fields["title"] == desk.target.fields(hostile)["title"]
    desk.target.comment(id_, text, "inc-1#1")
    assert desk.target.has_comment(id_, "inc-1#1")
    assert "7*7" in desk.shown(id_).description
    assert "7*7" in desk.shown(id_).comments[0]
    write(desk.target, id_, saying(draft(number=4), "平文", "plain"))
    assert "plain" in desk.shown(id_).description
    assert "7*7" not in desk.shown(id_).description
    assert "script" not in desk.shown(id_).description


def test_what_is_not_there_is_refused(desk: Desk) -> None:
    id_ = desk.target.create(draft())
    before = seen(desk.target, id_)
    desk.deletes(id_)
    with pytest.raises(Refused):
        desk.target.write(id_, draft(number=4), Change(desk.target.fields(draft())), before)
    with pytest.raises(Refused):
        desk.target.comment(id_, "x", "inc-1#1")


@pytest.mark.parametrize("id_", ["", "../1", "1/2", "0", "-1", "1?x=1", "1#x", "長", "9" * 400])
def test_what_cannot_be_an_id_leads_nowhere(desk: Desk, id_: str) -> None:
    before = desk.made()
    with pytest.raises(Refused):
        desk.target.comment(id_, "x", "inc-1#1")
    assert desk.made() == before
