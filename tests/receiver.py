"""A receiver in this process: real HTTP, real store, real queries, and a clock that the test sets."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from werkzeug.serving import make_server

from receiver.catalogue import Catalogue, Service
from receiver.delivery.plan import Route
from receiver.delivery.targets import Target
from receiver.law.rulebook import shipped
from receiver.model import Assessment
from receiver.observation.prometheus import Prometheus
from receiver.settings import AuthenticationSettings, PrometheusSettings, SecretRef, Settings
from receiver.storage import notifications
from receiver.storage.database import Database
from receiver.web import create_app
from receiver.worker import Helper, Worker
from tests import stores

TOKEN = "the-token-of-the-tests"  # no secret: it opens nothing

SERVICES = (
    Service(name="voice", kind="voice", emergency_calls=True, match=('service="voice"',)),
    Service(name="data", kind="internet_access", match=('service="data"',)),
    Service(name="lpwa", kind="cellular_lpwa", match=('service="lpwa"',)),
    Service(name="webmail", kind="email", charged=False, monthly_users_previous_fy=12_000_000, match=('service="webmail"',)),
)


class SetClock:
    """The machine's time moved by `ahead`; or standing still at `fixed`."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.fixed: datetime | None = None

    def __call__(self) -> datetime:
        return self.fixed or datetime.now(UTC) + self.ahead


class Receiver:
    """`targets` get what `art58 serve` would send them, when `worker.deliver()` is called."""

    def __init__(
        self,
        folder: Path,
        prometheus_url: str,
        *targets: tuple[Route, Target],
        catalogue: Catalogue = Catalogue(SERVICES),  # noqa: B008 - frozen
        helper: Helper | None = None,
        **changes: Any,
    ) -> None:
        (folder / "token").write_text(TOKEN)
        self.clock = SetClock()
        self.settings = Settings(
            data_dir=str(folder),
            prometheus=PrometheusSettings(url=prometheus_url, timeout_seconds=2),
            authentication=AuthenticationSettings(bearer_tokens=(SecretRef(file=str(folder / "token")),)),
            **{"database_url": stores.url_of(folder)} | changes,
        )
        self.database = Database.of(self.settings)
        self.database.migrate()
        self._prometheus = Prometheus(self.settings.prometheus)
        self.worker = Worker(self.settings, catalogue, self.database, self._prometheus, shipped(), targets, self.clock, helper)
        self.app = create_app(self.settings, catalogue, shipped(), self.clock)
        self._server = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._prometheus.close()
        self.database.close()

    def received(self) -> int:
        """Notifications that wait to be derived."""
        with self.database.inbox.read() as connection:
            return notifications.count_waiting(connection)

    def assess_at(self, moment: datetime) -> list[Assessment]:
        """What a tick at `moment` appends, with no webhook in between."""
        self.clock.fixed = moment
        return self.worker.assess(moment)

    def incidents(self, state: str = "all") -> list[dict[str, Any]]:
        """What the API tells."""
        answer = self.app.test_client().get(f"/api/v1/incidents?state={state}", headers={"Authorization": f"Bearer {TOKEN}"})
        found: list[dict[str, Any]] = answer.json["incidents"]
        return found
