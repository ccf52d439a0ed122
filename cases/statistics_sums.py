"""Sums of claims from totals that the institutions signed (docs/spec/statistics.md §6).

The chain has no amounts: an import commits to its totals, and who was given the openings adds them up.
An opening that is wrong or missing is named, and nothing is guessed for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cases.disclosure import FEWEST_HIDDEN, Row, withheld
from cases.statistics_history import Batch, Histories
from cases.statistics_tally import Dimension, Key, Part, month_of
from protocol.case_totals import BatchTotals, ProductTotals
from protocol.errors import CaseledgerError
from protocol.hashing import sha256


class Trouble(StrEnum):
    """What is wrong with an opening, or with its absence."""

    UNREADABLE = "unreadable"
    BATCH_UNKNOWN = "batch-unknown"
    COMMITMENT_DIFFERS = "commitment-differs"
    OWNER_DIFFERS = "owner-differs"
    COUNT_DIFFERS = "count-differs"
    PRODUCTS_DIFFER = "products-differ"
    """More cases of a product have come to life than the opening has."""
    MISSING = "missing"
    NOT_COMMITTED = "not-committed"
    """The import named no totals."""


@dataclass(frozen=True)
class Found:
    """One trouble; `name` is the batch's root, or the digest of a file that nobody can read."""

    name: bytes
    trouble: Trouble


@dataclass
class Opened:
    """The openings that hold, by batch, and all that does not."""

    totals: dict[bytes, BatchTotals]
    troubles: list[Found]


def open_totals(found: Histories, openings: Iterable[bytes]) -> Opened:
    """Hold opening files against the commitments on the chain."""
    products: dict[bytes, Counter[int]] = defaultdict(Counter)
    for case in found.cases.values():
        products[case.root][case.product] += 1
    made = Opened({}, [])
    named: set[bytes] = set()
    for data in openings:
        try:
            totals = BatchTotals.parse(data)
        except CaseledgerError:
            made.troubles.append(Found(sha256(data), Trouble.UNREADABLE))
            continue
        trouble = _trouble(found.batches.get(totals.root), totals, products[totals.root])
        if trouble is None:
            made.totals[totals.root] = totals
        else:
            named.add(totals.root)
            made.troubles.append(Found(totals.root, trouble))
    for root, batch in found.batches.items():
        if root not in made.totals and root not in named:
            missing = Trouble.MISSING if any(batch.totals) else Trouble.NOT_COMMITTED
            made.troubles.append(Found(root, missing))
    made.troubles.sort(key=lambda one: (one.name, one.trouble))
    return made


def _trouble(batch: Batch | None, totals: BatchTotals, opened: Counter[int]) -> Trouble | None:
    if batch is None:
        return Trouble.BATCH_UNKNOWN
    if totals.commitment != batch.totals:
        return Trouble.COMMITMENT_DIFFERS
    if totals.owner != batch.owner:
        return Trouble.OWNER_DIFFERS
    if totals.count != batch.count:
        return Trouble.COUNT_DIFFERS
    if opened - Counter({one.product: one.count for one in totals.products}):
        return Trouble.PRODUCTS_DIFFER
    return None


@dataclass
class _Sum:
    cases: Part = field(default_factory=Counter)
    imported: Part = field(default_factory=Counter)
    """Cases of all batches of the row, those without an opening too."""
    principal: int = 0
    interest: int = 0
    fees: int = 0

    def add(self, owner: int, one: ProductTotals) -> None:
        self.cases[owner] += one.count
        self.principal += one.principal
        self.interest += one.interest
        self.fees += one.fees


def sums(
    found: Histories, opened: Opened, *, threshold: int | None = None, owner: int | None = None
) -> dict[str, Any]:
    """Amounts in fen by month of import, product and owner, over the batches whose opening holds.

    Small cells are withheld below a threshold, where one is given.
    """
    batches = {root: batch for root, batch in found.batches.items() if owner in (None, batch.owner)}
    rows: dict[Dimension, dict[Key, _Sum]] = {dimension: defaultdict(_Sum) for dimension in Dimension}
    for root, batch in batches.items():
        places: dict[Dimension, Key] = {
            Dimension.ALL: "", Dimension.MONTH: month_of(batch.time), Dimension.OWNER: batch.owner
        }  # fmt: skip
        totals = opened.totals.get(root)
        for one in totals.products if totals is not None else ():
            for dimension, key in {**places, Dimension.PRODUCT: one.product}.items():
                rows[dimension][key].add(batch.owner, one)
        for dimension, key in places.items():
            rows[dimension][key].imported[batch.owner] += batch.count
    hidden = _hidden(rows, threshold)
    shown = {
        str(dimension): [
            {"key": key, **_amounts(rows[dimension][key], hidden, dimension, key, threshold)}
            for key in sorted(rows[dimension])
        ]
        for dimension in Dimension
    }
    roots = {root.hex() for root in batches}
    troubles = [
        {"name": one.name.hex(), "trouble": str(one.trouble)}
        for one in opened.troubles
        if owner is None or one.name.hex() in roots
    ]
    held = sum(root in batches for root in opened.totals)
    return {"batches": len(batches), "opened": held, "troubles": troubles, "by": shown}


def _hidden(
    rows: dict[Dimension, dict[Key, _Sum]], threshold: int | None
) -> dict[Dimension, frozenset[Key]] | None:
    """Withheld rows; None where everything is."""
    made: dict[Dimension, frozenset[Key]] = {}
    if threshold is None:
        return made
    for dimension, sums_of in rows.items():
        keys = sorted(sums_of)
        wholes = [(one.imported,) if one.imported else () for one in (sums_of[key] for key in keys)]
        parts = [Row(sums_of[key].cases, whole) for key, whole in zip(keys, wholes, strict=True)]
        found = withheld(parts, threshold, FEWEST_HIDDEN.get(dimension, 2))
        if found is None:
            return None
        made[dimension] = frozenset(keys[at] for at in found)
    return made


def _amounts(
    one: _Sum, hidden: dict[Dimension, frozenset[Key]] | None, dimension: Dimension, key: Key,
    threshold: int | None,
) -> dict[str, int | None]:  # fmt: skip
    if hidden is None or key in hidden.get(dimension, frozenset()):
        return dict.fromkeys(_AMOUNTS)
    total = one.principal + one.interest + one.fees
    # Beside the cases that came to life, a product's cases would tell how many did not.
    tells = threshold is not None and dimension is Dimension.PRODUCT
    cases = None if tells else one.cases.total()
    return dict(zip(_AMOUNTS, (cases, one.principal, one.interest, one.fees, total), strict=True))


_AMOUNTS = ("cases", "principal", "interest", "fees", "total")
