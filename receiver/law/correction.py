"""A person's correction of a measured number of users, downwards and with a reason; the measured number stays visible."""

import msgspec

from receiver.law.estimate import WrongFigure, people


class Correction(msgspec.Struct, frozen=True):
    """`by` says that of the `measured` users only `users` were hit, and why. Raises WrongFigure, also for a raise."""

    measured: int
    users: int
    by: str
    reason: str

    def __post_init__(self) -> None:
        if people("users", self.users) > people("measured", self.measured):
            raise WrongFigure(f"users: {self.users} is more than the measured {self.measured}; a correction only lowers")
        if not self.by.strip() or not self.reason.strip():
            raise WrongFigure("by, reason: a correction needs a person and a reason")


def standing(measured: int, correction: Correction | None) -> int:
    """The users to be judged. A correction speaks of the number it was made for: a larger one measured later stands as measured."""
    if correction is None or measured > correction.measured:
        return measured
    return min(measured, correction.users)
