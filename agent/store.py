"""`--store`: encrypts a file in chunks, uploads them by address, wraps its key to named organisations.

The content key lives in this process only. An interrupted upload begins again with a fresh key: a key kept
for resuming would encrypt two versions of a changed file under the same nonces. What an interrupted upload
left behind is ciphertext that nobody has a key for.

Whose key is it wrapped to? The gateway shows the registry, and a lying gateway could show its own key in
place of a court's. So a key is taken only if it equals a pinned value or what an own node says, where there
is one; without either the agent believes the gateway and says so (docs/threat-model.md).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from agent.errors import AgentError, FileChanged, FileNotReadable, RecipientUnknown
from agent.hashing import HashedFile
from protocol import blob
from protocol.errors import MalformedInput
from protocol.expect import json_value
from protocol.hashing import new_sha256, new_sm3, sha256
from protocol.identifiers import parse_hex32

_MAX_PINS = 1 << 20
KeyCheck = Callable[[int], bytes | None]
"""What a source of our own says about an organisation's HPKE key (32 bytes); None where it says nothing."""


class RecipientKeyMismatch(AgentError):
    """The gateway shows another HPKE key than a source of our own: it errs or lies."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "recipient's key differs from the pinned one"


class ContentTooLarge(AgentError):
    """More than a manifest can describe."""

    http_status: ClassVar[int] = 413
    title: ClassVar[str] = "file too large to store"


class ChunkSink(Protocol):
    """Where chunks go; a `GatewayClient` is one."""

    def has_chunk(self, cid: str) -> bool: ...
    def put_chunk(self, cid: str, data: bytes) -> None: ...


@dataclass(frozen=True)
class Recipient:
    """An organisation and the HPKE key that the content key is wrapped to."""

    organisation: int
    public_key: bytes
    checked: bool
    """Whether a source of our own confirmed the key."""


def load_pins(path: Path) -> dict[int, bytes]:
    """Pinned HPKE keys: a JSON object from organisation index to 64 hex digits; absent file, no pins.

    Raises:
        MalformedInput
    """
    if not path.is_file():
        return {}
    try:
        document: Any = json_value(path.read_bytes(), "pins", max_bytes=_MAX_PINS)
        return {int(index): parse_hex32(value, "pin") for index, value in document.items()}
    except (ValueError, AttributeError, TypeError):
        raise MalformedInput("pins: a JSON object from index to hex is expected", field=path.name) from None


def save_pins(path: Path, pins: Mapping[int, bytes]) -> None:
    """Writes pinned HPKE keys (32 bytes by organisation index), whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    document = {str(index): key.hex() for index, key in sorted(pins.items())}
    partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def choose_recipients(
    organisations: Sequence[Mapping[str, Any]],
    wanted: Sequence[int],
    own: int,
    *,
    now: int,
    checks: Sequence[KeyCheck] = (),
) -> list[Recipient]:
    """Keys of the wanted organisations, and of our own if it has one, from the gateway's view.

    Raises:
        RecipientUnknown: not a member, or without a key that is valid now.
        RecipientKeyMismatch: a source of our own says otherwise.
    """
    by_index = {int(item["index"]): item for item in organisations}
    chosen: list[Recipient] = []
    for index in dict.fromkeys((*wanted, own)):
        key = _valid_key(by_index.get(index), now)
        if key is None:
            if index == own and index not in wanted:
                continue
            raise RecipientUnknown(
                f"organisation {index} has no HPKE key that is valid now",
                field="to",
                hint="it publishes one with a SetHpkeKey act",
            )
        said = [value for check in checks if (value := check(index)) is not None]
        if any(value != key for value in said):
            raise RecipientKeyMismatch(
                f"the gateway shows another HPKE key for organisation {index} than your own source",
                field="to",
                hint="do not use this gateway until it is explained",
            )
        chosen.append(Recipient(index, key, bool(said)))
    if not chosen:
        raise RecipientUnknown("nobody could open the content", field="to", hint="name a recipient with --to")
    if len(chosen) > blob.MAX_RECIPIENTS:
        raise RecipientUnknown(f"at most {blob.MAX_RECIPIENTS} recipients", field="to")
    return chosen


def _valid_key(item: Mapping[str, Any] | None, now: int) -> bytes | None:
    if item is None or not item.get("hpkeKey"):
        return None
    if not int(item["hpkeNotBefore"]) <= now <= int(item["hpkeNotAfter"]):
        return None
    return parse_hex32(str(item["hpkeKey"]), "hpkeKey")


def store_file(hashed: HashedFile, recipients: Sequence[Recipient], sink: ChunkSink) -> bytes:
    """Uploads one file encrypted; the manifest digest for the body.

    Memory: one chunk. The file is read a second time, and must be what was hashed.

    Raises:
        ContentTooLarge, FileChanged, FileNotReadable, and what the sink raises
    """
    if hashed.digests.size > blob.MAX_CONTENT:
        raise ContentTooLarge(f"at most {blob.MAX_CONTENT} bytes", field="path", hint="anchor it hash-only")
    key, salt = secrets.token_bytes(32), secrets.token_bytes(32)
    digests: list[bytes] = []
    sha, sm = new_sha256(), new_sm3()
    count = blob.chunk_count(hashed.digests.size)
    for index, plain in enumerate(_pieces(hashed.path, count)):
        sha.update(plain)
        sm.update(plain)
        cipher = blob.encrypt_chunk(key, salt, index, index == count - 1, plain)
        digest = sha256(cipher)
        sink.put_chunk(blob.cid(digest), cipher)
        digests.append(digest)
    if sha.digest() != hashed.digests.sha256 or sm.digest() != hashed.digests.sm3:
        raise FileChanged(f"{hashed.path.name} was written to meanwhile", field="path", hint="try again")
    wrapped = [blob.wrap_key(key, r.organisation, r.public_key, hashed.digests.sha256) for r in recipients]
    manifest = blob.Manifest(hashed.digests.size, tuple(digests), tuple(wrapped), salt).encode()
    digest = sha256(manifest)
    sink.put_chunk(blob.cid(digest), manifest)
    return digest


def _pieces(path: Path, count: int) -> Iterator[bytes]:
    """Exactly `count` pieces, all but the last full; a file that no longer gives them has changed."""
    try:
        with path.open("rb") as source:
            for index in range(count):
                piece = source.read(blob.CHUNK_PLAIN)
                if index < count - 1 and len(piece) != blob.CHUNK_PLAIN:
                    raise FileChanged(f"{path.name} became shorter", field="path", hint="try again")
                yield piece
            if source.read(1):
                raise FileChanged(f"{path.name} became longer", field="path", hint="try again")
    except OSError as error:
        raise FileNotReadable(f"{path.name}: {error.strerror}", field="path") from None
