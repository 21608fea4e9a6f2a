"""A storm of faults: incidents times four ticket systems, every third call failing in some way, the worker killed again and again.

In the end every incident has one ticket at each, with its newest statement and each comment once, and no secret was told to
anybody. The ticket systems are the stand-ins of the tests; the worker is a process of its own, whose clock runs faster, so that the
claim of a killed one ends in a second.
"""

import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from benchmarks.frame import machine, scratch, table
from benchmarks.secrets_told import Watch
from receiver.catalogue import Catalogue, Service
from receiver.delivery import opening
from receiver.delivery.dispatcher import Dispatcher
from receiver.delivery.follow import Policy
from receiver.delivery.plan import Route, plan
from receiver.law import deadlines
from receiver.law.verdict import Verdict
from receiver.model import Incident
from receiver.settings.tickets import JiraCloudTicket, Ticket
from receiver.storage import deliveries
from receiver.storage import incidents as store
from receiver.storage.database import Database, StoreUnavailable
from tests.delivery.places import backlog, github, servicenow
from tests.fakes.backlog import FakeBacklog
from tests.fakes.faults import FakeServer, Fault
from tests.fakes.github import FakeGitHub
from tests.fakes.jira import EMAIL, PROJECT, FakeJira
from tests.fakes.servicenow import FakeServiceNow
from tests.samples import assessment

