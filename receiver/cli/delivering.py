"""The doing of `art58 deliveries`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from receiver.cli import system_clock
from receiver.cli.acting import incident_of, opened_store
from receiver.cli.parts import targets as targets_of
from receiver.cli.table import lined_up, noted
from receiver.delivery import preview as dry_run
from receiver.delivery import standing
from receiver.delivery.newest import NotAssessed, newest
from receiver.delivery.preview import Preview
from receiver.delivery.targets.plain_text import one_line
from receiver.incidents.facts import Refused
from receiver.law.provisions import Text
from receiver.law.wording import clock_time
from receiver.model import Delivery
from receiver.settings import SecretUnreadable, Settings
from receiver.stated import near_miss_of, stated
from receiver.storage import acts
from receiver.storage import deliveries as ledger
from receiver.storage import incidents as store

MOST = 1000
_LONGEST_CELL, _LONGEST_LINE = 300, 5000

STEPS: dict[str, Text] = {
    "create": Text("新規作成", "create"),
    "update": Text("更新", "update"),
    "close": Text("完了", "close"),
    "reopen": Text("再開", "reopen"),
    "comment": Text("コメント", "comment"),
}
_HEADINGS = (
    "状態 / STATE",
    "事故 / INCIDENT",
    "送付先 / TARGET",
    "種別 / OBJECT",
    "要/済 W/S",
    "試行 / TRIES",
    "相手側ID / REMOTE ID",
)
_NOT_DONE = Text("実行できません", "not done")


def show(file: Path, target: str | None, state: str | None, *, as_json: bool) -> None:
    """The rows of the ledger."""
    with opened_store(file, as_json, _NOT_DONE) as (database, _, settings):
        known = names(settings)
        with database.read() as connection:
            found = ledger.listed(connection, MOST + 1, target=target, state=state)
            # what was sent to a target that is configured no more stays to be seen
            if target is not None and target not in known and not ledger.listed(connection, 1, target=target):
                raise _unknown(target, settings)
    if as_json:
        rows = [_as_json(each, known) for each in found[:MOST]]
        click.echo(msgspec.json.encode({"ok": True, "deliveries": rows, "has_more": len(found) > MOST}))
        return
    lines = lined_up([_HEADINGS, *map(_row, found[:MOST])])
    click.echo("\n".join(noted(lines, [(), *(_notes(each, known) for each in found[:MOST])])))
    if not found:
        click.echo("なし / none")
    if len(found) > MOST:
        click.echo(f"はじめの{MOST:,}件のみ / only the first {MOST:,}")


def replay(file: Path, incident: str | None, target: str | None, *, as_json: bool) -> None:
    """Owe dead letters anew, and say which."""
    with opened_store(file, as_json, _NOT_DONE) as (database, _, settings):
        id_ = None if incident is None else incident_of(database, incident).id
        with database.write() as connection:
            found = ledger.replay(connection, system_clock(), target=target, incident_id=id_)
        if not found:
            raise _none_is_dead(id_, target, settings)
        lost = sorted({each.target for each in found} - names(settings))
    if as_json:
        rows = [{"incident": each.incident_id, "target": each.target, "object": each.object} for each in found]
        click.echo(msgspec.json.encode({"ok": True, "replayed": len(found), "deliveries": rows, "not_configured": lost}))
        return
    for each in found:
        _say(f"{each.incident_id} {each.target} {each.object}: {standing.error(each) or '-'}")
    _say(f"{len(found)}件を未送付に戻しました。受信機が直ちに最新の内容を送ります")
    _say(f"{len(found)} owed anew: a running receiver sends the newest at once")
    if lost:
        _say(f"設定にない送付先です。設定に戻すまで送られません: {', '.join(lost)}")
        _say(f"not in the configuration, so nobody sends to it until it is there again: {', '.join(lost)}")


def preview(file: Path, incident: str, target: str | None, *, as_json: bool) -> None:
    """What each target would be sent of the incident now."""
    with opened_store(file, as_json, _NOT_DONE) as (database, catalogue, settings):
        if target is not None and target not in names(settings):
            raise _unknown(target, settings)
        known = incident_of(database, incident)
        try:
            every = targets_of(settings, system_clock)
        except (SecretUnreadable, ValueError) as error:
            raise Refused(str(error), f"送付先の設定を使えません（{error}）") from None
        try:
            with database.read() as connection:
                _, statement = newest(connection, known.id, catalogue, settings.duties.of_the_law, settings.external_url)
                latest = store.latest_assessments(connection, [known.id])[known.id]
                rows = ledger.of_incidents(connection, [known.id])
                near = near_miss_of(stated(acts.of_incidents(connection, [known.id])[known.id]), known.failure_started_at)
        except NotAssessed as error:
            raise Refused(f"{error}. Wait for the next tick", "まだ判定されていません。次の判定を待ってください") from None
    chosen = [(route, each) for route, each in every if target in (None, route.target)]
    found = list(dry_run.preview(known, latest, near, statement, rows, chosen, system_clock()))
    if as_json:
        click.echo(msgspec.json.encode({"ok": True, "incident": known.id, "deliveries": found}))
        return
    _say(f"{known.id}: 送付の予行。何も送らず、何も書き込みません / dry run: nobody is called, nothing is written")
    for each in found:
        _tell(each)
    if not found:
        _say("送付先が設定されていません / no target is configured")


def names(settings: Settings) -> set[str]:
    """Every target of the configuration, as the ledger calls it."""
    return {name for one in settings.grafanas for name in one.targets} | {one.name for one in settings.tickets}


def _tell(found: Preview) -> None:
    steps = [STEPS[step] for step in found.steps]
    ja, en = "→".join(step.ja for step in steps) or "送らない", ", then ".join(step.en for step in steps) or "nothing"
    click.echo()
    where = f" ({found.remote_id})" if found.remote_id else ""
    _say(f"{found.target} {found.object}{where}: {ja} / {en}")
    _say(f"{found.why.ja} / {found.why.en}", "  ")
    _say(f"title: {found.title}", "  ")
    for name, value in found.fields.items():
        mark = "人が変更 / left to persons" if name in found.theirs else "" if name in found.changes else "変更なし / as it is"
        _say(f"{name} = {msgspec.json.encode(value).decode()}{f'  ({mark})' if mark else ''}", "  field ")
    for line in found.text.splitlines():
        _say(line, "  | ")
    for line in (found.comment or "").splitlines():
        _say(line, "  comment | ")


def _as_json(row: Delivery, known: set[str]) -> dict[str, Any]:
    return {
        "incident": row.incident_id,
        "target": row.target,
        "object": row.object,
        "state": row.state,
        "wanted": row.wanted,
        "sent": row.sent,
        "attempts": row.attempts,
        "next_attempt_at": row.next_attempt_at if standing.has_next(row) else None,
        "last_error": standing.error(row) or None,
        "remote_id": row.remote_id,
        "configured": row.target in known,
        "without_fields": standing.lacks_fields(row),
    }


def _row(row: Delivery) -> tuple[str, ...]:
    state = standing.STATES[row.state]
    cells = (
        f"{state.ja} / {state.en}",
        row.incident_id,
        row.target,
        row.object,
        f"{row.wanted}/{row.sent}",
        str(row.attempts),
        row.remote_id or "–",
    )
    return tuple(one_line(cell, _LONGEST_CELL) for cell in cells)


def _notes(row: Delivery, known: set[str]) -> Iterator[str]:
    if row.target not in known:
        yield "送付先の設定なし / the target is not configured"
    if standing.has_next(row):
        yield f"次回 / next: {clock_time(row.next_attempt_at)}"
    error = one_line(standing.error(row), _LONGEST_CELL)
    if standing.lacks_fields(row):
        state = standing.state(row)
        yield f"{state.ja} / {state.en}{error and f': {error}'}"
    elif error:
        yield error


def _none_is_dead(id_: str | None, target: str | None, settings: Settings) -> Refused:
    if target is not None and target not in names(settings):
        return _unknown(target, settings)
    of = f" of {id_}" if id_ else f" to {target}" if target else ""
    of_ja = f"{id_}には" if id_ else f"{target}宛てには" if target else ""
    return Refused(
        f"there is no dead letter{of}. What is owed is tried again by itself; see: art58 deliveries",
        f"{of_ja}不達の送付はありません。未送付のものは自動で再送されます。確認: art58 deliveries",
    )


def _unknown(target: str, settings: Settings) -> Refused:
    every = ", ".join(sorted(names(settings))) or "none"
    return Refused(
        f"{target!r} is no target of the configuration. Targets: {every}",
        f"{target!r}という送付先は設定にありません。送付先: {every}",
    )


def _say(text: str, indent: str = "") -> None:
    """One line: what others wrote is in it."""
    click.echo(indent + one_line(text, _LONGEST_LINE))
