"""Jira Data Center."""

from contextlib import ExitStack

from tests.delivery import jira_desk
from tests.delivery.places import Desk


def opened(stack: ExitStack, timeout_seconds: float) -> Desk:
    return jira_desk.opened(stack, timeout_seconds, "server")
