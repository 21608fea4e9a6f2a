"""Planning and sending: what is owed is sent once, in order, whatever dies or times out in between."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from receiver.catalogue import Catalogue
from receiver.delivery import content
from receiver.delivery.dispatcher import Dispatcher
from receiver.delivery.follow import UNSURE, Policy
from receiver.delivery.plan import Route, plan
from receiver.delivery.targets import Draft, Refused, Target, Unreachable
from receiver.law import deadlines
from receiver.law.verdict import Verdict
from receiver.model import Assessment, Delivery, Incident
from receiver.storage import deliveries
from receiver.storage import incidents as store
from tests import stores
from tests.fakes.memory import MemoryTarget
from tests.receiver import SERVICES
from tests.samples import assessment

pytestmark = pytest.mark.usefixtures("each_store")

NOW = datetime(2026, 11, 21, 4, 5, tzinfo=UTC)
TICKET = Route("desk", "ticket")
POLICY = Policy(close_when_over=True)


class Desk:
    """A store with a dispatcher in front of it; the clock moves when told."""

    def __init__(self, folder: Path) -> None:
        self.database = stores.opened(folder)
        self.now = NOW
        self.target = MemoryTarget("desk")

    def dispatcher(self, target: Target | None = None, holder: str = "one", policy: Policy = POLICY) -> Dispatcher:
        return Dispatcher(
            self.database,
            target or self.target,
            Catalogue(SERVICES),
            deadlines.Settings(),
            "http://noc.example",
            holder,
            lambda: self.now,
            policy,
        )

    def assess(self, number: int, **changes: object) -> None:
        """Keep an assessment of the incident and plan from it."""
        sample = assessment(number=number, **changes)
        with self.database.write() as connection:
            store.save(connection, incident_of(sample))
            store.append(connection, sample)
        plan(self.database, (TICKET,), self.now)

    def row(self) -> Delivery:
        with self.database.read() as connection:
            (row,) = deliveries.of_incidents(connection, ["inc-1"])
        return row

    def send_all(self) -> None:
        while self.dispatcher().send_next():
            pass


def incident_of(sample: Assessment) -> Incident:
    return Incident(
        id=sample.incident_id,
        cause="equipment:equipment=core-1",
        equipment="core-1",
        state=sample.state,
        opened_at=NOW,
        failure_started_at=sample.failure_started_at,
        start_basis="equipment_series",
        start_settled=True,
        restored_at=sample.restored_at,
        closed_at=NOW if sample.state == "closed" else None,
    )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


class Watching(MemoryTarget):
    """Looks into the store, as another process would, at the moment of each call."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__("desk")
        self._look = look

    def create(self, draft: Draft) -> str:
        self._look()
        return super().create(draft)


class Killed(BaseException):
    """The process ended here."""


def test_the_claim_is_on_disk_before_the_call(desk: Desk) -> None:
    seen: list[tuple[str, bool]] = []

    def look() -> None:
        row = desk.row()
        seen.append((row.state, row.creating_since is not None))

    desk.assess(1)
    desk.dispatcher(Watching(look)).send_next()
    assert seen == [("claimed", True)]


def test_while_one_calls_another_finds_nothing_to_do(desk: Desk) -> None:
    others: list[bool] = []
    desk.assess(1)
    desk.dispatcher(Watching(lambda: others.append(desk.dispatcher(holder="two").send_next()))).send_next()
    assert others == [False]
    assert len(desk.target.tickets) == 0


