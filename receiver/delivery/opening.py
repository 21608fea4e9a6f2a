"""From the settings to the targets: one line for each kind of ticket system."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from receiver.delivery.follow import Policy
from receiver.delivery.targets import Target
from receiver.delivery.targets.backlog import Backlog
from receiver.delivery.targets.directory import TicketDirectory
from receiver.delivery.targets.github import GitHubIssues
from receiver.delivery.targets.gitlab import GitLabIssues
from receiver.delivery.targets.jira import JiraCloud, JiraServer
from receiver.delivery.targets.pagerduty import PagerDuty
from receiver.delivery.targets.redmine import RedmineIssues
from receiver.delivery.targets.servicenow import ServiceNow
from receiver.delivery.targets.webhook import TicketWebhook
from receiver.model import Clock
from receiver.settings.tickets import (
    BacklogTicket,
    DirectoryTicket,
    FollowedTicket,
    GitHubTicket,
    GitLabTicket,
    JiraCloudTicket,
    JiraServerTicket,
    PagerDutyTicket,
    RedmineTicket,
    ServiceNowTicket,
    Ticket,
    WebhookTicket,
)

TARGET_SECONDS = 10.0
"""How long a target may take to answer a call."""

_KINDS: dict[type[Any], Callable[[Any, Clock], Target]] = {
    DirectoryTicket: lambda one, clock: TicketDirectory(one.name, Path(one.path)),
    RedmineTicket: lambda one, clock: RedmineIssues(one, TARGET_SECONDS),
    GitHubTicket: lambda one, clock: GitHubIssues(one, TARGET_SECONDS),
    GitLabTicket: lambda one, clock: GitLabIssues(one, TARGET_SECONDS),
    WebhookTicket: lambda one, clock: TicketWebhook(one.name, one.url, one.secret.read().reveal(), TARGET_SECONDS, clock),
    JiraCloudTicket: lambda one, clock: JiraCloud(one, TARGET_SECONDS),
    JiraServerTicket: lambda one, clock: JiraServer(one, TARGET_SECONDS),
    ServiceNowTicket: lambda one, clock: ServiceNow(one, TARGET_SECONDS),
    BacklogTicket: lambda one, clock: Backlog(one, TARGET_SECONDS),
    PagerDutyTicket: lambda one, clock: PagerDuty(one, TARGET_SECONDS),
}


def open_ticket(ticket: Ticket, clock: Clock) -> Target:
    """The ticket system that these settings name. Raises SecretUnreadable, ValueError."""
    return _KINDS[type(ticket)](ticket, clock)


def policy_of(ticket: Ticket) -> Policy:
    """When its tickets are closed and opened again."""
    if isinstance(ticket, FollowedTicket):
        return Policy(ticket.close_when_over, ticket.reopen_within)
    return Policy()
