"""Every setting with its name, type, default and help in one table: the structs below. The reference page and the JSON Schema are
generated from them.
"""

import re
import ssl
import stat
from collections.abc import Iterator
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta

from receiver.law import deadlines
from receiver.law.conference import BusinessHours
from receiver.settings.tickets import PLACE_OF, Ticket, secrets_of
from receiver.settings.tickets import DirectoryTicket as DirectoryTicket
from receiver.settings.tickets import WebhookTicket as WebhookTicket
from receiver.settings.types import FilePath as FilePath
from receiver.settings.types import Name as Name
from receiver.settings.types import Seconds as Seconds
from receiver.settings.types import Secret as Secret
from receiver.settings.types import SecretRef as SecretRef
from receiver.settings.types import SecretUnreadable as SecretUnreadable
from receiver.settings.types import TimeOfDay as TimeOfDay
from receiver.settings.types import Url as Url

# a file: what is kept in memory each process would have for itself
_SQLITE_FILE = re.compile(r"sqlite:///(?!:memory:|file:)([^?]+)")
_POSTGRESQL = "postgresql://"

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie"}
_OWN_HEADERS = {"host", "content-type", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect"}


class BasicUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One user of HTTP basic authentication."""

    username: Annotated[str, Meta(min_length=1, pattern=r"^[^:]+$", description="name, without a colon")]
    password: Annotated[SecretRef, Meta(description="where the password lies")]


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How https addresses are trusted, and how the receiver shows itself to them. PEM files."""

    ca_file: Annotated[FilePath | None, Meta(description="certificates to trust instead of the usual authorities")] = None
    cert_file: Annotated[FilePath | None, Meta(description="the receiver's own certificate, if one is asked for")] = None
    key_file: Annotated[FilePath | None, Meta(description="its private key, without a passphrase")] = None


class PrometheusSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Prometheus (or a compatible query endpoint) that is asked for users and for the start of failures."""

    url: Annotated[Url, Meta(description="its address, e.g. http://127.0.0.1:9090")]
    bearer_token: Annotated[SecretRef | None, Meta(description="token to send, if it wants one")] = None
    timeout_seconds: Annotated[Seconds, Meta(description="how long a query may take at one address")] = 5
    also: Annotated[
        tuple[Url, ...], Meta(description="further addresses of the same data, asked in this order where one gives no whole answer")
    ] = ()
    basic: Annotated[BasicUser | None, Meta(description="user and password to send, instead of a token")] = None
    headers: Annotated[
        dict[str, str], Meta(description='sent with every query, e.g. {X-Scope-OrgID: "tenant-1"}; never a secret')
    ] = {}
    tls: Annotated[TlsSettings | None, Meta(description="for https with an authority of your own or a client certificate")] = None


class AlertmanagerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An Alertmanager whose API is asked for active alerts: also for those cut off, silenced, inhibited, or sent in vain."""

    url: Annotated[Url, Meta(description="its address with its path, if it has one, e.g. http://127.0.0.1:9093")]
    bearer_token: Annotated[SecretRef | None, Meta(description="token to send, if it wants one")] = None
    timeout_seconds: Annotated[Seconds, Meta(description="how long its answer may take")] = 5
    basic: Annotated[BasicUser | None, Meta(description="user and password to send, instead of a token")] = None
    headers: Annotated[
        dict[str, str], Meta(description='sent with every question, e.g. {X-Scope-OrgID: "tenant-1"}; never a secret')
    ] = {}
    tls: Annotated[TlsSettings | None, Meta(description="for https with an authority of your own or a client certificate")] = None


class GrafanaPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One place of a Grafana where annotations stand."""

    name: Annotated[
        Name | None, Meta(description="the target's name is that of the Grafana, a colon and this one; none: only the former")
    ] = None
    dashboard_uid: Annotated[str | None, Meta(description="dashboard that gets them; none: the whole organisation")] = None
    panel_id: Annotated[int | None, Meta(description="panel of that dashboard")] = None
    services: Annotated[tuple[Name, ...], Meta(description="only incidents that hit one of these services; none: all")] = ()


class GrafanaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Grafana, or one organisation of it, to which annotations are written."""

    url: Annotated[Url, Meta(description="its address, e.g. http://127.0.0.1:3000")]
    token: Annotated[SecretRef, Meta(description="service account token that may read dashboards, and read and write annotations")]
    dashboard_uid: Annotated[str | None, Meta(description="dashboard that gets them; none: the whole organisation")] = None
    panel_id: Annotated[int | None, Meta(description="panel of that dashboard")] = None
    name: Annotated[Name, Meta(description="name of the target")] = "grafana"
    org_id: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="number of the organisation, sent as X-Grafana-Org-Id; none: that of the token"),
    ] = None
    api: Annotated[
        Literal["auto", "legacy", "app"],
        Meta(description="/api/annotations (legacy), annotation.grafana.app (app), or auto: the newer one where Grafana has it"),
    ] = "auto"
    namespace: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)")] | None,
        Meta(
            description="namespace of the newer API; none: default or, with org_id, org-2 and so on; in Grafana Cloud stacks-1234"
        ),
    ] = None
    places: Annotated[
        tuple[GrafanaPlace, ...], Meta(description="several places instead of the one of dashboard_uid and panel_id")
    ] = ()

    @property
    def targets(self) -> dict[str, GrafanaPlace]:
        """The places by the names that they have in the ledger."""
        places = self.places or (GrafanaPlace(dashboard_uid=self.dashboard_uid, panel_id=self.panel_id),)
        return {f"{self.name}:{one.name}" if one.name else self.name: one for one in places}


class AuthenticationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may post alerts and read incidents. At least one way in must be given; several tokens allow a rotation."""

    bearer_tokens: Annotated[tuple[SecretRef, ...], Meta(description="tokens; also taken as the password of any basic user")] = ()
    basic: Annotated[tuple[BasicUser, ...], Meta(description="users and passwords")] = ()


Minutes = Annotated[int, Meta(ge=1, le=1440)]
# as in TimeOfDay: no line end after it, no digits of other scripts
MonthDay = Annotated[str, Meta(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$(?!\n)")]
FirstAndLast = Annotated[tuple[MonthDay, ...], Meta(min_length=2, max_length=2)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class QuietSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Late night and early morning, in which the public is not told anew every hour."""

    begins: Annotated[TimeOfDay, Meta(description="first minute of it")]
    ends: Annotated[TimeOfDay, Meta(description="first minute after it")]


class DutySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the deadlines on pages, in tickets and in the API depend on, besides the law."""

    first_notice_target_minutes: Annotated[
        Minutes | None, Meta(description="your own target for the first notice to the ministry; the law says 速やかに, no number")
    ] = None
    designated_institution: Annotated[
        bool, Meta(description="whether you are a 指定公共機関: the public is told within 30 minutes")
    ] = False
    quiet_window: Annotated[QuietSettings | None, Meta(description="when the public is not told anew; none: never left out")] = None
    closed_days: Annotated[tuple[date, ...], Meta(description="days the ministry is closed besides weekends and New Year")] = ()

    @property
    def of_the_law(self) -> deadlines.Settings:
        """The same as the law's room takes it."""
        target, quiet = self.first_notice_target_minutes, self.quiet_window
        return deadlines.Settings(
            first_notice_target=None if target is None else timedelta(minutes=target),
            designated_institution=self.designated_institution,
            quiet=deadlines.QuietWindow(time.fromisoformat(quiet.begins), time.fromisoformat(quiet.ends)) if quiet else None,
            closed_days=frozenset(self.closed_days),
        )


