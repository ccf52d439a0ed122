"""Chain proofs of anchored batches: captured live, assembled, verified; recorded QBFT proofs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chain.bytecode import code_hash
from chain.capture import (
    CodeMismatch,
    LinkAbsent,
    OtherBatchAnchored,
    assemble,
    capture,
    header_rlp,
)
from chain.deployment import DeployedContract
from chain.engines import profile
from chain.evm import Evm
from chain.proofs import ProofNotCaptured
from chain.rpc import Answer, Lie, RpcPool, RpcRefused
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import keccak256
from protocol.keyslot import KeySlot, key_slot_position, link_slot_position
from tests.support.ledger import HandMadeLog, Ledger, run
from verifier.chainproof import Ics23Proof, MptQbftProof, NoProof
from verifier.cometbft_rpc import validators_from_rpc_json
from verifier.rlp import decode
from verifier.strict_json import Fields

VECTORS = Path(__file__).parent.parent / "vectors" / "recorded" / "qbft.json"


@dataclasses.dataclass
class Anchored:
    """A log with one batch of five leaves on the real chain."""

    log_id: bytes
    block: int


@pytest.fixture(scope="module")
def anchored(ledger: Ledger) -> Anchored:
    async def scenario() -> Anchored:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            log = HandMadeLog("capture.test/log")
            await ledger.open_log(evm, "capture.test/log")
            receipt = await ledger.send(evm, ledger.anchor_call(log, 5))
            return Anchored(log.log_id, receipt.block_number)

    return run(scenario())


@pytest.mark.chain
def test_a_batch_and_its_signers_are_proved_in_one_final_block(ledger: Ledger, anchored: Anchored) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            signers = [ledger.key(f"{slug}-act").address for slug in ("bank-a", "bank-b", "centre")]
            nobody = b"\x55" * 20
            got = await capture(
                pool, ledger.deployment, anchored.log_id, 1, [*signers, nobody, signers[0]], anchored.block
            )
            assert (got.kind, got.height, got.trusted) == ("ics23", anchored.block, False)
            assert set(got.keys) == set(signers)
            assert got.missing == (nobody,)
            answer = await pool.validators(anchored.block + 1)
            validators = [
                (v.pub_key, v.power)
                for v in validators_from_rpc_json(Fields({"validators": list(answer.result)}, "validators"))
            ]
            positions = set()
            for index, signer in enumerate(signers):
                proof = assemble(got.shared, got.keys[signer])
                assert isinstance(proof, Ics23Proof)
                final = proof.final(validators, ledger.network.chain_id)
                log = proof.open_log(
                    final,
                    ledger.deployment.evidence_log.address,
                    link_slot_position(anchored.log_id, 1),
                )
                key = proof.open_registry(
                    final, ledger.deployment.registry.address, key_slot_position(signer)
                )
                assert log.word == got.link
                assert log.code_hash == ledger.deployment.evidence_log.code_hash
                assert key.code_hash == ledger.deployment.registry.code_hash
                slot = KeySlot.parse(key.word)
                assert slot.organisation == (5, 6, 1)[index]
                assert slot.valid_at(final.time)
                positions.add(key.word)
                with pytest.raises(CaseledgerError):
                    proof.open_registry(final, ledger.deployment.registry.address, key_slot_position(nobody))
            assert len(positions) == 3
            assert len(got.shared) < 4000
            assert max(map(len, got.keys.values())) < 1500

    run(scenario())


@pytest.mark.chain
def test_a_block_before_the_anchor_proves_no_link(ledger: Ledger, anchored: Anchored) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            with pytest.raises(LinkAbsent):
                await capture(pool, ledger.deployment, anchored.log_id, 1, [], anchored.block - 1)
            with pytest.raises(LinkAbsent):
                await capture(pool, ledger.deployment, anchored.log_id, 2, [], anchored.block)

    run(scenario())


@pytest.mark.chain
def test_another_link_or_other_code_is_named(ledger: Ledger, anchored: Anchored) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            with pytest.raises(OtherBatchAnchored):
                await capture(
                    pool,
                    ledger.deployment,
                    anchored.log_id,
                    1,
                    [],
                    anchored.block,
                    expected_link=b"\x01" * 32,
                )
            other = dataclasses.replace(ledger.deployment.registry, code_hash=b"\x02" * 32)
            wrong = dataclasses.replace(ledger.deployment, registry=other)
            with pytest.raises(CodeMismatch) as caught:
                await capture(pool, wrong, anchored.log_id, 1, [], anchored.block)
            assert caught.value.field == "ConsortiumRegistry"
            assert not pool.metrics.left

    run(scenario())


@pytest.mark.chain
def test_a_header_of_another_network_name_is_refused(ledger: Ledger, anchored: Anchored) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            twin = dataclasses.replace(ledger.deployment, network_id="twin-1")
            with pytest.raises(ProofNotCaptured):
                await capture(pool, twin, anchored.log_id, 1, [], anchored.block, wait=0.5)

    run(scenario())


# Assembling


def test_damaged_parts_are_refused_not_crashed() -> None:
    for shared, key in ((b"", b""), (b"\xff", b"\xf6"), (b"\x82\x64none\x05", b""), (b"\x80", b"\xf6")):
        with pytest.raises(MalformedInput):
            assemble(shared, key)
    assert assemble(b"\x82\x64none\x05", b"\xf6") == NoProof(5)


# QBFT, from the recorded network


def recorded() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(VECTORS.read_text())
    return document


def block_json(rlp: bytes) -> dict[str, Any]:
    """The header as `eth_getBlockByNumber` would tell it."""
    items = decode(rlp)
    assert isinstance(items, list)
    names = (
        "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom",
        "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce",
    )  # fmt: skip
    numbers = {"difficulty", "number", "gasLimit", "gasUsed", "timestamp"}
    out: dict[str, Any] = {}
    for name, item in zip(names, items, strict=True):
        assert isinstance(item, bytes)
        out[name] = hex(int.from_bytes(item, "big")) if name in numbers else "0x" + item.hex()
    return out


class RecordedPool(RpcPool):
    """A QBFT node that answers from the recording."""

    entry: dict[str, Any]
    spoil = ""

    async def ask(self, method: str, params: Any = (), /) -> Answer:
        url = "http://recorded.invalid"
        if method == "eth_blockNumber":
            return Answer(hex(self.entry["block_number"]), url)
        if method == "eth_getBlockByNumber":
            block = block_json(bytes.fromhex(self.entry["header_rlp"][2:]))
            if self.spoil == "header":
                block["stateRoot"] = "0x" + "11" * 32
            return Answer(block, url)
        if method == "eth_getProof":
            proof = json.loads(json.dumps(self.entry["proof"]))
            if self.spoil == "account":
                node = proof["accountProof"][-1]
                proof["accountProof"][-1] = node[:-2] + ("00" if node[-2:] != "00" else "01")
            if self.spoil == "slot":
                proof["storageProof"][0]["proof"] = []
            if self.spoil == "pruned":
                raise RpcRefused(-32000, "missing trie node", None)
            return Answer(proof, url)
        raise AssertionError(method)


@asynccontextmanager
async def qbft(entry: dict[str, Any], spoil: str = "") -> AsyncIterator[RecordedPool]:
    pool = RecordedPool(["http://recorded.invalid"], profile("qbft"), chain_id=1337)
    pool.entry, pool.spoil = entry, spoil
    async with pool:
        yield pool


@pytest.mark.parametrize("index", range(3))
def test_header_rlp_is_rebuilt_byte_for_byte(index: int) -> None:
    entry = recorded()["storage_proofs"][index]
    raw = bytes.fromhex(entry["header_rlp"][2:])
    assert header_rlp(block_json(raw)) == raw
    for other in recorded()["headers"]:
        raw = bytes.fromhex(other["header_rlp"][2:])
        assert header_rlp(block_json(raw)) == raw


def of_vector(ledger_like: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A deployment whose both contracts are the recorded one, and its slot as link and as key."""
    import chain.capture as module
    from chain.deployment import Deployment

    contract = DeployedContract(
        bytes.fromhex(ledger_like["contract"][2:]),
        bytes.fromhex(ledger_like["proof"]["codeHash"][2:]),
        bytes(32),
    )
    slot = bytes.fromhex(ledger_like["slot"][2:])
    monkeypatch.setattr(module, "link_slot_position", lambda log, number: slot)
    monkeypatch.setattr(module, "key_slot_position", lambda address: slot)
    return Deployment(
        1337,
        "qbft",
        "recorded",
        ("http://recorded.invalid",),
        (),
        contract,
        contract,
        contract,
        1,
        1,
        3,
        (),
        1,
    )


