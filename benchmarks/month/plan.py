"""What is to happen: which bank imports which cases when, who handles them, and which lives they will have.

All of it follows from a seed and a number of cases.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from random import Random

from benchmarks.month.cast import Cast, Lead
from benchmarks.month.paths import PATHS, TAILS, WEIGHTS
from cases.calendar import DAY, WorkCalendar, day_of, first_second, to_date, to_day
from chain.case_acts import Origin
from protocol.case_batch import CaseLeaf, leaf_hash
from protocol.case_totals import BatchTotals, ProductTotals
from protocol.hashing import SHA256, keccak256, sha256
from verifier.merkle_tree import all_paths

YEAR, MONTH = 2025, 3
FOLLOWED = 4
"""Of five lives whose path leaves them under way, so many go on to an end."""
LATE = 25
"""One step in so many takes several times as long."""
_PRODUCTS = ((1, 55), (2, 20), (3, 10), (4, 15))
_MEAN_FEN = {1: 3_500_000, 2: 1_800_000, 3: 45_000_000, 4: 20_000_000}


@dataclass(frozen=True)
class CasePlan:
    """One case: where it comes from, who handles it, and the steps of its life."""

    number: int
    case_id: bytes
    product: int
    lead: Lead
    path: tuple[str, ...]
    amounts: tuple[int, int, int]
    """Principal, interest and fees in fen."""
    commitment: bytes


@dataclass(frozen=True)
class BatchPlan:
    """One import: the owner, the second from which it may be on the chain, its cases in order."""

    owner: int
    due: int
    cases: tuple[CasePlan, ...]
    root: bytes
    origins: tuple[Origin, ...] = field(repr=False)
    totals: BatchTotals = field(repr=False)


def month_days(calendar: WorkCalendar) -> list[int]:
    """The month's working days."""
    first, after = to_day(date(YEAR, MONTH, 1)), to_day(date(YEAR, MONTH + 1, 1))
    return [day for day in range(first, after) if calendar.is_workday(day)]


def plan(seed: int, cases: int, cast: Cast, calendar: WorkCalendar) -> tuple[BatchPlan, ...]:
    """Batches in order of time: every bank about once a week, large banks larger ones."""
    rng = Random(f"{seed}/{cases}")  # noqa: S311 - a plan, not a secret
    days = month_days(calendar)
    owners = rng.choices(cast.banks, [1 / (rank + 2) for rank in range(len(cast.banks))], k=cases)
    for place, owner in enumerate(cast.banks[:cases]):
        owners[place] = owner  # every bank has a case
    weeks: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, owner in enumerate(owners):
        weeks[owner, rng.randrange(4)].append(number)
    made = []
    for (owner, week), numbers in sorted(weeks.items()):
        day = days[min(len(days) - 1, week * len(days) // 4 + rng.randrange(max(1, len(days) // 4)))]
        due = first_second(day) + rng.randrange(9 * 3600, 17 * 3600)
        made.append(_batch(rng, seed, cast, owner, due, numbers))
    return tuple(sorted(made, key=lambda batch: (batch.due, batch.root)))


def _batch(rng: Random, seed: int, cast: Cast, owner: int, due: int, numbers: list[int]) -> BatchPlan:
    cases = tuple(_case(rng, seed, cast, owner, number) for number in numbers)
    leaves = [
        leaf_hash(CaseLeaf(case.product, owner, case.case_id, case.commitment).encode()) for case in cases
    ]
    root, paths = all_paths(SHA256, leaves)
    origins = tuple(
        Origin(root, index, case.product, case.commitment, path)
        for index, (case, path) in enumerate(zip(cases, paths, strict=True))
    )
    products = []
    for product in sorted({case.product for case in cases}):
        amounts = [case.amounts for case in cases if case.product == product]
        sums = [sum(column) for column in zip(*amounts, strict=True)]
        products.append(ProductTotals(product, len(amounts), sums[0], sums[1], sums[2], sum(sums)))
    salt = keccak256(b"month/salt" + seed.to_bytes(8, "big") + root)
    return BatchPlan(owner, due, cases, root, origins, BatchTotals(root, owner, tuple(products), salt))


def _case(rng: Random, seed: int, cast: Cast, owner: int, number: int) -> CasePlan:
    which = rng.choices(range(len(PATHS)), WEIGHTS)[0]
    tail = TAILS[which] if rng.randrange(5) < FOLLOWED else ()
    (product,) = rng.choices([code for code, _ in _PRODUCTS], [weight for _, weight in _PRODUCTS])
    principal = rng.randrange(_MEAN_FEN[product] // 10, _MEAN_FEN[product] * 2)
    amounts = (principal, principal * rng.randrange(2, 24) // 100, rng.randrange(principal // 50 + 1))
    lead = Lead(
        owner, rng.choice(cast.mediation), rng.randrange(10), rng.choice(cast.courts)
    )  # fmt: skip
    place = seed.to_bytes(8, "big") + number.to_bytes(8, "big")
    case_id, commitment = keccak256(b"month/case" + place), sha256(b"month/row" + place)
    return CasePlan(number, case_id, product, lead, PATHS[which] + tail, amounts, commitment)


LONGEST_REST = 14
"""No row of days off is longer."""


class Hours:
    """When people work: from nine to five on working days, in Shanghai."""

    def __init__(self, calendar: WorkCalendar) -> None:
        self._calendar = calendar

    def at_work(self, time: int) -> int:
        """The time itself, or the same minute of the next working morning.

        Past the table's last year it is the time itself: no life is followed so far.
        """
        day = day_of(time)
        if to_date(day + LONGEST_REST).year not in self._calendar.years:
            return time
        second = time - first_second(day)
        if second >= 17 * 3600:
            day, second = day + 1, 9 * 3600 + second % 3600
        elif second < 9 * 3600:
            second = 9 * 3600 + second % 3600
        while not self._calendar.is_workday(day):
            day += 1
        return first_second(day) + second % DAY
