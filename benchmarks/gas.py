"""Gas a leaf: our anchor at 10,000 leaves a batch, append-only proved, beside EAS `multiTimestamp`.

Both run on one development chain under the same gas rules; the EAS contracts are deployed from the artefacts
of their npm package. Gas does not depend on the machine. The leaves are all alike, so that the roots of a log
of 16 million are cheap to compute; the contract sees ordinary roots and ordinary consistency proofs.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random
from typing import Any

from benchmarks.parts import DEV_CHAIN_ID, DEV_SECRET, ROOT, FolderKeys, dev_chain
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Reach, Row
from chain.bindings import EVIDENCE_LOG, Interface, encode_values, interface, parse_interface
from chain.consortium import Consortium, development
from chain.deploy import Network, deploy
from chain.deployment import Deployment
from chain.direct import send
from chain.engines import profile
from chain.errors import ContractReverted
from chain.evm import Evm, Receipt
from chain.governance import open_log
from chain.rpc import RpcPool
from chain.signer import RelayerKey
from chain.transactions import Call
from protocol.acts import Anchor
from protocol.hashing import SHA256, SM3, HashAlg
from protocol.i18n import Text
from protocol.identifiers import log_id
from verifier.merkle_tree import consistency_proof

BATCH = 10_000
JUMP = 1 << 20
"""The most leaves that one anchor may add."""
EAS_BATCH = 1_000
ORIGIN = "bench.localhost/gas"
EAS_ARTIFACTS = (
    ROOT / "node_modules" / "@ethereum-attestation-service" / "eas-contracts" / "artifacts" / "contracts"
)
HARDFORK = "cancun"
"""Rules that the EAS bytecode needs; a transaction of ours costs the same as under london."""


def rows(options: Options) -> Iterator[Row]:
    """Two rows: a log of up to a million leaves, and a larger one."""
    yield from asyncio.run(_measure(options))


class UniformLog:
    """A log whose leaves are equal: every complete subtree of a level has one root."""

    def __init__(self, alg: HashAlg) -> None:
        self._alg = alg
        self._levels = [alg.leaf(bytes(112))]

    def node(self, level: int, index: int = 0) -> bytes:
        """Root of a complete subtree."""
        while len(self._levels) <= level:
            last = self._levels[-1]
            self._levels.append(self._alg.node(last, last))
        return self._levels[level]

    def root(self, size: int) -> bytes:
        """RFC 9162 root of the first `size` leaves."""
        result: bytes | None = None
        for level in range(size.bit_length()):
            if size >> level & 1:
                part = self.node(level)
                result = part if result is None else self._alg.node(part, result)
        return self._alg.empty if result is None else result


@dataclass
class _Ledger:
    evm: Evm
    relayer: RelayerKey
    keys: FolderKeys
    consortium: Consortium
    deployment: Deployment

    @cached_property
    def trees(self) -> tuple[UniformLog, UniformLog]:
        return UniformLog(SHA256), UniformLog(SM3)

    async def send(self, call: Call) -> Receipt:
        return await send(
            self.evm, self.relayer, call, chain_id=DEV_CHAIN_ID, gas_price=0, revert_costs_limit=False
        )

    def anchor(self, old: int, new: int, *, key: str = "centre-anchor", root: bytes | None = None) -> Call:
        """The transaction that grows the log, signed by the operator unless another key is named."""
        sha, sm3 = self.trees
        act = Anchor(log_id(ORIGIN), old, new, root or sha.root(new), sm3.root(new), int(time.time()) + 3600)
        proof = tuple(consistency_proof(SHA256, old, new, sha.node)) if old else ()
        signature = self.keys.signer(key).sign_digest(act.digest(self.deployment.log_domain))
        request = (act.log_id, old, new, act.root_sha256, act.root_sm3, act.valid_until)
        data = interface(EVIDENCE_LOG).function("anchor").encode(request, proof, signature)
        return Call(self.deployment.evidence_log.address, data)


async def _measure(options: Options) -> list[Row]:
    with dev_chain(options.folder, HARDFORK) as url:
        async with RpcPool([url], profile("dev"), chain_id=DEV_CHAIN_ID) as pool:
            ledger = await _found(Evm(pool), options)
            await _must_refuse(ledger)
            young, size = await _batches(ledger, BATCH, options.pick(40, 10))
            old, size = await _anchors(ledger, size, options.pick(30, 8), 16 * JUMP)
            eas = await _eas(ledger)
    peer = Beside(
        Text(f"EAS multiTimestamp（每次 {EAS_BATCH:,}）", f"EAS multiTimestamp ({EAS_BATCH:,} a call)"),
        Figure(eas / EAS_BATCH, "gas"),
    )
    return [
        Row(
            "gas",
            Text(
                f"每条的链上费用：每批 10,000，只增证明，自空日志起 {len(young)} 批",
                f"gas a leaf: 10,000 a batch, append-only proved, {len(young)} batches from an empty log",
            ),
            Figure(statistics.fmean(young) / BATCH, "gas"),
            Reach("<", Figure(10, "gas")),
            (peer,),
            Text(
                f"{len(young)} 次锚定的平均；最贵 {max(young):,} gas。"
                "他人密钥的签名、与旧根不一致的根均被合约拒绝。",
                f"mean of {len(young)} anchors; the dearest took {max(young):,} gas. Another key's signature "
                "and a root that does not extend the old one were refused by the contract.",
            ),
            {"anchors": young, "easTransaction": eas},
        ),
        Row(
            "gas-large",
            Text(
                f"同上，日志至 {size / 1e6:.0f} 百万条，大小任意",
                f"the same, log of up to {size / 1e6:.0f} M leaves, any size",
            ),
            Figure(statistics.fmean(old) / BATCH, "gas"),
            Reach("<", Figure(10, "gas")),
            (peer,),
            Text(
                f"{len(old)} 次锚定的平均；最贵 {max(old):,} gas。日志每翻一倍，一致性证明长一个节点，"
                "约 800 gas。",
                f"mean of {len(old)} anchors; the dearest took {max(old):,} gas. The consistency proof "
                "grows by a node, about 800 gas, each time the log doubles.",
            ),
            {"anchors": old, "finalSize": size},
        ),
    ]


async def _found(evm: Evm, options: Options) -> _Ledger:
    keys = FolderKeys(options.folder / "keys")
    consortium = development(keys)
    relayer = RelayerKey.from_secret("bench", DEV_SECRET)
    network = Network("dev", DEV_CHAIN_ID, "dev", ("http://127.0.0.1",), revert_costs_limit=False)
    deployment = await deploy(evm, relayer, network, consortium.rules())
    ledger = _Ledger(evm, relayer, keys, consortium, deployment)
    proposal = open_log(deployment, ORIGIN, consortium.index("centre"))
    until = int(time.time()) + 3600
    approvals = [
        proposal.approve(deployment, consortium.index(who), keys.signer(f"{who}-act"), until)
        for who in ("centre", "court", "regulator")
    ]
    await ledger.send(proposal.schedule(deployment, approvals))
    await evm.rpc("evm_increaseTime", consortium.delay + 1)
    await evm.rpc("evm_mine")
    await ledger.send(proposal.execute(deployment))
    return ledger


async def _must_refuse(ledger: _Ledger) -> None:
    """A stranger's signature, and a root that does not extend the log."""
    await ledger.send(ledger.anchor(0, BATCH))
    wrong = {
        "a wrong signature": ledger.anchor(BATCH, 2 * BATCH, key="bank-a-anchor"),
        "an inconsistent root": ledger.anchor(BATCH, 2 * BATCH, root=os.urandom(32)),
    }
    for what, call in wrong.items():
        try:
            await ledger.evm.call(ledger.relayer.address, call)
        except ContractReverted:
            continue
        raise BenchFailed(f"the contract took {what}")


