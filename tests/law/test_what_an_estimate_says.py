"""What an operator reads of an estimate: every figure by its name and unit, the arithmetic, other readings, and what was wrong."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from receiver.law import fallback
from receiver.law.conference import Meetings, host_entitled_accounts, probability
from receiver.law.correction import Correction
from receiver.law.estimate import Estimate, WrongFigure
from receiver.law.methods import (
    Traffic,
    all_under_equipment,
    call_shortfall,
    direct,
    emergency_voice,
    missing_registrations,
    traffic_difference,
    voice_rule,
)
from receiver.law.provisions import Text, guideline

MEETINGS = Meetings(1_000_000, 20, 0.75, 20, 8)
SAYS = Path(__file__).parents[1] / "data" / "estimates.yaml"


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one estimate is to say. `inputs`: value and unit; `other_readings`: users, raw and the reading's name."""

    method: str
    rule: str
    users: int
    raw: str
    capped: int | None
    inputs: dict[str, tuple[int | str | list[int | str], str]]
    formula: Text
    other_readings: list[tuple[int, str, Text]] = []


SAID = msgspec.yaml.decode(SAYS.read_bytes(), type=dict[str, Said])
GIVE: dict[str, Callable[[], Estimate]] = {
    "counted": lambda: direct(7),
    "everyone": lambda: all_under_equipment(400_000),
    "traffic per user derived": lambda: traffic_difference(Traffic((900, 1000, 1100), (90, 1200, 100), None, (1, 0.5, 1)), 600),
    "traffic per user known": lambda: traffic_difference(
        Traffic((900, 1000), (450, 1200), 30), duration="simultaneous", negative_hours="signed"
    ),
    "some calls lost": lambda: emergency_voice(50_000, False, 0.7),
    "unknown how many calls lost": lambda: emergency_voice(9, False),
    "unknown whether down": lambda: emergency_voice(9, None),
    "down": lambda: emergency_voice(9, True),
    "missing calls": lambda: call_shortfall(10, 4, 4),
    "more calls than usual": lambda: call_shortfall(4, 5, 1.5),
    "missing registrations": lambda: missing_registrations([100, 200, 300], [90, 50, 290]),
    "meetings at night too": lambda: probability(MEETINGS, 2, 3),
    "licences": lambda: host_entitled_accounts(12),
}


@pytest.mark.parametrize("case", GIVE)
def test_an_estimate_names_its_method_and_rule_and_caps_where_all_users_are_known(case: str) -> None:
    estimate, said = GIVE[case](), SAID[case]
    assert (estimate.method, estimate.citation) == (said.method, guideline(said.rule))
    assert (estimate.users, estimate.raw, estimate.capped) == (said.users, said.raw, said.capped)


@pytest.mark.parametrize("case", GIVE)
def test_an_estimate_keeps_every_figure_that_entered_it_with_its_unit(case: str) -> None:
    inputs = {
        name: (list(each.value) if isinstance(each.value, tuple) else each.value, each.unit)
        for name, each in GIVE[case]().inputs.items()
    }
    assert inputs == SAID[case].inputs


@pytest.mark.parametrize("case", GIVE)
def test_the_arithmetic_is_spelled_out_in_both_languages(case: str) -> None:
    assert GIVE[case]().formula == SAID[case].formula


@pytest.mark.parametrize("case", GIVE)
def test_other_readings_are_named_with_their_numbers_those_nearest_to_the_chosen_one_first(case: str) -> None:
    assert [(other.users, other.raw, other.reading) for other in GIVE[case]().other_readings] == SAID[case].other_readings


CERTAINLY_NOT = (
    "緊急通報に影響がないことが確実なため、通常の算定方法による（呼損率概ね80%以上を品質の低下とし、基準は1の項のまま）",
    "certainly no emergency call was affected: the ordinary method (degraded from about 80 % call loss; still row 1)",
)


@pytest.mark.parametrize(
    ("affected", "special", "ja", "en"),
    [
        (
            False,
            False,
            *CERTAINLY_NOT,
        ),
        (
            True,
            True,
            "緊急通報に影響があったため、緊急通報の算定方法による",
            "emergency calls were affected: their own method",
        ),
        (
            None,
            True,
            "緊急通報への影響が不明のため、影響ありとみなす",
            "it is unknown whether emergency calls were affected: taken as affected",
        ),
    ],
)
def test_it_says_which_rule_counts_the_users_of_a_voice_service(affected: bool | None, special: bool, ja: str, en: str) -> None:
    rule = voice_rule(affected)
    assert (rule.special, rule.call_loss_threshold, rule.why) == (special, not special, Text(ja, en))
    assert rule.citation == guideline("emergency_voice")


