"""Steps 4 to 9 of docs/spec/receipt.md §3: what the chain says about the batch and about its signer."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import TypeAlias

from protocol import entry
from protocol.acts import BadSignature, Domain, Purpose, Submit, recover
from protocol.checkpoint import ALGORITHM_SHA256, TREE_HASHES
from protocol.entry import EvidenceClass
from protocol.hashing import SHA256
from protocol.keyslot import KeySlot, KeyState, key_slot_position, link_slot_position
from verifier import errors
from verifier.attested import IGNORED, Attested, Rules
from verifier.chainproof import FinalBlock, Ics23Proof, MptCliqueProof, MptQbftProof, NoProof
from verifier.merkle_verify import root_from_inclusion
from verifier.receipt import Core
from verifier.trust_payload import Epoch, PinnedContract, TrustedChain, TrustedLog, TrustPayload
from verifier.verdict import Facts, Finding, Inconclusive, Status, Step, Verdict

NO_PROOF = "ChainProofNone"
WITNESSES_ONLY = "WitnessesOnly"
DEPTH = "DepthFinality"

BlockProof: TypeAlias = "Ics23Proof | MptQbftProof | MptCliqueProof"


@dataclass(frozen=True, slots=True)
class Proved:
    """A chain proof whose block the validators of `epoch` finished."""

    epoch: Epoch
    block: FinalBlock
    proof: BlockProof


@dataclass(slots=True)
class Ground:
    """What steps 5 to 9 stand on. `main` is the proof that decides, None where no state may be opened; then
    `reason` says why. `proved` are all whose blocks are final: each is opened, so that none is left unread.
    """

    main: Proved | None = None
    proved: tuple[Proved, ...] = ()
    reason: str = NO_PROOF

    def opened(self) -> tuple[Proved, ...]:
        """The proofs to open.

        Raises:
            Inconclusive: there is none.
        """
        if self.main is None:
            raise Inconclusive(Status.REDUCED, self.reason)
        return self.proved


@dataclass(slots=True)
class Case:
    """One verification: what is checked, under which trust, and where the verdicts go."""

    core: Core
    payload: TrustPayload
    attested: Attested
    at: int
    rules: Rules
    found: dict[str, Verdict]
    facts: Facts

    def step(self, name: str) -> Step:
        return Step(name, self.found)


def steps_4_to_9(
    core: Core,
    payload: TrustPayload,
    attested: Attested,
    at: int,
    rules: Rules,
    found: dict[str, Verdict],
    facts: Facts,
) -> None:
    """Run the steps and put their verdicts into `found`; `payload` has been authenticated by step 1."""
    case = Case(core, payload, attested, at, rules, found, facts)
    ground = Ground()
    chain: TrustedChain | None = None
    with case.step("finality") as finality:
        chain = _named_chain(core, payload)
        finality.note("chain.id", chain.chain_id)
        finality.note("chain.network", chain.network_id)
        _step4_finality(case, chain, ground, finality)
    if chain is None or not finality.passed:
        return
    log = _step5_append_only(case, chain, ground)
    if log is not None:
        _step6_time(case, ground)
        if found["inclusion"].status is Status.PASS:
            _step7_signer(case, chain, log, ground)
    _step9_neutrality(case, ground)


def _step4_finality(case: Case, chain: TrustedChain, ground: Ground, step: Step) -> None:
    proof = case.core.proof
    if case.rules.ignore_sha256:
        ground.reason = IGNORED
        raise Inconclusive(Status.REDUCED, IGNORED, "chain proofs rest on SHA-256 or Keccak trees")
    epoch = None if isinstance(proof, NoProof) else chain.epoch_at(proof.height)
    if epoch is None or isinstance(proof, NoProof):
        quorum = case.attested.quorums.get(ALGORITHM_SHA256)
        if quorum is not None:
            ground.reason = WITNESSES_ONLY
            raise Inconclusive(Status.REDUCED, WITNESSES_ONLY, ", ".join(quorum.names))
        if isinstance(proof, NoProof):
            raise Inconclusive(Status.REDUCED, NO_PROOF, "a development chain proves nothing")
        raise errors.EpochNotTrusted(f"height {proof.height}", field="height")
    own = _final(chain, epoch, proof)
    later = _proved_later(case, chain)
    fresh = next((one for one in later if one.epoch.to_height is None), None)
    inside = None
    if epoch.closed_at is not None:
        inside = case.attested.inside(epoch.closed_at, case.payload.time_tokens_required)
    refresh = fresh is not None and epoch.to_height is not None and inside is None
    main = fresh if fresh is not None and refresh else own
    ground.main, ground.proved = main, (own, *later)
    step.note("block.height", main.block.height)
    step.note("block.hash", main.block.block_hash)
    step.note("block.stateRoot", main.block.state_root)
    controllers = ", ".join(validator.controller for validator in main.epoch.validators)
    step.note("epoch.number", f"{main.epoch.number}: {controllers}")
    depth = main.block.depth
    if depth is not None:
        step.note("block.depth", f"{depth.following}, {depth.sealers}/{depth.signers}")
    case.facts |= {"blockHeight": main.block.height, "blockTime": main.block.time}
    if inside is not None:
        step.note("epoch.inside", inside)
    elif refresh:
        step.note("epoch.refreshed", f"{epoch.number} -> {main.epoch.number}")
    elif epoch.to_height is not None:
        raise Inconclusive(
            Status.REDUCED, "ClosedEpoch", f"epoch {epoch.number} ended at height {epoch.to_height}"
        )
    if depth is not None:
        raise Inconclusive(Status.REDUCED, DEPTH, f"{depth.following} blocks on top")


def _final(chain: TrustedChain, epoch: Epoch, proof: BlockProof) -> Proved:
    if not epoch.covers(proof.last_height):
        raise errors.EpochNotTrusted(
            f"height {proof.last_height} is not in epoch {epoch.number}", field="height"
        )
    trusted = [(validator.public_key, validator.power) for validator in epoch.validators]
    return Proved(epoch, proof.final(trusted, chain.network_id), proof)


def _proved_later(case: Case, chain: TrustedChain) -> list[Proved]:
    """The `chain` attestations whose heights the trust file knows; each of them has to hold."""
    out = []
    for position, proof in case.attested.proofs:
        if proof.kind != chain.proof_kind or isinstance(proof, NoProof):
            raise errors.ProofKindMismatch(
                f"{proof.kind}, expected {chain.proof_kind}", field=f"attestations[{position}]"
            )
        epoch = chain.epoch_at(proof.height)
        code = "EpochNotTrusted"
        if epoch is not None:
            out.append(_final(chain, epoch, proof))
            code = "Ok" if epoch.to_height is None else "ClosedEpoch"
        case.attested.findings.append(Finding(position, "chain", code, f"height {proof.height}"))
    return out


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


def _step5_append_only(case: Case, chain: TrustedChain, ground: Ground) -> TrustedLog | None:
    core, payload = case.core, case.payload
    log: TrustedLog | None = None
    with case.step("append-only") as step:
        _pinned(step, "EvidenceLog", chain.evidence_log, core.log.evidence_log)
        named = payload.log(core.log.origin)
        if named is None or named.chain_id != core.log.chain_id:
            raise errors.LogNotTrusted(core.log.origin, field="origin")
        step.note("log.origin", named.origin)
        if named.closed_size is not None and core.inclusion.index >= named.closed_size:
            raise errors.LeafBeyondClosedLog(f"closed at {named.closed_size}", field="leaf index")
        if case.attested.witness_error is not None:
            raise case.attested.witness_error
        log = named
        for algorithm, quorum in sorted(case.attested.quorums.items()):
            tree = TREE_HASHES[algorithm].name
            words = f"{tree}, {quorum.size}: {', '.join(quorum.names)}, {quorum.time}"
            step.note("witness.quorum", words)
        for proved in ground.opened():
            opened = proved.proof.open_log(
                proved.block,
                chain.evidence_log.address,
                link_slot_position(core.log.log_id, core.link.number),
            )
            _check_code(step, "EvidenceLog", chain.evidence_log, opened.code_hash)
            link = core.link.value(core.log)
            if not compare_digest(opened.word, link):
                raise errors.BatchLinkMismatch(
                    f"{opened.word.hex()}, recomputed is {link.hex()}", field="batch link"
                )
            step.note("link.value", link)
        step.note("link.number", core.link.number)
        if payload.witnesses_required and ALGORITHM_SHA256 not in case.attested.quorums:
            raise Inconclusive(Status.REDUCED, "WitnessesMissing", f"{payload.witnesses_required} required")
    return log if step.passed else None


def _step6_time(case: Case, ground: Ground) -> None:
    core, attested, main = case.core, case.attested, ground.main
    with case.step("time") as step:
        last = core.link.time if main is None else main.block.time
        if core.link.time > last:
            raise errors.LinkTimeAfterBlock(f"{core.link.time} > {last}", field="time")
        step.note("time.link", core.link.time)
        if case.at < last:
            raise Inconclusive(Status.INDETERMINATE, "EvaluationBeforeAnchor", f"{case.at} < {last}")
        if attested.token_error is not None:
            raise attested.token_error
        bounds = [(stamp.time, "token") for stamp in attested.counting]
        bounds += [(quorum.time, "witness") for quorum in attested.quorums.values()]
        bounds += [(one.time, "token") for one in attested.renewed]
        if main is not None:
            step.note("time.block", main.block.time)
            # Who holds the keys of a closed epoch can give a block any time.
            if main.epoch.to_height is None or not bounds:
                bounds.append((main.block.time, "block"))
        if not bounds and case.rules.ignore_sha256:
            raise Inconclusive(
                Status.INDETERMINATE, "NothingLeft", "neither an SM3 token nor SM3 cosignatures count"
            )
        if not bounds:
            raise Inconclusive(Status.REDUCED, ground.reason)
        for stamp in attested.counting:
            step.note("time.token", f"{stamp.authority}: {stamp.time}")
        for quorum in attested.quorums.values():
            step.note("time.witness", quorum.time)
        time, by = min(bounds, key=lambda bound: bound[0])
        case.facts |= {"notLaterThan": time, "timeBy": by}
        _check_tokens(attested, case.payload.time_tokens_required)


def _check_tokens(attested: Attested, required: int) -> None:
    counting = {stamp.authority for stamp in attested.counting}
    if len(counting) >= required:
        return
    ever = {stamp.authority for stamp in attested.stamps}
    code = "TimeTokensExpired" if len(ever) >= required else "TimeTokensMissing"
    raise Inconclusive(Status.REDUCED, code, f"{len(counting)} of {required} required")


def _step7_signer(case: Case, chain: TrustedChain, log: TrustedLog, ground: Ground) -> None:
    core = case.core
    with case.step("signer") as step:
        head = entry.parse_leaf(core.leaf).header
        if head.evidence_class is EvidenceClass.LOG_CONTINUATION and head.submitter != log.operator:
            raise errors.ContinuationMisplaced(f"submitter {head.submitter}", field="leaf")
        if ground.reason == IGNORED:
            _pinned(step, "ConsortiumRegistry", chain.registry, core.log.registry)
            raise Inconclusive(Status.REDUCED, IGNORED, "what was signed is a SHA-256 tree")
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
        for proved in ground.opened():
            opened = proved.proof.open_registry(proved.block, chain.registry.address, key_slot_position(key))
            _check_code(step, "ConsortiumRegistry", chain.registry, opened.code_hash)
            step.note("signer.key", f"0x{key.hex()}")
            _check_key(KeySlot.parse(opened.word), head.submitter, core.link.time)
            step.note("signer.organisation", head.submitter)
            step.note("signer.asOf", proved.block.height)


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


def _step9_neutrality(case: Case, ground: Ground) -> None:
    with case.step("neutrality") as step:
        if ground.main is None:
            raise Inconclusive(Status.REDUCED, ground.reason)
        power: dict[int, int] = {}
        for validator in ground.main.epoch.validators:
            power[validator.group] = power.get(validator.group, 0) + validator.power
        total = sum(power.values())
        group, most = max(power.items(), key=lambda item: item[1])
        step.note("neutrality.largest", f"{most}/{total}")
        if 3 * most >= total:
            raise Inconclusive(Status.REDUCED, "NeutralityNotMet", f"group {group} holds {most} of {total}")
