"""From the settings of a Grafana to its targets: each of its places is one."""

from receiver.delivery.opening import TARGET_SECONDS
from receiver.delivery.plan import Route
from receiver.delivery.targets import Target
from receiver.delivery.targets.grafana import GrafanaAnnotations
from receiver.delivery.targets.grafana_app import GrafanaAppAnnotations
from receiver.delivery.targets.grafana_either import GrafanaEither, Question
from receiver.settings import GrafanaPlace, GrafanaSettings


def open_grafana(grafana: GrafanaSettings) -> list[tuple[Route, Target]]:
    """Every place with what it is given. Raises SecretUnreadable."""
    token = grafana.token.read().reveal()
    question = Question(grafana.name, grafana.url, token, TARGET_SECONDS, grafana.org_id)
    return [
        (Route(name, "annotation", services=place.services, major=True), _target(name, grafana, token, place, question))
        for name, place in grafana.targets.items()
    ]


def _target(name: str, grafana: GrafanaSettings, token: str, place: GrafanaPlace, question: Question) -> Target:
    legacy = GrafanaAnnotations(
        name,
        grafana.url,
        token,
        place.dashboard_uid,
        place.panel_id,
        TARGET_SECONDS,
        org_id=grafana.org_id,
        services=place.services,
    )
    app = GrafanaAppAnnotations(
        name,
        grafana.url,
        token,
        place.dashboard_uid,
        place.panel_id,
        TARGET_SECONDS,
        org_id=grafana.org_id,
        services=place.services,
        namespace=grafana.namespace,
    )
    match grafana.api:
        case "legacy":
            return legacy
        case "app":
            return app
        case _:
            return GrafanaEither(legacy, app, question)
