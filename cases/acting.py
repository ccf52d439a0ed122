"""How a case moves through this service: an act is checked, asked of the contract, and handed on to be sent.

The contract decides. Its refusal keeps its code, and gets the rule, the article and plain words of the case's
own policy version beside it. Where two organisations sign, an act with one signature waits for the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass, replace
from typing import Protocol

from cases import access, act_repository, batch_repository
from cases import refusals as no
from cases.act_documents import CaseDocument, TimeAct, parse
from cases.act_repository import MAX_WAITING, HeldAct
from cases.calendar import WorkCalendar
from cases.carrying_repository import Fate
from cases.errors import CaseNotHere, TooManyActsWait
from cases.evidence_proofs import from_log
from cases.knowing import Knowledge, KnownCase
from cases.lifecycle import Transition
from cases.standing import Standing
from cases.wording import Rule
from chain.case_acts import (
    BRING_TO_LIFE,
    NOWHERE,
    Origin,
    SignedCaseAct,
    call_for,
    evidence_proof,
    lapse,
    mark_overdue,
)
from chain.case_state import CaseReader
from chain.errors import ContractReverted
from chain.transactions import Call
from evidence.ports import Clock
from evidence.repository import Viewer
from protocol.case_acts import Move, Reverse
from protocol.errors import CaseledgerError, MalformedInput
from storage.db import AnyConnection, Pool

MOST_WAIT = 30 * 86_400
"""Seconds that a half-signed act is kept at most."""
Record = Callable[[AnyConnection], Awaitable[None]]


class Carrier(Protocol):
    """Simulates, and carries to the chain; `cases.carrying.ActQueue`."""

    async def simulate(self, call: Call) -> None: ...

    async def carry(self, act_id: bytes, call: Call, record: Record) -> None: ...

    async def outcome(self, act_id: bytes) -> Fate: ...


@dataclass(frozen=True)
class ActState:
    """What became of an act. `outcome` None while it waits for the second signature."""

    act: HeldAct
    outcome: Fate | None = None
    case: Standing | None = None
    rule: Rule | None = None


@dataclass(frozen=True)
class Position:
    """Where a case stands for one organisation. `steps`: those that it could take now, as the first."""

    case: Standing
    steps: tuple[Transition, ...]
    waiting: tuple[ActState, ...]


class CaseActs:
    """The verbs. Holds no state of its own."""

    def __init__(
        self,
        pool: Pool,
        reader: CaseReader,
        carrier: Carrier,
        roles: Callable[[int], int],
        calendar: WorkCalendar,
        clock: Clock,
    ) -> None:
        """`roles`: of an organisation, 0 for none; `calendar`: by which deadlines are explained."""
        self._pool = pool
        self._reader = reader
        self._carrier = carrier
        self._roles = roles
        self._clock = clock
        self._known = Knowledge(reader, roles, calendar)

    # Handing in

    async def submit(self, case_id: bytes, document: object, name: bytes | None = None) -> ActState:
        """Takes an act: queued durably, or kept until the second organisation has signed.

        The content is the key: the same act again changes nothing and shows what became of it. `name` makes a
        further attempt of an act that failed.

        Raises:
            MalformedInput, EvidenceNotFound, EvidenceNotAnchored, TooManyActsWait, the contract's own error
            with the member `rule`, and chain faults
        """
        given = _of_case(parse(document), case_id)
        half = _half_signed(given)
        act_id = name if name and not half else given.digest(self._reader.contracts)
        async with self._pool.acquire() as conn:
            held = await act_repository.held(conn, act_id, self._clock())
        if held is not None and (not held.waiting or (half and held.document == given.json)):
            return await self._state(held)
        known = await self._known.of(case_id, self._origin)
        row = self._row(act_id, given)
        try:
            call = await self._call(given, known, self._viewer(given))
            if call is None:
                return await self._wait(row)
            row = replace(row, carried_at=self._clock())
            await self._carrier.carry(act_id, call, lambda conn: act_repository.keep(conn, row))
        except CaseledgerError as error:
            raise self._known.explained(error, given, known) from None
        return await self._state(row)

    async def check(self, case_id: bytes, document: object, viewer: Viewer) -> Standing | None:
        """Whether the contract would take the act, signatures apart, and where the case would stand.

        The act comes without signatures, so that asking gives nobody an act that counts. None where this
        release does not know the policy of the case.

        Raises:
            As `submit`
        """
        given = _of_case(parse(document), case_id)
        known = await self._known.of(case_id, self._origin)
        try:
            if isinstance(given.act, TimeAct):
                await self._carrier.simulate(self._time_call(given.act, known))
            else:
                bare = replace(given.act, signature=b"", co_signature=b"")
                await self._simulated_to_signature(bare, known)
                await self._beyond_signature(bare, given, known, viewer)
            return await self._known.foretold(given, known)
        except CaseledgerError as error:
            raise self._known.explained(error, given, known) from None

    async def state(self, case_id: bytes, act_id: bytes, organisation: int) -> ActState | None:
        """What became of an act; None for one that is not here or not for this organisation."""
        async with self._pool.acquire() as conn:
            held = await act_repository.held(conn, act_id, self._clock())
        if held is None or held.case_id != case_id or not held.visible_to(organisation):
            return None
        return await self._state(held)

    async def position(self, case_id: bytes, viewer: Viewer) -> Position:
        """Where a case stands, what the caller could do now, and what waits for a second signature.

        Raises:
            CaseNotHere: no such case, or not one that the caller sees or may move
        """
        known = await self._known.of(case_id, self._origin)
        case = self._known.standing(known)
        if case is None or not access.may_act(viewer, case.life, case.seen):
            raise CaseNotHere("no such case", field="caseId")
        steps = await self._known.possible(known, viewer.organisation)
        return Position(case, steps, tuple(await self.waiting(viewer.organisation, case_id)))

    async def waiting(self, organisation: int, case_id: bytes | None = None) -> list[ActState]:
        """Half-signed acts that this organisation has signed or is asked to sign, oldest first."""
        async with self._pool.acquire() as conn:
            found = await act_repository.waiting(conn, organisation, self._clock(), case_id)
        return [ActState(act) for act in found]

    def same(self, state: ActState, document: object) -> bool:
        """Whether a state is of the act in this document, and not of another under the same name."""
        return state.act.digest == parse(document).digest(self._reader.contracts)

    # Calls

    async def _call(self, given: CaseDocument, known: KnownCase, viewer: Viewer) -> Call | None:
        """The transaction, or None where the second signature is missing and all else is right."""
        if isinstance(given.act, TimeAct):
            return self._time_call(given.act, known)
        signed = given.act
        if _half_signed(given):
            await self._simulated_to_signature(signed, known)
            await self._beyond_signature(signed, given, known, viewer)
            return None
        if signed.evidence:
            await self._signed_at_all(signed, known)
        return self._signed_call(signed, known, await self._proof(signed, viewer, known.case_id))

    def _time_call(self, act: TimeAct, known: KnownCase) -> Call:
        contracts = self._reader.contracts
        if act.transition:
            return lapse(act.case_id, act.version, act.transition, contracts)
        if known.state is not None and act.version != known.state.version:
            raise no.CaseVersionStale(f"{act.version}, the case is at {known.state.version}", field="version")
        return mark_overdue(act.case_id, contracts, origin=known.origin)

    def _signed_call(self, signed: SignedCaseAct, known: KnownCase, proof: bytes = b"") -> Call:
        origin = known.origin if isinstance(signed.act, BRING_TO_LIFE) else NOWHERE
        return call_for(
            signed.act,
            signed.signature,
            self._reader.contracts,
            origin=origin,
            proof=proof,
            co_signature=signed.co_signature,
        )

    async def _simulated_to_signature(self, signed: SignedCaseAct, known: KnownCase) -> None:
        """The contract finds nothing wrong up to the signature that is missing."""
        try:
            await self._carrier.simulate(self._signed_call(signed, known))
        except ContractReverted as error:
            if error.code != "ActSignatureInvalid" or error.values.get("length") != 0:
                raise

    async def _signed_at_all(self, signed: SignedCaseAct, known: KnownCase) -> None:
        """Nobody learns about an entry by naming it in an act that is not theirs: signatures come first.

        The contract checks them before the evidence, so an act without its evidence tells.
        """
        try:
            await self._carrier.simulate(self._signed_call(signed, known))
        except ContractReverted as error:
            if error.code != "EvidenceCountWrong":
                raise

    async def _beyond_signature(
        self, signed: SignedCaseAct, given: CaseDocument, known: KnownCase, viewer: Viewer
    ) -> None:
        """What the contract looks at after the signatures: reason, evidence, the court of a reversal."""
        act = signed.act
        if isinstance(act, Reverse):
            await self._known.foretold(given, known)
        if not isinstance(act, Move) or known.life is None:
            return
        step = known.life.transitions[act.transition]
        if act.reason not in ({reason.code for reason in step.reasons} or {0}):
            raise no.CaseReasonInvalid(f"{act.reason} of {step.name}", field="reason")
        needs = [need.row() for need in step.evidence] + [0, 0]
        await self._reader.require_evidence(
            known.case_id,
            known.owner,
            needs[0] << 32 | needs[1],
            await self._proof(signed, viewer, known.case_id),
        )

    async def _proof(self, signed: SignedCaseAct, viewer: Viewer, case_id: bytes) -> bytes:
        if not signed.evidence:
            return b""
        async with self._pool.acquire() as conn:
            return evidence_proof(await from_log(conn, signed.evidence, viewer, case_id))

    def _viewer(self, given: CaseDocument) -> Viewer:
        organisation, _ = given.organisations
        return Viewer(organisation, self._roles(organisation))

    async def _origin(self, case_id: bytes) -> Origin:
        async with self._pool.acquire() as conn:
            found = await batch_repository.origin(conn, case_id)
        return NOWHERE if found is None else Origin(*astuple(found))

    # Rows

    def _row(self, act_id: bytes, given: CaseDocument) -> HeldAct:
        now = self._clock()
        organisation, other = given.organisations
        signed = None if isinstance(given.act, TimeAct) else given.act.act
        until = int(getattr(signed, "valid_until", now))
        return HeldAct(
            id=act_id,
            digest=given.digest(self._reader.contracts),
            case_id=given.case_id,
            name=given.name,
            organisation=organisation,
            co_organisation=other,
            document=dict(given.json),
            valid_until=until,
            received_at=now,
            carried_at=None,
            expires_at=min(until, now + MOST_WAIT),
        )

    async def _wait(self, row: HeldAct) -> ActState:
        async with self._pool.acquire() as conn, conn.transaction():
            await act_repository.drop_expired(conn, self._clock())
            if await act_repository.count_waiting(conn, row.organisation) >= MAX_WAITING:
                raise TooManyActsWait(f"{MAX_WAITING} of organisation {row.organisation}")
            await act_repository.keep(conn, row)
        return ActState(row)

    async def _state(self, act: HeldAct) -> ActState:
        if act.waiting:
            return ActState(act)
        outcome = await self._carrier.outcome(act.id)
        given = parse(act.document)
        known = await self._known.of(act.case_id, self._origin)
        rule = None
        if outcome.reason_code is not None:
            rule = self._known.rule(outcome.reason_code, {}, given, known)
        return ActState(act, outcome, self._known.standing(known), rule)


def _of_case(given: CaseDocument, case_id: bytes) -> CaseDocument:
    if given.case_id != case_id:
        raise MalformedInput("caseId: not the case of the address", field="caseId")
    return given


def _half_signed(given: CaseDocument) -> bool:
    """One signature is there, and the act names a second organisation."""
    if isinstance(given.act, TimeAct) or not isinstance(given.act.act, (Move, Reverse)):
        return False
    act = given.act
    return bool(act.signature and not act.co_signature and given.organisations[1])
