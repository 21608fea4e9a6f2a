"""Whether what a person states can be so: of the text itself, of times, and of facts beside what is known of the incident. Pure."""

import unicodedata
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import get_args

from receiver.catalogue import Catalogue
from receiver.law import near_miss
from receiver.law.causes import Kind
from receiver.law.provisions import JST, NoProvision, in_japan
from receiver.law.wording import clock_time
from receiver.model import Caused, Counted, Deed, EmergencyCalls, Incident, NearMissAnswered, Planned, Timed

SKEW = timedelta(minutes=1)
"""By so much the clock of whoever states a time may be ahead of ours."""
_FIRST_DAY = datetime(1985, 4, 1, tzinfo=JST)
"""The Telecommunications Business Act came into force: nothing before it can be judged by it."""
_FURTHEST_PLAN = timedelta(days=366)
_MOST_USERS = 10**10
NOT_IN_FORCE = "発生の時点で第58条の2は施行されていません。答えるものはありません"
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of what is not seen itself but changes how the rest is read: controls, writing direction, line ends."""


_NAMES = {
    "who": "申告者",
    "why": "理由",
    "equipment": "設備",
    "the start": "発生時刻",
    "the end": "復旧時刻",
    "the beginning of the plan": "計画の開始",
    "the end of the plan": "計画の終了",
}


class Refused(ValueError):
    """An act that cannot be kept, with what is wrong and what to do, in English and Japanese. Nothing of it was."""

    def __init__(self, en: str, ja: str) -> None:
        super().__init__(en)
        self.ja = ja


def check_line(name: str, text: str, most: int) -> None:
    ja = _NAMES.get(name, name)
    if not text.strip():
        raise Refused(f"{name} is empty. Say it in a few words", f"{ja}が空です。短く書いてください")
    if len(text) > most:
        raise Refused(
            f"{name} has {len(text):,} characters. Say it in {most:,}",
            f"{ja}が{len(text):,}文字あります。{most:,}文字以内で書いてください",
        )
    if unseen := next((character for character in text if unicodedata.category(character) in _UNSEEN), None):
        code = f"U+{ord(unseen):04X}"
        raise Refused(
            f"{name} has a character that is not seen ({code}). Write one plain line",
            f"{ja}に見えない文字（{code}）があります。改行や制御文字を含まない1行で書いてください",
        )


def any_of(names: Iterable[str]) -> str:
    return ", ".join(names)


def check_moment(name: str, moment: datetime, now: datetime, ahead: timedelta = SKEW) -> None:
    ja = _NAMES.get(name, name)
    if moment.utcoffset() is None:
        raise Refused(
            f"{name} ({moment.isoformat()}) has no time zone. Give one, as in 2026-11-22T03:10:00+09:00",
            f"{ja}（{moment.isoformat()}）にタイムゾーンがありません。2026-11-22T03:10:00+09:00 のように書いてください",
        )
    if moment < _FIRST_DAY:
        raise Refused(
            f"{name} ({_at(moment)}) is before the Act itself (1985-04-01). Correct the year",
            f"{ja}（{_at(moment)}）が電気通信事業法の施行（1985-04-01）より前です。年を直してください",
        )
    if moment > now + ahead:
        raise Refused(
            f"{name} ({_at(moment)}) lies ahead: it is {clock_time(now)}. Correct day, time or zone",
            f"{ja}（{_at(moment)}）が現在（{clock_time(now)}）より先です。日付、時刻又はタイムゾーンを直してください",
        )


def _at(moment: datetime) -> str:
    try:
        return clock_time(moment)
    except OverflowError:  # the first and the last day of all, of another zone
        return moment.isoformat()


def check_fact(deed: Deed, incident: Incident, hit: Collection[str], catalogue: Catalogue, now: datetime) -> None:
    """Raises Refused. `hit`: the services of the incident."""
    match deed:
        case Caused(kind):
            if kind not in get_args(Kind):
                known = any_of(get_args(Kind))
                raise Refused(
                    f"{kind!r} is no kind of cause. Name {known}", f"{kind!r}という原因はありません。次のいずれかです: {known}"
                )
        case Timed():
            _check_times(incident, deed, now)
        case Counted():
            _check_impact(incident, deed.service, hit, catalogue)
            _check_count(deed, catalogue)
        case Planned(since, until):
            check_moment("the beginning of the plan", since, now, _FURTHEST_PLAN)
            check_moment("the end of the plan", until, now, _FURTHEST_PLAN)
            if since >= until:
                raise Refused(
                    f"the plan ends ({clock_time(until)}) before it begins ({clock_time(since)}). Correct one of the two",
                    f"計画の終了（{clock_time(until)}）が開始（{clock_time(since)}）より後ではありません。どちらかを直してください",
                )
        case EmergencyCalls(service):
            _check_impact(incident, service, hit, catalogue)
            if catalogue.by_name[service].emergency_calls is not True:
                raise Refused(
                    f"by the catalogue {service} carries no emergency calls. Correct the catalogue, or name another",
                    f"カタログでは{service}は緊急通報を扱いません。カタログを直すか、別の役務を指定してください",
                )
        case NearMissAnswered(answers, withdrawn):
            _check_answers(incident, answers, withdrawn)


def _check_times(incident: Incident, deed: Timed, now: datetime) -> None:
    if deed.started_at is None and deed.restored_at is None:
        raise Refused(
            "neither a start nor an end is given. Give one of them, or both",
            "発生時刻も復旧時刻もありません。少なくとも一方を指定してください",
        )
    for name, moment in (("the start", deed.started_at), ("the end", deed.restored_at)):
        if moment is not None:
            check_moment(name, moment, now)
    started_at, restored_at = deed.started_at or incident.failure_started_at, deed.restored_at or incident.restored_at
    if restored_at is not None and restored_at < started_at:
        raise Refused(
            f"the end ({clock_time(restored_at)}) would be before the start ({clock_time(started_at)}). Correct one of the two",
            f"復旧（{clock_time(restored_at)}）が発生（{clock_time(started_at)}）より前になります。どちらかを直してください",
        )


def _check_count(deed: Counted, catalogue: Catalogue) -> None:
    for number in (deed.users, deed.stopped, deed.degraded):
        if number is not None and not 0 <= number <= _MOST_USERS:
            what, ja = (f"{number:,}", f"{number:,}") if abs(number) < 10**20 else ("that", "その値")
            raise Refused(
                f"{what} is no number of users. Write a whole number from 0 to {_MOST_USERS:,}",
                f"{ja}は利用者数ではありません。0から{_MOST_USERS:,}までの整数で書いてください",
            )
    most = catalogue.by_name[deed.service].users_total
    if most is not None and deed.users > most:
        raise Refused(
            f"{deed.users:,} are more than the {most:,} users {deed.service} has by the catalogue. Correct one of the two",
            f"{deed.users:,}人は、カタログにある{deed.service}の利用者数{most:,}人を超えます。どちらかを直してください",
        )
    if (deed.stopped or 0) + (deed.degraded or 0) > deed.users:
        raise Refused(
            f"those of a stop and of a degradation are more than the {deed.users:,} in all. Correct one of them",
            f"停止と品質の低下の合計が全体の{deed.users:,}人を超えます。いずれかを直してください",
        )


def _check_answers(incident: Incident, answers: near_miss.Answers, withdrawn: Collection[near_miss.Fact]) -> None:
    if answers == near_miss.Answers() and not withdrawn:
        raise Refused(
            "no question is answered. Answer one with yes or no",
            "答えられた質問がありません。一つ以上に「はい」か「いいえ」で答えてください",
        )
    if both := [fact for fact in withdrawn if answers.to(fact) is not None]:
        raise Refused(
            f"{both[0]} is answered and withdrawn at once. Say one of the two",
            f"{both[0]}の回答と取消しが同時にあります。どちらかにしてください",
        )
    try:
        near_miss.shipped().on(in_japan(incident.failure_started_at, "the start").date())
    except NoProvision as error:
        raise Refused(f"{error}, when this began. There is nothing to answer", NOT_IN_FORCE) from None


def _check_impact(incident: Incident, service: str, hit: Collection[str], catalogue: Catalogue) -> None:
    if service not in hit or service not in catalogue.by_name:
        there = any_of(name for name in catalogue.by_name if name in hit)
        raise Refused(
            f"{incident.id} does not hit {service!r}: its services are {there or 'none of the catalogue'}. Name one of these",
            f"{service!r}は{incident.id}の対象ではありません。対象: {there or 'カタログにはなし'}。この中から指定してください",
        )
