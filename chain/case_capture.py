"""Proof of a case's state slots in one block, for receipts of its events (docs/spec/case-receipt.md §2).

Verified before it is handed out, under the validators that the nodes name: whoever gets the receipt holds it
against the own trust file. A node whose part does not verify is left.
"""

from __future__ import annotations

from chain.capture_clique import headers_on_top
from chain.capture_mpt import eth_proof, header_rlp
from chain.capture_parts import Lied
from chain.evm import quantity
from chain.proofs import ProofBundle, ProofNotCaptured, StoreProof
from chain.proofs import capture as capture_bundle
from chain.rpc import Lie, RpcPool
from protocol.errors import CaseledgerError
from verifier import qbft
from verifier.case_state import CaseProof, Ics23Case, MptCase, OpenedCase, case_positions
from verifier.chainproof import Ics23Value, MptCliqueProof, MptQbftProof, NoProof
from verifier.cometbft import validators_hash
from verifier.cometbft_rpc import signed_header_from_rpc_json, validators_from_rpc_json
from verifier.strict_json import Fields

ATTEMPTS = 3


async def capture_case(
    pool: RpcPool,
    network_id: str,
    ledger: bytes,
    case_id: bytes,
    height: int | None = None,
    *,
    wait: float = 20.0,
) -> tuple[CaseProof, OpenedCase | None]:
    """The case as of block `height`, None for the newest final one, and what the proof shows; None on a
    development chain.

    Raises:
        ProofNotCaptured: retryable; also where no node holds the state of that block any more
    """
    if height is None:
        height = max(0, quantity(await pool.call("eth_blockNumber", [])) - pool.profile.depth)
    failure: CaseledgerError = ProofNotCaptured("no node gave a proof that verifies")
    for _ in range(ATTEMPTS):
        try:
            match pool.profile.proof:
                case "ics23":
                    return await _ics23(pool, network_id, ledger, case_id, height, wait)
                case "mpt-qbft":
                    return await _qbft(pool, ledger, case_id, height)
                case "mpt-clique":
                    return await _clique(pool, ledger, case_id, height, wait)
                case _:
                    return NoProof(height), None
        except Lied as lie:
            pool.report_lie(lie.url, Lie.BAD_PROOF, lie.reason)
            failure = ProofNotCaptured(f"a node's proof does not verify: {lie.reason}")
    raise failure


async def _ics23(
    pool: RpcPool, network_id: str, ledger: bytes, case_id: bytes, height: int, wait: float
) -> tuple[CaseProof, OpenedCase]:
    slots = [(ledger, position) for position in case_positions(case_id)]
    bundle = await capture_bundle(pool, height, slots=slots, accounts=[ledger], wait=wait)
    source = bundle.storage[0].source
    try:
        proof = _bundled(bundle)
        listed = validators_from_rpc_json(
            Fields({"validators": list(bundle.signed.validators)}, "validators")
        )
        if proof.signed.header.validators_hash != validators_hash(listed):
            raise Lied(bundle.signed.validators_source, "validators that nobody signed")
        block = proof.final([(one.pub_key, one.power) for one in listed], network_id)
        return proof, proof.open(block, ledger, case_id)
    except (Lied, ProofNotCaptured):
        raise
    except CaseledgerError as error:
        raise Lied(source, error.code) from None


def _bundled(bundle: ProofBundle) -> Ics23Case:
    raw = bundle.signed
    signed = signed_header_from_rpc_json({"header": raw.header, "commit": raw.commit})
    account = bundle.accounts[0]
    return Ics23Case(
        bundle.height,
        signed,
        _operation(bundle.storage[0], 1, "ics23:simple"),
        _operation(account, 1, "ics23:simple"),
        Ics23Value(account.value, _operation(account, 0, "ics23:iavl")),
        tuple(Ics23Value(part.value, _operation(part, 0, "ics23:iavl")) for part in bundle.storage),
    )


def _operation(part: StoreProof, index: int, kind: str) -> bytes:
    if len(part.ops) != 2 or part.ops[index].type != kind:
        raise Lied(part.source, "proof of another shape")
    return part.ops[index].data


async def _qbft(pool: RpcPool, ledger: bytes, case_id: bytes, height: int) -> tuple[CaseProof, OpenedCase]:
    block = await pool.ask("eth_getBlockByNumber", [hex(height), False])
    if block.result is None:
        raise ProofNotCaptured(f"no block {height}")
    found = await eth_proof(pool, ledger, list(case_positions(case_id)), hex(height))
    try:
        header = header_rlp(block.result)
        validators = [(address, 1) for address in qbft.parse_header(header).validators]
        proof = MptCase(MptQbftProof.kind, (header,), found.account, found.slots)
        return proof, proof.open(proof.final(validators, ""), ledger, case_id)
    except CaseledgerError as error:
        raise Lied(found.url, error.code) from None


async def _clique(
    pool: RpcPool, ledger: bytes, case_id: bytes, height: int, wait: float
) -> tuple[CaseProof, OpenedCase]:
    headers, signers = await headers_on_top(pool, height, None, wait)
    final = MptCliqueProof(tuple(headers), (), (), (), ()).final([(one, 1) for one in signers], "")
    block = {"blockHash": "0x" + final.block_hash.hex(), "requireCanonical": True}
    found = await eth_proof(pool, ledger, list(case_positions(case_id)), block)
    proof = MptCase(MptCliqueProof.kind, tuple(headers), found.account, found.slots)
    try:
        return proof, proof.open(final, ledger, case_id)
    except CaseledgerError as error:
        raise Lied(found.url, error.code) from None
