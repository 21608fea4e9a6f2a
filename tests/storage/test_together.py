"""What many threads add is written together, in the order in which it came, and each is told whether it was."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from receiver.storage.database import StoreUnavailable
from receiver.storage.together import Together
from tests.serving import until


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any test waits: who is not woken is seen."""
    monkeypatch.setattr("receiver.storage.together.PATIENCE_SECONDS", 60.0)


class Held:
    """Writes names; the first write waits until it is let go, and those after it may fail."""

    def __init__(self, fault: BaseException | None = None) -> None:
        self.written: list[list[str]] = []
        self.fault = fault
        self.began, self.go_on = threading.Event(), threading.Event()

    def __call__(self, names: list[str]) -> None:
        if self.written and self.fault:
            raise self.fault
        self.written.append(names)
        self.began.set()
        assert self.go_on.wait(10)


def added(together: Together[str], held: Held, names: list[str]) -> list[BaseException | None]:
    """What became of each, where all but the first were added while that was being written."""
    with ThreadPoolExecutor(len(names)) as pool:
        calls = [pool.submit(together.add, names[0])]
        assert held.began.wait(10)
        for number, name in enumerate(names[1:], start=1):
            calls.append(pool.submit(together.add, name))
            until(lambda number=number: len(together._waiting) == number)
        held.go_on.set()
        return [call.exception(10) for call in calls]


def test_what_waits_is_written_at_once_in_the_order_in_which_it_came() -> None:
    held = Held()
    names = [f"name-{number}" for number in range(8)]
    assert added(Together(held), held, names) == [None] * 8
    assert held.written == [names[:1], names[1:]]


@pytest.mark.parametrize("fault", [StoreUnavailable("the disk is full"), ValueError("a fault of ours")])
def test_where_the_write_for_all_fails_each_of_them_is_told_and_the_next_may_succeed(fault: Exception) -> None:
    held = Held(fault)
    together = Together(held)
    assert added(together, held, ["first", "second", "third"]) == [None, fault, fault]
    held.fault = None
    together.add("fourth")
    assert held.written == [["first"], ["fourth"]]


@pytest.mark.parametrize("fault", [SystemExit(1), KeyboardInterrupt()])
def test_where_the_thread_that_writes_for_all_is_broken_off_none_is_told_that_it_is_written(fault: BaseException) -> None:
    held = Held(fault)
    together = Together(held)
    first, *others = added(together, held, ["first", "second", "third", "fourth"])
    assert first is None
    assert [type(other) for other in others if other is not fault] == [StoreUnavailable] * 2
    held.fault = None
    together.add("fifth")
    assert held.written == [["first"], ["fifth"]]


def test_while_a_write_hangs_the_others_give_up_and_theirs_is_not_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.storage.together.PATIENCE_SECONDS", 2.0)
    held = Held()
    together = Together(held)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(together.add, "first")
        assert held.began.wait(10)
        assert isinstance(pool.submit(together.add, "second").exception(10), StoreUnavailable)
        began = time.monotonic()
        assert isinstance(pool.submit(together.add, "third").exception(10), StoreUnavailable)
        assert time.monotonic() - began < 1, "it is known to hang: nobody waits for it anew"
        assert not together._waiting, "who gave up must not fill the memory"
        held.go_on.set()
        assert first.result(10) is None
    together.add("fourth")
    assert held.written == [["first"], ["fourth"]]


def test_one_whose_write_is_under_way_when_it_gives_up_is_told_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of `second` and `third` is taken by the thread of the other, which hangs with both."""
    monkeypatch.setattr("receiver.storage.together.PATIENCE_SECONDS", 2.0)
    first_may_end, others_may_end = threading.Event(), threading.Event()
    written: list[list[str]] = []

    def write(names: list[str]) -> None:
        (others_may_end if written else first_may_end).wait(10)
        written.append(names)

    together = Together(write)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(together.add, "first")
        until(lambda: together._since is not None)
        others = [pool.submit(together.add, name) for name in ("second", "third")]
        until(lambda: len(together._waiting) == 2)
        first_may_end.set()
        until(lambda: sum(other.done() for other in others) == 1)
        others_may_end.set()
        assert first.result(10) is None
        assert sorted(type(other.exception(10)).__name__ for other in others) == ["NoneType", "StoreUnavailable"]
    assert sorted(written[1]) == ["second", "third"]


def test_of_slow_writes_none_hangs_and_each_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, each as long as three fifths of the patience. Those that wait look at the clock again and again meanwhile."""
    monkeypatch.setattr("receiver.storage.together.PATIENCE_SECONDS", 0.05)
    written: list[list[str]] = []
    now, looks = 0.0, 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return now

    def write(names: list[str]) -> None:
        nonlocal now
        if not written:
            until(lambda: len(together._waiting) == 3)
        now += 0.03
        before = looks
        until(lambda: looks >= before + 6)
        written.append(names)

    together = Together(write, clock)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(together.add, "first")]
        until(lambda: together._since is not None)
        calls += [pool.submit(together.add, name) for name in ("second", "third", "fourth")]
        assert [call.exception(20) for call in calls] == [None] * 4
    assert written[0] == ["first"]
    assert sorted(written[1]) == ["fourth", "second", "third"]


def test_of_those_that_wait_the_first_alone_is_woken_to_write() -> None:
    still_asleep: list[bool] = []
    held = Held()

    def write(names: list[str]) -> None:
        still_asleep.extend(entry.news.locked() for entry in entries[1:])
        held(names)

    together, entries = Together(write), []
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(together.add, "first")]
        assert held.began.wait(10)
        for number in range(1, 4):
            calls.append(pool.submit(together.add, f"name-{number}"))
            until(lambda number=number: len(together._waiting) == number)
        entries += together._waiting
        held.go_on.set()
        assert [call.exception(10) for call in calls] == [None] * 4
    assert still_asleep == [True, True], "until theirs is written"
    assert [entry.leads for entry in entries] == [True, False, False]


def test_under_many_threads_each_is_written_once_and_told() -> None:
    written: list[int] = []

    def write(numbers: list[int]) -> None:
        # else one is written before the next comes
        until(lambda: together._waiting or len(numbers) == 16 or len(written) + len(numbers) == 1000)
        written.extend(numbers)

    together = Together(write)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(together.add, range(1000))) == [None] * 1000
    assert sorted(written) == list(range(1000))
    assert together._since is None
    assert not together._waiting
