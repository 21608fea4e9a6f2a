"""Time and truth on real Alertmanagers: clustered, cut in two, reloaded, restarted, silent, and a receiver that was away.

Whatever they do, each failure is one incident with one ticket, and begins and ends when Prometheus says so.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from examples import peers
from tests.integration.alertmanagers import ENDS_WITHIN, SECOND, USERS, Alertmanager, config, plant
from tests.integration.cluster_site import HOLD, OF_THE_CLUSTER, PATIENCE, House, Site, is_start


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        nodes = ("spare", "trio", "regrouped", "inhibiting", "inhibited", "silenced", "forgotten", "unseen")
        cut, gap = ("cut-before", "cut-within"), [f"gap-{letter}" for letter in "abcd"]
        plants = tuple(stack.enter_context(plant(*nodes, *cut, *gap)) for _ in range(3))
        site = Site(tmp_path_factory.mktemp("site"), plants)
        stack.callback(site.shut)
        for server in site.servers:
            stack.enter_context(server)
        peers.wait_until("the site to be ready", site.is_ready, 40)
        yield site


def test_three_in_a_cluster_make_one_incident_and_one_ticket(site: Site, tmp_path: Path) -> None:
    with House(site, tmp_path) as house:
        site.plant.down.add("trio")
        house.work_until("the incident", lambda: house.is_("open", "trio"))
        # all three have the alert, and each repeats what it knows
        peers.wait_until("all three to know it", lambda: all(one.active("equipment", "trio") for one in site.cluster), PATIENCE)
        house.work_until("the ticket", lambda: house.tickets("trio"))
        house.work_until("a repetition", lambda: house.told("equipment", "trio") > 1)
        assert house.is_("open", "trio")
        site.plant.down.clear()
        house.work_until("its end", lambda: house.is_("recovering", "trio"))
        house.work_until("the end of the hold", lambda: house.is_("closed", "trio"))
        house.is_as_prometheus_tells("trio")
        assert house.tickets("trio") == [(house.incident("trio").id, True)]


def test_each_half_of_a_cluster_that_is_cut_in_two_goes_on_telling_and_each_failure_is_one_incident(
    site: Site, tmp_path: Path
) -> None:
    with House(site, tmp_path) as house, contextlib.ExitStack() as stack:
        peers.wait_until("one cluster", lambda: _members(site) == [3, 3, 3], PATIENCE)
        site.plant.down.add("cut-before")
        house.work_until("the incident", lambda: house.is_("open", "cut-before"))
        site.other_plant.down.add("cut-before")
        peers.wait_until("all to know it", lambda: all(one.active("equipment", "cut-before") for one in site.cluster), PATIENCE)
        peers.wait_until("both to see it", lambda: site.other.fires("equipment", "cut-before"), PATIENCE)
        house.work_until("the ticket", lambda: house.tickets("cut-before"))

        site.cut()
        stack.callback(site.heal)
        house.work_until("the cluster to be cut", lambda: _members(site) == [2, 2, 1])
        _tell_again(house, "cut-before", site.near, [site.far])
        site.plant.down.add("cut-within")
        house.work_until("the first half to tell of another failure", lambda: house.is_("open", "cut-within"))
        site.other_plant.down.add("cut-within")
        house.work_until("two starts of each alert", lambda: len(house.alerts(house.incident("cut-within"))) == 2 * len(USERS))
        site.plant.down.remove("cut-before")
        house.work_until("one half to tell of the end", lambda: house.told("equipment", "cut-before", "resolved", site.near))
        _tell_again(house, "cut-before", [site.far])
        assert not house.told("equipment", "cut-before", "resolved", [site.far])
        site.other_plant.down.remove("cut-before")
        house.work_until("the other to tell of it", lambda: house.told("equipment", "cut-before", "resolved", [site.far]))
        assert _members(site) == [2, 2, 1]

        stack.close()
        house.work_until("the cluster to be healed", lambda: _members(site) == [3, 3, 3])
        assert house.is_("open", "cut-within")
        site.plant.down.clear()
        house.work_until("one half to tell of the end", lambda: house.told("equipment", "cut-within", "resolved"))
        site.other_plant.down.clear()
        house.work_until("the ends", lambda: house.is_("closed", "cut-within") and house.is_("closed", "cut-before"))
        house.is_as_prometheus_tells("cut-before", site.other)
        one = house.incident("cut-within")
        (first, first_end), (_, last_end) = (watcher.fired("equipment", "cut-within") for watcher in (site.prometheus, site.other))
        assert is_start(one.failure_started_at, min(site.prometheus.down_since("cut-within"), first)), house.story()
        assert one.restored_at is not None
        assert first_end < one.restored_at <= last_end + ENDS_WITHIN, house.story()
        for unit in ("cut-before", "cut-within"):
            assert house.tickets(unit) == [(house.incident(unit).id, True)]


def _members(site: Site) -> list[int]:
    """How many each of the cluster knows, itself among them."""
    return [one.knows() for one in site.cluster]


def _tell_again(house: House, unit: str, *halves: Sequence[Alertmanager]) -> None:
    """Each of these halves tells once more that this fires."""
    told = lambda: [house.told("equipment", unit, "firing", half) for half in halves]  # noqa: E731
    before = told()
    house.work_until("it to be told again", lambda: all(now > then for now, then in zip(told(), before, strict=True)))


def test_a_reload_that_changes_the_grouping_doubles_nothing(site: Site, tmp_path: Path) -> None:
    def groups() -> set[str]:
        return {body["groupKey"] for body in house.heard() if any(a["labels"]["equipment"] == "regrouped" for a in body["alerts"])}

    with House(site, tmp_path) as house:
        site.plant.down.add("regrouped")
        house.work_until("the ticket", lambda: house.tickets("regrouped"))
        before = groups()
        for one in site.cluster:
            one.configure(config(site.door.url, OF_THE_CLUSTER, group_by=["alertname", "service"]))
        try:
            house.work_until("it to be told in other groups", lambda: groups() - before)
            site.plant.down.clear()
            house.work_until("the end of the hold", lambda: house.is_("closed", "regrouped"))
        finally:
            for one in site.cluster:
                one.configure(config(site.door.url, OF_THE_CLUSTER))
        house.is_as_prometheus_tells("regrouped")
        assert house.tickets("regrouped") == [(house.incident("regrouped").id, True)]


def test_what_fired_and_ended_while_the_receiver_was_away_is_found(site: Site, tmp_path: Path) -> None:
    """With max_alerts: 1 one alert of each body arrives; the others are at the API, or in the history of the rules' series."""

    def gone(unit: str) -> bool:
        return not site.prometheus.fires("equipment", unit) and not any(one.active("equipment", unit) for one in site.cluster)

    truncating = config(site.door.url, OF_THE_CLUSTER, group_by=["alertname"], max_alerts=1)
    for one in site.cluster:
        one.configure(truncating)
    try:
        with House(site, tmp_path, tuple(site.cluster)) as house:
            house.work_until("a first reconciliation", lambda: house.receiver.received() == 0)
            house.leave()
            site.plant.down |= {"gap-a", "gap-b", "gap-c"}
            peers.wait_until("gap-b to fire", lambda: all(a.active("equipment", "gap-b") for a in site.cluster), PATIENCE)
            site.plant.down -= {"gap-b", "gap-c"}
            peers.wait_until("gap-b and gap-c to be gone everywhere", lambda: gone("gap-b") and gone("gap-c"), PATIENCE)
            site.plant.down.add("gap-d")
            peers.wait_until("gap-d to fire", lambda: all(a.active("equipment", "gap-d") for a in site.cluster), PATIENCE)

            house.come_home()
            for unit in ("gap-a", "gap-d"):
                house.work_until(f"the incident of {unit}", lambda unit=unit: house.is_("open", unit))
            for unit in ("gap-b", "gap-c"):
                house.work_until(f"the incident of {unit}", lambda unit=unit: house.is_("closed", unit))
                house.is_as_prometheus_tells(unit)
                assert {a.learnt for a in house.alerts(house.incident(unit))} == {"rule_series"}, house.story()
            still = [alert for unit in ("gap-a", "gap-d") for alert in house.alerts(house.incident(unit))]
            assert {alert.learnt for alert in still} <= {"webhook", "alertmanager_api"}, house.story()
            assert all(len(body["alerts"]) == 1 for body in house.heard())
            assert any(body["truncatedAlerts"] for body in house.heard())
            site.plant.down.clear()
            for unit in ("gap-a", "gap-d"):
                house.work_until(f"the end of {unit}", lambda unit=unit: house.is_("closed", unit))
                house.is_as_prometheus_tells(unit)
                assert house.tickets(unit) == [(house.incident(unit).id, True)]
    finally:
        for one in site.cluster:
            one.configure(config(site.door.url, OF_THE_CLUSTER))


