"""The receiver's web app in this process, over a real SQLite file, with a clock that the test sets."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from flask.testing import FlaskClient

from receiver.catalogue import Catalogue, Service
from receiver.law.provisions import Text
from receiver.law.rulebook import shipped
from receiver.model import Alert, Assessment, Incident
from receiver.settings import AuthenticationSettings, BasicUser, DutySettings, PrometheusSettings, SecretRef, Settings
from receiver.storage import incidents
from receiver.storage.database import Database
from receiver.web import create_app
from tests import stores
from tests.samples import ASSESSED_AT, STARTED_AT
from tests.stores import put_store

TOKEN = "the-bearer-token-aK3"
PASSWORD = "the-basic-password-9x"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def incident(**changes: Any) -> Incident:
    """The incident of `assessment()`."""
    sample = Incident(
        id="inc-1",
        cause="equipment:equipment=mme-1",
        equipment="mme-1",
        state="open",
        opened_at=STARTED_AT + timedelta(seconds=30),
        failure_started_at=STARTED_AT,
        start_basis="equipment_series",
        start_settled=True,
        good_at=STARTED_AT - timedelta(seconds=15),
    )
    return msgspec.structs.replace(sample, **changes)


def alert(**changes: Any) -> Alert:
    """The alert of `incident()`."""
    sample = Alert(
        source="alertmanager",
        fingerprint="4f2a6f57e9b4caac",
        starts_at=STARTED_AT + timedelta(seconds=15),
        ends_at=None,
        labels={"alertname": "Art58EquipmentDown", "service": "voice", "equipment": "mme-1", "severity": "critical"},
        annotations={"summary": "mme-1 is down: voice"},
        generator_url="http://prometheus.example/graph",
        incident_id="inc-1",
    )
    return msgspec.structs.replace(sample, **changes)


class SetClock:
    """Says the same time until it is told another."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class App:
    """`client` asks it, `database` looks behind it."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        secrets = {"token": TOKEN, "password": PASSWORD}
        for name, text in secrets.items():
            (folder / name).write_text(text + "\n")
        self.settings = Settings(
            data_dir=str(folder / "data"),
            prometheus=PrometheusSettings(url="http://127.0.0.1:9"),
            duties=DutySettings(first_notice_target_minutes=45, designated_institution=True),
            authentication=AuthenticationSettings(
                bearer_tokens=(SecretRef(file=str(folder / "token")),),
                basic=(BasicUser("alertmanager", SecretRef(file=str(folder / "password"))),),
            ),
            **{"database_url": stores.url_of(folder)} | changes,
        )
        self.database = Database.of(self.settings, busy_seconds=0.2)
        if self.settings.database_file:
            put_store(self.file)
        self.clock = SetClock(ASSESSED_AT)
        voice = Service(
            name="voice",
            title=Text("携帯電話（音声）", "Mobile voice"),
            kind="voice",
            emergency_calls=True,
            match=('service="voice"',),
        )
        self.flask = create_app(self.settings, Catalogue((voice,)), shipped(), self.clock)
        self.client: FlaskClient = self.flask.test_client()

    def keep(self, kept: Incident, *assessments: Assessment, alerts: Iterable[Alert] = ()) -> None:
        """Put this into the store, as the worker would."""
        with self.database.write() as connection:
            incidents.save(connection, kept)
            incidents.save_alerts(connection, alerts)
            for assessment in assessments:
                incidents.append(connection, assessment)

    def lose_store(self) -> None:
        """From now on it is not there."""
        if self.settings.database_file:
            self.file.unlink()
            return
        server, _, name = self.settings.database.rpartition("/")
        with psycopg.connect(f"{server.replace('art58@', 'admin@')}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    @property
    def inbox(self) -> Path:
        """The file into which bodies come."""
        return Path(self.settings.data_dir, "art58-inbox.db")

    @property
    def file(self) -> Path:
        return Path(self.settings.data_dir, "art58.db")
