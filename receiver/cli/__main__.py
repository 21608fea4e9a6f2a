"""`python -m receiver.cli` is `art58`."""

from receiver.cli import main

main(prog_name="art58")