DIRECT = ("direct", "利用できなかった利用者の実数が把握できない", "users who tried and could not use it are not known")
UNDER = ("all_under_equipment", "設備配下の全利用者数が不明", "all users under the equipment are not known")


@pytest.mark.parametrize(
    ("choose", "passed_over"),
    [
        (
            lambda: fallback.best_effort(fallback.BestEffort()),
            [DIRECT, ("traffic_difference", "比較できるトラフィックが不明", "no comparable traffic is known"), UNDER],
        ),
        (
            lambda: fallback.best_effort(fallback.BestEffort(traffic=Traffic((1,), (0,)))),
            [
                DIRECT,
                (
                    "traffic_difference",
                    "1利用者・1時間当たりのトラフィックが不明で、配下の全利用者数と基準のトラフィックからも求められない",
                    "bytes per user and hour are unknown and cannot be derived from all users under the equipment and the baseline",
                ),
                UNDER,
            ],
        ),
        (
            lambda: fallback.other_voice(fallback.OtherVoice()),
            [
                DIRECT,
                (
                    "call_shortfall",
                    "通常時と障害時の通話数、1人当たりの通話数のいずれかが不明",
                    "normal calls, actual calls or calls per person are not known",
                ),
                ("missing_registrations", "登録者数が不明", "registrations are not known"),
                UNDER,
            ],
        ),
        (
            lambda: fallback.emergency_voice(fallback.EmergencyVoice(completely_down=False)),
            [
                ("emergency_call_loss", "呼損率が算出できない", "the call-loss rate is not known"),
                ("emergency_all_under_equipment", "設備配下の全利用者数が不明", "all users under the equipment are not known"),
            ],
        ),
        (
            lambda: fallback.emergency_voice(
                fallback.EmergencyVoice(completely_down=True, call_loss_rate=0.5, users_under_equipment=9)
            ),
            [("emergency_call_loss", "完全な故障のため呼損率によらない", "completely down: the call-loss rate is not used")],
        ),
        (
            lambda: fallback.emergency_voice(fallback.EmergencyVoice(call_loss_rate=0.5, users_under_equipment=9)),
            [
                (
                    "emergency_call_loss",
                    "完全な故障か不明のため呼損率によらない",
                    "unknown whether completely down: the call-loss rate is not used",
                )
            ],
        ),
        (
            lambda: fallback.emergency_voice(fallback.EmergencyVoice(False, ordinary=fallback.OtherVoice(failed_users=3))),
            [
                ("emergency_call_loss", *CERTAINLY_NOT),
                ("emergency_all_under_equipment", *CERTAINLY_NOT),
            ],
        ),
        (
            lambda: fallback.conference_function(fallback.ConferenceFunction()),
            [
                DIRECT,
                (
                    "conference_probability",
                    "会議の統計または営業時間内の障害時間が不明",
                    "meeting statistics or the outage in business hours are not known",
                ),
                (
                    "host_entitled_accounts",
                    "主催権限のあるアカウント数が不明",
                    "accounts entitled to host are not known",
                ),
            ],
        ),
    ],
)
def test_it_says_why_a_method_was_passed_over(
    choose: Callable[[], fallback.Choice], passed_over: list[tuple[str, str, str]]
) -> None:
    assert [(passed.method, passed.why.ja, passed.why.en) for passed in choose().passed_over] == passed_over


@pytest.mark.parametrize(
    ("choose", "rule"),
    [
        (lambda: fallback.best_effort(fallback.BestEffort(failed_users=3)), "best_effort"),
        (lambda: fallback.best_effort(fallback.BestEffort(users_under_equipment=3)), "best_effort"),
        (lambda: fallback.other_voice(fallback.OtherVoice(failed_users=3)), "really_hit"),
        (lambda: fallback.other_voice(fallback.OtherVoice(users_under_equipment=3)), "really_hit"),
        (lambda: fallback.conference_function(fallback.ConferenceFunction(failed_users=3)), "conference"),
    ],
)
def test_the_same_count_cites_the_rule_of_its_kind_of_service(choose: Callable[[], fallback.Choice], rule: str) -> None:
    choice = choose()
    assert choice.estimate is not None
    assert choice.estimate.citation == guideline(rule)


def test_traffic_is_judged_by_the_draft_to_the_letter_unless_told_otherwise() -> None:
    traffic = Traffic((100, 100), (40, 130), 1)
    chosen = fallback.best_effort(fallback.BestEffort(traffic=traffic)).estimate
    assert chosen == traffic_difference(traffic, duration="multiplied", negative_hours="clipped")
    assert chosen == traffic_difference(traffic)


