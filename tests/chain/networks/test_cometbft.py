"""A live network: dead validators, thieves with a relayer's key, members that join and leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from chain.networks import genesis as gen
from chain.networks.asking import post
from chain.networks.cometbft import CometNetwork
from chain.networks.errors import (
    NetworkExists,
    NetworkMissing,
    NetworkNodeUnknown,
    NetworkSettingRefused,
    NetworkStartFailed,
    NetworkToolFailed,
)
from chain.networks.keys import LocalKey
from chain.networks.nodefiles import public_key

pytestmark = pytest.mark.chain


def _blocks(network: CometNetwork, count: int, within: float = 60.0) -> None:
    """Wait until `count` more blocks are made."""
    start = network.height()
    deadline = time.monotonic() + within
    while network.height() < start + count:
        assert time.monotonic() < deadline, f"only {network.height() - start} of {count} blocks"
        time.sleep(0.2)


def _until(condition: Any, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _hashes(network: CometNetwork, first: int, last: int) -> set[str]:
    return {network.validators_hash(height) for height in range(first, last + 1)}


def _dead_validator(network: CometNetwork, dead_seconds: float) -> None:
    """Shows 2: one of four dead, back and signing, then another killed."""
    network.up()
    first = network.height()
    known = network.validators_hash()
    try:
        assert network.kill(4)
        begun = time.monotonic()
        while time.monotonic() - begun < dead_seconds:
            _blocks(network, 2)
        assert not network.signed_by(4)
        assert network.validators_hash() == known
        network.restart(4)
        _until(lambda: network.signed_by(4))
        assert network.kill(2)
        _blocks(network, 8)
        last = network.height()
        step = max(1, (last - first) // 40)
        assert {network.validators_hash(h) for h in [*range(first, last, step), last]} == {known}
        assert sorted(network.validators().values()) == [1000] * 4
    finally:
        network.up()
    _until(lambda: network.signed_by(2))


def test_one_of_four_dead_and_back_then_another(network4: CometNetwork) -> None:
    _dead_validator(network4, 20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_of_four_dead_for_three_minutes_and_back_then_another(network4: CometNetwork) -> None:
    _dead_validator(network4, 180)


def test_two_of_four_dead_halt_the_chain_and_it_resumes(network4: CometNetwork) -> None:
    network4.up()
    try:
        network4.kill(3)
        network4.kill(4)
        time.sleep(1.5)
        halted = network4.height()
        time.sleep(4)
        assert network4.height() == halted
        with pytest.raises(NetworkStartFailed):
            network4.wait_ready([1], wait=5)
    finally:
        network4.up()
    _blocks(network4, 3)


def _listeners(pids: Sequence[int]) -> set[str]:
    """Local addresses on which these processes listen, TCP and UDP."""
    told = subprocess.run(["ss", "-Hlntup"], capture_output=True, text=True, check=True).stdout
    found = set()
    for line in told.splitlines():
        if any(f"pid={pid}," in line for pid in pids):
            found.add(line.split()[4])
    return found


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss")
def test_nothing_listens_outside_loopback(network4: CometNetwork) -> None:
    # The search must find a planted leak.
    code = "import socket, time; s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen(); time.sleep(60)"
    planted = subprocess.Popen([sys.executable, "-c", code])
    try:
        _until(lambda: _listeners([planted.pid]), 10)
        assert all(a.startswith(("0.0.0.0:", "*:")) for a in _listeners([planted.pid]))
    finally:
        planted.kill()
        planted.wait()
    found = _listeners([n.pid for n in network4.state.nodes])
    assert len(found) == 5 * 4
    assert [a for a in found if not a.startswith("127.0.0.1:")] == []


class Thief:
    """Somebody with a relayer's key and the chain's own command line."""

    def __init__(self, network: CometNetwork, key: LocalKey, folder: Path) -> None:
        self.network = network
        self.key = key
        self.folder = folder
        self.account = gen.account(key.address)
        network.cli(["init", "thief", "--chain-id", network.chain_id, "--home", str(folder)])
        network.cli(
            [
                *("keys", "unsafe-import-eth-key", "thief", key.secret.hex()),
                *("--keyring-backend", "test", "--home", str(folder)),
            ],
            answers="password\n",
        )

    def money(self) -> int:
        port = self.network.node(1).ports.evm
        answer = post(port, "eth_getBalance", [self.key.address_hex, "latest"])
        assert answer is not None
        return int(answer["result"], 16)

    def tries(self, *command: str) -> str:
        """The chain's answer: "" when it took the transaction, else its complaint."""
        try:
            sent = self.network.cli(
                [
                    *("tx", *command, "--from", "thief", "--keyring-backend", "test"),
                    *("--home", str(self.folder), "--gas", "2000000", "--gas-prices", "1inj"),
                    *("--chain-id", self.network.chain_id),
                    *("--node", f"tcp://127.0.0.1:{self.network.node(1).ports.comet}"),
                    *("--output", "json", "--yes"),
                ]
            )
            answer = json.loads(sent)
            if answer.get("code"):
                return str(answer["raw_log"])
            self.network.transaction(answer["txhash"])
        except NetworkToolFailed as error:
            return error.detail
        return ""

    def write(self, name: str, document: Any) -> str:
        path = self.folder / name
        path.write_text(json.dumps(document))
        return str(path)


