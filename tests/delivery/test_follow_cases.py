"""Single courses of following a ticket that came out wrong once: crashes between two steps, refusals, persons who are quicker."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.delivery.content import Content
from receiver.delivery.dispatcher import PATIENCE, Dispatcher
from receiver.delivery.follow import GONE_AFTER, SEARCHES, UNSURE
from receiver.delivery.targets import Draft, Forbidden, Missing, Refused, Unfindable, Unreachable
from receiver.law.verdict import Verdict
from receiver.model import Delivery, Statement
from receiver.storage import deliveries
from tests.delivery import test_dispatcher
from tests.delivery.test_dispatcher import NOW, Desk, Killed
from tests.fakes.memory import MemoryTarget

OVER: dict[str, Any] = {"state": "restored", "restored_at": NOW}
NO_ANSWER = Unreachable("no answer within 10 s")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


def send(desk: Desk, after: timedelta = timedelta()) -> int:
    """How many were sent after this time; as if for ever if it does not end."""
    desk.now += after
    dispatcher = desk.dispatcher()
    return next((number for number in range(40) if not dispatcher.send_next()), 40)


def rows(desk: Desk) -> list[Delivery]:
    with desk.database.read() as connection:
        return deliveries.of_incidents(connection, ["inc-1"])


def doubled(desk: Desk) -> None:
    """Two tickets: the first was made without an answer, and not found in time."""
    desk.target.hides = True
    desk.target.fail_later(NO_ANSWER, 1, after_work=True)
    desk.assess(1)
    send(desk)
    send(desk, timedelta(seconds=2))
    desk.target.heal()
    assert len(desk.target.tickets) == 2


@pytest.fixture
def killed_at(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Send, and be killed before what is known is kept for this time."""

    def killed_at(number: int) -> None:
        class Dying(Dispatcher):
            kept = 0

            def _keep(self, *given: Any) -> None:
                Dying.kept += 1
                if Dying.kept == number:
                    raise Killed
                super()._keep(*given)

        with monkeypatch.context() as patched:
            patched.setattr(test_dispatcher, "Dispatcher", Dying)
            with suppress(Killed):
                send(desk)
        for _ in range(3):
            send(desk, UNSURE)

    return killed_at


def mapped(monkeypatch: pytest.MonkeyPatch, fields: Callable[[int], dict[str, Any]]) -> None:
    """Fields by mapping, by the number of the statement."""
    plain = Content.draft

    def draft(self: Content, delivery: Delivery, statement: Statement) -> Draft:
        return msgspec.structs.replace(plain(self, delivery, statement), fields=fields(statement.number))

    monkeypatch.setattr(Content, "draft", draft)


@pytest.mark.parametrize("closed", [False, True], ids=["deleted", "closed by a person"])
def test_what_ended_while_it_was_unsure_is_not_sent_for_ever(desk: Desk, closed: bool) -> None:
    desk.target.fail_later(NO_ANSWER, 1, after_work=True)
    desk.assess(1)
    send(desk)
    send(desk, timedelta(seconds=2))
    if closed:
        desk.target.tickets["1"].is_taken = True
        desk.assess(2, **OVER)
        send(desk)
        desk.target.tickets["1"].is_open = False
        desk.assess(3)
    else:
        desk.target.tickets.clear()
        desk.assess(2)
    send(desk)
    assert send(desk, UNSURE) < 5
    assert {row.state for row in rows(desk)} == {"sent"}
    assert len(desk.target.tickets) == (2 if closed else 0)


@pytest.mark.parametrize("moment", range(1, 6))
def test_killed_at_any_line_the_change_is_commented_once(desk: Desk, killed_at: Callable[[int], None], moment: int) -> None:
    desk.assess(1)
    send(desk)
    desk.assess(2, **OVER)
    killed_at(moment)
    assert [mark for mark, _ in desk.target.tickets["1"].comments] == ["inc-1#1"]


