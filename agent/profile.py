"""Who this agent is and what it believes: key files, the accepted trust file, the gateways it uses.

Table `[agent]` of `<home>/caseledger.toml`: `key` (name of the act key), `auth_key`, `hpke_key`, `sm2_key`,
`gateways` (list of addresses), `rpc` (addresses of nodes of our own), `trust` (path of the accepted trust
file, relative to the home).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import KeyNotFound, TrustMissing
from agent.keys import (
    Key,
    Secp256k1Key,
    Sm2Key,
    X25519Key,
    key_path,
    list_keys,
    load_key,
    load_sm2,
    load_x25519,
)
from agent.submit import TrustedLog
from protocol.acts import Domain
from protocol.errors import CaseledgerError, MalformedInput
from protocol.identifiers import log_id
from verifier.trust import TrustFile

FILE_NAME = "caseledger.toml"
DEFAULT_HOME = ".caseledger"
TRUST_NAMES = ("trust/accepted.cltrust", "trust/consortium.cltrust")
MAX_TRUST = 1024 * 1024


def home_of(given: str | None = None) -> Path:
    """The home: as given, `CASELEDGER_HOME`, or `.caseledger` in the working directory; absolute."""
    return Path(given or os.environ.get("CASELEDGER_HOME") or DEFAULT_HOME).absolute()


@dataclass(frozen=True)
class Profile:
    """An organisation's agent. `trust` is the encoded trust file that was accepted."""

    home: Path
    organisation: int
    act_key: Secp256k1Key
    auth_key: Secp256k1Key | None
    trust: bytes
    logs: Mapping[bytes, TrustedLog]
    closed: Mapping[bytes, int]
    """Log id to closed size, of the logs that governance closed."""
    gateways: tuple[str, ...]
    rpc: tuple[str, ...] = ()
    """Nodes of our own, to check what a gateway shows; none is common."""
    sm2_key: Sm2Key | None = None
    """Signs submissions once more; only where the settings name one."""

    @property
    def journal_path(self) -> Path:
        """One journal for each organisation: two of them on one machine do not mix."""
        return self.home / "agent" / f"journal-{self.organisation}.db"

    @property
    def custody_path(self) -> Path:
        """The organisation's custody journal."""
        return self.home / "agent" / f"custody-{self.organisation}.db"

    @property
    def pins_path(self) -> Path:
        return self.home / "agent" / "hpke-pins.json"

    def login_domain(self) -> Domain:
        """Where login acts count: the EvidenceLog of the trusted logs."""
        return next(iter(self.logs.values())).domain


def read_table(home: Path) -> Mapping[str, Any]:
    """The `[agent]` table; empty where there is none.

    Raises:
        MalformedInput
    """
    path = home / FILE_NAME
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise MalformedInput(f"{FILE_NAME} is not TOML", field=FILE_NAME) from None
    table = document.get("agent", {})
    if not isinstance(table, dict):
        raise MalformedInput("[agent] is not a table", field=FILE_NAME)
    return table


def load_profile(
    home: Path,
    *,
    key: str | None = None,
    trust: Path | None = None,
    gateways: Sequence[str] | None = None,
) -> Profile:
    """Reads keys and trust file. The trust file's own signatures are checked; it must have been accepted.

    Raises:
        KeyNotFound, TrustMissing, and the errors of key and trust files
    """
    table = read_table(home)
    folder = home / "keys"
    act_key = _act_key(folder, key or table.get("key"))
    organisation = act_key.label.organisation
    if organisation is None:
        raise KeyNotFound(
            f"key {act_key.label.name} names no organisation", field="key", hint="use a registered key"
        )
    trust_bytes, trust_file = read_trust(home, trust or table.get("trust"))
    return Profile(
        home=home,
        organisation=organisation,
        act_key=act_key,
        auth_key=_auth_key(folder, organisation, None if key else table.get("auth_key")),
        trust=trust_bytes,
        logs=trusted_logs(trust_file),
        closed={
            log_id(log.origin): log.closed_size
            for log in trust_file.payload.logs
            if log.closed_size is not None
        },
        gateways=tuple(gateways or table.get("gateways") or ()),
        rpc=tuple(table.get("rpc") or ()),
        sm2_key=load_sm2(key_path(folder, str(table["sm2_key"]))) if "sm2_key" in table else None,
    )


