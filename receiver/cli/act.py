"""`art58 act`: what a person knows and no alert tells. It writes to the same store as the receiver, which goes on from there."""

import getpass
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from receiver.cli.options import ANSWERS, CONFIG
from receiver.law.causes import Kind
from receiver.law.near_miss import Fact
from receiver.law.provisions import JST
from receiver.model import (
    Caused,
    Closed,
    Counted,
    Deed,
    Dismissed,
    Drilled,
    EmergencyCalls,
    Opened,
    Planned,
    Reopened,
    Timed,
    Withdrawn,
)

if TYPE_CHECKING:
    from receiver.cli.acting import Told

_Command = TypeVar("_Command", bound=Callable[..., None])


def _in_time(_: click.Context, option: click.Parameter, value: str | None) -> datetime | None:
    """A time as people write it; without a zone it is Japan's."""
    if value is None:
        return None
    text = value.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None:
        raise click.BadParameter(f"{value!r} is no day with a time. Write it like '2026-11-22 03:10' (Asia/Tokyo)", param=option)
    if not re.search(r"[T ]\d", text):
        example = f"{moment:%Y-%m-%d} 03:10"
        raise click.BadParameter(f"{value!r} has no clock time. Write it like '{example}' (Asia/Tokyo)", param=option)
    return moment.replace(tzinfo=JST) if moment.tzinfo is None else moment


