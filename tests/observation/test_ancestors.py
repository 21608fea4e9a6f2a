"""The chain of what is above equipment: metrics before the declared, one query a level, and no link that cannot be right."""

import time
from collections.abc import Iterator
from typing import NoReturn

import pytest

from receiver.catalogue.topology import Declared, DeclaredUnit
from receiver.observation import equipment_tree
from receiver.observation.ancestors import LONGEST_NAME, Ancestors, observe
from receiver.observation.prometheus import Prometheus, QueryFailed, quoted
from tests import backfilled

pytestmark = pytest.mark.live_prometheus

NOW = int(time.time()) // 15 * 15
# other tests may run for long before these: what is of now then is still to be seen
LOOKBACK = "--query.lookback-delta=2h"
HOSTILE = ['x"}) or vector(1) #', "core-1|core-2", ".*", "back\\slash", "new\nline", "日本", "$1", "{{ . }}", "[a-z]+"]
LONG = "l" * (LONGEST_NAME + 1)
NOTHING = Declared()


def edge(child: str, parent: str, value: float = 1, label: str = "equipment", replica: str = "a") -> str:
    pairs = {label: child, "parent": parent, "replica": replica}
    labels = ",".join(f"{name}={quoted(its)}" for name, its in pairs.items())
    return f"art58:equipment_parent{{{labels}}} {value} {NOW}"


def chain(name: str, levels: int) -> list[str]:
    return [edge(f"{name}-{n + 1}", f"{name}-{n}") for n in range(levels)]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    edges = [
        edge("pon-1", "olt-1"),
        edge("pon-2", "olt-1"),
        edge("olt-1", "bras-1"),
        edge("bras-1", "site-1"),
        edge("far-1", "far-0"),
        # a pair of exporters tells of one link twice
        edge("ha-1", "ha-0"),
        edge("ha-1", "ha-0", replica="b"),
        edge("two-1", "two-a"),
        edge("two-1", "two-b", replica="b"),
        edge("two-11", "two-1"),
        edge("two-a", "two"),
        edge("self", "self"),
        edge("ci-a", "ci-b"),
        edge("ci-b", "ci-a"),
        edge("ci-1", "ci-a"),
        edge("gone", "gone-0", 0),
        edge("nan", "nan-0", float("nan")),
        edge("torn", "torn-0"),
        edge("torn", "torn-0", 0, replica="b"),
        edge("long", LONG),
        edge("moved", "metrics"),
        edge("ab-1", "ab-0", label="box"),
        *chain("deep", 16),
        *chain("deeper", 17),
        *(edge(f"leaf {name}", name) for name in HOSTILE),
        *(edge(name, f"above {name}") for name in HOSTILE),
    ]
    text = "\n".join(["# TYPE art58:equipment_parent gauge", *edges, "# EOF", ""])
    with backfilled.prometheus(tmp_path_factory.mktemp("ancestors"), text, LOOKBACK) as client:
        yield client


def above(prometheus: Prometheus, *names: str, label: str = "equipment", declared: Declared = NOTHING) -> dict[str, str | None]:
    told = observe(prometheus, label, names, declared)
    assert told.problem is None
    return told.parents


def test_the_chain_goes_up_to_what_nothing_is_above(real: Prometheus) -> None:
    assert above(real, "pon-1") == {"pon-1": "olt-1", "olt-1": "bras-1", "bras-1": "site-1", "site-1": None}


def test_of_equipment_nobody_tells_of_it_is_known_that_nothing_is_above_it(real: Prometheus) -> None:
    assert above(real, "unheard-of") == {"unheard-of": None}
    assert above(real) == {}


def test_equipment_goes_by_the_label_of_its_service(real: Prometheus) -> None:
    assert above(real, "ab-1", label="box") == {"ab-1": "ab-0", "ab-0": None}
    assert above(real, "ab-1") == {"ab-1": None}


def test_a_link_told_twice_is_one(real: Prometheus) -> None:
    assert above(real, "ha-1") == {"ha-1": "ha-0", "ha-0": None}


