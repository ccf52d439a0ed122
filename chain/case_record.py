"""The record of a deployed case room, `cases.json`, beside that of the ledger.

Like `deployment.json` it holds nothing secret and nothing that has to be believed:
`chain.case_deployment.check_cases` compares it with the chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.case_contracts import POLICIES, CaseContracts, PolicyVersion, contract_names
from chain.deployment import DeployedContract, parse_contract, read_record, write_record
from chain.errors import DeploymentMismatch
from protocol import expect
from protocol.errors import MalformedInput, UnknownVersion
from protocol.identifiers import format_address, parse_hex32

FILE_NAME = "cases.json"
VERSION = 2
_MAX_FILE = 1 << 16


@dataclass(frozen=True)
class CaseRecord:
    """`deployed`: by the artifact's name. `block`: of the first deployment transaction; no event is older."""

    chain_id: int
    version: PolicyVersion
    deployed: Mapping[str, DeployedContract]
    block: int

    @property
    def contracts(self) -> CaseContracts:
        """The addresses alone."""
        names = contract_names(self.version.name)
        return CaseContracts(self.chain_id, self.version, *(self.deployed[name].address for name in names))

    def as_json(self) -> dict[str, Any]:
        """The document."""
        return {
            "version": VERSION,
            "chainId": self.chain_id,
            "policy": self.version.name,
            "sourceDigest": self.version.source_digest.hex(),
            "contracts": {
                name: {
                    "address": format_address(contract.address),
                    "codeHash": contract.code_hash.hex(),
                    "transaction": contract.transaction.hex(),
                }
                for name, contract in self.deployed.items()
            },
            "block": self.block,
        }

    def save(self, home: Path) -> Path:
        """Write `<home>/cases.json` whole or not at all."""
        return write_record(home / FILE_NAME, self.as_json())


def load(path: Path) -> CaseRecord:
    """Read a record: a file, or a home that holds one. Raises DeploymentMissing, MalformedInput."""
    if path.is_dir():
        path = path / FILE_NAME
    return parse(
        read_record(path, _MAX_FILE, hint="caseledger deploy --cases, or copy the consortium's record")
    )


def load_if_there(path: Path, chain_id: int) -> CaseRecord | None:
    """The record, a file or in a home, if there is one.

    Raises MalformedInput, DeploymentMismatch (of another chain).
    """
    if not (path / FILE_NAME if path.is_dir() else path).exists():
        return None
    record = load(path)
    if record.chain_id != chain_id:
        raise DeploymentMismatch(
            f"{FILE_NAME} is of chain {record.chain_id}, not {chain_id}", field=FILE_NAME
        )
    return record


_MEMBERS = ("version", "chainId", "policy", "sourceDigest", "contracts", "block")


def parse(data: bytes) -> CaseRecord:
    """A record from its JSON. Raises MalformedInput, UnknownVersion."""
    record = expect.json_object(data, FILE_NAME, _MEMBERS, max_bytes=_MAX_FILE)
    try:
        expect.version(record["version"], VERSION)
    except UnknownVersion as error:
        raise UnknownVersion(
            f"{FILE_NAME} is of another release: {error.detail}",
            field="version",
            hint="a development ledger: caseledger reset, then up; else deploy the case contracts anew",
        ) from None
    policy = record["policy"]
    if policy not in POLICIES:
        raise MalformedInput(f"policy: one of {', '.join(POLICIES)}", field="policy")
    names = contract_names(str(policy))
    contracts = expect.json_members(record["contracts"], "contracts", names)
    deployed = {name: parse_contract(contracts[name], name) for name in names}
    if len({one.address for one in deployed.values()}) != len(names):
        raise MalformedInput("contracts: an address twice", field="contracts")
    return CaseRecord(
        chain_id=expect.uint(record["chainId"], "chainId", expect.UINT53_MAX, minimum=1),
        version=PolicyVersion(str(policy), parse_hex32(str(record["sourceDigest"]), "sourceDigest")),
        deployed=deployed,
        block=expect.uint(record["block"], "block"),
    )