def read_trust(home: Path, path: Path | str | None) -> tuple[bytes, TrustFile]:
    """The trust file at `path` or at its usual places.

    Raises:
        TrustMissing, and the errors of the trust file
    """
    candidates = [home / Path(path)] if path else [home / name for name in TRUST_NAMES]
    for candidate in candidates:
        if candidate.is_file():
            with candidate.open("rb") as source:
                data = source.read(MAX_TRUST + 1)
            file = TrustFile.parse(data)
            file.check()
            return data, file
    raise TrustMissing(
        "no accepted trust file was found",
        field="trust",
        hint="caseledger trust accept FILE, after comparing its fingerprint",
    )


def trusted_logs(trust: TrustFile) -> dict[bytes, TrustedLog]:
    """The open logs that the trust file names, by log id."""
    logs: dict[bytes, TrustedLog] = {}
    for log in trust.payload.logs:
        chain = trust.payload.chain(log.chain_id)
        if chain is not None and log.closed_size is None:
            identifier = log_id(log.origin)
            domain = Domain(chain.chain_id, chain.evidence_log.address)
            logs[identifier] = TrustedLog(identifier, log.origin, domain, log.log_key)
    if not logs:
        raise TrustMissing("the trust file names no open log", field="trust")
    return logs


def hpke_key(home: Path, name: str | None, organisation: int) -> X25519Key:
    """The key that opens content wrapped to this organisation: as named, or of the settings where that is its
    own, or the first here that is.

    Raises:
        KeyNotFound
    """
    if name is not None:
        return load_x25519(key_path(home / "keys", name))
    if (setting := read_table(home).get("hpke_key")) is not None:
        key = load_x25519(key_path(home / "keys", str(setting)))
        if key.label.organisation in (None, organisation):
            return key
    for candidate in _keys(home / "keys"):
        if isinstance(candidate, X25519Key) and candidate.label.organisation == organisation:
            return candidate
    raise KeyNotFound("no HPKE key of this organisation", field="key", hint="caseledger keys list")


def _act_key(folder: Path, name: str | None) -> Secp256k1Key:
    if name is not None:
        key = load_key(key_path(folder, str(name)))
        if not isinstance(key, Secp256k1Key) or key.label.purpose != "act":
            raise KeyNotFound(f"{name} is not a secp256k1 key of purpose act", field="key")
        return key
    found = [
        k for k in _keys(folder)
        if isinstance(k, Secp256k1Key) and k.label.purpose == "act" and k.label.organisation
    ]  # fmt: skip
    if len(found) != 1:
        raise KeyNotFound(
            f"{len(found)} act keys here; one must be chosen", field="key",
            hint="--key NAME, or `key` in table [agent] of caseledger.toml",
        )  # fmt: skip
    return found[0]


def _auth_key(folder: Path, organisation: int, name: str | None) -> Secp256k1Key | None:
    if name is not None:
        key = load_key(key_path(folder, name))
        return key if isinstance(key, Secp256k1Key) else None
    for key in _keys(folder):
        if (
            isinstance(key, Secp256k1Key)
            and key.label.purpose == "auth"
            and key.label.organisation == organisation
        ):
            return key
    return None


def _keys(folder: Path) -> list[Key]:
    """Key files that load; a folder may hold other JSON."""
    try:
        return list_keys(folder)
    except CaseledgerError:
        found: list[Key] = []
        for path in sorted(folder.glob("*.json")):
            try:
                found.append(load_key(path))
            except CaseledgerError:
                continue
        return found
