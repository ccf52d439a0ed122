"""The whole local ledger for a bench, as `caseledger up` starts it, and one bank that submits to it."""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.client import GatewayClient
from agent.errors import GatewayRefused
from agent.login import LoginTokens
from agent.profile import Profile, load_profile
from benchmarks.entries import EntryMaker, Submitter
from benchmarks.rows import BenchFailed
from chain.networks.cometbft import CometNetwork
from cli.stack import Stack
from protocol.submission import Acceptance, Submission, check_acceptance


@dataclass(frozen=True)
class Ledger:
    """A running ledger and the bank's view of it."""

    stack: Stack
    profile: Profile
    client: GatewayClient
    submitter: Submitter
    log_key: bytes

    @property
    def home(self) -> Path:
        return self.stack.home

    def pid(self, service: str) -> int:
        """Process number of `gateway` or `worker`."""
        return int((self.stack.run_folder / f"{service}.pid").read_text())

    def height(self) -> int:
        """Number of the newest block."""
        url = CometNetwork.load(self.home).rpc_urls[0]
        question = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        request = urllib.request.Request(  # noqa: S310 - our own node on loopback
            url, json.dumps(question).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return int(json.loads(answer.read())["result"], 16)

    def accept(self, submission: Submission) -> tuple[Acceptance, list[bytes]]:
        """Submits and checks the promise; the answer and the sequenced leaves."""
        encoded = self.client.submit(submission.log_id, submission.encode())
        acceptance = Acceptance.parse(encoded)
        return acceptance, check_acceptance(submission, acceptance, self.log_key)

    def must_refuse_forgery(self) -> None:
        """Raises BenchFailed unless the gateway refuses a wrong signature as one."""
        forged = self.submitter.forged(1)
        try:
            self.client.submit(forged.log_id, forged.encode())
        except GatewayRefused as error:
            if error.status not in (401, 403):
                raise BenchFailed(f"a wrong signature was refused with {error.status}") from error
            return
        raise BenchFailed("a wrong signature was accepted")


@contextlib.contextmanager
def running(folder: Path, validators: int) -> Iterator[Ledger]:
    """Up, and everything gone afterwards."""
    home = folder / "home"
    stack = Stack(home)
    try:
        stack.up(validators=validators)
        profile = load_profile(home)
        log = next(iter(profile.logs.values()))
        submitter = Submitter(
            log.log_id, log.domain, profile.organisation, profile.act_key, EntryMaker(profile.organisation)
        )
        signer = profile.auth_key or profile.act_key
        tokens = LoginTokens(signer, profile.organisation, profile.login_domain(), time.time)
        with GatewayClient(profile.gateways[0], tokens=tokens) as client:
            yield Ledger(stack, profile, client, submitter, log.public_key)
    finally:
        stack.reset()


def resident_mb(pid: int) -> float:
    """Resident memory of a process, 10^6 bytes."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        raise BenchFailed("the process is gone, or this system has no /proc") from None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
