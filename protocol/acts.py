"""Acts: EIP-712 messages that an organisation signs (docs/spec/chain-state.md §2).

The type string of each act is written once, on its class; field order, types and the type hash come from it.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import coincurve

from protocol import expect
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import keccak256
from protocol.i18n import Text

DOMAIN_NAME = "caseledger"
DOMAIN_VERSION = "1"
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
SIGNATURE_LEN = 65
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_TYPE = re.compile(r"([A-Za-z][A-Za-z0-9]*)\(([^()]*)\)")
_UINT = re.compile(r"uint(\d+)")


class BadSignature(CaseledgerError):
    """Not a signature in the one accepted form, or not by the key that should have signed."""

    http_status: ClassVar[int] = 401
    title: ClassVar[str] = "signature refused"


class Purpose(IntEnum):
    """What a registered key may sign."""

    ACT = 1
    ANCHOR = 2
    AUTH = 3
    ORACLE = 4
    WITNESS = 5

    @property
    def label(self) -> Text:
        """Name of the purpose."""
        return _PURPOSE_LABELS[self]


_PURPOSE_LABELS = {
    Purpose.ACT: Text("行为", "act"),
    Purpose.ANCHOR: Text("锚定", "anchor"),
    Purpose.AUTH: Text("登录", "auth"),
    Purpose.ORACLE: Text("事实声明", "oracle"),
    Purpose.WITNESS: Text("见证", "witness"),
}


class Role(IntEnum):
    """Bit number of an organisation's role."""

    BANK = 0
    INSURER = 1
    SECURITIES = 2
    CENTRE = 3
    MEDIATION = 4
    COURT = 5
    ENFORCEMENT = 6
    PROSECUTOR = 7
    POLICE = 8
    REGULATOR = 9
    REGISTRY = 10
    NOTARY = 11
    WITNESS = 12
    CUSTODIAN = 13

    @property
    def mask(self) -> int:
        """The role as a bit of the registry's uint32."""
        return 1 << self

    @property
    def label(self) -> Text:
        """Name of the role."""
        return _ROLE_LABELS[self]


_ROLE_LABELS = {
    Role.BANK: Text("银行", "bank"),
    Role.INSURER: Text("保险机构", "insurer"),
    Role.SECURITIES: Text("证券机构", "securities firm"),
    Role.CENTRE: Text("纠纷处置中心", "dispute centre"),
    Role.MEDIATION: Text("调解组织", "mediation body"),
    Role.COURT: Text("法院", "court"),
    Role.ENFORCEMENT: Text("执行机构", "enforcement bureau"),
    Role.PROSECUTOR: Text("检察院", "prosecutor"),
    Role.POLICE: Text("公安机关", "police"),
    Role.REGULATOR: Text("监管机构", "regulator"),
    Role.REGISTRY: Text("登记机构", "registry"),
    Role.NOTARY: Text("公证处", "notary"),
    Role.WITNESS: Text("见证方", "witness"),
    Role.CUSTODIAN: Text("密钥托管方", "custodian"),
}


@dataclass(frozen=True)
class Domain:
    """Where an act counts: one chain, one contract (20 bytes)."""

    chain_id: int
    contract: bytes

    def separator(self) -> bytes:
        """EIP-712 domain separator, 32 bytes."""
        return _separator(self)


@lru_cache(maxsize=64)
def _separator(domain: Domain) -> bytes:
    return keccak256(
        keccak256(DOMAIN_TYPE.encode())
        + keccak256(DOMAIN_NAME.encode())
        + keccak256(DOMAIN_VERSION.encode())
        + _word("uint256", domain.chain_id, "chainId")
        + _word("address", domain.contract, "verifyingContract")
    )


def _word(kind: str, value: object, field: str) -> bytes:
    """One 32-byte word of EIP-712 `encodeData`; strings and byte strings go in as their Keccak hash."""
    if kind == "bytes32":
        return expect.octets(value, field, 32)
    if kind == "address":
        return bytes(12) + expect.octets(value, field, 20)
    if kind == "string":
        if not isinstance(value, str):
            raise MalformedInput(f"{field}: text is expected", field=field)
        return keccak256(value.encode("utf-8"))
    return expect.uint(value, field, _uint_maximum(kind, field)).to_bytes(32, "big")


