"""Time tokens on their way from real authorities into receipts, and everything that may go wrong there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import asyncpg
import pytest

from cli.tsa import LIST_PATH, make_server
from evidence import timestamps_repository as repository
from evidence.attestations import AttestationMaker
from evidence.local_authority import POLICY, Identity, LocalAuthority, make_identity
from evidence.receipts import ReceiptMaker
from evidence.timestamping import (
    Authority,
    HttpAuthorities,
    TimeAnswerRefused,
    TimeAttestations,
    TimeAuthorityUnavailable,
    TimeStamper,
    checkpoint_text,
    read_roots,
    time_attestations,
)
from protocol.checkpoint import TREE_HASHES, Checkpoint, statement_origin
from protocol.errors import MalformedInput
from tests.conftest import PgDatabase
from tests.support.evidence import run
from tests.support.line import Line, line
from tests.support.time_tokens import Recipe
from tests.support.time_tokens import authority as trusted
from verifier.attestation import TokenAttestation, Where
from verifier.attestation import parse as parse_attestation
from verifier.merkle import root_from_inclusion
from verifier.receipt import Attestation, Receipt
from verifier.timetoken import check_token
from verifier.timetoken_request import TimeRequest, granted, refused

pytestmark = pytest.mark.database


@dataclass
class Office:
    """A local authority over HTTP and the loop that asks it. `tick`: the loop's monotonic clock."""

    line: Line
    name: str
    tick: float = 0.0
    offset: int = 0
    list_path: str = LIST_PATH
    identity: Identity = field(init=False)
    asked: int = 0
    url: str = "http://127.0.0.1:9"
    stamper: TimeStamper | None = None

    def __post_init__(self) -> None:
        self.identity = make_identity(self.name, self.line.desk.clock())

    @property
    def authority(self) -> Authority:
        revocation = (self.url + self.list_path,)
        return Authority(self.name, self.url, (self.identity.root,), (), (POLICY,), revocation)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        made = LocalAuthority(self.identity, clock=lambda: self.line.desk.clock() + self.offset)
        with serve(make_server(made)) as url:
            self.url = url
            yield

    async def ask(self, port: HttpAuthorities | Scripted | None = None) -> bool:
        """One round, by one stamper as long as the address stays."""
        real = HttpAuthorities(seconds=2.0)
        try:
            return await self.made(port or real).run_once()
        finally:
            await real.aclose()

    def made(self, port: HttpAuthorities | Scripted) -> TimeStamper:
        if self.stamper is None:
            desk = self.line.desk
            self.stamper = TimeStamper(
                self.line.pool, desk.log, self.authority, port, clock=desk.clock, monotonic=lambda: self.tick
            )
        self.stamper._port = port
        self.stamper._authority = self.authority
        return self.stamper


@contextlib.contextmanager
def serve(server: ThreadingHTTPServer):  # type: ignore[no-untyped-def]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Scripted:
    """An authority that answers what a test says."""

    answer: Callable[[bytes], bytes]
    asked: int = 0

    async def ask(self, url: str, request: bytes) -> bytes:
        self.asked += 1
        return self.answer(request)

    async def fetch(self, url: str) -> bytes:
        raise TimeAuthorityUnavailable("no list")


async def grow(w: Line, *counts: int) -> None:
    for count in counts:
        await w.acceptor.accept(w.desk.submission(count))
        await w.settle()
    assert w.desk.now is not None
    w.desk.now = max(w.desk.now, w.model.time + 1)


async def stored(w: Line) -> list[tuple[int, str, int]]:
    rows = await w.pool.fetch(
        """SELECT algorithm, authority, size FROM evidence.time_token WHERE log_no = $1
           ORDER BY size, authority, algorithm""",
        w.desk.log.log_no,
    )
    return [tuple(row) for row in rows]


async def attested(w: Line, index: int, size: int) -> list[Attestation]:
    async with w.pool.acquire() as conn:
        maker = TimeAttestations(w.desk.log.log_no, clock=w.desk.clock)
        return list((await maker.of(conn, [(index, size)]))[0])


