"""What no source answers: named where a verdict may hang on it, marked "ask", never guessed."""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from receiver.law import lined_yaml
from receiver.law.provisions import Flag, Provision, Text

QuestionId = Literal[
    "free_internet_access",
    "minor_accidents",
    "hard_to_count",
    "transition",
    "add_on_functions",
    "users_unit",
    "closed_days",
    "promptly",
]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question for the ministry or a lawyer; `taken` says what the product does until it is answered."""

    text: Text
    taken: Text
    provision: Provision


class Questions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them, by id."""

    check_by: date
    questions: dict[QuestionId, Question]


@cache
def shipped() -> Questions:
    """The questions that come with the receiver."""
    return lined_yaml.convert(lined_yaml.read(Path(__file__).parent / "provisions" / "questions.yaml"), Questions)


@cache
def ask(id_: QuestionId) -> Flag:
    """The question as something that a person should look at."""
    question = shipped().questions[id_]
    return Flag(
        f"ask_{id_}",
        Text(
            f"要確認: {question.text.ja}（{question.taken.ja}）",
            f"Ask: {question.text.en} Meanwhile {question.taken.en}",
        ),
    )
