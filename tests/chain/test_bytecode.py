"""Immutables, code hashes and opcodes: what is computed is what a chain holds."""

from __future__ import annotations

from typing import Any

import pytest
from pyrevm import EVM, BlockEnv, CfgEnv, Env

from chain.bindings import encode_values, interface
from chain.bytecode import (
    ARTIFACTS,
    CONTRACTS,
    ArtifactUnknown,
    DeploymentRecordInvalid,
    ImmutablesMismatch,
    calendar_immutables,
    code_hash,
    contract_address,
    creation_code,
    deployed_code,
    expected_code,
    load_artifact,
    log_immutables,
    post_london_opcodes,
    short_string,
)
from protocol.hashing import keccak256

CHAIN = 8_021_777
SENDER = bytes.fromhex("de" * 20)
ROTATION_DELAY, DELAY = 86_400, 172_800
ROLES = (1 << 0, 1 << 3, 1 << 5, 1 << 9)


def record() -> dict[str, Any]:
    return {
        "chainId": CHAIN,
        "contracts": {
            name: {"address": "0x" + contract_address(SENDER, nonce).hex()}
            for nonce, name in enumerate(CONTRACTS)
        },
        "rotationDelay": ROTATION_DELAY,
        "delay": DELAY,
    }


def test_expected_code_is_what_the_evm_deploys() -> None:
    evm = EVM(
        Env(cfg=CfgEnv(chain_id=CHAIN), block=BlockEnv(timestamp=1_800_000_000, number=1)), spec_id="LONDON"
    )
    registry, governance, _ = (contract_address(SENDER, nonce) for nonce in range(3))
    genesis = [
        (keccak256(bytes([i])), roles, i, True, [(keccak256(bytes([i]))[:20], 1, 0, 2**40 - 1)])
        for i, roles in enumerate(ROLES, 1)
    ]
    arguments: dict[str, tuple[Any, ...]] = {
        "ConsortiumRegistry": (governance, ROTATION_DELAY, genesis),
        "ConsortiumGovernance": (registry, DELAY, 3),
        "EvidenceLog": (registry,),
    }
    codes = expected_code(record())
    for nonce, name in enumerate(CONTRACTS):
        encoded = encode_values(interface(name).constructor, arguments[name])
        made = evm.deploy("0x" + SENDER.hex(), creation_code(load_artifact(name), encoded))
        assert bytes.fromhex(made[2:]) == contract_address(SENDER, nonce)
        found = evm.get_code(made)
        assert found is not None
        # revm gives code back with the zeros that it pads it with for its own jump analysis.
        assert found.startswith(codes[name])
        assert not any(found[len(codes[name]) :])

    encoded = encode_values(interface("WorkCalendar").constructor, (registry,))
    made = evm.deploy("0x" + SENDER.hex(), creation_code(load_artifact("WorkCalendar"), encoded))
    expected = deployed_code(load_artifact("WorkCalendar"), calendar_immutables(governance=governance))
    assert (evm.get_code(made) or b"").rstrip(b"\0") == expected.rstrip(b"\0")


@pytest.mark.parametrize("change", ["chainId", "rotationDelay", "delay", "address"])
def test_every_recorded_value_moves_a_code_hash(change: str) -> None:
    other = record()
    if change == "address":
        other["contracts"]["EvidenceLog"]["address"] = "0x" + "11" * 20
    else:
        other[change] += 1
    before = {name: code_hash(code) for name, code in expected_code(record()).items()}
    after = {name: code_hash(code) for name, code in expected_code(other).items()}
    assert before != after


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chainId", "1776"),
        ("chainId", True),
        ("delay", -1),
        ("contracts", {}),
        ("contracts", {name: {"address": "zz"} for name in CONTRACTS}),
    ],
)
def test_malformed_record_is_refused(key: str, value: object) -> None:
    broken = record()
    broken[key] = value
    with pytest.raises(DeploymentRecordInvalid):
        expected_code(broken)


def test_missing_surplus_and_oversize_immutables_are_refused() -> None:
    artifact = load_artifact("EvidenceLog")
    values = log_immutables(CHAIN, SENDER, registry=SENDER, governance=SENDER)
    with pytest.raises(ImmutablesMismatch):
        deployed_code(artifact, {name: value for name, value in values.items() if name != "governance"})
    with pytest.raises(ImmutablesMismatch):
        deployed_code(artifact, values | {"delay": bytes(32)})
    with pytest.raises(ImmutablesMismatch):
        deployed_code(artifact, values | {"_cachedChainId": bytes(33)})
    with pytest.raises(ImmutablesMismatch):
        deployed_code(artifact, values | {"_name": b"caseledger"})
    with pytest.raises(ImmutablesMismatch):
        log_immutables(CHAIN, bytes(19), registry=SENDER, governance=SENDER)
    with pytest.raises(ArtifactUnknown):
        load_artifact("../secrets")


def test_short_string_holds_31_bytes() -> None:
    assert short_string("a" * 31)[-1] == 31
    with pytest.raises(ImmutablesMismatch):
        short_string("a" * 32)


@pytest.mark.parametrize(
    ("nonce", "expected"),
    [
        # ethereum.org's example sender, as its clients compute it
        (0, "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"),
        (1, "343c43a37d37dff08ae8c4a11544c718abb4fcf8"),
        (2, "f778b86fa74e846c4f0a1fbd1335fe81c00a0c91"),
        (3, "fffd933a0bc612844eaf0c6fe3e5b8e9b6c1d19c"),
    ],
)
def test_contract_address_follows_sender_and_nonce(nonce: int, expected: str) -> None:
    sender = bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    assert contract_address(sender, nonce).hex() == expected


def test_contract_address_encodes_nonces_of_any_length() -> None:
    evm = EVM(spec_id="LONDON")
    sender = "0x" + SENDER.hex()
    found = [evm.deploy(sender, bytes.fromhex("00")) for _ in range(300)]
    assert [address[2:] for address in found] == [contract_address(SENDER, n).hex() for n in range(300)]


def test_post_london_opcodes_are_found_but_not_in_push_data() -> None:
    assert post_london_opcodes(bytes.fromhex("605f5f00")) == [(2, "PUSH0")]
    assert post_london_opcodes(bytes.fromhex("7f" + "5e" * 32 + "00")) == []
    assert [name for _, name in post_london_opcodes(bytes.fromhex("5c5d5e491e4a"))] == [
        "TLOAD", "TSTORE", "MCOPY", "BLOBHASH", "CLZ", "BLOBBASEFEE",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ARTIFACTS)
def test_committed_bytecode_is_london(name: str) -> None:
    artifact = load_artifact(name)
    assert post_london_opcodes(bytes.fromhex(artifact["deployedBytecode"][2:])) == []
    assert artifact["compiler"]["settings"]["evmVersion"] == "london"


def test_storage_layout_is_the_one_of_the_specification() -> None:
    def slots(name: str) -> dict[str, tuple[int, int]]:
        layout = load_artifact(name)["storageLayout"]["variables"]
        return {row["name"]: (row["slot"], row["offset"]) for row in layout}

    assert slots("ConsortiumRegistry")["_keys"] == (2, 0)
    assert slots("ConsortiumRegistry")["_organisations"] == (3, 0)
    assert slots("EvidenceLog")["_logs"] == (2, 0)
    assert slots("EvidenceLog")["_links"] == (3, 0)