ONE_HOUR = Traffic((1,), (1,), 1)


@pytest.mark.parametrize(
    ("give", "refusal"),
    [
        (lambda: direct(-1), "failed_users: -1 is negative"),
        (lambda: direct(True), "failed_users: True is not a whole number of users"),
        (lambda: all_under_equipment(-1), "users_under_equipment: -1 is negative"),
        (lambda: traffic_difference(ONE_HOUR, -1), "users_under_equipment: -1 is negative"),
        (lambda: traffic_difference(Traffic((-1,), (1,), 1)), "baseline_bytes_per_hour[0]: -1 is negative"),
        (lambda: traffic_difference(Traffic((1, 1), (1, -1), 1)), "actual_bytes_per_hour[1]: -1 is negative"),
        (lambda: traffic_difference(Traffic((1,), (1,), -1)), "bytes_per_user_hour: -1 is negative"),
        (lambda: traffic_difference(Traffic((1,), (1,), 1, (0,))), "hour_weights[0]: must be above zero"),
        (lambda: traffic_difference(Traffic((1,), (1,), 1, (1.5,))), "hour_weights[0]: 1.5 is more than an hour"),
        (
            lambda: traffic_difference(Traffic((1, 2), (1,), 1)),
            (
                "baseline_bytes_per_hour, actual_bytes_per_hour, hour_weights: "
                "2, 1, 2 entries; give one of each per hour, at least one"
            ),
        ),
        (lambda: emergency_voice(-1, True), "users_under_equipment: -1 is negative"),
        (lambda: emergency_voice(1, False, -1), "call_loss_rate: -1 is negative"),
        (
            lambda: emergency_voice(1, False, 70),
            "call_loss_rate: 70 is more than 1; give a share (0.7), not a percentage (70)",
        ),
        (lambda: call_shortfall(-1, 1, 1), "normal_calls: -1 is negative"),
        (lambda: call_shortfall(1, -1, 1), "actual_calls: -1 is negative"),
        (lambda: call_shortfall(1, 1, 0), "calls_per_person: must be above zero"),
        (lambda: call_shortfall("7", 1, 1), "normal_calls: '7' is not a number"),  # type: ignore[arg-type]
        (lambda: call_shortfall(float("inf"), 1, 1), "normal_calls: inf is not a finite number"),
        (lambda: missing_registrations([-1], [1]), "baseline_registrations: -1 is negative"),
        (lambda: missing_registrations([1], [-1]), "actual_registrations: -1 is negative"),
        (
            lambda: missing_registrations([1, 2], [1]),
            "baseline_registrations, actual_registrations: 2 and 1 samples; give one of each per sample, at least one",
        ),
        (lambda: probability(Meetings(-1, 1, 1, 1, 1), 1), "monthly_hosts_under_equipment: -1 is negative"),
        (lambda: probability(Meetings(1, -1, 1, 1, 1), 1), "meetings_per_host_month: -1 is negative"),
        (lambda: probability(Meetings(1, 1, -1, 1, 1), 1), "meeting_hours: -1 is negative"),
        (lambda: probability(Meetings(1, 1, 1, 0, 1), 1), "business_days_month: must be above zero"),
        (lambda: probability(Meetings(1, 1, 1, -1, 1), 1), "business_days_month: -1 is negative"),
        (lambda: probability(Meetings(1, 1, 1, 1, 0), 1), "business_hours_day: must be above zero"),
        (lambda: probability(MEETINGS, -1), "outage_business_hours: -1 is negative"),
        (lambda: probability(MEETINGS, 1, -1), "outage_hours: -1 is negative"),
        (lambda: probability(MEETINGS, 2, 1), "outage_hours: less than outage_business_hours"),
        (lambda: host_entitled_accounts(-1), "accounts_under_equipment: -1 is negative"),
        (lambda: Correction(10, -1, "k.sato", "r"), "users: -1 is negative"),
        (lambda: Correction(-1, 1, "k.sato", "r"), "measured: -1 is negative"),
        (
            lambda: Correction(10, 11, "k.sato", "r"),
            "users: 11 is more than the measured 10; a correction only lowers",
        ),
        (lambda: Correction(10, 5, "k.sato", " "), "by, reason: a correction needs a person and a reason"),
    ],
)
def test_a_refusal_names_the_figure_and_what_is_wrong_with_it(give: Callable[[], object], refusal: str) -> None:
    with pytest.raises(WrongFigure) as refused:
        give()
    assert str(refused.value) == refusal
