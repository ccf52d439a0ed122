"""Asking time authorities to stamp the checkpoints of anchored batches (RFC 3161), from the worker.

The newest anchored head is what is asked for: its token covers every leaf before it, so that one request a
minute is enough for a whole log. An authority may be late, wrong or lying: its answer goes through the same
verifier as in a court's hands, and only what passes is stored.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import httpx

from evidence import timestamps_repository as repository
from evidence.batches import Batch, last_anchored
from evidence.logs import LogContext
from evidence.ports import Clock, system_clock
from evidence.tiles import TileReader
from evidence.timestamps_repository import StoredToken
from protocol.checkpoint import TREE_HASHES, Checkpoint, statement_origin
from protocol.errors import CaseledgerError, MalformedInput
from storage.db import AnyConnection, Pool
from verifier.attestation import TokenAttestation, Where
from verifier.receipt import Attestation
from verifier.timetoken import BEFORE_BLOCK, check_token
from verifier.timetoken_cms import MAX_REVOCATION
from verifier.timetoken_errors import TokenAlgorithmMismatch
from verifier.timetoken_path import load
from verifier.timetoken_request import ANSWER_TYPE, MAX_ANSWER, REQUEST_TYPE, TimeRequest, token_of
from verifier.trust_payload import TimeAuthority

ASK_SECONDS = 15.0
EVERY = 60
"""Seconds between requests to one authority for one tree, failed ones counted."""
REVOCATION_SECONDS = 3600
"""How long fetched revocation data is taken for the newest."""
CLOCK_SKEW = 60
"""Seconds by which an authority's clock may be ahead of ours when its answer is judged."""
MAX_CARRIED = 4096
"""Bytes of one piece of revocation data that a receipt carries; larger ones stay in the database."""
KEEP_COMPLETE, KEEP_PARTIAL = 30.0, 1.0
"""Seconds: every authority has stamped, or one is still missing."""
KEPT_BATCHES = 1024


class TimeAuthorityUnavailable(CaseledgerError):
    """The time authority does not answer, or not as RFC 3161 §3.4 says; it is asked again."""

    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    title: ClassVar[str] = "a time authority does not answer"


class TimeAnswerRefused(CaseledgerError):
    """The answer is no token that our verifier accepts, nothing was stored; `detail` begins with the code."""

    http_status: ClassVar[int] = 502
    title: ClassVar[str] = "a time authority's answer is refused"


@dataclass(frozen=True)
class Authority:
    """A time authority as this ledger asks it. Certificates are DER.

    `chain`: what lies between its signer and a root, if its tokens leave that out; `policies`: accepted OIDs,
    the first is asked for, none accepts any; `revocation`: addresses of CRLs; `every`: seconds from one
    request to the next.
    """

    name: str
    url: str
    roots: tuple[bytes, ...]
    chain: tuple[bytes, ...] = ()
    policies: tuple[str, ...] = ()
    revocation: tuple[str, ...] = ()
    every: int = EVERY

    def __post_init__(self) -> None:
        if not self.roots:
            raise MalformedInput("roots: a certificate is expected", field="roots")
        for certificate in (*self.roots, *self.chain):
            load(certificate)
        for url in (self.url, *self.revocation):
            if not url.startswith(("http://", "https://")):
                raise MalformedInput("url: an http or https address is expected", field="url")

    def trusted(self) -> TimeAuthority:
        """As the verifier wants it, without an end: what is stored is judged again under a trust file."""
        return TimeAuthority(self.name, self.roots, self.policies, 0, None)


def read_roots(data: bytes) -> tuple[bytes, ...]:
    """Certificates of a PEM or DER file, as DER.

    Raises:
        MalformedInput
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        if b"-----BEGIN" in data:
            found = x509.load_pem_x509_certificates(data)
        else:
            found = [x509.load_der_x509_certificate(data)]
        roots = tuple(one.public_bytes(Encoding.DER) for one in found)
    except ValueError:
        raise MalformedInput("roots: neither PEM nor DER certificates", field="roots") from None
    return roots


class TimePort(Protocol):
    """Carries requests to time authorities."""

    async def ask(self, url: str, request: bytes) -> bytes:
        """The answer's body. Raises TimeAuthorityUnavailable."""
        ...

    async def fetch(self, url: str) -> bytes:
        """Revocation data. Raises TimeAuthorityUnavailable."""
        ...


