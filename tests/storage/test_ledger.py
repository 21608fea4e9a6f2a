"""The ledger owes each thing once, gives it to one holder at a time, and forgets nothing that was begun."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.model import Delivery, Incident, Remembered
from receiver.storage import deliveries as ledger
from receiver.storage import incidents
from receiver.storage.database import Database
from tests import stores
from tests.samples import ASSESSED_AT as NOW
from tests.samples import STARTED_AT

SOON = NOW + timedelta(seconds=1)
EXPIRED = NOW + ledger.CLAIM


def delivery(**changes: Any) -> Delivery:
    sample = Delivery("inc-1", "desk", "ticket", wanted=1, sent=0, state="owed", attempts=0, next_attempt_at=NOW)
    return msgspec.structs.replace(sample, **changes)


@pytest.fixture
def database(tmp_path: Path, each_store: str) -> Iterator[Database]:
    database = stores.opened(tmp_path)
    with database.write() as connection:
        for id_ in ("inc-1", "inc-2", "inc-3"):
            incidents.save(connection, Incident(id_, f"equipment:{id_}", id_, "open", NOW, STARTED_AT, "starts_at"))
    yield database
    database.close()


class Ledger:
    """Each step in a transaction of its own, as in life."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def want(self, **changes: Any) -> None:
        with self._database.write() as connection:
            ledger.want(connection, delivery(**changes))

    def claim(self, holder: str = "one", now: Any = NOW, target: str = "desk") -> Delivery | None:
        with self._database.write() as connection:
            return ledger.claim(connection, target, holder, now)

    def claimed(self, holder: str = "one", now: Any = NOW) -> Delivery:
        found = self.claim(holder, now)
        assert found is not None
        return found

    def keep(self, it: Delivery, remembered: Remembered, holder: str = "one") -> bool:
        with self._database.write() as connection:
            return ledger.keep(connection, it, holder, "REMOTE-1", remembered, SOON)

    def sent(self, it: Delivery, holder: str = "one", number: int = 1, again_at: datetime | None = None) -> None:
        known = Remembered(number=number, unsure_until=again_at)
        self.keep(it, known, holder)
        with self._database.write() as connection:
            ledger.record_sent(connection, it, holder, number, known, SOON)

    def failed(self, it: Delivery, state: ledger.Failed, holder: str = "one", again_at: Any = SOON) -> None:
        with self._database.write() as connection:
            ledger.record_failed(connection, it, holder, "it said no", state, again_at)

    @property
    def rows(self) -> list[Delivery]:
        with self._database.read() as connection:
            return ledger.of_incidents(connection, ["inc-1", "inc-2", "inc-3"])

    @property
    def row(self) -> Delivery:
        (row,) = self.rows
        return row


@pytest.fixture
def book(database: Database) -> Ledger:
    return Ledger(database)


def test_wanting_twice_owes_once(book: Ledger) -> None:
    book.want()
    book.want()
    assert book.rows == [delivery()]


def test_each_incident_target_and_object_has_a_row_of_its_own(book: Ledger) -> None:
    book.want()
    book.want(incident_id="inc-2")
    book.want(target="itsm")
    book.want(object="annotation")
    assert len(book.rows) == 4


def test_an_older_wish_changes_nothing(book: Ledger) -> None:
    book.want(wanted=3)
    book.want(wanted=2)
    assert book.row.wanted == 3


def test_nothing_is_claimed_before_its_time_nor_for_another_target(book: Ledger) -> None:
    book.want()
    book.failed(book.claimed(), "owed", again_at=SOON)
    assert book.claim() is None
    assert book.claim(now=SOON, target="itsm") is None
    assert book.claim(now=SOON) is not None


def test_a_clock_that_was_put_back_hides_nothing_that_was_not_tried_yet_and_holds_no_claim(book: Ledger) -> None:
    book.want(next_attempt_at=NOW + timedelta(hours=1))
    assert book.claim("one", NOW + timedelta(hours=1)) is not None
    assert book.claim("two") is not None
    book.want(incident_id="inc-2", next_attempt_at=NOW + timedelta(hours=1))
    assert book.claimed().incident_id == "inc-2"


