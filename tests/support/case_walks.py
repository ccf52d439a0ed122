"""Random lives of cases as events, straight from the lifecycle: no chain, only steps that exist."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from cases.calendar import first_second
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.statistics import Policy, Snapshot
from cases.statistics_events import BatchEvent, CaseEvent

LIFE = LIFECYCLE_V1
START = first_second(20_000)
POLICIES = {1: LIFE}


def snapshot(time: int, batches: int = 0, ledger: int = 0) -> Snapshot:
    policy = Policy(1, LIFE.table_hash, False)
    return Snapshot(
        1337, 900, b"\x01" * 32, time, b"\x02" * 32, b"\x03" * 20, batches, b"\x04" * 20, ledger, (policy,)
    )


def walks(
    seed: int, cases: int, owners: int, steps: int
) -> tuple[list[BatchEvent], list[CaseEvent], Snapshot]:
    """Batches over three months, cases of skewed owners and products, each on a random walk."""
    rng = Random(seed)  # noqa: S311 - the same lives for the same number
    names = list(range(11, 11 + owners))
    by_batch: dict[tuple[int, int], list[int]] = {}
    for number in range(cases):
        owner = rng.choices(names, [1 / (at + 1) ** 2 for at in range(owners)])[0]
        by_batch.setdefault((rng.randrange(90), owner), []).append(number)
    batches, events = [], []
    timed: list[tuple[int, int, CaseEvent]] = []
    for at, ((day, owner), numbers) in enumerate(sorted(by_batch.items()), 1):
        root, time = bytes([1]) + at.to_bytes(31, "big"), START + day * 86_400
        batches.append(BatchEvent(at, root, False, owner, len(numbers), bytes(32), time))
        for number in numbers:
            timed += _walk(rng, root, owner, number, time, steps)
    timed.sort(key=lambda item: (item[0], item[1]))
    for sequence, (_, _, event) in enumerate(timed, 2):
        events.append(_numbered(event, sequence))
    last = max([batch.time for batch in batches] + [time for time, _, _ in timed])
    return batches, events, snapshot(last + rng.randrange(40 * 86_400), len(batches), len(events) + 1)


def _walk(
    rng: Random, root: bytes, owner: int, number: int, imported: int, most: int
) -> list[tuple[int, int, CaseEvent]]:
    count = rng.randrange(most + 1)
    if count == 0:
        return []
    case_id, time = bytes([2]) + number.to_bytes(31, "big"), imported
    product = rng.choices((1, 2, 3, 4), (60, 25, 10, 5))[0]
    time += rng.randrange(3 * 86_400)
    opened = CaseEvent(0, "opened", case_id, 1, time, 1, time + 86_400, 0, root, owner, product, 1)
    made = [opened]
    stage, version, before = 1, 1, 0
    for _ in range(count):
        time += rng.randrange(1, 15 * 86_400)
        if before and rng.randrange(12) == 0:
            stage, before, version = before, 0, version + 1
            made.append(CaseEvent(0, "reversed", case_id, version, time, stage, time + 9 * 86_400))
            continue
        if rng.randrange(15) == 0:
            made.append(CaseEvent(0, "overdue", case_id, version, time, stage, time - 1))
        leaving = LIFE.leaving(stage)
        if not leaving:
            break
        step = rng.choice(leaving)
        version += 1
        before = 0 if step.lapse or step.extends else stage
        stage = step.target
        deadline = time + rng.randrange(60 * 86_400) if LIFE.stages[stage].clock else 0
        kind = "lapsed" if step.lapse else "moved"
        made.append(CaseEvent(0, kind, case_id, version, time, stage, deadline, step.id))
    return [(event.time, at, event) for at, event in enumerate(made)]


def _numbered(event: CaseEvent, sequence: int) -> CaseEvent:
    return replace(event, sequence=sequence)
