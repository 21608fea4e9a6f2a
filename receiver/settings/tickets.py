"""The settings of every kind of ticket system, one struct each; what all have in common is in `TicketSettings`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from receiver.settings.types import FilePath, Name, Seconds, SecretRef, TimeOfDay, Url

Priority = Literal["major", "candidate", "near_miss", "periodic", "indeterminate", "none"]


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a ticket system is told only of what may be major."""

    begins: Annotated[TimeOfDay, Meta(description="first minute of it")]
    ends: Annotated[TimeOfDay, Meta(description="first minute after it; then all that waited is sent")]


class SendSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What makes a ticket. Once there is one, it is kept up to date whatever becomes of the verdict."""

    verdicts: Annotated[tuple[Literal["major", "near_miss", "periodic"], ...], Meta(description="verdicts that make a ticket")] = (
        "major",
    )
    candidates: Annotated[bool, Meta(description="whether what may yet become major makes one")] = True
    lead_seconds: Annotated[
        Annotated[float, Meta(ge=0, le=86400 * 7)] | None,
        Meta(description="so long before the forecast time at the earliest; none: candidate_lead_seconds"),
    ] = None
    indeterminate: Annotated[
        bool, Meta(description="whether a candidate makes one whose verdict cannot be told, e.g. while users are not measured")
    ] = True
    services: Annotated[tuple[Name, ...], Meta(description="only incidents that hit one of these services; none: all")] = ()
    quiet: Annotated[
        QuietHours | None, Meta(description="hours in which only what is major or a candidate is sent at once; none: never")
    ] = None


class TemplateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Files with Jinja templates of your own; what is left out is said in our words."""

    title: Annotated[FilePath | None, Meta(description="file of the title's template")] = None
    text: Annotated[FilePath | None, Meta(description="file of the template of our part of the description")] = None
    comment: Annotated[FilePath | None, Meta(description="file of the comments' template")] = None

    def rooted(self, base: Path) -> "TemplateSettings":
        """The same with every relative path taken from `base`."""
        files = msgspec.structs.asdict(self)
        return TemplateSettings(**{name: file and str(base / file) for name, file in files.items()})


class TicketSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every ticket system has."""

    name: Annotated[Name, Meta(description="name of the target: lower-case letters, digits, - and _")]
    language: Annotated[Literal["ja", "en", "both"], Meta(description="language of title, text and comments")] = "both"
    templates: Annotated[TemplateSettings, Meta(description="templates of your own for title, text and comments")] = (
        TemplateSettings()
    )
    send: Annotated[SendSettings, Meta(description="what makes a ticket, and when it is sent")] = SendSettings()


class FollowedTicket(TicketSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every system has in which persons work on tickets."""

    close_when_over: Annotated[
        bool, Meta(description="whether a ticket is closed once its incident is over, if nobody has taken it over")
    ] = False
    reopen_within_seconds: Annotated[
        Seconds,
        Meta(description="for how long it is opened again after that, where the outage goes on; later a new one is linked to it"),
    ] = 7 * 86400
    fields: Annotated[
        dict[str, Any], Meta(description="further fields by the names of the system; texts may be templates: {{ verdict }}")
    ] = {}
    priority: Annotated[
        dict[Priority, str | int],
        Meta(description="what {{ priority }} stands for in `fields`: by verdict, or candidate; left out where none is given"),
    ] = {}
    per_minute: Annotated[float, Meta(ge=2, le=100_000, description="most calls in a minute, for each worker")] = 60

    @property
    def reopen_within(self) -> timedelta:
        return timedelta(seconds=self.reopen_within_seconds)


class DirectoryTicket(TicketSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="directory"):
    """Tickets as Markdown files in a folder: works with nothing else installed."""

    path: Annotated[str, Meta(min_length=1, description="folder for the files")]


class WebhookTicket(TicketSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="webhook"):
    """Tickets as signed messages (Standard Webhooks) to any system that takes them."""

    url: Annotated[Url, Meta(description="where to POST")]
    secret: Annotated[SecretRef, Meta(description="whsec_… signing secret")]


