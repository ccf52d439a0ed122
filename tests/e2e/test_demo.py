"""`make demo`, fresh and again: exit 0, under a page, in both languages."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.stack import ROOT, environment

pytestmark = [pytest.mark.chain, pytest.mark.database, pytest.mark.slow]
PAGE = 45


@pytest.mark.timeout(900)
def test_demo_is_so_fresh_and_again(home: Path) -> None:
    for lang, limit in (("zh", 360), ("en", 90)):
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "demo", "--home", str(home), "--lang", lang],
            env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(done.stdout.splitlines()) <= PAGE
        assert done.stdout.count("INVALID") == 3
        assert "CaseRoleMissing" in done.stdout
        assert time.monotonic() - started < limit
