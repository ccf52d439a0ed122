"""The record of what was deployed: what everything else needs to know to find and to check the contracts.

It holds nothing secret and nothing that has to be believed: `chain.deploy.check` compares it with the chain.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chain.bindings import EVIDENCE_LOG, GOVERNANCE, REGISTRY
from chain.errors import DeploymentMissing
from protocol import expect
from protocol.acts import Domain
from protocol.errors import MalformedInput
from protocol.identifiers import format_address, parse_address, parse_hex32

FILE_NAME = "deployment.json"
VERSION = 1
ENGINES = ("cometbft", "qbft", "clique", "dev")
_MAX_FILE = 1 << 20
_MAX_URLS = 64


@dataclass(frozen=True)
class GenesisKey:
    """A key that an organisation has from the start. `address` is 20 bytes, times in seconds."""

    address: bytes
    purpose: int
    not_before: int
    not_after: int


@dataclass(frozen=True)
class GenesisOrganisation:
    """An organisation as the registry's constructor takes it; its index is its place, from 1."""

    id: bytes
    roles: int
    interest_group: int
    vote: bool
    keys: tuple[GenesisKey, ...]

    def abi(self) -> tuple[Any, ...]:
        """The struct `NewOrganisation`."""
        keys = tuple((k.address, k.purpose, k.not_before, k.not_after) for k in self.keys)
        return (self.id, self.roles, self.interest_group, self.vote, keys)


@dataclass(frozen=True)
class DeployedContract:
    """Address (20 bytes), Keccak-256 of its code with immutables, and the transaction that made it."""

    address: bytes
    code_hash: bytes
    transaction: bytes


@dataclass(frozen=True)
class Deployment:
    """`deployment.json`. `rpc` and `comet` are node addresses in the order of preference.

    `block` is the block of the first deployment transaction: no event of ours is older.
    """

    chain_id: int
    engine: str
    network_id: str
    rpc: tuple[str, ...]
    comet: tuple[str, ...]
    registry: DeployedContract
    governance: DeployedContract
    evidence_log: DeployedContract
    rotation_delay: int
    delay: int
    threshold: int
    genesis: tuple[GenesisOrganisation, ...]
    block: int

    @property
    def contracts(self) -> dict[str, DeployedContract]:
        """By contract name."""
        return {
            REGISTRY: self.registry,
            GOVERNANCE: self.governance,
            EVIDENCE_LOG: self.evidence_log,
        }

    @property
    def registry_domain(self) -> Domain:
        """For acts about keys."""
        return Domain(self.chain_id, self.registry.address)

    @property
    def governance_domain(self) -> Domain:
        """For approvals and objections."""
        return Domain(self.chain_id, self.governance.address)

    @property
    def log_domain(self) -> Domain:
        """For anchors, submissions and logins."""
        return Domain(self.chain_id, self.evidence_log.address)

    def with_urls(self, rpc: tuple[str, ...], comet: tuple[str, ...]) -> Deployment:
        """The same contracts through other nodes; an empty tuple keeps what is recorded."""
        return replace(self, rpc=rpc or self.rpc, comet=comet or self.comet)

    def as_json(self) -> dict[str, Any]:
        """The document, also what `chain.bytecode.expected_code` reads."""
        return {
            "version": VERSION,
            "chainId": self.chain_id,
            "engine": self.engine,
            "networkId": self.network_id,
            "rpc": list(self.rpc),
            "comet": list(self.comet),
            "contracts": {
                name: {
                    "address": format_address(contract.address),
                    "codeHash": contract.code_hash.hex(),
                    "transaction": contract.transaction.hex(),
                }
                for name, contract in self.contracts.items()
            },
            "rotationDelay": self.rotation_delay,
            "delay": self.delay,
            "threshold": self.threshold,
            "genesis": [
                {
                    "id": org.id.hex(),
                    "roles": org.roles,
                    "interestGroup": org.interest_group,
                    "vote": org.vote,
                    "keys": [
                        {
                            "address": format_address(key.address),
                            "purpose": key.purpose,
                            "notBefore": key.not_before,
                            "notAfter": key.not_after,
                        }
                        for key in org.keys
                    ],
                }
                for org in self.genesis
            ],
            "block": self.block,
        }

    def save(self, home: Path) -> Path:
        """Write `<home>/deployment.json` whole or not at all."""
        return write_record(home / FILE_NAME, self.as_json())


