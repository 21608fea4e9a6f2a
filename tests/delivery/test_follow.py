"""Whatever fails, dies, lags or is edited by persons in between: one ticket, nothing said twice, and what persons did stays."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from receiver.delivery.follow import UNSURE, Policy
from receiver.delivery.targets import Unreachable
from receiver.law.verdict import Verdict
from receiver.model import Delivery
from receiver.storage import deliveries
from tests.delivery.test_dispatcher import NOW, Desk, Killed
from tests.fakes.memory import MemoryTarget, Ticket
from tests.incidents.streams import EXAMPLES

REOPEN = timedelta(hours=3)
FAULTS = {"no answer": Unreachable("no answer within 10 s"), "killed": Killed()}


class Following(RuleBasedStateMachine):
    """One incident, one desk, persons at work there, and a dispatcher that dies now and then."""

    @initialize(close=st.booleans(), lags=st.booleans())
    def begin(self, close: bool, lags: bool) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.open_a_store()
        self.desk.target = MemoryTarget("desk", settles=timedelta(minutes=2) if lags else timedelta())
        self.policy = Policy(close_when_over=close, reopen_within=REOPEN)
        self.number = self.lives = 0
        self.said: dict[str, object] = {}
        self.titles: dict[str, str] = {}
        self.labels: dict[str, set[str]] = {}
        self.taken_out: dict[str, set[str]] = {}
        self.closed: set[str] = set()
        self.deleted: set[str] = set()
        self.news(Verdict.MAJOR, "open")

    @rule(verdict=st.sampled_from([Verdict.MAJOR, Verdict.PERIODIC]), state=st.sampled_from(["open", "open", "restored", "closed"]))
    def news(self, verdict: Verdict, state: str) -> None:
        self.number += 1
        over = {} if state == "open" else {"restored_at": NOW}
        self.said = {"verdict": verdict, "state": state, "candidate": False, "major_since": None, **over}
        self.desk.assess(self.number, **self.said)

    @precondition(lambda self: self.said["verdict"] == Verdict.MAJOR)  # else nothing asks for a ticket any more
    @rule()
    def the_store_is_lost(self) -> None:
        """Alertmanager goes on telling of what lasts, and so the same incident is in the new store; an index lags no longer."""
        lost = self.desk
        lost.database.close()
        lost.target.heal()
        self.open_a_store()
        self.desk.target, self.desk.now = lost.target, lost.now
        self.desk.assess(self.number, **self.said)

    def open_a_store(self) -> None:
        self.desk = Desk(Path(tempfile.mkdtemp(dir=self.folder)))

    @rule(kind=st.sampled_from(sorted(FAULTS)), after_work=st.booleans(), skip=st.integers(0, 4))
    def something_will_fail(self, kind: str, after_work: bool, skip: int) -> None:
        self.desk.target.fail_later(FAULTS[kind], skip, after_work=after_work)

    @rule(seconds=st.sampled_from([1, 70, 400, 3600, 4 * 3600]))
    def time_goes_on(self, seconds: int) -> None:
        self.desk.now += timedelta(seconds=seconds)
        self.send()

    @rule()
    def send(self) -> None:
        self.lives += 1  # a new process each time: it knows nothing but what is on disk
        dispatcher = self.desk.dispatcher(holder=f"life {self.lives}", policy=self.policy)
        try:
            while dispatcher.send_next():
                pass
        except Killed:
            pass

    @precondition(lambda self: self.desk.target.settles)
    @rule()
    def the_index_lags(self) -> None:
        self.desk.target.hides = True

    @precondition(lambda self: self.desk.target.tickets)
    @rule(data=st.data(), words=st.sampled_from(["山田が対応中", "回線断"]))
    def a_person_renames(self, data: st.DataObject, words: str) -> None:
        id_, ticket = self.some(data)
        ticket.fields["title"] = self.titles[id_] = words

    @precondition(lambda self: self.desk.target.tickets)
    @rule(data=st.data())
    def a_person_labels(self, data: st.DataObject) -> None:
        id_, ticket = self.some(data)
        ticket.fields["labels"] = [*ticket.fields["labels"], "core-team"]
        self.labels.setdefault(id_, set()).add("core-team")

    @precondition(lambda self: self.desk.target.tickets)
    @rule(data=st.data(), take_on=st.booleans())
    def a_person_closes_or_takes_it_on(self, data: st.DataObject, take_on: bool) -> None:
        id_, ticket = self.some(data)
        ticket.is_taken = True
        if not take_on and ticket.is_open:
            ticket.is_open = False
            self.closed.add(id_)

    @precondition(lambda self: self.desk.target.tickets)
    @rule(data=st.data())
    def a_person_takes_the_marks_away(self, data: st.DataObject) -> None:
        self.some(data)[1].block = None

    @precondition(lambda self: self.desk.target.tickets)
    @rule(data=st.data())
    def a_person_deletes(self, data: st.DataObject) -> None:
        id_, ticket = self.some(data)
        del self.desk.target.tickets[id_]
        self.deleted.add(ticket.key)

    def some(self, data: st.DataObject) -> tuple[str, Ticket]:
        return data.draw(st.sampled_from(sorted(self.desk.target.tickets.items(), key=lambda one: int(one[0]))))

    def teardown(self) -> None:
        if not hasattr(self, "desk"):
            return
        try:
            self.all_is_well_again()
            self.check()
        finally:
            self.desk.database.close()
            shutil.rmtree(self.folder)

    def all_is_well_again(self) -> None:
        self.desk.target.heal()
        for _ in range(4):
            self.desk.now += max(deliveries.CLAIM, UNSURE)
            self.send()

    def check(self) -> None:
        rows = self.rows()
        assert {row.state for row in rows} == {"sent"}
        tickets = self.desk.target.tickets
        # one for each row, and of any other everybody was told
        ours = {row.remote_id: row for row in rows}
        for id_, ticket in tickets.items():
            marks = [mark for mark, _ in ticket.comments]
            assert len(marks) == len(set(marks)), "nothing is said twice"
            if id_ not in ours:
                assert f"{ticket.key}#double-{id_}" in marks or not self.follows(ticket.key)
        assert self.desk.target.lagged or tickets.keys() <= ours.keys(), "none is made twice"
        # the newest is shown wherever nobody took our part of it away, and what persons did is there
        newest = rows[-1]
        assert newest.remembered.gone or newest.remembered.number == self.number
        for id_, ticket in tickets.items():
            if id_ == newest.remote_id and ticket.block:
                assert ticket.block == self.number
            if id_ in self.titles:
                assert ticket.fields["title"] == self.titles[id_]
            assert self.labels.get(id_, set()) <= set(ticket.fields["labels"])
            if id_ in self.closed:
                assert not ticket.is_open, "what a person closed stays closed"

    def follows(self, key: str) -> bool:
        """Whether the thing of this key was followed to the end, so that its doubles could be told."""
        rows = [row for row in self.rows() if row.key == key]
        assert rows or "inc-1" in self.deleted, "after a loss the later ones are found by the first"
        return not any(row.remembered.gone or row.remembered.superseded for row in rows) and bool(rows)

    def rows(self) -> list[Delivery]:
        with self.desk.database.read() as connection:
            return deliveries.of_incidents(connection, ["inc-1"])


TestFollowing = Following.TestCase
TestFollowing.settings = settings(
    max_examples=40 * EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
