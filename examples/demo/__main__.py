"""`python -m examples.demo`: play the story, show what came out, leave nothing running."""

import argparse
import contextlib
import fcntl
import json
import math
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from types import FrameType
from typing import Any

from examples.demo.history import HistoryError
from examples.demo.screen import Screen, clock
from examples.demo.stack import ROOT, Folder, short
from examples.demo.story import Story
from examples.demo.watch import moment
from examples.peers import PeerError

FOLDER = ROOT / "var" / "demo"


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    arguments.add_argument("--users-scale", type=_scale, default=1, help="multiply every number of users (default 1)")
    arguments.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    options = arguments.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with _only_one_demo():
            return _demo(options.users_scale, options.keep)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", flush=True)
        return 130


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, like 0.0001")
    return scale


def _demo(users_scale: float, keep: bool) -> int:
    screen = Screen()
    screen.plain(f"Article 58 receiver, demonstration (users scale {users_scale:g}); logs and data: {short(FOLDER)}/")
    shutil.rmtree(FOLDER, ignore_errors=True)
    folder = Folder(FOLDER)
    folder.make_secrets()
    with ExitStack() as cleanup:
        try:
            story = Story(screen, folder, users_scale, cleanup)
            story.play()
        except (PeerError, HistoryError) as error:
            screen.plain(f"error: {error}\nlogs: {short(FOLDER)}/*.log")
            return 1
        summary = story.summary()
        (FOLDER / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n")
        _show(screen, summary)
        if keep:
            _keep(screen, story)
    return 1 if summary["missing"] else 0


def _show(screen: Screen, summary: dict[str, Any]) -> None:
    screen.plain()
    row = "{:<9} {:<14} {:<14} {:>4} {:>12}  {:<13} {:<13} {:<13}".format
    screen.plain(row("service", "verdict", "rulebook", "row", "users", "failed", "major since", "restored").rstrip())
    for service in summary["services"]:
        times = [service[name] for name in ("failure_started_at", "major_since", "restored_at")]
        screen.plain(
            row(
                *(str(service[name] or "-") for name in ("service", "verdict", "rulebook", "row")),
                f"{service['affected_users'] or 0:,}",
                *(clock(moment(text)) for text in times),
            ).rstrip()
        )
    screen.plain("A verdict says what may apply; a person decides. 該当する可能性（要判断）")
    for ticket in summary["tickets"]:
        screen.plain(f"ticket {ticket['path']} [{ticket['state']}]")
        screen.detail(ticket["title"])
    for note in summary["annotations"]:
        point = ", the moment from which it may be major" if note["is_moment"] else ", open"
        until = f" to {clock(moment(note['time_end']))}" if note["time_end"] else point
        screen.plain(f"annotation {note['id']}: {clock(moment(note['time']))}{until}")
    screen.plain("timings")
    screen.detail(", ".join(f"{name} {value}" for name, value in summary["timings"].items()))
    if summary["missing"]:
        screen.plain("NOT as it should be:")
        for fault in summary["missing"]:
            screen.plain(f"  - {fault}")
        screen.plain(f"logs: {short(FOLDER)}/*.log")
    else:
        screen.plain("The story came out as it should.")
    screen.plain(f"written: {short(FOLDER / 'summary.json')}")


def _keep(screen: Screen, story: Story) -> None:
    stack = story.stack
    screen.plain("\neverything keeps running until Ctrl-C:")
    token = short(story.folder.webhook_token)
    for incident in story.last.incidents:
        screen.plain(f"  incident page  {stack.receiver.url}/incidents/{incident['id']}  (any user, password: the text of {token})")
    screen.plain(f"  Prometheus     {stack.prometheus.url}")
    screen.plain(f"  Alertmanager   {stack.alertmanager.url}")
    screen.plain(
        f"  API            curl -H \"Authorization: Bearer $(cat {token})\" '{stack.receiver.url}/api/v1/incidents?state=all'"
    )
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _only_one_demo() -> Iterator[None]:
    """Two runs would wipe each other's folder."""
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"error: another demonstration is running in {short(FOLDER)}/") from None
        yield


if __name__ == "__main__":
    sys.exit(main())
