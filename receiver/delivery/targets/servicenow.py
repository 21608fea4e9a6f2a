"""Incidents in ServiceNow, by its Table API `/api/now/table/incident`; made there, or through an Import Set that coalesces.

A ticket is found again by its `correlation_id`, the incident's key. ServiceNow keeps silent where others complain: it leaves out
a condition of a query that it cannot use, drops a field that the user may not write, and cuts what is too long. So its answers
are looked at.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, TypeVar

import msgspec

from receiver.delivery.targets import Change, Check, Draft, Missing, Refused, Seen, Unfindable, Unreachable, servicenow_checks
from receiver.delivery.targets.block import block, mark_line, place_in, without_marks
from receiver.delivery.targets.checking import Reader
from receiver.delivery.targets.http import Api, Secrets
from receiver.delivery.targets.plain_text import one_line
from receiver.delivery.targets.servicenow_text import as_text, cut, length, title, value_of, without_html
from receiver.settings.tickets import ServiceNowTicket

T = TypeVar("T")

_MOST_COMMENT = 3500  # a multi-line field takes 4,000 characters unless its dictionary entry says otherwise
_PAGE = 100
_SYSTEM = "art58-receiver"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # correlation_id has 100 characters; no ^, which would begin a condition
_MARK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#-]{0,199}")
_SYS_ID = re.compile(r"[0-9a-f]{32}")
_COLUMN = re.compile(r"(?!sys_)[a-z][a-z0-9_]{0,79}")
_OURS = {"title", "short_description", "description", "correlation_id", "correlation_display", "state", "work_notes", "comments"}


class _Row(msgspec.Struct, frozen=True):
    result: dict[str, Any]


class _Rows(msgspec.Struct, frozen=True):
    result: list[dict[str, Any]]


class _Outcome(msgspec.Struct, frozen=True):
    """What one transform map made of what was imported."""

    status: str = ""
    table: str = ""
    sys_id: str = ""
    status_message: str = ""
    error_message: str = ""


class _Imported(msgspec.Struct, frozen=True):
    result: list[_Outcome] = []


class ServiceNow:
    """One table of one instance. A ticket's id is its sys_id."""

    reads, comments = True, True
    settles = timedelta(seconds=30)  # business rules may go on for so long after our time-out

    def __init__(self, settings: ServiceNowTicket, timeout_seconds: float) -> None:
        for name in settings.fields:
            if name in _OURS or not _COLUMN.fullmatch(name):
                raise ValueError(f"{settings.name}: fields cannot have {name!r}: it is written by us or no column's name")
        self.name = settings.name
        self._settings = settings
        header, secrets = _credentials(settings)
        headers = {"Authorization": header}
        self._api = Api(self.name, settings.url, secrets, timeout_seconds, headers, per_minute=settings.per_minute)

    def __repr__(self) -> str:
        return f"ServiceNow({self.name!r})"

    def fields(self, draft: Draft) -> dict[str, str]:
        """ServiceNow gives every value as text."""
        return {"title": title(draft.title)} | {name: as_text(value) for name, value in draft.fields.items()}

    def find(self, key: str) -> list[str]:
        query = f"correlation_id={self._key(key)}^ORDERBYsys_created_on^ORDERBYnumber"
        found: list[str] = []
        offset = 0
        # up to an empty page: the limit counts rows that are then left out because the user may not see them
        while rows := self._query(self._settings.table, query, "sys_id,correlation_id,correlation_display", offset):
            for row in rows:
                other = value_of(row, "correlation_id")
                if other.casefold() != key.casefold():
                    raise Refused(f"{self.name}: does not filter by correlation_id. Let the user read that field")
                if other == key and value_of(row, "correlation_display") in ("", _SYSTEM):
                    found.append(value_of(row, "sys_id"))
            offset += _PAGE
        return found

    def create(self, draft: Draft) -> str:
        ours = {"correlation_id": self._key(draft.key), "correlation_display": _SYSTEM, "description": self._description(draft, "")}
        record = _columns(self.fields(draft)) | ours
        if self._settings.import_set:
            return self._import(self._settings.import_set, record)
        made = self._table("POST", "", _Row, record, {"sysparm_fields": "sys_id,correlation_id"}).result
        remote_id = value_of(made, "sys_id")
        if not _SYS_ID.fullmatch(remote_id):
            raise Unreachable(f"{self.name}: did not say which ticket it made")
        if value_of(made, "correlation_id") != draft.key:
            cure = f"Let the user write that field, and write {draft.key} there"
            raise Unfindable(f"{self.name}: made {remote_id} without its correlation_id. {cure}", remote_id)
        return remote_id

    def read(self, remote_id: str) -> Seen | None:
        names = ["short_description", "description", "state", "assigned_to", *self._settings.fields]
        try:
            row = self._table("GET", self._one(remote_id), _Row, None, {"sysparm_fields": ",".join(names)}).result
        except Missing:
            return None
        description, state = value_of(row, "description"), value_of(row, "state")
        return Seen(
            {"title": value_of(row, "short_description")} | {name: value_of(row, name) for name in self._settings.fields},
            is_open=state not in self._over,
            has_block=place_in(description) is not None,
            is_taken=self._is_taken(state, value_of(row, "assigned_to")),
            native=description,
        )

    def write(self, remote_id: str, draft: Draft, change: Change, seen: Seen) -> str:
        record = _columns(change.fields)
        if change.block:
            record["description"] = self._description(draft, seen.native or "")
        if change.state == "closed":
            closing = {"close_code": self._settings.close_code, "close_notes": self._settings.close_notes}
            record |= {"state": self._settings.closed_state} | {name: text for name, text in closing.items() if text}
        elif change.state == "open":
            record["state"] = self._settings.reopened_state
        if record:
            names = {"sysparm_fields": "sys_id,state,description"}
            answer = self._table("PATCH", self._one(remote_id), _Row, record, names).result
            there, before = _text(value_of(answer, "description")), _text(seen.native or "")
            if there == before != _text(record.get("description", before)):
                # what the user may not write, or a business rule puts back, is answered as done
                raise Refused(f"{self.name}: did not take description. Let the user write it")
            if change.state and (value_of(answer, "state") in self._over) != (change.state == "closed"):
                raise Refused(f"{self.name}: did not take the state {record['state']}. Let the user write it, or choose another")
        return remote_id

    def comment(self, remote_id: str, text: str, mark: str) -> None:
        note = {"work_notes": f"{without_html(without_marks(cut(text, _MOST_COMMENT)))}\n\n{mark_line(self._mark(mark))}"}
        self._table("PATCH", self._one(remote_id), _Row, note, {"sysparm_fields": "sys_id"})
        # the answer cannot tell: what was written to a journal is empty there
        if not self.has_comment(remote_id, mark):
            raise Refused(f"{self.name}: did not take work_notes. Let the user write them, and read them")

    def has_comment(self, remote_id: str, mark: str) -> bool:
        """Sought in the table of journals; where the user may not see that (rows are then just left out), on the ticket."""
        path, line = self._one(remote_id), mark_line(self._mark(mark))
        query = f"element_id={path[1:]}^element=work_notes^valueLIKE{mark}^ORDERBYsys_created_on"
        with suppress(Refused):
            offset = 0
            while rows := self._query("sys_journal_field", query, "element_id,value", offset):
                if any(line in value_of(row, "value") and value_of(row, "element_id") == path[1:] for row in rows):
                    return True
                offset += _PAGE
        params = {"sysparm_fields": "work_notes", "sysparm_display_value": "true"}
        return line in value_of(self._table("GET", path, _Row, None, params).result, "work_notes")

    def checks(self, today: date) -> Iterator[Check]:
        return servicenow_checks.checks(self._settings, Reader(self._api))

    @property
    def _over(self) -> set[str]:
        return {self._settings.closed_state, *self._settings.over_states}

    def _is_taken(self, state: str, assigned_to: str) -> bool:
        ours = {self._settings.new_state, self._settings.reopened_state, *self._over}
        return state not in ours or assigned_to not in ("", as_text(self._settings.fields.get("assigned_to")))

    def _import(self, table: str, record: Mapping[str, str]) -> str:
        """Made, or where a ticket with this key is there (the transform map coalesces on it), that one."""
        row = {f"{self._settings.import_prefix}{name}": value for name, value in record.items()}
        outcomes = self._api.call("POST", f"/api/now/import/{table}", _Imported, row).result
        for one in outcomes:
            if (
                one.table == self._settings.table
                and one.status in ("inserted", "updated", "ignored")
                and _SYS_ID.fullmatch(one.sys_id)
            ):
                return one.sys_id
        said = "; ".join(f"{one.status} {one.error_message or one.status_message}" for one in outcomes) or "no transform map ran"
        raise Refused(f"{self.name}: {table} made no {self._settings.table} ({one_line(said, 200)}). Check its transform map")

    def _description(self, draft: Draft, present: str) -> str:
        """With as much of our text as persons leave room for: ServiceNow would cut the end off, and our lower mark with it."""
        place = place_in(present)
        above, below = (place.above, place.below) if place else (f"{present}\n\n" if present else "", "")
        room = self._settings.description_characters - length(above + block(draft.key, "") + below)
        return f"{above}{block(draft.key, without_marks(cut(draft.text, room)))}{below}" if room >= 0 else present

    def _query(self, table: str, query: str, names: str, offset: int) -> list[dict[str, Any]]:
        page = {"sysparm_limit": str(_PAGE), "sysparm_offset": str(offset)}
        params = {"sysparm_query": query, "sysparm_fields": names, "sysparm_exclude_reference_link": "true", **page}
        return self._api.call("GET", f"/api/now/table/{table}", _Rows, params=params).result

    def _table(self, method: str, path: str, type_: type[T], record: Mapping[str, str] | None, params: Mapping[str, str]) -> T:
        all_params = {"sysparm_exclude_reference_link": "true", **params}
        return self._api.call(method, f"/api/now/table/{self._settings.table}{path}", type_, record, params=all_params)

    def _one(self, remote_id: str) -> str:
        if not _SYS_ID.fullmatch(remote_id):
            raise Refused(f"{self.name}: {one_line(remote_id, 40)!r} is not the sys_id of a ticket")
        return f"/{remote_id}"

    def _key(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise Refused(f"{self.name}: {one_line(key, 40)!r} cannot be a correlation_id")
        return key

    def _mark(self, mark: str) -> str:
        if not _MARK.fullmatch(mark):
            raise Refused(f"{self.name}: {one_line(mark, 40)!r} cannot mark a work note")
        return mark


def _credentials(settings: ServiceNowTicket) -> tuple[str, Secrets]:
    """The header, and what of it must not be shown."""
    if settings.token and not (settings.user or settings.password):
        token = settings.token.read().reveal()
        return f"Bearer {token}", token
    if not (settings.user and settings.password) or settings.token or ":" in settings.user:
        raise ValueError(f"{settings.name}: name either user (without a colon) and password, or token")
    password = settings.password.read().reveal()
    encoded = base64.b64encode(f"{settings.user}:{password}".encode()).decode()
    return f"Basic {encoded}", (encoded, password)


def _text(description: str) -> str:
    return description.replace("\r\n", "\n").strip()


def _columns(fields: Mapping[str, Any]) -> dict[str, str]:
    return {"short_description" if name == "title" else name: value for name, value in fields.items()}
