"""Proof capture on the Clique engine: the block's header, those on top of it, and the state under the first.

The chain may change its mind while it is read. A header that is badly sealed is a lie of the node that gave
it; headers that do not follow each other are none, and the capture is tried again later.
"""

from __future__ import annotations

import asyncio
import time

from chain.capture_mpt import Nodes, header_rlp, open_state, trusted_addresses
from chain.capture_parts import CapturedBatch, Lied, Wanted
from chain.errors import ChainError
from chain.evm import binary, quantity
from chain.proofs import ProofNotCaptured
from chain.rpc import RpcPool
from protocol.errors import CaseledgerError
from verifier import clique
from verifier.chainproof import MptCliqueProof
from verifier.trust_payload import TrustedChain


async def signers_at(pool: RpcPool, height: int) -> list[bytes]:
    """Who may seal the header of this height, ascending, as a node says: the set after the block before."""
    answer = await pool.call("clique_getSigners", [hex(max(0, height - 1))])
    if not isinstance(answer, list):
        raise ChainError("a node's signer list is not a list")
    return sorted(binary(address, 20) for address in answer)


async def capture_clique(
    pool: RpcPool, wanted: Wanted, height: int, trusted: TrustedChain | None, wait: float
) -> CapturedBatch:
    """Waits up to `wait` seconds for the headers on top. Without `trusted` the signers are those that a node
    names.

    Raises ProofNotCaptured, Lied, and what the state is refused for.
    """
    headers, signers = await headers_on_top(pool, height, trusted, wait)
    pairs = [(address, 1) for address in signers]
    try:
        final = MptCliqueProof(tuple(headers), (), (), (), ()).final(pairs, "")
    except CaseledgerError as error:
        raise ProofNotCaptured(f"blocks {height} and on: {error.code}", hint="the chain changed") from None
    # By its hash, and only while it is part of the chain: never the state of a block that took its place.
    block = {"blockHash": "0x" + final.block_hash.hex(), "requireCanonical": True}

    def proof(log: Nodes, link: Nodes, registry: Nodes, key: Nodes) -> MptCliqueProof:
        return MptCliqueProof(tuple(headers), log, link, registry, key)

    return await open_state(pool, wanted, final, block, pairs, trusted, proof)


async def headers_on_top(
    pool: RpcPool, height: int, trusted: TrustedChain | None, wait: float
) -> tuple[list[bytes], list[bytes]]:
    """The header of this height with as many on top as make it firm, and who may seal them.

    Raises ProofNotCaptured, Lied.
    """
    signers = trusted_addresses(trusted, height) or await signers_at(pool, height)
    following = max(clique.headers_needed(len(signers)) - 1, pool.profile.proof_following)
    following = min(following, clique.MAX_HEADERS - 1)
    trusted_addresses(trusted, height, height + following)
    await _until(pool, height + following, time.monotonic() + wait)
    headers = [await _header(pool, number, signers) for number in range(height, height + following + 1)]
    return headers, signers


async def _until(pool: RpcPool, height: int, deadline: float) -> None:
    while quantity(await pool.call("eth_blockNumber", [])) < height:
        if time.monotonic() > deadline:
            raise ProofNotCaptured(f"block {height} is not there yet")
        await asyncio.sleep(0.2)


async def _header(pool: RpcPool, number: int, signers: list[bytes]) -> bytes:
    block = await pool.ask("eth_getBlockByNumber", [hex(number), False])
    if block.result is None:
        raise ProofNotCaptured(f"no header of block {number}")
    try:
        raw = header_rlp(block.result)
        header = clique.parse_header(raw)
        good = clique.recover_signer(header) in signers and header.number == number
        good = good and header.block_hash == binary(block.result.get("hash"), 32)
    except CaseledgerError as error:
        raise Lied(block.url, error.code) from None
    if not good:
        raise Lied(block.url, f"header {number} is not sealed by a signer")
    return raw
