"""Trust files of version 4: contracts that are named beside registry and log, rightly and wrongly."""

from __future__ import annotations

import dataclasses

from tests.support.fakechain import seeded
from tests.support.world import World
from verifier.trust_payload import FurtherContract, TrustPayload

CHAIN = World().chain_id
CASES = FurtherContract(CHAIN, "CaseLedger", seeded("cases")[:20], seeded("code of cases"))
BATCHES = FurtherContract(CHAIN, "CaseBatches", seeded("batches")[:20], seeded("code of batches"))


def further(*contracts: FurtherContract) -> TrustPayload:
    """A payload that names these."""
    return World(version=4, contracts=contracts).payload


GOOD: dict[str, TrustPayload] = {
    "none": further(),
    "one": further(CASES),
    "two": further(BATCHES, CASES),
}
MALFORMED: dict[str, TrustPayload] = {
    "a contract twice": further(CASES, CASES),
    "a contract's name twice": further(CASES, dataclasses.replace(CASES, address=seeded(8)[:20])),
    "contracts descending": further(CASES, BATCHES),
    "a contract on another chain": further(dataclasses.replace(CASES, chain_id=7778)),
    "a contract with chain 0": further(dataclasses.replace(CASES, chain_id=0)),
    "two contracts at one address": further(BATCHES, dataclasses.replace(CASES, address=BATCHES.address)),
    "a contract at the registry's address": further(dataclasses.replace(CASES, address=World().registry)),
    "a contract at the log's address": further(dataclasses.replace(CASES, address=World().evidence_log)),
    "a contract of a short address": further(dataclasses.replace(CASES, address=bytes(19))),
    "a contract of a long code hash": further(dataclasses.replace(CASES, code_hash=bytes(33))),
    "a contract without a name": further(dataclasses.replace(CASES, name="")),
    "a contract's name with a blank": further(dataclasses.replace(CASES, name="Case Ledger")),
    "a contract's name with a line": further(dataclasses.replace(CASES, name="CaseLedger\n")),
    "a contract's name that begins with a digit": further(dataclasses.replace(CASES, name="2Cases")),
    "a contract's name of 33": further(dataclasses.replace(CASES, name="C" * 33)),
    "65 contracts": further(
        *(FurtherContract(7777, f"C{n:02}", n.to_bytes(20, "big"), bytes(32)) for n in range(65))
    ),
    "contracts, and an origin as a renewal's line": World(version=4, origin="x/sha3-256").payload,
}
