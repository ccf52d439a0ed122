"""`caseledger net` for a Clique network: signers instead of validators, no joining or leaving."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import CaseledgerError
from protocol.i18n import Language, Text

if TYPE_CHECKING:
    from chain.networks.clique import CliqueNetwork, SignerStatus

SIGNERS = 3
_DEPTH = Text(
    "该链没有最终性，收据的结论至多是 VALID_REDUCED_TRUST（DepthFinality）",
    "this chain has no finality: receipts are VALID_REDUCED_TRUST at best (DepthFinality)",
)
_COLUMNS = (
    Text("签名者", "signer"), Text("管理方", "controller"), Text("高度", "height"), Text("对等", "peers"),
    Text("内存", "memory"), Text("磁盘", "disk"),
)  # fmt: skip
_DOWN = Text("已停", "down")


class ActionNotOnThisEngine(CaseledgerError):
    """The engine of this network has no such action."""

    http_status = 422
    title = "not on this engine"


def existing(home: Path) -> CliqueNetwork | None:
    """The Clique network under this home, if it is one."""
    from chain.networks.clique import CliqueNetwork
    from chain.networks.errors import NetworkMissing

    try:
        return CliqueNetwork.load(home)
    except NetworkMissing:
        return None


def up(args: argparse.Namespace, home: Path, progress: Callable[[str], None]) -> CliqueNetwork:
    """Make it if there is none, start what is down."""
    from chain.networks.clique import CliqueNetwork
    from chain.networks.errors import NetworkSettingRefused

    block = args.block_time or "1s"
    if not block.removesuffix("s").isdigit() or not block.endswith("s"):
        raise NetworkSettingRefused("whole seconds, such as 2s", field="block-time")
    network = existing(home) or CliqueNetwork.create(
        home, signers=args.validators or SIGNERS, period=int(block[:-1]), progress=progress
    )
    network.up(progress=progress)
    return network


def show(network: CliqueNetwork, args: argparse.Namespace, lang: Language) -> bool:
    """Print the status; whether more than half of the signers run."""
    signers = network.status()
    moving = 2 * sum(signer.running for signer in signers) > len(signers)
    if args.json:
        told = {
            "chain_id": network.chain_id, "evm_chain_id": network.evm_chain_id,
            "running": sum(signer.running for signer in signers), "moving": moving,
            "signers": [asdict(signer) for signer in signers],
        }  # fmt: skip
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return moving
    print(f"{network.chain_id} ({network.evm_chain_id})")
    print("  ".join(column.choose(lang) for column in _COLUMNS))
    for signer in signers:
        print("  ".join(_row(signer, lang)))
    print(_DEPTH.choose(lang))
    return moving


def _row(signer: SignerStatus, lang: Language) -> list[str]:
    from cli.net import controller_name

    return [
        str(signer.number), controller_name(signer.controller, lang),
        str(signer.height) if signer.running else _DOWN.choose(lang),
        "–" if signer.peers is None else str(signer.peers),
        "–" if signer.memory_bytes is None else f"{signer.memory_bytes / 1e6:.0f} MB",
        f"{signer.disk_bytes / 1e6:.0f} MB",
    ]  # fmt: skip
