"""Signing by our own hand gives what the common library gives, and keys stay where they belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import SignerUnusable
from chain.signer import RelayerKey, load_relayer, load_relayers
from chain.transactions import Call, gas_limit, sign, sign_filler

SECRET = bytes(range(1, 33))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@settings(max_examples=60, deadline=None)
@given(
    secret=st.integers(1, ORDER - 1),
    chain_id=st.integers(1, 2**53),
    nonce=st.integers(0, 2**64 - 2),
    gas=st.integers(21_000, 2**40),
    price=st.integers(0, 2**90),
    value=st.integers(0, 2**100),
    to=st.one_of(st.none(), st.binary(min_size=20, max_size=20)),
    data=st.binary(max_size=300),
)
def test_raw_bytes_and_hash_are_the_common_librarys(
    secret: int,
    chain_id: int,
    nonce: int,
    gas: int,
    price: int,
    value: int,
    to: bytes | None,
    data: bytes,
) -> None:
    raw_secret = secret.to_bytes(32, "big")
    key = RelayerKey.from_secret("k", raw_secret)
    ours = sign(key, Call(to, data, value), chain_id=chain_id, nonce=nonce, gas=gas, gas_price=price)
    theirs = Account.from_key(raw_secret).sign_transaction(
        {
            "chainId": chain_id,
            "nonce": nonce,
            "gas": gas,
            "gasPrice": price,
            "to": b"" if to is None else to,
            "value": value,
            "data": data,
        }
    )
    assert ours.raw == bytes(theirs.raw_transaction)
    assert ours.hash == bytes(theirs.hash)
    assert key.address.hex() == Account.from_key(raw_secret).address[2:].lower()


def test_a_filler_sends_nothing_to_oneself() -> None:
    key = RelayerKey.from_secret("k", SECRET)
    filler = sign_filler(key, chain_id=5, nonce=9, gas_price=1)
    assert Account.recover_transaction(filler.raw)[2:].lower() == key.address.hex()
    assert key.address in filler.raw


def test_where_a_revert_costs_the_limit_the_margin_is_small() -> None:
    assert gas_limit(100_000, revert_costs_limit=True) == 105_000
    assert gas_limit(100_000, revert_costs_limit=False) == 125_000
    assert gas_limit(21_000, revert_costs_limit=True) == 24_000


def test_a_secret_is_in_no_text() -> None:
    key = RelayerKey.from_secret("k", SECRET)
    assert SECRET.hex() not in repr(key) + str(key)


def test_key_files_are_refused_unless_private_whole_and_of_the_right_kind(tmp_path: Path) -> None:
    good = tmp_path / "good.key"
    good.write_text("0x" + SECRET.hex() + "\n")
    good.chmod(0o600)
    as_json = tmp_path / "json.json"
    as_json.write_text(json.dumps({"kind": "secp256k1", "private": SECRET.hex()}))
    as_json.chmod(0o600)
    assert load_relayer(good).address == load_relayer(as_json).address
    with pytest.raises(SignerUnusable):
        load_relayers([good, as_json])  # one sender, two lanes
    for name, text, mode in (
        ("open", SECRET.hex(), 0o644),
        ("short", SECRET.hex()[2:], 0o600),
        ("zero", "00" * 32, 0o600),
        ("order", f"{ORDER:064x}", 0o600),
        ("word", "not hex at all", 0o600),
        ("other", json.dumps({"kind": "ed25519", "private": SECRET.hex()}), 0o600),
        ("list", "{}", 0o600),
    ):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        with pytest.raises(SignerUnusable) as caught:
            load_relayer(path)
        assert SECRET.hex() not in str(caught.value)
    with pytest.raises(SignerUnusable):
        load_relayer(tmp_path / "nowhere")
