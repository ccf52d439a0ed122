"""Verification of a case's receipts (docs/spec/case-receipt.md §3). Pure, as `verifier.verify`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from protocol.errors import UnknownVersion
from verifier import errors, renewal
from verifier.attested import IGNORED
from verifier.case_errors import CaseEventMismatch
from verifier.case_receipt import CaseReceipt, EventKind
from verifier.case_state import EXTENSION, MARKED, CaseWords, Ics23Case, MptCase, OpenedCase
from verifier.chainproof import FinalBlock, NoProof
from verifier.errors import UnknownProofKind
from verifier.trust import TrustFile
from verifier.trust_payload import PinnedContract
from verifier.verdict import Facts, Inconclusive, Result, Status, Step, Verdict
from verifier.verify import trust_step
from verifier.verify_chain import DEPTH, NO_PROOF

NAMES = ("receipt", "trust-file", "finality", "contract", "state", "event")
CONTRACT = "CaseLedger"
"""Its name in a trust file."""
_ACTED = (EventKind.MOVED, EventKind.REVERSED)


@dataclass(frozen=True, slots=True)
class CaseReport:
    """What the verification of one receipt found; `proved` is the case as the block has it."""

    evaluated_at: int
    verdicts: tuple[Verdict, ...]
    facts: Facts
    receipt: CaseReceipt | None = None
    proved: CaseWords | None = None

    @property
    def result(self) -> Result:
        """The worst of the verdicts."""
        statuses = {verdict.status for verdict in self.verdicts}
        if Status.FAIL in statuses:
            return Result.INVALID
        if Status.INDETERMINATE in statuses:
            return Result.INDETERMINATE
        if statuses == {Status.PASS}:
            return Result.VALID
        return Result.VALID_REDUCED_TRUST if Status.REDUCED in statuses else Result.INDETERMINATE

    def verdict(self, name: str) -> Verdict:
        """By name."""
        return next(verdict for verdict in self.verdicts if verdict.name == name)

    def as_dict(self) -> dict[str, Any]:
        """JSON members."""
        return {
            "result": self.result.value,
            "exitCode": self.result.exit_code,
            "evaluatedAt": self.evaluated_at,
            "facts": dict(self.facts),
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
        }


def verify_case_receipt(
    data: bytes, trust: bytes, *, at: int, pin: PinnedContract | None = None
) -> CaseReport:
    """Verify one receipt at evaluation time `at`. Never raises for anything inside the arguments.

    CaseLedger's address and code hash are those of the trust file. `pin`: the same, come another way, for a
    file that does not name it; without either the verdict says so.
    """
    found: dict[str, Verdict] = {}
    receipt: CaseReceipt | None = None
    with Step("receipt", found):
        try:
            receipt = CaseReceipt.parse(data)
        except (UnknownVersion, UnknownProofKind) as error:
            raise Inconclusive(Status.INDETERMINATE, error.code, error.detail) from None
    anchor = trust_step(trust, at, found)
    facts = _facts(receipt) if receipt else {}
    opened: OpenedCase | None = None
    if receipt is not None and anchor is not None:
        pin = anchor.payload.contract(receipt.place.chain_id, CONTRACT) or pin
        opened = _on_chain(receipt, anchor, at, pin, found, facts)
    verdicts = tuple(
        found.get(name) or Verdict(name, Status.NOT_CHECKED, "EarlierStepFailed") for name in NAMES
    )
    return CaseReport(at, verdicts, facts, receipt, opened.state if opened else None)


def _on_chain(
    receipt: CaseReceipt,
    anchor: TrustFile,
    at: int,
    pin: PinnedContract | None,
    found: dict[str, Verdict],
    facts: Facts,
) -> OpenedCase | None:
    proof = receipt.proof
    block: FinalBlock | None = None
    with Step("finality", found) as step:
        block = _final(receipt, anchor, at, step)
    if isinstance(proof, NoProof):
        if found["finality"].status is Status.REDUCED:
            found.update({name: Verdict(name, Status.REDUCED, NO_PROOF) for name in NAMES[3:]})
        return None
    # An epoch that ended, and depth in place of finality, reduce the verdict and leave the block readable.
    final = block or _reduced_block(receipt, anchor, found)
    if final is None:
        return None
    facts |= {"blockHeight": final.height, "blockTime": final.time}
    opened: OpenedCase | None = None
    with Step("state", found) as step:
        opened = proof.open(final, receipt.place.contract, receipt.event.case_id)
        step.note("case.version", opened.state.version)
        step.note("case.stage", opened.state.stage)
        step.note("case.owner", opened.state.owner)
        step.note("case.commitment", opened.state.commitment)
    if opened is None:
        return None
    with Step("contract", found) as step:
        _contract(receipt, opened, pin, step)
    if found["contract"].status is Status.FAIL:
        found["state"] = Verdict("state", Status.NOT_CHECKED, "EarlierStepFailed")
        return None
    facts |= {"version": opened.state.version, "stage": opened.state.stage, "owner": opened.state.owner}
    with Step("event", found) as step:
        _compare(receipt, opened.state, final, step)
    return opened


def _final(receipt: CaseReceipt, anchor: TrustFile, at: int, step: Step) -> FinalBlock:
    proof, payload = receipt.proof, anchor.payload
    chain = payload.chain(receipt.place.chain_id)
    if chain is None:
        raise errors.ChainNotTrusted(f"chain id {receipt.place.chain_id}", field="chain id")
    if chain.proof_kind != proof.kind:
        raise errors.ProofKindMismatch(f"{proof.kind}, expected {chain.proof_kind}", field="case proof")
    if isinstance(proof, NoProof):
        raise Inconclusive(Status.REDUCED, NO_PROOF, "a development chain proves nothing")
    if renewal.ignoring(payload, at, False, False, False).ignore_sha256:
        raise Inconclusive(Status.INDETERMINATE, IGNORED, "chain proofs rest on SHA-256 or Keccak trees")
    block = _signed(proof, anchor, receipt.place.chain_id)
    step.note("block.height", block.height)
    step.note("block.hash", block.block_hash)
    step.note("block.time", block.time)
    if at < block.time:
        raise Inconclusive(Status.INDETERMINATE, "EvaluationBeforeBlock", f"{at} < {block.time}")
    epoch = chain.epoch_at(proof.height)
    if epoch is not None and epoch.to_height is not None:
        raise Inconclusive(Status.REDUCED, "ClosedEpoch", f"epoch {epoch.number} ended at {epoch.to_height}")
    if block.depth is not None:
        raise Inconclusive(Status.REDUCED, DEPTH, f"{block.depth.following} blocks on top")
    return block


def _signed(proof: Ics23Case | MptCase, anchor: TrustFile, chain_id: int) -> FinalBlock:
    chain = anchor.payload.chain(chain_id)
    epoch = chain.epoch_at(proof.height) if chain else None
    if chain is None or epoch is None or not epoch.covers(proof.last_height):
        raise errors.EpochNotTrusted(f"height {proof.height}", field="height")
    trusted = [(validator.public_key, validator.power) for validator in epoch.validators]
    return proof.final(trusted, chain.network_id)


def _reduced_block(receipt: CaseReceipt, anchor: TrustFile, found: dict[str, Verdict]) -> FinalBlock | None:
    if found["finality"].status is not Status.REDUCED or isinstance(receipt.proof, NoProof):
        return None
    return _signed(receipt.proof, anchor, receipt.place.chain_id)


def _contract(receipt: CaseReceipt, opened: OpenedCase, pin: PinnedContract | None, step: Step) -> None:
    address = receipt.place.contract
    step.note("CaseLedger.address", address)
    step.note("CaseLedger.codeHash", opened.code_hash)
    if pin is None:
        raise Inconclusive(Status.REDUCED, "CaseContractNotPinned", f"0x{address.hex()}")
    if address != pin.address:
        raise errors.ContractNotTrusted(
            f"0x{address.hex()}, pinned is 0x{pin.address.hex()}", field="CaseLedger"
        )
    if not compare_digest(opened.code_hash, pin.code_hash):
        raise errors.CodeHashMismatch(
            f"{opened.code_hash.hex()}, pinned is {pin.code_hash.hex()}", field="CaseLedger"
        )


def _compare(receipt: CaseReceipt, state: CaseWords, block: FinalBlock, step: Step) -> None:
    event, kind = receipt.event, receipt.event.kind
    if block.time < event.time:
        raise CaseEventMismatch(f"block {block.time}, event {event.time}", field="time")
    if state.version > event.version:
        raise Inconclusive(
            Status.REDUCED, "CaseMovedOn", f"version {state.version}, the event's is {event.version}"
        )
    _same("version", state.version, event.version, step)
    _same("stage", state.stage, event.stage, step)
    if kind is not EventKind.OVERDUE:
        _same("deadline", state.deadline, event.deadline, step)
    elif not state.flags & MARKED:
        raise CaseEventMismatch("the state is not marked", field="overdue")
    if kind is EventKind.MOVED:
        _same("from stage", state.previous_stage, event.from_stage, step)
        if event.from_stage != event.stage or not state.flags & EXTENSION:
            _same("time", state.since, event.time, step)
    elif kind in (EventKind.LAPSED, EventKind.REVERSED) and event.from_stage != event.stage:
        _same("time", state.since, event.time, step)
    if kind in _ACTED:
        _same("organisation", state.last_organisation, event.organisation, step)
    if kind is EventKind.PAUSED and not state.open_holds:
        raise CaseEventMismatch("no pause is open", field="pause")


def _same(field: str, proved: int, said: int, step: Step) -> None:
    if proved != said:
        raise CaseEventMismatch(f"{said}, the state has {proved}", field=field)
    step.note(f"event.{field}", said)


def _facts(receipt: CaseReceipt) -> Facts:
    event, place = receipt.event, receipt.place
    return {
        "caseId": event.case_id.hex(),
        "kind": event.kind.name.lower(),
        "version": event.version,
        "sequence": place.sequence,
        "block": place.block,
        "transaction": place.transaction.hex(),
        "logIndex": place.log_index,
    }


def holes(reports: Iterable[CaseReport]) -> dict[bytes, tuple[int, ...]]:
    """Versions of each case that none of the good receipts carries, up to the last one shown."""
    shown: dict[bytes, set[int]] = {}
    for report in reports:
        if report.receipt is not None and report.result in (Result.VALID, Result.VALID_REDUCED_TRUST):
            shown.setdefault(report.receipt.event.case_id, {1}).add(report.receipt.event.version)
    return {
        case_id: tuple(sorted(set(range(1, max(versions) + 1)) - versions))
        for case_id, versions in shown.items()
    }
