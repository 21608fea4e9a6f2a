"""`art58 incidents`: which incidents there are, to find the one that is meant."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from receiver.cli.options import CONFIG
from receiver.cli.table import lined_up, noted

if TYPE_CHECKING:
    from receiver.incidents.overview import Glance

MOST = 1000
"""Of those that are closed, and of those that are not."""
_MOST_UNITS = 3
_HEADINGS = ("番号 / ID", "発生 / SINCE", "状態 / STATE", "役務・利用者 / SERVICES, USERS", "設備 / EQUIPMENT")


@click.command("incidents")
@click.option("--all", "with_closed", is_flag=True, help="Those that are closed, too.")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
def command(with_closed: bool, file: Path, as_json: bool) -> None:
    """List the incidents that go on or wait for a person: what may be major first, then the newest first."""
    from receiver.cli.acting import NOT_LISTED, opened_store
    from receiver.incidents import overview

    with opened_store(file, as_json, NOT_LISTED) as (database, _, _), database.read() as connection:
        # one more than is shown tells that there are more
        parts = [overview.not_closed(connection, MOST + 1)]
        if with_closed:
            parts.append(overview.closed(connection, MOST + 1))
    found = [glance for part in parts for glance in part[:MOST]]
    has_more = any(len(part) > MOST for part in parts)
    if as_json:
        click.echo(msgspec.json.encode({"ok": True, "incidents": [_as_json(each) for each in found], "has_more": has_more}))
        return
    click.echo("\n".join(noted(lined_up([_HEADINGS, *map(_row, found)]), [(), *map(_notes, found)])))
    if not found:
        click.echo("なし / none")
    if has_more:
        click.echo(f"新しい{MOST:,}件のみ / only the newest {MOST:,} of a kind")


def _as_json(glance: "Glance") -> dict[str, Any]:
    incident = glance.incident
    impacts = [
        {
            "service": impact.service,
            "verdict": impact.verdict,
            "affected_users": impact.affected_users,
            "measured": impact.measured,
        }
        for impact in glance.impacts
    ]
    return {
        "id": incident.id,
        "state": incident.state,
        "failure_started_at": incident.failure_started_at,
        "restored_at": incident.restored_at,
        "verdict": glance.verdict,
        "urgent": glance.is_urgent,
        "major_expected_at": glance.major_expected_at,
        "major_on_trend_at": glance.major_on_trend_at,
        "impacts": impacts,
        "units": incident.units,
        "joined_to": incident.joined_to,
        "dismissed": incident.dismissed,
        "drill": glance.stated.drill,
        "dead_letters": glance.dead_letters,
    }


def _row(glance: "Glance") -> tuple[str, ...]:
    from receiver.delivery import words
    from receiver.delivery.targets.plain_text import one_line
    from receiver.law.wording import clock_time

    incident = glance.incident
    services = ", ".join(
        f"{impact.service} {'≤' if not impact.measured else ''}{impact.affected_users:,}"
        if impact.affected_users is not None
        else f"{impact.service} ?"
        for impact in glance.impacts
    )
    units = ", ".join(incident.units[:_MOST_UNITS]) + (" …" if len(incident.units) > _MOST_UNITS else "")
    state = f"{words.STATES[incident.state].ja} / {incident.state}"
    cells = (
        incident.id,
        clock_time(incident.failure_started_at),
        state,
        services or "–",
        units or "–",
    )
    # names of services and equipment are from labels, which others wrote
    return tuple(one_line(cell, 500) for cell in cells)


def _notes(glance: "Glance") -> Iterator[str]:
    """Verdict, forecast and dead letters: sentences in two languages, so long that they would tear a table apart."""
    from receiver.delivery import words
    from receiver.law.provisions import Text
    from receiver.law.wording import VERDICTS, clock_time

    verdict = VERDICTS[glance.verdict] if glance.verdict else Text("未判定", "not assessed yet")
    marks = words.marks(glance.incident, glance.stated)
    ja, en = "".join(f"【{mark.ja}】" for mark in marks), "".join(f"[{mark.en}] " for mark in marks)
    yield f"{ja}{verdict.ja} / {en}{verdict.en}"
    if expected := glance.expected:
        yield f"{expected.called.ja} / {expected.called.en}: {clock_time(expected.at)}"
    if glance.dead_letters:
        yield f"不達 / dead letters: {glance.dead_letters} (art58 deliveries --state dead)"
