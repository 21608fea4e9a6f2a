"""The one configuration file: settings, service catalogue and the rulebooks it names, read, checked whole, and refused whole."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from receiver import catalogue
from receiver import settings as settings_room
from receiver.catalogue import Catalogue, Service, topology
from receiver.catalogue.topology import Declared
from receiver.law import lined_yaml, rulebook
from receiver.law.rulebook import Rulebook
from receiver.settings import Settings


class Config(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file's shape."""

    services: Annotated[tuple[Service, ...], Meta(description="the service catalogue")]
    equipment: Annotated[Declared, Meta(description="the equipment of a small network; that of a large one comes from metrics")] = (
        Declared()
    )


def load(file: Path) -> tuple[Settings, Catalogue, tuple[Rulebook, ...]]:
    """Settings and catalogue of `file`, paths made absolute, and the rulebooks to judge by: those shipped and those it names.

    Raises lined_yaml.FaultyFile with every fault of `file`; once it has none, with those of a rulebook.
    """
    base = file.resolve().parent

    def check(config: Config) -> list[settings_room.Complaint]:
        names = {service.name for service in config.services}
        of_catalogue = catalogue.complaints(config.services) + topology.complaints(config.equipment, names)
        from receiver.delivery import routes  # it brings the store with it, which classify can do without

        rooted = config.rooted(base)
        return settings_room.complaints(rooted) + routes.complaints(rooted, names) + of_catalogue

    config = lined_yaml.convert(lined_yaml.read(file), Config, check=check)
    settings = config.rooted(base)
    return settings, Catalogue(config.services, config.equipment), rulebook.load(map(Path, settings.rulebooks), rulebook.shipped())


def schema() -> str:
    """The JSON Schema of the file."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "art58-receiver configuration"}
    document |= msgspec.json.schema(Config)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
