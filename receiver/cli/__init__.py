"""The command line: `art58`. Exit codes: 0 done, 1 a fault was found, 2 the call itself was wrong."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NoReturn

import click
import msgspec
import structlog

from receiver import __version__
from receiver.catalogue import Catalogue
from receiver.cli import config as config_file
from receiver.law.lined_yaml import FaultyFile
from receiver.law.rulebook import Rulebook, load, shipped
from receiver.settings import Settings

CONFIG = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default="config.yaml",
    show_default=True,
    envvar="ART58_CONFIG",
    help="The configuration file.",
)


def system_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="art58-receiver")
def main() -> None:
    """From alerts to the question whether an outage may be a 重大な事故 under Article 58."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)


@main.command()
@CONFIG
def serve(file: Path) -> None:
    """Run the receiver: take in alerts, assess them, deliver. Ends on SIGTERM or Ctrl-C."""
    settings, _, _ = _load(file)
    from receiver.cli import supervisor

    sys.exit(supervisor.serve(settings, file, system_clock))


@main.command()
@CONFIG
def web(file: Path) -> None:
    """Run only the part that takes in requests."""
    settings, catalogue, rulebooks = _load(file)
    from receiver.cli import supervisor

    supervisor.run_web(settings, catalogue, rulebooks, system_clock)


@main.command()
@CONFIG
def worker(file: Path) -> None:
    """Run only the part that assesses and delivers."""
    settings, catalogue, rulebooks = _load(file)
    from receiver.cli import supervisor

    sys.exit(supervisor.run_worker(settings, catalogue, rulebooks, system_clock))


@main.command()
@click.argument("file", type=click.Path(path_type=Path), default="config.yaml")
@click.option("--live", is_flag=True, help="Ask Prometheus every query: which method would count users now.")
@click.option("--list-methods", is_flag=True, help="List the methods that can count users, and end.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
def check(file: Path, live: bool, list_methods: bool, as_json: bool) -> None:
    """Check a configuration file and say of each fault where it is, what is wrong, and what to do."""
    if list_methods:
        _list_methods(as_json)
        return
    try:
        settings, catalogue, rulebooks = config_file.load(file)
    except FaultyFile as error:
        if not as_json:
            _refuse(error, "the file is refused")
        click.echo(msgspec.json.encode({"ok": False, "faults": error.faults}))
        sys.exit(1)
    if live:
        _check_live(settings, catalogue, as_json)
        return
    if as_json:
        click.echo(msgspec.json.encode({"ok": True, "faults": []}))
        return
    own = [book.id for book in rulebooks if book not in shipped()]
    said = f", changed by your rulebooks: {', '.join(own)}" if own else ""
    click.echo(f"{file}: good, {len(catalogue.services)} service(s){said}")


@main.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--explain", is_flag=True, help="Answer in words, for people.")
@click.option(
    "--rulebooks",
    "own",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file with a rulebook of your own; may be given several times.",
)
def classify(file: BinaryIO, explain: bool, own: tuple[Path, ...]) -> None:
    """Judge accidents, one JSON object a line (FILE, or standard input), by the law alone: JSON Lines out.

    A line that cannot be judged gives an object with its number and the error, and the exit code 1 at the end.
    """
    from receiver.cli import json_lines

    try:
        rulebooks = load(own, shipped())
    except FaultyFile as error:
        _refuse(error, "nothing was judged")
    if not json_lines.run(file, sys.stdout.buffer, rulebooks, explain=explain):
        sys.exit(1)


@main.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    click.echo(config_file.schema())


def _list_methods(as_json: bool) -> None:
    from receiver.cli import live

    found = live.list_methods()
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for entry in found:
        click.echo(f"{entry['method']}: {entry['what'].en} / {entry['what'].ja}")
        click.echo(f"  for {', '.join(entry['for'])}; needs {', '.join(entry['needs'])}")


def _check_live(settings: Settings, catalogue: Catalogue, as_json: bool) -> None:
    from receiver.cli import live
    from receiver.observation.prometheus import Prometheus

    prometheus = Prometheus(settings.prometheus)
    try:
        checked = live.check(prometheus, catalogue, settings, system_clock())
    finally:
        prometheus.close()
    good = all(each.good for each in checked)
    if as_json:
        click.echo(msgspec.json.encode({"ok": good, "services": checked}))
    else:
        click.echo("\n".join(map(live.in_words, checked)))
    if not good:
        sys.exit(1)


def _load(file: Path) -> tuple[Settings, Catalogue, tuple[Rulebook, ...]]:
    try:
        return config_file.load(file)
    except FaultyFile as error:
        _refuse(error, "not started")


def _refuse(error: FaultyFile, outcome: str) -> NoReturn:
    for fault in error.faults:
        click.echo(str(fault), err=True)
    click.echo(f"{len(error.faults)} fault(s): {outcome}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
