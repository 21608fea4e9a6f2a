"""ServiceNow, by its Table API."""

import os
from contextlib import ExitStack

from receiver.delivery.targets.servicenow import ServiceNow
from receiver.settings.tickets import ServiceNowTicket
from receiver.settings.types import SecretRef
from tests.delivery.places import Desk, Shown
from tests.fakes.servicenow import FakeServiceNow

PASSWORD = "not-for-anyone's-eyes"
MAPPED = {"urgency": "1", "assignment_group": "8a5055c9c61122780043563ef53438e3"}


def opened(stack: ExitStack, timeout_seconds: float) -> Desk:
    fake = stack.enter_context(FakeServiceNow("art58", PASSWORD))
    return desk_of(fake, ServiceNow(settings(fake.url), timeout_seconds))


def settings(url: str, **changes: object) -> ServiceNowTicket:
    common = {"name": "now", "url": url, "user": "art58", "password": secret(PASSWORD), "per_minute": 100_000, "fields": MAPPED}
    return ServiceNowTicket(**(common | changes))  # type: ignore[arg-type]


def secret(text: str) -> SecretRef:
    """A secret that lies in the environment of this process."""
    name = f"ART58_TEST_{text.encode().hex()}"
    os.environ[name] = text
    return SecretRef(env=name)


def desk_of(fake: FakeServiceNow, target: ServiceNow) -> Desk:
    def shown(id_: str) -> Shown:
        row = fake.incidents[id_]
        notes = [one["value"] for one in fake.journal if one["element_id"] == id_]
        return Shown(row["short_description"], row["description"], row["state"] not in ("6", "7", "8"), notes)

    def writes_around(id_: str, above: str, below: str) -> None:
        fake.incidents[id_]["description"] = f"{above}{fake.incidents[id_]['description']}{below}"

    def takes_marks_away(id_: str) -> None:
        fake.incidents[id_]["description"] = fake.incidents[id_]["description"].replace("[art58 end]", "")

    return Desk(
        target,
        lambda: len(fake.incidents),
        shown,
        writes_around,
        takes_marks_away,
        lambda id_, title: fake.incidents[id_].update(short_description=title),
        lambda id_: fake.incidents[id_].update(assigned_to="681b365ec0a80164000fb0b05854a0cd"),
        lambda id_: fake.incidents[id_].update(state="7", close_code="Duplicate", close_notes="x"),
        lambda id_: fake.incidents.__delitem__(id_),
        lambda: fake.fail("timeout_after_work"),
        secret=PASSWORD,
        mapped=MAPPED,
    )