class Calendar(msgspec.Struct, frozen=True):
    """What decides which days are comparable; the same as ComparableDaySettings, and hashable. Month-days are "MM-DD"."""

    weeks: int = 6
    at_least: int = 3
    year_end: tuple[str, str] = ("12-29", "01-03")
    obon: tuple[str, str] = ("08-13", "08-16")
    bridges: bool = True
    skip: frozenset[date] = frozenset()


class ComparableDaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which earlier days an accident is compared with, where users are counted by the traffic that is missing. Days of Japan."""

    weeks: Annotated[int, Meta(ge=1, le=53, description="how many weeks back they are looked for")] = 6
    at_least: Annotated[int, Meta(ge=1, le=53, description="with fewer of them nothing is compared")] = 3
    year_end: Annotated[
        FirstAndLast, Meta(description="first and last day of New Year's holidays, month-day; compared with each other only")
    ] = ("12-29", "01-03")
    obon: Annotated[FirstAndLast, Meta(description="first and last day of Obon, month-day; compared with each other only")] = (
        "08-13",
        "08-16",
    )
    bridges: Annotated[
        bool, Meta(description="a single working day between two days off is compared with its like only, not with working days")
    ] = True
    skip: Annotated[
        tuple[date, ...], Meta(description="days that nothing is compared with: accidents before this receiver, disasters, events")
    ] = ()

    @property
    def calendar(self) -> Calendar:
        """The same as the days are chosen by it."""
        (first, last), (obon_first, obon_last) = self.year_end, self.obon
        return Calendar(self.weeks, self.at_least, (first, last), (obon_first, obon_last), self.bridges, frozenset(self.skip))


class BusinessSpan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One span of a working day."""

    opens: Annotated[TimeOfDay, Meta(description="first minute of it")]
    closes: Annotated[TimeOfDay, Meta(description='first minute after it; "00:00": the end of the day')]


class BusinessHourSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the users of a web conference work, in Japan. For the chance of hosting, only these hours of an outage count."""

    spans: Annotated[tuple[BusinessSpan, ...], Meta(min_length=1, description="the spans of a working day")] = (
        BusinessSpan("09:00", "12:00"),
        BusinessSpan("13:00", "18:00"),
    )
    weekdays: Annotated[tuple[Weekday, ...], Meta(min_length=1, description="days of the week that are worked")] = WEEKDAYS[:5]
    holidays_off: Annotated[bool, Meta(description="whether the public holidays of Japan are not worked")] = True

    def of_the_law(self, holidays: frozenset[date]) -> BusinessHours:
        """The same as the law's room takes it; `holidays` are not worked."""
        return BusinessHours(
            spans=tuple((time.fromisoformat(span.opens), time.fromisoformat(span.closes)) for span in self.spans),
            weekdays=frozenset(map(WEEKDAYS.index, self.weekdays)),
            holidays=holidays,
        )


