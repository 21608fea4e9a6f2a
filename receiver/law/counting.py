"""Which figure of an accident is kept, method by method, and which of them stands. How each is reached: `methods`, `conference`."""

from datetime import datetime
from typing import Literal, get_args

import msgspec
from msgspec.structs import replace

from receiver.law.estimate import Method, Reading
from receiver.law.provisions import Text

CountedBy = Literal["stated", Method]
"""How a number was reached: by a method of the law, or a person stated it, by a count of its own."""

METHODS: tuple[CountedBy, ...] = get_args(CountedBy)
"""From the finest to the coarsest of each kind of service."""


EMERGENCY: frozenset[Method] = frozenset({"emergency_call_loss", "emergency_all_under_equipment"})
"""The methods of voice whose emergency calls were affected. Neither is finer: that equipment is wholly down is no estimate."""


GROWING: frozenset[Method] = frozenset({"traffic_difference", "conference_probability"})
"""Their numbers count what happened from the failure on: they grow while it lasts, though nothing else changes."""


class Count(msgspec.Struct, frozen=True):
    """A measured number of users: by which method, from which query, as of when (the time of the sample).

    `formula` is its arithmetic, where the number is not the answer to the query itself. `passed_over` says of each finer method why
    it could not be used. `evidence` is what the number rests on besides, say which days were compared; `other_readings` are the
    numbers of other readings of the rule. `stopped` and `degraded` are the users of each kind, where they were counted apart; where
    nobody counted them together, `users` is the larger kind and `at_most` the sum, as nobody knows who is in both.
    """

    users: int
    method: CountedBy
    query: str
    at: datetime
    unit: str = ""
    formula: Text | None = None
    passed_over: tuple[Text, ...] = ()
    evidence: tuple[Text, ...] = ()
    other_readings: tuple[Reading, ...] = ()
    stopped: int | None = None
    degraded: int | None = None
    at_most: int | None = None

    @property
    def most(self) -> int:
        return self.users if self.at_most is None else self.at_most


class Affected(msgspec.Struct, frozen=True):
    """The users of one impact as far as they are known.

    `kept` has the largest *measured* count of each method while the accident lasts: a gauge of users hit at this moment forgets
    those who were hit earlier. `bound` is the last known number of all users under the equipment (or of the whole service): it
    never enters `kept`. `problem` says why this instant could not be measured, `unmeasured_since` since when; None when it could.
    `stated` is the number that a person stated: it stands before all that was measured, which stays in `kept`.
    """

    kept: tuple[Count, ...] = ()
    bound: int | None = None
    problem: str | None = None
    unmeasured_since: datetime | None = None
    stated: Count | None = None

    @property
    def count(self) -> Count | None:
        """The figure that stands: the one that was stated, else the largest count of the finest method that was measured.

        Once emergency calls may have been affected, their own methods stand before all others.
        """
        if self.stated:
            return self.stated
        if len(self.kept) < 2:
            return self.kept[0] if self.kept else None
        emergency = [count for count in self.kept if count.method in EMERGENCY]
        if emergency:
            return max(emergency, key=lambda count: count.users)
        return min(self.kept, key=lambda count: METHODS.index(count.method))

    @property
    def at_least(self) -> int:
        return self.count.users if self.count else 0

    @property
    def at_most(self) -> int | None:
        """None when there is no upper bound at all."""
        if self.count and (self.problem is None or self.stated):
            return self.count.most
        known = self.count.most if self.count else 0
        return None if self.bound is None else max(self.bound, known)


def keep_largest(kept: tuple[Count, ...], new: Count) -> tuple[Count, ...]:
    """`kept` with `new` in it, if no larger count of its method is there already. The earliest of equal counts stays.

    What there may be at most stays, too, whatever is counted later.
    """
    by_method = {count.method: count for count in kept}
    old = by_method.get(new.method)
    larger = new if old is None or (new.users, new.most) > (old.users, old.most) else old
    most = max(new.most, old.most) if old else new.most
    by_method[new.method] = larger if larger.most == most else replace(larger, at_most=most)
    return tuple(by_method[method] for method in METHODS if method in by_method)
