"""The Flask app: webhooks, JSON API, incident pages, metrics, health. It builds what it needs and keeps nothing at module level."""

from flask import Flask, Response, jsonify
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from receiver import intake
from receiver.catalogue import Catalogue
from receiver.intake.authentication import Gate
from receiver.law.rulebook import Rulebook
from receiver.model import Clock
from receiver.settings import Settings
from receiver.storage.database import Database, StoreUnavailable
from receiver.web import api, health, metrics, pages

BUSY_SECONDS = 2.0
"""How long a request waits for the store: Alertmanager gives up after 10 s at the earliest, and comes again after a 503."""


def create_app(settings: Settings, catalogue: Catalogue, rulebooks: tuple[Rulebook, ...], clock: Clock) -> Flask:
    """The app over the store of `settings`, which must have been migrated."""
    app = Flask("receiver.web", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mib * 1024 * 1024
    app.json = _Json(app)
    database = Database.of(settings, busy_seconds=BUSY_SECONDS)
    gate = Gate(settings.authentication)
    app.register_blueprint(intake.blueprint(database, gate, clock))
    app.register_blueprint(api.blueprint(database, settings.duties.of_the_law, gate, clock))
    app.register_blueprint(pages.blueprint(database, catalogue, rulebooks, settings.duties.of_the_law, gate, clock))
    app.register_blueprint(health.blueprint(database, clock))
    app.register_blueprint(metrics.blueprint(database, rulebooks, clock))

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        response = jsonify(error=f"{error.name}: {error.description}")
        response.status_code = error.code or 500
        return response

    @app.errorhandler(StoreUnavailable)
    def unavailable(_error: StoreUnavailable) -> Response:
        response = jsonify(error="the store cannot be read: try again")
        response.status_code = 503
        return response

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return app


class _Json(DefaultJSONProvider):
    """Keys in the order of the contract, Japanese as it is read."""

    sort_keys = False
    ensure_ascii = False
