"""A whole local ledger as `caseledger up` makes it, and a second operator with everything its own."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from agent.keys import KeyLabel, Secp256k1Key, key_path, load_ed25519, load_secp256k1, new_key, save_key
from agent.login import LoginTokens
from chain import consortium as consortiums
from chain import deployment as deployments
from chain import governance, trustfile
from chain.configuration import pool_of
from chain.consortium import LogEntry
from chain.direct import send
from chain.evm import Evm
from chain.networks.processes import free_ports
from chain.signer import load_relayer
from cli.stack import Stack
from cli.trust_build import local_validators
from cli.trust_build import write as write_trust
from evidence.logs import create_log
from protocol.acts import Domain
from protocol.entry import Body, EvidenceClass, Header
from protocol.hashing import sha256
from protocol.identifiers import case_commitment, case_ref, log_id
from protocol.submission import EntryBytes, Submission
from storage.cluster import Cluster
from storage.db import migrate
from verifier.trust import TrustFile

ROOT = Path(__file__).resolve().parents[2]
ASSOCIATION, BANK_A, BANK_B, COURT, REGULATOR = 2, 5, 6, 3, 4
ORIGIN = "caseledger.localhost/evidence"


def wait_for(what: Any, seconds: float = 30.0, pause: float = 0.1) -> Any:
    """The first truthy answer of `what()`."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(getattr(what, "__name__", "condition"))
        time.sleep(pause)


@dataclass(frozen=True)
class Caller:
    """An organisation with its keys, speaking to a gateway over plain HTTP."""

    home: Path
    slug: str
    index: int
    domain: Domain
    log_id: bytes
    url: str

    def key(self, purpose: str = "act") -> Secp256k1Key:
        return load_secp256k1(key_path(self.home / "keys", f"{self.slug}-{purpose}"))

    def token(self, audience: str | None = None) -> str:
        return LoginTokens(self.key("auth"), self.index, self.domain, time.time).token(audience or self.url)

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token()}"}

    def entry(self, case_id: bytes | None = None, content: bytes | None = None, **body: Any) -> EntryBytes:
        case = case_id or secrets.token_bytes(32)
        salt = secrets.token_bytes(32)
        header = Header(EvidenceClass.CONTRACT, self.index, case_commitment(case))
        made = Body(
            content_sha256=sha256(content or secrets.token_bytes(8)),
            content_sm3=secrets.token_bytes(32),
            content_size=8,
            media_type="text/plain",
            salt=salt,
            case_ref=case_ref(salt, case),
        )
        return header.pack(), replace(made, **body).encode()

    def submission(self, entries: list[EntryBytes] | None = None, **changes: Any) -> Submission:
        values: dict[str, Any] = {
            "log_id": self.log_id,
            "organisation": self.index,
            "valid_until": int(time.time()) + 600,
            "entries": entries or [self.entry()],
            "domain": self.domain,
            "key": self.key(),
        }
        return Submission.sign(**{**values, **changes})

    @property
    def path(self) -> str:
        return f"/v1/logs/{self.log_id.hex()}/submissions"

    def post(self, submission: Submission | bytes, **headers: str) -> httpx.Response:
        data = submission if isinstance(submission, bytes) else submission.encode()
        sent = {"content-type": "application/cbor", "accept": "application/cbor", **headers}
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as http:
            return http.post(self.path, content=data, headers=sent)


def caller(stack: Stack, slug: str, index: int, origin: str = ORIGIN) -> Caller:
    """A member of the stack's consortium."""
    deployment = deployments.load(stack.home)
    url = stack.gateway_url
    if url is None:
        raise RuntimeError("the stack is not configured")
    keys_home = stack.home if key_path(stack.home / "keys", f"{slug}-act").exists() else stack.home.parent
    return Caller(keys_home, slug, index, deployment.log_domain, log_id(origin), url)


