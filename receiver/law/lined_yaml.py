"""YAML that remembers its lines and refuses duplicate keys, turned into typed values.

It lives on the ground floor because rulebooks and the operator's own files are read with it alike. Every fault is reported,
not only the first, each with file, line, key, what is wrong and what to do.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

T = TypeVar("T")
Path_ = tuple[str | int, ...]

_SCALAR_TAGS = {"tag:yaml.org,2002:timestamp": "tag:yaml.org,2002:str"}
_COLLECTION_TAGS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_MOST_VALUES = 100_000
"""Aliases can make a small file stand for any number of values."""
_OURS = Path(__file__).parent
_LOADER_OF_OURS = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads ten times as fast, where PyYAML has it. It tells faults in other words, and nothing bounds how deeply it follows nesting:
for files that come with the receiver, and for no others."""
_NAMED = re.compile(r"(alias|anchor|tag handle) .*")


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong in a file: where (line counts from 1), which key, what, and what to do about it."""

    file: str
    line: int
    key: str
    wrong: str
    cure: str

    def __str__(self) -> str:
        # words of others may end with a full stop already
        return f"{self.file}:{self.line}: {self.key or 'file'}: {self.wrong.rstrip('.')}. {self.cure}"


class FaultyFile(Exception):
    """A file refused whole, with all its faults."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = sorted(faults, key=lambda f: f.line)
        super().__init__("\n".join(map(str, self.faults)))


class Document(msgspec.Struct, frozen=True):
    """A parsed file: plain values and the line of every key path."""

    file: str
    values: Any
    lines: dict[Path_, int]

    def fault(self, path: Path_, wrong: str, cure: str) -> Fault:
        """A fault at `path`; where that key is absent, the line of its nearest parent is named."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        return Fault(self.file, self.lines.get(known, 1), dotted(path), wrong, cure)


def dotted(path: Path_) -> str:
    """`("services", 0, "kind")` as a person reads it: `services[0].kind`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")


