"""Voice with emergency calls has a count of its own: who could not have called, not who did. What is not known never lowers it."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from receiver.catalogue import Service
from receiver.incidents.count import Told, count
from receiver.law.counting import Affected
from receiver.law.provisions import Text
from receiver.law.topology import SAME_CAUSE, Total
from receiver.law.wording import GONE, NO_SERIES, NOBODY_LOOKED, RECOVERED_FIRST
from receiver.model import Incident
from receiver.observation.history import History, Hour
from receiver.observation.topology import Found
from receiver.observation.users import Answer, Reading, UsersObserved, asked_of
from receiver.observation.users_past import Past
from receiver.settings import BusinessHourSettings

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
VOICE = Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',), users_total=900_000)
INCIDENT = Incident("inc-1", "equipment:equipment=core-1", "core-1", "open", T0, T0, "equipment_series")
UNKNOWN = Answer("nothing")
FAILED = Answer("failed", problem="Prometheus cannot be reached")


def says(value: float, query: str = "q") -> Answer:
    return Answer(query, {"core-1": Reading(value, T0, query, "line")})


def counted(
    under: Answer = says(50_000, "under"),  # noqa: B008 - frozen
    before: Affected = Affected(),  # noqa: B008 - frozen
    *,
    recovered: bool = False,
    service: Service = VOICE,
    traffic: History | None = None,
    below: Found | None = None,
    **answers: Any,
) -> Affected:
    asked = {"unable": UNKNOWN, "equipment_up": UNKNOWN, "call_loss_ratio": UNKNOWN, "emergency_calls_affected": UNKNOWN} | answers
    answers = {
        question: answer for question, answer in ({"under_equipment": under} | asked).items() if question in asked_of(service)
    }
    told = Told(UsersObserved(answers), traffic, below)
    return count(INCIDENT, service, told, before, T0 + HOUR, restored_at=T0 + HOUR if recovered else None)


@pytest.mark.parametrize(
    ("answers", "users", "method"),
    [
        # EV-1: down
        ({"equipment_up": says(0)}, 50_000, "emergency_all_under_equipment"),
        ({"equipment_up": says(0), "call_loss_ratio": says(0.1)}, 50_000, "emergency_all_under_equipment"),
        # EV-2 to EV-4: partly usable
        ({"equipment_up": says(1), "call_loss_ratio": says(0.7)}, 35_000, "emergency_call_loss"),
        ({"equipment_up": says(1), "call_loss_ratio": says(0.6)}, 30_000, "emergency_call_loss"),
        ({"equipment_up": says(1), "call_loss_ratio": says(0.5)}, 25_000, "emergency_call_loss"),
        # EV-5: rate unknown; and whether it is down unknown
        ({"equipment_up": says(1)}, 50_000, "emergency_all_under_equipment"),
        ({"call_loss_ratio": says(0.1)}, 50_000, "emergency_all_under_equipment"),
        # those who tried are not those who count
        ({"equipment_up": says(0), "unable": says(3)}, 50_000, "emergency_all_under_equipment"),
        ({"emergency_calls_affected": says(1), "unable": says(3)}, 50_000, "emergency_all_under_equipment"),
        # certainly unaffected: as any other service
        ({"emergency_calls_affected": says(0), "unable": says(3)}, 3, "direct"),
        ({"emergency_calls_affected": says(0)}, 50_000, "all_under_equipment"),
    ],
)
def test_users_are_counted_as_the_guideline_has_it(answers: dict[str, Answer], users: int, method: str) -> None:
    affected = counted(**answers)
    assert affected.count
    assert (affected.count.users, affected.count.method, affected.problem) == (users, method, None)
    assert affected.bound == 50_000


def test_voice_without_emergency_calls_is_counted_as_any_other_service() -> None:
    other = msgspec.structs.replace(VOICE, emergency_calls=False)
    affected = counted(service=other, unable=says(3))
    assert affected.count
    assert (affected.count.users, affected.count.method) == (3, "direct")


@pytest.mark.parametrize("asked", ["equipment_up", "call_loss_ratio", "emergency_calls_affected"])
def test_a_query_that_fails_leaves_all_users_under_it_as_a_bound(asked: str) -> None:
    affected = counted(**{"equipment_up": says(1), "call_loss_ratio": says(0.5)} | {asked: FAILED})
    assert (affected.kept, affected.bound, affected.problem) == ((), 50_000, "Prometheus cannot be reached")


def test_a_rate_that_cannot_be_is_a_problem_and_no_number() -> None:
    affected = counted(equipment_up=says(1), call_loss_ratio=says(70))
    assert affected.kept == ()
    assert affected.problem == "call_loss_rate: 70 is more than 1; give a share (0.7), not a percentage (70)"


@pytest.mark.parametrize(("under", "why"), [(UNKNOWN, NO_SERIES), (FAILED, "Prometheus cannot be reached")])
def test_without_the_users_under_it_all_users_of_the_service_are_the_bound(under: Answer, why: str) -> None:
    affected = counted(under, unable=says(3))
    assert (affected.kept, affected.bound, affected.problem) == ((), 900_000, why)


def test_what_recovered_before_it_was_measured_says_so() -> None:
    assert counted(UNKNOWN, recovered=True).problem == RECOVERED_FIRST


def test_the_evidence_names_every_query_and_the_arithmetic() -> None:
    affected = counted(equipment_up=says(1, "up"), call_loss_ratio=says(0.7, "lost"))
    assert affected.count
    assert affected.count.query == "under; up; lost"
    assert affected.count.formula
    assert "50,000 × 0.7 = 35,000" in affected.count.formula.en
    assert (affected.count.unit, affected.count.at) == ("line", T0)


def test_equipment_that_goes_down_wholly_later_counts_wholly() -> None:
    partly = counted(equipment_up=says(1), call_loss_ratio=says(0.5))
    wholly = counted(before=partly, equipment_up=says(0))
    assert partly.count
    assert wholly.count
    assert (partly.count.users, wholly.count.users) == (25_000, 50_000)
    better = counted(before=wholly, equipment_up=says(1), call_loss_ratio=says(0.9))
    assert better.count == wholly.count


def test_emergency_calls_that_are_hit_later_count_by_their_own_method() -> None:
    spared = counted(emergency_calls_affected=says(0), unable=says(3))
    hit = counted(before=spared, emergency_calls_affected=says(1), equipment_up=says(0))
    assert spared.count
    assert hit.count
    assert (spared.count.method, hit.count.method) == ("direct", "emergency_all_under_equipment")


def test_after_the_recovery_the_number_stands() -> None:
    known = counted(equipment_up=says(0))
    assert counted(before=known, recovered=True, equipment_up=says(1), call_loss_ratio=FAILED).count == known.count


OTHER = msgspec.structs.replace(VOICE, emergency_calls=False)
KDDI = {"calls_usual": says(10_000_000, "usual"), "calls": says(6_000_000, "calls"), "calls_per_person": says(2, "each")}
MISSING = {"registrations_usual": says(8_000_000), "registrations": says(350_000)}


@pytest.mark.parametrize(
    ("answers", "users", "method", "passed_over"),
    [
        (KDDI | MISSING | {"unable": says(7)}, 7, "direct", 0),
        (KDDI | MISSING, 2_000_000, "call_shortfall", 1),
        (KDDI | MISSING | {"calls_per_person": UNKNOWN}, 7_650_000, "missing_registrations", 2),
        ({}, 50_000, "all_under_equipment", 3),
    ],
)
def test_other_voice_takes_the_first_method_of_which_all_is_known(
    answers: dict[str, Answer], users: int, method: str, passed_over: int
) -> None:
    affected = counted(service=OTHER, **answers)
    assert affected.count
    assert (affected.count.users, affected.count.method) == (users, method)
    assert len(affected.count.passed_over) == passed_over
    assert all(": " in why.en and ": " in why.ja for why in affected.count.passed_over)


def test_the_arithmetic_of_missing_calls_is_kept() -> None:
    affected = counted(service=OTHER, **KDDI)
    assert affected.count
    assert affected.count.query == "usual; calls; each"
    assert affected.count.formula
    assert "(10,000,000 - 6,000,000) ÷ 2 = 2,000,000" in affected.count.formula.en


@pytest.mark.parametrize("asked", KDDI)
def test_a_query_of_a_finer_method_that_fails_makes_the_coarser_number_a_bound(asked: str) -> None:
    affected = counted(service=OTHER, **KDDI | {asked: FAILED})
    assert (affected.kept, affected.bound, affected.problem) == ((), 50_000, "Prometheus cannot be reached")


def test_a_figure_that_cannot_be_is_a_problem_and_no_number() -> None:
    affected = counted(service=OTHER, **KDDI | {"calls_per_person": says(0)})
    assert (affected.kept, affected.problem) == ((), "calls_per_person: must be above zero")


def test_a_method_that_counted_and_fell_silent_is_not_followed_by_a_coarser_one() -> None:
    known = counted(service=OTHER, **KDDI)
    silent = counted(service=OTHER, before=known, **KDDI | {"calls": UNKNOWN})
    assert (silent.kept, silent.problem) == (known.kept, GONE)
    # what comes back counts on, and the largest stays
    less = counted(service=OTHER, before=silent, **KDDI | {"calls": says(9_000_000)})
    assert less.count == known.count


def test_what_the_series_say_after_the_recovery_is_no_measurement_of_the_outage() -> None:
    """All works again, nothing is lost, no emergency call is affected: now. Nobody measured it then."""
    well = {"equipment_up": says(1), "call_loss_ratio": says(0), "emergency_calls_affected": says(0)}
    affected = counted(recovered=True, **well)
    assert affected.count
    assert (affected.count.users, affected.count.method) == (50_000, "emergency_all_under_equipment")


DATA = Service(name="data", kind="internet_access", charged=True, match=('service="data"',), users_total=900_000)
DAYS = (date(2026, 11, 14), date(2026, 11, 7), date(2026, 10, 31))


def missing(share: float, hours: int = 1) -> History:
    """So large a share of 1,000 bytes per hour is missing; on one day there was a great deal more, which the median forgets."""
    usual = dict(zip(DAYS, (1_000.0, 1_000.0, 9_000.0), strict=True))
    seen = tuple(Hour(T0 + n * HOUR, Fraction(1), 1_000 * (1 - share), usual) for n in range(hours))
    return History(seen, DAYS, Text("比較した日", "days compared"), "traffic")


def test_missing_traffic_counts_where_nobody_counted_the_users() -> None:
    affected = counted(service=DATA, traffic=missing(0.5))
    assert affected.count
    # u = 1,000 / 50,000; 500 / u
    assert (affected.count.users, affected.count.method) == (25_000, "traffic_difference")
    assert affected.count.query == "traffic; under"
    assert affected.count.evidence == (Text("比較した日", "days compared"),)
    known = counted(service=DATA, traffic=missing(0.5), bytes_per_user_hour=says(0.25, "each"))
    assert known.count
    assert (known.count.users, known.count.query) == (2_000, "traffic; under; each")
    direct = counted(service=DATA, traffic=missing(0.5), unable=says(3))
    assert direct.count
    assert direct.count.method == "direct"


def test_traffic_that_cannot_be_compared_says_why_and_gives_way() -> None:
    affected = counted(service=DATA, traffic=History(why_not=Text("足りない", "too few days")))
    assert affected.count
    assert (affected.count.users, affected.count.method) == (50_000, "all_under_equipment")
    assert affected.count.passed_over[1].en.endswith(": too few days")


@pytest.mark.parametrize(
    "failed", [{"traffic": History(problem="Prometheus is down")}, {"traffic": missing(1), "bytes_per_user_hour": FAILED}]
)
def test_traffic_that_could_not_be_asked_leaves_all_users_under_it_as_a_bound(failed: dict[str, Any]) -> None:
    affected = counted(service=DATA, **failed)
    assert (affected.kept, affected.bound, bool(affected.problem)) == ((), 50_000, True)


def test_without_users_under_it_and_without_what_one_moves_traffic_tells_nothing() -> None:
    affected = counted(UNKNOWN, service=DATA, traffic=missing(0.5))
    assert (affected.kept, affected.bound, affected.problem) == ((), 900_000, NO_SERIES)


def test_missing_traffic_grows_with_the_accident_and_its_end_is_counted_too() -> None:
    first = counted(service=DATA, traffic=missing(0.5), bytes_per_user_hour=says(0.25))
    over = counted(service=DATA, before=first, recovered=True, traffic=missing(0.5, hours=2), bytes_per_user_hour=says(0.25))
    assert first.count
    assert over.count
    assert (first.count.users, over.count.users) == (2_000, 4_000)


def test_saved_users_are_not_counted_but_for_emergency_calls() -> None:
    spared = counted(service=DATA, saved=says(20_000, "saved"))
    assert spared.count
    assert (spared.count.users, spared.bound, spared.count.query) == (30_000, 50_000, "under; saved")
    assert spared.count.evidence[0].en.endswith("50,000 - 20,000 = 30,000")
    assert counted(saved=says(20_000), equipment_up=says(0)).at_least == 50_000
    wrong = counted(service=DATA, saved=says(50_001))
    assert (wrong.kept, wrong.problem) == ((), "saved: 50001 are more than the 50000 users under core-1")
    assert counted(service=DATA, saved=FAILED).kept == ()


def test_where_equipment_has_no_count_of_its_own_what_is_below_it_counts() -> None:
    total = Total(35_000, "35000", 36_000, ("a", "b"), Text("合計", "total"), SAME_CAUSE)
    found = counted(UNKNOWN, service=DATA, below=Found(total, 0, 3, 2, "line", "tree"))
    assert found.count
    assert (found.count.users, found.bound, found.count.query, found.count.unit) == (35_000, 36_000, "tree", "line")
    assert found.count.evidence == (Text("合計", "total"),)
    failed = counted(UNKNOWN, service=DATA, below=Found(None, 0, 3, 2, "", "tree", problem="two parents"))
    assert (failed.kept, failed.problem) == ((), "two parents")


MEETINGS = Service(
    name="meetings", kind="voice", emergency_calls=False, web_conference="audio_video", match=('service="meetings"',)
)
STATISTICS = {
    "monthly_hosts": says(1_000_000, "hosts"),
    "meetings_per_host_month": says(20),
    "meeting_hours": says(0.75),
    "business_days_month": says(20),
    "business_hours_day": says(8),
}


def test_meetings_of_an_hour_at_noon_on_a_saturday_are_none_by_the_draft_and_more_by_the_other_reading() -> None:
    """T0 is a Saturday: the draft leaves nights and holidays out."""
    hours = BusinessHourSettings().of_the_law(frozenset())
    told = Told(UsersObserved({"unable": UNKNOWN, "under_equipment": UNKNOWN} | STATISTICS))
    found = count(INCIDENT, MEETINGS, told, Affected(), T0 + HOUR, open_hours=hours)
    assert found.count
    assert (found.count.users, found.count.method, found.count.other_readings[0].users) == (0, "conference_probability", 93_750)


def test_without_one_of_the_statistics_the_accounts_entitled_to_host_count() -> None:
    for one in STATISTICS:
        found = counted(service=MEETINGS, **STATISTICS | {one: UNKNOWN})
        assert found.count
        assert (found.count.users, found.count.method) == (50_000, "host_entitled_accounts")


def test_a_number_that_grows_by_the_second_is_told_every_five_minutes() -> None:
    hours = BusinessHourSettings().of_the_law(frozenset())
    began = datetime(2026, 11, 11, 1, 0, tzinfo=UTC)
    that_day = msgspec.structs.replace(INCIDENT, failure_started_at=began)
    told = Told(UsersObserved({"unable": UNKNOWN, "under_equipment": UNKNOWN} | STATISTICS))
    seen = [
        count(that_day, MEETINGS, told, Affected(), began + timedelta(seconds=seconds), open_hours=hours).at_least
        for seconds in (3600, 3615, 3899, 3900)
    ]
    assert seen[0] == seen[1] == seen[2] == 93_750 < seen[3]


def test_the_method_that_the_catalogue_names_is_the_first_to_be_tried() -> None:
    chosen = msgspec.structs.replace(OTHER, count_by="missing_registrations")
    affected = counted(service=chosen, **KDDI | MISSING | {"unable": says(7)})
    assert affected.count
    assert affected.count.method == "missing_registrations"
    assert all("count_by" in why.en and "count_by" in why.ja for why in affected.count.passed_over)
    # for emergency calls the law has methods of its own, whatever is chosen
    emergency = msgspec.structs.replace(VOICE, count_by="direct")
    assert counted(service=emergency, unable=says(7), equipment_up=says(0)).at_least == 50_000


def test_voice_whose_emergency_calls_were_certainly_spared_is_counted_as_other_voice() -> None:
    affected = counted(emergency_calls_affected=says(0), **KDDI)
    assert affected.count
    assert (affected.count.users, affected.count.method, len(affected.count.passed_over)) == (2_000_000, "call_shortfall", 3)


def test_traffic_that_breaks_off_is_no_number_of_the_whole_accident() -> None:
    ten_minutes = History((Hour(T0, Fraction(1, 6), 0.0, dict.fromkeys(DAYS, 1_000.0)),), DAYS, None, "traffic")
    first = counted(service=DATA, traffic=ten_minutes)
    lost = counted(service=DATA, before=first, traffic=History(why_not=Text("ない", "no values")))
    assert first.count
    assert (lost.kept, lost.bound, lost.problem) == (first.kept, 50_000, GONE)
    over = counted(service=DATA, before=first, recovered=True, traffic=History(why_not=Text("ない", "no values")))
    assert over.problem == GONE


def test_saved_users_use_the_service_as_all_others_do() -> None:
    """Of 50,000 half are saved; half of the traffic of all of them is missing."""
    assert counted(service=DATA, traffic=missing(0.5), saved=says(25_000)).at_least == 25_000


def test_users_saved_count_for_emergency_calls_alone() -> None:
    spared = counted(emergency_calls_affected=says(0), saved=says(40_000))
    assert spared.count
    assert (spared.count.users, spared.count.method) == (10_000, "all_under_equipment")


def test_traffic_of_all_is_not_divided_by_the_users_of_the_failed_units() -> None:
    total = Total(1_000, "1000", 1_000, ("a",), Text("合計", "total"), SAME_CAUSE)
    below = Found(total, 0, 100, 1, "line", "tree")
    unknown = counted(UNKNOWN, service=DATA, below=below, traffic=missing(0.5))
    assert unknown.count
    assert (unknown.count.users, unknown.count.method) == (1_000, "all_under_equipment")
    known = counted(UNKNOWN, service=DATA, below=below, traffic=missing(0.5), bytes_per_user_hour=says(0.25))
    assert known.count
    assert (known.count.users, known.count.method) == (2_000, "traffic_difference")


def test_a_recovery_that_is_learnt_late_takes_back_what_was_counted_beyond_it() -> None:
    long = counted(service=DATA, traffic=missing(0.5, hours=5), bytes_per_user_hour=says(0.25))
    told = Told(UsersObserved({"under_equipment": says(50_000), "bytes_per_user_hour": says(0.25)}), missing(0.5))
    over = count(INCIDENT, DATA, told, long, T0 + 6 * HOUR, restored_at=T0 + HOUR)
    assert (long.at_least, over.at_least, over.at_most) == (10_000, 2_000, 2_000)


@pytest.mark.parametrize(("per_user", "told"), [(0.02, False), (0.0025, True)], ids=["bytes", "bits"])
def test_more_than_all_users_all_the_time_is_told(per_user: float, told: bool) -> None:
    """All 1,000 bytes are missing: at 0.02 bytes a user 50,000 users, all there are; at an eighth of that eight times as many."""
    affected = counted(service=DATA, traffic=missing(1), bytes_per_user_hour=says(per_user))
    assert affected.count
    assert any("check the unit" in each.en for each in affected.count.evidence) == told


def past(unseen: timedelta = timedelta(), *moments: dict[str, Answer], **changes: Any) -> Past:
    """What was told, a minute apart, beginning at T0."""
    then = tuple((T0 + timedelta(minutes=n), UsersObserved(answers)) for n, answers in enumerate(moments))
    return msgspec.structs.replace(Past(T0, T0 + HOUR, unseen, then), **changes)


DOWN = {"under_equipment": says(50_000), "equipment_up": says(0), "call_loss_ratio": says(1)}
UP = {"under_equipment": says(50_000), "equipment_up": says(1), "call_loss_ratio": says(0)}
SILENT = {"under_equipment": says(50_000)}


def counted_late(told: Past, before: Affected = Affected(), *, recovered: bool = False, **now: Answer) -> Affected:  # noqa: B008
    observed = UsersObserved({"under_equipment": says(50_000), **now})
    found = None if "under_equipment" not in now else Found(Total(0, "0", 0, (), Text("", ""), SAME_CAUSE), 3, 0, 3, "", "")
    return count(
        INCIDENT, VOICE, Told(observed, below=found, past=told), before, T0 + HOUR, restored_at=T0 + HOUR if recovered else None
    )


def test_what_would_have_been_counted_then_is_counted_though_it_works_now() -> None:
    affected = counted_late(past(timedelta(), DOWN, UP), **UP)
    assert affected.count
    assert (affected.count.users, affected.count.method, affected.problem) == (50_000, "emergency_all_under_equipment", None)


def test_a_series_that_broke_off_with_the_equipment_leaves_the_next_method() -> None:
    affected = counted_late(past(HOUR, UP, SILENT), **UP)
    assert (affected.at_least, affected.at_most, affected.problem) == (50_000, 50_000, NOBODY_LOOKED)


@pytest.mark.parametrize("why", [past(HOUR), past(HOUR, problem="Prometheus cannot be reached"), past(HOUR, UP)])
def test_a_zero_of_now_is_no_number_of_a_time_that_is_not_told(why: Past) -> None:
    doubtful = counted_late(why, **UP)
    assert (doubtful.kept, doubtful.bound, doubtful.problem, doubtful.unmeasured_since) == ((), 50_000, NOBODY_LOOKED, T0)
    # nor does it become one by a recovery that is told
    assert counted_late(why, doubtful, recovered=True, **UP) == doubtful


def test_a_zero_of_now_is_a_number_while_the_equipment_is_down() -> None:
    affected = counted_late(past(HOUR, is_down=True), **UP)
    assert (affected.at_least, affected.problem) == (0, None)


def test_that_nothing_below_equipment_is_down_now_tells_nothing_of_before() -> None:
    for recovered in (False, True):
        affected = counted_late(past(HOUR), recovered=recovered, under_equipment=UNKNOWN, equipment_up=says(1))
        assert (affected.kept, affected.bound, affected.problem) == ((), 900_000, NOBODY_LOOKED)
