"""`make check-grafana-spec` says what our slice of Grafana's API has and Grafana's own description has not."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import check_grafana_spec
from tests.check_grafana_spec import SLICES


def described(file: Path) -> dict[str, Any]:
    """The slice itself, as if Grafana described no more."""
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def checked(tmp_path: Path, full: dict[str, Any]) -> int:
    file = tmp_path / "openapi3.json"
    file.write_text(json.dumps(full))
    return check_grafana_spec.main(file)


@pytest.mark.parametrize("slice_", SLICES, ids=["legacy", "app"])
def test_a_slice_of_itself_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str], slice_: Path) -> None:
    assert checked(tmp_path, described(slice_)) == 0
    assert capsys.readouterr().out == f"{slice_.name}: all of it is in openapi3.json\n"


def test_the_names_of_parameters_in_a_path_and_the_root_may_differ(tmp_path: Path) -> None:
    full = described(SLICES[1])
    full["paths"] = {
        f"/apis/annotation.grafana.app/v0alpha1{path}".replace("{name}", "{any}"): one for path, one in full["paths"].items()
    }
    del full["servers"]
    assert checked(tmp_path, full) == 0


def test_everything_that_is_not_there_any_more_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = described(SLICES[0])
    del full["paths"]["/annotations/{id}"]["patch"]
    of_find = full["paths"]["/annotations"]["get"]["parameters"]
    of_find[:] = [one for one in of_find if one["name"] != "tags"]
    posted = full["components"]["schemas"]["PostAnnotation"]["properties"]
    posted["dashboardUid"] = posted.pop("dashboardUID")
    posted["time"] = {"type": "string"}
    assert checked(tmp_path, full) == 1
    assert capsys.readouterr().out.splitlines() == [
        "grafana-slice.yaml: not in openapi3.json: GET /annotations ?tags",
        "grafana-slice.yaml: not in openapi3.json: POST /annotations body.time is string, not integer",
        "grafana-slice.yaml: not in openapi3.json: POST /annotations body.dashboardUID",
        "grafana-slice.yaml: not in openapi3.json: PATCH /annotations/{id}",
    ]
