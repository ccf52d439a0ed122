"""Signers on loopback: they seal, one may be killed, and the chain they make is what the verifier expects."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.capture import header_rlp
from chain.networks import geth
from chain.networks.clique import CliqueNetwork
from chain.networks.errors import NetworkMissing, NetworkSettingRefused, NetworkToolMissing
from tests.support.clique import ask, block, running, sealer
from verifier import clique

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def network() -> Iterator[CliqueNetwork]:
    """Three signers whose epoch is short, so that headers with a signer list come soon."""
    with running(signers=3, epoch=8) as made:
        yield made


def until_height(network: CliqueNetwork, signer: int, height: int, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while (network.height(signer) or 0) < height:
        assert time.monotonic() < deadline, network.status()
        time.sleep(0.1)


def headers(network: CliqueNetwork, first: int, count: int) -> list[bytes]:
    return [header_rlp(block(network, 1, number)) for number in range(first, first + count)]


def test_what_live_signers_seal_is_verified(network: CliqueNetwork) -> None:
    until_height(network, 1, 12)
    signers = list(network.signers)
    assert [bytes.fromhex(one[2:]) for one in ask(network, 1, "clique_getSigners", "latest")] == signers
    raws = headers(network, 1, 12)
    for at in range(0, 11):
        run, sealers = clique.verify_headers(raws[at : at + 2], signers)
        assert run[0].block_hash.hex() == block(network, 1, at + 1)["hash"][2:]
        assert len(set(sealers)) == 2
    listed = [header for header in map(clique.parse_header, raws) if header.signers]
    assert [(header.number, header.signers) for header in listed] == [(8, tuple(signers))]


def test_a_killed_signer_is_done_without_and_comes_back(network: CliqueNetwork) -> None:
    until_height(network, 1, 4)
    kept = block(network, 3, 4)["hash"]
    assert network.kill(3)
    height = network.height(1) or 0
    until_height(network, 1, height + 5)
    assert {sealer(network, 1, number) for number in range(height + 3, height + 6)} == {1, 2}
    raws = headers(network, height + 3, 3)
    assert len(clique.verify_headers(raws, list(network.signers))[0]) == 3
    assert not network.status()[2].running
    network.restart(3)
    assert block(network, 3, 4)["hash"] == kept
    begun = network.height(1) or 0
    deadline = time.monotonic() + 60
    while 3 not in {sealer(network, 1, n) for n in range(begun, (network.height(1) or 0) + 1)}:
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_two_killed_of_three_halt_the_chain_until_one_is_back(network: CliqueNetwork) -> None:
    assert network.kill(2)
    assert network.kill(3)
    time.sleep(3)
    halted = network.height(1) or 0
    time.sleep(3)
    assert network.height(1) == halted
    network.up(wait=90)
    until_height(network, 1, halted + 3)


def test_settings_that_make_no_network_are_refused(tmp_path: Path) -> None:
    refused: list[dict[str, Any]] = [{"signers": 0}, {"signers": 8}, {"period": 0}, {"epoch": 0}]
    for options in refused:
        with pytest.raises(NetworkSettingRefused):
            CliqueNetwork.create(tmp_path, **options)
    deep = tmp_path / ("x" * 90)
    with pytest.raises(NetworkSettingRefused):
        CliqueNetwork.create(deep)
    with pytest.raises(NetworkMissing):
        CliqueNetwork.load(tmp_path)


def test_without_go_and_without_geth_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASELEDGER_CACHE", str(tmp_path))
    monkeypatch.delenv("CASELEDGER_GETH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NetworkToolMissing):
        geth.geth_binary()
