"""CaseLedger, as compiled and committed, against `cases.machine`: random acts, same answers, same state.

Evidence, calendar, batches and governance are the real contracts, in revm.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import eth_abi.abi as abi
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cases.calendar import WorkCalendar, Year
from cases.lifecycle import OWNER, Lifecycle, Transition, When
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.machine import CaseState, Machine
from cases.refusals import CaseUnknown
from chain.bindings import (
    CASE_BATCHES,
    CASE_LEDGER,
    EVIDENCE_GUARD,
    EVIDENCE_LOG,
    LIFECYCLE,
    REGISTRY,
    WORK_CALENDAR,
)
from chain.bytecode import load_artifact
from protocol.acts import Anchor
from protocol.case_acts import CaseAct, Import, Move, Pause, Resume, Reverse
from protocol.entry import EvidenceClass
from protocol.errors import CaseledgerError
from protocol.hashing import keccak256
from tests.contracts.test_evidence_log_model import root

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from tests.support.revm import ACT, ANCHOR, BANK, CENTRE, COURT, FOREVER, REGULATOR, ROLES, Chain
from tests.support.testkeys import private_key

INSURER, MEDIATION, ENFORCEMENT, POLICE, OTHER_BANK, OTHER_COURT, PROSECUTOR = range(5, 12)
ALL_ROLES = {
    **ROLES,
    INSURER: 1 << 1,
    MEDIATION: 1 << 4,
    ENFORCEMENT: 1 << 6,
    POLICE: 1 << 8,
    OTHER_BANK: 1 << 0,
    OTHER_COURT: 1 << 5,
    PROSECUTOR: 1 << 7,
}
CASES = 4
ZERO = bytes(32)
NOWHERE: Any = (ZERO, 0, 0, ZERO, [])
DAY = 86_400
ORIGIN = "centre.example/evidence"
MEMBERS = [
    member["name"]
    for function in load_artifact(CASE_LEDGER)["abi"]
    if function.get("name") == "caseOf"
    for member in function["outputs"][0]["components"]
]


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, section 2.1.3.1."""
    if len(leaves) < 2:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return [*inclusion(index, leaves[:k]), root(leaves[k:])]
    return [*inclusion(index - k, leaves[k:]), root(leaves[:k])]


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def case_id(which: int) -> bytes:
    return keccak256(b"case" + bytes([which]))


def weekdays(year: int) -> Year:
    """Monday to Friday."""
    import datetime

    first = datetime.date(year, 1, 1)
    length = 366 if year % 4 == 0 else 365
    bits = sum(1 << i for i in range(length) if (first + datetime.timedelta(i)).weekday() < 5)
    return Year(year, bits, "weekdays")


