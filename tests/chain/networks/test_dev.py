"""The development chain: same shape as the others, a settable clock, and nothing that lasts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from chain.networks.asking import post
from chain.networks.dev import DevNetwork, anvil_binary
from chain.networks.errors import NetworkMissing, NetworkToolMissing

try:
    anvil_binary()
except NetworkToolMissing:
    pytest.skip("anvil is not installed (npm ci)", allow_module_level=True)


def _ask(network: DevNetwork, method: str, *params: Any) -> Any:
    answer = post(network.state.port, method, list(params))
    assert answer is not None
    return answer["result"]


def test_it_starts_funded_serves_and_forgets(home: Path) -> None:
    network = DevNetwork.create(home)
    network.up()
    pid = network.state.pid
    network.up()
    assert network.state.pid == pid
    loaded = DevNetwork.load(home)
    assert loaded.running()
    assert len(loaded.relayers) == 4
    raw = Account.sign_transaction(
        {
            "to": "0x" + "11" * 20,
            "nonce": 0,
            "gas": 21_000,
            "gasPrice": 0,
            "value": 5,
            "chainId": network.evm_chain_id,
        },
        network.relayers[0].secret_hex,
    ).raw_transaction
    sent = _ask(network, "eth_sendRawTransaction", f"0x{raw.hex()}")
    deadline = time.monotonic() + 10
    while _ask(network, "eth_getTransactionReceipt", sent) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    later = 2_000_000_000
    network.set_time(later)
    assert int(_ask(network, "eth_getBlockByNumber", "latest", False)["timestamp"], 16) >= later
    assert network.down() == 1
    assert network.down() == 0
    network.up()
    assert int(_ask(network, "eth_getBalance", "0x" + "11" * 20, "latest"), 16) == 0
    network.reset()
    with pytest.raises(NetworkMissing):
        DevNetwork.load(home)
