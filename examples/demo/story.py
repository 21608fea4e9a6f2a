"""The story of the demonstration: days of history, a core node that failed almost an hour ago, the clock, the repair."""

import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from examples import peers
from examples.demo import history
from examples.demo.narrator import Narrator
from examples.demo.network import SERVICES, Network
from examples.demo.outcome import expected_verdicts, missing, summarise
from examples.demo.screen import Screen, clock
from examples.demo.simulator import Simulator
from examples.demo.stack import BIN, SHORTENED, Folder, Stack
from examples.demo.watch import Look, Watch, annotation_times, is_moment, moment
from receiver import __version__

NODE = "core-east-1"
THRESHOLD_SECONDS = 3600  # rows 1 and 6: one hour
READY_TO_CROSSING_SECONDS = 45
LINGER_SECONDS = 4  # after the hour, for what is delivered then
POLL_SECONDS = 0.25


class NotSeenError(Exception):
    """Something the story waited for did not come."""


class Story:
    """Plays the story once; `cleanup` ends what it starts, `faults` tells afterwards what was missing."""

    def __init__(self, screen: Screen, folder: Folder, users_scale: float, cleanup: ExitStack) -> None:
        self.screen = screen
        self.folder = folder
        self.network = Network(users_scale)
        self.versions = {**peers.versions(BIN), "receiver": __version__, "python": platform.python_version()}
        self.timings: dict[str, float | None] = {}
        self.last = Look()
        self.faults: list[str] = []
        self._cleanup = cleanup
        self.simulator = cleanup.enter_context(Simulator(self.network))
        self.stack = Stack(folder, self.network, self.simulator.address)
        self._narrator = Narrator(screen, SHORTENED["hold_seconds"][0])

    def play(self) -> None:
        self._introduce()
        self._load_days()
        self._start_receiver()
        self._load_failure()
        try:
            self._see_incident()
            self._see_crossing()
            self._repair()
        except NotSeenError as error:
            self.faults.append(str(error))
        self.faults += missing(self.network, NODE, self.crossing, self.last)
        self.timings["ready_to_crossing_seconds"] = round(self.crossing.timestamp() - self.ready_at, 2)
        self.timings["total_seconds"] = round(self.screen.elapsed(), 2)

    def summary(self) -> dict[str, Any]:
        return {**summarise(self.last), "versions": self.versions, "timings": self.timings, "missing": self.faults}

    def _introduce(self) -> None:
        say = self.screen
        v = self.versions
        say.line(
            f"Prometheus {v['prometheus']}, Alertmanager {v['alertmanager']} (real); receiver {v['receiver']}, "
            f"Python {v['python']}; Grafana: a stand-in built from its published API, not Grafana itself"
        )
        say.line("shortened so that it can be watched:")
        for name, (here, default) in SHORTENED.items():
            say.detail(f"{name}: {here} (default {default})")
        say.line(f"the network: {len(self.network.nodes)} nodes in 47 prefectures, users of the whole operator:")
        for service in SERVICES:
            say.detail(f"{service.title_en} ({service.title_ja}): {self.network.users_total(service):,} {service.unit}s")

    def _load_days(self) -> None:
        started = self.screen.elapsed()
        self.bulk_end = int(time.time()) - history.FINE_SECONDS
        samples = history.load_bulk(self.network, self.bulk_end, BIN / "promtool", self.folder.data)
        self._time("history_bulk", started)
        self.screen.line(f"eight days of history loaded with promtool: {samples:,} samples")

    def _start_receiver(self) -> None:
        started = self.screen.elapsed()
        for server in (self.stack.grafana, self.stack.alertmanager, self.stack.receiver):
            self._cleanup.enter_context(server)
        self.ready_at = time.time()
        self._time("receiver_start", started)
        self.screen.line(f"the receiver answers at {self.stack.receiver.url}; so do Alertmanager and Grafana's stand-in")
        self.watch = Watch(self.folder, self.stack)
        self.watch.save_dashboard()

    def _load_failure(self) -> None:
        """Place the failure so that an hour is over soon after the receiver is ready, then let Prometheus run."""
        started = self.screen.elapsed()
        self.failure = round(self.ready_at) + READY_TO_CROSSING_SECONDS - THRESHOLD_SECONDS
        self.crossing = datetime.fromtimestamp(self.failure + THRESHOLD_SECONDS, UTC)
        self.simulator.fail(NODE)
        moments = history.fine_moments(self.bulk_end, int(time.time()), NODE, self.failure)
        history.load(self.network, moments, BIN / "promtool", self.folder.data)
        self._cleanup.enter_context(self.stack.prometheus)
        self._time("history_fine_and_prometheus_start", started)
        minutes = (time.time() - self.failure) / 60
        self.screen.line(f"{NODE} failed at {clock(self.failure)} ({minutes:.0f} min ago); Prometheus runs on this history")

    def _see_incident(self) -> None:
        started = self.screen.elapsed()
        self._wait(
            "an incident with a count of users for every service",
            lambda look: (
                len(look.impacts) == len(SERVICES) and all(impact["affected_users"] is not None for impact in look.impacts.values())
            ),
            time.time() + 30,
        )
        self._time("prometheus_to_incident", started)

    def _see_crossing(self) -> None:
        """Let the clock alone do it: no new alert comes."""
        started = self.screen.elapsed()
        crossing = self.crossing.timestamp()
        if not self._expected_crossings():
            self.screen.line(f"the receiver expects nothing to become major; waiting past {clock(crossing)} to see it")
        self._wait("the hour to be over", lambda _: time.time() > crossing - POLL_SECONDS, crossing + 5)
        time.sleep(max(0, crossing - time.time()))
        self.screen.line(f"one hour is over at {clock(crossing)}")
        majors = [name for name, verdict in expected_verdicts(self.network, NODE).items() if verdict == "major"]
        if majors:
            self._wait("the verdict major: " + ", ".join(majors), lambda look: _major(look, majors), crossing + 15)
            self.timings["crossing_seen_after_seconds"] = round(time.time() - crossing, 2)
            self.timings["crossing_error_seconds"] = self._crossing_error(majors)
            self._wait("a ticket and an annotation", lambda look: bool(look.tickets and look.annotations), crossing + 25)
        linger = time.time() + LINGER_SECONDS
        self._wait(f"{LINGER_SECONDS} seconds to pass", lambda _: time.time() > linger, linger + 5)
        if not any(impact["verdict"] == "major" for impact in self.last.impacts.values()):
            self.screen.line("nothing is major")
        self._time("waited_for_the_hour", started)

    def _crossing_error(self, services: list[str]) -> float | None:
        """How far `major_since` is from the true crossing, at worst."""
        since = [moment(self.last.impacts[name]["major_since"]) for name in services]
        return max(((at - self.crossing).total_seconds() for at in since if at), key=abs, default=None)

    def _repair(self) -> None:
        started = self.screen.elapsed()
        self.simulator.repair(NODE)
        self.screen.line(f"{NODE} repaired at {clock(time.time())}")
        hold = SHORTENED["hold_seconds"][0]
        self._wait("the incident to be recovering", _all_in("recovering", "restored", "closed"), time.time() + 30)
        self._wait("the recovery to have held", _all_in("restored", "closed"), time.time() + hold + 30)
        self._wait("the annotation to be closed and the ticket resolved", _delivered, time.time() + 15)
        self._time("repair_to_restored", started)

    def _wait(self, what: str, seen: Callable[[Look], bool], deadline: float) -> None:
        trouble = ""
        while time.time() < deadline:
            try:
                self.last = self.watch.look()
            except OSError as error:
                trouble = f" (last: {error})"
            else:
                trouble = ""
                self._narrator.tell(self.last)
                if seen(self.last):
                    return
            self.screen.status(self._waiting_for(what))
            time.sleep(POLL_SECONDS)
        raise NotSeenError(f"waited in vain for {what}{trouble}")

    def _waiting_for(self, what: str) -> str:
        seconds = {at: at.timestamp() - time.time() for at in self._expected_crossings()}
        ahead = [at for at in seconds if seconds[at] > 0]
        return f"becomes major at {clock(ahead[0])} (in {seconds[ahead[0]]:.0f} s)" if ahead else f"waiting for {what}"

    def _expected_crossings(self) -> list[datetime]:
        """The times at which the receiver expects a service to become major, nearest first."""
        times = (moment(impact["major_expected_at"]) for impact in self.last.impacts.values())
        return sorted(at for at in times if at)

    def _time(self, phase: str, started: float) -> None:
        self.timings[f"{phase}_seconds"] = round(self.screen.elapsed() - started, 2)


def _all_in(*states: str) -> Callable[[Look], bool]:
    return lambda look: bool(look.incidents) and all(incident["state"] in states for incident in look.incidents)


def _delivered(look: Look) -> bool:
    ended = (annotation_times(annotation)[1] for annotation in look.annotations if not is_moment(annotation))
    return all(ended) and all(ticket.state == "resolved" for ticket in look.tickets)


def _major(look: Look, services: list[str]) -> bool:
    return all(look.impacts[name]["verdict"] == "major" for name in services)
