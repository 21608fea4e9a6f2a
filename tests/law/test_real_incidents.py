"""Fifteen published outages by the table of their day and by that of 2019, beside what the ministry decided where that is known.

Counts are as published ("about", "up to"); the row of each service was assigned by the compiler of the list. Where ours differs:
until fiscal 2007 only a stop counted, and how many of the users of an outage of mixed effects (K-Opticom 2005) had a stop is not
published. The list takes all of them; we answer that it cannot be told, at most major.
"""

from typing import Any

import pytest

from docs.incidents_page import INCIDENTS, judged
from receiver.law.verdict import Verdict, gravest

SERVICES = [
    pytest.param(incident, service, id=f"{incident['id']}: {service['service']}")
    for incident in INCIDENTS
    for service in incident["services"]
]


def verdict(incident: dict[str, Any], service: dict[str, Any], book: str | None = None) -> Verdict:
    """What may apply to this service: with users or time unknown, what is certain."""
    return judged(incident, service, book).at_least


def test_all_fifteen_are_there() -> None:
    assert len(INCIDENTS) == 15


@pytest.mark.parametrize(("incident", "service"), SERVICES)
def test_a_service_meets_the_rule_of_its_day_as_published(incident: dict[str, Any], service: dict[str, Any]) -> None:
    if incident["start"] < "2008-04-01" and service["mode"] == "mixed":
        assert verdict(incident, service) != Verdict.MAJOR
    elif service["meets_rule_in_force"] is not None:
        assert (verdict(incident, service) == Verdict.MAJOR) is service["meets_rule_in_force"]
    if service["meets_2019_table"] is not None:
        assert (verdict(incident, service, "JP-TBA58-2019") == Verdict.MAJOR) is service["meets_2019_table"]


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda incident: incident["id"])
def test_what_the_ministry_judged_major_is_never_called_less_where_the_inputs_are_complete(incident: dict[str, Any]) -> None:
    if incident["mic_judged_major"] is True and incident["inputs_complete"] and not incident["special_clause"]:
        assert gravest(judged(incident, service) for service in incident["services"]).at_least == Verdict.MAJOR
    elif incident["mic_judged_major"] is False:
        assert gravest(judged(incident, service) for service in incident["services"]).at_least != Verdict.MAJOR
