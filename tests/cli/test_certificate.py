"""`caseledger certificate` as a person and as a script meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence.local_authority import LocalAuthority
from tests.support.certificates import CHECK_URL, attached
from tests.support.world import AT, CONTENT, World

COMMAND = [str(Path(sys.executable).with_name("caseledger"))]
WORLD = World(version=2, witnesses=1)
GOOD = WORLD.attested()
Run = Callable[..., subprocess.CompletedProcess[str]]
BASE = ("--trust", "trust.cltrust", "--at", AT, "--out", "out")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trust.cltrust").write_bytes(WORLD.trust)
    for name, receipt, content in (
        ("good", GOOD, CONTENT), ("reduced", WORLD.receipt, CONTENT), ("bad", GOOD, CONTENT + b"!"),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "合同.pdf").write_bytes(content)
        (tmp_path / name / "合同.pdf.clr").write_bytes(receipt)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CASELEDGER_HOME": str(folder / "home")}
        for name in ("CASELEDGER_LANG", "CASELEDGER_CHECK_URL"):
            environment.pop(name, None)
        return subprocess.run(
            [*COMMAND, "certificate", *map(str, arguments)],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return command


def test_a_good_receipt_gets_both_forms_and_exit_0(run: Run, folder: Path) -> None:
    done = run("good/合同.pdf.clr", *BASE, "--json", "--check-url", CHECK_URL)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["result"], said["entries"], said["signedBy"]) == ("VALID", 1, None)
    pdf, html = (folder / said[name] for name in ("pdf", "html"))
    assert attached(pdf.read_bytes())["合同.pdf.clr"] == (GOOD, "/Data")
    shown = html.read_text("utf-8")
    assert "合同.pdf" in shown
    assert f"{CHECK_URL}#{said['code']}" in shown
    assert 'lang="en"' in shown
    assert "未加盖电子签名" in shown
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted((pdf.name, html.name))


def test_reduced_trust_exits_10_and_is_said(run: Run, folder: Path) -> None:
    done = run("reduced", *BASE, "--lang", "en")
    assert done.returncode == 10, done.stderr
    assert done.stdout.startswith("VALID_REDUCED_TRUST")
    shown = next((folder / "out").glob("*.html")).read_text("utf-8")
    assert "verified with reduced trust" in shown
    assert "核验通过" not in shown


def test_an_invalid_receipt_exits_20_with_a_report_and_no_certificate(run: Run, folder: Path) -> None:
    done = run("good/合同.pdf.clr", "bad", *BASE)
    assert done.returncode == 20
    assert done.stdout.startswith("未出具证书：2 份收据中有 1 份")
    assert "文件与存证时不同" in done.stdout
    assert not (folder / "out").exists()
    said = json.loads(run("good/合同.pdf.clr", "bad", *BASE, "--json").stdout)
    assert said["certificate"] is None
    assert [row["result"] for row in said["results"]] == ["INVALID"]


def test_outside_the_trust_files_window_exits_30(run: Run, folder: Path) -> None:
    assert run("good", *BASE[:2], "--at", AT + 10**9, "--out", "out").returncode == 30
    assert not (folder / "out").exists()


def test_a_signature_needs_its_parts_and_is_made(run: Run, folder: Path) -> None:
    LocalAuthority.open(folder / "tsa", "TSA")
    assert run("--new-key", "key", "--name", "某市中心").returncode == 0
    assert run("--new-key", "key").returncode == 2
    signing = ("--sign", "key/key.pem", "--certificate", "key/certificate.pem")
    assert run("good", *BASE, *signing).returncode == 2
    assert run("good", *BASE, "--time-authority", "tsa").returncode == 2
    assert run("good", *BASE, *signing, "--time-authority", "nowhere").returncode == 1
    assert not (folder / "out").exists()
    done = run("good", *BASE, *signing, "--time-authority", "tsa", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["signedBy"] == "某市中心"
    made = (folder / json.loads(done.stdout)["pdf"]).read_bytes()
    assert b"/ETSI.CAdES.detached" in made


@pytest.mark.parametrize(
    "url", ["ftp://x", "javascript:alert(1)", "https://u:p@x/", "https://x/#y", "https://例/", "x"]
)
def test_a_strange_address_is_refused(run: Run, url: str) -> None:
    done = run("good", *BASE, "--check-url", url)
    assert done.returncode == 2
    assert "--check-url" in done.stderr


def test_files_that_do_not_match_the_receipts_are_refused(run: Run) -> None:
    assert run("good/合同.pdf.clr", *BASE, "--file", "a", "--file", "b").returncode == 2
    assert run(*BASE).returncode == 2
    assert run("trust.cltrust.nothing", *BASE).returncode == 2


def test_the_page_digest_is_given(run: Run, folder: Path) -> None:
    (folder / "page.html").write_text("x")
    assert run("good", *BASE, "--check-page", "page.html", "--lang", "zh").returncode == 0
    shown = next((folder / "out").glob("*.html")).read_text("utf-8")
    assert "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" in shown


def test_verify_does_not_load_what_certificates_need() -> None:
    code = (
        "import cli.verify, cli.certificate, sys;"
        " print([m for m in ('typst', 'pyhanko', 'segno', 'httpx') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