def read(file: Path) -> Document:
    """The document in `file`.

    Raises FaultyFile when it cannot be read, is no YAML, or has a key twice.
    """
    name = str(file)
    try:
        text = file.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=_LOADER_OF_OURS if _OURS in file.parents else yaml.SafeLoader)
    except OSError as error:
        raise FaultyFile([Fault(name, 1, "", f"cannot be read ({error.strerror})", "Check the path and its permissions")]) from None
    except UnicodeDecodeError:
        raise FaultyFile([Fault(name, 1, "", "is not UTF-8 text", "Save the file as UTF-8")]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FaultyFile(
            [Fault(name, line, "", f"is not YAML: {_problem(error)}", "Check indentation, quotes and colons here")]
        ) from None
    except RecursionError:
        raise FaultyFile([Fault(name, 1, "", "is nested too deeply", "Write it flatter")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise FaultyFile([Fault(name, line, "", f"is not YAML: {error.reason}", "Remove what YAML does not allow")]) from None
    document = Document(name, None, {(): 1})
    faults: list[Fault] = []
    values = _values(root, (), document, faults) if root is not None else {}
    if faults:
        raise FaultyFile(faults)
    return msgspec.structs.replace(document, values=values)


def _problem(error: yaml.MarkedYAMLError) -> str:
    # a password that begins with * & or ! reads as the name of an alias, an anchor or a tag: it is not repeated
    return _NAMED.sub(r"\1", error.problem or "it ends too early")


def _values(node: yaml.Node, path: Path_, document: Document, faults: list[Fault], inside: frozenset[int] = frozenset()) -> Any:
    if id(node) in inside:
        faults.append(document.fault(path, "an alias that contains itself", "Write the value out"))
        return None
    inside |= {id(node)}
    if len(document.lines) > _MOST_VALUES:
        raise FaultyFile([Fault(document.file, 1, "", f"has more than {_MOST_VALUES:,} values", "Use fewer aliases")])
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTION_TAGS:
        faults.append(document.fault(path, "unknown tag", "Use plain YAML values"))
        return None
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                faults.append(Fault(document.file, line, dotted(path), "a key that is no text", "Write a name before the colon"))
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in mapping:
                first = document.lines[here]
                faults.append(
                    Fault(
                        document.file,
                        line,
                        dotted(here),
                        f"key given twice (first on line {first})",
                        "Keep one of them",
                    )
                )
                continue
            document.lines[here] = line
            mapping[key] = _values(value_node, here, document, faults, inside)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        items = []
        for number, item in enumerate(node.value):
            here = (*path, number)
            document.lines[here] = item.start_mark.line + 1
            items.append(_values(item, here, document, faults, inside))
        return items
    return _scalar(node, path, document, faults)


def _scalar(node: yaml.Node, path: Path_, document: Document, faults: list[Fault]) -> Any:
    # a date stays text: msgspec turns it into a date where one is meant
    tag = _SCALAR_TAGS.get(node.tag, node.tag)
    try:
        return yaml.constructor.SafeConstructor().construct_object(yaml.ScalarNode(tag, node.value))
    except yaml.constructor.ConstructorError:
        faults.append(document.fault(path, "unknown tag", "Use plain YAML values"))
    except (ValueError, LookupError, yaml.YAMLError):
        faults.append(document.fault(path, "not a readable value", "Put it in quotes if it is text"))
    return None


def convert(document: Document, type_: type[T], check: Callable[[T], list[tuple[Path_, str, str]]] | None = None) -> T:
    """The document as a `type_` (a msgspec Struct).

    `check` may return further faults as (path, what is wrong, what to do). Raises FaultyFile with every fault found.
    """
    faults = list(_mismatches(document.values, type_, ()))
    if not faults:
        result = msgspec.convert(document.values, type_)
        faults = check(result) if check else []
    if faults:
        raise FaultyFile([document.fault(*fault) for fault in faults])
    return result


def _mismatches(value: Any, type_: Any, path: Path_) -> Iterator[tuple[Path_, str, str]]:
    """Every place where the value is not of the type: msgspec alone stops at the first."""
    inner = _inner(value, type_)
    found = False
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
        fields = {field.encode_name: field for field in msgspec.structs.fields(inner)}
        tag = inner.__struct_config__.tag_field
        for key in (key for key in value if key not in fields and key != tag):
            found = True
            yield (*path, key), "unknown key", f"Remove it, or correct its spelling: known are {', '.join(fields)}"
        for key, field in fields.items():
            if key in value:
                for mismatch in _mismatches(value[key], field.type, (*path, key)):
                    found = True
                    yield mismatch
            elif field.required:
                found = True
                yield (*path, key), "required key is missing", "Add it"
    elif get_origin(inner) is tuple and isinstance(value, list):
        for number, item in enumerate(value):
            for mismatch in _mismatches(item, get_args(inner)[0], (*path, number)):
                found = True
                yield mismatch
    elif get_origin(inner) is dict and isinstance(value, dict):
        key_type, value_type = get_args(inner)
        for key, item in value.items():
            for mismatch in (*_mismatches(key, key_type, (*path, key)), *_mismatches(item, value_type, (*path, key))):
                found = True
                yield mismatch
    if not found:
        try:
            msgspec.convert(value, type_)
        except msgspec.ValidationError as error:
            inside, wrong = _read_error(error)
            allowed = _allowed(inner) if wrong.startswith(_NOT_ALLOWED) else ()
            cure = f"Write one of {', '.join(map(str, allowed))}" if allowed else "Correct the value as the reference says"
            yield (*path, *inside), wrong, cure


_NOT_ALLOWED = ("invalid enum value", "invalid value", "object missing required field")
"""How msgspec begins where only certain values can stand, or one of them must; it does not name them."""


def _allowed(type_: Any) -> tuple[Any, ...]:
    """The values that can stand for this type, where they can be listed; of several structs the words that tell them apart."""
    origin = get_origin(type_)
    if origin is Annotated:
        return _allowed(get_args(type_)[0])
    if origin is Literal:
        return get_args(type_)
    if origin in (Union, UnionType):
        return tuple(value for member in get_args(type_) for value in _allowed(member))
    if isinstance(type_, type) and issubclass(type_, Enum):
        return tuple(member.value for member in type_)
    tag = getattr(getattr(type_, "__struct_config__", None), "tag", None)
    return () if tag is None else (tag,)


def _inner(value: Any, type_: Any) -> Any:
    """The type without its annotations; of a union the member that `value` is meant to be."""
    while get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    members = [member for member in get_args(type_) if member is not NoneType] if get_origin(type_) in (Union, UnionType) else []
    if len(members) == 1:
        return _inner(value, members[0])
    for member in members:
        config = getattr(member, "__struct_config__", None)  # texts and numbers have none
        if config and isinstance(value, dict) and value.get(config.tag_field) == config.tag:
            return member
    return type_


_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def _read_error(error: msgspec.ValidationError) -> tuple[Path_, str]:
    text = str(error)
    at = _AT.search(text)
    path: Path_ = ()
    if at:
        text = text[: at.start()]
        path = tuple(name or int(number) for name, number in _STEP.findall(at["path"]) if number != "...")
    return path, text[0].lower() + text[1:]
