"""`evidence add`: files become journaled entries. Sending them is `agent.submit`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import ArgumentRefused, UnknownCase
from agent.hashing import HashedFile, expand, hash_files
from agent.journal import Draft, Entry, Journal, State
from protocol.entry import FLAG_PRIVILEGED, Body, EvidenceClass, Header, Link, Relation
from protocol.errors import MalformedInput
from protocol.identifiers import case_commitment, case_ref, parse_hex32

BATCH = 500
MAX_CASE_NAME = 200
StoreFile = Callable[[HashedFile], bytes]
"""Uploads a file encrypted and returns its manifest digest; see `agent.store`."""


@dataclass(frozen=True)
class Options:
    """What all files of one call have in common."""

    case_id: bytes
    evidence_class: EvidenceClass
    organisation: int
    privileged: bool = False
    media_type: str | None = None
    event_time: int | None = None
    provenance: bytes | None = None
    """Digest of a provenance statement."""
    links: tuple[Link, ...] = ()
    again: bool = False


@dataclass
class Added:
    """Entries of the files named in one call, in their order."""

    numbers: list[int] = field(default_factory=list)
    fresh: int = 0
    known: int = 0
    retried: int = 0


def resolve_case(text: str, journal: Journal) -> bytes:
    """64 hex digits are a case id; anything else is a local name, mapped to a random id at first use."""
    try:
        return parse_hex32(text, "case")
    except MalformedInput:
        if not 1 <= len(text) <= MAX_CASE_NAME or not text.isprintable():
            raise UnknownCase(
                f"1 to {MAX_CASE_NAME} printable characters, or 64 hex digits", field="case"
            ) from None
        return journal.case(text)


def parse_class(text: str) -> EvidenceClass:
    """A class by number, English name (`court-document`) or Chinese label."""
    wanted = text.strip().lower().replace("-", " ").replace("_", " ")
    for kind in EvidenceClass:
        if kind is not EvidenceClass.LOG_CONTINUATION and wanted in (
            str(int(kind)),
            kind.name.lower().replace("_", " "),
            kind.label.zh,
            kind.label.en,
        ):
            return kind
    names = ", ".join(
        kind.name.lower().replace("_", "-")
        for kind in EvidenceClass
        if kind != EvidenceClass.LOG_CONTINUATION
    )
    raise ArgumentRefused("class: unknown", field="class", hint=f"one of {names}")


def parse_link(text: str) -> Link:
    """`relation:evidence id`, e.g. `corroborates:ab12…`."""
    name, _, identifier = text.partition(":")
    try:
        relation = Relation[name.strip().upper().replace("-", "_")]
    except KeyError:
        names = ", ".join(relation.name.lower().replace("_", "-") for relation in Relation)
        raise ArgumentRefused("link: unknown relation", field="link", hint=f"one of {names}") from None
    return Link(relation, parse_hex32(identifier, "link"))


def add_files(
    paths: Sequence[Path],
    journal: Journal,
    options: Options,
    *,
    store: StoreFile | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Added:
    """Hashes files and journals an entry for each that has none yet.

    Raises:
        FileNotReadable, FileChanged: what was journaled before stays and is found again by the next call.
    """
    files = expand(paths)
    added = Added()
    drafts: list[Draft] = []
    slots: list[int] = []

    def flush() -> None:
        for slot, number in zip(slots, journal.add(drafts), strict=True):
            added.numbers[slot] = number
        drafts.clear()
        slots.clear()

    for done, hashed in enumerate(hash_files(files), start=1):
        known = journal.find(
            str(hashed.path),
            hashed.digests.sha256,
            options.case_id,
            int(options.evidence_class),
            options.organisation,
        )
        if known is not None and not options.again:
            added.numbers.append(known.id)
            if known.state is State.REFUSED:
                journal.retry(known.id)
                added.retried += 1
            else:
                added.known += 1
        else:
            manifest = store(hashed) if store is not None else None
            added.numbers.append(0)
            slots.append(len(added.numbers) - 1)
            drafts.append(_draft(hashed, options, known, manifest))
            added.fresh += 1
            # A stored file cost an upload: it is journaled at once, so that a killed run repeats at most one.
            if len(drafts) == BATCH or store is not None:
                flush()
        on_file(done, len(files))
    flush()
    return added


def _draft(hashed: HashedFile, options: Options, known: Entry | None, manifest: bytes | None) -> Draft:
    salt = secrets.token_bytes(32)
    digests = hashed.digests
    media_type = options.media_type or hashed.media_type
    privileged = options.privileged or options.evidence_class is EvidenceClass.MEDIATION_RECORD
    header = Header(
        options.evidence_class,
        options.organisation,
        case_commitment(options.case_id),
        flags=FLAG_PRIVILEGED if privileged else 0,
    )
    body = Body(
        content_sha256=digests.sha256,
        content_sm3=digests.sm3,
        content_size=digests.size,
        media_type=media_type,
        salt=salt,
        case_ref=case_ref(salt, options.case_id),
        event_time=options.event_time,
        provenance=options.provenance,
        manifest=manifest,
        links=options.links,
    )
    return Draft(
        path=str(hashed.path),
        content_sha256=digests.sha256,
        content_sm3=digests.sm3,
        size=digests.size,
        media_type=media_type,
        case_id=options.case_id,
        evidence_class=int(options.evidence_class),
        organisation=options.organisation,
        repetition=0 if known is None else known.repetition + 1,
        header=header.pack(),
        body=body.encode(),
    )
