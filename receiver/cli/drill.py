"""`art58 drill`: a marked test incident through the whole chain of a running receiver, and the evidence of it."""

import getpass
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from receiver.cli.options import CONFIG

if TYPE_CHECKING:
    from receiver.catalogue import Catalogue, Service

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("drill")
@CONFIG
@click.option(
    "--service", "name", metavar="NAME", help="About which service; default: the first one that an alert can be made up of."
)
@click.option("--label", "given", metavar="NAME=VALUE", multiple=True, help="A label of the alert; may be given several times.")
@click.option("--wait", type=click.FloatRange(1, 3600), default=120, show_default=True, help="Seconds that a step may take.")
@click.option("--by", "who", metavar="WHO", help="Who does it; default: the user of this machine.")
@click.option("--json", "json_file", type=_FILE, help="Write the evidence as JSON.")
@click.option("--markdown", "markdown_file", type=_FILE, help="Write the evidence as Markdown.")
@click.option("--junit", "junit_file", type=_FILE, help="Write the evidence as JUnit XML.")
def command(
    file: Path,
    name: str | None,
    given: tuple[str, ...],
    wait: float,
    who: str | None,
    json_file: Path | None,
    markdown_file: Path | None,
    junit_file: Path | None,
) -> None:
    """Send a drill through a running receiver: alert, incident, verdict, every target, and its end.

    Tickets and annotations ARE made, marked 訓練 / drill, and stay there when it is over. The exit code is 1 if a step failed.
    """
    from receiver.cli import system_clock
    from receiver.cli.acting import NOT_LISTED, opened_store
    from receiver.cli.parts import targets
    from receiver.operations import drill_report
    from receiver.operations.drill import Run

    with opened_store(file, False, NOT_LISTED) as (database, catalogue, settings):
        service, labels = _chosen(catalogue, name, given)
        routes = tuple(route for route, _ in targets(settings, system_clock))
        who = who or os.environ.get("SUDO_USER") or getpass.getuser()
        done = Run(settings, catalogue, database, routes, service, labels, who, system_clock, timedelta(seconds=wait)).run()
    report = drill_report.markdown(done)
    for target, text in (
        (json_file, msgspec.json.format(msgspec.json.encode(done)).decode() + "\n"),
        (markdown_file, report),
        (junit_file, drill_report.junit(done)),
    ):
        if target:
            target.write_text(text, encoding="utf-8")
    click.echo(report, nl=False)
    if not done.ok:
        sys.exit(1)


def _chosen(catalogue: "Catalogue", name: str | None, given: tuple[str, ...]) -> tuple["Service", dict[str, str]]:
    from receiver.operations.drill import NoLabels, labels_of

    own = dict(each.partition("=")[::2] for each in given)
    if name is not None and name not in catalogue.by_name:
        raise click.BadParameter(f"{name!r} is no service. Services: {', '.join(catalogue.by_name)}", param_hint="--service")
    why = "there is no service"
    for service in [catalogue.by_name[name]] if name else catalogue.services:
        if own and service in catalogue.services_of(own):
            return service, own
        try:
            if not own:
                return service, labels_of(service, catalogue)
        except NoLabels as error:
            why = str(error)
    raise click.UsageError(f"{'the labels fit no such service' if own else why}. Give --label, e.g. --label service=voice")
