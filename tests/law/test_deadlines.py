"""What is owed by when: reports to the ministry, the periodic one, notices to the public; and what is only a target."""

from datetime import UTC, date, datetime, time, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law import lined_yaml
from receiver.law.deadlines import Duty, Matter, QuietWindow, Settings, after_period, duties, next_update, thirty_days
from receiver.law.provisions import JST, NoProvision
from receiver.law.provisions.deadlines import Rules, faults, shipped
from receiver.law.verdict import Verdict

NIGHT = QuietWindow(time(23), time(6))
DESIGNATED = Settings(designated_institution=True, quiet=NIGHT)


def jst(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=JST)


OCCURRED = jst(2026, 11, 18)


def owed(*verdicts: Verdict, occurred_at: datetime = OCCURRED, settings: Settings | None = None, **more: object) -> dict[str, Duty]:
    """The duties by their id."""
    matter = Matter(occurred_at, frozenset(verdicts), **more)  # type: ignore[arg-type]
    return {duty.id: duty for duty in duties(matter, settings)}


def flags(duty: Duty) -> set[str]:
    return {flag.code for flag in duty.flags}


def test_docomo_2022_the_report_on_17_december_was_due_on_16_january() -> None:
    report = owed(Verdict.MAJOR, occurred_at=jst(2022, 12, 17, 8))["detailed_report"]
    assert (report.due_on, report.due_at, report.form) == (date(2023, 1, 16), None, "様式第50の3")
    assert report.citation.evidence == "assumed"
    assert "発生した日（2022-12-17）から30日。初日は算入しない" in report.why.ja
    assert "30 days from the day it occurred (2022-12-17); the first day is not counted" in report.why.en


def test_a_major_accident_owes_the_first_notice_the_report_and_notices_to_the_public() -> None:
    found = owed(Verdict.MAJOR)
    assert list(found) == ["first_notice", "public_notice", "public_update", "detailed_report"]
    assert found["detailed_report"].due == date(2026, 12, 18)
    assert found["detailed_report"].basis == "law"
    assert found["detailed_report"].citation.article.ja == "電気通信事業法施行規則 第57条第1項"
    assert found["detailed_report"].citation.evidence == "read"


def test_the_law_names_no_number_for_the_first_notice() -> None:
    first = owed(Verdict.MAJOR)["first_notice"]
    assert (first.due, first.form, first.basis) == (None, None, "law")
    assert [flag.code for flag in first.flags] == ["ask_promptly"]
    assert first.why.ja == "速やかに。法令に時間の定めはなく、自社の目標も設定されていない"
    assert first.why.en == "promptly: the law names no number, and no target is set"


def test_a_target_for_the_first_notice_is_the_operators_own_and_says_so() -> None:
    settings = Settings(first_notice_target=timedelta(minutes=45))
    first = owed(Verdict.MAJOR, settings=settings)["first_notice"]
    assert (first.due_at, flags(first)) == (jst(2026, 11, 18, 12, 45), {"own_target"})
    assert "自社の目標: 2026-11-18 12:00:00 JSTから0時間45分00秒以内" in first.why.ja
    assert owed(Verdict.MAJOR, settings=settings, known_at=jst(2026, 11, 18, 14))["first_notice"].due == jst(2026, 11, 18, 14, 45)


def test_a_near_miss_is_reported_from_the_day_it_was_known() -> None:
    found = owed(Verdict.NEAR_MISS, known_at=jst(2026, 11, 24, 23, 59))
    assert list(found) == ["near_miss_first_notice", "near_miss_report"]
    report = found["near_miss_report"]
    assert (report.due_on, report.form, report.flags) == (date(2026, 12, 24), "様式第50の4", ())
    assert report.citation.article.ja == "電気通信事業法施行規則 第57条第3項"
    assert "知った日（2026-11-24）から30日" in report.why.ja


