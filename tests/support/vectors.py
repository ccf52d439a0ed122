"""Frozen vectors of entries, submissions and receipts: `python -m tests.support.vectors` writes them anew.

Everything is made from fixed seeds, save the receipts named `recorded`, which a 4-validator network answered
and nobody can make again. A change of these files is a change of the format and needs a new version number.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from protocol import entry
from protocol.entry import Body, EvidenceClass, Header, Link, Relation
from protocol.submission import EntryBytes, Submission
from tests.support.fakechain import seeded
from tests.support.world import AT, CASE_ID, CONTENT, World

FOLDER = Path(__file__).parents[1] / "vectors"
RECEIPTS = FOLDER / "receipt"
RECORDED_AT = 1_795_460_000
"""An evaluation time inside the recorded trust file's window and after its blocks."""
Rows = list[dict[str, object]]


def entries() -> Rows:
    """Leaves with bodies: the smallest, the largest, each class, and what is refused."""
    case = seeded("vector case")
    small = Body(seeded(1), seeded(2), 0, "a/b", seeded(3), seeded(4))
    large = Body(
        seeded(1), seeded(2), 2**53 - 1, "application/" + "x" * 115, seeded(3), seeded(4), seeded(5),
        seeded(6), 2**40 - 1, seeded(7), seeded(8),
        tuple(Link(Relation(n % 5 + 1), seeded("link", n)) for n in range(16)),
    )  # fmt: skip
    rows: Rows = []

    def row(name: str, leaf: bytes, body: bytes | None, code: str = "Ok") -> None:
        line: dict[str, object] = {"leaf": leaf.hex(), "body": body.hex() if body is not None else None}
        if code == "Ok":
            line["evidenceId"] = entry.evidence_id(leaf).hex()
        rows.append({"name": name, "line": line, "accepted": code == "Ok", "code": code})

    for kind in EvidenceClass:
        if kind is EvidenceClass.LOG_CONTINUATION:
            continue
        flags = int(kind is EvidenceClass.MEDIATION_RECORD)
        largest = kind is EvidenceClass.CONTRACT
        submitter, sequence = (2**32 - 1, 2**64 - 1) if largest else (int(kind), 7)
        header = Header(kind, submitter, case, sequence, flags)
        row(kind.name.lower(), entry.leaf(header, small.encode()), small.encode())
    header = Header(EvidenceClass.CONTRACT, 3, case, 1, 1)
    good = entry.leaf(header, large.encode())
    row("largest body, privileged contract", good, large.encode())
    row("body withheld", good, None)
    world = World(evidence_class=EvidenceClass.LOG_CONTINUATION, continuation=_continuation(), index=0)
    row("log continuation", world.core.leaf, world.body)
    row("unsequenced", entry.unsequenced(good), large.encode())
    row("body of another entry", good, small.encode(), "BodyMismatch")
    row("version 2", b"\x02" + good[1:], large.encode(), "UnknownVersion")
    row("class 11", b"\x01\x0b" + good[2:], large.encode(), "UnknownEvidenceClass")
    row(
        "mediation record in the open",
        b"\x01\x05\x00\x00" + good[4:],
        large.encode(),
        "PrivilegedFlagMissing",
    )
    row("flag bit 1", b"\x01\x01\x00\x02" + good[4:], large.encode(), "MalformedInput")
    row("submitter 0", good[:4] + bytes(4) + good[8:], large.encode(), "MalformedInput")
    row("leaf of 111 bytes", good[:-1], None, "MalformedInput")
    row("body with a byte after it", good, large.encode() + b"\x00", "MalformedInput")
    row("body over 2,048 bytes", good, bytes(2049), "LimitExceeded")
    return rows


def _continuation() -> bytes:
    return entry.Continuation(seeded("old log"), 5, seeded("r"), seeded("s"), seeded("salt")).encode()


