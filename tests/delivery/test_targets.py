"""The contract of every target, its in-memory twin included: what is made is found again, changed in its place and ended once;
text stays text; every failure is either Unreachable (come again) or Refused (a person must look); secrets are told to nobody."""

import errno
import html
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

import pytest
import requests

from receiver.delivery.targets import Change, Draft, Refused, Seen, Target, Unreachable
from receiver.delivery.targets.directory import TicketDirectory
from receiver.delivery.targets.grafana import GrafanaAnnotations
from receiver.delivery.targets.grafana_app import GrafanaAppAnnotations
from receiver.delivery.targets.pagerduty import PagerDuty
from receiver.delivery.targets.webhook import TicketWebhook
from receiver.law.provisions import Text
from receiver.settings.tickets import PagerDutyTicket
from receiver.settings.types import SecretRef
from tests.fakes.faults import FakeServer, FaultKind
from tests.fakes.grafana import FakeGrafana
from tests.fakes.memory import MemoryTarget
from tests.fakes.pagerduty import FakePagerDuty
from tests.fakes.ticket_webhook import FakeTicketWebhook
from tests.samples import RESTORED_AT, assessment, draft, saying
from tests.samples import say as say_to

TOKEN = "glsa_Zt7Qx0PvN4"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ROUTING_KEY = "R0UT1NG" + "x" * 25

HOSTILE = {
    "script": "<script>alert(1)</script> 7*7",
    "rule": "---\nstate: resolved\n--- 7*7",
    "marker": "<!-- art58 end -->\n<!-- art58 begin --> 7*7",
    "breaks": "a\r\nb\u2028c\x85d\x00e\x1b[31m 7*7",
    "direction": "\u202e\u2066desrever\u200f 7*7",
    "long": "7*7" + "長" * 1_000_000,
    "template": "{{7*7}} ${7*7} <%= 7*7 %>",
    "surrogate": "\ud800 7*7",
}


@dataclass
class Shown:
    """What a person sees of an incident at the other side."""

    text: str
    resolved: bool


@dataclass
class Place:
    """A target and a look behind it. `lose_next_answer` has the next call do its work without saying so. One that `closes` ends by
    the state that it is told, the others by what the statement says.
    """

    target: Target
    shown: Callable[[str], Shown]
    made: Callable[[], int]
    lose_next_answer: Callable[[], None]
    finds: bool = True
    closes: bool = False


def say(place: Place, remote_id: str, wanted: Draft) -> None:
    """Have it say the draft, as if nobody had touched it meanwhile."""
    if not place.closes:
        say_to(place.target, remote_id, wanted)
        return
    seen = Seen({}, is_open=not place.shown(wanted.key).resolved)
    state: Literal["open", "closed"] | None = "closed" if wanted.statement.resolved else None if seen.is_open else "open"
    place.target.write(remote_id, wanted, Change(place.target.fields(wanted), state=state), seen)


def _memory() -> Place:
    target = MemoryTarget()

    def shown(key: str) -> Shown:
        one = next(one for one in target.tickets.values() if one.key == key)
        return Shown(f"{one.fields['title']} {one.draft.text}", one.draft.statement.resolved)

    return Place(target, shown, lambda: len(target.tickets), lambda: target.fail(Unreachable("no answer"), after_work=True))


def _grafana(stack: ExitStack, timeout_seconds: float) -> Place:
    fake = stack.enter_context(FakeGrafana(TOKEN, dashboards=("art58",)))

    def shown(key: str) -> Shown:
        one = next(one for one in fake.annotations.values() if f"a58:{key}" in one["tags"])
        return Shown(html.unescape(one["text"]), one["timeEnd"] > one["time"])

    target = GrafanaAnnotations("grafana", fake.url, TOKEN, "art58", 3, timeout_seconds)
    return Place(target, shown, lambda: len(fake.annotations), lambda: fake.fail("timeout_after_work", path="/api/annotations"))


def _grafana_app(stack: ExitStack, timeout_seconds: float) -> Place:
    fake = stack.enter_context(FakeGrafana(TOKEN, dashboards=("art58",), app="postgres"))

    def shown(key: str) -> Shown:
        one = next(one for one in fake.shown if f"a58:{key}" in one["tags"])
        return Shown(html.unescape(one["text"]), one["timeEnd"] > one["time"])

    target = GrafanaAppAnnotations("grafana", fake.url, TOKEN, "art58", 3, timeout_seconds)
    return Place(target, shown, lambda: len(fake.shown), lambda: fake.fail("timeout_after_work", path="/apis/"))


