"""Where equipment stands in the network, for networks small enough to write it down; the same facts come in bulk from metrics."""

from collections.abc import Set as AbstractSet
from typing import Annotated

import msgspec
from msgspec import Meta

PARENT = "art58:equipment_parent"
SAVED = "art58:users_saved"
OVERLAP = "art58:equipment_overlap"

# no control characters: names go into comments of PromQL, which end with the line
_Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,500}\Z")]
_Users = dict[str, Annotated[int, Meta(ge=0)]]


class DeclaredUnit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One piece of equipment. Where metrics say something else of it, they win."""

    name: Annotated[_Name, Meta(description="as alerts and series name it")]
    parent: Annotated[_Name | None, Meta(description="the equipment above it: its users are among that one's")] = None
    users: Annotated[_Users, Meta(description="all users under it, by service, e.g. {voice: 20000}")] = {}
    saved: Annotated[
        _Users, Meta(description="those of them who do not suffer when it fails, thanks to redundancy or route diversity")
    ] = {}
    overlaps: Annotated[
        tuple[_Name, ...], Meta(description="groups it is in: equipment of one group, under the same parent, may share users")
    ] = ()


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The equipment of a small network."""

    units: Annotated[tuple[DeclaredUnit, ...], Meta(description="every piece of equipment, in any order")] = ()
    cause_labels: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$(?!\n)")], ...],
        Meta(description="labels of alerts that name what they share, e.g. [ring, power_feed]: the same value is the same cause"),
    ] = ()


_Complaint = tuple[tuple[str | int, ...], str, str]


def complaints(declared: Declared, services: AbstractSet[str]) -> list[_Complaint]:
    """What types alone cannot say: each unit once, parents that are there and form a tree, figures that can be.

    `services`: the names in the catalogue. Where (key path), what is wrong, what to do.
    """
    found: list[_Complaint] = []
    parents: dict[str, str | None] = {}
    for unit in declared.units:
        parents.setdefault(unit.name, unit.parent)
    seen: set[str] = set()
    in_circle = _in_circle(parents)
    under: dict[str, str | None] = {}
    for number, unit in enumerate(declared.units):
        at: tuple[str | int, ...] = ("equipment", "units", number)
        if unit.name in seen:
            found.append(((*at, "name"), f"{unit.name!r} is given twice", "Give every equipment once, with all its facts"))
            continue
        seen.add(unit.name)
        if unit.parent is not None and unit.parent not in parents:
            cure = "Give it a unit of its own here, or correct the name"
            found.append(((*at, "parent"), f"{unit.parent!r} is no equipment of this list", cure))
        elif unit.name in in_circle:
            cure = "Leave out the parent of the one that is above the others"
            found.append(((*at, "parent"), f"the parents of {unit.name!r} lead back to it", cure))
        found += _figure_complaints(unit, at, services)
        for place, group in enumerate(unit.overlaps):
            if under.setdefault(group, unit.parent) != unit.parent:
                wrong = f"others of the group {group!r} have another parent"
                found.append(((*at, "overlaps", place), wrong, "Put the equipment above them, under one parent, into the group"))
    return found


def _figure_complaints(unit: DeclaredUnit, at: tuple[str | int, ...], services: AbstractSet[str]) -> list[_Complaint]:
    found: list[_Complaint] = []
    cure = "Describe it under services, or correct it"
    for key, figures in (("users", unit.users), ("saved", unit.saved)):
        found += [((*at, key, name), f"{name!r} is no service of the catalogue", cure) for name in figures if name not in services]
    for name, saved in unit.saved.items():
        if name in unit.users and saved > unit.users[name]:
            wrong = f"{saved} are more than its {unit.users[name]} users"
            found.append(((*at, "saved", name), wrong, "Give those of its users who do not suffer when it fails"))
    return found


def _in_circle(parents: dict[str, str | None]) -> set[str]:
    """The names whose parents lead back to themselves. Every name is walked over once."""
    settled: set[str] = set()
    circles: set[str] = set()
    for name in parents:
        path: dict[str, int] = {}
        above: str | None = name
        while above is not None and above in parents and above not in settled and above not in path:
            path[above] = len(path)
            above = parents[above]
        if above in path:
            circles.update(list(path)[path[above] :])
        settled.update(path)
    return circles