@lru_cache(maxsize=64)
def _uint_maximum(kind: str, field: str) -> int:
    found = _UINT.fullmatch(kind)
    if found is None:
        raise MalformedInput(f"{field}: type {kind} is not used in acts", field=field)
    return int(2 ** int(found[1]) - 1)


@dataclass(frozen=True)
class ActType:
    """A parsed type string."""

    name: str
    members: tuple[tuple[str, str], ...]
    type_hash: bytes


@lru_cache(maxsize=64)
def parse_type(type_string: str) -> ActType:
    """Name, (type, name) members and type hash of an EIP-712 type string without nested structs."""
    found = _TYPE.fullmatch(type_string)
    if found is None:
        raise MalformedInput("not an EIP-712 type string")
    members = tuple(
        (kind, name) for kind, _, name in (member.partition(" ") for member in found[2].split(","))
    )
    return ActType(found[1], members, keccak256(type_string.encode()))


@dataclass(frozen=True)
class Act:
    """Base of all acts; a subclass has the members of its `TYPE` in the same order, in snake case."""

    TYPE: ClassVar[str]
    PURPOSE: ClassVar[Purpose | None]
    """Purpose of the key that signs; None where the signer is the new key itself."""

    def struct_hash(self) -> bytes:
        """EIP-712 `hashStruct`, 32 bytes."""
        own: Any = type(self)
        type_hash, members = _layout(own)
        words = [_word(kind, getattr(self, attribute), name) for kind, name, attribute in members]
        return keccak256(type_hash + b"".join(words))

    def digest(self, domain: Domain) -> bytes:
        """What is signed: keccak256(0x1901 ‖ domain separator ‖ struct hash)."""
        return keccak256(b"\x19\x01" + domain.separator() + self.struct_hash())


@lru_cache(maxsize=64)
def _layout(act: Any) -> tuple[bytes, tuple[tuple[str, str, str], ...]]:
    """Type hash and (type, name, attribute) of every member of a subclass of `Act`."""
    act_type = parse_type(act.TYPE)
    own = [field.name for field in dataclasses.fields(act)]
    members = zip(act_type.members, own, strict=True)
    return act_type.type_hash, tuple((kind, name, attribute) for (kind, name), attribute in members)


@dataclass(frozen=True)
class Anchor(Act):
    """Grow a log from `old_size` to `new_size` leaves."""

    TYPE = (
        "Anchor(bytes32 logId,uint64 oldSize,uint64 newSize,bytes32 rootSha256,bytes32 rootSm3,"
        "uint40 validUntil)"
    )
    PURPOSE = Purpose.ANCHOR
    log_id: bytes
    old_size: int
    new_size: int
    root_sha256: bytes
    root_sm3: bytes
    valid_until: int


@dataclass(frozen=True)
class AnnounceKey(Act):
    """First step of adding a key; the key itself accepts it later."""

    TYPE = (
        "AnnounceKey(uint32 organisation,address key,uint8 purpose,uint40 notBefore,uint40 notAfter,"
        "uint64 nonce,uint40 validUntil)"
    )
    PURPOSE = Purpose.ACT
    organisation: int
    key: bytes
    purpose: int
    not_before: int
    not_after: int
    nonce: int
    valid_until: int


@dataclass(frozen=True)
class AcceptKey(Act):
    """Second step, signed by the new key."""

    TYPE = "AcceptKey(uint32 organisation,address key,uint40 validUntil)"
    PURPOSE = None
    organisation: int
    key: bytes
    valid_until: int


@dataclass(frozen=True)
class CancelKey(Act):
    """The old key stops a rotation that it did not want."""

    TYPE = "CancelKey(uint32 organisation,address key,uint64 nonce,uint40 validUntil)"
    PURPOSE = Purpose.ACT
    organisation: int
    key: bytes
    nonce: int
    valid_until: int


@dataclass(frozen=True)
class RevokeKey(Act):
    """End a key at once."""

    TYPE = "RevokeKey(uint32 organisation,address key,uint64 nonce,uint40 validUntil)"
    PURPOSE = Purpose.ACT
    organisation: int
    key: bytes
    nonce: int
    valid_until: int


