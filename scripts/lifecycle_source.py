"""Reads `cases/lifecycle.yaml` strictly and lints it (docs/lifecycle.md, "How it is checked")."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from cases.deadlines import Unit
from cases.lifecycle import (
    COURT_ROLES,
    HOLDS,
    OWNER,
    PRODUCTS,
    REASONS,
    STAGES,
    Clock,
    Consent,
    CourtRule,
    EvidenceNeed,
    Fact,
    Hold,
    Lifecycle,
    Product,
    Reason,
    Stage,
    Transition,
    When,
)
from protocol.acts import Role
from protocol.entry import EvidenceClass
from protocol.i18n import Text

ROLES = {role.name.lower(): role.mask for role in Role} | {"owner": OWNER}
PRIVILEGED = {EvidenceClass.MEDIATION_RECORD}
MOST_REASONS = REASONS - 1
SOURCE = Path(__file__).resolve().parent.parent / "cases" / "lifecycle.yaml"
Json = dict[str, Any]


class SourceError(Exception):
    """The source is not a lifecycle; says where."""


class _Loader(yaml.CSafeLoader):
    """Refuses a key that stands twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    loader.flatten_mapping(node)
    found: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise SourceError(f"line {key_node.start_mark.line + 1}: {key} stands twice")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(text: str) -> Lifecycle:
    """The lifecycle of a source text.

    Raises:
        SourceError: something is missing, unknown, out of range or stands twice.
    """
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise SourceError(f"not YAML: {error}") from None
    top = _Part("lifecycle", raw)
    holds = top.group("holds", _hold)
    reasons = {name: _reasons(name, members) for name, members in top.take("reasons").items()}
    stages = top.group("stages", lambda part: _stage(part, {hold.name: code for code, hold in holds.items()}))
    names = {stage.name: code for code, stage in stages.items()}
    steps = top.group("transitions", lambda part: _transition(part, names, reasons))
    made = Lifecycle(
        version=top.number("version", 2**16 - 1),
        source_digest=digest_of(raw),
        stages=stages,
        transitions=steps,
        holds=holds,
        products=top.group("products", _product),
    )
    top.done()
    return made


def digest_of(raw: object) -> bytes:
    """SHA-256 of the source as canonical JSON, so that comments and layout do not count."""
    return hashlib.sha256(
        json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).digest()


