"""The benchmarks measure what they say: they end with all their figures; every request gets its 200 and is stored; every incident
is assessed.
"""

import json
import sqlite3
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from contextlib import ExitStack, closing
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from markupsafe import escape

from benchmarks import capacity, endurance, faults, secrets_told
from receiver.delivery.plan import Route
from receiver.storage.database import Database

ROOT = Path(__file__).resolve().parent.parent
KEYS = {
    "ratio_bare_1",
    "ratio_bare_100",
    "p99_ms_1",
    "p99_ms_100",
    "requests_s_1",
    "alerts_s_100",
    "bare_requests_s_1",
    "bare_alerts_s_100",
    "failed",
    "lost",
    "rounds",
    "seconds",
    "cores",
    "fsync_s",
}


def measured(name: str, *options: str) -> dict[str, Any]:
    """The figures on the last line, the only one in JSON, of a run that succeeds and leaves no folder behind."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        out, errors = run.communicate(timeout=120)
    assert run.returncode == 0, out + errors
    # others may measure here at the same time: only its own
    assert not list((ROOT / "var").glob(f"bench-{run.pid}-*"))
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("{")] == lines[-1:]
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def test_the_intake_takes_in_bodies_of_both_sizes_and_every_request_is_stored() -> None:
    figures = measured("intake", "--seconds", "1", "--rounds", "1", "--sketch")
    assert figures.keys() >= KEYS
    assert (figures["failed"], figures["lost"]) == (0, 0)
    assert all(figures[key] > 0 for key in (KEYS | {"ratio_sketch_1", "ratio_sketch_100"}) - {"failed", "lost"})


def test_a_tick_over_many_incidents_asks_no_more_than_one_over_few() -> None:
    asked = []
    for size in (40, 80):
        figures = measured("tick", "--rounds", "2", "--size", str(size))
        names = ("seconds", "first_seconds", "bare_seconds", "ratio_bare")
        assert all(figures[f"{name}_{size}"] > 0 for name in names)
        assert figures["peak_mib"] > 0
        asked.append(figures["queries"])
    assert 0 < asked[0] == asked[1] <= 10


def test_deriving_costs_no_more_statements_for_more_alerts_and_is_told_for_each_shape() -> None:
    asked = []
    for each, large in ((5, 50), (50, 500)):
        figures = measured("derive", "--groups", "20", "--each", str(each), "--large", str(large), "--rounds", "1")
        shapes = ("storm", "one_group_a_tenth", "one_group", "one_group_one_body")
        assert all(figures[f"events_s_{shape}"] > 0 and figures[f"ratio_decode_{shape}"] > 0 for shape in shapes)
        asked.append(figures["statements_storm"])
    assert asked[1] <= asked[0] + 8  # a few hundred names are asked for at once


def test_a_tree_of_much_equipment_is_totalled_by_queries_in_batches() -> None:
    figures = measured("topology", "--rounds", "1", "--size", "400")
    assert all(figures[f"seconds_{case}_400"] > 0 for case in ("whole", "part"))


def test_what_growth_costs_is_measured_and_the_first_limit_of_each_size_is_told() -> None:
    living = ("--living", "20", "--living", "100")
    figures = measured("growth", "--requests", "100", "--groups", "10", "--units", "400", "--answer-mib", "0.5", *living)
    names = ("us_request_1", "bare_us_request_1", "us_event", "us_delivery", "us_poll", "bytes_alert", "bytes_assessment")
    assert all(figures[name] > 0 for name in (*names, "tick_ms_100", "units_s_400", "most_alerts_range"))
    assert figures["queries"] <= 10
    assert len([name for name in figures if name.startswith("first_") and name.endswith(" %")]) == 6


def load(**shares: float) -> capacity.Load:
    """What asks for little of everything but for these."""
    little = dict.fromkeys(("living", "alerts_s", "intake", "deriving", "tick", "memory", "answer", "disk_mib"), 0.1)
    return capacity.Load(**little | shares)


def test_more_receivers_take_in_more_but_judge_no_faster() -> None:
    assert load(intake=0.9).first() == ("intake", 0.9)
    assert load(intake=0.9, memory=0.4).first(3) == ("memory", 0.4)
    assert load(deriving=0.5, tick=0.75).first(3) == load(deriving=0.5, tick=0.75).first() == ("deriving + tick", 1.25)


def test_the_forecast_is_scored_beside_what_anybody_could_foretell() -> None:
    figures, again = (measured("forecast", "--outages", "10", "--noise", "0.02") for _ in range(2))
    scores = {name for name in figures if name.endswith("noise_2")}
    assert len(scores) == 14
    assert {name: figures[name] for name in scores} == {name: again[name] for name in scores}
    assert (figures["error_minutes_users_stay_noise_2"], figures["never_users_stay_noise_2"]) == (None, 1)
    # about as near as the straight line, with less than half of its false alarms
    assert figures["error_ratio_least_squares_noise_2"] < 1.3
    assert figures["error_minutes_trend_noise_2"] < 6
    assert figures["false_alarms_ratio_least_squares_noise_2"] < 0.5
    assert figures["band_trend_noise_2"] > 0.5


def test_a_backtest_is_as_fast_as_it_says_and_judges_nothing_otherwise_for_it() -> None:
    figures = measured("backtest", "--days", "2", "--failures", "8", "--rounds", "1", "--sample-hours", "3")
    assert (figures["days"], figures["failures"], figures["same"]) == (2, 8, True)
    assert all(figures[name] > 0 for name in ("seconds", "ratio", "ticks", "peak_mib", "incidents"))
    assert figures["ticks"] < figures["steps"]


def test_in_a_storm_of_faults_and_kills_every_incident_has_one_ticket_at_each_target() -> None:
    figures = measured("faults", "--incidents", "12", "--kills", "3")
    assert (figures["incidents"], figures["targets"], figures["kills"]) == (12, 4, 3)
    assert figures["failed_calls"] > 20
    for wrong in ("lost", "doubled", "comments_doubled", "unfinished", "unsent", "secrets_told", "planted_not_found"):
        assert figures[wrong] == 0, wrong
    assert figures["blotted_out"] > 0, "no stand-in repeated what it was sent"


def test_a_storm_is_taken_in_and_assessed_and_each_threshold_crossed_meanwhile_is_told() -> None:
    figures = measured("storm", "--groups", "20", "--each", "5", "--older", "4", "--prepared", "8", "--crossing", "4")
    assert (figures["alerts"], figures["lost"], figures["never_told"], figures["broken"]) == (100, 0, 0, 0)
    assert figures["crossings"] + figures["calm_crossings"] == 4
    assert figures["tickets"] >= 4
    assert all(figures[name] > 0 for name in ("acked_s", "assessed_s", "peak_mib"))


def test_the_start_and_the_memory_at_rest_of_every_process_are_told() -> None:
    figures = measured("start", "--rounds", "1")
    roles = ("supervisor", "master", "web", "worker")
    assert all(figures[name] > 0 for name in ("ready_s", "imports_s", "rest_mib", *(f"rest_{role}_mib" for role in roles)))
    assert figures["rest_mib"] < 150, "what all of them need is not in memory once"


OF_THE_RECEIVER = ("web", "master", "worker", "deriver", "tree")


@pytest.mark.parametrize(
    ("store", "victims", "each"),
    [("sqlite", OF_THE_RECEIVER, 2), ("postgresql", (*OF_THE_RECEIVER, "server", "backend"), 1)],
    ids=["sqlite", "postgresql"],
)
def test_whichever_process_is_killed_under_load_nothing_is_lost_and_no_ticket_doubled(
    store: str, victims: tuple[str, ...], each: int
) -> None:
    figures = measured("kill", "--store", store, "--kills", str(each * len(victims)))
    assert {name: number for name, number in figures.items() if name.startswith("kills_")} == {
        f"kills_{name}": each for name in victims
    }
    assert figures["unanswered"] > 0, "no kill was noticed"
    for wrong in ("lost", "homeless", "unassessed", "doubled", "missing", "unsent"):
        assert figures[wrong] == 0, wrong
    assert figures["tickets"] > 4


def test_of_several_receivers_over_one_store_each_takes_in_and_delivers_and_one_judges() -> None:
    figures = measured("replicas", "--replicas", "2", "--rounds", "1", "--seconds", "1", "--incidents", "20")
    names = ("ratio", "requests_s_1_1", "requests_s_1_2", "alerts_s_100_2", "deliveries_s_1", "deliveries_s_2")
    assert all(figures[name] > 0 for name in names)
    assert figures["least_share_of_deliveries"] > 0
    for wrong in ("lost", "failed", "missing", "doubled", "doubled_assessments"):
        assert figures[wrong] == 0, wrong
    assert figures["judges_most"] == 1


def test_a_compressed_week_tells_what_grows() -> None:
    figures = measured("endurance", "--minutes", "0.2", "--days", "0.05")
    assert figures["samples"] >= 3
    assert figures["incidents"] > 100
    assert figures["ticks"] > 4
    slopes = ("memory_mib_per_day", "store_mib_per_day", "tick_ms_per_100_living", "tick_ms_per_1000_incidents")
    assert all(isinstance(figures[name], float) for name in slopes)
    assert all(isinstance(figures[name], bool) for name in ("memory_flat", "store_bounded", "tick_flat"))


def test_what_grows_in_a_compressed_week_is_called_neither_flat_nor_bounded() -> None:
    def judged(**growth: float) -> dict[str, float]:
        grown = {"web_mib": 0.0, "store_mib": 5.0, "tick_s": 0.0} | growth
        return endurance.figures_of([week_as_seen(n, **grown) for n in range(240)])

    def judgements(figures: dict[str, float]) -> tuple[float, ...]:
        return tuple(figures[name] for name in ("memory_flat", "store_bounded", "tick_flat"))

    assert judgements(judged()) == (True, True, True)
    assert judgements(judged(web_mib=3)) == (False, True, True)
    assert judgements(judged(tick_s=0.001)) == (True, True, False)
    assert judged(tick_s=0.001)["tick_ms_per_1000_incidents"] == pytest.approx(2.5)
    assert judgements(judged(store_mib=40)) == (True, True, True)
    assert endurance.figures_of([week_as_seen(n, 0, n / 20, 0) for n in range(240)])["store_bounded"] is False


def week_as_seen(number: int, web_mib: float, store_mib: float, tick_s: float) -> endurance.Sample:
    """One of 240 looks at a week of 2,800 incidents. These grow by so much a day; a living incident takes 0.1 ms of a tick."""
    day, living = number * 7 / 240, 100 + 37 * number % 50
    return endurance.Sample(
        day, 100 + web_mib * day, 90, store_mib * day, 0.01 + living / 10_000 + tick_s * day, 10, living, round(400 * day), 0
    )


SECRET = "s3cret '\"<&>%+/\\-of-nobody"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"GET /api?key={quote(SECRET, safe='')}&page=2",
        urlencode({"key": SECRET}),
        *(f"Basic {b64encode(f'{user}:{SECRET}'.encode()).decode()}" for user in ("a", "ab", "abc")),
        *(urlsafe_b64encode(f"{user}:{SECRET}?~~".encode()).decode() for user in ("a", "ab", "abc")),
        json.dumps({"token": SECRET}),
        json.dumps(json.dumps({"token": SECRET})),
        str(escape(SECRET)),
        str(escape(json.dumps({"token": SECRET}))),
        json.dumps({"token": SECRET}).replace("'", "''"),
        repr({"token": SECRET}),
        json.dumps({"header": b64encode(SECRET.encode()).decode()}).replace("/", "\\/"),
    ],
)
def test_a_secret_is_found_in_whichever_way_it_is_written(text: str) -> None:
    assert secrets_told.told(f"something {text} else", ["another one", SECRET]) == {SECRET}
    assert not secrets_told.told("something else, ***, s3cret, " + SECRET[:-1], [SECRET])


def test_the_secrets_of_a_storm_cannot_stand_anywhere_by_chance(tmp_path: Path) -> None:
    with ExitStack() as stack:
        desks = faults.Desks(stack)
        secrets = secrets_told.Watch(tmp_path, desks.settings, desks.secrets).secrets
    assert len(set(secrets)) == 6
    assert all(len(one) >= 20 and not one.isalnum() for one in secrets)
    assert not any(one in other for one, other in permutations(secrets, 2))


def test_a_secret_that_got_into_the_ledger_is_seen_wherever_it_is_shown(tmp_path: Path) -> None:
    with ExitStack() as stack:
        desks = faults.Desks(stack)
        database = stack.enter_context(closing(Database(f"sqlite:///{tmp_path}/art58.db")))
        database.migrate()
        faults.assess(database, 1, 1, (Route("jira", "ticket"),), faults.BEGAN)
        watch = stack.enter_context(secrets_told.Watch(tmp_path, desks.settings, desks.secrets))
        watch.look()
        assert watch.told == set()
        with closing(sqlite3.connect(tmp_path / "art58.db")) as connection, connection:
            connection.execute("UPDATE deliveries SET last_error = ?", (f"no way in by {desks.secrets[2]}",))
        watch.look()
        assert watch.told == {f"secret 2 in {place}" for place in ("store", "pages", "deliveries")}
