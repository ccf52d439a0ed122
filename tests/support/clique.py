"""A Clique network for tests, where geth is built; who sealed what on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from chain.capture import header_rlp
from chain.networks import geth
from chain.networks.asking import post
from chain.networks.clique import CliqueNetwork
from chain.networks.errors import NetworkError
from tests.conftest import make_home
from verifier import clique


def needs_geth() -> None:
    """Skip, and say what is missing."""
    if geth.installed() is None:
        without = "" if shutil.which("go") else ", and there is no Go to build it"
        pytest.skip(f"geth {geth.VERSION} is not built (scripts/bootstrap geth){without}")


@contextmanager
def running(**options: Any) -> Iterator[CliqueNetwork]:
    """A network of its own, torn down at the end."""
    needs_geth()
    home = make_home()
    try:
        network = CliqueNetwork.create(home, **options)
        network.up(wait=180)
        yield network
    finally:
        with suppress(NetworkError):
            CliqueNetwork.load(home).down()
        shutil.rmtree(home, ignore_errors=True)


def ask(network: CliqueNetwork, signer: int, method: str, *params: Any) -> Any:
    """What one signer answers."""
    port = next(s.rpc for s in network.state.signers if s.number == signer)
    answer = post(port, method, list(params))
    assert answer is not None, method
    return answer["result"]


def block(network: CliqueNetwork, signer: int, number: int | str = "latest") -> dict[str, Any]:
    """A block as one signer has it."""
    named = hex(number) if isinstance(number, int) else number
    found: dict[str, Any] = ask(network, signer, "eth_getBlockByNumber", named, False)
    return found


def sealer(network: CliqueNetwork, signer: int, number: int) -> int:
    """Which signer sealed a block that `signer` has."""
    header = clique.parse_header(header_rlp(block(network, signer, number)))
    address = clique.recover_signer(header)
    return next(s.number for s in network.state.signers if bytes.fromhex(s.address[2:]) == address)
