"""The simulated operator: its services, its nodes, the users under each node, and the metrics these give.

Everything is computed from a few plain figures, so that the live exporter and the loaded history cannot disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# Inhabitants in thousands (census of 2020, rounded), by region of Japan.
INHABITANTS = {
    "hokkaido": {"hokkaido": 5225},
    "tohoku": {"aomori": 1238, "iwate": 1211, "miyagi": 2302, "akita": 960, "yamagata": 1068, "fukushima": 1833},
    "kanto": {
        "ibaraki": 2867,
        "tochigi": 1933,
        "gunma": 1939,
        "saitama": 7345,
        "chiba": 6284,
        "tokyo": 14048,
        "kanagawa": 9237,
    },
    "chubu": {
        "niigata": 2201,
        "toyama": 1035,
        "ishikawa": 1133,
        "fukui": 767,
        "yamanashi": 810,
        "nagano": 2048,
        "gifu": 1979,
        "shizuoka": 3633,
        "aichi": 7542,
    },
    "kinki": {
        "mie": 1770,
        "shiga": 1414,
        "kyoto": 2578,
        "osaka": 8838,
        "hyogo": 5465,
        "nara": 1324,
        "wakayama": 923,
    },
    "chugoku": {"tottori": 553, "shimane": 671, "okayama": 1888, "hiroshima": 2800, "yamaguchi": 1342},
    "shikoku": {"tokushima": 720, "kagawa": 950, "ehime": 1335, "kochi": 692},
    "kyushu": {
        "fukuoka": 5135,
        "saga": 811,
        "nagasaki": 1312,
        "kumamoto": 1738,
        "oita": 1124,
        "miyazaki": 1070,
        "kagoshima": 1588,
        "okinawa": 1468,
    },
}
THOUSANDS = {prefecture: n for region in INHABITANTS.values() for prefecture, n in region.items()}
REGION = {prefecture: region for region, inside in INHABITANTS.items() for prefecture in inside}

# The first prefecture is where the node stands.
CORE_NODES = {
    "core-north-1": ["hokkaido"],
    "core-north-2": ["miyagi", "aomori", "iwate", "akita", "yamagata", "fukushima"],
    "core-east-1": ["saitama", "ibaraki", "tochigi", "gunma"],
    "core-east-2": ["tokyo", "chiba", "kanagawa"],
    "core-central-1": list(INHABITANTS["chubu"]),
    "core-west-1": ["osaka", "mie", "shiga", "kyoto", "hyogo", "nara", "wakayama"],
    "core-west-2": ["hiroshima", "tottori", "shimane", "okayama", "yamaguchi", *INHABITANTS["shikoku"]],
    "core-south-1": list(INHABITANTS["kyushu"]),
}
ACCESS_NODES_PER_PREFECTURE = 2


@dataclass(frozen=True)
class Service:
    name: str
    title_ja: str
    title_en: str
    kind: str
    unit: str
    users_per_thousand: float  # of the inhabitants
    # share of the users under a failed node who try and fail; None where the operator cannot measure it
    failing_share: float | None
    under_access_nodes: bool
    facts: dict[str, object]  # what the service catalogue says of it besides


SERVICES = (
    Service("voice", "携帯電話（音声）", "Mobile voice", "voice", "contract", 190, None, True, {"emergency_calls": True}),
    Service("data", "モバイルデータ通信", "Mobile data", "internet_access", "contract", 205, 0.143, True, {"charged": True}),
    Service("lpwa", "セルラーLPWA", "Cellular LPWA", "cellular_lpwa", "device", 0.85, None, True, {}),
    Service(
        "webmail",
        "無料ウェブメール",
        "Free webmail",
        "email",
        "account",
        95,
        0.0337,
        False,  # a mailbox hangs under no access node: it is read from anywhere
        {"charged": False, "monthly_users_previous_fy": 12_000_000},
    ),
)


class Sample(NamedTuple):
    metric: str
    labels: dict[str, str]
    value: int


@dataclass(frozen=True)
class Node:
    name: str
    prefecture: str
    thousands: float  # inhabitants it serves
    is_core: bool

    @property
    def region(self) -> str:
        return REGION[self.prefecture]

    @property
    def services(self) -> list[Service]:
        return [service for service in SERVICES if self.is_core or service.under_access_nodes]


def all_nodes() -> list[Node]:
    core = [Node(name, serves[0], sum(THOUSANDS[prefecture] for prefecture in serves), True) for name, serves in CORE_NODES.items()]
    access = [
        Node(f"access-{prefecture}-{number}", prefecture, thousands / ACCESS_NODES_PER_PREFECTURE, False)
        for prefecture, thousands in THOUSANDS.items()
        for number in range(1, ACCESS_NODES_PER_PREFECTURE + 1)
    ]
    return core + access


class Network:
    """What the nodes show with `failed` nodes down. `users_scale` makes every number of users larger or smaller."""

    def __init__(self, users_scale: float = 1) -> None:
        self.users_scale = users_scale
        self.nodes = {node.name: node for node in all_nodes()}

    def users(self, service: Service, node: Node) -> int:
        return self._count(node.thousands * service.users_per_thousand)

    def users_total(self, service: Service) -> int:
        return self._count(sum(THOUSANDS.values()) * service.users_per_thousand)

    def failed_users(self, service: Service, node: Node) -> int | None:
        """How many users the operator sees failing when the node is down; None where that cannot be measured."""
        if service.failing_share is None:
            return None
        return self._count(node.thousands * service.users_per_thousand * service.failing_share)

    def affected_users(self, service: Service, node: Node) -> int:
        measured = self.failed_users(service, node)
        return self.users(service, node) if measured is None else measured

    def raw(self, failed: frozenset[str] = frozenset()) -> Iterator[Sample]:
        """What the operator's own exporter shows."""
        for node in self.nodes.values():
            where = {"node": node.name, "prefecture": node.prefecture, "region": node.region}
            yield Sample("network_node_up", where, int(node.name not in failed))
        for node in self.nodes.values():
            for service in node.services:
                labels = {"service": service.name, "node": node.name, "unit": service.unit}
                yield Sample("network_node_subscribers", labels, self.users(service, node))
        for node in self.nodes.values():
            for service in node.services:
                labels = {"service": service.name, "node": node.name, "unit": service.unit}
                if (failing := self.failed_users(service, node)) is not None:
                    yield Sample("network_service_failed_users", labels, failing if node.name in failed else 0)

    def recorded(self, failed: frozenset[str] = frozenset()) -> Iterator[Sample]:
        """What rules/art58-normalise.rules.yml records from it."""
        names = {
            "network_node_up": "art58:equipment_up",
            "network_node_subscribers": "art58:users_under_equipment",
            "network_service_failed_users": "art58:users_unable",
        }
        for sample in self.raw(failed):
            labels = {("equipment" if name == "node" else name): value for name, value in sample.labels.items()}
            yield Sample(names[sample.metric], labels, sample.value)

    def _count(self, users_in_full: float) -> int:
        return round(users_in_full * self.users_scale)


def exposition_line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return f"{sample.metric}{{{labels}}} {sample.value}"
