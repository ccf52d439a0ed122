"""The COSE Receipt: read by an independent library, and refused where anything of it is changed."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from scitt_cose import verify_receipt  # type: ignore[import-untyped]

from protocol.errors import CaseledgerError
from protocol.hashing import SHA256
from tests.support.fakechain import ed25519
from tests.support.world import World
from verifier.receipt import Receipt
from verifier.views.cose_receipt import cose_receipt, verify_cose_receipt
from verifier.views.errors import CoseReceiptMismatch, CoseSignatureInvalid, ViewNotPossible


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@cache
def world() -> World:
    return World()


@cache
def made() -> bytes:
    return cose_receipt(world().core, public(world().log_key), world().log_key.sign)


def test_an_independent_library_accepts_it() -> None:
    result = verify_receipt(
        made(), leaf_entry_hex=world().core.leaf.hex(), log_public_key_pem=pem(world().log_key)
    )
    assert result.errors == []
    assert result.ok
    assert result.root == world().link.root_sha256.hex()
    assert (result.tree_size, result.leaf_index) == (world().link.size, world().index)
    assert result.issuer == world().origin
    assert result.subject == SHA256.leaf(world().core.leaf).hex()


def test_the_independent_library_refuses_another_leaf_and_another_key() -> None:
    other = verify_receipt(made(), leaf_entry_hex=bytes(112).hex(), log_public_key_pem=pem(world().log_key))
    assert not other.ok
    stranger = verify_receipt(
        made(), leaf_entry_hex=world().core.leaf.hex(), log_public_key_pem=pem(ed25519("stranger"))
    )
    assert stranger.failed_at == "signature"


def test_our_own_check_accepts_it_and_tells_what_is_wrong() -> None:
    key = public(world().log_key)
    verify_cose_receipt(made(), world().core, key)
    with pytest.raises(CoseSignatureInvalid):
        verify_cose_receipt(made()[:-1] + bytes([made()[-1] ^ 1]), world().core, key)
    with pytest.raises(CoseReceiptMismatch):
        verify_cose_receipt(made(), World(index=7).core, key)
    with pytest.raises(CoseReceiptMismatch):
        verify_cose_receipt(made(), world().core, public(ed25519("stranger")))


def test_a_checkpoint_signature_is_no_cose_signature() -> None:
    signed = world().log_key.sign(world().checkpoint().text())
    with pytest.raises(CoseSignatureInvalid):
        cose_receipt(world().core, public(world().log_key), lambda message: signed)


def test_a_link_with_another_root_is_not_signed() -> None:
    core = world().core
    wrong = dataclasses.replace(core, link=dataclasses.replace(core.link, root_sha256=bytes(32)))
    with pytest.raises(CoseReceiptMismatch):
        cose_receipt(wrong, public(world().log_key), world().log_key.sign)


def test_a_tree_of_one_leaf_has_no_such_view() -> None:
    core = world().core
    alone = dataclasses.replace(core, inclusion=dataclasses.replace(core.inclusion, index=0, path_sha256=()))
    with pytest.raises(ViewNotPossible):
        cose_receipt(alone, public(world().log_key), world().log_key.sign)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_is_accepted_by_us(at: int, flip: int) -> None:
    data = bytearray(made())
    data[at % len(data)] ^= flip
    with pytest.raises(CaseledgerError):
        verify_cose_receipt(bytes(data), world().core, public(world().log_key))


def test_it_comes_from_the_receipt_file_alone_and_is_the_same_each_time() -> None:
    core = Receipt.parse(world().receipt).core
    assert cose_receipt(core, public(world().log_key), world().log_key.sign) == made()