def test_the_report_on_a_major_accident_does_not_wait_for_knowledge() -> None:
    assert owed(Verdict.MAJOR, known_at=jst(2026, 11, 24))["detailed_report"].due == date(2026, 12, 18)


def test_a_near_miss_without_a_day_of_knowledge_is_counted_from_the_occurrence_and_flagged() -> None:
    report = owed(Verdict.NEAR_MISS)["near_miss_report"]
    assert (report.due, flags(report)) == (date(2026, 12, 18), {"known_day_missing"})


def test_there_were_no_near_misses_before_june_2023() -> None:
    with pytest.raises(NoProvision, match="near_miss_first_notice: nothing was in force on 2023-06-15"):
        owed(Verdict.NEAR_MISS, occurred_at=jst(2023, 6, 15))
    assert "near_miss_report" in owed(Verdict.NEAR_MISS, occurred_at=jst(2023, 6, 16))


def test_a_major_accident_is_no_near_miss() -> None:
    assert not {"near_miss_first_notice", "near_miss_report"} & owed(Verdict.MAJOR, Verdict.NEAR_MISS).keys()


def test_a_near_miss_that_may_yet_be_a_major_accident_owes_both_with_flags() -> None:
    found = owed(Verdict.NEAR_MISS, possible=frozenset({Verdict.MAJOR}), known_at=OCCURRED)
    assert flags(found["near_miss_report"]) == {"not_if_major"}
    assert flags(found["detailed_report"]) == {"verdict_open"}
    assert "not_if_major" not in flags(owed(Verdict.NEAR_MISS)["near_miss_report"])


def test_a_near_miss_that_is_only_possible_is_flagged() -> None:
    found = owed(possible=frozenset({Verdict.NEAR_MISS}), known_at=OCCURRED)
    assert flags(found["near_miss_report"]) == {"verdict_open"}


@pytest.mark.parametrize(
    ("occurred_at", "upstream_major", "duty", "form", "more"),
    [
        (jst(2023, 12, 7), True, "wholesale_report", "様式第50の3の2", {"short_form_may"}),
        (jst(2023, 12, 6), True, "detailed_report", "様式第50の3", set()),
        (jst(2023, 12, 7), False, "detailed_report", "様式第50の3", set()),
        (jst(2023, 12, 7), None, "detailed_report", "様式第50の3", {"short_form_unknown"}),
        (jst(2023, 12, 6), None, "detailed_report", "様式第50の3", set()),
    ],
)
def test_the_short_form_may_be_used_when_the_wholesale_provider_had_a_major_accident(
    occurred_at: datetime, upstream_major: bool | None, duty: str, form: str, more: set[str]
) -> None:
    found = owed(Verdict.MAJOR, occurred_at=occurred_at, upstream_major=upstream_major)
    assert len({"wholesale_report", "detailed_report"} & found.keys()) == 1
    assert (found[duty].form, flags(found[duty]) - {"closed_day"}) == (form, more)
    assert found[duty].due == occurred_at.date() + timedelta(days=30)


@pytest.mark.parametrize(
    ("occurred_on", "due", "what"),
    [
        (date(2025, 4, 1), date(2026, 5, 31), "年度報告"),
        (date(2026, 3, 31), date(2026, 5, 31), "年度報告"),
        (date(2026, 4, 1), date(2027, 5, 31), "年度報告"),
        (date(2026, 12, 31), date(2027, 5, 31), "年度報告"),
        (date(2025, 3, 31), date(2025, 5, 31), "四半期報告"),
        (date(2025, 1, 1), date(2025, 5, 31), "四半期報告"),
        (date(2024, 12, 31), date(2025, 2, 28), "四半期報告"),
        (date(2023, 10, 1), date(2024, 2, 29), "四半期報告"),
        (date(2023, 12, 31), date(2024, 2, 29), "四半期報告"),
        (date(2024, 9, 30), date(2024, 11, 30), "四半期報告"),
        (date(2024, 6, 30), date(2024, 8, 31), "四半期報告"),
        (date(2024, 4, 1), date(2024, 8, 31), "四半期報告"),
    ],
)
def test_the_periodic_report_is_due_two_months_after_its_period(occurred_on: date, due: date, what: str) -> None:
    report = owed(Verdict.PERIODIC, occurred_at=datetime.combine(occurred_on, time(23, 59, 59), JST))["periodic_report"]
    assert (report.due_on, report.form, report.basis) == (due, "様式第27", "law")
    assert report.what.ja.startswith(what)