def test_what_alertmanager_inhibits_or_silences_is_found_and_what_inhibits_is_of_one_incident_with_it(
    site: Site, tmp_path: Path
) -> None:
    rule = {"source_matchers": ['equipment="inhibiting"'], "target_matchers": ['equipment="inhibited"']}
    for one in site.cluster:
        one.configure(config(site.door.url, OF_THE_CLUSTER, inhibit_rules=[rule]))
    site.cluster[0].silence("equipment", "silenced")
    peers.wait_until("the silence to be known to all", lambda: all(one.get("silences") for one in site.cluster), PATIENCE)
    try:
        with House(site, tmp_path, tuple(site.cluster)) as house:
            site.plant.down.add("inhibiting")
            active = lambda unit: all(len(one.active("equipment", unit)) == len(USERS) for one in site.cluster)  # noqa: E731
            peers.wait_until("the inhibiting alerts", lambda: active("inhibiting"), PATIENCE)
            site.plant.down |= {"inhibited", "silenced"}
            peers.wait_until("the others", lambda: active("inhibited") and active("silenced"), PATIENCE)
            house.work_until("the silenced one", lambda: house.is_("open", "silenced"))
            house.work_until("the inhibited one", lambda: house.is_("open", "inhibited"))
            assert not house.told("equipment", "inhibited")
            assert not house.told("equipment", "silenced")
            house.work_until("one incident", lambda: house.incident("inhibiting", "inhibited"))
            learnt = {a.labels["equipment"]: a.learnt for a in house.alerts(house.incident("inhibited"))}
            # the inhibiting one is told by webhook, too: whichever comes first
            assert learnt["inhibited"] == "alertmanager_api"
            assert learnt.keys() == {"inhibiting", "inhibited"}
            site.plant.down.clear()
            house.work_until("the end", lambda: house.is_("closed", "inhibited") and house.is_("closed", "silenced"))
            house.is_as_prometheus_tells("silenced")
    finally:
        for one in site.cluster:
            one.configure(config(site.door.url, OF_THE_CLUSTER))


