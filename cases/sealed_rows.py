"""Sealed rows in this service's own database, until the pool takes them over."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from cases.errors import CaseInOtherBatch
from cases.ports import KeptRow
from protocol.case_batch import CaseLeaf, SealedRow
from storage.db import AnyConnection


class SealedRows:
    """`PersonData` over cases.sealed_row."""

    async def keep(self, conn: AnyConnection, root: bytes, rows: Sequence[SealedRow]) -> None:
        """See the port."""
        records = [
            (CaseLeaf.parse(row.leaf).case_id, root, row.ciphertext, list(row.wrapped)) for row in rows
        ]
        try:
            await conn.copy_records_to_table(
                "sealed_row",
                schema_name="cases",
                columns=("case_id", "root", "ciphertext", "wrapped"),
                records=records,
            )
        except asyncpg.UniqueViolationError:
            # Without the server's words: they name the case.
            raise CaseInOtherBatch("a case of the file has a row here already", field="case id") from None

    async def row(self, conn: AnyConnection, case_id: bytes, organisation: int) -> KeptRow | None:
        """See the port."""
        found = await conn.fetchrow(
            """SELECT r.ciphertext, r.wrapped[array_position(b.recipients, $2::bigint)] AS wrapped
               FROM cases.sealed_row r JOIN cases.batch b USING (root) WHERE r.case_id = $1""",
            case_id,
            organisation,
        )
        if found is None or found["wrapped"] is None:
            return None
        return KeptRow(found["ciphertext"], found["wrapped"])
