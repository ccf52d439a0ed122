"""Check everything that is stored against itself and against the chain.

Every leaf, id, sequence, signature, promise, tile, root, batch, link and proof is computed again from the
rows that are facts. Who owns the database can change any row; a changed leaf no longer gives the root that
was sealed and anchored, and that is what this finds: from the stored batches alone, and from the contract
when a chain is given. Reads one snapshot; memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chain.capture import assemble
from evidence import fsck_records
from evidence.contract import ContractPort, HeadStatus
from evidence.errors import RecordDamaged
from evidence.grouping import DEDUPE_LEN
from evidence.logs import LogContext, load_logs
from evidence.receipts import ReceiptMaker, open_body
from evidence.tiles import ALGORITHMS, WIDTH, TileGrower, TileKey, extend, read_tiles
from evidence.vault import Vault
from protocol.acts import Submit, recover
from protocol.custody import CustodyEvent, check_place
from protocol.entry import Body, Continuation, Header, parse_body, unsequenced
from protocol.errors import CaseledgerError
from protocol.hashing import HASH_LEN, SHA256
from protocol.keyslot import batch_link
from protocol.submission import PROMISE_TAG, Promise, group_leaf
from protocol.tree import root as tree_root
from storage.db import AnyConnection, Pool
from verifier.chainproof import Ics23Proof
from verifier.merkle import Frontier
from verifier.verdict import Result, Status
from verifier.verify import verify_receipt

MOST_FINDINGS = 1000
_PAGE = 2048
ZERO32 = bytes(32)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. `place` names the row: `leaf 17`, `batch 3`."""

    code: str
    origin: str
    place: str
    detail: str = ""

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "log": self.origin, "place": self.place, "detail": self.detail}


@dataclass
class FsckReport:
    """What was looked at and what was found."""

    logs: int = 0
    leaves: int = 0
    submissions: int = 0
    bodies: int = 0
    groups: int = 0
    batches: int = 0
    anchors: int = 0
    proofs: int = 0
    chain_compared: bool = False
    promises_verified: bool = False
    rebuilt: bool = False
    findings: list[Finding] = field(default_factory=list)
    more: bool = False
    """Whether findings were left out after the first thousand."""

    @property
    def clean(self) -> bool:
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        return {
            "clean": self.clean,
            "logs": self.logs,
            "leaves": self.leaves,
            "submissions": self.submissions,
            "bodies": self.bodies,
            "groups": self.groups,
            "batches": self.batches,
            "anchors": self.anchors,
            "proofs": self.proofs,
            "chainCompared": self.chain_compared,
            "promisesVerified": self.promises_verified,
            "rebuilt": self.rebuilt,
            "findings": [finding.as_json() for finding in self.findings],
            "more": self.more,
        }


@dataclass(frozen=True)
class FsckOptions:
    """What to check with. Each part that is missing leaves its checks out."""

    rebuild: bool = False
    """First make the tiles anew from the entries."""
    logs: frozenset[bytes] | None = None
    """Only these log ids."""
    vault: Vault | None = None
    """Open every body."""
    log_keys: Mapping[bytes, bytes] = field(default_factory=dict)
    """Ed25519 key by log id: verify the promises."""
    trust: bytes | None = None
    """A trust file: verify a receipt for every stored proof; needs the vault."""
    at: int = 0
    """Evaluation time of those receipts, seconds UTC."""
    progress: Callable[[int], None] = lambda leaves: None


DEFAULT_OPTIONS = FsckOptions()


async def run(
    pool: Pool, contract: ContractPort | None = None, options: FsckOptions = DEFAULT_OPTIONS
) -> FsckReport:
    """Check the logs; with `contract`, against the chain as well. Raises what database and nodes raise."""
    report = FsckReport(
        chain_compared=contract is not None, promises_verified=bool(options.log_keys), rebuilt=options.rebuild
    )
    async with pool.acquire() as conn:
        logs = [log for log in await load_logs(conn) if options.logs is None or log.log_id in options.logs]
        if options.rebuild:
            for log in logs:
                await rebuild_tiles(conn, log.log_no)
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            for log in logs:
                report.logs += 1
                await _LogCheck(conn, log, report, options).run()
    if contract is not None:
        for log in logs:
            await _compare_chain(pool, log, contract, report)
    return report


