"""`art58 doctor`: is all there that the receiver needs? It asks, and writes nothing."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from receiver.cli.options import CONFIG

if TYPE_CHECKING:
    from receiver.operations.doctor import Finding

_STATES = {"ok": "正常 / ok", "warning": "注意 / warning", "failed": "異常 / failed"}
_LONGEST_LINE = 2000


@click.command("doctor")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
def command(file: Path, as_json: bool) -> None:
    """Check what the receiver needs: targets, Prometheus, Alertmanager, clocks, the store, the rules. Nothing is written.

    The exit code is 1 if a check failed.
    """
    from receiver.cli import _load, system_clock
    from receiver.operations.doctor import examine

    settings, _, rulebooks = _load(file)
    found = []
    for finding in examine(settings, rulebooks, system_clock):
        found.append(finding)
        if not as_json:
            _tell(finding)
    failed, warned = (sum(one.state == state for one in found) for state in ("failed", "warning"))
    if as_json:
        click.echo(msgspec.json.encode({"ok": not failed, "checks": list(map(_as_json, found))}))
    else:
        click.echo(f"{len(found)}項目、異常{failed}、注意{warned} / {len(found)} checks, {failed} failed, {warned} warning(s)")
    if failed:
        sys.exit(1)


def _as_json(finding: "Finding") -> dict[str, Any]:
    return {
        "name": finding.name,
        "what": finding.what,
        "state": finding.state,
        "wrong": finding.fault,
        "cure": finding.cure,
    }


def _tell(finding: "Finding") -> None:
    _say(f"[{_STATES[finding.state]}] {finding.name}: {finding.what.ja} / {finding.what.en}")
    for text in (finding.fault, finding.cure):
        if text:
            _say(text.ja, "    ")
            _say(text.en, "    ")


def _say(text: str, indent: str = "") -> None:
    from receiver.delivery.targets.plain_text import one_line

    click.echo(indent + one_line(text, _LONGEST_LINE))
