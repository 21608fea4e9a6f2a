"""The yardstick of the intake: parse the body, answer 200, keep nothing. As little as a Flask webhook can do."""

import json

from flask import Flask, request

app = Flask(__name__)


@app.get("/-/ready")
def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/webhook/alertmanager")
def alertmanager() -> dict[str, int]:
    return {"alerts": len(json.loads(request.get_data())["alerts"])}
