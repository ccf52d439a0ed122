"""Decision tables in the manner of DMN: inputs, rules in order; the first rule that fits counts.

A table is data (docs/spec/triage.md §1); the values of each version are generated from its YAML source.
Deciding is pure, quick and total: the linter has shown that every input finds a rule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import product

from cases.errors import DecisionInputInvalid, DecisionTableIncomplete
from protocol.i18n import Language, Text

NOT_STATED = 0
"""The code of *not stated* in every input that may be it. It is never *no*."""
LARGEST = 2**53


class TableKind(IntEnum):
    """What a table decides; the number stands in decision records."""

    TRIAGE = 1
    TRACK = 2


class Confirmation(IntEnum):
    """What must happen before anything follows from a proposal."""

    RUN = 1
    """An organisation confirms the whole run."""
    PERSON = 2
    """A person, named in the record, confirms this one case."""
    NONE = 3
    """Nothing follows from it: it is said, and others decide."""


@dataclass(frozen=True)
class Value:
    """One value of a choice, or a band from `start` up to the next one's."""

    code: int
    name: str
    label: Text
    start: int = 0


@dataclass(frozen=True)
class Input:
    """What a table asks. A choice takes a code, a band any integer from 0."""

    number: int
    name: str
    label: Text
    values: tuple[Value, ...]
    bands: bool = False

    @property
    def may_be_unstated(self) -> bool:
        """Whether *not stated* is one of its values."""
        return not self.bands and self.values[0].name == "not-stated"

    def value_of(self, raw: int) -> Value:
        """Raises DecisionInputInvalid."""
        if self.bands:
            if 0 <= raw < LARGEST:
                return self.values[bisect_right([value.start for value in self.values], raw) - 1]
        else:
            for value in self.values:
                if value.code == raw:
                    return value
        raise DecisionInputInvalid(f"{raw} is no value of {self.name}", field=self.name)


