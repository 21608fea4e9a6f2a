"""The pages on counting users name the methods and series that the code has, and `art58 check` takes every example whole."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from receiver.catalogue.inputs import NEEDS, QUALITY, REFINED_BY, SERIES
from receiver.catalogue.topology import OVERLAP, PARENT, SAVED
from receiver.cli import main
from receiver.law.estimate import Method
from receiver.law.fallback import METHODS_OF, Family
from tests.test_docs import blocks

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS / "how-to" / "count-users.md", DOCS / "ja" / "count-users.md"]
EXAMPLES = [block for block in blocks(PAGES[0], "yaml") if "services" in yaml.safe_load(block)]

every_page = pytest.mark.parametrize("page", PAGES, ids=["en", "ja"])


def cells(page: Path, name: str) -> list[list[str]]:
    """What stands between backquotes in each cell of the only row that begins with this name."""
    (row,) = re.findall(rf"^\| `{name}` \|.*", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.findall(r"`([^`]+)`", cell) for cell in row.strip("|").split("|")]


@every_page
@pytest.mark.parametrize("family", METHODS_OF)
def test_the_methods_of_a_family_are_in_the_order_in_which_they_are_tried(page: Path, family: Family) -> None:
    assert cells(page, family)[2] == list(METHODS_OF[family])


@every_page
@pytest.mark.parametrize("method", NEEDS)
def test_a_method_has_the_series_that_it_reads(page: Path, method: Method) -> None:
    _, needs, more = cells(page, method)
    assert needs == [SERIES[need] for need in NEEDS[method]]
    assert more == [SERIES[each] for each in REFINED_BY.get(method, ())]


@every_page
def test_every_series_of_quality_and_of_the_tree_is_named(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [series for series in (*QUALITY.values(), PARENT, SAVED, OVERLAP) if series not in text] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=[yaml.safe_load(one)["services"][0]["name"] for one in EXAMPLES])
def test_the_example_of_an_operator_passes_the_check(example: str, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "webhook-token").write_text("s3cret")
    (tmp_path / "config.yaml").write_text(example)
    result = CliRunner().invoke(main, ["check", str(tmp_path / "config.yaml")])
    assert result.exit_code == 0, result.output


def test_there_is_an_example_for_each_kind_of_operator() -> None:
    found = {service["name"] for example in EXAMPLES for service in yaml.safe_load(example)["services"]}
    assert found >= {"mobile-data", "ftth", "voip", "mvno-data", "mail", "web-conference", "lpwa", "leased-line", "satellite-data"}
