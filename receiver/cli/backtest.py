"""`art58 backtest`: what would have been judged when, over a time of the past."""

import hashlib
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

import click
import msgspec
from prometheus_client import REGISTRY

from receiver import __version__
from receiver.catalogue import Catalogue
from receiver.law.provisions import JST
from receiver.law.rulebook import NoRulebook, Rulebook, rulebook_named, shipped
from receiver.model import Notification
from receiver.observation.past import PastPrometheus, Unanswered
from receiver.observation.prometheus import QueryFailed
from receiver.operations import report, sources, work
from receiver.operations.backtest import Backtest, Past, Progress
from receiver.operations.work import OfAnother
from receiver.settings import Settings
from receiver.storage.database import Database, StoreUnavailable, inbox_of

TELL_SECONDS = 1
_SEE_PROMETHEUS = "See that it runs, and that prometheus.url in the configuration is right"
_FAULTS = "art58_incident_faults_total"


class Refused(Exception):
    """It cannot be done as asked; the text says why and what to do. `code` is the exit code."""

    def __init__(self, wrong: str, code: int = 1) -> None:
        super().__init__(wrong)
        self.code = code


class Asked(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    since: datetime | None
    until: datetime | None
    step: timedelta
    notifications: Path | None
    database: str | None
    work: Path | None


def asked(
    settings: Settings,
    since: str | None,
    until: str | None,
    step: float | None,
    notifications: Path | None,
    database: str | None,
    work: Path | None,
) -> Asked:
    """The options as they were written. Raises click.UsageError."""
    if notifications and database:
        raise click.UsageError("--notifications and --database are two sources: name one")
    its_step = timedelta(milliseconds=round(1000 * (step or settings.tick_seconds)))
    return Asked(_moment(since, "--from"), _moment(until, "--to"), its_step, notifications, database, work)


def _moment(text: str | None, option: str) -> datetime | None:
    """An ISO time; without a zone it is one of Japan."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # whole seconds: the steps are those of a query over a range
        return (moment if moment.tzinfo else moment.replace(tzinfo=JST)).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise click.UsageError(f"{option}: {text!r} is no time: write it like 2026-08-01, or 2026-08-01T12:30+09:00") from None


def main(
    settings: Settings,
    catalogue: Catalogue,
    rulebooks: tuple[Rulebook, ...],
    by: str | None,
    asked: Asked,
    now: datetime,
    *,
    as_json: bool,
    as_csv: bool,
    tell: bool,
) -> None:
    """The command; it ends the process with its exit code if something is wrong."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two answers: name one")
    try:
        judged_by = _by_one(rulebooks, by) if by else rulebooks
        found = run(settings, catalogue, judged_by, asked, now, sys.stderr if tell or sys.stderr.isatty() else None)
    except Refused as refused:
        click.echo(str(refused), err=True)
        sys.exit(refused.code)
    except KeyboardInterrupt:
        click.echo(f"interrupted{_how_to_go_on(asked)}", err=True)
        sys.exit(130)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        click.echo(report.as_csv(found) if as_csv else report.in_words(found), nl=not as_csv)
    if not asked.notifications and not asked.database and not found.totals.notifications:
        click.echo("no alert about a service of the catalogue fired in that time, as ALERTS in Prometheus tells", err=True)


def _by_one(rulebooks: tuple[Rulebook, ...], id_: str) -> tuple[Rulebook, ...]:
    """As if this rulebook had always been in force. Raises Refused."""
    try:
        book = rulebook_named(id_, rulebooks)
    except NoRulebook as error:
        raise Refused(f"--by: {error}", 2) from None
    return (msgspec.structs.replace(book, valid_from=None, valid_to=None, status="in_force"),)


def run(
    settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], asked: Asked, now: datetime, progress: TextIO | None
) -> report.Report:
    """Do it. Raises Refused; interrupted, it can be gone on with if it has a folder."""
    prometheus = PastPrometheus(settings.prometheus, asked.step)
    where = f"Prometheus at {', '.join((settings.prometheus.url, *settings.prometheus.also))}"
    teller = _Teller(progress)
    faults = _faults()
    try:
        past = _past(settings, catalogue, asked, prometheus, now)
        file = _file(settings, catalogue, rulebooks, asked, past)
        backtest = Backtest(settings, catalogue, rulebooks, prometheus, past, file)
        with _patient(teller) if file else nullcontext():
            backtest.run(teller)
    except Unanswered as error:
        raise Refused(f"{where}: nothing more can be judged: {error}. {_SEE_PROMETHEUS}{_how_to_go_on(asked)}") from None
    except QueryFailed as error:
        raise Refused(f"{where}: the alerts of the past cannot be asked for: {error}. {_SEE_PROMETHEUS}") from None
    except (StoreUnavailable, OSError, sources.Unreadable) as error:
        raise Refused(str(error)) from None
    except sqlite3.Error as error:
        raise Refused(f"what {asked.work} holds cannot be gone on with ({error}): delete it, or name another folder") from None
    except OfAnother as error:
        raise Refused(str(error), 2) from None
    finally:
        teller.end()
        prometheus.close()
    if _faults() > faults:
        raise Refused("some incidents were left out by a fault of the receiver, so the figures would be wrong: see the log above")
    return report.report(backtest.database, past, backtest.ticks)


