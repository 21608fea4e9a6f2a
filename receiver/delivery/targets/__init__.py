"""The places we write to, each behind the same small face. What is to be done there is decided in `delivery/follow.py`; a target
only speaks its system's language and returns what the other side said."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from receiver.law.provisions import Text
from receiver.model import Statement


class Draft(msgspec.Struct, frozen=True):
    """What a thing on the other side is to be. `title` is one line, `text` plain lines for our part of the description.

    `key` is the incident's id (and which one of its tickets), by which the thing is found again. `fields` are the operator's
    mapped fields by the target's own names, JSON values. `note` is what a comment says. `continues` is the other side's id of
    the closed one that it goes on from.
    """

    key: str
    title: str
    text: str
    fields: Mapping[str, Any]
    note: str
    statement: Statement
    continues: str = ""


class Seen(msgspec.Struct, frozen=True):
    """What stands on the other side. `fields` has the same names and forms as `Target.fields` gives.

    `has_block`: the marks around our part of the description are still there. `is_taken`: a person works on it (assigned, or the
    status moved on). `is_untouched`: it can be seen, without knowing what was written, that no person changed the fields.
    `native` is what the target itself needs again to write.
    """

    fields: Mapping[str, Any]
    is_open: bool = True
    has_block: bool = True
    is_taken: bool = False
    is_untouched: bool = False
    native: Any = None


class Change(msgspec.Struct, frozen=True):
    """What to write: these fields, our part of the description if `block`, and whether to close it or open it again."""

    fields: Mapping[str, Any]
    block: bool = True
    state: Literal["open", "closed"] | None = None


class Check(msgspec.Struct, frozen=True):
    """One thing that deliveries need: `fault` is what is wrong with it (None: nothing), `cure` what to do about it.

    `is_warning`: deliveries go on without it.
    """

    what: Text
    fault: Text | None = None
    cure: Text | None = None
    is_warning: bool = False


class Target(Protocol):
    """What we need of the other side. Every call may raise Unreachable or Refused, and nothing else.

    `name` is the target's name in the configuration. `reads`: what stands there can be read back (else `read` is not called, and
    what we wrote is taken to stand there). `comments`: it takes comments. `settles` is how long the other side may need until what
    was made there is found.
    """

    name: str
    reads: bool
    comments: bool
    settles: timedelta

    def fields(self, draft: Draft) -> Mapping[str, Any]:
        """Every field that we want to have this value, JSON; of a list each member by itself. Our block is none of them."""

    def find(self, key: str) -> list[str]:
        """The other side's own ids of all that was made under this key, the oldest first."""

    def create(self, draft: Draft) -> str:
        """Make it; its id on the other side."""

    def read(self, remote_id: str) -> Seen | None:
        """What stands there now; None if it is there no more."""

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        """Make the change; the id it has from now on. Made twice, it comes to the same."""

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        """Add a comment that carries this mark."""

    def has_comment(self, remote_id: str, mark: str) -> bool:
        """Whether a comment with this mark is there."""

    def checks(self, today: date) -> Iterable[Check]:
        """Whether it has what it needs, as far as that can be asked without writing anything. Never raises: a failure is an
        answer."""


@runtime_checkable
class Removes(Protocol):
    """A target whose doubles are taken away, as nobody can be told of them there."""

    def remove(self, remote_id: str) -> None:
        """Take it away, unless a person changed it. It may be away already."""


class Unreachable(Exception):
    """No answer, or one that says to come again: the call may or may not have done its work. Try again."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Refused(Exception):
    """The other side says that this request can never be right: a person must look."""


class Missing(Refused):
    """It is not there (404, 410)."""


class Forbidden(Refused):
    """The other side does not let us (401, 403): wrong, or a secret that is being changed just now."""


class Unfindable(Refused):
    """It was made, but so that it will not be found again: as `remote_id`."""

    def __init__(self, message: str, remote_id: str) -> None:
        self.remote_id = remote_id
        super().__init__(message)
