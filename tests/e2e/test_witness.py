"""Witnesses of a running ledger: cosignatures reach receipts, a killed witness comes back and catches up."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.keys import load_ed25519
from chain import trustfile
from chain.networks.processes import free_ports
from cli.stack import Stack
from protocol.entry import evidence_id
from protocol.submission import Acceptance, check_acceptance
from tests.conftest import _remove, make_home
from tests.support.stack import BANK_A, ORIGIN, ROOT, Caller, caller, command, environment, wait_for
from verifier.attestation import WitnessAttestation
from verifier.attestation import parse as parse_attestation
from verifier.receipt import Receipt
from verifier.trust import TrustFile
from verifier.verdict import Result
from verifier.verify import verify_receipt

pytestmark = [pytest.mark.chain, pytest.mark.database]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One validator, three witnesses."""
    home = make_home()
    try:
        made = Stack(home)
        made.up(witnesses=3)
        yield made
    finally:
        _remove(home)


def anchored(bank: Caller, count: int = 1) -> bytes:
    """Evidence id of a fresh entry."""
    submission = bank.submission([bank.entry() for _ in range(count)])
    answer = bank.post(submission)
    assert answer.status_code in (200, 201, 202), answer.text
    stack_key = load_ed25519(bank.home / "keys" / "log-centre.json").public_key
    return evidence_id(check_acceptance(submission, Acceptance.parse(answer.content), stack_key)[0])


def witnessed(bank: Caller, identity: bytes, cosigners: int) -> bytes:
    """The receipt once both trees have that many cosignatures."""

    def complete() -> bytes | None:
        with httpx.Client(base_url=bank.url, trust_env=False) as http:
            answer = http.get(f"/v1/evidence/{identity.hex()}/receipt", headers=bank.headers())
        if answer.status_code != 200:
            return None
        found = [
            parse_attestation(one, n) for n, one in enumerate(Receipt.parse(answer.content).attestations)
        ]
        counts = [len(one.cosignatures) for one in found if isinstance(one, WitnessAttestation)]
        return answer.content if counts and min(counts) >= cosigners and len(counts) == 2 else None

    data: bytes = wait_for(complete, 60)
    return data


def trust_without_validators(stack: Stack) -> bytes:
    """Court and regulator sign that they believe the witnesses and no validator set."""
    payload = TrustFile.parse(stack.trust_path.read_bytes()).payload
    chains = tuple(dataclasses.replace(chain, epochs=()) for chain in payload.chains)
    made = TrustFile.draft(dataclasses.replace(payload, chains=chains))
    return trustfile.sign(made, map(load_ed25519, sorted(stack.keys.glob("trust-*.json")))).encode()


def test_cosignatures_reach_the_receipt_and_carry_it_without_validators(stack: Stack) -> None:
    bank = caller(stack, "bank-a", BANK_A)
    early = anchored(bank)
    data = witnessed(bank, early, 3)
    at = int(time.time()) + 1
    policy = TrustFile.parse(stack.trust_path.read_bytes()).payload.witness_policy
    assert {one.organisation for one in policy.witnesses} == {"court", "regulator", "bank-association"}
    assert verify_receipt(data, stack.trust_path.read_bytes(), at=at).result is Result.VALID_REDUCED_TRUST
    report = verify_receipt(data, trust_without_validators(stack), at=at)
    assert report.result is Result.VALID_REDUCED_TRUST, report.as_dict()
    assert "WitnessesOnly" in {verdict.code for verdict in report.verdicts}
    # Without the attestations that trust file says nothing: keys in the receipt never count.
    bare = dataclasses.replace(Receipt.parse(data), attestations=()).encode()
    assert verify_receipt(bare, trust_without_validators(stack), at=at).result is Result.INVALID
    assert Receipt.parse(bare).core_bytes == Receipt.parse(data).core_bytes


def test_a_killed_witness_is_shown_and_catches_up_by_itself(stack: Stack) -> None:
    bank = caller(stack, "bank-a", BANK_A)
    assert stack.witnesses.stop("regulator", hard=True)
    identity = anchored(bank, 3)
    witnessed(bank, identity, 2)

    def steps() -> set[str]:
        with httpx.Client(base_url=bank.url, trust_env=False) as http:
            logs = http.get("/v1/status").json()["evidence"]["logs"]
        return {trouble["step"] for trouble in logs[0]["troubles"]}

    wait_for(lambda: steps() == {"witness:regulator.localhost/witness"}, 30)
    services = {one.name: one.running for one in stack.state().services}
    assert services["witness:regulator"] is False
    assert services["witness:court"] is True
    command(stack.home, "up")
    witnessed(bank, identity, 3)
    wait_for(lambda: not steps(), 60)


def test_a_mirror_alone_checks_receipts_when_gateway_and_chain_are_gone(stack: Stack, tmp_path: Path) -> None:
    """Last: it stops everything. The mirror reads the court's node, from the court's home."""
    bank = caller(stack, "bank-a", BANK_A)
    identity = anchored(bank, 300)
    receipt = tmp_path / "one.clr"
    receipt.write_bytes(witnessed(bank, identity, 2))
    home, port = stack.home / "witnesses" / "court", free_ports(1)[0]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "mirror", "--gateway", bank.url, "--listen", f"127.0.0.1:{port}",
         "--home", str(home)],
        cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        size = Receipt.parse(receipt.read_bytes()).core.link.size

        def caught_up() -> bool:
            with contextlib.suppress(httpx.HTTPError), httpx.Client(trust_env=False) as http:
                logs = {
                    one["origin"]: one for one in http.get(f"http://127.0.0.1:{port}/status").json()["logs"]
                }
                assert logs.keys() == {ORIGIN, f"{ORIGIN}-custody"}
                alarms = [one["alarm"] for one in logs.values() if one["alarm"] is not None]
                return bool(logs[ORIGIN]["size"] >= size and not alarms)
            return False

        wait_for(caught_up, 60)
        stack.down()
        with httpx.Client(trust_env=False) as http:
            base = f"http://127.0.0.1:{port}/v1/logs/{bank.log_id.hex()}"
            assert len(http.get(f"{base}/inclusion?index=1").json()["sm3"]) >= 8
    finally:
        process.terminate()
        process.wait(30)
    (told,) = command(home, "mirror", "--check", str(receipt))
    assert told["provedInBlock"] is not None
    assert told["provedBatch"] >= told["batch"]
    # The same leaf at another place is contradicted.
    made = Receipt.parse(receipt.read_bytes())
    other = dataclasses.replace(made.core, inclusion=dataclasses.replace(made.core.inclusion, index=7))
    receipt.write_bytes(Receipt(other, other.encode(), ()).encode())
    answer = command(home, "mirror", "--check", str(receipt), expect=1)
    assert answer["code"] == "MirrorContradicts"
