"""What no source answers is asked, in both languages and with what was taken meanwhile, and never answered."""

from datetime import date
from typing import get_args

import msgspec
import pytest

from receiver.law import lined_yaml
from receiver.law.provisions import Text
from receiver.law.questions import QuestionId, Questions, ask, shipped
from tests.conclusions import assert_no_conclusion

EVERY_QUESTION = get_args(QuestionId)


def test_every_question_stands_in_the_file() -> None:
    assert set(shipped().questions) == set(EVERY_QUESTION)


@pytest.mark.parametrize("id_", EVERY_QUESTION)
def test_a_question_says_what_is_asked_and_what_is_taken_meanwhile(id_: QuestionId) -> None:
    question, flag = shipped().questions[id_], ask(id_)
    assert flag.code == f"ask_{id_}"
    assert flag.text.ja == f"要確認: {question.text.ja}（{question.taken.ja}）"
    assert flag.text.en == f"Ask: {question.text.en} Meanwhile {question.taken.en}"
    assert_no_conclusion(flag.text)


def test_a_question_in_words() -> None:
    assert ask("promptly").text == Text(
        "要確認: 第一報の「速やかに」は何分か（省令に数値はない）（自社の目標（設定）による）",
        "Ask: How many minutes is 速やかに (promptly) for the first notice? The ordinance names no number. "
        "Meanwhile the operator's own target is used, if one is set",
    )


@pytest.mark.parametrize("id_", EVERY_QUESTION)
def test_a_question_cites_the_text_that_leaves_it_open(id_: QuestionId) -> None:
    provision = shipped().questions[id_].provision
    assert provision.article.ja
    assert provision.article.en
    assert provision.source.startswith("http")
    assert date(2026, 11, 21) <= provision.last_checked < shipped().check_by


def test_a_question_that_nobody_asks_is_refused() -> None:
    book = msgspec.to_builtins(shipped())
    book["questions"]["weather"] = book["questions"]["promptly"]
    with pytest.raises(lined_yaml.FaultyFile, match="weather"):
        lined_yaml.convert(lined_yaml.Document("bad.yaml", book, {}), Questions)
