"""The doing of `art58 act`: find the incident, keep the act, say what was kept and what follows."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from receiver.catalogue import Catalogue
from receiver.cli import _load, system_clock
from receiver.cli.options import ANSWERS
from receiver.delivery.targets.plain_text import one_line
from receiver.incidents.acts import alerts_on, not_handed_on, state
from receiver.incidents.facts import NOT_IN_FORCE, Refused
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
from receiver.settings import Settings
from receiver.stated import deed_in_words, stated
from receiver.storage import acts, heartbeat, schema
from receiver.storage import incidents as store
from receiver.storage.database import Database, StoreUnavailable

NOT_LISTED = Text("表示できません", "not listed")
_NOT_KEPT = Text("受け付けません", "not kept")

Told = Callable[[Database, Catalogue, Incident], Deed]
"""A deed that is made up from what is known of the incident."""

_STATES: tuple[IncidentState, ...] = get_args(IncidentState)
_MOST_INCIDENTS = 100_000
_SHORTEST_ID = 4
_MOST_NAMED = 5
_LONGEST_LINE = 5000
_TICKS_MISSED, _LEAST_REST = 3, timedelta(seconds=60)
"""A receiver that has missed so many ticks, and not ticked for so long, is not running, or stands still."""

_CLOSED_WHERE = Text(
    "チケットは、close_when_over が有効で誰も引き受けていなければ完了し、そうでなければ記載だけを更新します",
    "ticket is closed where close_when_over is set and nobody took it over, else only its text is kept up to date",
)

_NEXT: dict[type[Deed], Text] = {
    Opened: Text(
        "次の判定から、終了が申告されるまで継続中の障害として判定します",
        "from its next tick on the receiver judges it as an outage that goes on, until you state its end",
    ),
    Merged: Text(
        f"次の判定で一つの事故として、最初の発生から最後の復旧まで通して判定し直します。統合した側の{_CLOSED_WHERE.ja}",
        "at its next tick the receiver judges both as one accident, from the first start to the last end; "
        f"the part's {_CLOSED_WHERE.en}",
    ),
    Split: Text("次の判定で二つの事故として判定し直します", "at its next tick the receiver judges them as two accidents"),
    Dismissed: Text(
        f"{_CLOSED_WHERE.ja}。同じアラートが新たに発生した場合は別の事故になります",
        f"its {_CLOSED_WHERE.en}; should its alerts fire anew, that is an incident of its own",
    ),
    Reopened: Text("次の判定で判定し直します", "at its next tick the receiver follows and judges it again"),
    Closed: Text(f"以後は何も待ちません。{_CLOSED_WHERE.ja}", f"nothing is awaited any more; its {_CLOSED_WHERE.en}"),
}
_JUDGED_ANEW = Text(
    "次の判定で、この申告に基づいて判定し直します", "at its next tick the receiver judges the incident anew with this in it"
)


def show(id_: str, file: Path, *, as_json: bool) -> None:
    """The acts on an incident."""
    with opened_store(file, as_json, NOT_LISTED) as (database, _, _):
        incident = incident_of(database, id_)
        with database.read() as connection:
            history = acts.of_incidents(connection, [incident.id])[incident.id]
    if as_json:
        click.echo(msgspec.json.encode({"ok": True, "incident": _as_json(incident), "acts": history}))
        return
    _say(_in_short(incident))
    for act in history:
        _say(f"{act.id} {clock_time(act.at)} {act.who}: {deed_in_words(act.deed).en} / {deed_in_words(act.deed).ja}")
        _say(act.why, "    ")
    if not history:
        _say("nothing was stated / 申告なし")


def keep(id_: str | None, deed: Deed | Told, file: Path, who: str, why: str, *, as_json: bool) -> None:
    """Keep the act, and say what was kept and what follows. `id_` is None for an incident that begins by it."""
    with opened_store(file, as_json) as (database, catalogue, settings):
        known = None if id_ is None else incident_of(database, id_)
        if callable(deed):
            if known is None:
                raise TypeError("a deed that is made up from an incident needs one")
            deed = deed(database, catalogue, known)
        now = system_clock()
        lost = not_handed_on(database, deed)
        hold = timedelta(seconds=settings.hold_seconds)
        act = state(database, catalogue, known.id if known else None, deed, who, why, now, hold)
        with database.read() as connection:
            incident = store.get(connection, act.deed.whole if isinstance(act.deed, Merged) else act.incident_id)
            ticked_at = heartbeat.last(connection, "tick")
        if incident is None:
            raise AssertionError(f"{act.incident_id} is gone")  # nothing removes what an act is on
        outcome = None
        if isinstance(act.deed, NearMissAnswered):
            outcome = near_miss.assess(_answers_to(database, incident.id), incident.failure_started_at)
    following = _NEXT.get(type(act.deed), _JUDGED_ANEW)
    at_rest = _is_at_rest(ticked_at, settings, now)
    if as_json:
        answer = {
            "ok": True,
            "act": act,
            "incident": _as_json(incident),
            "near_miss": outcome,
            "next": following,
            "receiver_at_rest": at_rest,
            "not_handed_on": lost,
        }
        click.echo(msgspec.json.encode(answer))
        return
    _tell(act, incident, outcome)
    for each in lost:
        _say(f"but {each.en} / {each.ja}")
    if at_rest:
        since = f"since {clock_time(ticked_at)}" if ticked_at else "yet"
        last = f"（最後の判定: {clock_time(ticked_at)}）" if ticked_at else ""
        _say(
            f"nobody is at work: no receiver has ticked on this store {since}. Start it: art58 serve / "
            f"受信機が動いていません{last}。art58 serve で起動してください"
        )
    _say(f"{'once it runs, 起動後' if at_rest else 'next'}: {following.en} / {following.ja}")


def _is_at_rest(ticked_at: datetime | None, settings: Settings, now: datetime) -> bool:
    rest = max(_TICKS_MISSED * timedelta(seconds=settings.tick_seconds), _LEAST_REST)
    return ticked_at is None or now - ticked_at > rest


def _as_json(incident: Incident) -> dict[str, Any]:
    """`cause` there is by what alerts are grouped: a person who reads of a cause thinks of the one that was stated."""
    told: dict[str, Any] = msgspec.to_builtins(incident)
    return {"grouped_by" if key == "cause" else key: value for key, value in told.items()}


def merged(whole: str, database: Database, _: Catalogue, part: Incident) -> Deed:
    return Merged(part.id, incident_of(database, whole).id)


def parted(
    equipment: tuple[str, ...], fingerprints: tuple[str, ...], database: Database, catalogue: Catalogue, whole: Incident
) -> Deed:
    # one that is part of another has no alerts; that it is, every act is told in the same words
    alerts = () if whole.joined_to else alerts_on(database, catalogue, whole.id, equipment, fingerprints)
    return Split("", whole.id, alerts)


def answered(answers: dict[Fact, bool | None] | None, database: Database, _: Catalogue, incident: Incident) -> Deed:
    """The answers given with the call; else those given now, at the terminal. An answer given before is taken back by None."""
    known = _answers_to(database, incident.id)
    given = answers if answers is not None else _ask(incident, known)
    withdrawn = tuple(fact for fact, answer in given.items() if answer is None and known.to(fact) is not None)
    return NearMissAnswered(Answers(**given), withdrawn)


def _tell(act: Act, incident: Incident, outcome: NearMiss | None) -> None:
    did = deed_in_words(act.deed)
    _say(_in_short(incident))
    _say(f"kept as act {act.id}, by {act.who} at {clock_time(act.at)}: {did.en} / {did.ja}")
    if outcome:
        _say(outcome.explanation.ja)
        _say(outcome.explanation.en)


def _in_short(incident: Incident) -> str:
    ends = f", part of {incident.joined_to}" if incident.joined_to else ", dismissed" if incident.dismissed else ""
    since = f"since {clock_time(incident.failure_started_at)}"
    until = f", restored {clock_time(incident.restored_at)}" if incident.restored_at else ""
    return f"incident {incident.id} ({incident.state}{ends}): {', '.join(incident.units) or 'no equipment named'}, {since}{until}"


def _say(text: str, indent: str = "", *, err: bool = False) -> None:
    """One line; labels of alerts are in it, which others wrote."""
    click.echo(indent + one_line(text, _LONGEST_LINE), err=err)


@contextmanager
def opened_store(file: Path, as_json: bool, refusal: Text = _NOT_KEPT) -> Iterator[tuple[Database, Catalogue, Settings]]:
    """The receiver's store, the catalogue and the settings. What is refused, or cannot be written, ends the call with 1."""
    settings, catalogue, _ = _load(file)
    path = settings.database_file
    try:
        if path and not path.is_file():
            raise Refused(
                f"there is no store {path} yet. Start the receiver once: art58 serve",
                f"保存先{path}がまだありません。一度、受信機を起動してください: art58 serve",
            )
        database = Database.of(settings)
        try:
            _check_tables(database)
            yield database, catalogue, settings
        finally:
            database.close()
    except (Refused, StoreUnavailable) as error:
        ja = error.ja if isinstance(error, Refused) else "保存先を読み書きできません。少し待ってから、もう一度実行してください"
        if as_json:
            click.echo(msgspec.json.encode({"ok": False, "wrong": str(error), "wrong_ja": ja}))
        else:
            _say(f"{refusal.en}: {error}", err=True)
            if ja:
                _say(f"{refusal.ja}: {ja}", err=True)
        sys.exit(1)


