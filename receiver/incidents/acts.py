"""What a person states about an incident: checked against what is stored, then kept with its effect, or refused whole.

One transaction: whatever is killed or fails in between, either the act and its effect are there or neither is. An act only adds:
alerts change their incident, incidents their state, and nothing is erased.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec

from receiver.catalogue import Catalogue
from receiver.incidents import correlate
from receiver.incidents.cause import check_stands
from receiver.incidents.facts import Refused, any_of, check_fact, check_line, check_moment
from receiver.incidents.handed_on import Half, after_merge, after_split, facts_of_a_part, left_behind
from receiver.incidents.topology import parents_of
from receiver.law.provisions import Text
from receiver.law.wording import clock_time
from receiver.model import (
    RECEIVER,
    Act,
    Alert,
    Closed,
    Deed,
    Dismissed,
    Incident,
    IncidentState,
    Merged,
    Opened,
    Reopened,
    Split,
    Timed,
    Withdrawn,
)
from receiver.stated import Stated, deed_in_words, stated
from receiver.storage import acts as kept_acts
from receiver.storage import incidents as store
from receiver.storage.database import Connection, Database

_MOST_WHO, _MOST_WHY, _MOST_EQUIPMENT = 200, 2000, 500
_MOST_NEARBY = 100_000

_Said = tuple[str, Deed]
"""What is to be kept, and on which incident."""


def state(
    database: Database,
    catalogue: Catalogue,
    incident_id: str | None,
    deed: Deed,
    who: str,
    why: str,
    now: datetime,
    hold: timedelta | None = None,
) -> Act:
    """Keep what a person states of this incident, and do what it means; the act as it was kept.

    `open` is of no incident yet: the act's `incident_id` is the new one's. `merge` is of its part or its whole, and kept on both.
    `split` is of its whole; whatever its `part` says, it is filled in with the id of the incident that was parted off, and kept on
    both. What was stated of one before and holds for the other from now on is signed by the receiver.
    `hold` is how long a recovery must hold, for telling a person who closes too early when to come again.
    Raises Refused, and StoreUnavailable; then nothing was kept.
    """
    check_line("who", who, _MOST_WHO)
    check_line("why", why, _MOST_WHY)
    if who.strip().lower() == RECEIVER:
        raise Refused(
            f"{RECEIVER} is how the receiver signs what it does itself. Sign with a person's name",
            f"{RECEIVER}は受信機自身の署名です。人の名前で申告してください",
        )
    with database.write() as connection:
        desk = _Desk(connection, catalogue, now, hold)
        first, *more = desk.do(incident_id, deed)
        act = _kept(connection, first, now, who, why)
        for each in more:
            _kept(connection, each, now, who, why)
        # who stated that act stands with it
        did = deed_in_words(act.deed)
        follows = f"申告{act.id}に伴う: {did.ja} / follows from act {act.id}: {did.en}"
        for incident_id_, said in desk.following:
            kept_acts.add(connection, incident_id_, now, RECEIVER, follows, said)
        if isinstance(act.deed, Opened):
            # named after its act, which had no number before
            store.save_alerts(connection, [desk.alert_of(act.deed, f"act-{act.id}", act.incident_id)])
    return act


def _kept(connection: Connection, said: _Said, now: datetime, who: str, why: str) -> Act:
    kept_acts.add(connection, said[0], now, who.strip(), why.strip(), said[1])
    return kept_acts.of_incidents(connection, [said[0]])[said[0]][-1]


def alerts_on(
    database: Database, catalogue: Catalogue, incident_id: str, equipment: Collection[str], fingerprints: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """The alerts (source, fingerprint) of an incident that name any of this equipment, and those with these fingerprints.

    Raises Refused where one of them is not there.
    """
    with database.read() as connection:
        its = store.alerts_of(connection, [incident_id])[incident_id]
    named = [(alert, found[1] if (found := correlate.equipment_of(alert)) else None) for alert in its]
    units = sorted({name for _, name in named if name})
    if absent := sorted(set(equipment) - set(units)):
        there, there_ja = any_of(units) or "none", any_of(units) or "なし"
        raise Refused(
            f"no alert of {incident_id} names the equipment {absent[0]!r}: they name {there}. Name one of these",
            f"{incident_id}に設備{absent[0]!r}のアラートはありません。設備: {there_ja}。この中から指定してください",
        )
    if absent := sorted(set(fingerprints) - {alert.fingerprint for alert in its}):
        raise Refused(
            f"{incident_id} has no alert {absent[0]!r}. Its page lists its alerts with their fingerprints",
            f"{incident_id}にアラート{absent[0]!r}はありません。事故のページで確かめてください",
        )
    chosen = {(alert.source, alert.fingerprint) for alert, name in named if alert.fingerprint in fingerprints or name in equipment}
    return tuple(sorted(chosen))


def not_handed_on(database: Database, deed: Deed) -> list[Text]:
    """What was stated of the two that a merge is about, and will not hold once they are one: to be told to whoever merges them."""
    if not isinstance(deed, Merged):
        return []
    with database.read() as connection:
        whole, part = ((id_, _word_on(connection, id_)) for id_ in (deed.whole, deed.part))
    return left_behind(whole, part)


def _word_on(connection: Connection, incident_id: str) -> Stated:
    return stated(kept_acts.of_incidents(connection, [incident_id])[incident_id])


class _Desk:
    """Where one act is checked and done, within one transaction. Each deed gives what is to be kept; `following` is what has to be
    stated besides for that to hold, and nobody did.
    """

    def __init__(self, connection: Connection, catalogue: Catalogue, now: datetime, hold: timedelta | None) -> None:
        self._connection, self._catalogue, self._now, self._hold = connection, catalogue, now, hold
        self.following: list[_Said] = []

    def do(self, incident_id: str | None, deed: Deed) -> list[_Said]:
        match deed:
            case Opened():
                return self._open(deed)
            case Merged(part, whole):
                if incident_id not in (part, whole):
                    raise Refused(
                        f"{incident_id!r} is neither the part nor the whole. Name one of the two",
                        f"{incident_id!r}は統合する側でもされる側でもありません。どちらかを指定してください",
                    )
                return self._merge(deed)
            case Split(_, whole):
                if incident_id != whole:
                    raise Refused(
                        f"{incident_id!r} is not {whole!r}, which is to be split. Name the same incident",
                        f"{incident_id!r}は分離の対象{whole!r}ではありません。同じ事故を指定してください",
                    )
                return self._split(deed)
        incident = self._found(incident_id)
        match deed:
            case Dismissed():
                self._dismiss(incident)
            case Reopened():
                self._reopen(incident)
            case Closed():
                self._close(incident)
            case Withdrawn(facts):
                self._withdraw(incident, facts)
            case _:
                check_fact(deed, incident, self._hit_by(incident), self._catalogue, self._now)
                check_stands(deed, incident)
                if isinstance(deed, Timed) and deed.restored_at:
                    self._end_those_of_persons(incident, deed.restored_at)
                self._save(msgspec.structs.replace(incident, to_assess=True))
        return [(incident.id, deed)]

    # -- the deeds that change which alerts are one incident --

    def _open(self, deed: Opened) -> list[_Said]:
        if not deed.services:
            raise Refused(
                "no service is named. Name those that are hit",
                "役務がありません。影響のある役務を指定してください",
            )
        if unknown := [name for name in deed.services if name not in self._catalogue.by_name]:
            raise Refused(
                f"{unknown[0]!r} is no service of the catalogue. Name {any_of(self._catalogue.by_name)}",
                f"{unknown[0]!r}という役務はカタログにありません。役務: {any_of(self._catalogue.by_name)}",
            )
        if deed.equipment is not None:
            check_line("equipment", deed.equipment, _MOST_EQUIPMENT)
        check_moment("the start", deed.started_at, self._now)
        names = tuple(service.name for service in self._catalogue.services if service.name in deed.services)
        deed = msgspec.structs.replace(deed, services=names)
        first = self.alert_of(deed, "", None)
        if deed.equipment or not deed.apart:
            self._refuse_twin(deed, first)
        id_ = correlate.id_of(first)
        while store.get(self._connection, id_):
            id_ = correlate.id_of(first, after=id_)
        incident = correlate.opened_by(first, id_, self._now)
        units = (deed.equipment,) if deed.equipment else ()
        # a person's word stands over what the history may tell
        self._save(
            msgspec.structs.replace(
                incident, equipment=deed.equipment, units=units, start_basis="person", start_settled=True, to_assess=True
            )
        )
        return [(id_, deed)]

    def alert_of(self, deed: Opened, fingerprint: str, incident_id: str | None) -> Alert:
        """What stands for the alert that nobody sent."""
        alert = Alert(
            source="person",
            fingerprint=fingerprint,
            starts_at=min(deed.started_at, self._now).astimezone(UTC),
            ends_at=None,
            labels={"service": ",".join(deed.services)} | ({"equipment": deed.equipment} if deed.equipment else {}),
            annotations={},
            generator_url="",
            fired_at=self._now,
            incident_id=incident_id,
            learnt="act",
            pinned=True,
        )
        return msgspec.structs.replace(alert, cause=correlate.cause_of(alert, self._catalogue))

    def _refuse_twin(self, deed: Opened, first: Alert) -> None:
        """One failure is one incident: what is known already is not opened again."""
        known = store.listed(self._connection, ("open", "recovering", "restored"), _MOST_NEARBY)
        nearby = [each for each in known if each.state != "restored" or _not_over_by(each, deed.started_at)]
        if deed.equipment:
            twin = next((each for each in nearby if each.cause == first.cause or deed.equipment in each.units), None)
            cure = "State there what you know (act cause, times, users ...), or dismiss it if it is a false alarm"
            cure_ja = "知っていることはそちらに申告するか、誤報なら取り下げてください"
        else:
            alerts = store.alerts_of(self._connection, [each.id for each in nearby])
            hit = {id_: self._services_of(its) for id_, its in alerts.items()}
            twin = next((each for each in nearby if not hit.get(each.id, set()).isdisjoint(deed.services)), None)
            cure = "State there what you know, or, if this is another failure, name its equipment (not known yet: --apart)"
            cure_ja = "知っていることはそちらに申告するか、別の故障なら設備を指定してください（まだ分からなければ --apart）"
        if twin:
            what, since = twin.equipment or "the same services", clock_time(twin.failure_started_at)
            raise Refused(
                f"incident {twin.id} ({twin.state}) is about {what} since {since}. {cure}",
                f"{since}からの{twin.equipment or '同じ役務'}の事故{twin.id}が既にあります。{cure_ja}",
            )

    def _merge(self, deed: Merged) -> list[_Said]:
        if deed.part == deed.whole:
            raise Refused(
                f"{deed.part} cannot be part of itself. Name two incidents",
                f"{deed.part}を自身に統合することはできません。二つの事故を指定してください",
            )
        part, whole = self._not_dismissed(deed.part), self._not_dismissed(deed.whole)
        its = list(chain.from_iterable(store.alerts_of(self._connection, (part.id, whole.id)).values()))
        earlier = min(whole, part, key=lambda each: each.failure_started_at)
        merged = msgspec.structs.replace(
            whole,
            opened_at=min(whole.opened_at, part.opened_at),
            unwatched_since=whole.unwatched_since or part.unwatched_since,
        )
        if earlier is part:
            merged = msgspec.structs.replace(
                merged,
                cause=part.cause,
                failure_started_at=part.failure_started_at,
                start_basis=part.start_basis,
                good_at=part.good_at,
                start_settled=False,
            )
        last = max((each.restored_at for each in (whole, part) if each.restored_at), default=None)
        merged = _in_state(merged, _least_over(whole.state, part.state), last)
        self._save(
            self._with_units(merged, its),
            msgspec.structs.replace(part, state="closed", joined_to=whole.id, closed_at=self._now, to_assess=True),
        )
        self._pin(its, whole.id)
        said = self._word(whole.id), self._word(part.id)
        self._let_follow(whole.id, [*after_merge((whole, said[0]), (part, said[1])), *facts_of_a_part(*said)])
        return [(part.id, deed), (whole.id, deed)]

    def _split(self, deed: Split) -> list[_Said]:
        whole = self._not_dismissed(deed.whole)
        its = store.alerts_of(self._connection, [whole.id])[whole.id]
        if not deed.alerts:
            raise Refused(
                "no alert is named. Name those that are an incident of their own",
                "アラートがありません。別の事故とするアラートを指定してください",
            )
        if unknown := set(deed.alerts) - {(alert.source, alert.fingerprint) for alert in its}:
            raise Refused(
                f"{whole.id} has no alert {min(unknown)[1]!r}. Its page lists its alerts with their fingerprints",
                f"{whole.id}にアラート{min(unknown)[1]!r}はありません。事故のページで確かめてください",
            )
        leaving = [alert for alert in its if (alert.source, alert.fingerprint) in deed.alerts]
        staying = [alert for alert in its if (alert.source, alert.fingerprint) not in deed.alerts]
        if not staying:
            raise Refused(
                f"these are all alerts of {whole.id}: nothing would stay. Leave out those that are to stay",
                f"{whole.id}のアラートがすべて含まれ、何も残りません。残すものを除いてください",
            )
        first, first_left = min(leaving, key=_when), min(staying, key=_when)
        part, word = self._parted_off(first, whole), self._word(whole.id)
        has_first = first.starts_at < first_left.starts_at
        if has_first:
            # what the history told of the start, it told of what leaves
            whole = _begun_by(whole, first_left, self._now)
        self._save(self._as_told_by(part, leaving, whole.state), self._as_told_by(whole, staying, whole.state))
        self._pin(leaving, part.id)
        self._pin(staying, whole.id)
        leaves = Half(first.starts_at, self._over(leaving), has_first)
        stays = Half(first_left.starts_at, self._over(staying), not has_first)
        of_part, of_whole = after_split(word, leaves, stays)
        self._let_follow(part.id, of_part)
        self._let_follow(whole.id, [*([Reopened()] if word.is_closed else []), *of_whole])
        deed = msgspec.structs.replace(deed, part=part.id, alerts=tuple(sorted(set(deed.alerts))))
        return [(whole.id, deed), (part.id, deed)]

    def _let_follow(self, incident_id: str, deeds: Iterable[Deed]) -> None:
        self.following += ((incident_id, deed) for deed in deeds)

    def _parted_off(self, first: Alert, whole: Incident) -> Incident:
        """The incident that begins with this alert: one that was joined to the whole comes back under its own name."""
        id_ = correlate.id_of(first)
        while (there := store.get(self._connection, id_)) and there.joined_to is None:
            id_ = correlate.id_of(first, after=id_)
        if there:
            part = _begun_by(msgspec.structs.replace(there, joined_to=None), first, self._now)
            return msgspec.structs.replace(part, closed_at=None)
        # it was known since the whole was
        return msgspec.structs.replace(correlate.opened_by(first, id_, self._now), opened_at=whole.opened_at)

    def _over(self, alerts: Iterable[Alert]) -> datetime | None:
        """When the last of them was over; None while one fires."""
        ends = [stretch.end for stretch in correlate.stretches(alerts, self._catalogue, timedelta())]
        return None if None in ends else max((end for end in ends if end), default=None)

    def _as_told_by(self, incident: Incident, alerts: Sequence[Alert], state: IncidentState) -> Incident:
        over = self._over(alerts)
        return self._with_units(_in_state(incident, state if over else "open", over), alerts)

    def _with_units(self, incident: Incident, alerts: Iterable[Alert]) -> Incident:
        its = sorted(alerts, key=_when)
        units = correlate.units_of(its, parents_of(self._connection, self._catalogue, its))
        return msgspec.structs.replace(incident, units=units, equipment=units[0] if units else None)

    # -- the deeds that change its state --

    def _dismiss(self, incident: Incident) -> None:
        if incident.dismissed:
            raise Refused(
                f"{incident.id} is dismissed already. Reopen it if it was to stand",
                f"{incident.id}は取下げ済みです。取下げが誤りなら再開（reopen）してください",
            )
        self._save(msgspec.structs.replace(incident, state="closed", dismissed=True, closed_at=self._now, to_assess=True))
        # what fires again from now on is not dismissed with it: it opens an incident of its own
        self._pin(store.alerts_of(self._connection, [incident.id])[incident.id], incident.id)

    def _reopen(self, incident: Incident) -> None:
        if incident.state == "open" and self._word(incident.id).is_going_on:
            raise Refused(
                f"{incident.id} is open already, and stays so by a person's word. State its end once it is over",
                f"{incident.id}は、終わっていないとの申告により既に継続中です。終わったら復旧時刻を申告してください",
            )
        self._save(_in_state(msgspec.structs.replace(incident, dismissed=False), "open", None))
        # a dismissal or a close by a person is taken back, and just that
        if not incident.dismissed and not self._word(incident.id).is_closed:
            self._let_those_of_persons_fire(incident)

    def _close(self, incident: Incident) -> None:
        if incident.state == "closed":
            raise Refused(
                f"{incident.id} is {'dismissed' if incident.dismissed else 'closed'} already. There is nothing to close",
                f"{incident.id}は既に{'取下げ' if incident.dismissed else '終結'}済みです。終結するものはありません",
            )
        if incident.state != "restored":
            cure = "State its end (act times ID --restored), or dismiss it if it was a false alarm"
            state_ja, cure_ja = "継続中", "復旧時刻を申告するか（act times ID --restored）、誤報なら取り下げてください"
            if incident.state == "recovering":
                until = self._held_at(incident)
                when, when_ja = (f", {clock_time(until)} at the earliest", f"{clock_time(until)}以降、") if until else ("", "")
                cure = f"Wait until its recovery has held (hold_seconds){when}"
                state_ja, cure_ja = "復旧確認中", f"{when_ja}復旧が確定するまで待ってください（hold_seconds）"
            raise Refused(
                f"{incident.id} is {incident.state}: only what is restored can be closed. {cure}",
                f"終結できるのは復旧した事故だけです（{incident.id}は{state_ja}）。{cure_ja}",
            )
        self._save(msgspec.structs.replace(incident, state="closed", closed_at=self._now, to_assess=True))

    def _held_at(self, incident: Incident) -> datetime | None:
        """When its recovery will have held, if nothing fires again; None where that cannot be told."""
        if self._hold is None:
            return None
        its = store.alerts_of(self._connection, [incident.id])[incident.id]
        all_ = correlate.stretches(its, self._catalogue, self._hold, {incident.id: self._word(incident.id)})
        # one that is past waits for its equipment to be seen working
        return max((each.reach for each in all_ if each.reach and each.reach > self._now), default=None)

    def _withdraw(self, incident: Incident, facts: Collection[str]) -> None:
        stands = {fact for fact, _ in self._word(incident.id).by}
        if nowhere := sorted(set(facts) - stands):
            raise Refused(
                f"{nowhere[0]} is not stated of {incident.id}. There is nothing to take back",
                f"{incident.id}について{nowhere[0]}の申告はありません。取り消すものはありません",
            )
        self._save(msgspec.structs.replace(incident, to_assess=True))

    def _word(self, incident_id: str) -> Stated:
        return _word_on(self._connection, incident_id)

    # -- the outages that only persons tell of --

    def _of_persons(self, incident: Incident) -> list[Alert]:
        return [alert for alert in store.alerts_of(self._connection, [incident.id])[incident.id] if alert.source == "person"]

    def _end_those_of_persons(self, incident: Incident, at: datetime) -> None:
        """Those that go on, or are said to have gone on longer; if none does, the last. Earlier stretches keep their ends."""
        its = self._of_persons(incident)
        ends = [alert.ends_at for alert in its if alert.ends_at]
        last = max(ends) if its and len(ends) == len(its) else None
        changed = [
            # never before its start, which a person may have moved as well
            msgspec.structs.replace(alert, ends_at=max(at, alert.starts_at), resolved_at=self._now)
            for alert in its
            if alert.ends_at in (None, last) or alert.ends_at > at
        ]
        store.save_alerts(self._connection, changed)

    def _let_those_of_persons_fire(self, incident: Incident) -> None:
        fire = {"ends_at": None, "resolved_at": None, "fired_at": self._now}
        store.save_alerts(self._connection, [msgspec.structs.replace(alert, **fire) for alert in self._of_persons(incident)])

    # -- what is checked --

    def _found(self, incident_id: str | None) -> Incident:
        incident = store.get(self._connection, incident_id) if incident_id and incident_id.isascii() else None
        if incident is None:
            raise Refused(
                f"there is no incident {incident_id!r}. List them: art58 incidents --all",
                f"{incident_id!r}という事故はありません。一覧で確かめてください: art58 incidents --all",
            )
        if incident.joined_to:
            raise Refused(
                f"{incident.id} is part of {incident.joined_to} now. State it of {self._whole_of(incident)}",
                f"{incident.id}は{incident.joined_to}に統合されています。{self._whole_of(incident)}に申告してください",
            )
        return incident

    def _whole_of(self, incident: Incident) -> str:
        passed: set[str] = set()
        while incident.joined_to and incident.joined_to not in passed:
            passed.add(incident.joined_to)
            incident = store.get(self._connection, incident.joined_to) or incident
        return incident.id

    def _not_dismissed(self, incident_id: str) -> Incident:
        incident = self._found(incident_id)
        if incident.dismissed:
            raise Refused(
                f"{incident.id} was dismissed as a false alarm. Reopen it first",
                f"{incident.id}は誤報として取下げ済みです。先に再開（reopen）してください",
            )
        return incident

    def _hit_by(self, incident: Incident) -> set[str]:
        """The services that it hits, or was judged to hit."""
        now = self._services_of(store.alerts_of(self._connection, [incident.id])[incident.id])
        return now | {last.service for last in store.latest_conclusions(self._connection, [incident.id])[incident.id]}

    def _services_of(self, alerts: Iterable[Alert]) -> set[str]:
        return {service.name for alert in alerts for service in correlate.services_of(alert, self._catalogue)}

    def _pin(self, alerts: Iterable[Alert], incident_id: str) -> None:
        """Put them where a person says, for good."""
        pinned = (msgspec.structs.replace(alert, incident_id=incident_id, pinned=True) for alert in alerts)
        store.save_alerts(self._connection, list(pinned))

    def _save(self, *incidents: Incident) -> None:
        store.save(self._connection, *incidents)


def _when(alert: Alert) -> correlate.Key:
    return alert.starts_at, alert.source, alert.fingerprint


def _not_over_by(incident: Incident, moment: datetime) -> bool:
    return incident.restored_at is None or incident.restored_at >= moment


def _least_over(*states: IncidentState) -> IncidentState:
    """Of several failures that are one: it is not over before all are. What it is when all are closed is to be judged anew."""
    not_over: tuple[IncidentState, ...] = ("open", "recovering")
    return next((state for state in not_over if state in states), "restored")


def _in_state(incident: Incident, state: IncidentState, restored_at: datetime | None) -> Incident:
    """The tick takes it from there: it follows the recovery, and closes what need not wait for a person."""
    state = _least_over(state)
    restored_at = None if state == "open" else restored_at
    return msgspec.structs.replace(incident, state=state, restored_at=restored_at, closed_at=None, to_assess=True)


def _begun_by(incident: Incident, first: Alert, now: datetime) -> Incident:
    """The incident, with this as its first alert: its start is to be looked up anew."""
    return msgspec.structs.replace(
        incident,
        cause=first.cause or incident.cause,
        failure_started_at=min(first.starts_at, now),
        start_basis="starts_at",
        start_settled=False,
        good_at=None,
    )
