"""When the verdict will rise to major if nothing changes: a clock time, because an outage becomes major by lasting."""

from datetime import datetime

from receiver.law.rulebook import Row


def major_at(row: Row, started_at: datetime, users: int | None) -> datetime | None:
    """The first instant at which an outage with this many users has lasted long enough, or None when it never will.

    `users` None stands for any number, however large.
    """
    durations = [c.duration for c in row.conditions if users is None or users >= c.users]
    return started_at + min(durations) if durations else None
