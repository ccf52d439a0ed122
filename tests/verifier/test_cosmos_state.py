"""Storage and code hash under an app hash: recorded proofs with the caller's own expectations."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CaseledgerError
from protocol.hashing import keccak256
from verifier.cometbft_rpc import signed_header_from_rpc_json, validators_from_rpc_json
from verifier.cosmos_state import (
    AccountProof,
    StoreProof,
    account_key,
    code_hash,
    parse_code_hash,
    storage_key,
    storage_word,
    store_root,
    verify_ics23_storage,
)
from verifier.errors import (
    CometAccountMalformed,
    CometChainIdMismatch,
    CometValidatorsHashMismatch,
    Ics23KeyMismatch,
    Ics23RootMismatch,
    Ics23ValueMismatch,
)
from verifier.proto import put_bytes, put_message, put_uint
from verifier.strict_json import Fields

RECORDED = json.loads((Path(__file__).parents[1] / "vectors" / "recorded" / "cometbft.json").read_text())
VECTORS = RECORDED["vectors"]


def ops(entry: dict[str, Any]) -> StoreProof:
    return StoreProof(*(base64.b64decode(op["data"]) for op in entry["ops"]))


def arguments(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "signed": signed_header_from_rpc_json(entry["signed_header"]),
        "validators": validators_from_rpc_json(Fields(entry)),
        "chain_id": "injective-777",
        "contract": bytes.fromhex(entry["contract"][2:]),
        "slot": bytes.fromhex(entry["slot"]),
        "storage": ops(entry["storage"]),
        "account": AccountProof(base64.b64decode(entry["account"]["value"]), ops(entry["account"])),
    }


def test_recorded_proofs_open_with_their_facts() -> None:
    for entry in VECTORS:
        proven = verify_ics23_storage(**arguments(entry))
        assert proven.height == entry["height"]
        assert proven.value == (bytes.fromhex(entry["value"]) if entry["value"] else None)
        assert proven.code_hash == keccak256(bytes.fromhex(RECORDED["runtime_code"]))
        assert proven.state_root.hex().upper() == entry["signed_header"]["header"]["app_hash"]
        assert proven.time == proven.time_ns // 10**9


def test_the_callers_expectations_rule() -> None:
    first, second = arguments(VECTORS[0]), arguments(VECTORS[1])
    cases: list[tuple[str, Any, type[CaseledgerError]]] = [
        ("chain_id", "injective-778", CometChainIdMismatch),
        ("contract", bytes(20), Ics23KeyMismatch),
        ("contract", bytes(19), Ics23KeyMismatch),
        ("slot", bytes(32), Ics23KeyMismatch),
        ("slot", bytes(31), Ics23KeyMismatch),
        ("validators", first["validators"][:3], CometValidatorsHashMismatch),
        ("storage", second["storage"], Ics23RootMismatch),
        ("signed", second["signed"], Ics23RootMismatch),
        ("account", second["account"], Ics23RootMismatch),
        ("account", replace(first["account"], value=b"forged"), Ics23ValueMismatch),
        ("account", replace(first["account"], proof=first["storage"]), Ics23KeyMismatch),
    ]
    for name, value, error in cases:
        with pytest.raises(error):
            verify_ics23_storage(**(first | {name: value}))


def test_store_roots_are_told_apart_by_their_name() -> None:
    given_ = arguments(VECTORS[0])
    app_hash = given_["signed"].header.app_hash
    evm = store_root(app_hash, "evm", given_["storage"].simple)
    acc = store_root(app_hash, "acc", given_["account"].proof.simple)
    assert evm != acc
    with pytest.raises(Ics23KeyMismatch):
        store_root(app_hash, "acc", given_["storage"].simple)
    assert storage_word(evm, given_["contract"], given_["slot"], given_["storage"].iavl) == b"\xab" * 32
    with pytest.raises(CaseledgerError):
        storage_word(acc, given_["contract"], given_["slot"], given_["storage"].iavl)
    record = given_["account"].value
    assert code_hash(acc, given_["contract"], record, given_["account"].proof.iavl) == parse_code_hash(record)


def test_keys_have_their_prefix() -> None:
    assert storage_key(bytes(20), bytes(32)) == b"\2" + bytes(52)
    assert account_key(bytes(20)) == b"\1" + bytes(20)
    with pytest.raises(Ics23KeyMismatch):
        account_key(bytes(32))


TYPE = b"/injective.types.v1beta1.EthAccount"
BASE = put_message(1, put_bytes(1, b"inj1"))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        put_bytes(1, TYPE),
        put_bytes(1, b"/cosmos.auth.v1beta1.BaseAccount") + put_bytes(2, BASE + put_bytes(2, bytes(32))),
        put_bytes(1, TYPE) + put_bytes(2, BASE + put_bytes(2, bytes(31))),
        put_bytes(1, TYPE) + put_bytes(2, BASE),
        put_bytes(1, TYPE) + put_bytes(2, BASE + put_bytes(2, bytes(32)) + put_uint(3, 1)),
        put_bytes(1, TYPE) + put_bytes(2, BASE + put_bytes(2, bytes(32))) + put_uint(3, 1),
    ],
)
def test_other_account_records_are_refused(record: bytes) -> None:
    with pytest.raises(CometAccountMalformed):
        parse_code_hash(record)


@given(st.binary(max_size=120))
def test_random_account_records_are_refused_without_a_crash(record: bytes) -> None:
    with pytest.raises(CometAccountMalformed):
        parse_code_hash(record)
