"""`caseledger keys …`: make and list key files. A private key is never printed and never an argument."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent.keys import KINDS, KeyLabel, list_keys, new_key, save_key
from protocol.i18n import Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_TEXTS = {
    "new": Text("新建密钥文件（权限 0600）", "make a key file (mode 0600)"),
    "list": Text("列出密钥文件（不含私钥）", "list key files, without private parts"),
    "name": Text("文件名（不含 .json）", "file name without .json"),
    "kind": Text("种类（默认 secp256k1）", "kind (secp256k1 by default)"),
    "purpose": Text(
        "用途：act、anchor、auth、oracle、witness、log、trust、content …",
        "purpose: act, anchor, auth, oracle, witness, log, trust, content …",
    ),
    "organisation": Text("机构编号", "organisation index"),
    "home": Text("数据目录", "home folder"),
    "lang": Text("语言：zh 或 en", "language: zh or en"),
}


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `keys` and its verbs."""
    lang = language()
    parser = subparsers.add_parser("keys", help=help_text, description=help_text)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def words(name: str) -> str:
        return _TEXTS[name].choose(lang)

    for name in ("new", "list"):
        one = verbs.add_parser(name, help=words(name), description=words(name))
        one.add_argument("--home", type=Path, help=words("home"))
        one.add_argument("--json", action="store_true", help="JSON")
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS, help=words("lang"))
        if name == "new":
            one.add_argument("name", metavar="NAME", help=words("name"))
            one.add_argument("--kind", choices=KINDS, default="secp256k1", help=words("kind"))
            one.add_argument("--purpose", required=True, help=words("purpose"))
            one.add_argument("--organisation", type=int, metavar="N", help=words("organisation"))


def run(args: argparse.Namespace) -> int:
    """Make or list; 0, or an error."""
    lang = language(getattr(args, "lang", None))
    folder = (args.home or Path(os.environ.get("CASELEDGER_HOME") or ".caseledger")) / "keys"
    if args.verb == "new":
        key = new_key(args.kind, KeyLabel(args.name, args.purpose, args.organisation))
        path = save_key(key, folder)
        if args.json:
            print(json.dumps({"name": args.name, "kind": key.kind, "public": key.public, "path": str(path)}))
        else:
            print(
                Text("已建 {path}\n{public}", "made {path}\n{public}").format(
                    lang, path=path, public=key.public
                )
            )
        return 0
    keys = list_keys(folder)
    if args.json:
        rows = [
            {
                "name": key.label.name,
                "kind": key.kind,
                "purpose": key.label.purpose,
                "organisation": key.label.organisation,
                "public": key.public,
            }
            for key in keys
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    for key in keys:
        organisation = "-" if key.label.organisation is None else str(key.label.organisation)
        print(f"{key.label.name:<24} {key.kind:<10} {key.label.purpose:<10} {organisation:>5}  {key.public}")
    return 0