def submissions() -> Rows:
    """One signed submission in both forms, and what is refused."""
    world = World()
    good = world.submission
    claims: dict[str, object] = {
        "root": good.root().hex(),
        "chainId": world.chain_id,
        "contract": "0x" + world.evidence_log.hex(),
        "signer": "0x" + world.key.address.hex(),
    }
    header, body = good.entries[0]
    refused: list[tuple[str, bytes, dict[str, object], str]] = [
        ("another chain", good.encode(), {**claims, "chainId": 7778}, "ClaimMismatch"),
        ("one entry less", _with(good, good.entries[1:]), claims, "ClaimMismatch"),
        ("an entry twice", _with(good, (*good.entries, good.entries[0])), {}, "MalformedInput"),
        (
            "sequence already set",
            _with(good, ((header[:15] + b"\x01" + header[16:], body),)),
            {},
            "MalformedInput",
        ),
        (
            "another organisation's entry",
            _with(good, ((header[:7] + b"\x04" + header[8:], body),)),
            {},
            "SubmitterMismatch",
        ),
        ("no entries", _with(good, ()), {}, "MalformedInput"),
    ]
    rows: Rows = [
        {
            "name": "five entries",
            "line": {"submission": good.encode().hex(), **claims},
            "accepted": True,
            "code": "Ok",
            "json": json.loads(good.to_json()),
        }
    ]
    for name, data, rest, code in refused:
        line = {"submission": data.hex(), **rest}
        rows.append({"name": name, "line": line, "accepted": False, "code": code})
    return rows


def _with(good: Submission, members: tuple[EntryBytes, ...]) -> bytes:
    return replace(good, entries=members).encode()


MADE: dict[str, tuple[World, str]] = {
    "ics23": (World(), "VALID"),
    "mpt-qbft": (World(kind="mpt-qbft"), "VALID"),
    "mpt-clique": (World(kind="mpt-clique", headers=5), "VALID_REDUCED_TRUST"),
    "none": (World(kind="none"), "VALID_REDUCED_TRUST"),
    "withheld": (World(withheld=True, absent=(1,)), "VALID"),
}


def receipt_files() -> dict[str, bytes]:
    """Receipts and trust files of made networks, by file name."""
    files = {"made.txt": CONTENT}
    for name, (world, _) in MADE.items():
        files[f"made-{name}.clr"] = world.receipt
        files[f"made-{name}.cltrust"] = world.trust
    return files


def receipt_index() -> Rows:
    """What each receipt is to be verified with, and what must come out."""
    rows: Rows = [
        {
            "receipt": f"made-{name}.clr",
            "trust": f"made-{name}.cltrust",
            "content": None if world.withheld else "made.txt",
            "at": AT,
            "case": CASE_ID.hex(),
            "result": result,
            "evidenceId": entry.evidence_id(world.core.leaf).hex(),
        }
        for name, (world, result) in MADE.items()
    ]
    for name, suffix in (("contract", "pdf"), ("identity-check", "json")):
        rows.append(
            {
                "receipt": f"recorded-{name}.clr",
                "trust": "recorded.cltrust",
                "content": f"recorded-{name}.{suffix}",
                "at": RECORDED_AT,
                "case": None,
                "result": "VALID",
                "evidenceId": RECORDED[name],
            }
        )
    return rows


RECORDED = {
    "contract": "e73363af12799ade1a70757c4993f8004494004ccde6d7fe9d6e494b2c341deb",
    "identity-check": "02506dc9c1c4fccd49981b21ce6faf65f45f5e77202cefbcc09f74e8aca5615c",
}


def files() -> dict[Path, bytes]:
    """Every file that can be made again, by path."""

    def text(rows: Rows) -> bytes:
        return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()

    made = {RECEIPTS / name: data for name, data in receipt_files().items()}
    return {
        FOLDER / "entry.json": text(entries()),
        FOLDER / "submission.json": text(submissions()),
        RECEIPTS / "index.json": text(receipt_index()),
        **made,
    }


if __name__ == "__main__":
    for path, data in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
