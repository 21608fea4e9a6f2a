"""What a comment says of what changed: services that came to the verdict or left it, and marks."""

from typing import Any

import msgspec
import pytest

from receiver.delivery.changes import changes
from receiver.delivery.compose import compose
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.model import Act, Assessment, Deed, Drilled, Incident, Planned, Statement, Withdrawn
from receiver.stated import stated
from tests.delivery.test_compose import CATALOGUE, DUTIES, INCIDENT
from tests.samples import RESTORED_AT, STARTED_AT, assessment

VOICE, DATA = assessment(), assessment(service="data", number=4)
DATA_PERIODIC = assessment(service="data", number=4, verdict=Verdict.PERIODIC, major_since=None, major_expected_at=None)
VOICE_PERIODIC = msgspec.structs.replace(DATA_PERIODIC, service="voice", number=3)


def said(*latest: Assessment, deeds: tuple[Deed, ...] = (), **about: Any) -> Statement:
    acts = [Act(n, "inc-1", STARTED_AT, "yamada", "why", deed) for n, deed in enumerate(deeds, start=1)]
    incident: Incident = msgspec.structs.replace(INCIDENT, **about)
    return compose(incident, list(latest or [VOICE]), [], CATALOGUE, DUTIES, "https://noc.example", stated(acts))


def test_a_second_service_that_becomes_major_is_named_by_its_title() -> None:
    before, after = said(DATA, VOICE_PERIODIC), said(DATA, VOICE)
    assert changes(before.milestone, after) == (
        Text("この判定に加わった役務: 携帯電話（音声）", "Services with this verdict, added: Mobile voice"),
    )


def test_a_service_whose_verdict_falls_while_another_stays_major_is_named() -> None:
    before, after = said(DATA, VOICE), said(DATA, VOICE_PERIODIC)
    assert changes(before.milestone, after) == (
        Text("この判定から外れた役務: 携帯電話（音声）", "Services with this verdict, gone: Mobile voice"),
    )


def test_a_service_that_is_not_hit_any_more_is_named_by_what_is_known_of_it() -> None:
    (gone,) = changes(said(VOICE, DATA).milestone, said(VOICE))
    assert gone == Text("この判定から外れた役務: data", "Services with this verdict, gone: data")


def test_services_of_another_verdict_are_not_compared() -> None:
    (verdict,) = changes(said(VOICE_PERIODIC, DATA_PERIODIC).milestone, said(VOICE, DATA_PERIODIC))
    assert verdict.en.startswith("Verdict: may belong in the periodic report")


PLAN = Planned(STARTED_AT, RESTORED_AT)


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({}, {"deeds": (Drilled(),)}, Text("注記: なし → 訓練", "Marks: none → drill")),
        ({"deeds": (Drilled(),)}, {"deeds": (Drilled(), Withdrawn(("drill",)))}, Text("注記: 訓練 → なし", "Marks: drill → none")),
        ({}, {"joined_to": "inc-9"}, Text("注記: なし → inc-9に統合", "Marks: none → now part of inc-9")),
        ({"joined_to": "inc-9"}, {}, Text("注記: inc-9に統合 → なし", "Marks: now part of inc-9 → none")),
        ({}, {"dismissed": True}, Text("注記: なし → 誤報として取下げ", "Marks: none → dismissed as a false alarm")),
        ({"dismissed": True}, {}, Text("注記: 誤報として取下げ → なし", "Marks: dismissed as a false alarm → none")),
        ({}, {"deeds": (PLAN,)}, Text("注記: なし → 計画された工事", "Marks: none → planned work")),
        (
            {"deeds": (PLAN,)},
            {"deeds": (PLAN,), "dismissed": True},
            Text(
                "注記: 計画された工事 → 誤報として取下げ・計画された工事",
                "Marks: planned work → dismissed as a false alarm, planned work",
            ),
        ),
    ],
)
def test_marks_that_came_or_went_are_told(before: dict[str, Any], after: dict[str, Any], line: Text) -> None:
    assert changes(said(**before).milestone, said(**after)) == (line,)


def test_the_end_of_a_drill_is_told_as_one() -> None:
    lines = changes(said(deeds=(Drilled(),)).milestone, said(deeds=(Drilled(),), state="closed"))
    assert [line.ja for line in lines] == ["状態: 発生中 → 終結", "注記: 訓練 → 訓練終了"]


def test_nothing_is_told_where_nothing_changed() -> None:
    assert changes(said(deeds=(Drilled(),)).milestone, said(deeds=(Drilled(),))) == ()


@pytest.mark.parametrize("before", ["", "services=voice", "open/major/candidate=False/unmeasured=False/voice/drill"])
def test_a_milestone_without_services_and_marks_by_name_tells_nothing_of_them(before: str) -> None:
    assert changes(before, said(VOICE, DATA)) == ()


def test_a_mark_that_this_release_does_not_know_is_left_out() -> None:
    before = said().milestone.replace("marks=", "marks=unheard of")
    assert changes(before, said(dismissed=True)) == (
        Text("注記: なし → 誤報として取下げ", "Marks: none → dismissed as a false alarm"),
    )
    assert changes(before, said()) == ()
