"""What a live count adds to a verdict and its explanation: late and partial figures, growing numbers, quality, other readings."""

from datetime import timedelta
from fractions import Fraction

import msgspec
import pytest

from receiver.law import fallback
from receiver.law.counting import Affected, Count, keep_largest
from receiver.law.estimate import Reading, shown
from receiver.law.explanation import Explanation, explain_outage, suffered
from receiver.law.impairment import ObservedGuaranteed, ObservedVoice, impairment
from receiver.law.lined_yaml import FaultyFile, convert, read
from receiver.law.provisions import Flag, Text, guideline
from receiver.law.verdict import Circumstances, judge
from tests.explained import ACCESS, STARTED_AT, TODAY, measured, of_case


def told(count: Count, minutes: float = 60, **more: object) -> Explanation:
    affected = Affected((count,))
    judged = judge(ACCESS, TODAY, timedelta(minutes=minutes), affected.at_least, affected.at_most)
    return explain_outage(judged, ACCESS, TODAY, affected, STARTED_AT, None, STARTED_AT + timedelta(hours=2), **more)  # type: ignore[arg-type]


def test_what_there_may_be_at_most_stays_whatever_is_counted_later() -> None:
    open_ = msgspec.structs.replace(measured(20_000), at_most=40_000)
    more = keep_largest((open_,), measured(30_000, minute=70))
    assert more == (msgspec.structs.replace(measured(30_000, minute=70), at_most=40_000),)
    assert keep_largest((measured(30_000),), open_) == (msgspec.structs.replace(measured(30_000), at_most=40_000),)
    assert keep_largest((open_,), measured(50_000)) == (measured(50_000),)
    assert keep_largest((measured(30_000),), measured(7)) == (measured(30_000),)


def test_saved_users_are_left_out_of_all_under_the_equipment_and_divide_its_traffic() -> None:
    estimate = fallback.best_effort(fallback.BestEffort(users_under_equipment=50_000, saved_users=20_000)).estimate
    assert estimate
    assert (estimate.users, estimate.method) == (30_000, "all_under_equipment")


@pytest.mark.parametrize(
    ("figure", "text"), [(0, "0"), (-1, "-1"), (63_500, "63,500"), (Fraction(1, 4), "0.25"), (Fraction(-1, 4), "-0.25")]
)
def test_a_figure_is_shown_with_its_sign_and_no_needless_decimals(figure: int | Fraction, text: str) -> None:
    assert shown(Fraction(figure)) == text


def test_another_reading_that_would_change_the_verdict_is_told_of_a_live_count_too() -> None:
    reading = Reading(40_000, "40000", Text("別の読み方", "read otherwise"))
    count = msgspec.structs.replace(measured(20_000), other_readings=(reading,))
    changes = [change.en for change in told(count, 120).would_change]
    assert (
        "by another reading (read otherwise) 40,000 users: may apply as a major accident (重大な事故): a person decides" in changes
    )
    same = msgspec.structs.replace(measured(50_000), other_readings=(reading,))
    assert not any("another reading" in change.en for change in told(same, 120).would_change)


def test_the_days_that_were_compared_are_of_our_own_choice_and_cited_as_such() -> None:
    days, rule = guideline("comparable_days"), guideline("best_effort")
    assert [days in told(measured(7, method)).citations for method in ("traffic_difference", "direct")] == [True, False]  # type: ignore[arg-type]
    assert rule in told(measured(7, "traffic_difference")).citations


def test_no_rule_is_cited_twice() -> None:
    seen = impairment(ObservedGuaranteed(measured=5, sla=10))
    again = msgspec.structs.replace(seen, citations=(*seen.citations, guideline("best_effort"), guideline("best_effort")))
    citations = told(measured(7), seen=again).citations
    assert len(citations) == len(set(citations))
    assert set(seen.citations) <= set(citations)


def test_a_number_that_grows_is_foretold_as_the_earliest_possible() -> None:
    growing, standing = (told(measured(31_000, method)).would_change[0].en for method in ("traffic_difference", "direct"))  # type: ignore[arg-type]
    assert (growing.startswith("If nothing changes"), "as early as" in growing) == (True, True)
    assert "as early as" not in standing


def test_without_a_unit_none_is_told_and_a_person_is_asked() -> None:
    bare = told(msgspec.structs.replace(measured(7), unit=""))
    assert ", unit" not in bare.numbers[0].en
    assert "単位" not in bare.numbers[0].ja
    assert "JST, query:" in bare.numbers[0].en
    assert "JSTの計測、クエリ" in bare.numbers[0].ja
    assert [flag.code for flag in bare.uncertain if flag.code.startswith("ask_users")] == ["ask_users_unit"]


def test_what_the_service_suffers_is_told_with_its_reason_rules_and_doubts() -> None:
    seen = impairment(ObservedVoice(call_loss_rate=0.82, handles_emergency_calls=False))
    said = suffered(seen)
    assert said.en == f"Quality: a degradation ({seen.why.en})"
    assert said.ja == f"品質: 品質の低下（{seen.why.ja}）"
    unsettled = Flag("video_alone", Text("要判断", "a person decides"))
    explanation = told(measured(7), quality=(said,), seen=seen, unsettled=(unsettled,))
    assert said in explanation.numbers
    assert set(seen.citations) <= set(explanation.citations)
    assert {*seen.flags, unsettled} <= set(explanation.uncertain)
    assert seen.flags


def test_clause_2_counts_the_time_without_any_traffic() -> None:
    down = Circumstances(facility="satellite", all_traffic_down=True, all_traffic_down_for=timedelta(minutes=119, seconds=59))
    short = of_case(300, 0, circumstances=down)
    assert any("(ii)" in step.en and "0 h 00 min 01 s short: not fulfilled" in step.en for step in short.steps)
    assert any(change.en == "To clause (ii): 0 h 00 min 01 s more" for change in short.would_change)
    whole = msgspec.structs.replace(down, all_traffic_down_for=timedelta(hours=2))
    assert judge(ACCESS, TODAY, timedelta(hours=5), 0, 0, whole).by_clause_2
    assert not judge(ACCESS, TODAY, timedelta(hours=5), 0, 0, down).by_clause_2


def test_time_that_is_lacking_is_rounded_up_and_time_over_is_cut() -> None:
    def step(seconds: float) -> str:
        return next(each.en for each in of_case(seconds / 60, 40_000).steps if "2 h 00 min" in each.en)

    assert "0 h 00 min 01 s short" in step(7199.5)
    assert "0 h 00 min 02 s short" in step(7198)
    assert "just long enough" in step(7200)
    assert "0 h 00 min 00 s over" in step(7200.5)


class _Given(msgspec.Struct):
    value: str | float


def test_a_text_or_a_number_is_refused_with_the_place_where_it_is_neither(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "it.yaml"
    for good in ("value: 2", "value: up"):
        file.write_text(good)
        assert convert(read(file), _Given)
    file.write_text("value: {a: 1}")
    with pytest.raises(FaultyFile) as error:
        convert(read(file), _Given)
    assert "value" in str(error.value.faults[0])