class JiraTicket(FollowedTicket, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both kinds of Jira have."""

    url: Annotated[Url, Meta(description="address of Jira, as in the browser before /browse")]
    project: Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]{0,99}$", description="key of the project")]
    issue_type: Annotated[str, Meta(min_length=1, description="name of the issue type")] = "Task"
    close_transition: Annotated[
        str, Meta(description="name or id of the transition that closes; needed where several lead to a done status")
    ] = ""
    reopen_transition: Annotated[
        str, Meta(description="name or id of the transition that opens again; else the first one to a status to do")
    ] = ""
    close_fields: Annotated[
        dict[str, Any], Meta(description='fields for the screen of the closing transition, e.g. resolution: {name: "Done"}')
    ] = {}
    initial_status: Annotated[
        str, Meta(description="name of the status in which issues begin, where its category is In Progress")
    ] = ""
    default_assignee: Annotated[
        str, Meta(description="whom the project assigns new issues to by itself (accountId, or user name): counts as nobody")
    ] = ""
    public_comments: Annotated[
        bool, Meta(description="whether our comments may be seen by the customers of a Jira Service Management project")
    ] = False


class JiraCloudTicket(JiraTicket, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="jira_cloud"):
    """Issues in Jira Cloud."""

    email: Annotated[str, Meta(pattern="^[^\\s:]+@[^\\s:]+$", description="e-mail address of the account")]
    api_token: Annotated[SecretRef, Meta(description="API token of the account")]


class JiraServerTicket(JiraTicket, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="jira_server"):
    """Issues in Jira Data Center."""

    token: Annotated[SecretRef, Meta(description="personal access token of the account")]


SystemName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,79}$")]
"""A table or column of ServiceNow."""


class ServiceNowTicket(FollowedTicket, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="servicenow"):
    """Incidents in ServiceNow. Further `fields` are columns by their names, references by sys_id, choices by their value."""

    url: Annotated[Url, Meta(description="address of the instance, e.g. https://example.service-now.com")]
    user: Annotated[str | None, Meta(description="user who makes the tickets, with `password`; or else `token`")] = None
    password: Annotated[SecretRef | None, Meta(description="the user's password")] = None
    token: Annotated[
        SecretRef | None, Meta(description="OAuth 2.0 bearer token that does not expire, instead of user and password")
    ] = None
    table: Annotated[SystemName, Meta(description="table of the tickets")] = "incident"
    import_set: Annotated[
        SystemName | None,
        Meta(description="staging table through which tickets are made; its transform map must coalesce on correlation_id"),
    ] = None
    import_prefix: Annotated[str, Meta(pattern=r"^[a-z0-9_]{0,40}$", description="what the columns' names begin with there")] = "u_"
    new_state: Annotated[str, Meta(description="state of a new ticket: another one means that a person works on it")] = "1"
    closed_state: Annotated[str, Meta(description="state to which we close")] = "6"
    reopened_state: Annotated[str, Meta(description="state to which we open again")] = "1"
    over_states: Annotated[tuple[str, ...], Meta(description="all states in which a ticket is no longer open")] = ("6", "7", "8")
    close_code: Annotated[str, Meta(description="resolution code on closing; must be one of the instance's choices")] = (
        "Solution provided"
    )
    close_notes: Annotated[str, Meta(max_length=1000, description="resolution notes on closing")] = (
        "障害の影響が終わったため自動で閉じました。 / Closed automatically: the outage is over."
    )
    description_characters: Annotated[
        int, Meta(ge=1000, le=1_000_000, description="longest description that the table takes (max length in its dictionary)")
    ] = 4000


class BacklogTicket(FollowedTicket, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="backlog"):
    """Issues in Backlog (Nulab). Further `fields` by the names of its API: priorityId, categoryId, dueDate, customField_7 …"""

    url: Annotated[Url, Meta(description="address of the space, e.g. https://example.backlog.jp")]
    api_key: Annotated[
        SecretRef, Meta(description="API key of the user who makes the issues; sent in a header, not in the address")
    ]
    project_id: Annotated[int, Meta(gt=0, description="number of the project")]
    issue_type_id: Annotated[int, Meta(gt=0, description="number of the issue type (種別)")]
    priority_id: Annotated[int, Meta(gt=0, description="number of a new issue's priority: 2 高, 3 中, 4 低")] = 2
    key_field: Annotated[
        Annotated[int, Meta(gt=0)] | None,
        Meta(
            description="number of a custom field of type text for the incident's id; without, it is sought in the description",
        ),
    ] = None
    formatting: Annotated[
        Literal["markdown", "backlog"], Meta(description="the project's text formatting rule (テキスト整形のルール)")
    ] = "markdown"
    new_status_id: Annotated[
        int,
        Meta(
            gt=0, description="status of a new issue (未対応), and to which we open again: another one means a person works on it"
        ),
    ] = 1
    closed_status_id: Annotated[int, Meta(gt=0, description="status to which we close (完了)")] = 4
    resolution_id: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="resolution (完了理由) on closing: 0 対応済み, 1 対応しない")
    ] = None
    per_minute: Annotated[float, Meta(ge=2, le=100_000, description="most calls in a minute, for each worker")] = 150


class RedmineTicket(FollowedTicket, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="redmine"):
    """Tickets as issues in Redmine 5.0 or newer."""

    url: Annotated[Url, Meta(description="where Redmine is")]
    api_key: Annotated[
        SecretRef, Meta(description="API access key of a user that is the receiver's own (My account, API access key)")
    ]
    project: Annotated[
        str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$", description="identifier of the project in which issues are made")
    ]
    key_field: Annotated[
        int,
        Meta(ge=1, description="number of the custom field (format text, 'Used as a filter') that takes the incident's key"),
    ]
    tracker_id: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="tracker of the issues; without it the project's first")
    ] = None
    open_status_id: Annotated[int, Meta(ge=1, description="status in which issues are made and to which they are opened again")] = 1
    closed_status_id: Annotated[int, Meta(ge=1, description="status in which issues are closed")] = 5
    formatting: Annotated[
        Literal["textile", "common_mark"],
        Meta(description="the text formatting that is set in Redmine; common_mark is also for its older Markdown"),
    ] = "textile"


class GitHubTicket(FollowedTicket, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="github"):
    """Issues on GitHub. Further `fields`: assignees (when an issue is made), labels, milestone (its number), type (its name)."""

    url: Annotated[Url, Meta(description="address of the API; with GitHub Enterprise Server https://HOST/api/v3")] = (
        "https://api.github.com"
    )
    repository: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}/(?!\.\.?$)[A-Za-z0-9._-]{1,100}$", description="OWNER/NAME")
    ]
    token: Annotated[SecretRef, Meta(description="access token that may write issues of the repository and set labels there")]
    api_version: Annotated[
        str, Meta(pattern="^20[0-9]{2}-[0-9]{2}-[0-9]{2}$", description="version of the API (X-GitHub-Api-Version)")
    ] = "2022-11-28"
    close_reason: Annotated[
        Literal["completed", "not_planned"], Meta(description="reason (state_reason) with which issues are closed")
    ] = "completed"


class GitLabTicket(FollowedTicket, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="gitlab"):
    """Issues in GitLab. Further `fields`: assignee_ids (when an issue is made), confidential, due_date, labels, milestone_id,
    weight."""

    url: Annotated[Url, Meta(description="address of GitLab, without /api")] = "https://gitlab.com"
    project: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,499}$", description="number of the project, or its path GROUP/NAME")
    ]
    token: Annotated[
        SecretRef, Meta(description="access token of a person, project or group: scope api, role planner, reporter or higher")
    ]
    issue_type: Annotated[Literal["issue", "incident"], Meta(description="as what issues are made")] = "issue"


Severity = Literal["critical", "error", "warning", "info"]


class PagerDutyTicket(FollowedTicket, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="pagerduty"):
    """Alerts in PagerDuty (Events API v2). Further `fields`: severity, component, group, class; all others are custom details."""

    close_when_over: Annotated[bool, Meta(description="whether an alert is resolved once its incident is over")] = True
    url: Annotated[Url, Meta(description="https://events.eu.pagerduty.com for accounts in the EU")] = "https://events.pagerduty.com"
    routing_key: Annotated[SecretRef, Meta(description="integration key (routing_key) of the service, 32 characters")]
    source: Annotated[str, Meta(min_length=1, max_length=255, description="payload.source: where the event comes from")] = (
        "art58-receiver"
    )
    client: Annotated[
        str, Meta(min_length=1, max_length=255, description="name under which PagerDuty links the incident's page")
    ] = "art58-receiver"
    severities: Annotated[
        dict[Literal["major", "indeterminate", "near_miss", "periodic", "none"], Severity],
        Meta(
            description="payload.severity by verdict, instead of {major: critical, indeterminate: error, near_miss: warning, "
            "periodic: warning, none: info}"
        ),
    ] = {}


Ticket = (
    DirectoryTicket
    | WebhookTicket
    | JiraCloudTicket
    | JiraServerTicket
    | ServiceNowTicket
    | BacklogTicket
    | RedmineTicket
    | GitHubTicket
    | GitLabTicket
    | PagerDutyTicket
)
"""Every kind of ticket system; `kind` says which."""


PLACE_OF: dict[type[TicketSettings], tuple[str, ...]] = {
    DirectoryTicket: ("path",),
    JiraCloudTicket: ("url", "project"),
    JiraServerTicket: ("url", "project"),
    ServiceNowTicket: ("url", "table"),
    BacklogTicket: ("url", "project_id"),
    RedmineTicket: ("url", "key_field"),
    GitHubTicket: ("url", "repository"),
    GitLabTicket: ("url", "project"),
}
"""By which keys it is told where tickets are sought: two with the same would find each other's."""


def secrets_of(ticket: TicketSettings) -> dict[str, SecretRef]:
    """Where its secrets lie, by the name of the setting."""
    values = {field.name: getattr(ticket, field.name) for field in msgspec.structs.fields(ticket)}
    return {name: value for name, value in values.items() if isinstance(value, SecretRef)}