@pytest.mark.parametrize("done", [False, True], ids=["killed before the work", "killed after the work"])
def test_killed_between_claim_and_record_it_still_makes_one_ticket(desk: Desk, done: bool) -> None:
    class Dying(MemoryTarget):
        def create(self, draft: Draft) -> str:
            if done:
                desk.target.create(draft)
            raise Killed

    desk.assess(1)
    with pytest.raises(Killed):
        desk.dispatcher(Dying("desk")).send_next()
    desk.send_all()
    assert desk.row().state == "claimed"  # nobody takes it while the claim may be alive
    desk.now += deliveries.CLAIM
    desk.send_all()
    assert desk.row().state == "unsure"
    assert len(desk.target.tickets) == 1
    first = ["create", "find"] if done else ["find", "create"]
    assert [call[0] for call in desk.target.calls] == [*first, "read", "write"]
    desk.target.calls.clear()
    desk.now += UNSURE
    desk.send_all()
    assert [call[0] for call in desk.target.calls] == ["find", "read"]
    assert desk.row().state == "sent"


def test_what_is_claimed_when_it_is_stopped_goes_back_as_it_was_before_anything_is_begun(desk: Desk) -> None:
    desk.assess(1)
    before = desk.row()
    desk.dispatcher().send_next(lambda: True)
    assert desk.target.calls == []
    assert desk.row() == before
    assert desk.dispatcher(holder="two").send_next()  # at once


def test_stopped_while_a_call_is_under_way_that_one_is_finished_and_the_rest_is_left_to_the_next(desk: Desk) -> None:
    desk.assess(1)
    desk.send_all()
    desk.assess(2, verdict=Verdict.PERIODIC, state="closed", restored_at=NOW)
    desk.target.calls.clear()
    desk.dispatcher().send_next(lambda: ("write", "1") in desk.target.calls)
    assert [action for action, _ in desk.target.calls] == ["read", "write", "read"]
    assert (desk.row().state, desk.row().attempts, desk.row().remembered.number) == ("owed", 0, 2)
    desk.target.calls.clear()
    while desk.dispatcher(holder="two").send_next():
        pass
    assert [action for action, _ in desk.target.calls] == ["comment"]
    assert desk.row().state == "sent"


def test_a_call_that_does_not_come_back_before_the_end_is_left_like_one_that_timed_out(desk: Desk) -> None:
    called, answered = threading.Event(), threading.Event()

    def hang() -> None:
        called.set()
        answered.wait(20)

    desk.assess(1)
    slow = Watching(hang)
    slow.settles = timedelta(seconds=30)
    dispatcher = desk.dispatcher(slow)
    thread = threading.Thread(target=dispatcher.send_next)
    thread.start()
    assert called.wait(20)
    dispatcher.leave()
    assert desk.row().state == "owed"
    assert desk.row().next_attempt_at == NOW + slow.settles
    answered.set()  # it came after all, too late to be told
    thread.join()
    assert desk.row().state == "owed"
    desk.now += slow.settles
    while desk.dispatcher(slow, holder="two").send_next():
        pass
    assert len(slow.tickets) == 1
    dispatcher.leave()  # nothing is held any more
    assert desk.row().state == "unsure"


def test_a_time_out_after_the_work_makes_no_second_ticket(desk: Desk) -> None:
    desk.target.fail_later(Unreachable("no answer within 10 s"), 1, after_work=True)
    desk.assess(1)
    desk.send_all()
    assert desk.row().state == "owed"
    assert "no answer" in str(desk.row().last_error)
    desk.now += timedelta(seconds=2)
    desk.send_all()
    assert len(desk.target.tickets) == 1
    assert desk.row().state == "unsure"


def test_a_failing_target_is_asked_again_ever_more_rarely_and_never_given_up_within_hours(desk: Desk) -> None:
    desk.target.fail(Unreachable("503"), times=1000)
    desk.assess(1)
    waits = []
    for _ in range(40):
        desk.send_all()
        waits.append(desk.row().next_attempt_at - desk.now)
        desk.now = desk.row().next_attempt_at
    assert timedelta(milliseconds=500) <= waits[0] <= timedelta(seconds=1)
    assert all(timedelta(seconds=150) <= wait <= timedelta(seconds=300) for wait in waits[12:])
    assert desk.now - NOW > timedelta(hours=1)
    assert desk.row().state == "owed"