def _operator(network: CometNetwork, number: int) -> str:
    home = network.home / network.node(number).folder
    return network.cli(
        ["keys", "show", "val", "-a", "--bech", "val", "--keyring-backend", "test", "--home", str(home)]
    ).strip()


def test_a_relayer_s_key_changes_nothing_in_the_validator_set(home: Path, tmp_path: Path) -> None:
    network = CometNetwork.create(home, validators=1)
    network.up()
    first, known, powers = network.height(), network.validators_hash(), network.validators()
    thief = Thief(network, network.relayers[3], tmp_path / "thief")

    # Everything that the relayers and the deployer hold together, in one hand.
    for number, other in enumerate([*network.relayers[:3], network.deployer]):
        helper = Thief(network, other, tmp_path / f"helper{number}")
        sum_sent = helper.money() - 10**9  # for the gas
        assert (
            helper.tries("bank", "send", "thief", thief.account, f"{sum_sent}inj") == ""
            or helper.tries("bank", "send", helper.account, thief.account, f"{sum_sent}inj") == ""
        )
    held = thief.money()
    assert 0.9 * gen.RELAYERS_TOGETHER < held < gen.POWER_UNIT
    half = held // 2

    request = thief.write(
        "validator.json",
        {
            "pubkey": {"@type": "/cosmos.crypto.ed25519.PubKey", "key": public_key(thief.folder)},
            "amount": f"{half}inj",
            "moniker": "thief",
            "commission-rate": "0.1",
            "commission-max-rate": "0.2",
            "commission-max-change-rate": "0.01",
            "min-self-delegation": "1",
        },
    )
    assert thief.tries("staking", "create-validator", request) == ""
    honest = _operator(network, 1)
    assert thief.tries("staking", "delegate", honest, f"{half - 10**14}inj") == ""
    _blocks(network, 4)
    assert network.validators() == powers
    assert thief.tries("staking", "unbond", honest, f"{half // 3}inj") == ""

    authority = "inj10d07y265gmmuvt4z0w9aw880jnsr700jstypyt"
    parameters = {"unbonding_time": "1s", "max_validators": 1, "max_entries": 7, "historical_entries": 1}
    message = {
        "@type": "/cosmos.staking.v1beta1.MsgUpdateParams",
        "authority": authority,
        "params": {**parameters, "bond_denom": "inj", "min_commission_rate": "0"},
    }
    for name, messages in (("text.json", []), ("parameters.json", [message])):
        proposal = {"messages": messages, "deposit": "1000inj", "title": "t", "summary": "s", "metadata": ""}
        assert thief.tries("gov", "submit-proposal", thief.write(name, proposal)) != ""
    # The authority's message without a proposal; governance, bridge and privileged modules; paid halts.
    refused: list[tuple[str, ...]] = [
        ("slashing", "unjail"),
        ("crisis", "invariant-broken", "bank", "total-supply"),
        ("tokenfactory", "create-denom", "abc", "a", "b", "6"),
    ]
    wasm = thief.folder / "empty.wasm"
    wasm.write_bytes(bytes.fromhex("0061736d01000000"))
    refused.append(("wasm", "store", str(wasm)))
    for command in refused:
        assert thief.tries(*command) != "", command
    # Rights over its own account may be given away; nobody else's are gained.
    accomplice = gen.account(network.relayers[0].address)
    assert (
        thief.tries(
            "authz", "grant", accomplice, "generic", "--msg-type", "/cosmos.staking.v1beta1.MsgDelegate"
        )
        == ""
    )
    _blocks(network, 4)
    assert network.validators() == powers
    assert _hashes(network, first, network.height()) == {known}


