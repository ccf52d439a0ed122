"""Reads `cases/triage.yaml` and `cases/tracks.yaml` strictly and lints them (docs/spec/triage.md §1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cases.decision_table import (
    LARGEST,
    Confirmation,
    DecisionTable,
    Guarantee,
    Input,
    Outcome,
    Rule,
    TableKind,
    Value,
    common,
    example,
)
from cases.lifecycle import Lifecycle
from cases.lifecycle_v1 import LIFECYCLE_V1
from protocol.acts import Role
from protocol.i18n import Text
from scripts.yaml_source import Part, SourceError, digest_of, load

CASES = Path(__file__).resolve().parent.parent / "cases"
SOURCES = (CASES / "triage.yaml", CASES / "tracks.yaml")
MOST = 2**16 - 1
CONFIRMATIONS = {one.name.lower(): one for one in Confirmation}
Conditions = tuple[tuple[int, tuple[int, ...]], ...]


def read(text: str) -> DecisionTable:
    """The table of a source text.

    Raises:
        SourceError: something is missing, unknown, out of range or stands twice.
    """
    raw = load(text)
    top = Part("table", raw)
    if top.take("hit-policy") != "first":
        raise SourceError("table: hit-policy first is the only one")
    kind = top.choice("kind", {one.name.lower(): one for one in TableKind})
    laws = _laws(top.take("laws"))
    inputs = tuple(item.made for item in top.group("inputs", _input).values())
    if [item.number for item in inputs] != list(range(1, len(inputs) + 1)):
        raise SourceError("inputs: codes run from 1 without a gap")
    outcomes = {code: item.made for code, item in top.group("outcomes", _outcome(LIFECYCLE_V1)).items()}
    names = {outcome.name: outcome.code for outcome in outcomes.values()}
    rules = tuple(item.made for item in top.group("rules", _rule(inputs, names)).values())
    guarantees = tuple(
        _guarantee(Part(name, value), inputs, names) for name, value in top.take("guarantees").items()
    )
    made = DecisionTable(
        kind, top.number("version", MOST), digest_of(raw), inputs, rules, outcomes, guarantees, laws
    )
    top.done()
    return made


@dataclass(frozen=True)
class _Coded:
    """What `Part.group` sorts: an input, outcome or rule with its code."""

    code: int
    name: str
    made: Any


def _laws(raw: object) -> dict[str, Text]:
    part = Part("laws", raw)
    found = {name: part.text(name) for name in list(raw)} if isinstance(raw, dict) else {}
    part.done()
    return found


def _input(part: Part) -> _Coded:
    code, label = part.number("code", MOST), part.text("label")
    bands = part.take("bands", None)
    if bands is not None:
        values = tuple(_band(i, name, value) for i, (name, value) in enumerate(bands.items()))
        starts = [value.start for value in values]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= LARGEST:
            raise SourceError(f"{part.name}: bands start at 0 and rise")
    else:
        values = tuple(_value(name, value) for name, value in part.take("values").items())
        codes = [value.code for value in values]
        if codes != list(range(len(codes))):
            raise SourceError(f"{part.name}: codes of values run from 0 without a gap")
        if any((value.name == "not-stated") != (value.code == 0) for value in values) and any(
            value.name == "not-stated" for value in values
        ):
            raise SourceError(f"{part.name}: not-stated has code 0")
    return _Coded(code, part.name, Input(code, part.name, label, values, bands is not None))


def _band(code: int, name: str, raw: object) -> Value:
    part = Part(name, raw)
    start = part.take("start")
    if type(start) is not int:
        raise SourceError(f"{name}: start is a number")
    made = Value(code, name, part.text("label"), start)
    part.done()
    return made


def _value(name: object, raw: object) -> Value:
    if not isinstance(name, str):
        raise SourceError(f"{name}: a value's name is a word; quote yes and no")
    part = Part(name, raw)
    code = part.take("code")
    if type(code) is not int:
        raise SourceError(f"{name}: code is a number")
    made = Value(code, name, part.text("label"))
    part.done()
    return made


def _outcome(life: Lifecycle) -> Any:
    def make(part: Part) -> _Coded:
        steps = []
        for stage, names in part.take("steps", {}).items():
            try:
                steps.append((life.stage(stage).code, tuple(life.transition(name).id for name in names)))
            except KeyError as error:
                raise SourceError(f"{part.name}: {error.args[0]} is not in the lifecycle") from None
        code = part.number("code", 255)
        made = Outcome(
            code,
            part.name,
            part.text("label"),
            part.text("plain"),
            part.text("human"),
            part.choice("confirm", CONFIRMATIONS),
            part.flag("adverse"),
            tuple(steps),
        )
        return _Coded(code, part.name, made)

    return make


def _when(part: Part, inputs: Sequence[Input]) -> Conditions:
    places = {item.name: place for place, item in enumerate(inputs)}
    found = []
    for name, wanted in part.take("when").items():
        if name not in places:
            raise SourceError(f"{part.name}: input {name} is not known")
        values = {value.name: value.code for value in inputs[places[name]].values}
        names = list(wanted)
        for one in names:
            if one not in values:
                raise SourceError(f"{part.name}: {name} has no value {one}")
        if not names or len(set(names)) != len(names) or len(names) == len(values):
            raise SourceError(f"{part.name}: {name} lists none, all, or one twice")
        found.append((places[name], tuple(sorted(values[one] for one in names))))
    return tuple(sorted(found))


def _rule(inputs: Sequence[Input], outcomes: Mapping[str, int]) -> Any:
    def make(part: Part) -> _Coded:
        code = part.number("code", MOST)
        made = Rule(
            code,
            part.name,
            _when(part, inputs),
            part.choice("outcome", outcomes),
            part.text("reason"),
            str(part.take("article")),
            part.choice("confirm", CONFIRMATIONS, None),
        )
        return _Coded(code, part.name, made)

    return make


def _guarantee(part: Part, inputs: Sequence[Input], outcomes: Mapping[str, int]) -> Guarantee:
    made = Guarantee(
        part.name,
        part.choice("outcome", outcomes),
        _when(part, inputs),
        str(part.take("article")),
        part.text("label"),
    )
    part.done()
    return made


def lint(table: DecisionTable, life: Lifecycle = LIFECYCLE_V1) -> list[str]:
    """What is wrong with a table that could be read; empty if nothing is."""
    return [
        *_lint_words(table),
        *_lint_articles(table),
        *_lint_rules(table),
        *_lint_outcomes(table, life),
        *_lint_guarantees(table),
    ]


def _lint_words(table: DecisionTable) -> Iterable[str]:
    texts: list[tuple[str, Text]] = [(f"law {name}", text) for name, text in table.laws.items()]
    for item in table.inputs:
        texts.append((f"input {item.name}", item.label))
        texts += [(f"value {item.name}.{value.name}", value.label) for value in item.values]
    for outcome in table.outcomes.values():
        texts += [(f"outcome {outcome.name}", t) for t in (outcome.label, outcome.plain, outcome.human)]
    texts += [(f"rule {rule.name}", rule.reason) for rule in table.rules]
    texts += [(f"guarantee {one.name}", one.label) for one in table.guarantees]
    for name, text in texts:
        if not text.zh or not text.en:
            yield f"{name}: words are missing in one language"


_ARTICLE = re.compile(r"([A-Z]+) \d+(?:, \d+)*")


def _lint_articles(table: DecisionTable) -> Iterable[str]:
    texts = [(rule.name, rule.article) for rule in table.rules]
    texts += [(one.name, one.article) for one in table.guarantees]
    for name, article in texts:
        for part in article.split("; "):
            found = _ARTICLE.fullmatch(part)
            if (found is None and part != "house") or (found[1] if found else part) not in table.laws:
                yield f"{name}: {part or 'nothing'} is no article of a known law"


def _lint_rules(table: DecisionTable) -> Iterable[str]:
    for box in table.uncovered()[:3]:
        yield f"a gap: no rule for {example(table, box)}"
    for place, rule in enumerate(table.rules):
        if not table.reached(place):
            yield f"rule {rule.name}: shadowed by those before it"
        needed = table.outcomes[rule.outcome].confirm
        if rule.confirm is not None and (rule.confirm, needed) != (Confirmation.PERSON, Confirmation.RUN):
            yield f"rule {rule.name}: its confirmation is not stricter than its outcome's"


def _lint_outcomes(table: DecisionTable, life: Lifecycle) -> Iterable[str]:
    used = {rule.outcome for rule in table.rules}
    advises = table.kind is TableKind.TRACK
    for outcome in table.outcomes.values():
        if outcome.code not in used:
            yield f"outcome {outcome.name}: no rule leads to it"
        if outcome.adverse and outcome.confirm is not Confirmation.PERSON:
            yield f"outcome {outcome.name}: adverse, and no person confirms it"
        if (outcome.confirm is Confirmation.NONE) != advises:
            yield f"outcome {outcome.name}: an advisor confirms nothing, and nobody else goes unconfirmed"
        ends = set()
        for stage, steps in outcome.steps:
            at = stage
            for number in steps:
                step = life.transitions[number]
                if at not in step.sources:
                    yield f"outcome {outcome.name}: {step.name} does not leave {life.stages[at].name}"
                if not advises and not step.by & Role.CENTRE.mask:
                    yield f"outcome {outcome.name}: {step.name} is not the centre's"
                at = step.target
            ends.add(at)
        if len(ends) > 1:
            yield f"outcome {outcome.name}: ends in different stages"


def _lint_guarantees(table: DecisionTable) -> Iterable[str]:
    for guarantee in table.guarantees:
        barred = table.box(guarantee.when)
        for place, rule in enumerate(table.rules):
            if rule.outcome != guarantee.outcome:
                continue
            broken = [shared for box in table.reached(place) if (shared := common(box, barred))]
            if broken:
                yield f"guarantee {guarantee.name}: broken by rule {rule.name}: {example(table, broken[0])}"
