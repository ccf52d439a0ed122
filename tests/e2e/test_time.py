"""Time authorities of a running ledger: their tokens reach receipts, count, and stand before openssl."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.keys import load_ed25519
from chain import trustfile
from cli.stack import Stack
from protocol.checkpoint import TREE_HASHES, Checkpoint, statement_origin
from protocol.entry import evidence_id
from protocol.submission import Acceptance, check_acceptance
from tests.conftest import _remove, make_home
from tests.support.stack import BANK_A, caller, wait_for
from tests.support.time_tokens import authority, identity
from verifier.attestation import TokenAttestation
from verifier.attestation import parse as parse_attestation
from verifier.receipt import Receipt
from verifier.trust import TrustFile
from verifier.verdict import Report, Result, Status
from verifier.verify import verify_receipt

pytestmark = [pytest.mark.chain, pytest.mark.database]
YEARS = 365 * 86400


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One validator, two time authorities."""
    home = make_home()
    try:
        made = Stack(home)
        made.up(authorities=2)
        yield made
    finally:
        _remove(home)


@pytest.fixture(scope="module")
def stamped(stack: Stack) -> bytes:
    """A receipt with both authorities' tokens over both trees."""
    bank = caller(stack, "bank-a", BANK_A)
    submission = bank.submission([bank.entry()])
    answer = bank.post(submission)
    assert answer.status_code in (200, 201, 202), answer.text
    key = load_ed25519(bank.home / "keys" / "log-centre.json").public_key
    identity = evidence_id(check_acceptance(submission, Acceptance.parse(answer.content), key)[0])

    def complete() -> bytes | None:
        with httpx.Client(base_url=bank.url, trust_env=False) as http:
            found = http.get(f"/v1/evidence/{identity.hex()}/receipt", headers=bank.headers())
        return found.content if found.status_code == 200 and len(tokens(found.content)) == 4 else None

    data: bytes = wait_for(complete, 60)
    return data


def tokens(receipt: bytes) -> list[TokenAttestation]:
    found = [parse_attestation(one, n) for n, one in enumerate(Receipt.parse(receipt).attestations)]
    return [one for one in found if isinstance(one, TokenAttestation)]


def trusting(stack: Stack, **changed: object) -> bytes:
    """The ledger's trust file with something changed, signed again by all."""
    payload = TrustFile.parse(stack.trust_path.read_bytes()).payload
    made = TrustFile.draft(dataclasses.replace(payload, **changed))  # type: ignore[arg-type]
    return trustfile.sign(made, map(load_ed25519, sorted(stack.keys.glob("trust-*.json")))).encode()


def time_of(report: Report) -> tuple[Status, str]:
    (verdict,) = (one for one in report.verdicts if one.name == "time")
    return verdict.status, verdict.code


def test_tokens_of_both_authorities_count(stack: Stack, stamped: bytes) -> None:
    at = int(time.time()) + 1
    payload = TrustFile.parse(stack.trust_path.read_bytes()).payload
    assert [one.name for one in payload.authorities] == ["time-a", "time-b"]
    report = verify_receipt(stamped, trusting(stack, time_tokens_required=2), at=at)
    assert time_of(report)[0] is Status.PASS, report.as_dict()
    # One of them alone is not two, whatever the number of its tokens.
    other = authority(identity("elsewhere"), "elsewhere")
    one = trusting(stack, time_tokens_required=2, authorities=(payload.authorities[0], other))
    assert time_of(verify_receipt(stamped, one, at=at)) == (Status.REDUCED, "TimeTokensMissing")
    bare = dataclasses.replace(Receipt.parse(stamped), attestations=()).encode()
    required = trusting(stack, time_tokens_required=1)
    assert time_of(verify_receipt(bare, required, at=at)) == (Status.REDUCED, "TimeTokensMissing")


def test_tokens_end_with_their_certificates(stack: Stack, stamped: bytes) -> None:
    payload = TrustFile.parse(stack.trust_path.read_bytes()).payload
    later = trusting(stack, time_tokens_required=2, valid_until=payload.issued_at + 9 * YEARS)
    report = verify_receipt(stamped, later, at=payload.issued_at + 6 * YEARS)
    assert time_of(report) == (Status.REDUCED, "TimeTokensExpired")
    assert report.result is Result.VALID_REDUCED_TRUST


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program here")
def test_openssl_accepts_what_the_receipt_carries(stack: Stack, stamped: bytes, tmp_path: Path) -> None:
    core = Receipt.parse(stamped).core
    accepted = 0
    for position, one in enumerate(tokens(stamped)):
        assert one.where is None
        root = (core.link.root_sha256, core.link.root_sm3)[one.algorithm]
        text = Checkpoint(statement_origin(core.log.origin, one.algorithm), core.link.size, root).text()
        (tmp_path / "token").write_bytes(one.token)
        name = ("time-a", "time-b")[position % 2]
        root_file = stack.home / "time" / name / "root.der"
        for command in (
            ["openssl", "x509", "-inform", "DER", "-in", str(root_file), "-out", "root.pem"],
            ["openssl", "ts", "-verify", "-in", "token", "-token_in", "-CAfile", "root.pem",
             "-digest", TREE_HASHES[one.algorithm].digest(text).hex()],
        ):  # fmt: skip
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
        accepted += "Verification: OK" in done.stdout
    assert accepted == 4


def test_an_authority_that_was_killed_is_shown(stack: Stack, stamped: bytes) -> None:
    assert stack.times.stop("time-a", hard=True)
    services = {one.name: one.running for one in stack.state().services}
    assert services["time:time-a"] is False
    assert services["time:time-b"] is True
    stack.up()
    assert all(one.running for one in stack.state().services)
