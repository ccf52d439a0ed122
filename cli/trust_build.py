"""`caseledger trust build`: a draft from the chain, signed with the trust keys at hand.

Also the successor of a held file, when validators changed or a log was closed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from chain.consortium import Consortium
    from chain.deployment import Deployment
    from verifier.trust import TrustFile

_TEXTS = {
    "out": Text("新信任文件的路径", "path of the new trust file"),
    "consortium": Text("联盟配置", "consortium file"),
    "held": Text("现行信任文件：制作它的后继", "the held trust file: make its successor"),
    "key": Text(
        "签署用的密钥文件或 keys/ 下的名称，可重复", "key to sign with, file or name under keys/; repeat"
    ),
    "days": Text("有效天数（默认 365）", "days of validity (365 by default)"),
    "end": Text(
        "算法的终止日，如 sha256=2035-01-01T00:00:00+08:00，可重复",
        "last second of an algorithm, such as sha256=2035-01-01T00:00:00+08:00; repeat",
    ),
    "home": Text("数据目录", "home folder"),
    "same": Text("与现行文件相比没有变化，未写出", "nothing differs from the held file; not written"),
    "made": Text(
        "序号 {serial}，指纹 {print}，签名 {n} 个", "serial {serial}, fingerprint {print}, {n} signatures"
    ),
}


def add_verb(verb: Callable[[str], argparse.ArgumentParser]) -> None:
    """Register `build` among the verbs of `trust`."""
    lang = language()

    def words(name: str) -> str:
        return _TEXTS[name].choose(lang)

    build = verb("build")
    build.add_argument("file", type=Path, metavar="OUT", help=words("out"))
    build.add_argument("--consortium", type=Path, metavar="FILE", help=words("consortium"))
    build.add_argument("--held", type=Path, metavar="FILE", help=words("held"))
    build.add_argument("--key", action="append", default=[], metavar="KEY", help=words("key"))
    build.add_argument("--days", type=int, default=365, metavar="N", help=words("days"))
    build.add_argument("--end", action="append", default=[], metavar="ALG=TIME", help=words("end"))
    build.add_argument("--home", type=Path, help=words("home"))


def run(args: argparse.Namespace, lang: Language) -> int:
    """Build, sign, write; 0, or an error."""
    from agent.keys import key_path, load_ed25519
    from chain import consortium, deployment, trustfile
    from verifier.trust import MAX_TRUST, TrustFile

    home = args.home or Path(os.environ.get("CASELEDGER_HOME") or ".caseledger")
    founders = consortium.load(args.consortium or home / consortium.FILE_NAME)
    held = None
    if args.held is not None:
        with args.held.open("rb") as source:
            held = TrustFile.parse(source.read(MAX_TRUST + 1))
    made = asyncio.run(_draft(home, founders, deployment.load(home), held, args.days, ends_of(args.end)))
    if held is not None and not trustfile.changed(held, made):
        print(json.dumps({"changed": False}) if args.json else _TEXTS["same"].choose(lang))
        return 0
    paths = [Path(name) if Path(name).exists() else key_path(home / "keys", name) for name in args.key]
    made = trustfile.sign(made, (load_ed25519(path) for path in paths))
    write(args.file, made)
    if args.json:
        print(
            json.dumps(
                {
                    "changed": True,
                    "serial": made.payload.serial,
                    "fingerprint": made.fingerprint.hex(),
                    "signed": [position for position, _ in made.signatures],
                }
            )
        )
    else:
        print(
            _TEXTS["made"].format(
                lang, serial=made.payload.serial, print=made.fingerprint.hex(), n=len(made.signatures)
            )
        )
    return 0


def ends_of(given: Sequence[str]) -> dict[int, int]:
    """Algorithm number to its last second, from `sha256=TIME`.

    Raises:
        BadArgument
    """
    from cli.verify import BadArgument, parse_time

    out = {}
    for one in given:
        name, separator, moment = one.partition("=")
        if not separator or name not in ("sha256", "sm3"):
            raise BadArgument("sha256=TIME or sm3=TIME is expected", field="--end")
        out[("sha256", "sm3").index(name)] = parse_time(moment)
    return out


def local_validators(home: Path) -> dict[bytes, str]:
    """Validator key → controller of the network under this home; none for an external one."""
    from chain.networks.clique import CliqueNetwork
    from chain.networks.cometbft import CometNetwork
    from chain.networks.errors import NetworkMissing

    with suppress(NetworkMissing):
        return CliqueNetwork.load(home).signers
    try:
        keys = CometNetwork.load(home).consensus_keys
    except NetworkMissing:
        return {}
    return {b64decode(key): controller for controller, key in keys.items()}


async def _draft(
    home: Path,
    founders: Consortium,
    record: Deployment,
    held: TrustFile | None,
    days: int,
    ends: dict[int, int],
) -> TrustFile:
    from chain import case_record, trustfile
    from chain.configuration import pool_of

    async with pool_of(record) as pool:
        return await trustfile.draft(
            pool,
            record,
            founders,
            named=trustfile.named_validators(founders, local_validators(home)),
            now=int(time.time()),
            held=held,
            valid_for=days * 24 * 3600,
            ends=ends,
            cases=case_record.load_if_there(home, record.chain_id),
        )


def write(path: Path, trust: TrustFile) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as out:
        out.write(trust.encode())
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)
