"""Key files: one JSON file a key, readable by its owner alone.

The private part enters a process from here and nowhere else: not from the command line or the environment.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import coincurve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocol import expect, sm2
from protocol.acts import address_of
from protocol.errors import CaseledgerError, MalformedInput
from protocol.identifiers import format_address, parse_address

Kind: TypeAlias = Literal["secp256k1", "ed25519", "x25519", "ml-dsa-44", "sm2"]
KINDS: tuple[Kind, ...] = ("secp256k1", "ed25519", "x25519", "ml-dsa-44", "sm2")
MAX_FILE = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PURPOSE = re.compile(r"[a-z][a-z-]{0,31}")
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class KeyFileUnreadable(CaseledgerError):
    """No such key file, or it cannot be opened."""

    title: ClassVar[str] = "key file cannot be read"


class KeyFileExists(CaseledgerError):
    """A key is never written over another one."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "key file exists already"


class KeyFileExposed(CaseledgerError):
    """Others than the owner may read or write the file."""

    http_status: ClassVar[int] = 403
    title: ClassVar[str] = "key file is open to others"


class KeyKindMismatch(CaseledgerError):
    """The file holds another kind of key than is needed here."""

    title: ClassVar[str] = "wrong kind of key"


@dataclass(frozen=True)
class KeyLabel:
    """What a key file says about its key. `organisation` is the index, None where there is none."""

    name: str
    purpose: str
    organisation: int | None = None

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise MalformedInput("name: lower-case letters, digits, dot, dash, underscore", field="name")
        if _PURPOSE.fullmatch(self.purpose) is None:
            raise MalformedInput("purpose: lower-case letters and dashes", field="purpose")
        if self.organisation is not None:
            expect.uint(self.organisation, "organisation", expect.UINT32_MAX, minimum=1)


@dataclass(frozen=True)
class Secp256k1Key:
    """Signs acts and transactions."""

    kind: ClassVar[Kind] = "secp256k1"
    label: KeyLabel
    private: bytes = field(repr=False)
    address: bytes = field(init=False)

    def __post_init__(self) -> None:
        scalar = int.from_bytes(expect.octets(self.private, "private", 32), "big")
        if not 0 < scalar < _ORDER:
            raise MalformedInput("private: not a secp256k1 scalar", field="private")
        object.__setattr__(self, "_key", coincurve.PrivateKey(self.private))
        object.__setattr__(self, "address", address_of(self._coincurve().public_key))

    def _coincurve(self) -> coincurve.PrivateKey:
        key: coincurve.PrivateKey = self.__dict__["_key"]
        return key

    @property
    def public(self) -> str:
        """The address, 0x and hex: the name by which this kind of key is known."""
        return format_address(self.address)

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r ‖ s ‖ v over a 32-byte digest; low s, v 27 or 28, deterministic (RFC 6979)."""
        raw = self._coincurve().sign_recoverable(expect.octets(digest, "digest", 32), hasher=None)
        return raw[:64] + bytes((raw[64] + 27,))


@dataclass(frozen=True)
class Ed25519Key:
    """Signs promises, checkpoints and trust files."""

    kind: ClassVar[Kind] = "ed25519"
    label: KeyLabel
    private: bytes = field(repr=False)
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        key = Ed25519PrivateKey.from_private_bytes(expect.octets(self.private, "private", 32))
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "public_key", key.public_key().public_bytes_raw())

    @property
    def public(self) -> str:
        """The public key in hex."""
        return self.public_key.hex()

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032)."""
        key: Ed25519PrivateKey = self.__dict__["_key"]
        return key.sign(message)


@dataclass(frozen=True)
class X25519Key:
    """Opens content keys that were wrapped to an organisation (HPKE)."""

    kind: ClassVar[Kind] = "x25519"
    label: KeyLabel
    private: bytes = field(repr=False)
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        key = X25519PrivateKey.from_private_bytes(expect.octets(self.private, "private", 32))
        object.__setattr__(self, "public_key", key.public_key().public_bytes_raw())

    @property
    def public(self) -> str:
        """The public key in hex."""
        return self.public_key.hex()


@dataclass(frozen=True)
class MlDsa44Key:
    """Cosigns checkpoints so that a quantum computer cannot. `private` is the seed of FIPS 204, 32 bytes."""

    kind: ClassVar[Kind] = "ml-dsa-44"
    label: KeyLabel
    private: bytes = field(repr=False)
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        key = MLDSA44PrivateKey.from_seed_bytes(expect.octets(self.private, "private", 32))
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "public_key", key.public_key().public_bytes_raw())

    @property
    def public(self) -> str:
        """The public key (1,312 bytes) in hex."""
        return self.public_key.hex()

    def sign(self, message: bytes) -> bytes:
        """2,420 bytes: pure ML-DSA-44 with an empty context."""
        key: MLDSA44PrivateKey = self.__dict__["_key"]
        return key.sign(message)


@dataclass(frozen=True)
class Sm2Key:
    """Signs submissions once more, with SM2; needs the extra `sm2`."""

    kind: ClassVar[Kind] = "sm2"
    label: KeyLabel
    private: bytes = field(repr=False)
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "public_key", sm2.public_of(self.private))

    @property
    def public(self) -> str:
        """x and y of the public key (64 bytes) in hex."""
        return self.public_key.hex()

    def sign(self, message: bytes) -> bytes:
        """r and s, 64 bytes, with the standard user id."""
        return sm2.sign(self.private, message)


