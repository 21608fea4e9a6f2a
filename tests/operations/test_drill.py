"""A drill goes through the whole chain of a receiver that runs, is marked as one everywhere, and leaves evidence."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner, Result

from receiver.catalogue import Catalogue
from receiver.cli import main
from receiver.delivery.plan import Route
from receiver.delivery.targets import Change, Draft, Seen, Unreachable
from receiver.law.provisions import Text
from receiver.operations import drill_report
from receiver.operations.drill import Drill, Run, Step
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.memory import MemoryTarget
from tests.receiver import SERVICES, Receiver
from tests.serving import Served

TOKEN = "glpat-secret0123456789"


def _drill(served: Served, *words: str) -> Result:
    return CliRunner().invoke(main, ["drill", "--config", str(served.config), "--wait", "15", "--by", "noc", *words])


@pytest.fixture(scope="module")
def gitlab() -> Iterator[FakeGitLab]:
    with FakeGitLab(TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, gitlab: FakeGitLab) -> Iterator[Served]:
    os.environ["ART58_TEST_GITLAB"] = TOKEN
    lab = {"kind": "gitlab", "name": "lab", "url": gitlab.url, "project": "network/incidents", "close_when_over": True}
    tickets = [{"kind": "directory", "name": "desk", "path": "tickets"}, lab | {"token": {"env": "ART58_TEST_GITLAB"}}]
    with Served(tmp_path_factory.mktemp("drilled"), tickets=tickets, tick_seconds=1) as running:
        yield running


@pytest.fixture(scope="module")
def evidence(served: Served) -> dict[str, Any]:
    files = [word for kind in ("json", "markdown", "junit") for word in (f"--{kind}", str(served.folder / f"drill.{kind}"))]
    found = _drill(served, *files)
    assert found.exit_code == 0, found.output + served.log
    return json.loads((served.folder / "drill.json").read_text())  # type: ignore[no-any-return]


def test_every_step_of_the_chain_is_told_with_its_time(evidence: dict[str, Any]) -> None:
    assert [step["name"] for step in evidence["steps"]] == [
        "posted",
        "derived",
        "marked",
        "assessed",
        "delivered desk ticket",
        "delivered lab ticket",
        "resolved",
        "ended desk ticket",
        "ended lab ticket",
    ]
    assert all(step["ok"] and step["seconds"] >= 0 for step in evidence["steps"])


def test_the_tickets_are_there_under_the_ids_told_and_are_marked_as_a_drill(
    evidence: dict[str, Any], served: Served, gitlab: FakeGitLab
) -> None:
    file = served.folder / "tickets" / evidence["remote_ids"]["desk ticket"]
    issue = gitlab.issues[int(evidence["remote_ids"]["lab ticket"])]

    assert "訓練" in file.read_text()
    assert "訓練" in issue["title"]
    assert "drill" in issue["labels"]


def test_the_ticket_is_closed_at_the_end_where_that_is_configured(evidence: dict[str, Any], gitlab: FakeGitLab) -> None:
    assert gitlab.issues[int(evidence["remote_ids"]["lab ticket"])]["state"] == "closed"


def test_the_evidence_is_markdown_and_junit_too(evidence: dict[str, Any], served: Served) -> None:
    suite = ET.parse(served.folder / "drill.junit").getroot()  # noqa: S314 - our own

    assert suite.attrib["failures"] == "0"
    assert len(suite) == len(evidence["steps"])
    assert evidence["incident"] in (served.folder / "drill.markdown").read_text()


def test_a_target_that_refuses_is_the_step_that_failed(evidence: dict[str, Any], served: Served, gitlab: FakeGitLab) -> None:
    gitlab.fail("status", status=400, times=1000, message="no", path="/api")

    found = _drill(served)

    assert found.exit_code == 1
    assert "| delivered lab ticket | 送付先に届いた / the target has it | 失敗 / failed" in found.stdout
    assert "| delivered desk ticket | 送付先に届いた / the target has it | 成功 / ok" in found.stdout


def _run(folder: Path, desk: MemoryTarget) -> Drill:
    """A drill on a store of its own."""
    stop = threading.Event()
    with Receiver(folder, "http://127.0.0.1:9", (Route("desk", "ticket"), desk), tick_seconds=0.1) as receiver:

        def work() -> None:
            while not stop.wait(0.02):
                receiver.worker.step()
                receiver.worker.deliver()

        worker = threading.Thread(target=work)
        worker.start()
        listening = msgspec.structs.replace(receiver.settings, listen=receiver.url.removeprefix("http://"))
        voice, catalogue, wait = SERVICES[0], Catalogue(SERVICES), timedelta(seconds=3)
        routes = (Route("desk", "ticket"),)
        run = Run(listening, catalogue, receiver.database, routes, voice, {"service": "voice"}, "noc", receiver.clock, wait)
        done = run.run()
        stop.set()
        worker.join()
    return done


def test_what_a_target_did_not_take_in_time_is_told_with_its_last_error(tmp_path: Path) -> None:
    desk = MemoryTarget("desk")
    desk.fail(Unreachable("desk: answered 503"), times=1000)
    done = _run(tmp_path, desk)
    (detail,) = [step.detail for step in done.steps if step.name == "delivered desk ticket"]
    assert detail == "not within 3 s: it is not there. Last error: desk: answered 503"


def test_an_end_that_a_target_was_not_told_of_is_the_step_that_failed(tmp_path: Path) -> None:
    class Deaf(MemoryTarget):
        def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
            if draft.statement.resolved:
                raise Unreachable("desk: answered 503")
            return super().write(remote_id, draft, change, seen)

    done = _run(tmp_path, Deaf("desk"))
    assert [(step.name, step.ok) for step in done.steps][-3:] == [
        ("delivered desk ticket", True),
        ("resolved", True),
        ("ended desk ticket", False),
    ]


def test_where_no_receiver_listens_the_first_step_fails_and_no_other_is_tried(evidence: dict[str, Any], served: Served) -> None:
    copied = served.folder / "elsewhere.yaml"
    port = served.url.rpartition(":")[2]
    copied.write_text(served.config.read_text().replace(f"127.0.0.1:{port}", "127.0.0.1:9"))

    found = CliRunner().invoke(main, ["drill", "--config", str(copied)])

    assert found.exit_code == 1
    assert found.stdout.count("| 失敗 / failed |") == 1
    assert "derived" not in found.stdout


def test_a_service_that_does_not_exist_is_refused(served: Served) -> None:
    assert _drill(served, "--service", "telegraph").exit_code == 2


def test_a_failure_is_one_in_junit_and_cannot_break_the_table() -> None:
    step = Step("delivered lab ticket", Text("届いた", "there"), False, 1.5, "answered 400 (a | b\n<c>)")
    now = datetime(2026, 11, 22, tzinfo=UTC)
    failed = Drill("DRILL", "voice", None, now, now, False, (step,), {}, ())

    (case,) = ET.fromstring(drill_report.junit(failed))  # noqa: S314 - our own
    assert case.find("failure") is not None
    assert "a \\| b &lt;c>" in drill_report.markdown(failed).splitlines()[-1]
