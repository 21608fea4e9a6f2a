"""A backtest says what the receiver would have said: nothing is judged otherwise for being judged afterwards, or faster."""

import json
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.inputs import UserInputs
from receiver.law.rulebook import shipped
from receiver.model import Assessment, Notification
from receiver.observation.past import PastPrometheus, Unanswered
from receiver.observation.prometheus import NotOffered, Prometheus, Sample
from receiver.operations.backtest import Backtest, Past, Progress
from receiver.settings import AuthenticationSettings, PrometheusSettings, Settings
from receiver.storage import incidents as store
from receiver.storage import notifications
from receiver.storage.database import Database
from receiver.worker import Worker
from tests import backfilled
from tests.receiver import Receiver

STEP = timedelta(seconds=15)
SINCE = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=150)
SERVICES = (
    Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',)),
    Service(name="data", kind="internet_access", match=('service="data"',)),
    Service(name="mail", kind="email", charged=True, match=('service="mail"',), hold_seconds=300),
)
CHANGES: dict[str, Any] = {"hold_seconds": 900, "candidate_lead_seconds": 900}


def at(minutes: float) -> datetime:
    return SINCE + timedelta(minutes=minutes)


# --- what happened --------------------------------------------------------------------------------------------------------------

OUTAGES = (
    # equipment, service, from and until (minutes)
    ("core-1", "voice", 5.25, 75),
    ("core-1", "data", 5.25, 75),
    ("olt-1", "data", 20, 26.5),
    ("olt-1", "data", 31, 38),  # a flap within the hold
    ("olt-2", "data", 40, 42),
    ("mx-1", "mail", 50, 62),
    ("mx-1", "mail", 70, 80),  # beyond its hold
)
USERS = {("core-1", "voice"): 42_000, ("core-1", "data"): 61_000, ("olt-1", "data"): 9_000, ("olt-2", "data"): 300}


