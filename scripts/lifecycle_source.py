"""Reads `cases/lifecycle.yaml` strictly and lints it (docs/lifecycle.md, "How it is checked")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

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
from scripts.yaml_source import Part, SourceError, digest_of, load

ROLES = {role.name.lower(): role.mask for role in Role} | {"owner": OWNER}
PRIVILEGED = {EvidenceClass.MEDIATION_RECORD}
MOST_REASONS = REASONS - 1
SOURCE = Path(__file__).resolve().parent.parent / "cases" / "lifecycle.yaml"
Json = dict[str, Any]


def read(text: str) -> Lifecycle:
    """The lifecycle of a source text.

    Raises:
        SourceError: something is missing, unknown, out of range or stands twice.
    """
    raw = load(text)
    top = Part("lifecycle", raw)
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


def _roles(part: Part, key: str, default: Any = ...) -> int:
    return sum({part.known(ROLES, role, key) for role in part.take(key, default)})


def _enum(kind: type[Any]) -> dict[str, Any]:
    return {member.name.lower().replace("_", "-"): member for member in kind}


def _hold(part: Part) -> Hold:
    return Hold(
        part.number("code", HOLDS - 1),
        part.name,
        _roles(part, "by"),
        str(part.take("article")),
        part.text("label"),
    )


def _product(part: Part) -> Product:
    return Product(part.number("code", PRODUCTS - 1), part.name, _roles(part, "by"), part.text("label"))


def _reasons(name: str, members: Mapping[str, Any]) -> tuple[Reason, ...]:
    made = []
    for key, value in members.items():
        part = Part(f"{name}.{key}", value)
        made.append(Reason(part.number("code", MOST_REASONS), key, part.text("label")))
        part.done()
    if len({reason.code for reason in made}) != len(made):
        raise SourceError(f"{name}: a code stands twice")
    return tuple(sorted(made, key=lambda reason: reason.code))


def _stage(part: Part, holds: Mapping[str, int]) -> Stage:
    final = part.flag("final")
    return Stage(
        code=part.number("code", STAGES - 1),
        name=part.name,
        label=part.text("label"),
        plain=part.text("plain"),
        clock=None if final else _stage_clock(Part(f"{part.name}.clock", part.take("clock"))),
        holds=() if final else tuple(sorted(part.several("holds", holds))),
        court=part.flag("court"),
        final=final,
    )


def _stage_clock(part: Part) -> Clock:
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
    part: Part, stages: Mapping[str, int], reasons: Mapping[str, tuple[Reason, ...]]
) -> Transition:
    label, article = part.text("label"), str(part.take("article"))
    lapse = part.flag("lapse")
    return Transition(
        id=part.number("id", 2**16 - 1),
        name=part.name,
        sources=part.several("from", stages),
        target=part.choice("to", stages),
        by=0 if lapse else _roles(part, "by"),
        beside=_roles(part, "with", ()),
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


def _own_clock(part: Part, label: Text, article: str) -> Clock | None:
    value = part.take("clock", None)
    if value is None:
        return None
    inner = Part(f"{part.name}.clock", value)
    made = Clock(
        part.name, inner.number("count", 2**16 - 1), inner.choice("unit", _enum(Unit)), article, label
    )
    inner.done()
    return made


def _need(name: str) -> Callable[[object], EvidenceNeed]:
    def make(value: object) -> EvidenceNeed:
        part = Part(f"{name}.evidence", value)
        need = EvidenceNeed(part.several("classes", _enum(EvidenceClass)), _roles(part, "from"))
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
