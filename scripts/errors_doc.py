"""Writes or checks ``docs/errors.md``: every error code, from the classes and from the contracts' ABIs.

``python -m scripts.errors_doc [--write]``. Without it, exit status 1 when the page is stale. A code that two
rooms define differently is refused: a code is one thing everywhere.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path

from protocol.errors import CaseledgerError

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "errors.md"
ABI = ROOT / "chain" / "abi"
ROOMS = [
    "protocol", "verifier", "storage", "chain", "evidence", "cases", "monitor", "agent", "ledger_gateway",
    "intake_server", "cli",
]  # fmt: skip


def all_modules() -> None:
    """Import every module of the product, so that every error class exists."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def contract_errors() -> set[type[CaseledgerError]]:
    """Classes that only carry a Solidity error to Python; they share its code by design."""
    from chain.errors import ContractReverted

    return descendants(ContractReverted) - {ContractReverted}


def descendants(cls: type[CaseledgerError]) -> set[type[CaseledgerError]]:
    found = {cls}
    for child in cls.__subclasses__():
        found |= descendants(child)
    return found


def solidity_errors() -> dict[str, set[str]]:
    """Signature -> contracts that may revert with it."""
    found: dict[str, set[str]] = {}
    for path in sorted(ABI.glob("*.json")):
        content = json.loads(path.read_text())
        abi = content["abi"] if isinstance(content, dict) and "abi" in content else content
        if not isinstance(abi, list):
            continue
        for item in abi:
            if item.get("type") == "error":
                inputs = ", ".join(f"{field['type']} {field['name']}".strip() for field in item["inputs"])
                found.setdefault(f"{item['name']}({inputs})", set()).add(path.stem)
    return found


def first_sentence(cls: type[CaseledgerError]) -> str:
    text = (cls.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split()).replace("|", "\\|") or cls.title


def page() -> str:
    """The page's text; raises ValueError where two classes claim one code."""
    all_modules()
    by_code: dict[str, type[CaseledgerError]] = {}
    for cls in sorted(
        descendants(CaseledgerError) - contract_errors(), key=lambda c: (c.__name__, c.__module__)
    ):
        if cls.__module__.split(".")[0] not in ROOMS:
            continue
        other = by_code.setdefault(cls.__name__, cls)
        if issubclass(other, cls):  # a room's own form of a code that another room defines
            by_code[cls.__name__] = cls
        elif not issubclass(cls, other):
            raise ValueError(f"{cls.__name__} is defined in {other.__module__} and in {cls.__module__}")
    lines = [
        "# 错误代码 / Error codes",
        "",
        "由 `make errors` 从代码生成，勿手改。 Written by `make errors` from the code; not edited by hand.",
        "",
        "同一代码在 Python、HTTP（RFC 9457 的 `code`）、命令行与合约的自定义错误中相同。",
        "A code is the same in Python, HTTP (the `code` of RFC 9457), the command line and the contracts.",
        "",
        "## Python, HTTP, CLI",
        "",
        "| code | HTTP | retry | room | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for code, cls in by_code.items():
        retry = "yes" if cls.retryable else ""
        room = cls.__module__.split(".")[0]
        lines.append(f"| `{code}` | {cls.http_status} | {retry} | {room} | {first_sentence(cls)} |")
    lines += ["", "## Solidity", "", "| error | contract |", "| --- | --- |"]
    for signature, contracts in sorted(solidity_errors().items()):
        lines.append(f"| `{signature}` | {', '.join(sorted(contracts))} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    try:
        text = page()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments == ["--write"]:
        PAGE.write_text(text)
        return 0
    if not PAGE.is_file() or PAGE.read_text() != text:
        print("docs/errors.md is stale: run `make errors`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
