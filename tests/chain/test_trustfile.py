"""Trust files drafted from the chain, and their successors when validators or logs change."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from agent.keys import load_ed25519
from chain import governance, trustfile
from chain.capture import assemble, capture
from chain.consortium import LogEntry
from chain.errors import DeploymentMismatch
from chain.evm import Evm
from chain.networks.cometbft import CometNetwork
from chain.proofs import ProofNotCaptured
from protocol.identifiers import log_id
from tests.support.ledger import HandMadeLog, Ledger, found, run
from tests.support.world import POLICY
from verifier.errors import TrustHeldQuorumMissing, TrustQuorumMissing
from verifier.succession import accept_first, accept_next
from verifier.trust import TrustFile

pytestmark = pytest.mark.chain


def named(ledger: Ledger) -> dict[bytes, tuple[str, int]]:
    keys = ledger.validator_keys
    return trustfile.named_validators(ledger.consortium, keys)


def signed(ledger: Ledger, trust: TrustFile, *who: str) -> TrustFile:
    return trustfile.sign(trust, [load_ed25519(ledger.home / "keys" / f"trust-{w}.json") for w in who])


def entries(*origins: str) -> list[LogEntry]:
    return [LogEntry(origin, 1, bytes([n + 1]) * 32) for n, origin in enumerate(origins)]


def test_a_draft_says_what_the_chain_says_and_needs_a_quorum(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            await ledger.open_log(Evm(pool), "draft.test/log")
            now = int(time.time())
            trust = await trustfile.draft(
                pool,
                ledger.deployment,
                ledger.consortium,
                named=named(ledger),
                now=now,
                logs=entries("draft.test/log", "not.open/yet"),
            )
            payload = trust.payload
            assert (payload.serial, payload.predecessor, payload.issued_at) == (1, None, now)
            assert [log.origin for log in payload.logs] == ["draft.test/log"]
            chain = payload.chains[0]
            assert (chain.chain_id, chain.proof_kind) == (ledger.deployment.chain_id, "ics23")
            assert chain.evidence_log.code_hash == ledger.deployment.evidence_log.code_hash
            (epoch,) = chain.epochs
            assert (epoch.from_height, epoch.to_height) == (ledger.deployment.block, None)
            assert [(v.controller, v.group) for v in epoch.validators] == [("bank-association", 2)]
            for who in ((), ("centre",), ("court",)):
                with pytest.raises(TrustQuorumMissing):
                    signed(ledger, trust, *who).check()
            good = signed(ledger, trust, "court", "regulator")
            accept_first(TrustFile.parse(good.encode()), trust.fingerprint)

    run(scenario())


def test_witnesses_of_the_consortium_file_make_it_version_2_and_stay(ledger: Ledger) -> None:
    founders = dataclasses.replace(ledger.consortium, witness_policy=POLICY, witness_required=True)

    async def scenario() -> None:
        async with ledger.pool() as pool:
            plain = await trustfile.draft(
                pool, ledger.deployment, ledger.consortium, named=named(ledger), now=50, logs=()
            )
            assert plain.payload.version == 1
            held = signed(ledger, plain, "court", "regulator")
            trust = await trustfile.draft(
                pool, ledger.deployment, founders, named=named(ledger), now=60, held=held, logs=()
            )
            assert (trust.payload.version, trust.payload.witnesses_required) == (2, 1)
            assert trust.payload.witness_policy == POLICY
            assert trustfile.changed(held, trust)
            second = signed(ledger, trust, "court", "regulator")
            accept_next(held, second)
            kept = await trustfile.draft(
                pool, ledger.deployment, ledger.consortium, named=named(ledger), now=70, held=second, logs=()
            )
            assert kept.payload.witness_policy == POLICY
            assert not trustfile.changed(second, kept)

    run(scenario())


def test_unnamed_validators_and_foreign_contracts_stop_a_draft(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            with pytest.raises(trustfile.ValidatorUnnamed):
                await trustfile.draft(pool, ledger.deployment, ledger.consortium, named={}, now=1)
            wrong = dataclasses.replace(ledger.deployment, evidence_log=ledger.deployment.registry)
            with pytest.raises(DeploymentMismatch):
                await trustfile.draft(pool, wrong, ledger.consortium, named=named(ledger), now=1)

    run(scenario())


def test_a_closed_log_and_its_successor_are_in_the_next_file(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm, old, new = Evm(pool), "closing.test/1", "closing.test/2"
            await ledger.open_log(evm, old)
            await ledger.send(evm, ledger.anchor_call(HandMadeLog(old), 7))

            async def draft(held: TrustFile | None, *origins: str) -> TrustFile:
                return await trustfile.draft(
                    pool,
                    ledger.deployment,
                    ledger.consortium,
                    named=named(ledger),
                    now=int(time.time()),
                    held=held,
                    logs=entries(*origins),
                )

            first = signed(ledger, await draft(None, old), "court", "regulator")
            assert not trustfile.changed(first, await draft(first, old))
            await ledger.pass_proposal(evm, governance.open_log(ledger.deployment, new, 1, log_id(old)))
            await ledger.pass_proposal(
                evm, governance.close_log(ledger.deployment, log_id(old), 6, log_id(new))
            )
            with pytest.raises(trustfile.LogKeyUnknown):
                await draft(first, old)
            second = await draft(first, old, new)
            assert trustfile.changed(first, second)
            closed, opened = second.payload.logs
            assert (closed.closed_size, closed.successor) == (6, new)
            assert (opened.origin, opened.closed_size) == (new, None)
            with pytest.raises(TrustHeldQuorumMissing):
                accept_next(first, alone(second))
            accept_next(first, signed(ledger, second, "court", "regulator"))

    run(scenario())


def alone(trust: TrustFile) -> TrustFile:
    """The file as an operator would like it: with keys of its own making only."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from verifier.trust_payload import TrustKey

    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    roles = ("court", "regulator")
    payload = dataclasses.replace(
        trust.payload,
        keys=tuple(
            TrustKey(key.public_key().public_bytes_raw(), role, role)
            for key, role in zip(keys, roles, strict=True)
        ),
    )
    forged = TrustFile.draft(payload)
    for key in keys:
        forged = forged.with_signature(key.public_key().public_bytes_raw(), key.sign(forged.message))
    return forged


