"""How many users several units hit that failed for one cause at one time: the largest total over pairwise disjoint failed units.

Users under two failed units overlap -> the unit with the larger effect alone; they are disjoint -> both are added
(論点整理(案) R5.4.5, 論点(1)③). Units form a forest: the users of a unit are among those of its parent, siblings (and trees) are
disjoint unless an overlap says otherwise. All figures are of *one* service or function; different ones are never added together
to reach a threshold, and nothing here offers it.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from fractions import Fraction
from itertools import islice

import msgspec

from receiver.law.estimate import WrongFigure, exact, exact_text, people, shown, steps
from receiver.law.provisions import Provision, Text, guideline

SAME_CAUSE = guideline("same_cause")

MOST_TANGLED = 40
"""Units that overlap crosswise (A with B, B with C, …) are tried out, which takes exponential time: no more than this many."""


class WrongTopology(ValueError):
    """Units that form no forest, or overlaps that cannot be: doubled or unknown names, a circle, overlaps across parents."""


class TooTangled(WrongTopology):
    """More than MOST_TANGLED units overlap crosswise; declare them as one overlap, whose largest member counts."""


class Unit(msgspec.Struct, frozen=True):
    """A piece of equipment. `users`: all users under it, of one service.

    `saved_users`: those who did not suffer thanks to redundancy or route diversity; they do not count, except for voice with
    emergency calls. `effect`: the users hit as another method counted them (call loss, traffic difference), which may exceed
    `users`; None: all of `users` that were not saved. Only the failed ones count; the others give the tree its shape.
    """

    name: str
    users: int
    parent: str | None = None
    failed: bool = True
    saved_users: int = 0
    effect: int | Fraction | None = None


class Total(msgspec.Struct, frozen=True):
    """`users` is the integer to be judged: the largest total over pairwise disjoint failed units; whole users, the rest cut off.

    `raw` is the exact total (see `Estimate.raw`). `upper_bound` is the number of users in the union, or no less than it where only
    sizes are known: equal to `users` when nothing partly overlaps; else judge it, too. `units` make up the total, by name.
    """

    users: int
    raw: str
    upper_bound: int
    units: tuple[str, ...]
    formula: Text
    citation: Provision


def total(units: Sequence[Unit], overlaps: Iterable[Iterable[str]] = (), *, emergency_voice: bool = False) -> Total:
    """The users of failed units in a forest: max(parent, Σ children), from the leaves up. Linear in the number of units.

    `overlaps` are groups of siblings (or of roots) in which any two may share users, so that only one of them, or of what is
    under them, counts. A unit may be in several: then the best choice is sought among at most MOST_TANGLED units.
    `emergency_voice`: voice with emergency calls, where users saved by redundancy count as well.
    Raises WrongFigure, WrongTopology, TooTangled.
    """
    by_name = _checked(units)
    overlapping = _Overlaps(by_name, overlaps)
    children: dict[str | None, list[str]] = {}
    for unit in units:
        children.setdefault(unit.parent, []).append(unit.name)
    best: dict[str, Fraction | int] = {}
    most: dict[str, Fraction | int] = {}
    descend: dict[str | None, list[str]] = {}
    for name in _leaves_first(by_name, children):
        unit, hit = by_name[name], _hit(by_name[name], emergency_voice)
        best[name] = most[name] = hit
        if name not in children:
            continue
        below, chosen_below = overlapping.choose(children[name], best)
        union_below = sum(most[child] for child in children[name])
        if below > hit:
            best[name], descend[name] = below, chosen_below
        most[name] = _union_at_most(unit, hit, best[name], union_below)
    number, descend[None] = overlapping.choose(children.get(None, ()), best)
    chosen = _chosen(descend, best)
    return _as_total(number, {name: best[name] for name in chosen}, sum(most[root] for root in children.get(None, ())))


def total_of_sets(users_of: Mapping[str, AbstractSet[Hashable]]) -> Total:
    """The same from the user sets of the failed units themselves: overlaps are seen, and the upper bound is the exact union.

    For a few hundred units (every pair is compared); those whose users are saved are left out of the sets by the caller.
    Raises TooTangled.
    """
    names = sorted(users_of)
    neighbours: dict[str, set[str]] = {name: set() for name in names}
    for number, name in enumerate(names):
        for other in names[:number]:
            if not users_of[name].isdisjoint(users_of[other]):
                neighbours[name].add(other)
                neighbours[other].add(name)
    sizes: dict[str, Fraction | int] = {name: len(users_of[name]) for name in names}
    chosen = {name: sizes[name] for name in sorted(_independent(names, neighbours, sizes)) if sizes[name]}
    union = len(frozenset[Hashable]().union(*users_of.values()))
    return _as_total(sum(chosen.values()), chosen, union)


def _hit(unit: Unit, emergency_voice: bool) -> Fraction | int:
    if not unit.failed:
        return 0
    if unit.effect is not None:
        return unit.effect
    return unit.users if emergency_voice else unit.users - unit.saved_users


def _union_at_most(unit: Unit, hit: Fraction | int, number: Fraction | int, union_below: Fraction | int) -> Fraction | int:
    """An upper bound of the users hit by a unit (none if it works) or by what is under it."""
    if number <= unit.users:
        return min(unit.users, hit + union_below)
    # the counts contradict the tree, or an effect counts user-hours: only the sum bounds it
    return max(hit, union_below) if hit == unit.users else hit + union_below


def _checked(units: Sequence[Unit]) -> dict[str, Unit]:
    by_name: dict[str, Unit] = {}
    for unit in units:
        if unit.name in by_name:
            raise WrongTopology(f"{unit.name}: there are two units of this name")
        by_name[unit.name] = unit
        try:
            _check_figures(unit)
        except WrongFigure as wrong:
            raise WrongFigure(f"{unit.name}: {wrong}") from None
    for unit in units:
        if unit.parent is not None and unit.parent not in by_name:
            raise WrongTopology(f"{unit.name}: its parent {unit.parent} is unknown")
    return by_name


def _check_figures(unit: Unit) -> None:
    if people("saved_users", unit.saved_users) > people("users", unit.users):
        raise WrongFigure(f"saved_users: {unit.saved_users} are more than its {unit.users} users")
    if unit.effect is not None:
        if not isinstance(unit.effect, int | Fraction):
            raise WrongFigure(f"effect: {unit.effect!r} is neither an integer nor a Fraction")
        exact("effect", unit.effect)
        if unit.saved_users:
            raise WrongFigure("effect: leaves out who was saved already; give it or saved_users")


def _leaves_first(by_name: Mapping[str, Unit], children: Mapping[str | None, Sequence[str]]) -> list[str]:
    order = list(children.get(None, ()))
    for name in order:  # grows while it is read: parents before children
        order.extend(children.get(name, ()))
    if len(order) != len(by_name):
        circle = min(set(by_name) - set(order))
        raise WrongTopology(f"{circle}: its parents lead in a circle")
    order.reverse()
    return order


def _chosen(descend: Mapping[str | None, Sequence[str]], best: Mapping[str, Fraction | int]) -> list[str]:
    """From the roots down: the units whose own users make up the total."""
    pending, chosen = list(descend[None]), []
    while pending:
        name = pending.pop()
        if name in descend:
            pending.extend(descend[name])
        elif best[name]:
            chosen.append(name)
    return sorted(chosen)


class _Overlaps:
    """Which siblings may share users, and the best choice among siblings of which no two do."""

    def __init__(self, by_name: Mapping[str, Unit], overlaps: Iterable[Iterable[str]]) -> None:
        self.neighbours: dict[str, set[str]] = {}
        self.crowd_of: dict[str, str] = {}  # for members of a large group, its first: pairs would be too many
        for group in sorted({tuple(sorted(set(names))) for names in overlaps}):
            unknown = [name for name in group if name not in by_name]
            if unknown:
                raise WrongTopology(f"overlap of {', '.join(group)}: {unknown[0]} is unknown")
            if len({by_name[name].parent for name in group}) > 1:
                raise WrongTopology(f"overlap of {', '.join(group)}: they have different parents; name the units above them")
            if len(group) > MOST_TANGLED:
                if not self.crowd_of.keys().isdisjoint(group):
                    raise TooTangled(f"{group[0]} and others are in two overlaps of more than {MOST_TANGLED} units; declare one")
                self.crowd_of.update(dict.fromkeys(group, group[0]))
                continue
            for name in group:
                self.neighbours.setdefault(name, set()).update(other for other in group if other != name)
        both = sorted(name for name, others in self.neighbours.items() if others and name in self.crowd_of)
        if both:
            raise TooTangled(f"{both[0]}: is in an overlap of more than {MOST_TANGLED} units and in another; declare one")

    def choose(self, siblings: Sequence[str], best: Mapping[str, Fraction | int]) -> tuple[Fraction | int, list[str]]:
        if not self.neighbours and not self.crowd_of:
            return sum(best[name] for name in siblings), list(siblings)
        largest: dict[str, str] = {}
        tangled, chosen = [], []
        for name in siblings:
            crowd = self.crowd_of.get(name)
            if crowd is not None:
                largest[crowd] = min(largest.get(crowd, name), name, key=lambda each: (-best[each], each))
            elif self.neighbours.get(name):
                tangled.append(name)
            else:
                chosen.append(name)
        chosen += largest.values()
        chosen += _independent(sorted(tangled), self.neighbours, best)
        return sum(best[name] for name in chosen), chosen


def _independent(
    names: Sequence[str], neighbours: Mapping[str, AbstractSet[str]], sizes: Mapping[str, Fraction | int]
) -> list[str]:
    """The names of which no two are neighbours with the largest sum of sizes."""
    chosen: list[str] = []
    for component in _components(names, neighbours):
        if all(len(neighbours[name]) == len(component) - 1 for name in component):
            chosen.append(min(component, key=lambda name: (-sizes[name], name)))
        elif len(component) > MOST_TANGLED:
            raise TooTangled(f"{component[0]} and {len(component) - 1} more units overlap crosswise; declare them as one overlap")
        else:
            chosen.extend(_tried_out(component, neighbours, sizes))
    return chosen


def _components(names: Sequence[str], neighbours: Mapping[str, AbstractSet[str]]) -> list[list[str]]:
    """Names that hang together by neighbours, each group sorted."""
    left, components = set(names), []
    for name in names:
        if name not in left:
            continue
        left.discard(name)
        component = [name]
        for member in component:  # grows while it is read
            found = left & neighbours[member]
            left -= found
            component.extend(found)
        components.append(sorted(component))
    return components


def _tried_out(names: Sequence[str], neighbours: Mapping[str, AbstractSet[str]], sizes: Mapping[str, Fraction | int]) -> list[str]:
    """With and without the name that has most neighbours, and so on; what falls apart on the way is solved apart."""
    best: list[str] = []
    for component in _components(names, neighbours):
        inside = frozenset(component)
        pivot = max(component, key=lambda name: len(inside & neighbours[name]))
        if len(component) == 1:
            best.append(pivot)
            continue
        taken = [pivot, *_tried_out(sorted(inside - neighbours[pivot] - {pivot}), neighbours, sizes)]
        left_out = _tried_out(sorted(inside - {pivot}), neighbours, sizes)
        best.extend(max(taken, left_out, key=lambda each: sum(sizes[name] for name in each)))
    return best


def _as_total(number: Fraction | int, chosen: Mapping[str, Fraction | int], union: Fraction | int) -> Total:
    raw = Fraction(number)
    told = len(chosen) if len(chosen) <= 12 else 11
    shares = [f"{name} {shown(Fraction(size))}" for name, size in islice(chosen.items(), told)]
    if len(chosen) > told:
        shares.append(f"… ({len(chosen)})")
    sums = " + ".join(shares) + f" = {shown(raw)}" if shares else "0"
    upper = math.floor(union)
    parts = [Text(f"重複しない故障設備の合計の最大 {sums}", f"largest total over disjoint failed units: {sums}")]
    if upper != math.floor(raw):
        parts.append(
            Text(f"一部重複するため、和集合は最大 {upper:,}人", f"they may overlap in part: together no more than {upper:,} users")
        )
    return Total(math.floor(raw), exact_text(raw), upper, tuple(sorted(chosen)), steps(*parts), SAME_CAUSE)