@pytest.mark.parametrize("state", ["owed", "unsure"])
def test_what_a_clock_far_ahead_had_put_off_is_due_once_the_clock_is_right(book: Ledger, state: str) -> None:
    ahead = NOW + timedelta(days=400)
    book.want(next_attempt_at=ahead)
    if state == "owed":
        book.failed(book.claimed(now=ahead), "owed", again_at=ahead + timedelta(minutes=5))
    else:
        book.sent(book.claimed(now=ahead), again_at=ahead + timedelta(minutes=10))
    assert book.row.state == state
    assert book.claim(now=NOW) is not None


def test_what_the_other_side_put_off_for_a_day_waits(book: Ledger) -> None:
    book.want()
    book.failed(book.claimed(), "owed", again_at=NOW + timedelta(days=1))
    assert book.claim(now=NOW) is None


def test_what_lacks_mapped_fields_can_be_replayed(book: Ledger, database: Database) -> None:
    known = Remembered(number=1, lacking={"priority": "400: no such priority"}, written={"title": "t"})
    for id_, remembered in (("inc-1", known), ("inc-2", Remembered(number=1))):
        book.want(incident_id=id_)
        it = book.claimed()
        book.keep(it, remembered)
        with database.write() as connection:
            ledger.record_sent(connection, it, "one", 1, remembered, SOON)
    with database.write() as connection:
        assert [row.remembered for row in ledger.replay(connection, SOON, target="desk")] == [known]
    first = next(row for row in book.rows if row.incident_id == "inc-1")
    assert (first.state, first.remembered) == ("owed", Remembered(written={"title": "t"})), "all is written again, with its fields"


def test_what_is_due_longest_is_claimed_first(book: Ledger) -> None:
    for id_, late in (("inc-1", 1), ("inc-2", 3), ("inc-3", 2)):
        book.want(incident_id=id_, next_attempt_at=NOW - timedelta(seconds=late))
    assert [book.claimed().incident_id for _ in range(3)] == ["inc-2", "inc-3", "inc-1"]


def test_a_claim_hides_the_row_until_it_runs_out(book: Ledger) -> None:
    book.want()
    assert book.claim("one") is not None
    assert book.row.state == "claimed"
    assert book.claim("two") is None
    assert book.claim("two", EXPIRED - timedelta(microseconds=1)) is None
    assert book.claim("two", EXPIRED) is not None


def test_the_first_claim_notes_on_disk_that_creating_begins_but_its_holder_knows_that_nothing_was_begun(book: Ledger) -> None:
    book.want()
    assert book.claimed().creating_since is None
    assert book.row.creating_since == NOW


def test_who_takes_over_an_abandoned_claim_learns_that_creating_was_begun(book: Ledger) -> None:
    book.want()
    book.claim("one")
    assert book.claimed("two", EXPIRED).creating_since == NOW
    assert (book.row.creating_since, book.row.attempts) == (NOW, 2)


def test_who_tries_again_after_a_failure_learns_that_creating_was_begun(book: Ledger) -> None:
    book.want()
    book.failed(book.claimed(), "owed")
    assert book.claimed(now=SOON).creating_since == NOW


def test_what_was_sent_is_not_owed_and_keeps_the_other_sides_id(book: Ledger) -> None:
    book.want()
    book.sent(book.claimed())
    row = book.row
    assert (row.state, row.sent, row.remote_id, row.attempts, row.last_error) == ("sent", 1, "REMOTE-1", 0, None)
    assert book.claim(now=EXPIRED) is None


def test_news_while_it_is_sent_leave_it_owed(book: Ledger) -> None:
    book.want(wanted=1)
    claimed = book.claimed()
    book.want(wanted=2)
    assert book.row.state == "claimed"
    assert book.claim("two") is None
    book.sent(claimed, number=1)
    assert (book.row.state, book.row.sent, book.row.wanted) == ("owed", 1, 2)
    assert book.claimed(now=SOON).remote_id == "REMOTE-1"


