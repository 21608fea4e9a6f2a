"""The options of `make` mean what they say."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo import __main__ as demo

ROOT = Path(__file__).parents[1]
PROGRAMS = ("prometheus", "promtool", "alertmanager", "amtool")


def make(folder: Path, *words: str) -> str:
    # not the options of a `make test` that runs this
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    run = subprocess.run(["make", "-C", str(folder), *words], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize(
    ("keep", "keeps"), [("1", True), ("yes", True), ("true", True), ("0", False), ("no", False), ("false", False), ("", False)]
)
def test_the_demonstration_keeps_running_only_where_that_was_said(keep: str, keeps: bool) -> None:
    assert ("--keep" in make(ROOT, "-n", "demo", f"KEEP={keep}")) == keeps


def test_own_binaries_take_effect_also_where_others_are_at_hand(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / ".peers").mkdir()
    (tmp_path / "own").mkdir()
    for file in ("Makefile", "examples/get-peers.sh"):
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / ".peers" / "ready").touch()
    assert "get-peers" not in make(tmp_path, "-n", ".peers/ready")
    for name in PROGRAMS:
        program = tmp_path / "own" / name
        program.write_text(f"#!/bin/sh\necho own {name}\n")
        program.chmod(0o755)
    # one by a path from here: it must be found from elsewhere too
    own = {name.upper(): str(tmp_path / "own" / name) for name in PROGRAMS} | {"PROMTOOL": "own/promtool"}
    make(tmp_path, ".peers/ready", *(f"{name}={path}" for name, path in own.items()))
    for name in PROGRAMS:
        assert subprocess.check_output([tmp_path / ".peers" / "bin" / name], text=True) == f"own {name}\n"


def test_newer_versions_have_a_folder_of_their_own_which_the_tests_use_and_clean_removes() -> None:
    assert "bash examples/get-peers.sh .peers-newer sid" in make(ROOT, "-n", "-W", "examples/get-peers.sh", "test-newer")
    (tested,) = [line for line in make(ROOT, "-n", "test-newer").splitlines() if "pytest" in line]
    assert tested.startswith("ART58_PEERS=.peers-newer ")
    program = [sys.executable, "-c", "from tests.programs import PEERS; print(PEERS)"]
    found = subprocess.check_output(program, cwd=ROOT, env=os.environ | {"ART58_PEERS": ".peers-newer"}, text=True)
    assert Path(found.strip()) == ROOT / ".peers-newer" / "bin"
    assert " .peers-newer " in make(ROOT, "-n", "clean")


@pytest.mark.parametrize("scale", ["nan", "inf", "0", "-1", "many", ""])
def test_the_demonstration_refuses_a_scale_of_users_that_is_none(
    scale: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["demo", f"--users-scale={scale}"])
    with pytest.raises(SystemExit) as exit_:
        demo.main()
    assert exit_.value.code == 2
    assert f"argument --users-scale: '{scale}' is no number above 0, like 0.0001" in capsys.readouterr().err