async def rebuild_tiles(conn: AnyConnection, log_no: int) -> None:
    """Drop a log's tiles and make them again from its entries. Nothing else is derived."""
    async with conn.transaction():
        await conn.fetchval("SELECT 1 FROM evidence.tile_state WHERE log_no = $1 FOR UPDATE", log_no)
        await conn.execute("DELETE FROM evidence.tile WHERE log_no = $1", log_no)
        await conn.execute("UPDATE evidence.tile_state SET tiled_size = 0 WHERE log_no = $1", log_no)
    size = await conn.fetchval(
        "SELECT coalesce(max(leaf_index) + 1, 0) FROM evidence.entry WHERE log_no = $1", log_no
    )
    try:
        await extend(conn, log_no, size)
    except RecordDamaged:
        return  # leaves are missing; the check that follows says which


class _LogCheck:
    """One pass over one log, in order of the leaf index."""

    def __init__(
        self,
        conn: AnyConnection,
        log: LogContext,
        report: FsckReport,
        options: FsckOptions,
    ) -> None:
        self.conn = conn
        self.log = log
        self._report = report
        self._options = options
        key = options.log_keys.get(log.log_id)
        self._log_key = None if key is None else Ed25519PublicKey.from_public_bytes(key)
        self._sequences: dict[int, int] = {}
        self._roots: dict[int, list[bytes]] = {}
        """Request roots by group (its first index), until the group is checked."""

    def find(self, code: str, place: str, detail: str = "") -> None:
        _add(self._report, Finding(code, self.log.origin, place, detail))

    async def run(self) -> None:
        size = await self._entries()
        await self._groups(size)
        await self._totals(size)
        await self._batch_rows(size)
        await self._anchors()
        await self._proofs()
        await fsck_records.check(self.conn, self.log.log_no, self.find)

    # -- entries and submissions -----------------------------------------------------------------------

    async def _entries(self) -> int:
        """Walk submissions and entries side by side; the number of leaves that follow without a gap."""
        batches = await self.conn.fetch(
            """SELECT number, new_size, root_sha256, root_sm3 FROM evidence.batch
               WHERE log_no = $1 ORDER BY number""",
            self.log.log_no,
        )
        trees = _Trees(self, [dict(row) for row in batches])
        tiled = await self.conn.fetchval(
            "SELECT tiled_size FROM evidence.tile_state WHERE log_no = $1", self.log.log_no
        )
        tiles = _Tiles(self, tiled)
        links = await self._links()
        position = 0
        entries = self._rows(
            """SELECT leaf_index, leaf, id_key, dedupe, case_key, tag_key, body FROM evidence.entry
               WHERE log_no = $1 ORDER BY leaf_index"""
        )
        pending = await anext(entries, None)
        async for submission in self._rows(
            "SELECT * FROM evidence.submission WHERE log_no = $1 ORDER BY first_index"
        ):
            self._report.submissions += 1
            first, count = submission["first_index"], submission["leaves"]
            if first != position:
                self.find("SubmissionGap", f"submission {first}", f"expected at {position}")
            leaves: list[bytes] = []
            while pending is not None and pending["leaf_index"] < first + count:
                if pending["leaf_index"] == first + len(leaves):
                    self._entry(pending, submission, len(leaves), links)
                    leaves.append(pending["leaf"])
                    await trees.add(pending["leaf"])
                    await tiles.add(pending["leaf"])
                pending = await anext(entries, None)
            if len(leaves) != count:
                self.find("LeafMissing", f"leaf {first + len(leaves)}", f"submission {first}")
            self._submission(submission, leaves)
            position = first + count
        while pending is not None:
            self.find("LeafWithoutSubmission", f"leaf {pending['leaf_index']}")
            pending = await anext(entries, None)
        await tiles.finish()
        trees.finish(position)
        for index in sorted(links)[:10]:
            self.find("LinkWithoutEntry", f"leaf {index}")
        return position

    async def _links(self) -> dict[int, list[tuple[int, bytes]]]:
        """Stored links by leaf. Links are rare; all fit."""
        rows = await self.conn.fetch(
            """SELECT leaf_index, relation, target FROM evidence.entry_link WHERE log_no = $1
               ORDER BY leaf_index, position""",
            self.log.log_no,
        )
        out: dict[int, list[tuple[int, bytes]]] = {}
        for row in rows:
            out.setdefault(row["leaf_index"], []).append((row["relation"], row["target"]))
        return out

    def _entry(
        self,
        row: asyncpg.Record,
        submission: asyncpg.Record,
        position: int,
        links: dict[int, list[tuple[int, bytes]]],
    ) -> None:
        leaf: bytes = row["leaf"]
        place = f"leaf {row['leaf_index']}"
        self._report.leaves += 1
        if self._report.leaves % 10_000 == 0:
            self._options.progress(self._report.leaves)
        try:
            head = Header.parse(leaf[:48])
        except CaseledgerError as error:
            self.find("LeafMalformed", place, error.code)
            return
        try:
            check_place(head.evidence_class, self.log.origin)
        except CaseledgerError as error:
            self.find(error.code, place, error.detail)
        if head.submitter != submission["organisation"]:
            self.find("SubmitterMismatch", place, f"{head.submitter}, signed by {submission['organisation']}")
        if head.sequence != submission["first_sequence"] + position:
            self.find(
                "SequenceMismatch", place, f"{head.sequence} at {submission['first_sequence'] + position}"
            )
        if _key(row["id_key"]) != SHA256.leaf(leaf)[:8]:
            self.find("EvidenceIdMismatch", place)
        if row["dedupe"] != SHA256.leaf(unsequenced(leaf))[:DEDUPE_LEN]:
            self.find("DedupeMismatch", place)
        if _key(row["case_key"]) != leaf[16:24]:
            self.find("CaseKeyMismatch", place)
        stored_links = links.pop(row["leaf_index"], [])
        vault = self._options.vault
        if row["body"] is None or vault is None:
            return
        self._report.bodies += 1
        try:
            body = parse_body(open_body(vault, leaf, row["body"]), head.evidence_class)
        except CaseledgerError as error:
            self.find("BodyDamaged", place, error.code)
            return
        if isinstance(body, Continuation):
            digest = body.root_sha256
        else:
            digest = body.item if isinstance(body, CustodyEvent) else body.content_sha256
        if _key(row["tag_key"]) != vault.tag(digest):
            self.find("DigestTagMismatch", place)
        own = (
            [(int(link.relation), link.evidence_id) for link in body.links] if isinstance(body, Body) else []
        )
        if own != stored_links:
            self.find("LinksMismatch", place)

    def _submission(self, row: asyncpg.Record, leaves: list[bytes]) -> None:
        place = f"submission {row['first_index']}"
        organisation = row["organisation"]
        expected = self._sequences.get(organisation, 0) + 1
        if row["first_sequence"] != expected:
            self.find("SequenceGap", place, f"{row['first_sequence']} after {expected - 1}")
        self._sequences[organisation] = row["first_sequence"] + row["leaves"] - 1
        if not leaves:
            return
        if tree_root(SHA256, [SHA256.leaf(unsequenced(leaf)) for leaf in leaves]) != row["root"]:
            self.find("SubmissionRootMismatch", place)
        act = Submit(self.log.log_id, organisation, row["root"], row["leaves"], row["valid_until"])
        try:
            signer = recover(act.digest(self.log.domain), row["signature"])
        except CaseledgerError as error:
            self.find("SubmissionSignatureInvalid", place, error.code)
        else:
            if signer != row["signer"]:
                self.find("SubmissionSignatureInvalid", place, "another key")
        roots = self._roots.setdefault(row["group_first"], [])
        if row["group_position"] != len(roots):
            self.find("GroupPositionMismatch", place)
        roots.append(tree_root(SHA256, [SHA256.leaf(leaf) for leaf in leaves]))

    # -- promises ----------------------------------------------------------------------------------------

    async def _groups(self, size: int) -> None:
        position = 0
        async for row in self._rows(
            "SELECT * FROM evidence.promise_group WHERE log_no = $1 ORDER BY first_index"
        ):
            self._report.groups += 1
            self._group(row, position)
            position = row["first_index"] + row["leaves"]
        if position != size:
            self.find("PromiseGap", f"leaf {position}", f"{size} leaves are accepted")
        for first in sorted(self._roots)[:10]:
            self.find("PromiseMissing", f"group {first}")

    def _group(self, row: asyncpg.Record, position: int) -> None:
        place = f"group {row['first_index']}"
        if row["first_index"] != position:
            self.find("PromiseGap", place, f"expected at {position}")
        roots = self._roots.pop(row["first_index"], [])
        if b"".join(roots) != row["roots"]:
            self.find("PromiseRootsMismatch", place)
        try:
            promise = Promise.parse(row["promise"])
        except CaseledgerError as error:
            self.find("PromiseMalformed", place, error.code)
            return
        stored = [row["roots"][at : at + HASH_LEN] for at in range(0, len(row["roots"]), HASH_LEN)]
        said = (
            promise.log_id,
            promise.group_root,
            promise.group_count,
            promise.accepted_at,
            promise.deadline,
        )
        root = tree_root(SHA256, [group_leaf(one) for one in stored])
        if said != (self.log.log_id, root, len(stored), row["accepted_at"], row["deadline"]):
            self.find("PromiseMismatch", place)
        if self._log_key is not None:
            try:
                self._log_key.verify(row["signature"], PROMISE_TAG + row["promise"])
            except InvalidSignature:
                self.find("PromiseSignatureInvalid", place)

    async def _totals(self, size: int) -> None:
        accepted = await self.conn.fetchval(
            "SELECT accepted_size FROM evidence.log_writer WHERE log_no = $1", self.log.log_no
        )
        if accepted != size:
            self.find("AcceptedSizeMismatch", "log", f"{accepted} recorded, {size} leaves")
        rows = await self.conn.fetch(
            "SELECT organisation, last_sequence FROM evidence.submitter WHERE log_no = $1", self.log.log_no
        )
        stored = {row["organisation"]: row["last_sequence"] for row in rows}
        if stored != self._sequences:
            wrong = sorted(set(stored.items()) ^ set(self._sequences.items()))
            self.find("LastSequenceMismatch", f"organisation {wrong[0][0]}")

    # -- batches, anchors, proofs ------------------------------------------------------------------------

    async def _batch_rows(self, size: int) -> None:
        rows = await self.conn.fetch(
            "SELECT * FROM evidence.batch WHERE log_no = $1 ORDER BY number", self.log.log_no
        )
        position = 0
        for number, row in enumerate(rows, start=1):
            self._report.batches += 1
            if (row["number"], row["old_size"]) != (number, position):
                self.find("BatchGap", f"batch {row['number']}", f"expected {number} from {position}")
            position = row["new_size"]
        if position > size:
            self.find("SealedLeafMissing", f"batch {len(rows)}", f"{position} sealed, {size} leaves")

    async def _anchors(self) -> None:
        rows = await self.conn.fetch(
            """SELECT a.*, b.new_size, b.root_sha256, b.root_sm3 FROM evidence.anchor a
               JOIN evidence.batch b USING (log_no, number) WHERE log_no = $1 ORDER BY number""",
            self.log.log_no,
        )
        previous = ZERO32
        for number, row in enumerate(rows, start=1):
            self._report.anchors += 1
            if row["number"] != number or row["previous_link"] != previous:
                self.find("LinkGap", f"batch {row['number']}")
            own = batch_link(
                chain_id=self.log.chain_id,
                contract=self.log.contract,
                log_id=self.log.log_id,
                number=row["number"],
                previous=row["previous_link"],
                size=row["new_size"],
                root_sha256=row["root_sha256"],
                root_sm3=row["root_sm3"],
                time=row["anchored_at"],
            )
            if own != row["link"]:
                self.find("LinkMismatch", f"batch {row['number']}")
            previous = row["link"]

    async def _proofs(self) -> None:
        """Every stored proof parses and opens the recorded link; with a trust file, receipts verify."""
        rows = await self.conn.fetch(
            """SELECT k.number, k.signer, k.proof AS key, p.proof AS shared, p.height, a.link, a.block_number,
                      (SELECT min(s.first_index) FROM evidence.submission s
                       WHERE s.log_no = k.log_no AND s.signer = k.signer AND s.first_index >= b.old_size
                         AND s.first_index < b.new_size) AS sample
               FROM evidence.key_proof k JOIN evidence.batch_proof p USING (log_no, number)
               JOIN evidence.anchor a USING (log_no, number) JOIN evidence.batch b USING (log_no, number)
               WHERE log_no = $1 ORDER BY k.number""",
            self.log.log_no,
        )
        for row in rows:
            self._report.proofs += 1
            place = f"proof of batch {row['number']}"
            try:
                proof = assemble(row["shared"], row["key"])
            except CaseledgerError as error:
                self.find("ProofMalformed", place, error.code)
                continue
            if isinstance(proof, Ics23Proof) and proof.link.value != row["link"]:
                self.find("ProofLinkMismatch", place)
            if row["height"] < row["block_number"]:
                self.find("ProofBeforeAnchor", place)
            if row["sample"] is None:
                self.find("ProofWithoutSubmission", place)
            elif self._options.trust is not None and self._options.vault is not None:
                await self._receipt(place, row["sample"], self._options.trust, self._options.vault)

    async def _receipt(self, place: str, index: int, trust: bytes, vault: Vault) -> None:
        """One receipt of a batch and signer through the offline verifier."""
        try:
            made = await ReceiptMaker(self.log, vault).make(self.conn, [index])
        except CaseledgerError as error:
            self.find("ReceiptNotMade", place, error.code)
            return
        report = verify_receipt(made[0].data, trust, at=self._options.at)
        if report.result is Result.INVALID:
            failed = [verdict.code for verdict in report.verdicts if verdict.status is Status.FAIL]
            self.find("ReceiptInvalid", place, f"leaf {index}: {', '.join(failed)}")

    def _rows(self, query: str) -> AsyncIterator[asyncpg.Record]:
        return aiter(self.conn.cursor(query, self.log.log_no, prefetch=_PAGE))


