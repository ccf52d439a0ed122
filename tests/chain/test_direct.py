"""One transaction without a database: success, refusal, and the two ways of not knowing."""

from __future__ import annotations

import pytest

from chain import direct
from chain.direct import TransactionNotSent, TransactionTimeout, TransactionVanished
from chain.evm import Evm, Receipt, Sent
from chain.signer import RelayerKey
from chain.transactions import Call
from tests.support.ledger import Ledger, run

pytestmark = pytest.mark.chain

NOTHING = Call(b"\x79" * 20, b"")


class OneWay(Evm):
    """A node that answers as told to what is sent."""

    answer = Sent.ACCEPTED
    swallow = True

    async def send_raw(self, raw: bytes) -> Sent:
        return self.answer if self.swallow else await super().send_raw(raw)


def test_a_transaction_that_nobody_executes_times_out(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            with pytest.raises(TransactionTimeout):
                await direct.send(
                    OneWay(pool),
                    ledger.relayer(2),
                    NOTHING,
                    chain_id=ledger.deployment.chain_id,
                    gas_price=1,
                    wait=0.5,
                )

    run(scenario())


def test_a_nonce_that_is_used_without_a_receipt_is_a_vanished_transaction(ledger: Ledger) -> None:
    class Losing(OneWay):
        async def receipt(self, transaction_hash: bytes) -> Receipt | None:
            return None

    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Losing(pool)
            evm.swallow = False
            with pytest.raises(TransactionVanished):
                await direct.send(
                    evm, ledger.relayer(2), NOTHING, chain_id=ledger.deployment.chain_id, gas_price=1
                )

    run(scenario())


@pytest.mark.parametrize("answer", [Sent.INVALID, Sent.NO_FUNDS, Sent.OCCUPIED])
def test_a_refused_transaction_is_not_waited_for(ledger: Ledger, answer: Sent) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = OneWay(pool)
            evm.answer = answer
            with pytest.raises(TransactionNotSent, match=answer.value):
                await direct.send(
                    evm, ledger.relayer(2), NOTHING, chain_id=ledger.deployment.chain_id, gas_price=1
                )

    run(scenario())


def test_a_sender_without_gas_is_refused(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            poor = RelayerKey.from_secret("poor", b"\x61" * 32)
            with pytest.raises(TransactionNotSent, match="no funds"):
                await direct.send(Evm(pool), poor, NOTHING, chain_id=ledger.deployment.chain_id, gas_price=1)

    run(scenario())
