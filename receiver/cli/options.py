"""Options that several commands have."""

from pathlib import Path

import click

CONFIG = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default="config.yaml",
    show_default=True,
    envvar="ART58_CONFIG",
    help="The configuration file.",
)

ANSWERS: dict[str, bool | None] = {"yes": True, "no": False, "unknown": None}
