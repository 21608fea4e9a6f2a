"""What a person reads of a verdict: its numbers, its arithmetic and what would change it, to the letter in both languages."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from receiver.law.counting import Affected
from receiver.law.explanation import Explanation, explain_estimate
from receiver.law.methods import Traffic, emergency_voice, traffic_difference
from receiver.law.provisions import Text
from receiver.law.rulebook import ServiceFacts
from receiver.law.verdict import Circumstances, judge
from receiver.law.wording import GONE
from tests.explained import ACCESS, BOOKS, EMERGENCY, STARTED_AT, TODAY, measured, of_case, watched

SAYS = Path(__file__).parents[1] / "data" / "explanations.yaml"
OLD, DRAFT = BOOKS["JP-TBA58-2004"], BOOKS["JP-TBA58-DRAFT-2023-04"]
POWER = Circumstances(cause="non_telecom_equipment_failure")
CABLE = Circumstances(facility="submarine_cable", all_traffic_down=True)


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What some parts of an explanation are to say, in Japanese and in English; a part that is not given is not looked at."""

    numbers: list[Text] | msgspec.UnsetType = msgspec.UNSET
    steps: list[Text] | msgspec.UnsetType = msgspec.UNSET
    would_change: list[Text] | msgspec.UnsetType = msgspec.UNSET


def cable(**changes: object) -> Circumstances:
    return msgspec.structs.replace(CABLE, **changes)


def some_calls_lost(circumstances: Circumstances) -> Explanation:
    estimate = emergency_voice(50_000, False, 0.5)
    judged = judge(EMERGENCY, TODAY, timedelta(minutes=60), estimate.users, estimate.users, circumstances)
    return explain_estimate(estimate, judged, EMERGENCY, TODAY, STARTED_AT)


def fewer_by_another_reading() -> Explanation:
    estimate = traffic_difference(Traffic((900, 1000, 1100), (450, 400, 880), 0.02))
    judged = judge(ACCESS, TODAY, timedelta(minutes=119), estimate.users, estimate.users)
    return explain_estimate(estimate, judged, ACCESS, TODAY, STARTED_AT)


SAID = msgspec.yaml.decode(SAYS.read_bytes(), type=dict[str, Said])
EXPLAIN: dict[str, Callable[[], Explanation]] = {
    "a second and a user short": lambda: of_case(120 - 1 / 60, 29_999),
    "as long and as many as asked": lambda: of_case(60, 100_000),
    "no failure": lambda: of_case(130, 150_000, circumstances=Circumstances(cause="no_failure")),
    "other equipment": lambda: of_case(130, 150_000, circumstances=POWER),
    "other equipment of a cable": lambda: of_case(130, 0, circumstances=cable(cause=POWER.cause)),
    "cause unknown": lambda: of_case(130, 29_999, circumstances=Circumstances(cause="unknown")),
    "add-on function": lambda: of_case(130, 150_000, circumstances=Circumstances(add_on_function=True)),
    "cable still too short, cause unknown": lambda: of_case(119, 0, circumstances=cable(cause="unknown")),
    "cable, installer unknown": lambda: of_case(130, 0, circumstances=CABLE),
    "cable, installer known": lambda: of_case(130, 0, circumstances=cable(installed_by_the_carrier=True)),
    "row unknown": lambda: of_case(300, 150_000, ServiceFacts("messaging")),
    "degraded where only a stop counts": lambda: of_case(180, 150_000, circumstances=Circumstances(effect="degradation"), book=OLD),
    "users unknown under the draft": lambda: of_case(180, None, circumstances=Circumstances(effect="both"), book=DRAFT),
    "outage that lasts": lambda: watched(EMERGENCY, 30, Affected((measured(31_000),))),
    "outage no longer measured": lambda: watched(ACCESS, 20, Affected((measured(31_000),), bound=1_234_567, problem=GONE)),
    "outage never measured": lambda: watched(ACCESS, 120, Affected(bound=40_000, problem="timed out")),
    "estimate": lambda: some_calls_lost(Circumstances()),
    "estimate that another reading lowers": fewer_by_another_reading,
    "estimate where the table does not matter": lambda: some_calls_lost(POWER),
}


@pytest.mark.parametrize("case", EXPLAIN)
def test_an_explanation_says_to_the_letter_what_decided_and_what_would_change_it(case: str) -> None:
    explanation, said = EXPLAIN[case](), msgspec.structs.asdict(SAID[case])
    for part, texts in said.items():
        assert texts is msgspec.UNSET or list(getattr(explanation, part)) == texts


def test_every_text_written_down_belongs_to_a_case() -> None:
    assert SAID.keys() == EXPLAIN.keys()
