"""Verdicts in words, Japanese and English. Nothing here states a legal conclusion: what may apply is said, a person decides."""

from datetime import datetime, timedelta
from functools import lru_cache

from receiver.law.counting import CountedBy
from receiver.law.impairment import State
from receiver.law.provisions import JST, Text
from receiver.law.rulebook import Condition, Kind
from receiver.law.verdict import Cause, Effect, Verdict

VERDICTS: dict[Verdict, Text] = {
    Verdict.MAJOR: Text("重大な事故に該当する可能性（要判断）", "may apply as a major accident (重大な事故): a person decides"),
    Verdict.NEAR_MISS: Text(
        "重大な事故が生ずるおそれのある事態に該当する可能性（要判断）",
        "may apply as a near-miss (おそれ事態): a person decides",
    ),
    Verdict.PERIODIC: Text(
        "定期報告の対象に該当する可能性（要判断）", "may belong in the periodic report (定期報告): a person decides"
    ),
    Verdict.NONE: Text("現時点で報告の基準に達していない（要確認）", "below the reporting thresholds so far: a person confirms"),
    Verdict.INDETERMINATE: Text("判定できない（要判断）", "cannot be told yet: a person decides"),
}

METHODS: dict[CountedBy, Text] = {
    "stated": Text("人の申告", "stated by a person"),
    "direct": Text("利用できなかった利用者の実数", "users who tried and could not use it"),
    "traffic_difference": Text("トラフィックの差からの推計", "estimated from the missing traffic"),
    "conference_probability": Text("会議の開催確率からの推計", "estimated from the chance of hosting a meeting"),
    "call_shortfall": Text("通話の不足からの推計", "estimated from the missing calls"),
    "missing_registrations": Text("登録者数の不足", "missing registrations"),
    "emergency_call_loss": Text("配下の全利用者×呼損率（緊急通報）", "all users under it × call-loss rate (emergency calls)"),
    "host_entitled_accounts": Text("主催権限のあるアカウント数", "accounts entitled to host"),
    "all_under_equipment": Text("故障した設備の配下の全利用者", "all users under the failed equipment"),
    "emergency_all_under_equipment": Text(
        "故障した設備の配下の全利用者（緊急通報）", "all users under the failed equipment (emergency calls)"
    ),
}

CAUSES: dict[Cause, Text] = {
    "telecom_equipment_failure": Text("電気通信設備の故障", "failure of telecommunications equipment"),
    "non_telecom_equipment_failure": Text("電気通信設備以外の設備の故障", "failure of other equipment"),
    "no_failure": Text("故障ではない", "no failure"),
    "unknown": Text("原因不明（故障として判定）", "cause unknown, judged as a failure"),
}
EFFECTS: dict[Effect, Text] = {
    "stop": Text("役務の停止", "stop"),
    "degradation": Text("品質の低下", "degradation"),
    "both": Text("役務の停止及び品質の低下", "stop and degradation"),
    "unknown": Text("役務の停止又は品質の低下", "stop or degradation"),
}
STATES: dict[State, Text] = {
    "stop": Text("役務の停止", "a stop"),
    "degradation": Text("品質の低下", "a degradation"),
    "normal": Text("通常の範囲", "normal"),
    "unknown": Text("不明", "not known"),
}
KINDS: dict[Kind, Text] = {
    "voice": Text("音声伝送", "voice"),
    "cellular_lpwa": Text("セルラーLPWA", "cellular LPWA"),
    "unlicensed_lpwa": Text("アンライセンスLPWA", "unlicensed LPWA"),
    "email": Text("電子メール", "e-mail"),
    "messaging": Text("メッセージ", "messaging"),
    "internet_related": Text("インターネット関連サービス", "internet-related service"),
    "internet_access": Text("インターネット接続", "internet access"),
    "other": Text("その他", "other"),
}


def users(number: int | None) -> Text:
    """`123456` as 123,456人 and 123,456 users; None as an open upper end. Never rounded."""
    if number is None:
        return Text("上限不明", "no known upper limit")
    return Text(f"{number:,}人", f"{number:,} users")


def users_between(least: int, most: int | None) -> Text:
    """A number of users that lies from `least` to `most` (None: no upper bound)."""
    if least == most:
        return users(least)
    if most is None:
        return Text(f"{least:,}人以上、上限不明", f"at least {least:,} users, no known upper limit")
    return Text(f"{least:,}人以上{most:,}人以下", f"from {least:,} to {most:,} users")


def length(duration: timedelta) -> Text:
    """A length of time in hours, minutes and seconds; parts of a second are cut off, as they never help to reach a limit."""
    minutes, seconds = divmod(duration.days * 86400 + duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return Text(f"{hours}時間{minutes:02}分{seconds:02}秒", f"{hours} h {minutes:02} min {seconds:02} s")


def clock_time(moment: datetime) -> str:
    """A moment as it stands in a report: 2026-11-21 18:00:05 JST."""
    return moment.astimezone(JST).strftime("%Y-%m-%d %H:%M:%S JST")


GONE = "the series that counted the users is gone"
JOINED_LATER = "equipment joined whose users were not counted"
NO_SERIES = "no series gives the users of this equipment"
NO_SERIES_OF = "no series gives the users of: "
"""Of several pieces of equipment, with the names of those."""
NOBODY_LOOKED = "nobody is hit now, and how many were before was not measured"
OWN_FAULT = "the receiver met a fault of its own: see its log"
RECOVERED_FIRST = "the service recovered before its users could be measured"
_PROBLEMS = {
    GONE: "利用者数を数えていた系列がなくなった",
    JOINED_LATER: "利用者数を数えていない設備が加わった",
    NOBODY_LOOKED: "現在影響を受けている利用者は0人。それまでの利用者数は計測されていない",
    OWN_FAULT: "受信機自身の障害（ログを参照）",
    NO_SERIES: "この設備の利用者数を示す系列がない",
    RECOVERED_FIRST: "利用者数を計測する前に役務が復旧した",
}


def problem(why: str) -> Text:
    """Why users could not be measured; what Prometheus said of it stays as it said it."""
    if why.startswith(NO_SERIES_OF):
        return Text(f"利用者数を示す系列がない設備: {why.removeprefix(NO_SERIES_OF)}", why)
    return Text(_PROBLEMS.get(why, why), why)


@lru_cache(1024)
def condition(of_a_row: Condition) -> Text:
    """What one condition of a row asks for."""
    spell, number = length(of_a_row.duration), users(of_a_row.users)
    return Text(f"{spell.ja}以上かつ{number.ja}以上", f"at least {spell.en} and at least {number.en}")
