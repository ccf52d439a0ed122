"""`caseledger witness`: cosign checkpoints at a court, a regulator, a notary or a bank."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from protocol.errors import CaseledgerError
from protocol.i18n import Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from chain.deploy import Network
    from monitor.settings import WitnessSettings
    from monitor.witness import CosignatureKey, MlDsaKeys

PURPOSE = "witness"
KEY_NAMES = ("witness-sha256", "witness-sm3")
"""Key files by algorithm number, as `--init` makes them."""
ML_DSA_KEY_NAMES = ("witness-sha256-ml-dsa", "witness-sm3-ml-dsa")
"""The same with `--ml-dsa`."""
ML_DSA_SUFFIX = "/ml-dsa-44"
_TEXTS = {
    "home": Text("见证方的数据目录", "the witness's home folder"),
    "listen": Text("监听地址（默认 127.0.0.1:8790）", "where to listen (127.0.0.1:8790 by default)"),
    "init": Text(
        "新建密钥与设置（见证名 NAME），不启动；须先填好 [chain]",
        "make keys and settings under the name NAME and end; [chain] must be there",
    ),
    "ml-dsa": Text(
        "与 --init 同用：另建 ML-DSA-44 密钥（试行；名为 NAME/ml-dsa-44）",
        "with --init: ML-DSA-44 keys too (experimental; under the name NAME/ml-dsa-44)",
    ),
    "made": Text(
        "见证密钥已建，公钥交给信任文件起草人与运营方：",
        "witness keys are made; their public parts go to the trust file's drafter and to the operator:",
    ),
    "runs": Text("见证 {name} 监听 {listen}", "witness {name} listens at {listen}"),
}


class ListenAddressInvalid(CaseledgerError):
    """`--listen` is not host:port."""

    title: ClassVar[str] = "listen address not usable"


class WitnessKeyPurpose(CaseledgerError):
    """A key for something else must not sign checkpoints."""

    http_status: ClassVar[int] = 403
    title: ClassVar[str] = "not a witness key"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    lang = language()
    parser = subparsers.add_parser("witness", help=help_text, description=help_text)
    where = "127.0.0.1:8790"
    parser.add_argument("--listen", default=where, metavar="HOST:PORT", help=_words("listen", lang))
    parser.add_argument("--init", metavar="NAME", help=_words("init", lang))
    parser.add_argument("--ml-dsa", action="store_true", help=_words("ml-dsa", lang))
    # Last, so that a process of ours is found by its home.
    parser.add_argument("--home", type=Path, required=True, metavar="DIR", help=_words("home", lang))
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")


def _words(name: str, lang: str) -> str:
    return _TEXTS[name].choose("zh" if lang == "zh" else "en")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM, or make keys and settings."""
    import asyncio
    import logging

    from monitor.settings import load

    lang = language(getattr(args, "lang", None))
    if args.init is not None:
        publics = init(args.home, args.init, ml_dsa=args.ml_dsa)
        if args.json:
            print(json.dumps(_publics(args.home, publics)))
        else:
            print(_TEXTS["made"].choose(lang))
            print(f"  sha256 {publics[0].hex()}\n  sm3    {publics[1].hex()}")
            if (more := ml_dsa_keys_of(load(args.home))) is not None:
                print(f"  {more.name}")
                for algorithm, tree in enumerate(("sha256", "sm3")):
                    print(f"  {tree:<6} {more.keys[algorithm].public_key.hex()}")
        return 0
    host, port = listen_address(args.listen)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = load(args.home)
    print(_TEXTS["runs"].format(lang, name=settings.name, listen=f"{host}:{port}"), flush=True)
    asyncio.run(serve(settings, host, port))
    return 0