def load(path: Path) -> Deployment:
    """Read a record: a file, or a home that holds one. Raises DeploymentMissing, MalformedInput."""
    if path.is_dir():
        path = path / FILE_NAME
    return parse(read_record(path, _MAX_FILE, hint="caseledger deploy, or copy the consortium's record"))


def write_record(path: Path, document: dict[str, Any]) -> Path:
    """Write a record of deployed contracts whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(document, out, indent=1)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    os.chmod(partial, 0o644)
    os.replace(partial, path)
    return path


def read_record(path: Path, limit: int, *, hint: str) -> bytes:
    """The bytes of a record, one more than `limit` at most. Raises DeploymentMissing."""
    try:
        with path.open("rb") as source:
            return source.read(limit + 1)
    except OSError:
        raise DeploymentMissing(f"no {path.name}", field=path.name, hint=hint) from None


_MEMBERS = (
    "version", "chainId", "engine", "networkId", "rpc", "comet", "contracts", "rotationDelay", "delay",
    "threshold", "genesis", "block",
)  # fmt: skip


def parse(data: bytes) -> Deployment:
    """A record from its JSON. Raises MalformedInput, UnknownVersion."""
    record = expect.json_object(data, FILE_NAME, _MEMBERS, max_bytes=_MAX_FILE)
    expect.version(record["version"], VERSION)
    engine = record["engine"]
    if engine not in ENGINES:
        raise MalformedInput(f"engine: one of {', '.join(ENGINES)}", field="engine")
    contracts = expect.json_members(record["contracts"], "contracts", (REGISTRY, GOVERNANCE, EVIDENCE_LOG))
    return Deployment(
        chain_id=expect.uint(record["chainId"], "chainId", expect.UINT53_MAX, minimum=1),
        engine=str(engine),
        network_id=expect.text(record["networkId"], "networkId", 64),
        rpc=_urls(record["rpc"], "rpc"),
        comet=_urls(record["comet"], "comet"),
        registry=parse_contract(contracts[REGISTRY], REGISTRY),
        governance=parse_contract(contracts[GOVERNANCE], GOVERNANCE),
        evidence_log=parse_contract(contracts[EVIDENCE_LOG], EVIDENCE_LOG),
        rotation_delay=expect.uint(record["rotationDelay"], "rotationDelay", expect.UINT40_MAX),
        delay=expect.uint(record["delay"], "delay", expect.UINT40_MAX),
        threshold=expect.uint(record["threshold"], "threshold", expect.UINT32_MAX),
        genesis=tuple(_organisation(item) for item in expect.json_array(record["genesis"], "genesis", 4096)),
        block=expect.uint(record["block"], "block"),
    )


def _urls(value: object, field: str) -> tuple[str, ...]:
    urls = tuple(expect.text(item, field, 512) for item in expect.json_array(value, field, _MAX_URLS))
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise MalformedInput(f"{field}: an http or https address is expected", field=field)
    return urls


def parse_contract(value: object, name: str) -> DeployedContract:
    """Address, code hash and transaction of one contract. Raises MalformedInput."""
    members = expect.json_members(value, name, ("address", "codeHash", "transaction"))
    return DeployedContract(
        parse_address(str(members["address"]), f"{name}.address"),
        parse_hex32(str(members["codeHash"]), f"{name}.codeHash"),
        parse_hex32(str(members["transaction"]), f"{name}.transaction"),
    )


def _organisation(value: object) -> GenesisOrganisation:
    members = expect.json_members(value, "genesis", ("id", "roles", "interestGroup", "vote", "keys"))
    if not isinstance(members["vote"], bool):
        raise MalformedInput("vote: true or false is expected", field="vote")
    return GenesisOrganisation(
        parse_hex32(str(members["id"]), "id"),
        expect.uint(members["roles"], "roles", expect.UINT32_MAX),
        expect.uint(members["interestGroup"], "interestGroup", expect.UINT32_MAX),
        members["vote"],
        tuple(_key(item) for item in expect.json_array(members["keys"], "keys", 64)),
    )


def _key(value: object) -> GenesisKey:
    members = expect.json_members(value, "key", ("address", "purpose", "notBefore", "notAfter"))
    return GenesisKey(
        parse_address(str(members["address"]), "key.address"),
        expect.uint(members["purpose"], "key.purpose", 255),
        expect.uint(members["notBefore"], "key.notBefore", expect.UINT40_MAX),
        expect.uint(members["notAfter"], "key.notAfter", expect.UINT40_MAX),
    )
