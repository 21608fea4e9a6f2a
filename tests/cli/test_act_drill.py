"""A drill that is merged with what is real: whoever does it is told that the mark of the drill does not hold for the whole."""

import json

from receiver.model import RECEIVER
from tests.cli.test_act import ID, OTHER, Desk, act

__all__ = ["act"]


def test_the_drill_that_becomes_part_of_a_real_outage_is_named_and_keeps_its_mark(act: Desk) -> None:
    act("drill", ID)
    run = act("merge", ID, "--into", OTHER)
    assert f"but only {ID} was stated to be a drill, so {OTHER} is judged as real" in run.stdout
    assert f"art58 act drill {OTHER}" in run.stdout
    assert [each["deed"]["act"] for each in json.loads(act("list", ID, "--json", why=None).stdout)["acts"]] == ["drill", "merge"]
    assert [each.who for each in act.acts(OTHER)] == ["kenji"]


def test_a_drill_into_which_a_real_outage_is_merged_is_one_no_more(act: Desk) -> None:
    act("drill", ID)
    answer = json.loads(act("merge", OTHER, "--into", ID, "--json").stdout)
    assert f"so {ID} is judged as real" in answer["not_handed_on"][0]["en"]
    last = act.acts(ID)[-1]
    assert (last.who, act.said(ID)) == (RECEIVER, {"act": "withdraw", "facts": ["drill"]})


def test_a_merge_that_loses_nothing_says_nothing(act: Desk) -> None:
    assert "but " not in act("merge", ID, "--into", OTHER).stdout


def test_a_drill_that_was_none_is_taken_back(act: Desk) -> None:
    assert act("drill", ID, "--withdraw").exit_code == 1
    act("drill", ID)
    run = act("drill", ID, "--withdraw")
    assert (run.exit_code, act.said()) == (0, {"act": "withdraw", "facts": ["drill"]})
    assert "withdrawn: that it is a drill / 申告の取消し: 訓練" in run.stdout