def _publics(home: Path, publics: tuple[bytes, bytes]) -> dict[str, object]:
    """What the trust file's drafter and the operator need."""
    from monitor.settings import load

    settings = load(home)
    more = ml_dsa_keys_of(settings)
    found: dict[str, object] = {"name": settings.name, "sha256": publics[0].hex(), "sm3": publics[1].hex()}
    if more is not None:
        sha256, sm3 = (more.keys[algorithm].public_key.hex() for algorithm in (0, 1))
        found["mlDsa"] = {"name": more.name, "sha256": sha256, "sm3": sm3}
    return found


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`. Raises ListenAddressInvalid."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ListenAddressInvalid("host:port is expected", field="listen")
    return host.removeprefix("[").removesuffix("]"), int(port)


def keys_of(settings: WitnessSettings) -> dict[int, CosignatureKey]:
    """Signing keys by algorithm number, out of key files or a token.

    Raises:
        WitnessKeyPurpose, TokenUnusable, and errors of key files
    """
    from agent.keys import key_path, load_ed25519
    from monitor.settings import BEHIND_PKCS11

    found: dict[int, CosignatureKey] = {}
    for algorithm, name in enumerate(settings.keys):
        if settings.token is not None and name.startswith(BEHIND_PKCS11):
            from agent.pkcs11_key import TokenAddress, TokenKey

            place = TokenAddress(settings.token.module, settings.token.token, settings.token.pin_file)
            found[algorithm] = TokenKey(place, name.removeprefix(BEHIND_PKCS11))
            continue
        key = load_ed25519(key_path(settings.home / "keys", name))
        if key.label.purpose != PURPOSE:
            raise WitnessKeyPurpose(f"{name} is for {key.label.purpose}", field=name)
        found[algorithm] = key
    return found


def ml_dsa_keys_of(settings: WitnessSettings) -> MlDsaKeys | None:
    """ML-DSA-44 keys, if the settings name some.

    Raises:
        WitnessKeyPurpose, and errors of key files
    """
    from agent.keys import key_path, load_mldsa44
    from monitor.witness import MlDsaKeys

    if settings.ml_dsa is None:
        return None
    keys: dict[int, CosignatureKey] = {}
    for algorithm, name in enumerate(settings.ml_dsa.keys):
        key = load_mldsa44(key_path(settings.home / "keys", name))
        if key.label.purpose != PURPOSE:
            raise WitnessKeyPurpose(f"{name} is for {key.label.purpose}", field=name)
        keys[algorithm] = key
    return MlDsaKeys(settings.ml_dsa.name, keys)


async def serve(settings: WitnessSettings, host: str, port: int) -> None:
    """The witness with its own node, until told to stop.

    Raises:
        WitnessStateRolledBack, WitnessInUse, TrustFileUnusable, and errors of key files: nothing is served
    """
    from chain import deployment as deployments
    from chain.configuration import network_of, open_pool
    from monitor import witness_http
    from monitor.held_trust import ACCEPTED, HeldTrust
    from monitor.own_node import OwnNode
    from monitor.witness import Witness
    from monitor.witness_state import WitnessState

    deployment = deployments.load(settings.home)
    network = network_of(settings.home)
    trust = HeldTrust(settings.home / ACCEPTED, deployment)
    trust.payload()
    keys, more = keys_of(settings), ml_dsa_keys_of(settings)
    with WitnessState(settings.state, settings.journal) as state:
        async with open_pool(
            deployment.engine, deployment.chain_id, deployment.network_id, network.rpc, network.comet
        ) as pool:
            node = OwnNode(pool, deployment, trust, stale_seconds=settings.stale_seconds)
            witness = Witness(settings.name, keys, state, trust, node, ml_dsa=more, alarms=settings.alarms)
            await witness_http.serve(witness, host, port)


def init(home: Path, name: str, *, ml_dsa: bool = False) -> tuple[bytes, bytes]:
    """Make both keys and the table `[witness]`; what is there is kept. The public keys. `ml_dsa`: keys and
    table for ML-DSA-44 too, also in a home that has the others already.

    Raises:
        WitnessSettingsInvalid, and errors of key files
    """
    from monitor.settings import FILE_NAME, TABLE, load

    make_keys(home)
    path = home / FILE_NAME
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    more = [text] if text else []
    if f"[{TABLE}]" not in text:
        more.append(_witness_table(name))
    if ml_dsa and f"[{TABLE}.ml_dsa]" not in text:
        make_ml_dsa_keys(home)
        known = load(home).name if f"[{TABLE}]" in text else name
        more.append(ml_dsa_table(known + ML_DSA_SUFFIX))
    if "\n".join(more) != text:
        partial = path.with_suffix(".tmp")
        partial.write_text("\n".join(more), encoding="utf-8")
        partial.rename(path)
    found = keys_of(load(home))
    return found[0].public_key, found[1].public_key


def make_keys(home: Path) -> tuple[bytes, ...]:
    """Both keys, made unless they are there; their public parts by algorithm number."""
    from agent.keys import KeyLabel, key_path, load_ed25519, new_key, save_key

    found = []
    for name in KEY_NAMES:
        path = key_path(home / "keys", name)
        if not path.exists():
            save_key(new_key("ed25519", KeyLabel(name, PURPOSE)), home / "keys")
        found.append(load_ed25519(path).public_key)
    return tuple(found)


def make_ml_dsa_keys(home: Path) -> tuple[bytes, ...]:
    """The ML-DSA-44 keys, made unless they are there; their public parts by algorithm number."""
    from agent.keys import KeyLabel, key_path, load_mldsa44, new_key, save_key

    found = []
    for name in ML_DSA_KEY_NAMES:
        path = key_path(home / "keys", name)
        if not path.exists():
            save_key(new_key("ml-dsa-44", KeyLabel(name, PURPOSE)), home / "keys")
        found.append(load_mldsa44(path).public_key)
    return tuple(found)


def settings_text(name: str, network: Network) -> str:
    """The settings file of a witness with its own node."""
    return f"{_chain_table(network)}\n{_witness_table(name)}"


def _witness_table(name: str) -> str:
    sha256, sm3 = map(json.dumps, KEY_NAMES)
    return f"[witness]\nname = {json.dumps(name)}\nsha256_key = {sha256}\nsm3_key = {sm3}\n"


def ml_dsa_table(name: str) -> str:
    """The settings table of ML-DSA-44 keys under this key name."""
    sha256, sm3 = map(json.dumps, ML_DSA_KEY_NAMES)
    return f"[witness.ml_dsa]\nname = {json.dumps(name)}\nsha256_key = {sha256}\nsm3_key = {sm3}\n"


def _chain_table(network: Network) -> str:
    return (
        f"[chain]\nengine = {json.dumps(network.engine)}\nchain_id = {network.chain_id}\n"
        f"network_id = {json.dumps(network.network_id)}\nrpc_urls = {json.dumps(list(network.rpc))}\n"
        f"comet_urls = {json.dumps(list(network.comet))}\n"
    )
