"""Look at what the receiver did, from outside: its API, the ticket folder, the annotations, Alertmanager's alerts."""

import html
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from examples.demo.stack import DASHBOARD, Folder, Stack, short
from examples.peers import fetch

Json = dict[str, Any]


@dataclass(frozen=True)
class Ticket:
    path: str
    state: str
    title: str


@dataclass(frozen=True)
class Look:
    """All that could be seen at one moment."""

    alerts: list[str] = field(default_factory=list)
    incidents: list[Json] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    annotations: list[Json] = field(default_factory=list)

    @property
    def impacts(self) -> dict[str, Json]:
        return {impact["service"]: impact for incident in self.incidents for impact in incident["impacts"]}


class Watch:
    def __init__(self, folder: Folder, stack: Stack) -> None:
        self.folder = folder
        self.stack = stack
        self._receiver = {"Authorization": f"Bearer {folder.webhook_token.read_text().strip()}"}
        self._grafana = {
            "Authorization": f"Bearer {folder.grafana_token.read_text().strip()}",
            "Content-Type": "application/json",
        }

    def save_dashboard(self) -> None:
        """Give Grafana the dashboard that the annotations are to stand on."""
        dashboard = json.loads(DASHBOARD.read_text())
        body = json.dumps({"dashboard": dashboard, "overwrite": True}).encode()
        fetch(f"{self.stack.grafana.url}/api/dashboards/db", self._grafana, body)

    def look(self) -> Look:
        tags = urllib.parse.urlencode({"tags": "art58"})
        return Look(
            firing(json.loads(fetch(f"{self.stack.alertmanager.url}/api/v2/alerts"))),
            json.loads(fetch(f"{self.stack.receiver.url}/api/v1/incidents?state=all", self._receiver))["incidents"],
            read_tickets(self.folder.tickets),
            json.loads(fetch(f"{self.stack.grafana.url}/api/annotations?{tags}", self._grafana)),
        )


def firing(alerts: list[Json]) -> list[str]:
    """Alertmanager's alerts as short names, say "Art58EquipmentDown voice core-east-1"."""
    labels = (alert["labels"] for alert in alerts)
    return sorted(" ".join(of.get(name, "?") for name in ("alertname", "service", "equipment")) for of in labels)


def read_tickets(folder: Path) -> list[Ticket]:
    """The tickets of a directory target: one Markdown file each, its state and title in the front matter."""
    tickets = []
    for path in sorted(folder.glob("*.md")):
        front_matter = yaml.safe_load(path.read_text().split("---\n", 2)[1])
        tickets.append(Ticket(short(path), front_matter["state"], front_matter["title"]))
    return tickets


def headline(annotation: Json) -> str:
    """The first line of an annotation, without its HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", re.split(r"<br>|\n", annotation["text"], maxsplit=1)[0]))


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def is_moment(annotation: Json) -> bool:
    """Whether it marks the moment from which an incident may be major: a point for good."""
    return any(tag.startswith("a58:") and tag.endswith(".major") for tag in annotation["tags"])


def annotation_times(annotation: Json) -> tuple[datetime, datetime | None]:
    """Start and end of a region; a point has no end (Grafana gives its start again)."""
    start, end = annotation["time"], annotation.get("timeEnd") or 0
    return (
        datetime.fromtimestamp(start / 1000, UTC),
        datetime.fromtimestamp(end / 1000, UTC) if end > start else None,
    )
