"""A target in memory: the twin of the real ones, which passes the same contract tests."""

from typing import Literal

from receiver.delivery.targets import Refused, Unreachable
from receiver.model import Statement

Action = Literal["find", "create", "update", "resolve"]


class MemoryTarget:
    """`tickets` is what stands there by remote id, `resolved` which of them are over, `calls` every call made with key and number.

    `fail(error)` makes the next calls raise: before the work (nothing happened), or after it (it was done, but nobody knows).
    """

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.tickets: dict[str, Statement] = {}
        self.resolved: set[str] = set()
        self.calls: list[tuple[Action, str, int | None]] = []
        self._failures: list[tuple[Exception, bool]] = []

    def fail(self, error: Unreachable | Refused, *, after_work: bool = False, times: int = 1) -> None:
        self._failures += [(error, after_work)] * times

    def find(self, key: str) -> str | None:
        self.calls.append(("find", key, None))
        self._fail_unless_done(self._failure())
        return next((remote_id for remote_id, one in self.tickets.items() if one.key == key), None)

    def create(self, statement: Statement) -> str:
        remote_id = str(len(self.tickets) + 1)
        self._write("create", remote_id, statement)
        return remote_id

    def update(self, remote_id: str, statement: Statement) -> None:
        self._write("update", remote_id, statement)

    def resolve(self, remote_id: str, statement: Statement) -> None:
        self._write("resolve", remote_id, statement)

    def _write(self, action: Action, remote_id: str, statement: Statement) -> None:
        self.calls.append((action, statement.key, statement.number))
        failure = self._failure()
        self._fail_unless_done(failure)
        if action != "create" and remote_id not in self.tickets:
            raise Refused(f"{self.name}: there is no {remote_id}")
        self.tickets[remote_id] = statement
        (self.resolved.add if action == "resolve" else self.resolved.discard)(remote_id)
        if failure:
            raise failure[0]

    def _failure(self) -> tuple[Exception, bool] | None:
        return self._failures.pop(0) if self._failures else None

    @staticmethod
    def _fail_unless_done(failure: tuple[Exception, bool] | None) -> None:
        if failure and not failure[1]:
            raise failure[0]
