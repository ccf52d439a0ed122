"""One log's own rows in order of the leaf index: entries, submissions, promises, totals, batches and anchors;
then everything that hangs on them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from evidence import fsck_custody
from evidence.fsck_chain import committed
from evidence.fsck_content import ContentCheck
from evidence.fsck_cosignatures import CosignatureCheck
from evidence.fsck_proofs import ProofCheck
from evidence.fsck_records import RecordCheck
from evidence.fsck_report import Finder, Fix, FsckOptions, FsckReport
from evidence.fsck_tokens import TokenCheck
from evidence.fsck_trees import PAGE, Roots, Tiles, Trees
from evidence.grouping import DEDUPE_LEN
from evidence.logs import LogContext
from evidence.receipts import open_body
from protocol.acts import Submit, recover
from protocol.custody import CustodyEvent, check_place
from protocol.entry import Body, Continuation, Header, parse_body, unsequenced
from protocol.errors import CaseledgerError
from protocol.hashing import HASH_LEN, SHA256
from protocol.keyslot import batch_link
from protocol.submission import PROMISE_TAG, Promise, group_leaf
from protocol.tree import root as tree_root
from storage.db import AnyConnection

ZERO32 = bytes(32)
_COLUMNS = {
    "id_key": "UPDATE evidence.entry SET id_key = $3 WHERE log_no = $1 AND leaf_index = $2",
    "dedupe": "UPDATE evidence.entry SET dedupe = $3 WHERE log_no = $1 AND leaf_index = $2",
    "case_key": "UPDATE evidence.entry SET case_key = $3 WHERE log_no = $1 AND leaf_index = $2",
    "tag_key": "UPDATE evidence.entry SET tag_key = $3 WHERE log_no = $1 AND leaf_index = $2",
}


class LogCheck:
    """One pass over one log, in order of the leaf index."""

    def __init__(
        self,
        conn: AnyConnection,
        log: LogContext,
        report: FsckReport,
        options: FsckOptions,
        content: ContentCheck,
    ) -> None:
        self.conn = conn
        self.log = log
        self.find = Finder(report, log.origin)
        self.roots = Roots()
        self.size = 0
        """Leaves that follow without a gap."""
        self._report = report
        self._options = options
        self._content = content
        key = options.log_keys.get(log.log_id)
        self._log_key = None if key is None else Ed25519PublicKey.from_public_bytes(key)
        self._sequences: dict[int, int] = {}
        self._roots: dict[int, list[bytes]] = {}
        """Request roots by group (its first index), until the group is checked."""

    async def run(self) -> None:
        conn, log, find, options = self.conn, self.log, self.find, self._options
        self.size = await self._entries()
        await self._groups(self.size)
        await self._totals(self.size)
        await self._batch_rows(self.size)
        await self._anchors()
        await ProofCheck(conn, log, find, options).run()
        await CosignatureCheck(conn, log, self.roots, find, options).run()
        await TokenCheck(conn, log, self.roots, find, options).run()
        await RecordCheck(conn, log, find, options).run()
        await fsck_custody.check(conn, log, options.vault, find)

    # -- entries and submissions -----------------------------------------------------------------------

    async def _entries(self) -> int:
        """Walk submissions and entries side by side; the number of leaves that follow without a gap."""
        batches = await self.conn.fetch(
            """SELECT number, new_size, root_sha256, root_sm3 FROM evidence.batch
               WHERE log_no = $1 ORDER BY number""",
            self.log.log_no,
        )
        trees = Trees(self.find, [dict(row) for row in batches])
        self.roots = trees.roots
        tiled = await self.conn.fetchval(
            "SELECT tiled_size FROM evidence.tile_state WHERE log_no = $1", self.log.log_no
        )
        tiles = Tiles(self.conn, self.log.log_no, self.find, tiled)
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
        trees.finish()
        for index in sorted(links)[:10]:
            self.find("LinkWithoutEntry", f"leaf {index}", "", self._without_links(index))
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
        index = row["leaf_index"]
        stored_links = links.pop(index, [])
        self._column(row, "id_key", _number(SHA256.leaf(leaf)[:8]), "EvidenceIdMismatch")
        self._column(row, "dedupe", SHA256.leaf(unsequenced(leaf))[:DEDUPE_LEN], "DedupeMismatch")
        self._column(row, "case_key", _number(leaf[16:24]), "CaseKeyMismatch")
        if index == 0:
            self._first(row)
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
        self._column(row, "tag_key", _number(vault.tag(digest)), "DigestTagMismatch")
        own = (
            [(int(link.relation), link.evidence_id) for link in body.links] if isinstance(body, Body) else []
        )
        if own != stored_links:
            self.find("LinksMismatch", place, "", self._without_links(index), *self._links_set(index, own))
        if isinstance(body, Body):
            self._content.body(body, self.log.origin, place)

    def _column(self, row: asyncpg.Record, name: str, value: int | bytes, code: str) -> None:
        """A column that is there for searching and follows from leaf and body."""
        if row[name] != value:
            fix = Fix("entry", _COLUMNS[name], (self.log.log_no, row["leaf_index"], value))
            self.find(code, f"leaf {row['leaf_index']}", "", fix)

    def _without_links(self, index: int) -> Fix:
        statement = "DELETE FROM evidence.entry_link WHERE log_no = $1 AND leaf_index = $2"
        return Fix("entry_link", statement, (self.log.log_no, index))

    def _links_set(self, index: int, links: list[tuple[int, bytes]]) -> list[Fix]:
        statement = "INSERT INTO evidence.entry_link VALUES ($1, $2, $3, $4, $5)"
        return [
            Fix("entry_link", statement, (self.log.log_no, index, position, *link))
            for position, link in enumerate(links)
        ]

    def _first(self, row: asyncpg.Record) -> None:
        """A log that continues another begins with the tree that its predecessor was closed at."""
        closed, vault = self.log.predecessor, self._options.vault
        if closed is None or vault is None or row["body"] is None:
            return
        wanted = (closed.log_id, closed.size, closed.root_sha256, closed.root_sm3)
        if committed(vault, row["leaf"], row["body"]) != wanted:
            self.find(
                "ContinuationMismatch", "leaf 0", f"not the tree of {closed.size} leaves of the old log"
            )

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
        try:
            promise = Promise.parse(row["promise"])
        except CaseledgerError as error:
            self.find("PromiseMalformed", place, error.code)
            return
        stored = [row["roots"][at : at + HASH_LEN] for at in range(0, len(row["roots"]), HASH_LEN)]
        if roots != stored:
            signed = bool(roots) and promise.group_root == tree_root(
                SHA256, [group_leaf(one) for one in roots]
            )
            self.find("PromiseRootsMismatch", place, "", *([self._promised(row, roots)] if signed else []))
            stored = roots if signed else stored
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

    def _promised(self, row: asyncpg.Record, roots: list[bytes]) -> Fix:
        """The promise was signed over these: the column is what is wrong."""
        statement = "UPDATE evidence.promise_group SET roots = $3 WHERE log_no = $1 AND first_index = $2"
        return Fix("promise_group", statement, (self.log.log_no, row["first_index"], b"".join(roots)))

    async def _totals(self, size: int) -> None:
        accepted = await self.conn.fetchval(
            "SELECT accepted_size FROM evidence.log_writer WHERE log_no = $1", self.log.log_no
        )
        if accepted != size:
            # A new epoch: whoever still writes from the old size cannot commit.
            statement = (
                "UPDATE evidence.log_writer SET accepted_size = $2, epoch = epoch + 1 WHERE log_no = $1"
            )
            fix = Fix("log_writer", statement, (self.log.log_no, size))
            self.find("AcceptedSizeMismatch", "log", f"{accepted} recorded, {size} leaves", fix)
        rows = await self.conn.fetch(
            "SELECT organisation, last_sequence FROM evidence.submitter WHERE log_no = $1", self.log.log_no
        )
        stored = {row["organisation"]: row["last_sequence"] for row in rows}
        if stored != self._sequences:
            wrong = sorted(set(stored.items()) ^ set(self._sequences.items()))
            fixes = [self._sequence(organisation) for organisation in dict(wrong)]
            self.find("LastSequenceMismatch", f"organisation {wrong[0][0]}", "", *fixes)

    def _sequence(self, organisation: int) -> Fix:
        last = self._sequences.get(organisation)
        if last is None:
            statement = "DELETE FROM evidence.submitter WHERE log_no = $1 AND organisation = $2"
            return Fix("submitter", statement, (self.log.log_no, organisation))
        statement = """INSERT INTO evidence.submitter (log_no, organisation, last_sequence)
            VALUES ($1, $2, $3) ON CONFLICT (log_no, organisation) DO UPDATE
            SET last_sequence = excluded.last_sequence"""
        return Fix("submitter", statement, (self.log.log_no, organisation, last))

    # -- batches and anchors -----------------------------------------------------------------------------

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

    def _rows(self, query: str) -> AsyncIterator[asyncpg.Record]:
        return aiter(self.conn.cursor(query, self.log.log_no, prefetch=PAGE))


def _number(key: bytes) -> int:
    return int.from_bytes(key, "big", signed=True)