def test_the_periodic_report_says_how_its_date_comes_about_and_that_the_exemptions_were_not_read() -> None:
    report = owed(Verdict.PERIODIC)["periodic_report"]
    assert report.why.ja == "発生日（2026-11-18）を含む期間の末日（2027-03-31）から2か月以内"
    assert report.why.en == "within 2 months after 2027-03-31, the end of the period that holds the day of occurrence (2026-11-18)"
    assert flags(report) == {"minor_not_read"}


def test_a_major_accident_is_left_out_of_the_periodic_report_which_a_person_must_settle() -> None:
    assert "periodic_report" not in owed(Verdict.MAJOR)
    assert "major_excluded" in flags(owed(Verdict.MAJOR, Verdict.PERIODIC)["periodic_report"])
    assert "major_excluded" in flags(owed(Verdict.PERIODIC, possible=frozenset({Verdict.MAJOR}))["periodic_report"])


@given(st.dates(date(2000, 1, 1), date(2025, 3, 31)), st.dates(date(2025, 4, 1), date(2060, 1, 1)))
def test_quarterly_reports_end_and_annual_ones_begin_with_what_is_due_from_june_2025_on(before: date, after: date) -> None:
    def due(day: date) -> date:
        found = owed(Verdict.PERIODIC, occurred_at=datetime.combine(day, time(12), JST))["periodic_report"].due_on
        assert found is not None
        return found

    assert due(before) < date(2025, 6, 1) <= due(after)
    assert (due(after).month, due(after).day) == (5, 31)
    assert (due(before) + timedelta(days=1)).day == 1
    assert 59 <= (due(before) - before).days <= 31 + 30 + 31 + 31 + 31
    assert (due(before) + timedelta(days=1)).month in (3, 6, 9, 12)


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(1, 12), st.integers(0, 6))
def test_a_period_ends_on_or_after_its_days_and_the_term_at_the_end_of_a_month(day: date, ends_with: int, months: int) -> None:
    end, due = after_period(day, (ends_with,), 0), after_period(day, (ends_with,), months)
    assert day <= end <= day + timedelta(days=366)
    assert end.month == ends_with
    assert (due.year * 12 + due.month) - (end.year * 12 + end.month) == months
    assert (due + timedelta(days=1)).day == 1


def test_nothing_is_owed_for_what_reaches_no_threshold() -> None:
    assert owed(Verdict.NONE, settings=DESIGNATED) == {}
    assert owed(settings=DESIGNATED) == {}


def test_an_open_verdict_owes_all_it_may_turn_out_to_be_with_flags() -> None:
    found = owed(Verdict.INDETERMINATE)
    assert list(found) == ["first_notice", "public_notice", "public_update", "detailed_report", "periodic_report"]
    assert all("verdict_open" in flags(found[duty]) for duty in ("first_notice", "detailed_report", "periodic_report"))
    assert "verdict_open" not in flags(owed(Verdict.INDETERMINATE, Verdict.PERIODIC)["periodic_report"])
    assert owed(possible=frozenset({Verdict.INDETERMINATE})).keys() == found.keys()


def test_a_verdict_open_only_up_to_periodic_owes_no_report_on_a_major_accident() -> None:
    found = owed(Verdict.NONE, possible=frozenset({Verdict.PERIODIC}))
    assert "detailed_report" not in found
    assert "verdict_open" in flags(found["periodic_report"])


