"""Writes the reference pages that come from the code: `python -m docs.generate`; with `--check` it only names what drifted."""

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from prometheus_client import REGISTRY

import receiver.intake
import receiver.observation.prometheus
import receiver.worker  # noqa: F401 - these three register the metrics that processes count
from docs.incidents_page import incidents
from docs.markdown import page, table
from docs.rules_page import rules
from receiver.cli import config, main
from receiver.law.rulebook import shipped
from receiver.storage import heartbeat
from receiver.storage.database import Database
from receiver.web.metrics import of_the_law, stored

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
ABOUT_CONFIGURATION = """\
One YAML file holds everything. It is read whole and refused whole: `art58 check config.yaml` names each fault with its line, what
is wrong and what to do. Unknown and duplicate keys are faults. Relative paths are relative to the file. Secrets are never written
in it. An address is http or https, without user, password or query.

For editors there is a [JSON Schema](config.schema.json) of it (`art58 schema` prints it), with every pattern. Each heading below is
one kind of section; the column *Type* leads to it."""
ABOUT_COMMANDS = """\
Exit codes: 0 done, 1 a fault was found, 2 the call itself was wrong. The environment variable `ART58_CONFIG` stands in for
`--config`. `art58 serve` does what `art58 web` and `art58 worker` do, in processes that share their memory, starts again what died
and ends both; run these two yourself only where something else looks after processes."""
ABOUT_METRICS = """\
`GET /metrics` in the Prometheus text format, without authentication: it names incidents, services and numbers of users, so let only
Prometheus reach it. Counters and the histogram are summed over all processes of `art58 serve`. The other figures are read from the
store when asked: while the worker stands still, so does `art58_tick_last_timestamp_seconds`.

- Only open and recovering incidents have `art58_impact_…` series. `measured` is `false` where the users are only an upper bound;
  `method` is `direct`, `all_under_equipment`, for voice with emergency calls `emergency_all_under_equipment` or
  `emergency_call_loss`, for other voice `call_shortfall` or `missing_registrations`, or `unmeasured`.
- `state` of incidents: `open`, `recovering`, `closed`; of deliveries: `owed`, `claimed`, `sent`, `dead`.
- `outcome` of notifications: `stored`, `refused`, `unauthorized`, `too_large`, `busy`, `unavailable`; of queries: `ok`, `failed`.
- `art58_impact_major_timestamp_seconds` is absent where these users never make it major, however long it lasts."""


def pages() -> dict[Path, str]:
    """Every generated file with what belongs in it."""
    return {
        REFERENCE / "configuration.md": configuration(),
        REFERENCE / "config.schema.json": config.schema() + "\n",
        REFERENCE / "cli.md": command_line(),
        REFERENCE / "metrics.md": metrics(),
        DOCS / "explanation" / "real-incidents.md": incidents(),
        REFERENCE / "rules.md": rules("en"),
        DOCS / "ja" / "rules.md": rules("ja"),
    }


def drifted() -> list[Path]:
    """The files that are not what the code says."""
    return [file for file, text in pages().items() if not file.is_file() or file.read_text(encoding="utf-8") != text]


def configuration() -> str:
    """The configuration file, section by section, as its JSON Schema tells it."""
    structs = json.loads(config.schema())["$defs"]
    structs["Config"]["description"] = "The whole file."
    parts = [ABOUT_CONFIGURATION]
    for name in ["Config", *(one for one in structs if one != "Config")]:
        rows = []
        for key, value in structs[name]["properties"].items():
            default = "–" if isinstance(value.get("default"), dict | None) else f"`{json.dumps(value['default'])}`"
            needed = key in structs[name].get("required", [])
            meaning = value.get("description", "this kind" if "enum" in value else "")
            rows.append((f"`{key}`", type_of(value), "**required**" if needed else default, meaning))
        parts += [f"## {name}", structs[name]["description"], table(("Key", "Type", "Default", "Meaning"), rows)]
    return page("Configuration", *parts)


def type_of(value: dict[str, Any]) -> str:
    """A type of the JSON Schema in words, with its limits."""
    if reference := value.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := value.get("anyOf"):
        return " or ".join(type_of(one) for one in choices if one != {"type": "null"})
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    words = f"list of {type_of(value['items'])}" if value["type"] == "array" else value["type"]
    limits = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "minItems": "at least"}
    return words + "".join(f", {said} {value[key]}" for key, said in limits.items() if key in value)


def command_line() -> str:
    """Every command's own help text."""
    parts = [ABOUT_COMMANDS]
    for name, command in _with_subcommands("art58", main):
        context = click.Context(command, info_name=name, terminal_width=100, help_option_names=["-h", "--help"])
        parts += [f"## {name}", f"```text\n{command.get_help(context)}\n```"]
    return page("Command line", *parts)


def _with_subcommands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for its, one in sorted(command.commands.items()):
            yield from _with_subcommands(f"{name} {its}", one)


def metrics() -> str:
    """Every metric under its own prefix: name, type, labels and help from the code."""
    found = sorted(_metrics(), key=lambda row: row[0])
    return page(
        "Metrics",
        ABOUT_METRICS,
        table(("Metric", "Type", "Labels", "Meaning"), found),
        "Alerts on these are in `rules/art58-receiver.rules.yml`, each with a [runbook](../runbooks/).",
    )


def _metrics() -> Iterator[tuple[str, ...]]:
    counted = [one for one in set(REGISTRY._names_to_collectors.values()) if getattr(one, "_name", "").startswith("art58_")]
    found = [(family.name, family.type, one._labelnames, family.documentation) for one in counted for family in one.describe()]
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/empty.db")
        database.migrate()
        with database.write() as connection:
            heartbeat.beat(connection, "tick", datetime.now(UTC))
        told = [*stored(database), of_the_law(shipped(), lambda: datetime.now(UTC))]
        found += [(family.name, "gauge", family.labels, family.help) for family in told]
        database.close()
    for name, kind, labels, help_ in found:
        whole = f"{name}_total" if kind == "counter" else name
        yield f"`{whole}`", kind, ", ".join(f"`{label}`" for label in labels) or "–", help_


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        for file in (stale := drifted()):
            print(f"docs/{file.relative_to(DOCS)}: not what the code says. Run: make docs", file=sys.stderr)
        sys.exit(1 if stale else 0)
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")
