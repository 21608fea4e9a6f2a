"""A statement in the form in which a target is given it: title, text and comment by templates, ours or the operator's, and the
mapped fields. A template's fault never stops a ticket: ours takes its place, or the field is left out, and the text says so at its
end.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog

from receiver.delivery.given import KNOWN, MOST_OF_A_TITLE, Language, examples, given
from receiver.delivery.rendering import FaultyTemplate, Template
from receiver.delivery.targets import Draft
from receiver.delivery.targets.plain_text import one_line
from receiver.delivery.words import NOT_USABLE
from receiver.model import Delivery, Statement
from receiver.settings.tickets import FollowedTicket, TicketSettings

Name = Literal["title", "text", "comment"]
Key = tuple[str | int, ...]

NAMES: tuple[Name, ...] = ("title", "text", "comment")

_ONLY_PRIORITY = re.compile(r"\s*\{\{-?\s*priority\s*-?\}\}\s*")
_NUMBER = re.compile(r"\s*\{\{[^{}]*\|\s*number\s*-?\}\}\s*")

log = structlog.get_logger()


class Fault(NamedTuple):
    """`at` is the key of the setting within the ticket's."""

    at: Key
    error: FaultyTemplate


class Content:
    """What the tickets of one target say. Templates are read once, here; `faults` are those that cannot be used."""

    def __init__(self, settings: TicketSettings | None = None) -> None:
        self._target = settings.name if settings else ""
        self._languages: tuple[Language, ...] = ("ja", "en")
        if settings and settings.language != "both":
            self._languages = (settings.language,)
        mapped = settings if isinstance(settings, FollowedTicket) else None
        self._fields: Mapping[str, Any] = mapped.fields if mapped else {}
        self._priority: Mapping[str, str | int] = dict(mapped.priority.items()) if mapped else {}
        self._theirs: dict[Name, Template] = {}
        self._of_fields: dict[Key, Template] = {}
        self.faults: list[Fault] = []
        for name in NAMES:
            file = settings and getattr(settings.templates, name)
            if file and (template := self._usable(("templates", name), partial(_read, Path(file)))):
                self._theirs[name] = template
        for at, source in _texts(self._fields, ("fields",)):
            if template := self._usable(at, partial(Template, source, _dotted(at), KNOWN)):
                self._of_fields[at] = template

    def _usable(self, at: Key, make: Callable[[], Template]) -> Template | None:
        """The template, if it renders both where much is known and where little is."""
        try:
            template = make()
            for example in examples(self._languages, self._priority):
                self._rendered(template, example)
        except FaultyTemplate as error:
            self.faults.append(Fault(at, error))
            return None
        return template

    def draft(self, delivery: Delivery, statement: Statement) -> Draft:
        """Whatever the operator's templates do, there is one."""
        values = given(delivery, statement, self._languages, self._priority).by_name
        faults = [fault.error for fault in self.faults]
        title, text, note = (self._said(name, values, faults) for name in NAMES)
        mapped = ((name, self._field(value, ("fields", name), values, faults)) for name, value in self._fields.items())
        fields = {name: value for name, value in mapped if value is not _NOTHING}
        for error in faults:
            log.error("a template cannot be used", target=self._target, incident=statement.key, error=str(error))
        return Draft(
            key=delivery.key,
            title=title,
            text="\n".join([text, *dict.fromkeys(map(self._told, faults))]),
            fields=fields,
            note=note,
            statement=statement,
            continues=delivery.remembered.continues,
        )

    def _said(self, name: Name, values: Mapping[str, Any], faults: list[FaultyTemplate]) -> str:
        if template := self._theirs.get(name):
            try:
                if text := _trimmed(name, template.render(values)):
                    return text
                faults.append(FaultyTemplate(template.place, 1, "nothing came out"))
            except FaultyTemplate as error:
                faults.append(error)
        return _trimmed(name, _ours()[name].render(values))

    def _field(self, value: Any, at: Key, values: Mapping[str, Any], faults: list[FaultyTemplate]) -> Any:
        """The value with its templates rendered; _NOTHING if nothing is left of it."""
        if isinstance(value, str):
            try:
                return self._rendered(self._of_fields[at], values) if at in self._of_fields else _NOTHING
            except FaultyTemplate as error:
                faults.append(error)
                return _NOTHING
        if not value or not isinstance(value, dict | list):
            return value
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        rendered = {name: self._field(each, (*at, name), values, faults) for name, each in inside}
        left = {name: each for name, each in rendered.items() if each is not _NOTHING}
        if not left:
            return _NOTHING
        return left if isinstance(value, dict) else list(left.values())

    def _rendered(self, template: Template, values: Mapping[str, Any]) -> Any:
        text = template.render(values)
        if text.strip() == "":
            return _NOTHING
        if _ONLY_PRIORITY.fullmatch(template.source):
            return values["priority"]  # a number, where a number is mapped
        if _NUMBER.fullmatch(template.source):
            try:
                number = float(text)
            except ValueError:
                raise FaultyTemplate(template.place, 1, f"{text!r} is no number") from None
            return int(number) if number.is_integer() else number
        return text

    def _told(self, error: FaultyTemplate) -> str:
        wrong = f"{Path(error.place).name}:{error.line}: {error.wrong}"
        return " / ".join(getattr(NOT_USABLE, language).format(wrong) for language in self._languages)


class _Nothing:
    """What is left of a field of which nothing came out."""


_NOTHING = _Nothing()


def draft(delivery: Delivery, statement: Statement) -> Draft:
    """As a target is given it that has no settings of its own about it."""
    return DEFAULT.draft(delivery, statement)


@cache
def _ours() -> Mapping[Name, Template]:
    here = Path(__file__).parent / "templates"
    return {name: _read(here / f"{name}.j2") for name in NAMES}


def _read(file: Path) -> Template:
    """Raises FaultyTemplate."""
    try:
        source = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FaultyTemplate(str(file), 1, f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise FaultyTemplate(str(file), 1, "is not UTF-8 text, or has an impossible name") from None
    return Template(source, str(file), KNOWN)


def _trimmed(name: Name, text: str) -> str:
    if name == "title":
        return one_line(text, MOST_OF_A_TITLE)
    return text.strip("\r\n") if text.strip() else ""


def _texts(value: Any, at: Key) -> Iterator[tuple[Key, str]]:
    """Every text within the mapped fields with its key."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(each, (*at, name))


def _dotted(at: Key) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at).lstrip(".")


DEFAULT = Content()
