"""What is under equipment, and what is known of it: asked level by level and in batches, for all incidents of a tick together.

A fault belongs to the unit it was found at: it keeps others from no conclusion.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from receiver.catalogue.inputs import EQUIPMENT_UP, UNDER_EQUIPMENT
from receiver.catalogue.topology import OVERLAP, PARENT, SAVED, Declared
from receiver.observation.prometheus import Prometheus, QueryFailed, Sample, any_of

MOST_LEVELS = 16
"""Levels of equipment under one that is asked for."""

MOST_UNITS = 1_000_000
"""Units looked at in a tick, all incidents together."""

MOST_NAME_BYTES = 1024 * 1024
"""Of a query, given to the names in it."""

MOST_SERIES = 100_000
"""Aimed at in one answer: some 20 MiB, a third of what is refused."""

UNSIZED = 100
"""So many units are asked for what is under them without asking first how much that is."""


class Tree:
    """The facts by unit. `users`, `counted_in` (say lines) and `saved` by service first.

    `declared_users`: which counts are from the configuration. `up`: the units known to work, where it was asked (`learn_working`).

    There may be a million units, and every answer makes the garbage collector look through all lists and sets there are. It passes
    by dicts and tuples that hold nothing but texts and numbers, so here the large ones are such.
    """

    def __init__(self, prometheus: Prometheus, label: str, declared: Declared) -> None:
        self._prometheus, self.label, self._declared = prometheus, label, declared
        self.parents: dict[str, str] = {}
        self.children: dict[str, tuple[str, ...]] = {}
        self.users: dict[str, dict[str, int]] = defaultdict(dict)
        self.counted_in: dict[str, dict[str, str]] = defaultdict(dict)
        self.saved: dict[str, dict[str, int]] = defaultdict(dict)
        self.declared_users: dict[str, set[str]] = defaultdict(set)
        self.down: set[str] = set()
        self.up: dict[str, None] = {}
        self.groups: dict[str, set[str]] = {}
        self._faults: dict[str, str] = {}
        self._count_faults: dict[str, dict[str, str]] = defaultdict(dict)
        self._by_declaration = {unit.name: unit for unit in declared.units}
        self._declared_children: dict[str, list[str]] = {}

    def structural_fault(self, names: Iterable[str]) -> str | None:
        """The first thing (by unit) that is wrong with the tree at `names`, or with what tells whether they work."""
        faulty = min((name for name in names if name in self._faults), default=None) if self._faults else None
        return None if faulty is None else self._faults[faulty]

    def count_fault(self, names: Iterable[str], service: str) -> str | None:
        """The same for what keeps their users of a service from being known."""
        faults = self._count_faults.get(service)
        faulty = min((name for name in names if name in faults), default=None) if faults else None
        return None if faulty is None or faults is None else faults[faulty]

    def walk(self, roots: Iterable[str]) -> None:
        """Fill in what is under `roots`, a level at a time."""
        self._place_declared()
        level = tuple(sorted(set(roots)))
        seen = dict.fromkeys(level)
        for _ in range(MOST_LEVELS + 1):
            below: dict[str, None] = {}
            pending = list(self._level_batches(level))
            for number, batch in enumerate(pending):
                below.update((child, None) for child in self._below(batch) if child not in seen)
                if len(seen) + len(below) > MOST_UNITS:
                    # what was not walked over is not known whole
                    rest = [*below, *(name for later in pending[number + 1 :] for name in later)]
                    self._blame(rest, f"more than {MOST_UNITS:,} units are under what failed: give {UNDER_EQUIPMENT} higher up")
                    return
            level = tuple(sorted(below))
            seen.update(below)
            if not level:
                return

    def learn_users(self, names: Sequence[str], services: AbstractSet[str]) -> None:
        """All users under the units, by service. Several series of one unit are parts of its number."""
        its = f"service=~{any_of(services)}"
        wanted = dict.fromkeys(names)
        for batch, samples in self._about(names, UNDER_EQUIPMENT, its):
            if isinstance(samples, QueryFailed):
                self._blame_counts(batch, services, str(samples))
                continue
            self._add_counts(samples, wanted, services)
        for name in self._by_declaration.keys() & wanted.keys():
            for service, users in self._by_declaration[name].users.items():
                if service in services and name not in self.users[service]:
                    self.users[service][name] = users
                    self.declared_users[service].add(name)

    def learn_saved(self, names: Sequence[str], services: AbstractSet[str]) -> None:
        """Of them, those whom redundancy saves."""
        wanted = dict.fromkeys(names)
        for batch, samples in self._about(names, SAVED, f"service=~{any_of(services)}"):
            if isinstance(samples, QueryFailed):
                self._blame_counts(batch, services, str(samples))
                continue
            for sample in samples:
                service, name = sample.labels.get("service", ""), sample.labels.get(self.label, "")
                if name in wanted and service in services:
                    if (saved := whole(sample)) is None:
                        self._blame_counts([name], [service], no_count(sample))
                    else:
                        self.saved[service][name] = self.saved[service].get(name, 0) + saved
        for name in self._by_declaration.keys() & wanted.keys():
            for service, saved in self._by_declaration[name].saved.items():
                self.saved[service].setdefault(name, saved)

    def learn_state(self, names: Sequence[str]) -> None:
        """Which of them are down, which may share users, and which have two parents at once."""
        wanted = dict.fromkeys(names)
        for sample in self._samples(names, wanted, EQUIPMENT_UP, condition=" != 1"):
            name, up = sample.labels.get(self.label, ""), whole(sample)
            if up is None:
                self._blame([name], f"{shown(sample)} is {sample.value:g}: it must be 1 or 0")
            elif up == 0:
                self.down.add(name)
        for sample in self._samples(names, wanted, OVERLAP):
            name = sample.labels.get(self.label, "")
            if sample.value != 1:
                self._blame([name], f"{shown(sample)} is {sample.value:g}: it must be 1")
            self.groups.setdefault(name, set()).add(sample.labels.get("group", ""))
        for name in self._by_declaration.keys() & wanted.keys():
            if groups := self._by_declaration[name].overlaps:
                self.groups.setdefault(name, set(groups))
        self._find_two_parents(names, wanted)

    def learn_working(self, names: Sequence[str]) -> None:
        """Which of them say that they work. For `learn_state` to be asked first: it is that which finds what is no state."""
        wanted = dict(zip(names, names, strict=True))  # each name is kept once: an answer has its own copies
        for sample in self._samples(names, wanted, EQUIPMENT_UP, condition=" == 1"):
            self.up[wanted[sample.labels[self.label]]] = None

    def _find_two_parents(self, names: Sequence[str], wanted: Container[str]) -> None:
        """Also where only one of the parents was walked over."""
        # of many units the whole network is asked: the answer is short in any case
        edges = f"{PARENT}{{{self.label}=~{any_of(names)}}}" if _fit(names) else PARENT
        answer = self._ask(f"count by ({self.label}) (group by ({self.label}, parent) ({edges})) > 1")
        if isinstance(answer, QueryFailed):
            self._blame(names, str(answer))
            return
        for sample in answer:
            if (name := sample.labels.get(self.label, "")) in wanted and sample.value > 1:
                self._blame_parents(name)

    def _place_declared(self) -> None:
        """Hang declared units under their declared parents, save those of which metrics know another."""
        placed = [unit for unit in self._declared.units if unit.parent is not None]
        known: set[str] = set()
        for batch in batches(sorted({unit.name for unit in placed})):
            samples = self._ask(f"{PARENT}{{{self.label}=~{any_of(batch)}}}")
            if isinstance(samples, QueryFailed):
                self._blame(batch, str(samples))
                continue
            known.update(sample.labels.get(self.label, "") for sample in samples)
        for unit in placed:
            if unit.name not in known:
                self._declared_children.setdefault(unit.parent or "", []).append(unit.name)

    def _level_batches(self, level: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The units of a level that have others under them, so many at once that the answer is not too large."""
        if len(level) <= UNSIZED:
            yield from batches(level)
            return
        edges = f"{PARENT}{{parent=~{any_of(level)}}}" if _fit(level) else PARENT
        answer = self._ask(f"count by (parent) ({edges})")
        if isinstance(answer, QueryFailed):
            self._blame(level, str(answer))
            return
        sizes = {sample.labels.get("parent", ""): sample.value for sample in answer}
        for batch in batches([name for name in level if name in sizes or name in self._declared_children]):
            part: list[str] = []
            series = 0.0
            for name in batch:
                its = sizes.get(name, 0)
                if part and series + its > MOST_SERIES:
                    yield tuple(part)
                    part, series = [], 0
                part.append(name)
                series += its
            yield tuple(part)

    def _below(self, batch: Sequence[str]) -> list[str]:
        """The units right under those of `batch`, each hung under its parent."""
        samples = self._ask(f"{PARENT}{{parent=~{any_of(batch)}}}")
        if isinstance(samples, QueryFailed):
            self._blame(batch, str(samples))
            return []
        above = dict(zip(batch, batch, strict=True))  # each name is kept once: an answer has its own copies
        found: list[str] = []
        for sample in samples:
            parent, child = above.get(sample.labels.get("parent", "")), sample.labels.get(self.label, "")
            if parent is None:
                continue
            if sample.value != 1:
                self._blame([parent], f"{shown(sample)} is {sample.value:g}: it must be 1")
            elif not child:
                self._blame([parent], f"{shown(sample)} has no label {self.label}")
            elif self.parents.setdefault(child, parent) == parent:
                found.append(child)
            else:
                self._blame_parents(child, parent)
        for parent in batch:
            for child in self._declared_children.get(parent, ()):
                self.parents.setdefault(child, parent)
                found.append(child)
        found = sorted(set(found))  # a pair of exporters tells of each twice
        under: dict[str, list[str]] = defaultdict(list)
        for child in found:
            under[self.parents[child]].append(child)
        self.children.update((parent, tuple(its)) for parent, its in under.items())
        return found

    def _samples(self, names: Sequence[str], wanted: Container[str], series: str, condition: str = "") -> Iterator[Sample]:
        for batch, samples in self._about(names, series, condition=condition):
            if isinstance(samples, QueryFailed):
                self._blame(batch, str(samples))
            else:
                yield from (sample for sample in samples if sample.labels.get(self.label, "") in wanted)

    def _about(
        self, names: Sequence[str], series: str, matcher: str = "", condition: str = ""
    ) -> Iterator[tuple[Sequence[str], list[Sample] | QueryFailed]]:
        """What a series says of the units: by their names, or whole where it is shorter than the list of the names."""
        if not _fit(names):
            everything = f"{series}{{{matcher}}}{condition}" if matcher else f"{series}{condition}"
            size = self._ask(f"count({everything})")
            if isinstance(size, QueryFailed):
                yield names, size
                return
            if sum(sample.value for sample in size) <= min(MOST_SERIES, len(names)):
                yield names, self._ask(everything)
                return
        for batch in batches(names):
            matchers = ",".join(filter(None, [matcher, f"{self.label}=~{any_of(batch)}"]))
            yield batch, self._ask(f"{series}{{{matchers}}}{condition}")

    def _add_counts(self, samples: Iterable[Sample], wanted: Container[str], services: AbstractSet[str]) -> None:
        for sample in samples:
            service, name = sample.labels.get("service", ""), sample.labels.get(self.label, "")
            if name not in wanted or service not in services:
                continue
            users, unit, known = whole(sample), sample.labels.get("unit", ""), self.users[service]
            if users is None:
                self._blame_counts([name], [service], no_count(sample))
                continue
            its_unit = self.counted_in[service].setdefault(name, sys.intern(unit))
            if its_unit != unit:
                wrong = f"{shown_text(name)}: users of {service} are counted in several units, which cannot be added"
                self._blame_counts([name], [service], wrong)
            known[name] = known.get(name, 0) + users

    def _ask(self, query: str) -> list[Sample] | QueryFailed:
        try:
            return self._prometheus.instant(query)
        except QueryFailed as error:
            of = re.search(r"art58:\w+", query)
            return QueryFailed(f"{of[0] if of else query}: {error}")

    def _blame(self, names: Iterable[str], wrong: str) -> None:
        for name in names:
            # of several the same one whatever their order
            self._faults[name] = min(self._faults.get(name, wrong), wrong)

    def _blame_counts(self, names: Iterable[str], services: Iterable[str], wrong: str) -> None:
        for service in services:
            faults = self._count_faults[service]
            for name in names:
                faults[name] = min(faults.get(name, wrong), wrong)

    def _blame_parents(self, child: str, *parents: str) -> None:
        self._blame([child, *parents], f"{shown_text(child)} has more than one parent at once: see {PARENT}")


def _fit(names: Sequence[str]) -> bool:
    """Whether one query takes all the names."""
    return 4 * sum(map(len, names)) + len(names) <= MOST_NAME_BYTES


def batches(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The names in their order, so many at once that a query with them is no longer than MOST_NAME_BYTES."""
    batch: list[str] = []
    room = MOST_NAME_BYTES
    for name in names:
        longest = 4 * len(name) + 1  # escaped twice, or beyond ASCII: no letter takes more
        if batch and longest > room:
            yield tuple(batch)
            batch, room = [], MOST_NAME_BYTES
        batch.append(name)
        room -= longest
    if batch:
        yield tuple(batch)


def whole(sample: Sample) -> int | None:
    """Its value where it is a whole number that is not negative."""
    value = sample.value
    return int(value) if value >= 0 and value.is_integer() else None


def no_count(sample: Sample) -> str:
    return f"{shown(sample)} is {sample.value:g}: it must be a whole number that is not negative"


def shown(sample: Sample) -> str:
    """The series as PromQL writes it, fit for a log line and a page."""
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()) if name != "__name__")
    return shown_text(f"{sample.labels.get('__name__', '')}{{{labels}}}")


def shown_text(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)[:200]
