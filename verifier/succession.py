"""Which trust file may follow which (docs/spec/trust.md, Succession). Pure: the caller keeps the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hmac import compare_digest

from verifier.errors import (
    TrustFingerprintMismatch,
    TrustHeldChanged,
    TrustHeldQuorumMissing,
    TrustPredecessorMismatch,
    TrustSerialNotHigher,
)
from verifier.trust import TrustFile
from verifier.trust_payload import TimeAuthority, TrustedChain, TrustedLog, TrustPayload


def accept_first(trust: TrustFile, fingerprint: bytes) -> None:
    """The first trust file, by a fingerprint that came another way.

    Raises:
        TrustFingerprintMismatch, TrustSignatureInvalid, TrustQuorumMissing
    """
    if not compare_digest(trust.fingerprint, fingerprint):
        raise TrustFingerprintMismatch(f"its fingerprint is {trust.fingerprint.hex()}", field="fingerprint")
    trust.check()


def accept_chain(held: TrustFile, following: Sequence[TrustFile]) -> TrustFile:
    """Step from the held file over each of `following` in turn; returns the last.

    Raises:
        The errors of `accept_next`; nothing is accepted unless every step holds.
    """
    for trust in following:
        accept_next(held, trust)
        held = trust
    return held


def accept_next(held: TrustFile, trust: TrustFile) -> None:
    """A successor of the held file.

    Raises:
        TrustSerialNotHigher, TrustPredecessorMismatch, TrustSignatureInvalid, TrustQuorumMissing,
        TrustHeldQuorumMissing, TrustHeldChanged
    """
    if trust.payload.serial <= held.payload.serial:
        raise TrustSerialNotHigher(
            f"serial {trust.payload.serial}, held {held.payload.serial}", field="serial"
        )
    if trust.payload.predecessor is None or not compare_digest(trust.payload.predecessor, held.fingerprint):
        raise TrustPredecessorMismatch(
            "it names another predecessor", field="predecessor", hint="give the files between in order"
        )
    trust.check()
    signers = {trust.payload.keys[position].public_key for position in trust.check_signatures()}
    still = [at for at, key in enumerate(held.payload.keys) if key.public_key in signers]
    if not held.payload.is_quorum(still):
        raise TrustHeldQuorumMissing(
            f"{len(still)} of the held keys signed, {held.payload.threshold} are needed", field="signatures"
        )
    _check_kept(held.payload, trust.payload)


def _check_kept(held: TrustPayload, new: TrustPayload) -> None:
    if new.version < held.version:
        raise TrustHeldChanged(f"version {new.version}, held {held.version}", field="version")
    for chain in held.chains:
        _check_chain(chain, new.chain(chain.chain_id), ends_known=held.version >= 2)
    for log in held.logs:
        _check_log(log, new.log(log.origin))
    for contract in held.contracts:
        if contract not in new.contracts:
            raise TrustHeldChanged(f"contract {contract.name}: removed or changed", field="contracts")
    _check_ends(held, new)
    _check_witnesses(held, new)
    for authority in held.authorities:
        _check_authority(authority, new)


def _check_chain(held: TrustedChain, new: TrustedChain | None, *, ends_known: bool) -> None:
    if new is None or replace(held, epochs=()) != replace(new, epochs=()):
        raise TrustHeldChanged(f"chain {held.chain_id}: removed, or a fixed member changed", field="chains")
    if len(new.epochs) < len(held.epochs):
        raise TrustHeldChanged(f"chain {held.chain_id}: an epoch is gone", field="epochs")
    for before, after in zip(held.epochs, new.epochs, strict=False):
        closed = before.to_height is None and replace(after, to_height=None, closed_at=None) == before
        # Version 1 has no time for the end of an epoch; the first file of version 2 gives it.
        same = before == (after if ends_known else replace(after, closed_at=None))
        if not same and not closed:
            raise TrustHeldChanged(f"chain {held.chain_id}: epoch {before.number} changed", field="epochs")


def _check_log(held: TrustedLog, new: TrustedLog | None) -> None:
    if new is None:
        raise TrustHeldChanged(f"log {held.origin} is gone", field="logs")
    allowed = replace(
        held,
        closed_size=new.closed_size if held.closed_size is None else held.closed_size,
        successor=new.successor if held.successor is None else held.successor,
    )
    if new != allowed:
        raise TrustHeldChanged(f"log {held.origin}: a fixed member changed", field="logs")


def _check_ends(held: TrustPayload, new: TrustPayload) -> None:
    """An end that has come stays; one that lies ahead may be moved, but not into the past."""
    for algorithm, end in held.algorithm_ends:
        after = new.end_of(algorithm)
        if after != end and (end <= new.issued_at or (after is not None and after <= new.issued_at)):
            raise TrustHeldChanged(f"end of algorithm {algorithm}: changed", field="algorithm ends")


def _check_witnesses(held: TrustPayload, new: TrustPayload) -> None:
    """A held key may go; while it stays it is the same witness's, for the same statement."""
    listed = {one.public_key: one for one in new.witness_policy.witnesses}
    for one in held.witness_policy.witnesses:
        if listed.get(one.public_key, one) != one:
            raise TrustHeldChanged(f"witness {one.name}: a member changed", field="witnesses")


def _check_authority(held: TimeAuthority, new: TrustPayload) -> None:
    """A held authority may go, or end sooner; its name, and its roots, are never another's."""
    for one in new.authorities:
        if one.name != held.name and set(one.roots).isdisjoint(held.roots):
            continue
        sooner = one.not_after is not None and (held.not_after is None or one.not_after <= held.not_after)
        if one != held and not (sooner and replace(one, not_after=held.not_after) == held):
            raise TrustHeldChanged(f"time authority {held.name}: changed", field="time authorities")
