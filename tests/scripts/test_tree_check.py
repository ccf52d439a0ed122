"""The gate over the tree finds what is planted, and lets pass what belongs there."""

from __future__ import annotations

import pytest

from scripts import tree_check

SLASH = "/"  # keeps the samples below from being findings themselves
AT = "@"


@pytest.mark.parametrize(
    "line",
    [
        f"home = {SLASH}root/project",
        f"see {SLASH}home/wang/notes.txt",
        f"'{SLASH}Users/li/x'",
        f"open({SLASH}work/main)",
        f"{SLASH}tmp/build1/out",
    ],
)
def test_a_path_of_one_machine_is_found(line: str) -> None:
    assert tree_check.in_text(line) == ["path of one machine"]


@pytest.mark.parametrize(
    "host", ["registry.somewhere.io", "files.pythonhosting.org", "203.0.113.9", "git.corp.cn"]
)
def test_a_foreign_host_is_found(host: str) -> None:
    assert tree_check.in_text(f"index = https:/{SLASH}{host}{SLASH}simple") == [
        f"host {host} is not among those that we name"
    ]


def test_a_persons_address_and_a_private_key_are_found() -> None:
    assert tree_check.in_text(f"by wang{AT}bank.com.cn") == ["an address at bank.com.cn"]
    assert tree_check.in_text("-----BEGIN EC " + "PRIVATE KEY-----") == ["private key"]


@pytest.mark.parametrize(
    "line",
    [
        "http://127.0.0.1:8080/v1/healthz",
        "http://localhost/x http://[::1]:80/ http://node-1:26657",
        "https://bank.example/log https://a.example.org",
        "https://www.rfc-editor.org/rfc/rfc9162",
        "<home>/keys/act.json",
        "contact: clerk" + AT + "court.example",
    ],
)
def test_what_a_document_may_name_passes(line: str) -> None:
    assert tree_check.in_text(line) == []


@pytest.mark.parametrize(("licence", "refused"), [
    ("GPL-3.0-only", True),
    ("AGPL-3.0", True),
    ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
    ("LGPL-3.0-or-later", False),
    ("GNU Lesser General Public License v2", False),
    ("MIT", False),
    ("MPL-2.0", False),
])  # fmt: skip
def test_copyleft_is_told_from_the_rest(licence: str, refused: bool) -> None:
    assert tree_check.copyleft(licence) is refused


def test_a_requirement_is_named_as_in_the_lock() -> None:
    names = ["web3>=8", "uvloop>=0.22; platform_system != 'Windows'", "Py_Solc-X >= 2", "halmos"]
    assert [tree_check.requirement_name(name) for name in names] == ["web3", "uvloop", "py-solc-x", "halmos"]
