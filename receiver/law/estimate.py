"""An estimate of affected users: exact figures in, the integer that is judged out, with its arithmetic, source and other readings.

Nothing is calculated in binary floating point: a float stands for the decimal number that it prints as (0.6 is six tenths),
so 50,000 users x 0.6 are 30,000 and not 29,999.99….
"""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from receiver.law.provisions import Provision, Text

Number = int | float | Decimal | Fraction
"""A figure that was measured or configured. Must be finite and not below zero wherever this module is asked."""

Method = Literal[
    "direct",
    "traffic_difference",
    "conference_probability",
    "call_shortfall",
    "missing_registrations",
    "emergency_call_loss",
    "host_entitled_accounts",
    "all_under_equipment",
    "emergency_all_under_equipment",
]
"""In the order in which one is preferred, for each kind of service."""


class WrongFigure(ValueError):
    """A figure that cannot be: negative, not a number, not whole where people are counted, or lists that do not fit together."""


class NotComputable(ValueError):
    """The figures are sound, but the method has no answer for them. `why` says it in both languages."""

    def __init__(self, why: Text) -> None:
        super().__init__(why.en)
        self.why = why


class Quantity(msgspec.Struct, frozen=True):
    """An input of a formula: an int when it is whole, else text in the form of `Estimate.raw`; a tuple for one value per hour."""

    value: int | str | tuple[int | str, ...]
    unit: str


class Reading(msgspec.Struct, frozen=True):
    """What another admissible reading of the rule gives. Judge it, too: where the verdict differs, a person decides."""

    users: int
    raw: str
    reading: Text


class Estimate(msgspec.Struct, frozen=True):
    """How many users one impact hit, by one method.

    `users` is the integer to be judged: the whole users in `raw`, what is left over cut off. As thresholds are integers, `users`
    reaches one exactly when `raw` does: 29,999.9 never becomes 30,000.
    `raw` is the exact result as text that `fractions.Fraction` reads: "63500", "178710.9375" or, where the decimals never end,
    "63500/3". Only `conference_probability`, a power with a fractional exponent, is cut after 12 decimals.
    `capped` is `users`, but no more than all users under the equipment; None where the method knows no such number.
    `formula` is the arithmetic step by step, with the numbers in it.
    """

    users: int
    raw: str
    capped: int | None
    method: Method
    inputs: dict[str, Quantity]
    formula: Text
    citation: Provision
    other_readings: tuple[Reading, ...] = ()

    @property
    def exact(self) -> Fraction:
        return Fraction(self.raw)

    @property
    def nearest(self) -> int:
        """`raw` rounded half up: for a text to the public ("about 178,711"), never for a comparison with a threshold."""
        return math.floor(self.exact + Fraction(1, 2))

    @property
    def least(self) -> int:
        """The smallest number of users of any reading."""
        return min([self.users, *(other.users for other in self.other_readings)])

    @property
    def most(self) -> int:
        """The largest number of users of any reading."""
        return max([self.users, *(other.users for other in self.other_readings)])


def exact(name: str, value: Number) -> Fraction:
    """The figure as a fraction, a float as the decimal that it prints as.

    Raises WrongFigure when it is negative, infinite or not a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Fraction):
        raise WrongFigure(f"{name}: {value!r} is not a number")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise WrongFigure(f"{name}: {value!r} is not a finite number")
    if value < 0:
        raise WrongFigure(f"{name}: {value!r} is negative")
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


def positive(name: str, value: Number) -> Fraction:
    """As `exact`, and above zero: something is divided by it."""
    figure = exact(name, value)
    if not figure:
        raise WrongFigure(f"{name}: must be above zero")
    return figure


def share(name: str, value: Number) -> Fraction:
    """As `exact`, and no more than one: 0.7 is 70 %. Raises WrongFigure for 70, which would be a percentage."""
    figure = exact(name, value)
    if figure > 1:
        raise WrongFigure(f"{name}: {value!r} is more than 1; give a share (0.7), not a percentage (70)")
    return figure


def people(name: str, value: int) -> int:
    """A count of users. Raises WrongFigure when it is negative or not an integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongFigure(f"{name}: {value!r} is not a whole number of users")
    if value < 0:
        raise WrongFigure(f"{name}: {value!r} is negative")
    return value


def exact_text(figure: Fraction) -> str:
    """A figure as `Estimate.raw` has it: 63500, 178710.9375, or 63500/3 when the decimals never end; `Fraction` reads it back."""
    twos = fives = 0
    rest = figure.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return str(figure)
    places = max(twos, fives)
    digits = str(abs(figure.numerator) * 10**places // figure.denominator).rjust(places + 1, "0")
    sign = "-" if figure < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def shown(figure: Fraction) -> str:
    """The figure for people: "63,500", "0.0025", and "21,166.666666…" with decimals cut, never rounded, where there are more."""
    if figure.denominator == 1:
        return f"{figure.numerator:,}"
    places = 6
    size = abs(figure)
    while 0 < size * 10**places < 1000 and places < 30:
        places += 3
    scaled = size * 10**places
    whole, decimals = divmod(scaled.numerator // scaled.denominator, 10**places)
    sign = "-" if figure < 0 else ""
    tail = str(decimals).rjust(places, "0")
    if scaled.denominator != 1:
        return f"{sign}{whole:,}.{tail}…"
    tail = tail.rstrip("0")
    return f"{sign}{whole:,}.{tail}" if tail else f"{sign}{whole:,}"


def quantity(figure: Fraction | Iterable[Fraction], unit: str) -> Quantity:
    if isinstance(figure, Fraction):
        return Quantity(_plain(figure), unit)
    return Quantity(tuple(_plain(each) for each in figure), unit)


def _plain(figure: Fraction) -> int | str:
    return figure.numerator if figure.denominator == 1 else exact_text(figure)


def steps(*parts: Text) -> Text:
    """Several steps of an arithmetic as one statement."""
    return Text("。".join(part.ja for part in parts) + "。", "; ".join(part.en for part in parts) + ".")


def judged(raw: Fraction) -> Text:
    """The last step of every formula: which integer is judged, and what was done with the rest."""
    users = math.floor(raw)
    if raw == users:
        return Text(f"影響利用者数 {users:,}人", f"{users:,} affected users")
    return Text(
        f"影響利用者数 {users:,}人（{shown(raw)}の端数を切り捨て）",
        f"{users:,} affected users ({shown(raw)}, whole users, the rest cut off)",
    )


def estimate(
    method: Method,
    raw: Fraction,
    inputs: Mapping[str, Quantity],
    arithmetic: Text | tuple[Text, ...],
    citation: Provision,
    *,
    cap: int | None = None,
    other_readings: Iterable[tuple[Fraction, Text]] = (),
) -> Estimate:
    """An estimate from its exact result. Of readings that give the same number of users the first stays."""
    users = math.floor(raw)
    others: dict[int, Reading] = {}
    for figure, reading in other_readings:
        number = math.floor(figure)
        if number != users:
            others.setdefault(number, Reading(number, exact_text(figure), reading))
    parts = (arithmetic,) if isinstance(arithmetic, Text) else arithmetic
    return Estimate(
        users=users,
        raw=exact_text(raw),
        capped=None if cap is None else min(users, cap),
        method=method,
        inputs=dict(inputs),
        formula=steps(*parts, judged(raw)),
        citation=citation,
        other_readings=tuple(others.values()),
    )
