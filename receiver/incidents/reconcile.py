"""Find what we were never told: what fired while the receiver was away, was cut from a body, silenced, inhibited, or ended unheard.

Alertmanager's API has what is active now, the rules' own series what fired and what is over. What is news in it is stored as a body
in the form of Alertmanager's webhook, so that everything after it is as if it had been sent. Run again it finds nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import prometheus_client
import structlog

from receiver.catalogue import Catalogue
from receiver.incidents.derive import BATCH
from receiver.incidents.fold import LATE, ended_at
from receiver.incidents.news import News
from receiver.incidents.pairing import Known, Sender, known_of
from receiver.model import Alert
from receiver.observation import alertmanager, rule_series
from receiver.observation.alertmanager import Active
from receiver.observation.past import fingerprint
from receiver.observation.prometheus import Prometheus, QueryFailed
from receiver.observation.rule_series import LOOK_BACK, Labels, Reading, Rule, Stretch
from receiver.settings import AlertmanagerSettings
from receiver.storage import heartbeat, notifications
from receiver.storage import incidents as store
from receiver.storage.database import Database

FIRST_LOOK_BACK = timedelta(hours=6)
"""So much of the rules' series is read when a receiver starts for the first time."""
OVERLAP = timedelta(minutes=3)
"""So much is read again each time: samples may come late, and clocks differ."""
SILENT_TIMES = 3
"""After nobody told of an incident so many times in a row, it is said that nobody does: a restart is no news."""
ASK_AGAIN = timedelta(minutes=10)
"""An alert that the series did not know is not looked for again before."""
_TOLD_APART = timedelta(minutes=15)
"""So long before the rules' series Alertmanager may have told of an end: it gives up on alerts that it hears no more of."""
NAME = "reconciled"
"""Of the heartbeat that tells up to when the rules' series were read."""

RECONCILED = prometheus_client.Counter(
    "art58_reconciled_alerts_total", "Alerts, or their ends, that were found before they were sent to us, or instead", ["learnt"]
)
for _learnt in ("alertmanager_api", "rule_series"):
    RECONCILED.labels(_learnt)  # there from the start: else the first one would be no increase

log = structlog.get_logger()


class Reconciled(msgspec.Struct, frozen=True):
    """How many alerts were news, and whether all was read: else more is to be done at once."""

    news: int
    is_complete: bool


