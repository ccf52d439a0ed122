"""Proof capture on the CometBFT engine: what a receipt's chain proof is made of, as nodes give it.

Nothing is believed here. The bundle is verified (verifier.ics23) before it is kept, and a node whose part
does not verify is reported by its URL.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chain.errors import ChainError
from chain.rpc import Answer, Lie, RpcPool, RpcRefused, RpcUnavailable

STORE_EVM, STORE_ACCOUNTS = "evm", "acc"
_MAX_PROOF = 64 * 1024

Json = dict[str, Any]


class ProofNotCaptured(ChainError):
    """No node gives the proof; the state of that height may be pruned everywhere."""

    retryable = True
    title = "proof not captured"


@dataclass(frozen=True)
class ProofOp:
    """One step: `ics23:iavl` (within the store) or `ics23:simple` (store to application hash)."""

    type: str
    key: bytes
    data: bytes  # protobuf CommitmentProof


@dataclass(frozen=True)
class StoreProof:
    """A value of a store with its proof. An absent key has an empty value."""

    store: str
    key: bytes
    value: bytes
    ops: tuple[ProofOp, ...]
    source: str


@dataclass(frozen=True)
class SignedHeader:
    """Bodies of `commit` and `validators` at one height, as JSON, with the nodes that gave them."""

    height: int
    header: Json
    commit: Json
    validators: tuple[Json, ...]
    header_source: str
    validators_source: str


@dataclass(frozen=True)
class ProofBundle:
    """Everything proved in one block: state after block `height`, signed in the header of `height` + 1."""

    height: int
    storage: tuple[StoreProof, ...]
    accounts: tuple[StoreProof, ...]
    signed: SignedHeader

    @property
    def sources(self) -> tuple[str, ...]:
        """All nodes that contributed."""
        parts = (*self.storage, *self.accounts)
        return tuple(
            dict.fromkeys(
                [*(p.source for p in parts), self.signed.header_source, self.signed.validators_source]
            )
        )


def storage_key(address: bytes, slot: bytes) -> bytes:
    """Key of a contract's slot in store `evm`."""
    if len(address) != 20 or len(slot) != 32:
        raise ProofNotCaptured("an address has 20 bytes, a slot 32", field="slot")
    return b"\x02" + address + slot


def account_key(address: bytes) -> bytes:
    """Key of an account in store `acc`."""
    if len(address) != 20:
        raise ProofNotCaptured("an address has 20 bytes", field="address")
    return b"\x01" + address


async def capture(
    pool: RpcPool,
    height: int,
    *,
    slots: Sequence[tuple[bytes, bytes]] = (),
    accounts: Sequence[bytes] = (),
    wait: float = 20.0,
) -> ProofBundle:
    """Storage slots (address, slot) and accounts as of block `height`, and the header that signs them.

    Waits up to `wait` seconds for block `height` + 1. Raises ProofNotCaptured; retryable, but a state that
    is pruned on every node stays so: capture soon after the anchor.
    """
    signed = await _signed_header(pool, height + 1, time.monotonic() + wait)
    wanted = [
        *((STORE_EVM, storage_key(address, slot)) for address, slot in slots),
        *((STORE_ACCOUNTS, account_key(address)) for address in accounts),
    ]
    found = await asyncio.gather(*(_store_proof(pool, store, key, height) for store, key in wanted))
    return ProofBundle(height, tuple(found[: len(slots)]), tuple(found[len(slots) :]), signed)


async def _signed_header(pool: RpcPool, height: int, deadline: float) -> SignedHeader:
    while True:
        try:
            signed = await pool.commit(height)
            break
        except (RpcRefused, RpcUnavailable) as error:
            if time.monotonic() > deadline:
                raise ProofNotCaptured(f"no header of block {height}: {error.code}") from None
            await asyncio.sleep(0.1)
    validators = await _ask(pool.validators(height), f"validators of block {height}")
    body = signed.result
    try:
        header, commit = body["header"], body["commit"]
        right = int(header["height"]) == height == int(commit["height"])
    except (KeyError, TypeError, ValueError):
        right = False
    if not right:
        pool.report_lie(signed.url, Lie.BAD_PROOF, f"header of {height}")
        raise ProofNotCaptured("a node gave another block's header")
    return SignedHeader(height, header, commit, tuple(validators.result), signed.url, validators.url)


async def _store_proof(pool: RpcPool, store: str, key: bytes, height: int) -> StoreProof:
    answer = await _ask(pool.abci_query(f"/store/{store}/key", key, height), f"state of block {height}")
    response = answer.result
    try:
        told = int(response.get("height") or 0)
        if (
            int(response.get("code") or 0) != 0
            or b64decode(response.get("key") or "") != key
            or told != height
        ):
            raise ValueError
        ops = tuple(
            ProofOp(str(op["type"]), b64decode(op["key"]), b64decode(op["data"]))
            for op in response["proofOps"]["ops"]
        )
        value = b64decode(response.get("value") or "")
        if sum(len(op.data) for op in ops) + len(value) > _MAX_PROOF:
            raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):
        pool.report_lie(answer.url, Lie.BAD_PROOF, f"{store} at {height}")
        raise ProofNotCaptured("a node's proof has an unexpected shape") from None
    return StoreProof(store, key, value, ops, answer.url)


async def _ask(question: Any, what: str) -> Answer:
    try:
        answer: Answer = await question
        return answer
    except (RpcRefused, RpcUnavailable) as error:
        raise ProofNotCaptured(f"{what}: {error.code}") from None
