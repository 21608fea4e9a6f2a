"""What Jira answers, as far as it is read; Jira Cloud and Jira Data Center differ little in it."""

from typing import Any

import msgspec


class Category(msgspec.Struct, frozen=True):
    key: str


class Status(msgspec.Struct, frozen=True):
    id: str
    name: str
    category: Category = msgspec.field(name="statusCategory")


class Person(msgspec.Struct, frozen=True):
    """By `accountId` on Jira Cloud, by `name` on Jira Data Center."""

    account_id: str = msgspec.field(default="", name="accountId")
    name: str = ""

    @property
    def id(self) -> str:
        return self.account_id or self.name


class Fields(msgspec.Struct, frozen=True):
    summary: str
    status: Status
    creator: Person | None = None
    assignee: Person | None = None
    labels: list[str] | None = None
    description: Any = None


class Issue(msgspec.Struct, frozen=True):
    fields: msgspec.Raw
    properties: dict[str, Any] = {}


class Labels(msgspec.Struct, frozen=True):
    labels: list[str] | None = None


class Found(msgspec.Struct, frozen=True):
    key: str
    fields: Labels


class Page(msgspec.Struct, frozen=True):
    """`total` only on Jira Data Center, `next_page` only on Jira Cloud."""

    issues: list[Found]
    total: int = 0
    next_page: str | None = msgspec.field(default=None, name="nextPageToken")


class Made(msgspec.Struct, frozen=True):
    key: str = ""


class Comment(msgspec.Struct, frozen=True):
    body: Any = None


class Comments(msgspec.Struct, frozen=True):
    comments: list[Comment]
    total: int
