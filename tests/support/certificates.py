"""Receipts of one submission of many files, made offline, and certificates looked at as pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import zxingcpp
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader

from evidence.certificate.entries import Entry
from protocol import entry
from protocol.entry import Body, EvidenceClass, Header
from protocol.hashing import SHA256, SM3, sha256, sm3
from protocol.identifiers import case_commitment, case_ref, log_id
from protocol.submission import Submission
from tests.support.fakechain import seeded
from tests.support.world import AT, CASE_ID, LINK_TIME, SUBMITTER, World
from verifier.content import ContentDigests
from verifier.merkle_tree import Tree
from verifier.receipt import Attestation, Inclusion, Receipt, SubmissionProof
from verifier.verify import verify_receipt

CLASSES = (EvidenceClass.CONTRACT, EvidenceClass.STATEMENT, EvidenceClass.DUNNING, EvidenceClass.AGREEMENT)
Box = tuple[float, float, float, float]
NAMES = ("金融借款合同.pdf", "对账单 2026-11.pdf", None)
CHECK_URL = "https://check.example/v"


@dataclass(frozen=True)
class Filing(World):
    """A log that holds one submission: these files, in this order."""

    files: tuple[bytes, ...] = ()

    @cached_property
    def submission(self) -> Submission:
        case = case_commitment(CASE_ID)
        entries = []
        for at, content in enumerate(self.files):
            salt = seeded("salt", at)
            body = Body(
                sha256(content), sm3(content), len(content), "application/pdf", salt,
                case_ref(salt, CASE_ID), event_time=LINK_TIME - 86_400 - at,
            )  # fmt: skip
            entries.append((Header(CLASSES[at % 4], SUBMITTER, case).pack(), body.encode()))
        return Submission.sign(
            log_id=log_id(self.origin), organisation=SUBMITTER, valid_until=LINK_TIME + 600, entries=entries,
            domain=self.domain, key=self.key,
        )  # fmt: skip

    @cached_property
    def leaves(self) -> list[bytes]:
        return [
            entry.sequenced(leaf, 40 + at) for at, leaf in enumerate(self.submission.unsequenced_leaves())
        ]

    @property
    def position(self) -> int:
        return self.index

    @property
    def body(self) -> bytes:
        return self.submission.entries[self.index][1]

    @cached_property
    def trees(self) -> tuple[Tree, Tree, Tree]:
        unsequenced = self.submission.unsequenced_leaves()
        return (
            Tree(SHA256, [SHA256.leaf(leaf) for leaf in self.leaves]),
            Tree(SM3, [SM3.leaf(leaf) for leaf in self.leaves]),
            Tree(SHA256, [SHA256.leaf(leaf) for leaf in unsequenced]),
        )

    def receipt_of(self, at: int, attestations: Sequence[Attestation] = ()) -> bytes:
        """The receipt of one file."""
        in_sha256, in_sm3, submitted = self.trees
        first = self.core
        core = replace(
            first, leaf=self.leaves[at], body=self.submission.entries[at][1],
            submission=SubmissionProof(
                self.submission.valid_until, self.submission.signature, at, len(self.files),
                submitted.path(at),
            ),
            inclusion=Inclusion(at, in_sha256.path(at), in_sm3.path(at)),
        )  # fmt: skip
        return replace(Receipt.of(core), attestations=tuple(attestations)).encode()

    def entries(self, names: Sequence[str | None], *, case: bool = False) -> list[Entry]:
        """Every receipt verified, with its file where it has a name."""
        out = []
        for at, name in enumerate(names):
            data, content = self.receipt_of(at), self.files[at]
            digests = ContentDigests(len(content), sha256(content), sm3(content)) if name else None
            report = verify_receipt(
                data, self.trust, content=digests, at=AT, case_id=CASE_ID if case else None
            )
            out.append(Entry(data, f"{name or at}.clr", name, report))
        return out


def filing(count: int, **changes: Any) -> Filing:
    """A submission of so many files."""
    files = tuple(f"文件 {at}\n".encode() * (at % 7 + 1) for at in range(count))
    return Filing(index=0, files=files, **changes)


def attached(pdf: bytes) -> dict[str, tuple[bytes, str]]:
    """Name to content and AFRelationship, as the PDF's own index lists them."""
    reader = PdfFileReader(io.BytesIO(pdf))
    out = {}
    for listed in reader.root["/AF"]:
        reference = listed.get_object()
        out[str(reference["/UF"])] = (bytes(reference["/EF"]["/F"].data), str(reference["/AFRelationship"]))
    return out


def pictures(pdf: bytes, pages: Sequence[int] | None = None, *, scale: float = 2.5) -> Iterator[Image.Image]:
    """Pages as a screen shows them."""
    document = pypdfium2.PdfDocument(pdf)
    for at in range(len(document)) if pages is None else pages:
        yield document[at].render(scale=scale).to_pil().convert("RGB")
    document.close()


def codes(picture: Image.Image) -> list[str]:
    """What a scanner reads."""
    return [found.text for found in zxingcpp.read_barcodes(picture)]


def texts(pdf: bytes) -> list[str]:
    """The words of each page, without blanks."""
    document = pypdfium2.PdfDocument(pdf)
    out = []
    for page in document:
        out.append("".join(page.get_textpage().get_text_range().split()).replace("\u200b", ""))
    document.close()
    return out


def boxes(pdf: bytes, at: int) -> tuple[tuple[float, float], list[Box]]:
    """A page's size and where its pieces of text lie (left, bottom, right, top), in points."""
    document = pypdfium2.PdfDocument(pdf)
    page = document[at]
    words = page.get_textpage()
    found = [words.get_rect(n) for n in range(words.count_rects())]
    size = page.get_size()
    document.close()
    return size, found


def overlaps(listed: Sequence[Box]) -> list[tuple[Box, Box]]:
    """Pieces that cover a third or more of one another."""

    def area(box: Box) -> float:
        return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])

    out = []
    ordered = sorted(listed, key=lambda box: box[1])
    for n, one in enumerate(ordered):
        for two in ordered[n + 1 :]:
            if two[1] >= one[3]:
                break
            common = (max(one[0], two[0]), max(one[1], two[1]), min(one[2], two[2]), min(one[3], two[3]))
            if area(common) * 3 >= min(area(one), area(two)) > 0:
                out.append((one, two))
    return out


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from strings(one)


def verified(world: World, receipt: bytes | None = None, *, name: str | None = "合同.pdf") -> Entry:
    data = world.receipt if receipt is None else receipt
    content = world.content if name else None
    return Entry(data, "合同.pdf.clr", name, verify_receipt(data, world.trust, content=content, at=AT))
