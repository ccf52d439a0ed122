"""Opens stored content as one of its recipients: fetched by address, decrypted, compared with the digests."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

from agent.errors import ContentUnavailable
from agent.keys import X25519Key
from protocol import blob
from protocol.entry import Body
from protocol.hashing import new_sha256, new_sm3, sha256


class ChunkSource(Protocol):
    """Where chunks come from; a `GatewayClient` is one."""

    def get_chunk(self, cid: str) -> bytes: ...


def open_content(body: Body, key: X25519Key, source: ChunkSource, target: Path) -> int:
    """Writes the document of an entry to `target`; its size in bytes.

    The body names the manifest and the digests; take it from a receipt that verifies. Nothing appears at
    `target` unless every chunk and both digests are right. Memory: one chunk.

    Raises:
        ContentUnavailable: not stored, not for this key, or other content than the entry says.
        ContentUndecryptable: a chunk is not the one that was stored.
    """
    if body.manifest is None:
        raise ContentUnavailable("only the digests of this document were given", field="manifest")
    manifest = blob.Manifest.parse(_fetch(source, body.manifest))
    if manifest.size != body.content_size:
        raise ContentUnavailable("the manifest describes another size", field="manifest")
    for recipient in manifest.recipients:
        if recipient.public_key == key.public_key:
            break
    else:
        raise ContentUnavailable("the content is not wrapped to this key", field="key")
    content_key = blob.unwrap_key(recipient, key.private, body.content_sha256)
    sha, sm = new_sha256(), new_sm3()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".caseledger-")
    try:
        with os.fdopen(descriptor, "wb") as out:
            last = len(manifest.chunks) - 1
            for index, digest in enumerate(manifest.chunks):
                cipher = _fetch(source, digest)
                plain = blob.decrypt_chunk(content_key, manifest.salt, index, index == last, cipher)
                sha.update(plain)
                sm.update(plain)
                out.write(plain)
            out.flush()
            os.fsync(out.fileno())
        if sha.digest() != body.content_sha256 or sm.digest() != body.content_sm3:
            raise ContentUnavailable("the stored content is not the anchored document", field="content")
        os.rename(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return manifest.size


def _fetch(source: ChunkSource, digest: bytes) -> bytes:
    data = source.get_chunk(blob.cid(digest))
    if sha256(data) != digest:
        raise ContentUnavailable("a chunk does not have its address", field="cid")
    return data
