"""Proving a receipt's slots again in a later block (docs/spec/attestation.md §3, kind `chain`).

A proof from a validator set that has ended rests on keys that may be for sale by now. The same slots, proved
under the set that is open, do not; an old slot stays provable in every later state.
"""

from __future__ import annotations

from chain.capture import assemble, capture
from chain.deployment import DeployedContract, Deployment
from chain.errors import ChainError
from chain.rpc import RpcPool
from verifier.attestation import ChainAttestation
from verifier.chainproof import NoProof
from verifier.receipt import Core
from verifier.submitter import signer_address
from verifier.trust_payload import PinnedContract, TrustedChain


class RefreshNotPossible(ChainError):
    """There is nothing that a later block could prove about this receipt."""

    http_status = 409
    title = "receipt cannot be proved again"


async def prove_again(
    pool: RpcPool,
    deployment: Deployment,
    core: Core,
    trusted: TrustedChain | None = None,
    *,
    wait: float = 20.0,
) -> ChainAttestation:
    """The receipt's link and its signer's key slot in the newest final block.

    With `trusted` only that trust file's validators count; without it those that the nodes name, and whoever
    gets the attestation has to check it.

    Raises:
        RefreshNotPossible, LinkAbsent, OtherBatchAnchored, CodeMismatch, ProofNotCaptured
    """
    if isinstance(core.proof, NoProof) or pool.profile.proof == NoProof.kind:
        raise RefreshNotPossible("a development chain proves nothing", field="chain proof")
    if core.log.chain_id != deployment.chain_id or core.log.evidence_log != deployment.evidence_log.address:
        raise RefreshNotPossible("the receipt is of another chain or contract", field="log")
    signer = signer_address(core)
    batch = await capture(
        pool, deployment, core.log.log_id, core.link.number, [signer],
        trusted=trusted, expected_link=core.link.value(core.log), wait=wait,
    )  # fmt: skip
    if signer not in batch.keys:
        raise RefreshNotPossible("the signer's key was never registered there", field="signer")
    return ChainAttestation(assemble(batch.shared, batch.keys[signer]))


def deployment_of(chain: TrustedChain, rpc: tuple[str, ...], comet: tuple[str, ...] = ()) -> Deployment:
    """What a trust file says about a chain in the shape that proof capture reads; governance is not in it."""

    def contract(pin: PinnedContract) -> DeployedContract:
        return DeployedContract(pin.address, pin.code_hash, bytes(32))

    return Deployment(
        chain_id=chain.chain_id, engine=chain.engine, network_id=chain.network_id, rpc=rpc, comet=comet,
        registry=contract(chain.registry), governance=DeployedContract(bytes(20), bytes(32), bytes(32)),
        evidence_log=contract(chain.evidence_log), rotation_delay=0, delay=0, threshold=0, genesis=(),
        block=0,
    )  # fmt: skip