def test_an_end_that_alertmanager_forgot_in_a_restart_is_found_in_the_rules_series(site: Site, tmp_path: Path) -> None:
    with House(site, tmp_path, (site.lone,)) as house:
        site.plant.down.add("forgotten")
        house.work_until("the incident", lambda: house.is_("open", "forgotten"))
        site.lone.kill()
        site.lone.forget()
        site.plant.down.clear()
        try:
            peers.wait_until("its end", lambda: not site.prometheus.fires("equipment", "forgotten"), PATIENCE)
        finally:
            site.lone.start()
        house.work_until("the end of the hold", lambda: house.is_("closed", "forgotten"))
        house.is_as_prometheus_tells("forgotten")


def test_a_rule_that_is_deleted_while_it_fires_closes_nothing_and_is_noticed(site: Site, tmp_path: Path) -> None:
    with House(site, tmp_path, (site.lone,)) as house, _rule_deleted(house, "webmail"):
        _nothing_closes(house, "webmail")


def test_a_rule_that_comes_back_and_fires_goes_on_with_its_incident(site: Site, tmp_path: Path) -> None:
    with House(site, tmp_path, (site.lone,)) as house:
        with _rule_deleted(house, "lpwa"):
            _nothing_closes(house, "lpwa")
        house.work_until("it to be told again", lambda: house.told("service", "lpwa") > 1)
        house.work_until("it to be watched again", lambda: house.incident("lpwa").unwatched_since is None)
        site.plant.stuck.clear()
        house.work_until("its end", lambda: house.is_("closed", "lpwa"))
        one = house.incident("lpwa")
        first, last = site.prometheus.fired("service", "lpwa")
        assert is_start(one.failure_started_at, first), house.story()
        assert one.restored_at is not None
        assert last < one.restored_at <= last + ENDS_WITHIN, house.story()


@contextlib.contextmanager
def _rule_deleted(house: House, service: str) -> Iterator[None]:
    """An incident of this service, told of by a rule that is gone, so that Alertmanager calls its alert resolved."""
    house.site.plant.stuck.add(service)
    # after a reload Prometheus sends nothing for up to five seconds
    house.work_until("the incident", lambda: house.is_("open", service) and house.told("service", service))
    house.site.prometheus.give_rules("groups: []\n")
    try:
        house.work_until("Alertmanager to call it resolved", lambda: house.told("service", service, "resolved"))
        house.work_until("it to be noticed", lambda: house.incident(service).unwatched_since)
        yield
    finally:
        house.site.prometheus.give_rules()


def test_a_prometheus_that_is_gone_for_good_closes_nothing_and_is_noticed(site: Site, tmp_path: Path) -> None:
    with House(site, tmp_path, (site.lone,), site.doomed) as house:
        site.doomed_plant.down.add("unseen")
        house.work_until("the incident", lambda: house.is_("open", "unseen"))
        site.doomed.kill()
        try:
            house.work_until("Alertmanager to call it resolved", lambda: house.told("equipment", "unseen", "resolved"))
            house.work_until("it to be noticed", lambda: house.incident("unseen").unwatched_since)
            _nothing_closes(house, "unseen")
        finally:
            site.doomed.start()


def _nothing_closes(house: House, unit: str) -> None:
    """Its incident stays open though what Alertmanager calls its end has held for longer than it must."""
    noticed = house.incident(unit)
    ends = [alert.ends_at for alert in house.alerts(noticed) if alert.ends_at]  # that of a deleted rule is taken back
    ended_at = max(ends, default=noticed.opened_at)
    house.work_until("ticks after the hold", lambda: house.ticked_at() > ended_at + HOLD + SECOND)
    one = house.incident(unit)
    assert (one.state, one.restored_at) == ("open", None), house.story()
    assert one.unwatched_since is not None
    assert one.unwatched_since >= ended_at