class Reconciler:
    """Keeps what it learns of Prometheus' external labels, and of which incidents nobody tells. Not for several threads at once."""

    def __init__(
        self, database: Database, prometheus: Prometheus, peers: Sequence[AlertmanagerSettings], catalogue: Catalogue
    ) -> None:
        self._database, self._prometheus, self._peers, self._catalogue = database, prometheus, peers, catalogue
        self._sender = Sender()
        self._silent: dict[str, tuple[datetime, int]] = {}
        self._ask_again: dict[str, datetime] = {}
        self._problems: dict[str, str] = {}

    def run(self, now: datetime) -> Reconciled:
        """Store what is news at `now`. What does not answer is told in the log. Raises StoreUnavailable."""
        self._prometheus.begin()
        heard = alertmanager.ask(self._peers)
        problems = dict(heard.problems)
        active = {its: alert for its, alert in heard.active.items() if self._catalogue.services_of(alert.labels)}
        told_of: set[str | None] = set()
        may_fire: set[str] = set()

        def noted(stored: Iterable[Alert]) -> Iterator[Alert]:
            for alert in stored:
                if alert.source == "alertmanager":
                    if alert.fingerprint in active:
                        told_of.add(alert.incident_id)
                    if ended_at(alert, (alert,)) is None:
                        may_fire.add(alert.fingerprint)
                    yield alert

        # one by one: in a storm they are more than there is room for
        with self._database.read() as connection:
            since = _since(heartbeat.last(connection, NAME), heartbeat.last(connection, "tick"), now)
            recent = store.plain_about_services(connection, since - OVERLAP - _TOLD_APART)
            known = known_of(noted(recent), {its: one.labels for its, one in active.items()})
        reading: Reading | None = None
        found: list[_Found] = []
        try:
            read = self._read(since, now)
            found = self._identified(read, known, active)
            reading = read
        except QueryFailed as error:
            problems["prometheus"] = str(error)
        rules, news = _Rules(self._prometheus, found), News()
        # of what is over, and was not found, nothing is news: after a storm that is most of all
        of_series = {its for one in found for its in (*one.fingerprints, *one.perhaps)}
        sightings = self._sightings({*active, *may_fire, *of_series}, known)
        for alert in active.values():
            _from_alertmanager(alert, sightings.get(alert.fingerprint, []), news)
        for one in found:
            self._from_series(one, sightings, active, rules, now, news)
        is_complete = reading is not None and reading.up_to >= now
        if is_complete and not heard.problems:
            self._ended_unheard(found, known, sightings, active, rules, now, news)
        self._keep(news, self._watched(told_of, rules, reading is not None, now), reading, now)
        self._tell(problems)
        return Reconciled(len(news), reading is None or is_complete)

    def _keep(self, news: News, watched: Mapping[str, datetime | None], reading: Reading | None, now: datetime) -> None:
        with self._database.inbox.write() as connection:
            for learnt, body in news.bodies():
                notifications.add(connection, "alertmanager", now, body, learnt)
        with self._database.write() as connection:
            store.mark_unwatched(connection, watched)
            if reading:
                heartbeat.beat(connection, NAME, reading.up_to)
        for learnt, number in news.counted().items():
            RECONCILED.labels(learnt).inc(number)
            log.info("found what was not sent to us", learnt=learnt, alerts=number)

    def _sightings(self, fingerprints: Collection[str], known: Known) -> dict[str, list[Alert]]:
        with self._database.read() as connection:
            return store.plain_sightings(connection, "alertmanager", fingerprints, _labels_as_in(known))

    def _read(self, since: datetime, now: datetime) -> Reading:
        if self._sender.shown is None:
            self._sender.shown = rule_series.external(self._prometheus)
        matchers = rule_series.matchers_of(self._catalogue, self._sender.external)
        return rule_series.read(self._prometheus, matchers, since - OVERLAP, now)

    def _identified(self, reading: Reading, known: Known, active: Mapping[str, Active]) -> list["_Found"]:
        """The series about services, each with the alert or alerts it is of."""
        self._sender.learn(reading.stretches, known)
        found = []
        for labels, stretches in reading.stretches.items():
            its, perhaps = self._sender.alerts_of(labels, known)
            whole = dict(known.labels(its[0])) if its else self._sender.whole(labels)
            if its or self._catalogue.services_of(whole):
                if not perhaps:
                    its = its or [fingerprint(whole.items())]
                found.append(_Found(labels, whole, tuple(its), stretches, tuple(perhaps)))
        return self._with_starts(found, {*known.fingerprints, *active})

    def _with_starts(self, found: list["_Found"], known: Collection[str]) -> list["_Found"]:
        """Those that fired before what was read and are not known began when their condition did."""
        cut = [one for one in found if one.stretches[0].cut and not any(its in known for its in one.fingerprints)]
        if not cut:
            return found
        at = max(one.stretches[0].first for one in cut)
        held = rule_series.held_since(self._prometheus, {one.stretches[0].name for one in cut}, at)
        earlier = {
            one.labels: [msgspec.structs.replace(one.stretches[0], first=held[one.labels]), *one.stretches[1:]]
            for one in cut
            if one.labels in held and held[one.labels] < one.stretches[0].first
        }
        return [msgspec.structs.replace(one, stretches=earlier.get(one.labels, one.stretches)) for one in found]

    def _from_series(
        self,
        found: "_Found",
        known: Mapping[str, list[Alert]],
        active: Mapping[str, Active],
        rules: "_Rules",
        now: datetime,
        news: News,
    ) -> None:
        sightings = [s for its in found.fingerprints for s in known.get(its, ())]
        for stretch in found.stretches:
            at_once = _fired_during(sightings, stretch, now)
            last = max((end for s in at_once if (end := ended_at(s, sightings))), default=None)
            fires = any(ended_at(s, sightings) is None for s in at_once)
            if not at_once:
                if stretch.ended_at is None and any(its in active for its in (*found.fingerprints, *found.perhaps)):
                    continue  # Alertmanager tells more of it
                if any(_fired_during(known.get(its, []), stretch, now) for its in found.perhaps):
                    continue  # it was sent: only by whom is not known
                over_at = self._over_at(stretch, rules)
                news.add("rule_series", found.fingerprint, found.whole, stretch.first, over_at)
            elif fires or last is None:
                continue  # its end, if there is one, is looked at later
            elif stretch.ended_at is None and stretch.last > last + LATE:
                news.say("rule_series", max(at_once, key=lambda s: s.starts_at), None)
            elif stretch.ended_at and stretch.proven and stretch.ended_at > last + LATE:
                news.say("rule_series", max(at_once, key=lambda s: s.starts_at), stretch.ended_at)

    def _ended_unheard(
        self,
        found: Iterable["_Found"],
        known: Known,
        sightings: Mapping[str, list[Alert]],
        active: Collection[str],
        rules: "_Rules",
        now: datetime,
        news: News,
    ) -> None:
        """What fires as far as we know, and is active at no Alertmanager: it is over if its series says so."""
        lost = {}
        for its, all_ in sightings.items():
            firing = [s for s in all_ if s.cause and ended_at(s, all_) is None]
            if firing and its not in active:
                lost[its] = max(firing, key=lambda s: s.starts_at)
        last = {its: one.stretches[-1] for one in found for its in one.fingerprints}
        last |= self._looked_up({its: alert for its, alert in lost.items() if its not in last}, known, now)
        for its, alert in lost.items():
            stretch = last.get(its)
            if stretch is None or stretch.ended_at is None or stretch.ended_at <= alert.starts_at:
                continue
            if over_at := self._over_at(stretch, rules):
                news.say("rule_series", alert, over_at)

    def _looked_up(self, alerts: Mapping[str, Alert], known: Known, now: datetime) -> dict[str, Stretch]:
        self._ask_again = {its: at for its, at in self._ask_again.items() if its in alerts and now < at <= now + ASK_AGAIN}
        asked = {its: alert for its, alert in alerts.items() if its not in self._ask_again}
        if asked and not self._sender.is_known:
            # any that fired meanwhile may be the one whose end is found
            known = self._known_since(now - LOOK_BACK[-1][0], known)
        found: dict[str, Stretch] = {}
        labels: list[str | None] = list(dict.fromkeys(service.equipment_label for service in self._catalogue.services))
        for label in [*labels, None]:
            its = {key: alert.labels for key, alert in asked.items() if label is None or label in alert.labels}
            asked = {key: alert for key, alert in asked.items() if key not in its}
            try:
                found |= rule_series.last_stretches(
                    self._prometheus, its, label, now, lambda labels: self._sender.alerts_of(labels, known)[0]
                )
            except QueryFailed as error:
                log.warning("the end of alerts could not be looked up", error=str(error))
                return found
            self._ask_again |= dict.fromkeys(its.keys() - found.keys(), now + ASK_AGAIN)
        return found

    def _known_since(self, since: datetime, known: Known) -> Known:
        with self._database.read() as connection:
            every = store.plain_about_services(connection, since, _labels_as_in(known))
            stored = (alert for alert in every if alert.source == "alertmanager")
            return known_of(stored, {its: known.labels(its) for its in known.fingerprints if its not in known.found})

    def _over_at(self, stretch: Stretch, rules: "_Rules") -> datetime | None:
        """When it was over at the latest; None while that cannot be said.

        A rule that is gone marks its series as one that does not fire any more. Where the samples only stop, it is over once its
        rule was evaluated again, and its condition does not hold.
        """
        if stretch.ended_at is None or (rules.lacks(stretch.name) and rules.seen_until(stretch.name) <= stretch.ended_at):
            return None
        if stretch.proven:
            return stretch.ended_at
        rule = rules.named(stretch.name)
        if rule is None or not rule.is_well or rule.evaluated_at is None or rule.evaluated_at < stretch.ended_at:
            return None
        try:
            held = rule_series.held_since(self._prometheus, [stretch.name], rule.evaluated_at)
        except QueryFailed:
            return None
        return None if stretch.labels in held else rule.evaluated_at

    def _watched(
        self, told_of: Collection[str | None], rules: "_Rules", prometheus_answers: bool, now: datetime
    ) -> dict[str, datetime | None]:
        """The incidents of which it is news that nobody tells of them any more, or that somebody does again.

        `told_of`: those with an alert that is active at an Alertmanager.
        """
        with self._database.read() as connection:
            living = store.living(connection)
            open_ = {one.id for one in living if one.state == "open" and not one.dismissed} - {*told_of}
            alerts = store.plain_alerts_of(connection, open_, _name_alone)
        changed: dict[str, datetime | None] = {}
        silent: dict[str, tuple[datetime, int]] = {}
        for incident in living:
            id_ = incident.id
            if id_ not in open_ or _would_be_told(alerts[id_], bool(self._peers), rules, prometheus_answers):
                if incident.unwatched_since:
                    changed[id_] = None
                continue
            first, times = self._silent.get(id_, (now, 0))
            silent[id_] = min(first, now), times + 1
            if times + 1 >= SILENT_TIMES and incident.unwatched_since is None:
                changed[id_] = min(first, now)
        self._silent = silent
        return changed

    def _tell(self, problems: dict[str, str]) -> None:
        """Each problem when it begins, and when it is over."""
        for where, why in problems.items():
            if self._problems.get(where) != why:
                log.warning("cannot be asked for what was not sent to us", where=where, error=why)
        for where in self._problems.keys() - problems.keys():
            log.info("can be asked again for what was not sent to us", where=where)
        self._problems = problems