class World:
    """Contracts, one imported batch, and every entry that the cases can need, anchored."""

    def __init__(self, life: Lifecycle = LIFECYCLE_V1, policy: str = LIFECYCLE) -> None:
        self.chain = Chain(ALL_ROLES)
        self.years = [weekdays(year) for year in (2027, 2028)]
        registry = self.chain.at[REGISTRY]
        calendar = self.chain.deploy(WORK_CALENDAR, registry)
        guard = self.chain.deploy(EVIDENCE_GUARD, self.chain.at[EVIDENCE_LOG])
        self.chain.deploy(policy, (calendar, guard, bytes(20), bytes(20)))
        self.chain.deploy(CASE_BATCHES, registry, self.chain.next_address(1))
        self.chain.deploy(CASE_LEDGER, registry, self.chain.at[CASE_BATCHES])
        for year in self.years:
            low, high = year.bits & 2**256 - 1, year.bits >> 256
            self.chain.decide("setYear", year.year, low, high, "weekdays", target=WORK_CALENDAR)
        self.chain.decide("activatePolicy", self.chain.at[policy], target=CASE_LEDGER)
        self.chain.decide("openLog", ORIGIN, CENTRE, ZERO)
        self._import()
        self._anchor_evidence()
        calendar_of = WorkCalendar({year.year: year for year in self.years})
        self.machine = Machine(life, calendar_of, lambda index: ALL_ROLES.get(index, 0))

    def _import(self) -> None:
        self.commitments = [keccak256(b"row" + bytes([which])) for which in range(CASES)]
        leaves = [
            leaf_hash(
                bytes([1, 1, 0, 0]) + BANK.to_bytes(4, "big") + case_id(which) + self.commitments[which]
            )
            for which in range(CASES)
        ]
        self.batch = root(leaves)
        self.paths = [inclusion(which, leaves) for which in range(CASES)]
        act = Import(BANK, self.batch, CASES, ZERO, ZERO, FOREVER)
        self.imported = self.chain.now
        self.chain.call(CASE_BATCHES, "importBatch", values(act), self.sign(act, BANK, CASE_BATCHES))

    def _anchor_evidence(self) -> None:
        wanted = {
            (number, owner)
            for step in LIFECYCLE_V1.transitions.values()
            for need in step.evidence
            for number in need.classes
            for owner in submitters(need.roles)
        }
        self.entries: dict[tuple[int, EvidenceClass, int], int] = {}
        self.leaves: list[bytes] = []
        for which in range(CASES):
            commitment = hashlib.sha256(b"caseledger/case/v1" + case_id(which)).digest()
            for number, owner in sorted(wanted):
                self.entries[which, number, owner] = len(self.leaves)
                head = bytes([1, number, 0, 0]) + owner.to_bytes(4, "big")
                self.leaves.append(
                    head + (len(self.leaves) + 1).to_bytes(8, "big") + commitment + keccak256(head) + ZERO
                )
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        log_id = keccak256(ORIGIN.encode())
        act = Anchor(log_id, 0, len(hashes), root(hashes), ZERO, FOREVER)
        signed = self.chain.signed(act, EVIDENCE_LOG, private_key(ANCHOR, CENTRE))
        self.chain.call(EVIDENCE_LOG, "anchor", values(act), [], signed)
        self.link = (log_id, 1, ZERO, len(hashes), root(hashes), ZERO, self.chain.now)
        self.evidence_paths = [inclusion(index, hashes) for index in range(len(hashes))]

    def sign(self, act: CaseAct, organisation: int, contract: str = CASE_LEDGER) -> bytes:
        return self.chain.signed(act, contract, private_key(ACT, organisation))

    def origin(self, which: int) -> Any:
        return (self.batch, which, 1, self.commitments[which], self.paths[which])

    def evidence(self, which: int, step: Transition) -> tuple[bytes, bytes, int]:
        """Proof, digest and number of the entries that a step needs."""
        found = []
        for need in step.evidence:
            owner = submitters(need.roles)[0]
            found.append(self.entries[which, need.classes[0], owner])
        if not found:
            return b"", ZERO, 0
        entries = [(self.link, self.leaves[i], i, self.evidence_paths[i]) for i in found]
        digest = keccak256(b"".join(leaf_hash(self.leaves[i]) for i in found))
        return encode_entries(entries), digest, len(found)


def encode_entries(entries: list[Any]) -> bytes:
    """`abi.encode(Entry[])`."""
    kind = "((bytes32,uint64,bytes32,uint64,bytes32,bytes32,uint40),bytes,uint64,bytes32[])[]"
    return abi.encode([kind], [entries])


def submitters(roles: int) -> list[int]:
    """The organisations of a role set, one for each role; the owner is the bank."""
    found = [BANK] if roles & OWNER else []
    return found + [org for org in (CENTRE, MEDIATION, COURT, ENFORCEMENT) if ALL_ROLES[org] & roles]


def values(act: object) -> tuple[Any, ...]:
    return dataclasses.astuple(act)  # type: ignore[call-overload, no-any-return]


