"""Stored chain proofs: each parses, opens the recorded link and belongs to a signer of its batch; with a
trust file a receipt of each goes through the offline verifier.
"""

from __future__ import annotations

import asyncpg

from chain.capture import assemble
from evidence.fsck_report import Finder, Fix, FsckOptions
from evidence.logs import LogContext
from evidence.receipts import ReceiptMaker
from protocol.errors import CaseledgerError
from storage.db import AnyConnection
from verifier.chainproof import Ics23Proof
from verifier.verdict import Result, Status
from verifier.verify import verify_receipt

_PROOFS = """
    SELECT k.number, k.signer, k.proof AS key, p.proof AS shared, p.height, a.link, a.block_number,
           (SELECT min(s.first_index) FROM evidence.submission s
            WHERE s.log_no = k.log_no AND s.signer = k.signer AND s.first_index >= b.old_size
              AND s.first_index < b.new_size) AS sample
    FROM evidence.key_proof k JOIN evidence.anchor a USING (log_no, number)
    JOIN evidence.batch b USING (log_no, number) LEFT JOIN evidence.batch_proof p USING (log_no, number)
    WHERE log_no = $1 ORDER BY k.number"""
_WITHOUT_KEY = """
    SELECT DISTINCT p.number, s.signer FROM evidence.batch_proof p
    JOIN evidence.batch b USING (log_no, number)
    JOIN evidence.submission s ON s.log_no = p.log_no AND s.first_index >= b.old_size
        AND s.first_index < b.new_size
    WHERE p.log_no = $1 AND NOT EXISTS (SELECT FROM evidence.key_proof k
        WHERE k.log_no = p.log_no AND k.number = p.number AND k.signer = s.signer) ORDER BY 1, 2"""
_PENDING = """
    SELECT a.number FROM evidence.anchor a WHERE a.log_no = $1 AND NOT EXISTS (
        SELECT FROM evidence.batch_proof p WHERE p.log_no = a.log_no AND p.number = a.number) ORDER BY 1"""

_DROP = {
    "key_proof": "DELETE FROM evidence.key_proof WHERE log_no = $1 AND number = $2",
    "batch_proof": "DELETE FROM evidence.batch_proof WHERE log_no = $1 AND number = $2",
}


class ProofCheck:
    """All chain proofs of one log."""

    def __init__(self, conn: AnyConnection, log: LogContext, find: Finder, options: FsckOptions) -> None:
        self._conn = conn
        self._log = log
        self._find = find
        self._options = options

    async def run(self) -> None:
        for row in await self._conn.fetch(_PROOFS, self._log.log_no):
            self._find.report.proofs += 1
            await self._proof(row, f"proof of batch {row['number']}")
        for row in await self._conn.fetch(_WITHOUT_KEY, self._log.log_no):
            place = f"proof of batch {row['number']}"
            self._find("KeyProofMissing", place, f"signer {row['signer'].hex()}", *self._again(row["number"]))
        for row in await self._conn.fetch(_PENDING, self._log.log_no):
            self._find.note("ProofPending", f"batch {row['number']}", "its chain proof is to be captured")

    async def _proof(self, row: asyncpg.Record, place: str) -> None:
        again = self._again(row["number"])
        if row["shared"] is None:
            self._find("BatchProofMissing", place, "", *again)
            return
        try:
            proof = assemble(row["shared"], row["key"])
        except CaseledgerError as error:
            self._find("ProofMalformed", place, error.code, *again)
            return
        if isinstance(proof, Ics23Proof) and proof.link.value != row["link"]:
            self._find("ProofLinkMismatch", place, "", *again)
        if row["height"] < row["block_number"]:
            self._find("ProofBeforeAnchor", place, "", *again)
        if row["sample"] is None:
            self._find("ProofWithoutSubmission", place, "", *again)
        elif self._options.trust is not None and self._options.vault is not None:
            await self._receipt(place, row["sample"], again)

    async def _receipt(self, place: str, index: int, again: tuple[Fix, ...]) -> None:
        """One receipt of a batch and signer through the offline verifier."""
        if self._options.trust is None or self._options.vault is None:
            return
        try:
            made = await ReceiptMaker(self._log, self._options.vault).make(self._conn, [index])
        except CaseledgerError as error:
            self._find("ReceiptNotMade", place, error.code)
            return
        report = verify_receipt(made[0].data, self._options.trust, at=self._options.at)
        if report.result is Result.INVALID:
            failed = [verdict.code for verdict in report.verdicts if verdict.status is Status.FAIL]
            self._find("ReceiptInvalid", place, f"leaf {index}: {', '.join(failed)}", *again)

    def _again(self, number: int) -> tuple[Fix, ...]:
        """A proof can be captured again as long as the chain lives: the link stays in its state."""
        if self._options.proofs is None:
            return ()
        return tuple(Fix(table, drop, (self._log.log_no, number)) for table, drop in _DROP.items())