def test_a_designated_institution_tells_the_public_within_30_minutes() -> None:
    first = owed(Verdict.MAJOR, settings=DESIGNATED)["public_notice_designated"]
    assert (first.due_at, first.basis, first.citation.evidence) == (jst(2026, 11, 18, 12, 30), "guideline", "secondary")
    assert "guideline_not_read" in flags(first)
    later = owed(Verdict.PERIODIC, settings=DESIGNATED, impact_started_at=jst(2026, 11, 18, 15))
    assert later["public_notice_designated"].due == jst(2026, 11, 18, 15, 30)


def test_other_carriers_have_no_number_for_the_public_notice() -> None:
    found = owed(Verdict.PERIODIC)
    assert "public_notice_designated" not in found
    assert found["public_notice"].due is None
    assert "as early as possible" in found["public_notice"].why.en
    assert found["public_update"].due is None
    assert "初報の時刻が記録されていない" in found["public_update"].why.ja


def test_once_the_public_was_told_only_the_update_an_hour_later_is_owed() -> None:
    found = owed(Verdict.MAJOR, settings=DESIGNATED, last_notice_at=jst(2026, 11, 18, 12, 20))
    assert "public_notice_designated" not in found
    assert found["public_update"].due == jst(2026, 11, 18, 13, 20)
    assert found["public_update"].why.en == "60 minutes after the last notice (2026-11-18 12:20:00 JST)"


def test_before_the_first_notice_the_update_counts_from_when_that_is_due() -> None:
    update = owed(Verdict.MAJOR, settings=DESIGNATED)["public_update"]
    assert (update.due, update.why.en) == (
        jst(2026, 11, 18, 13, 30),
        "60 minutes after when the first is due (2026-11-18 12:30:00 JST)",
    )


def test_no_update_is_owed_once_the_service_is_back() -> None:
    assert "public_update" not in owed(Verdict.MAJOR, restored=True, last_notice_at=jst(2026, 11, 18, 13))


def test_an_update_waits_for_the_end_of_the_quiet_window_and_says_so() -> None:
    update = owed(Verdict.MAJOR, settings=DESIGNATED, last_notice_at=jst(2026, 11, 18, 22, 30))["public_update"]
    assert update.due == jst(2026, 11, 19, 6)
    assert "put off to the end of the quiet window" in update.why.en
    assert flags(update) == {"guideline_not_read"}


def test_without_a_quiet_window_updates_run_through_the_night_and_that_is_flagged() -> None:
    update = owed(Verdict.MAJOR, last_notice_at=jst(2026, 11, 18, 22, 30))["public_update"]
    assert (update.due, flags(update)) == (jst(2026, 11, 18, 23, 30), {"guideline_not_read", "no_quiet_window"})


def test_before_april_2023_there_was_no_guideline_on_public_notice() -> None:
    assert list(owed(Verdict.MAJOR, occurred_at=jst(2023, 3, 31))) == ["first_notice", "detailed_report"]
    assert "public_notice" in owed(Verdict.MAJOR, occurred_at=jst(2023, 4, 1))


@pytest.mark.parametrize(
    ("window", "last", "due"),
    [
        (NIGHT, jst(2026, 11, 18, 21, 59), jst(2026, 11, 18, 22, 59)),
        (NIGHT, jst(2026, 11, 18, 22, 0), jst(2026, 11, 19, 6)),
        (NIGHT, jst(2026, 11, 18, 23, 30), jst(2026, 11, 19, 6)),
        (NIGHT, jst(2026, 11, 19, 4, 59), jst(2026, 11, 19, 6)),
        (NIGHT, jst(2026, 11, 19, 5, 0), jst(2026, 11, 19, 6)),
        (NIGHT, jst(2026, 11, 19, 5, 1), jst(2026, 11, 19, 6, 1)),
        (QuietWindow(time(0), time(5)), jst(2026, 11, 18, 22, 59), jst(2026, 11, 18, 23, 59)),
        (QuietWindow(time(0), time(5)), jst(2026, 11, 18, 23, 0), jst(2026, 11, 19, 5)),
        (QuietWindow(time(0), time(5)), jst(2026, 11, 19, 4, 0), jst(2026, 11, 19, 5)),
        (None, jst(2026, 11, 19, 2), jst(2026, 11, 19, 3)),
        (NIGHT, datetime(2026, 11, 18, 13, 30, tzinfo=UTC), jst(2026, 11, 19, 6)),
    ],
)
def test_the_quiet_window_takes_its_first_minute_and_leaves_its_last(
    window: QuietWindow | None, last: datetime, due: datetime
) -> None:
    assert next_update(last, timedelta(hours=1), window) == due