class _Found(msgspec.Struct, frozen=True):
    """A series: its labels, those with the external ones, and the fingerprints of the alerts it is of, or may be of."""

    labels: Labels
    whole: dict[str, str]
    fingerprints: tuple[str, ...]
    stretches: list[Stretch]
    perhaps: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return self.fingerprints[0] if self.fingerprints else fingerprint(self.whole.items())


class _Rules:
    """The rules as Prometheus has them now: asked once, and only if somebody wants to know."""

    def __init__(self, prometheus: Prometheus, found: Iterable[_Found]) -> None:
        self._prometheus = prometheus
        self._seen: dict[str, datetime] = {}
        for stretch in (one.stretches[-1] for one in found):
            self._seen[stretch.name] = max(stretch.last, self._seen.get(stretch.name, stretch.last))
        self._all: dict[str, Rule] | None = None
        self._asked = False
        self.problem: str | None = None

    def named(self, name: str) -> Rule | None:
        return (self._known() or {}).get(name)

    def seen_until(self, name: str) -> datetime:
        """When an alert of this rule fired last, as far as it was read: the rule was there then."""
        return self._seen.get(name, datetime.min.replace(tzinfo=UTC))

    def lacks(self, name: str) -> bool:
        """Whether it is known that there is no such rule."""
        known = self._known()
        return known is not None and name not in known

    def tell_of(self, name: str, is_elsewhere_too: bool) -> bool:
        """Whether Prometheus would tell of an alert of this rule. `is_elsewhere_too`: it may be the rule of another one."""
        known = self._known()
        if known is None:
            return self.problem is None  # nothing speaks against it
        if rule := known.get(name):
            return rule.is_well
        return is_elsewhere_too and name not in self._remembered(name)

    def _remembered(self, name: str) -> set[str]:
        try:
            return rule_series.remembered(self._prometheus, [name])
        except QueryFailed:
            return set()

    def _known(self) -> dict[str, Rule] | None:
        if not self._asked:
            self._asked = True
            try:
                self._all = rule_series.rules(self._prometheus)
            except QueryFailed as error:
                self.problem = str(error)
        return self._all


