"""The few Ethereum calls that this room needs, typed, over whatever carries JSON-RPC to a node.

What a node writes as an error text decides only how a sent transaction is treated; it is never shown.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chain.bindings import AnswerUnreadable, revert_error
from chain.errors import ChainError
from chain.rpc import RpcRefused
from chain.transactions import Call

Block = int | str


class Transport(Protocol):
    """JSON-RPC to one node or to several, as `chain.rpc.RpcPool`: raises RpcRefused or RpcUnavailable."""

    async def call(self, method: str, params: Sequence[Any], /) -> Any:
        """The result member of the answer."""
        ...


@dataclass(frozen=True)
class Head:
    """A block: number, 32-byte hash, its time in seconds, and its parent's hash."""

    number: int
    hash: bytes
    time: int
    parent: bytes


@dataclass(frozen=True)
class EventLog:
    """One entry of `eth_getLogs` or of a receipt."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    log_index: int


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int
    contract: bytes | None
    logs: tuple[EventLog, ...]


class Sent(enum.Enum):
    """How a node took a raw transaction."""

    ACCEPTED = "accepted"  # now or before
    NONCE_USED = "nonce used"
    NONCE_GAP = "nonce gap"  # a predecessor is unknown to the node
    OCCUPIED = "occupied"  # another pending transaction has the nonce
    BUSY = "busy"
    NO_FUNDS = "no funds"
    INVALID = "invalid"  # it never will be taken
    UNKNOWN = "unknown"  # a refusal that we cannot read


_EXPECTED = re.compile(r"invalid nonce; got (\d+), expected (\d+)")
_REFUSALS: tuple[tuple[str, Sent], ...] = (
    ("already known", Sent.ACCEPTED),
    ("tx already in mempool", Sent.ACCEPTED),
    ("already in mempool", Sent.ACCEPTED),
    ("tx already exists in cache", Sent.ACCEPTED),
    ("already imported", Sent.ACCEPTED),
    ("known transaction", Sent.ACCEPTED),
    ("nonce too low", Sent.NONCE_USED),
    ("nonce too high", Sent.NONCE_GAP),
    ("nonce gap", Sent.NONCE_GAP),
    ("nonce_too_distant", Sent.NONCE_GAP),
    ("nonce too distant", Sent.NONCE_GAP),
    ("underpriced", Sent.OCCUPIED),
    ("insufficient funds", Sent.NO_FUNDS),
    ("insufficient balance", Sent.NO_FUNDS),
    ("upfront cost exceeds", Sent.NO_FUNDS),
    ("upfront_cost_exceeds", Sent.NO_FUNDS),
    ("mempool is full", Sent.BUSY),
    ("txpool is full", Sent.BUSY),
    ("pool is full", Sent.BUSY),
    ("intrinsic gas", Sent.INVALID),
    ("out of gas", Sent.INVALID),
    ("exceeds block gas limit", Sent.INVALID),
    ("exceeds maximum", Sent.INVALID),
    ("gas limit", Sent.INVALID),
    ("invalid sender", Sent.INVALID),
    ("invalid chain id", Sent.INVALID),
    ("oversized", Sent.INVALID),
    ("insufficient fee", Sent.INVALID),
    ("fee cap", Sent.INVALID),
    ("gas price", Sent.INVALID),
)


def classify_refusal(message: str) -> Sent:
    """Read a node's refusal of a raw transaction (geth, Besu, anvil and the CometBFT engine's wordings)."""
    text = message.lower()
    expected = _EXPECTED.search(text)
    if expected:
        return Sent.NONCE_USED if int(expected[1]) < int(expected[2]) else Sent.NONCE_GAP
    return next((outcome for part, outcome in _REFUSALS if part in text), Sent.UNKNOWN)


def _block(block: Block) -> str:
    return hex(block) if isinstance(block, int) else block


def quantity(value: Any) -> int:
    """A JSON-RPC quantity. Raises AnswerUnreadable."""
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError
        return int(value, 16)
    except ValueError:
        raise AnswerUnreadable("a node's number is not a number") from None


def binary(value: Any, length: int | None = None) -> bytes:
    """JSON-RPC bytes, of `length` when given. Raises AnswerUnreadable."""
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError
        data = bytes.fromhex(value[2:])
    except ValueError:
        raise AnswerUnreadable("a node's bytes are not hex") from None
    if length is not None and len(data) != length:
        raise AnswerUnreadable(f"a node's answer has {len(data)} bytes instead of {length}")
    return data


def parse_log(value: Any) -> EventLog:
    """One log entry. Raises AnswerUnreadable."""
    try:
        return EventLog(
            binary(value["address"], 20),
            tuple(binary(topic, 32) for topic in value["topics"]),
            binary(value["data"]),
            quantity(value["blockNumber"]),
            binary(value["blockHash"], 32),
            binary(value["transactionHash"], 32),
            quantity(value["logIndex"]),
        )
    except (KeyError, TypeError):
        raise AnswerUnreadable("a node's log entry lacks a member") from None


def parse_receipt(value: Mapping[str, Any]) -> Receipt:
    """A transaction receipt. Raises AnswerUnreadable."""
    try:
        contract = value.get("contractAddress")
        return Receipt(
            binary(value["transactionHash"], 32),
            quantity(value["blockNumber"]),
            binary(value["blockHash"], 32),
            quantity(value["status"]) == 1,
            quantity(value["gasUsed"]),
            None if contract is None else binary(contract, 20),
            tuple(parse_log(entry) for entry in value["logs"]),
        )
    except (KeyError, TypeError):
        raise AnswerUnreadable("a node's receipt lacks a member") from None


def parse_head(value: Any) -> Head:
    """A block's head. Raises AnswerUnreadable."""
    try:
        return Head(
            quantity(value["number"]),
            binary(value["hash"], 32),
            quantity(value["timestamp"]),
            binary(value["parentHash"], 32),
        )
    except (KeyError, TypeError):
        raise AnswerUnreadable("a node's block lacks a member") from None


