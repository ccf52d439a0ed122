"""Relayer keys: they pay for gas and prove nothing. Whose act it is, the act's own signature says.

Signing goes straight to libsecp256k1 (coincurve): there is no slow path that could be taken unnoticed.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from coincurve import PrivateKey

from chain.errors import SignerUnusable
from protocol.acts import address_of

_MAX_FILE = 4096


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
    _key: PrivateKey = field(repr=False, compare=False)

    @staticmethod
    def from_secret(name: str, secret: bytes) -> RelayerKey:
        """From 32 secret bytes. Raises SignerUnusable."""
        try:
            key = PrivateKey(secret)
        except ValueError:
            raise SignerUnusable(f"{name} is not a secp256k1 secret", field="key") from None
        return RelayerKey(name, address_of(key.public_key), key)

    def recoverable(self, digest: bytes) -> tuple[int, int, int]:
        """(r, s, parity) over a 32-byte digest; s in the lower half, deterministic (RFC 6979)."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64]


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
