"""Keys of a local network: secp256k1 secrets in files that only their owner may read."""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from coincurve import PrivateKey
from Crypto.Hash import keccak

from chain.networks.errors import NetworkError


class KeyFileRefused(NetworkError):
    """A key file is missing, malformed or readable by others."""

    http_status = 500
    title = "key file refused"


@dataclass(frozen=True)
class LocalKey:
    """A funded account: 20-byte address and its secret (never printed)."""

    address: bytes
    secret: bytes = field(repr=False)

    @property
    def address_hex(self) -> str:
        """0x and 40 lower-case hex digits."""
        return "0x" + self.address.hex()

    @property
    def secret_hex(self) -> str:
        """0x and 64 hex digits, as signing libraries take it."""
        return "0x" + self.secret.hex()


def address_of(secret: bytes) -> bytes:
    """Last 20 bytes of keccak-256 over the uncompressed public key without its tag."""
    public = PrivateKey(secret).public_key.format(compressed=False)
    return keccak.new(digest_bits=256, data=public[1:]).digest()[-20:]


def new_key(path: Path) -> LocalKey:
    """Create the file (mode 0600) with a new secret; an existing key file is never overwritten."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = PrivateKey(secrets.token_bytes(32)).secret
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"0x" + secret.hex().encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return LocalKey(address_of(secret), secret)


def read_key(path: Path) -> LocalKey:
    """Read a key file; refused when group or others may read it, or it is not 32 bytes of hex."""
    try:
        mode = path.stat().st_mode
        text = path.read_text().strip()
    except OSError:
        raise KeyFileRefused(f"cannot read {path.name}", field="key") from None
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileRefused(f"{path.name} is readable by others", field="key", hint="chmod 600")
    try:
        secret = bytes.fromhex(text.removeprefix("0x"))
        if len(secret) != 32:  # the library would pad it
            raise ValueError
        return LocalKey(address_of(secret), secret)
    except ValueError:
        raise KeyFileRefused(f"{path.name} does not hold a key", field="key") from None
