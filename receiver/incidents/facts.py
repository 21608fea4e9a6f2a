"""Whether what a person states can be so: of the text itself, of times, and of facts beside what is known of the incident. Pure."""

import unicodedata
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import get_args

from receiver.catalogue import Catalogue
from receiver.law import near_miss
from receiver.law.causes import Kind
from receiver.law.provisions import JST, NoProvision, in_japan
from receiver.law.wording import clock_time
from receiver.model import Caused, Counted, Deed, EmergencyCalls, Incident, NearMissAnswered, Planned, Timed

SKEW = timedelta(minutes=1)
"""By so much the clock of whoever states a time may be ahead of ours."""
_FIRST_DAY = datetime(1985, 4, 1, tzinfo=JST)
"""The Telecommunications Business Act came into force: nothing before it can be judged by it."""
_FURTHEST_PLAN = timedelta(days=366)
_MOST_USERS = 10**10
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of what is not seen itself but changes how the rest is read: controls, writing direction, line ends."""


class Refused(ValueError):
    """An act that cannot be kept, with what is wrong and what to do. Nothing of it was."""


def check_line(name: str, text: str, most: int) -> None:
    if not text.strip():
        raise Refused(f"{name} is empty. Say it in a few words")
    if len(text) > most:
        raise Refused(f"{name} has {len(text):,} characters. Say it in {most:,}")
    if unseen := next((character for character in text if unicodedata.category(character) in _UNSEEN), None):
        raise Refused(f"{name} has a character that is not seen (U+{ord(unseen):04X}). Write one plain line")


def any_of(names: Iterable[str]) -> str:
    return ", ".join(names)


def check_moment(name: str, moment: datetime, now: datetime, ahead: timedelta = SKEW) -> None:
    if moment.utcoffset() is None:
        raise Refused(f"{name} ({moment.isoformat()}) has no time zone. Give one, as in 2026-11-22T03:10:00+09:00")
    if moment < _FIRST_DAY:
        raise Refused(f"{name} ({moment.isoformat()}) is before the Act itself (1985-04-01). Correct the year")
    if moment > now + ahead:
        raise Refused(f"{name} ({moment.isoformat()}) lies ahead: it is {clock_time(now)}. Correct day, time or zone")


def check_fact(deed: Deed, incident: Incident, hit: Collection[str], catalogue: Catalogue, now: datetime) -> None:
    """Raises Refused. `hit`: the services of the incident."""
    match deed:
        case Caused(kind):
            if kind not in get_args(Kind):
                raise Refused(f"{kind!r} is no kind of cause. Name {any_of(get_args(Kind))}")
        case Timed():
            _check_times(incident, deed, now)
        case Counted():
            _check_impact(incident, deed.service, hit, catalogue)
            _check_count(deed, catalogue)
        case Planned(since, until):
            check_moment("the begin of the plan", since, now, _FURTHEST_PLAN)
            check_moment("the end of the plan", until, now, _FURTHEST_PLAN)
            if since >= until:
                raise Refused(f"the plan ends ({clock_time(until)}) before it begins ({clock_time(since)}). Correct one of the two")
        case EmergencyCalls(service):
            _check_impact(incident, service, hit, catalogue)
            if catalogue.by_name[service].emergency_calls is not True:
                raise Refused(f"by the catalogue {service} carries no emergency calls. Correct the catalogue, or name another")
        case NearMissAnswered(answers):
            _check_answers(incident, answers)


def _check_times(incident: Incident, deed: Timed, now: datetime) -> None:
    if deed.started_at is None and deed.restored_at is None:
        raise Refused("neither a start nor an end is given. Give one of them, or both")
    for name, moment in (("the start", deed.started_at), ("the end", deed.restored_at)):
        if moment is not None:
            check_moment(name, moment, now)
    started_at, restored_at = deed.started_at or incident.failure_started_at, deed.restored_at or incident.restored_at
    if restored_at is not None and restored_at < started_at:
        raise Refused(
            f"the end ({clock_time(restored_at)}) would be before the start ({clock_time(started_at)}). Correct one of the two"
        )


def _check_count(deed: Counted, catalogue: Catalogue) -> None:
    for number in (deed.users, deed.stopped, deed.degraded):
        if number is not None and not 0 <= number <= _MOST_USERS:
            raise Refused(f"{number:,} is no number of users" if abs(number) < 10**20 else "that is no number of users")
    most = catalogue.by_name[deed.service].users_total
    if most is not None and deed.users > most:
        raise Refused(
            f"{deed.users:,} are more than the {most:,} users {deed.service} has by the catalogue. Correct one of the two"
        )
    if (deed.stopped or 0) + (deed.degraded or 0) > deed.users:
        raise Refused(f"those of a stop and of a degradation are more than the {deed.users:,} in all. Correct one of them")


def _check_answers(incident: Incident, answers: near_miss.Answers) -> None:
    if answers == near_miss.Answers():
        raise Refused("no question is answered. Answer one with yes or no")
    try:
        near_miss.shipped().on(in_japan(incident.failure_started_at, "the start").date())
    except NoProvision as error:
        raise Refused(f"{error}, when this began. There is nothing to answer") from None


def _check_impact(incident: Incident, service: str, hit: Collection[str], catalogue: Catalogue) -> None:
    if service not in hit or service not in catalogue.by_name:
        there = any_of(name for name in catalogue.by_name if name in hit) or "none of the catalogue"
        raise Refused(f"{incident.id} does not hit {service!r}: its services are {there}. Name one of these")
