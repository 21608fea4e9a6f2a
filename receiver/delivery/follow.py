"""From what was said to what is to be said: one thing on the other side made, found again, and kept up to date, call by call.

Before each call it is on disk what the call is to do, and after it what came of it. Killed at any line, the next one to hold the
row looks at the other side and goes on. What persons changed there is left to them.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

import msgspec

from receiver.delivery.merge import is_empty, merge, remembered
from receiver.delivery.targets import Change, Draft, Missing, Refused, Removes, Seen, Target, Unfindable, Unreachable
from receiver.delivery.words import CONTINUED, DOUBLE, DOUBLED
from receiver.model import Clock, Delivery, Remembered

UNSURE = timedelta(minutes=10)
"""After a creation of unknown outcome a double may turn up for so long: the other side may have been slow, or its index is."""

GONE_AFTER = timedelta(minutes=1)
SEARCHES = 3
"""Attempts after which a place that lets nothing be sought gets a ticket without that."""

_RIGHTS = "Let the receiver's user write it, in every status"

Keep = Callable[[str | None, Remembered], None]
"""Puts the other side's id and what is known of the thing on disk. Raises ClaimLost."""


class ClaimLost(Exception):
    """Another holder has the row by now: whatever is to be done, that one does it."""


class Stopped(Exception):
    """The process ends: nothing further is begun, and the next one to hold the row goes on from here."""


def never() -> bool:
    """Nothing is ever stopped."""
    return False


class Policy(msgspec.Struct, frozen=True):
    """Whether a ticket is closed once its incident is over and nobody took it over, and how long it may be opened again then."""

    close_when_over: bool = False
    reopen_within: timedelta = timedelta(days=7)


