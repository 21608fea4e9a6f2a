"""An incident with all that is known of it when it is judged: its alerts, the services they hit, what persons stated."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce
from itertools import chain

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.incidents import correlate
from receiver.incidents.correlate import hold_of
from receiver.incidents.topology import parents_of
from receiver.law.counting import Affected, keep_largest
from receiver.model import Alert, Assessment, Conclusion, Incident
from receiver.stated import Stated, stated
from receiver.storage import acts
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database


class Hit(msgspec.Struct, gc=False):
    """A service that an incident hits: its alerts, the equipment that failed under it, all that its alerts name, and when it
    recovered by its alerts; `restored` is that as far as it is believed.
    """

    service: Service
    alerts: list[Alert]
    units: tuple[str | None, ...]
    named: frozenset[str]
    ended: datetime | None
    restored: datetime | None = None


class Case(msgspec.Struct, gc=False):
    """An incident to be judged with all that is known of it at this tick.

    `ended`: when it recovered by its alerts and by what a person stated, `held_at` when that will have held. `gone`: what was last
    assessed of services that it has no more.
    """

    incident: Incident
    alerts: list[Alert]
    hits: list[Hit]
    previous: dict[str, Conclusion]
    stated: Stated
    ended: datetime | None = None
    held_at: datetime | None = None
    gone: list[Assessment] = []
    without_data: dict[str, datetime] = {}

    @property
    def is_over(self) -> bool:
        """Whether it is none, or part of another: nothing of it is looked at any more."""
        return self.incident.dismissed or self.incident.joined_to is not None

    def unconfirmed(self, now: datetime) -> bool:
        """Whether it has to be seen that it works: a recovery was told that was not told before, or has held."""
        if self.stated.restored_at:
            return False  # a person has seen it
        state = self.incident.state
        if self.ended and (state == "open" or (state == "recovering" and self.held_at and self.held_at <= now)):
            return True
        return any(hit.ended and not self.was_restored(hit) for hit in self.hits)

    def was_restored(self, hit: Hit) -> bool:
        before = self.previous.get(hit.service.name)
        return before is not None and before.restored_at is not None


def load(database: Database, catalogue: Catalogue) -> list[Case]:
    with database.read() as connection:
        living = store.living(connection)
        ids = [incident.id for incident in living]
        alerts = store.alerts_of(connection, ids)
        previous = store.latest_conclusions(connection, ids)
        said = acts.of_incidents(connection, ids)
        cases = [
            Case(
                incident,
                alerts[incident.id],
                [] if incident.dismissed or incident.joined_to else _hits(connection, catalogue, alerts[incident.id]),
                {last.service: last for last in previous[incident.id]},
                stated(said.get(incident.id, ())),
            )
            for incident in living
        ]
        # who became part of another is to be looked at once more, and so is that one
        joined = {incident.joined_to or incident.id for incident in living if incident.to_assess}
        parts = store.parts_of(connection, joined) if joined else {}
        of_parts = store.latest_conclusions(connection, chain.from_iterable(parts.values())) if parts else {}
        cut = {case.incident.id: {hit.service.name for hit in case.hits} for case in cases}
        whole = store.latest_assessments(
            connection, [id_ for id_, names in cut.items() if any(last.service not in names for last in previous[id_])]
        )
        if any(alert.source == "grafana" for case in cases for alert in case.alerts):
            without_data = {
                alert.name: alert.starts_at for alert in store.firing_alone(connection, "grafana") if alert.is_ignorance
            }
            for case in cases:
                case.without_data = without_data
    for case in cases:
        for hit in case.hits:
            last = case.previous.get(hit.service.name)
            if last and not hit.named.issuperset(last.units):
                # counted of more equipment than it has by what is known now
                case.previous[last.service] = msgspec.structs.replace(last, affected=Affected(bound=last.affected.bound))
        _keep_what_parts_counted(case, [last for part in parts.get(case.incident.id, ()) for last in of_parts[part]])
        case.gone = [last for last in whole[case.incident.id] if last.service not in cut[case.incident.id]]
    return cases


def _keep_what_parts_counted(case: Case, of_parts: list[Conclusion]) -> None:
    """What was measured before it became part of this: the largest number of the accident may be among it."""
    for hit in case.hits:
        for part in of_parts:
            if part.service != hit.service.name or part.withdrawn or not hit.named.issuperset(part.units):
                continue
            last = case.previous.get(part.service)
            if last is None:
                case.previous[part.service] = msgspec.structs.replace(part, number=0)
                continue
            kept = reduce(keep_largest, part.affected.kept, last.affected.kept)
            case.previous[part.service] = msgspec.structs.replace(last, affected=msgspec.structs.replace(last.affected, kept=kept))


def _hits(connection: Connection, catalogue: Catalogue, alerts: list[Alert]) -> list[Hit]:
    """The services that these alerts are about, in the order of the catalogue."""
    named = {equipment for alert in alerts if (equipment := correlate.equipment_of(alert))}
    parents = parents_of(connection, catalogue, alerts) if len(named) > 1 else {}
    by_service: dict[str, list[Alert]] = {}
    for alert in alerts:
        for service in correlate.services_of(alert, catalogue):
            by_service.setdefault(service.name, []).append(alert)
    found = []
    for service in catalogue.services:
        if its := by_service.get(service.name):
            names = frozenset(equipment[1] for alert in its if (equipment := correlate.equipment_of(alert)))
            found.append(Hit(service, its, correlate.units_of(its, parents) or (None,), names, None))
    return found


def find_end(case: Case, catalogue: Catalogue, hold: timedelta) -> None:
    """When it, and each service, recovered: as its alerts tell, and for what began before it the end that a person stated."""
    word = case.stated.restored_at if not case.stated.is_going_on else None
    told = [(alert, None if _is_unknown(case, alert, end) else end) for alert, end in correlate.ends_of(case.alerts)]
    ends = {correlate.order_of(alert): correlate.by_word(alert, end, case.stated) for alert, end in told}
    last_told = _last(end for alert, end in told if word and alert.starts_at <= word)
    case.ended = _last([*ends.values(), *([word] if word else [])])
    holds = [end + hold_of(alert, catalogue, hold) for alert, _ in told if (end := ends[correlate.order_of(alert)])]
    if word:
        holds.append(word + max((hold_of(alert, catalogue, hold) for alert in case.alerts), default=hold))
    case.held_at = max(holds, default=None) if case.ended else None
    of_alert = {correlate.order_of(alert): end for alert, end in told}
    for hit in case.hits:
        its = [correlate.order_of(alert) for alert in hit.alerts]
        hit.ended = _last(ends[key] for key in its)
        # of several services the stated end is that of those that recovered last
        if word and hit.ended and hit.ended < word and _last(of_alert[key] for key in its) == last_told:
            hit.ended = word


def _is_unknown(case: Case, alert: Alert, end: datetime | None) -> bool:
    """Whether Grafana calls it over though the rule has no data since then: ignorance never closes."""
    since = case.without_data.get(alert.name) if alert.source == "grafana" else None
    return since is not None and end is not None and end >= since


def _last(ends: Iterable[datetime | None]) -> datetime | None:
    """The last of these; None if one of them is still to come, or there is none."""
    its = list(ends)
    return None if None in its else max((end for end in its if end), default=None)


def named(cases: list[Case]) -> dict[str, set[str | None]]:
    named: dict[str, set[str | None]] = {}
    for case in cases:
        for hit in case.hits:
            named.setdefault(hit.service.name, set()).update(hit.named or {None})
    return named
