"""The formulas for the number of affected users of one impact (one service or function). Pure and exact: see `estimate`.

Each takes the figures of *one* service or function. Services and functions are never added together to reach a threshold, and
nothing here offers it; several units that failed for one cause are the business of `topology`. Units are in the names: `_bytes`
are bytes, never bits (a mix-up cannot be detected), `_hours` are hours.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from receiver.law.estimate import (
    Estimate,
    NotComputable,
    Number,
    Quantity,
    WrongFigure,
    estimate,
    exact,
    people,
    positive,
    quantity,
    share,
    shown,
)
from receiver.law.provisions import Provision, Text, guideline

BEST_EFFORT = guideline("best_effort")
EMERGENCY_VOICE = guideline("emergency_voice")
REALLY_HIT = guideline("really_hit")
OPERATORS_PRACTICE = guideline("operators_practice")

UnderDuration = Literal["multiplied", "simultaneous"]
NegativeHours = Literal["clipped", "signed"]


class Traffic(msgspec.Struct, frozen=True):
    """Bytes per hour, hour by hour of the accident, beside those of a comparable day and time.

    `hour_weights` says how much of an hour each entry covers (0 < w <= 1; None: all are full hours); the bytes stay a *rate* per
    hour. `bytes_per_user_hour` is None when the operator does not know it.
    """

    baseline_bytes_per_hour: tuple[Number, ...]
    actual_bytes_per_hour: tuple[Number, ...]
    bytes_per_user_hour: Number | None = None
    hour_weights: tuple[Number, ...] | None = None


def direct(failed_users: int, citation: Provision = BEST_EFFORT) -> Estimate:
    """Users who tried and could not use the service: no link or session could be established."""
    number = Fraction(people("failed_users", failed_users))
    step = Text(
        f"利用しようとして利用できなかった利用者の実数 {shown(number)}人",
        f"counted users who tried and could not use it: {shown(number)}",
    )
    return estimate("direct", number, {"failed_users": quantity(number, "users")}, step, citation)


def all_under_equipment(users_under_equipment: int, citation: Provision = BEST_EFFORT) -> Estimate:
    """All users under the equipment that caused the stop or degradation: the last resort."""
    number = Fraction(people("users_under_equipment", users_under_equipment))
    step = Text(f"設備配下の全利用者 {shown(number)}人", f"all users under the equipment: {shown(number)}")
    inputs = {"users_under_equipment": quantity(number, "users")}
    return estimate("all_under_equipment", number, inputs, step, citation, cap=users_under_equipment)


def traffic_difference(
    traffic: Traffic,
    users_under_equipment: int | None = None,
    *,
    duration: UnderDuration = "multiplied",
    negative_hours: NegativeHours = "clipped",
) -> Estimate:
    """Missing traffic ÷ average traffic per user and hour. With Δ_h = baseline_h - actual_h, w_h the share of an hour, D = Σ w_h:

    `duration="multiplied"` is the draft to the letter, mean Δ ÷ u × D. The mean is an hourly rate, so this is Σ w_h·Δ_h ÷ u, in
    user-hours (延べ); the *total* is never multiplied by D again. `"simultaneous"` leaves × D out: the average number of users hit
    at a time. Which one the final guideline has is unknown; the draft's is judged, the other is in `other_readings`.
    `negative_hours="clipped"` takes an hour with more traffic than usual as no loss; `"signed"` lets it make up for other hours
    (a sum below zero is none). The draft is silent; clipped is the stricter one.
    Where u is not known, all `users_under_equipment` are assumed to have been using the service: u = Σ w_h·baseline_h ÷ (N × D).
    The draft has no cap: `users` is raw, `capped` no more than N.
    Raises WrongFigure, and NotComputable where u can neither be known nor derived.
    """
    hours = _hours(traffic)
    length = sum((weight for weight, _, _ in hours), Fraction())
    cap = None if users_under_equipment is None else people("users_under_equipment", users_under_equipment)
    per_user, per_user_step = _bytes_per_user_hour(traffic, hours, cap)

    def users_by(under: UnderDuration, negative: NegativeHours) -> Fraction:
        user_hours = _missing_bytes(hours, negative) / per_user
        return user_hours if under == "multiplied" else user_hours / length

    chosen = users_by(duration, negative_hours)
    others = []
    for negative in sorted(_NEGATIVE_HOURS, key=negative_hours.__ne__):
        for under in sorted(_UNDER_DURATION, key=duration.__ne__):
            figure, name = users_by(under, negative), _reading(under, negative)
            others.append((figure, name))
            if cap is not None and figure > cap:
                capped = Text(f"{name.ja}、配下の全利用者数を上限", f"{name.en}, capped at all users under it")
                others.append((Fraction(cap), capped))
    missing = _missing_bytes(hours, negative_hours)
    return estimate(
        "traffic_difference",
        chosen,
        _traffic_inputs(hours, per_user, cap, duration, negative_hours),
        (_subtraction(hours, missing, negative_hours), per_user_step, _division(missing, per_user, length, duration)),
        BEST_EFFORT,
        cap=cap,
        other_readings=others,
    )


_UNDER_DURATION: dict[UnderDuration, Text] = {
    "multiplied": Text("継続時間を乗じる読み方（延べ利用者数）", "times the duration (user-hours)"),
    "simultaneous": Text("継続時間を乗じない読み方（平均同時利用者数）", "without times the duration (average at a time)"),
}
_NEGATIVE_HOURS: dict[NegativeHours, Text] = {
    "clipped": Text("実績が基準を上回る時間は差を0とする", "an hour above the baseline counts as no loss"),
    "signed": Text(
        "実績が基準を上回る時間は差し引く（合計の下限は0）", "an hour above the baseline is set off (the sum is at least 0)"
    ),
}

_Hour = tuple[Fraction, Fraction, Fraction]
"""Share of an hour, baseline and actual bytes per hour."""


def _reading(duration: UnderDuration, negative: NegativeHours) -> Text:
    first, second = _UNDER_DURATION[duration], _NEGATIVE_HOURS[negative]
    return Text(f"{first.ja}、{second.ja}", f"{first.en}, {second.en}")


def _hours(traffic: Traffic) -> list[_Hour]:
    baseline, actual = traffic.baseline_bytes_per_hour, traffic.actual_bytes_per_hour
    weights = (1,) * len(baseline) if traffic.hour_weights is None else traffic.hour_weights
    if not baseline or not len(baseline) == len(actual) == len(weights):
        raise WrongFigure(
            "baseline_bytes_per_hour, actual_bytes_per_hour, hour_weights: "
            f"{len(baseline)}, {len(actual)}, {len(weights)} entries; give one of each per hour, at least one"
        )
    hours = []
    for number, (weight, usual, seen) in enumerate(zip(weights, baseline, actual, strict=True)):
        part = positive(f"hour_weights[{number}]", weight)
        if part > 1:
            raise WrongFigure(f"hour_weights[{number}]: {weight!r} is more than an hour")
        baseline_rate = exact(f"baseline_bytes_per_hour[{number}]", usual)
        hours.append((part, baseline_rate, exact(f"actual_bytes_per_hour[{number}]", seen)))
    return hours


def _missing_bytes(hours: Sequence[_Hour], negative: NegativeHours) -> Fraction:
    differences = [weight * (baseline - actual) for weight, baseline, actual in hours]
    if negative == "clipped":
        differences = [max(difference, Fraction()) for difference in differences]
    return max(sum(differences, Fraction()), Fraction())


def _traffic_inputs(
    hours: Sequence[_Hour], per_user: Fraction, under: int | None, duration: UnderDuration, negative: NegativeHours
) -> dict[str, Quantity]:
    inputs = {
        "baseline_bytes_per_hour": quantity((baseline for _, baseline, _ in hours), "bytes/hour"),
        "actual_bytes_per_hour": quantity((actual for _, _, actual in hours), "bytes/hour"),
        "hour_weights": quantity((weight for weight, _, _ in hours), "hours"),
        "bytes_per_user_hour": quantity(per_user, "bytes/(user*hour)"),
        "duration": Quantity(duration, "reading"),
        "negative_hours": Quantity(negative, "reading"),
    }
    if under is not None:
        inputs["users_under_equipment"] = quantity(Fraction(under), "users")
    return inputs


def _bytes_per_user_hour(traffic: Traffic, hours: Sequence[_Hour], under: int | None) -> tuple[Fraction, Text]:
    if traffic.bytes_per_user_hour is not None:
        known = positive("bytes_per_user_hour", traffic.bytes_per_user_hour)
        return known, Text(
            f"1利用者・1時間当たり {shown(known)}バイト（事業者が把握）",
            f"per user and hour {shown(known)} bytes (known to the operator)",
        )
    usual = sum((weight * baseline for weight, baseline, _ in hours), Fraction())
    length = sum((weight for weight, _, _ in hours), Fraction())
    if not under or not usual:
        raise NotComputable(
            Text(
                "1利用者・1時間当たりのトラフィックが不明で、配下の全利用者数と基準のトラフィックからも求められない",
                "bytes per user and hour are unknown and cannot be derived from all users under the equipment and the baseline",
            )
        )
    derived = usual / (under * length)
    sum_shown = f"{shown(usual)} ÷ ({under:,} × {shown(length)}) = {shown(derived)}"
    return derived, Text(
        f"1利用者・1時間当たり {sum_shown} バイト（配下の全利用者が利用していたと仮定）",
        f"per user and hour {sum_shown} bytes (assuming that all users under the equipment were using it)",
    )


def _subtraction(hours: Sequence[_Hour], missing: Fraction, negative: NegativeHours) -> Text:
    terms = [
        f"({shown(baseline)} - {shown(actual)})" + ("" if weight == 1 else f" × {shown(weight)}")
        for weight, baseline, actual in hours
    ]
    if len(terms) > 12:  # `inputs` has them all
        terms = [*terms[:6], "…", *terms[-6:]]
    total, rule = " + ".join(terms), _NEGATIVE_HOURS[negative]
    return Text(
        f"差の合計（{rule.ja}） {total} = {shown(missing)} バイト", f"missing ({rule.en}): {total} = {shown(missing)} bytes"
    )


def _division(missing: Fraction, per_user: Fraction, length: Fraction, duration: UnderDuration) -> Text:
    rule, user_hours = _UNDER_DURATION[duration], missing / per_user
    division = f"{shown(missing)} ÷ {shown(per_user)} = {shown(user_hours)}"
    if duration == "simultaneous":
        division += f", ÷ {shown(length)} h = {shown(user_hours / length)}"
    return Text(f"{rule.ja} {division}", f"{rule.en}: {division}")


class VoiceRule(msgspec.Struct, frozen=True):
    """How users of a voice service that handles emergency calls are counted. The thresholds are row 1's in either case.

    `special`: `emergency_voice` applies. `call_loss_threshold`: the ordinary "about 80 % call loss" rule decides what is a
    degradation; it never does where `special` is true.
    """

    special: bool
    call_loss_threshold: bool
    why: Text
    citation: Provision


def voice_rule(emergency_calls_affected: bool | None) -> VoiceRule:
    """Which method applies. Only certainty that no emergency call was affected leaves the special one; None (unknown) does not."""
    if emergency_calls_affected is False:
        why = Text(
            "緊急通報に影響がないことが確実なため、通常の算定方法による（呼損率概ね80%以上を品質の低下とし、基準は1の項のまま）",
            "certainly no emergency call was affected: the ordinary method (degraded from about 80 % call loss; still row 1)",
        )
        return VoiceRule(False, True, why, EMERGENCY_VOICE)
    if emergency_calls_affected:
        why = Text("緊急通報に影響があったため、緊急通報の算定方法による", "emergency calls were affected: their own method")
    else:
        why = Text(
            "緊急通報への影響が不明のため、影響ありとみなす",
            "it is unknown whether emergency calls were affected: taken as affected",
        )
    return VoiceRule(True, False, why, EMERGENCY_VOICE)


def emergency_voice(users_under_equipment: int, completely_down: bool | None, call_loss_rate: Number | None = None) -> Estimate:
    """Lost opportunity, not calls made: all users under equipment that is down, times the call-loss rate where it partly works.

    `completely_down` None is unknown and counts as down. `call_loss_rate` is a share from 0 to 1; None is unknown: all users.
    The guideline's sentence before the draft counts all users under the equipment in every case: that is the other reading.
    """
    under = Fraction(people("users_under_equipment", users_under_equipment))
    rate = None if call_loss_rate is None else share("call_loss_rate", call_loss_rate)
    inputs = {"users_under_equipment": quantity(under, "users")}
    everyone = Text("設備配下の全利用者（発信しなかった者を含む）", "all users under the equipment, also those who did not call")
    if completely_down is False and rate is not None:
        inputs["call_loss_rate"] = quantity(rate, "share")
        product = f"{shown(under)} × {shown(rate)} = {shown(under * rate)}"
        step = Text(f"{everyone.ja} × 呼損率 {product}", f"{everyone.en}, times the call-loss rate: {product}")
        without = Text(
            "呼損率を乗じない読み方（従来の指針の記載）", "not times the call-loss rate (the guideline before the draft)"
        )
        others = [(under, without)]
        return estimate(
            "emergency_call_loss", under * rate, inputs, step, EMERGENCY_VOICE, cap=users_under_equipment, other_readings=others
        )
    because = {
        True: Text("完全な故障", "completely down"),
        False: Text("一部使用できるが呼損率が不明", "partly usable, call-loss rate unknown"),
        None: Text("完全な故障か不明", "unknown whether completely down"),
    }[completely_down]
    step = Text(f"{because.ja}、{everyone.ja} {shown(under)}人", f"{because.en}: {everyone.en}: {shown(under)}")
    return estimate("emergency_all_under_equipment", under, inputs, step, EMERGENCY_VOICE, cap=users_under_equipment)


def call_shortfall(normal_calls: Number, actual_calls: Number, calls_per_person: Number) -> Estimate:
    """Calls missing against a normal time of the same length ÷ calls that a person makes in it (KDDI 2022, voice)."""
    normal, actual = exact("normal_calls", normal_calls), exact("actual_calls", actual_calls)
    each = positive("calls_per_person", calls_per_person)
    missing = max(normal - actual, Fraction())
    inputs = {
        "normal_calls": quantity(normal, "calls"),
        "actual_calls": quantity(actual, "calls"),
        "calls_per_person": quantity(each, "calls/user"),
    }
    sums = f"({shown(normal)} - {shown(actual)}) ÷ {shown(each)} = {shown(missing / each)}"
    if actual > normal:
        sums = f"{shown(actual)} ≥ {shown(normal)}: 0"
    step = Text(f"通話の不足 ÷ 1人当たりの通話数 {sums}", f"missing calls ÷ calls per person: {sums}")
    return estimate("call_shortfall", missing / each, inputs, step, OPERATORS_PRACTICE)


def missing_registrations(baseline_registrations: Sequence[int], actual_registrations: Sequence[int]) -> Estimate:
    """The largest shortfall of registered users at any sample against a comparable time (KDDI 2022). Never below 0.

    One baseline and one actual count per sample, in the same order, at least one; else WrongFigure.
    """
    if not baseline_registrations or len(baseline_registrations) != len(actual_registrations):
        raise WrongFigure(
            f"baseline_registrations, actual_registrations: {len(baseline_registrations)} and {len(actual_registrations)} samples; "
            "give one of each per sample, at least one"
        )
    usual = [people("baseline_registrations", count) for count in baseline_registrations]
    seen = [people("actual_registrations", count) for count in actual_registrations]
    worst = max(range(len(usual)), key=lambda sample: usual[sample] - seen[sample])
    missing = Fraction(max(usual[worst] - seen[worst], 0))
    inputs = {
        "baseline_registrations": quantity(map(Fraction, usual), "users"),
        "actual_registrations": quantity(map(Fraction, seen), "users"),
    }
    sums = f"{usual[worst]:,} - {seen[worst]:,} = {usual[worst] - seen[worst]:,}"
    step = Text(
        f"登録者数の最大の不足（{worst + 1}番目の計測） {sums}", f"largest shortfall of registrations (sample {worst + 1}): {sums}"
    )
    return estimate("missing_registrations", missing, inputs, step, OPERATORS_PRACTICE)