SPEED = 60
"""So much faster goes the clock of the worker."""
ANSWER_SECONDS = 0.4
HOLDS = 1.0
"""So long a stand-in holds back its answer: longer than the worker waits for one."""
_COMMENT = r"inc-[0-9]{5}#[0-9]+"
BEGAN = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
FAULTS = (
    Fault("status", status=500),
    Fault("status", status=503, retry_after="0"),
    Fault("429", retry_after="1"),
    Fault("html_500"),
    Fault("not_json"),
    Fault("status_after_work", status=500),
    Fault("status_after_work", status=502),
    Fault("timeout_after_work", seconds=HOLDS),
)
CATALOGUE = Catalogue((Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',)),))
JIRA_TOKEN = "ATATT3xFfGF0-not-for-anyone"  # noqa: S105 - of a stand-in
LOOK_EVERY = 10
"""Kills from one look for secrets to the next."""


class Desks:
    """The four stand-ins with the settings by which they are reached."""

    def __init__(self, stack: ExitStack) -> None:
        self.jira = stack.enter_context(FakeJira("cloud", JIRA_TOKEN))
        self.github = stack.enter_context(FakeGitHub(github.TOKEN))
        self.now = stack.enter_context(FakeServiceNow("art58", servicenow.PASSWORD))
        self.backlog = stack.enter_context(FakeBacklog(backlog.API_KEY))
        self.backlog.left = 10**9  # its limit of a minute would be that of a second of the worker's
        jira = JiraCloudTicket(
            name="jira",
            url=self.jira.url,
            project=PROJECT,
            email=EMAIL,
            api_token=servicenow.secret(JIRA_TOKEN),
            per_minute=100_000,
            close_when_over=True,
        )
        others = (github.settings(stack, self.github), servicenow.settings(self.now.url), backlog.settings(self.backlog.url))
        self.settings: list[Ticket] = [jira, *(msgspec.structs.replace(one, close_when_over=True) for one in others)]
        self.servers: tuple[FakeServer, ...] = (self.jira, self.github, self.now, self.backlog)
        self.credentials = (
            (JIRA_TOKEN, _basic(EMAIL, JIRA_TOKEN)),
            (github.TOKEN,),
            (servicenow.PASSWORD, _basic("art58", servicenow.PASSWORD)),
            (backlog.API_KEY,),
        )
        """By stand-in, what it is sent to let us in. Some systems repeat it when they complain."""

    @property
    def secrets(self) -> list[str]:
        """Of the ticket systems."""
        return [each[0] for each in self.credentials]

    def misbehave(self, share: float, seed: int) -> None:
        for number, (server, sent) in enumerate(zip(self.servers, self.credentials, strict=True)):
            tells = Fault("status", status=500, message=f"no way in by {' or '.join(sent)}")
            server.misbehave(share, seed + number, *FAULTS, tells)

    def tickets(self) -> dict[str, list[tuple[str, list[str], bool]]]:
        """By target: each ticket with all its fields as one text, its comments, and whether it is open."""
        jira, issues, comments, now = self.jira.issues, self.github.issues, self.github.comments, self.now
        return {
            "jira": [(_text(one.fields), [_text(c) for c in one.comments], one.status != "5") for one in jira.values()],
            "tracker": [
                (_text(one), [_text(c) for c in comments.get(id_, [])], one["state"] == "open") for id_, one in issues.items()
            ],
            "now": [
                (_text(row), [_text(note) for note in now.journal if note["element_id"] == id_], row["state"] != "6")
                for id_, row in now.incidents.items()
            ],
            "ops": [
                (_text(one), [_text(c) for c in self.backlog.comments[id_] if c["content"]], one["status"]["id"] != 4)
                for id_, one in self.backlog.issues.items()
            ],
        }


def _basic(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def worker(database: Database, settings: Sequence[Ticket], began: float) -> None:
    """What `art58 worker` does of deliveries: a dispatcher and a thread for each target. Ends when it is killed."""
    opening.TARGET_SECONDS = ANSWER_SECONDS

    def clock() -> datetime:
        return BEGAN + timedelta(seconds=(time.time() - began) * SPEED)

    def deliver(ticket: Ticket) -> None:
        holder = f"{os.getpid()}:{ticket.name}"
        policy = Policy(close_when_over=True)
        target = opening.open_ticket(ticket, clock)
        duties = deadlines.Settings()
        dispatcher = Dispatcher(database, target, CATALOGUE, duties, "http://noc.example", holder, clock, policy)
        while True:
            with suppress(StoreUnavailable):  # the others write just now
                while dispatcher.send_next():
                    pass
            time.sleep(0.02)

    threads = [threading.Thread(target=deliver, args=(ticket,)) for ticket in settings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def assess(database: Database, size: int, number: int, routes: tuple[Route, ...], now: datetime) -> None:
    """Statement `number` of every incident: it is major, then no longer, then over."""
    state, verdict = ("open", "open", "closed")[number - 1], (Verdict.MAJOR, Verdict.PERIODIC, Verdict.PERIODIC)[number - 1]
    over = BEGAN + timedelta(hours=2) if state == "closed" else None
    for low in range(0, size, 100):
        with database.write() as connection:
            for id_ in (f"inc-{n:05}" for n in range(low, min(size, low + 100))):
                incident = Incident(
                    id_, f"equipment:{id_}", id_, state, BEGAN, BEGAN, "equipment_series", start_settled=True, restored_at=over
                )
                store.save(connection, incident)
                changes = {"incident_id": id_, "number": number, "state": state, "restored_at": over, "verdict": verdict}
                store.append(connection, assessment(**changes, candidate=False))
    plan(database, routes, now)


class Storm:
    """The worker as a process that is killed and started again."""

    def __init__(self, folder: Path, metrics: Path, settings: Sequence[Ticket], began: float) -> None:
        self._command = [sys.executable, "-m", "benchmarks.faults", "--worker", str(folder), "--began", str(began)]
        self._environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        (folder / "settings.json").write_bytes(msgspec.json.encode(settings))
        self._log_file = folder / "worker.log"
        self._log = self._log_file.open("ab")
        self.kills = 0
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log, env=self._environment)

    def kill(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"the worker died by itself: {self._log_file.read_text()[-2000:]}")
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1
        self._start()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def run(size: int, kills: int, share: float, seed: int, folder: Path, say: Any) -> dict[str, Any]:
    began, chance = time.time(), random.Random(seed)  # noqa: S311 - no secret depends on it
    with ExitStack() as stack:
        desks = Desks(stack)
        database = stack.enter_context(closing(Database(f"sqlite:///{folder / 'art58.db'}")))
        database.migrate()
        routes = tuple(Route(one.name, "ticket") for one in desks.settings)
        desks.misbehave(share, seed)
        assess(database, size, 1, routes, BEGAN)
        watch = stack.enter_context(Watch(folder, desks.settings, desks.secrets))
        storm = Storm(folder, watch.metrics, desks.settings, began)
        stack.callback(storm.end)
        said = 1
        while storm.kills < kills or said < 3:
            time.sleep(chance.uniform(1.0, 3.0))  # it needs most of a second to begin
            if storm.kills < kills:
                if storm.kills % LOOK_EVERY == 1:  # an error stands in the ledger only until the next call is well
                    watch.look()
                storm.kill()
            if said < 3 and storm.kills >= kills * said // 3:
                said += 1
                assess(database, size, said, routes, BEGAN + timedelta(seconds=(time.time() - began) * SPEED))
            say(f"{storm.kills} kills, {_sent(database)} of {size * len(routes)} sent")
        deadline = time.monotonic() + 600
        while (sent := _sent(database)) < size * len(routes) and time.monotonic() < deadline:
            say(f"{sent} of {size * len(routes)} sent")
            time.sleep(1)
        storm.end()
        watch.look(tickets=_text(desks.tickets()))
        for which in sorted(watch.told):
            say(which)
        struck = sum((server.struck for server in desks.servers), Counter[str]())
        return {
            "incidents": size,
            "targets": len(routes),
            "kills": storm.kills,
            "failed_calls": sum(struck.values()),
            **found(desks, size),
            "unsent": size * len(routes) - sent,
            **watch.figures(),
            "seconds": round(time.time() - began, 1),
        }


def _sent(database: Database) -> int:
    with database.read() as connection:
        return sum(number for (_, state), number in deliveries.count_by_state(connection).items() if state == "sent")


def found(desks: Desks, size: int) -> dict[str, int]:
    """Tickets that are missing, or there twice; comments that are there twice; tickets that do not say that it is over."""
    lost = doubled = repeated = unfinished = 0
    for tickets in desks.tickets().values():
        by_incident = Counter(re.findall(r"inc-[0-9]{5}", text)[0] for text, _, _ in tickets)
        lost += size - len(by_incident)
        doubled += sum(number - 1 for number in by_incident.values())
        marks = Counter(mark for _, comments, _ in tickets for comment in comments for mark in set(re.findall(_COMMENT, comment)))
        repeated += sum(number - 1 for number in marks.values())
        unfinished += sum(is_open for _, _, is_open in tickets)
    return {"lost": lost, "doubled": doubled, "comments_doubled": repeated, "unfinished": unfinished}


@click.command(help=__doc__)
@click.option("--incidents", "size", default=500, show_default=True, help="Incidents, each with a ticket at four targets.")
@click.option("--kills", default=50, show_default=True, help="How often the worker is killed.")
@click.option("--share", default=0.3, show_default=True, help="Share of all calls that fail.")
@click.option("--seed", default=58, show_default=True, help="Of the faults and the moments of the kills.")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on the last line, no table.")
@click.option("--worker", "work_in", type=Path, hidden=True)
@click.option("--began", type=float, hidden=True)
def main(size: int, kills: int, share: float, seed: int, as_json: bool, work_in: Path | None, began: float) -> None:
    if work_in:
        settings = msgspec.json.decode((work_in / "settings.json").read_bytes(), type=list[Ticket])
        worker(Database(f"sqlite:///{work_in / 'art58.db'}"), settings, began)
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with scratch() as folder:
        figures = run(size, kills, share, seed, folder, lambda text: click.echo(text, err=True))
        figures |= machine(folder)
        if not as_json:
            rows = [[name, f"{value:,}" if isinstance(value, int | float) else value] for name, value in figures.items()]
            click.echo(table(("", ""), rows))
        click.echo(json.dumps(figures))
    wrong = ("lost", "doubled", "comments_doubled", "unfinished", "unsent", "secrets_told", "planted_not_found")
    sys.exit(any(figures[name] for name in wrong))


if __name__ == "__main__":
    main()
