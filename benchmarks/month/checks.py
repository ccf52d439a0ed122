"""What must hold after a month: every invariant, every deadline, every figure.

`check` reads the chain as an auditor would, from a node alone, and compares it with the model and the plan.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.month.cast import Cast
from benchmarks.month.lives import Life
from benchmarks.month.plan import BatchPlan
from benchmarks.month.wire import Wire
from cases.accounting import Account, Change, Outcome, Unmoved, account
from cases.lifecycle import COURT_ROLES, Lifecycle
from cases.machine import CaseState
from cases.statistics import Query, View, canonical, report
from cases.statistics_chain import Source, from_chain
from cases.statistics_events import BatchEvent, CaseEvent
from cases.statistics_history import histories
from chain.bindings import CASE_LEDGER, interface
from chain.case_events import CaseEvents, read_all
from chain.case_record import CaseRecord
from chain.configuration import pool_of
from chain.deployment import Deployment
from chain.evm import binary
from chain.transactions import Call

_TOGETHER = 100
_FIELDS = ("version", "stage", "product", "owner", "policy", "since", "deadline", "court")


class InvariantBroken(AssertionError):
    """Something that always holds does not."""


@dataclass(frozen=True)
class Month:
    """What is checked: where the chain is, who acts on it, and what the model says."""

    deployment: Deployment
    record: CaseRecord
    cast: Cast
    life: Lifecycle
    batches: tuple[BatchPlan, ...]
    lives: Mapping[bytes, Life]
    changes: Sequence[Change]


@dataclass
class Audit:
    """What was found, for whoever reads the figures."""

    invariants: list[str] = field(default_factory=list)
    events: int = 0
    cases: int = 0
    opened: int = 0
    deadlines: Counter[Outcome] = field(default_factory=Counter)
    report: dict[str, Any] = field(default_factory=dict)
    source: Source | None = None

    def holds(self, name: str) -> None:
        """One more invariant that was checked."""
        self.invariants.append(name)


def check(month: Month, wire: Wire) -> Audit:
    """Everything; raises InvariantBroken, or what reading the chain raises."""
    audit = Audit()
    seen = asyncio.run(_read(month))
    audit.events = len(seen.batches) + len(seen.ledger)
    audit.holds("sequence numbers of both contracts without gaps, and their own counts are these")
    _versions(seen)
    audit.holds("version of a case = 1 + number of its changes")
    _stages(seen, month.life)
    audit.holds("one stage at a time: every step leaves the stage that the last one entered")
    _courts(seen, month)
    audit.holds("court stages are entered by courts and enforcement bureaus alone")
    _machine(month, wire)
    audit.holds("cases/machine.py and the contract agree on every case")
    audit.deadlines = _deadlines(month, seen).counts
    audit.holds("every deadline that ever ran came to one end, or runs")
    source = from_chain(seen, month.record.contracts)
    audit.report = _figures(month, source)
    audit.holds("counts and durations from the chain are those of the model, byte by byte")
    _sums(month, audit.report)
    audit.holds("sums of bank-signed totals are the sums of the rows")
    audit.cases = sum(len(batch.cases) for batch in month.batches)
    audit.opened = sum(life.state is not None for life in month.lives.values())
    audit.source = source
    return audit


def totals_of(month: Month) -> list[bytes]:
    """The opening files of all banks."""
    return [batch.totals.encode() for batch in month.batches]


async def _read(month: Month) -> CaseEvents:
    async with pool_of(month.deployment) as pool:
        return await read_all(pool, month.record)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise InvariantBroken(what)


def _versions(seen: CaseEvents) -> None:
    changes: Counter[bytes] = Counter()
    for event in seen.ledger:
        case_id = event.values.get("caseId")
        if case_id is None or event.name == "CaseOverdue":
            continue
        changes[case_id] += 1
        version = event.values.get("version", 1)
        _require(version == changes[case_id], f"case {case_id.hex()}: {version} at change {changes[case_id]}")


def _stages(seen: CaseEvents, life: Lifecycle) -> None:
    stands: dict[bytes, int] = {}
    for event in seen.ledger:
        values = event.values
        if event.name == "CaseOpened":
            _require(values["caseId"] not in stands, "a case is opened once")
            stands[values["caseId"]] = 1
        if event.name in ("CaseMoved", "CaseReversed"):
            _require(stands[values["caseId"]] == values["from"], f"{values['caseId'].hex()} was elsewhere")
            stands[values["caseId"]] = values["to"]
        if event.name == "CaseMoved":
            step = life.transitions[values["transition"]]
            _require(values["from"] in step.sources and values["to"] == step.target, step.name)


def _courts(seen: CaseEvents, month: Month) -> None:
    for event in seen.ledger:
        if event.name != "CaseMoved" or not month.life.stages[event.values["to"]].court:
            continue
        roles = month.cast.roles(event.values["organisation"])
        _require(bool(roles & COURT_ROLES), f"event {event.sequence}: no court entered a court stage")


def _machine(month: Month, wire: Wire) -> None:
    method = interface(CASE_LEDGER).function("caseOf")
    ledger = month.record.contracts.ledger
    lives = list(month.lives.values())
    for begin in range(0, len(lives), _TOGETHER):
        part = lives[begin : begin + _TOGETHER]
        calls = [Call(ledger, method.encode(life.plan.case_id)).as_rpc(bytes(20)) for life in part]
        answers = wire.many([("eth_call", [call, "latest"]) for call in calls])
        for life, answer in zip(part, answers, strict=True):
            (found,) = method.decode(binary(answer))
            told = dict(zip(_FIELDS, found, strict=False))
            _require(told == _expected(life), f"case {life.plan.number}: {told}, not {_expected(life)}")


def _expected(life: Life) -> dict[str, int]:
    state: CaseState | None = life.state
    if state is None:
        return dict.fromkeys(_FIELDS, 0)
    return {
        "version": state.version, "stage": state.stage, "product": state.product, "owner": state.owner,
        "policy": 1, "since": state.since, "deadline": state.deadline or 0, "court": state.court,
    }  # fmt: skip


def _deadlines(month: Month, seen: CaseEvents) -> Account:
    moved = {change.case_id for change in month.changes}
    unmoved = [
        Unmoved(life.plan.case_id, 1, life.imported, None)
        for life in month.lives.values()
        if life.plan.case_id not in moved
    ]
    made = account(month.changes, month.life, seen.head.time, unmoved)
    _require(sum(made.counts.values()) == len(made.deadlines), "each deadline has one outcome")
    for ran in made.deadlines:
        name = f"case {ran.case_id.hex()}, stage {ran.stage}: {ran.outcome}"
        if ran.outcome is Outcome.RUNNING:
            _require(ran.ended is None and (ran.provisional or ran.deadline >= seen.head.time), name)
        if ran.outcome is Outcome.OVERDUE and ran.ended is None:
            _require(ran.deadline < seen.head.time, name)
        if ran.marked:
            _require(ran.outcome.passed, name)
    # A deadline that a reversal brought back may be recorded again; it is the same one.
    marks = {
        (event.values["caseId"], event.values["stage"], event.values["deadline"])
        for event in seen.ledger
        if event.name == "CaseOverdue"
    }
    marked = {(ran.case_id, ran.stage, ran.deadline) for ran in made.deadlines if ran.marked}
    _require(marks == marked, f"{len(marks)} deadlines are recorded as passed, {len(marked)} in the account")
    return made


def model_events(month: Month) -> Iterator[CaseEvent]:
    """The model's own record as events, numbered as the chain numbers them (after the policy's)."""
    for sequence, change in enumerate(month.changes, 2):
        opened = change.kind == "opened"
        life = month.lives[change.case_id]
        origin = (life.origin.root, life.plan.lead.owner, life.plan.product, 1) if opened else (b"", 0, 0, 0)
        yield CaseEvent(
            sequence, change.kind, change.case_id, change.version, change.time, change.stage,
            change.deadline or 0, change.transition or 0, *origin,
        )  # fmt: skip


def model_batches(month: Month) -> list[BatchEvent]:
    """Imports as planned, with the time of the block that took them."""
    times = {life.batch.root: life.imported for life in month.lives.values()}
    order = sorted((batch for batch in month.batches if batch.root in times), key=lambda b: times[b.root])
    return [
        BatchEvent(at, batch.root, False, batch.owner, len(batch.cases), batch.totals.commitment,
                   times[batch.root])
        for at, batch in enumerate(order, 1)
    ]  # fmt: skip


def _figures(month: Month, source: Source) -> dict[str, Any]:
    own = histories(model_batches(month), model_events(month), source.policies)
    openings = totals_of(month)
    queries = [Query(View.PUBLIC), Query(View.FULL)]
    queries += [Query(View.OWN, owner) for owner in month.cast.banks[:2]]
    found = source.histories()
    for query in queries:
        here = canonical(report(found, source.snapshot, query, openings))
        _require(here == canonical(report(own, source.snapshot, query, openings)), f"view {query.view}")
    return report(found, source.snapshot, Query(View.FULL), openings)


def _sums(month: Month, made: dict[str, Any]) -> None:
    sums = made["sums"]
    _require(not sums["troubles"] and sums["opened"] == len(month.batches), "every opening holds")
    for row in sums["by"]["owner"]:
        amounts = [
            case.amounts for batch in month.batches if batch.owner == row["key"] for case in batch.cases
        ]
        wanted = [sum(column) for column in zip(*amounts, strict=True)]
        _require([row[name] for name in ("principal", "interest", "fees")] == wanted, f"owner {row['key']}")
