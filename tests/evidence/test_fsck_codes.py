"""Every code that fsck gives is in the operator's table."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GIVEN = re.compile(r'(?:find|note|known)\(\s*"([A-Z]\w+)"|Finding\(\s*"([A-Z]\w+)"|, "([A-Z]\w+Mismatch)"\)')
CHOSEN = re.compile(r'code = "(\w+)" if .* else "(\w+)"')


def test_every_code_is_explained() -> None:
    table = set(re.findall(r"`([A-Z]\w+)`", (ROOT / "docs/operator/fsck.md").read_text("utf-8")))
    given: set[str] = set()
    for path in (*(ROOT / "evidence").glob("fsck*.py"), ROOT / "cases/fsck.py"):
        for groups in GIVEN.findall(path.read_text("utf-8")) + CHOSEN.findall(path.read_text("utf-8")):
            given |= set(filter(None, groups))
    kinds = {f"{kind}{how}" for kind in ("Manifest", "Chunk") for how in ("Missing", "Damaged")}
    assert {"LossRecorded", "CosignatureInvalid", "CosignerMissing", "DedupeMismatch", "ChunkOrphan"} <= given
    assert given | kinds <= table
    assert len(given) > 60
