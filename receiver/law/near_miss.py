"""Whether an incident may be a near-miss (おそれ事態, 施行規則 第58条の2): a checklist that a person answers.

It judges a fact of the incident, not of an impact: no user count enters. An answer not given stays open, and no answer given later
can turn "does not apply" into "applies". The outcome says "may apply: a person decides", never that the law applies.
"""

from collections.abc import Iterable
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from receiver.law import lined_yaml
from receiver.law.provisions import NoProvision, Provision, Text, cite, in_force, in_japan
from receiver.law.verdict import Verdict
from receiver.law.wording import VERDICTS

Outcome = Literal["applies", "does_not_apply", "cannot_be_told"]
Fact = Literal[
    "already_major",
    "serves_30000_users",
    "two_prefectures",
    "beyond_terminal_side",
    "key_function",
    "could_not_stop",
    "standby_not_switched",
    "failure_not_noticed",
    "fell_over",
    "burned",
    "wrong_terminal_connected",
    "capacity_exceeded",
    "wrong_rollout",
    "planned",
    "within_design",
    "natural_disaster",
    "class_2_facility",
    "class_2_impaired",
]

OUTCOMES: dict[Outcome, Text] = {
    "applies": VERDICTS[Verdict.NEAR_MISS],
    "does_not_apply": Text(
        "回答の限りではおそれ事態の要件を満たさない（要確認）", "by these answers not a near-miss (おそれ事態): a person confirms"
    ),
    "cannot_be_told": Text(
        "おそれ事態に該当するか判定できない（要判断）",
        "whether it is a near-miss (おそれ事態) cannot be told yet: a person decides",
    ),
}


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer per question of the checklist; None is a question that nobody has answered."""

    already_major: bool | None = None
    serves_30000_users: bool | None = None
    two_prefectures: bool | None = None
    beyond_terminal_side: bool | None = None
    key_function: bool | None = None
    could_not_stop: bool | None = None
    standby_not_switched: bool | None = None
    failure_not_noticed: bool | None = None
    fell_over: bool | None = None
    burned: bool | None = None
    wrong_terminal_connected: bool | None = None
    capacity_exceeded: bool | None = None
    wrong_rollout: bool | None = None
    planned: bool | None = None
    within_design: bool | None = None
    natural_disaster: bool | None = None
    class_2_facility: bool | None = None
    class_2_impaired: bool | None = None

    def to(self, fact: Fact) -> bool | None:
        answer: bool | None = getattr(self, fact)
        return answer


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question for a person."""

    fact: Fact
    text: Text


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One point of the article that hangs on one fact. `spares_cases`: cases of ホ that an exclusion does not touch."""

    label: str
    fact: Fact
    provision: Provision
    spares_cases: tuple[int, ...] = ()


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case of ホ: it holds when all its facts do."""

    number: int
    facts: tuple[Fact, ...]
    provision: Provision

    @property
    def label(self) -> str:
        return f"1号ホ({self.number})"


