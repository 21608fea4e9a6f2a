"""One accident as a line of facts in, the verdict with its reasons out: pure, and by no configuration.

It never answers near_miss: that is a fact of an incident that a person states, not of a service's outage.
"""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from receiver.law.deadlines import reports
from receiver.law.explanation import Explanation, explain
from receiver.law.provisions import JST, Text
from receiver.law.rulebook import Condition, Rulebook, ServiceFacts, rulebook_named, rulebook_on
from receiver.law.verdict import Cause, Circumstances, Effect, Facility, Judgement, Verdict, conceivable, judge


class Case(msgspec.Struct, frozen=True):
    """What is known of an accident; what is left out is not known, and flagged where it matters. `users` null: not known.

    `rulebook` asks for one by name instead of by the day.
    """

    occurred_at: Annotated[datetime, Meta(tz=True)]
    service: ServiceFacts
    duration_s: Annotated[int, Meta(ge=0, le=10**10)]
    users: Annotated[int, Meta(ge=0)] | None
    id: str | int | None = None
    cause: Cause = "unknown"
    effect: Effect = "unknown"
    facility: Facility | None = None
    all_traffic_down: bool = False
    installed_by_the_carrier: bool | None = None
    add_on_function: bool = False
    rulebook: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """The verdict on a case. `reports` are owed under what is certain, `reports_possible` besides under what is conceivable."""

    id: str | int | None
    verdict: Verdict
    at_least: Verdict
    at_most: Verdict
    rulebook: str
    row: int
    row_uncertain: bool
    condition: Condition
    margin_seconds: int
    margin_users: int
    reports: tuple[str, ...]
    reports_possible: tuple[str, ...]
    flags: tuple[str, ...]
    explanation: Text


def classify(case: Case, rulebooks: tuple[Rulebook, ...]) -> Answer:
    """Judge one case. Raises rulebook.NoRulebook when none covers its day or has the name asked for."""
    judged, explanation = judge_case(case, rulebooks)
    day = case.occurred_at.astimezone(JST).date()
    flags = tuple(flag.code for flag in explanation.uncertain)
    possible = dict.fromkeys(report for each in conceivable(judged.at_least, judged.at_most) for report in reports(each, day))
    # by a table that was not in force that day nothing is owed for certain
    certain = () if "draft" in flags or "not_in_force" in flags else reports(judged.at_least, day)
    return Answer(
        id=case.id,
        verdict=judged.verdict,
        at_least=judged.at_least,
        at_most=judged.at_most,
        rulebook=judged.rulebook,
        row=judged.row,
        row_uncertain=judged.row_uncertain,
        condition=judged.condition,
        margin_seconds=judged.margin_seconds,
        margin_users=judged.margin_users,
        reports=certain,
        reports_possible=tuple(report for report in possible if report not in certain),
        flags=flags,
        explanation=explanation.text,
    )


def judge_case(case: Case, rulebooks: tuple[Rulebook, ...]) -> tuple[Judgement, Explanation]:
    """The judgement on a case and its whole explanation. Raises rulebook.NoRulebook."""
    book = rulebook_named(case.rulebook, rulebooks) if case.rulebook else rulebook_on(case.occurred_at, rulebooks)
    circumstances = Circumstances(
        case.cause, case.effect, case.facility, case.all_traffic_down, case.installed_by_the_carrier, case.add_on_function
    )
    judged = judge(case.service, book, timedelta(seconds=case.duration_s), case.users or 0, case.users, circumstances)
    return judged, explain(judged, case.service, book, case.occurred_at)
