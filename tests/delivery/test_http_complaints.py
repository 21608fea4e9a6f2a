"""What a system says went wrong reaches the person who must look, in whatever form it says it."""

import pytest
from flask import Flask, Response

from receiver.delivery.targets import Refused
from receiver.delivery.targets.http import Api
from tests.fakes.faults import FakeServer

SAYINGS = {
    "backlog": (
        '{"errors":[{"message":"件名は1文字以上255文字以下で入力してください。","code":7},{"message":"No project."}]}',
        "件名は1文字以上255文字以下で入力してください。; No project.",
    ),
    "redmine": ('{"errors":["Subject cannot be blank","Tracker is invalid"]}', "Subject cannot be blank; Tracker is invalid"),
    "jira": (
        '{"errorMessages":["No issue"],"errors":{"labels":"Field \'labels\' cannot be set."}}',
        "No issue; labels: Field 'labels' cannot be set.",
    ),
    "github": (
        '{"message":"Validation Failed","errors":[{"resource":"Label","field":"name","code":"already_exists"}]}',
        "Validation Failed; resource: Label; field: name; code: already_exists",
    ),
    "gitlab": ('{"message":{"title":["can\'t be blank"]}}', "title: can't be blank"),
    "servicenow": (
        '{"error":{"message":"Operation Failed","detail":"Data Policy Exception: mandatory"},"status":"failure"}',
        "Operation Failed: Data Policy Exception: mandatory",
    ),
    "oauth": ('{"error":"invalid_token"}', "invalid_token"),
    "null": ('{"message":null,"errors":[null,7]}', '{"message":null,"errors":[null,7]}'),
    "list": ('["a"]', '["a"]'),
    "deep": ('{"errors":' + "[" * 100_000 + "]" * 100_000 + "}", '{"errors":[[['),
    "words": ("no such thing", "no such thing"),
}


@pytest.mark.parametrize(("answer", "said"), SAYINGS.values(), ids=SAYINGS)
def test_the_words_are_shown(answer: str, said: str) -> None:
    app = Flask(__name__)
    app.add_url_rule("/x", view_func=lambda: Response(answer, 400, mimetype="application/json"))
    with FakeServer(app) as server, pytest.raises(Refused) as raised:
        Api("there", server.url, "", 5, {}).call("GET", "/x", dict)
    assert str(raised.value).startswith(f"there: answered 400 ({said}")


def test_a_secret_is_hidden_in_every_form_in_which_it_is_sent() -> None:
    app = Flask(__name__)
    app.add_url_rule("/x", view_func=lambda: Response('{"error":"hunter2 and aHVudGVyMg"}', 400, mimetype="application/json"))
    with FakeServer(app) as server, pytest.raises(Refused, match=r"\(\*\*\* and \*\*\*\)"):
        Api("there", server.url, ("hunter2", "aHVudGVyMg"), 5, {}).call("GET", "/x", dict)