class _Part:
    """A mapping whose members are taken one by one; what is left over is a mistake."""

    def __init__(self, name: str, value: object) -> None:
        if not isinstance(value, dict):
            raise SourceError(f"{name}: a mapping is expected")
        self.name = name
        self._left = dict(value)

    def take(self, key: str, default: Any = ...) -> Any:
        if key not in self._left and default is ...:
            raise SourceError(f"{self.name}: {key} is missing")
        return self._left.pop(key, default)

    def done(self) -> None:
        if self._left:
            raise SourceError(f"{self.name}: unknown member {sorted(self._left)[0]}")

    def number(self, key: str, maximum: int) -> int:
        value = self.take(key)
        if type(value) is not int or not 0 < value <= maximum:
            raise SourceError(f"{self.name}: {key} is a number from 1 to {maximum}")
        return value

    def text(self, key: str) -> Text:
        part = _Part(f"{self.name}.{key}", self.take(key))
        words = Text(str(part.take("zh")).strip(), str(part.take("en")).strip())
        part.done()
        return words

    def choice(self, key: str, choices: Mapping[str, Any], default: Any = ...) -> Any:
        value = self.take(key, default)
        if value is default and default is not ...:
            return default
        if value not in choices:
            raise SourceError(f"{self.name}: {key} {value} is not known")
        return choices[value]

    def roles(self, key: str, default: Any = ...) -> int:
        return sum({self._known(ROLES, role, key) for role in self.take(key, default)})

    def several(self, key: str, choices: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(self._known(choices, value, key) for value in self.take(key))

    def flag(self, key: str) -> bool:
        value = self.take(key, False)
        if type(value) is not bool:
            raise SourceError(f"{self.name}: {key} is true or false")
        return value

    def group(self, key: str, make: Callable[[_Part], Any]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for name, value in self.take(key).items():
            part = _Part(name, value)
            item = make(part)
            part.done()
            code = item.id if isinstance(item, Transition) else item.code
            if code in found:
                raise SourceError(f"{name}: code {code} is taken by {found[code].name}")
            found[code] = item
        return dict(sorted(found.items()))

    def _known(self, choices: Mapping[str, Any], value: str, key: str) -> Any:
        if value not in choices:
            raise SourceError(f"{self.name}: {key} {value} is not known")
        return choices[value]


def _enum(kind: type[Any]) -> dict[str, Any]:
    return {member.name.lower().replace("_", "-"): member for member in kind}


def _hold(part: _Part) -> Hold:
    return Hold(
        part.number("code", HOLDS - 1),
        part.name,
        part.roles("by"),
        str(part.take("article")),
        part.text("label"),
    )


def _product(part: _Part) -> Product:
    return Product(part.number("code", PRODUCTS - 1), part.name, part.roles("by"), part.text("label"))


def _reasons(name: str, members: Mapping[str, Any]) -> tuple[Reason, ...]:
    made = []
    for key, value in members.items():
        part = _Part(f"{name}.{key}", value)
        made.append(Reason(part.number("code", MOST_REASONS), key, part.text("label")))
        part.done()
    if len({reason.code for reason in made}) != len(made):
        raise SourceError(f"{name}: a code stands twice")
    return tuple(sorted(made, key=lambda reason: reason.code))


def _stage(part: _Part, holds: Mapping[str, int]) -> Stage:
    final = part.flag("final")
    return Stage(
        code=part.number("code", STAGES - 1),
        name=part.name,
        label=part.text("label"),
        plain=part.text("plain"),
        clock=None if final else _stage_clock(_Part(f"{part.name}.clock", part.take("clock"))),
        holds=() if final else tuple(sorted(part.several("holds", holds))),
        court=part.flag("court"),
        final=final,
    )


def _stage_clock(part: _Part) -> Clock:
    made = Clock(
        name=str(part.take("name")),
        count=part.number("count", 2**16 - 1),
        unit=part.choice("unit", _enum(Unit)),
        article=str(part.take("article")),
        label=part.text("label"),
    )
    part.done()
    return made


def _transition(
    part: _Part, stages: Mapping[str, int], reasons: Mapping[str, tuple[Reason, ...]]
) -> Transition:
    label, article = part.text("label"), str(part.take("article"))
    lapse = part.flag("lapse")
    return Transition(
        id=part.number("id", 2**16 - 1),
        name=part.name,
        sources=part.several("from", stages),
        target=part.choice("to", stages),
        by=0 if lapse else part.roles("by"),
        beside=part.roles("with", ()),
        label=label,
        article=article,
        when=part.choice("when", _enum(When), When.AFTER if lapse else When.ANY),
        court_rule=part.choice("court-is", _enum(CourtRule), CourtRule.ANY),
        lapse=lapse,
        held=part.flag("held"),
        extends=part.flag("extends"),
        evidence=tuple(map(_need(part.name), part.take("evidence", ()))),
        fact=part.choice("fact", _enum(Fact), None),
        consent=part.choice("consent", _enum(Consent), None),
        reasons=part.choice("reasons", reasons, ()),
        clock=_own_clock(part, label, article),
    )


def _own_clock(part: _Part, label: Text, article: str) -> Clock | None:
    value = part.take("clock", None)
    if value is None:
        return None
    inner = _Part(f"{part.name}.clock", value)
    made = Clock(
        part.name, inner.number("count", 2**16 - 1), inner.choice("unit", _enum(Unit)), article, label
    )
    inner.done()
    return made


def _need(name: str) -> Callable[[object], EvidenceNeed]:
    def make(value: object) -> EvidenceNeed:
        part = _Part(f"{name}.evidence", value)
        need = EvidenceNeed(part.several("classes", _enum(EvidenceClass)), part.roles("from"))
        part.done()
        return need

    return make


def lint(life: Lifecycle) -> list[str]:
    """What is wrong with a lifecycle that could be read; empty if nothing is."""
    return [*_lint_stages(life), *_lint_words(life), *_lint_transitions(life)]


def _lint_stages(life: Lifecycle) -> Iterable[str]:
    start = life.stages.get(1)
    if start is None:
        yield "stage code 1, where every case begins, is missing"
        return
    reached, pending = {1}, [1]
    while pending:
        for step in life.leaving(pending.pop()):
            if step.target not in reached:
                reached.add(step.target)
                pending.append(step.target)
    for code, stage in life.stages.items():
        if code not in reached:
            yield f"{stage.name}: unreachable"
        ways = [step for step in life.leaving(code) if step.target != code]
        if not ways and not stage.final:
            yield f"{stage.name}: no exit"
        if not stage.final and not any(step.when is not When.BEFORE for step in ways):
            yield f"{stage.name}: no exit once time has run out"
        if not stage.final and not any(step.when is not When.AFTER for step in ways):
            yield f"{stage.name}: no exit while time runs"
        for hold in stage.holds:
            if stage.court and not life.holds[hold].by & COURT_ROLES and life.holds[hold].name != "dispute":
                yield f"{stage.name}: {life.holds[hold].name} cannot be opened by a court"
    unused = set(life.holds) - {hold for stage in life.stages.values() for hold in stage.holds}
    for hold in sorted(unused):
        yield f"{life.holds[hold].name}: a pause of no stage"


def _lint_words(life: Lifecycle) -> Iterable[str]:
    for kind, items in (
        ("stage", life.stages),
        ("transition", life.transitions),
        ("hold", life.holds),
        ("product", life.products),
    ):
        for item in items.values():
            if not item.label.zh or not item.label.en:
                yield f"{kind} {item.name}: a label is missing in one language"
    for stage in life.stages.values():
        if not stage.plain.zh or not stage.plain.en:
            yield f"stage {stage.name}: the plain sentence is missing in one language"
        if stage.clock is not None and not (
            stage.clock.article and stage.clock.label.zh and stage.clock.label.en
        ):
            yield f"stage {stage.name}: the clock lacks an article or a label"
    for step in life.transitions.values():
        if not step.article:
            yield f"transition {step.name}: no article"


def _lint_transitions(life: Lifecycle) -> Iterable[str]:
    for step in life.transitions.values():
        yield from (f"{step.name}: {fault}" for fault in _faults(life, step))


def _faults(life: Lifecycle, step: Transition) -> Iterable[str]:
    target = life.stages[step.target]
    if not step.by and not step.lapse:
        yield "nobody may do it"
    if target.court and step.target not in step.sources and (step.by & ~COURT_ROLES or step.lapse):
        yield "others than courts enter a court stage"
    if step.lapse and (
        step.beside or step.evidence or step.fact or step.reasons or step.when is not When.AFTER
    ):
        yield "a lapse needs nothing but time"
    if len(step.evidence) > 2:
        yield "more than two pieces of evidence"
    for need in step.evidence:
        if not need.classes or not need.roles:
            yield "a guard without evidence: no class or nobody who submits it"
        if PRIVILEGED & set(need.classes):
            yield "asks for privileged material"
        if max(need.classes, default=0) >= 16:
            yield "asks for a class that is no document"
    if step.extends != (step.sources == (step.target,)):
        yield "extends and stays where it is go together"
    if step.extends and (step.clock is None or step.when is not When.BEFORE):
        yield "an extension needs a clock of its own, and time that still runs"
    if step.extends and step.clock is not None:
        own = life.stages[step.target].clock
        if own is None or own.unit is not step.clock.unit:
            yield "an extension counts in another unit than its stage"
    if step.when is not When.ANY and any(life.stages[code].clock is None for code in step.sources):
        yield "asks for the time of a stage without a clock"
    if target.final and step.clock is not None:
        yield "a final stage has no clock"
    if any(life.stages[code].final for code in step.sources) and step.name != "reopen":
        yield "leaves a final stage"