def test_the_target_says_when_to_come_again(desk: Desk) -> None:
    desk.target.fail(Unreachable("429", retry_after=timedelta(minutes=7)))
    desk.assess(1)
    desk.send_all()
    assert desk.row().next_attempt_at == NOW + timedelta(minutes=7)


def test_a_refused_delivery_is_a_dead_letter_until_there_is_news(desk: Desk) -> None:
    desk.target.fail(Refused("401: who are you?"), times=2)
    desk.assess(1)
    desk.send_all()
    desk.now += timedelta(days=1)
    desk.send_all()
    assert (desk.row().state, desk.row().last_error) == ("dead", "401: who are you?")
    assert desk.target.tickets == {}
    desk.assess(2)
    desk.send_all()
    assert desk.row().state == "unsure"
    assert len(desk.target.tickets) == 1


def test_news_during_a_call_are_sent_after_it(desk: Desk) -> None:
    desk.assess(1)
    target = Watching(lambda: desk.assess(2, affected_users=99_000))
    dispatcher = desk.dispatcher(target)
    assert dispatcher.send_next()
    assert desk.row().state == "owed"
    while dispatcher.send_next():
        pass
    assert [action for action, _ in target.calls] == ["find", "create", "read", "read", "write"]
    assert target.tickets["1"].block == 2


def test_a_closed_incident_is_resolved_even_if_it_was_never_made_before(desk: Desk) -> None:
    desk.assess(1)
    desk.assess(2, state="closed", restored_at=NOW)
    desk.send_all()
    assert [call[0] for call in desk.target.calls] == ["find", "create", "read", "write"]
    assert not desk.target.tickets["1"].is_open
    assert desk.row().state == "sent"


def test_planning_twice_owes_nothing_twice(desk: Desk) -> None:
    desk.assess(1)
    desk.send_all()
    plan(desk.database, (TICKET,), desk.now)
    desk.send_all()
    assert [call[0] for call in desk.target.calls] == ["find", "create", "read"]


def test_a_ticket_only_for_what_is_major_or_a_candidate(desk: Desk) -> None:
    desk.assess(1, verdict=Verdict.PERIODIC, major_since=None, candidate=False)
    with desk.database.read() as connection:
        assert deliveries.of_incidents(connection, ["inc-1"]) == []
    desk.assess(2, verdict=Verdict.PERIODIC, major_since=None, candidate=True)
    assert desk.row().object == "ticket"


def test_every_incident_gets_its_annotation(desk: Desk) -> None:
    with desk.database.write() as connection:
        sample = assessment(number=1, verdict=Verdict.NONE, candidate=False)
        store.save(connection, incident_of(sample))
        store.append(connection, sample)
    plan(desk.database, (TICKET, Route("grafana", "annotation")), desk.now)
    assert (desk.row().object, desk.row().target) == ("annotation", "grafana")


def test_mapped_fields_that_are_refused_do_not_keep_the_ticket_away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(MemoryTarget):
        def create(self, draft: Draft) -> str:
            if draft.fields:
                raise Refused("422: customfield_7 cannot be set")
            return super().create(draft)

    mapped = {"customfield_7": "x"}
    plain = content.Content.draft
    monkeypatch.setattr(content.Content, "draft", lambda *given: msgspec.structs.replace(plain(*given), fields=mapped))
    desk.assess(1)
    desk.target = Strict("desk")
    desk.dispatcher().send_next()
    assert desk.row().state == "owed"
    assert "customfield_7" in str(desk.row().last_error)
    desk.now += timedelta(seconds=2)
    desk.send_all()
    assert len(desk.target.tickets) == 1
    assert desk.row().remembered.lacking


def test_a_dead_letter_says_what_was_refused_also_without_fields(desk: Desk) -> None:
    desk.target.fail(Refused("403: not yours"), times=3)
    desk.assess(1)
    desk.send_all()
    assert (desk.row().state, desk.row().last_error) == ("dead", "403: not yours")
