"""Rulebook files of an operator: one that ends the shipped table, and one that follows it."""

from pathlib import Path

import yaml

from receiver import law

SHIPPED = yaml.safe_load((Path(law.__file__).parent / "rulebooks" / "jp-tba58-2026.yaml").read_text(encoding="utf-8"))


def write(folder: Path, from_day: str = "2027-04-01", until: str = "2027-03-31") -> tuple[str, str]:
    """The names of the two files: ended.yaml with JP-TBA58-2026 until a day, own.yaml with OWN from the next on."""
    own = SHIPPED | {"id": "OWN", "valid_from": from_day, "last_checked": "2026-11-01", "check_by": "2027-02-01"}
    own["rows"] = [{"row": 1, "title": {"ja": "全て", "en": "all"}, "conditions": [{"duration_seconds": 60, "users": 10}]}]
    for name, document in (("ended.yaml", SHIPPED | {"valid_to": until}), ("own.yaml", own)):
        (folder / name).write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return "ended.yaml", "own.yaml"
