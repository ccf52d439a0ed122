"""Which lifecycle a policy version on the chain is: the one of this release with the same tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cases.errors import PolicyNotOfThisRelease
from cases.lifecycle import Lifecycle
from cases.lifecycle_v1 import LIFECYCLE_V1
from storage.db import AnyConnection

RELEASED: Mapping[bytes, Lifecycle] = {
    life.table_hash: life for life in (LIFECYCLE_V1, LIFECYCLE_V1.with_test_clock())
}
"""By the hash of their tables."""


@dataclass(frozen=True)
class Policy:
    """A version that governance switched on. `address` and `table_hash` as the chain gave them."""

    version: int
    address: bytes
    table_hash: bytes
    life: Lifecycle


class Policies:
    """All versions of one CaseLedger, as they were read from the chain."""

    def __init__(self, found: Mapping[int, Policy]) -> None:
        self._found = dict(found)

    @classmethod
    async def load(cls, conn: AnyConnection, chain_id: int, ledger: bytes) -> Policies:
        """From cases.policy. Versions that this release does not know are left out."""
        rows = await conn.fetch(
            """SELECT version, address, table_hash FROM cases.policy
               WHERE chain_id = $1 AND contract = $2 ORDER BY version""",
            chain_id,
            ledger,
        )
        return cls(
            {
                row["version"]: Policy(row["version"], row["address"], row["table_hash"], life)
                for row in rows
                if (life := RELEASED.get(row["table_hash"])) is not None
            }
        )

    @property
    def newest(self) -> Policy | None:
        """What batches begin with now."""
        return self._found[max(self._found)] if self._found else None

    def get(self, version: int) -> Policy | None:
        """By version; None where there is none, or one of another release."""
        return self._found.get(version)

    def policy(self, version: int) -> Policy:
        """By version. Raises PolicyNotOfThisRelease."""
        try:
            return self._found[version]
        except KeyError:
            raise PolicyNotOfThisRelease(
                f"policy version {version}", field="policy", hint="a newer release of caseledger knows it"
            ) from None

    def life(self, version: int) -> Lifecycle:
        """The lifecycle of a case's policy. Raises PolicyNotOfThisRelease."""
        return self.policy(version).life