def _labels_as_in(known: Known) -> store.Labels:
    """Those that are there already."""

    def of(fingerprint: str, labels: dict[str, str]) -> dict[str, str]:
        there = known.labels_or_none(fingerprint)
        return there if there == labels else store.all_labels(fingerprint, labels)

    return of


def _name_alone(_: str, labels: dict[str, str]) -> dict[str, str]:
    return {name: labels[name] for name in ("alertname", "rulename") if name in labels}


def cut_short(database: Database) -> bool:
    """Whether one of the bodies that are derived next lacks alerts for which it had no room (`max_alerts`)."""
    with database.inbox.read() as connection:
        return any(_truncated(body.body) for body in notifications.waiting(connection, BATCH))


class _Size(msgspec.Struct, rename="camel"):
    truncated_alerts: int = 0


def _truncated(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body, type=_Size).truncated_alerts > 0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _since(reconciled: datetime | None, ticked: datetime | None, now: datetime) -> datetime:
    """From when on something may have been missed."""
    if reconciled is not None:
        return min(reconciled, now)
    first = now - FIRST_LOOK_BACK
    return min(first, ticked) if ticked else first


def _from_alertmanager(alert: Active, sightings: list[Alert], news: News) -> None:
    firing = [s for s in sightings if ended_at(s, sightings) is None]
    if firing:
        if not {*alert.inhibited_by} <= {its for s in sightings for its in s.inhibited_by}:
            news.say("alertmanager_api", max(firing, key=lambda s: s.starts_at), None, alert.inhibited_by)
        return
    ends = [s.ends_at for s in sightings if s.ends_at]
    # one that was cut off from Prometheus has for a while what the others know to be over
    if not ends or alert.starts_at > max(ends) or alert.updated_at > max(ends) + LATE:
        text = alert.annotations, alert.generator_url
        news.add("alertmanager_api", alert.fingerprint, alert.labels, alert.starts_at, None, *text, alert.inhibited_by)


def _fired_during(sightings: list[Alert], stretch: Stretch, now: datetime) -> list[Alert]:
    begun = [s for s in sightings if s.starts_at <= (stretch.ended_at or now)]
    return [s for s in begun if (end := ended_at(s, sightings)) is None or end > stretch.first]


def _would_be_told(alerts: Sequence[Alert], alertmanager_is_asked: bool, rules: _Rules, prometheus_answers: bool) -> bool:
    """Whether somebody would tell of the end of what no Alertmanager has: a person, Grafana, or Prometheus that has its rule."""
    if any(alert.source != "alertmanager" for alert in alerts):
        return True
    if not prometheus_answers:
        # where its API is not asked, nothing says that Alertmanager has forgotten what fires
        return not alertmanager_is_asked and any(alert.ends_at is None for alert in alerts)
    return any(rules.tell_of(name, not alertmanager_is_asked) for name in {alert.name for alert in alerts})
