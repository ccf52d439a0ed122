"""What is known of a case when somebody wants to act on it: its state, its policy, and the words for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cases import machine, refusals
from cases.act_documents import CaseDocument, TimeAct
from cases.calendar import WorkCalendar
from cases.errors import CalendarYearUnknown
from cases.lifecycle import Lifecycle, Transition
from cases.machine import CaseState, Machine
from cases.policies import RELEASED
from cases.standing import REVERSED, Standing, standing, state_of
from cases.wording import Asked, Rule, rule_of
from chain.case_acts import NOWHERE, Origin
from chain.case_state import CaseReader
from chain.errors import ContractReverted
from protocol.case_acts import Move, Pause, Resume, Reverse
from protocol.errors import CaseledgerError
from protocol.i18n import Text

_REVERSAL = Text("撤回上一步", "take the last step back")
_MARK = Text("记为超期", "record as overdue")


@dataclass(frozen=True)
class KnownCase:
    """`state` None for a case that nothing is known of; `life` None for a policy of another release.

    A case that has not come to life has the state that it would begin with, and its `origin`.
    """

    case_id: bytes
    origin: Origin
    state: CaseState | None
    policy: int
    life: Lifecycle | None

    @property
    def owner(self) -> int:
        """Whose case it is; 0 for unknown."""
        return self.state.owner if self.state else 0


class Knowledge:
    """Reads cases and finds words. Remembers which policy version is which lifecycle: that never changes."""

    def __init__(self, reader: CaseReader, roles: Callable[[int], int], calendar: WorkCalendar) -> None:
        self._reader = reader
        self._roles = roles
        self._calendar = calendar
        self._lives: dict[int, Lifecycle | None] = {}

    async def of(self, case_id: bytes, origin_of: Callable[[bytes], Awaitable[Origin]]) -> KnownCase:
        """The case as the newest block has it; one that has not come to life by where it is in its batch."""
        found = await self._reader.case(case_id)
        if found is not None:
            state = state_of(found, await self._reader.holds(case_id))
            return KnownCase(case_id, NOWHERE, state, found.policy, await self._life(found.policy))
        origin = await origin_of(case_id)
        batch = None if origin == NOWHERE else await self._reader.batch(origin.root)
        if batch is None:
            newest = await self._reader.latest_policy()
            return KnownCase(case_id, origin, None, newest, await self._life(newest))
        life = await self._life(batch.policy)
        unmoved = None
        if life is not None:
            unmoved = self._machine(life).opened(
                owner=batch.owner, product=origin.product, imported=batch.time
            )
        return KnownCase(case_id, origin, unmoved, batch.policy, life)

    async def foretold(self, given: CaseDocument, known: KnownCase) -> Standing | None:
        """Where the case would stand after the act, by the rules; None where they are not known here."""
        if known.life is None or known.state is None:
            return None
        rules, state, now = self._machine(known.life), known.state, await self._reader.now()
        try:
            after = _after(rules, given, state, now)
        except CalendarYearUnknown:
            return None
        if given.name == Reverse.__name__:
            # Pauses before the step are on the chain alone, so the deadline is not foretold.
            unsaid = replace(after, deadline=None, provisional=False)
            return Standing(known.case_id, unsaid, known.policy, known.life, REVERSED)
        return self.standing(replace(known, state=after))

    async def possible(self, known: KnownCase, organisation: int) -> tuple[Transition, ...]:
        """Steps that the organisation could take now, as far as roles, stage and time decide."""
        if known.life is None or known.state is None:
            return ()
        return self._machine(known.life).possible(known.state, organisation, await self._reader.now())

    def standing(self, known: KnownCase) -> Standing | None:
        """For people."""
        if known.life is None or known.state is None:
            return None
        return standing(known.case_id, known.state, known.policy, known.life, self._calendar)

    def rule(
        self, code: str, values: Mapping[str, Any], given: CaseDocument, known: KnownCase
    ) -> Rule | None:
        """The rule behind a refusal, in the words of the case's policy version."""
        if known.life is None:
            return None
        stage, version = (known.state.stage, known.state.version) if known.state else (0, 0)
        step, hold, label = _asked(given, known.life)
        asked = Asked(known.life, step, hold, label, stage, version)
        return rule_of(code, values, asked)

    def explained(self, error: CaseledgerError, given: CaseDocument, known: KnownCase) -> CaseledgerError:
        """The refusal with its rule, where a rule of the case is at stake; any other error as it is."""
        if not isinstance(error, (ContractReverted, refusals.CaseRefused, CalendarYearUnknown)):
            return error
        values = error.values if isinstance(error, ContractReverted) else {}
        rule = self.rule(error.code, values, given, known)
        if rule is not None:
            error.more = {"rule": rule.as_json()}
        return error

    async def _life(self, version: int) -> Lifecycle | None:
        if version == 0:
            return None
        if version not in self._lives:
            self._lives[version] = RELEASED.get(await self._reader.table_hash(version) or b"")
        return self._lives[version]

    def _machine(self, life: Lifecycle) -> Machine:
        return Machine(life, self._calendar, self._roles)


def _after(rules: machine.Machine, given: CaseDocument, state: CaseState, now: int) -> CaseState:
    if isinstance(given.act, TimeAct):
        if given.act.transition:
            return rules.lapsed(state, given.act.version, given.act.transition, now)
        return rules.marked(state, now)
    act = given.act.act
    if isinstance(act, Move):
        return rules.moved(state, act, now, len(given.act.evidence))
    if isinstance(act, Pause):
        return rules.paused(state, act, now)
    if isinstance(act, Resume):
        return rules.resumed(state, act, now)
    assert isinstance(act, Reverse)  # noqa: S101
    return rules.reversed(state, act, now)


def _asked(given: CaseDocument, life: Lifecycle) -> tuple[Any, Any, Text | None]:
    """Step, pause or label of what the act wants."""
    if isinstance(given.act, TimeAct):
        step = life.transitions.get(given.act.transition)
        return step, None, None if step else _MARK
    act = given.act.act
    if isinstance(act, Move):
        return life.transitions.get(act.transition), None, None
    if isinstance(act, (Pause, Resume)):
        return None, life.holds.get(act.kind), None
    return None, None, _REVERSAL