async def check(w: Line, office: Office, index: int, size: int, attestation: Attestation) -> TokenAttestation:
    """As an offline verifier: root from leaf and path, checkpoint from root, token over the checkpoint."""
    known = parse_attestation(attestation, 0)
    assert isinstance(known, TokenAttestation)
    alg = TREE_HASHES[known.algorithm]
    leaf = await w.pool.fetchval(
        "SELECT leaf FROM evidence.entry WHERE log_no = $1 AND leaf_index = $2", w.desk.log.log_no, index
    )
    where = known.where
    if where is None:
        batch = await w.pool.fetchrow(
            "SELECT * FROM evidence.batch WHERE log_no = $1 AND new_size = $2", w.desk.log.log_no, size
        )
        assert batch is not None
        where = Where(size, ())
        root = batch["root_sm3" if known.algorithm else "root_sha256"]
    else:
        root = root_from_inclusion(alg, alg.leaf(leaf), index, where.size, where.path)
    text = Checkpoint(statement_origin(w.desk.log.origin, known.algorithm), where.size, root).text()
    expected = {alg.name: alg.digest(text)}
    found = check_token(
        known.token,
        known.certificates,
        known.revocation,
        imprint_of=expected.__getitem__,
        authorities=[trusted(office.identity, office.name)],
        at=w.desk.clock(),
        not_before=0,
    )
    assert found.authority == office.name
    return known


