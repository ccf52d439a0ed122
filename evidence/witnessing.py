"""Asking witnesses to cosign the anchored heads (C2SP tlog-witness), from the worker.

The newest anchored head is what is asked for: it covers all before it, and all witnesses are asked for the
same one, so that one checkpoint holds all their cosignatures. A witness that was away tells its size
and gets the proof from there, so that it catches up by itself. Only a cosignature that verifies is stored.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import httpx

from evidence.batches import Batch, anchored_at_size, anchored_until
from evidence.logs import LogContext
from evidence.ports import Clock, PromiseSigner, system_clock
from evidence.tiles import TileReader
from protocol.checkpoint import (
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    TYPE_MLDSA44,
    Checkpoint,
    CosignatureInvalid,
    NoteSignature,
    SignedNote,
    check_key_name,
    key_id,
    statement_origin,
    verify_cosignature,
)
from protocol.errors import CaseledgerError, MalformedInput
from storage.db import AnyConnection, Pool

CODE_HEADER = "x-caseledger-code"
MAX_ANSWER = 32 * 1024
ASK_SECONDS = 30.0
"""A witness waits for a block of its own node before it answers."""
CLOCK_SKEW = 300
PACE = 2
"""Seconds: of the heads anchored within one such span only the last is witnessed, by all the same."""
_SIZE_LIMIT = 2**63
_CODE = re.compile(r"[A-Z][A-Za-z0-9]{2,63}")


class WitnessUnavailable(CaseledgerError):
    """The witness does not answer, or its own node does not; it is asked again."""

    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    title: ClassVar[str] = "a witness does not answer"


class WitnessRefused(CaseledgerError):
    """The witness refuses the checkpoint; `detail` begins with its code."""

    http_status: ClassVar[int] = 502
    title: ClassVar[str] = "a witness refuses"


class WitnessAnswerInvalid(CaseledgerError):
    """What the witness answered is not its cosignature over this checkpoint; nothing was stored."""

    http_status: ClassVar[int] = 502
    title: ClassVar[str] = "not the witness's cosignature"


class WitnessAhead(CaseledgerError):
    """The witness cosigned a larger tree of ours than is anchored as far as this database knows."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "a witness is ahead of this ledger"