class Follower:
    """Follows one row of the ledger with one thing at `target`."""

    def __init__(
        self,
        target: Target,
        delivery: Delivery,
        draft: Draft,
        policy: Policy,
        keep: Keep,
        clock: Clock,
        is_stopped: Callable[[], bool] = never,
    ) -> None:
        self._target = target
        self._delivery = delivery
        self.draft = draft
        self._statement = draft.statement
        self._policy = policy
        self._keep = keep
        self._clock = clock
        self._is_stopped = is_stopped
        self.remote_id = delivery.remote_id
        self.memory = delivery.remembered

    def follow(self) -> None:
        """Make of it what the draft says. Afterwards `memory` says whether it is `gone` or to be `superseded`. Raises Unreachable,
        Refused, ClaimLost, and Stopped before a change that is not begun any more.
        """
        self._go_on()
        if self.remote_id is None:
            self._make()
        if self.memory.gone or self.memory.superseded:
            return
        if self.memory.number < self._statement.number or self.memory.unsure_until:
            self._update()
        else:
            self._tell(self.remote_id or "")  # killed after the last write, something may not have been told yet

    def _update(self) -> None:
        self._look_for_doubles()
        seen = self._read(self.remote_id or "") or self._read_double()
        remote_id = self.remote_id or ""
        if seen is None:
            self._look_again()
            return
        self._learn(seen)
        if seen.is_untouched and not self.memory.written:  # found again with nothing known of it: all that stands there is ours
            self._remember(written=dict(seen.fields))
        if self._needs_successor(seen):
            self._remember(superseded=True, unsure_until=None)
            return
        if self.memory.number < self._statement.number:
            remote_id = self._write(remote_id, seen)
        self._tell(remote_id)

    def _look_again(self) -> None:
        """It is gone if a search finds none either, and once more some time later: else it is not the thing that is missing but the
        place, or it is hidden for a while.
        """
        found = self._target.find(self.draft.key)
        if self.remote_id in found:
            raise Unreachable(f"{self._target.name}: {self.remote_id} was found there, but not shown")
        if found:
            self._remember(found[0], doubles=tuple(found[1:]), missing_since=None)
            raise Unreachable(f"{self._target.name}: another one with the same key is followed from now on")
        if self.memory.missing_since is None:
            self._remember(missing_since=self._clock())
        if self.memory.missing_since and self._clock() - self.memory.missing_since < GONE_AFTER:
            raise Unreachable(f"{self._target.name}: it is not there any more, and is looked for once more", GONE_AFTER)
        self._remember(gone=True, unsure_until=None)

    def _make(self) -> None:
        unknown = bool(self.memory.milestone)  # kept before the first call
        # a write follows where the outcome of a creation was ever unknown, and where it is to be closed at once
        doubt: dict[str, Any] = {"unsure_until": self._clock() + UNSURE} if unknown else {}
        if found := self._find(unknown):
            self._remember(found[0], doubles=tuple(found[1:]), **doubt, **self._forgotten(found[0]))
            return
        wanted = dict(self._target.fields(self.draft))
        self._intend(begun=_begun(self.memory, wanted), milestone=self._statement.milestone)
        try:
            remote_id = self._target.create(self.draft)
        except Unfindable as error:
            self._remember(error.remote_id)
            raise
        self._remember(remote_id, **doubt)
        if not unknown and not self._statement.resolved:
            self._remember(number=self._statement.number, begun={}, **self._taken(remote_id, wanted, {}))

    def _find(self, unknown: bool) -> list[str]:
        """Sought before the first call to make it, too: the store may have been lost since, or set back. But a place that lets
        nothing be sought must not be without a ticket for that.
        """
        try:
            return self._target.find(self.draft.key)
        except (Refused, Unreachable) as error:
            if unknown or (isinstance(error, Unreachable) and self._delivery.attempts < SEARCHES):
                raise
            return []

    def _forgotten(self, remote_id: str) -> dict[str, Any]:
        """What is taken to be known of one that this store never began: told of all up to now, its comments counted anew. Where it
        is closed and its incident goes on, another one follows: nobody knows any more who closed it, and why.
        """
        if self.memory.milestone:
            return {}
        known = {"milestone": self._statement.milestone, "was_over": True}
        if not self._target.comments:
            return known
        comments = 0
        while self._has_comment(remote_id, f"{self.draft.key}#{comments + 1}"):
            comments += 1
        return known | {"comments": comments, "superseded": bool(self._target.find(self._delivery.next.key))}

    def _look_for_doubles(self) -> None:
        until = self.memory.unsure_until
        if until and self._clock() >= until:
            others = (one for one in self._target.find(self.draft.key) if one != self.remote_id)
            self._remember(doubles=tuple(dict.fromkeys([*self.memory.doubles, *others])), unsure_until=None)

    def _read_double(self) -> Seen | None:
        """What a person deleted may have been one of two: then the other is followed."""
        for other in self.memory.doubles:
            if seen := self._read(other):
                self._remember(other, doubles=tuple(one for one in self.memory.doubles if one != other))
                return seen
        return None

    def _read(self, remote_id: str) -> Seen | None:
        if self._target.reads:
            return self._target.read(remote_id)
        return Seen(self.memory.written, is_open=self.memory.closed_at is None)

    def _learn(self, seen: Seen) -> None:
        """What became of a change of state whose outcome was unknown, and whether a person opened what we had closed."""
        if self.memory.missing_since:
            self._remember(missing_since=None)
        if (state := self.memory.turning) and self._target.reads:
            ours = seen.is_open == (state == "open")
            closed_at = (self._clock() if state == "closed" else None) if ours else self.memory.closed_at
            self._remember(turning=None, closed_at=closed_at)
        elif self._target.reads and seen.is_open and self.memory.closed_at and not self.memory.reopened:
            self._remember(reopened=True)

    def _has_comment(self, on: str, mark: str) -> bool:
        with suppress(Missing if on == self.remote_id else Refused):
            return self._target.has_comment(on, mark)
        return False

    def _needs_successor(self, seen: Seen) -> bool:
        """The incident was over and goes on, and its ticket was closed by a person, or by us too long ago."""
        if self._statement.resolved or not self.memory.was_over or seen.is_open:
            return False
        closed_at = None if self.memory.reopened else self.memory.closed_at
        return closed_at is None or self._clock() - closed_at > self._policy.reopen_within

    def _write(self, remote_id: str, seen: Seen) -> str:
        wanted, state = self._in_their_form(self._target.fields(self.draft)), self._turn(seen)
        fields, theirs = merge(wanted, seen.fields, self.memory)
        ours = {name: value for name, value in wanted.items() if name not in theirs}
        self._intend(theirs=theirs, begun=_begun(self.memory, ours), turning=state)
        new_id = self._target.write(remote_id, self.draft, Change(fields, seen.has_block, state), seen)
        taken = self._taken(new_id, remembered(self.memory.written, ours, seen.fields), seen.fields, fields)
        self._remember(
            new_id,
            number=self._statement.number,
            was_over=self._statement.resolved,
            **taken,
            begun={},
            turning=None,
            closed_at={"closed": self._clock(), "open": None, None: self.memory.closed_at}[state],
        )
        return new_id

    def _taken(
        self, remote_id: str, written: dict[str, Any], before: Mapping[str, Any], changed: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """`written`, `forms` and `lacking` as they stand there now: some systems answer what may not be changed, or not in this
        form, as done. Lists are merged by their members, and so not compared. Raises Refused where the title was not taken.
        """
        fields = {name: value for name, value in (written if changed is None else changed).items() if not isinstance(value, list)}
        seen = self._target.read(remote_id) if fields and self._target.reads and self._target.comments else None
        if seen is None:
            return {"written": written}
        is_new = changed is None
        kept = [
            name
            for name, value in fields.items()
            if (there := seen.fields.get(name)) != value and (is_empty(there) if is_new else there == before.get(name))
        ]
        if unmapped := [name for name in kept if name not in self.draft.fields and not is_new]:
            raise Refused(f"{self._target.name}: {remote_id} did not take {', '.join(unmapped)}. {_RIGHTS}")
        lacking = {name: f"{self._target.name}: {remote_id} did not take {name}. {_RIGHTS}" for name in kept}
        there = {name: seen.fields[name] for name in fields if name in seen.fields and name not in lacking}
        forms = {name: (fields[name], value) for name, value in there.items() if value != fields[name]}
        rest = {name: value for name, value in (written | there).items() if name not in lacking}
        return {"written": rest, "forms": self.memory.forms | forms, "lacking": self.memory.lacking | lacking}

    def _in_their_form(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """So that a value which the other side keeps in another form counts as what is there, as long as it is the same."""
        forms = self.memory.forms
        return {name: forms[name][1] if name in forms and forms[name][0] == value else value for name, value in wanted.items()}

    def _turn(self, seen: Seen) -> Literal["open", "closed"] | None:
        over, closed_at = self._statement.resolved, self.memory.closed_at
        if not over and not seen.is_open and closed_at and not self.memory.reopened:
            return "open"
        # one that we closed before and that is open was opened by a person: it is theirs
        if over and seen.is_open and self._policy.close_when_over and not closed_at and not seen.is_taken:
            return "closed"
        return None

    def _tell(self, remote_id: str) -> None:
        """Comment what changed, and on doubles and predecessors, each once."""
        if not self._target.comments:
            for double in self.memory.doubles:
                if isinstance(self._target, Removes):
                    self._target.remove(double)
            if self.memory.doubles:
                self._remember(doubles=())
            return
        if telling := self.memory.telling:
            on, mark, milestone = telling
            if self._has_comment(on, mark):
                self._told(mark, milestone)
            else:
                self._remember(telling=())
        key, memory = self.draft.key, self.memory
        if memory.milestone != self._statement.milestone:
            self._comment(remote_id, f"{key}#{memory.comments + 1}", self.draft.note, self._statement.milestone)
        if former := memory.continues:
            self._comment(former, f"{key}#continued", CONTINUED.format(remote_id))
        for double in memory.doubles:
            self._comment(double, f"{key}#double-{double}", DOUBLE.format(remote_id))
            self._comment(remote_id, f"{key}#doubled-{double}", DOUBLED.format(double))

    def _comment(self, on: str, mark: str, text: str, milestone: str = "") -> None:
        if mark in self.memory.told:
            return
        if milestone or not self._has_comment(on, mark):  # else it was told before the store was lost
            self._intend(telling=(on, mark, milestone))
            # of others nobody may be left there to be told, or they may be locked
            with suppress(Missing if on == self.remote_id else Refused):
                self._target.comment(on, text, mark)
        self._told(mark, milestone)

    def _told(self, mark: str, milestone: str) -> None:
        if milestone:
            self._remember(telling=(), milestone=milestone, comments=self.memory.comments + 1)
        else:
            self._remember(telling=(), told=(*self.memory.told, mark))

    def _intend(self, **changes: Any) -> None:
        """Remember what the next call is to change."""
        self._go_on()
        self._remember(**changes)

    def _go_on(self) -> None:
        if self._is_stopped():
            raise Stopped

    def _remember(self, remote_id: str | None = None, **changes: Any) -> None:
        self.remote_id = remote_id or self.remote_id
        self.memory = msgspec.structs.replace(self.memory, **changes)
        self._keep(self.remote_id, self.memory)


def without(draft: Draft, lacking: Mapping[str, str]) -> Draft:
    """The draft without the mapped fields that the other side does not take."""
    return msgspec.structs.replace(draft, fields={name: value for name, value in draft.fields.items() if name not in lacking})


def _begun(memory: Remembered, fields: Mapping[str, Any]) -> dict[str, list[Any]]:
    """With what is about to be written, after what was begun before: that may arrive late."""
    return memory.begun | {
        name: [*(one for one in memory.begun.get(name, []) if one != value), value] for name, value in fields.items()
    }