def _pagerduty(stack: ExitStack, timeout_seconds: float) -> Place:
    fake = stack.enter_context(FakePagerDuty(ROUTING_KEY))

    def shown(key: str) -> Shown:
        newest = fake.of(key)[-1]
        payload = newest.events[-1]["payload"]
        return Shown(f"{payload['summary']} {payload['custom_details']['text']}", not newest.is_open)

    target = _pagerduty_at(fake.url, timeout_seconds)
    return Place(target, shown, lambda: len(fake.alerts), lambda: fake.fail("timeout_after_work"), finds=False, closes=True)


def _pagerduty_at(url: str, timeout_seconds: float, name: str = "pager") -> PagerDuty:
    settings = PagerDutyTicket(name=name, url=url, routing_key=SecretRef(env="ART58_ROUTING_KEY"), per_minute=100_000)
    return PagerDuty(settings, timeout_seconds)


def _webhook(stack: ExitStack, timeout_seconds: float) -> Place:
    fake = stack.enter_context(FakeTicketWebhook(SECRET))

    def shown(key: str) -> Shown:
        newest = fake.of(key)[-1]
        data = newest["data"]
        return Shown(f"{data['title']} {data['text']}", newest["type"] == "art58.incident.resolved")

    def opened() -> int:
        return sum(one["type"] == "art58.incident.opened" for one in fake.messages.values())

    target = TicketWebhook("itsm", fake.hook_url, SECRET, timeout_seconds, _now)
    return Place(target, shown, opened, lambda: fake.fail("timeout_after_work"), finds=False)


def _directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    def shown(key: str) -> Shown:
        text = (folder / f"{key}.md").read_text()
        return Shown(text.replace("\\*", "*"), "state: resolved" in text.splitlines()[:10])

    def lose_next_answer() -> None:
        """The disk fails when the ticket's file is in its place already: at the second fsync, that of the folder."""
        fsync, outcomes = os.fsync, iter([None, OSError(errno.EIO, "Input/output error")])

        def failing(descriptor: int) -> None:
            fsync(descriptor)
            if outcome := next(outcomes, None):
                raise outcome

        monkeypatch.setattr(os, "fsync", failing)

    return Place(TicketDirectory("desk", folder), shown, lambda: len(list(folder.iterdir())), lose_next_answer)


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART58_ROUTING_KEY", ROUTING_KEY)


@pytest.fixture
def timeout_seconds() -> float:
    return 10


