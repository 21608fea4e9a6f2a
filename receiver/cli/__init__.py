"""The command line: `art58`. Exit codes: 0 done, 1 a fault was found, 2 the call itself was wrong."""

import gc
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import click
import msgspec
import structlog

from receiver import __version__
from receiver.catalogue import Catalogue
from receiver.cli import config as config_file
from receiver.cli.act import group as act_group
from receiver.cli.db import group as db_group
from receiver.cli.deliveries import group as deliveries_group
from receiver.cli.doctor import command as doctor_command
from receiver.cli.drill import command as drill_command
from receiver.cli.incidents import command as incidents_command
from receiver.cli.options import CONFIG
from receiver.law.lined_yaml import FaultyFile
from receiver.law.rulebook import Rulebook, load, shipped
from receiver.settings import Settings


def system_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class _Log(structlog.PrintLogger):
    """What cannot be told, as the disk of the log is full or its pipe is closed, is not told: nothing else fails by it."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


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
        logger_factory=lambda *_: _Log(sys.stderr),
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)


_WORKERS = click.option(
    "--workers", type=click.IntRange(1, 64), help="Processes that take in requests; default: web_workers of the configuration."
)


@main.command()
@CONFIG
@_WORKERS
def serve(file: Path, workers: int | None) -> None:
    """Run the receiver: take in alerts, assess them, deliver. Ends on SIGTERM or Ctrl-C."""
    gc.disable()  # of what is loaded now nothing is garbage; the processes that are forked collect again
    settings, catalogue, rulebooks = _load(file, workers)
    from receiver.cli import supervisor

    sys.exit(supervisor.serve(settings, catalogue, rulebooks, file, system_clock))


@main.command()
@CONFIG
@_WORKERS
def web(file: Path, workers: int | None) -> None:
    """Run only the part that takes in requests."""
    settings, catalogue, rulebooks = _load(file, workers)
    from receiver.cli import parts

    parts.collect_what_comes()
    sys.exit(parts.run_web(settings, catalogue, rulebooks, system_clock))


@main.command()
@CONFIG
def worker(file: Path) -> None:
    """Run only the part that assesses and delivers."""
    settings, catalogue, rulebooks = _load(file)
    from receiver.cli import parts

    parts.collect_what_comes()
    sys.exit(parts.run_worker(settings, catalogue, rulebooks, system_clock))


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


@main.command("backtest")
@CONFIG
@click.option("--from", "since", metavar="TIME", help="From when: ISO time, of Japan where it names no zone.")
@click.option("--to", "until", metavar="TIME", help="Until when; default: now, or when the last saved notification has held.")
@click.option("--step", type=click.FloatRange(1, 300), help="Seconds between looks; default: tick_seconds of the configuration.")
@click.option(
    "--notifications",
    type=click.Path(path_type=Path),
    help="Replay this file (JSON Lines, or .gz), or a folder of the archive, instead of the rules' own series.",
)
@click.option("--database", help="Replay what a receiver took in: its SQLite file, or the address of its database.")
@click.option("--rulebooks", "own", type=click.Path(path_type=Path), multiple=True, help="A file with a rulebook of your own.")
@click.option("--by", metavar="ID", help="Judge all of it by this rulebook, in force then or not; default: that of the day.")
@click.option("--work", type=click.Path(path_type=Path), help="Folder that keeps how far it got: the same command goes on there.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV: a line for each change of a verdict.")
@click.option("--progress", is_flag=True, help="Tell on standard error how far it got, also where that is no terminal.")
def replay(file: Path, own: tuple[Path, ...], by: str | None, as_json: bool, as_csv: bool, progress: bool, **asked: Any) -> None:
    """Replay a time of the past: which accidents would have been judged how, and when.

    Alerts come out of the rules' own series in Prometheus (ALERTS), or were saved; users and all else out of Prometheus. Each
    accident is judged by the rulebook of its day. Nothing is sent to anybody.
    """
    from receiver.cli import backtest

    settings, catalogue, rulebooks = _load(file)
    try:
        rulebooks = load(own, rulebooks)
    except FaultyFile as error:
        _refuse(error, "nothing was judged")
    what = backtest.asked(settings, **asked)
    backtest.main(settings, catalogue, rulebooks, by, what, system_clock(), as_json=as_json, as_csv=as_csv, tell=progress)


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


def _load(file: Path, workers: int | None = None) -> tuple[Settings, Catalogue, tuple[Rulebook, ...]]:
    """What the file says, but for what the call says instead."""
    try:
        settings, catalogue, rulebooks = config_file.load(file)
    except FaultyFile as error:
        _refuse(error, "not started")
    return msgspec.structs.replace(settings, web_workers=workers or settings.web_workers), catalogue, rulebooks


def _refuse(error: FaultyFile, outcome: str) -> NoReturn:
    for fault in error.faults:
        click.echo(str(fault), err=True)
    click.echo(f"{len(error.faults)} fault(s): {outcome}", err=True)
    sys.exit(1)


main.add_command(act_group)
main.add_command(db_group)
main.add_command(deliveries_group)
main.add_command(doctor_command)
main.add_command(drill_command)
main.add_command(incidents_command)


if __name__ == "__main__":
    main()
