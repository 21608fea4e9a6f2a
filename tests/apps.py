"""The receiver's web app in this process, over a real SQLite file, with a clock that the test sets."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from receiver.catalogue import Catalogue, Service
from receiver.law.rulebook import Text
from receiver.settings import AuthenticationSettings, BasicUser, PrometheusSettings, SecretRef, Settings
from receiver.storage.database import Database
from receiver.web import create_app
from tests.samples import ASSESSED_AT

TOKEN = "the-bearer-token-aK3"
PASSWORD = "the-basic-password-9x"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


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
            authentication=AuthenticationSettings(
                bearer_tokens=(SecretRef(file=str(folder / "token")),),
                basic=(BasicUser("alertmanager", SecretRef(file=str(folder / "password"))),),
            ),
            **changes,
        )
        self.database = Database(self.settings.database, busy_seconds=0.2)
        self.database.migrate()
        self.clock = SetClock(ASSESSED_AT)
        voice = Service(
            name="voice",
            title=Text("携帯電話（音声）", "Mobile voice"),
            kind="voice",
            emergency_calls=True,
            match=('service="voice"',),
        )
        self.flask = create_app(self.settings, Catalogue((voice,)), self.clock)
        self.client: FlaskClient = self.flask.test_client()

    @property
    def file(self) -> Path:
        return Path(self.settings.data_dir, "art58.db")
