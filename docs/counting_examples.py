"""Worked examples of every counting method, calculated by the code that judges. All figures are invented."""

from collections.abc import Mapping

import msgspec

from docs import rules_text as words
from receiver.law import fallback, topology
from receiver.law.conference import Meetings
from receiver.law.estimate import Estimate, Method
from receiver.law.fallback import BestEffort, Choice, ConferenceFunction, EmergencyVoice, OtherVoice
from receiver.law.methods import Traffic, voice_rule
from receiver.law.provisions import Text


class Kind(msgspec.Struct, frozen=True):
    """One kind of service: an example of each method, and choices that found none, which tell the order and the reasons."""

    title: Text
    without: tuple[Choice, ...]
    examples: Mapping[Method, Estimate]
    notes: tuple[Text, ...] = ()

    @property
    def passed_over(self) -> dict[Method, list[Text]]:
        """Every method in the order of preference, with each reason to pass it over."""
        found: dict[Method, list[Text]] = {}
        for passed in (passed for choice in self.without for passed in choice.passed_over):
            reasons = found.setdefault(passed.method, [])
            if passed.why not in reasons:
                reasons.append(passed.why)
        return found


def _by_method(*choices: Choice) -> dict[Method, Estimate]:
    return {choice.estimate.method: choice.estimate for choice in choices if choice.estimate}


_TRAFFIC = Traffic((900e9, 1000e9, 1100e9), (450e9, 400e9, 880e9), bytes_per_user_hour=20e6)
_MEETINGS = Meetings(1_000_000, meetings_per_host_month=20, meeting_hours=0.75, business_days_month=20, business_hours_day=8)

KINDS = (
    Kind(
        Text("ベストエフォートのデータ通信", "Best-effort data"),
        (fallback.best_effort(BestEffort()),),
        _by_method(
            fallback.best_effort(BestEffort(failed_users=42_000)),
            fallback.best_effort(BestEffort(traffic=_TRAFFIC, users_under_equipment=400_000)),
            fallback.best_effort(BestEffort(users_under_equipment=400_000)),
        ),
    ),
    Kind(
        Text("緊急通報を取り扱う音声", "Voice that handles emergency calls"),
        tuple(fallback.emergency_voice(EmergencyVoice(completely_down=down)) for down in (True, None, False)),
        _by_method(
            fallback.emergency_voice(EmergencyVoice(completely_down=False, call_loss_rate=0.7, users_under_equipment=50_000)),
            fallback.emergency_voice(EmergencyVoice(completely_down=True, users_under_equipment=50_000)),
        ),
        tuple(voice_rule(affected).why for affected in (None, False)),
    ),
    Kind(
        Text("その他の音声", "Other voice"),
        (fallback.other_voice(OtherVoice()),),
        _by_method(
            fallback.other_voice(OtherVoice(failed_users=42_000)),
            fallback.other_voice(OtherVoice(normal_calls=10_000_000, actual_calls=6_000_000, calls_per_person=2)),
            fallback.other_voice(OtherVoice(baseline_registrations=(80_000, 82_000), actual_registrations=(61_000, 47_500))),
            fallback.other_voice(OtherVoice(users_under_equipment=90_000)),
        ),
        (words.NO_ORDER,),
    ),
    Kind(
        Text("Web会議の一つの機能", "One function of a web conference"),
        (fallback.conference_function(ConferenceFunction()),),
        _by_method(
            fallback.conference_function(ConferenceFunction(failed_users=42_000)),
            fallback.conference_function(ConferenceFunction(meetings=_MEETINGS, outage_business_hours=2, outage_hours=3)),
            fallback.conference_function(ConferenceFunction(host_entitled_accounts_under_equipment=120_000)),
        ),
        (words.PER_FUNCTION,),
    ),
)
SAME_CAUSE = topology.total(
    [
        topology.Unit("core-1", 20_000),
        topology.Unit("edge-1", 12_000, "core-1"),
        topology.Unit("edge-2", 15_000, "core-1"),
        topology.Unit("core-2", 15_000),
    ]
)
