"""`art58 backtest`: what a person or a machine gets for a question about the past."""

import csv
import io
import json
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.operations import backtest as replayed
from receiver.storage.database import Database
from tests import backfilled

ROOT = Path(__file__).parents[2]
SINCE = datetime(2026, 11, 10, 0, 0, tzinfo=UTC)  # 09:00 in Japan
STEP = timedelta(seconds=15)
CONFIG = """\
prometheus: {url: URL, timeout_seconds: 2}
authentication: {bearer_tokens: [{env: ART58_TOKEN}]}
hold_seconds: 600
services:
  - {name: voice, kind: voice, emergency_calls: true, match: ['service="voice"']}
"""
HOSTILE = "=cmd|core\\u001b[31m-1"
TIME = ["--from", "2026-11-10 09:00", "--to", "2026-11-10T12:00"]


def history() -> str:
    """core-1 fails at 09:10 for two hours with 50,000 users; the alert fires after half a minute."""
    lines: dict[str, list[str]] = {"up": [], "users": [], "alerts": []}
    for n in range(-40, 721):
        moment, failed = (SINCE + n * STEP).timestamp(), 40 <= n < 520
        lines["up"].append(f'art58:equipment_up{{equipment="core-1"}} {int(not failed)} {moment}')
        lines["users"].append(f'art58:users_under_equipment{{equipment="core-1",service="voice",unit="line"}} 50000 {moment}')
        if 42 <= n < 520:
            labels = 'alertname="Down",alertstate="firing",equipment="core-1",service="voice"'
            lines["alerts"].append(f"ALERTS{{{labels}}} 1 {moment}")
    return "\n".join([*(line for its in lines.values() for line in its), "# EOF", ""])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with backfilled.server(tmp_path_factory.mktemp("command"), history(), "--storage.tsdb.retention.time=100y") as address:
        yield address


@pytest.fixture(autouse=True)
def config(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART58_TOKEN", "a-token-of-the-tests")
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG.replace("URL", url))


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["backtest", *arguments])


