"""The genesis cannot be made with money that could move the validator set, nor skip a parameter silently."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from chain.networks import genesis as gen
from chain.networks.bech32 import encode
from chain.networks.binary import node_binary
from chain.networks.errors import NetworkSettingRefused
from chain.networks.nodefiles import run
from chain.networks.tomledit import edit

VALIDATOR, RELAYER, DEPLOYER = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20


@pytest.fixture(scope="module")
def fresh(session_home: Path) -> dict[str, Any]:
    """What the node's program writes by itself."""
    home = session_home / "fresh-genesis"
    run(
        node_binary(session_home),
        ["init", "x", "--chain-id", "caseledger-7", "--home", str(home)],
        session_home,
    )
    genesis: dict[str, Any] = json.loads((home / "config/genesis.json").read_text())
    return genesis


def _settings(**changes: Any) -> gen.GenesisSettings:
    values: dict[str, Any] = {
        "chain_id": "caseledger-7",
        "evm_chain_id": 7,
        "validator_addresses": (VALIDATOR,),
        "relayers": {RELAYER: 10**17, DEPLOYER: 10**17},
        "deployers": (DEPLOYER,),
    }
    return gen.GenesisSettings(**{**values, **changes})


@pytest.mark.parametrize(
    "relayers",
    [{RELAYER: 10**18}, {RELAYER: 5 * 10**17, DEPLOYER: 5 * 10**17}, {RELAYER: 0}, {RELAYER: -1}],
)
def test_relayers_that_could_move_a_unit_of_power_are_refused(
    fresh: dict[str, Any], relayers: dict[bytes, int]
) -> None:
    with pytest.raises(NetworkSettingRefused):
        gen.harden(copy.deepcopy(fresh), _settings(relayers=relayers))


def test_the_largest_allowed_holding_is_below_one_unit_of_power() -> None:
    assert (gen.BOND + gen.RELAYERS_TOGETHER) // gen.POWER_UNIT == gen.BOND // gen.POWER_UNIT


def test_one_address_in_two_roles_is_refused(fresh: dict[str, Any]) -> None:
    for changes in ({"relayers": {VALIDATOR: 1}}, {"validator_addresses": (VALIDATOR, VALIDATOR)}):
        with pytest.raises(NetworkSettingRefused):
            gen.harden(copy.deepcopy(fresh), _settings(**changes))


def test_a_renamed_parameter_is_an_error_and_no_default_stays(fresh: dict[str, Any]) -> None:
    for module, name in (
        ("slashing", "min_signed_per_window"),
        ("evm", "permissioned"),
        ("staking", "bond_denom"),
    ):
        changed = copy.deepcopy(fresh)
        parameters = changed["app_state"][module]["params"]
        parameters[name + "_v2"] = parameters.pop(name)
        with pytest.raises(NetworkSettingRefused) as caught:
            gen.harden(changed, _settings())
        assert caught.value.field == name


def test_no_denomination_of_the_template_is_left(fresh: dict[str, Any]) -> None:
    assert '"stake"' in json.dumps(fresh)
    assert '"stake"' not in json.dumps(gen.harden(copy.deepcopy(fresh), _settings()))


def test_hardened_values(fresh: dict[str, Any]) -> None:
    hard = gen.harden(copy.deepcopy(fresh), _settings())
    state = hard["app_state"]
    assert state["evm"]["params"]["permissioned"] is True
    assert state["evm"]["params"]["authorized_deployers"] == ["0x" + DEPLOYER.hex()]
    assert state["evm"]["params"]["allow_unprotected_txs"] is False
    assert float(state["mint"]["params"]["inflation_max"]) == 0
    assert float(state["slashing"]["params"]["min_signed_per_window"]) == 0
    assert state["wasm"]["params"]["code_upload_access"]["permission"] == "Nobody"
    total = int(state["bank"]["supply"][0]["amount"])
    assert total == sum(int(b["coins"][0]["amount"]) for b in state["bank"]["balances"])
    assert int(state["gov"]["params"]["min_deposit"][0]["amount"]) > total
    assert int(state["crisis"]["constant_fee"]["amount"]) > total


def test_addresses_in_the_chain_s_form() -> None:
    # Recorded from the node's own key tool.
    assert gen.account(bytes.fromhex("4460f054be152d70bea80dff59261a8f5841ec16")) == (
        "inj1g3s0q497z5khp04gphl4jfs63avyrmqk0kwfpt"
    )
    # BIP 173 test vector
    assert encode("abcdef", bytes.fromhex("00443214c74254b635cf84653a56d7c675be77df")) == (
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"
    )
    with pytest.raises(NetworkSettingRefused):
        gen.account(b"\x01" * 19)


def test_settings_are_changed_in_their_section_only_and_unknown_ones_refused() -> None:
    text = '# laddr = "no"\nladdr = "a"\n[rpc]\nladdr = "b"\n[p2p]\nladdr = "c"\n'
    assert edit(text, {("rpc", "laddr"): "x"}) == text.replace('"b"', '"x"')
    with pytest.raises(NetworkSettingRefused):
        edit(text, {("grpc", "laddr"): "x"})
    with pytest.raises(NetworkSettingRefused):
        edit(text, {("rpc", "laddr"): 'x"\nunsafe = true'})
