"""Statistics of cases that anybody with a node can compute again, to the last byte (docs/spec/statistics.md).

Pure: events, a snapshot and a query in, canonical JSON out. Integers and decimals of integers, never a float.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cases.disclosure import DENOMINATORS, Mask, Row, months_withheld, sensitive, stages_withheld
from cases.errors import HistoryBroken, StatisticsQueryInvalid
from cases.lifecycle import Lifecycle
from cases.statistics_events import BatchEvent, CaseEvent
from cases.statistics_history import Histories, histories
from cases.statistics_sums import open_totals, sums
from cases.statistics_tally import Dimension, Duration, Key, Part, Quantity, StageTally, Tally, tally

FORMAT = "caseledger/case-statistics/v1"
THRESHOLD = 5
"""Fewer cases than this are a small cell."""


class View(StrEnum):
    """For whom. `public`: small cells withheld; `full`: for who may see every case; `own`: one institution's
    own cases, and the city's totals.
    """

    PUBLIC = "public"
    FULL = "full"
    OWN = "own"


@dataclass(frozen=True)
class Query:
    """What is asked. `owner` for the view `own`, and only then."""

    view: View
    owner: int | None = None

    def __post_init__(self) -> None:
        if (self.owner is not None) != (self.view is View.OWN):
            raise StatisticsQueryInvalid("an owner belongs to the view `own`", field="owner")

    def as_json(self) -> dict[str, Any]:
        """Name and parameters."""
        return {
            "name": "case-statistics", "view": str(self.view), "owner": self.owner, "threshold": THRESHOLD
        }  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """A version of the lifecycle as the chain switched it on."""

    version: int
    table_hash: bytes
    test_clock: bool


@dataclass(frozen=True)
class Snapshot:
    """The block up to which events count, and how many each contract had announced by then."""

    chain_id: int
    block: int
    block_hash: bytes
    time: int
    state_root: bytes
    batches: bytes
    batches_sequence: int
    ledger: bytes
    ledger_sequence: int
    policies: tuple[Policy, ...]

    def as_json(self) -> dict[str, Any]:
        """With hex as everywhere: addresses and hashes without prefix."""
        return {
            "chainId": self.chain_id,
            "block": self.block,
            "blockHash": self.block_hash.hex(),
            "time": self.time,
            "stateRoot": self.state_root.hex(),
            "contracts": {
                "CaseBatches": {"address": self.batches.hex(), "sequence": self.batches_sequence},
                "CaseLedger": {"address": self.ledger.hex(), "sequence": self.ledger_sequence},
            },
            "policies": [
                {"version": one.version, "tableHash": one.table_hash.hex(), "testClock": one.test_clock}
                for one in self.policies
            ],
        }


FIGURES: tuple[tuple[str, Quantity, Quantity | None], ...] = (
    ("intake", Quantity.IMPORTED, None),
    ("opened", Quantity.OPENED, Quantity.IMPORTED),
    ("settlement", Quantity.SETTLED, Quantity.HANDLED),
    ("mediation", Quantity.AGREED, Quantity.MEDIATED),
    ("decision", Quantity.JUDGED, Quantity.FILED),
    ("closing", Quantity.CONCLUDED, Quantity.IMPORTED),
    ("past-deadline", Quantity.PAST, Quantity.OPEN),
    ("breach", Quantity.BREACHED, Quantity.CLOCKS),
)
"""Name, numerator, denominator."""


def compute(
    batches: Iterable[BatchEvent],
    events: Iterable[CaseEvent],
    policies: Mapping[int, Lifecycle],
    snapshot: Snapshot,
    query: Query,
) -> dict[str, Any]:
    """The report over events up to the snapshot, each list in order of sequence.

    Raises:
        HistoryBroken: the events are not those of an honest chain
    """
    return report(histories(batches, events, policies), snapshot, query)


def report(
    found: Histories, snapshot: Snapshot, query: Query, openings: Iterable[bytes] | None = None
) -> dict[str, Any]:
    """The report over histories that were read before; with sums where opening files are given.

    Raises:
        HistoryBroken: an event is later than the snapshot
    """
    if found.last > snapshot.time:
        raise HistoryBroken("an event is later than the snapshot")
    counts = tally(found, snapshot.time, query.owner)
    public = query.view is View.PUBLIC
    writer = _Public(counts) if public else _Writer(counts)
    made = {
        "format": FORMAT,
        "query": query.as_json(),
        "snapshot": snapshot.as_json(),
        "figures": [writer.figure(*figure) for figure in FIGURES],
        "durations": [writer.duration(duration) for duration in Duration],
        "stages": writer.stages(),
        "closingByMonth": writer.months(),
    }
    if query.owner is not None:
        made["city"] = _city(tally(found, snapshot.time), query.owner)
    if openings is not None:
        opened = open_totals(found, openings)
        made["sums"] = sums(found, opened, threshold=THRESHOLD if public else None, owner=query.owner)
    return made


def canonical(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8, a line feed at the end; only what JSON writes in one way."""
    _require_exact(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def decimal(numerator: int, denominator: int, places: int) -> str:
    """A fraction of integers that are not negative, rounded half up."""
    scaled = (2 * numerator * 10**places + denominator) // (2 * denominator)
    whole, rest = divmod(scaled, 10**places)
    return f"{whole}.{rest:0{places}d}"


def nearest_rank(values: Sequence[int], percent: int) -> int:
    """The smallest value that at least `percent` of a hundred are not above; `values` ascending."""
    return values[-(-percent * len(values) // 100) - 1]


def spread(seconds: Iterable[int]) -> dict[str, Any]:
    """Number, mean, median and ninth decile of durations; all but the number null where there are none."""
    values = sorted(seconds)
    if not values:
        return {"count": 0, "mean": None, "median": None, "p90": None}
    middle = values[(len(values) - 1) // 2] + values[len(values) // 2]
    return {
        "count": len(values),
        "mean": {
            "sum": sum(values), "count": len(values), "seconds": decimal(sum(values), len(values), 3)
        },
        "median": decimal(middle, 2, 1),
        "p90": nearest_rank(values, 90),
    }  # fmt: skip


_WITHHELD = {"count": None, "mean": None, "median": None, "p90": None}


class _Writer:
    """Everything, as for who may see every case that is counted."""

    def __init__(self, counts: Tally) -> None:
        self.counts = counts

    def hides(self, quantity: Quantity, dimension: Dimension, key: Key) -> bool:
        return False

    def hidden_stages(self) -> tuple[frozenset[int], frozenset[int]]:
        return frozenset(), frozenset()

    def hidden_months(self) -> tuple[frozenset[str], frozenset[str]]:
        return frozenset(), frozenset()

    def figure(self, name: str, numerator: Quantity, denominator: Quantity | None) -> dict[str, Any]:
        return {
            "figure": name,
            "numerator": str(numerator),
            "denominator": None if denominator is None else str(denominator),
            "by": {
                str(dimension): [
                    {"key": key, **self._rate(dimension, key, numerator, denominator)}
                    for key in self.counts.keys(dimension)
                ]
                for dimension in Dimension
            },
        }

    def duration(self, duration: Duration) -> dict[str, Any]:
        quantity = _OF_DURATION[duration]
        return {
            "duration": str(duration),
            "of": str(quantity),
            "by": {
                str(dimension): [
                    {"key": key, **self._spread(duration, quantity, dimension, key)}
                    for key in self.counts.keys(dimension)
                ]
                for dimension in Dimension
            },
        }

    def stages(self) -> list[dict[str, Any]]:
        hidden, past = self.hidden_stages()
        return [
            self._stage(code, stage, code in hidden, code in past)
            for code, stage in sorted(self.counts.stages.items())
        ]

    def months(self) -> list[dict[str, Any]]:
        hidden, between = self.hidden_months()
        made = []
        for name, (before, new, concluded) in sorted(self.counts.months.items()):
            numerator = None if name in hidden else concluded.total()
            denominator = None if name in between else before.total() + new.total()
            made.append({"month": name, **_rate(numerator, denominator)})
        return made

    def _stage(self, code: int, stage: StageTally, hidden: bool, past_hidden: bool) -> dict[str, Any]:
        return {
            "stage": code,
            "standing": None if hidden else stage.standing.total(),
            "past": None if past_hidden else stage.past.total(),
            **(_WITHHELD if hidden else spread(stage.stays)),
        }

    def _rate(
        self, dimension: Dimension, key: Key, numerator: Quantity, denominator: Quantity | None
    ) -> dict[str, Any]:
        top = self._count(numerator, dimension, key)
        if denominator is None:
            return {"numerator": top, "denominator": None, "rate": None}
        return _rate(top, self._count(denominator, dimension, key))

    def _count(self, quantity: Quantity, dimension: Dimension, key: Key) -> int | None:
        if self.hides(quantity, dimension, key):
            return None
        return self.counts.part(quantity, dimension, key).total()

    def _spread(
        self, duration: Duration, quantity: Quantity, dimension: Dimension, key: Key
    ) -> dict[str, Any]:
        if self.hides(quantity, dimension, key):
            return _WITHHELD
        return spread(self.counts.durations.get((duration, dimension), {}).get(key, []))


class _Public(_Writer):
    """Without small cells and what would give them back."""

    def __init__(self, counts: Tally) -> None:
        super().__init__(counts)
        self._mask = Mask(counts, THRESHOLD)

    def hides(self, quantity: Quantity, dimension: Dimension, key: Key) -> bool:
        return self._mask.hides(quantity, dimension, key)

    def hidden_stages(self) -> tuple[frozenset[int], frozenset[int]]:
        return stages_withheld(self.counts, self._mask, THRESHOLD)

    def hidden_months(self) -> tuple[frozenset[str], frozenset[str]]:
        return months_withheld(self.counts, self._mask, THRESHOLD)


_OF_DURATION = {Duration.CYCLE: Quantity.CONCLUDED, Duration.TRIAL: Quantity.JUDGED}


def _rate(numerator: int | None, denominator: int | None) -> dict[str, Any]:
    known = numerator is not None and denominator
    return {
        "numerator": numerator,
        "denominator": denominator,
        "rate": decimal(numerator or 0, denominator or 1, 4) if known else None,
    }


def _city(counts: Tally, owner: int) -> list[dict[str, Any]]:
    """The city's totals for an institution that knows its own: what the others have must not be small."""

    def rest(quantity: Quantity) -> Part:
        part = counts.part(quantity, Dimension.ALL, "").copy()
        part.pop(owner, None)
        return part

    gone = set()
    for quantity in Quantity:
        row = Row(rest(quantity), tuple(rest(whole) for whole in DENOMINATORS.get(quantity, ())))
        if sensitive(row, THRESHOLD):
            gone.add(quantity)
    if gone & {Quantity.IMPORTED, Quantity.CONCLUDED, Quantity.OPEN}:
        gone |= {Quantity.CONCLUDED, Quantity.OPEN}

    def shown(quantity: Quantity) -> int | None:
        return None if quantity in gone else counts.part(quantity, Dimension.ALL, "").total()

    made = []
    for name, numerator, denominator in FIGURES:
        rate = _rate(shown(numerator), None if denominator is None else shown(denominator))
        made.append({"figure": name, **rate})
    return made


def _require_exact(value: Any) -> None:
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise TypeError("a member's name is text")
            _require_exact(member)
    elif isinstance(value, list):
        for member in value:
            _require_exact(member)
    elif not (value is None or isinstance(value, (str, bool, int))):
        raise TypeError(f"{type(value).__name__} has no exact form")
