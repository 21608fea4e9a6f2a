"""Two words of a person against what is known: it is another failure than that one; and it is not over, though it seems so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from receiver.catalogue import Catalogue
from receiver.incidents.acts import state
from receiver.incidents.derive import derive_waiting
from receiver.incidents.facts import Refused
from receiver.model import Deed, Opened, Reopened, Timed
from receiver.storage import notifications
from tests.fakes.prometheus import FakePrometheus
from tests.receiver import SERVICES, Receiver

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
NOW = T0 + timedelta(minutes=30)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with FakePrometheus() as prometheus, Receiver(tmp_path, prometheus.url, hold_seconds=60) as receiver:
        prometheus.holds("art58:equipment_up", 1, equipment="mail-1")
        receiver.clock.fixed = NOW
        prometheus.now = NOW.timestamp()
        yield receiver


def says(receiver: Receiver, incident_id: str | None, deed: Deed) -> str:
    kept = state(receiver.database, Catalogue(SERVICES), incident_id, deed, "yamada", "calls from customers", NOW)
    receiver.assess_at(NOW)
    return kept.incident_id


def state_of(receiver: Receiver, id_: str) -> str:
    (found,) = [incident["state"] for incident in receiver.incidents() if incident["id"] == id_]
    return str(found)


def test_what_is_opened_apart_stays_apart_at_every_tick(receiver: Receiver) -> None:
    known = says(receiver, None, Opened(("webmail",), "mail-1", T0))
    with pytest.raises(Refused, match="--apart"):
        says(receiver, None, Opened(("webmail",), None, T0 + timedelta(minutes=5)))
    apart = says(receiver, None, Opened(("webmail",), None, T0 + timedelta(minutes=5), apart=True))
    receiver.assess_at(NOW + timedelta(minutes=1))
    assert apart != known
    assert (state_of(receiver, known), state_of(receiver, apart)) == ("open", "open")
    says(receiver, known, Timed(restored_at=T0 + timedelta(minutes=10)))
    receiver.assess_at(NOW + timedelta(minutes=5))
    assert (state_of(receiver, known) != "open", state_of(receiver, apart)) == (True, "open")


def test_named_equipment_that_is_down_already_is_not_opened_again_whatever_is_said(receiver: Receiver) -> None:
    known = says(receiver, None, Opened(("webmail",), "mail-1", T0))
    with pytest.raises(Refused, match=known):
        says(receiver, None, Opened(("webmail",), "mail-1", T0, apart=True))


def told(receiver: Receiver, ends_at: datetime | None) -> None:
    """Alertmanager says that mail-1 is down since T0, or was until then; a tick takes it in."""
    alert = {
        "status": "resolved" if ends_at else "firing",
        "labels": {"alertname": "Down", "service": "webmail", "equipment": "mail-1"},
        "annotations": {},
        "startsAt": T0.isoformat(),
        "endsAt": ends_at.isoformat() if ends_at else "0001-01-01T00:00:00Z",
        "fingerprint": "f1",
    }
    body = msgspec.json.encode({"version": "4", "status": alert["status"], "alerts": [alert]})
    with receiver.database.inbox.write() as connection:
        notifications.add(connection, "alertmanager", NOW, body)
    derive_waiting(receiver.database, Catalogue(SERVICES), timedelta(seconds=60), NOW)
    receiver.assess_at(NOW)


@pytest.mark.parametrize("is_pinned", [False, True])
def test_what_is_pinned_open_stays_so_though_its_alerts_are_over_until_a_person_states_its_end(
    receiver: Receiver, is_pinned: bool
) -> None:
    told(receiver, None)
    (id_,) = (incident["id"] for incident in receiver.incidents())
    if is_pinned:
        says(receiver, id_, Reopened())
        with pytest.raises(Refused, match="by a person's word"):
            says(receiver, id_, Reopened())
    told(receiver, T0 + timedelta(minutes=20))
    receiver.assess_at(NOW + timedelta(hours=2))
    assert (state_of(receiver, id_) == "open") is is_pinned
    says(receiver, id_, Timed(restored_at=T0 + timedelta(minutes=20)))
    receiver.assess_at(NOW + timedelta(hours=3))
    assert state_of(receiver, id_) in ("restored", "closed")
