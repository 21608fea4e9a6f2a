"""Fifteen published outages as we judge them, beside what the ministry decided where that is known."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from docs.markdown import page, table
from receiver.law.rulebook import Rulebook, ServiceFacts, rulebook_named, rulebook_on, shipped
from receiver.law.verdict import Circumstances, Effect, Judgement, judge

INCIDENTS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "tests" / "data" / "real-incidents.json").read_text(encoding="utf-8")
)
_OF_CATEGORY = {
    "一": ServiceFacts("voice", emergency_calls=True),
    "二": ServiceFacts("voice", emergency_calls=False),
    "三": ServiceFacts("cellular_lpwa"),
    "四": ServiceFacts("internet_related", charged=False),
    "五": ServiceFacts("internet_access"),
}
_EFFECTS: dict[str, Effect] = {"stop": "stop", "degradation": "degradation", "mixed": "both"}
_MINISTRY = {True: "重大な事故 / major", False: "重大な事故ではない / not major", "unknown": "不明 / unknown"}
_ABOUT = """\
公表された事故を、発生した日の表と2019年の表で判定した結果です。数は公表のまま（「約」「最大」）で、区分は一覧の作成者によります。判定は
「該当する可能性」であり、結論ではありません。この一覧はテストでもあります（`tests/law/test_real_incidents.py`）。

Published outages by the table of their day and by that of 2019. Counts are as published ("about", "up to"), the row of each service
was assigned by the compiler of the list. A verdict says what may apply, never that it does. The list is a test, too.

- 利用者数・時間が不明なものは、0から上限なしまで / users or time not known: from none to any number.
- 2007年度までは停止のみが対象。混在する事故（ケイ・オプティコム 2005年）の停止の人数は未公表のため、判定できない。
  Until fiscal 2007 only a stop counted; how many of K-Opticom's users in 2005 had a stop is not published: `indeterminate`.
- 自然災害でも設備の損傷は故障に当たりうる（除くのは58条の2だけ）。
  Damage by a natural disaster may be a failure: only Article 58-2 leaves it out."""


def judged(
    incident: dict[str, Any], service: dict[str, Any], book: str | None = None, unknown: timedelta = timedelta()
) -> Judgement:
    """What may apply to one service of an incident, by the table of its day or the one named; a time not known is `unknown`."""
    rulebook = _book(incident, service, book)
    circumstances = Circumstances(effect=_EFFECTS[service["mode"]])
    facts, users, minutes = _OF_CATEGORY[service["art58_category"]], service["affected_users"], service["duration_min"]
    lasted = unknown if minutes is None else timedelta(minutes=minutes)
    return judge(facts, rulebook, lasted, users or 0, users, circumstances)


def incidents() -> str:
    """The page."""
    head = (
        "事故 / Accident",
        "役務 / Service",
        "時間 / Time",
        "利用者 / Users",
        "当時の表 / Table of the day",
        "2019年の表 / of 2019",
        "総務省 / Ministry",
    )
    return page("公表された事故 / Published outages", _ABOUT, table(head, [row for each in INCIDENTS for row in _rows(each)]))


def _book(incident: dict[str, Any], service: dict[str, Any], book: str | None) -> Rulebook:
    if book:
        return rulebook_named(book, shipped())
    return rulebook_on(datetime.fromisoformat(service.get("start") or incident["start"]), shipped())


def _rows(incident: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for number, service in enumerate(incident["services"]):
        users, minutes = service["affected_users"], service["duration_min"]
        source = f"[{incident['operator']} {incident['start'][:10]}]({incident['sources'][0]['url']})"
        rows.append(
            (
                source if number == 0 else "",
                service["service"],
                "?" if minutes is None else f"{minutes // 60} h {minutes % 60:02} min",
                "?" if users is None else f"{users:,}",
                f"{_verdict(incident, service, None)} ({_book(incident, service, None).id})",
                _verdict(incident, service, "JP-TBA58-2019"),
                _MINISTRY[incident["mic_judged_major"]] if number == 0 else "",
            )
        )
    return rows


def _verdict(incident: dict[str, Any], service: dict[str, Any], book: str | None) -> str:
    least = judged(incident, service, book).at_least
    most = judged(incident, service, book, timedelta(days=365)).at_most
    return f"`{least.value}`" if least == most else f"`indeterminate` (`{least.value}`–`{most.value}`)"