def _answered(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[Fact, bool | None]:
    """FACT=yes, FACT=no or FACT=unknown, by fact."""
    given: dict[Fact, bool | None] = {}
    for value in values:
        name, _equals, answer = value.partition("=")
        fact: Fact | None = next((each for each in get_args(Fact) if each == name), None)
        if fact is None:
            raise click.BadParameter(f"{name!r} is no question. Questions: {', '.join(get_args(Fact))}", param=option)
        if answer.strip().lower() not in ANSWERS:
            raise click.BadParameter(f"{value!r} has no answer. Write {fact}=yes, {fact}=no or {fact}=unknown", param=option)
        if fact in given:
            raise click.BadParameter(f"{fact} is answered twice. Answer it once", param=option)
        given[fact] = ANSWERS[answer.strip().lower()]
    return given


def _not_empty(_: click.Context, option: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("it is empty. Say it in a few words", param=option)
    return value


def _moment(name: str, what: str, *, required: bool = False) -> Callable[[_Command], _Command]:
    return click.option(name, metavar="TIME", callback=_in_time, required=required, help=what)


_SERVICE = click.option("--service", required=True, help="The service, as the catalogue names it.")
_ID = click.argument("id_", metavar="ID")
_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")


def at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _login_name() -> str:
    # behind sudo it is still this person who says so
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _by_a_person(command: _Command) -> _Command:
    """The options of every act."""
    who = click.option("--who", default=_login_name, show_default="your login name", callback=_not_empty, help="Who states it.")
    why = click.option("--why", required=True, callback=_not_empty, help="Why, or from whom it is known: one line, kept for ever.")
    return CONFIG(who(why(_JSON(command))))


@click.group(name="act")
def group() -> None:
    """State what you know of an incident and no alert tells: who, when and why are kept, nothing is erased.

    An ID may be cut short as long as it is clear. Times without a zone are Asia/Tokyo. It works while the receiver runs.
    """


@group.command("open")
@click.option("--service", "services", multiple=True, required=True, help="A service that is hit; may be given several times.")
@click.option("--equipment", help="What failed, as alerts would name it.")
@click.option(
    "--apart", is_flag=True, help="It is another failure than those known of the same services; its equipment is not known."
)
@_moment("--started", "When it began.", required=True)
@_by_a_person
def open_(services: tuple[str, ...], equipment: str | None, apart: bool, started: datetime, **person: Any) -> None:
    """An outage that no alert tells of: learnt from customers, say."""
    if apart and equipment is not None:
        raise click.UsageError("Give --equipment or --apart: with its equipment named it is told apart by that.")
    _state(None, Opened(services, equipment, started, apart), **person)


@group.command(help=f"What caused it. KIND is one of {', '.join(get_args(Kind))}.")
@_ID
@click.argument("kind", type=click.Choice(get_args(Kind)), metavar="KIND")
@_by_a_person
def cause(id_: str, kind: Kind, **person: Any) -> None:
    _state(id_, Caused(kind), **person)


@group.command()
@_ID
@_moment("--started", "When it began.")
@_moment("--restored", "When it was over.")
@_by_a_person
def times(id_: str, started: datetime | None, restored: datetime | None, **person: Any) -> None:
    """When it began, when it was over; what is not given stays."""
    if started is None and restored is None:
        raise click.UsageError("Give --started, --restored, or both.")
    _state(id_, Timed(started, restored), **person)


@group.command()
@_ID
@_SERVICE
@click.option("--users", type=int, required=True, help="So many users of it were hit.")
@click.option("--stopped", type=int, help="Those of them for whom it stopped.")
@click.option("--degraded", type=int, help="Those of them for whom it was degraded.")
@_by_a_person
def users(id_: str, service: str, users: int, stopped: int | None, degraded: int | None, **person: Any) -> None:
    """How many users of a service were hit, by a count of your own."""
    _state(id_, Counted(service, users, stopped, degraded), **person)


@group.command()
@_ID
@_moment("--since", "When the work was to begin.", required=True)
@_moment("--until", "When it was to be over.", required=True)
@_by_a_person
def planned(id_: str, since: datetime, until: datetime, **person: Any) -> None:
    """It is work that was planned and announced for this time."""
    _state(id_, Planned(since, until), **person)


@group.command()
@_ID
@click.option("--withdraw", is_flag=True, help="Take that back: it is real.")
@_by_a_person
def drill(id_: str, withdraw: bool, **person: Any) -> None:
    """It is a drill."""
    _state(id_, Withdrawn(("drill",)) if withdraw else Drilled(), **person)


@group.command("emergency-calls")
@_ID
@_SERVICE
@click.option("--affected/--not-affected", default=None, help="Whether calls to 110, 118, 119 were.")
@_by_a_person
def emergency_calls(id_: str, service: str, affected: bool | None, **person: Any) -> None:
    """Whether emergency calls over a service were affected."""
    if affected is None:
        raise click.UsageError("Give --affected or --not-affected.")
    _state(id_, EmergencyCalls(service, affected), **person)


@group.command(
    "near-miss",
    help="Answer the checklist of Article 58-2, and see what it comes to. FACT=unknown takes an answer back. "
    f"FACT is one of {', '.join(get_args(Fact))}.",
)
@_ID
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="FACT=yes|no|unknown",
    callback=_answered,
    help="One answer; may be given several times. Without any you are asked.",
)
@_by_a_person
def near_miss_(id_: str, answers: dict[Fact, bool | None], **person: Any) -> None:
    if not answers and not at_a_terminal():
        raise click.UsageError("There is no terminal to ask at: give --answer FACT=yes|no|unknown.")
    from receiver.cli import acting

    _state(id_, partial(acting.answered, answers or None), **person)


@group.command()
@click.argument("part")
@click.option("--into", "whole", required=True, metavar="WHOLE", help="The incident that stays.")
@_by_a_person
def merge(part: str, whole: str, **person: Any) -> None:
    """PART is the same accident as WHOLE: at once, or its later recurrence. The time between counts."""
    from receiver.cli import acting

    _state(part, partial(acting.merged, whole), **person)


@group.command()
@_ID
@click.option("--equipment", multiple=True, help="The alerts that name this equipment; may be given several times.")
@click.option("--alert", "fingerprints", multiple=True, help="The alert with this fingerprint; may be given several times.")
@_by_a_person
def split(id_: str, equipment: tuple[str, ...], fingerprints: tuple[str, ...], **person: Any) -> None:
    """Some of its alerts are an accident of their own."""
    if not equipment and not fingerprints:
        raise click.UsageError("Give --equipment or --alert: what is an accident of its own.")
    from receiver.cli import acting

    _state(id_, partial(acting.parted, equipment, fingerprints), **person)


@group.command()
@_ID
@_by_a_person
def dismiss(id_: str, **person: Any) -> None:
    """It was no accident: a false alarm."""
    _state(id_, Dismissed(), **person)


@group.command()
@_ID
@_by_a_person
def reopen(id_: str, **person: Any) -> None:
    """Take a dismissal or a closing back; or: it is not over, whatever the alerts say."""
    _state(id_, Reopened(), **person)


@group.command()
@_ID
@_by_a_person
def close(id_: str, **person: Any) -> None:
    """Nothing is to be done any more. Only of what is restored."""
    _state(id_, Closed(), **person)


@group.command("list")
@_ID
@CONFIG
@_JSON
def list_(id_: str, file: Path, as_json: bool) -> None:
    """What was stated of an incident: by whom, when, why."""
    from receiver.cli import acting

    acting.show(id_, file, as_json=as_json)


def _state(id_: str | None, deed: "Deed | Told", *, file: Path, who: str, why: str, as_json: bool) -> None:
    from receiver.cli import acting

    acting.keep(id_, deed, file, who, why, as_json=as_json)
