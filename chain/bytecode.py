"""Committed contract artifacts, and the code that a deployment must have on chain.

A contract that inherits EIP712 has immutables, so each deployment has its own runtime code. The values follow
from the deployment record (chain id, addresses, constructor arguments) and are never read from the chain:
what is on the chain is compared with what is computed here. No network, no web3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from protocol.errors import CaseledgerError
from protocol.hashing import keccak256

CONTRACTS = ("ConsortiumRegistry", "ConsortiumGovernance", "EvidenceLog")
"""What every deployment record names."""
CASE_CONTRACTS = (
    "WorkCalendar",
    "EvidenceGuard",
    "LifecycleV1",
    "LifecycleV1TestClock",
    "CaseBatches",
    "CaseLedger",
    "ActCarrier",
)
"""Contracts of the case room."""
ARTIFACTS = CONTRACTS + CASE_CONTRACTS
EIP712_NAME = "caseledger"
EIP712_VERSION = "1"

_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_WORD = 32
_ADDRESS = 20

# Opcodes that came after London. Besu and GoQuorum networks that stayed there would refuse or misread them.
_POST_LONDON = {
    0x1E: "CLZ",
    0x49: "BLOBHASH",
    0x4A: "BLOBBASEFEE",
    0x5C: "TLOAD",
    0x5D: "TSTORE",
    0x5E: "MCOPY",
    0x5F: "PUSH0",
}
_PUSH1, _PUSH32 = 0x60, 0x7F


class ArtifactUnknown(CaseledgerError):
    """No committed artifact has this name."""

    title = "unknown contract artifact"


class ImmutablesMismatch(CaseledgerError):
    """The immutables given are not exactly those of the artifact, or one has the wrong length."""

    title = "immutables do not fit the artifact"


class DeploymentRecordInvalid(CaseledgerError):
    """A deployment record lacks a field or has a malformed one."""

    title = "deployment record not usable"


def load_artifact(contract: str) -> dict[str, Any]:
    """The committed artifact `chain/abi/<contract>.json`. Raises ArtifactUnknown."""
    if contract not in ARTIFACTS:
        raise ArtifactUnknown(contract, field="contract", hint=f"one of {', '.join(ARTIFACTS)}")
    text = resources.files("chain.abi").joinpath(f"{contract}.json").read_text("utf-8")
    artifact: dict[str, Any] = json.loads(text)
    return artifact


def creation_code(artifact: Mapping[str, Any], arguments: bytes = b"") -> bytes:
    """What a deployment transaction carries: creation bytecode, then ABI-encoded constructor arguments."""
    return bytes.fromhex(artifact["bytecode"][2:]) + arguments


def deployed_code(artifact: Mapping[str, Any], immutables: Mapping[str, bytes]) -> bytes:
    """Runtime code with the immutables filled in.

    `immutables` maps each name in `artifact["immutables"]` to its value: 32 bytes for a bytes32 or a short
    string, otherwise at most 32 big-endian bytes. Raises ImmutablesMismatch.
    """
    declared = artifact["immutables"]
    if set(declared) != set(immutables):
        missing = sorted(set(declared) - set(immutables))
        surplus = sorted(set(immutables) - set(declared))
        raise ImmutablesMismatch(f"missing {missing}, surplus {surplus}", field="immutables")
    code = bytearray.fromhex(artifact["deployedBytecode"][2:])
    for name, entry in declared.items():
        value = immutables[name]
        left_aligned = entry["type"] in ("bytes32", "ShortString")
        if len(value) > _WORD or (left_aligned and len(value) != _WORD):
            raise ImmutablesMismatch(f"{name} is {len(value)} bytes for {entry['type']}", field=name)
        for start, length in entry["references"]:
            if any(code[start : start + length]):
                raise ImmutablesMismatch(f"{name}: no placeholder at {start}", field=name)
            code[start : start + length] = value.rjust(length, b"\0")
    return bytes(code)


def code_hash(code: bytes) -> bytes:
    """Keccak-256 of runtime code, as EXTCODEHASH and `eth_getProof` give it."""
    return keccak256(code)


def short_string(text: str) -> bytes:
    """OpenZeppelin `ShortString`: at most 31 bytes left-aligned, the length in the last byte."""
    raw = text.encode()
    if len(raw) >= _WORD:
        raise ImmutablesMismatch(f"{len(raw)} bytes do not fit a short string", field="text")
    return raw.ljust(_WORD - 1, b"\0") + bytes([len(raw)])


def domain_separator(chain_id: int, contract: bytes) -> bytes:
    """EIP-712 domain separator of one of our contracts; `contract` is 20 bytes."""
    return keccak256(
        keccak256(_DOMAIN_TYPE)
        + keccak256(EIP712_NAME.encode())
        + keccak256(EIP712_VERSION.encode())
        + _uint(chain_id)
        + _address(contract).rjust(_WORD, b"\0")
    )


def eip712_immutables(chain_id: int, contract: bytes) -> dict[str, bytes]:
    """The seven immutables that OpenZeppelin 5.3 `EIP712` sets for a contract at this 20-byte address."""
    return {
        "_cachedDomainSeparator": domain_separator(chain_id, contract),
        "_cachedChainId": _uint(chain_id),
        "_cachedThis": _address(contract),
        "_hashedName": keccak256(EIP712_NAME.encode()),
        "_hashedVersion": keccak256(EIP712_VERSION.encode()),
        "_name": short_string(EIP712_NAME),
        "_version": short_string(EIP712_VERSION),
    }


def registry_immutables(
    chain_id: int, address: bytes, *, governance: bytes, rotation_delay: int
) -> dict[str, bytes]:
    """All immutables of ConsortiumRegistry; addresses 20 bytes, delay in seconds."""
    return eip712_immutables(chain_id, address) | {
        "governance": _address(governance),
        "rotationDelay": _uint(rotation_delay),
    }


def governance_immutables(chain_id: int, address: bytes, *, registry: bytes, delay: int) -> dict[str, bytes]:
    """All immutables of ConsortiumGovernance; addresses 20 bytes, delay in seconds."""
    return eip712_immutables(chain_id, address) | {
        "_registry": _address(registry),
        "delay": _uint(delay),
    }


def log_immutables(chain_id: int, address: bytes, *, registry: bytes, governance: bytes) -> dict[str, bytes]:
    """All immutables of EvidenceLog; addresses 20 bytes."""
    return eip712_immutables(chain_id, address) | {
        "_registry": _address(registry),
        "governance": _address(governance),
    }


def calendar_immutables(*, governance: bytes) -> dict[str, bytes]:
    """All immutables of WorkCalendar; the address is 20 bytes."""
    return {"governance": _address(governance)}


def guard_immutables(*, log: bytes, registry: bytes) -> dict[str, bytes]:
    """All immutables of EvidenceGuard; addresses 20 bytes."""
    return {"_log": _address(log), "_registry": _address(registry)}


def policy_immutables(
    *, source_digest: bytes, test_clock: bool, calendar: bytes, evidence: bytes
) -> dict[str, bytes]:
    """All immutables of a lifecycle policy without guards for facts and consents; addresses 20 bytes."""
    return {
        "sourceDigest": source_digest,
        "testClock": _uint(test_clock),
        "_calendar": _address(calendar),
        "_evidence": _address(evidence),
        "_statements": bytes(_WORD),
        "_consents": bytes(_WORD),
    }


def batches_immutables(chain_id: int, address: bytes, *, registry: bytes, ledger: bytes) -> dict[str, bytes]:
    """All immutables of CaseBatches; addresses 20 bytes."""
    return eip712_immutables(chain_id, address) | {
        "_registry": _address(registry),
        "ledger": _address(ledger),
    }


def case_ledger_immutables(
    chain_id: int, address: bytes, *, registry: bytes, governance: bytes, batches: bytes
) -> dict[str, bytes]:
    """All immutables of CaseLedger; addresses 20 bytes."""
    return eip712_immutables(chain_id, address) | {
        "_registry": _address(registry),
        "governance": _address(governance),
        "batches": _address(batches),
    }


def carrier_immutables(*, ledger: bytes) -> dict[str, bytes]:
    """All immutables of ActCarrier; the address is 20 bytes."""
    return {"ledger": _address(ledger)}


def contract_address(sender: bytes, nonce: int) -> bytes:
    """Address that CREATE gives to a contract: the last 20 bytes of keccak256(rlp([sender, nonce]))."""
    raw = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    encoded = raw if len(raw) == 1 and raw[0] < 0x80 else bytes([0x80 + len(raw)]) + raw
    body = bytes([0x80 + _ADDRESS]) + _address(sender) + encoded
    return keccak256(bytes([0xC0 + len(body)]) + body)[-_ADDRESS:]


def expected_code(record: Mapping[str, Any]) -> dict[str, bytes]:
    """Runtime code of every contract of a deployment record, by contract name.

    The record is `{"chainId": int, "contracts": {"ConsortiumRegistry": {"address": "0x…"},
    "ConsortiumGovernance": {…}, "EvidenceLog": {…}}, "rotationDelay": seconds, "delay": seconds}`; more
    fields may be there. Raises DeploymentRecordInvalid.
    """
    try:
        chain_id = _record_int(record["chainId"])
        at = {
            name: bytes.fromhex(record["contracts"][name]["address"].removeprefix("0x")) for name in CONTRACTS
        }
        rotation_delay = _record_int(record["rotationDelay"])
        delay = _record_int(record["delay"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeploymentRecordInvalid(f"{type(error).__name__}: {error}", field="deployment") from error
    registry, governance, log = (at[name] for name in CONTRACTS)
    values = {
        "ConsortiumRegistry": registry_immutables(
            chain_id, registry, governance=governance, rotation_delay=rotation_delay
        ),
        "ConsortiumGovernance": governance_immutables(chain_id, governance, registry=registry, delay=delay),
        "EvidenceLog": log_immutables(chain_id, log, registry=registry, governance=governance),
    }
    return {name: deployed_code(load_artifact(name), values[name]) for name in CONTRACTS}


def post_london_opcodes(code: bytes) -> list[tuple[int, str]]:
    """Position and name of every opcode in `code` that London does not know. Push data is skipped."""
    found: list[tuple[int, str]] = []
    position = 0
    while position < len(code):
        opcode = code[position]
        if opcode in _POST_LONDON:
            found.append((position, _POST_LONDON[opcode]))
        position += opcode - _PUSH1 + 2 if _PUSH1 <= opcode <= _PUSH32 else 1
    return found


def _record_int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"not a natural number: {value!r}")
    return value


def _uint(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


def _address(value: bytes) -> bytes:
    if len(value) != _ADDRESS:
        raise ImmutablesMismatch(f"an address is 20 bytes, not {len(value)}", field="address")
    return value
