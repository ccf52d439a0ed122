"""Several nodes, none of them trusted: each named lie is noticed, the node left, the answer still right."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from eth_account import Account

from chain.engines import profile
from chain.networks.cometbft import CometNetwork
from chain.networks.keys import LocalKey
from chain.proofs import ProofNotCaptured, capture
from chain.rpc import (
    Lie,
    RpcAnswerTooLarge,
    RpcDisagreement,
    RpcPool,
    RpcRefused,
    RpcSettings,
    RpcUnavailable,
)
from tests.support.lying_proxy import Change, LyingProxy, lying_proxy

pytestmark = pytest.mark.chain

# Stores the first word of the call data in slot 0 and logs it under topic 0xbeef; reverts on the word 0xff.
RUNTIME = "60003560ff14601c5760003580600055600052" + "61beef60206000a1005b60aa60005260206000fd"
INIT = "60" + f"{len(RUNTIME) // 2:02x}" + "80600a3d393df300"
COMET = profile("cometbft")
QUICK = dataclasses.replace(COMET, stale_blocks=4)
SETTINGS = RpcSettings(probe_every=0.2, cool_down_lie=1.5, cool_down=0.5)

Test = Callable[[], Coroutine[Any, Any, None]]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


@dataclasses.dataclass(frozen=True)
class Emitted:
    """A contract and one event of it."""

    contract: str
    transaction: str
    block: int


@asynccontextmanager
async def honest(network: CometNetwork, nodes: int = 2, **options: Any) -> AsyncIterator[RpcPool]:
    settings = options.pop("settings", SETTINGS)
    async with RpcPool(
        network.rpc_urls[:nodes],
        options.pop("profile", QUICK),
        chain_id=network.evm_chain_id,
        comet_urls=network.comet_urls[:nodes],
        comet_chain_id=network.chain_id,
        settings=settings,
    ) as pool:
        yield pool


@asynccontextmanager
async def behind(
    network: CometNetwork, *, others: int = 2, comet: bool = False, **options: Any
) -> AsyncIterator[tuple[LyingProxy, RpcPool]]:
    """A pool that asks the liar first."""
    target = network.comet_urls[0] if comet else network.rpc_urls[0]
    async with lying_proxy(target) as proxy:
        evm, cmt = network.rpc_urls[1 : 1 + others], network.comet_urls[1 : 1 + others]
        async with RpcPool(
            evm if comet else [proxy.url, *evm],
            options.get("profile", QUICK),
            chain_id=network.evm_chain_id,
            comet_urls=[proxy.url, *cmt] if comet else options.get("comet_urls", cmt),
            comet_chain_id=network.chain_id,
            settings=options.get("settings", SETTINGS),
        ) as pool:
            yield proxy, pool


async def send(pool: RpcPool, key: LocalKey, to: str | None, data: str) -> str:
    nonce = int(await pool.call("eth_getTransactionCount", [key.address_hex, "latest"]), 16)
    transaction = {
        "chainId": pool.chain_id,
        "nonce": nonce,
        "gas": 300_000,
        "gasPrice": 1,
        "value": 0,
        "data": "0x" + data,
    }
    if to is not None:
        transaction["to"] = to
    raw = Account.sign_transaction(transaction, key.secret_hex).raw_transaction
    sent: str = await pool.call("eth_sendRawTransaction", ["0x" + raw.hex()])
    return sent


async def receipt(pool: RpcPool, transaction: str) -> dict[str, Any]:
    for _ in range(100):
        found = await pool.call("eth_getTransactionReceipt", [transaction])
        if found is not None:
            return dict(found)
        await asyncio.sleep(0.1)
    raise AssertionError("no receipt")


@pytest.fixture(scope="module")
def emitted(network4: CometNetwork) -> Emitted:
    """A contract on the shared network with one event in a block that all nodes have."""
    out: list[Emitted] = []

    async def prepare() -> None:
        async with honest(network4, 4) as pool:
            made = await receipt(pool, await send(pool, network4.deployer, None, INIT + RUNTIME))
            contract = str(made["contractAddress"])
            done = await receipt(
                pool, await send(pool, network4.relayers[0], _checksum(contract), f"{7:064x}")
            )
            assert done["status"] == "0x1"
            assert len(done["logs"]) == 1
            out.append(Emitted(contract, str(done["transactionHash"]), int(done["blockNumber"], 16)))
            await asyncio.sleep(1.5)

    run(prepare())
    return out[0]


def _checksum(address: str) -> str:
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(address))


def _logs_query(event: Emitted) -> list[Any]:
    return [{"address": event.contract, "fromBlock": hex(event.block), "toBlock": hex(event.block)}]


def _on(method: str, change: Callable[[Any, Any], Any]) -> Change:
    def lie(asked: str, params: Any, result: Any) -> Any:
        return change(params, result) if asked == method and result is not None else result

    return lie


def _left(pool: RpcPool, proxy: LyingProxy) -> dict[str, int]:
    port = proxy.url.rsplit(":", 1)[1]
    return {reason: n for (node, reason), n in pool.metrics.left.items() if node.endswith(f":{port}")}


def test_wrong_chain_id(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            proxy.change = _on("eth_chainId", lambda _p, _r: "0x539")
            assert int(await pool.call("eth_chainId"), 16) == network4.evm_chain_id
            assert _left(pool, proxy) == {Lie.WRONG_CHAIN_ID: 1}
            assert proxy.asked["eth_blockNumber"] == 0
            await pool.call("eth_blockNumber")
            assert proxy.asked["eth_blockNumber"] == 0

    run(scenario())


def test_wrong_network_name_on_the_other_interface(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4, comet=True) as (proxy, pool):

            def other(_params: Any, result: Any) -> Any:
                result["node_info"]["network"] = "caseledger-1"
                return result

            proxy.change = _on("status", other)
            assert (await pool.commit(1)).url != proxy.url
            assert _left(pool, proxy) == {Lie.WRONG_CHAIN_ID: 1}

    run(scenario())


def test_stale_head(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            frozen: list[Any] = []

            def old(params: Any, result: Any) -> Any:
                if params[0] != "latest":
                    return result
                frozen.append(result)
                return frozen[0]

            proxy.change = _on("eth_getBlockByNumber", old)
            for _ in range(150):
                await pool.call("eth_blockNumber")
                if _left(pool, proxy):
                    break
                await asyncio.sleep(0.1)
            assert _left(pool, proxy) == {Lie.STALE_HEAD: 1}
            asked = proxy.asked["eth_blockNumber"]
            await pool.call("eth_blockNumber")
            assert proxy.asked["eth_blockNumber"] == asked
            proxy.change = None
            for _ in range(60):
                await pool.call("eth_blockNumber")
                if proxy.asked["eth_blockNumber"] > asked:
                    return
                await asyncio.sleep(0.1)
            raise AssertionError("a node that caught up is used again")

    run(scenario())


def test_forked_block(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            true = await pool.call("eth_getBlockByNumber", ["0x3", False])

            def fork(params: Any, result: Any) -> Any:
                if params[0] == "0x3":
                    result["hash"] = "0x" + "ab" * 32
                return result

            proxy.change = _on("eth_getBlockByNumber", fork)
            told = await pool.call("eth_getBlockByNumber", ["0x3", False])
            assert told["hash"] == true["hash"]
            assert _left(pool, proxy) == {Lie.FORKED_BLOCK: 1}

    run(scenario())


def test_a_fork_that_was_seen_first_is_outvoted(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):

            def fork(params: Any, result: Any) -> Any:
                if params[0] == "0x4":
                    result["hash"] = "0x" + "cd" * 32
                return result

            proxy.change = _on("eth_getBlockByNumber", fork)
            first = await pool.call("eth_getBlockByNumber", ["0x4", False])
            pool.report_lie(proxy.url, Lie.UNAVAILABLE)
            second = await pool.call("eth_getBlockByNumber", ["0x4", False])
            assert second["hash"] != first["hash"] == "0x" + "cd" * 32
            third = await pool.call("eth_getBlockByNumber", ["0x4", False])
            assert third["hash"] == second["hash"]

    run(scenario())


@pytest.mark.parametrize(
    "field",
    [
        "status",
        "gasUsed",
        "blockHash",
        "blockNumber",
        "transactionHash",
        "logs",
        "log data",
        "null",
        "elsewhere",
    ],
)
def test_false_receipt(network4: CometNetwork, emitted: Emitted, field: str) -> None:
    def falsify(_params: Any, result: Any) -> Any:
        if field == "null":
            return None
        if field == "logs":
            result["logs"] = []
        elif field == "log data":
            result["logs"][0]["data"] = "0x" + "00" * 31 + "08"
        elif field == "elsewhere":
            result["blockNumber"] = hex(int(result["blockNumber"], 16) - 1)
        else:
            replacement = {
                "status": "0x0",
                "gasUsed": "0x5208",
                "blockHash": "0x" + "12" * 32,
                "blockNumber": "0x2",
                "transactionHash": "0x" + "34" * 32,
            }
            result[field] = replacement[field]
        return result

    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            proxy.change = _on("eth_getTransactionReceipt", falsify)
            found = await pool.call("eth_getTransactionReceipt", [emitted.transaction])
            assert found["status"] == "0x1"
            assert int(found["blockNumber"], 16) == emitted.block
            assert int(found["logs"][0]["data"], 16) == 7
            left = _left(pool, proxy)
            assert sum(left.values()) == 1
            assert set(left) <= {Lie.FALSE_RECEIPT, Lie.FORKED_BLOCK}

    run(scenario())


def test_false_receipt_of_two_nodes_is_settled_by_the_engine(
    network4: CometNetwork, emitted: Emitted
) -> None:
    async def scenario() -> None:
        async with behind(network4, others=1) as (proxy, pool):
            proxy.change = _on("eth_getTransactionReceipt", lambda _p, r: {**r, "status": "0x0"})
            found = await pool.call("eth_getTransactionReceipt", [emitted.transaction])
            assert found["status"] == "0x1"
            assert _left(pool, proxy) == {Lie.FALSE_RECEIPT: 1}

    run(scenario())


def test_one_against_one_without_evidence_is_believed_by_nobody(
    network4: CometNetwork, emitted: Emitted
) -> None:
    async def scenario() -> None:
        async with behind(network4, others=1, comet_urls=[]) as (proxy, pool):
            proxy.change = _on("eth_getTransactionReceipt", lambda _p, r: {**r, "gasUsed": "0x5208"})
            with pytest.raises(RpcDisagreement):
                await pool.call("eth_getTransactionReceipt", [emitted.transaction])
            assert pool.metrics.disagreements == 1

    run(scenario())


def test_invented_receipt(network4: CometNetwork, emitted: Emitted) -> None:
    """A receipt for a transaction that is in no block, with a block to match."""
    ghost = "0x" + "77" * 32

    def invent(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == hex(emitted.block):
            result["transactions"].append(ghost)
        if method == "eth_getTransactionReceipt" and result is None and params[0] == ghost:
            return {
                "transactionHash": ghost,
                "blockHash": blocks[0],
                "blockNumber": hex(emitted.block),
                "status": "0x1",
                "gasUsed": "0x5208",
                "contractAddress": None,
                "logs": [],
            }
        return result

    blocks: list[str] = []

    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            blocks.append((await pool.call("eth_getBlockByNumber", [hex(emitted.block), False]))["hash"])
            proxy.change = invent
            assert await pool.call("eth_getTransactionReceipt", [ghost]) is None
            assert _left(pool, proxy) == {Lie.FALSE_RECEIPT: 1}

    run(scenario())


@pytest.mark.parametrize("others", [1, 2])
def test_withheld_logs(network4: CometNetwork, emitted: Emitted, others: int) -> None:
    async def scenario() -> None:
        async with behind(network4, others=others) as (proxy, pool):
            proxy.change = _on("eth_getLogs", lambda _p, _r: [])
            found = await pool.call("eth_getLogs", _logs_query(emitted))
            assert [int(entry["data"], 16) for entry in found] == [7]
            assert _left(pool, proxy) == {Lie.WITHHELD_LOGS: 1}

    run(scenario())


def test_altered_log(network4: CometNetwork, emitted: Emitted) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            proxy.change = _on("eth_getLogs", lambda _p, r: [{**e, "data": "0x" + "00" * 32} for e in r])
            found = await pool.call("eth_getLogs", _logs_query(emitted))
            assert [int(entry["data"], 16) for entry in found] == [7]
            assert _left(pool, proxy) == {Lie.WITHHELD_LOGS: 1}

    run(scenario())


def test_bad_proof_is_left_and_the_next_node_gives_a_good_one(
    network4: CometNetwork, emitted: Emitted
) -> None:
    contract = bytes.fromhex(emitted.contract[2:])

    async def scenario() -> None:
        async with behind(network4, comet=True) as (proxy, pool):

            def without(_params: Any, result: Any) -> Any:
                return {"response": {**result["response"], "proofOps": None}}

            def altered(_params: Any, result: Any) -> Any:
                return {"response": {**result["response"], "value": "CA=="}}

            slots = [(contract, bytes(32))]
            proxy.change = _on("abci_query", without)
            with pytest.raises(ProofNotCaptured):
                await capture(pool, emitted.block, slots=slots)
            assert _left(pool, proxy) == {Lie.BAD_PROOF: 1}
            bundle = await capture(pool, emitted.block, slots=slots)
            assert proxy.url not in bundle.sources
            assert int.from_bytes(bundle.storage[0].value, "big") == 7
            await asyncio.sleep(1.7)
            # The right shape with a wrong value: only the verifier sees that, and reports the source.
            proxy.change = _on("abci_query", altered)
            bundle = await capture(pool, emitted.block, slots=slots)
            assert bundle.storage[0].value == b"\x08"
            assert bundle.storage[0].source == proxy.url
            pool.report_lie(bundle.storage[0].source, Lie.BAD_PROOF)
            bundle = await capture(pool, emitted.block, slots=slots)
            assert int.from_bytes(bundle.storage[0].value, "big") == 7
            assert _left(pool, proxy) == {Lie.BAD_PROOF: 2}

    run(scenario())


def test_a_lie_costs_more_than_a_fault_and_ends_with_the_cool_down(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            await pool.call("eth_blockNumber")
            pool.report_lie(proxy.url, Lie.BAD_PROOF, "test")
            asked = proxy.asked["eth_blockNumber"]
            await pool.call("eth_blockNumber")
            assert proxy.asked["eth_blockNumber"] == asked
            await asyncio.sleep(1.7)
            await pool.call("eth_blockNumber")
            assert proxy.asked["eth_blockNumber"] == asked + 1

    run(scenario())


def test_a_caught_liar_is_not_asked_even_when_it_is_the_only_one_left(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4, others=0) as (proxy, pool):
            await pool.call("eth_blockNumber")
            pool.report_lie(proxy.url, Lie.FALSE_RECEIPT)
            with pytest.raises(RpcUnavailable):
                await pool.call("eth_blockNumber")

    run(scenario())


def test_dead_silent_and_garbled_nodes_are_passed_over(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            await pool.call("eth_blockNumber")
            proxy.silent = True
            assert int(await pool.call("eth_blockNumber"), 16) > 0
            assert pool.metrics.failovers == 1
            assert Lie.UNAVAILABLE in _left(pool, proxy)
        async with behind(network4) as (proxy, pool):
            proxy.change = _on("eth_getBlockByNumber", lambda _p, _r: ["not a block"])
            assert isinstance(await pool.call("eth_getBlockByNumber", ["0x1", False]), dict)
            assert Lie.MALFORMED in _left(pool, proxy)
        with pytest.raises(RpcUnavailable):
            async with RpcPool(["http://127.0.0.1:9"], QUICK, chain_id=1) as pool:
                await pool.call("eth_chainId")

    run(scenario())


def test_an_oversize_answer_is_cut_off(network4: CometNetwork) -> None:
    async def scenario() -> None:
        settings = dataclasses.replace(SETTINGS, max_answer=4096)
        async with behind(network4, others=0, settings=settings) as (proxy, pool):
            await pool.call("eth_blockNumber")
            proxy.change = _on("eth_getCode", lambda _p, _r: "0x" + "00" * 5000)
            with pytest.raises(RpcAnswerTooLarge):
                await pool.call("eth_getCode", ["0x" + "00" * 20, "latest"])
            assert Lie.TOO_LARGE in _left(pool, proxy)
            proxy.change = None
            assert await pool.call("eth_getCode", ["0x" + "00" * 20, "latest"]) == "0x"

    run(scenario())


def test_a_revert_carries_its_bytes_and_is_not_a_fault(network4: CometNetwork, emitted: Emitted) -> None:
    async def scenario() -> None:
        async with honest(network4) as pool:
            with pytest.raises(RpcRefused) as caught:
                await pool.call(
                    "eth_call", [{"to": emitted.contract, "data": "0x" + f"{255:064x}"}, "latest"]
                )
            assert caught.value.revert_data == bytes(31) + b"\xaa"
            assert "aa" not in caught.value.detail
            with pytest.raises(RpcRefused) as unknown:
                await pool.call("eth_noSuchMethod")
            assert unknown.value.revert_data is None
            assert not pool.metrics.left

    run(scenario())


def test_batch_keeps_the_order_and_puts_a_refusal_in_its_place(
    network4: CometNetwork, emitted: Emitted
) -> None:
    async def scenario() -> None:
        async with honest(network4) as pool:
            bad = [{"to": emitted.contract, "data": "0x" + f"{255:064x}"}, "latest"]
            answers = await pool.batch(
                [("eth_chainId", []), ("eth_call", bad)]
                + [("eth_getBlockByNumber", [hex(n), False]) for n in range(1, 121)]
            )
            chain, refused, *blocks = answers
            assert chain == hex(network4.evm_chain_id)
            assert isinstance(refused, RpcRefused)
            assert refused.revert_data == bytes(31) + b"\xaa"
            numbers = [b["number"] for b in blocks if isinstance(b, dict)]
            assert numbers == [hex(n) for n in range(1, len(numbers) + 1)]
            assert len(numbers) >= min(emitted.block, 120)

    run(scenario())


def test_the_same_transaction_again_goes_to_the_next_node(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):
            for _ in range(3):
                with pytest.raises(RpcRefused):
                    await pool.call("eth_sendRawTransaction", ["0xdead"])
            assert pool.metrics.calls == 3
            assert proxy.asked["eth_sendRawTransaction"] <= 1

    run(scenario())


def test_one_liar_with_a_head_in_the_future_does_not_make_the_others_stale(network4: CometNetwork) -> None:
    async def scenario() -> None:
        async with behind(network4) as (proxy, pool):

            def boast(params: Any, result: Any) -> Any:
                if params[0] == "latest":
                    result["number"] = hex(int(result["number"], 16) + 10_000)
                return result

            proxy.change = _on("eth_getBlockByNumber", boast)
            for _ in range(10):
                await pool.call("eth_chainId")
                await asyncio.sleep(0.1)
            honest_nodes = [h for h in pool.health() if h.kind == "evm"][1:]
            assert all(h.usable and h.reason is None for h in honest_nodes)

    run(scenario())


def test_proofs_of_slot_and_account_are_captured_with_all_signatures(
    network4: CometNetwork, emitted: Emitted
) -> None:
    contract = bytes.fromhex(emitted.contract[2:])

    async def scenario() -> None:
        async with honest(network4, 4) as pool:
            height = int(await pool.call("eth_blockNumber"), 16)  # the next header is still to come
            bundle = await capture(pool, height, slots=[(contract, bytes(32))], accounts=[contract])
            assert bundle.signed.height == height + 1
            assert [op.type for op in bundle.storage[0].ops] == ["ics23:iavl", "ics23:simple"]
            assert int.from_bytes(bundle.storage[0].value, "big") == 7
            assert len(bundle.signed.validators) == 4
            assert bundle.signed.header["chain_id"] == network4.chain_id
            with pytest.raises(ProofNotCaptured):
                await capture(pool, height + 1000, slots=[(contract, bytes(32))], wait=0.5)

    run(scenario())


def test_a_pruned_node_is_passed_over_without_blame(network4: CometNetwork, emitted: Emitted) -> None:
    contract = bytes.fromhex(emitted.contract[2:])

    async def scenario() -> None:
        async with behind(network4, comet=True) as (proxy, pool):

            def pruned(_params: Any, _result: Any) -> Any:
                log = "proof is unexpectedly empty; ensure height has not been pruned: invalid request"
                return {"response": {"code": 7, "log": log, "height": "0", "proofOps": None}}

            proxy.change = _on("abci_query", pruned)
            bundle = await capture(pool, emitted.block, slots=[(contract, bytes(32))])
            assert bundle.storage[0].source != proxy.url
            assert proxy.asked["abci_query"] == 1
            assert not pool.metrics.left

    run(scenario())
