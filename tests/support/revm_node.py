"""A revm as the node that `chain.evm.Evm` asks: calls and estimates, no transactions.

Import only where pyrevm is installed (`pytest.importorskip("pyrevm")`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from chain.rpc import RpcRefused
from tests.support.revm import CHAIN, Chain

_OUTPUT = re.compile(r"output: 0x([0-9a-f]*)")


class RevmNode:
    """JSON-RPC over a chain in memory. Whatever is asked leaves the state as it was."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    async def call(self, method: str, params: Sequence[Any], /) -> Any:
        match method:
            case "eth_chainId":
                return hex(CHAIN)
            case "eth_blockNumber":
                return "0x1"
            case "eth_getTransactionCount":
                return "0x0"
            case "eth_getBlockByNumber":
                block = "0x" + "11" * 32
                return {"number": "0x1", "hash": block, "parentHash": block, "timestamp": hex(self.chain.now)}
            case "eth_call":
                return self._run(params[0])[0]
            case "eth_estimateGas":
                return hex(self._run(params[0])[1])
        raise AssertionError(f"nobody asks {method} here")

    def _run(self, call: dict[str, str]) -> tuple[str, int]:
        evm = self.chain.evm
        before = evm.snapshot()
        try:
            answer = evm.message_call(call["from"], call["to"], bytes.fromhex(call["data"][2:]))
            assert evm.result is not None
            return "0x" + answer.hex(), int(evm.result.gas_used)
        except RuntimeError as error:
            found = _OUTPUT.search(str(error))
            if found is None:
                raise
            raise RpcRefused(3, "execution reverted", "0x" + found[1]) from None
        finally:
            evm.revert(before)
