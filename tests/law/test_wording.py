"""The words for verdicts, numbers and times: Japanese and English, unrounded, and never a legal conclusion."""

import re
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from receiver.law.counting import CountedBy
from receiver.law.provisions import Text
from receiver.law.rulebook import Kind
from receiver.law.verdict import Cause, Effect, Verdict
from receiver.law.wording import (
    CAUSES,
    EFFECTS,
    GONE,
    KINDS,
    METHODS,
    NO_SERIES,
    RECOVERED_FIRST,
    VERDICTS,
    clock_time,
    length,
    problem,
    users,
)
from tests.conclusions import assert_no_conclusion


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_leaves_the_decision_to_a_person(verdict: Verdict) -> None:
    assert re.search("（要(判断|確認)）$", VERDICTS[verdict].ja)
    assert re.search(": a person (decides|confirms)$", VERDICTS[verdict].en)
    assert_no_conclusion(VERDICTS[verdict])


@pytest.mark.parametrize(("words", "type_"), [(METHODS, CountedBy), (CAUSES, Cause), (EFFECTS, Effect), (KINDS, Kind)])
def test_every_method_cause_effect_and_kind_has_words(words: dict[str, Text], type_: object) -> None:
    assert set(words) == set(get_args(type_))
    for text in words.values():
        assert text.ja
        assert text.en


@pytest.mark.parametrize(
    ("number", "ja", "en"),
    [
        (0, "0人", "0 users"),
        (999, "999人", "999 users"),
        (30_913_456, "30,913,456人", "30,913,456 users"),
        (None, "上限不明", "no known upper limit"),
    ],
)
def test_users_are_written_to_the_last_one_and_an_open_end_as_open(number: int | None, ja: str, en: str) -> None:
    assert users(number) == Text(ja, en)


@pytest.mark.parametrize(
    ("duration", "ja", "en"),
    [
        (timedelta(0), "0時間00分00秒", "0 h 00 min 00 s"),
        (timedelta(seconds=3599, microseconds=999_999), "0時間59分59秒", "0 h 59 min 59 s"),
        (timedelta(hours=61, minutes=25), "61時間25分00秒", "61 h 25 min 00 s"),
    ],
)
def test_a_length_of_time_is_never_rounded_up(duration: timedelta, ja: str, en: str) -> None:
    assert length(duration) == Text(ja, en)


def test_clock_times_are_those_of_japan() -> None:
    assert clock_time(datetime(2026, 3, 31, 15, 0, 5, tzinfo=UTC)) == "2026-04-01 00:00:05 JST"


@pytest.mark.parametrize(
    ("why", "ja"),
    [
        (GONE, "利用者数を数えていた系列がなくなった"),
        (NO_SERIES, "この設備の利用者数を示す系列がない"),
        (RECOVERED_FIRST, "利用者数を計測する前に役務が復旧した"),
        ("query timed out", "query timed out"),
    ],
)
def test_why_users_could_not_be_measured_is_said_in_both_languages_and_what_prometheus_said_as_it_said_it(
    why: str, ja: str
) -> None:
    assert problem(why) == Text(ja, why)


def test_equipment_whose_users_nobody_knows_is_named() -> None:
    assert problem("no series gives the users of: ftth-9, ftth-7") == Text(
        "利用者数を示す系列がない設備: ftth-9, ftth-7", "no series gives the users of: ftth-9, ftth-7"
    )
