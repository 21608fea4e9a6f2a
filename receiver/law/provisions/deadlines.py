"""The duties after an accident as dated data, read from the YAML beside this file."""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from receiver.law import lined_yaml
from receiver.law.provisions import NoProvision, Provision, Text, in_force

DutyId = Literal[
    "first_notice",
    "detailed_report",
    "wholesale_report",
    "near_miss_first_notice",
    "near_miss_report",
    "periodic_report",
    "public_notice_designated",
    "public_notice",
    "public_update",
]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of duty as data; at most one of `days`, `months` and `minutes`, none where no number is named.

    `months` count from the end of the period that holds the occurrence; periods end with the months in `period_end_months`.
    """

    id: DutyId
    what: Text
    to: Text
    form: str | None
    provision: Provision
    days: int | None = None
    months: int | None = None
    minutes: int | None = None
    period_end_months: tuple[int, ...] = ()


class Convention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way of counting that no text read prescribes."""

    text: Text
    provision: Provision


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All duties with all their versions."""

    check_by: date
    duties: tuple[Rule, ...]
    first_day: Convention

    def find(self, id_: DutyId, day: date) -> Rule | None:
        """The version in force on the day; None before there was one."""
        found = in_force((rule for rule in self.duties if rule.id == id_), day)
        return found[0] if found else None

    def on(self, id_: DutyId, day: date) -> Rule:
        """The version in force on the day. Raises NoProvision when there is none."""
        rule = self.find(id_, day)
        if rule is None:
            raise NoProvision(f"{id_}: nothing was in force on {day}")
        return rule


@cache
def shipped() -> Rules:
    """The duties that come with the receiver, with all their versions."""
    return lined_yaml.convert(lined_yaml.read(Path(__file__).parent / "deadlines.yaml"), Rules, faults)


def faults(rules: Rules) -> list[tuple[tuple[str | int, ...], str, str]]:
    """What no single value shows: a duty with two versions on one day, with two terms, or months without their periods."""
    found: list[tuple[tuple[str | int, ...], str, str]] = []
    for number, rule in enumerate(rules.duties):
        here = ("duties", number)
        if any(rule.id == e.id and rule.provision.overlaps(e.provision) for e in rules.duties[:number]):
            found.append((here, f"{rule.id} has two versions for one day", "Close the older one with valid_to"))
        if sum(term is not None for term in (rule.days, rule.months, rule.minutes)) > 1:
            found.append((here, "more than one of days, months and minutes", "Keep one"))
        if (rule.months is None) != (not rule.period_end_months):
            found.append((here, "months and period_end_months belong together", "Give both or neither"))
    return found
