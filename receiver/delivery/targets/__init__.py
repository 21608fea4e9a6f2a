"""The places we write to, each behind the same small face: given a finished statement, they return what the other side said."""

from datetime import timedelta
from typing import Protocol

from receiver.model import Statement


class Target(Protocol):
    """What we need of the other side. Every call may raise Unreachable or Refused, and nothing else.

    `name` is the target's name in the configuration.
    """

    name: str

    def find(self, key: str) -> str | None:
        """The other side's own id of what was made for this incident, if it can be looked up there."""

    def create(self, statement: Statement) -> str:
        """Make the ticket or annotation; its id on the other side."""

    def update(self, remote_id: str, statement: Statement) -> None:
        """Say the newer statement in its place."""

    def resolve(self, remote_id: str, statement: Statement) -> None:
        """Say the last statement and mark it as over."""


class Unreachable(Exception):
    """No answer, or one that says to come again: the call may or may not have done its work. Try again."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Refused(Exception):
    """The other side says that this request can never be right: a person must look."""
