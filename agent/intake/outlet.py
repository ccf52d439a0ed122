"""Batches to a gateway and onto the chain, over HTTP (docs/spec/case.md §6, §8).

Every step may be the last one before a kill, and all are repeated safely: the signed Import is journaled
before anybody gets it, the gateway answers the same file and the same act like the first time, and what the
chain has already is seen before anything is sent.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from agent.errors import GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable
from agent.intake.errors import BatchNotInTime, BatchNotTaken, BatchRecalled, BatchWithoutTotals
from agent.intake.store import IntakeStore, StoredBatch
from agent.patience import Patience, temporary
from protocol.acts import Domain, Signer, parse_type
from protocol.case_acts import CaseAct, Import, Recall
from protocol.case_totals import BatchTotals, rules_digest

VALID_SECONDS = 3600
"""How long a signed act may travel."""
SIGN_AGAIN_BEFORE = 120
POLL = 0.5
_T = TypeVar("_T")


class Gateway(Protocol):
    """The part of a gateway's client that is used here."""

    def put_case_batch(self, batch_id: bytes, file: Path) -> dict[str, Any]: ...
    def case_batch(self, root: bytes) -> dict[str, Any] | None: ...
    def case_batch_act(self, root: bytes, act: Mapping[str, Any]) -> dict[str, Any]: ...
    def act_state(self, act_id: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Party:
    """In whose name batches are sent: the organisation's act key, and where its acts on batches count."""

    organisation: int
    signer: Signer
    domain: Domain


class GatewayOutlet:
    """A `BatchOutlet`."""

    def __init__(
        self, gateway: Gateway, store: IntakeStore, party: Party, *, triage: bytes | None = None,
        patience: float = 300.0, clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        """`triage`: digest of the table that the cases are to be sorted by. `patience`: seconds a step."""
        self._gateway = gateway
        self._store = store
        self._party = party
        self._triage = triage
        self._patience = patience
        self._clock = clock
        self._sleep = sleep

    def send(self, batch: StoredBatch, file: Path) -> None:
        """Sends a batch; returns once the chain has it.

        Raises:
            BatchWithoutTotals, BatchNotTaken, BatchRecalled, BatchNotInTime, and the errors of the client
        """
        act = self._import(batch)
        if self._now(act.root).get("receivedAt") is None:
            self._until(lambda: self._gateway.put_case_batch(batch.id, file))
        self._act_until(act.root, lambda: self._signed(batch), lambda now: self._is_imported(now, act))

    def recall(self, batch: StoredBatch) -> None:
        """Takes a batch back; returns once the chain has said so, and journals it.

        Raises:
            BatchNotTaken: the chain refuses, or has no such batch
        """
        root = _root(batch)
        act = Recall(self._party.organisation, root, self._valid_until())
        document = _document(act, self._party)
        self._act_until(root, lambda: document, lambda now: now.get("state") == "recalled")
        self._store.recalled(batch.id)

    # inside

    def _import(self, batch: StoredBatch) -> Import:
        root = _root(batch)
        opening = self._store.totals(batch.id)
        if opening is None:
            raise BatchWithoutTotals(
                "made by an earlier release", field="batch", hint="drop it and import the file again"
            )
        totals = BatchTotals.parse(opening)
        stated = batch.terms["rules"]
        rules = rules_digest(stated["version"], stated["codes"], self._triage)
        return Import(
            self._party.organisation, root, totals.count, rules, totals.commitment, self._valid_until()
        )

    def _valid_until(self) -> int:
        return int(self._clock()) + VALID_SECONDS

    def _signed(self, batch: StoredBatch) -> dict[str, Any]:
        """The journaled act while it is good, else a new one. Of two, the chain takes one."""
        held = self._store.act(batch.id)
        if held is not None:
            document: dict[str, Any] = json.loads(held)
            if document["request"]["validUntil"] > self._clock() + SIGN_AGAIN_BEFORE:
                return document
        document = _document(self._import(batch), self._party)
        self._store.keep_act(batch.id, json.dumps(document))
        return document

    def _is_imported(self, now: Mapping[str, Any], act: Import) -> bool:
        if now.get("state") == "recalled":
            raise BatchRecalled("the ledger has it as recalled", field="batch")
        if now.get("state") != "imported":
            return False
        # Under another gateway's or an older act the rules may differ; root, owner, count and sums may not.
        stated = (now.get("owner"), now.get("count"), now.get("totals"))
        if stated != (act.organisation, act.count, act.totals.hex()):
            raise GatewayAnswerInvalid("the batch on the chain is not the one that was sent", field="batch")
        return True

    def _act_until(
        self, root: bytes, document: Callable[[], dict[str, Any]], done: Callable[[Mapping[str, Any]], bool]
    ) -> None:
        """Has an act relayed and waits for what it does; looks first whether it is done."""
        if done(self._now(root)):
            return
        patience = Patience(self._patience, self._clock, self._sleep)
        act_id = self._relay(root, document())
        while not done(self._now(root)):
            if patience.over:
                raise BatchNotInTime("the chain does not show it yet", hint="run the same command again")
            if act_id is not None:
                self._must_live(self._until(lambda: self._gateway.act_state(act_id)))
            self._sleep(POLL)

    def _now(self, root: bytes) -> Mapping[str, Any]:
        """The batch as the gateway knows it; empty for unknown."""
        found: dict[str, Any] | None = self._until(lambda: self._gateway.case_batch(root))
        return found or {}

    def _relay(self, root: bytes, document: dict[str, Any]) -> str | None:
        """The act's id at the gateway; None where the chain has done it already and the gateway is behind."""
        try:
            return str(self._until(lambda: self._gateway.case_batch_act(root, document))["id"])
        except GatewayRefused as error:
            if error.code in _DONE_BEFORE:
                return None
            raise BatchNotTaken(f"{error.code}: {error.detail}", field="batch", hint=error.hint) from None

    @staticmethod
    def _must_live(state: Mapping[str, Any]) -> None:
        code = state.get("code")
        if state.get("state") in _FAILED and code not in _DONE_BEFORE:
            raise BatchNotTaken(f"the chain refused: {code or state['state']}", field="batch")

    def _until(self, ask: Callable[[], _T]) -> _T:
        patience = Patience(self._patience, self._clock, self._sleep)
        while True:
            try:
                return ask()
            except (GatewayUnreachable, GatewayRefused) as error:
                if not temporary(error) or patience.over:
                    raise
                patience.pause(error)


_FAILED = ("reverted", "failed", "vanished")
_DONE_BEFORE = ("BatchKnown", "BatchIsRecalled")
"""The contract's words for: this was done before."""


def _root(batch: StoredBatch) -> bytes:
    if batch.root is None:
        raise BatchNotTaken(
            "the batch is not finished", field="batch", hint="caseledger case import --resume"
        )
    return batch.root


def _document(act: CaseAct, party: Party) -> dict[str, Any]:
    """The act as gateways take it: members under the names of the type string, hex without prefix."""
    kind = parse_type(act.TYPE)
    request = {
        name: value.hex() if isinstance(value, bytes) else int(value)
        for (_, name), value in zip(kind.members, dataclasses.astuple(act), strict=True)
    }
    signature = party.signer.sign_digest(act.digest(party.domain))
    return {"act": kind.name, "request": request, "signature": signature.hex()}