@dataclass(frozen=True)
class Outcome:
    """What a table says. `steps`: for each stage that it starts from, the transitions that carry it out."""

    code: int
    name: str
    label: Text
    plain: Text
    """What the person reads."""
    human: Text
    """How the person gets a human decision instead."""
    confirm: Confirmation
    adverse: bool = False
    steps: tuple[tuple[int, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Rule:
    """`when`: for each input that it looks at, by place, the codes that fit."""

    number: int
    name: str
    when: tuple[tuple[int, tuple[int, ...]], ...]
    outcome: int
    reason: Text
    article: str
    confirm: Confirmation | None = None
    """Stricter than its outcome's, or None."""


@dataclass(frozen=True)
class Guarantee:
    """Nothing that has these values gets this outcome; shown by the linter over the whole table."""

    name: str
    outcome: int
    when: tuple[tuple[int, tuple[int, ...]], ...]
    article: str
    label: Text


Box = tuple[int, ...]
"""For each input a set of values, bit = place of the value."""


@dataclass(frozen=True)
class DecisionTable:
    """One version of a table; `digest` is SHA-256 over its source's canonical JSON, words included."""

    kind: TableKind
    version: int
    digest: bytes
    inputs: tuple[Input, ...]
    rules: tuple[Rule, ...]
    outcomes: Mapping[int, Outcome]
    guarantees: tuple[Guarantee, ...]
    laws: Mapping[str, Text]

    def decide(self, values: Sequence[int]) -> Decision:
        """The one decision over these values, in the order of `inputs`.

        Raises:
            DecisionInputInvalid: too many, too few, or not a value of its input.
        """
        left = self._every
        try:
            for fits, value in zip(self._fits, values, strict=True):
                left &= fits(value)
        except (KeyError, TypeError, ValueError):
            raise self._invalid(values) from None
        if not left:
            raise DecisionTableIncomplete(f"no rule of table {self.kind.name} {self.version} fits")
        rule = self.rules[(left & -left).bit_length() - 1]
        return Decision(self, rule, self.outcomes[rule.outcome], tuple(values))

    @cached_property
    def by_name(self) -> Mapping[str, Outcome]:
        """Outcomes by their names."""
        return {outcome.name: outcome for outcome in self.outcomes.values()}

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each input stands, by its name."""
        return {item.name: place for place, item in enumerate(self.inputs)}

    # For the linter

    @cached_property
    def space(self) -> Box:
        """Every input with every value."""
        return tuple((1 << len(item.values)) - 1 for item in self.inputs)

    def box(self, when: Iterable[tuple[int, tuple[int, ...]]]) -> Box:
        """All inputs that fit."""
        sets = list(self.space)
        for place, codes in when:
            sets[place] = sum(
                1 << i for i, value in enumerate(self.inputs[place].values) if value.code in codes
            )
        return tuple(sets)

    def reached(self, place: int) -> list[Box]:
        """Inputs that come to the rule at this place: what it takes and no rule before it does."""
        left = [self.box(self.rules[place].when)]
        for rule in self.rules[:place]:
            taken = self.box(rule.when)
            left = [piece for box in left for piece in without(box, taken)]
        return left

    def uncovered(self) -> list[Box]:
        """Inputs that no rule takes."""
        left = [self.space]
        for rule in self.rules:
            taken = self.box(rule.when)
            left = [piece for box in left for piece in without(box, taken)]
        return left

    # For speed

    @cached_property
    def _every(self) -> int:
        return (1 << len(self.rules)) - 1

    @cached_property
    def _fits(self) -> tuple[Callable[[int], int], ...]:
        return tuple(self._lookup(place, item) for place, item in enumerate(self.inputs))

    def _lookup(self, place: int, item: Input) -> Callable[[int], int]:
        """From a value to the rules that it fits, bit = place of the rule."""
        masks = [
            sum(1 << i for i, rule in enumerate(self.rules) if _takes(rule, place, value.code))
            for value in item.values
        ]
        if not item.bands:
            return {value.code: mask for value, mask in zip(item.values, masks, strict=True)}.__getitem__
        starts = [value.start for value in item.values]

        def banded(raw: int) -> int:
            if not 0 <= raw < LARGEST:
                raise ValueError
            return masks[bisect_right(starts, raw) - 1]

        return banded

    def _invalid(self, values: Sequence[int]) -> DecisionInputInvalid:
        if len(values) != len(self.inputs):
            return DecisionInputInvalid(f"{len(self.inputs)} values are expected, not {len(values)}")
        for item, raw in zip(self.inputs, values, strict=True):
            try:
                item.value_of(raw)
            except DecisionInputInvalid as error:
                return error
            except TypeError:
                break
        return DecisionInputInvalid("an integer is expected", field=item.name)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a table says about one case; a proposal until an organisation confirms it."""

    table: DecisionTable
    rule: Rule
    outcome: Outcome
    values: tuple[int, ...]

    @property
    def confirm(self) -> Confirmation:
        """What must happen before anything follows."""
        return self.rule.confirm or self.outcome.confirm

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the inputs that the rule looks at."""
        return tuple(self.table.inputs[place].name for place, _ in self.rule.when)

    def value(self, place: int) -> Value:
        """The value that an input had."""
        return self.table.inputs[place].value_of(self.values[place])

    def open_questions(self) -> tuple[str, ...]:
        """Inputs that were not stated and that alone would have changed the outcome, had they been."""
        found = []
        for place, item in enumerate(self.table.inputs):
            if not item.may_be_unstated or self.values[place] != NOT_STATED:
                continue
            for value in item.values[1:]:
                other = (*self.values[:place], value.code, *self.values[place + 1 :])
                if self.table.decide(other).outcome.code != self.outcome.code:
                    found.append(item.name)
                    break
        return tuple(found)

    def explain(self, lang: Language) -> str:
        """Outcome, rule, what it saw, why and by which article; no value but the bands."""
        inputs = self.table.inputs
        saw = [
            f"{inputs[place].label.choose(lang)}{_IS.choose(lang)}{self.value(place).label.choose(lang)}"
            for place, _ in self.rule.when
        ]
        text = _SAYS.format(
            lang,
            outcome=self.outcome.label.choose(lang),
            number=self.rule.number,
            reason=self.rule.reason.choose(lang),
            saw=_COMMA.choose(lang).join(saw) or _ANYTHING.choose(lang),
            article=cite(self.rule.article, self.table.laws, lang),
        )
        unknown = [inputs[self.table.places[name]].label.choose(lang) for name in self.open_questions()]
        if unknown:
            text += _OPEN.format(lang, inputs=_COMMA.choose(lang).join(unknown))
        return text


_SAYS = Text(
    "建议：{outcome}。规则 {number}：{reason}依据的情况：{saw}。依据：{article}。",
    "Proposal: {outcome}. Rule {number}: {reason} What it saw: {saw}. On: {article}.",
)
_OPEN = Text(
    "未说明、但可能改变结果的：{inputs}。",
    " Not stated, and able to change the outcome: {inputs}.",
)
_IS = Text("为", " is ")
_COMMA = Text("、", ", ")
_ANYTHING = Text("其余情况", "everything else")


def cite(article: str, laws: Mapping[str, Text], lang: Language) -> str:
    """`"CPL 125; house"` in words."""
    parts = []
    for part in article.split("; "):
        law, _, numbers = part.partition(" ")
        name = laws[law].choose(lang)
        if lang == "zh":
            parts.append(name + "、".join(f"第{number}条" for number in numbers.split(", ") if number))
        else:
            parts.append(f"{name} Art. {numbers}" if numbers else name)
    return ("；" if lang == "zh" else "; ").join(parts)


def without(box: Box, other: Box) -> list[Box]:
    """`box` less `other`, as boxes that do not overlap."""
    if not all(a & b for a, b in zip(box, other, strict=True)):
        return [box]
    pieces, left = [], list(box)
    for place, taken in enumerate(other):
        outside = left[place] & ~taken
        if outside:
            pieces.append((*left[:place], outside, *left[place + 1 :]))
        left[place] &= taken
    return pieces


def common(box: Box, other: Box) -> Box | None:
    """What two boxes share."""
    shared = tuple(a & b for a, b in zip(box, other, strict=True))
    return shared if all(shared) else None


def example(table: DecisionTable, box: Box) -> str:
    """One input of a box, in words of the source."""
    chosen = []
    for item, values in zip(table.inputs, box, strict=True):
        if values != (1 << len(item.values)) - 1:
            chosen.append(f"{item.name}: {item.values[(values & -values).bit_length() - 1].name}")
    return ", ".join(chosen) or "anything"


def cells(table: DecisionTable, box: Box) -> Iterable[tuple[int, ...]]:
    """Every combination of values in a box; a band stands with its first number."""
    sets = [
        [value.start if item.bands else value.code for i, value in enumerate(item.values) if values >> i & 1]
        for item, values in zip(table.inputs, box, strict=True)
    ]
    return product(*sets)


def _takes(rule: Rule, place: int, code: int) -> bool:
    return all(code in codes for at, codes in rule.when if at == place)
