"""EvidenceLog in Python: the same rules for anchors, for tests in which the chain has to misbehave on cue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chain.bindings import EVIDENCE_LOG, interface
from chain.errors import ContractReverted, contract_error_class
from chain.outbox import Outcome, State
from chain.rpc import RpcUnavailable
from evidence.contract import Anchored, Head, HeadStatus
from evidence.logs import LogContext
from protocol.acts import Anchor, recover
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256
from protocol.keyslot import batch_link
from storage.db import AnyConnection
from verifier.merkle import verify_consistency

ZERO32 = bytes(32)


@dataclass
class ContractModel:
    """One log on a chain of one block a transaction. Implements `ContractPort` and `SenderPort`.

    `down`: no node answers. `lose`: transactions end like this instead of being executed. `hold`: they stay
    on their way until `execute`.
    """

    log: LogContext
    anchor_key: bytes
    time: int = 1_800_000_000
    block: int = 100
    size: int = 0
    root: bytes = ZERO32
    status: HeadStatus = HeadStatus.OPEN
    closed_size: int = 0
    successor: bytes = ZERO32
    events: list[Anchored] = field(default_factory=list)
    links: dict[int, bytes] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    waiting: dict[str, bytes] = field(default_factory=dict)
    prepared: list[bytes] = field(default_factory=list)
    down: bool = False
    hold: bool = False
    lose: State | None = None

    # -- the contract ------------------------------------------------------------------------------------

    def anchor(self, data: bytes) -> Anchored:
        """Execute the call data of `anchor`; raises ContractReverted with the contract's error name."""
        arguments = interface(EVIDENCE_LOG).function("anchor").decode_input(data)
        log_id, old, new, root_sha, root_sm3, valid_until = arguments["request"]
        proof = list(arguments["consistencyProof"])
        if log_id != self.log.log_id:
            raise _revert("LogUnknown")
        if self.status is HeadStatus.CLOSED:
            raise _revert("LogIsClosed")
        if old != self.size:
            raise _revert("LogOldSizeMismatch")
        if new <= old:
            raise _revert("LogNoGrowth")
        if new - old > 1 << 20:
            raise _revert("LogGrowthTooLarge")
        if valid_until < self.time:
            raise _revert("ActExpired")
        act = Anchor(log_id, old, new, root_sha, root_sm3, valid_until)
        if recover(act.digest(self.log.domain), arguments["signature"]) != self.anchor_key:
            raise _revert("KeyWrongPurpose")
        if old == 0:
            if proof:
                raise _revert("LogFirstProofNotEmpty")
        else:
            try:
                verify_consistency(SHA256, old, new, self.root, root_sha, proof)
            except CaseledgerError:
                raise _revert("ConsistencyProofInvalid") from None
        self.block += 1
        self.time += 1
        number = len(self.events) + 1
        link = batch_link(
            chain_id=self.log.chain_id, contract=self.log.contract, log_id=log_id, number=number,
            previous=self.links.get(number - 1, ZERO32), size=new, root_sha256=root_sha, root_sm3=root_sm3,
            time=self.time,
        )  # fmt: skip
        self.size, self.root = new, root_sha
        self.links[number] = link
        event = Anchored(
            number, old, new, root_sha, root_sm3, link, self.time, self.anchor_key, self.block,
            self.block.to_bytes(32, "big"), number.to_bytes(32, "big"),
        )  # fmt: skip
        self.events.append(event)
        return event

    def close(self, size: int, successor: bytes = ZERO32) -> None:
        """As governance does."""
        self.status, self.closed_size, self.successor = HeadStatus.CLOSED, size, successor

    # -- ContractPort ------------------------------------------------------------------------------------

    async def final_block(self) -> int:
        self._up()
        return self.block

    async def head(self, log_id: bytes, block: int | None = None) -> Head:
        self._up()
        return Head(
            self.size, self.closed_size, len(self.events), self.log.operator, self.status, self.root,
            self.successor, ZERO32, self.block,
        )  # fmt: skip

    async def link(self, log_id: bytes, number: int, block: int | None = None) -> bytes:
        self._up()
        return self.links.get(number, ZERO32)

    async def anchored(self, log_id: bytes, number: int, near: int | None = None) -> Anchored | None:
        self._up()
        return next((event for event in self.events if event.number == number), None)

    async def anchored_all(self, log_id: bytes, first: int) -> list[Anchored]:
        self._up()
        return [event for event in self.events if event.number >= first]

    def _up(self) -> None:
        if self.down:
            raise RpcUnavailable("no node answers")

    # -- SenderPort --------------------------------------------------------------------------------------

    async def prepare(self, data: bytes) -> int:
        self._up()
        shadow = replace(self, events=list(self.events), links=dict(self.links))
        shadow.anchor(data)
        self.prepared.append(data)
        return 100_000

    async def enqueue(self, conn: AnyConnection, data: bytes, gas: int, business_key: str) -> int:
        self.waiting[business_key] = data
        return len(self.outcomes) + len(self.waiting)

    async def outcome(self, conn: AnyConnection, business_key: str) -> Outcome | None:
        if business_key in self.waiting:
            if self.hold or self.down:
                return self._outcome(business_key, State.SENT)
            self.execute(business_key)
        return self.outcomes.get(business_key)

    def execute(self, business_key: str) -> None:
        """Put a waiting transaction into a block."""
        data = self.waiting.pop(business_key)
        state, reason, block = State.MINED, None, None
        if self.lose is not None:
            state, reason = self.lose, "Lost"
        else:
            try:
                block = self.anchor(data).block_number
            except ContractReverted as error:
                state, reason = State.REVERTED, error.code
        self.outcomes[business_key] = self._outcome(business_key, state, reason, block)

    def _outcome(
        self, key: str, state: State, reason: str | None = None, block: int | None = None
    ) -> Outcome:
        return Outcome(1, key, "lane", 0, state, ZERO32, block, None, None, reason, None)


def _revert(name: str) -> ContractReverted:
    return contract_error_class(name)(name)


def events_of(model: ContractModel) -> Sequence[tuple[int, int, int]]:
    """(number, old, new) of every anchor."""
    return [(event.number, event.old_size, event.new_size) for event in model.events]
