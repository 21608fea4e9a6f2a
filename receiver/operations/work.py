"""The folder of a backtest: what it is the backtest of, and how far it got."""

from pathlib import Path

import msgspec

STORE, ASKED = "store.db", "backtest.json"
_DIGEST = " #"


class OfAnother(ValueError):
    """The folder holds something else, which is not to be mixed with this."""


def content(called: str, digest: str) -> str:
    """A value for `prepare`: compared is the content, and people are told the name."""
    return f"{called}{_DIGEST}{digest}"


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
    differ = [name for name in before.keys() | asked.keys() if _compared(before.get(name)) != _compared(asked.get(name))]
    if differ:
        said = "; ".join(_change(name, before.get(name, "not given"), asked.get(name, "not given")) for name in sorted(differ))
        raise OfAnother(f"{folder} holds another backtest ({said}): ask the same, name another folder, or delete this one")
    return folder / STORE


def _compared(value: str | None) -> str | None:
    return value.rpartition(_DIGEST)[2] if value else value


def _change(name: str, before: str, now: str) -> str:
    was, is_ = (value.rpartition(_DIGEST)[0] or value for value in (before, now))
    return f"{name} was {was}, is {is_}" if was != is_ else f"{name}: {is_} is no longer what it was"


def resolved(folder: Path | None, name: str) -> str | None:
    """What the backtest in the folder was asked for under this name, if there is one."""
    try:
        return msgspec.json.decode((folder / ASKED).read_bytes(), type=dict[str, str]).get(name) if folder else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