def _past(settings: Settings, catalogue: Catalogue, asked: Asked, prometheus: PastPrometheus, now: datetime) -> Past:
    stored = work.resolved(asked.work, "to")
    until = asked.until or (datetime.fromisoformat(stored) if stored else None)
    if asked.since and asked.since >= now:
        raise Refused("--from lies in the future: nothing has happened there", 2)
    if asked.since and until and until <= asked.since:
        raise Refused("--to must be later than --from", 2)
    if until and until > now:
        raise Refused("--to lies in the future: nothing has happened there", 2)
    told = _told(settings, catalogue, asked, until or now, prometheus)
    hold = timedelta(seconds=max([settings.hold_seconds, *(s.hold_seconds for s in catalogue.services if s.hold_seconds)]))
    since = asked.since
    if since is None or (until is None and (asked.notifications or asked.database)):
        told = [one for one in told if (since is None or since <= one.received_at) and one.received_at <= (until or now)]
        if not told:
            raise Refused(f"{asked.notifications or asked.database}: no notification in it is of this time. Change --from or --to")
        first, last = sources.span(told, hold)
        since, until = since or first, until or min(last, now)
    until = until or now
    since = since.replace(microsecond=0)
    return Past(since, until, asked.step, [one for one in told if since <= one.received_at <= until])


def _told(
    settings: Settings, catalogue: Catalogue, asked: Asked, until: datetime, prometheus: PastPrometheus
) -> list[Notification]:
    if asked.notifications:
        return sources.of_file(asked.notifications)
    if asked.database:
        if asked.database == settings.database_url and settings.database_file is None:
            database, folder = Database.of(settings), settings.archive_folder  # the only address whose password is known
        elif "://" in asked.database and not asked.database.startswith("sqlite:///"):
            raise Refused(
                "--database: there is no such file, nor is it the database_url of this configuration, whose password is known"
            )
        else:
            file = _existing(asked.database)
            own = settings.database_file
            folder = settings.archive_folder if own and file == own.resolve() else file.parent / "archive"
            inbox = inbox_of(file)
            # SQLite would make a file that is not there
            database = Database(f"sqlite:///{inbox if inbox.is_file() else file}", is_inbox=True)
        try:
            return sources.of_database(database, asked.since, until, folder)
        except (StoreUnavailable, sources.Unreadable) as error:
            raise Refused(f"--database: {asked.database}: {error}. {_OTHER_FILES}") from None
        finally:
            database.close()
    if asked.since is None:
        raise Refused("say from when: --from (only --notifications and --database tell that by themselves)", 2)
    return sources.of_rules(prometheus, catalogue, asked.since, until)


_OTHER_FILES = "Name the art58.db in the data_dir of a receiver; a file of notifications goes with --notifications"


def _existing(file: str) -> Path:
    """SQLite would make one that is not there."""
    path = Path(file.removeprefix("sqlite:///"))
    if not path.is_file():
        raise Refused(f"--database: {file}: there is no such file. {_OTHER_FILES}")
    return path.resolve()


def _file(settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], asked: Asked, past: Past) -> Path | None:
    if asked.work is None:
        return None
    told = hashlib.sha256()
    for one in past.told:
        told.update(f"{one.received_at.isoformat()} {one.source} {len(one.body)}\n".encode() + one.body)
    judged_by = hashlib.sha256(msgspec.json.encode([settings, catalogue.services, catalogue.equipment]))
    source = str(asked.notifications or asked.database or "ALERTS in Prometheus")
    own = ", ".join(book.id for book in rulebooks if book not in shipped()) or "as shipped"
    facts = {
        "version": __version__,
        "from": past.since.isoformat(),
        "to": past.until.isoformat(),
        "step": f"{past.step.total_seconds():g}",
        "notifications": work.content(source, told.hexdigest()[:16]),
        "configuration": work.content("the file", judged_by.hexdigest()[:16]),
        "rulebooks": work.content(own, hashlib.sha256(msgspec.json.encode(rulebooks)).hexdigest()[:16]),
    }
    return work.prepare(asked.work, facts)


def _how_to_go_on(asked: Asked) -> str:
    return f". Run the same command again to go on from {asked.work}" if asked.work else ". With --work it could be gone on with"


def _faults() -> float:
    return REGISTRY.get_sample_value(_FAULTS) or 0


@contextmanager
def _patient(teller: "_Teller") -> Iterator[None]:
    """Ctrl-C waits until what was done can be kept; a second one does not wait."""

    def hear(*_: object) -> None:
        if teller.interrupted:
            raise KeyboardInterrupt
        teller.interrupted = True

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Teller:
    """Says now and then how far it got: on one line of a terminal, else on a line of its own.

    Raises KeyboardInterrupt once `interrupted` was set.
    """

    def __init__(self, sink: TextIO | None) -> None:
        self.interrupted = False
        self._sink = sink
        self._begun = self._told = time.monotonic()
        self._share_at_start: float | None = None
        self._open = False

    def __call__(self, progress: Progress) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        now = time.monotonic()
        if self._share_at_start is None:
            self._share_at_start = progress.share
        if self._sink is None or (now - self._told < TELL_SECONDS and progress.share < 1):
            return
        self._told = now
        done = progress.share - self._share_at_start
        left = f"{(now - self._begun) / done * (1 - progress.share):.0f} s left" if done > 0 else "…"
        text = f"{progress.share:4.0%}  {progress.at.astimezone(JST):%Y-%m-%d %H:%M} JST  {progress.ticks:,} ticks  {left}"
        self._open = self._sink.isatty()
        self._sink.write(f"\r{text}\x1b[K" if self._open else f"{text}\n")
        self._sink.flush()

    def end(self) -> None:
        if self._open and self._sink:
            self._sink.write("\n")
