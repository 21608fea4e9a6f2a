"""How long an accident lasted: from the failure to the recovery, whatever improved, was announced or had to be restarted."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.law.duration import ANNOUNCED, IMPROVEMENT, SLA_MET, START_AND_END, Course, Duration, Interval, Sla, by_start, measure
from receiver.law.provisions import JST

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
FAILED = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
KDDI = Course(
    failed_at=datetime(2022, 7, 2, 1, 35, tzinfo=JST),
    restored_at=datetime(2022, 7, 4, 15, 0, tzinfo=JST),
    announced_at=datetime(2022, 7, 5, 15, 36, tzinfo=JST),
)


def after(**since_failure: float) -> datetime:
    return FAILED + timedelta(**since_failure)


def spell(start: float, end: float) -> Interval:
    """From so many minutes after the failure to so many."""
    return Interval(after(minutes=start), after(minutes=end))


def course(
    *,
    hours: float = 4,
    impact: datetime | None = None,
    improvements: tuple[Interval, ...] = (),
    sla: Sla | None = None,
    announced_at: datetime | None = None,
    user_action_needed: bool = False,
) -> Course:
    return Course(FAILED, after(hours=hours), impact, announced_at, user_action_needed, improvements, sla)


def flags(duration: Duration) -> set[str]:
    return {flag.code for flag in duration.flags}


def test_kddi_2022_lasted_61_hours_25_minutes_although_recovery_was_announced_a_day_later() -> None:
    duration = measure(KDDI)
    assert duration.counted == duration.whole == timedelta(hours=61, minutes=25)
    assert duration.announced_at == KDDI.announced_at
    assert flags(duration) == set()


def test_the_arithmetic_is_shown_in_both_languages_with_its_sources() -> None:
    arithmetic = measure(KDDI).arithmetic
    assert arithmetic.ja == (
        "2022-07-04 15:00:00 JST（役務の復旧）−2022-07-02 01:35:00 JST（設備の故障）=61時間25分00秒。"
        "復旧の発表（2022-07-05 15:36:00 JST）は終点ではない。"
        "根拠: 論点整理(案) 論点(2)① 事故の継続時間の起点と終点"
        "（ガイドライン、論点整理(案)（2023年4月5日）による。最終版は未確認）、"
        "KDDI 2022年7月2日の事故の報告（運用、二次資料による）。"
    )
    assert arithmetic.en == (
        "2022-07-04 15:00:00 JST (service restored) - 2022-07-02 01:35:00 JST (failure) = 61 h 25 min 00 s. "
        "recovery announced at 2022-07-05 15:36:00 JST is not the end. "
        "Basis: draft, point (2)(i): start and end of the duration (guideline, known from the draft of 2023-04-05 only), "
        "KDDI's report on the accident of 2022-07-02 (practice, from secondary sources)."
    )


@pytest.mark.parametrize(
    ("of", "citations"),
    [
        (course(), (START_AND_END,)),
        (course(improvements=(spell(1, 2),)), (START_AND_END, IMPROVEMENT)),
        (course(sla=Sla("gold", ())), (START_AND_END, SLA_MET)),
        (course(announced_at=after(hours=5)), (START_AND_END, ANNOUNCED)),
    ],
)
def test_only_the_rules_that_were_used_are_cited(of: Course, citations: tuple[object, ...]) -> None:
    assert measure(of).citations == citations


@pytest.mark.parametrize("rule", [START_AND_END, IMPROVEMENT, SLA_MET])
def test_what_is_known_only_from_the_draft_says_so(rule: object) -> None:
    assert (rule.evidence, rule.basis) == ("draft", "guideline")  # type: ignore[attr-defined]


def test_an_accident_that_lasts_is_counted_to_the_present() -> None:
    duration = measure(Course(FAILED), now=after(hours=3))
    assert (duration.counted, duration.counted_to, duration.ongoing) == (3 * HOUR, after(hours=3), True)
    assert "JST（現在、継続中）−" in duration.arithmetic.ja
    assert "JST (now, it lasts) - " in duration.arithmetic.en


def test_an_accident_that_is_over_is_not_counted_to_the_present() -> None:
    duration = measure(course(hours=4), now=after(hours=30))
    assert (duration.counted, duration.ongoing) == (4 * HOUR, False)


def test_an_announcement_does_not_end_an_accident_that_lasts() -> None:
    duration = measure(Course(FAILED, announced_at=after(hours=1)), now=after(hours=3))
    assert duration.counted == 3 * HOUR
    assert flags(duration) == {"announced_before_recovery"}


def test_recovery_announced_before_it_came_is_flagged() -> None:
    assert flags(measure(course(announced_at=after(hours=3)))) == {"announced_before_recovery"}
    assert flags(measure(course(announced_at=after(hours=4)))) == set()


def test_a_restart_by_the_user_does_not_extend_it() -> None:
    duration = measure(course(user_action_needed=True))
    assert duration.counted == measure(course()).counted
    assert "。端末の再起動等の利用者の操作に要した時間は含まない。" in duration.arithmetic.ja
    assert ". the time users needed to restart their devices is not part of it. " in duration.arithmetic.en
    assert "restart" not in measure(course()).arithmetic.en


def test_temporary_improvement_is_kept_but_not_subtracted() -> None:
    duration = measure(course(improvements=(spell(60, 90), spell(10, 20))))
    assert duration.counted == 4 * HOUR
    assert duration.improved == 40 * MINUTE
    assert duration.improvements == (spell(10, 20), spell(60, 90))
    assert "一時的に改善した0時間40分00秒は除外しない" in duration.arithmetic.ja


def test_time_within_the_sla_is_subtracted_when_the_public_was_told_the_same() -> None:
    duration = measure(course(sla=Sla("gold", (spell(30, 60), spell(60, 75)), agrees_with_public_notice=True)))
    assert (duration.whole, duration.subtracted, duration.counted) == (4 * HOUR, 45 * MINUTE, 4 * HOUR - 45 * MINUTE)
    assert flags(duration) == set()
    assert "4時間00分00秒−SLAを満たした0時間45分00秒=3時間15分00秒" in duration.arithmetic.ja
    assert "4 h 00 min 00 s - 0 h 45 min 00 s within the SLA = 3 h 15 min 00 s" in duration.arithmetic.en


@pytest.mark.parametrize(("agrees", "flag"), [(False, "sla_notice_disagrees"), (None, "sla_notice_unconfirmed")])
def test_time_within_the_sla_is_not_subtracted_unless_the_public_was_told_the_same(agrees: bool | None, flag: str) -> None:
    duration = measure(course(sla=Sla("gold", (spell(30, 60),), agrees)))
    assert (duration.counted, duration.subtracted) == (4 * HOUR, timedelta())
    assert flags(duration) == {flag}


def test_an_sla_that_was_never_met_raises_no_question() -> None:
    assert flags(measure(course(sla=Sla("gold", ())))) == set()


def test_improvement_and_sla_may_cover_the_same_time() -> None:
    duration = measure(course(improvements=(spell(0, 60),), sla=Sla("gold", (spell(30, 90),), agrees_with_public_notice=True)))
    assert duration.counted == 3 * HOUR


def test_the_start_of_service_impact_is_kept_beside_the_failure_and_flagged() -> None:
    duration = measure(course(impact=after(hours=3)))
    assert (duration.counted, duration.from_impact) == (4 * HOUR, 1 * HOUR)
    assert duration.impact_started_at == after(hours=3)
    (flag,) = duration.flags
    assert flag.code == "impact_after_failure"
    assert flag.text.ja == "役務への影響の開始から数えると1時間00分00秒（要判断）"
    assert flag.text.en == "counted from the start of service impact it is 1 h 00 min 00 s: a person decides"


def test_an_impact_from_the_failure_on_raises_no_question() -> None:
    duration = measure(course(impact=FAILED))
    assert (duration.from_impact, flags(duration)) == (4 * HOUR, set())


def test_from_the_impact_only_the_sla_time_after_it_is_subtracted() -> None:
    sla = Sla("gold", (spell(0, 30), spell(50, 80), spell(100, 110)), agrees_with_public_notice=True)
    duration = measure(course(hours=2, impact=after(hours=1), sla=sla))
    assert (duration.counted, duration.from_impact) == (50 * MINUTE, 30 * MINUTE)


def test_a_verdict_that_hangs_on_the_start_is_shown_with_both_readings() -> None:
    found = by_start(measure(course(impact=after(hours=3))), lambda spell: "major" if spell >= 2 * HOUR else "none")
    assert (found.from_failure, found.verdict_from_failure) == (4 * HOUR, "major")
    assert (found.from_impact, found.verdict_from_impact) == (1 * HOUR, "none")
    assert found.differs


def test_a_verdict_that_is_the_same_from_either_start_does_not_differ() -> None:
    found = by_start(measure(course(impact=after(hours=2))), lambda spell: spell >= 2 * HOUR)
    assert (found.differs, found.verdict_from_impact) == (False, True)


def test_with_no_impact_start_known_there_is_nothing_to_compare() -> None:
    found = by_start(measure(course()), lambda spell: "major")
    assert (found.differs, found.from_impact, found.verdict_from_impact) == (False, None, None)
    assert (found.from_failure, found.verdict_from_failure) == (4 * HOUR, "major")


NAIVE = datetime(2026, 11, 21, 12)  # noqa: DTZ001 - a time without zone is what is refused


@pytest.mark.parametrize(
    ("of", "now", "wrong"),
    [
        (Course(FAILED), None, "^the accident has no restored_at: give the present time as now$"),
        (Course(FAILED, after(seconds=-1)), None, "restored_at .* is before failed_at"),
        (Course(FAILED), after(seconds=-1), "now .* is before failed_at"),
        (course(hours=4), after(hours=3), "restored_at .* is after now"),
        (course(impact=after(seconds=-1)), None, "impact_started_at .* lies outside"),
        (course(impact=after(hours=4, seconds=1)), None, "impact_started_at .* lies outside"),
        (course(announced_at=after(seconds=-1)), None, "announced_at .* is before failed_at"),
        (course(improvements=(spell(10, 10),)), None, r"improvements\[0\] ends at"),
        (course(improvements=(spell(1, 2), spell(20, 10))), None, r"improvements\[1\] ends at"),
        (course(improvements=(spell(-1, 10),)), None, r"improvements\[0\].* lies outside"),
        (course(improvements=(spell(239, 241),)), None, r"improvements\[0\].* lies outside"),
        (course(improvements=(spell(30, 60), spell(10, 31))), None, "improvements: .* overlaps"),
        (course(sla=Sla("gold", (spell(10, 30), spell(29, 40)))), None, "sla.met: .* overlaps"),
        (Course(NAIVE), FAILED, "failed_at has no time zone"),
        (Course(FAILED, NAIVE), None, "restored_at has no time zone"),
        (Course(FAILED), NAIVE, "now has no time zone"),
        (course(impact=NAIVE), None, "impact_started_at has no time zone"),
        (course(announced_at=NAIVE), None, "announced_at has no time zone"),
        (course(improvements=(Interval(NAIVE, FAILED),)), None, r"improvements\[0\].start has no time zone"),
        (course(sla=Sla("gold", (Interval(FAILED, NAIVE),))), None, r"sla.met\[0\].end has no time zone"),
    ],
)
def test_what_cannot_be_is_refused_by_name(of: Course, now: datetime | None, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        measure(of, now)


def test_intervals_that_touch_each_other_and_the_ends_are_taken() -> None:
    assert measure(course(hours=1, improvements=(spell(0, 30), spell(30, 60)))).improved == HOUR


def test_what_happens_at_the_very_start_or_end_is_taken() -> None:
    assert measure(Course(FAILED, FAILED, FAILED, FAILED)).counted == timedelta()
    assert measure(Course(FAILED), now=FAILED).counted == timedelta()
    assert measure(course(impact=after(hours=4))).from_impact == timedelta()


cuts = st.lists(st.integers(0, 240 * 60), min_size=2, max_size=10, unique=True).map(sorted)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def _spells(cuts: list[int]) -> tuple[Interval, ...]:
    return tuple(Interval(after(seconds=a), after(seconds=b)) for a, b in zip(cuts[::2], cuts[1::2], strict=False))


@given(cuts)
def test_no_improvement_ever_shortens_an_accident(cuts: list[int]) -> None:
    improvements = _spells(cuts)
    assert measure(course(improvements=improvements)).counted == measure(course(improvements=improvements[1:])).counted == 4 * HOUR


@given(cuts, st.integers(0, 240 * 60))
def test_the_duration_lies_between_nothing_and_the_whole_and_the_impact_never_makes_it_longer(cuts: list[int], impact: int) -> None:
    sla = Sla("gold", _spells(cuts), agrees_with_public_notice=True)
    duration = measure(course(impact=after(seconds=impact), sla=sla))
    assert duration.from_impact is not None
    assert timedelta() <= duration.from_impact <= duration.counted <= duration.whole == 4 * HOUR
    assert duration.counted + duration.subtracted == duration.whole


@given(offsets, offsets)
def test_the_time_zone_in_which_it_was_noted_changes_nothing(one: timezone, other: timezone) -> None:
    written = Course(FAILED.astimezone(one), after(hours=4).astimezone(other), after(hours=1).astimezone(other))
    assert measure(written) == measure(course(impact=after(hours=1)))
