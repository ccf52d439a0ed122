"""Contract interfaces from the committed ABIs: calls, events and custom errors, without web3.

Values: integers as int, `bytesN` and addresses as bytes (20 for an address), structs as tuples in the order
of the ABI, dynamic arrays as tuples. Source: Contract ABI Specification of Solidity 0.8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.decoding import AddressDecoder
from eth_abi.encoding import AddressEncoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import BaseEquals, registry

from chain.errors import (
    ChainError,
    ContractPanic,
    ContractReverted,
    UnknownRevert,
    contract_error_class,
    contract_hint,
    show_value,
)
from protocol.hashing import keccak256

GOVERNANCE = "ConsortiumGovernance"
REGISTRY = "ConsortiumRegistry"
EVIDENCE_LOG = "EvidenceLog"
WORK_CALENDAR = "WorkCalendar"
EVIDENCE_GUARD = "EvidenceGuard"
CASE_BATCHES = "CaseBatches"
CASE_LEDGER = "CaseLedger"
ACT_CARRIER = "ActCarrier"
LIFECYCLE = "LifecycleV1"
LIFECYCLE_TEST_CLOCK = "LifecycleV1TestClock"
CONTRACTS = (
    GOVERNANCE,
    REGISTRY,
    EVIDENCE_LOG,
    WORK_CALENDAR,
    EVIDENCE_GUARD,
    LIFECYCLE,
    LIFECYCLE_TEST_CLOCK,
    CASE_BATCHES,
    CASE_LEDGER,
    ACT_CARRIER,
)

_PANIC = keccak256(b"Panic(uint256)")[:4]


class AbiUnreadable(ChainError):
    """A committed ABI is missing or is not what its compiler writes."""

    http_status = 500
    title = "contract interface unreadable"


class AnswerUnreadable(ChainError):
    """A node's answer is not of the type that the ABI gives."""

    http_status = 502
    title = "unreadable answer of a node"


def _codec() -> ABICodec:
    """The library's codec, with addresses decoded to 20 bytes instead of hex text."""
    own: Any = registry
    own = own.copy()
    own.unregister("address")
    matches: Any = BaseEquals
    as_bytes = type("BytesAddressDecoder", (AddressDecoder,), {"decoder_fn": staticmethod(bytes)})
    own.register(matches("address"), AddressEncoder, as_bytes, label="address")
    return ABICodec(own)


_CODEC = _codec()


