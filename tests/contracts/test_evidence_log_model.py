"""The EvidenceLog, as compiled and committed, against a model of a page: random operations, same answers.

The contracts run in revm with London rules, deployed from `chain/abi`; governance decides by real approvals.
The model knows no Solidity: it holds the leaves of each log and computes trees from the recursive definition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain.bindings import EVIDENCE_LOG, REGISTRY, revert_error
from protocol.acts import Anchor, Suspend
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256, keccak256
from verifier.merkle_verify import verify_consistency

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from tests.support.revm import (
    ACT,
    ANCHOR,
    BANK,
    CENTRE,
    CHAIN,
    COURT,
    FOREVER,
    REGULATOR,
    Chain,
)
from tests.support.testkeys import private_key

SUSPENSION = 30 * 86_400
LINK_TAG = keccak256(b"caseledger/batch-link/v1")
ZERO = bytes(32)
ORIGINS = ("one", "two", "three")
LEAVES = tuple(hashlib.sha256(b"\0" + bytes([i])).digest() for i in range(60))


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def consistency(m: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 9162, section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [root(leaves)]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if m <= k:
        return [*consistency(m, leaves[:k], whole=whole), root(leaves[k:])]
    return [*consistency(m - k, leaves[k:], whole=False), root(leaves[:k])]


@dataclass(frozen=True)
class Log:
    """What the model knows of a log."""

    operator: int
    leaves: tuple[bytes, ...] = ()
    closed: int | None = None
    predecessor: bytes = ZERO
    successor: bytes = ZERO
    links: tuple[bytes, ...] = ()


class LogMachine(RuleBasedStateMachine):
    """Each rule makes one call, foretells its outcome, and compares."""

    @initialize()
    def start(self) -> None:
        self.chain = Chain()
        self.logs: dict[bytes, Log] = {}
        self.suspended_until = 0
        self.suspendable_from = 0
        self.suspensions = 0
        self.events = 0

    def expect(self, code: str | None, function: str, *arguments: Any, governed: bool = False) -> bool:
        """Make the call; it must succeed (code None) or fail with just this error."""
        try:
            if governed:
                self.chain.decide(function, *arguments)
            else:
                self.chain.call(EVIDENCE_LOG, function, *arguments)
        except CaseledgerError as error:
            found = error.code
            if governed and found == "GovernanceCallFailed":
                reason = getattr(error, "values")["reason"]  # noqa: B009
                found = revert_error(bytes(reason)).code
            assert found == code, f"{function}: {found}, foretold {code}"
            return False
        assert code is None, f"{function} passed, foretold {code}"
        self.events += 1
        return True

    @rule(origin=st.sampled_from(ORIGINS), operator=st.sampled_from((BANK, CENTRE, 9)), after=st.booleans())
    def open(self, origin: str, operator: int, after: bool) -> None:
        log_id = keccak256(origin.encode())
        predecessor = keccak256(ORIGINS[0].encode()) if after else ZERO
        earlier = self.logs.get(predecessor)
        code = None
        if log_id in self.logs:
            code = "LogExists"
        elif operator == 9:
            code = "LogOperatorInvalid"
        elif predecessor != ZERO and (earlier is None or earlier.closed is not None):
            code = "LogPredecessorInvalid"
        if self.expect(code, "openLog", origin, operator, predecessor, governed=True):
            self.logs[log_id] = Log(operator, predecessor=predecessor)

    @rule(
        origin=st.sampled_from(ORIGINS),
        excess=st.integers(-2, 1),
        successor=st.sampled_from((None, *ORIGINS)),
        rarely=st.integers(0, 3),
    )
    def close(self, origin: str, excess: int, successor: str | None, rarely: int) -> None:
        if rarely:
            return
        log_id = keccak256(origin.encode())
        log = self.logs.get(log_id)
        size = max(0, (len(log.leaves) if log else 0) + excess)
        next_id = keccak256(successor.encode()) if successor else ZERO
        following = self.logs.get(next_id)
        code = None
        if log is None:
            code = "LogUnknown"
        elif log.closed is not None:
            code = "LogIsClosed"
        elif size > len(log.leaves):
            code = "LogClosedSizeInvalid"
        elif successor and (
            following is None or following.closed is not None or following.predecessor != log_id
        ):
            code = "LogSuccessorInvalid"
        if self.expect(code, "closeLog", log_id, size, next_id, governed=True) and log is not None:
            self.logs[log_id] = replace(log, closed=size, successor=next_id)

    @rule(seconds=st.integers(1, SUSPENSION))
    def wait(self, seconds: int) -> None:
        self.chain.warp(seconds)

    @precondition(lambda self: self.chain.now >= self.suspendable_from)
    @rule()
    def suspend_the_bank(self) -> None:
        act = Suspend(REGULATOR, BANK, ZERO, self.suspensions, FOREVER)
        signed = self.chain.signed(act, REGISTRY, private_key(ACT, REGULATOR))
        request = (REGULATOR, BANK, ZERO, self.suspensions, FOREVER)
        self.chain.call(REGISTRY, "suspend", request, signed)
        self.suspensions += 1
        self.suspended_until = self.chain.now + SUSPENSION
        self.suspendable_from = self.suspended_until + SUSPENSION

    @rule(
        origin=st.sampled_from(ORIGINS),
        growth=st.integers(-1, 9),
        slip=st.sampled_from(
            (None, None, None, None, "late", "old size", "huge", "root", "short", "long", "bit", "history",
             "key", "organisation", "malleable")
        ),
        place=st.integers(0, 255),
    )  # fmt: skip
    def anchor(self, origin: str, growth: int, slip: str | None, place: int) -> None:
        log_id = keccak256(origin.encode())
        log = self.logs.get(log_id, Log(BANK))
        old = len(log.leaves)
        new = max(0, min(len(LEAVES), old + growth))
        leaves = LEAVES[:new]
        if slip == "history" and 0 < old < new:
            forged = place % old
            leaves = (*LEAVES[:forged], ZERO, *LEAVES[forged + 1 : new])
        proof = consistency(old, leaves) if 0 < old < new else []
        act = Anchor(log_id, old, new, root(leaves), keccak256(bytes([place])), self.chain.now + 10)
        if slip == "late":
            act = replace(act, valid_until=self.chain.now - 1)
        elif slip == "old size":
            act = replace(act, old_size=old + 1)
        elif slip == "huge":
            act = replace(act, new_size=old + 2**20 + 1)
        elif slip == "root":
            act = replace(act, root_sha256=bytes(b ^ 1 for b in act.root_sha256))
        elif slip == "short":
            proof = proof[:-1]
        elif slip == "long":
            proof = [*proof, ZERO]
        elif slip == "bit" and proof:
            spot = place % len(proof)
            proof[spot] = bytes([proof[spot][0] ^ 1]) + proof[spot][1:]
        key = private_key(ACT if slip == "key" else ANCHOR, COURT if slip == "organisation" else log.operator)
        signed = self.chain.signed(act, EVIDENCE_LOG, key)
        if slip == "malleable":
            order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
            high = order - int.from_bytes(signed[32:64], "big")
            signed = signed[:32] + high.to_bytes(32, "big") + bytes([55 - signed[64]])
        request = (
            act.log_id, act.old_size, act.new_size, act.root_sha256, act.root_sm3, act.valid_until,
        )  # fmt: skip
        codes = self.foretell(act, proof, slip)
        code = codes[0]
        if len(codes) > 1:
            with pytest.raises(CaseledgerError) as caught:
                self.chain.call(EVIDENCE_LOG, "anchor", request, proof, signed)
            assert caught.value.code in codes
        elif self.expect(code, "anchor", request, proof, signed):
            number = len(log.links) + 1
            previous = log.links[-1] if log.links else ZERO
            link = keccak256(
                LINK_TAG
                + CHAIN.to_bytes(32, "big")
                + self.chain.at[EVIDENCE_LOG].rjust(32, b"\0")
                + log_id
                + number.to_bytes(32, "big")
                + previous
                + new.to_bytes(32, "big")
                + act.root_sha256
                + act.root_sm3
                + self.chain.now.to_bytes(32, "big")
            )
            self.logs[log_id] = replace(log, leaves=leaves, links=(*log.links, link))

    def foretell(self, act: Anchor, proof: Sequence[bytes], slip: str | None) -> tuple[str | None, ...]:
        """The error that the contract must give, or None; several where the model cannot tell them apart."""
        log = self.logs.get(act.log_id)
        if slip == "late":
            return ("ActExpired",)
        if log is None:
            return ("LogUnknown",)
        if log.closed is not None:
            return ("LogIsClosed",)
        if act.old_size != len(log.leaves):
            return ("LogOldSizeMismatch",)
        if act.new_size <= act.old_size:
            return ("LogNoGrowth",)
        if act.new_size - act.old_size > 2**20:
            return ("LogGrowthTooLarge",)
        if act.old_size == 0:
            if proof:
                return ("LogFirstProofNotEmpty",)
        else:
            needed = len(consistency(act.old_size, LEAVES[: act.new_size]))
            if len(proof) != needed:
                return ("MerkleProofTooShort" if len(proof) < needed else "MerkleProofTooLong",)
            old_root = root(log.leaves)
            honest = list(proof) == consistency(act.old_size, LEAVES[: act.new_size])
            if not honest or act.root_sha256 != root(LEAVES[: act.new_size]):
                with pytest.raises(CaseledgerError):
                    verify_consistency(SHA256, act.old_size, act.new_size, old_root, act.root_sha256, proof)
                return ("MerkleOldRootMismatch", "MerkleNewRootMismatch")
            verify_consistency(SHA256, act.old_size, act.new_size, old_root, act.root_sha256, proof)
        if slip == "malleable":
            return ("ActSignatureInvalid",)
        if log.operator == BANK and self.chain.now < self.suspended_until:
            return ("RegistryOrganisationSuspended",)
        if slip == "organisation":
            return ("RegistryKeyOrganisation",)
        if slip == "key":
            return ("RegistryKeyPurpose",)
        return (None,)

    @invariant()
    def heads_and_links_agree(self) -> None:
        if not hasattr(self, "chain"):
            return
        (sequence,) = self.chain.call(EVIDENCE_LOG, "sequence")
        assert sequence == self.events
        for log_id, log in self.logs.items():
            (head,) = self.chain.call(EVIDENCE_LOG, "head", log_id)
            status = 1 if log.closed is None else 2
            stored_root = root(log.leaves) if log.links else ZERO
            assert tuple(head) == (
                len(log.leaves),
                log.closed or 0,
                len(log.links),
                log.operator,
                status,
                stored_root,
                log.successor,
                log.predecessor,
            )
            for number, link in enumerate((ZERO, *log.links, ZERO)):
                (found,) = self.chain.call(EVIDENCE_LOG, "link", log_id, number)
                assert found == link


LogMachine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestEvidenceLogModel = LogMachine.TestCase
