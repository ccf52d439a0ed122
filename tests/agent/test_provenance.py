"""From a person's TOML to a statement: refused by name, the same again after a kill."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agent.adding import Options, add_files
from agent.errors import ArgumentRefused, FileNotReadable
from agent.journal import Journal
from agent.provenance import keep_beside, own_program, read_statement, statement_of
from protocol.entry import Body, EvidenceClass
from protocol.provenance import Provenance, provenance_digest

GOOD = """
source_system = "核心业务系统"
generating_event = "客户签署"
generated_at = 2026-03-01T09:30:00+08:00
mechanism = "正常经营中自动生成"
extraction = "按合同号导出"
transfer = ["影像平台", "存证前置机"]
original = "档案库"
form = "scanned"
[environment]
what = "完整性检查"
passed = true
at = 2026-03-01T09:31:00+08:00
"""


def test_every_member_reaches_the_statement(tmp_path: Path) -> None:
    made = read_statement(GOOD.encode(), tmp_path)
    assert made.missing == ()
    assert made.generated_at == 1_772_328_600
    assert (made.transfer, made.form) == (("影像平台", "存证前置机"), "scanned")
    assert made.collector == own_program()


def test_a_collector_s_program_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"program")
    text = GOOD + '[collector]\nname = "t"\nversion = "2"\nprogram = "tool"\n'
    made = read_statement(text.encode(), tmp_path)
    assert made.collector is not None
    assert made.collector.sha256 == hashlib.sha256(b"program").digest()
    with pytest.raises(FileNotReadable):
        read_statement(text.replace('"tool"', '"gone"').encode(), tmp_path)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("source_system = 5", "source_system"),
        ("sauce = 'x'", "provenance"),
        ("= broken", "provenance"),
        ("generated_at = 2026-03-01T09:30:00", "generated_at"),
        ("transfer = 'x'", "transfer"),
        ("[environment]\nwhat = 'x'", "environment"),
        ("[collector]\nname = 'x'", "version"),
        ("[collector]\nnick = 'x'", "collector"),
    ],
)
def test_a_mistake_is_named_and_is_a_usage_error(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(ArgumentRefused) as caught:
        read_statement(text.encode(), tmp_path)
    assert (caught.value.field, caught.value.exit_code) == (field, 2)


def test_the_same_file_says_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(GOOD)
    first = statement_of(path, tmp_path / "home")
    assert statement_of(path, tmp_path / "home") == first
    assert statement_of(path, tmp_path / "other") != first


def test_entries_carry_the_digest_and_the_statement_is_no_evidence_itself(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(b"a")
    path = tmp_path / "p.toml"
    path.write_text(GOOD)
    statement = statement_of(path, tmp_path / "home")
    digest = provenance_digest(statement)
    kept = keep_beside(statement, folder)
    assert Provenance.parse(kept.read_bytes()).form == "scanned"
    with Journal(tmp_path / "j.db") as journal:
        options = Options(journal.case("c"), EvidenceClass.CONTRACT, 5, provenance=digest)
        numbers = add_files([folder], journal, options).numbers
        bodies = [Body.parse(journal.entry(number).body) for number in numbers]
    assert [body.provenance for body in bodies] == [digest]
