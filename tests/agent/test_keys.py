"""Key files: owner only, never overwritten, never believed where they contradict themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent import keys
from agent.keys import KeyLabel, Secp256k1Key, load_key, new_key, save_key
from protocol.acts import recover
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import keccak256


def make(folder: Path, kind: str = "secp256k1", name: str = "bank-act") -> Path:
    return save_key(new_key(kind, KeyLabel(name, "act", 3)), folder)


@pytest.mark.parametrize("kind", keys.KINDS)
def test_a_saved_key_loads_again(tmp_path: Path, kind: str) -> None:
    key = new_key(kind, KeyLabel("k", "act", 3))
    path = save_key(key, tmp_path / "keys")
    assert load_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert keys.list_keys(tmp_path / "keys") == [key]


def test_the_private_part_is_not_shown(tmp_path: Path) -> None:
    key = load_key(make(tmp_path))
    assert key.private.hex() not in repr(key)
    assert repr(key.private) not in repr(key)


def test_signing_gives_the_one_accepted_form(tmp_path: Path) -> None:
    key = keys.load_secp256k1(make(tmp_path))
    for n in range(20):
        digest = keccak256(bytes([n]))
        assert recover(digest, key.sign_digest(digest)) == key.address
    with pytest.raises(MalformedInput):
        key.sign_digest(b"short")


def test_a_key_is_never_written_over_another(tmp_path: Path) -> None:
    path = make(tmp_path)
    before = path.read_bytes()
    with pytest.raises(keys.KeyFileExists):
        make(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666, 0o601])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = make(tmp_path)
    path.chmod(mode)
    with pytest.raises(keys.KeyFileExposed):
        load_key(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(keys.KeyFileUnreadable):
        load_key(tmp_path / "none.json")


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "a/b", ".x", "x" * 65])
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    with pytest.raises(MalformedInput):
        KeyLabel(name, "act", 1)


BROKEN: dict[str, dict[str, object]] = {
    "address of another key": {"address": "0x" + "11" * 20},
    "private zero": {"private": "00" * 32},
    "private over the order": {"private": "ff" * 32},
    "private short": {"private": "11" * 31},
    "unknown kind": {"kind": "rsa"},
    "kind of another form": {"kind": "ed25519"},
    "organisation zero": {"organisation": 0},
    "organisation text": {"organisation": "3"},
    "unknown member": {"password": "x"},
    "name as a number": {"name": 3},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, name: str) -> None:
    path = make(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **BROKEN[name]}))
    with pytest.raises(MalformedInput):
        load_key(path)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b" " * 5000, b'{"private":"' + b"1" * 64])
def test_noise_is_refused_without_quoting_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "k.json"
    path.write_bytes(data)
    os.chmod(path, 0o600)
    with pytest.raises(CaseledgerError) as caught:
        load_key(path)
    assert "1" * 64 not in str(caught.value)


def test_a_key_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    secp, ed = make(tmp_path, name="a"), make(tmp_path, "ed25519", "b")
    x = make(tmp_path, "x25519", "c")
    assert isinstance(keys.load_secp256k1(secp), Secp256k1Key)
    assert keys.load_ed25519(ed).kind == "ed25519"
    assert keys.load_x25519(x).kind == "x25519"
    for load, path in (
        (keys.load_secp256k1, ed),
        (keys.load_ed25519, x),
        (keys.load_x25519, secp),
        (keys.load_mldsa44, ed),
    ):
        with pytest.raises(keys.KeyKindMismatch):
            load(path)
    with pytest.raises(MalformedInput):
        new_key("rsa", KeyLabel("k", "act"))
