"""How well the trend foretells when a spreading outage becomes major, and how often it cries wolf.

Made-up outages, each of its own random figures and measured each minute with noise, foretold as the receiver does it: from half an
hour up to the last whole five minutes. Against two ways that anybody has: users stay as they are, and the straight line through the
same samples (least squares).
"""

import json
import math
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

import click

from benchmarks.frame import machine, scratch, table
from receiver.incidents.outlook import FARTHEST
from receiver.law.forecast import Trend, forecast, growth
from receiver.law.rulebook import ServiceFacts, shipped
from receiver.observation.slots import SLOT
from receiver.observation.trend import STEP, WINDOW

VOICE = ServiceFacts("voice", emergency_calls=True)
"""Row 1 of the table of 2026: 1 h x 30,000 users."""
BOOK = next(book for book in shipped() if book.id == "JP-TBA58-2026")
(_CONDITION,) = BOOK.row_of(VOICE).conditions
USERS, DURATION = _CONDITION.users, _CONDITION.duration
BEGAN = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
MINUTES = 240
LEADS = (5, 10, 20, 30, 60)
"""Minutes before the outage becomes major."""
ALARM = timedelta(minutes=30)
"""`candidate_lead_seconds` as it is set if nobody sets it: a ticket is made."""

Course = Callable[[float], float]
"""Users by minutes since the failure."""


class Shape(NamedTuple):
    """`reaches`: whether it ever has so many users that it becomes major."""

    name: str
    course: Course
    reaches: bool


class Foretold(NamedTuple):
    at: datetime | None
    earliest: datetime | None
    latest: datetime | None


Method = Callable[[Sequence[tuple[datetime, int]]], Trend | None]


def shapes(chance: random.Random) -> Iterator[Shape]:
    """One outage of each shape. Those that become major do so by their users: the hour is over before there are so many."""
    after = chance.uniform(65, 180)
    first = chance.uniform(0, 0.6) * USERS
    yield Shape("ramp", lambda at: first + (USERS - first) * at / after, True)
    # sites that fail one after the other
    each = chance.uniform(2, 12)
    number = math.floor(after / each)
    begin = after - number * each
    yield Shape("steps", lambda at: USERS * max(0, math.floor((at - begin) / each + 1e-9) + 1) / (number + 1), True)
    # it slows down
    tau = chance.uniform(30, 120)
    at_last = USERS / (1 - math.exp(-after / tau))
    yield Shape("saturating", lambda at: at_last * (1 - math.exp(-at / tau)), True)
    # it feeds on itself
    speed = chance.uniform(30, 90)
    yield Shape("accelerating", lambda at: USERS * math.exp((at - after) / speed), True)
    middle, width = after - chance.uniform(-20, 30), chance.uniform(10, 30)
    all_ = USERS * (1 + math.exp(-(after - middle) / width))
    yield Shape("s-curve", lambda at: all_ / (1 + math.exp(-(at - middle) / width)), True)
    level = chance.uniform(0.3, 0.95) * USERS
    yield Shape("plateau", lambda _: level, False)
    jump = chance.uniform(30, 120)
    yield Shape("one jump", lambda at: level if at > jump else level / 2, False)
    rises = chance.uniform(10, 40)
    yield Shape("ramp, then plateau", lambda at: level * min(1, at / rises), False)
    slows = chance.uniform(5, 40)
    yield Shape("levels off below", lambda at: level * (1 - math.exp(-at / slows)), False)
    yield Shape("falling", lambda at: level * max(0, 1 - at / 200), False)
    phase, period = chance.uniform(0, 6), chance.uniform(15, 60)
    yield Shape("waves", lambda at: level * (0.9 + 0.1 * math.sin(phase + 2 * math.pi * at / period)), False)


def measured(course: Course, noise: float, chance: random.Random) -> list[tuple[datetime, int]]:
    """A sample a minute. The noise is a share of the users, and of 2,000 more: also few users wobble."""
    return [
        (BEGAN + n * STEP, max(0, round(course(n) * chance.gauss(1, noise) + chance.gauss(0, 2_000 * noise))))
        for n in range(MINUTES + 1)
    ]


def major_at(samples: Sequence[tuple[datetime, int]]) -> datetime | None:
    """When it became major by what was measured: the largest number so far counts, so noise brings that forward."""
    many = next((at for at, users in samples if users >= USERS), None)
    return None if many is None else max(many, BEGAN + DURATION)


def users_stay(_: Sequence[tuple[datetime, int]]) -> None:
    return None


def least_squares(samples: Sequence[tuple[datetime, int]]) -> Trend | None:
    if len(samples) < 2:
        return None
    hours = [(at - BEGAN) / timedelta(hours=1) for at, _ in samples]
    line = statistics.linear_regression(hours, [users for _, users in samples])
    slope = Fraction(line.slope)
    return Trend(slope, slope, slope)


METHODS: dict[str, Method] = {"trend": growth, "users stay": users_stay, "least squares": least_squares}


def foretold(method: Method, samples: Sequence[tuple[datetime, int]], now: datetime) -> Foretold:
    """What is said at `now`: the users are the largest number so far, the growth that of the last whole five minutes and before."""
    seen = [(at, users) for at, users in samples if at <= now]
    until = BEGAN + (now - BEGAN) // SLOT * SLOT
    trend = method([(at, users) for at, users in seen if until - WINDOW <= at <= until])
    users = max(number for _, number in seen)
    reached = forecast(VOICE, BOOK, BEGAN, now, users, users, trend=trend).major
    if reached is None or reached.on_trend is None or reached.on_trend - now > FARTHEST:
        return Foretold(None, None, None)
    return Foretold(reached.on_trend, reached.earliest, reached.latest)


