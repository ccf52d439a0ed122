"""What the rows of a batch add up to, while they pass by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protocol.case_row import CaseRow
from protocol.case_totals import BatchTotals, ProductTotals


class Sums:
    """Count and sums for each product."""

    def __init__(self) -> None:
        self._by_product: dict[int, list[int]] = {}

    def over(self, rows: Iterable[CaseRow]) -> Iterator[CaseRow]:
        """The same rows, added up as they are taken."""
        for row in rows:
            held = self._by_product.setdefault(int(row.product), [0] * 5)
            for at, amount in enumerate((1, row.principal, row.interest, row.fees, row.total)):
                held[at] += amount
            yield row

    def totals(self, root: bytes, owner: int) -> BatchTotals:
        """Of all rows that were taken, under a new salt."""
        return BatchTotals.fresh(
            root, owner, (ProductTotals(product, *held) for product, held in self._by_product.items())
        )
