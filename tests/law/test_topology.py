"""Several units of one cause: disjoint users are added, overlapping ones counted once, and never more than there are people."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.estimate import WrongFigure
from receiver.law.topology import MOST_TANGLED, TooTangled, Total, Unit, WrongTopology, total, total_of_sets

Users = frozenset[int]


def figures(of: Total) -> tuple[int, int, tuple[str, ...]]:
    return of.users, of.upper_bound, of.units


def test_be_4_disjoint_units_are_added_and_of_nested_ones_the_larger_counts() -> None:
    assert figures(total([Unit("a", 20_000), Unit("b", 15_000)])) == (35_000, 35_000, ("a", "b"))
    assert figures(total([Unit("a", 20_000), Unit("b", 15_000, parent="a")])) == (20_000, 20_000, ("a",))


def test_be_4_from_the_users_themselves() -> None:
    a, b = frozenset(range(20_000)), frozenset(range(20_000, 35_000))
    assert figures(total_of_sets({"a": a, "b": b})) == (35_000, 35_000, ("a", "b"))
    assert figures(total_of_sets({"a": a, "b": frozenset(range(15_000))})) == (20_000, 20_000, ("a",))


def test_a_unit_that_works_counts_nothing_but_leads_to_those_under_it() -> None:
    region = [Unit("region", 90_000, failed=False), Unit("x", 10, parent="region"), Unit("y", 20, parent="region")]
    assert figures(total(region)) == (30, 30, ("x", "y"))


def test_children_that_saw_more_users_than_their_parent_count_instead_of_it() -> None:
    units = [Unit("p", 20), Unit("x", 15, parent="p"), Unit("y", 10, parent="p")]
    assert figures(total(units)) == (25, 25, ("x", "y"))


def test_users_saved_by_redundancy_do_not_count() -> None:
    assert figures(total([Unit("a", 20_000, saved_users=20_000), Unit("b", 15_000, saved_users=1)])) == (14_999, 14_999, ("b",))


def test_users_saved_by_redundancy_count_for_voice_with_emergency_calls() -> None:
    assert total([Unit("a", 20_000, saved_users=20_000), Unit("b", 15_000)], emergency_voice=True).users == 35_000


def test_a_child_may_have_hit_those_whom_its_parent_spared() -> None:
    units = [Unit("p", 20, saved_users=5), Unit("x", 10, parent="p")]
    assert figures(total(units)) == (15, 20, ("p",))
    assert figures(total([Unit("p", 20, saved_users=18), Unit("x", 10, parent="p")])) == (10, 12, ("x",))


def test_an_effect_by_another_method_counts_exactly_and_is_cut_only_in_the_end() -> None:
    halves = [Unit(f"cell {number}", 10, effect=Fraction(5, 2)) for number in range(3)]
    result = total(halves)
    assert (result.users, result.raw, result.upper_bound) == (7, "7.5", 7)
    assert total(halves, emergency_voice=True).raw == "7.5"


def test_an_effect_in_user_hours_may_exceed_the_users_and_so_may_the_bound() -> None:
    units = [Unit("p", 400, effect=508), Unit("x", 100, parent="p")]
    assert figures(total(units)) == (508, 608, ("p",))


def test_units_that_overlap_in_part_count_the_larger_and_bound_the_union_by_the_sum() -> None:
    pair = [Unit("a", 20_000), Unit("b", 15_000), Unit("c", 1_000)]
    result = total(pair, [("a", "b")])
    assert figures(result) == (21_000, 36_000, ("a", "c"))
    assert (
        result.formula.ja == "重複しない故障設備の合計の最大 a 20,000 + c 1,000 = 21,000。一部重複するため、和集合は最大 36,000人。"
    )
    assert result.formula.en == (
        "largest total over disjoint failed units: a 20,000 + c 1,000 = 21,000; "
        "they may overlap in part: together no more than 36,000 users."
    )


def test_with_the_users_known_the_bound_is_the_exact_union() -> None:
    result = total_of_sets({"a": frozenset(range(20)), "b": frozenset(range(10, 25)), "c": frozenset(range(100, 101))})
    assert figures(result) == (21, 26, ("a", "c"))


def test_a_parent_bounds_the_union_of_overlapping_children() -> None:
    units = [Unit("p", 30), Unit("x", 20, parent="p"), Unit("y", 20, parent="p")]
    assert figures(total(units, [("x", "y")])) == (30, 30, ("p",))


def test_a_parent_that_works_bounds_the_union_as_well() -> None:
    units = [Unit("p", 30, failed=False), Unit("x", 20, parent="p"), Unit("y", 20, parent="p")]
    assert figures(total(units, [("x", "y")])) == (20, 30, ("x",))


def test_the_ends_of_a_chain_of_overlaps_are_disjoint_and_added() -> None:
    chain = [Unit("a", 20), Unit("b", 30), Unit("c", 15)]
    assert figures(total(chain, [("a", "b"), ("b", "c")])) == (35, 65, ("a", "c"))
    assert figures(total(chain, [("a", "b", "c")])) == (30, 65, ("b",))
    longer = [Unit("a", 5), Unit("b", 1), Unit("c", 1), Unit("d", 10)]
    assert figures(total(longer, [("a", "b"), ("b", "c"), ("c", "d")])) == (15, 17, ("a", "d"))


def test_what_is_under_overlapping_units_overlaps_as_well() -> None:
    units = [Unit("a", 9, failed=False), Unit("x", 4, parent="a"), Unit("y", 5, parent="a"), Unit("b", 8)]
    assert figures(total(units, [("a", "b")])) == (9, 17, ("x", "y"))


def test_nothing_failed_hits_nobody() -> None:
    assert figures(total([])) == (0, 0, ())
    assert total([]).formula.en == "largest total over disjoint failed units: 0."
    assert total([]).formula.ja == "重複しない故障設備の合計の最大 0。"
    assert figures(total([Unit("a", 5, failed=False)])) == (0, 0, ())
    assert figures(total_of_sets({})) == (0, 0, ())


def test_a_total_says_its_sum_and_its_source() -> None:
    result = total([Unit("a", 20_000), Unit("b", 15_000)])
    assert "a 20,000 + b 15,000 = 35,000" in result.formula.ja
    assert "a 20,000 + b 15,000 = 35,000" in result.formula.en
    assert (result.citation.evidence, "案" in result.citation.says.ja, "draft" in result.citation.says.en) == ("draft", True, True)


def test_a_long_sum_is_abridged_in_words() -> None:
    result = total([Unit(f"cell {number:03}", 1) for number in range(500)])
    assert "… (500) = 500" in result.formula.en
    assert len(result.formula.en) < 500


@pytest.mark.parametrize(
    ("case", "units", "overlaps", "message"),
    [
        ("two of a name", [Unit("a", 1), Unit("a", 2)], [], "two units"),
        ("unknown parent", [Unit("a", 1, parent="z")], [], "parent z is unknown"),
        ("circle", [Unit("a", 1, parent="b"), Unit("b", 1, parent="a")], [], "a: its parents lead in a circle"),
        ("own parent", [Unit("a", 1, parent="a")], [], "circle"),
        ("unknown in an overlap", [Unit("a", 1)], [("a", "z")], "^overlap of a, z: z is unknown$"),
        (
            "across parents",
            [Unit("p", 1), Unit("a", 1, parent="p"), Unit("b", 1)],
            [("a", "b")],
            "^overlap of a, b: they have different parents; name the units above them$",
        ),
    ],
)
def test_a_topology_that_cannot_be_is_refused(case: str, units: list[Unit], overlaps: list[tuple[str, ...]], message: str) -> None:
    with pytest.raises(WrongTopology, match=message):
        total(units, overlaps)


@pytest.mark.parametrize(
    ("unit", "wrong"),
    [
        (Unit("a", -1), "users: -1 is negative"),
        (Unit("a", 1, saved_users=-1), "saved_users: -1 is negative"),
        (Unit("a", 1, saved_users=2), "saved_users: 2 are more than its 1 users"),
        (Unit("a", 1, effect=-1), "effect: -1 is negative"),
        (Unit("a", 1, effect=Fraction(-1, 2)), "effect: Fraction(-1, 2) is negative"),
        (Unit("a", 1, effect=0.5), "effect: 0.5 is neither an integer nor a Fraction"),  # type: ignore[arg-type]
        (Unit("a", 2, saved_users=1, effect=1), "effect: leaves out who was saved already; give it or saved_users"),
        (Unit("a", 1.5), "users: 1.5 is not a whole number of users"),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_figures_that_cannot_be_are_refused_with_the_name_of_the_unit(unit: Unit, wrong: str) -> None:
    with pytest.raises(WrongFigure) as refused:
        total([unit])
    assert str(refused.value) == f"a: {wrong}"


def ring(size: int) -> tuple[list[Unit], list[tuple[str, str]]]:
    return [Unit(f"r{n:03}", 10) for n in range(size)], [(f"r{n:03}", f"r{(n + 1) % size:03}") for n in range(size)]


def test_a_ring_of_overlaps_is_tried_out_as_long_as_it_is_small() -> None:
    assert total(*ring(MOST_TANGLED)).users == 10 * MOST_TANGLED // 2
    with pytest.raises(TooTangled, match=r"^r000 and 40 more units overlap crosswise; declare them as one overlap$"):
        total(*ring(MOST_TANGLED + 1))


def test_a_large_overlap_declared_as_one_needs_no_trying_out() -> None:
    units = [Unit(f"u{n}", n) for n in range(3_000)]
    everyone = [unit.name for unit in units]
    assert figures(total(units, [everyone, everyone]))[::2] == (2_999, ("u2999",))
    assert figures(total(units[::-1], [everyone]))[::2] == (2_999, ("u2999",))


def test_an_overlap_that_can_still_be_tried_out_may_meet_another() -> None:
    units = [Unit(f"u{n:02}", n) for n in range(MOST_TANGLED)]
    names = [unit.name for unit in units]
    assert figures(total(units, [names, names[:2]]))[::2] == (MOST_TANGLED - 1, (names[-1],))


def test_a_large_overlap_that_meets_another_is_refused() -> None:
    units = [Unit(f"u{n:03}", n) for n in range(100)]
    names = [unit.name for unit in units]
    for second, wrong in (
        (names[49:], "^u049 and others are in two overlaps of more than 40 units; declare one$"),
        (names[49:51], "^u049: is in an overlap of more than 40 units and in another; declare one$"),
    ):
        with pytest.raises(TooTangled, match=wrong):
            total(units, [names[:50], second])


@pytest.mark.parametrize("parent_of", [lambda n: n - 1, lambda n: (n - 1) // 30], ids=["one long chain", "a wide tree"])
def test_a_hundred_thousand_units_need_no_recursion(parent_of: Callable[[int], int]) -> None:
    units = [Unit(f"u{n}", 100_000 - n, f"u{parent_of(n)}" if n else None, failed=n > 50_000) for n in range(100_000)]
    leaves = {unit.name for unit in units} - {unit.parent for unit in units}
    result = total(units)
    assert result.users == result.upper_bound
    assert result.users == (49_999 if len(leaves) == 1 else sum(unit.users for unit in units if unit.failed))


# --- against brute force over explicit user sets ---------------------------------------------------------------------


def largest_disjoint(sets: Iterable[Users]) -> int:
    """The largest total over pairwise disjoint sets, by trying every combination."""
    hit = list(sets)
    return max(
        sum(map(len, picked))
        for size in range(len(hit) + 1)
        for picked in combinations(hit, size)
        if all(one.isdisjoint(other) for one, other in combinations(picked, 2))
    )


@st.composite
def nested_and_disjoint(draw: st.DrawFn, most: int = 9) -> dict[str, tuple[Users, str | None, bool]]:
    """A forest of user sets: by name the users, the parent, whether it failed. Children are disjoint parts of their parent."""
    forest: dict[str, tuple[Users, str | None, bool]] = {}
    free: dict[str | None, Users] = {None: frozenset(range(40))}
    for number in range(draw(st.integers(0, most))):
        parent = draw(st.sampled_from(list(free)))
        users = draw(st.frozensets(st.sampled_from(sorted(free[parent])))) if free[parent] else frozenset()
        free[parent] -= users
        free[f"u{number}"] = users
        forest[f"u{number}"] = (users, parent, draw(st.booleans()))
    return forest


@given(nested_and_disjoint())
def test_nested_and_disjoint_units_equal_brute_force_and_the_union(forest: dict[str, tuple[Users, str | None, bool]]) -> None:
    failed = [users for users, _, broken in forest.values() if broken]
    union = len(frozenset[int]().union(*failed))
    result = total([Unit(name, len(users), parent, broken) for name, (users, parent, broken) in forest.items()])
    assert result.users == largest_disjoint(failed) == union == result.upper_bound
    assert sum(len(forest[name][0]) for name in result.units) == result.users
    of_sets = total_of_sets({name: users for name, (users, _, broken) in forest.items() if broken})
    assert (of_sets.users, of_sets.upper_bound) == (result.users, union)


@given(nested_and_disjoint(most=6), st.data())
def test_with_saved_users_the_number_and_the_bound_enclose_the_union(
    forest: dict[str, tuple[Users, str | None, bool]], data: st.DataObject
) -> None:
    units, hit, emergency = [], [], []
    for name, (users, parent, broken) in forest.items():
        saved = data.draw(st.frozensets(st.sampled_from(sorted(users)))) if users else frozenset()
        units.append(Unit(name, len(users), parent, broken, saved_users=len(saved)))
        hit += [users - saved] * broken
        emergency += [users] * broken
    result = total(units)
    assert result.users <= result.upper_bound
    assert len(frozenset[int]().union(*hit)) <= result.upper_bound
    assert max(map(len, hit), default=0) <= result.users
    assert total(units, emergency_voice=True).users == largest_disjoint(emergency)


some_sets = st.lists(st.frozensets(st.integers(0, 15)), max_size=7)


@given(some_sets)
def test_partly_overlapping_sets_equal_brute_force(sets: list[Users]) -> None:
    result = total_of_sets({f"u{number}": users for number, users in enumerate(sets)})
    assert result.users == largest_disjoint(sets)
    assert result.upper_bound == len(frozenset[int]().union(*sets))
    assert result.users <= result.upper_bound


@given(some_sets)
def test_declared_overlaps_give_the_same_as_the_sets_and_a_bound_of_the_union(sets: list[Users]) -> None:
    units = [Unit(f"u{number}", len(users)) for number, users in enumerate(sets)]
    pairs = [(f"u{a}", f"u{b}") for a, b in combinations(range(len(sets)), 2) if sets[a] & sets[b]]
    result = total(units, pairs)
    assert result.users == largest_disjoint(sets)
    assert result.upper_bound >= len(frozenset[int]().union(*sets))


@st.composite
def any_forest(draw: st.DrawFn) -> tuple[list[Unit], list[tuple[str, ...]]]:
    """Units whose counts need not fit the tree, with overlaps of siblings."""
    units: list[Unit] = []
    for number in range(draw(st.integers(1, 9))):
        parent = draw(st.none() | st.sampled_from([unit.name for unit in units])) if units else None
        users = draw(st.integers(0, 6))
        units.append(Unit(f"u{number}", users, parent, draw(st.booleans()), draw(st.integers(0, users))))
    siblings: dict[str | None, list[str]] = {}
    for unit in units:
        siblings.setdefault(unit.parent, []).append(unit.name)
    overlaps = draw(
        st.lists(st.sampled_from(list(siblings.values())).flatmap(lambda of: st.lists(st.sampled_from(of), max_size=3)))
    )
    return units, [tuple(group) for group in overlaps]


@given(any_forest(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_in_which_units_are_told_changes_nothing(
    forest: tuple[list[Unit], list[tuple[str, ...]]], random: Random, emergency: bool
) -> None:
    units, overlaps = forest
    shuffled, regrouped = list(units), [tuple(reversed(group)) for group in reversed(overlaps)]
    random.shuffle(shuffled)
    assert total(units, overlaps, emergency_voice=emergency) == total(shuffled, regrouped, emergency_voice=emergency)


@given(any_forest(), st.integers(0, 8), st.integers(1, 5))
def test_one_more_failure_or_more_users_never_lower_the_total(
    forest: tuple[list[Unit], list[tuple[str, ...]]], which: int, more: int
) -> None:
    units, overlaps = forest
    before, unit = total(units, overlaps), units[which % len(units)]
    for worse in (
        Unit(unit.name, unit.users, unit.parent, True, unit.saved_users),
        Unit(unit.name, unit.users + more, unit.parent, unit.failed, unit.saved_users),
    ):
        after = total([worse if each is unit else each for each in units], overlaps)
        assert after.users >= before.users
        assert before.users <= before.upper_bound


@given(any_forest())
def test_an_overlap_never_raises_the_total_and_the_named_units_make_it_up(
    forest: tuple[list[Unit], list[tuple[str, ...]]],
) -> None:
    units, overlaps = forest
    result = total(units, overlaps)
    assert result.users <= total(units).users
    assert result.users == sum(unit.users - unit.saved_users for unit in units if unit.name in result.units)


def test_any_number_of_units_that_all_share_a_user_need_no_trying_out() -> None:
    result = total_of_sets({f"u{number:02}": frozenset({0, number}) for number in range(60)})
    assert (result.users, result.upper_bound) == (2, 60)


def test_a_parent_that_hit_as_many_as_its_children_is_named_alone() -> None:
    assert figures(total([Unit("p", 20), Unit("x", 12, parent="p"), Unit("y", 8, parent="p")])) == (20, 20, ("p",))


def test_twelve_units_are_named_in_full() -> None:
    assert "…" not in total([Unit(f"cell {number:02}", 1) for number in range(12)]).formula.en
    assert "cell 10 1 + … (13) = 13" in total([Unit(f"cell {number:02}", 1) for number in range(13)]).formula.en
