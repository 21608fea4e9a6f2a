"""Which alerts a series of our Prometheus is of: another Prometheus may send the same ones, but for its external labels.

Those of ours are known from its configuration, or learnt from the alerts it sent. What one Prometheus knows of the end of an alert
says nothing about the alert of another.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from receiver.model import Alert
from receiver.observation.rule_series import External, Labels

ENOUGH = 2
"""So many series have to agree before external labels count as learnt: one alert may be of anybody."""


class Known:
    """Alerts by fingerprint, to be found by the labels of their series: they have all of these, and the external ones.

    `found`: those of which only the series told. The others were sent.
    """

    def __init__(self, alerts: Mapping[str, dict[str, str]], found: Collection[str] = frozenset()) -> None:
        self._alerts, self.found = alerts, found
        self._holders: dict[tuple[str, str], list[str]] = defaultdict(list)
        for fingerprint, labels in alerts.items():
            for pair in labels.items():
                self._holders[pair].append(fingerprint)

    @property
    def fingerprints(self) -> Collection[str]:
        return self._alerts.keys()

    def labels(self, fingerprint: str) -> dict[str, str]:
        return self._alerts[fingerprint]

    def labels_or_none(self, fingerprint: str) -> dict[str, str] | None:
        return self._alerts.get(fingerprint)

    def around(self, labels: Labels) -> list[str]:
        """The fingerprints of those that have all of `labels`: of this series, or of the same one of another Prometheus."""
        # by the rarest label: in a storm thousands of alerts share the others
        holding = min((self._holders.get(pair, []) for pair in labels), key=len, default=[])
        wanted = dict(labels).items()
        return [fingerprint for fingerprint in holding if wanted <= self._alerts[fingerprint].items()]


def known_of(stored: Iterable[Alert], sent: Mapping[str, dict[str, str]]) -> Known:
    """Those of the store, and those that are known to have been `sent` (labels by fingerprint)."""
    labels: dict[str, dict[str, str]] = {}
    told = set(sent)
    for alert in stored:
        labels[alert.fingerprint] = alert.labels
        if alert.learnt != "rule_series":
            told.add(alert.fingerprint)
    labels.update(sent)
    return Known(labels, labels.keys() - told)


class Sender:
    """Our Prometheus, as what sends alerts. Keeps what it learns.

    `shown` is what its configuration says, None while it does not show it.
    """

    def __init__(self) -> None:
        self.shown: External | None = None
        self._dropped: frozenset[str] | None = None
        self._learnt: dict[str, str] | None = None
        self._likely: dict[str, str] = {}

    @property
    def external(self) -> dict[str, str] | None:
        """None if it is not known."""
        return self.shown.labels if self.shown else self._learnt

    @property
    def is_known(self) -> bool:
        """Whether the labels of an alert tell by themselves that it is of ours."""
        return not self.shown.rewritten if self.shown else self._learnt is not None

    def learn(self, series: Iterable[Labels], known: Known) -> None:
        """From the alerts that were sent: what series found is labelled as we thought."""
        if self.shown:
            self._learn_dropped(self.shown, series, known)
            return
        seen = Counter(its for labels in series for its in {frozenset(added.items()) for added in _added(labels, known)})
        (first, most), *others = seen.most_common(2) or [(frozenset[tuple[str, str]](), 0)]
        if most and (not others or others[0][1] < most):
            self._likely = dict(first)
            if most >= ENOUGH:
                self._learnt = self._likely

    def whole(self, labels: Labels) -> dict[str, str]:
        """The labels of the alert of this series, as far as they are known."""
        if self.shown is None:
            return (self._learnt or self._likely) | dict(labels)
        return {name: value for name, value in self.shown.labels.items() if name not in (self._dropped or ())} | dict(labels)

    def alerts_of(self, labels: Labels, known: Known) -> tuple[list[str], list[str]]:
        """The fingerprints of those that this series is of; and of those that it may be of, where nobody can tell."""
        around = known.around(labels)
        found = [one for one in around if one in known.found]
        sent = [one for one in around if one not in known.found]
        whole = self.whole(labels)
        if self.is_known:
            return [one for one in sent if known.labels(one) == whole] + found, []
        if self.shown:
            fixed = {name: value for name, value in whole.items() if name not in self.shown.rewritten} | dict(labels)
            sent = [one for one in sent if fixed.items() <= known.labels(one).items()]
        return (sent, []) if len(sent) == 1 and not found else (found, sent)

    def _learn_dropped(self, shown: External, series: Iterable[Labels], known: Known) -> None:
        """Which external labels alerts lack though the configuration does not say so: the fewest that any alert lacked.

        What has all of them can be of no other Prometheus; what lacks some may be.
        """
        wanted = {name: value for name, value in shown.labels.items() if name not in shown.rewritten}
        for labels in series:
            if not wanted or not wanted.keys().isdisjoint(dict(labels)):
                continue
            for added in _added(labels, known):
                own = {name: value for name, value in added.items() if name in wanted}
                if own.items() <= wanted.items() and (shown.rewritten or added.keys() <= wanted.keys()):
                    lacking = frozenset(wanted.keys() - own.keys())
                    if self._dropped is None or len(lacking) < len(self._dropped):
                        self._dropped = lacking


def _added(labels: Labels, known: Known) -> Iterator[Mapping[str, str]]:
    """What the alerts that were sent have besides the labels of the series."""
    for one in known.around(labels):
        if one not in known.found:
            yield dict(known.labels(one).items() - set(labels))