_Access = TypeVar("_Access", PrometheusSettings, AlertmanagerSettings)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration file, without the service catalogue. Relative paths are relative to that file."""

    listen: Annotated[str, Meta(description="address and port to listen on")] = "127.0.0.1:9158"
    data_dir: Annotated[str, Meta(description="folder for the database and run-time files")] = "data"
    database_url: Annotated[
        str | None,
        Meta(
            description="address of the store: sqlite:///FILE, or postgresql://USER@HOST/NAME without a password; "
            "default: art58.db in data_dir"
        ),
    ] = None
    database_password: Annotated[SecretRef | None, Meta(description="where PostgreSQL's password lies, if it wants one")] = None
    database_connections: Annotated[
        int,
        Meta(ge=2, le=100, description="connections to PostgreSQL that each process holds at most, besides the one of the lead"),
    ] = 4
    keep_notifications_days: Annotated[
        Annotated[int, Meta(ge=1, le=36500)] | None,
        Meta(description="how long notifications stay in the store before they go to the archive; null: for ever"),
    ] = 90
    archive_dir: Annotated[
        FilePath | None,
        Meta(
            description="folder of the archive of notifications; default: archive in data_dir, and with PostgreSQL none: "
            "they stay in the store"
        ),
    ] = None
    external_url: Annotated[Url, Meta(description="how people reach this receiver, for links in tickets")] = "http://127.0.0.1:9158"
    web_workers: Annotated[int, Meta(ge=1, le=64, description="processes that take in requests")] = 2
    max_body_mib: Annotated[int, Meta(ge=1, le=1024, description="largest notification taken, in MiB")] = 32
    tick_seconds: Annotated[Seconds, Meta(description="how often open incidents are assessed anew")] = 15
    hold_seconds: Annotated[Seconds, Meta(description="how long a recovery must hold before the incident is closed")] = 3600
    candidate_lead_seconds: Annotated[
        float, Meta(ge=0, le=86400 * 7, description="a ticket is made when the forecast says major within this time")
    ] = 1800
    prometheus: Annotated[PrometheusSettings, Meta(description="where users and the start of failures are asked for")]
    alertmanagers: Annotated[
        tuple[AlertmanagerSettings, ...],
        Meta(description="every Alertmanager of the cluster, asked for what was never sent; none: only Prometheus is asked"),
    ] = ()
    reconcile_seconds: Annotated[
        Seconds, Meta(description="how often Alertmanager and the rules' own series are asked for what was never sent")
    ] = 60
    grafana: Annotated[
        GrafanaSettings | tuple[GrafanaSettings, ...],
        Meta(description="where annotations are written: one, or a list; none: nowhere"),
    ] = ()
    duties: Annotated[DutySettings, Meta(description="what the deadlines depend on, besides the law")] = DutySettings()
    comparable_days: Annotated[ComparableDaySettings, Meta(description="which days an accident is compared with")] = (
        ComparableDaySettings()
    )
    business_hours: Annotated[BusinessHourSettings, Meta(description="when the users of a web conference work")] = (
        BusinessHourSettings()
    )
    tickets: Annotated[tuple[Ticket, ...], Meta(description="where tickets are made; `kind` says in which way")] = ()
    authentication: Annotated[AuthenticationSettings, Meta(description="who may post alerts and read incidents")]
    rulebooks: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(description="files with rulebooks of your own; one with the id of a shipped rulebook takes its place"),
    ] = ()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def grafanas(self) -> tuple[GrafanaSettings, ...]:
        return (self.grafana,) if isinstance(self.grafana, GrafanaSettings) else self.grafana

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{Path(self.data_dir, 'art58.db')}"

    @property
    def database_file(self) -> Path | None:
        """The file that is the store; None: it is on a server."""
        file = _SQLITE_FILE.fullmatch(self.database)
        return Path(file[1]) if file else None

    @property
    def archive_folder(self) -> Path | None:
        """Where notifications go that are older than `keep_notifications_days`; None: they stay in the store."""
        if self.keep_notifications_days is None:
            return None
        if self.archive_dir is not None:
            return Path(self.archive_dir)
        # the disk of one of several receivers may go with it, and is read by no other
        return Path(self.data_dir, "archive") if self.database_file else None

    @property
    def metrics_dir(self) -> Path:
        """Folder in which all processes leave their metrics."""
        return Path(self.data_dir, "metrics")

    def rooted(self, base: Path) -> "Settings":
        """The same with every relative path taken from `base`."""

        def secret(ref: SecretRef) -> SecretRef:
            return ref if ref.file is None else msgspec.structs.replace(ref, file=str(base / ref.file))

        replace = msgspec.structs.replace
        prometheus = self.prometheus
        file = _SQLITE_FILE.fullmatch(self.database_url or "")

        def let_in(access: _Access) -> _Access:
            token, basic, tls = access.bearer_token, access.basic, access.tls
            return replace(
                access,
                bearer_token=token and secret(token),
                basic=basic and replace(basic, password=secret(basic.password)),
                tls=tls and TlsSettings(*(file and str(base / file) for file in msgspec.structs.astuple(tls))),
            )

        grafanas = tuple(replace(one, token=secret(one.token)) for one in self.grafanas)
        tickets: list[Ticket] = []
        for ticket in self.tickets:
            moved: dict[str, Any] = {name: secret(ref) for name, ref in secrets_of(ticket).items()}
            moved["templates"] = ticket.templates.rooted(base)
            if isinstance(ticket, DirectoryTicket):
                moved["path"] = str(base / ticket.path)
            tickets.append(replace(ticket, **moved))
        return replace(
            self,
            data_dir=str(base / self.data_dir),
            database_url=f"sqlite:///{base / file[1]}" if file else self.database_url,
            database_password=self.database_password and secret(self.database_password),
            archive_dir=self.archive_dir and str(base / self.archive_dir),
            prometheus=let_in(prometheus),
            alertmanagers=tuple(map(let_in, self.alertmanagers)),
            grafana=grafanas[0] if isinstance(self.grafana, GrafanaSettings) else grafanas,
            tickets=tuple(tickets),
            authentication=AuthenticationSettings(
                bearer_tokens=tuple(map(secret, self.authentication.bearer_tokens)),
                basic=tuple(replace(user, password=secret(user.password)) for user in self.authentication.basic),
            ),
            rulebooks=tuple(str(base / file) for file in self.rulebooks),
        )


_Place = tuple[str | int, ...]
Complaint = tuple[_Place, str, str]
"""Where (key path), what is wrong, what to do."""


def complaints(settings: Settings) -> list[Complaint]:
    """What types alone cannot say about the settings. Secrets are read to see that they are there, and dropped."""
    found: list[Complaint] = []
    if (
        not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}", settings.listen)
        or not 0 < int(settings.listen.rpartition(":")[2]) < 65536
    ):
        found.append((("listen",), "is no address and port", "Write it like 127.0.0.1:9158"))
    found += _store_complaints(settings)
    if why := _no_folder(Path(settings.data_dir)):
        found.append((("data_dir",), why, "Name a folder, or where one can be made"))
    if settings.archive_dir and (why := _no_folder(Path(settings.archive_dir))):
        found.append((("archive_dir",), why, "Name a folder, or where one can be made"))
    found += _prometheus_complaints(settings.prometheus)
    found += _alertmanager_complaints(settings.alertmanagers)
    authentication = settings.authentication
    if not authentication.bearer_tokens and not authentication.basic:
        found.append(
            (
                ("authentication",),
                "lets nobody in",
                "Give bearer_tokens or basic, e.g. bearer_tokens: [{file: secrets/token}]",
            )
        )
    found += _grafana_complaints(settings)
    names: set[str] = {"grafana", *(one.name for one in settings.grafanas)}  # of the annotations in the ledger
    for number, ticket in enumerate(settings.tickets):
        if ticket.name in names:
            found.append((("tickets", number, "name"), f"{ticket.name!r} is taken", "Give every target a name of its own"))
        names.add(ticket.name)
    found += _same_place_complaints(settings)
    quiet = settings.duties.quiet_window
    if quiet and quiet.begins == quiet.ends:
        cure = "Give two times, or leave the window out"
        found.append((("duties", "quiet_window", "ends"), "is when the quiet window begins", cure))
    found += _comparable_day_complaints(settings.comparable_days)
    found += _business_hour_complaints(settings.business_hours)
    for number, rulebook in enumerate(settings.rulebooks):
        try:
            Path(rulebook).open("rb").close()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", "impossible name")
            found.append((("rulebooks", number), f"{rulebook} cannot be read ({why})", "Check the path and its permissions"))
    for path, secret in secrets(settings):
        try:
            text = secret.read().reveal()
        except SecretUnreadable as error:
            found.append((path, str(error), "Put the secret there, in printable ASCII, readable for this user"))
        else:
            signs = path[0] == "tickets" and isinstance(settings.tickets[int(path[1])], WebhookTicket)
            if signs and not re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,}={0,2}", text):
                cure = 'Make one: echo "whsec_$(openssl rand -base64 32)"'
                found.append((path, "is no signing secret (whsec_ and base64 of at least 24 bytes)", cure))
    return found


def _store_complaints(settings: Settings) -> Iterator[Complaint]:
    url = settings.database_url
    if url is not None and url.startswith(_POSTGRESQL):
        yield from _postgresql_complaints(url)
        return
    if url is not None and not _SQLITE_FILE.fullmatch(url):
        cure = "Write sqlite:///file.db or postgresql://user@host/name, or leave it out"
        yield ("database_url",), "is no address of a store we know", cure
    if settings.database_password:
        yield ("database_password",), "is for PostgreSQL only", "Leave it out, or write database_url: postgresql://user@host/name"


def _postgresql_complaints(url: str) -> Iterator[Complaint]:
    """None of them repeats the address: there may be a password in it."""
    cure = "Write postgresql://user@host/name"
    try:
        parts = urlsplit(url)
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        has_password, has_place = parts.password is not None, bool(parts.hostname or "host" in options or "service" in options)
        _ = parts.port if "," not in parts.netloc else None
    except ValueError:
        yield ("database_url",), "is no address of a database", cure
        return
    if has_password or {"password", "sslpassword"} & options.keys():
        yield ("database_url",), "holds a password", "Take it out, and name the place where it lies: database_password: {file: …}"
    elif not has_place or len(parts.path) < 2 or parts.fragment or re.search(r"\s", url):
        yield ("database_url",), "names no host or no database", cure
    elif unknown := options.keys() - _libpq_options():
        yield ("database_url",), f"has an option that libpq does not know: {', '.join(sorted(unknown))}", "Mend its name after ?"


def _libpq_options() -> set[str]:
    from psycopg import pq  # only here, for who has SQLite never needs it

    return {option.keyword.decode() for option in pq.Conninfo.get_defaults()}


def _grafana_complaints(settings: Settings) -> list[Complaint]:
    found: list[Complaint] = []
    names: set[str] = set()
    for number, grafana in enumerate(settings.grafanas):
        at = grafana_key(settings, number)
        if grafana.name in names:
            found.append(((*at, "name"), f"{grafana.name!r} is taken", "Give every Grafana a name of its own"))
        names.add(grafana.name)
        if grafana.places and (grafana.dashboard_uid is not None or grafana.panel_id is not None):
            found.append(((*at, "places"), "stands beside dashboard_uid or panel_id", "Write every place under places"))
        if grafana.panel_id is not None and grafana.dashboard_uid is None:
            found.append(((*at, "panel_id"), "is a panel of no dashboard", "Name its dashboard_uid too"))
        found += _place_complaints(at, grafana.places)
    return found


def _place_complaints(at: _Place, places: tuple[GrafanaPlace, ...]) -> list[Complaint]:
    """What stands twice in one place would be taken for a double, and one of them away."""
    found: list[Complaint] = []
    names: set[str | None] = set()
    stands: set[tuple[str | None, int | None]] = set()
    for number, place in enumerate(places):
        here = (*at, "places", number)
        if place.panel_id is not None and place.dashboard_uid is None:
            found.append(((*here, "panel_id"), "is a panel of no dashboard", "Name its dashboard_uid too"))
        if place.name in names:
            wrong = f"{place.name!r} is taken" if place.name else "is left out a second time"
            found.append(((*here, "name") if place.name else here, wrong, "Give every place a name of its own"))
        if (place.dashboard_uid, place.panel_id) in stands:
            cure = "Give each panel, dashboard or organisation once, with all its services"
            found.append(((*here, "dashboard_uid") if place.dashboard_uid else here, "is the same place as one above", cure))
        names.add(place.name)
        stands.add((place.dashboard_uid, place.panel_id))
    return found


def _same_place_complaints(settings: Settings) -> list[Complaint]:
    """What two make in one place is found by both, and each would follow what the other made."""
    found: list[Complaint] = []
    known: dict[Any, str] = {}
    places: list[tuple[_Place, Any, str]] = [
        ((*grafana_key(settings, number), "url"), (one.url.rstrip("/"), one.org_id, one.token, place), one.name)
        for number, one in enumerate(settings.grafanas)
        for place in {(place.dashboard_uid, place.panel_id) for place in one.targets.values()}
    ]
    for number, ticket in enumerate(settings.tickets):
        if keys := PLACE_OF.get(type(ticket)):
            place = (type(ticket), *(str(getattr(ticket, key)).rstrip("/") for key in keys))
            places.append((("tickets", number, keys[-1]), place, ticket.name))
    for at, place, name in places:
        if known.get(place, name) != name:
            cure = "Give both together as one, or this one a place of its own"
            found.append((at, f"is where {known[place]!r} writes: each would take the other's for its own", cure))
        known.setdefault(place, name)
    return found


def grafana_key(settings: Settings, number: int) -> _Place:
    """Where this Grafana stands in the file: one may stand there without a list."""
    return ("grafana",) if isinstance(settings.grafana, GrafanaSettings) else ("grafana", number)


def _comparable_day_complaints(days: ComparableDaySettings) -> list[Complaint]:
    found: list[Complaint] = []
    for key, span in (("year_end", days.year_end), ("obon", days.obon)):
        ends = []
        for number, month_day in enumerate(span):
            try:
                ends.append(date.fromisoformat(f"2024-{month_day}"))  # a leap year
            except ValueError:
                found.append((("comparable_days", key, number), f"{month_day} is no day of any year", 'Write it like "12-29"'))
        # the last day may be one of the next year; given the wrong way round, nearly every day would be one of them
        if len(ends) == 2 and (length := (ends[1] - ends[0]).days % 366 + 1) > 31:
            found.append((("comparable_days", key), f"is {length} days long", "Give the first day, then the last, within a month"))
    if days.at_least > days.weeks:
        wrong = f"is more than {days.weeks} week(s) hold: each has one comparable working day"
        found.append((("comparable_days", "at_least"), wrong, "Ask for fewer days, or look further back with weeks"))
    return found


def _business_hour_complaints(hours: BusinessHourSettings) -> list[Complaint]:
    found: list[Complaint] = []
    closed_at = ""
    for opens, closes, number in sorted((span.opens, span.closes, number) for number, span in enumerate(hours.spans)):
        at = ("business_hours", "spans", number)
        closes = "24:00" if closes == "00:00" else closes
        if closes <= opens:
            found.append(((*at, "closes"), "is not after it opens", "Give a later time; over midnight, write two spans"))
        elif opens < closed_at:
            found.append(((*at, "opens"), f"is before another span closes ({closed_at})", "Give spans that do not overlap"))
        closed_at = max(closed_at, closes)
    return found


def _prometheus_complaints(prometheus: PrometheusSettings) -> list[Complaint]:
    found: list[Complaint] = []
    addresses = [prometheus.url.rstrip("/")]
    for number, url in enumerate(prometheus.also):
        if url.rstrip("/") in addresses:
            found.append((("prometheus", "also", number), f"{url} is given twice", "Give each address once"))
        addresses.append(url.rstrip("/"))
    return found + _access_complaints(("prometheus",), prometheus, addresses)


def _alertmanager_complaints(alertmanagers: tuple[AlertmanagerSettings, ...]) -> list[Complaint]:
    found: list[Complaint] = []
    addresses: set[str] = set()
    for number, one in enumerate(alertmanagers):
        address = one.url.rstrip("/")
        if address in addresses:
            found.append((("alertmanagers", number, "url"), f"{one.url} is given twice", "Give each Alertmanager once"))
        addresses.add(address)
        found += _access_complaints(("alertmanagers", number), one, [address])
    return found


def _access_complaints(at: _Place, access: PrometheusSettings | AlertmanagerSettings, addresses: list[str]) -> list[Complaint]:
    found: list[Complaint] = []
    if access.bearer_token and access.basic:
        found.append(((*at, "basic"), "stands beside bearer_token", "Give one of the two"))
    names: set[str] = set()
    for name, value in access.headers.items():
        path = (*at, "headers", name)
        if name.lower() in _SECRET_HEADERS:
            found.append((path, "would be a secret written in the configuration", "Use bearer_token or basic"))
        elif name.lower() in _OWN_HEADERS:
            found.append((path, "is what the receiver sets itself", "Leave it out"))
        elif not _HEADER_NAME.fullmatch(name):
            found.append((path, "is no name of a header", "Write it like X-Scope-OrgID"))
        elif name.lower() in names:
            found.append((path, "is given twice: capitals make no difference", "Keep one of them"))
        if not (value.isascii() and value.isprintable() and value == value.strip() != ""):
            cure = "Write printable ASCII without blanks around it"
            found.append((path, "is empty or has a character that no header carries", cure))
        names.add(name.lower())
    if access.tls:
        found += _tls_complaints((*at, "tls"), access.tls, any(url.startswith("https:") for url in addresses))
    return found


def _tls_complaints(at: _Place, tls: TlsSettings, needed: bool) -> list[Complaint]:
    """The files are loaded to see that TLS will take them."""
    found: list[Complaint] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not needed:
        found.append((at, "is of no use: no address begins with https", "Write https:// or leave tls out"))
    if tls.ca_file:
        try:
            context.load_verify_locations(tls.ca_file)
        except (OSError, ValueError) as error:
            found.append(((*at, "ca_file"), _unfit(tls.ca_file, error), "Name a readable PEM file with certificates"))
    if tls.cert_file and tls.key_file:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password="")  # else OpenSSL would ask the terminal for one
        except (OSError, ValueError) as error:
            wrong = _unfit(f"{tls.cert_file} with {tls.key_file}", error)
            cure = "Name readable PEM files: a certificate and the key to it, without a passphrase"
            found.append(((*at, "cert_file"), wrong, cure))
    elif tls.cert_file or tls.key_file:
        found.append((at, "has one of cert_file and key_file", "Give both or none"))
    return found


def _unfit(file: str, error: OSError | ValueError) -> str:
    why = "not what TLS takes" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", "impossible name")
    return f"{file} cannot be used ({why})"


def _no_folder(path: Path) -> str | None:
    """Why there is no folder and none can be made; None if it is or can."""
    for place in (path, *path.parents):
        try:
            mode = place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            return f"cannot be a folder ({getattr(error, 'strerror', 'impossible name')})"
        return None if stat.S_ISDIR(mode) else f"cannot be a folder: {place} is none"
    return None


def secrets(settings: Settings) -> list[tuple[_Place, SecretRef]]:
    """Every secret of the settings with the path of its key."""
    places: list[tuple[_Place, SecretRef | None]] = [
        (("database_password",), settings.database_password),
        (("prometheus", "bearer_token"), settings.prometheus.bearer_token),
        (("prometheus", "basic", "password"), settings.prometheus.basic.password if settings.prometheus.basic else None),
    ]
    places += [((*grafana_key(settings, n), "token"), one.token) for n, one in enumerate(settings.grafanas)]
    for n, one in enumerate(settings.alertmanagers):
        places.append((("alertmanagers", n, "bearer_token"), one.bearer_token))
        places.append((("alertmanagers", n, "basic", "password"), one.basic.password if one.basic else None))
    places += [(("tickets", n, name), ref) for n, one in enumerate(settings.tickets) for name, ref in secrets_of(one).items()]
    places += [(("authentication", "bearer_tokens", n), ref) for n, ref in enumerate(settings.authentication.bearer_tokens)]
    places += [(("authentication", "basic", n, "password"), user.password) for n, user in enumerate(settings.authentication.basic)]
    return [(path, ref) for path, ref in places if ref]
