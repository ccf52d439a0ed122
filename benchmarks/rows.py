"""What a bench hands back: rows of figures with what they are held against, in both languages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from protocol.i18n import Language, Text

Unit = Literal["leaves/s", "1/s", "s", "ms", "B", "MB", "MB/s", "gas", "share"]


class BenchFailed(Exception):
    """What must not be: a wrong signature taken, an answer missing, a part that does not start."""


@dataclass(frozen=True)
class Options:
    """`folder` is a temporary folder on a real disk, the bench's own; it is removed afterwards."""

    quick: bool
    folder: Path

    def pick(self, full: int, quick: int) -> int:
        """A size for this run."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Figure:
    """A measured value. MB are 10^6 bytes."""

    value: float
    unit: Unit

    def show(self) -> str:
        """With as many digits as mean something."""
        if self.unit == "share":
            return f"{self.value:.2f}"
        size = abs(self.value)
        digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
        return f"{self.value:,.{digits}f} {self.unit}"


@dataclass(frozen=True)
class Reach:
    """What the figure should reach. `how` says where a bound that was computed in this run comes from."""

    sign: Literal[">=", "<=", "<"]
    bound: Figure
    how: Text | None = None

    def met(self, measured: Figure) -> bool:
        """Whether it does."""
        if self.sign == ">=":
            return measured.value >= self.bound.value
        return measured.value <= self.bound.value if self.sign == "<=" else measured.value < self.bound.value

    def show(self, lang: Language) -> str:
        """`≥ 40,000 leaves/s`."""
        sign = {">=": "≥", "<=": "≤", "<": "<"}[self.sign]
        text = f"{sign} {self.bound.show()}"
        return f"{text} ({self.how.choose(lang)})" if self.how else text


@dataclass(frozen=True)
class Beside:
    """A peer or a physical limit, measured in the same run. Without a figure the name says why."""

    name: Text
    figure: Figure | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    what: Text
    measured: Figure
    reach: Reach | None = None
    beside: tuple[Beside, ...] = ()
    note: Text | None = None
    """How it was measured, or what bounds it."""
    detail: dict[str, Any] = field(default_factory=dict)
    """More figures for the JSON form."""

    @property
    def met(self) -> bool | None:
        """None when nothing has to be reached."""
        return None if self.reach is None else self.reach.met(self.measured)

    def ratio(self, other: Beside) -> float | None:
        """Measured divided by what stands beside it, where the units allow it."""
        figure = other.figure
        if figure is None or figure.value == 0:
            return None
        rates = {"leaves/s", "1/s"}
        same = figure.unit == self.measured.unit or {figure.unit, self.measured.unit} <= rates
        return self.measured.value / figure.value if same else None

    def as_json(self) -> dict[str, Any]:
        """Everything, words in both languages."""
        return {
            "key": self.key,
            "what": _both(self.what),
            "measured": _figure(self.measured),
            "reach": None
            if self.reach is None
            else {"sign": self.reach.sign, "bound": _figure(self.reach.bound), "how": _both(self.reach.how)},
            "beside": [
                {"name": _both(one.name), "figure": _figure(one.figure), "ratio": self.ratio(one)}
                for one in self.beside
            ],
            "met": self.met,
            "note": _both(self.note),
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Row:
        """Back from `as_json`."""
        reach = value["reach"]
        return cls(
            value["key"],
            Text(**value["what"]),
            Figure(**value["measured"]),
            None if reach is None else Reach(reach["sign"], Figure(**reach["bound"]), _text(reach["how"])),
            tuple(
                Beside(Text(**one["name"]), None if one["figure"] is None else Figure(**one["figure"]))
                for one in value["beside"]
            ),
            _text(value["note"]),
            value["detail"],
        )


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _both(text: Text | None) -> dict[str, str] | None:
    return None if text is None else {"zh": text.zh, "en": text.en}


def _text(value: dict[str, str] | None) -> Text | None:
    return None if value is None else Text(**value)


def _figure(figure: Figure | None) -> dict[str, Any] | None:
    return None if figure is None else {"value": figure.value, "unit": figure.unit}
