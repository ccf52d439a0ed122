"""The browser verifier: up to date, closed to the network by its policy, and at work in a real Chromium."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from scripts.browser_verifier import DIGEST, PAGE, build
from tests.support.second import ROOT, needs_node, node

CHECK = Path(__file__).parent / "page_check.mjs"


@needs_node
def test_the_committed_page_is_what_the_sources_build() -> None:
    assert build() == PAGE.read_bytes(), "stale: python -m scripts.browser_verifier"


def test_its_digest_is_published_beside_it() -> None:
    assert DIGEST.read_text() == f"{hashlib.sha256(PAGE.read_bytes()).hexdigest()}  verify.html\n"


def test_the_policy_allows_its_own_script_and_style_and_nothing_else() -> None:
    page = PAGE.read_text()
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert found
    policy = dict(part.strip().split(" ", 1) for part in found[1].split(";"))
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert script
    assert style
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(part[1].encode()).digest()).decode()}'"
        for part in (script, style)
    ]
    assert policy == {
        "default-src": "'none'", "script-src": hashes[0], "style-src": hashes[1], "worker-src": "blob:",
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert not re.search(r'(?:src|href)="', page), "the page names no other file"


def _chromium(*arguments: str, **environment: str) -> None:
    command = [node() or "node", "--test", "--test-reporter=tap", *arguments, str(CHECK)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TZ": "UTC", **environment},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    print(done.stdout[-6000:], done.stderr[-2000:])
    assert done.returncode == 0, "the page's checks failed"
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed, done.stdout[-2000:]
    # A name that a pattern leaves out counts as skipped too: only a run of which nothing passed was skipped.
    reason = re.search(r"# SKIP (?!test name)(.*)", done.stdout)
    if int(passed[1]) == 0 and reason:
        pytest.skip(reason[1])
    assert int(passed[1]) >= 1


@needs_node
@pytest.mark.timeout(1500)
def test_it_works_in_chromium() -> None:
    _chromium()


@needs_node
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_gibibytes_fit_in_a_small_tab() -> None:
    _chromium("--test-name-pattern=hashed", CASELEDGER_HUGE="1")
