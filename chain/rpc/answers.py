"""Reading what nodes answer: strict, and without believing it. Raises TransportFault with the reason."""

from __future__ import annotations

import json
from typing import Any

from chain.rpc.nodes import Answer, Json, Lie, RpcRefused, RpcUnavailable, TransportFault
from chain.timestamps import parse_time


def result_of(answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise TransportFault(Lie.MALFORMED)
    error = answer.get("error")
    if error is not None:
        if not isinstance(error, dict):
            raise TransportFault(Lie.MALFORMED)
        code = error.get("code")
        data = error.get("data")
        if isinstance(data, dict):
            data = data.get("data", data.get("result"))
        message = str(error.get("message", ""))
        if isinstance(data, str):
            start = data.find("0x")  # some nodes write "Reverted 0x…"
            message = f"{message} {data}" if start < 0 else message
            data = data[start:] if start >= 0 else None
        number = code if isinstance(code, int) else 0
        if data is None and (number == 3 or "execution reverted" in message.lower()):
            data = "0x"
        raise RpcRefused(number, message, data if isinstance(data, str) else None)
    if "result" not in answer:
        raise TransportFault(Lie.MALFORMED)
    return answer["result"]


def member(answer: Answer, name: str) -> Any:
    if not isinstance(answer.result, dict) or name not in answer.result:
        raise RpcUnavailable("a node's answer lacks a member", field=name)
    return answer.result[name]


def quantity(value: Any) -> int:
    try:
        if isinstance(value, str) and value.startswith("0x"):
            return int(value, 16)
    except ValueError:
        pass
    raise TransportFault(Lie.MALFORMED)


def hash32(value: Any) -> str:
    if isinstance(value, str) and value.startswith("0x") and len(value) == 66:
        return value.lower()
    raise TransportFault(Lie.MALFORMED)


def a_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TransportFault(Lie.MALFORMED)
    return value


def dicts(value: Any) -> list[Json]:
    entries = a_list(value)
    if any(not isinstance(e, dict) for e in entries):
        raise TransportFault(Lie.MALFORMED)
    return entries


def log_key(entry: Json) -> str:
    """What makes an event the same on two nodes."""
    names = ("blockHash", "transactionHash", "logIndex", "address", "topics", "data")
    return json.dumps([entry.get(name) for name in names]).lower()


def log_keys(entries: Any) -> set[str]:
    return {log_key(entry) for entry in dicts(entries)}


def receipt_key(receipt: Any) -> str | None:
    """What makes a receipt the same on two nodes; None for "unknown"."""
    if not isinstance(receipt, dict):
        return None
    names = ("transactionHash", "blockHash", "blockNumber", "status", "gasUsed", "contractAddress")
    plain = json.dumps([receipt.get(name) for name in names]).lower()
    return plain + "".join(log_key(entry) for entry in dicts(receipt.get("logs")))


def how_false(receipt: Json, right: Json | None) -> Lie:
    """A receipt that was outvoted: of a block that the others do not have, or false in a block of theirs."""
    same_block = right is None or str(receipt.get("blockHash")).lower() == str(right.get("blockHash")).lower()
    return Lie.FALSE_RECEIPT if same_block else Lie.FORKED_BLOCK


def comet_failed(results: Any, transaction: str) -> bool | None:
    """Whether the engine's block results say that an EVM transaction failed; None when it is not in them."""
    if not isinstance(results, dict):
        return None
    for result in results.get("txs_results") or []:
        attributes: dict[str, str] = {}
        for event in result.get("events") or []:
            if event.get("type") == "ethereum_tx":
                attributes.update(
                    {str(a.get("key")): str(a.get("value")) for a in event.get("attributes") or []}
                )
        if attributes.get("ethereumTxHash", "").lower() == transaction:
            return bool(result.get("code")) or "ethereumTxFailed" in attributes
    return None


def comet_head(status: Any) -> tuple[str, int, float]:
    try:
        sync = status["sync_info"]
        return (
            str(status["node_info"]["network"]),
            int(sync["latest_block_height"]),
            parse_time(str(sync["latest_block_time"])),
        )
    except (KeyError, TypeError, ValueError):
        raise TransportFault(Lie.MALFORMED) from None
