"""The doing of `art58 act`: find the incident, keep the act, say what was kept and what follows."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import get_args

import click
import msgspec

from receiver.catalogue import Catalogue
from receiver.cli import _load, system_clock
from receiver.cli.options import ANSWERS
from receiver.delivery.targets.plain_text import one_line
from receiver.incidents.acts import alerts_on, state
from receiver.incidents.facts import Refused
from receiver.law import near_miss
from receiver.law.near_miss import Answers, Fact, NearMiss
from receiver.law.provisions import NoProvision, Text
from receiver.law.wording import clock_time
from receiver.model import (
    Act,
    Closed,
    Deed,
    Dismissed,
    Incident,
    IncidentState,
    Merged,
    NearMissAnswered,
    Opened,
    Reopened,
    Split,
)
from receiver.stated import deed_in_words, stated
from receiver.storage import acts, heartbeat
from receiver.storage import incidents as store
from receiver.storage.database import Database, StoreUnavailable

Told = Callable[[Database, Catalogue, Incident], Deed]
"""A deed that is made up from what is known of the incident."""

_STATES: tuple[IncidentState, ...] = get_args(IncidentState)
_MOST_INCIDENTS = 100_000
_SHORTEST_ID = 4
_LONGEST_LINE = 5000
_AT_REST = timedelta(minutes=5)
"""A receiver that has not ticked for so long is not running, or stands still."""

_NEXT: dict[type[Deed], Text] = {
    Opened: Text(
        "次の判定から、終了が申告されるまで継続中の障害として判定します",
        "from its next tick on the receiver judges it as an outage that goes on, until you state its end",
    ),
    Merged: Text(
        "次の判定で一つの事故として、最初の発生から最後の復旧まで通して判定し直します。統合した側のチケットは完了します",
        "at its next tick the receiver judges both as one accident, from the first start to the last end; "
        "the part's ticket is resolved",
    ),
    Split: Text("次の判定で二つの事故として判定し直します", "at its next tick the receiver judges them as two accidents"),
    Dismissed: Text(
        "チケットは完了します。同じアラートが新たに発生した場合は別の事故になります",
        "its ticket is resolved; should its alerts fire anew, that is an incident of its own",
    ),
    Reopened: Text("次の判定で判定し直します", "at its next tick the receiver follows and judges it again"),
    Closed: Text("チケットは完了し、以後は何も待ちません", "its ticket is resolved; nothing is awaited any more"),
}
_JUDGED_ANEW = Text(
    "次の判定で、この申告に基づいて判定し直します", "at its next tick the receiver judges the incident anew with this in it"
)


def show(id_: str, file: Path, *, as_json: bool) -> None:
    """The acts on an incident."""
    with _store(file, as_json) as (database, _):
        incident = _found(database, id_)
        with database.read() as connection:
            history = acts.of_incidents(connection, [incident.id])[incident.id]
    if as_json:
        click.echo(msgspec.json.encode({"ok": True, "incident": incident, "acts": history}))
        return
    _say(_in_short(incident))
    for act in history:
        _say(f"{act.id} {clock_time(act.at)} {act.who}: {deed_in_words(act.deed).en} / {deed_in_words(act.deed).ja}")
        _say(act.why, "    ")
    if not history:
        _say("nothing was stated / 申告なし")


def keep(id_: str | None, deed: Deed | Told, file: Path, who: str, why: str, *, as_json: bool) -> None:
    """Keep the act, and say what was kept and what follows. `id_` is None for an incident that begins by it."""
    with _store(file, as_json) as (database, catalogue):
        known = None if id_ is None else _found(database, id_)
        if callable(deed):
            if known is None:
                raise TypeError("a deed that is made up from an incident needs one")
            deed = deed(database, catalogue, known)
        now = system_clock()
        act = state(database, catalogue, known.id if known else None, deed, who, why, now)
        with database.read() as connection:
            incident = store.get(connection, act.deed.whole if isinstance(act.deed, Merged) else act.incident_id)
            ticked_at = heartbeat.last(connection, "tick")
        if incident is None:
            raise AssertionError(f"{act.incident_id} is gone")  # nothing removes what an act is on
        outcome = None
        if isinstance(act.deed, NearMissAnswered):
            outcome = near_miss.assess(_answers_to(database, incident.id), incident.failure_started_at)
    following = _NEXT.get(type(act.deed), _JUDGED_ANEW)
    at_rest = ticked_at is None or now - ticked_at > _AT_REST
    if as_json:
        answer = {
            "ok": True,
            "act": act,
            "incident": incident,
            "near_miss": outcome,
            "next": following,
            "receiver_at_rest": at_rest,
        }
        click.echo(msgspec.json.encode(answer))
        return
    _tell(act, incident, outcome, following)
    if at_rest:
        since = f"since {clock_time(ticked_at)}" if ticked_at else "yet"
        _say(f"but no receiver has ticked on this store {since}: it will once `art58 serve` runs / 受信機が動いていません")


def merged(whole: str, database: Database, _: Catalogue, part: Incident) -> Deed:
    return Merged(part.id, _found(database, whole).id)


def parted(
    equipment: tuple[str, ...], fingerprints: tuple[str, ...], database: Database, catalogue: Catalogue, whole: Incident
) -> Deed:
    return Split("", whole.id, alerts_on(database, catalogue, whole.id, equipment, fingerprints))


def answered(answers: Answers | None, database: Database, _: Catalogue, incident: Incident) -> Deed:
    """The answers given with the call; else those given now, at the terminal."""
    return NearMissAnswered(answers or _ask(incident, _answers_to(database, incident.id)))


def _tell(act: Act, incident: Incident, outcome: NearMiss | None, following: Text) -> None:
    did = deed_in_words(act.deed)
    _say(_in_short(incident))
    _say(f"kept as act {act.id}, by {act.who} at {clock_time(act.at)}: {did.en} / {did.ja}")
    if outcome:
        _say(outcome.explanation.ja)
        _say(outcome.explanation.en)
    _say(f"next: {following.en} / {following.ja}")


def _in_short(incident: Incident) -> str:
    ends = f", part of {incident.joined_to}" if incident.joined_to else ", dismissed" if incident.dismissed else ""
    since = f"since {clock_time(incident.failure_started_at)}"
    until = f", restored {clock_time(incident.restored_at)}" if incident.restored_at else ""
    return f"incident {incident.id} ({incident.state}{ends}): {', '.join(incident.units) or 'no equipment named'}, {since}{until}"


def _say(text: str, indent: str = "", *, err: bool = False) -> None:
    """One line; labels of alerts are in it, which others wrote."""
    click.echo(indent + one_line(text, _LONGEST_LINE), err=err)


@contextmanager
def _store(file: Path, as_json: bool) -> Iterator[tuple[Database, Catalogue]]:
    """The receiver's store and the catalogue. What is refused, or cannot be written, ends the call with exit code 1."""
    settings, catalogue, _ = _load(file)
    path = Path(settings.database.removeprefix("sqlite:///"))
    try:
        if not path.is_file():
            raise Refused(f"there is no store {path} yet. Start the receiver once: art58 serve")
        database = Database(settings.database)
        try:
            yield database, catalogue
        finally:
            database.close()
    except (Refused, StoreUnavailable) as error:
        if as_json:
            click.echo(msgspec.json.encode({"ok": False, "wrong": str(error)}))
        else:
            _say(f"not kept: {error}", err=True)
        sys.exit(1)