def test_what_may_be_there_twice_is_looked_at_once_more(book: Ledger) -> None:
    book.want()
    book.sent(book.claimed(), again_at=EXPIRED)
    assert book.row.state == "unsure"
    assert book.claim(now=SOON) is None
    book.sent(book.claimed(now=EXPIRED))
    assert book.row.state == "sent"


def test_what_is_known_of_the_other_side_is_kept_while_the_claim_lasts_and_makes_it_last(book: Ledger) -> None:
    book.want()
    claimed = book.claimed()
    known = Remembered(written={"title": "x", "labels": ["a"]}, begun={"title": ["y"]}, theirs=("priority",), closed_at=NOW)
    assert book.keep(claimed, known)
    assert (book.row.remote_id, book.row.remembered) == ("REMOTE-1", known)
    assert book.claim("two", EXPIRED) is None
    assert book.claim("two", EXPIRED + timedelta(seconds=1)) is not None
    assert not book.keep(claimed, Remembered())
    assert book.row.remembered == known


def test_a_successor_is_owed_beside_what_it_goes_on_from(book: Ledger, database: Database) -> None:
    book.want(wanted=3)
    claimed = book.claimed()
    with database.write() as connection:
        ledger.succeed(connection, claimed, "REMOTE-1", SOON)
    first, second = sorted(book.rows, key=lambda row: row.object)
    assert (first.object, second.object, second.key) == ("ticket", "ticket.2", "inc-1.2")
    assert (second.wanted, second.sent, second.remote_id, second.state) == (3, 0, None, "owed")
    assert second.remembered.continues == "REMOTE-1"
    assert second.next.object == "ticket.3"


def test_news_after_it_was_sent_make_it_owed_again(book: Ledger) -> None:
    book.want()
    book.sent(book.claimed())
    book.want(wanted=2)
    assert (book.row.state, book.row.sent, book.row.wanted) == ("owed", 1, 2)


def test_a_failure_is_owed_again_later_with_what_was_said(book: Ledger) -> None:
    book.want()
    book.failed(book.claimed(), "owed")
    assert (book.row.state, book.row.last_error, book.row.attempts) == ("owed", "it said no", 1)
    assert book.claim() is None
    assert book.claim(now=SOON) is not None


def test_a_dead_letter_rests_until_there_is_news(book: Ledger) -> None:
    book.want()
    book.failed(book.claimed(), "dead")
    book.want()
    assert (book.row.state, book.claim(now=EXPIRED)) == ("dead", None)
    book.want(wanted=2)
    assert (book.row.state, book.row.attempts) == ("owed", 0)
    assert book.claimed().last_error == "it said no"


def test_who_lost_the_claim_records_nothing(book: Ledger) -> None:
    book.want()
    late = book.claimed("one")
    book.claim("two", EXPIRED)
    book.sent(late, "one")
    assert (book.row.state, book.row.remote_id) == ("claimed", None)
    book.failed(late, "dead", "one")
    assert (book.row.state, book.row.last_error) == ("claimed", None)


def test_rows_are_counted_by_target_and_state(book: Ledger, database: Database) -> None:
    book.want()
    book.want(incident_id="inc-2")
    book.want(target="itsm")
    book.claim()
    with database.read() as connection:
        assert ledger.count_by_state(connection) == {("desk", "owed"): 1, ("desk", "claimed"): 1, ("itsm", "owed"): 1}


def test_threads_that_claim_at_once_get_different_rows(book: Ledger) -> None:
    for id_ in ("inc-1", "inc-2", "inc-3"):
        book.want(incident_id=id_)
        book.want(incident_id=id_, object="annotation")
    got: list[Delivery | None] = []
    together = threading.Barrier(4)

    def claim(holder: str) -> None:
        together.wait()
        got.extend([book.claim(holder), book.claim(holder)])

    threads = [threading.Thread(target=claim, args=(f"holder-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [(it.incident_id, it.object) for it in got if it]
    assert len(keys) == len(set(keys)) == 6
    assert got.count(None) == 2


def test_nothing_is_owed_for_an_incident_that_is_not_there(book: Ledger) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        book.want(incident_id="inc-unknown")
