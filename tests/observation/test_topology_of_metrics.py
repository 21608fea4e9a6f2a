"""Users under equipment that has no count of its own are those of the failed units under it, by the law's rule on several units."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from receiver.catalogue.topology import Declared, DeclaredUnit, complaints
from receiver.law.topology import Unit, total
from receiver.observation import equipment_tree
from receiver.observation.prometheus import Prometheus, quoted
from receiver.observation.topology import MOST_NAMED, Found, Wanted, observe
from receiver.settings import PrometheusSettings
from tests import backfilled

NOW = int(time.time()) // 15 * 15
# other tests may run for long before these: what is of now then is still to be seen
LOOKBACK = "--query.lookback-delta=2h"
HOSTILE = ['x"}) or vector(1) #', "core-1|core-2", ".*", "back\\slash", "new\nline", "日本", "$1", "{{ . }}", "[a-z]+"]
MANY = MOST_NAMED + 10

Edges = dict[str, str]
Users = dict[str, float]


def series(name: str, value: float, **labels: str) -> tuple[str, str, float]:
    return name, "{" + ",".join(f"{label}={quoted(its)}" for label, its in labels.items()) + "}", value


def network(
    edges: Edges, users: Users, *, down: Iterable[str] = (), saved: Users | None = None
) -> Iterator[tuple[str, str, float]]:
    """The series of a network: child -> parent, voice users by unit, those down (the others work), those saved."""
    for child, parent in edges.items():
        yield series("art58:equipment_parent", 1, equipment=child, parent=parent)
    for name, number in users.items():
        yield series("art58:users_under_equipment", number, service="voice", equipment=name, unit="line")
    for name in {*edges, *edges.values(), *users, *down}:
        yield series("art58:equipment_up", 0 if name in down else 1, equipment=name)
    for name, number in (saved or {}).items():
        yield series("art58:users_saved", number, service="voice", equipment=name)


def without_state(
    names: Iterable[str], edges: Edges, users: Users, *, down: Iterable[str] = ()
) -> Iterator[tuple[str, str, float]]:
    """The same with units of which nothing tells whether they work."""
    silent = {series("art58:equipment_up", 1, equipment=name) for name in names}
    yield from (each for each in network(edges, users, down=down) if each not in silent)


def hushed(root: str, units: int) -> dict[str, Any]:
    names = [f"{root}-{n}" for n in range(units)]
    return {"edges": dict.fromkeys(names, root), "users": dict.fromkeys(names, 1_000)}


def history() -> str:
    """OpenMetrics text: networks beside each other, told apart by the beginning of their names."""
    nan, inf = float("nan"), float("inf")
    samples = [
        *network({"be4-nested": "be4-a"}, {"be4-a": 20_000, "be4-b": 15_000, "be4-nested": 15_000}),
        # a site without a count of its own: three levels
        *network(
            {"l3-bras": "l3-site", "l3-olt-1": "l3-bras", "l3-olt-2": "l3-bras", "l3-onu": "l3-olt-2"},
            {"l3-olt-1": 700, "l3-onu": 50},
            down=["l3-site"],
        ),
        # it works, some of what is under it does not
        *network(
            {"pf-bras": "pf-site", "pf-1": "pf-bras", "pf-2": "pf-bras", "pf-11": "pf-1", "pf-3": "pf-bras", "pf-31": "pf-3"},
            {"pf-1": 500, "pf-2": 900, "pf-11": 40, "pf-31": 7},
            down=["pf-1", "pf-11", "pf-3"],
        ),
        *network({"ok-1": "ok-site"}, {"ok-1": 500}),
        *network({"nc-1": "nc-site"}, {}, down=["nc-site"]),
        *network(
            {"sv-1": "sv-site", "sv-2": "sv-site"}, {"sv-1": 20_000, "sv-2": 15_000}, down=["sv-site"], saved={"sv-1": 19_000}
        ),
        *network({"sp-1": "sp"}, {"sp": 20_000, "sp-1": 10_000}, down=["sp-1"], saved={"sp": 18_000}),
        *network({}, {"sv-own": 1_000}, saved={"sv-own": 1_000}),
        *network({"lone-1": "lone"}, {}, down=["lone"], saved={"lone-1": 5}),
        *network({"over-1": "over"}, {"over-1": 10}, down=["over"], saved={"over-1": 11}),
        *network({"ov-1": "ov", "ov-2": "ov", "ov-3": "ov"}, {"ov-1": 20_000, "ov-2": 15_000, "ov-3": 1_000}, down=["ov"]),
        *(series("art58:equipment_overlap", 1, equipment=name, group="ring") for name in ("ov-1", "ov-2")),
        # of one group, but under different parents
        *network({"xo-1": "xo", "xo-2": "xo", "xo-11": "xo-1"}, {"xo-11": 5, "xo-2": 3}, down=["xo"]),
        *(series("art58:equipment_overlap", 1, equipment=name, group="wrong") for name in ("xo-11", "xo-2")),
        # the second parent of tp-1 is another network's; both parents of tq-1 are under one site
        *network({"tp-1": "tp"}, {"tp-1": 5}, down=["tp"]),
        series("art58:equipment_parent", 1, equipment="tp-1", parent="elsewhere"),
        *network({"tq-a": "tq", "tq-b": "tq", "tq-1": "tq-a"}, {"tq-1": 5}, down=["tq"]),
        series("art58:equipment_parent", 1, equipment="tq-1", parent="tq-b"),
        *network({"ci-a": "ci-c", "ci-b": "ci-a", "ci-c": "ci-b"}, {"ci-b": 5}, down=["ci-a", "ci-b", "ci-c"]),
        *network({"self": "self"}, {}, down=["self"]),
        # a pair of exporters tells of one edge twice
        *network({}, {"ha-1": 30}, down=["ha"]),
        *(series("art58:equipment_parent", 1, equipment="ha-1", parent="ha", replica=replica) for replica in "ab"),
        series("art58:equipment_up", 0, equipment="ha"),
        # parts of one unit's number, and one unit counted in two ways
        *network({"pt-1": "pt", "un-1": "un", "uu-1": "uu", "uu-2": "uu"}, {"uu-1": 5}, down=["pt", "un", "uu"]),
        *(
            series("art58:users_under_equipment", 10, service="voice", equipment="pt-1", unit="line", prefecture=its)
            for its in ("tokyo", "chiba")
        ),
        *(series("art58:users_under_equipment", 10, service="voice", equipment="un-1", unit=its) for its in ("line", "account")),
        series("art58:users_under_equipment", 10, service="voice", equipment="uu-2", unit="account"),
        # no numbers
        *network({"nan-1": "nan"}, {"nan-1": nan}, down=["nan"]),
        *network({"inf-1": "inf"}, {"inf-1": inf}, down=["inf"]),
        *network({"neg-1": "neg"}, {"neg-1": -1}, down=["neg"]),
        *network({"half-1": "half"}, {"half-1": 2.5}, down=["half"]),
        *network({"savednan-1": "savednan"}, {"savednan-1": 5}, down=["savednan"], saved={"savednan-1": nan}),
        *network({}, {"edge-1": 5}, down=["edge-0"]),
        series("art58:equipment_parent", nan, equipment="edge-1", parent="edge-0"),
        series("art58:equipment_parent", 1, equipment="up-1", parent="up"),
        series("art58:equipment_up", nan, equipment="up-1"),
        series("art58:equipment_parent", 1, equipment="og-1", parent="og"),
        series("art58:equipment_overlap", nan, equipment="og-1", group="g"),
        # a working unit's number concerns nobody
        *network({"wn-1": "wn", "wn-2": "wn"}, {"wn-1": nan, "wn-2": 8}, down=["wn-2"]),
        *network({f"hostile {name}": "hostile" for name in HOSTILE}, {f"hostile {name}": 1 for name in HOSTILE}, down=["hostile"]),
        *network({f"leaf {name}": name for name in HOSTILE}, {f"leaf {name}": 3 for name in HOSTILE}, down=HOSTILE),
        # more units than evidence names
        *network(
            {**{f"many-{n}": f"many-olt-{n % 3}" for n in range(MANY)}, **{f"many-olt-{n}": "many" for n in range(3)}},
            {f"many-{n}": 10 + n for n in range(MANY)},
            down=["many"],
        ),
        *network({f"some-{n}": "some" for n in range(2 * MANY)}, {f"some-{n}": 1 for n in range(2 * MANY)}, down=some_down()),
        *network(chain("deep", 16), {"deep-16": 5}, down=["deep-0"]),
        *network(chain("deeper", 17), {"deeper-17": 5}, down=["deeper-0"]),
        # units of unknown state: one that failed among a hundred, of its root there is no state
        *without_state(["hush", *(f"hush-{n}" for n in range(1, 100))], **hushed("hush", 100), down=["hush-0"]),
        *without_state(["mute", "mute-0"], **hushed("mute", 1)),
        *without_state([f"vouched-{n}" for n in range(1, 100)], **hushed("vouched", 100), down=["vouched-0"]),
        *without_state([f"felled-{n}" for n in range(100)], **hushed("felled", 100), down=["felled"]),
        # the nearest that has a state tells, also beyond one that has none; of hb-2 and what is under it nobody tells
        *without_state(
            ["hb", "hb-11", "hb-111", "hb-2", "hb-21", "hb-3", "hb-4"],
            {"hb-1": "hb", "hb-11": "hb-1", "hb-111": "hb-11", "hb-2": "hb", "hb-21": "hb-2", "hb-22": "hb-2", "hb-3": "hb"}
            | {"hb-31": "hb-3", "hb-4": "hb"},
            {"hb-111": 10, "hb-21": 20, "hb-22": 40, "hb-31": 80, "hb-4": 0},
            down=["hb-31"],
        ),
        # under what failed nothing more needs to be known, with a count of its own or without
        *without_state(
            ["hf", "hf-11", "hf-21"],
            {"hf-1": "hf", "hf-11": "hf-1", "hf-2": "hf", "hf-21": "hf-2"},
            {"hf-1": 100, "hf-11": 60, "hf-21": 7},
            down=["hf-1", "hf-2"],
        ),
        *without_state(["hn", "hn-1"], {"hn-1": "hn", "hn-2": "hn"}, {"hn-1": nan, "hn-2": 8}, down=["hn-2"]),
        # metrics beside the configuration
        *network({"mx-1": "mx-moved"}, {"mx-2": 40}, down=["mx", "mx-moved"]),
    ]
    lines: list[str] = []
    for name in sorted({name for name, _, _ in samples}):
        lines.append(f"# TYPE {name} gauge")
        lines += sorted({f"{name}{labels} {value} {NOW}" for its, labels, value in samples if its == name})
    return "\n".join([*lines, "# EOF", ""])


def some_down() -> list[str]:
    return [f"some-{n}" for n in range(MANY)]


def chain(name: str, levels: int) -> Edges:
    return {f"{name}-{n + 1}": f"{name}-{n}" for n in range(levels)}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with backfilled.prometheus(tmp_path_factory.mktemp("topology"), history(), LOOKBACK) as client:
        yield client


def under(prometheus: Prometheus, *roots: str, declared: Declared | None = None, emergency: bool = False) -> Found:
    wanted = Wanted("voice", frozenset(roots))
    its = {"declared": declared} if declared else {}
    return observe(prometheus, [wanted], emergency_voice={"voice"} if emergency else frozenset(), **its)[wanted]


def users(found: Found) -> int:
    assert (found.problem, found.why_not) == (None, None)
    assert found.total is not None
    return found.total.users


def pasted(prometheus: Prometheus, found: Found) -> float:
    """The sum of what the evidence shows: users, without those saved."""
    shown, *saved = found.query.split("; ")
    return sum(each.value for each in prometheus.instant(shown)) - sum(
        each.value for query in saved for each in prometheus.instant(query)
    )


@pytest.mark.live_prometheus
def test_be_4_disjoint_units_are_added_and_of_nested_ones_the_larger_counts(real: Prometheus) -> None:
    disjoint, nested = under(real, "be4-a", "be4-b"), under(real, "be4-a", "be4-nested")
    assert (users(disjoint), users(nested)) == (35_000, 20_000)
    assert (disjoint.units, disjoint.failed, disjoint.unit) == (
        3,
        2,
        "line",
    )  # be4-nested is looked at, as what is in be4-a's count
    assert (nested.units, nested.failed) == (2, 2)
    assert nested.total is not None
    assert nested.total.units == ("be4-a",)


@pytest.mark.live_prometheus
def test_equipment_with_a_count_has_its_users_and_nothing_is_asked_of_the_units_under_it(real: Prometheus) -> None:
    found = under(real, "be4-a")
    assert (users(found), found.units, found.failed) == (20_000, 1, 1)
    assert found.query == 'art58:users_under_equipment{service="voice",equipment="be4-a"}'


@pytest.mark.live_prometheus
def test_the_count_of_what_failed_holds_for_those_under_it_also_beside_another_failure(real: Prometheus) -> None:
    assert [users(under(real, *roots)) for roots in (["sp"], ["sp", "be4-b"])] == [2_000, 17_000]
    # unless they are named themselves: it may be those whom the other way should have saved
    assert users(under(real, "sp", "sp-1")) == 10_000


@pytest.mark.live_prometheus
def test_a_unit_with_two_parents_is_a_fault_of_both(real: Prometheus) -> None:
    wanted = [Wanted("voice", frozenset({root})) for root in ("tq-a", "tq-b")]
    assert {found.problem for found in observe(real, wanted).values()} == {under(real, "tq").problem}


@pytest.mark.live_prometheus
def test_a_site_that_is_down_hits_whatever_has_a_count_three_levels_below(real: Prometheus) -> None:
    found = under(real, "l3-site")
    assert (users(found), found.units, found.failed) == (750, 5, 5)
    assert found.query == 'art58:users_under_equipment{service="voice",equipment=~"l3-olt-1|l3-onu"}'
    assert pasted(real, found) == 750


@pytest.mark.live_prometheus
def test_of_a_site_that_works_only_the_failed_units_count_and_nested_ones_once(real: Prometheus) -> None:
    found = under(real, "pf-site")
    # pf-11 is in the count of pf-1; pf-3 has none, so all under it are hit
    assert (users(found), found.units, found.failed) == (507, 7, 4)
    assert found.total is not None
    assert found.total.units == ("pf-1", "pf-31")


@pytest.mark.live_prometheus
@pytest.mark.parametrize(
    ("root", "failed", "says"),
    [
        ("hush", 1, "of 99 of the 100 units under hush nobody tells whether they work: give art58:equipment_up"),
        ("mute", 0, "of 1 of the 1 unit under mute nobody tells whether it works: give art58:equipment_up"),
        ("hb", 1, "of 1 of the 9 units under hb nobody tells whether it works: give art58:equipment_up"),
    ],
)
def test_units_of_which_nobody_tells_whether_they_work_are_not_taken_for_working(
    real: Prometheus, root: str, failed: int, says: str
) -> None:
    found = under(real, root)
    assert (found.total, found.why_not, found.problem, found.failed) == (None, None, says, failed)


@pytest.mark.live_prometheus
def test_the_evidence_still_shows_those_known_to_have_failed(real: Prometheus) -> None:
    assert pasted(real, under(real, "hush")) == 1_000


@pytest.mark.live_prometheus
def test_the_nearest_unit_above_that_has_a_state_tells_for_those_that_have_none(real: Prometheus) -> None:
    assert users(under(real, "vouched")) == 1_000
    # but only within what is looked at
    assert under(real, "hb-11").problem == "of 1 of the 1 unit under hb-11 nobody tells whether it works: give art58:equipment_up"
    assert under(real, "hb-1").problem is None


@pytest.mark.live_prometheus
def test_under_what_failed_no_state_is_needed(real: Prometheus) -> None:
    assert [users(under(real, root)) for root in ("felled", "hf", "hb-3")] == [100_000, 107, 80]


@pytest.mark.live_prometheus
def test_a_number_that_cannot_be_read_of_a_unit_of_unknown_state_is_no_zero(real: Prometheus) -> None:
    assert under(real, "hn").problem == "of 1 of the 2 units under hn nobody tells whether it works: give art58:equipment_up"


@pytest.mark.live_prometheus
def test_users_saved_by_redundancy_do_not_count_except_for_emergency_calls(real: Prometheus) -> None:
    found = under(real, "sv-site")
    assert (users(found), found.saved) == (16_000, 19_000)
    assert pasted(real, found) == 16_000
    assert users(under(real, "sv-site", emergency=True)) == 35_000
    own = under(real, "sv-own")
    assert (users(own), own.saved) == (0, 1_000)
    assert pasted(real, own) == 0
    assert users(under(real, "sv-own", emergency=True)) == 1_000


@pytest.mark.live_prometheus
def test_of_units_that_may_share_users_the_larger_counts_and_the_sum_is_the_bound(real: Prometheus) -> None:
    found = under(real, "ov")
    assert users(found) == 21_000
    assert found.total is not None
    assert found.total.upper_bound == 36_000


@pytest.mark.live_prometheus
@pytest.mark.parametrize(
    ("root", "says"),
    [
        ("tp", "tp-1 has more than one parent at once: see art58:equipment_parent"),
        ("tq", "tq-1 has more than one parent at once: see art58:equipment_parent"),
        ("ci-a", "ci-a: its parents lead in a circle: see art58:equipment_parent"),
        ("self", "self: its parents lead in a circle: see art58:equipment_parent"),
        ("xo", "overlap of xo-11, xo-2: they have different parents; name the units above them"),
        ("deeper-0", "deeper-17 lies more than 16 levels under the equipment that failed"),
    ],
)
def test_where_the_tree_is_no_tree_nothing_is_concluded(real: Prometheus, root: str, says: str) -> None:
    found = under(real, root)
    assert (found.total, found.problem) == (None, says)


@pytest.mark.live_prometheus
def test_sixteen_levels_are_walked(real: Prometheus) -> None:
    assert users(under(real, "deep-0")) == 5


@pytest.mark.live_prometheus
@pytest.mark.parametrize(
    ("root", "says"),
    [
        ("nan", 'art58:users_under_equipment{equipment="nan-1", service="voice", unit="line"} is nan: it must be a whole number'),
        ("inf", 'equipment="inf-1", service="voice", unit="line"} is inf: it must be a whole number'),
        ("neg", 'equipment="neg-1", service="voice", unit="line"} is -1: it must be a whole number'),
        ("neg-1", 'equipment="neg-1", service="voice", unit="line"} is -1: it must be a whole number'),
        ("half", 'equipment="half-1", service="voice", unit="line"} is 2.5: it must be a whole number'),
        ("savednan", 'art58:users_saved{equipment="savednan-1", service="voice"} is nan: it must be a whole number'),
        ("edge-0", 'art58:equipment_parent{equipment="edge-1", parent="edge-0"} is nan: it must be 1'),
        ("up", 'art58:equipment_up{equipment="up-1"} is nan: it must be 1 or 0'),
        ("og", 'art58:equipment_overlap{equipment="og-1", group="g"} is nan: it must be 1'),
        ("un", "un-1: users of voice are counted in several units, which cannot be added"),
        ("uu", "users of voice are counted in account, line: they cannot be added"),
        ("lone", "lone-1: art58:users_saved says 5, but art58:users_under_equipment has nothing: give both"),
        ("over", "over-1: saved_users: 11 are more than its 10 users"),
    ],
)
def test_what_is_no_figure_is_a_problem_that_names_its_series(real: Prometheus, root: str, says: str) -> None:
    found = under(real, root)
    assert found.total is None
    assert says in (found.problem or "")


@pytest.mark.live_prometheus
def test_a_bad_figure_concerns_only_those_whom_it_would_count(real: Prometheus) -> None:
    assert users(under(real, "wn")) == 8
    wanted = [Wanted("voice", frozenset({root})) for root in ("nan", "tp", "ci-a", "l3-site")]
    assert [found.total.users for found in observe(real, wanted).values() if found.total] == [750]


@pytest.mark.live_prometheus
@pytest.mark.parametrize(
    ("root", "says"),
    [
        ("ok-site", "of ok-site and the 1 units under it none with a number of users of voice is known to have failed"),
        ("nc-site", "no number of users of voice is known of nc-site, nor of the 1 units under it"),
        ("unheard-of", "no number of users of voice is known of unheard-of, nor of the 0 units under it"),
        ("", "no equipment is named"),
    ],
)
def test_where_nothing_is_known_it_says_so_and_that_is_no_zero(real: Prometheus, root: str, says: str) -> None:
    found = under(real, root)
    assert (found.total, found.problem) == (None, None)
    assert found.why_not is not None
    assert found.why_not.en == says
    assert found.why_not.ja


@pytest.mark.live_prometheus
def test_edges_told_twice_and_users_told_in_parts_are_fine(real: Prometheus) -> None:
    assert [users(under(real, root)) for root in ("ha", "pt")] == [30, 20]


@pytest.mark.live_prometheus
def test_hostile_names_are_names(real: Prometheus) -> None:
    found = under(real, "hostile")
    assert (users(found), found.units) == (len(HOSTILE), len(HOSTILE) + 1)
    assert pasted(real, found) == len(HOSTILE)
    for name in HOSTILE:
        its = under(real, name)
        assert (users(its), its.units) == (3, 2)
        assert pasted(real, its) == 3


@pytest.mark.live_prometheus
def test_evidence_of_many_units_asks_for_all_that_are_as_far_below(real: Prometheus) -> None:
    found = under(real, "many")
    assert pasted(real, found) == users(found) == sum(10 + n for n in range(MANY))
    assert len(found.query) < 500
    partly = under(real, "some")
    assert pasted(real, partly) == users(partly) == MANY


@pytest.mark.live_prometheus
def test_all_questions_of_a_tick_share_their_queries_and_no_answer_hangs_on_the_others(real: Prometheus) -> None:
    roots = ["be4-a", "l3-site", "l3-bras", "pf-site", "pf-1", "sv-site", "ov", "tp", "many", "ok-site"]
    wanted = [Wanted("voice", frozenset({root})) for root in roots] + [Wanted("voice", frozenset({"be4-a", "be4-b"}))]
    asked = []
    instant = real.instant
    real.instant = lambda query: asked.append(query) or instant(query)  # type: ignore[method-assign,func-returns-value]
    try:
        together = observe(real, wanted)
    finally:
        real.instant = instant  # type: ignore[method-assign]
    assert together == {one: observe(real, [one])[one] for one in wanted}
    assert together == observe(real, reversed(wanted))
    # users of the roots, four levels of edges, users, down, overlaps, parents, which of the roots work, saved
    assert len(asked) == 11


DECLARED = Declared(
    (
        DeclaredUnit(name="mx"),
        DeclaredUnit(name="mx-1", parent="mx", users={"voice": 100}),
        DeclaredUnit(name="mx-2", parent="mx", users={"voice": 30}, saved={"voice": 10}),
        DeclaredUnit(name="mx-3", parent="mx", users={"voice": 5}, overlaps=("g",)),
        DeclaredUnit(name="mx-4", parent="mx", users={"voice": 4}, overlaps=("g",)),
    )
)


@pytest.mark.live_prometheus
def test_the_configuration_stands_in_for_metrics_which_win(real: Prometheus) -> None:
    found = under(real, "mx", declared=DECLARED)
    # mx-1 is elsewhere now, mx-2 has 40 users; mx-3 and mx-4 may share users
    assert (users(found), found.saved) == (30 + 5, 10)
    assert found.query.split("; ") == [
        'art58:users_under_equipment{service="voice",equipment="mx-2"}',
        'art58:users_saved{service="voice",equipment="mx-2"}',
        "vector(5) # in the configuration: mx-3",
    ]
    assert real.instant(found.query.split("; ")[-1])[0].value == 5
    assert users(under(real, "mx-moved", declared=DECLARED)) == 100
    assert users(under(real, "mx-3", declared=DECLARED)) == 5


class Network:
    """A Prometheus that holds edges and voice users by name, for sizes and faults that the real one is too slow to be given."""

    def __init__(self, edges: Edges, counts: Users, down: Iterable[str] = (), up: Iterable[str] = ()) -> None:
        self.edges, self.users, self.down, self.up = edges, counts, set(down), set(up)
        self.children: dict[str, list[str]] = {}
        for child, parent in edges.items():
            self.children.setdefault(parent, []).append(child)
        self.asked: list[str] = []
        self.fails: str | None = None
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def ask(self, *roots: str) -> Found:
        client = Prometheus(PrometheusSettings(url=self.url, timeout_seconds=30))
        try:
            return under(client, *roots)
        finally:
            client.close()

    def _answer(self, environ: Any, start_response: Any) -> Any:
        body = Request(environ).get_data().decode()
        query = parse_qs(body)["query"][0]
        self.asked.append(query)
        if self.fails and (query.startswith(self.fails) or query.endswith(self.fails)):
            return Response("down for the test", 503)(environ, start_response)
        found = [{"metric": labels, "value": [time.time(), str(value)]} for labels, value in self._vector(query)]
        answer = {"status": "success", "data": {"resultType": "vector", "result": found}}
        return Response(json.dumps(answer), content_type="application/json")(environ, start_response)

    def _vector(self, query: str) -> Iterator[tuple[dict[str, str], float]]:
        names = query.partition('=~"')[2].partition('"')[0].split("|") if '=~"' in query else []
        if query.startswith("count by (parent)"):
            yield from (({"parent": each}, len(its)) for each, its in self.children.items() if not names or each in set(names))
        elif query.startswith("count("):
            sizes = {"users": len(self.users), "== 1": len(self.up), "equipment_up": len(self.down)}
            yield {}, next((size for word, size in sizes.items() if word in query), 0)
        elif query.startswith("art58:equipment_parent{parent"):
            yield from (({"equipment": each, "parent": name}, 1) for name in names for each in self.children.get(name, ()))
        elif query.startswith("art58:users_under"):
            picked = query.partition("equipment=~")[2].partition('"')[2].partition('"')[0].split("|")
            known = [name for name in (picked if picked != [""] else self.users) if name in self.users]
            yield from (({"service": "voice", "equipment": name}, self.users[name]) for name in known)
        elif query.startswith("art58:equipment_up"):
            works = query.endswith("== 1")
            yield from (({"equipment": name}, int(works)) for name in sorted(self.up if works else self.down))


def wide(parents: int, each: int) -> Edges:
    return {f"p{n}": "top" for n in range(parents)} | {f"p{n}-c{m}": f"p{n}" for n in range(parents) for m in range(each)}


def test_no_query_is_longer_than_a_mebibyte_and_every_unit_is_counted() -> None:
    edges = {f"{'long name ' * 10}{n}": "top" for n in range(12_000)}
    elsewhere = {f"elsewhere {n}": 5.0 for n in range(3)}
    with Network(edges, dict.fromkeys(edges, 2.0) | elsewhere, ["top"]) as network_:
        assert users(network_.ask("top")) == 24_000
        assert max(len(query.encode()) for query in network_.asked) <= 1024 * 1024
        assert len([query for query in network_.asked if "users_under" in query and "long name" in query]) > 2


def test_what_few_units_have_is_asked_for_without_their_names() -> None:
    edges = {f"{'long name ' * 10}{n}": "top" for n in range(12_000)}
    with Network(edges, {name: 2.0 for name in edges if name.endswith("7")}, ["top"]) as network_:
        assert users(network_.ask("top")) == 2_400
        assert 'art58:users_under_equipment{service=~"voice"}' in network_.asked


def test_edges_are_asked_for_in_answers_of_a_bounded_size() -> None:
    edges = wide(300, 500)
    with Network(edges, {"p7-c7": 3.0}, ["top"]) as network_:
        found = network_.ask("top")
        assert (users(found), found.units) == (3, 150_301)
        answers = [query for query in network_.asked if query.startswith("art58:equipment_parent{parent")]
    # the top; its 300 units in two answers of no more than 100,000; of the lowest nobody has any below
    assert [query.count("|") + 1 for query in answers] == [1, 200, 100]


def test_more_units_than_can_be_looked_at_are_a_clear_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equipment_tree, "MOST_UNITS", 50)
    edges = wide(5, 10)
    with Network(edges, dict.fromkeys(edges, 1.0), ["top"]) as network_:
        found = network_.ask("top")
        assert (found.total, found.why_not) == (None, None)
        assert found.problem is not None
        assert "more than 50 units are under what failed" in found.problem
        assert "art58:users_under_equipment" in found.problem
        assert users(network_.ask("p1", "p2")) == 2


@pytest.mark.parametrize(
    "query",
    ["art58:equipment_parent", "art58:users_under", "art58:users_saved", "art58:equipment_up", "art58:equipment_ov", "count"],
)
def test_when_one_query_fails_nothing_is_concluded(query: str) -> None:
    edges = wide(2, 3)
    with Network(edges, dict.fromkeys(edges, 1.0), ["top"]) as network_:
        network_.fails = query
        found = network_.ask("top")
        assert (found.total, found.why_not) == (None, None)
        assert "503" in (found.problem or "")
        assert (found.problem or "").startswith("art58:")  # it says what was asked for


def test_states_are_asked_for_only_where_they_matter_and_from_above() -> None:
    edges = wide(3, 4) | {"p2-c0-d0": "p2-c0"}
    counts = {name: 1.0 for name in edges if "-c" in name and not name.startswith("p1")}

    def asked(down: Iterable[str], up: Iterable[str]) -> list[set[str]]:
        with Network(edges, counts, down, up) as network_:
            network_.ask("top")
            queries = [query for query in network_.asked if query.startswith("art58:equipment_up") and query.endswith("== 1")]
        return [set(query.partition('=~"')[2].partition('"')[0].split("|")) for query in queries]

    above = {"top", "p0", "p1", "p2", "p2-c0"}
    assert asked(["top"], []) == []
    assert asked(["p0-c0"], ["top"]) == [above]
    # p1 has no users under it, p2 tells for its own
    assert asked(["p0-c0"], ["p2"]) == [above, {"p0-c1", "p0-c2", "p0-c3"}]


def test_when_the_states_are_not_answered_nothing_is_concluded() -> None:
    edges = wide(2, 3)
    with Network(edges, dict.fromkeys(edges, 1.0), ["p0-c0"]) as network_:
        network_.fails = "== 1"
        found = network_.ask("top")
    assert (found.total, found.why_not) == (None, None)
    assert found.problem is not None
    assert found.problem.startswith("art58:equipment_up: ")
    assert "503" in found.problem


def test_of_a_network_that_was_not_walked_whole_no_more_is_asked() -> None:
    edges = wide(2, 3)
    with Network(edges, dict.fromkeys(edges, 1.0), ["top"]) as network_:
        network_.fails = "art58:equipment_parent"
        network_.ask("top")
        assert not [query for query in network_.asked if "equipment_up" in query]


def test_a_name_that_is_too_long_is_not_asked_for() -> None:
    with Network({}, {}) as network_:
        assert "too long" in (network_.ask("x" * 300_000).problem or "")
        assert network_.asked == []


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 500), st.booleans()), min_size=1, max_size=25),
    st.sets(st.integers(1, 25), min_size=1, max_size=3),
)
def test_a_total_is_the_laws_own_over_the_units_in_reach(shape: list[tuple[int, int, bool]], picked: set[int]) -> None:
    """Every unit has a count and failed units are named: the answer must be that of the law's function over all of them."""
    names = [f"u{n}" for n in range(len(shape))]
    parents: dict[str, str] = {names[n]: names[above % n] for n, (above, _, _) in enumerate(shape) if n}
    counts = {name: float(its) for name, (_, its, _) in zip(names, shape, strict=True)}
    roots = frozenset(names[n % len(names)] for n in picked)

    class Instant:
        def instant(self, query: str) -> list[Any]:
            from receiver.observation.prometheus import Sample

            if query.startswith("art58:equipment_parent{parent"):
                asked = query.partition('=~"')[2].partition('"')[0].split("|")
                return [Sample({"equipment": child, "parent": its}, 0, 1) for child, its in parents.items() if its in asked]
            if query.startswith("art58:users_under"):
                return [Sample({"service": "voice", "equipment": name}, 0, its) for name, its in counts.items()]
            return []

    found = under(Instant(), *roots)  # type: ignore[arg-type]
    units = [Unit(name, int(counts[name]), parents.get(name), failed=name in roots) for name in names]
    assert users(found) == total(units).users


