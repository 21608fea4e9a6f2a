"""Is our hand-written slice of Grafana's HTTP API still a part of Grafana's own description?

`python -m tests.check_grafana_spec FILE`: FILE is Grafana's OpenAPI 3 as JSON or YAML. Its repository has it for the legacy API in
`public/openapi3.json`, for the newer one in `pkg/tests/apis/openapi_snapshots/annotation.grafana.app-v0alpha1.json`. Which slice is
meant is seen by the paths. Every path, method, query parameter and property of a body in the slice must be there, with its type.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

DATA = Path(__file__).parent / "data"
SLICES = (DATA / "grafana-slice.yaml", DATA / "grafana-app-slice.yaml")
OUTSIDE = {"/health", "/namespaces/{}/search"}
"""What Grafana serves without describing it there: asked for in its documentation and its source."""

METHODS = ("get", "post", "put", "patch", "delete")


def missing(slice_: dict[str, Any], full: dict[str, Any]) -> Iterator[str]:
    """What the slice has and the full description has not, one line each."""
    there = {_bare(full, path): item for path, item in full["paths"].items()}
    for path, item in slice_["paths"].items():
        bare = _bare(slice_, path)
        relative = re.sub(r"\{[^}]*\}", "{}", path)
        for method in METHODS:
            if method not in item or relative in OUTSIDE:
                continue
            at = f"{method.upper()} {path}"
            if bare not in there or method not in there[bare]:
                yield at
                continue
            yield from (f"{at} {one}" for one in _missing_in(slice_, item, full, there[bare], method))


def _missing_in(
    slice_: dict[str, Any], ours: dict[str, Any], full: dict[str, Any], theirs: dict[str, Any], method: str
) -> Iterator[str]:
    known = _parameters(full, theirs, method)
    yield from (f"?{name}" for name in _parameters(slice_, ours, method) if name not in known)
    for kind, schema in _bodies(slice_, ours[method]):
        bodies = dict(_bodies(full, theirs[method]))
        if kind not in bodies:
            yield f"body as {kind}"
        elif not re.search("patch", kind):  # of a merge patch only that it is one is described
            yield from _missing_properties(slice_, schema, full, bodies[kind], "body")


def _missing_properties(slice_: dict[str, Any], ours: Any, full: dict[str, Any], theirs: Any, at: str) -> Iterator[str]:
    ours, theirs = _whole(slice_, ours), _whole(full, theirs)
    known = theirs.get("properties", {})
    if not known:
        return  # any object
    for name, schema in ours.get("properties", {}).items():
        if name not in known:
            yield f"{at}.{name}"
            continue
        mine, other = _whole(slice_, schema), _whole(full, known[name])
        if "type" in mine and "type" in other and mine["type"] != other["type"]:
            yield f"{at}.{name} is {other['type']}, not {mine['type']}"
        yield from _missing_properties(slice_, mine, full, other, f"{at}.{name}")


def _parameters(document: dict[str, Any], item: dict[str, Any], method: str) -> set[str]:
    given = [*item.get("parameters", []), *item[method].get("parameters", [])]
    return {one["name"] for one in (_whole(document, one) for one in given) if one["in"] == "query"}


def _bodies(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for kind, content in _whole(document, operation.get("requestBody", {})).get("content", {}).items():
        yield kind, content.get("schema", {})


def _whole(document: dict[str, Any], node: Any) -> dict[str, Any]:
    """The node itself where it is only named, and with what it is put together of."""
    while isinstance(node, dict) and "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/")]
        node = found
    if not isinstance(node, dict):
        return {}
    whole = dict(node)
    for part in node.get("allOf", []):
        whole = _whole(document, part) | whole
    return whole


def _bare(document: dict[str, Any], path: str) -> str:
    """From the root, whatever the parameters are called."""
    servers = document.get("servers") or [{"url": ""}]
    return re.sub(r"\{[^}]*\}", "{}", f"{servers[0]['url'].rstrip('/')}{path}")


def slice_for(full: dict[str, Any]) -> Path:
    """The one whose paths the description has the most of."""
    there = {_bare(full, path) for path in full["paths"]}

    def shared(file: Path) -> int:
        slice_ = yaml.safe_load(file.read_text())
        return len(there & {_bare(slice_, path) for path in slice_["paths"]})

    return max(SLICES, key=shared)


def main(file: Path) -> int:
    """The exit code."""
    full = yaml.safe_load(file.read_text()) if file.suffix in (".yaml", ".yml") else _json(file)
    slice_ = slice_for(full)
    found = list(missing(yaml.safe_load(slice_.read_text()), full))
    for one in found:
        print(f"{slice_.name}: not in {file.name}: {one}")
    if not found:
        print(f"{slice_.name}: all of it is in {file.name}")
    return 1 if found else 0


def _json(file: Path) -> Any:
    return msgspec.json.decode(file.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("Give the file with Grafana's OpenAPI description: make check-grafana-spec SPEC=FILE")
    sys.exit(main(Path(sys.argv[1])))
