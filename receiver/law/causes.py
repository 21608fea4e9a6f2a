"""What is a failure of equipment (故障) and what is not: causes as a person names them, what is judged for each, and its source.

It only looks up: a cause that no text names is still judged in one way, and says that a person decides.
"""

from collections import Counter
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import msgspec

from receiver.law import lined_yaml
from receiver.law.provisions import Provision, Text
from receiver.law.verdict import Cause

Kind = Literal[
    "hardware",
    "disaster_damage",
    "software",
    "human_error",
    "wrong_routing",
    "cyber_attack",
    "other_carrier_equipment",
    "third_party_equipment",
    "planned_work_overrun",
    "power",
    "building",
    "ordering_system",
    "traffic_growth",
    "underlying_carrier_of_ott",
    "planned_work_within_plan",
    "bought_bandwidth_congested",
    "upstream_restriction",
    "unknown",
]


class CauseRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of cause: what is judged for it, and where that stands.

    `a_person_decides`: no text that was read names it or says on which side it stands; it is judged as `cause` until then.
    """

    id: Kind
    text: Text
    cause: Cause
    a_person_decides: bool
    provision: Provision


class Causes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list of causes: every kind once."""

    check_by: date
    causes: tuple[CauseRule, ...]


@cache
def shipped() -> Causes:
    """The causes that come with the receiver."""
    return lined_yaml.convert(lined_yaml.read(Path(__file__).parent / "provisions" / "causes.yaml"), Causes, faults)


def cause(kind: Kind, rules: Causes | None = None) -> CauseRule:
    """What is judged for this kind of cause, and its source. Raises LookupError for a kind that is not in the list."""
    known = (rules or shipped()).causes
    for rule in known:
        if rule.id == kind:
            return rule
    raise LookupError(f"there is no cause {kind!r}: known are {', '.join(rule.id for rule in known)}")


def faults(rules: Causes) -> list[tuple[tuple[str | int, ...], str, str]]:
    """A kind given twice or not at all, and a citation that does not say what stands there."""
    found: list[tuple[tuple[str | int, ...], str, str]] = []
    seen: Counter[Kind] = Counter()
    for number, rule in enumerate(rules.causes):
        seen[rule.id] += 1
        if seen[rule.id] > 1:
            found.append((("causes", number), f"{rule.id} is given twice", "Keep one of them"))
        if rule.provision.says is None:
            found.append((("causes", number, "provision", "says"), "required key is missing", "Say what stands there"))
    return found + [(("causes",), f"no cause {kind}", "Add it") for kind in get_args(Kind) if not seen[kind]]
