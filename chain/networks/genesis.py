"""A genesis that is a ledger and not a staking network.

The engine's defaults suit a public chain whose gas token is also its stake. Here the validator set is an
agreement between institutions, so nothing that a relayer's key can pay for may move it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.networks.bech32 import encode
from chain.networks.errors import NetworkSettingRefused

DENOM = "inj"
ACCOUNT_PREFIX = "inj"
# Voting power is floor(tokens / POWER_UNIT): less than one unit of money cannot move one unit of power.
POWER_UNIT = 10**18
BOND = 10**21
VALIDATOR_SPARE = 10**15  # what a validator keeps for the gas of its own joining and leaving
RELAYERS_TOGETHER = POWER_UNIT - 1
# More than all money there is together: nobody can pay a deposit or a fee of this size.
UNPAYABLE = 10**24
EMPTY_CODE_HASH = "xdJGAYb3IzySfn2y3McDwOUAtlPKgic7e/rYBF2FpHA="

Json = dict[str, Any]


@dataclass(frozen=True)
class GenesisSettings:
    """What differs between networks. Amounts are base units, times seconds."""

    chain_id: str
    evm_chain_id: int
    validator_addresses: tuple[bytes, ...]
    relayers: Mapping[bytes, int]
    deployers: tuple[bytes, ...]
    unbonding_seconds: int = 21 * 24 * 3600
    block_max_gas: int = 200_000_000
    evidence_blocks: int = 50_000


def account(address: bytes) -> str:
    """The chain's text form of a 20-byte address."""
    if len(address) != 20:
        raise NetworkSettingRefused("an address has 20 bytes", field="address")
    return encode(ACCOUNT_PREFIX, address)


def harden(genesis: Json, settings: GenesisSettings) -> Json:
    """Change a freshly initialised genesis in place and return it.

    Raises NetworkSettingRefused if the relayers together could move a unit of voting power, or when the
    file does not have the shape of the release this was written for (nothing is skipped silently).
    """
    together = sum(settings.relayers.values())
    if together > RELAYERS_TOGETHER or any(amount <= 0 for amount in settings.relayers.values()):
        raise NetworkSettingRefused(
            f"relayers would hold {together} base units together, the limit is {RELAYERS_TOGETHER}",
            field="relayers",
        )
    genesis["chain_id"] = settings.chain_id
    _consensus(genesis["consensus"]["params"], settings)
    state: Json = genesis["app_state"]
    _accounts(state, settings)
    _stake(state, settings)
    _governance(state["gov"]["params"])
    _evm(state, settings)
    _other_modules(state)
    return genesis


def with_gentxs(genesis: Json, gentxs: Sequence[Json]) -> Json:
    """The validators' signed founding transactions, in the order given."""
    _put(genesis["app_state"]["genutil"], gen_txs=list(gentxs))
    return genesis


def _put(target: Json, **values: Any) -> None:
    """Set members that exist already: a renamed parameter must not leave a default in force."""
    for name, value in values.items():
        if name not in target:
            raise NetworkSettingRefused(f"the genesis has no member {name}", field=name)
        target[name] = value


def _consensus(params: Json, settings: GenesisSettings) -> None:
    _put(params["block"], max_gas=str(settings.block_max_gas))
    _put(
        params["evidence"],
        max_age_num_blocks=str(settings.evidence_blocks),
        max_age_duration=str(settings.evidence_blocks * 500_000_000),
    )


def _accounts(state: Json, settings: GenesisSettings) -> None:
    balances = dict.fromkeys(settings.validator_addresses, BOND + VALIDATOR_SPARE)
    if len(balances) != len(settings.validator_addresses) or balances.keys() & settings.relayers.keys():
        raise NetworkSettingRefused("an address is used twice", field="accounts")
    balances.update(settings.relayers)
    _put(
        state["auth"],
        accounts=[
            {
                "@type": "/injective.types.v1beta1.EthAccount",
                "base_account": {
                    "address": account(address),
                    "pub_key": None,
                    "account_number": str(number),
                    "sequence": "0",
                },
                "code_hash": EMPTY_CODE_HASH,
            }
            for number, address in enumerate(balances)
        ],
    )
    _put(
        state["bank"],
        balances=[
            {"address": account(address), "coins": _coins(amount)} for address, amount in balances.items()
        ],
        supply=_coins(sum(balances.values())),
    )