class Evm:
    """Typed calls over a transport. Stateless."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def rpc(self, method: str, *params: Any) -> Any:
        """A raw call."""
        return await self._transport.call(method, list(params))

    async def chain_id(self) -> int:
        """`eth_chainId`."""
        return quantity(await self.rpc("eth_chainId"))

    async def head(self, block: Block = "latest") -> Head:
        """A block's number, hash and time. Raises AnswerUnreadable when the node does not have it."""
        return parse_head(await self.rpc("eth_getBlockByNumber", _block(block), False))

    async def nonce(self, address: bytes, block: Block = "latest") -> int:
        """The number of transactions that `address` has in the chain up to `block`."""
        return quantity(await self.rpc("eth_getTransactionCount", "0x" + address.hex(), _block(block)))

    async def balance(self, address: bytes, block: Block = "latest") -> int:
        """Base units."""
        return quantity(await self.rpc("eth_getBalance", "0x" + address.hex(), _block(block)))

    async def code(self, address: bytes, block: Block = "latest") -> bytes:
        """Deployed code; empty when there is none."""
        return binary(await self.rpc("eth_getCode", "0x" + address.hex(), _block(block)))

    async def storage(self, address: bytes, position: bytes, block: Block = "latest") -> bytes:
        """32 bytes of a contract's storage."""
        answer = await self.rpc(
            "eth_getStorageAt", "0x" + address.hex(), "0x" + position.hex(), _block(block)
        )
        return binary(answer).rjust(32, b"\0")

    async def call(self, sender: bytes, call: Call, block: Block = "latest") -> bytes:
        """Execute without a transaction. Raises ContractReverted (decoded)."""
        try:
            return binary(await self.rpc("eth_call", call.as_rpc(sender), _block(block)))
        except RpcRefused as error:
            raise _as_revert(error) from None

    async def estimate(self, sender: bytes, call: Call) -> int:
        """Gas that the call would take now. Raises ContractReverted (decoded)."""
        try:
            return quantity(await self.rpc("eth_estimateGas", call.as_rpc(sender)))
        except RpcRefused as error:
            raise _as_revert(error) from None

    async def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """None while unknown."""
        answer = await self.rpc("eth_getTransactionReceipt", "0x" + transaction_hash.hex())
        if answer is None:
            return None
        receipt = parse_receipt(answer)
        if receipt.transaction_hash != transaction_hash:
            raise AnswerUnreadable("a node answered with another transaction's receipt")
        return receipt

    async def logs(self, addresses: Sequence[bytes], first: int, last: int) -> list[EventLog]:
        """All log entries of the contracts in blocks first to last, inclusive."""
        answer = await self.rpc(
            "eth_getLogs",
            {
                "address": ["0x" + address.hex() for address in addresses],
                "fromBlock": hex(first),
                "toBlock": hex(last),
            },
        )
        if not isinstance(answer, list):
            raise AnswerUnreadable("a node's log list is not a list")
        return [parse_log(entry) for entry in answer]

    async def send_raw(self, raw: bytes) -> Sent:
        """Give a signed transaction to the network. Transport failures are raised."""
        try:
            await self.rpc("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcRefused as error:
            return classify_refusal(f"{error.message} {error.data or ''}")
        return Sent.ACCEPTED


def _as_revert(error: RpcRefused) -> ChainError:
    data = error.revert_data
    return error if data is None else revert_error(data)