def _raw(network: CometNetwork, key: LocalKey, **fields: Any) -> str:
    nonce = post(network.node(1).ports.evm, "eth_getTransactionCount", [key.address_hex, "latest"])
    assert nonce is not None
    transaction: dict[str, Any] = {
        "nonce": int(nonce["result"], 16),
        "gas": 200_000,
        "gasPrice": 1,
        "value": 0,
        "data": "0x",
        **fields,
    }
    return f"0x{Account.sign_transaction(transaction, key.secret_hex).raw_transaction.hex()}"


def test_only_the_deployer_creates_contracts(network1: CometNetwork) -> None:
    init = "0x60008060095f395ff3".replace("5f", "3d")  # an empty contract
    port = network1.node(1).ports.evm

    def create(key: LocalKey) -> str | None:
        raw = _raw(network1, key, data=init, chainId=network1.evm_chain_id)
        sent = post(port, "eth_sendRawTransaction", [raw])
        _blocks(network1, 3)
        if sent is None:
            return None
        receipt = post(port, "eth_getTransactionReceipt", [sent["result"]])
        if receipt is None or receipt["result"] is None or receipt["result"]["status"] != "0x1":
            return None
        return str(receipt["result"]["contractAddress"])

    assert create(network1.deployer) is not None
    assert create(network1.relayers[1]) is None


def test_a_transaction_without_a_chain_id_is_refused(network1: CometNetwork) -> None:
    port = network1.node(1).ports.evm
    to = "0x" + "11" * 20
    assert post(port, "eth_sendRawTransaction", [_raw(network1, network1.relayers[2], to=to)]) is None
    other = _raw(network1, network1.relayers[2], to=to, chainId=network1.evm_chain_id + 1)
    assert post(port, "eth_sendRawTransaction", [other]) is None
    own = _raw(network1, network1.relayers[2], to=to, chainId=network1.evm_chain_id)
    assert post(port, "eth_sendRawTransaction", [own]) is not None


def test_status_tells_who_signs_and_what_grows(network4: CometNetwork) -> None:
    network4.up()
    _blocks(network4, 3)
    status = network4.status()
    assert status.moving
    assert status.running == 4
    assert len(status.validators_hashes) == 1
    assert [n.role for n in status.nodes] == ["archive", "pruned", "pruned", "pruned"]
    assert [n.controller for n in status.nodes] == ["bank-association", "centre", "court", "regulator"]
    for node in status.nodes:
        assert node.signs
        assert node.peers == 3
        assert node.voting_power == 1000
        assert node.disk_bytes > 0
        assert node.memory_bytes is not None
    if network4.height() > 150:
        growth = status.nodes[0].disk_bytes_per_day
        assert growth is not None
        assert 10**8 < growth < 10**10


def test_members_join_and_leave_with_their_own_keys(home: Path) -> None:
    network = CometNetwork.create(home, validators=3, reserve=1, unbonding_seconds=5)
    network.up()
    assert len(network.rpc_urls) == 3
    before = network.validators_hash()
    network.join(4)
    assert len(network.rpc_urls) == 4
    joined = network.validators_hash()
    assert joined != before
    assert sorted(network.validators().values()) == [1000] * 4
    network.leave(1)
    assert len(network.validators()) == 3
    assert network.validators_hash() not in (before, joined)
    assert network.signed_by(4)
    # With a member gone for good the chain goes on without its node.
    network.kill(1)
    _blocks(network, 4)


