"""`art58 act`: a person states what no alert tells, in the receiver's own store, while it runs; and is told what follows."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from click.testing import CliRunner, Result

from receiver.cli import acting, main
from receiver.cli.act import group
from receiver.law.near_miss import Answers, Fact
from receiver.law.provisions import JST
from receiver.model import Act, Incident
from receiver.stated import stated
from receiver.storage import acts as kept_acts
from receiver.storage import heartbeat
from receiver.storage import incidents as store
from receiver.storage.database import Database
from tests.apps import alert, incident
from tests.stores import put_store

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
CONFIG = """\
prometheus: {url: "http://127.0.0.1:9090"}
authentication: {bearer_tokens: [{file: token}]}
services:
  - {name: voice, kind: voice, emergency_calls: true, match: ['service="voice"']}
  - {name: data, kind: internet_access, match: ['service="data"']}
"""
ID, OTHER = "20261121-abcdefghij", "20261121-klmnopqrst"

ROOT = Path(__file__).parents[2]


class Desk:
    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        put_store(folder / "data" / "art58.db")
        (folder / "token").write_text("any")
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG)
        self.database = Database(f"sqlite:///{folder}/data/art58.db")
        for id_, unit in ((ID, "mme-1"), (OTHER, "mme-2")):
            self.put(incident(id=id_, cause=f"equipment:equipment={unit}", equipment=unit, units=(unit,)))
            its = alert(incident_id=id_, fingerprint=f"fp-{unit}", cause=f"equipment:equipment={unit}")
            with self.database.write() as connection:
                store.save_alerts(connection, [msgspec.structs.replace(its, labels=its.labels | {"equipment": unit})])
        with self.database.write() as connection:
            heartbeat.beat(connection, "tick", NOW - timedelta(seconds=10))

    def ticked(self, seconds: float) -> None:
        """So long ago a receiver last ticked."""
        with self.database.write() as connection:
            heartbeat.beat(connection, "tick", NOW - timedelta(seconds=seconds))

    def put(self, changed: Incident) -> None:
        with self.database.write() as connection:
            store.save(connection, changed)

    def __call__(self, *words: str, why: str | None = "said so on the phone", answers: str | None = None) -> Result:
        because = () if why is None else ("--why", why)
        arguments = ["act", words[0], "--config", str(self.config), *because, *words[1:]]
        return CliRunner().invoke(main, arguments, input=answers, terminal_width=200)

    def acts(self, id_: str = ID) -> list[Act]:
        with self.database.read() as connection:
            return kept_acts.of_incidents(connection, [id_])[id_]

    def incident(self, id_: str = ID) -> Incident:
        with self.database.read() as connection:
            found = store.get(connection, id_)
        assert found
        return found

    def said(self, id_: str = ID) -> dict[str, Any]:
        """The last deed on an incident, as it is stored."""
        return json.loads(msgspec.json.encode(self.acts(id_)[-1].deed))  # type: ignore[no-any-return]


@pytest.fixture
def act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(acting, "system_clock", lambda: NOW)
    monkeypatch.setenv("LOGNAME", "kenji")
    monkeypatch.delenv("SUDO_USER", raising=False)
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


FACTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "cause": (["cause", ID, "hardware"], {"act": "cause", "kind": "hardware"}),
    "start": (
        ["times", ID, "--started", "2026-11-21 11:50"],
        {"act": "times", "started_at": "2026-11-21T11:50:00+09:00", "restored_at": None},
    ),
    "both times": (
        ["times", ID, "--started", "2026-11-21T02:50Z", "--restored", "2026-11-21 12:50:30"],
        {"act": "times", "started_at": "2026-11-21T02:50:00Z", "restored_at": "2026-11-21T12:50:30+09:00"},
    ),
    "users": (
        ["users", ID, "--service", "voice", "--users", "32000", "--stopped", "30000"],
        {"act": "users", "service": "voice", "users": 32000, "stopped": 30000, "degraded": None},
    ),
    "planned": (
        ["planned", ID, "--since", "2026-11-21 11:00", "--until", "2026-11-22 05:00"],
        {"act": "planned", "since": "2026-11-21T11:00:00+09:00", "until": "2026-11-22T05:00:00+09:00"},
    ),
    "drill": (["drill", ID], {"act": "drill"}),
    "calls": (
        ["emergency-calls", ID, "--service", "voice", "--not-affected"],
        {"act": "emergency_calls", "service": "voice", "affected": False},
    ),
    "calls affected": (
        ["emergency-calls", ID, "--service", "voice", "--affected"],
        {"act": "emergency_calls", "service": "voice", "affected": True},
    ),
    "dismiss": (["dismiss", ID], {"act": "dismiss"}),
    "abbreviated": (["drill", "20261121-abc"], {"act": "drill"}),
    "abbreviated without its day": (["drill", "abcd"], {"act": "drill"}),
}


@pytest.mark.parametrize(("words", "deed"), FACTS.values(), ids=FACTS)
def test_a_person_states_a_fact(act: Desk, words: list[str], deed: dict[str, Any]) -> None:
    run = act(*words)
    assert (run.exit_code, run.stderr) == (0, "")
    assert act.said() == deed
    assert [(each.who, each.why, each.at) for each in act.acts()] == [("kenji", "said so on the phone", NOW)]
    assert f"incident {ID} (" in run.stdout
    assert f"kept as act {act.acts()[0].id}, by kenji at 2026-11-21 13:00:00 JST" in run.stdout
    assert "next: " in run.stdout


def test_times_without_a_zone_are_those_of_japan_and_are_said_in_full(act: Desk) -> None:
    run = act("times", ID, "--started", "2026-11-21 11:50")
    assert "2026-11-21 11:50:00 JST" in run.stdout
    assert act.acts()[0].deed.started_at == datetime(2026, 11, 21, 11, 50, tzinfo=JST)  # type: ignore[union-attr]


def test_behind_sudo_it_is_the_person_who_says_so(act: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "akiko")
    act("drill", ID)
    act("drill", ID, "--who", "the head of the centre")
    assert [each.who for each in act.acts()] == ["akiko", "the head of the centre"]


def test_a_person_opens_an_outage(act: Desk) -> None:
    words = ["--service", "voice", "--service", "data", "--equipment", "core-1", "--started", "2026-11-21 12:10", "--json"]
    answer = json.loads(act("open", *words).stdout)
    assert answer["ok"] is True
    id_ = answer["act"]["incident_id"]
    assert answer["incident"]["id"] == id_
    assert act.said(id_) == {
        "act": "open",
        "services": ["voice", "data"],
        "equipment": "core-1",
        "started_at": "2026-11-21T12:10:00+09:00",
        "apart": False,
    }
    assert act.incident(id_).units == ("core-1",)
    assert {"ja", "en"} == answer["next"].keys()


def test_one_incident_is_merged_into_another_and_taken_out_again(act: Desk) -> None:
    run = act("merge", "abcd", "--into", "klmn")
    assert run.exit_code == 0
    assert f"incident {OTHER} (open): mme-1, mme-2, since" in run.stdout
    assert act.incident(ID).joined_to == OTHER
    answer = json.loads(act("split", OTHER, "--equipment", "mme-1", "--json").stdout)
    assert answer["act"]["deed"]["alerts"] == [["alertmanager", "fp-mme-1"]]
    part = answer["act"]["deed"]["part"]
    assert (act.incident(part).units, act.incident(OTHER).units) == (("mme-1",), ("mme-2",))


def test_alerts_are_parted_off_by_fingerprint(act: Desk) -> None:
    act("merge", ID, "--into", OTHER)
    assert act("split", OTHER, "--alert", "fp-mme-2").exit_code == 0
    assert act.incident(OTHER).units == ("mme-1",)


def test_what_is_restored_is_closed_and_opened_again(act: Desk) -> None:
    act.put(msgspec.structs.replace(act.incident(), state="restored", restored_at=NOW - timedelta(minutes=5)))
    assert act("close", ID).exit_code == 0
    assert act.incident().state == "closed"
    assert act("reopen", ID).exit_code == 0
    assert act.incident().state == "open"


def test_what_is_closed_promises_no_more_of_its_ticket_than_is_done(act: Desk) -> None:
    act.put(msgspec.structs.replace(act.incident(), state="restored", restored_at=NOW - timedelta(minutes=5)))
    said = act("close", ID).stdout
    assert "its ticket is closed where close_when_over is set and nobody took it over, else" in said
    assert "チケットは、close_when_over が有効で誰も引き受けていなければ完了し、そうでなければ" in said


def test_who_closes_too_early_is_told_from_when_by_the_hold_of_the_configuration(act: Desk) -> None:
    act("times", ID, "--restored", "2026-11-21 12:58")
    act.put(msgspec.structs.replace(act.incident(), state="recovering", restored_at=NOW - timedelta(minutes=2)))
    said = act("close", ID).stderr
    assert "Wait until its recovery has held (hold_seconds), 2026-11-21 13:58:00 JST at the earliest" in said
    assert "2026-11-21 13:58:00 JST以降" in said


def test_another_failure_of_the_same_service_is_opened_apart_though_its_equipment_is_not_known(act: Desk) -> None:
    words = ("open", "--service", "voice", "--started", "2026-11-21 12:10", "--apart")
    answer = json.loads(act(*words, "--json").stdout)
    id_ = answer["act"]["incident_id"]
    assert id_ not in (ID, OTHER)
    assert act.said(id_)["apart"] is True
    assert "another than those known" in act("list", id_, why=None).stdout


def test_what_is_open_is_pinned_open_once(act: Desk) -> None:
    assert act("reopen", ID).exit_code == 0
    assert stated(act.acts()).is_going_on
    again = act("reopen", ID)
    assert (again.exit_code, "by a person's word" in again.stderr) == (1, True)


def test_what_became_a_part_is_not_split_and_its_whole_is_named(act: Desk) -> None:
    act("merge", ID, "--into", OTHER)
    for words in (["split", ID, "--equipment", "mme-1"], ["drill", ID]):
        assert f"{ID} is part of {OTHER} now. State it of {OTHER}" in act(*words).stderr


def test_in_json_no_key_of_an_incident_looks_like_the_cause_that_was_stated(act: Desk) -> None:
    for answer in (act("cause", ID, "hardware", "--json"), act("list", ID, "--json", why=None)):
        told = json.loads(answer.stdout)["incident"]
        assert told["grouped_by"] == "equipment:equipment=mme-1"
        assert "cause" not in told


REFUSED: dict[str, tuple[list[str], str]] = {
    "not there": (["drill", "20251231-zzzz"], "'20251231-zzzz' is no incident"),
    "too short": (["drill", "abc"], "at least 4 characters"),
    "not clear": (["drill", "20261121"], f"may be any of 2: {ID}, {OTHER}. Write more of it"),
    "no id at all": (["drill", "\udcff\udcff\udcff\udcff"], "is no incident"),
    "the part is not there": (["merge", ID, "--into", "nothing"], "'nothing' is no incident"),
    "not restored": (["close", ID], "only what is restored can be closed"),
    "another service": (["users", ID, "--service", "data", "--users", "5"], "does not hit 'data': its services are voice"),
    "no such service": (["open", "--service", "tv", "--started", "2026-11-21 12:10"], "'tv' is no service of the catalogue"),
    "merged into itself": (["merge", ID, "--into", ID], "cannot be part of itself"),
    "all its alerts": (["split", ID, "--equipment", "mme-1"], "nothing would stay"),
    "no such alert": (["split", ID, "--alert", "fp-9"], "has no alert 'fp-9'"),
    "signed as the receiver": (["drill", ID, "--who", "art58-receiver"], "Sign with a person's name"),
    "long": (["drill", ID, "--who", "k" * 201], "Say it in 200"),
    "before the Act": (["times", ID, "--started", "1985-03-31 23:59"], "Correct the year"),
    "over before it began": (["times", ID, "--restored", "2026-11-21 11:00"], "would be before the start"),
    "a plan that ends first": (["planned", ID, "--since", "2026-11-21 12:10", "--until", "2026-11-21 12:00"], "the plan ends"),
    "more parts than all": (["users", ID, "--service", "voice", "--users", "5", "--stopped", "6"], "more than the 5 in all"),
    "no answer": (["near-miss", ID, "--answer", "burned=unknown"], "no question is answered"),
    "ahead": (["times", ID, "--started", "2026-11-21T04:10Z"], "the start (2026-11-21 13:10:00 JST) lies ahead"),
    "the last hour of all": (["times", ID, "--started", "9999-12-31T23:00-09:00"], "lies ahead"),
    "no number": (["users", ID, "--service", "voice", "--users", "-1"], "-1 is no number of users. Write a whole number from 0"),
    "a plan ahead": (["planned", ID, "--since", "2036-11-21 13:10", "--until", "2036-11-21 13:20"], "the beginning of the plan"),
    "the same services": (["open", "--service", "voice", "--started", "2026-11-21 12:10"], "--apart"),
    "no such equipment": (["split", ID, "--equipment", "mme-7"], "they name mme-1"),
    "open already": (["open", "--service", "voice", "--equipment", "mme-1", "--started", "2026-11-21 12:10"], ID),
    "unseen": (["drill", ID, "--who", "ken\x1b[31mji"], "U+001B"),
}


@pytest.mark.parametrize(("words", "wrong"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_not_kept_and_ends_with_one(act: Desk, words: list[str], wrong: str) -> None:
    run = act(*words)
    assert (run.exit_code, run.stdout) == (1, "")
    assert run.stderr.startswith("not kept: ")
    assert wrong in run.stderr
    assert "\n受け付けません: " in run.stderr
    answer = json.loads(act(*words, "--json").stdout)
    assert (answer["ok"], wrong in answer["wrong"]) == (False, True)
    assert re.search("[ぁ-ん]", answer["wrong_ja"])
    assert act.acts() == act.acts(OTHER) == []


CALLED_WRONGLY: dict[str, tuple[list[str], str]] = {
    "no kind": (["cause", ID, "gremlins"], "'gremlins' is not one of"),
    "no time": (["times", ID, "--started", "yesterday"], "Write it like '2026-11-22 03:10' (Asia/Tokyo)"),
    "a day alone": (["times", ID, "--started", "2026-11-20"], "has no clock time. Write it like '2026-11-20 03:10' (Asia/Tokyo)"),
    "apart from named equipment": (
        ["open", "--service", "voice", "--equipment", "mme-9", "--apart", "--started", "2026-11-21 12:10"],
        "--equipment or --apart",
    ),
    "answered twice": (
        ["near-miss", ID, "--answer", "already_major=no", "--answer", "already_major=yes"],
        "already_major is answered twice. Answer it once",
    ),
    "nobody": (["drill", ID, "--who", " "], "'--who': it is empty"),
    "no times": (["times", ID], "Give --started, --restored, or both"),
    "neither affected nor not": (["emergency-calls", ID, "--service", "voice"], "--affected"),
    "no number": (["users", ID, "--service", "voice", "--users", "many"], "'many' is not a valid integer"),
    "no alerts": (["split", ID], "Give --equipment or --alert"),
    "no whole": (["merge", ID], "--into"),
    "no question": (["near-miss", ID, "--answer", "was_it_bad=yes"], "'was_it_bad' is no question"),
    "no answer": (["near-miss", ID, "--answer", "burned=perhaps"], "burned=yes, burned=no or burned=unknown"),
    "no terminal": (["near-miss", ID], "no terminal"),
    "no service": (["open", "--started", "2026-11-21 12:10"], "--service"),
}


@pytest.mark.parametrize(("words", "wrong"), CALLED_WRONGLY.values(), ids=CALLED_WRONGLY)
def test_a_call_that_is_wrong_ends_with_two(act: Desk, words: list[str], wrong: str) -> None:
    run = act(*words)
    assert (run.exit_code, run.stdout) == (2, "")
    assert wrong in run.stderr
    assert act.acts() == []


def test_there_is_no_act_without_a_reason(act: Desk) -> None:
    for run in (act("drill", ID, why=None), act("drill", ID, why=""), act("drill", ID, why=" \u3000")):
        assert run.exit_code == 2
        assert "--why" in run.stderr
    assert act.acts() == []


def test_a_kind_that_is_none_is_answered_with_the_kinds_once(act: Desk) -> None:
    assert act("cause", ID, "gremlins").stderr.count("planned_work_overrun") == 1
    assert "planned_work_overrun" in act("cause", "--help").stdout


def test_the_history_says_who_stated_what_when_and_why(act: Desk) -> None:
    assert "nothing was stated" in act("list", ID, why=None).stdout
    act("cause", ID, "hardware", why="the vendor's report")
    act("times", ID, "--restored", "2026-11-21 12:50")
    run = act("list", "abcd", why=None)
    assert run.exit_code == 0
    head, first, why, second, _ = run.stdout.splitlines()
    assert head.startswith(f"incident {ID} (open): mme-1, since 2026-11-21 12:00:00 JST")
    assert "2026-11-21 13:00:00 JST kenji: cause: " in first
    assert why == "    the vendor's report"
    assert "restored: 2026-11-21 12:50:00 JST" in second
    answer = json.loads(act("list", ID, "--json", why=None).stdout)
    assert [each["deed"]["act"] for each in answer["acts"]] == ["cause", "times"]
    assert answer["incident"]["id"] == ID


def test_what_others_wrote_into_labels_does_not_reach_the_terminal(act: Desk) -> None:
    hostile = "core\x1b]0;owned\x07\u202e-1"
    act.put(msgspec.structs.replace(act.incident(), equipment=hostile, units=(hostile,)))
    for words in (["drill", ID], ["list", ID]):
        said = act(*words, why="x" if words[0] == "drill" else None).stdout
        assert not {"\x1b", "\x07", "\u202e"} & set(said)


# -- the checklist of Article 58-2 --


def test_answers_given_with_the_call_are_kept_and_the_outcome_is_told(act: Desk) -> None:
    run = act("near-miss", ID, "--answer", "class_2_facility=yes", "--answer", "class_2_impaired=yes", "--answer", "burned=unknown")
    assert run.exit_code == 0
    assert {fact for fact, answer in act.said()["answers"].items() if answer is not None} == {
        "class_2_facility",
        "class_2_impaired",
    }
    assert "cannot be told yet" in run.stdout
    answer = json.loads(act("near-miss", ID, "--answer", "already_major=no", "--json").stdout)
    # what was answered before still stands
    assert answer["near_miss"]["outcome"] == "applies"


def test_unknown_takes_an_answer_back(act: Desk) -> None:
    act("near-miss", ID, "--answer", "already_major=はい", "--answer", "burned=Y", "--answer", "planned=いいえ")
    assert (
        "already_major"
        not in json.loads(act("near-miss", ID, "--answer", "planned=n", "--json").stdout)["act"]["deed"]["withdrawn"]
    )
    answer = json.loads(act("near-miss", ID, "--answer", "already_major=unknown", "--json").stdout)
    assert answer["ok"] is True
    assert answer["act"]["deed"]["withdrawn"] == ["already_major"]
    assert answer["near_miss"]["outcome"] == "cannot_be_told"
    assert stated(act.acts()).near_miss == Answers(burned=True, planned=False)
    assert "already? answer withdrawn" in act("list", ID, why=None).stdout
    both = act("near-miss", ID, "--answer", "burned=unknown", "--answer", "planned=yes")
    assert both.exit_code == 0
    assert stated(act.acts()).near_miss == Answers(planned=True)
    # nothing is left to take back
    assert act("near-miss", ID, "--answer", "burned=unknown").exit_code == 1


def test_at_a_terminal_it_asks_only_what_the_outcome_hangs_on(act: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.act.at_a_terminal", lambda: True)
    run = act("near-miss", ID, answers="yes\n")
    assert (run.exit_code, act.said()["answers"]["already_major"]) == (0, True)
    assert run.stderr.count("yes / no / unknown") == 1, "one answer decided it"
    assert "重大な事故（第58条第2項）に該当すると判断されているか" in run.stderr
    assert "Has it been judged to be a major accident" in run.stderr


def test_short_and_japanese_answers_are_understood_and_others_asked_again(act: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.act.at_a_terminal", lambda: True)
    run = act("near-miss", ID, answers="perhaps\n いいえ\nY\nn\nはい\n不明\n" + "\n" * 40)
    assert run.exit_code == 0
    assert set(act.said()["answers"].values()) == {True, False, None}
    assert act.said()["answers"]["already_major"] is False
    assert act.said()["answers"]["serves_30000_users"] is True
    assert "'perhaps' is none of yes, no, unknown / はい" in run.stderr
    assert "yes / no / unknown, はい / いいえ / 不明 [unknown]: " in run.stderr


def test_the_facts_are_named_in_help_and_pages(act: Desk) -> None:
    told = [re.sub(r"\s+", " ", act("near-miss", "--help").stdout), *(page.read_text(encoding="utf-8") for page in PAGES)]
    for fact in get_args(Fact):
        assert all(fact in text for text in told)


def test_questions_that_are_left_open_stay_open(act: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.act.at_a_terminal", lambda: True)
    run = act("near-miss", ID, answers="no\n" + "\n" * 40)
    assert run.exit_code == 0
    assert [fact for fact, answer in act.said()["answers"].items() if answer is not None] == ["already_major"]
    assert run.stderr.count("yes / no / unknown") == 18 - 1, "each once, but for the plan's that is not asked"


# -- the pages --

PAGES = [ROOT / "docs" / "how-to" / "act.md", ROOT / "docs" / "ja" / "act.md"]


def commands_of(page: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_pages_show_every_command_in_both_languages() -> None:
    english, japanese = map(commands_of, PAGES)
    assert english == japanese
    assert {shlex.split(line)[2] for line in english} == group.commands.keys()


@pytest.mark.parametrize("line", commands_of(PAGES[0]))
def test_what_the_pages_show_is_understood(act: Desk, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.act.at_a_terminal", lambda: True)
    program, named, *words = shlex.split(line)
    assert (program, named) == ("art58", "act")
    run = act(*words, why=None)
    # a day ahead of the tests' clock, and of incidents that are not here
    assert run.exit_code == 1
    assert "no incident" in run.stderr or "lies ahead" in run.stderr


# -- the store --


def test_it_says_when_no_receiver_looks(act: Desk) -> None:
    act.ticked(60)
    run = act("drill", ID)
    assert "nobody is at work" not in run.stdout
    assert "next: at its next tick" in run.stdout
    act.ticked(61)
    run = act("drill", ID)
    assert (
        "nobody is at work: no receiver has ticked on this store since 2026-11-21 12:58:59 JST. Start it: art58 serve" in run.stdout
    )
    assert "受信機が動いていません（最後の判定: 2026-11-21 12:58:59 JST）" in run.stdout
    assert "next: " not in run.stdout
    assert "once it runs" in run.stdout
    assert json.loads(act("drill", ID, "--json").stdout)["receiver_at_rest"] is True


def test_a_receiver_that_ticks_seldom_may_miss_two_ticks(act: Desk) -> None:
    act.config.write_text(CONFIG + "tick_seconds: 60\n")
    for seconds, at_rest in ((180, False), (181, True)):
        act.ticked(seconds)
        assert json.loads(act("drill", ID, "--json").stdout)["receiver_at_rest"] is at_rest


def test_where_there_is_no_store_none_is_made(act: Desk, tmp_path: Path) -> None:
    act.config.write_text(CONFIG + "data_dir: elsewhere\n")
    run = act("drill", ID)
    assert run.exit_code == 1
    assert "art58 serve" in run.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_a_store_that_is_being_written_for_too_long_is_no_crash(act: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting.Database, "of", lambda settings: Database(settings.database, busy_seconds=0.05))
    with act.database.write():
        run = act("drill", ID)
    assert run.exit_code == 1
    assert "the store cannot be written" in run.stderr
    assert act("drill", ID).exit_code == 0


def test_a_faulty_configuration_is_refused(act: Desk) -> None:
    act.config.write_text("services: []\n")
    assert act("drill", ID).exit_code == 1


def test_other_commands_start_without_the_store(tmp_path: Path) -> None:
    code = "import sys, receiver.cli; sys.exit('sqlalchemy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ)
    assert run.returncode == 0
