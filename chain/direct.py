"""One transaction, sent and waited for, without a database: deployment, and an organisation's own acts.

Who sends this way owns the sender alone and at once. Services use `chain.outbox`.
"""

from __future__ import annotations

import asyncio

from chain.errors import ChainError, ContractReverted
from chain.evm import Evm, Receipt, Sent
from chain.rpc import RpcRefused
from chain.signer import RelayerKey
from chain.transactions import Call, gas_limit, sign
from protocol.errors import CaseledgerError


class TransactionNotSent(ChainError):
    """No node took the transaction."""

    http_status = 502
    title = "transaction not taken"


class TransactionVanished(ChainError):
    """The sender's nonce was used and no receipt exists: only the contract's state tells what happened."""

    http_status = 502
    title = "transaction vanished"


class TransactionTimeout(ChainError):
    """The transaction is with the network and not in a block yet. It may still be executed."""

    http_status = 504
    retryable = True
    title = "transaction not executed in time"


class TransactionReverted(ContractReverted):
    """In a block, refused, and the contract does not say why when it is asked again."""


async def send(
    evm: Evm,
    key: RelayerKey,
    call: Call,
    *,
    chain_id: int,
    gas_price: int,
    revert_costs_limit: bool = True,
    wait: float = 60.0,
) -> Receipt:
    """Simulate, sign, send and wait for the receipt of success. The caller serialises per sender.

    Raises ContractReverted (decoded), TransactionNotSent, TransactionVanished, TransactionTimeout.
    """
    try:
        estimate = await evm.estimate(key.address, call)
    except RpcRefused:
        if call.recipient is not None:
            raise
        raise TransactionNotSent(
            "the node refuses this contract creation",
            hint="on a permissioned chain: is the sender an authorised deployer?",
        ) from None
    gas = gas_limit(estimate, revert_costs_limit=revert_costs_limit)
    nonce = await evm.nonce(key.address)
    signed = sign(key, call, chain_id=chain_id, nonce=nonce, gas=gas, gas_price=gas_price)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    sent_at = 0.0
    missing = 0
    while True:
        if loop.time() - sent_at > 4.0:
            await _give(evm, signed.raw)
            sent_at = loop.time()
        await asyncio.sleep(0.1)
        receipt = await evm.receipt(signed.hash)
        if receipt is not None:
            if receipt.succeeded:
                return receipt
            raise await why(evm, key.address, call, receipt.block_number)
        if await evm.nonce(key.address) > nonce:
            missing += 1
            if missing > 30:
                raise TransactionVanished(
                    f"nonce {nonce} is used and there is no receipt",
                    hint="on a permissioned chain: is this sender an authorised deployer?",
                )
        if loop.time() > deadline:
            raise TransactionTimeout(f"nonce {nonce}, after {wait:.0f} s")


async def _give(evm: Evm, raw: bytes) -> None:
    outcome = await evm.send_raw(raw)
    if outcome in (Sent.INVALID, Sent.NO_FUNDS, Sent.OCCUPIED):
        raise TransactionNotSent(f"refused as {outcome.value}")


async def why(evm: Evm, sender: bytes, call: Call, block: int) -> ContractReverted:
    """The reason of a transaction that reverted in `block`, by asking again before and in it."""
    for at in (block - 1, block):
        try:
            await evm.call(sender, call, at)
        except ContractReverted as error:
            return error
        except CaseledgerError:
            break
    return TransactionReverted("the contract refused it; asked again, it does not say why")
