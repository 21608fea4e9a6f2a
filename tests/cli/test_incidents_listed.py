"""`art58 incidents`: a person finds an incident without knowing its id."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from receiver.cli import incidents as listing
from receiver.cli import main
from receiver.law.verdict import Verdict
from receiver.model import Delivery, Incident
from receiver.storage import deliveries
from receiver.storage import incidents as store
from receiver.storage.database import Database
from tests.apps import incident
from tests.cli.test_act import CONFIG
from tests.samples import RESTORED_AT, STARTED_AT, assessment
from tests.stores import put_store


class House:
    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        put_store(folder / "data" / "art58.db")
        (folder / "token").write_text("any")
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG)
        self.database = Database(f"sqlite:///{folder}/data/art58.db")

    def known(self, id_: str, *, minute: int = 0, changes: dict[str, Any] | None = None, **judged: Any) -> None:
        its: Incident = incident(id=id_, units=("mme-1",), opened_at=STARTED_AT + timedelta(minutes=minute))
        with self.database.write() as connection:
            store.save(connection, msgspec.structs.replace(its, **(changes or {})))
            store.append(connection, assessment(incident_id=id_, **judged))

    def gives_up(self, id_: str) -> None:
        """A ticket about it is a dead letter."""
        with self.database.write() as connection:
            row = Delivery(id_, "desk", "ticket", 1, 0, "owed", 0, STARTED_AT)
            deliveries.want(connection, row)
            assert deliveries.claim(connection, "desk", "one", STARTED_AT)
            deliveries.record_failed(connection, row, "one", "desk: answered 401", "dead", STARTED_AT)

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["incidents", "--config", str(self.config), *words])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.database.close()


CLOSED = {"state": "closed", "restored_at": RESTORED_AT, "closed_at": RESTORED_AT}


def test_what_goes_on_is_listed_in_a_table_with_what_may_be_major_first(house: House) -> None:
    house.known("20261121-periodicaa", minute=5, verdict=Verdict.PERIODIC, major_expected_at=None)
    house.known("20261121-majoraaaaa", minute=1)
    house.known("20261121-closedaaaa", minute=9, changes=CLOSED)
    run = house()
    assert (run.exit_code, run.stderr) == (0, "")
    heading, first, verdict, second, other = run.stdout.splitlines()
    assert heading.startswith("番号 / ID")
    assert first.startswith("20261121-majoraaaaa  2026-11-21 12:00:00 JST  発生中 / open")
    assert "voice 42,000" in first
    assert verdict == "    重大な事故に該当する可能性（要判断） / may apply as a major accident (重大な事故): a person decides"
    assert second.startswith("20261121-periodicaa")
    assert "may belong in the periodic report" in other
    assert max(len(line.encode("euc_jp")) for line in run.stdout.splitlines()) <= 120
    # one under the other: Japanese is twice as wide, and has two bytes in EUC
    assert len(heading.split("役務")[0].encode("euc_jp")) == len(first.split("voice")[0].encode("euc_jp"))


def test_with_all_the_closed_ones_come_after(house: House) -> None:
    house.known("20261121-closedaaaa", minute=9, changes=CLOSED)
    house.known("20261121-dismissed1", minute=8, changes=CLOSED | {"dismissed": True})
    house.known("20261121-openaaaaaa", verdict=Verdict.NONE)
    ids = [line.split()[0] for line in house("--all").stdout.splitlines() if line.startswith("2026")]
    assert ids == ["20261121-openaaaaaa", "20261121-closedaaaa", "20261121-dismissed1"]
    assert "【誤報として取下げ】" in house("--all").stdout


def test_machines_get_json(house: House) -> None:
    house.known("20261121-openaaaaaa", verdict=Verdict.INDETERMINATE, measured=False, affected_users=None, candidate=True)
    house.gives_up("20261121-openaaaaaa")
    assert json.loads(house("--json").stdout) == {
        "ok": True,
        "incidents": [
            {
                "id": "20261121-openaaaaaa",
                "state": "open",
                "failure_started_at": "2026-11-21T03:00:00Z",
                "restored_at": None,
                "verdict": "indeterminate",
                "urgent": True,
                "major_expected_at": "2026-11-21T04:00:00Z",
                "major_on_trend_at": None,
                "impacts": [{"service": "voice", "verdict": "indeterminate", "affected_users": None, "measured": False}],
                "units": ["mme-1"],
                "joined_to": None,
                "dismissed": False,
                "drill": False,
                "dead_letters": 1,
            }
        ],
        "has_more": False,
    }


SOON = STARTED_AT + timedelta(hours=1)


def test_when_it_may_become_major_is_told_by_the_sooner_of_time_alone_and_trend(house: House) -> None:
    its: dict[str, Any] = {"verdict": Verdict.PERIODIC, "major_since": None, "candidate": True}
    house.known("20261121-timeaaaaaa", minute=2, major_expected_at=SOON, **its)
    house.known("20261121-trendaaaaa", minute=1, major_expected_at=RESTORED_AT, major_on_trend_at=SOON, **its)
    lines = house().stdout.splitlines()
    assert [line for line in lines if "threshold" in line] == [
        "    基準到達の見込み / threshold expected: 2026-11-21 13:00:00 JST",
        "    現在の傾向での基準到達の見込み / threshold expected on the present trend: 2026-11-21 13:00:00 JST",
    ]
    told = json.loads(house("--json").stdout)["incidents"][1]
    assert (told["major_expected_at"], told["major_on_trend_at"]) == ("2026-11-21T04:30:00Z", "2026-11-21T04:00:00Z")


def test_what_may_be_major_already_or_was_no_incident_has_no_time_at_which_it_may(house: House) -> None:
    house.known("20261121-majoraaaaa", major_expected_at=SOON)
    house.known("20261121-dismissed1", changes={"dismissed": True}, verdict=Verdict.PERIODIC, major_expected_at=SOON)
    assert "threshold expected" not in house().stdout


def test_a_dead_letter_is_told_with_the_command_that_lists_it(house: House) -> None:
    house.known("20261121-deadaaaaaa")
    house.known("20261121-wellaaaaaa")
    house.gives_up("20261121-deadaaaaaa")
    assert house().stdout.count("不達 / dead letters: 1 (art58 deliveries --state dead)") == 1


def test_more_than_are_shown_are_not_hidden(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST", 2)
    for number in range(2):
        house.known(f"20261121-{number:010}", minute=number)
    assert "only the newest" not in house().stdout
    house.known("20261121-0000000002", minute=2)
    run = house()
    assert "only the newest 2" in run.stdout
    assert "20261121-0000000000" not in run.stdout
    assert json.loads(house("--json").stdout)["has_more"] is True


def test_where_there_is_none_it_says_so(house: House) -> None:
    assert "なし / none" in house("--all").stdout


def test_a_bound_and_an_unknown_number_are_told_from_a_count(house: House) -> None:
    house.known("20261121-boundaaaaa", measured=False, affected_users=90_000)
    house.known("20261121-unknownaaa", measured=False, affected_users=None)
    assert "voice ≤90,000" in house().stdout
    assert "voice ?" in house().stdout


def test_what_others_wrote_into_labels_does_not_reach_the_terminal(house: House) -> None:
    hostile = "core\x1b]0;owned\x07\u202e\n-1"
    house.known("20261121-hostileaaa", changes={"units": (hostile,)}, service=hostile)
    run = house()
    assert not {"\x1b", "\x07", "\u202e"} & set(run.stdout)
    assert len(run.stdout.splitlines()) == 3


def test_without_a_store_none_is_made(house: House, tmp_path: Path) -> None:
    house.config.write_text(CONFIG + "data_dir: elsewhere\n")
    run = house()
    assert (run.exit_code, "art58 serve" in run.stderr) == (1, True)
    assert not (tmp_path / "elsewhere").exists()