def command(home: Path, *arguments: str, expect: int | None = 0, timeout: float = 240) -> Any:
    """`caseledger … --json` as a person's shell would run it; its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, "--home", str(home), "--json"],
        env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"exit {done.returncode}: {done.stdout[-600:]} {done.stderr[-600:]}")
    text = done.stdout or done.stderr
    return json.loads(text) if text.strip() else None


def environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT)}


class SecondOperator:
    """Bank B's own gateway: own database, own worker, own log, own relayers; the same chain."""

    def __init__(self, first: Stack, home: Path) -> None:
        self.first = first
        self.stack = Stack(home)
        self.origin = f"caseledger.localhost/{secrets.token_hex(4)}"

    def start(self) -> None:
        home = self.stack.home
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "keys").mkdir(mode=0o700, exist_ok=True)
        for name in (
            "bank-b-anchor.json",
            "bank-b-act.json",
            "bank-b-auth.json",
            "relayer-3.key",
            "relayer-4.key",
        ):
            shutil.copy2(self.first.home / "keys" / name, home / "keys" / name)
        log_key = new_key("ed25519", KeyLabel("log-bank-b", "log", BANK_B))
        save_key(log_key, home / "keys")
        shutil.copy2(self.first.home / deployments.FILE_NAME, home / deployments.FILE_NAME)
        cluster = Cluster(home)
        cluster.start()
        asyncio.run(self._found(cluster, LogEntry(self.origin, BANK_B, bytes.fromhex(log_key.public))))
        port = free_ports(1)[0]
        (home / "caseledger.toml").write_text(
            f'[gateway]\nport = {port}\norganisation = {BANK_B}\nlog_origin = "{self.origin}"\n'
            'log_key = "log-bank-b"\nanchor_key = "bank-b-anchor"\n'
            'relayer_keys = ["relayer-3", "relayer-4"]\n'
        )
        self.stack.start_services(port)

    async def _found(self, cluster: Cluster, log: LogEntry) -> None:
        await migrate(cluster.dsn("migrator"))
        deployment = deployments.load(self.first.home)
        consortium = consortiums.load(self.first.home / consortiums.FILE_NAME)
        async with pool_of(deployment) as pool:
            evm = Evm(pool)
            proposal = governance.open_log(deployment, log.origin, log.operator)
            until = int((await evm.head()).time) + 3600
            approvals = [
                proposal.approve(
                    deployment,
                    index,
                    load_secp256k1(key_path(self.first.keys, f"{member.slug}-act")),
                    until,
                )
                for index, member in enumerate(consortium.members, start=1)
                if member.organisation.vote
            ]
            sender = load_relayer(self.first.keys / "deployer.key")
            await send(
                evm,
                sender,
                proposal.schedule(deployment, approvals),
                chain_id=deployment.chain_id,
                gas_price=1,
            )
            await asyncio.sleep(deployment.delay + 2)
            await send(evm, sender, proposal.execute(deployment), chain_id=deployment.chain_id, gas_price=1)
            wider = replace(consortium, logs=(*consortium.logs, log))
            held = TrustFile.parse(self.first.trust_path.read_bytes())
            made = await trustfile.draft(
                pool,
                deployment,
                wider,
                named=trustfile.named_validators(wider, local_validators(self.first.home)),
                now=int(time.time()),
                held=held,
                valid_for=24 * 3600,
            )
        keys = sorted(self.first.keys.glob("trust-*.json"))
        made = trustfile.sign(made, map(load_ed25519, keys))
        # Not accepted by the first home: later runs of `up` there must not find a file they did not make.
        write_trust(self.stack.accepted_path, made)
        connection = await asyncpg.connect(cluster.dsn("migrator"))
        try:
            await create_log(
                connection,
                origin=log.origin,
                chain_id=deployment.chain_id,
                contract=deployment.evidence_log.address,
                registry=deployment.registry.address,
                operator=log.operator,
                now=int(time.time()),
            )
        finally:
            await connection.close()

    def stop(self) -> None:
        for name in ("gateway", "worker"):
            self.stack.stop_service(name)
        Cluster(self.stack.home).destroy()
        shutil.rmtree(self.stack.home, ignore_errors=True)
