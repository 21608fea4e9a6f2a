"""How the starts of very many failures are asked for: in queries and answers of a bounded size, what is left at the next tick."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from receiver.model import Alert
from receiver.observation import failure_start
from receiver.observation.failure_start import LOOK_BACK, MOST_QUERIES, Asked
from receiver.observation.prometheus import Prometheus, QueryFailed, Sample, Series
from receiver.settings import PrometheusSettings
from tests.fakes.prometheus import FakePrometheus
from tests.observation.starts import find_starts

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
UP = "art58:equipment_up"
MIB = 1024 * 1024


def asked(equipment: str, known_by: datetime = NOW, expression: str | None = None) -> Asked:
    alert = Alert("grafana", "f", known_by, None, {"alertname": "Down"}, {}, "")
    return Asked(equipment, equipment, "equipment", expression, (alert,))


class Scraped:
    """A Prometheus whose equipment is scraped every 15 s and failed so long before NOW; what it was asked, and how much it said."""

    def __init__(self, failed_for: timedelta) -> None:
        self._failed_for = failed_for
        self.asked: list[tuple[int, timedelta, int]] = []
        self.failing = ""

    def raw(self, query: str, at: datetime) -> list[Series]:
        names = re.findall(r"olt-\d+", query)
        window = timedelta(seconds=int(re.findall(r"\[(\d+)s", query)[-1]))
        until, failed = int(at.timestamp()), (NOW - self._failed_for).timestamp()
        points = [
            (float(moment), float(moment < failed)) for moment in range(until - int(window.total_seconds()) + 15, until + 1, 15)
        ]
        size = len(json.dumps([[moment, str(int(value))] for moment, value in points], separators=(",", ":")))
        self.asked.append((len(names), window, len(names) * size))
        if self.failing and self.failing in names and window > TEN_MINUTES:
            raise QueryFailed("Prometheus answered 503: overloaded")
        return [Series({"equipment": name}, points) for name in names]

    def instant(self, query: str) -> list[object]:
        return []


def names(count: int) -> list[str]:
    return [f"olt-{number:05}" for number in range(count)]


def find(prometheus: Any, *questions: Asked, whole: list[str] | None = None) -> dict[str, failure_start.Start]:
    return find_starts(prometheus, questions, NOW, whole)


TEN_MINUTES = timedelta(minutes=10)


def test_ten_thousand_that_failed_just_now_are_asked_in_one_query_of_less_than_16_mib() -> None:
    prometheus = Scraped(timedelta(minutes=3))
    found = find(prometheus, *map(asked, names(10_000)))
    assert [(count, window) for count, window, _ in prometheus.asked] == [(10_000, TEN_MINUTES)]
    assert prometheus.asked[0][2] < 16 * MIB
    assert {start.at for start in found.values()} == {NOW - timedelta(minutes=3)}
    assert len(found) == 10_000


def test_ten_thousand_that_failed_a_while_ago_are_asked_in_twenty_more_queries_of_less_than_16_mib() -> None:
    prometheus = Scraped(timedelta(minutes=30))
    found = find(prometheus, *map(asked, names(10_000)))
    assert [(count, window) for count, window, _ in prometheus.asked[1:]] == [(500, timedelta(hours=2))] * 20
    assert max(size for *_, size in prometheus.asked) < 16 * MIB
    assert {start.at for start in found.values()} == {NOW - timedelta(minutes=30)}
    assert len(found) == 10_000


@pytest.mark.parametrize(("failed_for", "level"), [(timedelta(hours=20), 2), (timedelta(days=7), 3)], ids=["hours", "days"])
def test_what_failed_long_ago_is_asked_in_smaller_queries(failed_for: timedelta, level: int) -> None:
    prometheus = Scraped(failed_for)
    found = find(prometheus, *map(asked, names(50)))
    assert {start.at for start in found.values()} == {NOW - failed_for}
    assert max(count for count, window, _ in prometheus.asked if window == LOOK_BACK[level][0]) == min(50, LOOK_BACK[level][1])
    assert max(size for *_, size in prometheus.asked) < 16 * MIB


def test_the_longest_look_back_at_its_size_stays_below_16_mib() -> None:
    for back, most in LOOK_BACK:
        prometheus = Scraped(timedelta(days=9))
        prometheus.raw("|".join(names(most)) + f"[{back.total_seconds():.0f}s]", NOW)
        assert prometheus.asked[0][2] < 16 * MIB


def test_more_than_a_tick_may_ask_is_left_for_the_next_ones_which_come_to_an_end() -> None:
    left, ticks = [asked(name) for name in names(400)], 0
    while left:
        prometheus = Scraped(timedelta(days=30))
        found = find(prometheus, *left)
        assert len(prometheus.asked) <= MOST_QUERIES
        assert found
        assert all(start.good_at is None for start in found.values())
        left, ticks = [one for one in left if one.incident_id not in found], ticks + 1
    assert ticks == 2


def test_the_newest_failures_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_start, "MOST_QUERIES", 2)
    old = [asked(name, NOW - timedelta(minutes=20)) for name in names(700)]
    new = [asked(f"olt-9{number:05}") for number in range(300)]
    found = find(Scraped(timedelta(minutes=30)), *old, *new)
    assert {one.incident_id for one in new} <= found.keys()
    assert len(found) == 500


def test_one_query_that_fails_leaves_out_its_own_equipment_alone() -> None:
    prometheus = Scraped(timedelta(minutes=30))
    prometheus.failing = "olt-00700"
    with capture_logs() as logs:
        found = find(prometheus, *map(asked, names(1_500)))
    assert len(found) == 1_000
    assert "olt-00700" not in found
    assert [line["error"] for line in logs] == ["Prometheus answered 503: overloaded"]


def test_alerts_hours_apart_are_each_looked_up_as_of_their_own_time() -> None:
    # at one query for both, the two hours before the later one show nothing of the earlier
    early = asked("olt-1", NOW - timedelta(hours=5))
    found = find(Scraped(timedelta(hours=6)), asked("olt-2"), early)
    assert found["olt-1"] == failure_start.Start(NOW - timedelta(hours=6), "equipment_series", NOW - timedelta(hours=6, seconds=15))


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with FakePrometheus() as server:
        yield server


@pytest.mark.parametrize(
    ("expression", "query"),
    [
        (None, f'{UP}{{equipment=~"a|b"}}[600s]'),
        ("own_up", 'own_up{equipment=~"a|b"}[600s]'),
        ('own_up{port="1"}', 'own_up{equipment=~"a|b",port="1"}[600s]'),
        (
            "min by (equipment) (own_up)",
            (
                '(label_replace((\nmin by (equipment) (own_up)\n), "art58_asked", "1", "equipment", "a|b") '
                'and on (art58_asked) label_replace(vector(1), "art58_asked", "1", "", ""))[600s:15s]'
            ),
        ),
    ],
    ids=["normalised", "own series", "own selector", "any PromQL"],
)
def test_only_the_equipment_that_failed_is_asked_for(fake: FakePrometheus, expression: str | None, query: str) -> None:
    prometheus = Prometheus(PrometheusSettings(url=fake.url))
    find(prometheus, asked("a", expression=expression), asked("b", expression=expression))
    prometheus.close()
    # nothing is told of the last ten minutes: it may have told of the failure before
    assert fake.asked == [query, query.replace("[600s", "[7200s")]


def test_with_nothing_to_settle_nothing_is_asked(fake: FakePrometheus) -> None:
    prometheus = Prometheus(PrometheusSettings(url=fake.url))
    assert find(prometheus) == {}
    prometheus.close()
    assert fake.asked == []


class Firing:
    """A Prometheus that tells of ALERTS_FOR_STATE as it is picked by equipment; how many series it told of at each question."""

    def __init__(self, *series: dict[str, str]) -> None:
        self._series = series
        self.told: list[int] = []

    def raw(self, query: str, at: datetime) -> list[Series]:
        return []

    def instant(self, query: str) -> list[Sample]:
        pattern = json.loads(query.partition("equipment=~")[2].removesuffix("}"))
        wanted = set(pattern.split("|"))
        found = [Sample(labels, NOW.timestamp(), NOW.timestamp() - 60) for labels in self._series]
        told = [sample for sample in found if sample.labels.get("equipment", "") in wanted]
        self.told.append(len(told))
        return told


def firing(equipment: str, parts: int, **external: str) -> tuple[Asked, list[dict[str, str]]]:
    """An incident of so many alerts, and the series of these."""
    series = [{"alertname": "Down", "equipment": equipment, "part": str(part)} for part in range(parts)]
    alerts = tuple(Alert("alertmanager", "f", NOW, None, labels | external, {}, "") for labels in series)
    return Asked(equipment, equipment, "equipment", None, alerts), series


def test_the_alerts_of_a_large_network_are_asked_for_in_portions_and_no_start_is_missed() -> None:
    together = [firing(name, 30) for name in names(4_000)]
    prometheus = Firing(*(labels for _, series in together for labels in series))
    found = find(prometheus, *(one for one, _ in together))
    assert {start.at for start in found.values()} == {NOW - timedelta(minutes=1)}
    assert (len(found), sum(prometheus.told), len(prometheus.told)) == (4_000, 120_000, 3)
    assert max(prometheus.told) <= failure_start.MOST_ALERTS


def test_portions_are_as_small_where_one_alert_stands_for_others() -> None:
    together = []
    for name in names(4_000):
        asked, series = firing(name, 30)
        (first, *_) = asked.alerts
        numbers = {(first.starts_at, first.source, first.fingerprint): 30}
        together.append((msgspec.structs.replace(asked, alerts=(first,), numbers=numbers), series))
    prometheus = Firing(*(labels for _, series in together for labels in series))
    find(prometheus, *(one for one, _ in together))
    assert (sum(prometheus.told), len(prometheus.told)) == (120_000, 3)


def test_of_alerts_on_other_equipment_nothing_is_read() -> None:
    (mine, its), (_, others) = firing("olt-1", 2), firing("olt-2", 50)
    prometheus = Firing(*its, *others)
    assert find(prometheus, mine)["olt-1"].basis == "alerts_for_state"
    assert prometheus.told == [2]


def test_a_series_without_the_equipment_is_found_where_the_alert_has_it_from_elsewhere() -> None:
    alert = Alert("alertmanager", "f", NOW, None, {"alertname": "Down", "equipment": "olt-1"}, {}, "")
    start = find(Firing({"alertname": "Down"}), Asked("one", "olt-1", "equipment", None, (alert,)))["one"]
    assert (start.at, start.basis) == (NOW - timedelta(minutes=1), "alerts_for_state")


def test_series_without_the_equipment_are_not_held_against_each_failure_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    moments: list[float] = []
    moment = failure_start._moment
    monkeypatch.setattr(failure_start, "_moment", lambda seconds: moments.append(seconds) or moment(seconds))
    series = [{"alertname": "Down", "instance": name} for name in names(300)]
    questions = [
        Asked(name, name, "equipment", None, (Alert("alertmanager", "f", NOW, None, labels | {"equipment": name}, {}, ""),))
        for name, labels in zip(names(300), series, strict=True)
    ]
    found = find(Firing(*series), *questions)
    assert {start.basis for start in found.values()} == {"alerts_for_state"}
    assert len(moments) < 3 * 300


def test_labels_are_read_only_where_an_alert_was_active_before_what_is_known() -> None:
    (first, its), (second, others) = firing("olt-1", 2), firing("olt-2", 2)
    early = msgspec.structs.replace(
        second, alerts=tuple(msgspec.structs.replace(alert, starts_at=NOW - timedelta(minutes=1)) for alert in second.alerts)
    )
    whole: list[str] = []
    found = find(Firing(*its, *others), first, early, whole=whole)
    assert {id_: (start.at, start.basis) for id_, start in found.items()} == {
        "olt-1": (NOW - timedelta(minutes=1), "alerts_for_state"),
        "olt-2": (NOW - timedelta(minutes=1), "starts_at"),
    }
    assert whole == ["olt-1"]