class Checklist(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The article as data; `on` leaves what is in force on a day."""

    check_by: date
    questions: tuple[Question, ...]
    not_when_major: Item
    class_1: tuple[Item, ...]
    cases: tuple[Case, ...]
    exclusions: tuple[Item, ...]
    class_2: tuple[Item, ...]

    def on(self, day: date) -> "Checklist":
        """Raises NoProvision when the article was not in force on that day."""
        if not self.not_when_major.provision.holds_on(day):
            raise NoProvision(f"Article 58-2 was not in force on {day}")
        return msgspec.structs.replace(
            self,
            class_1=in_force(self.class_1, day),
            cases=in_force(self.cases, day),
            exclusions=in_force(self.exclusions, day),
            class_2=in_force(self.class_2, day),
        )


class Decider(msgspec.Struct, frozen=True):
    """A point of the article that decided: by which answer, cited with the evidence there is for the day."""

    label: str
    holds: bool
    provision: Provision


class NearMiss(msgspec.Struct, frozen=True):
    """The outcome with what decided it.

    `case` is the first case of ホ that holds, when class 1 decided. `decided_by` is every point that fulfils the class when it
    applies, every point that fails when it does not, and empty when it cannot be told; then `open_questions` is what a person must
    still answer: exactly those on which the outcome hangs.
    """

    outcome: Outcome
    headline: Text
    near_miss_class: Literal[1, 2] | None
    case: int | None
    decided_by: tuple[Decider, ...]
    open_questions: tuple[Question, ...]
    checked_on: date
    explanation: Text

    @property
    def at_least(self) -> Verdict:
        return Verdict.NEAR_MISS if self.outcome == "applies" else Verdict.NONE

    @property
    def at_most(self) -> Verdict:
        return Verdict.NONE if self.outcome == "does_not_apply" else Verdict.NEAR_MISS


@cache
def shipped() -> Checklist:
    """The checklist that comes with the receiver, with all its versions."""
    return lined_yaml.convert(lined_yaml.read(Path(__file__).parent / "provisions" / "near-miss.yaml"), Checklist, faults)


def assess(answers: Answers, occurred_at: datetime, checklist: Checklist | None = None) -> NearMiss:
    """What the answers say under the text in force on the day of occurrence (Asia/Tokyo).

    Raises ValueError for a time without zone, NoProvision for a day before the article existed.
    """
    day = in_japan(occurred_at, "occurred_at").date()
    book = (checklist or shipped()).on(day)
    first, second = _class_1(book, answers), _all(answers.to(item.fact) for item in book.class_2)
    applies = _all((_not(answers.already_major), _any((first, second))))
    if applies:
        return _applies(book, answers, day, 1 if first else 2)
    if applies is None:
        return _result("cannot_be_told", book, day, open_facts=_open_facts(book, answers, first, second))
    return _result("does_not_apply", book, day, decided_by=_failing(book, answers, first, second, day))


def _all(values: Iterable[bool | None]) -> bool | None:
    found = set(values)
    if False in found:
        return False
    return None if None in found else True


def _any(values: Iterable[bool | None]) -> bool | None:
    return _not(_all(_not(value) for value in values))


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _touching(book: Checklist, case: Case) -> tuple[Item, ...]:
    return tuple(item for item in book.exclusions if case.number not in item.spares_cases)


def _happened(case: Case, answers: Answers) -> bool | None:
    return _all(answers.to(fact) for fact in case.facts)


def _counts(book: Checklist, case: Case, answers: Answers) -> bool | None:
    """Whether the case happened and no exclusion of ヘ takes it away."""
    return _all((_happened(case, answers), *(_not(answers.to(item.fact)) for item in _touching(book, case))))


def _class_1(book: Checklist, answers: Answers) -> bool | None:
    case = _any(_counts(book, case, answers) for case in book.cases)
    return _all((*(answers.to(item.fact) for item in book.class_1), case))


def _applies(book: Checklist, answers: Answers, day: date, near_miss_class: Literal[1, 2]) -> NearMiss:
    if near_miss_class == 2:
        return _result("applies", book, day, 2, decided_by=_deciders(book.class_2, True, day))
    case = next(case for case in book.cases if _counts(book, case, answers))
    deciders = (*_deciders((*book.class_1, case), True, day), *_deciders(_touching(book, case), False, day))
    return _result("applies", book, day, 1, case.number, deciders)


def _failing(book: Checklist, answers: Answers, first: bool | None, second: bool | None, day: date) -> tuple[Decider, ...]:
    """The points that keep it from being a near-miss, of the classes that fail."""
    if first is not False or second is not False:
        return _deciders((book.not_when_major,), True, day)
    deciders = _deciders((i for i in (*book.class_1, *book.class_2) if answers.to(i.fact) is False), False, day)
    if _any(_happened(case, answers) for case in book.cases) is False:
        deciders += _deciders(book.cases, False, day)
    elif _any(_counts(book, case, answers) for case in book.cases) is False:
        deciders += _deciders((item for item in book.exclusions if answers.to(item.fact)), True, day)
    return deciders


def _deciders(points: Iterable[Item | Case], holds: bool, day: date) -> tuple[Decider, ...]:
    return tuple(Decider(point.label, holds, point.provision.as_of(day)) for point in points)


def _open_facts(book: Checklist, answers: Answers, first: bool | None, second: bool | None) -> set[Fact]:
    """The unanswered facts on which the outcome hangs: those of a class that fails anyhow are not among them."""
    facts: set[Fact] = {"already_major"}
    # a class that is fulfilled leaves only the question whether it is a major accident already
    if first is None and second is not True:
        facts |= {item.fact for item in book.class_1}
        if _any(_counts(book, case, answers) for case in book.cases) is None:
            for case in _undecided_cases(book, answers):
                facts |= {*case.facts, *(item.fact for item in _touching(book, case))}
    if second is None and first is not True:
        facts |= {item.fact for item in book.class_2}
    return {fact for fact in facts if answers.to(fact) is None}


def _undecided_cases(book: Checklist, answers: Answers) -> list[Case]:
    """The open cases, without those that can add nothing to a case that happened and has no exclusion left which they have not."""
    exclusions = {
        case: frozenset(item.fact for item in _touching(book, case) if answers.to(item.fact) is not False) for case in book.cases
    }
    happened = [case for case in book.cases if _happened(case, answers)]

    def adds_nothing(case: Case) -> bool:
        if case in happened:
            return any(exclusions[other] < exclusions[case] for other in happened)
        return any(exclusions[other] <= exclusions[case] for other in happened)

    return [case for case in book.cases if _counts(book, case, answers) is None and not adds_nothing(case)]


def _result(
    outcome: Outcome,
    book: Checklist,
    day: date,
    near_miss_class: Literal[1, 2] | None = None,
    case: int | None = None,
    decided_by: tuple[Decider, ...] = (),
    open_facts: Iterable[Fact] = (),
) -> NearMiss:
    wanted = set(open_facts)
    questions = tuple(question for question in book.questions if question.fact in wanted)
    return NearMiss(
        outcome,
        OUTCOMES[outcome],
        near_miss_class,
        case,
        decided_by,
        questions,
        day,
        _explanation(outcome, book, day, decided_by, questions),
    )


def _explanation(
    outcome: Outcome, book: Checklist, day: date, decided_by: tuple[Decider, ...], questions: tuple[Question, ...]
) -> Text:
    parts = [OUTCOMES[outcome]]
    if decided_by:
        points = [_point(decider, book) for decider in decided_by]
        parts.append(Text(f"決め手: {'、'.join(p.ja for p in points)}", f"Decided by: {', '.join(p.en for p in points)}"))
    if questions:
        parts.append(
            Text(
                f"未回答: {'／'.join(q.text.ja for q in questions)}",
                f"Still to be answered: {' / '.join(q.text.en for q in questions)}",
            )
        )
    basis = cite(book.not_when_major.provision.as_of(day))
    parts.append(Text(f"{day}の規定による。根拠: {basis.ja}", f"By the text of {day}. Basis: {basis.en}"))
    return Text("。".join(p.ja for p in parts) + "。", " ".join(p.en if p.en.endswith("?") else f"{p.en}." for p in parts))


def _point(decider: Decider, book: Checklist) -> Text:
    answer = Text("はい", "yes") if decider.holds else Text("いいえ", "no")
    if decider.label == book.not_when_major.label:
        # "the article: yes" under an outcome of no: only the question says what was answered
        asked = next(question.text for question in book.questions if question.fact == book.not_when_major.fact)
        return Text(f"{asked.ja}={answer.ja}（{decider.label}）", f"{asked.en} = {answer.en} ({decider.provision.article.en})")
    return Text(f"{decider.label}={answer.ja}", f"{decider.provision.article.en} = {answer.en}")


def faults(checklist: Checklist) -> list[tuple[tuple[str | int, ...], str, str]]:
    """A case given twice for one day, and a fact without its question."""
    found: list[tuple[tuple[str | int, ...], str, str]] = [
        (("cases", number), f"case {case.number} is given twice for one day", "Close the older one with valid_to")
        for number, case in enumerate(checklist.cases)
        if any(case.number == e.number and case.provision.overlaps(e.provision) for e in checklist.cases[:number])
    ]
    asked = {question.fact for question in checklist.questions}
    missing = [fact for fact in Answers.__struct_fields__ if fact not in asked]
    found += [(("questions",), f"no question for {fact}", "Add one") for fact in missing]
    return found
