"""A drill through the whole chain of a running receiver: an alert to its webhook, an incident, a verdict, a ticket at every target
that would get one, and the end of it all. Marked 訓練 / drill from the moment at which there is an incident to mark.

The alert names equipment that does not exist, so that no real incident takes it in. That it is a major accident is stated, not
measured: Prometheus knows nothing of it.
"""

import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec

from receiver.catalogue import Catalogue, Service
from receiver.catalogue.matchers import parse
from receiver.delivery.plan import Route, turn
from receiver.delivery.targets import Refused as NotTaken
from receiver.delivery.targets import Unreachable
from receiver.delivery.targets.http import call
from receiver.incidents import acts
from receiver.incidents.facts import Refused
from receiver.law.provisions import Text
from receiver.law.verdict import Verdict
from receiver.model import Clock, Counted, Deed, Delivery, Dismissed, Drilled, Incident, Timed
from receiver.settings import Settings
from receiver.storage import deliveries
from receiver.storage import incidents as store
from receiver.storage.database import Database

T = TypeVar("T")

EQUIPMENT = "DRILL-訓練"
_USERS, _LASTING = 10_000_000, timedelta(days=3)
"""Major by every row of the table."""
_WHY = "art58 drill"
_POLL_SECONDS, _POST_SECONDS = 0.2, 10.0


class Step(msgspec.Struct, frozen=True):
    """One thing that had to happen: whether it did, how long it took, and what shows it (an id) or why not."""

    name: str
    what: Text
    ok: bool
    seconds: float
    detail: str = ""


class Drill(msgspec.Struct, frozen=True):
    """The evidence. `remote_ids` is what was made at each target, `left_out` the targets that are due nothing by their settings."""

    equipment: str
    service: str
    incident: str | None
    began_at: datetime
    ended_at: datetime
    ok: bool
    steps: tuple[Step, ...]
    remote_ids: dict[str, str]
    left_out: tuple[str, ...]


class _Failed(Exception):
    """The chain ends here."""


class NoLabels(ValueError):
    """No labels can be made up that the service's matchers fit."""


def labels_of(service: Service, catalogue: Catalogue) -> dict[str, str]:
    """Labels of an alert that is about this service. Raises NoLabels."""
    matchers = list(map(parse, service.match))
    labels = {matcher.name: matcher.value for matcher in matchers if matcher.op == "="}
    labels |= {matcher.name: matcher.value for matcher in matchers if matcher.op == "=~" and matcher.value.isalnum()}
    if service not in catalogue.services_of(labels):
        raise NoLabels(f"no alert can be made up from the matchers of {service.name}. Name another service, or give labels")
    return labels


