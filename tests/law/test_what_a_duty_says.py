"""What an operator reads of a duty: how its time comes about, to whom, and by which text of the day."""

from datetime import date, datetime, time, timedelta, tzinfo

import msgspec
import pytest

from receiver.law.deadlines import Duty, Matter, QuietWindow, Settings, duties, next_update, thirty_days
from receiver.law.provisions import JST, Text, in_japan
from receiver.law.provisions.deadlines import Rule, Rules, shipped
from receiver.law.verdict import Verdict

OCCURRED = datetime(2026, 11, 18, 12, tzinfo=JST)
EVERYTHING = frozenset({Verdict.MAJOR, Verdict.PERIODIC})
NIGHT = QuietWindow(time(23), time(6))


def owed(matter: Matter, settings: Settings | None = None, rules: Rules | None = None) -> dict[str, Duty]:
    return {duty.id: duty for duty in duties(matter, settings, rules)}


def changed(**changes: object) -> Rules:
    """The duties that are shipped, the newest version of each with other values."""
    newest = {rule.id: rule for rule in shipped().duties}
    duties = tuple(msgspec.structs.replace(rule, **changes) for rule in newest.values())
    return msgspec.structs.replace(shipped(), duties=duties)


def provided(rule: Rule, **changes: object) -> Rule:
    return msgspec.structs.replace(rule, provision=msgspec.structs.replace(rule.provision, **changes))


MATTERS = [
    Matter(OCCURRED, EVERYTHING),
    Matter(OCCURRED, EVERYTHING, upstream_major=True, last_notice_at=OCCURRED),
    Matter(OCCURRED, frozenset({Verdict.NEAR_MISS})),
]


@pytest.mark.parametrize("matter", MATTERS)
@pytest.mark.parametrize("designated", [False, True])
def test_every_duty_is_taken_from_the_text_of_its_day_and_says_how_well_that_is_known(matter: Matter, designated: bool) -> None:
    settings, day = Settings(designated_institution=designated), OCCURRED.date()
    dated = tuple(
        provided(rule, valid_from=day, valid_to=day, read_from=day + timedelta(days=1))
        for rule in {rule.id: rule for rule in shipped().duties}.values()
    )
    found = owed(matter, settings, msgspec.structs.replace(shipped(), duties=dated))
    assert found.keys() == owed(matter, settings).keys()
    assert {duty.citation.evidence for duty in found.values()} == {"assumed"}
    assert {id_: duty.to_whom for id_, duty in found.items()} == {rule.id: rule.to for rule in dated if rule.id in found}


def test_a_report_is_due_after_the_days_that_its_text_names() -> None:
    found = owed(Matter(OCCURRED, EVERYTHING), rules=changed(days=20, months=None, minutes=None))
    assert found["detailed_report"].due_on == date(2026, 12, 8)


def test_without_a_text_on_the_notice_nothing_is_said_about_its_updates() -> None:
    for missing in ("public_notice", "public_update"):
        rules = msgspec.structs.replace(shipped(), duties=tuple(rule for rule in shipped().duties if rule.id != missing))
        assert list(owed(Matter(OCCURRED, EVERYTHING), rules=rules)) == ["first_notice", "detailed_report", "periodic_report"]


def test_a_near_miss_that_is_open_in_every_way_has_every_flag() -> None:
    report = owed(Matter(OCCURRED, frozenset(), frozenset({Verdict.MAJOR, Verdict.NEAR_MISS})))["near_miss_report"]
    assert [flag.code for flag in report.flags] == ["verdict_open", "not_if_major", "known_day_missing"]


@pytest.mark.parametrize(
    ("matter", "settings", "duty", "why"),
    [
        (
            Matter(OCCURRED, EVERYTHING),
            Settings(first_notice_target=timedelta(minutes=45)),
            "first_notice",
            Text(
                "速やかに。法令に時間の定めはない。自社の目標: 2026-11-18 12:00:00 JSTから0時間45分00秒以内",
                "promptly: the law names no number. The operator's own target: within 0 h 45 min 00 s of 2026-11-18 12:00:00 JST",
            ),
        ),
        (
            Matter(OCCURRED, EVERYTHING),
            Settings(),
            "public_notice",
            Text("可能な限り速やかに。時間の定めは確認できていない", "as early as possible: no number was found"),
        ),
        (
            Matter(OCCURRED, EVERYTHING),
            Settings(),
            "public_update",
            Text("初報の時刻が記録されていない", "the time of the first notice is not recorded"),
        ),
        (
            Matter(OCCURRED, EVERYTHING),
            Settings(designated_institution=True),
            "public_notice_designated",
            Text("2026-11-18 12:00:00 JSTから原則30分以内", "in principle within 30 minutes of 2026-11-18 12:00:00 JST"),
        ),
        (
            Matter(OCCURRED, EVERYTHING),
            Settings(designated_institution=True),
            "public_update",
            Text(
                "初報の期限（2026-11-18 12:30:00 JST）から60分",
                "60 minutes after when the first is due (2026-11-18 12:30:00 JST)",
            ),
        ),
        (
            Matter(OCCURRED, EVERYTHING, last_notice_at=datetime(2026, 11, 18, 22, 30, tzinfo=JST)),
            Settings(quiet=NIGHT),
            "public_update",
            Text(
                "前回の周知（2026-11-18 22:30:00 JST）から60分、深夜・早朝の時間帯の終わりまで延期",
                "60 minutes after the last notice (2026-11-18 22:30:00 JST), put off to the end of the quiet window",
            ),
        ),
    ],
)
def test_it_says_how_its_time_comes_about(matter: Matter, settings: Settings, duty: str, why: Text) -> None:
    assert owed(matter, settings)[duty].why == why


def test_an_update_of_unknown_time_has_the_flags_of_its_text() -> None:
    assert [flag.code for flag in owed(Matter(OCCURRED, EVERYTHING))["public_update"].flags] == ["guideline_not_read"]


def test_a_time_without_zone_is_refused_by_its_name() -> None:
    naive = OCCURRED.replace(tzinfo=None)
    with pytest.raises(ValueError, match=r"^moment has no time zone: 2026-11-18T12:00:00$"):
        thirty_days(naive)
    with pytest.raises(ValueError, match=r"^last has no time zone: 2026-11-18T12:00:00$"):
        next_update(naive, timedelta(hours=1), None)


class Nowhere(tzinfo):
    """A zone that does not know its offset: to Python its times are as naive as those without a zone."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None


def test_a_zone_that_does_not_know_its_offset_is_none() -> None:
    with pytest.raises(ValueError, match="at has no time zone"):
        in_japan(OCCURRED.replace(tzinfo=Nowhere()), "at")
