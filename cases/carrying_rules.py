"""Which acts go into the next transaction. Pure.

A transaction costs an engine more than the step in it. So acts that have to wait anyhow go together; one that
is alone goes at once, as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chain.act_carrier import HEAD_SIZE, size_of
from chain.transactions import MAX_DATA
from protocol.hashing import sha256

MOST_TOGETHER = 16
"""Acts in one transaction."""
MOST_GAS = 12_000_000
"""Gas of a group, below the block of every engine."""
MOST_UNDER_WAY = 4
"""Transactions with acts on one lane at a time: what comes meanwhile waits here, where groups grow."""


@dataclass(frozen=True)
class QueuedAct:
    """An act that waits to be carried. `gas`: the limit that it would get alone; `alone`: it goes alone."""

    id: bytes
    case_id: bytes
    data: bytes
    gas: int
    alone: bool = False


def choose(waiting: Sequence[QueuedAct]) -> tuple[QueuedAct, ...]:
    """The acts of the next transaction, of those that may go, oldest first.

    One of a case at most: a later act never overtakes an earlier one, and which of two made a change of the
    case is plain from the transaction.
    """
    held: set[bytes] = set()
    taken: list[QueuedAct] = []
    size = HEAD_SIZE
    for act in waiting:
        if act.case_id in held:
            continue
        if act.alone:
            if not taken:
                return (act,)
            held.add(act.case_id)
            continue
        size += size_of(act.data)
        if taken and (size > MAX_DATA or gas_of([*taken, act]) > MOST_GAS):
            break
        held.add(act.case_id)
        taken.append(act)
        if len(taken) == MOST_TOGETHER:
            break
    return tuple(taken)


def gas_of(acts: Sequence[QueuedAct]) -> int:
    """The limit of their transaction.

    Each act's own limit has the 21,000 of a transaction in it, which pays for its part of the list. A refusal
    counts only while a quarter of the gas is left, so half of the largest is added for the last.
    """
    if len(acts) == 1:
        return acts[0].gas
    return sum(act.gas for act in acts) + max(act.gas for act in acts) // 2


def business_key(acts: Sequence[QueuedAct]) -> str:
    """The name of their transaction in the outbox: an act's own, or that of the group."""
    if len(acts) == 1:
        return single_key(acts[0].id)
    return "acts:" + sha256(b"".join(act.id for act in acts)).hex()


def single_key(act_id: bytes) -> str:
    """The name of a transaction with one act; the same that relayed acts have."""
    return f"act:{act_id.hex()}"


def free_lane(under_way: dict[str, int]) -> str | None:
    """The lane with the fewest transactions with acts under way; None when all have enough."""
    lane = min(under_way, key=lambda name: under_way[name])
    return lane if under_way[lane] < MOST_UNDER_WAY else None
