"""What can be known of the image without building it: the Dockerfile agrees with the package and with the chart."""

import json
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "art58-receiver"


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in lines)]


def the_last(word: str) -> str:
    return [rest for each, rest in instructions() if each == word][-1]


def copied_from_the_repository() -> set[str]:
    copies = [shlex.split(rest) for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    return {source.rstrip("/") for sources in copies for source in sources[:-1]}


def test_the_image_is_made_of_files_the_repository_has() -> None:
    assert [name for name in copied_from_the_repository() if not (ROOT / name).exists()] == []


def test_docker_is_sent_what_the_image_is_made_of_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "*"
    assert {line[1:].rstrip("/") for line in lines if line.startswith("!")} == copied_from_the_repository()


def test_the_image_starts_the_program_of_the_package() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    (program,) = json.loads(the_last("ENTRYPOINT"))
    assert program in scripts


def test_the_image_and_the_chart_start_it_in_the_same_way() -> None:
    statefulset = (CHART / "templates" / "statefulset.yaml").read_text(encoding="utf-8")
    assert f"args: [{', '.join(json.loads(the_last('CMD')))}]" in statefulset
    assert f"containerPort: {the_last('EXPOSE')}\n" in statefulset
    assert f"mountPath: {the_last('WORKDIR')}\n" in statefulset


def test_the_image_runs_as_the_user_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["podSecurityContext"]
    assert the_last("USER") == f"{values['runAsUser']}:{values['runAsGroup']}"


def test_the_health_check_asks_the_port_that_is_exposed() -> None:
    assert f"http://127.0.0.1:{the_last('EXPOSE')}/-/healthy" in the_last("HEALTHCHECK")


def test_both_stages_have_the_same_python() -> None:
    assert len({rest.split()[0] for word, rest in instructions() if word == "FROM"}) == 1


def test_the_wheel_carries_every_file_of_the_receiver(tmp_path: Path) -> None:
    building = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run(building, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    files = {str(file.relative_to(ROOT)) for file in (ROOT / "receiver").rglob("*") if file.is_file()}
    carried = set(zipfile.ZipFile(wheel).namelist())
    assert {file for file in files if "__pycache__" not in file} - carried == set()