def _found(database: Database, id_: str) -> Incident:
    """The incident with this id, or the only one whose id begins so, with or without its day. Raises Refused."""
    with database.read() as connection:
        if id_.isascii() and (exact := store.get(connection, id_)):
            return exact
        known = store.listed(connection, _STATES, _MOST_INCIDENTS) if len(id_) >= _SHORTEST_ID else []
    found = [each for each in known if each.id.startswith(id_) or each.id.partition("-")[2].startswith(id_)]
    if len(found) == 1:
        return found[0]
    if not found:
        short = f", and is too short to stand for one (at least {_SHORTEST_ID} characters)" if len(id_) < _SHORTEST_ID else ""
        raise Refused(f"{id_!r} is no incident{short}. Its page and its ticket name its id")
    raise Refused(f"{id_!r} may be any of {len(found)}: {', '.join(each.id for each in found[:5])} ... Write more of it")


def _answers_to(database: Database, incident_id: str) -> Answers:
    """All answers given so far, the latest to each question."""
    with database.read() as connection:
        history = acts.of_incidents(connection, [incident_id])[incident_id]
    return stated(history).near_miss or Answers()


def _ask(incident: Incident, known: Answers) -> Answers:
    """Ask at the terminal what the outcome still hangs on, one question at a time; the answers that were given now."""
    given: dict[Fact, bool | None] = {}
    while True:
        so_far = Answers(**msgspec.structs.asdict(known) | {fact: answer for fact, answer in given.items() if answer is not None})
        try:
            outcome = near_miss.assess(so_far, incident.failure_started_at)
        except NoProvision as error:
            raise Refused(f"{error}, when this began. There is nothing to answer") from None
        question = next((each for each in outcome.open_questions if each.fact not in given), None)
        if question is None:
            return Answers(**given)
        click.echo(f"{question.text.ja}\n{question.text.en}", err=True)
        choice = click.prompt("yes / no / unknown", type=click.Choice(list(ANSWERS)), default="unknown", err=True)
        given[question.fact] = ANSWERS[choice]
