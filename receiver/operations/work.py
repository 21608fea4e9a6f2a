"""The folder of a backtest: what it is the backtest of, and how far it got."""

from pathlib import Path

import msgspec

STORE, ASKED = "store.db", "backtest.json"


class OfAnother(ValueError):
    """The folder holds something else, which is not to be mixed with this."""


def prepare(folder: Path, asked: dict[str, str]) -> Path:
    """The file that keeps how far this backtest got; the folder is made, or holds the same one already.

    `asked` says what it hangs on. Raises OfAnother, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ASKED
    if not file.exists():
        if others := sorted(each.name for each in folder.iterdir()):
            raise OfAnother(f"{folder} holds other files ({', '.join(others[:3])}): name an empty folder, or a new one")
        file.write_bytes(msgspec.json.format(msgspec.json.encode(asked)))
        return folder / STORE
    try:
        before = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise OfAnother(f"{file} is none of ours: name an empty folder, or a new one") from None
    differ = [name for name in before.keys() | asked.keys() if before.get(name) != asked.get(name)]
    if differ:
        said = "; ".join(
            f"{name} was {before.get(name, 'not given')}, is {asked.get(name, 'not given')}" for name in sorted(differ)
        )
        raise OfAnother(f"{folder} holds another backtest ({said}): ask the same, name another folder, or delete this one")
    return folder / STORE


def resolved(folder: Path | None, name: str) -> str | None:
    """What the backtest in the folder was asked for under this name, if there is one."""
    try:
        return msgspec.json.decode((folder / ASKED).read_bytes(), type=dict[str, str]).get(name) if folder else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
