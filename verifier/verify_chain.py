"""Steps 4 to 9 of docs/spec/receipt.md §3: what the chain says about the batch and about its signer."""

from __future__ import annotations

from hmac import compare_digest

from protocol import entry
from protocol.acts import BadSignature, Domain, Purpose, Submit, recover
from protocol.entry import EvidenceClass
from protocol.hashing import SHA256
from protocol.keyslot import KeySlot, KeyState, key_slot_position, link_slot_position
from verifier import errors
from verifier.chainproof import FinalBlock, NoProof
from verifier.merkle_verify import root_from_inclusion
from verifier.receipt import Core
from verifier.trust_payload import Epoch, PinnedContract, TrustedChain, TrustedLog, TrustPayload
from verifier.verdict import Facts, Inconclusive, Status, Step, Verdict

NO_PROOF = "ChainProofNone"


def steps_4_to_9(core: Core, payload: TrustPayload, at: int, found: dict[str, Verdict], facts: Facts) -> None:
    """Run the steps and put their verdicts into `found`; `payload` has been authenticated by step 1."""
    chain: TrustedChain | None = None
    epoch: Epoch | None = None
    block: FinalBlock | None = None
    with Step("finality", found) as finality:
        chain = _named_chain(core, payload)
        finality.note("chain.id", chain.chain_id)
        finality.note("chain.network", chain.network_id)
        if isinstance(core.proof, NoProof):
            raise Inconclusive(Status.REDUCED, NO_PROOF, "a development chain proves nothing")
        epoch = chain.epoch_at(core.proof.height)
        if epoch is None:
            raise errors.EpochNotTrusted(f"height {core.proof.height}", field="height")
        trusted = [(validator.public_key, validator.power) for validator in epoch.validators]
        block = core.proof.final(trusted, chain.network_id)
        finality.note("block.height", block.height)
        finality.note("block.hash", block.block_hash)
        finality.note("block.stateRoot", block.state_root)
        finality.note("epoch.number", f"{epoch.number}: {', '.join(v.controller for v in epoch.validators)}")
        facts |= {"blockHeight": block.height, "blockTime": block.time}
        if epoch.to_height is not None:
            raise Inconclusive(
                Status.REDUCED, "ClosedEpoch", f"epoch {epoch.number} ended at height {epoch.to_height}"
            )
    if chain is None or not finality.passed:
        return
    log = _step5_append_only(core, payload, chain, block, found)
    if log is not None:
        _step6_time(core, payload, block, at, found)
        if found["inclusion"].status is Status.PASS:
            _step7_signer(core, chain, log, block, found)
    _step9_neutrality(epoch, found)


def _named_chain(core: Core, payload: TrustPayload) -> TrustedChain:
    chain = payload.chain(core.log.chain_id)
    if chain is None:
        raise errors.ChainNotTrusted(f"chain id {core.log.chain_id}", field="chain id")
    if chain.proof_kind != core.proof.kind:
        raise errors.ProofKindMismatch(f"{core.proof.kind}, expected {chain.proof_kind}", field="chain proof")
    return chain


def _pinned(step: Step, what: str, pin: PinnedContract, claimed: bytes) -> None:
    if claimed != pin.address:
        raise errors.ContractNotTrusted(f"0x{claimed.hex()}, trusted is 0x{pin.address.hex()}", field=what)
    step.note(f"{what}.address", claimed)


def _check_code(step: Step, what: str, pin: PinnedContract, code_hash: bytes) -> None:
    if not compare_digest(code_hash, pin.code_hash):
        raise errors.CodeHashMismatch(f"{code_hash.hex()}, pinned is {pin.code_hash.hex()}", field=what)
    step.note(f"{what}.codeHash", code_hash)


def _step5_append_only(
    core: Core,
    payload: TrustPayload,
    chain: TrustedChain,
    block: FinalBlock | None,
    found: dict[str, Verdict],
) -> TrustedLog | None:
    log: TrustedLog | None = None
    with Step("append-only", found) as step:
        _pinned(step, "EvidenceLog", chain.evidence_log, core.log.evidence_log)
        named = payload.log(core.log.origin)
        if named is None or named.chain_id != core.log.chain_id:
            raise errors.LogNotTrusted(core.log.origin, field="origin")
        step.note("log.origin", named.origin)
        if named.closed_size is not None and core.inclusion.index >= named.closed_size:
            raise errors.LeafBeyondClosedLog(f"closed at {named.closed_size}", field="leaf index")
        log = named
        if block is None or isinstance(core.proof, NoProof):
            raise Inconclusive(Status.REDUCED, NO_PROOF)
        opened = core.proof.open_log(
            block, chain.evidence_log.address, link_slot_position(core.log.log_id, core.link.number)
        )
        _check_code(step, "EvidenceLog", chain.evidence_log, opened.code_hash)
        link = core.link.value(core.log)
        if not compare_digest(opened.word, link):
            raise errors.BatchLinkMismatch(
                f"{opened.word.hex()}, recomputed is {link.hex()}", field="batch link"
            )
        step.note("link.value", link)
        step.note("link.number", core.link.number)
        if payload.witnesses_required:
            raise Inconclusive(Status.REDUCED, "WitnessesMissing", f"{payload.witnesses_required} required")
    return log if step.passed else None


