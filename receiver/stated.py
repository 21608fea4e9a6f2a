"""What persons have stated about an incident: the latest word on each fact stands, and none is erased. Pure.

It is folded from the acts whenever it is needed; who said what, when and why stays with each fact.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec

from receiver.law import near_miss
from receiver.law.causes import Kind, cause
from receiver.law.near_miss import Answers, NearMiss
from receiver.law.provisions import NoProvision, Text
from receiver.law.wording import clock_time, users
from receiver.model import (
    RECEIVER,
    Act,
    Caused,
    Closed,
    Counted,
    Deed,
    Dismissed,
    Drilled,
    EmergencyCalls,
    Merged,
    NearMissAnswered,
    Opened,
    Planned,
    Reopened,
    Split,
    Timed,
    Withdrawn,
)

Fact = tuple[str, str]
"""What is stated, and of which service or question where there are several: ("users", "voice"), ("cause", "")."""


class Stated(msgspec.Struct, frozen=True):
    """What stands by the word of persons: None, or empty, where nobody said anything.

    `cause` is the kind that was named; which one is judged also hangs on the plan. `users` and `emergency_calls` are by service.
    `near_miss` has every answer that stands. `is_going_on`: it is not over, whatever the alerts say; `is_closed`:
    nothing is to be done any more. A reopening takes back a dismissal or a close if there is one, else the recovery.
    `by` are the acts that say so, fact by fact; `last` is the id of the last act of all.
    """

    cause: Kind | None = None
    started_at: datetime | None = None
    restored_at: datetime | None = None
    users: dict[str, Counted] = {}
    planned: Planned | None = None
    drill: bool = False
    is_going_on: bool = False
    is_closed: bool = False
    emergency_calls: dict[str, bool] = {}
    near_miss: Answers | None = None
    by: dict[Fact, Act] = {}
    last: int | None = None

    @property
    def plan_ends_at(self) -> datetime | None:
        """When planned work is to be over: from then on it may be judged otherwise."""
        return self.planned.until if self.planned else None

    def about(self, service: str) -> tuple[Text, ...]:
        """What stands of the incident and of this service, each with who said so, when and why, in the order of saying."""
        acts = {act.id: act for (fact, of), act in self.by.items() if fact != "near_miss" and of in ("", service)}
        return tuple(in_words(acts[id_]) for id_ in sorted(acts))


def stated(acts: Iterable[Act]) -> Stated:
    """The fold of all acts on an incident. The order in which they are given does not matter: that of their ids does."""
    facts: dict[str, object] = {}
    counts: dict[str, Counted] = {}
    calls: dict[str, bool] = {}
    answers: dict[str, bool] = {}
    by: dict[Fact, Act] = {}
    dismissed, last = False, None
    for act in sorted(acts, key=lambda act: act.id):
        last = act.id
        match act.deed:
            case Counted() as counted:
                counts[counted.service] = counted
                by["users", counted.service] = act
            case EmergencyCalls(service, affected):
                calls[service] = affected
                by["emergency_calls", service] = act
            case NearMissAnswered(given, withdrawn):
                for fact in withdrawn:
                    answers.pop(fact, None)
                    by.pop(("near_miss", fact), None)
                new = {fact: answer for fact, answer in msgspec.structs.asdict(given).items() if answer is not None}
                answers |= new
                by |= {("near_miss", fact): act for fact in new}
            case Withdrawn(withdrawn_facts):
                _take_back(facts, by, *withdrawn_facts)
            case Dismissed():
                dismissed = True
            case Reopened() if dismissed or "is_closed" in facts:
                dismissed = False
                _take_back(facts, by, "is_closed")
            case Reopened():
                _take_back(facts, by, "restored_at")
                facts["is_going_on"] = True
                by["is_going_on", ""] = act
            case deed:
                if isinstance(deed, Timed) and deed.restored_at:
                    _take_back(facts, by, "is_going_on")
                new_facts = _facts(deed)
                facts |= new_facts
                by |= {(fact, ""): act for fact in new_facts}
    near = Answers(**answers) if answers else None
    return Stated(**facts, users=counts, emergency_calls=calls, near_miss=near, by=by, last=last)  # type: ignore[arg-type]


def _take_back(facts: dict[str, object], by: dict[Fact, Act], *taken: str) -> None:
    for fact in taken:
        facts.pop(fact, None)
        by.pop((fact, ""), None)


def _facts(deed: Deed) -> dict[str, object]:
    """What is stated of the incident as a whole."""
    match deed:
        case Caused(kind):
            return {"cause": kind}
        case Timed(started_at, restored_at):
            times = {"started_at": started_at, "restored_at": restored_at}
            return {fact: at for fact, at in times.items() if at is not None}
        case Planned():
            return {"planned": deed}
        case Drilled():
            return {"drill": True}
        case Closed():
            return {"is_closed": True}
    return {}


def near_miss_of(stated: Stated, occurred_at: datetime) -> NearMiss | None:
    """Whether it may be a near-miss by the answers of persons; None where nobody answered, or before the article existed."""
    if stated.near_miss is None:
        return None
    try:
        return near_miss.assess(stated.near_miss, occurred_at)
    except NoProvision:
        return None


def in_words(act: Act) -> Text:
    """An act as one line: what, by whom, when and why. What persons typed is in it as they typed it."""
    did, at = deed_in_words(act.deed), clock_time(act.at)
    if act.who == RECEIVER:
        ja, _, en = act.why.partition(" / ")
        return Text(f"{did.ja}（{at}、{act.who}による: {ja}）", f"{did.en} (by {act.who} at {at}: {en or ja})")
    return Text(f"{did.ja}（{at}、{act.who}の申告: {act.why}）", f"{did.en} (stated by {act.who} at {at}: {act.why})")


def deed_in_words(deed: Deed) -> Text:
    match deed:
        case Opened(services, equipment, started_at, apart):
            what = f"{', '.join(services)}{f', {equipment}' if equipment else ''}, {clock_time(started_at)}"
            other = Text("（既知の障害とは別）", " (another than those known)") if apart else Text("", "")
            return Text(f"アラートのない障害: {what}{other.ja}", f"an outage that no alert tells of: {what}{other.en}")
        case Caused(kind):
            named = cause(kind).text
            return Text(f"原因: {named.ja}", f"cause: {named.en}")
        case Timed(started_at, restored_at):
            return _times(started_at, restored_at)
        case Withdrawn(facts):
            ja, en = "、".join(_FACTS[fact].ja for fact in facts), ", ".join(_FACTS[fact].en for fact in facts)
            return Text(f"申告の取消し: {ja}", f"withdrawn: {en}")
        case Counted():
            return _count(deed)
        case Planned(since, until):
            window = f"{clock_time(since)} – {clock_time(until)}"
            return Text(f"計画された工事: {window}", f"planned work: {window}")
        case Drilled():
            return Text("訓練", "a drill")
        case EmergencyCalls(service, affected):
            hit = Text("あり", "affected") if affected else Text("なし", "not affected")
            return Text(f"緊急通報への影響（{service}）: {hit.ja}", f"emergency calls over {service}: {hit.en}")
        case NearMissAnswered(answers, withdrawn):
            return _answers(answers, withdrawn)
        case Merged(part, whole):
            return Text(f"{part}を{whole}に統合", f"{part} became part of {whole}")
        case Split(part, whole, alerts):
            return Text(
                f"{whole}から{part}を分離（アラート{len(alerts)}件）", f"{part} was parted from {whole} ({len(alerts)} alerts)"
            )
        case Dismissed():
            return Text("誤報として取下げ", "dismissed as a false alarm")
        case Reopened():
            return Text("再開", "reopened")
        case Closed():
            return Text("終結", "closed")


_FACTS = {
    "started_at": Text("故障の発生", "the stated start"),
    "restored_at": Text("復旧", "the stated end"),
    "drill": Text("訓練", "that it is a drill"),
}


def _times(started_at: datetime | None, restored_at: datetime | None) -> Text:
    parts = []
    if started_at:
        parts.append(Text(f"故障の発生: {clock_time(started_at)}", f"failure began: {clock_time(started_at)}"))
    if restored_at:
        parts.append(Text(f"復旧: {clock_time(restored_at)}", f"restored: {clock_time(restored_at)}"))
    return Text("、".join(part.ja for part in parts), ", ".join(part.en for part in parts))


def _count(counted: Counted) -> Text:
    number = users(counted.users)
    kinds = [
        Text(f"{name.ja}{each:,}人", f"{name.en} {each:,}")
        for name, each in ((Text("停止", "stop"), counted.stopped), (Text("品質の低下", "degradation"), counted.degraded))
        if each is not None
    ]
    ja, en = "、".join(kind.ja for kind in kinds), ", ".join(kind.en for kind in kinds)
    return Text(
        f"影響利用者数（{counted.service}）: {number.ja}{f'（{ja}）' if kinds else ''}",
        f"affected users of {counted.service}: {number.en}{f' ({en})' if kinds else ''}",
    )


def _answers(answers: Answers, withdrawn: Collection[str]) -> Text:
    words = {True: Text("はい", "yes"), False: Text("いいえ", "no"), None: Text("回答の取消し", "answer withdrawn")}
    said = [
        (question.text, words[answer])
        for question in near_miss.shipped().questions
        if (answer := answers.to(question.fact)) is not None or question.fact in withdrawn
    ]
    ja = "／".join(f"{question.ja} {answer.ja}" for question, answer in said)
    en = " / ".join(f"{question.en} {answer.en}" for question, answer in said)
    return Text(f"おそれ事態の確認: {ja}", f"near-miss checklist: {en}")