def _check_tables(database: Database) -> None:
    """Rows of another version may mean something else to this one, and ours to it. Raises Refused, StoreUnavailable."""
    with database.read() as connection:
        here = schema.there(connection)
    if schema.order(here) < schema.order(schema.wanted()):
        raise Refused(
            f"the tables of the store are older than this version ({here or 'none'}, not {schema.wanted()}). "
            "Bring them up: art58 db migrate, or start the receiver",
            f"保存先のテーブルがこの版より古いものです（{here or 'なし'}、必要なのは{schema.wanted()}）。"
            "art58 db migrateを実行するか、受信機を起動してください",
        )


def incident_of(database: Database, id_: str) -> Incident:
    """The incident with this id, or the only one whose id begins so, with or without its day. Raises Refused."""
    with database.read() as connection:
        if id_.isascii() and (exact := store.get(connection, id_)):
            return exact
        known = store.listed(connection, _STATES, _MOST_INCIDENTS) if len(id_) >= _SHORTEST_ID else []
    found = [each for each in known if each.id.startswith(id_) or each.id.partition("-")[2].startswith(id_)]
    if len(found) == 1:
        return found[0]
    if not found:
        is_short = len(id_) < _SHORTEST_ID
        short = f", and is too short to stand for one (at least {_SHORTEST_ID} characters)" if is_short else ""
        short_ja = f"（短縮は{_SHORTEST_ID}文字以上）" if is_short else ""
        raise Refused(
            f"{id_!r} is no incident{short}. List them: art58 incidents --all",
            f"{id_!r}という事故はありません{short_ja}。一覧: art58 incidents --all",
        )
    named = ", ".join(each.id for each in found[:_MOST_NAMED])
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    raise Refused(
        f"{id_!r} may be any of {len(found)}: {named}{more}. Write more of it",
        f"{id_!r}に当たる事故が{len(found)}件あります: {named}{'ほか' if more else ''}。もう少し長く書いてください",
    )


