"""Users under equipment of any size: its own count, else those of the failed units under it by the law's rule on several units."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from receiver.catalogue.inputs import EQUIPMENT_UP, UNDER_EQUIPMENT
from receiver.catalogue.topology import PARENT, SAVED, Declared
from receiver.law.estimate import WrongFigure
from receiver.law.provisions import Text
from receiver.law.topology import Total, Unit, WrongTopology, total
from receiver.observation.equipment_tree import MOST_LEVELS, MOST_NAME_BYTES, Tree, shown_text
from receiver.observation.prometheus import Prometheus, any_of, quoted

_NOTHING_DECLARED = Declared()

MOST_NAMED = 50
"""The evidence names so many units; of more it asks for all that are as far below."""


class Wanted(msgspec.Struct, frozen=True):
    """A question: the users of a service whom the failure of `roots`, of one cause, hits."""

    service: str
    roots: frozenset[str]


class Found(msgspec.Struct, frozen=True):
    """The answer. `total` is None where nothing is known (`why_not`) or nothing may be concluded (`problem`).

    `saved`: users under failed units whom redundancy saved. `units`: how many were looked at, the roots included; `failed` of them
    are known to have failed. Of how many nobody knows is a `problem`: they may have failed as well.
    `unit`: what users are counted in, as the series say. `query`: PromQL that shows the counts, several joined by "; ".
    """

    total: Total | None
    saved: int
    units: int
    failed: int
    unit: str
    query: str
    problem: str | None = None
    why_not: Text | None = None


def observe(
    prometheus: Prometheus,
    wanted: Iterable[Wanted],
    *,
    equipment_label: str = "equipment",
    emergency_voice: AbstractSet[str] = frozenset(),
    declared: Declared = _NOTHING_DECLARED,
) -> dict[Wanted, Found]:
    """Answer all questions of a tick together: each level of the network costs one query, or a few. Never raises.

    Equipment with a count of its own has the users of that count. Of other equipment the failed units under it are totalled: all
    where it is down itself, else those that are, if it is known that the others work. Units of several roots are totalled together.
    `emergency_voice`: services of which users saved by redundancy count as well.
    """
    tree = Tree(prometheus, equipment_label, declared)
    asked = sorted(set(wanted), key=lambda one: (one.service, sorted(one.roots)))
    found = {one: unanswerable for one in asked if (unanswerable := _unanswerable(one))}
    asked = [one for one in asked if one not in found]
    if not asked:
        return found
    services = {one.service for one in asked}
    named = sorted({root for one in asked for root in one.roots})
    tree.learn_users(named, services)
    # its own count is enough; of several roots it must be known which lies above which
    counted = {one for one in asked if len(one.roots) == 1 and one.roots <= tree.users[one.service].keys()}
    to_walk = {one.roots for one in asked if one not in counted}
    if to_walk:
        tree.walk({root for roots in to_walk for root in roots})
    reached = {roots: _reach(tree, roots) for roots in sorted(to_walk, key=sorted)}
    units = tuple(sorted({name for names in reached.values() if not isinstance(names, str) for name in names}))
    if units:
        already = set(named)
        tree.learn_users(tuple(name for name in units if name not in already), services)
        tree.learn_state(units)
        walked = {one: reached[one.roots] for one in asked if one not in counted}
        _learn_working(tree, {one: names for one, names in walked.items() if not isinstance(names, str)})
    others = {root for one in counted for root in one.roots}.difference(units)
    tree.learn_saved(tuple(sorted([*units, *others])), services)
    for one in asked:
        names = tuple(one.roots) if one in counted else reached[one.roots]
        if isinstance(names, str):
            found[one] = _without_total(one, names)
        else:
            problem = None if one in counted else tree.structural_fault(names)
            found[one] = _without_total(one, problem, len(names)) if problem else _answer(tree, one, names, emergency_voice)
    return found


def _unanswerable(one: Wanted) -> Found | None:
    """The empty name is never asked for: a matcher for it fits every series that has no such label."""
    if "" in one.roots or not one.roots:
        return _without_total(one, why_not=Text("設備名がない", "no equipment is named"))
    if any(4 * len(root) >= MOST_NAME_BYTES for root in one.roots):
        return _without_total(one, "the name of the equipment is too long to be asked for: correct the alert's label")
    return None


def _without_total(
    one: Wanted, problem: str | None = None, units: int = 0, failed: int = 0, query: str = "", why_not: Text | None = None
) -> Found:
    return Found(None, 0, units, failed, "", query, problem, why_not)


def _reach(tree: Tree, roots: AbstractSet[str]) -> tuple[str, ...] | str:
    """The units at and under `roots`, parents first; or what is wrong with the tree."""
    level = sorted(root for root in roots if not _is_under(tree, root, roots))
    names: list[str] = []
    for _ in range(MOST_LEVELS + 1):
        names += level
        level = [child for name in level for child in tree.children.get(name, ())]
    if level:
        return f"{shown_text(level[0])} lies more than {MOST_LEVELS} levels under the equipment that failed"
    if lost := roots - set(names):
        return f"{shown_text(min(lost))}: its parents lead in a circle: see {PARENT}"
    return tree.structural_fault(names) or tuple(names)


def _is_under(tree: Tree, root: str, roots: AbstractSet[str]) -> bool:
    """Whether a way up from it leads to one of `roots`; in a circle to itself."""
    passed = {root}
    above = tree.parents.get(root)
    while above is not None and above not in roots and above not in passed:
        passed.add(above)
        above = tree.parents.get(above)
    return above in roots


def _hit(tree: Tree, one: Wanted, names: Sequence[str]) -> set[str]:
    """The failed units of `names` (parents first).

    A root with a count has failed, and whoever is under it is in that count. Under a failed unit without a count all have failed.
    """
    users, down, parents, roots = tree.users[one.service], tree.down, tree.parents, one.roots
    hit: set[str] = set()
    all_under: set[str] = set()
    in_count: set[str] = set()
    for name in names:
        parent, is_counted = parents.get(name), name in users
        if name in roots and is_counted:
            hit.add(name)
            in_count.add(name)
            continue
        if name not in roots and parent in in_count:
            in_count.add(name)
        elif name in down or parent in all_under:
            hit.add(name)
            if not is_counted:
                all_under.add(name)
    return hit


def _learn_working(tree: Tree, walked: Mapping[Wanted, Sequence[str]]) -> None:
    """Ask which units work where that matters: first those with others under them, since their word holds for these as well."""
    hits = {one: _hit(tree, one, names) for one, names in walked.items() if not one.roots <= tree.down}
    for have_others_under in (True, False):
        asked: set[str] = set()
        for one, hit in hits.items():
            silent = _silent(tree, walked[one], hit)
            if with_users := {name for name in silent if _has_users(tree, one.service, name)}:
                asked |= tree.children.keys() & silent if have_others_under else with_users - tree.children.keys()
        if asked:
            tree.learn_working(tuple(sorted(asked)))


def _silent(tree: Tree, names: Iterable[str], hit: AbstractSet[str]) -> list[str]:
    """The units of `names` (parents first) of which nobody tells whether they work: they do not, and nothing above them does."""
    told: set[str] = set()
    silent = []
    for name in names:
        if name in hit or name in tree.up or tree.parents.get(name) in told:
            told.add(name)
        else:
            silent.append(name)
    return silent


def _has_users(tree: Tree, service: str, name: str) -> bool:
    """Whether it may have some: a number that cannot be read is no zero."""
    return tree.users[service].get(name, 0) > 0 or tree.count_fault((name,), service) is not None


def _unknown(tree: Tree, one: Wanted, names: Sequence[str], hit: AbstractSet[str]) -> str | None:
    """Of how many units with users it is not known whether they work: a total of those that failed would take them for working."""
    silent = sum(_has_users(tree, one.service, name) for name in _silent(tree, names, hit))
    if not silent:
        return None
    under, they_work = len(names) - len(one.roots), "it works" if silent == 1 else "they work"
    return (
        f"of {silent:,} of the {under:,} unit{'' if under == 1 else 's'} under {shown_text(', '.join(sorted(one.roots)))} "
        f"nobody tells whether {they_work}: give {EQUIPMENT_UP}"
    )


def _concerned(tree: Tree, names: Sequence[str], hit: AbstractSet[str]) -> list[str]:
    """The failed units and those above them, parents first: the others give the tree no shape that matters."""
    leading: set[str | None] = set()
    concerned = []
    for name in reversed(names):
        if name in hit or name in leading:
            concerned.append(name)
            leading.add(tree.parents.get(name))
    concerned.reverse()
    return concerned


def _answer(tree: Tree, one: Wanted, names: Sequence[str], emergency_voice: AbstractSet[str]) -> Found:
    users, saved = tree.users[one.service], tree.saved[one.service]
    hit = _hit(tree, one, names)
    concerned = _concerned(tree, names, hit)
    looked_at = f"{UNDER_EQUIPMENT}{{service={quoted(one.service)},{_picked(tree.label, sorted(one.roots))}}}"
    if problem := tree.count_fault({*concerned, *one.roots}, one.service):
        return _without_total(one, problem, len(names), len(hit), looked_at)
    uncounted = min((name for name in hit if name in saved and name not in users), default=None)
    if uncounted is not None:
        wrong = f"{shown_text(uncounted)}: {SAVED} says {saved[uncounted]}, but {UNDER_EQUIPMENT} has nothing: give both"
        return _without_total(one, wrong, len(names), len(hit), looked_at)
    unknown = _unknown(tree, one, names, hit)
    if why_not := _why_not(one, names, hit, users):
        return _without_total(one, unknown, len(names), len(hit), looked_at, None if unknown else why_not)
    its = tree.counted_in[one.service]
    counted_in = {its[name] for name in hit if name in its} - {""}
    if len(counted_in) > 1:
        wrong = f"users of {one.service} are counted in {shown_text(', '.join(sorted(counted_in)))}: they cannot be added"
        return _without_total(one, wrong, len(names), len(hit), looked_at)
    inside = set(concerned)
    units = []
    for name in concerned:
        parent, number = tree.parents.get(name), users.get(name, 0)
        units.append(
            Unit(name, number, parent if parent in inside else None, name in hit, saved.get(name, 0) if name in users else 0)
        )
    try:
        whole = total(units, _overlaps(tree, concerned), emergency_voice=one.service in emergency_voice)
    except (WrongFigure, WrongTopology) as error:
        return _without_total(one, shown_text(str(error)), len(names), len(hit), looked_at)
    spared = _saved(tree, one.service, concerned, hit)
    query = _evidence(tree, one, names, hit, whole.units, with_saved=spared > 0)
    return Found(None if unknown else whole, spared, len(names), len(hit), min(counted_in, default=""), query, unknown)


def _why_not(one: Wanted, names: Sequence[str], hit: AbstractSet[str], users: Mapping[str, object]) -> Text | None:
    if not users.keys().isdisjoint(hit):
        return None
    roots, under = shown_text(", ".join(sorted(one.roots))), len(names) - len(one.roots)
    if users.keys().isdisjoint(names):
        return Text(
            f"{roots}にも、その配下の設備{under:,}台にも、{one.service}の利用者数がない",
            f"no number of users of {one.service} is known of {roots}, nor of the {under:,} units under it",
        )
    return Text(
        f"{roots}とその配下の設備{under:,}台に、利用者数が分かり故障しているものがない",
        f"of {roots} and the {under:,} units under it none with a number of users of {one.service} is known to have failed",
    )


def _overlaps(tree: Tree, concerned: Iterable[str]) -> list[list[str]]:
    members: dict[str, list[str]] = defaultdict(list)
    for name in concerned:
        for group in tree.groups.get(name, ()):
            members[group].append(name)
    return [members[group] for group in sorted(members) if len(members[group]) > 1]


def _saved(tree: Tree, service: str, concerned: Iterable[str], hit: AbstractSet[str]) -> int:
    """Users saved under failed units with a count; what is under another such unit is in its figure."""
    users, saved = tree.users[service], tree.saved[service]
    if not saved:
        return 0
    spared, below = 0, set()
    for name in concerned:
        is_within = tree.parents.get(name) in below
        if name in hit and name in users and not is_within:
            spared += saved.get(name, 0)
        if is_within or (name in hit and name in users):
            below.add(name)
    return spared


def _evidence(
    tree: Tree, one: Wanted, names: Sequence[str], hit: AbstractSet[str], chosen: Sequence[str], *, with_saved: bool
) -> str:
    """PromQL that shows the counts in the total, and what the configuration gave to it."""
    declared = tree.declared_users[one.service]
    picked = [name for name in chosen if name not in declared]
    # those saved as a whole are not in the total, but they explain it
    shown = picked or [name for name in sorted(hit) if name in tree.users[one.service] and name not in declared]
    queries = []
    if shown:
        its = f"service={quoted(one.service)}"
        if len(shown) <= MOST_NAMED:
            matchers, under = f"{{{its},{_picked(tree.label, shown)}}}", ""
        else:
            matchers, under = f"{{{its}}}", _all_so_far_below(tree, one, names, hit, shown)
        queries = [f"{series}{matchers}{under}" for series in ([UNDER_EQUIPMENT, SAVED] if with_saved else [UNDER_EQUIPMENT])]
    if from_file := [name for name in chosen if name in declared]:
        users = sum(tree.users[one.service][name] for name in from_file)
        more = f" and {len(from_file) - MOST_NAMED:,} more" if len(from_file) > MOST_NAMED else ""
        queries.append(f"vector({users}) # in the configuration: {', '.join(from_file[:MOST_NAMED])}{more}")
    return "; ".join(queries)


def _picked(label: str, names: Sequence[str]) -> str:
    return f"{label}={quoted(names[0])}" if len(names) == 1 else f"{label}=~{any_of(names)}"


def _all_so_far_below(tree: Tree, one: Wanted, names: Sequence[str], hit: AbstractSet[str], shown: Sequence[str]) -> str:
    """PromQL that leaves the units as many levels under the roots as those shown; only failed ones where others work."""
    depths: dict[str, int] = {}
    for name in names:
        depths[name] = depths.get(tree.parents.get(name, ""), -1) + 1
    shown_depths = {depths[name] for name in shown}
    roots = [name for name in names if depths[name] == 0]
    ways = [f"{PARENT}{{{_picked('parent', roots)}}}"]
    for _ in range(max(shown_depths)):
        ways.append(f'{PARENT} and on (parent) label_replace({ways[-1]}, "parent", "$1", "{tree.label}", "(?s)(.+)")')
    below = [ways[depth - 1] for depth in sorted(shown_depths) if depth]
    if 0 in shown_depths:
        below.append(f"{UNDER_EQUIPMENT}{{{_picked(tree.label, roots)}}}")
    query = f" and on ({tree.label}) ({' or '.join(below)})"
    others = any(name in tree.users[one.service] and name not in hit and depths[name] in shown_depths for name in names)
    return query + (f" and on ({tree.label}) ({EQUIPMENT_UP} == 0)" if others else "")
