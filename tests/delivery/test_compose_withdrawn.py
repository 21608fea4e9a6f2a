"""What is said once nothing stands of what was judged before: no service of the catalogue is hit by what is known by now."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.delivery import content
from receiver.delivery.compose import compose
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.model import Act, Deed, Delivery, Drilled, NearMissAnswered, Statement
from receiver.stated import stated
from receiver.storage import deliveries
from tests.delivery.test_compose import CATALOGUE, DUTIES, INCIDENT, alert
from tests.delivery.test_dispatcher import Desk
from tests.samples import ASSESSED_AT, STARTED_AT, assessment
from tests.web.test_acts_shown import CLASS_1

NONE: dict[str, Any] = {"verdict": Verdict.NONE, "candidate": False, "major_since": None, "major_expected_at": None}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


def said(*deeds: Deed, **about: Any) -> Statement:
    acts = [Act(n, "inc-1", STARTED_AT, "yamada", "why", deed) for n, deed in enumerate(deeds, start=1)]
    incident = msgspec.structs.replace(INCIDENT, **about)
    return compose(incident, [], [alert()], CATALOGUE, DUTIES, "https://noc.example", stated(acts))


def test_it_says_in_title_and_head_that_the_verdicts_were_withdrawn_and_claims_nothing_else() -> None:
    statement = said()
    assert statement.title == Text("判定取下げ: 影響を受ける役務なし（発生中）", "no service is hit: verdicts withdrawn (ongoing)")
    head = Text(*(text.split("\n\n")[0] for text in (statement.text.ja, statement.text.en)))
    assert "カタログのどの役務にも影響していない。以前の判定はすべて取り下げた" in head.ja.splitlines()[0]
    assert "it hits no service of the catalogue: all verdicts on it were withdrawn" in head.en.splitlines()[0]
    assert "Failure began: 2026-11-21 12:00:00 JST" in head.en
    assert not any(word in statement.text.en for word in ("Due", "major", "Affected"))
    assert (statement.verdict, statement.unmeasured, statement.assessments) == (Verdict.NONE, False, ())
    assert statement.tags == ("art58", "a58:inc-1", "verdict:none")
    assert statement.milestone == "open/none/candidate=False/unmeasured=False/services=/marks="


@pytest.mark.parametrize(("state", "over"), [("open", False), ("recovering", False), ("restored", True), ("closed", True)])
def test_it_is_over_only_if_the_incident_is(state: str, over: bool) -> None:
    assert said(state=state).resolved is over


def test_marks_and_what_persons_answered_are_said_all_the_same() -> None:
    assert said(Drilled()).title.ja == "【訓練】判定取下げ: 影響を受ける役務なし（発生中）"
    assert said(Drilled(), state="closed").title.en == "[drill over] no service is hit (closed)"
    near = said(NearMissAnswered(CLASS_1))
    assert near.title.en.startswith("no service is hit: may apply as a near-miss")
    assert "all verdicts on it were withdrawn" in near.text.en


def test_nothing_of_it_is_said_while_a_verdict_stands() -> None:
    stands = compose(INCIDENT, [assessment()], [alert()], CATALOGUE, DUTIES, "https://noc.example")
    assert "withdrawn" not in stands.title.en + stands.text.en


def test_the_ticket_is_told_and_stays_open(desk: Desk) -> None:
    desk.assess(1)
    desk.send_all()
    desk.assess(2, withdrawn=True, **NONE)
    desk.send_all()
    (row,), (ticket,) = rows(desk), desk.target.tickets.values()
    assert (row.state, row.sent, ticket.is_open) == ("sent", 2, True)
    assert ticket.fields["title"].startswith("判定取下げ: 影響を受ける役務なし（発生中）")
    ((_, comment),) = ticket.comments
    assert "- 判定: 重大な事故に該当する可能性（要判断） → 現時点で報告の基準に達していない（要確認）" in comment
    assert "以前の判定はすべて取り下げた" in comment


def test_a_ticket_whose_verdicts_are_withdrawn_is_closed_once_its_incident_is_over(desk: Desk) -> None:
    desk.assess(1)
    desk.send_all()
    desk.assess(2, withdrawn=True, **NONE)
    desk.assess(3, withdrawn=True, state="restored", restored_at=ASSESSED_AT, **NONE)
    desk.send_all()
    (ticket,) = desk.target.tickets.values()
    assert not ticket.is_open


def test_templates_are_given_no_service() -> None:
    row = Delivery("inc-1", "desk", "ticket", 3, 0, "owed", 0, ASSESSED_AT)
    draft = content.draft(row, said())
    assert draft.title == "判定取下げ: 影響を受ける役務なし（発生中） / no service is hit: verdicts withdrawn (ongoing)"


def rows(desk: Desk) -> list[Delivery]:
    with desk.database.read() as connection:
        return deliveries.of_incidents(connection, ["inc-1"])