def _answers_to(database: Database, incident_id: str) -> Answers:
    """All answers given so far, the latest to each question."""
    with database.read() as connection:
        history = acts.of_incidents(connection, [incident_id])[incident_id]
    return stated(history).near_miss or Answers()


def _ask(incident: Incident, known: Answers) -> dict[Fact, bool | None]:
    """Ask at the terminal what the outcome still hangs on, one question at a time; the answers that were given now."""
    given: dict[Fact, bool | None] = {}
    while True:
        so_far = Answers(**msgspec.structs.asdict(known) | {fact: answer for fact, answer in given.items() if answer is not None})
        try:
            outcome = near_miss.assess(so_far, incident.failure_started_at)
        except NoProvision as error:
            raise Refused(f"{error}, when this began. There is nothing to answer", NOT_IN_FORCE) from None
        question = next((each for each in outcome.open_questions if each.fact not in given), None)
        if question is None:
            return given
        click.echo(f"{question.text.ja}\n{question.text.en}", err=True)
        given[question.fact] = click.prompt(
            "yes / no / unknown, はい / いいえ / 不明", default="unknown", value_proc=_heard, err=True
        )


def _heard(word: str) -> bool | None:
    try:
        return ANSWERS[word.strip().lower()]
    except KeyError:
        raise click.BadParameter(f"{word!r} is none of yes, no, unknown / はい、いいえ、不明のいずれかで答えてください") from None