def test_proofs_from_before_and_after_a_validator_change_verify_under_the_successor(
    home: Path, tmp_path: Path
) -> None:
    network = CometNetwork.create(home, validators=1, reserve=1)
    network.up(wait=120)

    async def before() -> tuple[Ledger, TrustFile, int]:
        ledger = await found(network, tmp_path)
        async with ledger.pool() as pool:
            evm = Evm(pool)
            await ledger.open_log(evm, "epoch.test/log")
            receipt = await ledger.send(evm, ledger.anchor_call(log, 3))
            trust = await trustfile.draft(
                pool,
                ledger.deployment,
                ledger.consortium,
                named=named(ledger),
                now=int(time.time()),
                logs=entries("epoch.test/log"),
            )
            return ledger, signed(ledger, trust, "court", "regulator"), receipt.block_number

    async def after(ledger: Ledger, first: TrustFile, anchored: int) -> None:
        signer = ledger.key("bank-a-act").address
        chain = ledger.deployment.chain_id
        async with ledger.pool() as pool:
            evm = Evm(pool)
            receipt = await ledger.send(evm, ledger.anchor_call(log, 3))
            held = first.payload.chain(chain)
            with pytest.raises(ProofNotCaptured):  # the first file's epoch is not the chain's set any more
                await capture(
                    pool,
                    ledger.deployment,
                    log.log_id,
                    2,
                    [signer],
                    receipt.block_number,
                    trusted=held,
                    wait=5,
                )
        async with ledger.pool() as pool:
            second = await trustfile.draft(
                pool,
                ledger.deployment,
                ledger.consortium,
                named=named(ledger),
                now=int(time.time()),
                held=first,
                logs=entries("epoch.test/log"),
            )
            accept_next(first, signed(ledger, second, "court", "regulator"))
            trusted = second.payload.chain(chain)
            assert trusted is not None
            assert [len(epoch.validators) for epoch in trusted.epochs] == [1, 2]
            one, two = trusted.epochs
            assert one.to_height is not None
            assert anchored < one.to_height < two.from_height == one.to_height + 1 <= receipt.block_number + 1
            for number, height in ((1, anchored), (2, receipt.block_number)):
                got = await capture(
                    pool, ledger.deployment, log.log_id, number, [signer], height, trusted=trusted
                )
                assert got.trusted
                proof = assemble(got.shared, got.keys[signer])
                epoch = trusted.epoch_at(proof.height)
                assert epoch is not None
                assert epoch.number == number

    log = HandMadeLog("epoch.test/log")
    ledger, first, anchored = run(before())
    network.join(2, wait=120)
    run(after(ledger, first, anchored))
