"""A real Redmine on 127.0.0.1 with its state in a folder of its own, persons who work in it, and a door before it to lose answers.

`tests/get-redmine.sh` puts the application where `PEER` says.
"""

import http.client
import json
import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import requests

from examples.peers import Server, free_port
from receiver.delivery.targets.redmine import BEGIN, END, RedmineIssues
from receiver.settings import SecretRef
from receiver.settings.tickets import RedmineTicket
from tests.delivery.places import Desk, Shown
from tests.programs import ROOT

PEER = ROOT / os.environ.get("ART58_REDMINE", ".peers/redmine")
NEW, IN_PROGRESS, CLOSED = 1, 2, 5
"""Statuses of Redmine's own default data."""

PATIENCE = 20.0
"""Seconds: the tests are not about how fast a busy machine answers."""


class Redmine:
    """`ids` is what `redmine-seed.rb` made. Persons are `yamada`, who may do all, and `tanaka`."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(PEER / "pattern", folder, dirs_exist_ok=True)
        (folder / "tmp" / "pids").mkdir(parents=True)
        self.ids: dict[str, Any] = json.loads((folder / "ids.json").read_text())
        self._database = folder / "redmine.db"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = [f"ART58_REDMINE_STATE={folder}", "RAILS_ENV=production", "RUBYOPT=-W0"]
        rails = [str(PEER / "app" / "bin" / "rails"), "server", "-u", "webrick", "-b", "127.0.0.1", "-p", str(port)]
        self._server = Server("redmine", ["env", *environment, *rails, "-P", str(folder / "pid")], folder, self.url, "/login")

    def __enter__(self) -> Self:
        self._server.start(timeout=120)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def settings(self, folder: Path, **changes: Any) -> RedmineTicket:
        (folder / "api_key").write_text(self.ids["receiver"]["key"])
        own = {"name": "desk", "url": self.url, "project": "noc", "key_field": self.ids["key_field"], "per_minute": 100_000}
        return RedmineTicket(api_key=SecretRef(file=str(folder / "api_key")), **{**own, **changes})

    def wipe(self) -> None:
        with self.database() as database:
            for table in ("issues", "journals", "journal_details"):
                database.execute(f"DELETE FROM {table}")  # noqa: S608
            database.execute("DELETE FROM custom_values WHERE customized_type = 'Issue'")

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._database, timeout=PATIENCE)) as connection, connection:
            yield connection

    @contextmanager
    def without(self, permission: str) -> Iterator[None]:
        """The role of the receiver's user lacks it, and what would do as well."""
        own = permission.replace("edit_", "edit_own_")
        lacks = f"replace(replace(permissions, '- :{permission}\n', ''), '- :{own}\n', '')"
        with self.database() as database:
            ((role, permissions),) = database.execute("SELECT id, permissions FROM roles WHERE name = 'Manager'")
            database.execute(f"UPDATE roles SET permissions = {lacks} WHERE id = ?", (role,))  # noqa: S608
        try:
            yield
        finally:
            with self.database() as database:
                database.execute("UPDATE roles SET permissions = ? WHERE id = ?", (permissions, role))

    def set_formatting(self, formatting: str) -> None:
        """Redmine looks at each request whether a setting is newer than those it has."""
        newer = "strftime('%Y-%m-%d %H:%M:%f', 'now', 'localtime', '+1 second')"
        with self.database() as database:
            database.execute(f"UPDATE settings SET value = ?, updated_on = {newer} WHERE name = 'text_formatting'", (formatting,))  # noqa: S608

    def call(self, person: str, method: str, path: str, body: object = None) -> Any:
        headers = {"X-Redmine-API-Key": self.ids[person]["key"]}
        answer = requests.request(method, self.url + path, json=body, headers=headers, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json() if answer.text.strip() else None

    def made(self) -> int:
        return int(self.call("yamada", "GET", "/issues.json?status_id=*&limit=1")["total_count"])

    def issue(self, id_: str) -> dict[str, Any]:
        issue: dict[str, Any] = self.call("yamada", "GET", f"/issues/{id_}.json?include=journals")["issue"]
        return issue

    def comments(self, id_: str) -> list[str]:
        return [one["notes"] for one in self.issue(id_)["journals"] if one["notes"]]

    def edit(self, id_: str, **fields: Any) -> None:
        """By yamada."""
        self.call("yamada", "PUT", f"/issues/{id_}.json", {"issue": fields})

    def page(self, id_: str) -> "Page":
        """The issue as tanaka's browser shows it."""
        with requests.Session() as browser:
            form = browser.get(f"{self.url}/login", timeout=PATIENCE).text
            found = re.search(r'name="authenticity_token" value="([^"]+)"', form)
            assert found
            who = {"username": "tanaka", "password": "password of the tests", "authenticity_token": found[1]}
            browser.post(f"{self.url}/login", data=who, timeout=PATIENCE)
            return Page(browser.get(f"{self.url}/issues/{id_}", timeout=PATIENCE).text)


class Page(HTMLParser):
    """`texts` are what Redmine formatted (description, then notes) as it is read; `tags` every element in them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._depth = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._depth:
            self.tags.append((tag, dict(attrs)))
            self._depth += tag == "div"
        elif tag == "div" and dict(attrs).get("class") == "wiki":
            self._depth = 1
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._depth -= bool(self._depth) and tag == "div"

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.texts[-1] += data


class Door:
    """Lets every request through to `url`, and every answer back, but for what is lost of the next change.

    What `strips` matches is taken out of the query, as if Redmine did not know it: then it lists all and says nothing.
    """

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url).netloc
        self._loses: Literal["", "connection", "answer", "request"] = ""
        self._closing = threading.Event()
        self.reached = threading.Event()
        self.strips = ""
        door = self

        class Handler(BaseHTTPRequestHandler):
            def _pass(self) -> None:
                door.take(self)

            do_GET = do_POST = do_PUT = _pass  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def lose_next(self, what: Literal["connection", "answer", "request"]) -> None:
        """Of the next change: `connection` hangs up after the work, `answer` says nothing after it, `request` never has it done.
        `reached` is set once it is so far."""
        self.reached.clear()
        self._loses = what

    def take(self, request: BaseHTTPRequestHandler) -> None:
        loses, self._loses = (self._loses, "") if request.command != "GET" else ("", self._loses)
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        request.close_connection = True
        if loses != "request":
            status, headers, content = self._ask(request, body)
        if loses:
            self.reached.set()
            if loses != "connection":
                self._closing.wait()
            return
        request.send_response_only(status)
        for name in ("Content-Type", "Date", "Location"):
            if name in headers:
                request.send_header(name, headers[name])
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _ask(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any, bytes]:
        with closing(http.client.HTTPConnection(self._to, timeout=PATIENCE)) as there:
            path = re.sub(self.strips, "", request.path) if self.strips else request.path
            there.request(request.command, path, body, dict(request.headers))
            answer = there.getresponse()
            return answer.status, answer.headers, answer.read()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def desk_in(redmine: Redmine, door: Door, folder: Path) -> Desk:
    """As the contract of all ticket systems wants it."""

    def shown(id_: str) -> Shown:
        issue = redmine.issue(id_)
        return Shown(issue["subject"], issue["description"], not issue["status"]["is_closed"], redmine.comments(id_))

    def description(id_: str) -> str:
        return str(redmine.issue(id_)["description"])

    return Desk(
        target=RedmineIssues(redmine.settings(folder, url=door.url), PATIENCE),
        made=redmine.made,
        shown=shown,
        writes_around=lambda id_, above, below: redmine.edit(id_, description=above + description(id_) + below),
        takes_marks_away=lambda id_: redmine.edit(id_, description=description(id_).replace(BEGIN, "").replace(END, "")),
        renames=lambda id_, title: redmine.edit(id_, subject=title),
        takes_on=lambda id_: redmine.edit(id_, assigned_to_id=redmine.ids["tanaka"]["id"]),
        closes=lambda id_: redmine.edit(id_, status_id=CLOSED),
        deletes=lambda id_: redmine.call("yamada", "DELETE", f"/issues/{id_}.json"),
        lose_next_answer=lambda: door.lose_next("connection"),
        secret=redmine.ids["receiver"]["key"],
        mapped={"priority_id": 4, "due_date": "2027-01-31", f"cf_{redmine.ids['other_field']}": "関東"},
    )
