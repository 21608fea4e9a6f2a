"""What is above equipment: the chain of parents of each name, asked level by level for all of them together.

A fault ends the chain of the unit it was found at: equipment is related to nothing by a link that cannot be right.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from receiver.catalogue.topology import PARENT, Declared
from receiver.observation.equipment_tree import MOST_LEVELS, batches
from receiver.observation.prometheus import Prometheus, QueryFailed, any_of

LONGEST_NAME = 500
"""As of declared equipment: a longer one is no name, and is not asked for."""


class Ancestors(msgspec.Struct, frozen=True):
    """`parents` of every name met on the way up; None: it was asked, and nothing is above it that can be told.

    `problem`: a query failed, so nothing is told, and it is to be asked again.
    """

    parents: dict[str, str | None] = {}
    problem: str | None = None


def observe(prometheus: Prometheus, label: str, names: Iterable[str], declared: Declared) -> Ancestors:
    """The parents of `names`, the parents of these, and so on, up to MOST_LEVELS. Metrics win over what is declared. Never raises.

    One query for each level (several where the names are too many for one). Two parents at once, a circle, or a link that is not 1:
    the unit has none.
    """
    by_declaration = {unit.name: unit.parent for unit in declared.units}
    parents: dict[str, str | None] = {}
    level = {name for name in names if _is_name(name)}
    for _ in range(MOST_LEVELS):
        try:
            told = _told(prometheus, label, sorted(level))
        except QueryFailed as error:
            return Ancestors(problem=f"{PARENT}: {error}")
        parents |= {name: _only(told[name]) if name in told else by_declaration.get(name) for name in level}
        level = {above for name in level if (above := parents[name]) is not None} - parents.keys()
        if not level:
            break
    return Ancestors(parents | dict.fromkeys((*level, *_in_circles(parents)), None))


def _told(prometheus: Prometheus, label: str, names: Sequence[str]) -> dict[str, set[str | None]]:
    """The parents of those of `names` of which metrics know any; None for one that is no parent."""
    wanted, told = set(names), dict[str, set[str | None]]()
    for batch in batches(names):
        for sample in prometheus.instant(f"{PARENT}{{{label}=~{any_of(batch)}}}"):
            name, parent = sample.labels.get(label, ""), sample.labels.get("parent", "")
            if name in wanted:
                told.setdefault(name, set()).add(parent if sample.value == 1 and _is_name(parent) else None)
    return told


def _only(parents: AbstractSet[str | None]) -> str | None:
    return next(iter(parents)) if len(parents) == 1 else None


def _is_name(text: str) -> bool:
    # PostgreSQL keeps no NUL
    return 0 < len(text) <= LONGEST_NAME and "\0" not in text


def _in_circles(parents: dict[str, str | None]) -> set[str]:
    """Those whose parents lead back to themselves. Every name is walked over once."""
    settled: set[str] = set()
    circles: set[str] = set()
    for name in parents:
        path: dict[str, int] = {}
        above: str | None = name
        while above is not None and above not in settled and above not in path:
            path[above] = len(path)
            above = parents.get(above)
        if above in path:
            circles.update(list(path)[path[above] :])
        settled.update(path)
    return circles