class Run:
    """One drill. `wait` is how long each step may take."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        database: Database,
        routes: tuple[Route, ...],
        service: Service,
        labels: dict[str, str],
        who: str,
        clock: Clock,
        wait: timedelta,
    ) -> None:
        self._settings, self._catalogue, self._database, self._routes = settings, catalogue, database, routes
        self._service, self._who, self._clock, self._wait = service, who, clock, wait
        self._equipment = f"{EQUIPMENT}-{secrets.token_hex(3)}"
        self._fingerprint = secrets.token_hex(8)
        self._began_at = clock()
        self._labels = {
            **labels,
            "alertname": "Art58Drill",
            "severity": "none",
            service.equipment_label: self._equipment,
        }
        self._incident: Incident | None = None
        self._rows: dict[tuple[str, str], Delivery] = {}
        self._left_out: tuple[str, ...] = ()

    def run(self) -> Drill:
        """Never raises for what is wrong with the chain: that is a step that failed, after which there is no other."""
        steps: list[Step] = []
        for name, what, do in self._chain():
            begun = time.monotonic()
            try:
                ok, detail = True, do()
            except (_Failed, Refused, NotTaken, Unreachable) as error:
                ok, detail = False, str(error)
            steps.append(Step(name, what, ok, round(time.monotonic() - begun, 3), detail))
            if not ok and name in ("posted", "derived", "marked", "assessed"):
                break
        return Drill(
            equipment=self._equipment,
            service=self._service.name,
            incident=self._incident.id if self._incident else None,
            began_at=self._began_at,
            ended_at=self._clock(),
            ok=all(step.ok for step in steps),
            steps=tuple(steps),
            remote_ids={f"{row.target} {row.object}": row.remote_id for row in self._rows.values() if row.remote_id},
            left_out=self._left_out,
        )

    def _chain(self) -> Iterator[tuple[str, Text, Callable[[], str]]]:
        yield "posted", Text("Webhookが受け付けた", "the webhook took the alert"), lambda: self._post("firing")
        yield "derived", Text("事故ができた", "it became an incident"), self._derived
        yield "marked", Text("訓練と申告した", "it was stated to be a drill, and major"), self._marked
        yield "assessed", Text("重大と判定された", "it was judged major"), self._assessed
        due = self._due()
        there, over = Text("送付先に届いた", "the target has it"), Text("終了が届いた", "the target knows the end")
        for target, object_ in due:
            yield f"delivered {target} {object_}", there, partial(self._sent, (target, object_), over=False)
        yield "resolved", Text("復旧を受け付けた", "the end was taken"), self._resolved
        for target, object_ in due:
            yield f"ended {target} {object_}", over, partial(self._sent, (target, object_), over=True)

    def _post(self, status: str) -> str:
        now = self._clock()
        alert: dict[str, Any] = {
            "status": status,
            "labels": self._labels,
            "annotations": {"summary": "訓練です。実際の障害ではありません。 / A drill: nothing of it is real."},
            "startsAt": self._began_at,
            "endsAt": now if status == "resolved" else "0001-01-01T00:00:00Z",
            "fingerprint": self._fingerprint,
        }
        host, port = self._settings.address
        address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::', '') else f'[{host}]' if ':' in host else host}:{port}"  # noqa: S104
        header, secret = self._credentials()
        call(
            "receiver",
            "POST",
            f"{address}/webhook/alertmanager",
            timeout_seconds=_POST_SECONDS,
            secret=secret,
            headers={"Authorization": header, "Content-Type": "application/json"},
            body=msgspec.json.encode({"version": "4", "status": status, "alerts": [alert]}),
        )
        return address

    def _credentials(self) -> tuple[str, str]:
        way_in = self._settings.authentication
        if way_in.bearer_tokens:
            token = way_in.bearer_tokens[0].read().reveal()
            return f"Bearer {token}", token
        user = way_in.basic[0]
        password = user.password.read().reveal()
        return f"Basic {b64encode(f'{user.username}:{password}'.encode()).decode()}", password

    def _derived(self) -> str:
        def found() -> Incident | None:
            with self._database.read() as connection:
                listed = store.listed(connection, ("open", "recovering"), 1000)
            return next((one for one in listed if self._equipment in one.units or one.equipment == self._equipment), None)

        self._incident = self._until(found, lambda: "no incident came of it. Is art58 serve running on this store?")
        return self._incident.id

    def _marked(self) -> str:
        now = self._clock()
        said: tuple[Deed, ...] = (Drilled(), Counted(self._service.name, _USERS), Timed(started_at=now - _LASTING))
        numbers = [self._state(deed) for deed in said]
        return f"acts {', '.join(numbers)}"

    def _state(self, deed: Deed) -> str:
        act = acts.state(self._database, self._catalogue, self._id, deed, self._who, _WHY, self._clock())
        return str(act.id)

    def _assessed(self) -> str:
        def judged() -> str | None:
            with self._database.read() as connection:
                latest = store.latest_assessments(connection, [self._id])[self._id]
            return next((f"assessment {one.number}" for one in latest if one.verdict == Verdict.MAJOR), None)

        return self._until(judged, lambda: "it was not judged anew")

    def _due(self) -> list[tuple[str, str]]:
        if self._incident is None:
            return []
        with self._database.read() as connection:
            latest = store.latest_assessments(connection, [self._id])[self._id]
            incident = store.get(connection, self._id) or self._incident
        every = [(route, object_) for route in self._routes for object_ in route.objects]
        now = self._clock()
        due: list[tuple[str, str]] = [
            (route.target, object_)
            for route, object_ in every
            if latest and turn(route, object_, incident, latest, None, now, exists=False) == "now"
        ]
        self._left_out = tuple(f"{route.target} {object_}" for route, object_ in every if (route.target, object_) not in due)
        return due

    def _sent(self, key: tuple[str, str], *, over: bool) -> str:
        def sent() -> str | None:
            with self._database.read() as connection:
                rows = {(row.target, row.object): row for row in deliveries.of_incidents(connection, [self._id])}
            row = rows.get(key)
            if row is None:
                return None
            self._rows[key] = row
            if row.state == "dead":
                raise _Failed(row.last_error or "a dead letter")
            done = row.state in ("sent", "unsure") and row.remote_id and (row.remembered.was_over or not over)
            return row.remote_id if done else None

        def missing() -> str:
            last = self._rows.get(key)
            return f"it is not there. Last error: {(last and last.last_error) or 'none'}"

        return self._until(sent, missing)

    def _resolved(self) -> str:
        """Dismissed by an act in the end: else a recovery would have to hold for `hold_seconds` before it is believed."""
        self._post("resolved")
        over = self._state(Timed(restored_at=self._clock()))

        def recovered() -> Incident | None:
            with self._database.read() as connection:
                known = store.get(connection, self._id)
            return known if known and known.state != "open" else None

        self._until(recovered, lambda: "the incident goes on")
        return f"acts {over}, {self._state(Dismissed())}"

    @property
    def _id(self) -> str:
        if self._incident is None:
            raise _Failed("there is no incident")
        return self._incident.id

    def _until(self, ask: Callable[[], T | None], else_: Callable[[], str]) -> T:
        deadline = time.monotonic() + self._wait.total_seconds()
        while not (found := ask()):
            if time.monotonic() > deadline:
                raise _Failed(f"not within {self._wait.total_seconds():g} s: {else_()}")
            time.sleep(_POLL_SECONDS)
        return found
