"""A target in memory: the twin of the real ones, which passes the same contract tests. Persons work on its tickets, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from receiver.delivery.targets import Change, Draft, Missing, Seen
from receiver.model import Statement

Action = Literal["find", "create", "read", "write", "comment", "has_comment"]


@dataclass
class Ticket:
    """`block` is the number of the statement in our part, None where a person took the marks away; `comments` are (mark, text)."""

    key: str
    fields: dict[str, Any]
    block: int | None
    draft: Draft = field(repr=False)
    is_open: bool = True
    is_taken: bool = False
    comments: list[tuple[str, str]] = field(default_factory=list)


class MemoryTarget:
    """`tickets` is what stands there by remote id, `calls` every call made: what, and on which key or id.

    `fail(error)` makes the next calls raise: before the work (nothing happened), or after it (it was done, but nobody knows);
    `fail_later` lets `skip` calls through first. What is made while it `hides` is not found until it is healed, as in an index that
    lags behind; `lagged` if that happened.
    """

    reads, comments = True, True

    def __init__(self, name: str = "memory", settles: timedelta = timedelta()) -> None:
        self.name = name
        self.settles = settles
        self.tickets: dict[str, Ticket] = {}
        self.calls: list[tuple[Action, str]] = []
        self.hides = self.lagged = False
        self._hidden: set[str] = set()
        self._made = 0
        self._failures: list[tuple[BaseException, bool] | None] = []

    def fail(self, error: BaseException, *, after_work: bool = False, times: int = 1) -> None:
        self._failures += [(error, after_work)] * times

    def fail_later(self, error: BaseException, skip: int, *, after_work: bool) -> None:
        self._failures += [*[None] * skip, (error, after_work)]

    @property
    def said(self) -> dict[str, Statement]:
        """What each ticket says."""
        return {id_: ticket.draft.statement for id_, ticket in self.tickets.items()}

    @property
    def resolved(self) -> set[str]:
        """The tickets that say that their incident is over."""
        return {id_ for id_, statement in self.said.items() if statement.resolved}

    def heal(self) -> None:
        self._failures.clear()
        self._hidden.clear()
        self.hides = False

    def fields(self, draft: Draft) -> Mapping[str, Any]:
        return {"title": draft.title, "labels": list(draft.statement.tags), **draft.fields}

    def find(self, key: str) -> list[str]:
        after = self._called("find", key)
        found = [id_ for id_, ticket in self.tickets.items() if ticket.key == key and id_ not in self._hidden]
        return self._answered(found, after)

    def create(self, draft: Draft) -> str:
        after = self._called("create", draft.key)
        self._made += 1
        self.tickets[str(self._made)] = Ticket(draft.key, dict(self.fields(draft)), draft.statement.number, draft)
        if self.hides:
            self._hidden.add(str(self._made))
            self.lagged = True
        return self._answered(str(self._made), after)

    def read(self, remote_id: str) -> Seen | None:
        after = self._called("read", remote_id)
        ticket = self.tickets.get(remote_id)
        if ticket is None:
            return self._answered(None, after)
        return self._answered(Seen(dict(ticket.fields), ticket.is_open, ticket.block is not None, ticket.is_taken), after)

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        after = self._called("write", remote_id)
        ticket = self._ticket(remote_id)
        ticket.fields |= change.fields
        if change.block:
            ticket.block, ticket.draft = draft.statement.number, draft
        if change.state:
            ticket.is_open = change.state == "open"
        return self._answered(remote_id, after)

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        after = self._called("comment", remote_id)
        self._ticket(remote_id).comments.append((mark, text))
        self._answered(None, after)

    def has_comment(self, remote_id: str, mark: str) -> bool:
        after = self._called("has_comment", remote_id)
        return self._answered(any(mark == one for one, _ in self._ticket(remote_id).comments), after)

    def _ticket(self, remote_id: str) -> Ticket:
        if remote_id not in self.tickets:
            raise Missing(f"{self.name}: there is no {remote_id}")
        return self.tickets[remote_id]

    def _called(self, action: Action, on: str) -> BaseException | None:
        """What to raise after the work; before it, it is raised here."""
        self.calls.append((action, on))
        error, after_work = (self._failures.pop(0) if self._failures else None) or (None, False)
        if error and not after_work:
            raise error
        return error

    @staticmethod
    def _answered(answer: Any, after: BaseException | None) -> Any:
        if after:
            raise after
        return answer
