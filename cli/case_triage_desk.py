"""What a run of triage reads and sends, through a gateway that is not trusted with anything.

Rows and decisions are opened here, with the organisation's own key; a row is held against its leaf and root.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from agent.errors import (
    ArgumentRefused,
    GatewayAnswerInvalid,
    GatewayRefused,
    GatewayUnreachable,
    RecipientUnknown,
)
from agent.intake.opening import open_case
from agent.intake.party import PINS
from agent.patience import Patience, temporary
from agent.store import load_pins
from cases.errors import EvidenceMissing, PolicyNotOfThisRelease
from cases.lifecycle import OWNER, Transition
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.policies import RELEASED
from cases.triage import Papers
from cases.triage_plan import CaseAt, KnownDecision
from chain.case_acts import SignedCaseAct, document, sign
from protocol import expect
from protocol.acts import Signer
from protocol.case_acts import Move
from protocol.case_batch import BatchRecipient
from protocol.case_decision import (
    DecisionUndecryptable,
    SealedDecision,
    decision_document,
    from_base64,
    open_decision,
)
from protocol.entry import EvidenceClass

if TYPE_CHECKING:
    from chain.case_contracts import CaseContracts

ENDS = ("mined", "reverted", "failed", "vanished")
POLL = 0.3
PAPERS = (EvidenceClass.CONTRACT, EvidenceClass.STATEMENT)
_T = TypeVar("_T")


class Gateway(Protocol):
    """The part of a gateway's client that is used here."""

    def case_list(self, parameters: Mapping[str, str]) -> dict[str, Any]: ...
    def case_position(self, case_id: str) -> dict[str, Any]: ...
    def case_row(self, case_id: bytes) -> dict[str, Any]: ...
    def case_batch(self, root: bytes) -> dict[str, Any] | None: ...
    def case_decisions(self, case_id: bytes) -> list[dict[str, Any]]: ...
    def case_evidence(self, case_id: bytes) -> list[dict[str, Any]]: ...
    def keep_case_decision(self, case_id: bytes, document: Mapping[str, Any]) -> dict[str, Any]: ...
    def case_act(self, case_id: str, act: Mapping[str, Any]) -> dict[str, Any]: ...
    def case_act_state(self, case_id: str, act_id: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Party:
    """In whose name a run is made."""

    home: Path
    organisation: int
    hpke_private: bytes = field(repr=False)
    hpke_public: bytes


class GatewayDesk:
    """The desk of a run."""

    def __init__(
        self,
        gateway: Gateway,
        party: Party,
        *,
        patience: float = 300.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gateway = gateway
        self._party = party
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._roots: dict[bytes, bytes] = {}
        self._owners: dict[bytes, int] = {}
        self._recipients: dict[bytes, tuple[BatchRecipient, ...]] = {}
        self._entries: dict[bytes, list[dict[str, Any]]] = {}
        self._sends: tuple[Signer, CaseContracts] | None = None

    def may_send(self, signer: Signer, contracts: CaseContracts) -> None:
        """From now on steps can be signed and sent."""
        self._sends = signer, contracts

    # Reading

    def cases(self, root: bytes | None, stages: Sequence[int]) -> Iterator[bytes]:
        """Ids of the cases in these stages that the organisation sees, of one batch or of all."""
        given = {"stage": ",".join(LIFECYCLE_V1.stages[stage].name for stage in stages), "limit": "1000"}
        if root is not None:
            given["batch"] = root.hex()
        while True:
            page = self._until(lambda: self._gateway.case_list(given))
            items, following = page.get("items"), page.get("next")
            if not isinstance(items, list) or not isinstance(following, str | None):
                raise GatewayAnswerInvalid("a list of cases is expected")
            for item in items:
                given_id = item.get("caseId") if isinstance(item, dict) else None
                yield expect.from_hex(given_id, "caseId", 32)
            if following is None:
                return
            given["cursor"] = following

    def look(self, case_id: bytes) -> CaseAt:
        """One case: where it stands, its row, its papers and its decisions.

        Raises:
            PolicyNotOfThisRelease, RowUndecryptable, GatewayAnswerInvalid, and refusals of the gateway
        """
        where = self._position(case_id)
        opened = open_case(
            self._until(lambda: self._gateway.case_row(case_id)),
            case_id,
            self._party.organisation,
            self._party.hpke_private,
        )
        self._roots[case_id], self._owners[case_id] = opened.root, opened.row.owner
        known, newest = self.decisions(case_id)
        return CaseAt(
            case_id, where.stage, where.version, opened.row, self._papers(case_id), known, newest, where.held
        )

    def decisions(self, case_id: bytes) -> tuple[tuple[KnownDecision, ...], bytes | None]:
        """Those that this organisation can open, and the commitment of the newest of all.

        Raises:
            GatewayAnswerInvalid: they do not form a chain.
        """
        found, newest = [], None
        for item in self._until(lambda: self._gateway.case_decisions(case_id)):
            commitment = expect.from_hex(item.get("commitment"), "commitment", 32)
            given = item.get("previous")
            previous = None if given is None else expect.from_hex(given, "previous", 32)
            if previous != newest:
                raise GatewayAnswerInvalid("decisions do not follow one another", field="decisions")
            newest = commitment
            if item.get("ciphertext") is None or item.get("wrapped") is None:
                continue
            sealed = SealedDecision(
                case_id, commitment, previous, from_base64(item["ciphertext"], "ciphertext"), ()
            )
            try:
                record = open_decision(
                    sealed,
                    from_base64(item["wrapped"], "wrapped"),
                    self._party.organisation,
                    self._party.hpke_private,
                )
            except DecisionUndecryptable:
                continue
            found.append(KnownDecision(commitment, record))
        return tuple(found), newest

    def recipients(self, case_id: bytes) -> tuple[BatchRecipient, ...]:
        """Of the batch of a case, in its order, by the keys that are pinned here.

        Raises:
            RecipientUnknown, GatewayAnswerInvalid
        """
        root = self._roots[case_id]
        if root not in self._recipients:
            batch = self._until(lambda: self._gateway.case_batch(root)) or {}
            indexes = batch.get("recipients")
            if not isinstance(indexes, list) or self._party.organisation not in indexes:
                raise GatewayAnswerInvalid("recipients of the batch are expected", field="recipients")
            self._recipients[root] = tuple(map(self._recipient, indexes))
        return self._recipients[root]

    def _recipient(self, index: object) -> BatchRecipient:
        organisation = expect.uint(index, "recipients", expect.UINT32_MAX, minimum=1)
        if organisation == self._party.organisation:
            return BatchRecipient(organisation, self._party.hpke_public)
        pins = load_pins(self._party.home.joinpath(*PINS))
        if organisation not in pins:
            raise RecipientUnknown(
                f"organisation {organisation} has no pinned key", field="recipients",
                hint=f"put its key into {'/'.join(PINS)}, taken from the trust file or from its owner",
            )  # fmt: skip
        return BatchRecipient(organisation, pins[organisation])

    def evidence(self, case_id: bytes, step: Transition) -> tuple[bytes, ...]:
        """Raises EvidenceMissing."""
        found = []
        for need in step.evidence:
            classes = {int(number) for number in need.classes}
            ours = self._anchored(case_id) if need.roles & OWNER else []
            entry = next((one for one in ours if one.get("class") in classes), None)
            if entry is None:
                names = ", ".join(number.name.lower() for number in need.classes)
                raise EvidenceMissing(f"{step.name}: {names}", field="evidence")
            found.append(expect.from_hex(entry.get("id"), "id", 32))
        return tuple(found)

    def _papers(self, case_id: bytes) -> Papers:
        there = {entry.get("class") for entry in self._anchored(case_id)}
        if {int(one) for one in PAPERS} <= there:
            return Papers.COMPLETE
        coming = {entry.get("class") for entry in self._of_owner(case_id)}
        return Papers.NOT_LOOKED_UP if {int(one) for one in PAPERS} <= coming else Papers.INCOMPLETE

    def _anchored(self, case_id: bytes) -> list[dict[str, Any]]:
        return [one for one in self._of_owner(case_id) if one.get("state") == "ANCHORED"]

    def _of_owner(self, case_id: bytes) -> list[dict[str, Any]]:
        """The owner's entries of the case that a step may show."""
        if case_id not in self._entries:
            self._entries[case_id] = self._until(lambda: self._gateway.case_evidence(case_id))
        return [
            one
            for one in self._entries[case_id]
            if one.get("submitter") == self._owners[case_id]
            and one.get("privileged") is False
            and not one.get("supersededBy")
        ]

    def _position(self, case_id: bytes) -> _Where:
        case = self._until(lambda: self._gateway.case_position(case_id.hex())).get("case")
        if not isinstance(case, dict):
            raise GatewayAnswerInvalid("where a case stands is expected", field="case")
        life = RELEASED.get(expect.from_hex(case.get("tableHash"), "tableHash", 32))
        if life is None:
            raise PolicyNotOfThisRelease("the case has rules of another release")
        try:
            stage = life.stage(str(case.get("stage"))).code
        except KeyError:
            raise GatewayAnswerInvalid("the stage is not of the case's rules", field="stage") from None
        version = expect.uint(case.get("version"), "version", expect.UINT32_MAX)
        return _Where(stage, max(version, 1), bool(case.get("openPauses")))

    # Sending

    def keep(self, sealed: SealedDecision, recipients: Sequence[int]) -> None:
        """Records a decision, durably."""
        body = decision_document(sealed, recipients)
        kept = self._until(lambda: self._gateway.keep_case_decision(sealed.case_id, body))
        if kept.get("commitment") != sealed.commitment.hex():
            raise GatewayAnswerInvalid("another decision was kept", field="commitment")

    def send(self, act: Move, evidence: tuple[bytes, ...]) -> dict[str, Any]:
        """Signs, hands in and waits. The gateway's last word on it."""
        if self._sends is None:
            raise ArgumentRefused("this desk only reads", field="key")
        signer, contracts = self._sends
        body = document(SignedCaseAct(act, sign(act, contracts, signer), b"", evidence))
        case = act.case_id.hex()
        state = self._until(lambda: self._gateway.case_act(case, body))
        patience = Patience(self._patience, self._clock, self._sleep)
        while state.get("state") not in ENDS and not patience.over:
            self._sleep(POLL)
            identifier = str(state.get("id"))
            state = self._until(lambda: self._gateway.case_act_state(case, identifier))  # noqa: B023
        return state

    def _until(self, ask: Callable[[], _T]) -> _T:
        """Asks until it is answered, within the patience for faults that pass."""
        patience = Patience(self._patience, self._clock, self._sleep)
        while True:
            try:
                return ask()
            except (GatewayUnreachable, GatewayRefused) as error:
                if not temporary(error) or patience.over:
                    raise
                patience.pause(error)


@dataclass(frozen=True)
class _Where:
    stage: int
    version: int
    held: bool
