"""The chart renders what Kubernetes accepts, a config the receiver accepts, and keeps secrets where they belong.

Helm's own engine and Kubernetes' schemas come from wheels: no cluster and no network is needed.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from receiver import __version__
from tests.programs import PEERS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "art58-receiver"
KUBERNETES = ("1.28", "1.33", "1.37")
NOT_IN_KUBERNETES = {"ServiceMonitor", "PrometheusRule"}
WORDS_OF_SECRETS = ("the-word-of-alertmanager", "the-word-of-grafana", "whsec_dGhlLXdvcmQtb2YtdGhlLWRlc2stYW5kLW1vcmU=")

Values = dict[str, Any]
Manifest = dict[str, Any]

EVERYTHING: Values = {
    "imagePullSecrets": [{"name": "registry"}],
    "commonLabels": {"team": "noc"},
    "serviceAccount": {"name": "art58", "annotations": {"a": "b"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"tier": "monitoring"},
    "service": {"type": "NodePort", "port": 80, "annotations": {"a": "b"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"a": "b"},
        "hosts": [{"host": "art58.example.com", "paths": [{"path": "/", "pathType": "Prefix"}]}],
        "tls": [{"secretName": "art58-tls", "hosts": ["art58.example.com"]}],
    },
    "resources": {"requests": {"memory": "128Mi"}},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "noc", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "persistence": {"storageClass": "fast"},
    "config": {
        "tick_seconds": 15,
        "hold_seconds": 3600,
        "candidate_lead_seconds": 1800,
        "prometheus": {"url": "http://prometheus:9090", "timeout_seconds": 5},
        "grafana": {
            "url": "http://grafana:3000",
            "token": {"file": "secrets/grafana-token"},
            "dashboard_uid": "art58",
            "panel_id": 3,
        },
        "tickets": [
            {"name": "desk", "kind": "directory", "path": "/var/lib/art58/tickets"},
            {
                "name": "itsm",
                "kind": "webhook",
                "url": "https://itsm.example.com/hook",
                "secret": {"file": "secrets/itsm-secret"},
            },
        ],
        "services": [
            {
                "name": "mail",
                "kind": "email",
                "charged": False,
                "monthly_users_previous_fy": 12_000_000,
                "match": ['service="mail"'],
                "users_total": 24_000_000,
            }
        ],
    },
    "rulebooks": {"own.yaml": (ROOT / "receiver" / "law" / "rulebooks" / "jp-tba58-2026.yaml").read_text(encoding="utf-8")},
    "secrets": dict(zip(("webhook-token", "grafana-token", "itsm-secret"), WORDS_OF_SECRETS, strict=True)),
    "serviceMonitor": {"enabled": True, "labels": {"release": "kps"}, "interval": "1m"},
    "prometheusRule": {"enabled": True, "labels": {"release": "kps"}},
    "grafanaDashboard": {"enabled": True},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
    "extraEnv": [{"name": "TZ", "value": "Asia/Tokyo"}],
    "extraManifests": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more", "namespace": "noc"}}
    ],
}
POSTGRESQL: Values = {
    "database_url": "postgresql://art58@db.noc.svc/art58?sslmode=verify-full",
    "database_password": {"file": "secrets/database-password"},
}
SEVERAL: Values = {
    "replicas": 3,
    "config": POSTGRESQL,
    "secrets": {"database-password": "pw"},
    "persistence": {"enabled": False},
}
WAYS_TO_INSTALL: dict[str, Values] = {
    "default values": {},
    "everything enabled": EVERYTHING,
    "an existing secret": {"existingSecret": "vault-made"},
    "an existing claim": {"persistence": {"existingClaim": "kept"}},
    "no persistence": {"persistence": {"enabled": False}},
    "no secret at all": {"secrets": {"webhook-token": None}},
    "several on PostgreSQL": SEVERAL,
    "names given": {"fullnameOverride": "a58", "nameOverride": "judge", "serviceAccount": {"create": False}},
}


@cache
def loaded_chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def render(values: Values) -> dict[str, str]:
    """What `helm template` gives, by template; the one place that knows the young library."""
    texts = loaded_chart().render(values, name="rel", namespace="noc")
    return {path.partition("/templates/")[2]: text for path, text in texts.items()}


def manifests(values: Values) -> Iterator[Manifest]:
    for path, text in render(values).items():
        if not path.endswith(".txt"):
            yield from filter(None, yaml.safe_load_all(text))


def manifest(values: Values, kind: str, name_ends: str = "") -> Manifest:
    (found,) = [m for m in manifests(values) if m["kind"] == kind and m["metadata"]["name"].endswith(name_ends)]
    return found


def config_of(values: Values) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(manifest(values, "ConfigMap", "art58-receiver")["data"]["config.yaml"])
    return config


def pod_template(values: Values) -> Manifest:
    template: Manifest = manifest(values, "StatefulSet")["spec"]["template"]
    return template


def mounted_paths(values: Values) -> dict[str, str]:
    return {m["name"]: m["mountPath"] for m in pod_template(values)["spec"]["containers"][0]["volumeMounts"]}


every_way = pytest.mark.parametrize("values", WAYS_TO_INSTALL.values(), ids=WAYS_TO_INSTALL.keys())


def test_the_chart_has_the_version_of_the_receiver() -> None:
    metadata = loaded_chart().metadata
    assert metadata["appVersion"] == __version__


@every_way
def test_helm_lint_has_nothing_to_warn_of(values: Values) -> None:
    report = helm_python.lint(CHART, values, strict=True, kube_version="v1.33.0")
    assert report["errors"] == []
    assert [m for m in report["messages"] if m["severity"] > 1] == []


@every_way
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_every_manifest(values: Values, version: str) -> None:
    accepted = [m for m in manifests(values) if m["kind"] not in NOT_IN_KUBERNETES]
    for each in accepted:
        kubernetes_validate.validate(each, version, strict=True)
    assert len(accepted) >= 4


def test_everything_enabled_leaves_no_template_empty() -> None:
    assert [path for path, text in render(EVERYTHING | SEVERAL).items() if not text.strip()] == []


@every_way
def test_every_object_of_the_release_is_in_its_namespace(values: Values) -> None:
    assert {m["metadata"].get("namespace") for m in manifests(values)} == {"noc"}


def test_templates_in_the_extra_manifests_are_expanded() -> None:
    assert manifest(EVERYTHING, "ConfigMap", "-more")["metadata"]["name"] == "rel-more"


# --- values


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicaCount": 2}, "replicaCount"),
        ({"replicas": 2}, "replicas: more than 1 needs PostgreSQL. Write config.database_url"),
        ({"replicas": 2, "config": {"database_url": "sqlite:////data/art58.db"}}, "replicas: more than 1 needs PostgreSQL"),
        ({**SEVERAL, "persistence": {"existingClaim": "kept"}}, "existingClaim: it is of one pod"),
        ({"replicas": -1}, "replicas"),
        ({"image": {"registry": "x"}}, "registry"),
        ({"persistence": {"sise": "1Gi"}}, "sise"),
        ({"service": {"port": "9158"}}, "port"),
        ({"persistence": {"enabled": "yes"}}, "enabled"),
        ({"persistence": {"size": "2 GB"}}, "size"),
        ({"ingress": {"enabled": True}}, "hosts"),
        ({"config": {"listen": "127.0.0.1:9158"}}, "listen"),
        ({"config": {"data_dir": "/data"}}, "data_dir"),
        ({"config": {"services": "voice"}}, "services"),
        ({"config": {"authentication": None}}, "authentication"),
        ({"secrets": {"grafana-token": ""}}, "grafana-token"),
        ({"secrets": {"../etc/passwd": "x"}}, "etc/passwd"),
        ({"rulebooks": {"config.yaml": "x"}}, "config.yaml"),
        ({"rulebooks": {"../own.yaml": "x"}}, "own.yaml"),
        ({"rulebooks": {"own.yaml": {"id": "OWN"}}}, "own"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_by_name(values: Values, named: str) -> None:
    with pytest.raises(helm_python.HelmError, match=named):
        render(values)


def test_the_schema_knows_the_same_values_as_the_chart() -> None:
    schema = loaded_chart().schema
    assert schema is not None
    assert set(schema["properties"]) - {"global"} == set(loaded_chart().values)


def test_the_chart_can_be_a_part_of_another() -> None:
    assert list(manifests({"global": {"imageRegistry": "x"}}))


def test_several_are_spread_over_nodes_and_drained_one_by_one() -> None:
    assert manifest(SEVERAL, "StatefulSet")["spec"]["replicas"] == 3
    (spread,) = pod_template(SEVERAL)["spec"]["topologySpreadConstraints"]
    budget = manifest(SEVERAL, "PodDisruptionBudget")["spec"]
    assert spread["labelSelector"] == budget["selector"] == manifest(SEVERAL, "StatefulSet")["spec"]["selector"]
    assert budget["maxUnavailable"] == 1


def test_of_one_there_is_no_budget_that_would_hold_up_the_draining_of_its_node() -> None:
    assert [each for each in manifests({}) if each["kind"] == "PodDisruptionBudget"] == []


def test_it_warns_of_a_store_that_is_lost_with_the_pod_and_not_where_postgresql_keeps_it() -> None:
    assert "WARNING: persistence is disabled" in render({"persistence": {"enabled": False}})["NOTES.txt"]
    assert "WARNING" not in render(SEVERAL)["NOTES.txt"]


# --- config


def test_a_changed_config_rolls_the_pod() -> None:
    def checksum(values: Values) -> str:
        return str(pod_template(values)["metadata"]["annotations"]["checksum/config"])

    assert checksum({"config": {"tick_seconds": 30}}) != checksum({})
    assert checksum({"podLabels": {"tier": "monitoring"}}) == checksum({})
    assert checksum({"rulebooks": {"own.yaml": "a"}}) != checksum({"rulebooks": {"own.yaml": "b"}})


def test_a_changed_secret_rolls_the_pod_and_a_generated_one_does_not() -> None:
    def checksum(values: Values) -> str:
        return str(pod_template(values)["metadata"]["annotations"]["checksum/secrets"])

    assert checksum({"secrets": {"webhook-token": "new"}}) != checksum({})
    assert checksum({}) == checksum({})


def test_the_pod_finds_the_config_where_the_receiver_is_told_to_look() -> None:
    template = pod_template({})
    path = mounted_paths({})["config"]
    assert template["spec"]["containers"][0]["args"] == ["serve", "--config", path]


def test_the_receiver_listens_where_the_service_sends() -> None:
    (port,) = pod_template({})["spec"]["containers"][0]["ports"]
    (sent_to,) = manifest({}, "Service")["spec"]["ports"]
    assert config_of({})["listen"] == f"0.0.0.0:{port['containerPort']}"
    assert sent_to["targetPort"] == port["name"]


@every_way
def test_the_receiver_writes_only_where_a_volume_is_mounted(values: Values) -> None:
    mounts = mounted_paths(values)
    volumes = {v["name"] for v in pod_template(values)["spec"]["volumes"]}
    claims = {c["metadata"]["name"] for c in manifest(values, "StatefulSet")["spec"].get("volumeClaimTemplates", [])}
    assert {mounts["data"], mounts["tmp"]} == {"/var/lib/art58", "/tmp"}
    assert volumes | claims == set(mounts)
    assert volumes.isdisjoint(claims)


def test_large_numbers_of_users_stay_whole_numbers() -> None:
    (service,) = config_of(EVERYTHING)["services"]
    assert (service["users_total"], service["monthly_users_previous_fy"]) == (24_000_000, 12_000_000)
    assert isinstance(service["users_total"], int)


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, "http://rel-art58-receiver.noc.svc:9158"),
        ({"ingress": EVERYTHING["ingress"]}, "https://art58.example.com"),
        ({"ingress": {**EVERYTHING["ingress"], "tls": []}}, "http://art58.example.com"),
        ({"config": {"external_url": "https://elsewhere.example.com/a"}}, "https://elsewhere.example.com/a"),
    ],
)
def test_links_in_tickets_lead_to_the_address_people_reach(values: Values, url: str) -> None:
    assert config_of(values)["external_url"] == url


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default values", "everything enabled"])
def test_the_receiver_accepts_the_rendered_config(values: Values, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for key, value in manifest(values, "Secret")["data"].items():
        (tmp_path / "secrets" / key).write_bytes(base64.b64decode(value))
    for name, text in manifest(values, "ConfigMap", "art58-receiver")["data"].items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    file = tmp_path / "config.yaml"
    art58 = Path(sys.executable).with_name("art58")
    checked = subprocess.run([art58, "check", file], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rulebooks_of_ones_own_are_named_in_the_config_and_lie_beside_it() -> None:
    (container,) = pod_template(EVERYTHING)["spec"]["containers"]
    paths = {m["subPath"]: m["mountPath"] for m in container["volumeMounts"] if "subPath" in m}
    assert config_of(EVERYTHING)["rulebooks"] == ["own.yaml"]
    assert paths == {name: f"/etc/art58/{name}" for name in ("config.yaml", "own.yaml")}
    assert set(manifest(EVERYTHING, "ConfigMap", "art58-receiver")["data"]) == set(paths)


# --- secrets


def test_no_secret_appears_outside_the_secret() -> None:
    forms = [*WORDS_OF_SECRETS, *(base64.b64encode(word.encode()).decode() for word in WORDS_OF_SECRETS)]
    holding = {path for path, text in render(EVERYTHING).items() if any(form in text for form in forms)}
    assert holding == {"secret.yaml"}


def test_the_secret_holds_the_given_values() -> None:
    data = manifest(EVERYTHING, "Secret")["data"]
    assert {key: base64.b64decode(value).decode() for key, value in data.items()} == EVERYTHING["secrets"]


def test_every_installation_gets_a_token_of_its_own() -> None:
    first, second = (base64.b64decode(manifest({}, "Secret")["data"]["webhook-token"]) for _ in range(2))
    assert len(first) == 40
    assert first != second


def test_an_existing_secret_is_mounted_and_none_is_made() -> None:
    values = {"existingSecret": "vault-made"}
    assert "Secret" not in {m["kind"] for m in manifests(values)}
    (mounted,) = [v["secret"] for v in pod_template(values)["spec"]["volumes"] if "secret" in v]
    assert mounted["secretName"] == "vault-made"


def test_the_secrets_lie_where_the_config_refers_to() -> None:
    (bearer,) = config_of({})["authentication"]["bearer_tokens"]
    folder, _, key = bearer["file"].partition("/")
    assert mounted_paths({})["secrets"] == f"{Path(mounted_paths({})['config']).parent}/{folder}"
    assert key in manifest({}, "Secret")["data"]


# --- the pod


def pods(values: Values) -> list[Manifest]:
    return [pod_template(values)["spec"], manifest(values, "Pod")["spec"]]


def test_every_pod_keeps_the_restricted_pod_security_standard_with_a_read_only_root() -> None:
    for pod in pods({}):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_no_pod_gets_a_token_for_the_kubernetes_api() -> None:
    assert all(pod["automountServiceAccountToken"] is False for pod in pods({}))
    assert manifest({}, "ServiceAccount")["automountServiceAccountToken"] is False


def test_sqlite_has_one_writer() -> None:
    assert manifest(EVERYTHING, "StatefulSet")["spec"]["replicas"] == 1


def test_a_config_that_cannot_start_can_be_corrected_by_an_upgrade() -> None:
    assert manifest({}, "StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"


def test_the_probes_ask_what_the_receiver_answers() -> None:
    (container,) = pod_template({})["spec"]["containers"]
    asked = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    assert asked == {"startup": "/-/ready", "readiness": "/-/ready", "liveness": "/-/healthy"}


def test_an_upgrade_changes_nothing_that_kubernetes_refuses_to_change() -> None:
    def fixed_parts(values: Values) -> Manifest:
        spec = manifest(values, "StatefulSet")["spec"]
        return {key: spec[key] for key in ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")}

    labelled = {"commonLabels": {"team": "noc"}, "podLabels": {"tier": "monitoring"}}
    assert fixed_parts(labelled) == fixed_parts({})
    assert loaded_chart().version not in json.dumps(fixed_parts({}))


@pytest.mark.parametrize("kind", ["Service", "ServiceMonitor", "NetworkPolicy"])
def test_what_selects_the_receiver_finds_it(kind: str) -> None:
    selecting = manifest(EVERYTHING, kind)["spec"]
    selector = selecting.get("podSelector", selecting.get("selector"))
    wanted = selector.get("matchLabels", selector)
    found_in = manifest(EVERYTHING, "Service") if kind == "ServiceMonitor" else pod_template(EVERYTHING)
    assert wanted.items() <= found_in["metadata"]["labels"].items()


def test_the_test_pod_is_not_taken_for_the_receiver() -> None:
    selector = manifest(EVERYTHING, "Service")["spec"]["selector"]
    assert not selector.items() <= manifest(EVERYTHING, "Pod")["metadata"]["labels"].items()


# --- Prometheus, Alertmanager, Grafana


def test_the_label_service_of_the_receivers_metrics_survives_the_scrape() -> None:
    (endpoint,) = manifest(EVERYTHING, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True


def test_the_chart_carries_the_rules_of_the_repository() -> None:
    copies = {file.name: file.read_text(encoding="utf-8") for file in (CHART / "files" / "rules").glob("*.rules.yml")}
    rules = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "rules").glob("*.rules.yml")}
    assert rules
    assert copies == rules, "cp rules/*.rules.yml helm/art58-receiver/files/rules/"


def test_the_chart_carries_the_dashboard_of_the_repository() -> None:
    dashboard = (ROOT / "grafana-dashboards" / "art58.json").read_text(encoding="utf-8")
    copy = (CHART / "files" / "dashboards" / "art58.json").read_text(encoding="utf-8")
    assert copy == dashboard, "cp grafana-dashboards/art58.json helm/art58-receiver/files/dashboards/"


def test_prometheus_accepts_the_rules_of_the_chart(tmp_path: Path) -> None:
    groups = manifest(EVERYTHING, "PrometheusRule")["spec"]["groups"]
    file = tmp_path / "chart.rules.yml"
    file.write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
    checked = subprocess.run([PEERS / "promtool", "check", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_chart_has_every_rule_unchanged() -> None:
    files = sorted((ROOT / "rules").glob("*.rules.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    assert manifest(EVERYTHING, "PrometheusRule")["spec"]["groups"] == groups


def test_the_sidecar_of_grafana_finds_the_dashboard() -> None:
    found = manifest(EVERYTHING, "ConfigMap", "-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["art58.json"])["uid"] == config_of(EVERYTHING)["grafana"]["dashboard_uid"]


def test_alertmanager_accepts_what_the_notes_tell_to_write(tmp_path: Path) -> None:
    notes = render({})["NOTES.txt"]
    written = yaml.safe_load(notes[notes.index("   route:") : notes.index("   Grafana's own")])
    written["route"]["receiver"] = "art58"
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(written), encoding="utf-8")
    checked = subprocess.run([PEERS / "amtool", "check-config", file], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (webhook,) = written["receivers"][0]["webhook_configs"]
    assert webhook["url"] == "http://rel-art58-receiver.noc.svc:9158/webhook/alertmanager"
