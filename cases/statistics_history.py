"""The life of each case from its events: where it stood, from when until when (docs/spec/statistics.md §2).

A step that was taken back, and the time behind it, count as if they had not been: the case never left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cases.errors import HistoryBroken
from cases.lifecycle import Lifecycle
from cases.machine import FIRST_STAGE
from cases.statistics_events import BatchEvent, CaseEvent


@dataclass(slots=True)
class Stay:
    """A case in a stage. `left` None while it stands there. `marked`: recorded as overdue meanwhile."""

    stage: int
    entered: int
    left: int | None = None
    marked: bool = False


@dataclass(slots=True)
class CaseHistory:
    """One case that came to life. `deadline` as its last event gives it, 0 for none."""

    case_id: bytes
    root: bytes
    owner: int
    product: int
    imported: int
    life: Lifecycle
    stays: list[Stay]
    version: int = 1
    deadline: int = 0
    undo: str = ""
    """What a reversal would take back: a `step`, an `extension`, or nothing."""

    @property
    def stage(self) -> int:
        """Where it stands."""
        return self.stays[-1].stage

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.life.stages[self.stage].final

    def first(self, *stages: int, after: int = 0) -> int | None:
        """When it first entered one of the stages, not before `after`."""
        times = [stay.entered for stay in self.stays if stay.stage in stages and stay.entered >= after]
        return min(times, default=None)


@dataclass(slots=True)
class Batch:
    """An import that was not recalled; `opened`: how many of its cases have come to life."""

    root: bytes
    owner: int
    count: int
    totals: bytes
    time: int
    opened: int = 0


@dataclass
class Histories:
    """All that the events tell."""

    batches: dict[bytes, Batch] = field(default_factory=dict)
    cases: dict[bytes, CaseHistory] = field(default_factory=dict)
    last: int = 0
    """Time of the newest event."""


def histories(
    batches: Iterable[BatchEvent], events: Iterable[CaseEvent], policies: Mapping[int, Lifecycle]
) -> Histories:
    """From events of both contracts, each in order of sequence.

    Raises:
        HistoryBroken: events that no honest chain has, such as a version left out or a case of no batch
    """
    found = Histories()
    last = 0
    for batch in batches:
        last = _ascending(batch.sequence, last)
        found.last = max(found.last, batch.time)
        if batch.recalled:
            if found.batches.pop(batch.root, None) is None:
                raise HistoryBroken(f"batch {batch.root.hex()}: recalled and not there")
        else:
            found.batches[batch.root] = Batch(batch.root, batch.owner, batch.count, batch.totals, batch.time)
    last = 0
    for event in events:
        last = _ascending(event.sequence, last)
        found.last = max(found.last, event.time)
        if event.kind == "opened":
            _open(found, event, policies)
        else:
            case = found.cases.get(event.case_id)
            if case is None:
                raise HistoryBroken(f"case {event.case_id.hex()}: {event.kind} before it was opened")
            _take(case, event)
    return found


def _ascending(sequence: int, last: int) -> int:
    if sequence <= last:
        raise HistoryBroken(f"event {sequence} after {last}")
    return sequence


def _open(found: Histories, event: CaseEvent, policies: Mapping[int, Lifecycle]) -> None:
    name = f"case {event.case_id.hex()}"
    batch = found.batches.get(event.root)
    if batch is None or batch.owner != event.owner or batch.opened == batch.count:
        raise HistoryBroken(f"{name}: of no batch that could have it")
    life = policies.get(event.policy)
    if life is None:
        raise HistoryBroken(f"{name}: policy {event.policy} was never switched on")
    if event.case_id in found.cases:
        raise HistoryBroken(f"{name}: opened twice")
    batch.opened += 1
    found.cases[event.case_id] = CaseHistory(
        event.case_id, event.root, event.owner, event.product, batch.time, life,
        [Stay(FIRST_STAGE, batch.time)], deadline=event.deadline,
    )  # fmt: skip


def _take(case: CaseHistory, event: CaseEvent) -> None:
    name = f"case {case.case_id.hex()}, version {event.version}"
    if event.version != case.version + (event.kind != "overdue"):
        raise HistoryBroken(f"{name}: after version {case.version}")
    case.version = event.version
    match event.kind:
        case "moved" | "lapsed":
            _move(case, event, name)
        case "reversed":
            _reverse(case, event, name)
        case "paused" | "resumed":
            case.undo = ""
            case.deadline = event.deadline if event.kind == "resumed" else 0
        case "overdue":
            case.stays[-1].marked = True
        case _:
            raise HistoryBroken(f"{name}: {event.kind}")
    if event.stage is not None and event.stage != case.stage:
        raise HistoryBroken(f"{name}: stands in {event.stage}, not in {case.stage}")


def _move(case: CaseHistory, event: CaseEvent, name: str) -> None:
    step = case.life.transitions.get(event.transition)
    if step is None or case.stage not in step.sources or step.lapse != (event.kind == "lapsed"):
        raise HistoryBroken(f"{name}: no step {event.transition} from stage {case.stage}")
    case.deadline = event.deadline
    if step.extends:
        case.undo = "extension"
        return
    case.stays[-1].left = event.time
    case.stays.append(Stay(step.target, event.time))
    case.undo = "" if step.lapse else "step"


def _reverse(case: CaseHistory, event: CaseEvent, name: str) -> None:
    if not case.undo:
        raise HistoryBroken(f"{name}: nothing to take back")
    if case.undo == "step":
        case.stays.pop()
        case.stays[-1].left = None
    case.undo, case.deadline = "", event.deadline