@dataclass(frozen=True)
class SetHpkeKey(Act):
    """Publish the X25519 key that content keys are wrapped to."""

    TYPE = (
        "SetHpkeKey(uint32 organisation,bytes32 publicKey,uint40 notBefore,uint40 notAfter,"
        "uint64 nonce,uint40 validUntil)"
    )
    PURPOSE = Purpose.ACT
    organisation: int
    public_key: bytes
    not_before: int
    not_after: int
    nonce: int
    valid_until: int


@dataclass(frozen=True)
class Suspend(Act):
    """A regulator stops an organisation's writing."""

    TYPE = "Suspend(uint32 organisation,uint32 target,bytes32 reason,uint64 nonce,uint40 validUntil)"
    PURPOSE = Purpose.ACT
    organisation: int
    target: int
    reason: bytes
    nonce: int
    valid_until: int


@dataclass(frozen=True)
class Approve(Act):
    """A vote for a governance proposal."""

    TYPE = "Approve(bytes32 proposal,uint32 organisation,uint40 validUntil)"
    PURPOSE = Purpose.ACT
    proposal: bytes
    organisation: int
    valid_until: int


@dataclass(frozen=True)
class Object(Act):
    """A vote against a scheduled proposal."""

    TYPE = "Object(bytes32 proposal,uint32 organisation,uint40 validUntil)"
    PURPOSE = Purpose.ACT
    proposal: bytes
    organisation: int
    valid_until: int


@dataclass(frozen=True)
class Submit(Act):
    """One signature over all entries of a submission; the verifying contract is the EvidenceLog."""

    TYPE = "Submit(bytes32 logId,uint32 organisation,bytes32 root,uint32 count,uint40 validUntil)"
    PURPOSE = Purpose.ACT
    log_id: bytes
    organisation: int
    root: bytes
    count: int
    valid_until: int


@dataclass(frozen=True)
class Login(Act):
    """Open a gateway session, at most 10 minutes; the verifying contract is the EvidenceLog."""

    TYPE = "Login(string audience,uint32 organisation,bytes32 nonce,uint40 issuedAt,uint40 expiresAt)"
    PURPOSE = Purpose.AUTH
    audience: str
    organisation: int
    nonce: bytes
    issued_at: int
    expires_at: int


ACTS: tuple[type[Act], ...] = (
    Anchor, AnnounceKey, AcceptKey, CancelKey, RevokeKey, SetHpkeKey, Suspend, Approve, Object, Submit, Login,
)  # fmt: skip


class Signer(Protocol):
    """Who can sign a digest: a key file, later a hardware token."""

    @property
    def address(self) -> bytes:
        """20 bytes."""

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r ‖ s ‖ v with low s and v 27 or 28."""


def address_of(public_key: coincurve.PublicKey) -> bytes:
    """Ethereum address of a secp256k1 key, 20 bytes."""
    return _address(public_key.format(compressed=False))


@lru_cache(maxsize=4096)
def _address(point: bytes) -> bytes:
    """Of an uncompressed point; the same organisations sign again and again."""
    return keccak256(point[1:])[-20:]


def recover(digest: bytes, signature: bytes) -> bytes:
    """Address of the key that made `signature` over the 32-byte `digest`.

    One signature has one form: s in the lower half of the order (EIP-2), v 27 or 28.

    Raises:
        BadSignature: another form, or no key fits.
    """
    if len(digest) != 32:
        raise MalformedInput("a digest has 32 bytes", field="digest")
    if len(signature) != SIGNATURE_LEN:
        raise BadSignature(f"{len(signature)} bytes, 65 expected", field="signature")
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:64], "big")
    if not 0 < r < _ORDER or not 0 < s <= _HALF_ORDER:
        raise BadSignature("r or s out of range (s must be in the lower half)", field="signature")
    if signature[64] not in (27, 28):
        raise BadSignature("v must be 27 or 28", field="signature")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes((signature[64] - 27,)), digest, hasher=None
        )
    except Exception:
        raise BadSignature("no key made this signature", field="signature") from None
    return address_of(key)