Key: TypeAlias = "Secp256k1Key | Ed25519Key | X25519Key | MlDsa44Key | Sm2Key"
_WITH_PUBLIC: dict[str, type[Ed25519Key] | type[X25519Key] | type[MlDsa44Key] | type[Sm2Key]] = {
    one.kind: one for one in (Ed25519Key, X25519Key, MlDsa44Key, Sm2Key)
}


def new_key(kind: str, label: KeyLabel) -> Key:
    """A fresh key from the operating system's randomness."""
    if kind == "secp256k1":
        return Secp256k1Key(label, coincurve.PrivateKey().secret)
    if kind == "ed25519":
        return Ed25519Key(label, Ed25519PrivateKey.generate().private_bytes_raw())
    if kind == "x25519":
        return X25519Key(label, X25519PrivateKey.generate().private_bytes_raw())
    if kind == "ml-dsa-44":
        return MlDsa44Key(label, MLDSA44PrivateKey.generate().private_bytes_raw())
    if kind == "sm2":
        return Sm2Key(label, sm2.new_private())
    raise MalformedInput(f"kind: one of {', '.join(KINDS)} is expected", field="kind")


def key_path(folder: Path, name: str) -> Path:
    """`<folder>/<name>.json`."""
    return folder / f"{name}.json"


def save_key(key: Key, folder: Path) -> Path:
    """Write `<folder>/<name>.json` with mode 0600, durably; the folder is made with mode 0700.

    Raises:
        KeyFileExists: nothing is written.
    """
    known_by = "address" if isinstance(key, Secp256k1Key) else "public"
    record = {
        "name": key.label.name,
        "kind": key.kind,
        "purpose": key.label.purpose,
        "organisation": key.label.organisation,
        known_by: key.public,
        "private": key.private.hex(),
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = key_path(folder, key.label.name)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileExists(f"{path.name} exists", field="name", hint="choose another name") from None
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(record, out, indent=2)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return path


def load_key(path: Path) -> Key:
    """Read a key file and check that what it says about the key is true.

    Raises:
        KeyFileUnreadable, KeyFileExposed, MalformedInput
    """
    try:
        with open(path, "rb") as source:
            mode = os.fstat(source.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise KeyFileExposed(
                    f"{path.name} has mode {stat.S_IMODE(mode):04o}", field=path.name, hint="chmod 600"
                )
            data = source.read(MAX_FILE + 1)
    except OSError as error:
        raise KeyFileUnreadable(f"{path.name}: {error.strerror}", field=path.name) from None
    return parse_key(data)


def parse_key(data: bytes) -> Key:
    """A key from the bytes of its file."""
    secp = b'"address"' in data
    names = ("name", "kind", "purpose", "organisation", "address" if secp else "public", "private")
    record = expect.json_object(data, "key file", names, max_bytes=MAX_FILE)
    name, purpose, organisation = record["name"], record["purpose"], record["organisation"]
    if not isinstance(name, str) or not isinstance(purpose, str):
        raise MalformedInput("key file: name and purpose are text", field="key file")
    if organisation is not None:
        organisation = expect.uint(organisation, "organisation", expect.UINT32_MAX, minimum=1)
    label = KeyLabel(name, purpose, organisation)
    private = expect.from_hex(record["private"], "private", 32)
    key: Key
    if record["kind"] == "secp256k1" and secp:
        key = Secp256k1Key(label, private)
        same = parse_address(str(record["address"]), "address") == key.address
    elif record["kind"] in _WITH_PUBLIC and not secp:
        key = _WITH_PUBLIC[record["kind"]](label, private)
        same = record["public"] == key.public
    else:
        raise MalformedInput("key file: unknown kind", field="kind")
    if not same:
        raise MalformedInput("key file: the public part does not belong to the private one", field="public")
    return key


def load_secp256k1(path: Path) -> Secp256k1Key:
    """A key file that must hold a secp256k1 key."""
    key = load_key(path)
    if not isinstance(key, Secp256k1Key):
        raise KeyKindMismatch(f"{path.name} holds {key.kind}, secp256k1 is needed", field=path.name)
    return key


def load_ed25519(path: Path) -> Ed25519Key:
    """A key file that must hold an Ed25519 key."""
    key = load_key(path)
    if not isinstance(key, Ed25519Key):
        raise KeyKindMismatch(f"{path.name} holds {key.kind}, ed25519 is needed", field=path.name)
    return key


def load_x25519(path: Path) -> X25519Key:
    """A key file that must hold an X25519 key."""
    key = load_key(path)
    if not isinstance(key, X25519Key):
        raise KeyKindMismatch(f"{path.name} holds {key.kind}, x25519 is needed", field=path.name)
    return key


def load_mldsa44(path: Path) -> MlDsa44Key:
    """A key file that must hold an ML-DSA-44 key."""
    key = load_key(path)
    if not isinstance(key, MlDsa44Key):
        raise KeyKindMismatch(f"{path.name} holds {key.kind}, ml-dsa-44 is needed", field=path.name)
    return key


def load_sm2(path: Path) -> Sm2Key:
    """A key file that must hold an SM2 key."""
    key = load_key(path)
    if not isinstance(key, Sm2Key):
        raise KeyKindMismatch(f"{path.name} holds {key.kind}, sm2 is needed", field=path.name)
    return key


def list_keys(folder: Path) -> list[Key]:
    """All key files of a folder by name. A file that does not load raises."""
    return [load_key(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []
