"""PagerDuty's alerts: one for each incident whatever is sent twice, resolved once, and nobody paged for what is over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.delivery.follow import Policy
from receiver.delivery.targets import Change, Refused, Seen, Unreachable
from receiver.delivery.targets.pagerduty import PagerDuty
from receiver.law.verdict import Verdict
from receiver.settings.tickets import PagerDutyTicket
from receiver.settings.types import SecretRef
from tests.delivery.test_dispatcher import Desk
from tests.fakes.pagerduty import FakePagerDuty
from tests.samples import RESTORED_AT, draft

ROUTING_KEY = "R0UT1NG" + "x" * 25
OVER = {"restored_at": RESTORED_AT, "resolved": True}


@pytest.fixture
def pager(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePagerDuty]:
    monkeypatch.setenv("ART58_ROUTING_KEY", ROUTING_KEY)
    with FakePagerDuty(ROUTING_KEY) as fake:
        yield fake


def at(pager: FakePagerDuty, **changes: Any) -> PagerDuty:
    settings = PagerDutyTicket(
        name="desk", url=pager.url, routing_key=SecretRef(env="ART58_ROUTING_KEY"), per_minute=100_000, **changes
    )
    return PagerDuty(settings, 5)


def test_an_event_says_what_it_is_about_and_where_to_look(pager: FakePagerDuty) -> None:
    assert at(pager, source="noc.example").create(draft()) == "inc-1"
    (event,) = pager.alerts[0].events
    assert event["dedup_key"] == "inc-1"
    assert event["client_url"] == "http://127.0.0.1:9158/incidents/inc-1"
    assert event["links"] == [{"href": "http://127.0.0.1:9158/incidents/inc-1", "text": "inc-1"}]
    payload = event["payload"]
    assert payload["summary"].startswith("重大な事故に該当する可能性（要判断）")
    assert (payload["severity"], payload["source"]) == ("critical", "noc.example")
    assert payload["timestamp"] == "2026-11-21T04:05:00.000+00:00"
    details = payload["custom_details"]
    assert (details["verdict"], details["number"], details["restored_at"]) == ("major", 3, None)
    assert "42,000 (measured)" in details["text"]


@pytest.mark.parametrize(
    ("verdict", "severity"),
    [("major", "critical"), ("indeterminate", "error"), ("near_miss", "warning"), ("periodic", "warning"), ("none", "info")],
)
def test_the_severity_is_that_of_the_verdict(pager: FakePagerDuty, verdict: str, severity: str) -> None:
    at(pager).create(draft(verdict=Verdict(verdict)))
    at(pager, severities={verdict: "error"}).create(draft(key="inc-2", verdict=Verdict(verdict)))
    assert [alert.events[0]["payload"]["severity"] for alert in pager.alerts] == [severity, "error"]


def test_mapped_fields_have_their_place_in_the_common_format_or_are_details(pager: FakePagerDuty) -> None:
    at(pager).create(draft(fields={"component": "mme-1", "class": "outage", "severity": "info", "region": "東日本"}))
    payload = pager.alerts[0].events[0]["payload"]
    assert (payload["component"], payload["class"], payload["severity"]) == ("mme-1", "outage", "info")
    assert payload["custom_details"]["region"] == "東日本"


def test_the_whole_life_is_one_alert_that_is_resolved_and_a_new_one_where_it_goes_on(tmp_path: Path, pager: FakePagerDuty) -> None:
    desk, target, policy = Desk(tmp_path), at(pager), Policy(close_when_over=True)

    def send(number: int, **changes: Any) -> None:
        desk.assess(number, **changes)
        while desk.dispatcher(target, policy=policy).send_next():
            pass

    send(1)
    send(2, affected_users=99_000)
    send(3, state="restored", restored_at=RESTORED_AT)
    send(4, state="closed", restored_at=RESTORED_AT)
    assert [event["event_action"] for event in pager.alerts[0].events] == ["trigger", "trigger", "resolve"]
    assert len(pager.alerts) == 1, "news of what is over page nobody"
    assert pager.dropped == []
    send(5)
    assert [alert.is_open for alert in pager.alerts] == [False, True]
    assert desk.row().state == "sent"
    desk.database.close()


def test_an_alert_is_resolved_unless_told_otherwise() -> None:
    decoded = msgspec.convert({"kind": "pagerduty", "name": "pager", "routing_key": {"env": "X"}}, PagerDutyTicket)
    assert decoded.close_when_over
    assert decoded.url == "https://events.pagerduty.com"


def test_resolving_twice_comes_to_the_same(pager: FakePagerDuty) -> None:
    target = at(pager)
    target.create(draft())
    for _ in range(2):
        target.write("inc-1", draft(number=4, **OVER), Change({}, state="closed"), Seen({}))
    assert [alert.is_open for alert in pager.alerts] == [False]
    assert len(pager.dropped) == 1


def test_a_long_text_is_cut_to_what_an_event_may_have(pager: FakePagerDuty) -> None:
    target = at(pager)
    long = msgspec.structs.replace(draft(), title="長" * 5000, text="長\n" * 1_000_000, fields={"log": "障" * 150_000})
    target.create(long)
    payload = pager.alerts[0].events[0]["payload"]
    assert len(payload["summary"]) == 1024
    assert "省略" in payload["custom_details"]["text"]
    assert len(json.dumps(pager.alerts[0].events[0], ensure_ascii=False).encode()) <= 512 * 1024
    with pytest.raises(Refused, match="512 KB"):
        target.create(msgspec.structs.replace(long, fields={"log": "障" * 200_000}))


def test_a_key_of_full_length_is_taken(pager: FakePagerDuty) -> None:
    assert at(pager).create(draft(key="k" * 255)) == "k" * 255


def test_an_answer_that_is_not_about_our_event_is_none(pager: FakePagerDuty) -> None:
    pager.fail("empty_json")
    with pytest.raises(Unreachable, match="did not say that it took the event"):
        at(pager).create(draft())


def test_what_is_no_key_is_never_sent(pager: FakePagerDuty) -> None:
    for remote_id in ("", "a b", "鍵", "x" * 256):
        with pytest.raises(Refused, match="cannot be a dedup_key"):
            at(pager).write(remote_id, draft(), Change({}), Seen({}))
    assert pager.alerts == []


def test_a_refusal_is_told_in_its_words_without_the_routing_key(pager: FakePagerDuty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ART58_ROUTING_KEY", "short-key-of-ours")
    with pytest.raises(Refused, match="Event object is invalid") as raised:
        at(pager).create(draft())
    assert "short-key-of-ours" not in f"{raised.value!r} {at(pager)!r}"


def test_the_stand_in_refuses_what_the_contract_does_not_have(pager: FakePagerDuty, monkeypatch: pytest.MonkeyPatch) -> None:
    target = at(pager)
    said = target._said

    def misspelt(*given: Any) -> dict[str, Any]:
        return {**said(*given), "clientUrl": "x"}

    monkeypatch.setattr(target, "_said", misspelt)
    with pytest.raises(Refused, match="400"):
        target.create(draft())
