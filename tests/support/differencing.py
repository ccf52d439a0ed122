"""Whoever wants to know a withheld count: all that is published, every sum that holds, and elimination.

Written against docs/spec/statistics.md §5 and not with the code that withholds. `full` is the truth, used to
know which relations hold and what would be a find, never to compute one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

Name = tuple[Any, ...]
PARTS = {"opened": "imported", "settled": "handled", "agreed": "mediated", "judged": "filed",
         "concluded": "imported", "past": "open", "breached": "clocks"}  # fmt: skip
FINALS = (42, 43, 44, 45)


def values(report: dict[str, Any]) -> dict[Name, int | None]:
    """Every count of a report by name; None where it is withheld."""
    found: dict[Name, int | None] = {}
    for figure in report["figures"]:
        for dimension, rows in figure["by"].items():
            for row in rows:
                found[figure["numerator"], dimension, row["key"]] = row["numerator"]
                if figure["denominator"] is not None:
                    found[figure["denominator"], dimension, row["key"]] = row["denominator"]
    for duration in report["durations"]:
        for dimension, rows in duration["by"].items():
            for row in rows:
                name = (duration["of"], dimension, row["key"])
                if row["count"] is not None:
                    found[name] = row["count"]
    for stage in report["stages"]:
        found["standing", stage["stage"]] = stage["standing"]
        found["past-in", stage["stage"]] = stage["past"]
        found["left", stage["stage"]] = stage["count"]
    for month in report["closingByMonth"]:
        found["ended", month["month"]] = month["numerator"]
        found["to-end", month["month"]] = month["denominator"]
    return found


def relations(truth: dict[Name, int | None]) -> Iterable[dict[Name, int]]:
    """Sums that give 0 by the definitions, as coefficients; those that reopened cases break are left out."""
    every: list[dict[Name, int]] = []
    rows: dict[tuple[str, str], list[Any]] = {}
    for name in truth:
        if len(name) == 3 and name[1] != "all":
            rows.setdefault((name[0], name[1]), []).append(name[2])
    for (quantity, dimension), keys in rows.items():
        every.append({(quantity, "all", ""): -1} | {(quantity, dimension, key): 1 for key in keys})
    for quantity, dimension, key in [name for name in truth if len(name) == 3 and name[0] == "imported"]:
        assert quantity == "imported"
        every.append(
            {("imported", dimension, key): -1, ("open", dimension, key): 1, ("concluded", dimension, key): 1}
        )
        if dimension == "product":
            every.append(
                {("imported", dimension, key): 1, ("opened", dimension, key): -1}
                if key
                else {("imported", dimension, 0): 1, ("imported", "all", ""): -1, ("opened", "all", ""): 1}
            )
    stages = [name[1] for name in truth if name[0] == "standing"]
    every.append({("standing", one): 1 for one in stages if one in FINALS} | {("concluded", "all", ""): -1})
    every.append({("standing", one): 1 for one in stages if one not in FINALS} | {("open", "all", ""): -1})
    every.append({("past-in", one): 1 for one in stages} | {("past", "all", ""): -1})
    every.append({("standing", 1): 1, ("left", 1): 1, ("imported", "all", ""): -1})
    for one in stages:
        # Who entered, where each case did so once: other counts are that number.
        for quantity in ("mediated", "agreed", "filed", "settled"):
            every.append({("standing", one): 1, ("left", one): 1, (quantity, "all", ""): -1})
    months = sorted(name[1] for name in truth if name[0] == "ended")
    every.append({("ended", one): 1 for one in months} | {("concluded", "all", ""): -1})
    for one, following in pairwise(months):
        new = {("imported", "month", following): 1} if ("imported", "month", following) in truth else {}
        every.append({("to-end", one): 1, ("ended", one): -1, ("to-end", following): -1} | new)
    for relation in every:
        known = {name: by for name, by in relation.items() if name in truth}
        if sum(by * (truth[name] or 0) for name, by in known.items()) == 0:
            yield known


@dataclass
class Attacker:
    """Knows a public report, and what it knows besides."""

    report: dict[str, Any]
    full: dict[str, Any]
    besides: dict[Name, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.truth = values(self.full)
        self.known: dict[Name, Fraction] = {
            name: Fraction(value) for name, value in values(self.report).items() if value is not None
        } | {name: Fraction(value) for name, value in self.besides.items()}
        self.hidden = [name for name in self.truth if name not in self.known]

    def found(self) -> dict[Name, int]:
        """What elimination and bounds give, over and over until nothing more comes."""
        known = dict(self.known)
        while True:
            more = self._solved(known) | self._bounded(known)
            more = {name: value for name, value in more.items() if name not in known}
            if not more:
                return {name: int(value) for name, value in known.items() if name not in self.known}
            known |= more

    def _equations(self, known: dict[Name, Fraction]) -> list[tuple[dict[Name, Fraction], Fraction]]:
        made = []
        for relation in relations(self.truth):
            left = {name: Fraction(by) for name, by in relation.items() if name not in known}
            right = -sum((known[name] * by for name, by in relation.items() if name in known), Fraction(0))
            if left:
                made.append((left, right))
        return made

    def _solved(self, known: dict[Name, Fraction]) -> dict[Name, Fraction]:
        rows: list[tuple[Name, dict[Name, Fraction], Fraction]] = []
        for left, right in self._equations(known):
            for pivot, row, value in rows:
                if pivot in left:
                    by = left[pivot]
                    left, right = _minus(left, row, by), right - by * value
            if not left:
                continue
            pivot = min(left, key=repr)
            by = left[pivot]
            left, right = {name: one / by for name, one in left.items()}, right / by
            rows = [
                (other, _minus(row, left, row[pivot]), value - row[pivot] * right) if pivot in row
                else (other, row, value)
                for other, row, value in rows
            ] + [(pivot, left, right)]  # fmt: skip
        return {pivot: value for pivot, row, value in rows if len(row) == 1}

    def _bounded(self, known: dict[Name, Fraction]) -> dict[Name, Fraction]:
        """Intervals from what is never negative and from parts and wholes."""
        low = {name: known.get(name, Fraction(0)) for name in self.truth}
        high: dict[Name, Fraction | None] = {name: known.get(name) for name in self.truth}
        everything = self.known.get(("imported", "all", ""))
        equations = self._equations(known)
        for _ in range(6):
            for name in self.truth:
                if len(name) == 3 and name[0] in PARTS:
                    whole = (PARTS[name[0]], *name[1:])
                    if whole in high:
                        high[name] = _least(high[name], high[whole])
                        low[whole] = max(low[whole], low[name])
                if name[0] == "past-in":
                    high[name] = _least(high[name], high["standing", name[1]])
                if name[0] in ("imported", "opened", "concluded", "standing") and everything is not None:
                    high[name] = _least(high[name], everything)
            for left, right in equations:
                _tighten(left, right, low, high)
        return {name: low[name] for name in self.hidden if high[name] is not None and low[name] == high[name]}


def _minus(row: dict[Name, Fraction], other: dict[Name, Fraction], by: Fraction) -> dict[Name, Fraction]:
    made = dict(row)
    for name, value in other.items():
        left = made.get(name, Fraction(0)) - by * value
        if left:
            made[name] = left
        else:
            made.pop(name, None)
    return made


def _least(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _tighten(
    left: dict[Name, Fraction], right: Fraction, low: dict[Name, Fraction], high: dict[Name, Fraction | None]
) -> None:
    for name, by in left.items():
        most: Fraction | None = right
        least: Fraction | None = right
        for other, coefficient in left.items():
            if other == name:
                continue
            small, large = low[other], high[other]
            if coefficient < 0:
                small, large = (large, small) if large is not None else (None, small)  # type: ignore[assignment]
            most = None if most is None or small is None else most - coefficient * small
            least = None if least is None or large is None else least - coefficient * large
        bounds = (least, most) if by > 0 else (most, least)
        if bounds[0] is not None:
            low[name] = max(low[name], bounds[0] / by)
        if bounds[1] is not None:
            high[name] = _least(high[name], bounds[1] / by)
