"""Where tickets are made, for the contract tests: each module here opens one target with a look behind it, and persons at work.

A module has `opened(stack, timeout_seconds) -> Desk`; a new one is found by its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from receiver.delivery.targets import Target


@dataclass
class Shown:
    """A ticket as a person sees it there. `description` and `comments` are text as shown, without our escapes."""

    title: str
    description: str
    is_open: bool
    comments: list[str]


@dataclass
class Desk:
    """A target and what lies behind it. The callables take the other side's id of a ticket.

    `made` is how many there are. A person `writes_around` our part (above, below), `takes_marks_away`, `renames`, `takes_on`
    (assigns it to somebody), `closes` or `deletes` it. `lose_next_answer` has the next call that changes something do its work
    without saying so; `mapped` are fields by mapping that this system has, `secret` is told to nobody.
    """

    target: Target
    made: Callable[[], int]
    shown: Callable[[str], Shown]
    writes_around: Callable[[str, str, str], None]
    takes_marks_away: Callable[[str], None]
    renames: Callable[[str, str], None]
    takes_on: Callable[[str], None]
    closes: Callable[[str], None]
    deletes: Callable[[str], None]
    lose_next_answer: Callable[[], None]
    secret: str = ""
    mapped: Mapping[str, Any] = field(default_factory=dict)