@pytest.mark.parametrize(
    ("ends", "wrong"),
    [
        (time(23), "^the quiet window begins and ends at 23:00:00: leave it out, or give two times$"),
        (time(6, tzinfo=UTC), "^the quiet window is in Asia/Tokyo: give its times without a zone$"),
    ],
)
def test_a_quiet_window_without_length_or_in_another_zone_is_refused(ends: time, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        QuietWindow(time(23), ends)


@pytest.mark.parametrize(
    ("occurred_on", "closed"),
    [
        (date(2026, 10, 22), True),  # due on Saturday 2026-11-21
        (date(2026, 10, 23), True),  # Sunday
        (date(2026, 10, 21), False),  # Friday
        (date(2026, 11, 28), False),  # Monday 12-28
        (date(2026, 11, 29), True),  # Tuesday 12-29
        (date(2026, 11, 30), True),  # Wednesday 12-30
        (date(2026, 12, 1), True),  # Thursday 12-31
        (date(2025, 12, 2), True),  # Thursday 01-01
        (date(2028, 12, 3), True),  # Tuesday 01-02
        (date(2027, 12, 4), True),  # Monday 01-03
        (date(2026, 12, 5), False),  # Monday 01-04
        (date(2026, 10, 24), True),  # Monday 11-23, said to be closed below
    ],
)
def test_a_due_day_on_which_the_ministry_is_closed_is_kept_and_flagged(occurred_on: date, closed: bool) -> None:
    settings = Settings(closed_days=frozenset({date(2026, 11, 23)}))
    report = owed(Verdict.MAJOR, occurred_at=datetime.combine(occurred_on, time(9), JST), settings=settings)["detailed_report"]
    assert report.due == occurred_on + timedelta(days=30)
    assert ("closed_day" in flags(report)) == closed


def test_the_closed_day_is_flagged_on_the_periodic_report_too() -> None:
    assert "closed_day" in flags(owed(Verdict.PERIODIC, occurred_at=jst(2025, 11, 18))["periodic_report"])  # Sunday 2026-05-31


def test_the_duties_come_in_the_order_of_their_time_a_day_counting_to_its_end() -> None:
    matter = Matter(OCCURRED, frozenset({Verdict.MAJOR, Verdict.PERIODIC}))
    settings = Settings(timedelta(days=30, hours=1), designated_institution=True)
    found = [duty.id for duty in duties(matter, settings)]
    assert found == ["public_notice_designated", "public_update", "first_notice", "detailed_report", "periodic_report"]


@pytest.mark.parametrize("name", ["known_at", "impact_started_at", "last_notice_at"])
def test_what_comes_before_the_occurrence_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} .* is before occurred_at"):
        owed(Verdict.MAJOR, **{name: OCCURRED - timedelta(seconds=1)})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{name} has no time zone"):
        owed(Verdict.MAJOR, **{name: datetime(2026, 12, 1)})  # type: ignore[arg-type]  # noqa: DTZ001


def test_an_occurrence_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="occurred_at has no time zone"):
        owed(Verdict.NONE, occurred_at=datetime(2026, 12, 1))  # noqa: DTZ001


moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(tzinfo=JST))  # noqa: DTZ001
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moments, offsets, st.times())
def test_thirty_days_depend_neither_on_the_time_of_day_nor_on_how_the_zone_was_noted(
    moment: datetime, zone: timezone, at: time
) -> None:
    due = thirty_days(moment)
    assert due == moment.date() + timedelta(days=30)
    assert thirty_days(moment.astimezone(zone)) == due
    assert thirty_days(datetime.combine(moment.date(), at, JST)) == due


@given(moments, offsets, st.sets(st.sampled_from(Verdict)), st.sets(st.sampled_from(Verdict)))
def test_no_duty_depends_on_how_the_zone_was_noted_and_all_are_in_order(
    moment: datetime, zone: timezone, verdicts: set[Verdict], possible: set[Verdict]
) -> None:
    settings = Settings(timedelta(minutes=30), designated_institution=True, quiet=NIGHT)
    here = Matter(moment, frozenset(verdicts), frozenset(possible), known_at=moment)
    there = msgspec.structs.replace(here, occurred_at=moment.astimezone(zone), known_at=moment.astimezone(zone))
    found = duties(here, settings)
    assert found == duties(there, settings)
    ends = [duty.due_at or datetime.combine(duty.due_on or date.min, time.max, JST) for duty in found]
    assert ends == sorted(ends)


@given(st.sets(st.sampled_from(Verdict)), st.sets(st.sampled_from(Verdict)))
def test_ruling_something_out_never_adds_a_duty(verdicts: set[Verdict], possible: set[Verdict]) -> None:
    assert owed(*verdicts).keys() <= owed(*verdicts, possible=frozenset(possible)).keys()


def test_every_rule_is_cited_and_what_comes_from_the_press_is_no_law() -> None:
    for rule in shipped().duties:
        assert rule.provision.article.ja
        assert rule.provision.article.en
        assert rule.provision.source
        assert rule.provision.last_checked >= date(2026, 11, 21)
        assert (rule.provision.basis == "guideline") == rule.id.startswith("public_")
    assert shipped().first_day.provision.basis == "practice"


def test_a_file_with_two_versions_two_terms_or_months_without_periods_is_refused() -> None:
    rules = msgspec.json.decode(msgspec.json.encode(shipped()))
    numbers = {rule["id"]: number for number, rule in enumerate(rules["duties"])}
    rules["duties"][numbers["periodic_report"] - 1]["provision"]["valid_to"] = None
    rules["duties"][numbers["detailed_report"]]["minutes"] = 5
    rules["duties"][numbers["near_miss_report"]]["period_end_months"] = [3]
    document = lined_yaml.Document("bad.yaml", rules, {("duties", number): number + 10 for number in numbers.values()})
    with pytest.raises(lined_yaml.FaultyFile) as refused:
        lined_yaml.convert(document, Rules, faults)
    assert [(fault.line - 10, fault.wrong, fault.cure) for fault in refused.value.faults] == [
        (numbers["detailed_report"], "more than one of days, months and minutes", "Keep one"),
        (numbers["near_miss_report"], "months and period_end_months belong together", "Give both or neither"),
        (numbers["periodic_report"], "periodic_report has two versions for one day", "Close the older one with valid_to"),
    ]


@pytest.mark.parametrize(
    ("first_ends", "second_begins", "both"),
    [(date(2026, 4, 1), date(2026, 4, 1), True), (date(2026, 3, 31), date(2026, 4, 1), False)],
)
def test_provisions_overlap_when_they_share_a_single_day(first_ends: date, second_begins: date, both: bool) -> None:
    provision = shipped().duties[0].provision
    first = msgspec.structs.replace(provision, valid_from=None, valid_to=first_ends)
    second = msgspec.structs.replace(provision, valid_from=second_begins, valid_to=None)
    assert first.overlaps(second) == second.overlaps(first) == both