@pytest.mark.parametrize("moment", range(1, 8))
def test_killed_at_any_line_the_double_is_named_once(desk: Desk, killed_at: Callable[[int], None], moment: int) -> None:
    doubled(desk)
    desk.now += UNSURE
    killed_at(moment)
    assert [mark for mark, _ in desk.target.tickets["1"].comments] == ["inc-1#double-1"]


@pytest.mark.parametrize("moment", range(1, 8))
def test_killed_at_any_line_the_closed_one_says_where_it_goes_on(desk: Desk, killed_at: Callable[[int], None], moment: int) -> None:
    desk.assess(1)
    send(desk)
    desk.assess(2, **OVER)
    send(desk)
    desk.now += timedelta(days=8)
    desk.assess(3)
    killed_at(moment)
    assert {row.state for row in rows(desk)} == {"sent"}
    assert len(desk.target.tickets) == 2
    assert [mark for mark, _ in desk.target.tickets["1"].comments if "continued" in mark] == ["inc-1.2#continued"]


def test_a_comment_that_is_refused_keeps_no_update_away(desk: Desk) -> None:
    class Silent(MemoryTarget):
        def comment(self, remote_id: str, text: str, mark: str) -> None:
            raise Refused("403: no comments")

        def has_comment(self, remote_id: str, mark: str) -> bool:
            raise NO_ANSWER

    desk.target = Silent("desk")
    for number in range(1, 5):
        desk.assess(number, **(OVER if number == 2 else {}))
        send(desk, UNSURE)
    assert desk.target.tickets["1"].block == 4


def test_a_refusal_that_was_not_about_the_mapped_fields_does_not_cost_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped(monkeypatch, lambda number: {"priority": f"P{number}"})
    desk.assess(1)
    send(desk)
    desk.target.fail(Refused("401"), times=2)
    desk.assess(2)
    send(desk)
    send(desk, timedelta(seconds=2))
    assert desk.row().state == "dead"
    desk.assess(3)
    send(desk, UNSURE)
    assert desk.target.tickets["1"].fields["priority"] == "P3"


