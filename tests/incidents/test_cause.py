"""A cause that a person named stands until a person names another; a plan of another time is none of this outage."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest

from receiver.incidents.cause import check_stands, judged_cause
from receiver.incidents.facts import Refused
from receiver.law.causes import Kind
from receiver.model import Act, Caused, Counted, Deed, Drilled, Incident, Planned
from receiver.stated import Stated, stated

HOUR = timedelta(hours=1)
T0 = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
END = T0 + HOUR
BEFORE, DURING, AFTER = (Planned(T0 + n * HOUR, T0 + (n + 3) * HOUR) for n in (-11, -1, 10))
INCIDENT = Incident("inc-1", "equipment:equipment=core-1", "core-1", "open", T0, T0, "equipment_series")


def said(*deeds: Deed) -> Stated:
    return stated(Act(n, "inc-1", T0, "person-1", "a reason", deed) for n, deed in enumerate(deeds, start=1))


@pytest.mark.parametrize("plan", [BEFORE, DURING, AFTER])
def test_a_cause_that_was_named_stands_whatever_plan_is_stated_before_or_after_it(plan: Planned) -> None:
    for order in permutations([Caused("hardware"), plan]):
        assert judged_cause(said(*order), T0, END, END + HOUR) == ("hardware", None)


@pytest.mark.parametrize("plan", [BEFORE, AFTER])
def test_a_plan_of_another_time_is_no_cause(plan: Planned) -> None:
    assert judged_cause(said(plan), T0, END, END + HOUR) == (None, None)
    assert judged_cause(said(plan), T0, None, END) == (None, None)
    named: Kind = "planned_work_overrun"
    assert judged_cause(said(Caused(named), plan), T0, END, END + HOUR) == (named, None)


def test_a_plan_that_meets_the_outage_says_whether_it_was_kept() -> None:
    within, overrun = ("planned_work_within_plan", DURING.until), ("planned_work_overrun", DURING.until)
    assert judged_cause(said(DURING), T0, DURING.until, DURING.until) == within
    assert judged_cause(said(DURING), T0, DURING.until + timedelta(seconds=1), DURING.until + HOUR) == overrun
    assert judged_cause(said(DURING), T0, None, DURING.until - timedelta(seconds=1)) == within
    assert judged_cause(said(DURING), T0, None, DURING.until) == overrun
    assert judged_cause(said(DURING), DURING.since - timedelta(seconds=1), None, T0) == overrun
    assert judged_cause(said(Caused("planned_work_within_plan"), DURING), T0, None, DURING.until) == overrun
    # what begins as the plan ends is no work of it
    assert judged_cause(said(DURING), DURING.until, None, DURING.until + HOUR) == (None, None)


def test_without_a_plan_the_cause_is_the_one_that_was_named() -> None:
    assert judged_cause(said(), T0, None, END) == (None, None)
    assert judged_cause(said(Caused("software"), Caused("hardware")), T0, None, END) == ("hardware", None)


def test_a_plan_that_cannot_meet_the_outage_is_refused_with_both_times() -> None:
    over = msgspec.structs.replace(INCIDENT, state="restored", restored_at=END)
    for plan, incident in ((BEFORE, INCIDENT), (BEFORE, over), (AFTER, over)):
        with pytest.raises(Refused, match=r"does not meet the outage .*13:30:00 JST"):
            check_stands(plan, incident)
    check_stands(DURING, INCIDENT)
    check_stands(DURING, over)
    check_stands(AFTER, INCIDENT)  # it may last until then


@pytest.mark.parametrize("deed", [Counted("voice", 5), Drilled(), DURING, Caused("hardware")])
def test_no_fact_is_stated_of_what_was_dismissed(deed: Deed) -> None:
    with pytest.raises(Refused, match=r"dismissed as a false alarm\. Reopen it first"):
        check_stands(deed, msgspec.structs.replace(INCIDENT, state="closed", dismissed=True))
    check_stands(deed, INCIDENT)
