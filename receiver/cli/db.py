"""`art58 db`: how the store stands, its tables up and down, all of it into another store."""

from pathlib import Path

import click

from receiver.cli.options import CONFIG

_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")


@click.group("db")
def group() -> None:
    """Look after the store: how it stands, its tables, a copy of it in another one."""


@group.command()
@CONFIG
@_JSON
def status(file: Path, as_json: bool) -> None:
    """Tell how the store stands: address, tables, size, rows, what waits, who judges. Nothing is written.

    The exit code is 0 if its tables are those of this version, and 1 if they are older or newer, or it cannot be read.
    """
    from receiver.cli import storing

    storing.show(file, as_json=as_json)


@group.command()
@CONFIG
@click.option("--to", metavar="REVISION", help="Up or down to this one (see art58 db status); default: that of this version.")
@click.option("--yes", is_flag=True, help="Go down without asking, also where that loses something.")
def migrate(file: Path, to: str | None, yes: bool) -> None:
    """Bring the tables of the store to this version, or to another revision.

    art58 serve brings them up by itself, also where several start at once. Down is only for the way back to an older version: it
    first tells what would be lost, asks, and is refused while a receiver has the store open. "base" is before the first revision.
    """
    from receiver.cli import storing

    storing.migrate(file, to, is_agreed=yes)


@group.command("copy")
@CONFIG
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The configuration file whose store gets all of it; that store must be empty.",
)
def copy_(file: Path, target: Path) -> None:
    """Copy the whole store into another one, such as from SQLite to PostgreSQL, or back.

    Both stores are named by a configuration file each, so that no password stands on the command line. Stop the receiver first: it
    is refused while one has either store open. All is written in one transaction and then read back and compared; interrupted, the
    target stays empty and the same command begins anew. The source is not changed.
    """
    from receiver.cli import storing

    storing.copy(file, target)
