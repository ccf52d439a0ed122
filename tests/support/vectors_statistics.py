"""Makes tests/vectors/statistics.json, once: `python -m tests.support.vectors_statistics`."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

from cases.statistics import Query, View, canonical, report
from cases.statistics_events import BatchEvent, CaseEvent
from cases.statistics_history import histories
from protocol.case_totals import BatchTotals, ProductTotals
from protocol.hashing import keccak256
from tests.support.case_walks import POLICIES, walks

WORLDS = ((21, 40, 3, 8), (22, 150, 6, 6))


def _plain(value: Any) -> list[Any]:
    own = [getattr(value, one.name) for one in dataclasses.fields(value)]
    return [one.hex() if isinstance(one, bytes) else one for one in own]


def _opening(number: int, batch: BatchEvent, events: list[CaseEvent]) -> BatchTotals:
    """The cases that came to life by their products, and the others as credit cards."""
    counts = Counter(one.product for one in events if one.kind == "opened" and one.root == batch.root)
    counts[1] += batch.count - counts.total()
    products = tuple(
        ProductTotals(product, count, 700 * number, 30, number, 701 * number + 30)
        for product, count in sorted(counts.items())
        if count
    )
    return BatchTotals(batch.root, batch.owner, products, keccak256(batch.root))


def vector(seed: int, cases: int, owners: int, steps: int, *, sums: bool) -> dict[str, Any]:
    batches, events, at = walks(seed, cases, owners, steps)
    openings = None
    if sums:
        opened = [_opening(number, one, events) for number, one in enumerate(batches, 1)]
        batches = [
            dataclasses.replace(one, totals=totals.commitment)
            for one, totals in zip(batches, opened, strict=True)
        ]
        # One is missing, one is another's, one cannot be read.
        wrong = dataclasses.replace(opened[2], owner=opened[2].owner + 1)
        openings = [wrong.encode(), b"torn", *(one.encode() for one in opened[3:]), opened[0].encode()]
    found = histories(batches, events, POLICIES)
    queries = [Query(View.PUBLIC), Query(View.FULL), Query(View.OWN, batches[0].owner)]
    return {
        "time": at.time,
        "batches": [_plain(one) for one in batches],
        "events": [_plain(one) for one in events],
        "openings": None if openings is None else [one.hex() for one in openings],
        "reports": [
            {
                "view": str(one.view),
                "owner": one.owner,
                "report": canonical(report(found, at, one, openings)).decode(),
            }
            for one in queries
        ],
    }


if __name__ == "__main__":
    made = [vector(*world, sums=number == 1) for number, world in enumerate(WORLDS)]
    path = Path(__file__).parent.parent / "vectors" / "statistics.json"
    path.write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