@pytest.fixture(params=["memory", "grafana", "grafana-app", "pagerduty", "webhook", "directory"])
def place(
    request: pytest.FixtureRequest, timeout_seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    with ExitStack() as stack:
        match request.param:
            case "grafana":
                yield _grafana(stack, timeout_seconds)
            case "grafana-app":
                yield _grafana_app(stack, timeout_seconds)
            case "pagerduty":
                yield _pagerduty(stack, timeout_seconds)
            case "webhook":
                yield _webhook(stack, timeout_seconds)
            case "directory":
                yield _directory(tmp_path / "tickets", monkeypatch)
            case _:
                yield _memory()


def test_what_was_made_is_found_by_its_incident(place: Place) -> None:
    assert place.target.find("inc-1") == []
    place.target.create(draft(key="inc-0", tags=("art58", "a58:inc-0")))

    remote_id = place.target.create(draft())

    assert remote_id
    assert place.target.find("inc-1") == ([remote_id] if place.finds else [])


def test_an_update_says_the_newer_statement_in_the_same_place(place: Place) -> None:
    remote_id = place.target.create(draft())

    say(place, remote_id, draft(number=4, text=Text(ja="影響 55,000人", en="55,000 users")))

    assert place.made() == 1
    assert "影響 55,000人" in place.shown("inc-1").text
    assert "55,000 users" in place.shown("inc-1").text
    assert not place.shown("inc-1").resolved


def test_a_resolved_incident_is_over_and_says_its_last_draft(place: Place) -> None:
    remote_id = place.target.create(draft())

    say(
        place,
        remote_id,
        draft(number=5, restored_at=RESTORED_AT, resolved=True, text=Text(ja="復旧しました", en="Restored")),
    )

    assert place.made() == 1
    assert place.shown("inc-1").resolved
    assert "復旧しました" in place.shown("inc-1").text


def test_an_incident_that_opens_again_is_open(place: Place) -> None:
    remote_id = place.target.create(draft())
    say(place, remote_id, draft(number=4, restored_at=RESTORED_AT, resolved=True))

    say(place, remote_id, draft(number=5))

    assert not place.shown("inc-1").resolved


def test_incidents_do_not_touch_each_other(place: Place) -> None:
    place.target.create(draft(text=Text(ja="一つ目", en="first")))
    other = place.target.create(draft(key="inc-2", tags=("art58", "a58:inc-2"), text=Text(ja="二つ目", en="second")))

    say(place, other, draft(key="inc-2", number=4, restored_at=RESTORED_AT, resolved=True))

    assert place.made() == 2
    assert "first" in place.shown("inc-1").text
    assert not place.shown("inc-1").resolved


@pytest.mark.parametrize("timeout_seconds", [0.5])
def test_what_was_made_without_an_answer_is_not_made_twice(place: Place) -> None:
    place.lose_next_answer()
    with pytest.raises(Unreachable):
        place.target.create(draft())

    # as the dispatcher does: look it up, make it only if it is not there
    if place.target.find("inc-1") == []:
        place.target.create(draft())

    assert place.made() == 1


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_stays_text(place: Place, text: str) -> None:
    hostile = {
        "title": Text(ja=text, en=text),
        "text": Text(ja=text, en=text),
        "assessments": (assessment(service=text, explanation=saying(Text(ja=text, en=text))),),
    }
    remote_id = place.target.create(draft(**hostile))
    say(place, remote_id, draft(number=4, **hostile))

    assert place.made() == 1
    assert "7*7" in place.shown("inc-1").text
    assert not place.shown("inc-1").resolved

    say(place, remote_id, draft(number=5, text=Text(ja="平文", en="plain")))
    say(place, remote_id, draft(number=6, restored_at=RESTORED_AT, resolved=True))

    assert place.shown("inc-1").resolved
    assert "script" not in place.shown("inc-1").text


@pytest.mark.parametrize("key", ["", "../inc", "a/b", "-rf", ".hidden", "a b", "a\nb", "a:b", "<b>", "長", "x" * 256])
@pytest.mark.parametrize("place", ["grafana", "grafana-app", "pagerduty", "webhook", "directory"], indirect=True)
def test_a_key_that_is_not_safe_is_refused(place: Place, key: str) -> None:
    with pytest.raises(Refused):
        place.target.create(draft(key=key))


@dataclass
class Remote:
    """A target that is reached over HTTP and its stand-in. `secret` must never be told; `at` is the same target elsewhere."""

    target: Target
    fake: FakeServer
    secret: str
    at: Callable[[str], Target]


@pytest.fixture(params=["grafana", "grafana-app", "pagerduty", "webhook"])
def remote(request: pytest.FixtureRequest, timeout_seconds: float) -> Iterator[Remote]:
    def grafana_at(url: str) -> Target:
        return GrafanaAnnotations("there", url, TOKEN, None, None, timeout_seconds)

    def webhook_at(url: str) -> Target:
        return TicketWebhook("there", url, SECRET, timeout_seconds, _now)

    def app_at(url: str) -> Target:
        return GrafanaAppAnnotations("there", url, TOKEN, None, None, timeout_seconds)

    def pager_at(url: str) -> Target:
        return _pagerduty_at(url, timeout_seconds, "there")

    match request.param:
        case "grafana":
            with FakeGrafana(TOKEN) as grafana:
                yield Remote(grafana_at(grafana.url), grafana, TOKEN, grafana_at)
        case "grafana-app":
            with FakeGrafana(TOKEN, app="postgres") as grafana:
                yield Remote(app_at(grafana.url), grafana, TOKEN, app_at)
        case "pagerduty":
            with FakePagerDuty(ROUTING_KEY) as pager:
                yield Remote(pager_at(pager.url), pager, ROUTING_KEY, pager_at)
        case _:
            with FakeTicketWebhook(SECRET) as desk:
                yield Remote(webhook_at(desk.hook_url), desk, SECRET, webhook_at)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_trouble_means_come_again(remote: Remote, status: int) -> None:
    remote.fake.fail("status", status=status)

    with pytest.raises(Unreachable, match=f"^there: answered {status}") as raised:
        remote.target.create(draft())

    assert raised.value.retry_after is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422])