def history() -> str:
    """Samples every 15 s, ten minutes before to the end; users of core-1 that grow, and those of mx-1 in jumps."""
    lines: list[str] = []
    series: dict[str, list[tuple[float, float]]] = {}
    for n in range(-40, int((UNTIL - SINCE) / STEP) + 1):
        minute, moment = n / 4, (SINCE + n * STEP).timestamp()
        down = {equipment for equipment, _, begins, ends in OUTAGES if begins <= minute < ends}
        for equipment in ("core-1", "olt-1", "olt-2", "mx-1"):
            series.setdefault(f'art58:equipment_up{{equipment="{equipment}"}}', []).append((moment, equipment not in down))
        for (equipment, service), users in USERS.items():
            labels = f'{{equipment="{equipment}",service="{service}",unit="line"}}'
            series.setdefault(f"art58:users_under_equipment{labels}", []).append((moment, users))
        if "core-1" in down:
            unable = min(1_000 * (minute - 5), 33_000 + 100 * (n % 7))
            series.setdefault('art58:users_unable{equipment="core-1",service="data"}', []).append((moment, int(unable)))
        if "mx-1" in down and n % 12:
            series.setdefault('art58:users_unable{equipment="mx-1",service="mail"}', []).append((moment, 100 * (n // 20)))
        for equipment, service, begins, ends in OUTAGES:
            if begins + 0.5 <= minute < ends:
                labels = f'{{alertname="Down",alertstate="firing",equipment="{equipment}",service="{service}"}}'
                series.setdefault(f"ALERTS{labels}", []).append((moment, 1))
    for name, points in series.items():
        lines += [f"{name} {int(value)} {moment:.3f}" for moment, value in points]
    return "\n".join([*lines, "# EOF", ""])


def told() -> list[Notification]:
    """As Alertmanager sent it: a while after the alert fired, each resolved one again, one twice."""
    sent: list[tuple[datetime, bytes]] = []
    for number, (equipment, service, begins, ends) in enumerate(OUTAGES):
        alert = {
            "labels": {"alertname": "Down", "equipment": equipment, "service": service},
            "fingerprint": f"{equipment}-{service}",
        }
        alert["startsAt"] = at(begins + 0.5).isoformat()
        firing = json.dumps({"version": "4", "alerts": [alert | {"status": "firing"}]}).encode()
        over = json.dumps({"version": "4", "alerts": [alert | {"status": "resolved", "endsAt": at(ends).isoformat()}]}).encode()
        sent += [(at(begins + 0.75), firing), (at(begins + 0.75 + number), firing), (at(ends + 0.5), over), (at(ends + 5), over)]
    ordered = sorted(sent, key=lambda one: one[0])
    return [Notification(n, "alertmanager", moment, body) for n, (moment, body) in enumerate(ordered)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a real Prometheus that remembers it."""
    with backfilled.prometheus(tmp_path_factory.mktemp("past"), history(), "--storage.tsdb.retention.time=100y") as client:
        yield client._addresses[0]


# --- equal to live --------------------------------------------------------------------------------------------------------------


class AtTheTime(Prometheus):
    """Asks instant queries as of the set clock, by the API's own parameter: what live asks of the present."""

    def __init__(self, url: str, clock: Any) -> None:
        super().__init__(PrometheusSettings(url=url))
        self._url, self._clock = url, clock

    def document(self, path: str) -> msgspec.Raw:
        raise NotOffered(f"{path} is of now, when the rules of then are gone")

    def instant(self, query: str) -> list[Sample]:
        form = {"query": query, "time": f"{self._clock().timestamp():.3f}"}
        result = requests.post(f"{self._url}/api/v1/query", data=form, timeout=10).json()["data"]["result"]
        return [Sample(one["metric"], one["value"][0], float(one["value"][1])) for one in result]


class OfWhatWasSent(Worker):
    """A backtest gets the same alerts, and finds no others."""

    def reconcile(self, now: datetime) -> None:
        pass


@pytest.fixture(scope="module")
def live(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the receiver's own worker made of it, with a clock that a test moves on by 15 s."""
    with Receiver(tmp_path_factory.mktemp("live"), url, **CHANGES) as receiver:
        receiver.clock.fixed = SINCE
        prometheus = AtTheTime(url, receiver.clock)
        worker = OfWhatWasSent(receiver.settings, Catalogue(SERVICES), receiver.database, prometheus, shipped(), (), receiver.clock)
        waiting = told()
        while receiver.clock.fixed <= UNTIL:
            with receiver.database.inbox.write() as connection:
                while waiting and waiting[0].received_at <= receiver.clock.fixed:
                    one = waiting.pop(0)
                    notifications.add(connection, one.source, one.received_at, one.body)
            worker.step()
            receiver.clock.fixed += STEP
        prometheus.close()
        return judged(receiver.database)


Points = dict[str, list[tuple[float, float]]]


def judged(database: Database) -> dict[str, Any]:
    """Everything that was concluded."""
    with database.read() as connection:
        found = store.listed(connection, ("open", "recovering", "restored", "closed"), 1000)
        return {one.id: (one, store.history(connection, one.id)) for one in found}


def backtest(url: str, folder: Path, file: Path | None = None, **changes: Any) -> Backtest:
    settings = Settings(
        data_dir=str(folder),
        prometheus=PrometheusSettings(url=url),
        authentication=AuthenticationSettings(),
        **CHANGES,
    )
    past = Past(SINCE, UNTIL, STEP, told())
    return Backtest(settings, Catalogue(SERVICES), shipped(), PastPrometheus(settings.prometheus, STEP), past, file, **changes)


def test_a_backtest_says_what_the_receiver_said(url: str, live: dict[str, Any], tmp_path: Path) -> None:
    replayed = backtest(url, tmp_path)
    replayed.run()
    found = judged(replayed.database)
    assert found.keys() == live.keys()
    for id_, (incident, assessments) in live.items():
        assert found[id_][0] == incident
        assert [told_of(one) for one in found[id_][1]] == [told_of(one) for one in assessments]
    assert len(live) >= 4
    assert {one.verdict.value for _, its in live.values() for one in its} >= {"major", "none"}


def told_of(one: Assessment) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


# --- equal to every step --------------------------------------------------------------------------------------------------------

SEEDS = (1, 2, 3, 4)


def day(seed: int) -> datetime:
    """Every chance has a day of its own, in one Prometheus."""
    return SINCE - timedelta(days=30 + seed)


def chances(seed: int) -> tuple[Points, list[Notification]]:
    """Two hours of failures at random: flaps, users that wobble or vanish, traffic beside that of comparable days."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    begins, series, sent = day(seed), defaultdict[str, list[tuple[float, float]]](list), []
    down: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number in range(9):
        equipment, service = dice.choice(
            [("core-1", "voice"), ("core-1", "data"), ("olt-1", "data"), ("olt-2", "data"), ("mx-1", "mail")]
        )
        since = dice.randrange(0, 360)
        until = min(since + dice.choice([2, 20, 100, 300]), 480)
        down[equipment].append((since, until))
        alert = {
            "labels": {"alertname": "Down", "equipment": equipment, "service": service},
            "fingerprint": f"{equipment}-{service}",
        }
        alert["startsAt"] = (begins + since * STEP + timedelta(seconds=2.5)).isoformat()
        for kind, step in (("firing", since), ("firing", since + 20), ("resolved", until), ("resolved", until + 20)):
            said = (
                alert
                | {"status": kind}
                | ({"endsAt": (begins + until * STEP + timedelta(seconds=4)).isoformat()} if kind != "firing" else {})
            )
            body = json.dumps({"version": "4", "alerts": [said]}).encode()
            sent.append(
                Notification(number, "alertmanager", begins + step * STEP + timedelta(seconds=dice.random() * 30 + 5), body)
            )
    silent = {equipment: dice.randrange(0, 480) for equipment in ("core-1", "olt-1")}
    for n in range(-60, 481):
        moment = (begins + n * STEP).timestamp()
        for equipment, service in (("core-1", "voice"), ("core-1", "data"), ("olt-1", "data"), ("olt-2", "data"), ("mx-1", "mail")):
            is_down = any(since - 3 <= n < until for since, until in down[equipment])
            labels = f'{{equipment="{equipment}",service="{service}"}}'
            if not silent.get(equipment, 999) <= n < silent.get(equipment, 999) + 40:
                series[f'art58:equipment_up{{equipment="{equipment}"}}'] += [(moment, not is_down)] if service != "voice" else []
            if equipment != "olt-2" or n < 300:
                series[f"art58:users_under_equipment{labels}"].append((moment, 31_000 + 500 * (n // 90)))
            if is_down and service in ("mail", "data") and equipment != "olt-2" and dice.random() < 0.9:
                series[f"art58:users_unable{labels}"].append((moment, int(30_000 * dice.random()) if n % 4 else 30_500))
            if service == "voice" and seed % 2:
                series[f"art58:emergency_calls_affected{labels}"].append((moment, n % 100 > 50))
        for week in range(4):
            traffic = 1_000_000 if week else 200_000 if any(since <= n < until for since, until in down["olt-2"]) else 990_000
            series['art58:traffic_bytes_per_hour{equipment="olt-2",service="data"}'].append(
                (moment - week * 7 * 86400, traffic + n)
            )
    return series, sorted(sent, key=lambda one: one.received_at)


CALM = SINCE - timedelta(days=20)


def calm() -> tuple[Points, list[Notification]]:
    """One failure, and then nothing at all changes for hours; it began between two steps, and far from any whole five minutes."""
    series: Points = {}
    for n in range(-40, 721):
        moment, failed = (CALM + n * STEP).timestamp(), n >= 9
        series.setdefault('art58:equipment_up{equipment="lone-1"}', []).append((moment + 2, not failed))
        series.setdefault('art58:users_under_equipment{equipment="lone-1",service="mail"}', []).append((moment + 2, 20_000))
    alert = {"labels": {"alertname": "Down", "equipment": "lone-1", "service": "mail"}, "status": "firing"}
    alert["startsAt"] = (CALM + 10 * STEP).isoformat()
    body = json.dumps({"version": "4", "alerts": [alert]}).encode()
    return series, [Notification(1, "alertmanager", CALM + timedelta(minutes=4), body)]


@pytest.fixture(scope="module")
def by_chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    every: Points = defaultdict(list)
    for seed in SEEDS:
        for name, points in chances(seed)[0].items():
            every[name] += points
    every |= calm()[0]
    lines = [f"{name} {int(value)} {moment:.3f}" for name, its in every.items() for moment, value in sorted(dict(its).items())]
    text = "\n".join([*lines, "# EOF", ""])
    with backfilled.prometheus(tmp_path_factory.mktemp("chance"), text, "--storage.tsdb.retention.time=100y") as client:
        yield client._addresses[0]


def of_chance(url: str, folder: Path, seed: int, file: Path | None = None) -> Backtest:
    settings = Settings(
        data_dir=str(folder), prometheus=PrometheusSettings(url=url), authentication=AuthenticationSettings(), **CHANGES
    )
    since, told = (day(seed), chances(seed)[1]) if seed else (CALM, calm()[1])
    past = Past(since, since + timedelta(minutes=180), STEP, told)
    return Backtest(settings, Catalogue(SERVICES), shipped(), PastPrometheus(settings.prometheus, STEP), past, file)


@pytest.mark.parametrize("seed", [0, *SEEDS])
def test_steps_are_passed_over_only_where_nothing_would_be_concluded(by_chance: str, tmp_path: Path, seed: int) -> None:
    quick, whole = of_chance(by_chance, tmp_path, seed), of_chance(by_chance, tmp_path, seed)
    quick.run()
    whole.run(every_step=True)
    found, expected = judged(quick.database), judged(whole.database)
    assert found.keys() == expected.keys()
    for id_, (incident, assessments) in expected.items():
        assert found[id_][0] == incident
        assert [told_of(one) for one in found[id_][1]] == [told_of(one) for one in assessments]
    assert quick.ticks < whole.ticks


def test_hours_in_which_nothing_changes_cost_next_to_nothing(by_chance: str, tmp_path: Path) -> None:
    quick = of_chance(by_chance, tmp_path, 0)
    quick.run()
    ((_, assessments),) = judged(quick.database).values()
    # the outage began at 03:02:17: two hours later it belongs in the periodic report, as the first step after that says
    assert [(one.verdict.value, one.assessed_at - CALM) for one in assessments] == [
        ("none", timedelta(minutes=4)),
        ("periodic", timedelta(hours=2, minutes=2, seconds=30)),
    ]
    assert quick.ticks < 80


# --- interrupted ----------------------------------------------------------------------------------------------------------------


class Cut(Exception):
    pass


def test_an_interrupted_backtest_goes_on_where_it_was_and_says_the_same(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.operations.backtest.CHECKPOINT_SECONDS", 0)
    whole = backtest(url, tmp_path)
    whole.run()
    file, ticks = tmp_path / "store.db", []
    for until in (0.3, 0.6):
        part = backtest(url, tmp_path, file)

        def cut(progress: Progress, until: float = until) -> None:
            if progress.share > until:
                raise Cut

        with pytest.raises(Cut):
            part.run(cut)
        ticks.append(part.ticks)
    last = backtest(url, tmp_path, file)
    last.run()
    assert judged(last.database) == judged(whole.database)
    assert 0 < last.ticks < whole.ticks / 2
    again = backtest(url, tmp_path, file)
    again.run()
    assert (again.ticks, judged(again.database)) == (0, judged(whole.database))
    assert sum(ticks) + last.ticks < whole.ticks + 20


def test_nothing_that_was_done_is_lost_when_progress_interrupts(url: str, tmp_path: Path) -> None:
    whole, file = backtest(url, tmp_path), tmp_path / "store.db"
    whole.run()
    part, seen = backtest(url, tmp_path, file), []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if progress.share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        part.run(interrupt)
    rest, first = backtest(url, tmp_path, file), []
    rest.run(first.append)
    assert (first[0].at, first[0].share) == (seen[-1].at, seen[-1].share)
    assert judged(rest.database) == judged(whole.database)
    assert part.ticks + rest.ticks == whole.ticks


def test_a_checkpoint_is_whole_or_the_one_before(url: str, tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    backtest(url, tmp_path, file).run()
    before = file.read_bytes()
    (tmp_path / "store.new").write_bytes(b"half of one")
    again = backtest(url, tmp_path, file)
    again.run()
    with sqlite3.connect(file) as store_:
        assert store_.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(before) == file.stat().st_size


def test_a_prometheus_that_dies_meanwhile_ends_the_backtest_instead_of_being_judged(tmp_path: Path) -> None:
    with pytest.raises(Unanswered):
        backtest("http://127.0.0.1:9", tmp_path).run()


def test_a_query_that_fails_by_itself_fails_as_it_did_then(url: str, tmp_path: Path) -> None:
    wrong = Service(name="data", kind="internet_access", match=('service="data"',), users=UserInputs(unable="sum by (equipment) ("))
    settings = Settings(data_dir=str(tmp_path), prometheus=PrometheusSettings(url=url), authentication=AuthenticationSettings())
    past = Past(SINCE, at(30), STEP, told())
    replayed = Backtest(settings, Catalogue((wrong,)), shipped(), PastPrometheus(settings.prometheus, STEP), past)
    replayed.run()
    problems = {one.affected.problem for _, its in judged(replayed.database).values() for one in its}
    assert any(problem and "parse error" in problem for problem in problems)
