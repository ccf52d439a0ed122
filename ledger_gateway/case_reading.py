"""How cases are read at this gateway: what the routes of readers are handed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cases.codes import Codes
from cases.looks import Looks
from cases.reading import Reading
from cases.receipts import Receipts
from chain.case_contracts import CaseContracts
from ledger_gateway.context import Chain
from ledger_gateway.rate import RateLimiter
from storage.db import Pool

WRONG_CODES_PER_SECOND, WRONG_CODES_AT_ONCE = 2.0, 40.0
"""Of all callers together; who types a right code is not held up by the first 40 that do not."""


@dataclass(frozen=True)
class CaseReaders:
    """`now`: seconds UTC by which a deadline is past. `wrong_codes`: what is left of wrong tries."""

    reading: Reading
    codes: Codes
    looks: Looks
    receipts: Receipts
    wrong_codes: RateLimiter
    now: Callable[[], int]


def case_readers(
    pool: Pool, chain: Chain, contracts: CaseContracts, looks: Looks, now: Callable[[], int]
) -> CaseReaders:
    """Readers of one case room; whoever made `looks` runs its loop."""
    wrong = RateLimiter(WRONG_CODES_PER_SECOND, WRONG_CODES_AT_ONCE, time.monotonic)
    receipts = Receipts(pool, chain.rpc, chain.deployment.network_id, contracts)
    return CaseReaders(Reading(pool, contracts), Codes(pool), looks, receipts, wrong, now)
