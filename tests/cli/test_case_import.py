"""The import as a person at a bank meets it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from agent.keys import KeyLabel, X25519Key, new_key, save_key
from cli import samples_cases
from cli.main import main
from protocol.case_totals import BatchTotals
from tests.support.intake import good, write_csv, write_xlsx

HOLDER = 12


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    save_key(new_key("secp256k1", KeyLabel("act", "act", 7)), home / "keys")
    holder = new_key("x25519", KeyLabel("holder", "content", HOLDER))
    assert isinstance(holder, X25519Key)
    (home / "agent").mkdir()
    (home / "agent" / "hpke-pins.json").write_text(json.dumps({str(HOLDER): holder.public_key.hex()}))
    return home


def run(capsys: pytest.CaptureFixture[str], home: Path, *arguments: object, code: int = 0) -> str:
    capsys.readouterr()
    lang = [] if "--lang" in arguments else ["--lang", "zh"]
    found = main(["case", *map(str, arguments), "--home", str(home), *lang])
    printed = capsys.readouterr()
    assert found == code, printed.err
    return printed.out + printed.err


def test_preview_confirm_and_again(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2, phone="x")], "gb18030")
    text = run(capsys, home, "import", path, "--rows", 2, "--sum", "20469.12", code=3)
    for expected in (
        "可导入 1 行",
        "有错 1 行",
        "phone-format",
        "声明与实际一致",
        "尚未写入任何内容",
        "a.errors.csv",
    ):
        assert expected in text
    for secret in (good(1)["identity_no"], good(1)["phone"], good(1)["debtor_name"], good(1)["address"]):
        assert secret not in text
    assert "[phone-format]" in (tmp_path / "a.errors.csv").read_bytes().decode("gb18030")
    assert run(capsys, home, "batch", "list") == ""
    text = run(capsys, home, "import", path, "--confirm", "--to", HOLDER, "--lang", "en", code=3)
    assert "1 cases sealed" in text
    assert "not sent" in text
    assert "没有新的行" in run(capsys, home, "import", path, "--confirm", "--to", HOLDER, code=3)
    assert "READY  1/1" in run(capsys, home, "batch", "list")
    proof = json.loads(run(capsys, home, "batch", "proof", "@JK-2025-0001"))
    assert (proof["index"], proof["size"], proof["path"]) == (0, 1, [])
    shown = json.loads(run(capsys, home, "batch", "show", proof["batch"][:12]))
    assert shown["root"] == proof["root"]
    assert json.loads(run(capsys, home, "batch", "show", proof["root"])) == shown
    run(capsys, home, "batch", "drop", proof["batch"][:12])
    assert run(capsys, home, "batch", "list") == ""


def test_json_says_the_same_without_a_person(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [good(1), good(2, phone="x")])
    found: dict[str, Any] = json.loads(run(capsys, home, "import", path, "--json", code=3))
    assert (found["rows"], found["new"], found["defective"]) == (2, 1, 1)
    assert found["defects"] == {"phone-format": 1}
    assert found["batch"] is None
    assert good(1)["identity_no"] not in json.dumps(found)
    confirmed = json.loads(run(capsys, home, "import", path, "--json", "--confirm", "--to", HOLDER, code=3))
    assert len(confirmed["root"]) == 64


def test_a_saved_mapping_is_used(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1, product="尊享卡")])
    path.write_bytes(path.read_bytes().replace("合同编号".encode(), "流水号".encode()))
    assert "ColumnsMissing" in run(capsys, home, "import", path, code=1)
    run(capsys, home, "mapping", "bank", "--set", "contract_no=流水号", "--product", "尊享卡=credit-card")
    assert "可导入 1 行" in run(capsys, home, "import", path, "--mapping", "bank")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--rows", "3"], "DeclaredMismatch"),
        (["--sum", "1.00"], "DeclaredMismatch"),
        (["--sum", "x"], "ArgumentRefused"),
        (["--as-of", "x"], "ArgumentRefused"),
        (["--mapping", "nothing"], "MappingInvalid"),
        (["--encoding", "gb18030"], "EncodingMismatch"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str
) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2)])
    found = main(["case", "import", str(path), "--confirm", "--to", "12", "--home", str(home), *arguments])
    assert found != 0
    assert code in capsys.readouterr().err
    assert run(capsys, home, "batch", "list") == ""


def test_a_recipient_is_needed_and_must_be_pinned(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1)])
    assert "RecipientUnknown" in run(capsys, home, "import", path, "--confirm", code=1)
    assert "RecipientUnknown" in run(capsys, home, "import", path, "--confirm", "--to", 13, code=1)
    (home / "caseledger.toml").write_text(f"[agent]\nintake_to = [{HOLDER}]\n")
    assert "已封存 1 件" in run(capsys, home, "import", path, "--confirm")


def test_a_mismatch_shows_in_the_preview(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1)])
    assert "与声明不一致" in run(capsys, home, "import", path, "--rows", 2, code=3)


def test_the_template_is_written_and_refused_while_empty(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.xlsx"
    run(capsys, home, "template", "--out", path)
    assert "FileEmpty" in run(capsys, home, "import", path, code=1)
    assert "没有未完成的批次" in run(capsys, home, "import", "--resume")
    assert "ArgumentRefused" in run(capsys, home, "import", code=2)


def test_a_batch_waits_for_a_gateway_and_its_totals_are_at_hand(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "没有待发送的批次" in run(capsys, home, "batch", "send")
    path = write_csv(tmp_path / "a.csv", [good(1), good(2)])
    made = json.loads(run(capsys, home, "import", path, "--json", "--confirm", "--to", HOLDER))
    assert "ArgumentRefused" in run(capsys, home, "batch", "send", code=2)
    assert "ArgumentRefused" in run(capsys, home, "row", "00" * 32, code=2)
    assert "READY  2/2" in run(capsys, home, "batch", "list")
    out = tmp_path / "totals.cbor"
    text = run(capsys, home, "batch", "totals", made["batch"][:12], "--out", out)
    totals = BatchTotals.parse(out.read_bytes())
    assert totals.commitment.hex() in text
    assert (totals.root.hex(), totals.count, totals.total) == (made["root"], 2, 2_046_912)
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("today", [datetime.date(2026, 11, 30), datetime.date(2024, 2, 29)])
def test_the_demo_list_has_seven_defects_of_seven_kinds(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], today: datetime.date
) -> None:
    path = samples_cases.write(tmp_path / "list.csv", today, "A")
    found = json.loads(run(capsys, home, "import", path, "--as-of", today, "--json", "--quiet", code=3))
    assert (found["rows"], found["new"], found["defective"]) == (200, 193, 7)
    assert len(found["defects"]) == 7
    other = samples_cases.write(tmp_path / "other.csv", today, "B")
    assert not set(other.read_bytes().split(b"\r\n")[1:-1]) & set(path.read_bytes().split(b"\r\n")[1:-1])
