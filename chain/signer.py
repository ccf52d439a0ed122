"""Relayer keys: they pay for gas and prove nothing. Whose act it is, the act's own signature says."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from coincurve import PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount

from chain.errors import SignerUnusable
from protocol.hashing import keccak256

_MAX_FILE = 4096


def require_fast_signing() -> None:
    """Raise SignerUnusable unless eth-account signs through coincurve (ten times the pure Python rate)."""
    from eth_keys.backends import get_backend

    backend = type(get_backend()).__name__
    if backend != "CoinCurveECCBackend":
        raise SignerUnusable(
            f"signing would run in {backend}",
            hint="install coincurve and unset ECC_BACKEND_CLASS",
        )


@dataclass(frozen=True)
class Signed:
    """A transaction as the network takes it, and its hash."""

    raw: bytes
    hash: bytes


@dataclass(frozen=True)
class RelayerKey:
    """One sender. `address` is 20 bytes; the secret is never printed."""

    name: str
    address: bytes
    account: LocalAccount = field(repr=False, compare=False)

    @staticmethod
    def from_secret(name: str, secret: bytes) -> RelayerKey:
        """From 32 secret bytes. Raises SignerUnusable on a wrong secret or a slow signing library."""
        require_fast_signing()
        try:
            public = PrivateKey(secret).public_key.format(compressed=False)
        except ValueError:
            raise SignerUnusable(f"{name} is not a secp256k1 secret", field="key") from None
        account: LocalAccount = Account.from_key(secret)
        address = keccak256(public[1:])[-20:]
        if bytes.fromhex(account.address[2:]) != address:
            raise SignerUnusable(f"{name} gives two addresses", field="key")
        return RelayerKey(name, address, account)


def load_relayer(path: Path) -> RelayerKey:
    """Read a key file: JSON with `kind` secp256k1 and `private` hex, or 32 bytes of hex alone.

    Raises SignerUnusable when it is missing, malformed or readable by others.
    """
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError:
        raise SignerUnusable(f"cannot read {path.name}", field="key") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SignerUnusable(f"{path.name} is readable by others", field="key", hint="chmod 600")
    try:
        text = data.decode("ascii").strip()
        if text.startswith("{"):
            record = json.loads(text)
            if record["kind"] != "secp256k1":
                raise ValueError
            text = record["private"]
        secret = bytes.fromhex(text.removeprefix("0x"))
        if len(secret) != 32:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SignerUnusable(f"{path.name} does not hold a secp256k1 key", field="key") from None
    return RelayerKey.from_secret(path.stem, secret)


def load_relayers(paths: Iterable[Path]) -> dict[str, RelayerKey]:
    """Lane name (the file's stem) → key, in the order given; the same address twice is refused."""
    keys: dict[str, RelayerKey] = {}
    seen: set[bytes] = set()
    for path in paths:
        key = load_relayer(path)
        if key.address in seen or key.name in keys:
            raise SignerUnusable(f"{path.name} repeats a sender: two lanes would share nonces", field="key")
        seen.add(key.address)
        keys[key.name] = key
    return keys
