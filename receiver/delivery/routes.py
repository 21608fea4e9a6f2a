"""From the settings of a ticket system to what it is given, and what is wrong with these settings."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta

from receiver.delivery.content import Content
from receiver.delivery.opening import open_ticket, policy_of
from receiver.delivery.plan import Route
from receiver.delivery.sending import Send
from receiver.law.deadlines import QuietWindow
from receiver.law.verdict import Verdict
from receiver.settings import Complaint, SecretUnreadable, Settings, grafana_key
from receiver.settings.tickets import DirectoryTicket, SendSettings, Ticket, TicketSettings, WebhookTicket


def route_of(ticket: Ticket) -> Route:
    """What this ticket system is given, and in which words."""
    return Route(ticket.name, "ticket", policy_of(ticket), ticket.send.services, send=_send(ticket.send), content=Content(ticket))


def _send(send: SendSettings) -> Send:
    lead, quiet = send.lead_seconds, send.quiet
    return Send(
        verdicts=frozenset(map(Verdict, send.verdicts)),
        candidates=send.candidates,
        lead=None if lead is None else timedelta(seconds=lead),
        indeterminate=send.indeterminate,
        quiet=QuietWindow(time.fromisoformat(quiet.begins), time.fromisoformat(quiet.ends)) if quiet else None,
    )


def complaints(settings: Settings, services: Iterable[str]) -> list[Complaint]:
    """What types alone cannot say of templates, fields, `send` and places. Paths are rooted; `services` are of the catalogue."""
    known = set(services)
    found = _of_places(settings, known)
    for number, ticket in enumerate(settings.tickets):
        at = ("tickets", number)
        for inside, error in Content(ticket).faults:
            cure = "Correct the template there" if inside[0] == "templates" else "Correct it; its text is a template"
            found.append(((*at, *inside), str(error), cure))
        found += [((*at, "send", *inside), wrong, cure) for inside, wrong, cure in _of_send(ticket, settings, known)]
        found += [(at, wrong, "Correct it") for wrong in _unfit(ticket)]
    return found


def _of_places(settings: Settings, known: set[str]) -> list[Complaint]:
    return [
        ((*grafana_key(settings, number), "places", place_number, *inside), wrong, cure)
        for number, grafana in enumerate(settings.grafanas)
        for place_number, place in enumerate(grafana.places)
        for inside, wrong, cure in _unknown(place.services, known)
    ]


def _unknown(services: Iterable[str], known: set[str]) -> list[Complaint]:
    return [
        (("services", number), f"{name!r} is no service of the catalogue", f"Known are {', '.join(sorted(known))}")
        for number, name in enumerate(services)
        if name not in known
    ]


def _unfit(ticket: Ticket) -> list[str]:
    """What the system itself cannot take, so that the receiver would not start: fields that it does not have, for one."""
    if isinstance(ticket, DirectoryTicket | WebhookTicket):
        return []
    try:
        open_ticket(ticket, lambda: datetime.max.replace(tzinfo=UTC))  # only asked when something is sent
    except SecretUnreadable:
        pass  # told where it is named
    except ValueError as error:
        return [str(error)]
    return []


def _of_send(ticket: TicketSettings, settings: Settings, known: set[str]) -> list[Complaint]:
    send, lead = ticket.send, settings.candidate_lead_seconds
    found = _unknown(send.services, known)
    if send.lead_seconds is not None and send.lead_seconds > lead:
        wrong = f"is longer than candidate_lead_seconds ({lead:g}): nothing is a candidate so early"
        found.append((("lead_seconds",), wrong, "Make it shorter, or candidate_lead_seconds longer"))
    if send.quiet and send.quiet.begins == send.quiet.ends:
        found.append((("quiet", "ends"), "is when the quiet hours begin", "Give two times, or leave them out"))
    if not send.verdicts and not send.candidates:
        found.append((("verdicts",), "is empty, and candidates is false: no ticket is ever made", "Name a verdict"))
    return found
