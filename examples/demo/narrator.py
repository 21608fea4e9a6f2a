"""Tell on the screen what changed between two looks. Every line is read from a look; nothing is said from memory."""

from examples.demo.network import SERVICES
from examples.demo.screen import Screen, clock
from examples.demo.watch import Json, Look, Ticket, annotation_times, headline, is_moment, moment

TITLES = {service.name: service.title_en for service in SERVICES}
METHODS = {
    "direct": "users who tried and failed, measured",
    "all_under_equipment": "all users under the equipment",
}
VERDICTS = {"major": "MAJOR may apply (a person decides)", "none": "none (so far)"}


class Narrator:
    def __init__(self, screen: Screen, hold_seconds: int) -> None:
        self.screen = screen
        self.hold_seconds = hold_seconds
        self.before = Look()

    def tell(self, look: Look) -> None:
        if new := [alert for alert in look.alerts if alert not in self.before.alerts]:
            self.screen.line(f"Alertmanager: {len(new)} alerts firing")
            for alert in new:
                self.screen.detail(alert)
        known = {incident["id"]: incident for incident in self.before.incidents}
        for incident in look.incidents:
            self._incident(incident, known.get(incident["id"]))
        for ticket in look.tickets:
            self._ticket(ticket, look)
        for annotation in look.annotations:
            self._annotation(annotation)
        self.before = look

    def _incident(self, incident: Json, before: Json | None) -> None:
        name, started = f"incident {incident['id']}", clock(moment(incident["failure_started_at"]))
        if before is None:
            self.screen.line(f"the receiver was notified: {name} is {incident['state']}, failing since {started}")
        elif incident["failure_started_at"] != before["failure_started_at"]:
            self.screen.line(f"{name}: the history shows that the failure started at {started}")
        if before and incident["state"] != before["state"]:
            self.screen.line(f"{name}: {before['state']} -> {incident['state']}{self._why(incident)}")
        impacts_before = {impact["service"]: impact for impact in (before or {}).get("impacts", [])}
        for impact in incident["impacts"]:
            self._impact(impact, impacts_before.get(impact["service"], {}))

    def _why(self, incident: Json) -> str:
        if incident["state"] == "recovering":
            return f" (held {self.hold_seconds} s in case it fails again)"
        restored = moment(incident["restored_at"])
        return f" (restored at {clock(restored)})" if restored else ""

    def _impact(self, impact: Json, before: Json) -> None:
        title = TITLES[impact["service"]]
        counted = ("affected_users", "method", "measured")
        if any(impact[name] != before.get(name) for name in counted) and impact["affected_users"] is not None:
            bound = "" if impact["measured"] else ", an upper bound only"
            method = METHODS.get(impact["method"], impact["method"])
            self.screen.line(f"{title}: {impact['affected_users']:,} users affected ({method}{bound})")
        expected = moment(impact["major_expected_at"])
        if expected and impact["major_expected_at"] != before.get("major_expected_at"):
            self.screen.detail(f"{title}: becomes major at {clock(expected)} if nothing changes")
        if impact["verdict"] != before.get("verdict"):
            self._verdict(title, impact)

    def _verdict(self, title: str, impact: Json) -> None:
        rule = f", {impact['rulebook']} row {impact['row']}" if impact["row"] else ""
        since = f" since {clock(moment(impact['major_since']))}" if impact["major_since"] else ""
        self.screen.line(f"{title}: verdict {VERDICTS.get(impact['verdict'], impact['verdict'])}{since}{rule}")
        if impact["verdict"] == "major":
            for language in ("ja", "en"):
                self.screen.detail(impact["reason"][language])

    def _ticket(self, ticket: Ticket, look: Look) -> None:
        before = {known.path: known for known in self.before.tickets}.get(ticket.path)
        if before is None:
            early = "" if any(impact["verdict"] == "major" for impact in look.impacts.values()) else " ahead of the threshold"
            self.screen.line(f"ticket written{early}: {ticket.path} [{ticket.state}]")
        elif ticket.state != before.state:
            self.screen.line(f"ticket {ticket.path}: {before.state} -> {ticket.state}")
        elif ticket != before:
            self.screen.line(f"ticket {ticket.path} changed [{ticket.state}]")
        if ticket != before:
            self.screen.detail(ticket.title)

    def _annotation(self, annotation: Json) -> None:
        before = {known["id"]: known for known in self.before.annotations}.get(annotation["id"])
        if annotation == before:
            return
        start, end = annotation_times(annotation)
        state = "the moment from which" if is_moment(annotation) else "open"
        span = f"{clock(start)} to {clock(end)}, closed to a region" if end else f"{clock(start)}, {state}"
        self.screen.line(f"annotation {annotation['id']} {'changed' if before else 'written'} ({span})")
        for told in (headline, lambda one: " ".join(one["tags"])):
            if before is None or told(annotation) != told(before):
                self.screen.detail(told(annotation))
