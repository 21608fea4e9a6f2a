"""The arithmetic of a verdict, step by step: each condition that was tried, what there is against it, whether it is fulfilled."""

from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache

from receiver.law.provisions import Text
from receiver.law.rulebook import Condition, Periodic, Row, Rulebook
from receiver.law.verdict import Hit, Judgement, Verdict, fulfils_any, reaches
from receiver.law.wording import condition, length, users, users_between


def steps(judged: Judgement, row: Row, rulebook: Rulebook) -> Iterator[Text]:
    """Each condition that was tried, what there is against it, and whether it is fulfilled."""
    stated = judged.circumstances
    if stated.cause == "no_failure":
        yield Text("故障ではないため基準と比べない", "no failure: not compared with the thresholds")
        return
    of_telecom_equipment = stated.cause != "non_telecom_equipment_failure"
    if stated.facility and of_telecom_equipment and rulebook.clause_2:
        yield _clause_2_step(judged, rulebook.clause_2.duration)
    if stated.add_on_function and of_telecom_equipment:
        yield Text(
            "付加的な機能のみのため表・定期報告の基準と比べない",
            "an add-on function alone: not compared with the table or the list",
        )
        return
    if not of_telecom_equipment:
        yield Text(
            "電気通信設備の故障でないため表と比べない", "no failure of telecommunications equipment: not compared with the table"
        )
    else:
        everyone = Hit(judged.duration, judged.users_at_least), Hit(judged.duration, judged.users_at_most)
        if (*judged.hits_at_least, *judged.hits_at_most) != everyone:
            yield _who_counts(judged, rulebook)
        for each in row.conditions:
            yield _compared(condition(each), each, judged)
    if judged.at_least != Verdict.MAJOR:
        periodic = rulebook.periodic
        yield _periodic_step(periodic, _either(judged, periodic.duration, periodic.users))


def _clause_2_step(judged: Judgement, needed: timedelta) -> Text:
    """Clause 2 names no number of users: it takes all traffic of a facility of the carrier's own, for so long."""
    stated, spell = judged.circumstances, length(needed)
    asked = Text(
        f"第2号（全ての通信が{spell.ja}以上不能、利用者数によらない）",
        f"Clause (ii), all communications impossible for at least {spell.en}, whatever the number of users",
    )
    if not stated.all_traffic_down:
        why = Text("全ての通信の不能ではない→満たさない", "not all communications are impossible: not fulfilled")
    elif stated.installed_by_the_carrier is False:
        why = Text("自ら設置した設備ではない→満たさない", "not installed by the carrier: not fulfilled")
    else:
        time, fulfilled = _time(needed - stated.down_for(judged.duration)), _TRUTH[judged.by_clause_2]
        why = Text(f"{time.ja}→{fulfilled.ja}", f"{time.en}: {fulfilled.en}")
    return Text(f"{asked.ja}: {why.ja}", f"{asked.en}: {why.en}")


def _who_counts(judged: Judgement, rulebook: Rulebook) -> Text:
    """Where not all users count before the table: which of them do, by this rulebook."""
    least, most = max((h.users or 0 for h in judged.hits_at_least), default=0), judged.hits_at_most
    counted = users_between(least, None if any(h.users is None for h in most) else max((h.users or 0 for h in most), default=0))
    if rulebook.apart:
        return Text(
            f"停止と品質の低下を別々に表と比べる（利用者の多い方は{counted.ja}）",
            f"Stop and degradation are compared with the table each by itself (the larger: {counted.en})",
        )
    return Text(
        f"品質の低下は対象外。表と比べるのは停止の利用者のみ（{counted.ja}）",
        f"Degradation does not count: users with a stop are compared with the table ({counted.en})",
    )


@lru_cache(1024)
def _periodic_step(periodic: Periodic, fulfilled: bool | None) -> Text:
    spell, number, reached = length(periodic.duration), users(periodic.users), _TRUTH[fulfilled]
    return Text(
        f"定期報告: {spell.ja}以上または{number.ja}以上→{reached.ja}",
        f"Periodic report: at least {spell.en} or at least {number.en}: {reached.en}",
    )


_TRUTH = {
    True: Text("満たす", "fulfilled"),
    False: Text("満たさない", "not fulfilled"),
    None: Text("満たす可能性がある", "may be fulfilled"),
}


def _compared(asked: Text, each: Condition, judged: Judgement) -> Text:
    """A condition against what stood before the table: the users that come nearest to it."""
    hits = judged.hits_at_least or (Hit(judged.duration, 0),)
    nearest = hits[0] if len(hits) == 1 else max(hits, key=lambda hit: (fulfils_any((hit,), each), hit.users or 0))
    time, people = _time(each.duration - nearest.duration), _people(each.users - (nearest.users or 0))
    certain = fulfils_any(judged.hits_at_least, each)
    fulfilled = _TRUTH[True if certain else None if fulfils_any(judged.hits_at_most, each) else False]
    return Text(
        f"条件（{asked.ja}）: {time.ja}、{people.ja}→{fulfilled.ja}",
        f"Condition ({asked.en}): {time.en}, {people.en}: {fulfilled.en}",
    )


def _time(lacking: timedelta) -> Text:
    if not lacking:
        return Text("時間はちょうど", "just long enough")
    # what is still lacking is rounded up to seconds, what is over is cut: neither promises too much
    spell = length(timedelta(seconds=-(-lacking // timedelta(seconds=1))) if lacking > timedelta() else -lacking)
    return (
        Text(f"時間はあと{spell.ja}", f"{spell.en} short")
        if lacking > timedelta()
        else Text(f"時間は{spell.ja}超過", f"{spell.en} over")
    )


def _people(lacking: int) -> Text:
    if not lacking:
        return Text("利用者数はちょうど", "just enough users")
    number = users(abs(lacking))
    return (
        Text(f"利用者数はあと{number.ja}", f"{number.en} short")
        if lacking > 0
        else Text(f"利用者数は{number.ja}超過", f"{number.en} over")
    )


def _either(judged: Judgement, duration: timedelta, threshold: int) -> bool | None:
    if judged.duration >= duration or judged.users_at_least >= threshold:
        return True
    return None if reaches(judged.users_at_most, threshold) else False