def test_two_authorities_stamp_both_trees_and_receipts_carry_it(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            a, b = Office(w, "time-a"), Office(w, "time-b")
            async with a.serving(), b.serving():
                assert not await a.ask()
                await grow(w, 3)
                for office in (a, b):
                    assert await office.ask()
                    assert not await office.ask()
                assert await stored(w) == [(a, name, 3) for name in ("time-a", "time-b") for a in (0, 1)]
                found = await attested(w, 1, 3)
                assert len(found) == 4
                for office, position in ((a, 0), (b, 1), (a, 2), (b, 3)):
                    known = await check(w, office, 1, 3, found[position])
                    assert known.where is None
                    assert known.revocation
                async with w.pool.acquire() as conn:
                    made = await AttestationMaker(w.desk.log, wall=w.desk.clock).of(conn, [(1, 3)])
                    files = await ReceiptMaker(w.desk.log, w.desk.vault, clock=w.desk.clock).make(conn, [1])
                assert {one.kind for one in made[0]} == {"rfc3161"}
                kinds = [one.kind for one in Receipt.parse(files[0].data).attestations]
                assert kinds == ["rfc3161"] * 4

    run(scenario())


def test_a_later_token_covers_earlier_batches_by_a_path(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "time-a")
            async with office.serving():
                await grow(w, 3, 2)
                assert await office.ask()
                found = await attested(w, 2, 3)
                assert len(found) == 2
                for one in found:
                    known = await check(w, office, 2, 3, one)
                    assert known.where is not None
                    assert known.where.size == 5
                async with w.pool.acquire() as conn:
                    again = await time_attestations(conn, w.desk.log.log_no, 2, 3, clock=w.desk.clock)
                assert [one.payload for one in again] == [one.payload for one in found]

    run(scenario())


def test_the_first_token_stays_the_one_that_a_receipt_carries(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "time-a")
            async with office.serving():
                await grow(w, 1)
                assert await office.ask()
                before = await attested(w, 0, 1)
                office.tick += 60
                await grow(w, 1)
                assert w.desk.now is not None
                w.desk.now += 60
                assert await office.ask()
                assert await attested(w, 0, 1) == before
                assert [size for *_, size in await stored(w)] == [1, 1, 2, 2]

    run(scenario())


def test_at_most_one_request_a_minute(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "time-a")
            async with office.serving():
                await grow(w, 1)
                assert await office.ask()
                await grow(w, 1)
                assert not await office.ask()
                # A new process knows from the stored tokens.
                office.stamper = None
                assert not await office.ask()
                assert w.desk.now is not None
                w.desk.now += 60
                office.tick += 60
                assert await office.ask()
                assert len(await stored(w)) == 4

    run(scenario())


def test_an_authority_that_is_down_is_visible_and_catches_up(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "time-a")
            await grow(w, 1)
            for _ in range(2):
                with pytest.raises(TimeAuthorityUnavailable):
                    await office.ask()
            worker = w.worker
            assert await worker._guarded(office.made(HttpAuthorities()).step, office.stamper.run_once) is None  # type: ignore[union-attr]
            async with w.pool.acquire() as conn:
                troubles = await conn.fetch(
                    "SELECT step, code FROM evidence.trouble WHERE log_no = $1", w.desk.log.log_no
                )
            assert [tuple(row) for row in troubles] == [("time:time-a", "TimeAuthorityUnavailable")]
            await grow(w, 2)
            office.tick += 60
            async with office.serving():
                assert await office.ask()
                assert [size for *_, size in await stored(w)] == [3, 3]
                assert len(await attested(w, 0, 1)) == 2

    run(scenario())


def answered(office: Office, **spoilt: object) -> Callable[[bytes], bytes]:
    """A token for the request, with one thing wrong."""

    def answer(request: bytes) -> bytes:
        wanted = TimeRequest.parse(request)
        recipe = Recipe(
            office.identity,
            algorithm=wanted.algorithm,
            time=office.line.desk.clock(),
            nonce=wanted.nonce,
            imprint=wanted.imprint,
        )
        return granted(replace(recipe, **spoilt).make())  # type: ignore[arg-type]

    return answer


def test_a_lying_authority_stores_nothing(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 1)
            now = w.desk.clock()
            other = make_identity("other", now)
            cases: dict[str, Callable[[Office], Callable[[bytes], bytes]]] = {
                "TokenNonceMismatch": lambda o: answered(o, nonce=8),
                "TokenImprintMismatch": lambda o: answered(o, imprint=bytes(32)),
                "TokenPolicyNotAccepted": lambda o: answered(o, policy="2.999.7"),
                "TokenInFuture": lambda o: answered(o, time=now + 61),
                "TokenBeforeBlock": lambda o: answered(o, time=now - 301),
                "AuthorityNotTrusted": lambda o: answered(o, of=other),
                "TokenAlgorithmMismatch": lambda o: answered(o, algorithm="sm3"),
                "TimeRequestRefused": lambda o: lambda _: refused(14),
                "TimeAnswerMalformed": lambda o: lambda _: b"<html>",
            }
            for code, spoilt in cases.items():
                office = Office(w, code)
                port = Scripted(spoilt(office))
                with pytest.raises(TimeAnswerRefused) as caught:
                    await office.ask(port)
                assert caught.value.detail.startswith(code), (code, caught.value.detail)
                assert port.asked == 2, "the other tree is asked for as well"
            missing = Office(w, "liar")
            with pytest.raises(TimeAnswerRefused, match="TokenNonceMismatch: the nonce is missing"):
                await missing.ask(Scripted(answered(missing, nonce=None)))
            # An answer with an SM3 imprint is right for the SM3 tree.
            assert await stored(w) == [(1, "TokenAlgorithmMismatch", 1)]

    run(scenario())


def test_a_token_of_the_near_future_is_shown_when_its_time_has_come(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "time-a", offset=30)
            async with office.serving():
                await grow(w, 1)
                assert await office.ask()
                assert await attested(w, 0, 1) == []
                assert w.desk.now is not None
                w.desk.now += 30
                assert len(await attested(w, 0, 1)) == 2

    run(scenario())


def test_revocation_data_that_does_not_come_is_shown_and_keeps_no_token_back(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "time-a", list_path="/nothing")
            async with office.serving():
                await grow(w, 1)
                for _ in range(2):
                    with pytest.raises(TimeAuthorityUnavailable, match="revocation data: status 404"):
                        await office.ask()
                assert len(await stored(w)) == 2
                office.list_path = LIST_PATH
                with pytest.raises(TimeAuthorityUnavailable):
                    await office.ask()
                office.tick += 60
                assert not await office.ask()
                await grow(w, 1)
                assert w.desk.now is not None
                w.desk.now += 60
                assert await office.ask()
                known = [parse_attestation(one, 0) for one in await attested(w, 1, 2)]
                assert [len(one.revocation) for one in known if isinstance(one, TokenAttestation)] == [1, 1]

    run(scenario())


def test_answers_that_are_no_answers(database: PgDatabase) -> None:
    class Odd(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, kind, size = {
                "/status": (500, "application/timestamp-reply", 10),
                "/type": (200, "text/html", 10),
                "/large": (200, "application/timestamp-reply", 10_000_000),
                "/moved": (302, "application/timestamp-reply", 0),
                "/short": (200, "application/timestamp-reply", 100),
            }[self.path]
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(size))
            self.send_header("location", "/type")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(bytes(10 if self.path == "/short" else size))

        def log_message(self, format: str, *args: object) -> None:
            pass

    async def scenario() -> None:
        port = HttpAuthorities(seconds=2.0)
        with serve(ThreadingHTTPServer(("127.0.0.1", 0), Odd)) as url:
            for path in ("/status", "/type", "/large", "/moved", "/short"):
                with pytest.raises(TimeAuthorityUnavailable):
                    await port.ask(url + path, b"request")
        with pytest.raises(TimeAuthorityUnavailable):
            await port.ask("http://127.0.0.1:9/", b"request")
        await port.aclose()

    run(scenario())


def test_an_authority_that_never_answers_is_left(database: PgDatabase) -> None:
    async def scenario() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        port = HttpAuthorities(seconds=0.3)
        with pytest.raises(TimeAuthorityUnavailable):
            await port.ask(url, b"request")
        await port.aclose()
        server.close()
        await server.wait_closed()

    run(scenario())


def test_two_workers_store_one_token(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "time-a")
            async with office.serving():
                await grow(w, 1)
                desk, port = w.desk, HttpAuthorities()
                stampers = [
                    TimeStamper(w.pool, desk.log, office.authority, port, clock=desk.clock) for _ in range(2)
                ]
                assert True in await asyncio.gather(*(one.run_once() for one in stampers))
                assert len(await stored(w)) == 2
                await port.aclose()

    run(scenario())


def test_tokens_are_facts(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "time-a")
            async with office.serving():
                await grow(w, 1)
                await office.ask()
            change = "UPDATE evidence.time_token SET gen_time = 1"
            for statement in ("DELETE FROM evidence.time_token", change):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await w.pool.execute(statement)
            owner = await asyncpg.connect(database.dsn("migrator"))
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="immutable"):
                await owner.execute(change)
            await owner.close()
            async with w.pool.acquire() as conn:
                states = await repository.sources(conn, w.desk.log.log_no)
            assert [(one.algorithm, one.size) for one in states] == [(0, 1), (1, 1)]

    run(scenario())


def test_what_is_stamped_is_the_checkpoint() -> None:
    from evidence.batches import Batch

    head = Batch(1, 0, 2, b"\1" * 32, b"\2" * 32, 0)
    texts = [checkpoint_text("log.example/x", head, algorithm) for algorithm in (0, 1)]
    assert texts[0].split(b"\n")[:2] == [b"log.example/x", b"2"]
    assert texts[1].split(b"\n")[:2] == [b"log.example/x/sm3", b"2"]


def test_settings_of_an_authority(tmp_path: object) -> None:
    made = make_identity("x", 1_795_000_000)
    assert read_roots(made.root) == (made.root,)
    with pytest.raises(MalformedInput):
        read_roots(b"-----BEGIN nothing")
    with pytest.raises(MalformedInput):
        Authority("x", "http://localhost", ())
    with pytest.raises(MalformedInput):
        Authority("x", "file:///etc", (made.root,))