def _coins(amount: int) -> list[dict[str, str]]:
    return [{"denom": DENOM, "amount": str(amount)}]


def _stake(state: Json, settings: GenesisSettings) -> None:
    _put(
        state["staking"]["params"],
        bond_denom=DENOM,
        unbonding_time=f"{settings.unbonding_seconds}s",
        max_validators=16,
    )
    zero = "0.000000000000000000"
    _put(
        state["mint"]["params"],
        mint_denom=DENOM,
        inflation_rate_change=zero,
        inflation_max=zero,
        inflation_min=zero,
    )
    _put(state["mint"]["minter"], inflation=zero)
    # A validator that is down stays in the set, so that it signs again as soon as it is back and the
    # set in the trust file stays the set on the chain. Signing two blocks at one height still expels.
    _put(
        state["slashing"]["params"],
        min_signed_per_window=zero,
        slash_fraction_downtime=zero,
        signed_blocks_window="10000",
    )
    _put(state["distribution"]["params"], community_tax=zero)


def _governance(params: Json) -> None:
    """On-chain governance of the engine is closed: the consortium's own contract governs."""
    _put(
        params,
        min_deposit=_coins(UNPAYABLE),
        expedited_min_deposit=_coins(UNPAYABLE * 2),
        min_initial_deposit_ratio="1.000000000000000000",
        min_deposit_ratio="1.000000000000000000",
    )


def _evm(state: Json, settings: GenesisSettings) -> None:
    params: Json = state["evm"]["params"]
    _put(params["chain_config"], eip155_chain_id=str(settings.evm_chain_id))
    _put(
        params,
        # Unprotected transactions carry no chain id: one signed for a twin network would run here.
        allow_unprotected_txs=False,
        permissioned=True,
        authorized_deployers=["0x" + address.hex() for address in settings.deployers],
    )
    # Zero is refused by the engine; one base unit is the least there is.
    _put(
        state["txfees"]["params"],
        min_gas_price="1.000000000000000000",
        max_gas_wanted_per_tx=str(settings.block_max_gas),
        high_gas_tx_threshold=str(settings.block_max_gas - 1),
    )


def _other_modules(state: Json) -> None:
    """Close what a ledger does not need: bridges, markets, other virtual machines, paid halts."""
    _put(state["crisis"], constant_fee=_coins(UNPAYABLE)[0])
    _put(
        state["wasm"]["params"],
        code_upload_access={"permission": "Nobody", "addresses": []},
        instantiate_default_permission="Nobody",
    )
    _put(state["interchainaccounts"]["host_genesis_state"]["params"], host_enabled=False, allow_messages=[])
    _put(state["interchainaccounts"]["controller_genesis_state"]["params"], controller_enabled=False)
    _put(state["transfer"]["params"], send_enabled=False, receive_enabled=False)
    _put(state["tokenfactory"]["params"], denom_creation_fee=_coins(UNPAYABLE))
    _put(state["erc20"]["params"], denom_creation_fee=_coins(UNPAYABLE)[0])
    exchange: Json = state["exchange"]["params"]
    for name in (
        "spot_market_instant_listing_fee",
        "derivative_market_instant_listing_fee",
        "binary_options_market_instant_listing_fee",
    ):
        _put(exchange, **{name: _coins(UNPAYABLE)[0]})
    # The bridge module may expel validators that do not sign for a bridge; there is none here.
    zero = "0.000000000000000000"
    window = str(2**62)
    _put(
        state["peggy"]["params"],
        signed_valsets_window=window,
        signed_batches_window=window,
        signed_claims_window=window,
        unbond_slashing_valsets_window=window,
        slash_fraction_valset=zero,
        slash_fraction_batch=zero,
        slash_fraction_claim=zero,
        slash_fraction_conflicting_claim=zero,
        slash_fraction_bad_eth_signature=zero,
        claim_slashing_enabled=False,
    )
