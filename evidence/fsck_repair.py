"""Putting derived values right: only what a check computed from facts that hold, only as owner of the tables.

Nothing is derived from damage: where a log's leaves, submissions or trees are not what was signed and
anchored, nothing of that log is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg

from evidence.errors import RepairRefused
from evidence.fsck_report import Finding, Fix
from storage.db import AnyConnection

LOCK_SECONDS = 10
_FACTS = frozenset(
    {
        "LeafMissing", "LeafWithoutSubmission", "LeafMalformed", "SubmissionGap", "SubmissionRootMismatch",
        "SubmitterMismatch", "SequenceMismatch", "SequenceGap", "SubmissionSignatureInvalid", "BodyDamaged",
        "PromiseGap", "PromiseMissing", "PromiseMalformed", "PromiseMismatch", "PromiseSignatureInvalid",
        "BatchRootMismatch", "BatchGap", "SealedLeafMissing", "HeadMismatch", "ContinuationMismatch",
    }
)  # fmt: skip
_STATE = frozenset({"submitter", "log_writer"})
"""Tables that services change: no trigger guards them."""


def fixable(findings: Sequence[Finding]) -> list[Finding]:
    """Those that may be repaired."""
    mended = {(one.origin, one.place) for one in findings if any(fix.table == "batch" for fix in one.fixes)}
    damaged = {one.origin for one in findings if one.code in _FACTS and (one.origin, one.place) not in mended}
    return [one for one in findings if one.fixes and one.origin not in damaged]


async def apply(owner: AnyConnection, findings: Iterable[Finding]) -> None:
    """All or nothing. Facts are guarded by triggers; they are off inside this one transaction.

    Raises:
        RepairRefused: not the owner, or services hold the tables.
    """
    fixes = [fix for one in findings for fix in one.fixes]
    tables = sorted({fix.table for fix in fixes} - _STATE)
    try:
        async with owner.transaction():
            await owner.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            for table in tables:
                await owner.execute(f"ALTER TABLE evidence.{table} DISABLE TRIGGER USER")
            for fix in _ordered(fixes):
                await owner.execute(fix.statement, *fix.values)
            for table in tables:
                await owner.execute(f"ALTER TABLE evidence.{table} ENABLE TRIGGER USER")
    except asyncpg.InsufficientPrivilegeError:
        raise RepairRefused("only the owner of the tables can repair", hint="run as the migrator") from None
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        raise RepairRefused("the tables are in use", hint="stop gateway and worker first") from None


def _ordered(fixes: list[Fix]) -> list[Fix]:
    """Each once; what others refer to before them, and what refers to others gone before them."""
    order = ("key_proof", "batch_proof", "batch", "anchor", "checkpoint", "cosigner", "time_source")
    unique = dict.fromkeys(fixes)
    return sorted(unique, key=lambda fix: order.index(fix.table) if fix.table in order else len(order))