class HttpAuthorities:
    """`TimePort` over HTTP. Belongs to one event loop; close with `aclose`."""

    def __init__(self, *, seconds: float = ASK_SECONDS) -> None:
        self._seconds = seconds
        self._http = httpx.AsyncClient(timeout=seconds, follow_redirects=False, trust_env=False)

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def ask(self, url: str, request: bytes) -> bytes:
        headers = {"content-type": REQUEST_TYPE, "accept": ANSWER_TYPE, "accept-encoding": "identity"}
        kind, body = await self._body("POST", url, MAX_ANSWER, content=request, headers=headers)
        if kind != ANSWER_TYPE:
            raise TimeAuthorityUnavailable("the answer is of another media type")
        return body

    async def fetch(self, url: str) -> bytes:
        return (await self._body("GET", url, MAX_REVOCATION))[1]

    async def _body(
        self,
        method: str,
        url: str,
        limit: int,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[str, bytes]:
        """Media type and body, read no further than the limit and in limited time."""
        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._http.stream(method, url, content=content, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise TimeAuthorityUnavailable(f"status {response.status_code}")
                # Raw, so that a small compressed answer cannot become a large one.
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > limit:
                        raise TimeAuthorityUnavailable("the answer is over the limit")
                kind = str(response.headers.get("content-type", ""))
                return kind.partition(";")[0].strip().lower(), bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise TimeAuthorityUnavailable(type(error).__name__) from None


@dataclass
class _Revocation:
    data: tuple[bytes, ...] = ()
    due: float = float("-inf")
    failure: TimeAuthorityUnavailable | None = None


class TimeStamper:
    """Has one authority stamp both trees of one log. Not for two tasks at once."""

    def __init__(
        self,
        pool: Pool,
        log: LogContext,
        authority: Authority,
        port: TimePort,
        *,
        clock: Clock = system_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._log = log
        self._authority = authority
        self._port = port
        self._clock = clock
        self._monotonic = monotonic
        self._asked: dict[int, float] = {}
        self._failed: dict[int, CaseledgerError] = {}
        self._revocation = _Revocation()

    @property
    def step(self) -> str:
        """Name under which its troubles are shown."""
        return f"time:{self._authority.name}"

    async def run_once(self) -> bool:
        """Have the newest anchored head stamped in both trees, where a request is due.

        One tree's failure does not keep the other from being stamped. It is told again until a request is
        due, so that it stays visible; so is revocation data that does not come. Whether a token was stored.

        Raises:
            TimeAuthorityUnavailable, TimeAnswerRefused
        """
        async with self._pool.acquire() as conn:
            head = await last_anchored(conn, self._log.log_no)
        if head is None:
            return False
        stored, failure = False, None
        for algorithm in range(len(TREE_HASHES)):
            try:
                stored |= await self._stamp(head, algorithm)
            except (TimeAuthorityUnavailable, TimeAnswerRefused) as error:
                failure = failure or error
        if self._revocation.failure is not None:
            await self._newest_revocation()
            failure = failure or self._revocation.failure
        if failure is not None:
            raise failure
        return stored

    async def _stamp(self, head: Batch, algorithm: int) -> bool:
        async with self._pool.acquire() as conn:
            size, received = await repository.newest(conn, self._log.log_no, algorithm, self._authority.name)
        if size >= head.new_size:
            return False
        now, tick = self._clock(), self._monotonic()
        if received <= now < received + self._authority.every:
            return False
        if tick < self._asked.get(algorithm, float("-inf")) + self._authority.every:
            if algorithm in self._failed:
                raise self._failed[algorithm]
            return False
        self._asked[algorithm] = tick
        try:
            token = await self._ask(head, algorithm, now)
        except CaseledgerError as error:
            self._failed[algorithm] = error
            raise
        self._failed.pop(algorithm, None)
        async with self._pool.acquire() as conn:
            return await repository.store(conn, self._log.log_no, token)

    async def _ask(self, head: Batch, algorithm: int, now: int) -> StoredToken:
        """A verified token over the head's checkpoint."""
        alg, authority = TREE_HASHES[algorithm], self._authority
        digest = alg.digest(checkpoint_text(self._log.origin, head, algorithm))
        policy = authority.policies[0] if authority.policies else None
        request = TimeRequest(alg.name, digest, secrets.randbits(64), policy)
        answer = await self._port.ask(authority.url, request.encode())
        revocation = await self._newest_revocation()

        def imprint_of(name: str) -> bytes:
            if name != alg.name:
                raise TokenAlgorithmMismatch(f"imprint with {name}, asked for {alg.name}")
            return digest

        received = self._clock()
        try:
            token = token_of(answer)
            # No thread of its own: about 2 ms, once a minute.
            proved = check_token(
                token,
                authority.chain,
                revocation,
                imprint_of=imprint_of,
                authorities=(authority.trusted(),),
                at=received + CLOCK_SKEW,
                not_before=now - BEFORE_BLOCK,
            )
            request.check(proved)
            proved.check_current(received)
        except CaseledgerError as error:
            raise TimeAnswerRefused(f"{error.code}: {error.detail}"[:300]) from None
        return StoredToken(
            algorithm,
            authority.name,
            head.new_size,
            proved.gen_time,
            proved.policy,
            proved.signer_not_after,
            received,
            token,
            authority.chain,
            revocation,
        )

    async def _newest_revocation(self) -> tuple[bytes, ...]:
        """What the authority's revocation addresses give, asked once an hour; the last known while they are
        silent, because a token without fresh revocation data is worth more than none.
        """
        tick, known = self._monotonic(), self._revocation
        if self._authority.revocation and tick >= known.due:
            try:
                data = tuple([await self._port.fetch(url) for url in self._authority.revocation])
                self._revocation = _Revocation(data, tick + REVOCATION_SECONDS)
            except TimeAuthorityUnavailable as error:
                failure = TimeAuthorityUnavailable(f"revocation data: {error.detail}")
                self._revocation = _Revocation(known.data, tick + self._authority.every, failure)
        return self._revocation.data


def checkpoint_text(origin: str, head: Batch, algorithm: int) -> bytes:
    """What is stamped: the text of the checkpoint of one tree at a batch."""
    root = (head.root_sha256, head.root_sm3)[algorithm]
    return Checkpoint(statement_origin(origin, algorithm), head.new_size, root).text()


class TimeAttestations:
    """Time attestations of one log's leaves. Keeps caches; not for use by two tasks at once."""

    def __init__(
        self,
        log_no: int,
        tiles: TileReader | None = None,
        *,
        clock: Clock = system_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log_no = log_no
        self._tiles = tiles or TileReader(log_no)
        self._clock = clock
        self._monotonic = monotonic
        self._kept: OrderedDict[int, tuple[float, tuple[StoredToken, ...]]] = OrderedDict()

    async def of(
        self, conn: AnyConnection, places: Sequence[tuple[int, int]]
    ) -> list[tuple[Attestation, ...]]:
        """For each (leaf index, size of the core's batch link): each authority's first token over a tree that
        holds the batch, in both trees.
        """
        shared = {size: await self._tokens(conn, size) for size in {size for _, size in places}}
        wanted = list(
            {(index, one.size) for index, size in places for one in shared[size] if one.size != size}
        )
        paths = dict(zip(wanted, await self._tiles.inclusions(conn, wanted), strict=True))

        def attest(one: StoredToken, index: int, size: int) -> Attestation:
            where = None if one.size == size else Where(one.size, paths[index, one.size][one.algorithm])
            carried = tuple(data for data in one.revocation if len(data) <= MAX_CARRIED)
            return TokenAttestation(one.algorithm, where, one.token, one.certificates, carried).encode()

        return [tuple(attest(one, index, size) for one in shared[size]) for index, size in places]

    async def _tokens(self, conn: AnyConnection, size: int) -> tuple[StoredToken, ...]:
        tick = self._monotonic()
        kept = self._kept.get(size)
        if kept is not None and tick < kept[0]:
            self._kept.move_to_end(size)
            return kept[1]
        found, complete = await repository.first_from(conn, self._log_no, size, self._clock())
        self._kept[size] = (tick + (KEEP_COMPLETE if complete else KEEP_PARTIAL), tuple(found))
        self._kept.move_to_end(size)
        while len(self._kept) > KEPT_BATCHES:
            self._kept.popitem(last=False)
        return tuple(found)


async def time_attestations(
    conn: AnyConnection, log_no: int, leaf_index: int, link_size: int, *, clock: Clock = system_clock
) -> list[Attestation]:
    """Of one leaf, whose core's batch link has size `link_size`. For more than one, `TimeAttestations`."""
    return list((await TimeAttestations(log_no, clock=clock).of(conn, [(leaf_index, link_size)]))[0])
