"""Before a process promises anything: does the database still know all that the contract knows?"""

from __future__ import annotations

import asyncio

from evidence.batches import last_batch
from evidence.contract import ContractPort
from evidence.errors import HeadAhead
from evidence.logs import LogContext
from protocol.errors import CaseledgerError
from storage.db import AnyConnection

GUARD_SECONDS = 3.0


class HeadGuard:
    """Keeps a log from promising places that were given away already.

    A database that was restored from a backup knows less than the contract: what it would promise next are
    indexes that others hold receipts for. A chain that does not answer is no reason to stop accepting.
    """

    def __init__(self, contract: ContractPort, *, seconds: float = GUARD_SECONDS) -> None:
        self._contract = contract
        self._seconds = seconds

    async def check(self, conn: AnyConnection, log: LogContext) -> None:
        """Raises HeadAhead when the contract holds more than this database sealed."""
        try:
            async with asyncio.timeout(self._seconds):
                head = await self._contract.head(log.log_id)
        except (CaseledgerError, OSError, TimeoutError):
            return
        # Read after the head: a batch is sealed before it is sent.
        top = await last_batch(conn, log.log_no)
        number, size = (top.number, top.new_size) if top else (0, 0)
        if head.batches > number or head.size > size:
            raise HeadAhead(f"head {head.batches}/{head.size}, sealed {number}/{size} (batches/leaves)")