def test_a_recorded_qbft_proof_is_captured_and_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = recorded()["storage_proofs"][0]
    deployment = of_vector(entry, monkeypatch)

    async def scenario() -> None:
        async with qbft(entry) as pool:
            got = await capture(pool, deployment, b"\x01" * 32, 1, [b"\x02" * 20])
            assert got.kind == "mpt-qbft"
            assert got.link == bytes.fromhex(entry["value"][2:])
            proof = assemble(got.shared, got.keys[b"\x02" * 20])
            assert isinstance(proof, MptQbftProof)
            final = proof.final([(bytes.fromhex(v[2:]), 1) for v in entry["validators"]], "")
            assert final.block_hash.hex() == entry["block_hash"][2:]
            slot = bytes.fromhex(entry["slot"][2:])
            assert proof.open_log(final, deployment.evidence_log.address, slot).word == got.link

    run(scenario())


@pytest.mark.parametrize("spoil", ["header", "account", "slot"])
def test_a_spoilt_qbft_answer_is_a_lie(spoil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = recorded()["storage_proofs"][0]
    deployment = of_vector(entry, monkeypatch)

    async def scenario() -> None:
        async with qbft(entry, spoil) as pool:
            with pytest.raises(ProofNotCaptured):
                await capture(pool, deployment, b"\x01" * 32, 1, [b"\x02" * 20])
            assert {reason for _, reason in pool.metrics.left} == {Lie.BAD_PROOF}

    run(scenario())


def test_a_pruned_state_is_no_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = recorded()["storage_proofs"][0]
    deployment = of_vector(entry, monkeypatch)

    async def scenario() -> None:
        async with qbft(entry, "pruned") as pool:
            with pytest.raises(ProofNotCaptured):
                await capture(pool, deployment, b"\x01" * 32, 1, [])
            assert not pool.metrics.left

    run(scenario())


def test_code_hash_helper_is_keccak() -> None:
    assert code_hash(b"\x60") == keccak256(b"\x60")