class _Trees:
    """Both trees grown leaf by leaf; compared with every sealed batch on the way."""

    def __init__(self, check: _LogCheck, batches: list[dict[str, Any]]) -> None:
        self._check = check
        self._batches = batches
        self._next = 0
        self._frontiers = [Frontier(alg) for alg in ALGORITHMS]
        self._waiting: list[bytes] = []

    async def add(self, leaf: bytes) -> None:
        self._waiting.append(leaf)
        size = self._frontiers[0].size + len(self._waiting)
        sealed = self._next < len(self._batches) and self._batches[self._next]["new_size"] == size
        if sealed or len(self._waiting) >= _PAGE:
            self._flush()
        if sealed:
            batch = self._batches[self._next]
            self._next += 1
            for frontier, name in zip(self._frontiers, ("root_sha256", "root_sm3"), strict=True):
                if frontier.root() != batch[name]:
                    self._check.find("BatchRootMismatch", f"batch {batch['number']}", name)

    def _flush(self) -> None:
        for frontier, alg in zip(self._frontiers, ALGORITHMS, strict=True):
            frontier.extend([alg.leaf(leaf) for leaf in self._waiting])
        self._waiting.clear()

    def finish(self, size: int) -> None:
        for batch in self._batches[self._next :]:
            self._check.find(
                "BatchRootMismatch", f"batch {batch['number']}", f"no tree of {batch['new_size']}"
            )