def test_a_field_that_was_not_wanted_for_a_while_is_still_ours(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped(monkeypatch, lambda number: {} if number == 2 else {"due": f"D{number}"})
    for number in (1, 2, 3):
        desk.assess(number)
        send(desk)
    assert desk.target.tickets["1"].fields["due"] == "D3"


def test_a_label_that_a_person_took_out_does_not_come_back_with_the_verdict(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped(monkeypatch, lambda number: {"tags": ["a"] if number == 3 else ["a", "major"]})
    desk.assess(1)
    send(desk)
    desk.target.tickets["1"].fields["tags"] = ["a"]
    for number in (2, 3, 4):
        desk.assess(number)
        send(desk)
    assert desk.target.tickets["1"].fields["tags"] == ["a"]


def test_what_a_person_opened_and_closed_again_stays_closed(desk: Desk) -> None:
    desk.assess(1)
    send(desk)
    desk.assess(2, **OVER)
    send(desk)
    ticket = desk.target.tickets["1"]
    assert not ticket.is_open
    ticket.is_open = True
    desk.assess(3, **OVER)
    send(desk)
    assert ticket.is_open
    ticket.is_open = False
    desk.assess(4)
    send(desk)
    assert not ticket.is_open
    assert len(desk.target.tickets) == 2, "it goes on in a new one"


def test_news_do_not_make_a_target_be_called_that_asked_for_a_pause(desk: Desk) -> None:
    desk.target.fail(Unreachable("429", retry_after=timedelta(minutes=7)), times=9)
    for number in range(1, 6):
        desk.assess(number)
        send(desk, timedelta(seconds=1))
    assert len(desk.target.calls) == 1


def test_news_do_not_cut_short_the_time_that_a_search_needs(desk: Desk) -> None:
    desk.target.settles, desk.target.hides = timedelta(minutes=2), True
    desk.target.fail_later(NO_ANSWER, 1, after_work=True)
    desk.assess(1)
    send(desk)
    desk.assess(2)
    send(desk, timedelta(seconds=5))
    desk.target.heal()
    send(desk, timedelta(minutes=2))
    assert len(desk.target.tickets) == 1


def test_of_two_of_which_a_person_deletes_one_the_other_is_followed(desk: Desk) -> None:
    doubled(desk)
    send(desk, UNSURE)
    del desk.target.tickets[str(desk.row().remote_id)]
    desk.assess(2, **OVER)
    send(desk)
    (left,) = desk.target.tickets.values()
    assert left.block == 2


def test_a_locked_double_hides_no_other_and_no_change(desk: Desk) -> None:
    class Locked(MemoryTarget):
        def comment(self, remote_id: str, text: str, mark: str) -> None:
            if remote_id == "1":
                raise Refused("403: locked")
            super().comment(remote_id, text, mark)

    desk.target = Locked("desk")
    doubled(desk)
    send(desk, UNSURE)
    assert desk.row().state == "sent"
    assert [mark for mark, _ in desk.target.tickets["2"].comments] == ["inc-1#doubled-1"]


def test_one_that_meets_a_fault_of_ours_keeps_no_other_waiting(desk: Desk) -> None:
    class Odd(MemoryTarget):
        def create(self, draft: Draft) -> str:
            raise KeyError("id")

    desk.target = Odd("desk")
    desk.assess(1)
    assert send(desk) == 1
    assert (desk.row().state, desk.row().last_error) == ("owed", "fault of the receiver: KeyError, see its log")


def test_one_that_is_deleted_between_a_look_and_a_change_is_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.assess(1)
    send(desk)
    desk.target.fail_later(Missing("404"), 1, after_work=False)
    desk.assess(2)
    send(desk)
    desk.target.tickets.clear()
    send(desk, timedelta(seconds=2))
    assert desk.row().state == "owed", "it is looked for once more"
    send(desk, GONE_AFTER)
    assert desk.row().state == "sent"
    assert desk.row().remembered.gone


def test_where_the_whole_place_is_gone_nothing_counts_as_deleted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong address, a proxy: all is 404 there."""

    def not_found(*_: object) -> list[str]:
        raise Missing("404: no such project")

    desk.assess(1)
    send(desk)
    with monkeypatch.context() as patched:
        patched.setattr(desk.target, "read", lambda _: None)
        patched.setattr(desk.target, "find", not_found)
        desk.assess(2)
        send(desk)
        assert desk.row().state == "owed", "it may be a moment's"
        for _ in range(PATIENCE):
            send(desk, timedelta(minutes=5))
    assert (desk.row().state, desk.row().last_error) == ("dead", "404: no such project")
    assert not desk.row().remembered.gone
    desk.assess(3)
    send(desk)
    assert desk.target.tickets["1"].block == 3


def test_what_cannot_be_made_because_the_place_is_gone_is_a_dead_letter(desk: Desk) -> None:
    desk.target.fail(Missing("404: no such project"), times=2 * PATIENCE + 2)
    desk.assess(1)
    send(desk)
    assert desk.row().state == "owed", "a proxy's, perhaps"
    for _ in range(PATIENCE):
        send(desk, timedelta(minutes=5))
    assert desk.row().state == "dead"


def test_where_nothing_can_be_sought_a_ticket_is_made_all_the_same(desk: Desk) -> None:
    desk.target.fail(Refused("400: no such field"))
    desk.assess(1)
    send(desk)
    assert (desk.row().state, len(desk.target.tickets)) == ("sent", 1)


def lost(desk: Desk, folder: Path) -> Desk:
    """The same place, seen by a store that knows nothing."""
    found = Desk(folder)
    found.target, found.now = desk.target, desk.now
    return found


def test_after_a_lost_store_the_ticket_is_followed_on_and_what_persons_did_stays(desk: Desk, tmp_path_factory: Any) -> None:
    desk.assess(1)
    send(desk)
    desk.assess(2, verdict=Verdict.PERIODIC, major_since=None, candidate=True)
    send(desk)
    ticket = desk.target.tickets["1"]
    ticket.fields["title"] = "回線業者へ連絡済み"
    assert [mark for mark, _ in ticket.comments] == ["inc-1#1"]
    desk = lost(desk, tmp_path_factory.mktemp("new"))
    desk.assess(3)
    send(desk)
    assert len(desk.target.tickets) == 1
    assert (ticket.block, ticket.fields["title"]) == (3, "回線業者へ連絡済み")
    desk.assess(4, **OVER)
    send(desk)
    assert [mark for mark, _ in ticket.comments] == ["inc-1#1", "inc-1#2"]
    assert ticket.block == 4
    desk.database.close()


def test_after_a_lost_store_what_goes_on_in_a_closed_ticket_gets_a_new_one(desk: Desk, tmp_path_factory: Any) -> None:
    desk.assess(1)
    send(desk)
    desk.target.tickets["1"].is_open = False
    desk = lost(desk, tmp_path_factory.mktemp("new"))
    desk.assess(2)
    send(desk)
    assert [(one.key, one.is_open) for one in desk.target.tickets.values()] == [("inc-1", False), ("inc-1.2", True)]
    desk = lost(desk, tmp_path_factory.mktemp("newer"))
    desk.assess(3, **OVER)
    send(desk)
    assert len(desk.target.tickets) == 2
    assert [one.block for one in desk.target.tickets.values()] == [1, 3], "the last of them is followed"
    assert [mark for mark, _ in desk.target.tickets["1"].comments] == ["inc-1.2#continued"]
    desk.database.close()


def test_one_that_is_not_shown_but_found_is_not_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.assess(1)
    send(desk)
    with monkeypatch.context() as patched:
        patched.setattr(desk.target, "read", lambda _: None)
        desk.assess(2)
        send(desk)
        send(desk, GONE_AFTER)
    assert (desk.row().state, desk.row().remembered.gone) == ("owed", False)
    send(desk, timedelta(minutes=5))
    assert desk.target.tickets["1"].block == 2


def test_one_that_was_hidden_for_a_while_is_not_gone(desk: Desk) -> None:
    desk.assess(1)
    send(desk)
    hidden = dict(desk.target.tickets)
    desk.target.tickets.clear()
    desk.assess(2)
    send(desk)
    desk.target.tickets |= hidden
    send(desk, GONE_AFTER)
    assert (desk.row().state, desk.target.tickets["1"].block) == ("sent", 2)
    assert desk.row().remembered.missing_since is None


def test_a_double_that_nobody_knew_of_is_followed_where_a_person_deletes_the_other(desk: Desk) -> None:
    doubled(desk)
    del desk.target.tickets[str(desk.row().remote_id)]
    desk.assess(2)
    send(desk)
    send(desk, timedelta(minutes=5))
    (left,) = desk.target.tickets.values()
    assert left.block == 2


def test_a_search_that_never_answers_keeps_no_ticket_away(desk: Desk) -> None:
    class Slow(MemoryTarget):
        def find(self, key: str) -> list[str]:
            raise NO_ANSWER

    desk.target = Slow("desk")
    desk.assess(1)
    for _ in range(SEARCHES + 1):
        send(desk, timedelta(minutes=5))
    assert (desk.row().state, len(desk.target.tickets)) == ("sent", 1)


def test_a_search_that_failed_does_not_make_a_creation_that_never_was_uncertain(desk: Desk) -> None:
    desk.target.fail(NO_ANSWER)
    desk.assess(1)
    send(desk)
    desk.target.fail(Refused("400: no such field"))
    send(desk, timedelta(seconds=2))
    assert (desk.row().state, len(desk.target.tickets)) == ("sent", 1)


def test_what_was_made_unfindable_is_made_once(desk: Desk) -> None:
    class Forgetful(MemoryTarget):
        def create(self, draft: Draft) -> str:
            id_ = super().create(draft)
            self.tickets[id_].key = ""
            raise Unfindable(f"made {id_} without its key", id_)

    desk.target = Forgetful("desk")
    for number in range(1, 5):
        desk.assess(number)
        send(desk, timedelta(minutes=5))
    assert len(desk.target.tickets) == 1
    assert desk.target.tickets["1"].block == 4


class Particular(MemoryTarget):
    """Takes no `priority`, keeps `due` in its own form, and forgets what else is `ignored`, all without a word."""

    ignored: tuple[str, ...] = ("priority",)

    def _kept(self, id_: str, before: dict[str, Any]) -> None:
        fields = self.tickets[id_].fields
        for name in self.ignored:
            fields[name] = before.get(name, "")
        if "due" in fields:
            fields["due"] = str(fields["due"]).replace("-", "/")

    def create(self, draft: Draft) -> str:
        id_ = super().create(draft)
        self._kept(id_, {})
        return id_

    def write(self, remote_id: str, draft: Draft, change: Any, seen: Any) -> str:
        before = dict(self.tickets[remote_id].fields)
        super().write(remote_id, draft, change, seen)
        self._kept(remote_id, before)
        return remote_id


def test_a_field_that_was_silently_not_taken_is_told_and_the_others_follow(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped(monkeypatch, lambda number: {"priority": f"P{number}", "due": f"2026-12-0{number}"})
    desk.target = target = Particular("desk")
    desk.assess(1)
    send(desk)
    assert list(desk.row().remembered.lacking) == ["priority"]
    desk.assess(2)
    send(desk)
    assert target.tickets["1"].fields["due"] == "2026/12/02", "in its own form it is still ours"
    target.ignored = ()
    with desk.database.write() as connection:
        assert len(deliveries.replay(connection, desk.now)) == 1
    send(desk)
    assert target.tickets["1"].fields["priority"] == "P2"
    assert desk.row().remembered.lacking == {}


def test_a_title_that_was_silently_not_taken_is_a_dead_letter_and_no_persons_edit(desk: Desk) -> None:
    desk.target = target = Particular("desk")
    desk.assess(1)
    send(desk)
    target.ignored = ("title",)
    desk.assess(2, **OVER)
    send(desk)
    assert (desk.row().state, "did not take title" in str(desk.row().last_error)) == ("dead", True)
    target.ignored = ()
    desk.assess(3, **OVER)
    send(desk)
    assert "title" not in desk.row().remembered.theirs
    assert target.tickets["1"].fields["title"] == target.tickets["1"].draft.title


def test_a_predecessor_that_may_not_be_seen_keeps_its_successor_alive(desk: Desk) -> None:
    desk.assess(1)
    send(desk)
    desk.assess(2, **OVER)
    send(desk)
    desk.now += timedelta(days=8)

    class Locked(MemoryTarget):
        def has_comment(self, remote_id: str, mark: str) -> bool:
            if remote_id == "1":
                raise Forbidden("403: moved to where you may not see it")
            return super().has_comment(remote_id, mark)

    desk.target.__class__ = Locked
    desk.assess(3)
    send(desk)
    assert {row.state for row in rows(desk)} == {"sent"}


def test_a_secret_that_is_being_changed_costs_no_fields_and_makes_no_dead_letter(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped(monkeypatch, lambda number: {"priority": f"P{number}"})
    desk.assess(1)
    desk.target.fail(Forbidden("401"), times=6)
    for _ in range(7):
        send(desk, timedelta(minutes=5))
    assert desk.row().state in ("sent", "unsure")
    assert desk.target.tickets["1"].fields["priority"] == "P1"


def test_what_cannot_be_put_into_words_ends_no_worker(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def draft(*_: object) -> Draft:
        raise ValueError("max() arg is an empty sequence")

    desk.assess(1)
    with monkeypatch.context() as patched:
        patched.setattr(Content, "draft", draft)
        send(desk)
    assert (desk.row().state, desk.row().last_error) == ("owed", "fault of the receiver: ValueError, see its log")


def test_where_another_field_is_refused_the_mapped_labels_stay(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped(monkeypatch, lambda number: {"labels": ["noc"], "due": f"2026-12-0{number}"})
    desk.assess(1)
    send(desk)
    desk.target.fail_later(Refused("400: due"), 1, after_work=False)
    desk.assess(2)
    send(desk)
    send(desk, timedelta(seconds=2))
    assert (desk.row().state, list(desk.row().remembered.lacking)) == ("sent", ["due"])
    assert "noc" in desk.target.tickets["1"].fields["labels"]