class Score:
    """`errors`: minutes between what was foretold and what came, by shape and lead (infinite: never). `held`: whether the band held
    it. `alarms`: whether what never became major was foretold within half an hour, `spoken` whether at all.
    """

    def __init__(self) -> None:
        self.errors: dict[tuple[str, int], list[float]] = defaultdict(list)
        self.held: dict[str, list[bool]] = defaultdict(list)
        self.alarms: dict[str, list[bool]] = defaultdict(list)
        self.spoken: dict[str, list[bool]] = defaultdict(list)

    def add(self, shape: Shape, samples: Sequence[tuple[datetime, int]], method: Method) -> None:
        came = major_at(samples)
        if shape.reaches:
            if came and came > BEGAN + DURATION:
                self._add_major(shape.name, samples, method, came)
            return
        # unless noise alone brought so many at once
        for minutes in range(5, MINUTES, 5) if came is None else ():
            now = BEGAN + timedelta(minutes=minutes)
            at = foretold(method, samples, now).at
            self.alarms[shape.name].append(at is not None and at - now <= ALARM)
            self.spoken[shape.name].append(at is not None)

    def _add_major(self, shape: str, samples: Sequence[tuple[datetime, int]], method: Method, came: datetime) -> None:
        for lead in LEADS:
            if (now := came - timedelta(minutes=lead)) >= BEGAN + timedelta(minutes=10):
                at, earliest, latest = foretold(method, samples, now)
                self.errors[shape, lead].append(abs(at - came) / timedelta(minutes=1) if at else math.inf)
                # a minute is the time between two samples
                early = earliest is not None and earliest <= came + STEP
                self.held[shape].append(early and (latest is None or latest >= came - STEP))


def score(method: Method, noise: float, outages: int, seed: int) -> Score:
    """The same outages for every method."""
    found = Score()
    for number in range(outages):
        chance = random.Random(f"{seed}-{number}")  # noqa: S311 - no secret hangs on it
        for shape in shapes(chance):
            found.add(shape, measured(shape.course, noise, chance), method)
    return found


def summary(found: dict[str, Score], noise: float) -> dict[str, float | None]:
    """Medians over all shapes and leads, shares, and how the trend compares with each of the others (None: it never foretold)."""
    figures: dict[str, float | None] = {}
    at = f"noise_{round(100 * noise)}"
    middle = {name: statistics.median(error for its in each.errors.values() for error in its) for name, each in found.items()}
    for name, each in found.items():
        key = f"{name.replace(' ', '_')}_{at}"
        missed = [math.isinf(error) for its in each.errors.values() for error in its]
        figures |= {
            f"error_minutes_{key}": _finite(middle[name]),
            f"never_{key}": round(statistics.mean(missed), 4),
            f"band_{key}": round(statistics.mean(held for its in each.held.values() for held in its), 4),
            f"false_alarms_{key}": round(statistics.mean(alarm for its in each.alarms.values() for alarm in its), 5),
        }
    alarms = {name: statistics.mean(alarm for its in each.alarms.values() for alarm in its) for name, each in found.items()}
    ratios = {
        "error": middle["trend"] / middle["least squares"] if middle["least squares"] else math.inf,
        "false_alarms": alarms["trend"] / alarms["least squares"] if alarms["least squares"] else math.inf,
    }
    return figures | {f"{what}_ratio_least_squares_{at}": _finite(ratio) for what, ratio in ratios.items()}


def _finite(number: float) -> float | None:
    return round(number, 3) if math.isfinite(number) else None


def report(found: dict[str, Score]) -> str:
    return "\n\n".join([_errors(found), _alarms(found)])


def _errors(found: dict[str, Score]) -> str:
    rows = []
    for shape in dict.fromkeys(shape for shape, _ in found["trend"].errors):
        for name, its in found.items():
            errors = [statistics.median(its.errors[shape, lead]) for lead in LEADS]
            cells = ["never" if math.isinf(error) else f"{error:,.1f}" for error in errors]
            never = statistics.mean(math.isinf(error) for lead in LEADS for error in its.errors[shape, lead])
            rows.append([f"{shape}: {name}", *cells, f"{never:.0%}", f"{statistics.mean(its.held[shape]):.0%}"])
    return table(["median error in minutes, by minutes ahead", *map(str, LEADS), "never", "in the band"], rows)


def _alarms(found: dict[str, Score]) -> str:
    rows = [
        [shape, *(f"{statistics.mean(its.alarms[shape]):.1%} ({statistics.mean(its.spoken[shape]):.1%})" for its in found.values())]
        for shape in found["trend"].alarms
    ]
    return table(["never major: foretold within 30 min (at all)", *found], rows)


@click.command(help=__doc__)
@click.option("--outages", type=click.IntRange(2, 10_000), default=100, show_default=True, help="Of each shape.")
@click.option(
    "--noise", "noises", type=click.FloatRange(0, 0.5), multiple=True, default=(0.0, 0.02, 0.05), help="Share of the users."
)
@click.option("--seed", type=int, default=58, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def main(outages: int, noises: tuple[float, ...], seed: int, as_json: bool) -> None:
    with scratch() as folder:
        ran_on = machine(folder)
    begin = time.perf_counter()
    figures: dict[str, float | None] = {}
    for noise in noises:
        found = {name: score(method, noise, outages, seed) for name, method in METHODS.items()}
        figures |= summary(found, noise)
        click.echo(f"{outages} outages of each shape, noise {noise:.0%}, seed {seed}\n{report(found)}\n")
    click.echo(
        f"{time.perf_counter() - begin:.0f} s; "
        + ", ".join(f"{name}: {figure}" for name, figure in figures.items() if "ratio" in name)
    )
    if as_json:
        click.echo(json.dumps(figures | {"outages": outages, "seed": seed} | ran_on))


if __name__ == "__main__":
    main()
