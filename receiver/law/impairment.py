"""What a service suffered at one time: stop, degradation, normal, or unknown, from what was observed of it.

Ignorance is never normal: only what is known to be neither a stop nor a degradation is. Whether equipment failed is the business
of `causes`, how many users it hit and for how long that of others. The rules stand in the guideline as the draft of 2023-04-05
quotes it; the guideline in force was not read. What is normal fluctuation no text says: the band is this program's own.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from statistics import median
from typing import Literal

import msgspec

from receiver.law.estimate import NotComputable, Number, WrongFigure, exact, positive, share, shown
from receiver.law.methods import voice_rule
from receiver.law.provisions import Flag, Provision, Text, guideline

STOP_ALL_TRAFFIC = guideline("stop_all_traffic")
STOP_BEST_EFFORT = guideline("stop_best_effort")
STOP_VOICE = guideline("stop_voice")
DEGRADATION_VOICE = guideline("degradation_voice")
DEGRADATION_BEST_EFFORT = guideline("degradation_best_effort")
DEGRADATION_GUARANTEED = guideline("degradation_guaranteed")
NORMAL_BAND = guideline("normal_band")

State = Literal["stop", "degradation", "normal", "unknown"]
Worse = Literal["lower", "higher"]
"""Which values of a quality are the worse ones: lower of a throughput, higher of a delay or a loss."""

CALL_LOSS = Fraction(4, 5)
"""At least this share of calls lost is a degradation; the source says about (概ね) 80 %."""

NEAR = Fraction(1, 20)
"""How near to CALL_LOSS a person should look. Ours: no text says how wide "about" is, and no verdict depends on it."""

FEWEST_TIMES = 3
MAD_TO_DEVIATION = Fraction(14826, 10000)
"""Makes a median absolute deviation comparable to a standard deviation where values are distributed normally."""


class Band(msgspec.Struct, frozen=True):
    """The normal fluctuation of a quality, from comparable `times`: `low` to `high`, both included, all in `unit`.

    `how` is the arithmetic in words. Only the worse side is ever compared: better than usual is no degradation.
    """

    times: tuple[str, ...]
    median: Fraction
    low: Fraction
    high: Fraction
    worse: Worse
    unit: str
    how: Text

    def beyond(self, value: Fraction) -> Fraction:
        """How far on the worse side of the band a value is; 0 inside it and on the better side."""
        return max(self.low - value if self.worse == "lower" else value - self.high, Fraction())


class ObservedData(msgspec.Struct, frozen=True):
    """A best-effort data service. `connects`: a link or session between user and aggregation equipment can be established.

    `measured` is in the unit of the `band`. None: not known.
    """

    connects: bool | None = None
    measured: Number | None = None
    band: Band | None = None


class ObservedVoice(msgspec.Struct, frozen=True):
    """A voice service. `call_loss_rate` is a share from 0 to 1. None: not known, for emergency calls the stricter rule then.

    `talking_impossible`: noise or drops make talking practically impossible.
    """

    silent_or_one_way: bool | None = None
    call_loss_rate: Number | None = None
    talking_impossible: bool | None = None
    handles_emergency_calls: bool | None = None
    emergency_calls_affected: bool | None = None


class ObservedGuaranteed(msgspec.Struct, frozen=True):
    """A service whose quality a contract guarantees: `measured` and what the `sla` owes, in `unit`. None: not known."""

    connects: bool | None = None
    measured: Number | None = None
    sla: Number | None = None
    worse: Worse = "lower"
    unit: str = ""


class Impairment(msgspec.Struct, frozen=True):
    """What a service suffered, why, and by which rules. "normal" is neither stop nor degradation as the guideline means them."""

    effect: State
    why: Text
    citations: tuple[Provision, ...]
    flags: tuple[Flag, ...] = ()


def impairment(observed: ObservedData | ObservedVoice | ObservedGuaranteed, *, all_traffic_down: bool = False) -> Impairment:
    """What was observed of a service at one time, as the guideline names it.

    `all_traffic_down` is about the satellite, submarine cable or comparable facility that carries the service: a stop, whatever
    else is said. Raises WrongFigure for a figure that cannot be.
    """
    if all_traffic_down:
        why = Text("その設備を用いる全ての通信が不能", "all communications through the facility are impossible")
        return Impairment("stop", why, (STOP_ALL_TRAFFIC,))
    if isinstance(observed, ObservedVoice):
        return _voice(observed)
    if observed.connects is False:
        return Impairment("stop", _NO_CONNECTION, (STOP_BEST_EFFORT,))
    found = _data(observed) if isinstance(observed, ObservedData) else _guaranteed(observed)
    if observed.connects is None and found.effect == "degradation":
        return msgspec.structs.replace(found, flags=(*found.flags, _MAYBE_STOP))
    return found


def normal_band(samples: Sequence[tuple[str, Number]], *, worse: Worse = "lower", unit: str = "", k: Number = 3) -> Band:
    """The band of normal fluctuation from (label of a comparable time, value): median ± k × 1.4826 × MAD; min to max if that is 0.

    It does not depend on the order of the samples. Raises WrongFigure for a label given twice or a value that cannot be, and
    NotComputable for fewer than 3 samples, or where they scatter so much that even 0 of a quality to be high would be normal.
    """
    values = {label: exact(label, value) for label, value in samples}
    if len(values) != len(samples):
        raise WrongFigure("samples: one comparable time is given twice")
    if len(values) < FEWEST_TIMES:
        given = len(values)
        raise NotComputable(
            Text(
                f"比較できる時点が{given}件しかない（{FEWEST_TIMES}件以上必要）",
                f"only {given} comparable times ({FEWEST_TIMES} are needed)",
            )
        )
    middle = Fraction(median(values.values()))
    deviation = Fraction(median(abs(value - middle) for value in values.values()))
    factor, smallest, largest = positive("k", k), min(values.values()), max(values.values())
    half = factor * MAD_TO_DEVIATION * deviation
    low, high = (middle - half, middle + half) if deviation else (smallest, largest)
    if worse == "lower" and low <= 0:
        raise NotComputable(
            Text(
                f"比較できる時点のばらつきが大きく（下限{shown(low)}）、0でも通常の範囲となる",
                f"comparable times scatter so much (low end {shown(low)}) that even 0 would be normal",
            )
        )
    arithmetic = f"± {shown(factor)} × {shown(MAD_TO_DEVIATION)} × {shown(deviation)}"
    how = Text(f"中央値 {arithmetic}（MAD）", f"median {arithmetic} (MAD)") if deviation else _SMALLEST_TO_LARGEST
    return Band(tuple(sorted(values)), middle, low, high, worse, unit, how)


def _data(seen: ObservedData) -> Impairment:
    citations = (DEGRADATION_BEST_EFFORT, NORMAL_BAND)
    unknown = [_NO_MEASUREMENT] if seen.measured is None else []
    unknown += [_NO_BAND] if seen.band is None else []
    if seen.measured is None or seen.band is None:
        return _unknown(unknown, (STOP_BEST_EFFORT, *citations))
    measured = exact("measured", seen.measured)
    beyond = seen.band.beyond(measured)
    why = _compared(measured, beyond, seen.band)
    if beyond:
        return Impairment("degradation", why, citations, (_OWN_BAND,))
    if seen.connects is None:
        return _unknown([_NO_WORD_ON_CONNECTIONS], (STOP_BEST_EFFORT, *citations), why)
    return Impairment("normal", why, citations, (_OWN_BAND,))


def _guaranteed(seen: ObservedGuaranteed) -> Impairment:
    citations = (DEGRADATION_GUARANTEED,)
    unknown = [_NO_MEASUREMENT] if seen.measured is None else []
    unknown += [_NO_SLA] if seen.sla is None else []
    if seen.measured is None or seen.sla is None:
        return _unknown(unknown, citations)
    measured, owed = exact("measured", seen.measured), exact("sla", seen.sla)
    missed = owed - measured if seen.worse == "lower" else measured - owed
    numbers = Text(
        f"計測値 {_with_unit(measured, seen.unit)}、SLA {_with_unit(owed, seen.unit)}",
        f"measured {_with_unit(measured, seen.unit)}, SLA {_with_unit(owed, seen.unit)}",
    )
    if missed > 0:
        short = _with_unit(missed, seen.unit)
        return Impairment("degradation", Text(f"{numbers.ja}: {short}の未達", f"{numbers.en}: missed by {short}"), citations)
    return Impairment("normal", Text(f"{numbers.ja}: 満たしている", f"{numbers.en}: met"), citations)


def _voice(seen: ObservedVoice) -> Impairment:
    rate = None if seen.call_loss_rate is None else share("call_loss_rate", seen.call_loss_rate)
    if seen.silent_or_one_way:
        return Impairment(
            "stop", Text("無音通話・片通話（呼が成立していない）", "silent or one-way calls: none is established"), (STOP_VOICE,)
        )
    if rate == 1:
        return Impairment(
            "stop", Text("呼損率100%（呼が成立していない）", "100 % call loss: no call is established"), (STOP_VOICE,)
        )
    flags = () if seen.silent_or_one_way is False else (_MAYBE_STOP,)
    if seen.talking_impossible:
        why = Text("雑音・途中の中断等により実質的に通話が困難", "noise or drops make talking practically impossible")
        return Impairment("degradation", why, (DEGRADATION_VOICE,), flags)
    ordinary, rule, citations = _call_loss_rule(seen)
    near = (_NEAR_80,) if ordinary and rate is not None and abs(rate - CALL_LOSS) <= NEAR else ()
    numbers = rule if rate is None else _after(Text(f"呼損率{shown(rate * 100)}%", f"{shown(rate * 100)} % call loss"), rule)
    if rate is not None and (rate >= CALL_LOSS if ordinary else rate > 0):
        return Impairment("degradation", numbers, citations, (*near, *flags))
    unknown = [_NO_CALL_LOSS] if rate is None else []
    unknown += [_NO_WORD_ON_SILENCE] if seen.silent_or_one_way is None else []
    unknown += [_NO_WORD_ON_NOISE] if seen.talking_impossible is None else []
    if unknown:
        return _unknown(unknown, (STOP_VOICE, *citations), numbers, near)
    return Impairment("normal", numbers, (STOP_VOICE, *citations), near)


def _call_loss_rule(seen: ObservedVoice) -> tuple[bool, Text, tuple[Provision, ...]]:
    """Whether the rule of about 80 % applies, that rule or the other in words, and where it stands."""
    about = Text("概ね80%（以上）が品質の低下", "degraded from about 80 % on")
    if seen.handles_emergency_calls is False and seen.emergency_calls_affected is not True:
        why = Text("緊急通報を取り扱わない音声伝送役務", "voice service without emergency calls")
        return True, _after(why, about), (DEGRADATION_VOICE,)
    rule = voice_rule(seen.emergency_calls_affected)
    if rule.call_loss_threshold:
        return True, rule.why, (DEGRADATION_VOICE, rule.citation)
    every = Text("80%の基準によらず呼損があれば品質の低下とする", "any loss counts, the rule of 80 % is not used")
    return False, _after(rule.why, every), (rule.citation,)


def _compared(measured: Fraction, beyond: Fraction, band: Band) -> Text:
    value, middle, low, high, far = (_with_unit(each, band.unit) for each in (measured, band.median, band.low, band.high, beyond))
    times = ", ".join(band.times)
    out_ja, out_en = (f"{far}だけ範囲外", f"{far} outside") if beyond else ("範囲内", "not worse than that")
    return Text(
        f"計測値 {value}。通常の範囲 {low}〜{high}（中央値 {middle}、{band.how.ja}、比較した時点: {times}）: {out_ja}",
        f"measured {value}; normal from {low} to {high} (median {middle}, {band.how.en}, comparable times: {times}): {out_en}",
    )


def _unknown(
    missing: Iterable[Text], citations: tuple[Provision, ...], known: Text | None = None, flags: tuple[Flag, ...] = ()
) -> Impairment:
    parts = list(missing)
    lacking = Text("不明: " + "、".join(part.ja for part in parts), "not known: " + ", ".join(part.en for part in parts))
    return Impairment("unknown", _after(known, lacking) if known else lacking, citations, flags)


def _after(first: Text, second: Text) -> Text:
    return Text(f"{first.ja}。{second.ja}", f"{first.en}; {second.en}")


def _with_unit(figure: Fraction, unit: str) -> str:
    return f"{shown(figure)} {unit}".rstrip()


_SMALLEST_TO_LARGEST = Text("MADが0のため最小から最大まで", "smallest to largest, as the MAD is 0")
_NO_CONNECTION = Text(
    "利用者の端末機器等と事業者側の集線装置等との間でリンク又はセッションが確立できない",
    "no link or session can be established between the users' equipment and the carrier's aggregation equipment",
)
_NO_MEASUREMENT = Text("品質の計測値", "the measured quality")
_NO_BAND = Text("通常の揺らぎの範囲", "the band of normal fluctuation")
_NO_SLA = Text("SLAの値", "what the SLA owes")
_NO_WORD_ON_CONNECTIONS = Text("リンク又はセッションの確立の可否", "whether a link or session can be established")
_NO_CALL_LOSS = Text("呼損率", "the call-loss rate")
_NO_WORD_ON_SILENCE = Text("無音通話・片通話の有無", "whether calls are silent or one-way")
_NO_WORD_ON_NOISE = Text("雑音・中断の有無", "whether noise or drops prevent talking")

_OWN_BAND = Flag(
    "own_band",
    Text("通常の揺らぎの範囲は本プログラムの方法による", "the band of normal fluctuation is this program's own method"),
)
_NEAR_80 = Flag(
    "near_80_percent",
    Text(
        "呼損率が80%の前後5ポイント以内（「概ね」の幅は定められておらず、5ポイントは本プログラムの目安）",
        'the call loss is within 5 points of 80 % (how wide "about" is, no text says; the 5 points are this program\'s own)',
    ),
)
_MAYBE_STOP = Flag(
    "stop_not_ruled_out",
    Text("役務の停止でないことは確認されていない", "nobody has ruled out that it is a stop"),
)
