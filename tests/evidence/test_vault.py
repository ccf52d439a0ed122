"""Bodies at rest open only under their key and for their entry; the key file is guarded."""

from __future__ import annotations

import hmac
import json
import secrets
from pathlib import Path

import pytest

from evidence.errors import BodyUnreadable, VaultUnreadable
from evidence.vault import Vault

NONCE, BINDING = b"\x01" * 12, b"\x02" * 32


def test_a_sealed_body_opens_only_unchanged_for_its_entry_under_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vault.json"
    vault = Vault.open(path, create=True)
    sealed = vault.seal(b"body", NONCE, BINDING)
    assert b"body" not in sealed
    assert Vault.open(path).unseal(sealed, BINDING) == b"body"
    with pytest.raises(BodyUnreadable):
        vault.unseal(sealed, b"\x03" * 32)
    with pytest.raises(BodyUnreadable):
        Vault.generate().unseal(sealed, BINDING)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(BodyUnreadable):
            vault.unseal(bytes(changed), BINDING)
    for length in range(len(sealed)):
        with pytest.raises(BodyUnreadable):
            vault.unseal(sealed[:length], BINDING)


def test_a_new_epoch_seals_anew_and_opens_what_was(tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    before = Vault.open(path, create=True).seal(b"old", NONCE, BINDING)
    assert Vault.rotate(path) == 2
    vault = Vault.open(path)
    after = vault.seal(b"new", NONCE, BINDING)
    assert (before[:4], after[:4]) == (b"\0\0\0\1", b"\0\0\0\2")
    assert vault.unseal(before, BINDING) == b"old"
    keys = json.loads(path.read_text())
    del keys["epochs"]["1"]
    path.write_text(json.dumps(keys))
    with pytest.raises(BodyUnreadable):
        Vault.open(path).unseal(before, BINDING)


def test_a_tag_is_a_keyed_hash(tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    vault = Vault.open(path, create=True)
    key = bytes.fromhex(json.loads(path.read_text())["index"])
    digest = secrets.token_bytes(32)
    assert vault.tag(digest) == hmac.digest(key, digest, "sha256")[:8]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"version":2}',
        '{"version":1,"index":"00","current":1,"epochs":{"1":"00"}}',
        "x" * 70_000,
    ],
)
def test_a_damaged_or_missing_key_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vault.json"
    with pytest.raises(VaultUnreadable):
        Vault.open(path)
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(VaultUnreadable):
        Vault.open(path)


def test_a_key_file_open_to_others_is_refused_and_made_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    Vault.open(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(VaultUnreadable):
        Vault.open(path)
