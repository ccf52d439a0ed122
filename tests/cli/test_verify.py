"""`caseledger verify` as a person and as a script meet it; the command itself, in its own process."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.verify import BadArgument, pairs, parse_time, printable
from tests.support.custody_world import CustodyWorld
from tests.support.world import AT, CASE_ID, CONTENT, LINK_TIME, World, signed

COMMAND = [str(Path(sys.executable).with_name("caseledger"))]
WORLD = World()
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trust.cltrust").write_bytes(WORLD.trust)
    (tmp_path / "合同.pdf").write_bytes(CONTENT)
    (tmp_path / "合同.pdf.clr").write_bytes(WORLD.receipt)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    def command(*arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CASELEDGER_HOME": str(folder / "home")}
        environment.pop("CASELEDGER_LANG", None)
        return subprocess.run(
            [*prefix, *COMMAND, *map(str, arguments)],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return command


BASE = ("--trust", "trust.cltrust", "--at", AT)


def test_a_good_receipt_exits_0_and_says_what_was_not_checked(run: Run) -> None:
    done = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--case", CASE_ID.hex(), "--explain")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VALID  核验通过")
    assert "没有核验" in done.stdout
    assert WORLD.core.link.root_sha256.hex() in done.stdout
    assert "不说明内容是否真实" in done.stdout
    english = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--lang", "en")
    assert english.stdout.startswith("VALID  verified")
    assert "does not say" in english.stdout


def test_a_changed_file_exits_20_and_is_named(run: Run, folder: Path) -> None:
    (folder / "合同.pdf").write_bytes(CONTENT[:-1] + b"!")
    done = run("verify", "合同.pdf.clr", "合同.pdf", *BASE)
    assert done.returncode == 20
    assert "改动之处：文件与存证时不同" in done.stdout


def test_a_changed_receipt_exits_20_and_is_named(run: Run, folder: Path) -> None:
    data = bytearray(WORLD.receipt)
    data[WORLD.receipt.index(WORLD.core.link.root_sm3)] ^= 1
    (folder / "合同.pdf.clr").write_bytes(data)
    done = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--lang", "en")
    assert done.returncode == 20
    assert "the receipt was changed" in done.stdout
    assert "unproved" in done.stdout


def test_a_changed_trust_file_exits_20_and_is_named(run: Run, folder: Path) -> None:
    data = bytearray(WORLD.trust)
    data[-1] ^= 1
    (folder / "trust.cltrust").write_bytes(data)
    done = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--json")
    assert done.returncode == 20
    assert json.loads(done.stdout)["changed"] == "trust-file"


def test_reduced_trust_exits_10(run: Run, folder: Path) -> None:
    (folder / "trust.cltrust").write_bytes(World(to_height=4712).trust)
    done = run("verify", "合同.pdf.clr", *BASE, "--json")
    assert done.returncode == 10
    report = json.loads(done.stdout)
    assert (report["result"], report["missing"]) == ("VALID_REDUCED_TRUST", ["ClosedEpoch"])


def test_what_cannot_be_decided_exits_30(run: Run) -> None:
    done = run("verify", "合同.pdf.clr", "--trust", "trust.cltrust", "--at", LINK_TIME)
    assert done.returncode == 30


USAGE: dict[str, tuple[object, ...]] = {
    "no receipt named": ("verify",),
    "absent receipt": ("verify", "none.clr", *BASE),
    "absent file": ("verify", "合同.pdf.clr", "none.pdf", *BASE),
    "absent trust file": ("verify", "合同.pdf.clr", "--trust", "none"),
    "no trust file held": ("verify", "合同.pdf.clr"),
    "time without a zone": ("verify", "合同.pdf.clr", *BASE, "--at", "2026-01-01"),
    "case of another length": ("verify", "合同.pdf.clr", *BASE, "--case", "ab"),
    "csv for one receipt": ("verify", "合同.pdf.clr", *BASE, "--csv", "x.csv"),
    "unknown option": ("verify", "合同.pdf.clr", *BASE, "--force"),
    "a file for a folder": ("verify", ".", "合同.pdf", *BASE),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage_errors_exit_2_and_print_no_verdict(run: Run, name: str) -> None:
    done = run(*USAGE[name])
    assert done.returncode == 2
    assert "VALID" not in done.stdout
    assert done.stderr


def test_quiet_prints_nothing(run: Run) -> None:
    done = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_empty_folder_is_not_a_success(run: Run, folder: Path) -> None:
    (folder / "empty").mkdir()
    assert run("verify", "empty", *BASE).returncode == 2


def test_a_folder_pairs_receipts_with_files_and_exits_with_the_worst(run: Run, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.pdf").write_bytes(CONTENT)
    (folder / "sub" / "a.pdf.0123456789abcdef.clr").write_bytes(WORLD.receipt)
    (folder / "sub" / "alone.pdf.clr").write_bytes(WORLD.receipt)
    good = run("verify", ".", *BASE, "--lang", "en")
    assert good.returncode == 0
    assert "3 receipts, 1 of them without a document" in good.stdout
    (folder / "sub" / "a.pdf").write_bytes(b"other")
    (folder / "=evil.clr").write_bytes(b"noise")
    bad = run("verify", ".", *BASE, "--csv", "out.csv", "--json")
    assert bad.returncode == 20
    summary = json.loads(bad.stdout)
    assert summary["summary"] == {"VALID": 2, "VALID_REDUCED_TRUST": 0, "INVALID": 2, "INDETERMINATE": 0}
    with open(folder / "out.csv", encoding="utf-8-sig", newline="") as source:
        rows = list(csv.DictReader(source))
    assert {(Path(row["receipt"]).name, row["changed"]) for row in rows} == {
        ("合同.pdf.clr", ""),
        ("a.pdf.0123456789abcdef.clr", "file"),
        ("alone.pdf.clr", ""),
        ("'=evil.clr", "receipt"),
    }


def test_one_unreadable_file_does_not_end_a_folder(run: Run, folder: Path) -> None:
    (folder / "gone.clr").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.clr")
    (folder / "b.pdf.clr").write_bytes(WORLD.receipt)
    (folder / "b.pdf").write_bytes(CONTENT)
    (folder / "b.pdf").chmod(0)
    done = run("verify", ".", *BASE, "--json")
    readable = os.access(folder / "b.pdf", os.R_OK)
    assert done.returncode == (0 if readable else 30)
    assert len(json.loads(done.stdout)["results"]) == 2


def test_documents_may_lie_in_another_folder(tmp_path: Path) -> None:
    receipts, documents = tmp_path / "r", tmp_path / "d"
    for path in (receipts / "x", documents / "x"):
        path.mkdir(parents=True)
    (receipts / "x" / "a.txt.clr").write_bytes(b"")
    (documents / "x" / "a.txt").write_bytes(b"")
    assert list(pairs(receipts, documents)) == [(receipts / "x" / "a.txt.clr", documents / "x" / "a.txt")]
    assert list(pairs(receipts, None)) == [(receipts / "x" / "a.txt.clr", None)]


def test_the_accepted_trust_file_is_the_default(run: Run) -> None:
    fingerprint = run("trust", "fingerprint", "trust.cltrust").stdout.strip()
    assert run("trust", "accept", "trust.cltrust", "--fingerprint", fingerprint).returncode == 0
    assert run("verify", "合同.pdf.clr", "合同.pdf", "--at", AT).returncode == 0


def test_a_trust_file_by_the_operator_alone_is_refused(run: Run, folder: Path) -> None:
    (folder / "trust.cltrust").write_bytes(signed(WORLD.payload, "centre"))
    done = run("verify", "合同.pdf.clr", *BASE, "--json")
    assert done.returncode == 20
    assert json.loads(done.stdout)["verdicts"][1]["code"] == "TrustQuorumMissing"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_network_call_is_made(run: Run, folder: Path) -> None:
    prefix = ("strace", "-f", "-qq", "-e", "trace=network,execve", "-e", "signal=none", "-o", "calls.txt")
    done = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--explain", prefix=prefix)
    if done.returncode != 0 and "ptrace" in done.stderr:
        pytest.skip("this machine does not let strace attach")
    assert done.returncode == 0, done.stderr
    # The first call starts the command itself; it starts nothing else and opens no socket.
    calls = (folder / "calls.txt").read_text().splitlines()
    assert len(calls) == 1, calls
    assert "execve(" in calls[0]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_strace_check_would_notice_a_call(folder: Path) -> None:
    opened = "import socket; socket.socket().close()"
    subprocess.run(
        ["strace", "-qq", "-e", "trace=network", "-o", folder / "calls.txt", sys.executable, "-c", opened],
        check=False,
        timeout=60,
    )
    calls = folder / "calls.txt"
    if not calls.exists():
        pytest.skip("this machine does not let strace attach")
    assert "socket(" in calls.read_text()


HEAVY = (
    "web3",
    "eth_abi",
    "eth_account",
    "httpx",
    "asyncpg",
    "fastapi",
    "cffi",
    "sqlite3",
    "asyncio",
    "socket",
)


def test_the_command_imports_nothing_heavy(folder: Path) -> None:
    probe = (
        "import sys; from cli.main import main; "
        f"code = main(['verify', '合同.pdf.clr', '--trust', 'trust.cltrust', '--at', '{AT}', '--quiet']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[] 0"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("1800000000", 1_800_000_000), ("2027-01-15T16:00:00+08:00", 1_800_000_000),
     ("2027-01-15T08:00:00Z", 1_800_000_000)],
)  # fmt: skip
def test_times(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "now", "-1", "2027-01-15", "2027-01-15T08:00:00", "1e9", "9" * 13])
def test_times_that_mean_nothing(text: str) -> None:
    with pytest.raises(BadArgument):
        parse_time(text)


WITNESSED = World(version=2, validators_named=False)


def test_attestations_are_told_in_words_and_in_json(run: Run, folder: Path) -> None:
    (folder / "合同.pdf.clr").write_bytes(WITNESSED.attested())
    (folder / "trust.cltrust").write_bytes(WITNESSED.trust)
    shown = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--explain")
    assert shown.returncode == 10
    for words in (
        "不晚于 2027-01-15 16:01:00（北京时间） 已存在（依据：见证方签名）",
        "没有可信的验证节点，只凭见证方签名",
        "附加证明 1（见证方签名）：计入  court.example/witness",
        "见证方签名成立（树、大小、名称、时间）：sm3, 13: ",
    ):
        assert words in shown.stdout, words
    english = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--explain", "--lang", "en")
    assert "existed not later than 2027-01-15 08:01:00 UTC (by witness cosignatures)" in english.stdout
    assert "attestation 0 (witness cosignatures): counts" in english.stdout
    document = json.loads(run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--json").stdout)
    assert [one["code"] for one in document["attestations"]] == ["Ok", "Ok"]
    assert document["facts"]["timeBy"] == "witness"
    assert "WitnessesOnly" in document["missing"]


def test_sha256_can_be_ignored(run: Run, folder: Path) -> None:
    (folder / "合同.pdf.clr").write_bytes(WITNESSED.attested())
    (folder / "trust.cltrust").write_bytes(WITNESSED.trust)
    ignored = run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--ignore", "sha256")
    assert ignored.returncode == 10
    assert "不依赖 SHA-256（按要求，或已到终止日）" in ignored.stdout
    (folder / "合同.pdf.clr").write_bytes(WITNESSED.attested(WITNESSED.witness()))
    assert run("verify", "合同.pdf.clr", "合同.pdf", *BASE, "--ignore", "sha256").returncode == 30
    assert run("verify", ".", *BASE, "--ignore", "sha256").returncode == 30
    assert run("verify", "合同.pdf.clr", *BASE, "--ignore", "sm3").returncode == 10
    assert run("verify", "合同.pdf.clr", *BASE, "--ignore", "md5").returncode == 2


def test_a_file_name_cannot_rewrite_the_terminal() -> None:
    assert printable("a\x1b[2K\rVALID\u202e.pdf") == "a?[2K?VALID?.pdf"


def test_a_custody_sheet_beside_the_receipt_is_verified_and_told(run: Run, folder: Path) -> None:
    world = CustodyWorld()
    (folder / "item.pdf.clr").write_bytes(world.item.receipt)
    (folder / "item.pdf.clc").write_bytes(world.sheet())
    (folder / "both.cltrust").write_bytes(world.trust)
    (folder / "last.clr").write_bytes(world.receipts[-1])
    base = ("verify", "item.pdf.clr", "--trust", "both.cltrust", "--at", AT)
    done = run(*base)
    assert done.returncode == 0, done.stderr
    assert "逐条相接，无缺漏" in done.stdout
    assert "保管流转 7 条" in done.stdout
    assert "原件现由机构 4 持有" in done.stdout
    assert run(*base, "--custody-event", "last.clr", "--lang", "en").returncode == 0
    late = run(*base, "--custody-since", AT, "--lang", "en")
    assert late.returncode == 10
    assert "older than asked for" in late.stdout
    (folder / "short.clc").write_bytes(world.sheet(world.receipts[:6]))
    bad = run(*base, "--custody", "short.clc")
    assert bad.returncode == 20
    assert "出示的条数与日志声明不同" in bad.stdout
    assert "保管流转单被改动" in bad.stdout
    assert "原件现由" not in bad.stdout
    assert run("verify", "合同.pdf.clr", *BASE, "--custody-since", "1").returncode == 2
    assert run("verify", ".", *BASE, "--custody", "short.clc").returncode == 2
