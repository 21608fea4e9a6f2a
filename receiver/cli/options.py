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

ANSWERS: dict[str, bool | None] = {
    **dict.fromkeys(("yes", "y", "はい"), True),
    **dict.fromkeys(("no", "n", "いいえ"), False),
    **dict.fromkeys(("unknown", "不明")),
}
"""What a person may answer to a yes-or-no question, in small letters."""