@pytest.mark.parametrize(
    ("units", "path", "says"),
    [
        ([{"name": "a"}, {"name": "a"}], (1, "name"), "'a' is given twice"),
        ([{"name": "a", "parent": "b"}], (0, "parent"), "'b' is no equipment of this list"),
        ([{"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}], (0, "parent"), "the parents of 'a' lead back to it"),
        ([{"name": "a", "parent": "a"}], (0, "parent"), "the parents of 'a' lead back to it"),
        ([{"name": "a", "users": {"voise": 3}}], (0, "users", "voise"), "'voise' is no service of the catalogue"),
        ([{"name": "a", "users": {"voice": 3}, "saved": {"voice": 4}}], (0, "saved", "voice"), "4 are more than its 3 users"),
        (
            [{"name": "a"}, {"name": "b", "parent": "a", "overlaps": ("g",)}, {"name": "c", "overlaps": ("g",)}],
            (2, "overlaps", 0),
            "others of the group 'g' have another parent",
        ),
    ],
)
def test_what_cannot_be_is_found_in_the_configuration(units: list[dict[str, Any]], path: tuple[Any, ...], says: str) -> None:
    found = complaints(Declared(tuple(DeclaredUnit(**unit) for unit in units)), {"voice"})
    assert found[0][:2] == (("equipment", "units", *path), says)
    assert all(cure for _, _, cure in found)


def test_a_unit_under_a_circle_is_not_blamed_for_it_and_a_good_list_has_no_complaint() -> None:
    units = [DeclaredUnit(name="c", parent="a"), DeclaredUnit(name="a", parent="b"), DeclaredUnit(name="b", parent="a")]
    assert [path[2] for path, _, _ in complaints(Declared(tuple(units)), {"voice"})] == [1, 2]
    assert complaints(DECLARED, {"voice"}) == []
