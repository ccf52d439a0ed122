"""Bodies at rest: sealed under an epoch key, found through a keyed tag.

One file, mode 0600, holds the keys: `{"version": 1, "index": hex32, "current": n, "epochs": {"n": hex32}}`.
A copy of the database alone opens no body and cannot be searched for a known document. Dropping an epoch's
key makes every copy of its bodies useless, backups included.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from evidence.errors import BodyUnreadable, VaultUnreadable
from protocol.hashing import Hasher

NONCE_LEN = 12
EPOCH_LEN = 4
KEY_LEN = 32
TAG_KEY_LEN = 8
_BLOCK = 64
_BODY_TAG = b"caseledger/body-at-rest/v1"
MAX_FILE = 65_536


class Vault:
    """Seals and opens bodies; makes tags. Thread-safe; keys stay inside."""

    def __init__(self, index_key: bytes, epochs: dict[int, bytes], current: int) -> None:
        if (
            current not in epochs
            or len(index_key) != KEY_LEN
            or any(len(k) != KEY_LEN for k in epochs.values())
        ):
            raise VaultUnreadable("keys of 32 bytes and a current epoch are expected")
        self._ciphers = {epoch: AESGCM(key) for epoch, key in epochs.items()}
        self._prefix = current.to_bytes(EPOCH_LEN, "big")
        self._current = self._ciphers[current]
        self._inner, self._outer = _hmac_states(index_key)

    @classmethod
    def generate(cls) -> Vault:
        """Keys that nobody keeps: for tests and benchmarks."""
        return cls(secrets.token_bytes(KEY_LEN), {1: secrets.token_bytes(KEY_LEN)}, 1)

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Vault:
        """Read the key file; with `create`, make one when there is none. Raises VaultUnreadable."""
        if create and not path.exists():
            keys = {
                "version": 1,
                "index": secrets.token_hex(KEY_LEN),
                "current": 1,
                "epochs": {"1": secrets.token_hex(KEY_LEN)},
            }
            _write_new(path, json.dumps(keys))
        return cls(*_read(path))

    @staticmethod
    def rotate(path: Path) -> int:
        """Add a new epoch and make it current; older bodies stay readable. Returns the epoch."""
        index, epochs, current = _read(path)
        epochs[current + 1] = secrets.token_bytes(KEY_LEN)
        keys = {
            "version": 1,
            "index": index.hex(),
            "current": current + 1,
            "epochs": {str(epoch): key.hex() for epoch, key in epochs.items()},
        }
        _write_new(path, json.dumps(keys), replace=True)
        return current + 1

    def seal(self, body: bytes, nonce: bytes, binding: bytes) -> bytes:
        """epoch || nonce || ciphertext. `nonce`: 12 fresh bytes; `binding`: the unsequenced leaf hash."""
        return self._prefix + nonce + self._current.encrypt(nonce, body, _BODY_TAG + binding)

    def unseal(self, sealed: bytes, binding: bytes) -> bytes:
        """The body. Raises BodyUnreadable."""
        epoch = int.from_bytes(sealed[:EPOCH_LEN], "big")
        cipher = self._ciphers.get(epoch)
        if cipher is None:
            raise BodyUnreadable(f"no key for epoch {epoch}")
        nonce, rest = sealed[EPOCH_LEN : EPOCH_LEN + NONCE_LEN], sealed[EPOCH_LEN + NONCE_LEN :]
        try:
            return cipher.decrypt(nonce, rest, _BODY_TAG + binding)
        except (InvalidTag, ValueError):
            raise BodyUnreadable("the body was changed or belongs to another entry") from None

    def tag(self, content_sha256: bytes) -> bytes:
        """First 8 bytes of HMAC-SHA256(index key, content digest)."""
        inner = self._inner.copy()
        inner.update(content_sha256)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()[:TAG_KEY_LEN]


def _hmac_states(key: bytes) -> tuple[Hasher, Hasher]:
    """HMAC (RFC 2104) with both pads absorbed: copying them halves the cost of a tag."""
    padded = key.ljust(_BLOCK, b"\0")
    return (
        hashlib.sha256(bytes(byte ^ 0x36 for byte in padded)),
        hashlib.sha256(bytes(byte ^ 0x5C for byte in padded)),
    )


def _read(path: Path) -> tuple[bytes, dict[int, bytes], int]:
    try:
        info = path.stat()
        if stat.S_IMODE(info.st_mode) & 0o077:
            raise VaultUnreadable("others may read the file", hint="chmod 600")
        if info.st_size > MAX_FILE:
            raise VaultUnreadable("the file is too large")
        raw = json.loads(path.read_text("ascii"))
        epochs = {int(epoch): bytes.fromhex(key) for epoch, key in raw["epochs"].items()}
        if raw["version"] != 1:
            raise VaultUnreadable("unknown version")
        return bytes.fromhex(raw["index"]), epochs, int(raw["current"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise VaultUnreadable("the file is missing or not as it should be") from None


def _write_new(path: Path, text: str, *, replace: bool = False) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(text + "\n")
            out.flush()
            os.fsync(out.fileno())
        if replace:
            os.replace(partial, path)
        else:
            os.link(partial, path)
    except FileExistsError:
        pass  # another process made it first; both read that one
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