async def _batches(ledger: _Ledger, size: int, count: int) -> tuple[list[int], int]:
    """Gas of `count` batches of 10,000, one upon the other, and the size reached."""
    gas: list[int] = []
    for _ in range(count):
        receipt = await ledger.send(ledger.anchor(size, size + BATCH))
        gas.append(receipt.gas_used)
        size += BATCH
    return gas, size


async def _anchors(ledger: _Ledger, size: int, count: int, last: int) -> tuple[list[int], int]:
    """Gas of `count` anchors of 10,000 leaves between `size` and about `last`, and the size reached."""
    gas: list[int] = []
    dice = Random(last)  # noqa: S311 - sizes of a log, the same in every run
    step = (last - size) // count
    for _ in range(count):
        gap = min(JUMP, dice.randrange(1, 2 * max(1, step - BATCH)))
        await ledger.send(ledger.anchor(size, size + gap))
        receipt = await ledger.send(ledger.anchor(size + gap, size + gap + BATCH))
        gas.append(receipt.gas_used)
        size += gap + BATCH
    return gas, size


async def _eas(ledger: _Ledger) -> int:
    """Gas of one `multiTimestamp` of fresh values."""
    _, registry_code = _artifact("SchemaRegistry")
    abi, code = _artifact("EAS")
    registry = await ledger.send(Call(None, registry_code))
    if registry.contract is None:
        raise BenchFailed("the peer's registry was not deployed")
    address = "0x" + registry.contract.hex()
    eas = await ledger.send(Call(None, code + encode_values(("address",), (address,))))
    if eas.contract is None:
        raise BenchFailed("the peer was not deployed")
    values = [os.urandom(32) for _ in range(EAS_BATCH)]
    receipt = await ledger.send(Call(eas.contract, abi.function("multiTimestamp").encode(values)))
    return receipt.gas_used


@lru_cache
def _artifact(name: str) -> tuple[Interface, bytes]:
    path = EAS_ARTIFACTS / f"{name}.sol" / f"{name}.json"
    if not path.exists():
        raise BenchFailed("the EAS package is not installed: make env-contracts")
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return parse_interface(name, value["abi"]), bytes.fromhex(value["bytecode"][2:])
