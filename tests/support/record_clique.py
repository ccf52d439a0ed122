"""Records `tests/vectors/recorded/clique.json` from live signers: `python -m tests.support.record_clique`.

Three signers with a short epoch: contracts are deployed, then runs of headers and storage proofs are taken:
present and absent slots, a header with the signer list, and headers sealed while one signer was killed. Keys
and addresses are new each time, so the file is recorded once and then frozen.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chain.capture import header_rlp
from chain.deployment import DeployedContract
from chain.engines import profile
from chain.networks.clique import CliqueNetwork
from protocol.identifiers import format_address
from protocol.keyslot import key_slot_position
from tests.support.clique import ask, block, running
from tests.support.ledger import found
from verifier import clique

TARGET = Path(__file__).parents[1] / "vectors" / "recorded" / "clique.json"


def run_of(network: CliqueNetwork, first: int, count: int) -> dict[str, Any]:
    """A line with headers alone."""
    until(network, first + count - 1)
    raws = [header_rlp(block(network, 1, number)) for number in range(first, first + count)]
    headers, sealers = clique.verify_headers(raws, list(network.signers))
    return {
        "headers": ["0x" + raw.hex() for raw in raws],
        "signers": [format_address(signer) for signer in network.signers],
        "block_number": first,
        "block_hash": "0x" + headers[0].block_hash.hex(),
        "sealers": [format_address(sealer) for sealer in sealers],
    }


def stored(
    network: CliqueNetwork, contract: DeployedContract, slot: bytes, first: int, count: int
) -> dict[str, Any]:
    """A line with a slot as of its first header."""
    line = run_of(network, first, count)
    address = "0x" + contract.address.hex()
    said = ask(network, 1, "eth_getProof", address, ["0x" + slot.hex()], hex(first))
    said["storageProof"][0]["key"] = "0x" + slot.hex()
    value = int(said["storageProof"][0]["value"], 16)
    return {
        **line, "contract": address, "slot": "0x" + slot.hex(),
        "value": "0x" + value.to_bytes(32, "big").hex(), "proof": said,
    }  # fmt: skip


def until(network: CliqueNetwork, height: int) -> None:
    """Wait for a block."""
    while (network.height(1) or 0) < height:
        time.sleep(0.2)


def record() -> dict[str, Any]:
    """The whole file."""
    with running(signers=3, epoch=16) as network, TemporaryDirectory() as folder:
        ledger = asyncio.run(found(network, Path(folder), profile("clique")))
        contracts = ledger.deployment
        height = (network.height(1) or 0) + 1
        key = key_slot_position(ledger.key("court-act").address)
        lines = [
            {"about": "a key slot", **stored(network, contracts.registry, key, height, 2)},
            {
                "about": "counters, more headers",
                **stored(network, contracts.registry, (7).to_bytes(32, "big"), height, 5),
            },
            {
                "about": "an absent slot",
                **stored(network, contracts.evidence_log, (99).to_bytes(32, "big"), height, 3),
            },
        ]
        epoch = (height // 16 + 1) * 16
        lines.append({"about": "a header with the signer list", **run_of(network, epoch - 1, 4)})
        network.kill(3)
        height = (network.height(1) or 0) + 4
        lines.append({"about": "one signer down: out of turn", **run_of(network, height, 4)})
    return {"about": "geth 1.13.15, Clique, London, three signers", "proofs": lines}


if __name__ == "__main__":
    TARGET.write_text(json.dumps(record(), indent=1) + "\n")