def canonical(item: Mapping[str, Any]) -> str:
    """The type as it stands in a signature: structs become parenthesised lists."""
    kind = str(item["type"])
    if kind.startswith("tuple"):
        return "(" + ",".join(canonical(part) for part in item["components"]) + ")" + kind[5:]
    return kind


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def encode_values(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """ABI encoding of `values`. Raises ValueError on a value that its type cannot hold."""
    try:
        return _CODEC.encode(types, values)
    except EncodingError as error:
        raise ValueError(f"value does not fit {','.join(types)}: {type(error).__name__}") from None


def decode_values(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Inverse of `encode_values`. Raises AnswerUnreadable."""
    try:
        return tuple(_frozen(value) for value in _CODEC.decode(types, data))
    except (DecodingError, OverflowError, ValueError):
        raise AnswerUnreadable(f"{len(data)} bytes are not ({','.join(types)})") from None


@dataclass(frozen=True)
class Function:
    """A function of a contract; `selector` is 4 bytes."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    selector: bytes
    names: tuple[str, ...]
    output_names: tuple[str, ...]
    view: bool

    def encode(self, *values: Any) -> bytes:
        """Call data."""
        if len(values) != len(self.inputs):
            raise ValueError(f"{self.name} takes {len(self.inputs)} values, got {len(values)}")
        return self.selector + encode_values(self.inputs, values)

    def decode_input(self, data: bytes) -> dict[str, Any]:
        """Arguments by name from call data of this function."""
        if data[:4] != self.selector:
            raise AnswerUnreadable(f"call data are not of {self.name}")
        return dict(zip(self.names, decode_values(self.inputs, data[4:]), strict=True))

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """The answer of an `eth_call`, one element for each output."""
        return decode_values(self.outputs, data)


@dataclass(frozen=True)
class Event:
    """An event type; `topic` is its signature hash."""

    name: str
    topic: bytes
    names: tuple[str, ...]
    types: tuple[str, ...]
    indexed: tuple[bool, ...]

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """Values by name. An indexed value of dynamic type is its hash (32 bytes)."""
        hashed = [t for t, i in zip(self.types, self.indexed, strict=True) if i]
        plain = [t for t, i in zip(self.types, self.indexed, strict=True) if not i]
        if len(topics) != len(hashed) + 1 or topics[0] != self.topic:
            raise AnswerUnreadable(f"topics are not of {self.name}")
        rest = iter(decode_values(plain, data))
        out: dict[str, Any] = {}
        position = 1
        for name, kind, is_indexed in zip(self.names, self.types, self.indexed, strict=True):
            if is_indexed:
                topic = topics[position]
                position += 1
                dynamic = kind in ("bytes", "string") or kind.endswith("]") or kind.startswith("(")
                out[name] = topic if dynamic else decode_values([kind], topic)[0]
            else:
                out[name] = next(rest)
        return out


@dataclass(frozen=True)
class CustomError:
    """A Solidity custom error; `selector` is 4 bytes."""

    name: str
    selector: bytes
    names: tuple[str, ...]
    types: tuple[str, ...]

    def encode(self, *values: Any) -> bytes:
        """Revert data (for tests and simulations)."""
        return self.selector + encode_values(self.types, values)

    def exception(self, data: bytes) -> ContractReverted:
        """The Python error with the values in `detail` and in `values`."""
        values = decode_values(self.types, data[4:])
        named = {name or f"value{i}": v for i, (name, v) in enumerate(zip(self.names, values, strict=True))}
        detail = self.name
        if named:
            detail += "(" + ", ".join(f"{name}={show_value(v)}" for name, v in named.items()) + ")"
        return contract_error_class(self.name)(detail, hint=contract_hint(self.name), values=named)


@dataclass(frozen=True)
class Interface:
    """One contract's ABI. Overloads are not used by our contracts and are refused."""

    name: str
    functions: Mapping[str, Function]
    events: Mapping[bytes, Event]
    errors: Mapping[bytes, CustomError]
    constructor: tuple[str, ...]

    def event(self, name: str) -> Event:
        """By name. Raises AbiUnreadable when there is none."""
        for event in self.events.values():
            if event.name == name:
                return event
        raise AbiUnreadable(f"{self.name} has no event {name}")

    def function(self, name: str) -> Function:
        """By name. Raises AbiUnreadable when there is none."""
        try:
            return self.functions[name]
        except KeyError:
            raise AbiUnreadable(f"{self.name} has no function {name}") from None


def _types(items: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(canonical(item) for item in items)


def _names(items: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(str(item.get("name", "")) for item in items)


def parse_interface(name: str, abi: Sequence[Mapping[str, Any]]) -> Interface:
    """Build an interface from a JSON ABI. Raises AbiUnreadable."""
    functions: dict[str, Function] = {}
    events: dict[bytes, Event] = {}
    errors: dict[bytes, CustomError] = {}
    constructor: tuple[str, ...] = ()
    try:
        for item in abi:
            kind = item["type"]
            inputs = item.get("inputs", [])
            if kind == "constructor":
                constructor = _types(inputs)
                continue
            if kind not in ("function", "event", "error"):
                continue
            title = str(item["name"])
            digest = keccak256(f"{title}({','.join(_types(inputs))})".encode())
            if kind == "function":
                if title in functions:
                    raise AbiUnreadable(f"{name}.{title} is overloaded")
                functions[title] = Function(
                    title,
                    _types(inputs),
                    _types(item.get("outputs", [])),
                    digest[:4],
                    _names(inputs),
                    _names(item.get("outputs", [])),
                    item.get("stateMutability") in ("view", "pure"),
                )
            elif kind == "event":
                indexed = tuple(bool(i.get("indexed", False)) for i in inputs)
                events[digest] = Event(title, digest, _names(inputs), _types(inputs), indexed)
            else:
                errors[digest[:4]] = CustomError(title, digest[:4], _names(inputs), _types(inputs))
    except (KeyError, TypeError):
        raise AbiUnreadable(f"the ABI of {name} is malformed") from None
    return Interface(name, functions, events, errors, constructor)


@lru_cache(maxsize=64)
def artifact(name: str) -> Mapping[str, Any]:
    """The committed `chain/abi/<name>.json`; a bare ABI list is wrapped as {"abi": list}.

    Raises AbiUnreadable.
    """
    try:
        document = json.loads((files("chain.abi") / f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise AbiUnreadable(f"no interface {name}") from None
    if isinstance(document, list):
        return {"abi": document}
    if not isinstance(document, dict) or not isinstance(document.get("abi"), list):
        raise AbiUnreadable(f"the ABI of {name} is malformed")
    return document


@lru_cache(maxsize=64)
def interface(name: str) -> Interface:
    """The parsed interface of a committed contract."""
    return parse_interface(name, artifact(name)["abi"])


@lru_cache(maxsize=1)
def known_errors() -> Mapping[bytes, CustomError]:
    """Selector → error over all committed contracts. Two different errors never share a selector here."""
    found: dict[bytes, CustomError] = {}
    for name in sorted(entry.name for entry in files("chain.abi").iterdir()):
        if not name.endswith(".json"):
            continue
        for selector, error in interface(name[:-5]).errors.items():
            other = found.setdefault(selector, error)
            if (other.name, other.types) != (error.name, error.types):
                raise AbiUnreadable(f"{other.name} and {error.name} share a selector")
    return found


def revert_error(data: bytes) -> ContractReverted:
    """The Python error for revert data of a call to any of our contracts."""
    if data[:4] == _PANIC and len(data) == 36:
        return ContractPanic(f"panic code 0x{int.from_bytes(data[4:], 'big'):02x}")
    error = known_errors().get(data[:4]) if len(data) >= 4 else None
    if error is None:
        return UnknownRevert(data)
    try:
        return error.exception(data)
    except AnswerUnreadable:
        return UnknownRevert(data)
