"""The runner of `make mutants` reports a patch that no test notices."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import mutants

RULE = "rule: two and two are four\ntest: tests/test_sum.py::test_sum\n\n"
SUM = "def add(a: int, b: int) -> int:\n    return a + b\n"
DIFF = """--- a/sums.py
+++ b/sums.py
@@ -1,2 +1,2 @@
 def add(a: int, b: int) -> int:
-    return a + b
+    return {}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project in a git repository of its own, with this environment."""
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    (root / "mutants").mkdir()
    (root / "sums.py").write_text(SUM)
    (root / "tests" / "test_sum.py").write_text(
        "import sums\n\n\ndef test_sum():\n    assert sums.add(2, 2) == 4\n"
    )
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    monkeypatch.setattr(mutants, "ROOT", root)
    monkeypatch.setattr(mutants, "FOLDER", root / "mutants")
    return root


def plant(project: Path, replacement: str, head: str = RULE) -> None:
    (project / "mutants" / "sum.patch").write_text(head + DIFF.format(replacement))


def test_a_noticed_mutant_passes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(project, "a - b")
    assert mutants.main([]) == 0
    assert "1 of 1 noticed" in capsys.readouterr().out
    assert "a + b" in (project / "sums.py").read_text()


def test_an_unnoticed_mutant_fails(project: Path) -> None:
    plant(project, "b + a")
    assert mutants.main([]) == 1


def test_code_that_does_not_even_import_is_no_proof(project: Path) -> None:
    plant(project, "((")
    assert mutants.main([]) == 1


def test_a_test_that_is_red_anyway_is_no_proof(project: Path) -> None:
    plant(project, "a - b")
    (project / "sums.py").write_text(SUM + "\n\nadd = None\n")
    assert mutants.main([]) == 1


def test_a_patch_that_no_longer_fits_is_found(project: Path) -> None:
    plant(project, "a - b")
    assert mutants.main(["--check"]) == 0
    (project / "sums.py").write_text("def add(a: int, b: int) -> int:\n    return sum((a, b))\n")
    assert mutants.main(["--check"]) == 1


def test_a_test_that_is_gone_is_found(project: Path) -> None:
    plant(project, "a - b", RULE.replace("test_sum\n", "test_product\n"))
    assert mutants.main(["--check"]) == 1


def test_a_patch_names_its_rule_and_test(project: Path) -> None:
    plant(project, "a - b", "rule: nameless\n\n")
    with pytest.raises(ValueError, match="at least one test"):
        mutants.main(["--check"])