class _Tiles:
    """The tiles made again and compared with those that are stored."""

    def __init__(self, check: _LogCheck, tiled: int) -> None:
        self._check = check
        self._tiled = tiled
        self._grower = TileGrower(0, {})
        self._waiting: list[bytes] = []

    async def add(self, leaf: bytes) -> None:
        if self._grower.size + len(self._waiting) < self._tiled:
            self._waiting.append(leaf)
            if len(self._waiting) == _PAGE:
                await self._flush()

    async def _flush(self) -> None:
        made = self._grower.extend(self._waiting)
        self._waiting.clear()
        # A partial tile is compared when it has its final width.
        await self._compare({key: data for key, data in made.items() if len(data) == WIDTH * HASH_LEN})

    async def finish(self) -> None:
        await self._flush()
        size = self._grower.size
        if size != self._tiled:
            self._check.find("TiledSizeMismatch", "tiles", f"{self._tiled} recorded, {size} leaves")
        await self._compare(self._grower.edge())

    async def _compare(self, made: dict[TileKey, bytes]) -> None:
        if not made:
            return
        stored = await read_tiles(self._check.conn, self._check.log.log_no, list(made))
        for key, data in made.items():
            if stored.get(key) != data:
                self._check.find("TileMismatch", "tile {}/{}/{}".format(*key))


