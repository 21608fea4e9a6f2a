"""What an accident is besides its time and users: its cause, its effect, the facility; and what each of them changes."""

from datetime import timedelta

import pytest

from receiver.law.rulebook import ServiceFacts, rulebook_named, shipped
from receiver.law.verdict import Circumstances, Judgement, judge

ACCESS = ServiceFacts("internet_access")
PLAIN = Circumstances()


def judged(
    users: int | None,
    minutes: float,
    circumstances: Circumstances = PLAIN,
    book: str = "JP-TBA58-2026",
) -> Judgement:
    return judge(ACCESS, rulebook_named(book, shipped()), timedelta(minutes=minutes), users or 0, users, circumstances)


def test_a_failure_of_power_or_buildings_is_never_major_but_may_be_listed() -> None:
    power = Circumstances(cause="non_telecom_equipment_failure")
    assert judged(5_000_000, 600, power).verdict == "periodic"
    assert judged(29_999, 119, power).verdict == "none"


def test_what_is_no_failure_is_nothing() -> None:
    assert judged(5_000_000, 600, Circumstances(cause="no_failure")).verdict == "none"


def test_an_unknown_cause_is_judged_as_a_failure() -> None:
    assert judged(150_000, 90, Circumstances(cause="unknown")).verdict == "major"


@pytest.mark.parametrize("facility", ["satellite", "submarine_cable", "comparable"])
@pytest.mark.parametrize(("minutes", "verdict"), [(119.99, "none"), (120, "major")])
def test_all_traffic_of_such_a_facility_down_for_two_hours_is_major_whatever_the_users(
    facility: str, minutes: float, verdict: str
) -> None:
    one = judged(0, minutes, Circumstances(facility=facility, all_traffic_down=True))  # type: ignore[arg-type]
    assert (one.verdict, one.by_clause_2) == (verdict, verdict == "major")
    unknown = judged(None, minutes, Circumstances(facility=facility, all_traffic_down=True))  # type: ignore[arg-type]
    assert (unknown.verdict == "major") == (verdict == "major")


def test_clause_2_settles_it_though_nobody_knows_how_many_users_there_were() -> None:
    cable = Circumstances(facility="submarine_cable", all_traffic_down=True)
    between = judge(ACCESS, rulebook_named("JP-TBA58-2026", shipped()), timedelta(hours=2), 0, 10, cable)
    assert (between.verdict, between.at_least, between.at_most) == ("major", "major", "major")


def test_clause_2_takes_an_unknown_cause_as_a_failure() -> None:
    unknown = Circumstances(cause="unknown", facility="satellite", all_traffic_down=True)
    assert (judged(0, 120, unknown).verdict, judged(0, 120, unknown).by_clause_2) == ("major", True)


def test_clause_2_asks_for_the_carriers_own_facility_and_all_traffic() -> None:
    assert judged(0, 600, Circumstances(facility="satellite", all_traffic_down=False)).verdict == "periodic"
    not_ours = Circumstances(facility="satellite", all_traffic_down=True, installed_by_the_carrier=False)
    assert judged(0, 600, not_ours).verdict == "periodic"
    assert judged(0, 600, Circumstances(all_traffic_down=True)).verdict == "periodic"


def test_two_gigabits_down_decide_nothing_by_themselves() -> None:
    """The rule that deemed more than 2 Gbps to be 30,000 users is abolished: no circumstance carries a bandwidth."""
    assert not any("bps" in name or "bandwidth" in name for name in Circumstances.__struct_fields__)
    assert judged(None, 180).verdict == "indeterminate"


def test_degradation_counts_like_a_stop_since_2008_and_not_before() -> None:
    degraded = Circumstances(effect="degradation")
    assert judged(30_000, 120, degraded, "JP-TBA58-2008").verdict == "major"
    assert judged(30_000, 120, degraded, "JP-TBA58-2004").verdict == "periodic"
    assert judged(30_000, 120, book="JP-TBA58-2004").verdict == "major"


def test_degraded_users_who_do_not_count_may_still_be_enough_for_the_periodic_report() -> None:
    degraded = judged(None, 10, Circumstances(effect="degradation"), "JP-TBA58-2004")
    assert (degraded.verdict, degraded.at_least, degraded.at_most) == ("indeterminate", "none", "periodic")


def test_where_no_user_counts_all_that_the_table_asks_is_lacking() -> None:
    degraded = judged(150_000, 180, Circumstances(effect="degradation"), "JP-TBA58-2004")
    assert (degraded.margin_users, degraded.margin_seconds) == (-30_000, 3600)


def test_under_a_table_of_stops_mixed_effects_cannot_be_told() -> None:
    mixed = judged(30_000, 120, Circumstances(effect="both"), "JP-TBA58-2004")
    assert (mixed.verdict, mixed.at_least, mixed.at_most) == ("indeterminate", "periodic", "major")


@pytest.mark.parametrize("both", [Circumstances(effect="both"), Circumstances(effect="unknown")], ids=["both", "unknown"])
def test_the_draft_judges_stop_and_degradation_apart(both: Circumstances) -> None:
    draft = "JP-TBA58-DRAFT-2023-04"
    assert judged(30_000, 120, both, "JP-TBA58-2019").verdict == "major"
    assert judged(30_000, 120, both, draft).verdict == "indeterminate"
    assert judged(60_000, 120, both, draft).verdict == "major"  # one of the two groups has at least half
    assert judged(59_998, 120, both, draft).verdict == "indeterminate"


def test_an_add_on_function_is_nothing_by_a_persons_word() -> None:
    assert judged(5_000_000, 600, Circumstances(add_on_function=True)).verdict == "none"
    # the exclusion stands in the first item of the paragraph and in the first class of the list, in no other
    cable = Circumstances(facility="submarine_cable", all_traffic_down=True, add_on_function=True)
    assert judged(0, 600, cable).verdict == "major"
    power = Circumstances(cause="non_telecom_equipment_failure", add_on_function=True)
    assert judged(5_000_000, 600, power).verdict == "periodic"
