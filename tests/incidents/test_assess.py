"""One impact at one instant: what is known of its users, what is not, and what follows."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from receiver.catalogue import Service
from receiver.incidents.assess import assess
from receiver.incidents.count import Told
from receiver.law.impairment import ObservedData, ObservedGuaranteed, ObservedVoice
from receiver.law.provisions import Text
from receiver.law.rulebook import shipped
from receiver.law.wording import NO_SERIES
from receiver.model import Assessment, Incident
from receiver.observation.history import History, Hour
from receiver.observation.quality import Quality
from receiver.observation.users import Answer, Reading, UsersObserved

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
VOICE = Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',))
INCIDENT = Incident("inc-1", "equipment:equipment=core-1", "core-1", "open", T0, T0, "equipment_series", start_settled=True)


def answer(users: int | None) -> Answer:
    return Answer("q", {} if users is None else {"core-1": Reading(users, T0, "q", "line")})


UNAFFECTED = Answer("q", {"core-1": Reading(0, T0, "q", "")})
"""No emergency call was affected: voice is counted as any other service."""


def failed(why: str = "Prometheus cannot be reached") -> Answer:
    return Answer("q", problem=why)


def news(
    unable: Answer,
    under: Answer,
    after: timedelta = HOUR,
    previous: Assessment | None = None,
    restored_at: datetime | None = None,
    service: Service = VOICE,
    quality: Quality | None = None,
    **others: Answer,
) -> Assessment | None:
    answers = {"unable": unable, "under_equipment": under, "emergency_calls_affected": UNAFFECTED} | others
    told = Told(UsersObserved(answers), quality=quality)
    return assess(INCIDENT, service, restored_at, told, previous, shipped(), timedelta(minutes=30), T0 + after)


def assessed(*what: Any, **more: Any) -> Assessment:
    found = news(*what, **more)
    assert found
    return found


def test_without_a_finer_method_all_users_under_the_equipment_are_a_definite_count() -> None:
    one = assessed(answer(None), answer(40_000))
    assert (one.verdict, one.measured, one.method, one.affected_users) == ("major", True, "all_under_equipment", 40_000)


def test_users_who_could_not_use_it_go_before_all_users_under_the_equipment() -> None:
    one = assessed(answer(20_000), answer(40_000))
    assert (one.verdict, one.method, one.affected_users) == ("none", "direct", 20_000)


def test_when_the_finer_query_fails_the_coarser_number_is_only_a_bound() -> None:
    one = assessed(failed(), answer(40_000))
    assert (one.verdict, one.at_least, one.at_most) == ("indeterminate", "none", "major")
    assert (one.measured, one.affected_users, one.affected.kept) == (False, 40_000, ())
    assert one.candidate


def test_where_bound_and_floor_agree_the_verdict_stands_without_a_measurement() -> None:
    one = assessed(failed(), answer(20_000))
    assert (one.verdict, one.measured) == ("none", False)
    assert not one.candidate


def test_no_series_at_all_is_not_zero_users() -> None:
    one = assessed(answer(None), answer(None))
    assert (one.verdict, one.at_most, one.affected.problem) == ("indeterminate", "major", NO_SERIES)


def test_all_users_of_the_service_are_the_bound_where_nothing_else_is_known() -> None:
    small = msgspec.structs.replace(VOICE, users_total=25_000)
    assert assessed(failed(), failed(), service=small).verdict == "none"


def test_the_largest_count_of_an_accident_is_kept() -> None:
    first = assessed(answer(50_000), answer(None), timedelta(minutes=10))
    later = assessed(answer(10_000), answer(None), HOUR, first)
    assert (later.affected_users, later.verdict) == (50_000, "major")


def test_a_bound_never_becomes_the_count_that_is_kept() -> None:
    first = assessed(failed(), answer(90_000), timedelta(minutes=10))
    later = assessed(answer(10_000), answer(90_000), HOUR, first)
    assert (later.affected_users, later.verdict, later.measured) == (10_000, "none", True)


def test_a_measured_count_survives_a_query_that_fails_later() -> None:
    first = assessed(answer(35_000), answer(90_000), timedelta(minutes=10))
    later = assessed(failed(), failed(), HOUR, first)
    assert (later.verdict, later.at_least, later.at_most) == ("major", "major", "major")
    assert (later.affected_users, later.measured) == (35_000, True)
    assert later.affected.at_most == 90_000


def test_users_that_came_later_make_it_major_only_from_then() -> None:
    first = assessed(answer(29_999), answer(None), 2 * HOUR)
    at = T0 + 3 * HOUR
    grown = Answer("q", {"core-1": Reading(30_000, at, "q", "line")})
    later = assessed(grown, answer(None), 3 * HOUR, first)
    assert (first.verdict, later.verdict, later.major_since) == ("periodic", "major", at)


def test_learnt_late_it_was_major_from_the_moment_the_law_names() -> None:
    assert assessed(answer(30_000), answer(None), 5 * HOUR).major_since == T0 + HOUR


def test_recovered_in_time_it_never_becomes_major_however_late_it_is_assessed() -> None:
    one = assessed(answer(50_000), answer(None), timedelta(minutes=30))
    end = T0 + HOUR - timedelta(seconds=1)
    over = assessed(answer(0), answer(50_000), 5 * HOUR, one, restored_at=end)
    assert (over.verdict, over.duration, over.major_expected_at, over.candidate) == ("periodic", end - T0, None, False)


def test_what_recovered_before_it_was_measured_stays_unknown_but_for_the_equipment() -> None:
    end = T0 + HOUR
    unknown = assessed(failed(), failed(), 2 * HOUR, restored_at=end)
    assert (unknown.verdict, unknown.candidate) == ("indeterminate", True)
    counted = assessed(answer(0), answer(50_000), 2 * HOUR, unknown, restored_at=end)
    assert (counted.verdict, counted.method) == ("major", "emergency_all_under_equipment")


@pytest.mark.parametrize(("minutes", "due"), [(29, False), (30, True), (59, True)])
def test_it_is_a_candidate_once_the_forecast_is_within_the_lead(minutes: int, due: bool) -> None:
    assert assessed(answer(40_000), answer(None), timedelta(minutes=minutes)).candidate is due


def test_time_alone_is_no_news() -> None:
    first = assessed(answer(40_000), answer(None), timedelta(minutes=5))
    assert news(answer(40_000), answer(None), timedelta(minutes=6), first) is None
    assert news(answer(40_000), answer(None), HOUR, first)


def test_all_users_under_the_equipment_may_wobble_while_the_users_hit_are_measured() -> None:
    first = assessed(answer(40_000), answer(90_000), timedelta(minutes=5))
    assert news(answer(40_000), answer(90_001), timedelta(minutes=6), first) is None
    lost = assessed(failed(), answer(90_001), timedelta(minutes=6), first)
    assert news(failed(), answer(90_001), timedelta(minutes=7), lost) is None
    assert news(failed(), answer(90_900), timedelta(minutes=7), lost) is None
    assert news(failed(), answer(91_000), timedelta(minutes=7), lost)


def test_a_problem_with_other_numbers_is_no_news() -> None:
    first = assessed(failed("the query gave -3 users"), answer(90_000))
    assert news(failed("the query gave -4 users"), answer(90_000), HOUR, first) is None
    assert news(failed("Prometheus is down"), answer(90_000), HOUR, first)


NOTHING = answer(None)
DATA = Service(name="data", kind="internet_access", charged=True, match=('service="data"',))
STOPPED, SLOW = Quality(ObservedData(connects=False)), Quality(ObservedVoice(silent_or_one_way=False, talking_impossible=True))


def test_what_is_seen_of_a_stop_or_a_degradation_is_kept_and_told() -> None:
    first = assessed(answer(7), NOTHING, quality=STOPPED)
    assert first.effect == "stop"
    assert any(number.en.startswith("Quality: a stop (no link or session") for number in first.explanation.numbers)
    both = assessed(answer(7), NOTHING, HOUR, first, quality=SLOW)
    assert both.effect == "both"
    # well again, silent, or failing: what was seen was seen
    for now in (Quality(ObservedData(connects=True)), None, Quality(ObservedData(connects=True), problem="Prometheus is down")):
        assert news(answer(7), NOTHING, HOUR, both, quality=now) is None


def test_a_quality_that_is_not_known_is_neither_a_stop_nor_normal() -> None:
    met = ObservedGuaranteed(measured=10, sla=10)
    for quality in (None, Quality(ObservedData()), Quality(met, problem="Prometheus is down")):
        one = assessed(answer(7), NOTHING, quality=quality)
        assert one.effect == "unknown"
        assert not any(number.en.startswith("Quality: normal") for number in one.explanation.numbers)
    assert assessed(answer(7), NOTHING, quality=Quality(ObservedData(connects=False), problem="so much is known")).effect == "stop"


def test_evidence_of_the_quality_is_told() -> None:
    quality = Quality(ObservedData(connects=False), evidence=(Text("根拠", "what it rests on"),))
    assert Text("根拠", "what it rests on") in assessed(answer(7), NOTHING, quality=quality).explanation.numbers


CABLE = Service(
    name="cable",
    kind="other",
    facility="submarine_cable",
    installed_by_the_carrier=True,
    match=('service="cable"',),
    users_total=100,
)
DEAD, ALIVE = (Quality(ObservedData(), all_traffic_down=down) for down in (True, False))


def test_a_cable_without_any_traffic_is_major_after_two_hours_whatever_its_users() -> None:
    first = assessed(NOTHING, NOTHING, HOUR, service=CABLE, quality=DEAD)
    assert (first.verdict, first.major_expected_at, first.candidate) == ("none", T0 + 2 * HOUR, False)
    near = assessed(NOTHING, NOTHING, 2 * HOUR - timedelta(minutes=20), first, service=CABLE, quality=DEAD)
    assert near.candidate
    major = assessed(NOTHING, NOTHING, 2 * HOUR, near, service=CABLE, quality=DEAD)
    assert (major.verdict, major.major_since) == ("major", T0 + 2 * HOUR)
    # it was so for two hours: traffic that flows again takes nothing back, nor does silence
    for quality in (ALIVE, None):
        later = assessed(NOTHING, NOTHING, 2 * HOUR + timedelta(minutes=1), major, service=CABLE, quality=quality)
        assert (later.verdict, later.major_since) == ("major", T0 + 2 * HOUR)
        assert news(NOTHING, NOTHING, 9 * HOUR, later, service=CABLE, quality=ALIVE) is None


def test_the_two_hours_of_a_cable_are_those_without_any_traffic() -> None:
    flowing = assessed(NOTHING, NOTHING, HOUR, service=CABLE, quality=ALIVE)
    down = assessed(NOTHING, NOTHING, 2 * HOUR, flowing, service=CABLE, quality=DEAD)
    assert (down.verdict, down.major_expected_at) == ("periodic", T0 + 4 * HOUR)
    assert news(NOTHING, NOTHING, 3 * HOUR + timedelta(minutes=29), down, service=CABLE, quality=DEAD) is None
    major = assessed(NOTHING, NOTHING, 4 * HOUR, down, service=CABLE, quality=DEAD)
    assert (major.verdict, major.major_since) == ("major", T0 + 4 * HOUR)


def test_whether_a_cable_is_still_dead_may_be_unknown_and_that_fulfils_nothing() -> None:
    down = assessed(NOTHING, NOTHING, HOUR, service=CABLE, quality=DEAD)
    unknown = assessed(NOTHING, NOTHING, HOUR + timedelta(minutes=30), down, service=CABLE)
    later = assessed(NOTHING, NOTHING, 3 * HOUR, unknown, service=CABLE)
    assert (later.verdict, later.at_least, later.at_most, later.candidate) == ("indeterminate", "periodic", "major", True)
    # nor does it where nobody looked in between
    late = assessed(NOTHING, NOTHING, 3 * HOUR, down, service=CABLE)
    assert (late.verdict, late.at_most) == ("indeterminate", "major")
    known = assessed(NOTHING, NOTHING, 3 * HOUR, later, service=CABLE, quality=DEAD)
    assert (known.verdict, known.major_since) == ("major", T0 + 2 * HOUR)


def test_traffic_over_a_cable_that_comes_back_in_time_is_no_case_of_clause_2() -> None:
    first = assessed(NOTHING, NOTHING, HOUR, service=CABLE, quality=DEAD)
    back = assessed(NOTHING, NOTHING, HOUR + timedelta(minutes=30), first, service=CABLE, quality=ALIVE)
    assert (back.all_traffic_down_since, back.major_expected_at) == (None, None)
    assert assessed(NOTHING, NOTHING, 3 * HOUR, back, service=CABLE, quality=ALIVE).verdict == "periodic"


def test_the_cable_of_another_carrier_is_none_of_clause_2() -> None:
    leased = msgspec.structs.replace(CABLE, installed_by_the_carrier=False)
    assert assessed(NOTHING, NOTHING, 3 * HOUR, service=leased, quality=DEAD).verdict == "periodic"


def test_users_of_a_stop_and_of_a_degradation_are_judged_together_and_kept_apart() -> None:
    """20,000 and 15,000 are 20,000 at least and 35,000 at most: nobody knows who is in both."""
    one = assessed(NOTHING, NOTHING, 2 * HOUR, service=DATA, stopped=answer(20_000), degraded=answer(15_000))
    assert (one.verdict, one.at_least, one.at_most, one.effect) == ("indeterminate", "periodic", "major", "both")
    assert one.candidate
    assert "from 20,000 to 35,000 users" in one.reason.en
    assert "users with a stop: 20,000, with a degradation: 15,000" in one.reason.en
    capped = assessed(NOTHING, answer(29_999), 2 * HOUR, service=DATA, stopped=answer(20_000), degraded=answer(15_000))
    assert (capped.verdict, capped.affected.at_most) == ("periodic", 29_999)
    counted = assessed(answer(31_000), NOTHING, 2 * HOUR, service=DATA, stopped=answer(20_000), degraded=answer(15_000))
    assert (counted.verdict, counted.affected.at_most) == ("major", 31_000)


def test_the_largest_of_each_kind_is_kept() -> None:
    first = assessed(NOTHING, NOTHING, HOUR, service=DATA, stopped=answer(20_000), degraded=answer(0))
    assert first.effect == "stop"
    later = assessed(NOTHING, NOTHING, 2 * HOUR, first, service=DATA, stopped=answer(0), degraded=answer(15_000))
    assert later.affected.count
    assert (later.affected.count.stopped, later.affected.count.degraded, later.affected.at_most) == (20_000, 15_000, 35_000)
    assert (later.effect, later.at_most) == ("both", "major")


def test_another_reading_of_a_method_that_would_change_the_verdict_is_told() -> None:
    """50,000 users, 40 % of calls lost: 20,000; all of them by the guideline as it was before the draft."""
    one = assessed(
        NOTHING,
        answer(50_000),
        emergency_calls_affected=NOTHING,
        equipment_up=answer(1),
        call_loss_ratio=Answer("q", {"core-1": Reading(0.4, T0, "q", "")}),
    )
    assert (one.affected_users, one.verdict) == (20_000, "none")
    assert any("50,000" in change.en and "may apply as a major accident" in change.en for change in one.explanation.would_change)


def test_a_number_that_grows_with_the_accident_is_foretold_to_go_on() -> None:
    """Half of the traffic of 100,000 users is missing: 12,500 user-hours after a quarter, 100,000 in two."""
    quarter = timedelta(minutes=15)
    hours = (Hour(T0, Fraction(1, 4), 500.0, {date(2026, 11, day): 1_000.0 for day in (14, 7)}),)
    told = Told(UsersObserved({"unable": NOTHING, "under_equipment": answer(100_000)}), History(hours, query="traffic"))
    one = assess(INCIDENT, DATA, None, told, None, shipped(), timedelta(minutes=30), T0 + quarter)
    assert one
    assert (one.affected_users, one.verdict, one.major_expected_at) == (12_500, "none", T0 + 2 * HOUR)
    assert "may be reached as early as 2026-11-21 14:00:00 JST" in one.reason.en


def test_major_since_of_a_number_that_grew_is_when_it_was_so_large() -> None:
    """33,333 user-hours after six hours: 30,000 after five hours and twenty-four minutes, not after two hours."""
    usual = {date(2026, 11, day): 1_000.0 for day in (14, 7)}
    hours = tuple(Hour(T0 + n * HOUR, Fraction(1), 500.0, usual) for n in range(6))
    told = Told(UsersObserved({"unable": NOTHING, "under_equipment": answer(11_111)}), History(hours, query="traffic"))
    one = assess(INCIDENT, DATA, None, told, None, shipped(), timedelta(minutes=30), T0 + 6 * HOUR)
    assert one
    assert (one.affected_users, one.verdict) == (33_333, "major")
    assert one.major_since
    assert timedelta(hours=5, minutes=23) < one.major_since - T0 < timedelta(hours=5, minutes=25)


def test_what_was_not_measured_when_it_recovered_stays_unknown() -> None:
    first = assessed(answer(1_000), answer(90_000), timedelta(minutes=10), service=DATA)
    gone = assessed(failed(), answer(90_000), timedelta(minutes=20), first, service=DATA)
    gone = assessed(failed(), answer(80_000), timedelta(minutes=23), gone, service=DATA)
    over = assessed(answer(0), answer(90_000), 3 * HOUR, gone, restored_at=T0 + 3 * HOUR, service=DATA)
    assert (over.verdict, over.at_most, over.affected_users) == ("indeterminate", "major", 1_000)
    # for a few minutes only, it was measured to the end
    short = assessed(answer(0), answer(90_000), 3 * HOUR, gone, restored_at=T0 + timedelta(minutes=24), service=DATA)
    assert (short.verdict, short.affected.problem) == ("none", None)


def test_a_verdict_that_is_open_again_has_no_time_of_being_major() -> None:
    first = assessed(NOTHING, answer(100_000), 2 * HOUR, service=DATA)
    late = assessed(answer(0), answer(100_000), 2 * HOUR + timedelta(seconds=15), first, service=DATA)
    assert (first.verdict, late.verdict, late.at_most, late.major_since) == ("major", "indeterminate", "major", None)
    assert "before: at most 100,000" in late.reason.en
    soon = assessed(
        answer(0), answer(100_000), timedelta(minutes=5), assessed(NOTHING, answer(100_000), HOUR / 60, service=DATA), service=DATA
    )
    assert (soon.affected.at_most, soon.verdict) == (0, "none")


def test_where_another_reading_is_major_a_person_is_asked_in_time() -> None:
    """50,000 users, half of the calls lost for an hour: 25,000; all of them by the guideline as it was before the draft."""
    lost = Answer("q", {"core-1": Reading(0.5, T0, "q", "")})
    shared = {"emergency_calls_affected": NOTHING, "equipment_up": answer(1), "call_loss_ratio": lost}
    one = assessed(NOTHING, answer(50_000), HOUR, **shared)
    assert (one.verdict, one.candidate) == ("none", True)
    assert not assessed(NOTHING, answer(50_000), HOUR / 2, **shared).candidate
    assert not assessed(NOTHING, answer(29_999), HOUR, **shared).candidate


def test_what_was_told_of_the_quality_stays_with_a_verdict_after_the_recovery() -> None:
    first = assessed(answer(7), answer(7), quality=STOPPED)
    over = assessed(answer(0), answer(7), HOUR, first, restored_at=T0 + HOUR, quality=Quality(ObservedData(connects=True)))
    assert over.effect == "stop"
    assert any(number.en.startswith("Quality: a stop (no link or session") for number in over.explanation.numbers)
