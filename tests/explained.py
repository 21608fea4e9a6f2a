"""Cases to explain, by minutes and users: an accident at noon of a day of November 2026 and an outage then, or whatever happens."""

from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import strategies as st

from receiver.law.counting import Affected, Count
from receiver.law.estimate import Method
from receiver.law.explanation import Explanation, explain, explain_outage
from receiver.law.forecast import major_at
from receiver.law.rulebook import Kind, Rulebook, ServiceFacts, shipped
from receiver.law.verdict import Cause, Circumstances, Effect, Verdict, judge

BOOKS = {book.id: book for book in shipped()}
TODAY = BOOKS["JP-TBA58-2026"]
STARTED_AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
QUERY = 'sum(art58:users_unable{service="voice"})'
EMERGENCY, ACCESS = ServiceFacts("voice", emergency_calls=True), ServiceFacts("internet_access", charged=True)


def of_case(
    minutes: float,
    users: int | None,
    facts: ServiceFacts = ACCESS,
    circumstances: Circumstances = Circumstances(),  # noqa: B008 - frozen
    started_at: datetime = STARTED_AT,
    book: Rulebook = TODAY,
) -> Explanation:
    """`users` None: from none to any number."""
    judged = judge(facts, book, timedelta(minutes=minutes), users or 0, users, circumstances)
    return explain(judged, facts, book, started_at)


def measured(number: int, method: Method = "direct", *, minute: float = 60) -> Count:
    return Count(number, method, QUERY, STARTED_AT + timedelta(minutes=minute), "line")


def watched(facts: ServiceFacts, minutes: float, affected: Affected, book: Rulebook = TODAY) -> Explanation:
    """As it comes out when nothing changed since the start."""
    judged = judge(facts, book, timedelta(minutes=minutes), affected.at_least, affected.at_most)
    instant = major_at(book.row_of(facts), STARTED_AT, affected.at_most)
    since, expected = (instant, None) if judged.verdict == Verdict.MAJOR else (None, instant)
    return explain_outage(judged, facts, book, affected, STARTED_AT, since, expected)


def codes(explanation: Explanation) -> list[str]:
    return [flag.code for flag in explanation.uncertain]


any_book = st.sampled_from(shipped())
any_facts = st.builds(
    ServiceFacts,
    kind=st.sampled_from(get_args(Kind)),
    emergency_calls=st.none() | st.booleans(),
    charged=st.none() | st.booleans(),
    monthly_users_previous_fy=st.none() | st.integers(0, 30_000_000),
)
any_circumstances = st.builds(
    Circumstances,
    cause=st.sampled_from(get_args(Cause)),
    effect=st.sampled_from(get_args(Effect)),
    facility=st.none() | st.just("satellite"),
    all_traffic_down=st.booleans(),
    installed_by_the_carrier=st.none() | st.booleans(),
    add_on_function=st.booleans(),
)
any_minutes = st.integers(0, 3000) | st.floats(0, 3000)
# where mistakes live
near_a_threshold = st.sampled_from([0, 14_999, 15_000, 29_999, 30_000, 59_999, 60_000, 99_999, 100_000, 1_000_000])
spells = st.sampled_from([0, 3599, 3600, 7199, 7200, 14_400, 43_200, 86_400]).map(lambda seconds: timedelta(seconds=seconds))