class WitnessRolledBack(CaseledgerError):
    """The witness says a smaller size than it cosigned for us: its state was put back."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "a witness forgot what it cosigned"


@dataclass(frozen=True)
class CosignerKey:
    """A public key that cosigns one tree: signature type 4 or 6, and its name in cosignature lines."""

    kind: int
    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """4 bytes."""
        return key_id(self.name, self.kind, self.public_key)


@dataclass(frozen=True)
class Witness:
    """A witness as this ledger knows it. `keys`: Ed25519 public keys (32 bytes) by algorithm number.

    `ml_dsa`: ML-DSA-44 public keys (1,312 bytes) likewise, under the key name `ml_dsa_name`.
    """

    name: str
    url: str
    keys: Mapping[int, bytes]
    ml_dsa_name: str = ""
    ml_dsa: Mapping[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if self.ml_dsa and (self.ml_dsa_name == self.name or not self.ml_dsa.keys() <= self.keys.keys()):
            raise MalformedInput("ML-DSA-44 keys have a key name of their own", field="ml_dsa")
        if not self.url.startswith(("http://", "https://")):
            raise MalformedInput("url: an http or https address is expected", field="url")
        for algorithm in self.keys:
            for one in self.cosigners(algorithm):
                key_id(one.name, one.kind, one.public_key)

    def key_id(self, algorithm: int) -> bytes:
        """4 bytes, of the Ed25519 key."""
        return self.cosigners(algorithm)[0].key_id

    def cosigners(self, algorithm: int) -> tuple[CosignerKey, ...]:
        """The keys that sign one tree; the Ed25519 one first."""
        first = CosignerKey(TYPE_COSIGNATURE, self.name, self.keys[algorithm])
        if algorithm not in self.ml_dsa:
            return (first,)
        return first, CosignerKey(TYPE_MLDSA44, self.ml_dsa_name, self.ml_dsa[algorithm])


@dataclass(frozen=True)
class Answer:
    """What a witness answered. `code` is its own name for a refusal, empty where it gives none."""

    status: int
    code: str
    body: bytes


class WitnessPort(Protocol):
    """Carries a request to a witness."""

    async def add_checkpoint(self, url: str, body: bytes) -> Answer:
        """Raises WitnessUnavailable."""
        ...


class HttpWitnesses:
    """`WitnessPort` over HTTP. Belongs to one event loop; close with `aclose`."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(timeout=ASK_SECONDS, follow_redirects=False, trust_env=False)

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def add_checkpoint(self, url: str, body: bytes) -> Answer:
        content = bytearray()
        try:
            async with (
                asyncio.timeout(ASK_SECONDS),
                self._http.stream("POST", f"{url.rstrip('/')}/add-checkpoint", content=body) as response,
            ):
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER:
                        raise WitnessUnavailable("its answer is over the limit")
                return Answer(
                    response.status_code, response.headers.get(CODE_HEADER, "")[:64], bytes(content)
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise WitnessUnavailable(type(error).__name__) from None


class Witnesser:
    """Keeps one witness up to date with one log. Not for two tasks at once."""

    def __init__(
        self,
        pool: Pool,
        log: LogContext,
        log_key: PromiseSigner,
        witness: Witness,
        port: WitnessPort,
        *,
        clock: Clock = system_clock,
        pace: int = PACE,
    ) -> None:
        """`log_key`: the key that signs promises and checkpoints."""
        self._pool = pool
        self._log = log
        self._key = log_key
        self._witness = witness
        self._port = port
        self._clock = clock
        self._pace = pace
        self._tiles = TileReader(log.log_no, keep=64)

    @property
    def step(self) -> str:
        """Name under which its troubles are shown."""
        return f"witness:{self._witness.name}"

    async def run_once(self) -> bool:
        """Ask for the newest anchored head in both trees; whether anything was stored.

        Raises:
            WitnessUnavailable, WitnessRefused, WitnessAnswerInvalid, WitnessAhead, WitnessRolledBack
        """
        now = self._clock()
        async with self._pool.acquire() as conn:
            head = await anchored_until(conn, self._log.log_no, now - now % self._pace)
        if head is None:
            return False
        stored, failure = False, None
        for algorithm in sorted(self._witness.keys):
            try:
                stored |= await self._ask(head, algorithm)
            except CaseledgerError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return stored

    async def _ask(self, head: Batch, algorithm: int) -> bool:
        cosigners = self._witness.cosigners(algorithm)
        async with self._pool.acquire() as conn:
            sizes = [
                await newest_cosigned(conn, self._log.log_no, algorithm, one.key_id) for one in cosigners
            ]
        if min(sizes) >= head.new_size:
            return False
        known = min(max(sizes), head.new_size)
        note = self.note(head, algorithm)
        answer = await self._post(known, head.new_size, note, algorithm)
        if answer.status == 409 and answer.code in ("", "OldSizeMismatch"):
            told = self._size(answer)
            if told < known:
                await self._forgotten(told, known, algorithm)
            if told > head.new_size:
                raise WitnessAhead(f"{self._witness.name}: at {told}, anchored are {head.new_size}")
            answer = await self._post(told, head.new_size, note, algorithm)
        if answer.status != 200:
            raise self._refusal(answer)
        # What verifies is kept, also where another key's line is missing; that one is asked for again.
        stored, failure = False, None
        for one, size in zip(cosigners, sizes, strict=True):
            if size >= head.new_size:
                continue
            try:
                line = self._verified(answer.body, note.checkpoint, one)
            except WitnessAnswerInvalid as error:
                failure = failure or error
                continue
            async with self._pool.acquire() as conn, conn.transaction():
                await store(conn, self._log.log_no, head.number, algorithm, note, line)
            stored = True
        if failure is not None:
            raise failure
        return stored

    def note(self, head: Batch, algorithm: int) -> SignedNote:
        """The head's checkpoint in one tree, signed with the log key."""
        return signed_checkpoint(self._log.origin, self._key, head, algorithm)

    async def _post(self, old: int, size: int, note: SignedNote, algorithm: int) -> Answer:
        proof: Sequence[bytes] = ()
        if 0 < old < size:
            async with self._pool.acquire() as conn:
                proof = (await self._tiles.consistency(conn, old, size))[algorithm]
        lines = b"".join(base64.b64encode(one) + b"\n" for one in proof)
        body = b"old %d\n" % old + lines + b"\n" + note.encode()
        try:
            return await self._port.add_checkpoint(self._witness.url, body)
        except WitnessUnavailable as error:
            raise WitnessUnavailable(f"{self._witness.name}: {error.detail}") from None

    async def _forgotten(self, told: int, known: int, algorithm: int) -> None:
        """Show the witness its own cosignature, so that it too knows that it was rolled back."""
        ids = {one.key_id: one.name for one in self._witness.cosigners(algorithm)}
        async with self._pool.acquire() as conn:
            batch = await anchored_at_size(conn, self._log.log_no, known)
            row = await conn.fetchrow(
                """SELECT key_id, time, signature FROM evidence.cosignature
                   WHERE log_no = $1 AND size = $2 AND algorithm = $3 AND key_id = ANY ($4) LIMIT 1""",
                self._log.log_no,
                known,
                algorithm,
                list(ids),
            )
        if batch is not None and row is not None:
            own = NoteSignature.cosignature(ids[row["key_id"]], row["key_id"], row["time"], row["signature"])
            await self._post(told, known, self.note(batch, algorithm).with_signatures([own]), algorithm)
        raise WitnessRolledBack(f"{self._witness.name}: cosigned {known}, now says {told}")

    def _size(self, answer: Answer) -> int:
        text = answer.body.removesuffix(b"\n")
        if not text.isdigit() or len(text) > 19 or int(text) >= _SIZE_LIMIT:
            raise WitnessAnswerInvalid(f"{self._witness.name}: 409 without a size")
        return int(text)

    def _refusal(self, answer: Answer) -> CaseledgerError:
        detail = f"{self._witness.name}: {answer.code or 'no code'}, HTTP {answer.status}"
        return (
            WitnessUnavailable(detail) if answer.status >= 500 and not answer.code else WitnessRefused(detail)
        )

    def _verified(self, body: bytes, checkpoint: Checkpoint, key: CosignerKey) -> NoteSignature:
        """The key's own line; lines of others are passed over."""
        name = key.name
        for text in body.split(b"\n"):
            try:
                line = NoteSignature.parse(text)
                if (line.name, line.key_id) != (name, key.key_id):
                    continue
                verify_cosignature(key.kind, name, key.public_key, line.time, checkpoint, line.untimed)
            except (CosignatureInvalid, MalformedInput):
                continue
            if not 0 < line.time <= self._clock() + CLOCK_SKEW:
                raise WitnessAnswerInvalid(f"{name}: its time {line.time} is not now")
            return line
        raise WitnessAnswerInvalid(f"{name}: no line that verifies")


def signed_checkpoint(origin: str, log_key: PromiseSigner, head: Batch, algorithm: int) -> SignedNote:
    """The checkpoint of an anchored head in one tree, with the log's line."""
    root = head.root_sm3 if algorithm else head.root_sha256
    checkpoint = Checkpoint(statement_origin(origin, algorithm), head.new_size, root)
    identity = key_id(checkpoint.origin, TYPE_ED25519, log_key.public_key)
    line = NoteSignature(checkpoint.origin, identity, log_key.sign(checkpoint.text()))
    return SignedNote(checkpoint.text(), (line,))


async def newest_cosigned(conn: AnyConnection, log_no: int, algorithm: int, key: bytes) -> int:
    """The largest size that the key with this id cosigned; 0 for none."""
    return int(
        await conn.fetchval(
            """SELECT coalesce(max(size), 0) FROM evidence.cosignature
               WHERE log_no = $1 AND algorithm = $2 AND key_id = $3""",
            log_no,
            algorithm,
            key,
        )
    )


async def newest_checkpoint(conn: AnyConnection, log: LogContext, algorithm: int) -> SignedNote | None:
    """The newest checkpoint of one tree that was witnessed, with the log's line and all cosignatures."""
    rows = await conn.fetch(
        """SELECT b.root_sha256, b.root_sm3, p.size, p.log_key_id, p.log_signature, c.name,
                  s.key_id, s.time, s.signature
           FROM (SELECT * FROM evidence.checkpoint WHERE log_no = $1 AND algorithm = $2
                 ORDER BY size DESC LIMIT 1) p
           JOIN evidence.batch b USING (log_no, number)
           JOIN evidence.cosignature s USING (log_no, size, algorithm)
           JOIN evidence.cosigner c USING (log_no, algorithm, key_id) ORDER BY s.key_id""",
        log.log_no,
        algorithm,
    )
    if not rows:
        return None
    root = rows[0]["root_sm3"] if algorithm else rows[0]["root_sha256"]
    checkpoint = Checkpoint(statement_origin(log.origin, algorithm), rows[0]["size"], root)
    lines = [NoteSignature(checkpoint.origin, rows[0]["log_key_id"], rows[0]["log_signature"])]
    lines += [
        NoteSignature.cosignature(row["name"], row["key_id"], row["time"], row["signature"]) for row in rows
    ]
    return SignedNote(checkpoint.text(), tuple(lines))


@dataclass(frozen=True)
class WitnessState:
    """How far a witness has cosigned one tree. `time` in seconds UTC, by the witness's clock."""

    name: str
    algorithm: int
    size: int
    time: int


async def states(conn: AnyConnection, log_no: int) -> list[WitnessState]:
    """Of every key that ever cosigned the log."""
    rows = await conn.fetch(
        """SELECT c.name, c.algorithm, s.size, s.time FROM evidence.cosigner c
           CROSS JOIN LATERAL (SELECT s.size, s.time FROM evidence.cosignature s
               WHERE s.log_no = c.log_no AND s.algorithm = c.algorithm AND s.key_id = c.key_id
               ORDER BY s.size DESC LIMIT 1) s
           WHERE c.log_no = $1 ORDER BY c.name, c.algorithm""",
        log_no,
    )
    return [WitnessState(row["name"], row["algorithm"], row["size"], row["time"]) for row in rows]


async def store(
    conn: AnyConnection, log_no: int, number: int, algorithm: int, note: SignedNote, line: NoteSignature
) -> None:
    """A verified cosignature and its checkpoint, in the caller's transaction; a key's first one stays."""
    size = note.checkpoint.size
    await conn.execute(
        """INSERT INTO evidence.checkpoint (log_no, size, algorithm, number, log_key_id, log_signature)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING""",
        log_no,
        size,
        algorithm,
        number,
        note.signatures[0].key_id,
        note.signatures[0].signature,
    )
    await conn.execute(
        """INSERT INTO evidence.cosigner (log_no, algorithm, key_id, name) VALUES ($1, $2, $3, $4)
           ON CONFLICT DO NOTHING""",
        log_no,
        algorithm,
        line.key_id,
        line.name,
    )
    await conn.execute(
        """INSERT INTO evidence.cosignature (log_no, size, algorithm, key_id, time, signature)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING""",
        log_no,
        size,
        algorithm,
        line.key_id,
        line.time,
        line.untimed,
    )
