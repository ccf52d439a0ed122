"""Which counts may be published, so that nobody computes a small one (docs/spec/statistics.md §5).

A count is *small* when it is made of fewer cases than the threshold, or would be for the organisation that
has most of them and knows its own. Small counts are withheld, and others with them: enough that no sum gives
them back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cases.statistics_tally import Dimension, Key, Part, Quantity, Tally

FEWEST_HIDDEN = {Dimension.OWNER: 3}
"""How many rows are withheld at least, where any is. Of two owners each would know the other."""
DENOMINATORS: dict[Quantity, tuple[Quantity, ...]] = {
    Quantity.OPENED: (Quantity.IMPORTED,),
    Quantity.SETTLED: (Quantity.HANDLED,),
    Quantity.AGREED: (Quantity.MEDIATED,),
    Quantity.JUDGED: (Quantity.FILED,),
    Quantity.CONCLUDED: (Quantity.IMPORTED,),
    Quantity.PAST: (Quantity.OPEN,),
    Quantity.BREACHED: (Quantity.CLOCKS,),
}
"""Of what a count is a part: the remainder must not be small either."""


@dataclass(frozen=True)
class Row:
    """A count by owner, and the counts of which it is a part."""

    part: Part
    wholes: tuple[Part, ...] = ()

    @property
    def sets(self) -> Iterable[Part]:
        """The count, and each remainder."""
        yield self.part
        for whole in self.wholes:
            yield whole - self.part


def small(part: Part, threshold: int) -> bool:
    """Whether a count gives cases away, to anybody or to the owner of most of them."""
    count = part.total()
    others = count - max(part.values(), default=0)
    return 0 < count < threshold or 0 < others < threshold


def sensitive(row: Row, threshold: int) -> bool:
    """Whether a count or a remainder of it is small."""
    return any(small(part, threshold) for part in row.sets)


def withheld(
    rows: Sequence[Row], threshold: int, fewest: int, keep: frozenset[int] = frozenset(),
    primary: frozenset[int] = frozenset(),
) -> frozenset[int] | None:  # fmt: skip
    """Places of the rows to withhold, when their sum is published; None where no choice protects.

    `primary`: places that are withheld in any case; `keep`: places that are not chosen for the others' sake.
    """
    hidden = {at for at, row in enumerate(rows) if sensitive(row, threshold)} | set(primary)
    if not hidden:
        return frozenset()
    others = sorted(
        (at for at in range(len(rows)) if at not in hidden and at not in keep),
        key=lambda at: (rows[at].part.total() == 0, rows[at].part.total(), at),
    )
    while len(hidden) < fewest or not _covered([rows[at] for at in sorted(hidden)], threshold):
        if not others:
            return None
        hidden.add(others.pop(0))
    return frozenset(hidden)


def _covered(rows: Sequence[Row], threshold: int) -> bool:
    """Whether the sum of what is withheld still hides: enough cases of others than the largest owner."""
    together: list[Part] = []
    for row in rows:
        for at, part in enumerate(row.sets):
            if at == len(together):
                together.append(Counter())
            together[at].update(part)
    return all(_enough(part, threshold) for part in together[:1]) and all(
        part.total() == 0 or _enough(part, threshold) for part in together[1:]
    )


def _enough(part: Part, threshold: int) -> bool:
    return part.total() - max(part.values(), default=0) >= threshold


class Mask:
    """Which rows of which counts are withheld; `gone`: counts of which nothing is published."""

    def __init__(self, counts: Tally, threshold: int) -> None:
        self._tally = counts
        self._threshold = threshold
        self.gone: set[Quantity] = set()
        self._hidden: dict[tuple[Quantity, Dimension], frozenset[Key]] = {}
        for quantity in Quantity:
            if quantity is not Quantity.OPEN:
                self._decide(quantity)
        # What is imported is concluded or open: two of them give the third.
        if self.gone & {Quantity.IMPORTED, Quantity.CONCLUDED}:
            self.gone.add(Quantity.OPEN)
        for dimension in Dimension:
            both = (Quantity.IMPORTED, Quantity.CONCLUDED)
            hidden = [self._hidden.get((quantity, dimension), frozenset()) for quantity in both]
            self._hidden[Quantity.OPEN, dimension] = hidden[0] | hidden[1]

    def hides(self, quantity: Quantity, dimension: Dimension, key: Key) -> bool:
        """Whether this count is withheld."""
        if quantity in self.gone or Quantity.IMPORTED in self.gone:
            return True
        return key in self._hidden.get((quantity, dimension), frozenset())

    def _row(self, quantity: Quantity, dimension: Dimension, key: Key) -> Row:
        wholes = DENOMINATORS.get(quantity, ())
        return Row(
            self._tally.part(quantity, dimension, key),
            tuple(self._tally.part(whole, dimension, key) for whole in wholes),
        )

    def _decide(self, quantity: Quantity) -> None:
        if sensitive(self._row(quantity, Dimension.ALL, ""), self._threshold):
            self.gone.add(quantity)
            return
        for dimension in (Dimension.MONTH, Dimension.PRODUCT, Dimension.OWNER):
            keys = self._tally.keys(dimension)
            # The row of unseen products is what is left of all imports when the opened ones are known.
            keep = frozenset(at for at, key in enumerate(keys) if key == 0)
            rows = [self._row(quantity, dimension, key) for key in keys]
            hidden = withheld(rows, self._threshold, FEWEST_HIDDEN.get(dimension, 2), keep)
            if hidden is None:
                self.gone.add(quantity)
                return
            self._hidden[quantity, dimension] = frozenset(keys[at] for at in hidden)


def stages_withheld(counts: Tally, mask: Mask, threshold: int) -> tuple[frozenset[int], frozenset[int]]:
    """Stages of which standing and stays, and of which the passed deadlines are withheld.

    Standing in final stages sums to the concluded, in the others to the open; where those are not published,
    all stages sum to the imported.
    """
    every = frozenset(counts.stages)
    if Quantity.IMPORTED in mask.gone:
        return every, every
    imported = counts.part(Quantity.IMPORTED, Dimension.ALL, "")
    final = {stage for stage in every if stage in counts.finals}
    groups = [final, set(every) - final] if Quantity.CONCLUDED not in mask.gone else [set(every)]
    hidden: set[int] = set()
    for group in groups:
        codes = sorted(group)
        rows = [Row(counts.stages[code].standing, (imported,)) for code in codes]
        # Who left a stage and who stands in it are together who entered, which other counts may give.
        left = frozenset(at for at, code in enumerate(codes) if small(counts.stages[code].left, threshold))
        found = withheld(rows, threshold, 2, primary=left)
        hidden |= group if found is None else {codes[at] for at in found}
    for group in groups:
        # A group's sum is published, so one withheld stage alone would be none.
        if len(hidden & group) == 1:
            hidden |= group
    if Quantity.PAST in mask.gone:
        return frozenset(hidden), every
    codes = sorted(every - final)
    rows = [Row(counts.stages[code].past, (counts.stages[code].standing,)) for code in codes]
    tied = frozenset(at for at, code in enumerate(codes) if code in hidden)
    late = withheld(rows, threshold, 2, primary=tied)
    past = set(codes) if late is None else {codes[at] for at in late}
    return frozenset(hidden), frozenset(past)


def months_withheld(counts: Tally, mask: Mask, threshold: int) -> tuple[frozenset[str], frozenset[str]]:
    """Calendar months of which the concluded are withheld, and of which what they are a part of.

    What was open before the next month follows from this one's: between two withheld months it is withheld
    too.
    """
    names = sorted(counts.months)
    if mask.gone & {Quantity.IMPORTED, Quantity.CONCLUDED}:
        return frozenset(names), frozenset(names)
    rows = []
    for name in names:
        before, new, concluded = counts.months[name]
        rows.append(Row(concluded, (before + new,)))
    found = withheld(rows, threshold, 2)
    if found is None:
        return frozenset(names), frozenset(names)
    imports = [at for at, name in enumerate(names) if mask.hides(Quantity.IMPORTED, Dimension.MONTH, name)]
    places = sorted({*found, *imports})
    between = range(places[0], places[-1] + 1) if places else range(0)
    return frozenset(names[at] for at in found), frozenset(names[at] for at in between)
