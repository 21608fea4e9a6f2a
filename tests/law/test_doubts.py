"""What is uncertain about a verdict, and what would make it another: flagged, asked, told, and never guessed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given

from receiver.law.explanation import explain
from receiver.law.provisions import JST
from receiver.law.rulebook import Rulebook, ServiceFacts, rulebook_on, shipped
from receiver.law.verdict import Cause, Circumstances, Verdict, judge
from receiver.law.wording import VERDICTS
from tests.explained import BOOKS, STARTED_AT, any_book, any_circumstances, any_facts, codes, near_a_threshold, of_case, spells


@pytest.mark.parametrize(
    ("given_", "code", "otherwise"),
    [
        (
            {"facts": ServiceFacts("email", charged=False), "minutes": 300, "users": 150_000},
            "row_uncertain",
            "if row 5 takes it: may belong",
        ),
        ({"circumstances": Circumstances(cause="unknown")}, "cause_unknown", "if it proves to be no failure: below the reporting"),
        (
            {"circumstances": Circumstances(add_on_function=True)},
            "add_on_function",
            "if it is no add-on function: may apply as a major",
        ),
        (
            {"circumstances": Circumstances(facility="satellite", all_traffic_down=True), "users": 5},
            "installer_unknown",
            "if the carrier did not install the facility: may belong",
        ),
    ],
)
def test_what_is_not_certain_is_flagged_with_the_verdict_that_it_may_turn_into(
    given_: dict[str, object], code: str, otherwise: str
) -> None:
    explanation = of_case(**{"minutes": 130, "users": 150_000} | given_)  # type: ignore[arg-type]
    assert code in codes(explanation)
    assert any(text.en.startswith(otherwise) for text in explanation.would_change), explanation.would_change
    assert code not in codes(of_case(130, 150_000))


def test_an_answer_that_would_change_nothing_is_not_told() -> None:
    unknown = of_case(10, 5, circumstances=Circumstances(cause="unknown"))
    assert not any("no failure" in text.en for text in unknown.would_change)


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        ({"started_at": datetime(2026, 3, 31, 14, 0, tzinfo=UTC), "book": BOOKS["JP-TBA58-2019"]}, "ask_transition"),
        ({"users": None}, "ask_hard_to_count"),
        ({"facts": ServiceFacts("internet_access", charged=False)}, "ask_free_internet_access"),
        ({"circumstances": Circumstances(add_on_function=True)}, "ask_add_on_functions"),
        ({"users": 5}, "ask_minor_accidents"),
    ],
)
def test_what_no_source_answers_is_asked_and_never_guessed(given_: dict[str, object], code: str) -> None:
    explanation = of_case(**{"minutes": 130, "users": 150_000} | given_)  # type: ignore[arg-type]
    (flag,) = [flag for flag in explanation.uncertain if flag.code == code]
    assert flag.text.ja.startswith("要確認: ")
    assert flag.text.en.startswith("Ask: ")
    assert code not in codes(of_case(130, 150_000))


def test_an_accident_that_ends_before_midnight_of_the_amendment_spans_nothing() -> None:
    eve = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
    book = rulebook_on(eve, shipped())
    last = of_case(180 - 1 / 60, 5, started_at=eve, book=book)
    over = of_case(180, 5, started_at=eve, book=book)
    for code in ("spans_amendment", "ask_transition"):
        assert (code in codes(last), code in codes(over)) == (False, True)
    # midnight in Japan
    new_table = codes(of_case(180, 5, started_at=datetime(2026, 3, 31, 15, 0, tzinfo=UTC)))
    assert not {"spans_amendment", "ask_transition", "not_in_force"} & set(new_table)


@pytest.mark.parametrize(
    ("year", "assumed"), [(2005, True), (2010, True), (2016, True), (2020, True), (2024, False), (2026, False)]
)
def test_days_that_are_only_assumed_are_said_to_be(year: int, assumed: bool) -> None:
    moment = datetime(year, 6, 1, tzinfo=UTC)
    explanation = of_case(10, 5, started_at=moment, book=rulebook_on(moment, shipped()))
    assert ("days_assumed" in codes(explanation)) is assumed


def test_days_are_certain_from_the_very_day_on_which_the_text_was_read_as_in_force() -> None:
    days = [datetime(2023, 12, day, 12, tzinfo=JST) for day in (6, 7)]
    assert ["days_assumed" in codes(of_case(10, 5, started_at=day, book=BOOKS["JP-TBA58-2019"])) for day in days] == [True, False]


def test_the_draft_is_named_wherever_it_judges() -> None:
    explanation = of_case(130, 150_000, book=BOOKS["JP-TBA58-DRAFT-2023-04"])
    assert "draft" in codes(explanation)
    assert explanation.citations[0].basis == "proposal"
    assert "never in force" in explanation.text.en
    assert "論点整理" in explanation.text.ja


@pytest.mark.parametrize("cause", ["non_telecom_equipment_failure", "no_failure"])
def test_a_cause_that_spares_the_table_says_what_it_is_spared(cause: Cause) -> None:
    explanation = of_case(130, 150_000, circumstances=Circumstances(cause=cause))
    assert "cause_stated" in codes(explanation)
    (told,) = [text.en for text in explanation.would_change if "failure of telecommunications equipment" in text.en]
    assert told.endswith("may apply as a major accident (重大な事故): a person decides")


def test_a_table_of_other_days_is_said_to_be_one() -> None:
    assert "not_in_force" in codes(of_case(10, 5, book=BOOKS["JP-TBA58-2019"]))
    assert "not_in_force" not in codes(of_case(10, 5))
    assert "not_in_force" not in codes(of_case(10, 5, book=BOOKS["JP-TBA58-DRAFT-2023-04"]))


def test_an_unstated_effect_is_flagged_only_where_it_matters() -> None:
    unstated = Circumstances(effect="unknown")
    assert "effect_unknown" not in codes(of_case(130, 150_000, circumstances=unstated))
    old = of_case(130, 150_000, circumstances=unstated, book=BOOKS["JP-TBA58-2004"])
    assert "effect_unknown" in codes(old)
    assert old.headline == VERDICTS[Verdict.INDETERMINATE]
    assert old.steps[0].en.endswith("users with a stop are compared with the table (from 0 to 150,000 users)")


def test_users_who_need_only_be_confirmed_are_not_said_to_be_lacking() -> None:
    told = of_case(130, None).would_change[0]
    assert told.en.endswith(": at least 30,000 users confirmed")
    assert told.ja.endswith("利用者数が30,000人以上と確認される")


@given(any_facts, any_book, spells, near_a_threshold, any_circumstances)
def test_what_is_told_to_be_lacking_is_enough(
    facts: ServiceFacts, book: Rulebook, duration: timedelta, number: int, circumstances: Circumstances
) -> None:
    judged = judge(facts, book, duration, number, number, circumstances)
    told = [text.en for text in explain(judged, facts, book, STARTED_AT).would_change]
    if any(text.startswith("To clause (ii)") for text in told):
        later = max(duration, book.clause_2.duration if book.clause_2 else duration)
        assert judge(facts, book, later, number, number, circumstances).verdict == Verdict.MAJOR
    elif any(text.startswith("To the nearest") and "leaves degradation out" not in text for text in told) and number:
        hits = judged.hits_at_least or judged.hits_at_most
        share = 2 if hits[0].users != number else 1
        later = max(duration, judged.condition.duration)
        enough = max(number, share * judged.condition.users)
        assert judge(facts, book, later, enough, enough, circumstances).at_most == Verdict.MAJOR
    elif judged.verdict != Verdict.MAJOR:
        assert circumstances.cause in ("no_failure", "non_telecom_equipment_failure") or circumstances.add_on_function or told
