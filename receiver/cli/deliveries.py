"""`art58 deliveries`: what is owed to whom, what was refused for good, and what would be sent."""

from pathlib import Path
from typing import Any

import click

from receiver.cli.options import CONFIG

_STATES = ("dead", "owed", "claimed", "unsure", "sent")
_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")


class _Group(click.Group):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == "list":
            raise click.UsageError("There is no list: plain `art58 deliveries` lists them, with --target and --state.", ctx)
        return super().resolve_command(ctx, args)


@click.group("deliveries", cls=_Group, invoke_without_command=True)
@click.option("--target", metavar="NAME", help="Only those to this target.")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@CONFIG
@_JSON
@click.pass_context
def group(context: click.Context, target: str | None, state: str | None, file: Path, as_json: bool) -> None:
    """List what is delivered to targets: dead letters first, then what is owed, then what was sent."""
    if context.invoked_subcommand:
        if target or state:
            raise click.UsageError(f"Write these options after {context.invoked_subcommand}.")
        return
    from receiver.cli import delivering

    delivering.show(file, target, state, as_json=as_json)


@group.command()
@click.argument("incident", required=False)
@click.option("--all-dead", is_flag=True, help="All dead letters, to every target.")
@click.option("--target", metavar="NAME", help="All dead letters to this target.")
@CONFIG
@_JSON
@click.pass_context
def replay(context: click.Context, incident: str | None, all_dead: bool, target: str | None, file: Path, as_json: bool) -> None:
    """Have dead letters sent once more: those of INCIDENT, those to a target, or all.

    Each says the newest of its incident, once. The receiver may run meanwhile.
    """
    if sum((incident is not None, all_dead, target is not None)) != 1:
        raise click.UsageError("Name one of INCIDENT, --target and --all-dead.")
    from receiver.cli import delivering

    file, as_json = _as_before(context, file, as_json)
    delivering.replay(file, incident, target, as_json=as_json)


@group.command()
@click.argument("incident")
@click.option("--target", metavar="NAME", help="Only what this target would be sent.")
@CONFIG
@_JSON
@click.pass_context
def preview(context: click.Context, incident: str, target: str | None, file: Path, as_json: bool) -> None:
    """Show what each target would be sent of INCIDENT now, and in which steps. Nobody is called, nothing is written.

    It is told by the ledger: what persons did on the other side since is not known here.
    """
    from receiver.cli import delivering

    file, as_json = _as_before(context, file, as_json)
    delivering.preview(file, incident, target, as_json=as_json)


def _as_before(context: click.Context, file: Path, as_json: bool) -> tuple[Path, bool]:
    """What was written before the name of the command counts, too."""
    before: dict[str, Any] = context.parent.params if context.parent else {}
    given = click.core.ParameterSource.COMMANDLINE
    own = context.get_parameter_source("file") == given
    return (file if own else before.get("file", file)), as_json or before.get("as_json", False)
