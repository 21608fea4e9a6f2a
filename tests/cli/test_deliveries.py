"""`art58 deliveries`: an operator sees what is owed and what is dead, has dead letters sent again, and sees what would be sent."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from receiver.cli import delivering, main
from receiver.law.verdict import Verdict
from receiver.model import Delivery, Remembered
from receiver.storage import deliveries as ledger
from receiver.storage import incidents as store
from receiver.storage.database import Database
from tests.apps import incident
from tests.fakes.gitlab import FakeGitLab
from tests.samples import ASSESSED_AT, RESTORED_AT, assessment
from tests.stores import put_store

NOW = ASSESSED_AT
LATER = NOW + timedelta(minutes=5)
CONFIG = """\
prometheus: {url: "http://127.0.0.1:9"}
authentication: {bearer_tokens: [{file: token}]}
services:
  - {name: voice, kind: voice, emergency_calls: true, match: ['service="voice"']}
tickets:
  - {kind: directory, name: desk, path: tickets}
  - {kind: gitlab, name: lab, url: "http://127.0.0.1:9", project: network/incidents, token: {file: token},
     close_when_over: true, reopen_within_seconds: 3600, fields: {weight: 5}}
"""


class Desk:
    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        put_store(folder / "data" / "art58.db")
        (folder / "token").write_text("any")
        self.folder = folder
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG)
        self.database = Database(f"sqlite:///{folder}/data/art58.db")
        with self.database.write() as connection:
            for id_ in ("inc-1", "inc-2"):
                store.save(connection, incident(id=id_))

    def assess(self, **changes: Any) -> None:
        with self.database.write() as connection:
            store.append(connection, assessment(**changes))

    def put(self, state: str = "owed", incident_id: str = "inc-1", target: str = "desk", **changes: Any) -> None:
        """A row in this state."""
        wanted: dict[str, Any] = {
            "wanted": 3,
            "object": "ticket",
            "remembered": Remembered(),
            "remote_id": None,
            "error": "lab: answered 401",
        }
        given = wanted | changes
        row = Delivery(
            incident_id,
            target,
            given["object"],
            wanted=given["wanted"],
            sent=0,
            state="owed",
            attempts=0,
            next_attempt_at=NOW,
        )
        with self.database.write() as connection:
            ledger.want(connection, row)
            if state == "owed" and given["remote_id"] is None:
                return
            claimed = ledger.claim(connection, target, "one", NOW)
            assert claimed
            ledger.keep(connection, claimed, "one", given["remote_id"], given["remembered"], NOW)
            if state == "sent":
                ledger.record_sent(connection, claimed, "one", given["wanted"], Remembered(), LATER + timedelta(hours=1))
            elif state == "dead" or state == "owed":
                ledger.record_failed(connection, claimed, "one", given["error"], state, LATER)  # type: ignore[arg-type]

    def rows(self) -> dict[tuple[str, str], Delivery]:
        with self.database.read() as connection:
            found = ledger.of_incidents(connection, ["inc-1", "inc-2"])
        return {(row.incident_id, row.target): row for row in found}

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(main, ["deliveries", *words], env={"ART58_CONFIG": str(self.config)} | (env or {}))

    def told(self, *words: str) -> Any:
        return json.loads(self(*words, "--json").stdout)

    def preview(self, target: str) -> Any:
        (found,) = self.told("preview", "inc-1", "--target", target)["deliveries"]
        return found


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(delivering, "system_clock", lambda: LATER)
    made = Desk(tmp_path)
    yield made
    made.database.close()


def test_the_list_shows_a_row_with_its_times_in_japan_and_what_the_other_side_said(desk: Desk) -> None:
    desk.put("owed", target="lab", remote_id="7", error="lab: answered 503 (down)")

    found = desk()

    assert found.exit_code == 0, found.output
    _, line, *below = found.stdout.splitlines()
    assert line.split("  ")[0] == "未送付 / owed"
    for part in ("inc-1", "lab", "ticket", "3/0", "7"):
        assert part in line
    assert below == ["    次回 / next: 2026-11-21 13:10:00 JST", "    lab: answered 503 (down)"]


def test_dead_letters_are_listed_first(desk: Desk) -> None:
    desk.put("sent", target="desk")
    desk.put("dead", target="lab")

    assert [row["state"] for row in desk.told()["deliveries"]] == ["dead", "sent"]


def test_the_list_can_be_of_one_target_and_one_state(desk: Desk) -> None:
    desk.put("dead", target="desk")
    desk.put("dead", target="lab")
    desk.put("sent", "inc-2", target="lab")

    (row,) = desk.told("--target", "lab", "--state", "dead")["deliveries"]

    assert (row["incident"], row["target"], row["last_error"]) == ("inc-1", "lab", "lab: answered 401")


def test_a_row_of_a_target_that_is_configured_no_more_says_so(desk: Desk) -> None:
    desk.put("dead", target="gone")

    assert "not configured" in desk().stdout


def test_what_the_other_side_said_cannot_forge_a_line_or_colour_the_terminal(desk: Desk) -> None:
    desk.put("dead", error="lab: answered 400 (\x1b[31mred\ninc-9 forged)")

    said = desk().stdout

    assert len(said.splitlines()) == 3
    assert "\x1b" not in said


def test_what_was_taken_without_its_mapped_fields_says_so_with_the_reason(desk: Desk) -> None:
    desk.put("owed", target="lab", remote_id="7", error="lab: answered 400 (no such weight)")
    lacking = Remembered(lacking={"priority": "400: no such priority"})
    with desk.database.write() as connection:
        claimed = ledger.claim(connection, "lab", "one", LATER)
        assert claimed
        ledger.keep(connection, claimed, "one", "7", lacking, LATER)
        ledger.record_sent(connection, claimed, "one", 3, lacking, LATER)

    said = desk().stdout

    assert "送付済み（設定した項目なし） / sent without its mapped fields: 400: no such priority" in said
    (row,) = desk.told()["deliveries"]
    assert (row["state"], row["without_fields"]) == ("sent", True)


def test_a_row_with_what_is_below_it_fits_into_a_terminal_of_120_columns(desk: Desk) -> None:
    id_ = "20261121-q7k2majora"
    with desk.database.write() as connection:
        store.save(connection, incident(id=id_))
    for target in ("redmine-noc", "grafana"):
        desk.put("dead", id_, target=target, object="annotation.major", remote_id="1234567")

    assert max(len(line.encode("euc_jp")) for line in desk().stdout.splitlines()) <= 120


def test_a_list_for_a_target_that_does_not_exist_names_those_that_do(desk: Desk) -> None:
    found = desk("--target", "lob")

    assert found.exit_code == 1
    assert "desk, lab" in found.stderr


def test_what_was_owed_to_a_target_that_is_configured_no_more_can_still_be_listed(desk: Desk) -> None:
    desk.put("dead", target="gone")

    assert [row["target"] for row in desk.told("--target", "gone")["deliveries"]] == ["gone"]
    assert desk.told("--target", "gone", "--state", "sent")["deliveries"] == []


def test_who_asks_for_a_list_is_told_that_the_plain_command_is_one(desk: Desk) -> None:
    found = desk("list")

    assert found.exit_code == 2
    assert "plain `art58 deliveries`" in found.stderr


def test_no_more_rows_than_fit_are_listed_and_that_there_are_more_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "MOST", 1)
    desk.put("dead", target="desk")
    desk.put("dead", target="lab")

    told = desk.told()

    assert len(told["deliveries"]) == 1
    assert told["has_more"] is True


def test_a_replay_owes_every_dead_letter_of_a_target_at_once_with_all_attempts_before_it(desk: Desk) -> None:
    desk.put("dead", target="lab")
    desk.put("dead", "inc-2", target="lab")
    desk.put("dead", target="desk")

    told = desk.told("replay", "--target", "lab")

    rows = desk.rows()
    assert told["replayed"] == 2
    assert rows["inc-1", "lab"].state == rows["inc-2", "lab"].state == "owed"
    assert rows["inc-1", "lab"].attempts == 0
    assert rows["inc-1", "lab"].next_attempt_at == LATER
    assert rows["inc-1", "lab"].last_error is None
    assert rows["inc-1", "desk"].state == "dead"


def test_a_replay_of_one_incident_leaves_the_others(desk: Desk) -> None:
    desk.put("dead")
    desk.put("dead", "inc-2")

    assert desk("replay", "inc-2").exit_code == 0
    assert {key: row.state for key, row in desk.rows().items()} == {("inc-1", "desk"): "dead", ("inc-2", "desk"): "owed"}


def test_a_replay_of_all_dead_letters_touches_nothing_that_is_not_dead(desk: Desk) -> None:
    desk.put("dead")
    desk.put("sent", "inc-2")
    desk.put("owed", target="lab", remote_id="7")

    assert "1 owed anew" in desk("replay", "--all-dead").stdout

    rows = desk.rows()
    assert rows["inc-2", "desk"].state == "sent"
    assert rows["inc-1", "lab"].next_attempt_at == LATER  # its own, not put forward
    assert rows["inc-1", "lab"].last_error


def test_a_replay_tries_the_mapped_fields_again_and_keeps_what_is_known_of_the_thing(desk: Desk) -> None:
    remembered = Remembered(number=2, written={"title": "t"}, theirs=("title",), lacking={"priority": "400: no such priority"})
    desk.put("dead", target="lab", remote_id="7", remembered=remembered)

    desk("replay", "--all-dead")

    row = desk.rows()["inc-1", "lab"]
    assert row.remembered == msgspec.structs.replace(remembered, lacking={}, number=0)
    assert row.remote_id == "7"


def test_a_row_that_was_replayed_is_claimed_by_the_receiver_at_once(desk: Desk) -> None:
    desk.put("dead")
    desk("replay", "--all-dead")

    with desk.database.write() as connection:
        claimed = ledger.claim(connection, "desk", "worker", LATER)
    assert claimed is not None


@pytest.mark.parametrize("words", [("--all-dead",), ("--target", "lab"), ("inc-1",)])
def test_a_replay_with_nothing_dead_is_refused_with_what_to_do(desk: Desk, words: tuple[str, ...]) -> None:
    desk.put("sent")

    found = desk("replay", *words)

    assert found.exit_code == 1
    assert "art58 deliveries" in found.stderr


def test_a_replay_for_a_target_that_does_not_exist_names_those_that_do(desk: Desk) -> None:
    found = desk("replay", "--target", "lob")

    assert found.exit_code == 1
    assert "desk, lab" in found.stderr


def test_a_replay_to_a_target_that_is_configured_no_more_says_that_nobody_will_send_it(desk: Desk) -> None:
    desk.put("dead", target="gone")

    assert desk.told("replay", "--all-dead")["not_configured"] == ["gone"]


@pytest.mark.parametrize("words", [(), ("inc-1", "--all-dead"), ("--target", "lab", "--all-dead")])
def test_a_replay_must_say_of_what_exactly(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk("replay", *words).exit_code == 2


def test_the_configuration_may_be_named_before_the_command_and_then_counts(desk: Desk, tmp_path: Path) -> None:
    desk.put("dead")

    found = desk("--config", str(desk.config), "replay", "--all-dead", env={"ART58_CONFIG": str(tmp_path / "other.yaml")})

    assert found.exit_code == 0, found.output


def test_a_preview_of_something_new_is_a_creation_with_all_that_would_be_sent(desk: Desk) -> None:
    desk.assess()

    found = desk.preview("lab")

    assert found["steps"] == ["create"]
    assert found["fields"]["title"] == found["title"]
    assert "a58:inc-1" in found["fields"]["labels"]
    assert "42,000" in found["text"]
    assert found["comment"] is None


def test_a_preview_says_of_each_target_that_nothing_is_due_while_there_is_no_reason_for_a_ticket(desk: Desk) -> None:
    desk.assess(verdict=Verdict.NONE)

    assert [each["steps"] for each in desk.told("preview", "inc-1")["deliveries"]] == [[], []]


def test_a_preview_of_news_is_an_update_of_what_changed_with_its_comment(desk: Desk) -> None:
    desk.assess()
    title = desk.preview("lab")["title"]
    written = {"title": title, "labels": ["old"]}
    desk.put("sent", target="lab", wanted=2, remote_id="7", remembered=Remembered(number=2, milestone="before", written=written))

    found = desk.preview("lab")

    assert found["steps"] == ["update", "comment"]
    assert found["changes"] == ["labels", "weight"]
    assert found["comment"]


def test_a_preview_leaves_to_persons_what_they_have_taken_over(desk: Desk) -> None:
    desk.assess()
    memory = Remembered(number=2, written={"labels": []}, theirs=("title",))
    desk.put("sent", target="lab", wanted=2, remote_id="7", remembered=memory)

    found = desk.preview("lab")

    assert found["theirs"] == ["title"]
    assert "title" not in found["changes"]


def test_a_preview_of_an_incident_that_is_over_closes_where_that_is_configured(desk: Desk) -> None:
    desk.assess(state="restored", restored_at=RESTORED_AT)
    with desk.database.write() as connection:
        store.save(connection, incident(id="inc-1", state="restored", restored_at=RESTORED_AT))
    for target in ("desk", "lab"):
        desk.put("sent", target=target, wanted=2, remote_id="7", remembered=Remembered(number=2, written={"title": "t"}))

    assert "close" in desk.preview("lab")["steps"]
    assert "close" not in desk.preview("desk")["steps"]


@pytest.mark.parametrize(
    ("closed_at", "first"), [(LATER - timedelta(minutes=59), "reopen"), (LATER - timedelta(minutes=61), "create")]
)
def test_a_preview_opens_again_what_was_closed_lately_and_makes_a_new_one_later(
    desk: Desk, closed_at: datetime, first: str
) -> None:
    desk.assess()
    memory = Remembered(number=2, was_over=True, closed_at=closed_at, written={"title": "t"})
    desk.put("sent", target="lab", wanted=2, remote_id="7", remembered=memory)

    found = desk.preview("lab")

    assert found["steps"][0] == first
    assert found["object"] == ("ticket.2" if first == "create" else "ticket")


def test_a_preview_of_what_was_sent_is_nothing(desk: Desk) -> None:
    desk.assess()
    desk.put("sent", target="lab", remote_id="7", remembered=Remembered(number=3, written={"title": "t"}))

    assert desk.preview("lab")["steps"] == []


def test_a_preview_of_what_a_person_deleted_is_nothing(desk: Desk) -> None:
    desk.assess()
    desk.put("sent", target="lab", wanted=2, remote_id="7", remembered=Remembered(number=2, gone=True))

    assert desk.preview("lab")["steps"] == []


def test_a_preview_calls_nobody_and_writes_nothing(desk: Desk) -> None:
    desk.assess()
    with FakeGitLab("any") as gitlab:
        desk.config.write_text(CONFIG.replace('http://127.0.0.1:9", project', f'{gitlab.url}", project'))
        gitlab.fail("status", status=500, times=1)
        before = desk.rows()

        found = desk("preview", "inc-1")

        assert found.exit_code == 0, found.output
        assert gitlab._faults[0].times == 1  # no request has used it up
        assert desk.rows() == before
        assert not (desk.folder / "tickets").exists()


def test_a_preview_is_in_words_for_persons(desk: Desk) -> None:
    desk.assess()

    said = desk("preview", "inc-1", "--target", "lab").stdout

    assert "lab ticket: 新規作成 / create" in said
    assert 'field labels = ["a58:inc-1"' in said


def test_a_preview_of_what_was_sent_still_shows_what_it_says(desk: Desk) -> None:
    desk.assess()
    desk.put("sent", target="lab", remote_id="7", remembered=Remembered(number=3, written={"title": "t"}))

    said = desk("preview", "inc-1", "--target", "lab").stdout

    assert "the newest was sent" in said
    assert "42,000" in said


def test_a_preview_of_what_is_not_due_shows_what_it_would_say(desk: Desk) -> None:
    desk.assess(verdict=Verdict.NONE)

    said = desk("preview", "inc-1", "--target", "lab").stdout

    assert "nothing is due there" in said
    assert "title: 現時点で報告の基準に達していない" in said
    assert "  | " in said


def test_a_preview_before_the_first_assessment_is_refused_with_what_to_do(desk: Desk) -> None:
    found = desk("preview", "inc-2")

    assert found.exit_code == 1
    assert "Wait for the next tick" in found.stderr


def test_without_a_store_it_is_said_how_to_get_one(desk: Desk) -> None:
    desk.database.close()
    (desk.folder / "data" / "art58.db").unlink()

    found = desk()

    assert found.exit_code == 1
    assert "art58 serve" in found.stderr