def test_the_last_validator_cannot_leave(network1: CometNetwork) -> None:
    with pytest.raises(NetworkSettingRefused):
        network1.leave(1)
    assert len(network1.validators()) == 1


def test_data_survives_kill_and_restart_and_up_starts_only_what_is_dead(home: Path) -> None:
    network = CometNetwork.create(home, validators=1)
    network.up()
    for _ in range(3):
        height = network.height()
        assert network.kill(1)
        assert not network.kill(1)
        assert network.status().running == 0
        network.up()
        assert network.height() >= height
    pid = network.node(1).pid
    CometNetwork.load(home).up()
    assert CometNetwork.load(home).node(1).pid == pid
    height = network.height()
    assert network.down() == 1
    assert network.down() == 0
    again = CometNetwork.ensure(home, validators=1)
    again.up()
    assert again.height() >= height
    with pytest.raises(NetworkExists):
        CometNetwork.ensure(home, validators=4)
    with pytest.raises(NetworkExists):
        CometNetwork.create(home)
    with pytest.raises(NetworkNodeUnknown):
        network.kill(2)
    again.reset()
    assert not (home / "net").exists()
    assert not list((home / "keys").iterdir())
    with pytest.raises(NetworkMissing):
        CometNetwork.load(home)


def test_a_taken_port_is_moved_and_a_foreign_process_number_ignored(home: Path) -> None:
    network = CometNetwork.create(home, validators=2)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", network.node(2).ports.p2p))
        holder.listen()
        before = network.node(2).ports
        network.up()
        assert network.node(2).ports.p2p != before.p2p
        assert network.node(2).ports.evm == before.evm
    network.down()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        nodes = tuple(replace(n, pid=bystander.pid) for n in network.state.nodes)
        network.state = replace(network.state, nodes=nodes)
        network._save()
        assert CometNetwork.load(home).status().running == 0
        assert CometNetwork.load(home).down() == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_settings_that_are_refused_leave_nothing(home: Path) -> None:
    refused: tuple[dict[str, Any], ...] = (
        {"validators": 0},
        {"validators": 8},
        {"validators": 2, "archive": 3},
        {"validators": 4, "reserve": 9},
        {"relayers": 0},
        {"evm_chain_id": 0},
        {"evm_chain_id": 2**53},
        {"timeout_commit": "fast"},
        {"timeout_commit": "0s"},
        {"fund": [bytes([n]) * 20 for n in range(33)]},
    )
    for options in refused:
        with pytest.raises(NetworkSettingRefused):
            CometNetwork.create(home, **options)
        assert not (home / "net").exists()


def test_an_interrupted_creation_is_begun_again(home: Path) -> None:
    (home / "net/node1").mkdir(parents=True)
    network = CometNetwork.create(home, validators=1)
    assert re.fullmatch(r"caseledger-[0-9]+", network.chain_id)


def test_secrets_are_in_private_files(network4: CometNetwork) -> None:
    assert (network4.home / "net").stat().st_mode & 0o077 == 0
    for name in ("deployer.key", *(f"relayer-{i}.key" for i in range(1, 5))):
        assert (network4.home / "keys" / name).stat().st_mode & 0o777 == 0o600
    state = (network4.home / "net/network.json").read_text()
    for key in (network4.deployer, *network4.relayers):
        assert key.secret.hex() not in state
    for node in network4.state.nodes:
        line = Path(f"/proc/{node.pid}/environ").read_bytes() + Path(f"/proc/{node.pid}/cmdline").read_bytes()
        for key in (network4.deployer, *network4.relayers):
            assert key.secret.hex().encode() not in line
    assert os.getpriority(os.PRIO_PROCESS, network4.node(1).pid) >= 5