class CaseRules(RuleBasedStateMachine):
    """Each rule makes one act, asks the model for the outcome, and compares answer and state."""

    @initialize()
    def start(self) -> None:
        self.world = World()
        self.chain, self.machine = self.world.chain, self.world.machine
        self.states: dict[int, CaseState] = {}

    def before(self, which: int) -> CaseState:
        """The case, as the model would bring it to life now."""
        if which in self.states:
            return self.states[which]
        return self.machine.opened(owner=BANK, product=1, imported=self.world.imported)

    def compare(self, which: int, foretold: Any, function: str, *arguments: Any) -> None:
        """`foretold` makes the new state or raises; the contract must do the same."""
        code, state = None, None
        try:
            state = foretold()
        except CaseledgerError as error:
            code = error.code
        try:
            self.chain.call(CASE_LEDGER, function, *arguments)
            answer = None
        except CaseledgerError as error:
            answer = error.code
        assert answer == code, f"{function}: {answer}, foretold {code}"
        if code is not None:
            return
        assert state is not None
        self.states[which] = state
        self.same(which)

    def same(self, which: int) -> None:
        state = self.states[which]
        (found,) = self.chain.call(CASE_LEDGER, "caseOf", case_id(which))
        have = dict(zip(MEMBERS, found, strict=False))
        length = state.clock.length
        assert have["version"] == state.version
        assert have["stage"] == state.stage
        assert have["owner"] == state.owner
        assert have["since"] == state.since
        assert have["court"] == state.court
        assert have["openHolds"] == state.open_holds
        assert have["clockStart"] == state.clock.start
        assert have["clock"] == (length.packed if length else 0)
        assert have["extension"] == state.clock.extension
        assert have["deadline"] == (state.deadline or 0)
        assert bool(have["flags"] & 1) == state.marked
        assert bool(have["flags"] & 2) == (state.previous is not None)
        if state.open_holds == 0:
            assert bool(have["flags"] & 8) == state.provisional

    def origin(self, which: int) -> Any:
        return NOWHERE if which in self.states else self.world.origin(which)

    @rule(
        which=st.integers(0, CASES - 1),
        pick=st.integers(0, 1000),
        wild=st.integers(0, 9),
        actor=st.sampled_from(sorted(ALL_ROLES)),
        other=st.sampled_from([0, *sorted(ALL_ROLES)]),
        reason=st.integers(0, 17),
        shown=st.booleans(),
        stale=st.booleans(),
    )
    def try_move(
        self, which: int, pick: int, wild: int, actor: int, other: int, reason: int, shown: bool, stale: bool
    ) -> None:
        self.move(which, pick, wild, actor, other, reason, shown, stale)

    def move(
        self, which: int, pick: int, wild: int, actor: int, other: int, reason: int, shown: bool, stale: bool
    ) -> None:
        state = self.before(which)
        ways = self.machine.life.leaving(state.stage) or tuple(self.machine.life.transitions.values())
        step = ways[pick % len(ways)] if wild else list(self.machine.life.transitions.values())[pick % 73]
        # Mostly an act as it should be; one part of it is wrong now and then.
        if wild != 1:
            actor = self.right(state, step.by, step, actor)
        if wild != 2:
            other = self.right(state, step.beside, step, other, but=actor) if step.beside else 0
        if wild != 3:
            reason = step.reasons[reason % len(step.reasons)].code if step.reasons else 0
        proof, digest, count = self.world.evidence(which, step)
        if wild == 4 and not shown:
            proof, digest, count = b"", ZERO, 0
        version = state.version + 1 if wild == 5 and stale else state.version
        late = self.chain.now - 1 if wild == 6 and stale else FOREVER
        act = Move(case_id(which), version, step.id, actor, other, reason, digest, ZERO, ZERO, late)
        signed = self.world.sign(act, actor)
        beside = self.world.sign(act, other) if other else b""
        self.compare(
            which,
            lambda: self.machine.moved(state, act, self.chain.now, count),
            "move",
            values(act),
            self.origin(which),
            proof,
            signed,
            beside,
        )

    @rule(which=st.integers(0, CASES - 1), picks=st.lists(st.integers(0, 1000), min_size=1, max_size=6))
    def advance(self, which: int, picks: list[int]) -> None:
        """Acts as they should be, so that cases get far; time runs out where a step asks for it."""
        for pick in picks:
            state = self.before(which)
            life = self.machine.life
            ways = [
                step
                for step in life.leaving(state.stage)
                if not life.stages[step.target].final and not (step.extends and state.clock.extension)
            ]
            if not ways or state.open_holds:
                return
            step = ways[pick % len(ways)]
            if step.when is When.AFTER and state.deadline and which in self.states:
                self.chain.warp(max(0, state.deadline + 1 - self.chain.now))
            if step.lapse:
                self.lapse(which, step.id)
            else:
                self.move(which, life.leaving(state.stage).index(step), 9, pick, pick, pick, True, False)

    def right(self, state: CaseState, allowed: int, step: Transition, seed: int, but: int = 0) -> int:
        """An organisation that may do it, if there is one."""
        if state.court and state.court != but and ALL_ROLES[state.court] & allowed:
            return state.court
        fit = [org for org in sorted(ALL_ROLES) if ALL_ROLES[org] & allowed & ~OWNER and org != but]
        if allowed & OWNER and but != state.owner:
            fit.append(state.owner)
        return fit[seed % len(fit)] if fit else seed

    @rule(which=st.integers(0, CASES - 1), transition=st.sampled_from([16, 32, 15, 99]))
    def try_lapse(self, which: int, transition: int) -> None:
        self.lapse(which, transition)

    def lapse(self, which: int, transition: int) -> None:
        if which not in self.states:
            self.compare(which, self.nothing, "lapse", case_id(which), 1, transition)
            return
        state = self.states[which]
        self.compare(
            which,
            lambda: self.machine.lapsed(state, state.version, transition, self.chain.now),
            "lapse",
            case_id(which),
            state.version,
            transition,
        )

    @staticmethod
    def nothing() -> CaseState:
        raise CaseUnknown

    @rule(
        which=st.integers(0, CASES - 1), kind=st.integers(0, 10), actor=st.sampled_from([BANK, CENTRE, COURT])
    )
    def pause(self, which: int, kind: int, actor: int) -> None:
        state = self.before(which)
        act = Pause(case_id(which), state.version, actor, kind, ZERO, FOREVER)
        self.compare(
            which,
            lambda: self.machine.paused(state, act, self.chain.now),
            "pause",
            values(act),
            self.origin(which),
            self.world.sign(act, actor),
        )

    @rule(
        which=st.integers(0, CASES - 1), kind=st.integers(0, 10), actor=st.sampled_from([BANK, CENTRE, COURT])
    )
    def resume(self, which: int, kind: int, actor: int) -> None:
        state = self.states.get(which)
        if state is None:
            return
        open_kinds = [hold for hold in state.clock.holds if hold.until is None]
        if open_kinds and kind < 8:
            kind, actor = open_kinds[-1].kind, open_kinds[-1].organisation
        act = Resume(case_id(which), state.version, actor, kind, ZERO, FOREVER)
        self.compare(
            which,
            lambda: self.machine.resumed(state, act, self.chain.now),
            "resume",
            values(act),
            self.world.sign(act, actor),
        )

    @rule(
        which=st.integers(0, CASES - 1),
        honest=st.integers(0, 3),
        actor=st.sampled_from(sorted(ALL_ROLES)),
        other=st.sampled_from([0, BANK, CENTRE, COURT, REGULATOR]),
    )
    def reverse(self, which: int, honest: int, actor: int, other: int) -> None:
        state = self.states.get(which)
        if state is None:
            return
        if honest and state.previous:
            actor = state.previous.organisation
        act = Reverse(case_id(which), state.version, actor, other, ZERO, FOREVER)
        self.compare(
            which,
            lambda: self.machine.reversed(state, act, self.chain.now),
            "reverse",
            values(act),
            self.world.sign(act, actor),
            self.world.sign(act, other) if other else b"",
        )

    @rule(which=st.integers(0, CASES - 1))
    def mark(self, which: int) -> None:
        state = self.before(which)
        self.compare(
            which,
            lambda: self.machine.marked(state, self.chain.now),
            "markOverdue",
            case_id(which),
            self.origin(which),
        )

    @rule(seconds=st.one_of(st.integers(1, 3 * DAY), st.integers(1, 40 * DAY)))
    def warp(self, seconds: int) -> None:
        self.chain.warp(seconds)

    @invariant()
    def a_case_without_an_act_is_unknown(self) -> None:
        for which in range(CASES):
            if which not in self.states:
                (found,) = self.chain.call(CASE_LEDGER, "caseOf", case_id(which))
                assert found[0] == 0


def _run(examples: int) -> None:
    # A failure shows its steps as they were; making them fewer takes longer than reading them.
    CaseRules.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    CaseRules.TestCase().runTest()


def test_contract_and_model_agree() -> None:
    _run(6)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_contract_and_model_agree_for_ten_thousand_steps() -> None:
    _run(200)