@pytest.mark.parametrize(
    ("name", "parents"),
    [
        ("two-11", {"two-11": "two-1", "two-1": None}),
        ("self", {"self": None}),
        ("ci-1", {"ci-1": "ci-a", "ci-a": None, "ci-b": None}),
        ("gone", {"gone": None}),
        ("nan", {"nan": None}),
        ("torn", {"torn": None}),
        ("long", {"long": None}),
    ],
)
def test_no_chain_goes_beyond_a_fault(real: Prometheus, name: str, parents: dict[str, str | None]) -> None:
    assert above(real, name) == parents


def test_a_fault_keeps_no_other_from_its_chain(real: Prometheus) -> None:
    together = above(real, "two-1", "self", "ci-1", "far-1", "pon-1")
    assert together == above(real, "two-1") | above(real, "self") | above(real, "ci-1") | above(real, "far-1") | above(
        real, "pon-1"
    )


def test_metrics_win_over_what_is_declared_and_both_make_one_chain(real: Prometheus) -> None:
    units = {"moved": "declared", "declared": "site-1", "metrics": "olt-1", "two-1": "two-a", "gone": "declared"}
    declared = Declared(units=tuple(DeclaredUnit(name=name, parent=parent) for name, parent in units.items()))
    rest = {"olt-1": "bras-1", "bras-1": "site-1", "site-1": None}
    assert above(real, "moved", declared=declared) == {"moved": "metrics", "metrics": "olt-1", **rest}
    # also where what they say cannot be right
    assert above(real, "two-1", "gone", declared=declared) == {"two-1": None, "gone": None}


def test_a_circle_made_of_both_is_one(real: Prometheus) -> None:
    declared = Declared(units=(DeclaredUnit(name="site-1"), DeclaredUnit(name="far-0", parent="far-1")))
    assert above(real, "far-1", declared=declared) == {"far-1": None, "far-0": None}


def test_hostile_names_are_names(real: Prometheus) -> None:
    found = above(real, *(f"leaf {name}" for name in HOSTILE))
    assert found == {
        key: value
        for name in HOSTILE
        for key, value in {f"leaf {name}": name, name: f"above {name}", f"above {name}": None}.items()
    }


def test_what_cannot_be_a_name_is_not_asked_for(real: Prometheus) -> None:
    assert above(real, "", LONG, "nul\0", "pon-1") == above(real, "pon-1")


def test_sixteen_levels_are_walked(real: Prometheus) -> None:
    assert above(real, "deep-16")["deep-1"] == "deep-0"
    beyond = above(real, "deeper-17")
    assert (beyond["deeper-2"], beyond["deeper-1"]) == ("deeper-1", None)
    assert "deeper-0" not in beyond


def test_all_names_share_one_query_a_level_and_none_is_asked_twice(real: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    instant = real.instant
    monkeypatch.setattr(real, "instant", lambda query: asked.append(query) or instant(query))
    above(real, "pon-1", "pon-2", "olt-1", "far-1", "ci-1", "unheard-of")
    assert len(asked) == 3
    assert [sum(f"{name}|" in f"{query[:-2]}|" for query in asked) for name in ("olt-1", "bras-1", "far-0")] == [1, 1, 1]


def test_names_that_are_too_many_for_one_query_are_asked_for_in_several(real: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = above(real, "pon-1", "pon-2", "far-1", "ha-1")
    monkeypatch.setattr(equipment_tree, "MOST_NAME_BYTES", 50)
    asked: list[str] = []
    instant = real.instant
    monkeypatch.setattr(real, "instant", lambda query: asked.append(query) or instant(query))
    assert above(real, "pon-1", "pon-2", "far-1", "ha-1") == whole
    assert len(asked) > 4


def test_where_a_query_fails_nothing_is_concluded(real: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(query: str) -> NoReturn:
        raise QueryFailed("Prometheus cannot be reached")

    instant = real.instant
    monkeypatch.setattr(real, "instant", lambda query: fails(query) if "bras-1" in query else instant(query))
    declared = Declared(units=(DeclaredUnit(name="pon-1"),))
    problem = "art58:equipment_parent: Prometheus cannot be reached"
    assert observe(real, "equipment", ["pon-1"], declared) == Ancestors(problem=problem)
