"""Three ways into one: what we wrote before, what we want now, and what stands there. What a person changed is left alone."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from receiver.model import Remembered


class Merged(NamedTuple):
    """Fields to write with their values, and the names of all that persons have taken over."""

    write: dict[str, Any]
    theirs: tuple[str, ...]


def merge(wanted: Mapping[str, Any], seen: Mapping[str, Any], memory: Remembered) -> Merged:
    """What has to be written so that every field of ours is as wanted. One that was never written is filled where it is empty, and
    what is not even there is made anew.

    A list is merged by its members: those of persons stay, those that a person took out are not put in again.
    """
    write, theirs = {}, set(memory.theirs)
    for name, value in wanted.items():
        if name in theirs:
            continue
        there = seen.get(name)
        if isinstance(value, list):
            before = [member for list_ in _ours(name, memory) for member in list_]
            members = _members(value, there or [], memory.written.get(name) or [], before)
            if members != (there or []):
                write[name] = members
        elif there == value:
            continue
        elif name not in seen or there in (ours := _ours(name, memory)) or (not ours and is_empty(there)):
            write[name] = value
        else:
            theirs.add(name)
    return Merged(write, tuple(sorted(theirs)))


def remembered(written: Mapping[str, Any], ours: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """What we wrote, after `ours`: also fields that are not wanted for a while, and members that a person took out."""
    found = dict(written)
    for name, value in ours.items():
        before, there = written.get(name), seen.get(name) or []
        taken_out = [one for one in before if one not in there and one not in value] if isinstance(before, list) else []
        found[name] = [*value, *taken_out] if isinstance(value, list) else value
    return found


def _ours(name: str, memory: Remembered) -> list[Any]:
    return [*([memory.written[name]] if name in memory.written else []), *memory.begun.get(name, [])]


def _members(wanted: list[Any], there: list[Any], written: list[Any], ours: list[Any]) -> list[Any]:
    """In the order in which they stand there, what is new at the end."""
    taken_out = [one for one in written if one not in there]
    kept = [one for one in there if one in wanted or one not in ours]
    return kept + [one for one in wanted if one not in kept and one not in taken_out]


def is_empty(value: Any) -> bool:
    return value is None or value == "" or value == []
