"""Acts against an independent EIP-712 implementation, and the one accepted form of a signature."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable

import coincurve
import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from protocol import acts
from protocol.acts import ACTS as CORE_ACTS
from protocol.acts import Act, BadSignature, Domain, Purpose, Role, parse_type, recover
from protocol.case_acts import CASE_ACTS
from protocol.errors import MalformedInput
from protocol.hashing import keccak256

ACTS = (*CORE_ACTS, *CASE_ACTS)
DOMAIN = Domain(7777, bytes.fromhex("ae519fc2ba8e6ffe6473195c092bf1bae986ff90"))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def sample(kind: type[Act], seed: int) -> Act:
    values: list[object] = []
    for at, (solidity, _) in enumerate(parse_type(kind.TYPE).members):
        raw = hashlib.sha256(f"{kind.__name__} {at} {seed}".encode()).digest()
        if solidity == "bytes32":
            values.append(raw)
        elif solidity == "address":
            values.append(raw[:20])
        elif solidity == "string":
            values.append("网关 gateway.example")
        else:
            values.append(int.from_bytes(raw[: int(solidity[4:]) // 8], "big"))
    return kind(*values)


def independent_digest(act: Act, domain: Domain) -> bytes:
    kind = parse_type(act.TYPE)
    message = {
        name: getattr(act, field.name)
        for (_, name), field in zip(kind.members, dataclasses.fields(act), strict=True)
    }
    for solidity, name in kind.members:
        if solidity == "address":
            message[name] = "0x" + message[name].hex()
    signable = encode_typed_data(
        {
            "name": "caseledger",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": "0x" + domain.contract.hex(),
        },
        {kind.name: [{"name": name, "type": solidity} for solidity, name in kind.members]},
        message,
    )
    return keccak256(b"\x19" + signable.version + signable.header + signable.body)


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("seed", range(3))
def test_digest_is_what_eth_account_computes(kind: type[Act], seed: int) -> None:
    act = sample(kind, seed)
    assert act.digest(DOMAIN) == independent_digest(act, DOMAIN)


@pytest.mark.parametrize("kind", ACTS)
def test_fields_are_the_members_of_the_type_string(kind: type[Act]) -> None:
    def snake(name: str) -> str:
        return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)

    assert [snake(name) for _, name in parse_type(kind.TYPE).members] == [
        field.name for field in dataclasses.fields(kind)
    ]


def test_every_act_of_the_specification_is_there() -> None:
    from pathlib import Path

    specifications = Path(__file__).parents[2] / "docs/spec"
    for page, kinds in (("chain-state.md", CORE_ACTS), ("case.md", CASE_ACTS)):
        text = (specifications / page).read_text()
        for kind in kinds:
            assert f"`{kind.TYPE}`" in text


def test_another_chain_or_contract_is_another_digest() -> None:
    act = sample(acts.Submit, 1)
    digests = {
        act.digest(DOMAIN),
        act.digest(Domain(7778, DOMAIN.contract)),
        act.digest(Domain(7777, bytes(20))),
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    "change",
    [{"organisation": 2**32}, {"organisation": -1}, {"root": b""}, {"log_id": "x"}, {"count": True},
     {"valid_until": 2**40}],
)  # fmt: skip
def test_members_outside_their_type_are_refused(change: dict[str, object]) -> None:
    act = dataclasses.replace(sample(acts.Submit, 1), **change)
    with pytest.raises(MalformedInput):
        act.digest(DOMAIN)


KEY = coincurve.PrivateKey(b"\x11" * 32)
DIGEST = keccak256(b"message")


def signature() -> bytes:
    raw = KEY.sign_recoverable(DIGEST, hasher=None)
    return raw[:64] + bytes((raw[64] + 27,))


def high_s(sig: bytes) -> bytes:
    s = ORDER - int.from_bytes(sig[32:64], "big")
    return sig[:32] + s.to_bytes(32, "big") + bytes((27 + 28 - sig[64],))


MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "high s": high_s,
    "v 0": lambda sig: sig[:64] + b"\x00",
    "v 29": lambda sig: sig[:64] + b"\x1d",
    "r zero": lambda sig: bytes(32) + sig[32:],
    "s zero": lambda sig: sig[:32] + bytes(32) + sig[64:],
    "r is the order": lambda sig: ORDER.to_bytes(32, "big") + sig[32:],
    "short": lambda sig: sig[:64],
    "long": lambda sig: sig + b"\x00",
    "r on no point": lambda sig: (5).to_bytes(32, "big") + sig[32:],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_recover_refuses(name: str) -> None:
    with pytest.raises(BadSignature):
        recover(DIGEST, MALFORMED[name](signature()))


def test_recover_finds_the_signer_and_nobody_else_for_another_digest() -> None:
    address = acts.address_of(KEY.public_key)
    assert recover(DIGEST, signature()) == address
    assert recover(keccak256(b"other"), signature()) != address


@given(st.binary(min_size=65, max_size=65))
def test_recover_never_fails_otherwise(raw: bytes) -> None:
    with contextlib.suppress(BadSignature):
        assert len(recover(DIGEST, raw)) == 20


def test_purposes_and_roles_have_the_numbers_of_the_specification() -> None:
    assert [int(purpose) for purpose in Purpose] == [1, 2, 3, 4, 5]
    assert [int(role) for role in Role] == list(range(14))
    assert Role.COURT.mask == 32
    assert all(item.label.zh and item.label.en for item in (*Purpose, *Role))
