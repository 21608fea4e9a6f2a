"""What should come out of the story, computed from the network alone, and what is missing from what did come out."""

from datetime import datetime
from typing import Any

from examples.demo.network import SERVICES, Network
from examples.demo.watch import Look, annotation_times, is_moment, moment

# An outage of one hour and a minute: the users from which a service becomes major by it (rows 1 and 6), and from which
# the outage belongs in the annual report. LPWA and free webmail are never major that soon.
MAJOR_AT_ONE_HOUR = {"voice": 30_000, "data": 100_000}
PERIODIC_USERS = 30_000
CROSSING_TOLERANCE_SECONDS = 1
ORDER = {service.name: place for place, service in enumerate(SERVICES)}

Json = dict[str, Any]


def expected_verdicts(network: Network, node: str) -> dict[str, str]:
    expected = {}
    for service in SERVICES:
        users = network.affected_users(service, network.nodes[node])
        if users >= MAJOR_AT_ONE_HOUR.get(service.name, float("inf")):
            expected[service.name] = "major"
        else:
            expected[service.name] = "periodic" if users >= PERIODIC_USERS else "none"
    return expected


def summarise(look: Look) -> Json:
    """The last look in the shape of summary.json."""
    return {
        "services": [
            {name: impact[name] for name in ("service", "verdict", "rulebook", "row", "affected_users")}
            | {"failure_started_at": incident["failure_started_at"]}
            | {"major_since": impact["major_since"], "restored_at": incident["restored_at"]}
            for incident in look.incidents
            for impact in sorted(incident["impacts"], key=lambda impact: ORDER[impact["service"]])
        ],
        "tickets": [{"path": ticket.path, "state": ticket.state, "title": ticket.title} for ticket in look.tickets],
        "annotations": [
            {
                "id": annotation["id"],
                "time": start.isoformat(),
                "time_end": end.isoformat() if end else None,
                "is_moment": is_moment(annotation),
                "tags": annotation["tags"],
                "text": annotation["text"],
            }
            for annotation in look.annotations
            for start, end in [annotation_times(annotation)]
        ],
    }


def missing(network: Network, node: str, crossing: datetime, look: Look) -> list[str]:
    """What did not come out as it should: empty when the story is whole."""
    faults = []
    if len(look.incidents) != 1:
        faults.append(f"expected one incident, found {len(look.incidents)}")
    expected = expected_verdicts(network, node)
    # what may be major waits for a person
    state = "restored" if "major" in expected.values() else "closed"
    faults += [
        f"incident {incident['id']} is {incident['state']}, not {state} with a time of restoration"
        for incident in look.incidents
        if incident["state"] != state or not incident["restored_at"]
    ]
    for service in SERVICES:
        users = network.affected_users(service, network.nodes[node])
        faults += _service_faults(service.name, look.impacts.get(service.name), expected[service.name], users, crossing)
    faults += _ticket_faults(look, "major" in expected.values())
    if not look.annotations:
        faults.append("no annotation was written")
    faults += [
        f"annotation {annotation['id']} has no time end"
        for annotation in look.annotations
        if annotation_times(annotation)[1] is None and not is_moment(annotation)
    ]
    return faults


def _service_faults(name: str, impact: Json | None, verdict: str, users: int, crossing: datetime) -> list[str]:
    if impact is None:
        return [f"{name}: the receiver shows no impact"]
    faults = []
    if impact["verdict"] != verdict:
        faults.append(f"{name}: verdict {impact['verdict']}, expected {verdict}")
    if impact["affected_users"] != users:
        faults.append(f"{name}: {impact['affected_users']} users affected, expected {users}")
    since = moment(impact["major_since"])
    if verdict == "major" and since and abs((since - crossing).total_seconds()) > CROSSING_TOLERANCE_SECONDS:
        faults.append(f"{name}: major since {since.isoformat()}, expected {crossing.isoformat()}")
    return faults


def _ticket_faults(look: Look, wanted: bool) -> list[str]:
    if not wanted:
        return [f"a ticket was written although nothing is major: {ticket.title}" for ticket in look.tickets]
    if not look.tickets:
        return ["no ticket was written"]
    return [f"ticket {t.path} is {t.state}, not resolved" for t in look.tickets if t.state != "resolved"]
