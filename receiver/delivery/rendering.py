"""Templates in a sandbox. Only what an operator wrote is ever one: what is filled in stays as it is, whatever it looks like."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from receiver.delivery.targets.plain_text import one_line
from receiver.law.wording import clock_time

MOST_OF_A_FAULT = 300


class FaultyTemplate(Exception):
    """A template that cannot be used: where, and what is wrong with it."""

    def __init__(self, place: str, line: int, wrong: str) -> None:
        self.place, self.line = place, line
        self.wrong = one_line(wrong, MOST_OF_A_FAULT)
        super().__init__(f"{place}:{line}: {self.wrong}")


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # plain lines: each target escapes for its own system
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: "" if value is None else value,
    )
    # the same statement must give the same text each time
    del environment.globals["lipsum"], environment.filters["random"]
    environment.filters |= {"one_line": one_line, "clock_time": clock_time, "number": _number}
    return environment


def _number(value: Any) -> int | float | None:
    """As it is; and refused where it is none, which a field for numbers would not take."""
    if value is None or type(value) in (int, float):
        return value  # type: ignore[no-any-return]
    return float(value) if "." in str(value) else int(value)


class Template:
    """One template, ready to be rendered. `place` is its file, or the key of the setting that it stands in."""

    def __init__(self, source: str, place: str, known: Iterable[str]) -> None:
        """Raises FaultyTemplate for what is wrong by itself, and for names that are not `known`."""
        self.place, self.source = place, source
        environment = _environment()
        try:
            tree = environment.parse(source, filename=place)
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise FaultyTemplate(place, error.lineno, error.message or "no template") from None
        except (RecursionError, SyntaxError, MemoryError, ValueError) as error:
            raise FaultyTemplate(place, 1, f"no template: {error}") from None
        unknown = meta.find_undeclared_variables(tree) - {*known, *environment.globals}
        for name in tree.find_all(nodes.Name):
            if name.name in unknown:
                raise FaultyTemplate(place, name.lineno, f"{name.name!r} is not known: known are {', '.join(sorted(known))}")

    def render(self, values: Mapping[str, Any]) -> str:
        """Raises FaultyTemplate, whatever goes wrong."""
        try:
            return self._template.render(values)
        except TemplateError as error:
            raise FaultyTemplate(self.place, self._line(error.__traceback__), error.message or type(error).__name__) from None
        except Exception as error:  # noqa: BLE001 - a template calls what it likes, and may not stop a ticket
            raise FaultyTemplate(self.place, self._line(error.__traceback__), f"{type(error).__name__}: {error}") from None

    def _line(self, trace: TracebackType | None) -> int:
        """The last line of the template on the way to the error."""
        line = 1
        while trace:
            if trace.tb_frame.f_globals.get("__jinja_template__") is not None or trace.tb_frame.f_code.co_filename == "<template>":
                line = trace.tb_lineno
            trace = trace.tb_next
        return line
