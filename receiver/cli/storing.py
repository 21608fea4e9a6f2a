"""The doing of `art58 db`."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click
import msgspec

from receiver.cli import _load
from receiver.cli.table import lined_up
from receiver.law.wording import clock_time
from receiver.settings import Settings
from receiver.storage import altering, archive, copying, schema, standing
from receiver.storage.alone import Gone, InUse
from receiver.storage.archive import Told
from receiver.storage.copying import NotCopied, Progress
from receiver.storage.database import Database, StoreUnavailable
from receiver.storage.parts import address
from receiver.storage.schema import BASE, Newer
from receiver.storage.standing import Standing

_OF_FILE = "Check the file, the permissions of it and its folder, and who else uses it"
_OF_SERVER = "Check database_url, database_password, and whether that PostgreSQL runs and lets this role in"
_BEHIND = "Bring it up: art58 db migrate, or start the receiver"
_KIB = 1024
_TELL_SECONDS = 1


class Refused(Exception):
    """It cannot be done; the text says why and what to do."""


def show(file: Path, *, as_json: bool) -> None:
    """How the store stands; the exit code is 1 unless its tables are those of this version."""
    settings, _, _ = _load(file)
    try:
        with _opened(settings, is_made=False) as database:
            found = standing.look(database)
    except Refused as refused:
        _end(str(refused), {"address": address(settings.database)} if as_json else None)
    wrong = _wrong(found)
    kept = archive.tell(settings.archive_folder) if settings.archive_folder else None
    if as_json:
        told = {**msgspec.structs.asdict(found), "keep_notifications_days": settings.keep_notifications_days, "archive": kept}
        click.echo(msgspec.json.encode({"ok": wrong is None, "wrong": wrong, **told}))
    else:
        click.echo("\n".join(lined_up([*_lines(found), ("archive", _of_archive(settings, kept))])))
        if wrong:
            click.echo(wrong, err=True)
    if wrong:
        sys.exit(1)


def _wrong(found: Standing) -> str | None:
    for part in found.parts:
        try:
            if schema.order(part.revision) < schema.order(found.wanted):
                return f"{part.address}: {_revision(part.revision)}, and this version wants {found.wanted}. {_BEHIND}"
        except Newer as newer:
            return f"{part.address}: {newer}"
    return None


def _revision(revision: str | None) -> str:
    return f"its tables are of revision {revision}" if revision not in (None, BASE) else "it has no tables yet"


def _lines(found: Standing) -> Iterator[tuple[str, str]]:
    yield "kind", found.kind
    for part in found.parts:
        free = f", {_size(part.free_bytes)} of it free to be used again" if part.free_bytes else ""
        yield "address", part.address
        yield "  revision", f"{part.revision or 'no tables yet'} (this version wants {found.wanted})"
        yield "  size", _size(part.size_bytes) + free
    for name, rows in found.rows.items():
        yield name, f"{rows:,} rows"
    if found.rows:
        yield "waiting to be derived", f"{found.waiting:,} notifications"
        yield "oldest notification", clock_time(found.oldest_notification) if found.oldest_notification else "none"
        yield "newest notification", clock_time(found.newest_notification) if found.newest_notification else "none"
        yield "last tick", clock_time(found.last_tick) if found.last_tick else "never"
    if found.kind.startswith("PostgreSQL"):
        yield "judges", f"a receiver connected {found.leader}" if found.leader else "none: no receiver leads"


def _of_archive(settings: Settings, kept: Told | None) -> str:
    if kept is None:
        why = "archive_dir is not set" if settings.keep_notifications_days else "keep_notifications_days is null"
        return f"none, as {why}: all notifications stay in the store"
    goes = f"notifications older than {settings.keep_notifications_days} days go there"
    return f"{kept.folder}: {kept.files} file(s), {_size(kept.size_bytes)}; {goes}"


def _size(number: int) -> str:
    if number < _KIB * _KIB:
        return f"{number / _KIB:,.0f} KiB"
    return f"{number / _KIB / _KIB:,.1f} MiB"


def migrate(file: Path, to: str | None, *, is_agreed: bool) -> None:
    """Bring the tables up or down to `to`, in each part of the store. Ends the call with 1 where that cannot be."""
    settings, _, _ = _load(file)
    wanted = to or schema.wanted()
    if wanted != BASE and wanted not in schema.revisions():
        known = ", ".join((BASE, *schema.revisions()))
        raise click.UsageError(f"--to: this version knows no revision {wanted}. It knows {known}")
    try:
        with _opened(settings, is_made=schema.order(wanted) > 0) as database:
            changes = altering.changes(database, wanted)
            lost = [(change, loss) for change in changes for loss in change.losses()]
            for change, loss in lost:
                click.echo(f"{change.address}: going down to {wanted} loses {loss}", err=True)
            if lost and not is_agreed and not _agrees():
                raise Refused("nothing was changed")
            for change in changes:
                change.make()
            if wanted == schema.wanted():
                database.migrate()  # as at a start: what an older version kept elsewhere is moved
            for change in changes:
                click.echo(_done(change))
    except Refused as refused:
        _end(str(refused))


def _agrees() -> bool:
    try:
        return click.confirm("Go down and lose this?", err=True)
    except click.Abort:
        raise Refused("\nnobody answered: nothing was changed. Where nobody can be asked: --yes") from None


def _done(change: altering.Change) -> str:
    if change.here == change.there:
        return f"{change.address}: {_revision(change.here)}, as wanted"
    return f"{change.address}: from {change.here or 'no tables'} to {change.there}"


def copy(file: Path, target: Path) -> None:
    """All of the store of one configuration into that of another. Ends the call with 1 where that cannot be."""
    (here, _, _), (there, _, _) = _load(file), _load(target)
    began = time.monotonic()
    teller = _Teller(sys.stderr)
    try:
        with _opened(here, is_made=False) as ours, _opened(there) as theirs:
            try:
                found = copying.copy(ours, theirs, teller)
            except NotCopied as error:
                raise Refused(str(error)) from None
            finally:
                teller.end()
    except Refused as refused:
        _end(f"{refused}. The source is unchanged".replace("..", "."))
    except KeyboardInterrupt:
        click.echo("interrupted: nothing was copied. The same command begins anew", err=True)
        sys.exit(130)
    click.echo("\n".join(lined_up((one.table, f"{one.rows:,} rows", f"sha256 {one.sha256[:16]}…") for one in found)))
    for one in found:
        if one.replaced:
            click.echo(f"{one.table}: in {one.replaced:,} texts U+FFFD stands for a NUL character, which PostgreSQL does not keep")
    rows = sum(one.rows for one in found)
    seconds = time.monotonic() - began
    click.echo(f"copied {rows:,} rows in {seconds:.1f} s ({rows / seconds:,.0f} rows/s), read back and compared: all the same")
    click.echo(f"go on with the new store: art58 serve --config {target}")
    if here.archive_folder and here.archive_folder.exists() and here.archive_folder != there.archive_folder:
        click.echo(f"the archive of notifications is no part of the store. It stays in {here.archive_folder}")


class _Teller:
    """Says now and then how far it got: on one line of a terminal, else on a line of its own."""

    def __init__(self, sink: TextIO) -> None:
        self._sink, self._is_open = sink, False
        self._told = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        is_terminal = self._sink.isatty()
        now = time.monotonic()
        if now - self._told < (_TELL_SECONDS if is_terminal else 10 * _TELL_SECONDS):
            return
        self._told, self._is_open = now, is_terminal
        did = "compared" if progress.is_compared else "copied"
        said = f"{progress.table}: {did} {progress.done:,} of {progress.rows:,} rows, {progress.per_second:,.0f} rows/s"
        self._sink.write(f"\r{said}\x1b[K" if is_terminal else f"{said}\n")
        self._sink.flush()

    def end(self) -> None:
        if self._is_open:
            self._sink.write("\n")


@contextmanager
def _opened(settings: Settings, *, is_made: bool = True) -> Iterator[Database]:
    """The store, made where there is none if `is_made`. Raises Refused for all that it says."""
    path = settings.database_file
    shown = address(settings.database)
    if path and not is_made and not path.is_file():
        raise Refused(f"{shown}: there is no store yet. Make it: art58 db migrate, or start the receiver")
    try:
        database = Database.of(settings)
    except OSError as error:
        raise Refused(f"{shown}: its folder cannot be made: {error}. {_OF_FILE}") from None
    try:
        yield database
    except InUse as error:
        raise Refused(str(error)) from None
    except Gone as error:
        is_file = str(error).startswith("sqlite")  # of two that are open it may be the other one
        raise Refused(f"{error}. {_OF_FILE if is_file else _OF_SERVER}") from None
    except Newer as error:
        raise Refused(f"{shown}: {error}") from None
    except StoreUnavailable as error:
        raise Refused(f"{shown}: {error}. {_OF_FILE if path else _OF_SERVER}") from None
    finally:
        database.close()


def _end(wrong: str, as_json: dict[str, Any] | None = None) -> NoReturn:
    if as_json is not None:
        click.echo(msgspec.json.encode({"ok": False, "wrong": wrong, **as_json}))
    else:
        click.echo(wrong, err=True)
    sys.exit(1)
