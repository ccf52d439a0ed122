#!/usr/bin/env python3
"""Compiles the contracts with the pinned solc and writes chain/abi/<Contract>.json; --check fails when stale.

One standard-JSON input with exactly our sources and what they import, so that the result does not depend on
which tests lie beside them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from chain.bytecode import ARTIFACTS, post_london_opcodes  # noqa: E402

COMPILER = "0.8.37+commit.f401782d"
ENTRIES = {
    "ConsortiumRegistry": "contracts/consortium/ConsortiumRegistry.sol",
    "ConsortiumGovernance": "contracts/consortium/ConsortiumGovernance.sol",
    "EvidenceLog": "contracts/evidence/EvidenceLog.sol",
    "WorkCalendar": "contracts/cases/WorkCalendar.sol",
    "EvidenceGuard": "contracts/cases/EvidenceGuard.sol",
    "LifecycleV1": "contracts/cases/LifecycleV1.sol",
    "LifecycleV1TestClock": "contracts/cases/LifecycleV1TestClock.sol",
    "CaseBatches": "contracts/cases/CaseBatches.sol",
    "CaseLedger": "contracts/cases/CaseLedger.sol",
    "ActCarrier": "contracts/cases/ActCarrier.sol",
}
SETTINGS: dict[str, Any] = {
    "evmVersion": "london",
    "optimizer": {"enabled": True, "runs": 10000},
    "viaIR": False,
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}
OUTPUT = {
    "*": {
        "": ["ast"],
        "*": [
            "abi",
            "evm.bytecode.object",
            "evm.deployedBytecode.object",
            "evm.deployedBytecode.immutableReferences",
            "storageLayout",
        ],
    }
}
_IMPORT = re.compile(r"^import\s(?:[^\"';]*\sfrom\s+)?[\"']([^\"']+)[\"'];", re.MULTILINE)

Json = dict[str, Any]


def collect_sources(root: Path = ROOT) -> dict[str, str]:
    """Source unit name → text, for the entries and all that they import."""
    texts: dict[str, str] = {}
    pending = sorted(ENTRIES.values())
    while pending:
        unit = pending.pop()
        if unit in texts:
            continue
        folder = root if unit.startswith("contracts/") else root / "node_modules"
        texts[unit] = (folder / unit).read_text("utf-8")
        for name in _IMPORT.findall(texts[unit]):
            if name.startswith("."):
                base = Path("/") / Path(unit).parent / name
                name = str(base.resolve()).removeprefix("/")
            pending.append(name)
    return dict(sorted(texts.items()))


def standard_input(texts: dict[str, str]) -> Json:
    """The compiler's whole input."""
    return {
        "language": "Solidity",
        "sources": {unit: {"content": text} for unit, text in texts.items()},
        "settings": {**SETTINGS, "outputSelection": OUTPUT},
    }


def input_digest(texts: dict[str, str]) -> str:
    """SHA-256 over compiler version, settings and every source, in canonical JSON."""
    canonical = json.dumps([COMPILER, SETTINGS, texts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def run_shim(compiler_input: Json) -> Json:
    """Compiles through scripts/solc."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "solc"), "--standard-json"],
        input=json.dumps(compiler_input),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    output: Json = json.loads(done.stdout)
    return output


def require_clean(output: Json) -> None:
    """Any error, and any warning in our own sources, ends the run."""
    bad = [
        message["formattedMessage"]
        for message in output.get("errors", [])
        if message["severity"] == "error"
        or (message.get("sourceLocation") or {}).get("file", "").startswith("contracts/")
    ]
    if bad:
        raise SystemExit("\n".join(bad))


def _immutable_names(output: Json) -> dict[int, tuple[str, str]]:
    """AST id → (name, type) of every immutable state variable."""
    names: dict[int, tuple[str, str]] = {}

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("nodeType") == "VariableDeclaration" and node.get("mutability") == "immutable":
                names[node["id"]] = (node["name"], node["typeDescriptions"]["typeString"])
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    for source in output["sources"].values():
        visit(source["ast"])
    return names


def _layout(layout: Json) -> Json:
    """The storage layout without AST ids: variables, and the members of every struct that they use."""
    types = layout.get("types") or {}

    def rows(variables: list[Json]) -> list[Json]:
        return [
            {
                "name": variable["label"],
                "slot": int(variable["slot"]),
                "offset": variable["offset"],
                "type": types[variable["type"]]["label"],
            }
            for variable in variables
        ]

    structs = {kind["label"]: rows(kind["members"]) for kind in types.values() if "members" in kind}
    return {"variables": rows(layout["storage"]), "structs": structs}


def artifacts(output: Json, digest: str) -> dict[str, Json]:
    """The committed form of every contract."""
    names = _immutable_names(output)
    result: dict[str, Json] = {}
    for contract in ARTIFACTS:
        unit = ENTRIES[contract]
        compiled = output["contracts"][unit][contract]
        deployed = compiled["evm"]["deployedBytecode"]
        immutables = {
            names[int(ast_id)][0]: {
                "type": names[int(ast_id)][1],
                "references": sorted([place["start"], place["length"]] for place in places),
            }
            for ast_id, places in deployed["immutableReferences"].items()
        }
        if len(immutables) != len(deployed["immutableReferences"]):
            raise SystemExit(f"{contract}: two immutables share a name")
        found = post_london_opcodes(bytes.fromhex(deployed["object"]))
        if found:
            raise SystemExit(f"{contract}: opcodes after London: {found[:5]}")
        result[contract] = {
            "contract": contract,
            "source": unit,
            "compiler": {"version": COMPILER, "settings": SETTINGS},
            "inputDigest": digest,
            "abi": compiled["abi"],
            "immutables": immutables,
            "storageLayout": _layout(compiled["storageLayout"]),
            "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
            "deployedBytecode": "0x" + deployed["object"],
        }
    return result


def render(artifact: Json) -> str:
    """One line for each ABI entry, so that a change can be read in a diff."""

    def line(value: Any) -> str:
        return json.dumps(value, sort_keys=True, ensure_ascii=False)

    parts = []
    for key, value in artifact.items():
        if key == "abi":
            text = "[\n  " + ",\n  ".join(line(entry) for entry in value) + "\n ]"
        else:
            text = line(value)
        parts.append(f' "{key}": {text}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def build(compile_with: Callable[[Json], Json] = run_shim) -> dict[str, str]:
    """File name → text of every artifact, freshly compiled."""
    texts = collect_sources()
    output = compile_with(standard_input(texts))
    require_clean(output)
    fresh = artifacts(output, input_digest(texts))
    return {f"{contract}.json": render(artifact) for contract, artifact in fresh.items()}


def stale(fresh: dict[str, str], folder: Path = ROOT / "chain" / "abi") -> list[str]:
    """Names of files in `folder` that differ from the fresh ones, are missing or do not belong there."""
    present = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in fresh.keys() | present.keys() if fresh.get(name) != present.get(name))


def main() -> int:
    """Exit code 0, or 1 when --check finds a stale file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="compare only; fail when the committed files are stale"
    )
    options = parser.parse_args()
    fresh = build()
    if options.check:
        names = stale(fresh)
        for name in names:
            print(f"stale: chain/abi/{name}; run scripts/compile.py", file=sys.stderr)
        return 1 if names else 0
    for name, text in fresh.items():
        (ROOT / "chain" / "abi" / name).write_text(text, "utf-8")
        print(f"chain/abi/{name}: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
