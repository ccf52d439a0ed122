"""Which chain a home uses, and deployment to an external one by configuration."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chain.configuration import ChainConfigurationInvalid, network_of
from chain.networks.dev import DevNetwork
from chain.networks.errors import NetworkMissing, NetworkToolMissing
from tests.chain.test_acts import command
from tests.conftest import make_home
from tests.support.time_tokens import identity
from verifier.succession import accept_next
from verifier.trust import TrustFile

GOOD = """
[chain]
engine = "qbft"
chain_id = 4242
network_id = "consortium-1"
rpc_urls = ["https://one.example:8545", "https://two.example:8545"]
"""


def test_an_external_network_comes_from_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "caseledger.toml").write_text(GOOD)
    found = network_of(tmp_path)
    assert (found.engine, found.chain_id, found.network_id) == ("qbft", 4242, "consortium-1")
    assert found.rpc == ("https://one.example:8545", "https://two.example:8545")
    assert (found.gas_price, found.revert_costs_limit) == (0, False)
    monkeypatch.setenv("CASELEDGER_CHAIN_RPC_URLS", "http://127.0.0.1:1")
    assert network_of(tmp_path).rpc == ("http://127.0.0.1:1",)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('engine = "qbft"', 'engine = "other"', "chain.engine"),
        ('engine = "qbft"', 'engine = "cometbft"', "chain.comet_urls"),
        ("chain_id = 4242", "chain_id = 0", "chain.chain_id"),
        ("chain_id = 4242", 'chain_id = "4242"', "chain.chain_id"),
        ('network_id = "consortium-1"', 'network_id = ""', "chain.network_id"),
        ('["https://one.example:8545", "https://two.example:8545"]', "[]", "chain.rpc_urls"),
        ('["https://one.example:8545", "https://two.example:8545"]', '["ftp://x"]', "chain.rpc_urls"),
        ("chain_id = 4242", "chain_id = 4242\nsurplus = 1", "chain.surplus"),
        ("[chain]", "[chain", "caseledger.toml"),
        ("[chain]", "chain = 1\n[x]", "chain"),
    ],
)
def test_a_malformed_table_names_its_member(tmp_path: Path, old: str, new: str, field: str) -> None:
    assert old in GOOD
    (tmp_path / "caseledger.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(ChainConfigurationInvalid) as caught:
        network_of(tmp_path)
    assert caught.value.field == field


def test_a_home_without_any_chain_says_so(tmp_path: Path) -> None:
    with pytest.raises(NetworkMissing):
        network_of(tmp_path)


@pytest.fixture
def dev() -> Iterator[DevNetwork]:
    home = make_home()
    network = DevNetwork.create(home)
    try:
        network.up()
    except NetworkToolMissing:
        pytest.skip("anvil is not installed (npm ci)")
    yield network
    network.down()
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.chain
def test_deploy_act_and_trust_on_a_network_that_is_only_configured(dev: DevNetwork, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True)
    for name in ("deployer.key", "relayer-1.key"):
        shutil.copy(dev.home / "keys" / name, home / "keys")
    (home / "caseledger.toml").write_text(
        f'[chain]\nengine = "dev"\nchain_id = {dev.evm_chain_id}\nnetwork_id = "dev"\n'
        f'rpc_urls = ["{dev.rpc_urls[0]}"]\n'
    )
    missing = command(home, "deploy", code=1)
    assert missing["code"] == "ConsortiumInvalid"
    record = command(home, "deploy", "--development")
    assert record["engine"] == "dev"
    assert command(home, "deploy") == record  # again: only checked
    assert isinstance(command(home, "act", "set-hpke", "bank-a-hpke", "--key", "bank-a-act")["block"], int)
    trust = command(
        home, "trust", "build", str(home / "t.cltrust"), "--key", "trust-court", "--key", "trust-regulator"
    )
    assert trust["signed"] == [1, 2]
    held = command(home, "trust", "build", str(home / "u.cltrust"), "--held", str(home / "t.cltrust"))
    assert held == {"changed": False}

    # Witnesses and a time authority in the consortium's file: the successor has version 2.
    (home / "root.pem").write_bytes(
        x509.load_der_x509_certificate(identity().root).public_bytes(Encoding.PEM)
    )
    founders = home / "consortium.toml"
    founders.write_text(
        f'witness_quorum = "court.example/w"\nwitness_required = true\n{founders.read_text()}\n'
        f'[[witness]]\nname = "court.example/w"\nkey = "{"07" * 32}"\nstatement = "sha256"\n'
        f'organisation = "Court"\nrole = "court"\n\n'
        f'[[time_authority]]\nname = "one"\nroots = ["root.pem"]\npolicies = []\nfrom = 5\n'
    )
    keys = ("--key", "trust-court", "--key", "trust-regulator")
    made = command(home, "trust", "build", str(home / "v.cltrust"), "--held", str(home / "t.cltrust"), *keys)
    assert (made["serial"], made["signed"]) == (2, [1, 2])
    first, second = (TrustFile.parse((home / f"{name}.cltrust").read_bytes()) for name in "tv")
    accept_next(first, second)
    assert (second.payload.version, second.payload.witness_policy.quorum) == (2, "court.example/w")
    assert second.payload.authorities[0].roots == (identity().root,)