def test_a_request_that_can_never_be_right_means_that_a_person_must_look(remote: Remote, status: int) -> None:
    remote.fake.fail("status", status=status, message="not so")

    with pytest.raises(Refused, match=rf"^there: answered {status} \(not so\)\. \w+"):
        remote.target.create(draft())


@pytest.mark.parametrize(
    ("retry_after", "meant"),
    [
        ("7", timedelta(seconds=7)),
        ("99999999999999999999", timedelta(days=1)),
        ("-3", None),
        ("soon", None),
        ("²", None),
        ("Sat, 01 Jan 2000 00:00:00 GMT", timedelta(0)),
    ],
)
def test_being_told_to_wait_is_heard(remote: Remote, retry_after: str, meant: timedelta | None) -> None:
    remote.fake.fail("429", retry_after=retry_after)

    with pytest.raises(Unreachable) as raised:
        remote.target.create(draft())

    assert raised.value.retry_after == meant


def test_a_date_to_wait_for_is_heard(remote: Remote) -> None:
    until = datetime.now(UTC) + timedelta(minutes=10)
    remote.fake.fail("429", retry_after=format_datetime(until, usegmt=True))

    with pytest.raises(Unreachable) as raised:
        remote.target.create(draft())

    assert raised.value.retry_after is not None
    assert timedelta(minutes=9) < raised.value.retry_after <= timedelta(minutes=10)


def test_an_html_page_is_named_not_quoted(remote: Remote) -> None:
    remote.fake.fail("html_500")

    with pytest.raises(Unreachable, match=r"answered 500 with an HTML page$"):
        remote.target.create(draft())


def test_a_redirect_is_not_followed(remote: Remote) -> None:
    remote.fake.fail("redirect")

    with pytest.raises(Refused, match="final address"):
        remote.target.create(draft())


def test_what_the_other_side_says_is_short_and_on_one_line(remote: Remote) -> None:
    remote.fake.fail("status", status=400, message="a\r\nINFO forged\x1b[2J\u202e " + "x" * 100_000)

    with pytest.raises(Refused) as raised:
        remote.target.create(draft())

    said = str(raised.value)
    assert "(a INFO forged[2J xxx" in said
    assert len(said) < 400
    assert said.isprintable()


@pytest.mark.parametrize("timeout_seconds", [0.5])
@pytest.mark.parametrize("kind", ["timeout_after_work", "endless"])
def test_no_whole_answer_in_time_means_come_again(remote: Remote, kind: FaultKind) -> None:
    remote.fake.fail(kind)

    with pytest.raises(Unreachable, match=r"^there: no answer from 127\.0\.0\.1:\d+ within 0\.5 s$"):
        remote.target.create(draft())


def test_nobody_there_means_come_again(remote: Remote) -> None:
    with socket.socket() as bound:  # bound but not listening: connections are refused, and nobody else takes the port
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=r"^there: no connection to 127\.0\.0\.1:\d+ \(ConnectionError\)$"):
            remote.at(f"http://127.0.0.1:{bound.getsockname()[1]}/?token=in-the-address").create(draft())


@pytest.mark.parametrize("url", ["", "grafana:3000", "ftp://x/", "http://", "http://[::1", "http://x:99999999/", "http://\ud800/"])
def test_an_address_that_is_none_is_refused_without_being_quoted(remote: Remote, url: str) -> None:
    with pytest.raises(Refused, match=r"^there: no request can be made of its address and secret"):
        remote.at(url).create(draft())


def test_secrets_are_told_to_nobody(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = [repr(remote.target), str(remote.target)]
    for status in (302, 400, 401, 429, 500):
        remote.fake.fail("status", status=status, message=f"your secret is {remote.secret}")
        try:
            remote.target.create(draft())
        except (Unreachable, Refused) as error:
            told += [str(error), repr(error)]
    told.append(caplog.text)

    assert sum("your secret is ***" in one for one in told) == 2 * 5
    assert not any(remote.secret in one or remote.secret.removeprefix("whsec_") in one for one in told)


def test_credentials_lying_about_on_the_machine_are_not_sent(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    assert remote.target.create(draft())


def test_faults_can_also_be_ordered_over_http(remote: Remote) -> None:
    order = {"kind": "status", "status": 503, "times": 2}
    assert requests.post(f"{remote.fake.url}/_fault", json=order, timeout=10).status_code == 204

    for _ in range(2):
        with pytest.raises(Unreachable, match="503"):
            remote.target.create(draft())
    assert remote.target.create(draft())
