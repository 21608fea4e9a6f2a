"""The programs of the demonstration and their configuration: Prometheus, Alertmanager, the receiver, Grafana's stand-in."""

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from examples.demo.network import SERVICES, Network
from examples.demo.simulator import TARGET_LABELS
from examples.peers import Alertmanager, Prometheus, Server, free_port, write_config

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".peers" / "bin"
RULES = [str(ROOT / "rules" / name) for name in ("art58-normalise.rules.yml", "art58-alerts.rules.yml")]
DASHBOARD = ROOT / "grafana-dashboards" / "art58.json"

# What the demonstration shortens so that it can be watched: (here, the receiver's default).
SHORTENED = {"tick_seconds": (1, 15), "hold_seconds": (10, 3600), "candidate_lead_seconds": (15, 1800)}


def short(path: object) -> str:
    """A path below the project as a person would type it there."""
    return str(path).removeprefix(f"{ROOT}/")


@dataclass(frozen=True)
class Folder:
    """Where everything of one run is kept."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / "prometheus-data"

    @property
    def tickets(self) -> Path:
        return self.path / "tickets"

    @property
    def webhook_token(self) -> Path:
        return self.path / "secrets" / "webhook-token"

    @property
    def grafana_token(self) -> Path:
        return self.path / "secrets" / "grafana-token"

    def make_secrets(self) -> None:
        (self.path / "secrets").mkdir(mode=0o700, parents=True)
        for file in (self.webhook_token, self.grafana_token):
            file.write_text(secrets.token_urlsafe(32))


class Stack:
    """Every server with its address; nothing is started here."""

    def __init__(self, folder: Folder, network: Network, simulator_address: str) -> None:
        receiver_port, grafana_port, prometheus_port = free_port(), free_port(), free_port()
        self.grafana = Server(
            "grafana-stand-in",
            [
                *[sys.executable, "-m", "tests.fakes.grafana"],
                *["--port", str(grafana_port), "--token-file", str(folder.grafana_token)],
            ],
            folder.path,
            f"http://127.0.0.1:{grafana_port}",
            "/api/health",
        )
        receiver_url = f"http://127.0.0.1:{receiver_port}"
        self.alertmanager = Alertmanager(BIN, folder.path, alertmanager_config(receiver_url, folder.webhook_token))
        prometheus_url = f"http://127.0.0.1:{prometheus_port}"
        config_file = write_config(
            folder.path / "config.yaml",
            receiver_config(network, receiver_port, prometheus_url, self.alertmanager.url, self.grafana.url),
        )
        self.receiver = Server(
            "receiver",
            [str(Path(sys.executable).with_name("art58")), "serve", "--config", str(config_file)],
            folder.path,
            receiver_url,
            "/-/ready",
        )
        self.prometheus = Prometheus(
            BIN,
            folder.path,
            prometheus_config(simulator_address, self.alertmanager.url, self.receiver.url),
            folder.data,
            prometheus_port,
            ["--rules.alert.resend-delay=1s"],
        )


def receiver_config(network: Network, port: int, prometheus_url: str, alertmanager_url: str, grafana_url: str) -> dict[str, object]:
    return {
        "listen": f"127.0.0.1:{port}",
        "data_dir": "./data",
        "external_url": f"http://127.0.0.1:{port}",
        **{name: here for name, (here, _) in SHORTENED.items()},
        "prometheus": {"url": prometheus_url},
        "alertmanagers": [{"url": alertmanager_url}],
        "grafana": {"url": grafana_url, "token": {"file": "secrets/grafana-token"}, "dashboard_uid": "art58", "panel_id": 3},
        "tickets": [{"name": "desk", "kind": "directory", "path": "./tickets"}],
        "authentication": {"bearer_tokens": [{"file": "secrets/webhook-token"}]},
        "services": [
            {
                "name": service.name,
                "title": {"ja": service.title_ja, "en": service.title_en},
                "kind": service.kind,
                **service.facts,
                "match": [f'service="{service.name}"'],
                "users_total": network.users_total(service),
            }
            for service in SERVICES
        ],
    }


def alertmanager_config(receiver_url: str, token_file: Path) -> dict[str, object]:
    webhook = {
        "url": f"{receiver_url}/webhook/alertmanager",
        "send_resolved": True,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(token_file)}},
    }
    return {
        "route": {
            "receiver": "art58",
            "group_by": ["alertname", "equipment"],
            "group_wait": "1s",
            "group_interval": "2s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "art58", "webhook_configs": [webhook]}],
    }


def prometheus_config(simulator_address: str, alertmanager_url: str, receiver_url: str) -> dict[str, object]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": RULES,
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [_address(alertmanager_url)]}]}]},
        "scrape_configs": [
            {
                "job_name": TARGET_LABELS["job"],
                "static_configs": [{"targets": [simulator_address], "labels": {"instance": TARGET_LABELS["instance"]}}],
            },
            {"job_name": "art58", "static_configs": [{"targets": [_address(receiver_url)]}]},
        ],
    }


def _address(url: str) -> str:
    return url.removeprefix("http://")
