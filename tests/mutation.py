"""`make mutation`: changes receiver/law in every small way mutmut knows and asks of each change whether a test of the law notices.

It promises: the score of each module; every survivor with its reason from mutation-survivors.yaml, or as unlisted; exit code 1 when
less than 90 % are killed or a survivor is unlisted. A whole run also writes the second half of docs/explanation/mutation.md.
"""

import re
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec
import yaml

ROOT = Path(__file__).parents[1]
LAW = Path("receiver/law")
MUTANTS = Path("mutants")
PAGE = Path("docs/explanation/mutation.md")
MARK = "<!-- from here on written by `make mutation` -->\n"
AT_LEAST = 90
MEMORY = 2 * 1024**3
"""A change that never ends shall not take all memory with it."""


class Survivor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"place": "in"}):
    """A change that no test notices: in which function, which lines, and what they become."""

    place: str
    was: str
    becomes: str


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Survivors for one reason. `equivalent`: no input shows a difference. `accepted`: some would, and why that is not tested."""

    kind: Literal["equivalent", "accepted"]
    reason: str
    survivors: tuple[Survivor, ...]


class Module(msgspec.Struct, frozen=True):
    """What became of one file's mutants."""

    name: str
    killed: int
    survivors: tuple[Survivor, ...]

    @property
    def mutants(self) -> int:
        return self.killed + len(self.survivors)


def main(names: list[str]) -> int:
    reasons = msgspec.yaml.decode((ROOT / "tests" / "mutation-survivors.yaml").read_bytes(), type=tuple[Group, ...])
    run(names)
    modules = [module for file in sorted(LAW.rglob("*.py")) if (module := outcome(file))]
    table = scores(modules)
    survived = Counter(survivor for module in modules for survivor in module.survivors)
    listed = Counter(survivor for group in reasons for survivor in group.survivors)
    unlisted = survived - listed
    print(table)
    if unlisted:
        print(f"unlisted:\n{entries(unlisted)}")
    if not names:
        if gone := listed - survived:
            print(f"listed, but killed or no longer there:\n{entries(gone)}")
        written = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
        PAGE.write_text(written + MARK + "\n" + table + "\n" + survivors_page(reasons, survived, unlisted), encoding="utf-8")
    killed, mutants = sum(module.killed for module in modules), sum(module.mutants for module in modules)
    print(f"{killed} of {mutants} mutants killed; {unlisted.total()} survivors unlisted")
    return int(100 * killed < AT_LEAST * mutants or bool(unlisted))


def run(names: Iterable[str]) -> None:
    """Every time from nothing: mutmut's own memory of earlier runs does not see that a test was changed."""
    shutil.rmtree(MUTANTS, ignore_errors=True)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    mutmut = [Path(sys.executable).parent / "mutmut", "run", *(f"receiver.law.{name}.*" for name in names)]
    # its progress is for a terminal only
    run = subprocess.run(mutmut, stdout=None if sys.stdout.isatty() else subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(f"{run.stdout or ''}\nmutmut ended with {run.returncode}: do the tests pass without it?")


def outcome(file: Path) -> Module | None:
    """None for a file without mutants, or of which none was tried."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code

    mutants = SourceFileMutationData(path=file)
    mutants.load()
    status = {name: status_by_exit_code[code] for name, code in mutants.exit_code_by_key.items()}
    tried = {name: found for name, found in status.items() if found != "not checked"}
    # a change that runs out of time or memory is noticed, too
    alive = [name for name, found in tried.items() if found not in {"killed", "timeout", "segfault"}]
    survivors = tuple(survivor(name, get_diff_for_mutant(name, path=file)) for name in alive)
    return Module(str(file.relative_to(LAW)), len(tried) - len(alive), survivors) if tried else None


def survivor(name: str, difference: str) -> Survivor:
    """From mutmut's name (receiver.law.duration.x_measure__mutmut_9) and its unified diff."""
    module, _, mangled = name.removeprefix("receiver.law.").partition(".x")
    function = re.sub(r"__mutmut_\d+$", "", mangled).replace("ǁ", ".").removeprefix("_").removeprefix(".")

    def lines(sign: str) -> str:
        return "\n".join(line[1:].strip() for line in difference.splitlines() if line.startswith(sign) and line[:3] != sign * 3)

    return Survivor(f"{module}.{function}", lines("-"), lines("+"))


def entries(survivors: Iterable[Survivor]) -> str:
    """As mutation-survivors.yaml has them."""
    return yaml.safe_dump(msgspec.to_builtins(list(survivors)), allow_unicode=True, sort_keys=False, width=10_000)


def scores(modules: list[Module]) -> str:
    everything = Module("**together**", sum(m.killed for m in modules), tuple(s for m in modules for s in m.survivors))
    lines = [f"By mutmut {version('mutmut')}:\n", "| module | mutants | killed | survived | score |", "|---|--:|--:|--:|--:|"]
    for module in (*modules, everything):
        alive, score = len(module.survivors), 1000 * module.killed // module.mutants / 10
        lines.append(f"| {module.name} | {module.mutants} | {module.killed} | {alive} | {score:.1f} % |")
    return "\n".join(lines) + "\n"


def survivors_page(reasons: tuple[Group, ...], survived: Counter[Survivor], unlisted: Counter[Survivor]) -> str:
    groups = [(group.kind, group.reason, [s for s in group.survivors if s in survived]) for group in reasons]
    groups.append(("unlisted", "Nobody has looked at these yet.", list(unlisted)))
    page = "## Survivors\n"
    for number, (kind, reason, survivors) in enumerate((group for group in groups if group[2]), 1):
        page += f"\n### {number}. {kind.capitalize()}\n\n{reason.strip()}\n"
        for place in dict.fromkeys(survivor.place for survivor in survivors):
            differences = "\n\n".join(diff(survivor) for survivor in survivors if survivor.place == place)
            page += f"\n`{place}`\n\n```diff\n{differences}\n```\n"
    return page


def diff(survivor: Survivor) -> str:
    return "\n".join([f"-{line}" for line in survivor.was.split("\n")] + [f"+{line}" for line in survivor.becomes.split("\n")])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
