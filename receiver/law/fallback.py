"""Which method counts: of what is known about one impact, the first method in the legal order, and why no earlier one.

One function per kind of service. "Known" is for a person or a program to state; None is not known.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from receiver.law import conference, methods
from receiver.law.conference import CONFERENCE, Meetings
from receiver.law.estimate import Estimate, Method, NotComputable, Number
from receiver.law.methods import REALLY_HIT, NegativeHours, Traffic, UnderDuration
from receiver.law.provisions import Text

Family = Literal["best_effort", "other_voice", "emergency_voice", "web_conference"]
"""Services whose users are counted by the same methods."""

METHODS_OF: dict[Family, tuple[Method, ...]] = {
    "best_effort": ("direct", "traffic_difference", "all_under_equipment"),
    "other_voice": ("direct", "call_shortfall", "missing_registrations", "all_under_equipment"),
    "emergency_voice": (
        "emergency_call_loss",
        "emergency_all_under_equipment",
        "direct",
        "call_shortfall",
        "missing_registrations",
        "all_under_equipment",
    ),
    "web_conference": ("direct", "conference_probability", "host_entitled_accounts"),
}
"""The methods of each family in the order in which the functions below try them. Voice with emergency calls comes to those of other
voice only if certainly no emergency call was affected.
"""


class PassedOver(msgspec.Struct, frozen=True):
    """A method that comes before the one that counted, and why it could not be used."""

    method: Method
    why: Text


class Choice(msgspec.Struct, frozen=True):
    """The estimate of the first method available, None when there is none, and the methods before it in their order."""

    estimate: Estimate | None
    passed_over: tuple[PassedOver, ...]


class BestEffort(msgspec.Struct, frozen=True):
    """What is known of a data service without guaranteed quality. `saved_users`: those under the equipment who did not suffer."""

    failed_users: int | None = None
    traffic: Traffic | None = None
    users_under_equipment: int | None = None
    saved_users: int = 0


class OtherVoice(msgspec.Struct, frozen=True):
    """What is known of a voice service where the ordinary count applies. Registrations: one count per sample, both in one order."""

    failed_users: int | None = None
    normal_calls: Number | None = None
    actual_calls: Number | None = None
    calls_per_person: Number | None = None
    baseline_registrations: tuple[int, ...] = ()
    actual_registrations: tuple[int, ...] = ()
    users_under_equipment: int | None = None


class EmergencyVoice(msgspec.Struct, frozen=True):
    """What is known of a voice service that handles emergency calls; `ordinary` is used if none was certainly affected."""

    emergency_calls_affected: bool | None = None
    completely_down: bool | None = None
    call_loss_rate: Number | None = None
    users_under_equipment: int | None = None
    ordinary: OtherVoice = OtherVoice()


class ConferenceFunction(msgspec.Struct, frozen=True):
    """What is known of one function of a web conference service."""

    failed_users: int | None = None
    meetings: Meetings | None = None
    outage_business_hours: Number | None = None
    outage_hours: Number | None = None
    host_entitled_accounts_under_equipment: int | None = None


_Attempt = tuple[Method, Callable[[], Estimate] | Text]

NO_DIRECT = Text("利用できなかった利用者の実数が把握できない", "users who tried and could not use it are not known")
DOWN = Text("完全な故障のため呼損率によらない", "completely down: the call-loss rate is not used")
MAYBE_DOWN = Text("完全な故障か不明のため呼損率によらない", "unknown whether completely down: the call-loss rate is not used")
NO_UNDER = Text("設備配下の全利用者数が不明", "all users under the equipment are not known")


def _first(attempts: Sequence[_Attempt]) -> Choice:
    passed: list[PassedOver] = []
    for method, attempt in attempts:
        if isinstance(attempt, Text):
            passed.append(PassedOver(method, attempt))
            continue
        try:
            return Choice(attempt(), tuple(passed))
        except NotComputable as refusal:
            passed.append(PassedOver(method, refusal.why))
    return Choice(None, tuple(passed))


def best_effort(known: BestEffort, *, duration: UnderDuration = "multiplied", negative_hours: NegativeHours = "clipped") -> Choice:
    """Direct count, else traffic difference, else all users under the equipment (論点整理(案) 論点(1)③)."""
    failed, traffic, under = known.failed_users, known.traffic, known.users_under_equipment
    return _first(
        [
            ("direct", NO_DIRECT if failed is None else lambda: methods.direct(failed)),
            (
                "traffic_difference",
                Text("比較できるトラフィックが不明", "no comparable traffic is known")
                if traffic is None
                else lambda: methods.traffic_difference(traffic, under, duration=duration, negative_hours=negative_hours),
            ),
            (
                "all_under_equipment",
                # all of them use it as usual, but not all of them suffered
                NO_UNDER if under is None else lambda: methods.all_under_equipment(under - known.saved_users),
            ),
        ]
    )


def other_voice(known: OtherVoice) -> Choice:
    """Direct count, else missing calls, else missing registrations, else all users under the equipment.

    No text gives this order: direct first and all last is how the draft treats data, the middle is what KDDI published in 2022.
    """
    failed, under = known.failed_users, known.users_under_equipment
    normal, actual, each = known.normal_calls, known.actual_calls, known.calls_per_person
    usual, seen = known.baseline_registrations, known.actual_registrations
    no_calls = Text(
        "通常時と障害時の通話数、1人当たりの通話数のいずれかが不明", "normal calls, actual calls or calls per person are not known"
    )
    return _first(
        [
            ("direct", NO_DIRECT if failed is None else lambda: methods.direct(failed, REALLY_HIT)),
            (
                "call_shortfall",
                no_calls
                if normal is None or actual is None or each is None
                else lambda: methods.call_shortfall(normal, actual, each),
            ),
            (
                "missing_registrations",
                Text("登録者数が不明", "registrations are not known")
                if not (usual or seen)
                else lambda: methods.missing_registrations(usual, seen),
            ),
            (
                "all_under_equipment",
                NO_UNDER if under is None else lambda: methods.all_under_equipment(under, REALLY_HIT),
            ),
        ]
    )


def emergency_voice(known: EmergencyVoice) -> Choice:
    """All users under equipment that is down, × call-loss rate where it partly works; ordinary if `voice_rule` says so."""
    rule = methods.voice_rule(known.emergency_calls_affected)
    under, down, rate = known.users_under_equipment, known.completely_down, known.call_loss_rate
    if not rule.special:
        facts = known.ordinary
        if facts.users_under_equipment is None:
            facts = msgspec.structs.replace(facts, users_under_equipment=under)
        choice = other_voice(facts)
        special: tuple[Method, ...] = ("emergency_call_loss", "emergency_all_under_equipment")
        return Choice(choice.estimate, tuple(PassedOver(method, rule.why) for method in special) + choice.passed_over)
    no_loss = None
    if down is not False:
        no_loss = DOWN if down else MAYBE_DOWN
    elif rate is None:
        no_loss = Text("呼損率が算出できない", "the call-loss rate is not known")
    everyone = NO_UNDER if under is None else lambda: methods.emergency_voice(under, down, rate)
    return _first([("emergency_call_loss", no_loss or everyone), ("emergency_all_under_equipment", everyone)])


def conference_function(known: ConferenceFunction) -> Choice:
    """Direct count, else probability × monthly active hosts, else accounts entitled to host (案 論点(3)②). Per function."""
    failed, meetings, accounts = known.failed_users, known.meetings, known.host_entitled_accounts_under_equipment
    lasted, whole = known.outage_business_hours, known.outage_hours
    return _first(
        [
            ("direct", NO_DIRECT if failed is None else lambda: methods.direct(failed, CONFERENCE)),
            (
                "conference_probability",
                Text(
                    "会議の統計または営業時間内の障害時間が不明", "meeting statistics or the outage in business hours are not known"
                )
                if meetings is None or lasted is None
                else lambda: conference.probability(meetings, lasted, whole),
            ),
            (
                "host_entitled_accounts",
                Text("主催権限のあるアカウント数が不明", "accounts entitled to host are not known")
                if accounts is None
                else lambda: conference.host_entitled_accounts(accounts),
            ),
        ]
    )