async def _compare_chain(pool: Pool, log: LogContext, contract: ContractPort, report: FsckReport) -> None:
    """Head, links and events of the contract against batches and anchors."""

    def find(code: str, place: str, detail: str = "") -> None:
        _add(report, Finding(code, log.origin, place, detail))

    head = await contract.head(log.log_id)
    rows = await pool.fetch(
        """SELECT b.number, b.old_size, b.new_size, b.root_sha256, b.root_sm3, a.link, a.anchored_at,
                  a.block_number, a.block_hash, a.transaction_hash
           FROM evidence.batch b LEFT JOIN evidence.anchor a USING (log_no, number)
           WHERE b.log_no = $1 ORDER BY b.number""",
        log.log_no,
    )
    if head.status is HeadStatus.UNKNOWN:
        if rows:
            find("HeadUnknown", "head", "the contract does not know the log")
        return
    if head.operator != log.operator:
        find("OperatorMismatch", "head", f"{head.operator} on the chain")
    by_number = {row["number"]: row for row in rows}
    top = by_number.get(head.batches)
    # What a thief anchored behind the size at which governance closed the log is no part of it.
    end = head.closed_size if head.status is HeadStatus.CLOSED else head.size
    if head.size > end:
        pass
    elif head.batches > len(rows):
        find("HeadAhead", "head", f"{head.batches} batches on the chain, {len(rows)} here")
    elif top is not None and (head.size, head.root_sha256) != (top["new_size"], top["root_sha256"]):
        find("HeadMismatch", "head", f"batch {head.batches} is another one on the chain")
    for event in await contract.anchored_all(log.log_id, 1):
        if event.old_size >= end:
            break
        row = by_number.get(event.number)
        place = f"batch {event.number}"
        if row is None:
            find("AnchorUnknown", place, "anchored, not in the database")
            continue
        on_chain = (event.old_size, event.new_size, event.root_sha256, event.root_sm3)
        if on_chain != (row["old_size"], row["new_size"], row["root_sha256"], row["root_sm3"]):
            find("AnchorMismatch", place, "the chain has another tree")
        if row["link"] is None:
            continue  # on its way into the database
        if (event.link, event.time) != (row["link"], row["anchored_at"]):
            find("AnchorMismatch", place, "the chain has another link")
        if (event.block_number, event.block_hash) != (row["block_number"], row["block_hash"]):
            find("AnchorMismatch", place, "the chain has it in another block")
    for number, row in by_number.items():
        if row["link"] is not None and await contract.link(log.log_id, number) != row["link"]:
            find("LinkSlotMismatch", f"batch {number}")


def _add(report: FsckReport, finding: Finding) -> None:
    if len(report.findings) < MOST_FINDINGS:
        report.findings.append(finding)
    else:
        report.more = True


def _key(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)