def _step6_time(
    core: Core, payload: TrustPayload, block: FinalBlock | None, at: int, found: dict[str, Verdict]
) -> None:
    with Step("time", found) as step:
        last = core.link.time if block is None else block.time
        if core.link.time > last:
            raise errors.LinkTimeAfterBlock(f"{core.link.time} > {last}", field="time")
        step.note("time.link", core.link.time)
        if at < last:
            raise Inconclusive(Status.INDETERMINATE, "EvaluationBeforeAnchor", f"{at} < {last}")
        if block is None:
            raise Inconclusive(Status.REDUCED, NO_PROOF)
        step.note("time.block", block.time)
        if payload.time_tokens_required:
            raise Inconclusive(
                Status.REDUCED, "TimeTokensMissing", f"{payload.time_tokens_required} required"
            )


def _step7_signer(
    core: Core, chain: TrustedChain, log: TrustedLog, block: FinalBlock | None, found: dict[str, Verdict]
) -> None:
    with Step("signer", found) as step:
        head = entry.parse_leaf(core.leaf).header
        if head.evidence_class is EvidenceClass.LOG_CONTINUATION and head.submitter != log.operator:
            raise errors.ContinuationMisplaced(f"submitter {head.submitter}", field="leaf")
        signed = core.submission
        unsequenced = SHA256.leaf(entry.unsequenced(core.leaf))
        root = root_from_inclusion(SHA256, unsequenced, signed.position, signed.count, signed.path)
        act = Submit(core.log.log_id, head.submitter, root, signed.count, signed.valid_until)
        try:
            key = recover(act.digest(Domain(core.log.chain_id, core.log.evidence_log)), signed.signature)
        except BadSignature as error:
            raise errors.SubmissionSignatureInvalid(error.detail, field="signature") from None
        step.note("submission.root", root)
        _pinned(step, "ConsortiumRegistry", chain.registry, core.log.registry)
        if block is None or isinstance(core.proof, NoProof):
            raise Inconclusive(Status.REDUCED, NO_PROOF)
        opened = core.proof.open_registry(block, chain.registry.address, key_slot_position(key))
        _check_code(step, "ConsortiumRegistry", chain.registry, opened.code_hash)
        step.note("signer.key", f"0x{key.hex()}")
        _check_key(KeySlot.parse(opened.word), head.submitter, core.link.time)
        step.note("signer.organisation", head.submitter)
        step.note("signer.asOf", block.height)


def _check_key(slot: KeySlot, organisation: int, time: int) -> None:
    if slot.organisation != organisation:
        raise errors.KeyOfAnotherOrganisation(
            f"{slot.organisation}, the leaf has {organisation}", field="key"
        )
    if slot.purpose is not Purpose.ACT:
        raise errors.KeyPurposeMismatch(slot.purpose.name.lower(), field="key")
    if slot.state is not KeyState.ACTIVE:
        raise errors.KeyNotActive(slot.state.name.lower(), field="key")
    if not slot.not_before <= time <= slot.not_after:
        raise errors.KeyNotValidAtAnchor(f"{time} not in {slot.not_before}..{slot.not_after}", field="key")
    if not slot.valid_at(time):
        raise errors.KeyRevoked(f"revoked at {slot.revoked_at}, anchored at {time}", field="key")


def _step9_neutrality(epoch: Epoch | None, found: dict[str, Verdict]) -> None:
    with Step("neutrality", found) as step:
        if epoch is None:
            raise Inconclusive(Status.REDUCED, NO_PROOF)
        power: dict[int, int] = {}
        for validator in epoch.validators:
            power[validator.group] = power.get(validator.group, 0) + validator.power
        total = sum(power.values())
        group, most = max(power.items(), key=lambda item: item[1])
        step.note("neutrality.largest", f"{most}/{total}")
        if 3 * most >= total:
            raise Inconclusive(Status.REDUCED, "NeutralityNotMet", f"group {group} holds {most} of {total}")