def answer(*arguments: str) -> dict[str, Any]:
    result = ask(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_rules_own_series_are_judged_as_they_would_have_been_then() -> None:
    found = answer(*TIME)
    (incident,) = found["incidents"]
    (impact,) = incident["impacts"]
    assert (incident["started_at"], incident["restored_at"]) == ("2026-11-10T09:10:00+09:00", "2026-11-10T11:10:00+09:00")
    assert [(change["at"], change["verdict"], change["candidate"]) for change in impact["changes"]] == [
        ("2026-11-10T09:10:30+09:00", "periodic", False),
        ("2026-11-10T09:40:00+09:00", "periodic", True),
        ("2026-11-10T10:10:00+09:00", "major", False),
    ]
    assert (impact["changes"][2]["major_since"], impact["users"], impact["rulebook"]) == (
        "2026-11-10T10:10:00+09:00",
        50_000,
        "JP-TBA58-2026",
    )
    assert found["totals"] | {"ticks": 0} == {
        "incidents": 1,
        "verdicts": {"major": 1, "indeterminate": 0, "near_miss": 0, "periodic": 0, "none": 0},
        "candidates": 1,
        "changes": 3,
        "notifications": 2,
        "ticks": 0,
    }


def test_people_get_a_table_that_draws_no_legal_conclusion() -> None:
    said = ask(*TIME).stdout
    assert re.search("2026-11-10 09:10:00  +2026-11-10 11:10:00", said)
    assert re.findall(r"(\w+) \(JST\)", said) == ["failed", "restored", "judged"]
    assert "2026-11-10 10:10:00" in said
    assert "判断は人が行う" in said
    assert "a person decides" in said


def test_spreadsheets_get_a_line_for_each_change() -> None:
    rows = list(csv.DictReader(io.StringIO(ask(*TIME, "--csv").stdout)))
    assert [row["verdict"] for row in rows] == ["periodic", "periodic", "major"]
    assert rows[2]["changed_at"] == "2026-11-10T10:10:00+09:00"


def test_json_and_csv_give_the_same_times_all_with_the_offset_of_japan() -> None:
    zoned = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*?(Z|[+-]\d\d:\d\d)?(?=[\",\s])"
    for form in ("--json", "--csv"):
        assert set(re.findall(zoned, ask(*TIME, form).stdout)) == {"+09:00"}


def notification(minute: int, name: str = "core-1", **alert: str) -> str:
    at = (SINCE + timedelta(minutes=minute)).isoformat()
    labels = {"alertname": "Down", "service": "voice", "equipment": name}
    body = {"version": "4", "alerts": [{"status": "firing", "labels": labels, "startsAt": at} | alert]}
    return json.dumps({"received_at": at, "source": "alertmanager", "body": body})


def test_names_out_of_alerts_are_no_formula_and_no_command_to_the_terminal() -> None:
    name = json.loads(f'"{HOSTILE}"')
    Path("told.jsonl").write_text(notification(15, name))
    result = ask("--notifications", "told.jsonl", "--csv")
    (row, *_) = csv.DictReader(io.StringIO(result.stdout))
    assert row["equipment"] == "'=cmd|core [31m-1"
    assert "\x1b" not in ask("--notifications", "told.jsonl").stdout


def test_saved_notifications_need_no_time_and_are_judged_until_they_have_held() -> None:
    over = (SINCE + timedelta(minutes=130)).isoformat()
    Path("told.jsonl").write_text(
        f"{notification(11)}\n{notification(131, status='resolved', startsAt=SINCE.isoformat(), endsAt=over)}"
    )
    found = answer("--notifications", "told.jsonl")
    assert (found["since"], found["until"]) == ("2026-11-10T09:11:00+09:00", "2026-11-10T11:21:00+09:00")
    assert found["totals"]["verdicts"]["major"] == 1


def test_all_of_it_can_be_judged_by_another_rulebook() -> None:
    found = answer(*TIME, "--by", "JP-TBA58-2019")
    assert found["rulebooks"] == ["JP-TBA58-2019"]
    assert {change["rulebook"] for one in found["incidents"] for each in one["impacts"] for change in each["changes"]} == {
        "JP-TBA58-2019"
    }


def test_a_folder_goes_on_with_the_same_question_and_refuses_another() -> None:
    first = answer(*TIME, "--work", "work")
    assert answer(*TIME, "--work", "work")["incidents"] == first["incidents"]
    assert answer(*TIME, "--work", "work")["totals"]["ticks"] == 0
    other = ask(*TIME, "--work", "work", "--step", "60")
    assert other.exit_code == 2
    assert "work holds another backtest (step was 15, is 60)" in other.output
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("mine")
    theirs = ask(*TIME, "--work", "mine")
    assert (theirs.exit_code, "letter.txt" in theirs.output) == (2, True)


def test_another_folder_is_refused_by_names_that_people_know() -> None:
    Path("a.jsonl").write_text(notification(15))
    Path("b.jsonl").write_text(notification(16))
    answer("--notifications", "a.jsonl", *TIME, "--work", "work")
    other = ask("--notifications", "b.jsonl", *TIME, "--by", "JP-TBA58-2019", "--work", "work").stderr
    assert "(notifications was a.jsonl, is b.jsonl; rulebooks was as shipped, is JP-TBA58-2019)" in other
    Path("b.jsonl").write_text(notification(15))
    assert ask("--notifications", "b.jsonl", *TIME, "--work", "work").exit_code == 0
    Path("a.jsonl").write_text(notification(16))
    Path("config.yaml").write_text(Path("config.yaml").read_text().replace("600", "900"))
    changed = ask("--notifications", "a.jsonl", *TIME, "--work", "work").stderr
    assert "(configuration: the file is no longer what it was; notifications: a.jsonl is no longer what it was)" in changed


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_what_was_done_and_a_second_one_does_not_wait(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored
    whole = answer(*TIME)
    ticked, tick = [], replayed.tick

    def pressed(*its: Any) -> Any:
        ticked.append(its[4])
        if len(ticked) == 10:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return tick(*its)

    monkeypatch.setattr(replayed, "tick", pressed)
    result = ask(*TIME, "--work", "work")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "Run the same command again to go on from work" in result.stderr
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert Path("work/store.db").exists() == (times == 1)
    before = len(ticked)
    assert answer(*TIME, "--work", "work")["incidents"] == whole["incidents"]
    assert (ticked[before] > ticked[before - 1]) if times == 1 else (ticked[before] == SINCE)


def test_a_damaged_folder_is_refused() -> None:
    answer(*TIME, "--work", "work")
    Path("work/store.db").write_bytes(b"no database" * 1000)
    result = ask(*TIME, "--work", "work")
    assert (result.exit_code, "delete it, or name another folder" in result.output) == (1, True)


def test_progress_is_told_where_it_is_asked_for() -> None:
    result = ask(*TIME, "--progress", "--json")
    assert "100%  2026-11-10 12:00 JST" in result.stderr
    assert json.loads(result.stdout)
    assert ask(*TIME, "--json").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "say from when"),
        (["--from", "yesterday"], 2, "'yesterday' is no time"),
        (["--from", "2026-11-11", "--to", "2026-11-10"], 2, "--to must be later"),
        (["--from", "2026-11-10", "--to", "2199-01-01"], 2, "lies in the future"),
        ([*TIME, "--json", "--csv"], 2, "name one"),
        ([*TIME, "--notifications", "a", "--database", "b"], 2, "name one"),
        (["--notifications", "none.jsonl"], 1, "none.jsonl"),
        (["--from", "2199-01-01"], 2, "--from lies in the future"),
        (["--database", "none.db"], 1, "none.db: there is no such file. Name the art58.db"),
        (["--database", "config.yaml"], 1, "config.yaml: the store cannot be read: file is not a database. Name the art58.db"),
        (["--database", "other://user:secret@host/db"], 1, "there is no such file"),
        ([*TIME, "--by", "NONE"], 2, "there is no rulebook 'NONE'"),
        ([*TIME, "--rulebooks", "none.yaml"], 1, "none.yaml"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(arguments: list[str], code: int, said: str) -> None:
    result = ask(*arguments)
    assert said in result.output
    assert (result.exit_code, result.stdout) == (code, "")


def test_a_prometheus_that_does_not_answer_is_said_and_nothing_is_judged() -> None:
    Path("config.yaml").write_text(CONFIG.replace("URL", "http://127.0.0.1:9"))
    Path("told.jsonl").write_text(notification(15))
    result = ask("--notifications", "told.jsonl")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Prometheus at http://127.0.0.1:9: nothing more can be judged: Prometheus cannot be reached")
    assert "that prometheus.url in the configuration is right" in result.stderr
    by_rules = ask(*TIME)
    assert (by_rules.exit_code, by_rules.stdout) == (1, "")
    assert re.search("^Prometheus at http://127.0.0.1:9: .*prometheus.url in the configuration is right$", by_rules.stderr)


@pytest.mark.parametrize("when", [["--from", "2026-11-11"], ["--to", "2026-11-10T08:00"]])
def test_saved_notifications_of_another_time_are_refused(when: list[str]) -> None:
    Path("told.jsonl").write_text(notification(15))
    result = ask("--notifications", "told.jsonl", *when)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "told.jsonl: no notification in it is of this time. Change --from or --to\n"


def test_an_empty_database_is_named() -> None:
    database = Database("sqlite:///empty.db")
    database.migrate()
    database.close()
    result = ask("--database", "empty.db")
    assert (result.exit_code, "--database: empty.db: it holds no notification" in result.stderr) == (1, True)


def test_an_outage_has_one_id_by_every_source_or_at_least_one_start_and_equipment() -> None:
    (rules,) = answer(*TIME)["incidents"]
    Path("told.jsonl").write_text(notification(11, startsAt=(SINCE + 42 * STEP).isoformat()))
    (same,) = answer("--notifications", "told.jsonl", *TIME)["incidents"]
    assert same["id"] == rules["id"]
    Path("told.jsonl").write_text(notification(31))  # as after a restart of Prometheus
    (restarted,) = answer("--notifications", "told.jsonl", *TIME)["incidents"]
    assert restarted["id"] != rules["id"]
    assert (restarted["equipment"], restarted["started_at"]) == (rules["equipment"], rules["started_at"])


def test_a_time_without_alerts_is_said_to_be_one() -> None:
    result = ask("--from", "2026-11-09T01:00", "--to", "2026-11-09T02:00")
    assert (result.exit_code, "no alert about a service" in result.stderr) == (0, True)
    assert "incidents: 0" in result.stdout


@pytest.mark.parametrize("page", ["docs/how-to/backtest.md", "docs/ja/backtest.md"])
def test_the_line_in_the_docs_is_one_that_is_taken(page: str) -> None:
    (shown,) = re.findall(r"```json\n(.+)\n```", (ROOT / page).read_text(encoding="utf-8"))
    Path("told.jsonl").write_text(shown)
    assert answer("--notifications", "told.jsonl")["totals"]["incidents"] == 1
