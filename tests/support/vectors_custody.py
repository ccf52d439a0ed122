"""Frozen custody events and sheets: `python -m tests.support.vectors_custody` writes them anew.

`entries` are lines of the conformance kind `entry`, `rows` of the kind `custody`, receipt and trust
file of the item given by name. Everything is made from fixed seeds.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

from protocol import cbor, entry
from protocol.custody import CustodyKind
from protocol.entry import Header
from protocol.identifiers import log_id
from tests.support.custody_world import (
    COURT,
    STATED,
    STORY,
    A,
    CustodyWorld,
    T,
    Told,
    V,
    X,
)
from tests.support.fakechain import seeded
from tests.support.vectors import FOLDER
from tests.support.world import AT, SUBMITTER, World
from verifier.receipt import Receipt

CUSTODY = FOLDER / "custody.json"
OTHER_CASE = seeded("another case")
HANDED = (
    Told(A, COURT),
    Told(T, SUBMITTER, {"giver": SUBMITTER, "receiver": COURT}),
    Told(T, COURT, {"giver": SUBMITTER, "receiver": COURT}),
)
WORLD = CustodyWorld(story=HANDED)
LATER_LOG = "centre.example/evidence-2-custody"
WORLDS = {
    "plain": WORLD,
    "mpt-qbft": CustodyWorld(World(kind="mpt-qbft"), HANDED),
    "development chain": CustodyWorld(World(kind="none"), HANDED),
    "privileged": CustodyWorld(World(flags=1), HANDED[:1]),
    "other operator": CustodyWorld(story=HANDED, operator=9),
    "no custody log": CustodyWorld(story=HANDED, origin="centre.example/archive"),
    "closed": CustodyWorld(story=HANDED, successor=LATER_LOG, closed=13),
    "closed before the last": CustodyWorld(story=HANDED, successor=LATER_LOG, closed=10),
    "closed epoch": CustodyWorld(World(to_height=5000), HANDED),
}


def _but(at: int, **changes: Any) -> CustodyWorld:
    """The world of three events with event `at` (from 0) told otherwise."""
    story = list(HANDED)
    story[at] = dataclasses.replace(story[at], **changes)
    return CustodyWorld(story=tuple(story))


def _said(at: int, **said: Any) -> CustodyWorld:
    return _but(at, said={**HANDED[at].said, **said})


def _withheld(*places: int) -> bytes:
    receipts = list(WORLD.receipts)
    for at in places:
        core = dataclasses.replace(WORLD.events[at].core, body=None)
        receipts[at] = Receipt.of(core).encode()
    return WORLD.sheet(receipts)


def _spoilt(sheet: bytes, at: int, value: object) -> bytes:
    members = list(cbor.decode(sheet, max_bytes=1 << 20, max_depth=3, max_items=64))  # type: ignore[arg-type]
    members[at] = value  # type: ignore[call-overload]
    return cbor.encode(members)


def rows() -> list[tuple[str, str, bytes, dict[str, Any], str, str]]:
    """(name, receipt and trust file, sheet, rest of the line, code, status)."""
    w, r = WORLD, WORLD.receipts
    one, two, three = r
    ok, bad, low, open_ = "PASS", "FAIL", "REDUCED", "INDETERMINATE"
    fine, sheet = "CustodyContinuous", WORLD.sheet()
    older = w.sheet(r[:2], w.statement(2))
    closed = WORLDS["closed"]
    moved = closed.statement(log_id=log_id(LATER_LOG), size=40)
    other = CustodyWorld(World(event_time=None), HANDED)
    twice = (Told(T, SUBMITTER, {"giver": SUBMITTER, "receiver": 8}), *HANDED[1:])
    return [
        ("all kinds", "plain", CustodyWorld(story=STORY).sheet(), {}, fine, ok),
        ("three events", "plain", sheet, {}, fine, ok),
        ("mpt-qbft", "mpt-qbft", WORLDS["mpt-qbft"].sheet(), {}, fine, ok),
        ("privileged item", "privileged", WORLDS["privileged"].sheet(), {}, fine, ok),
        ("no events", "plain", w.sheet([], w.statement(0, size=7)), {}, "CustodyNoEvents", ok),
        ("no events, empty log", "plain", w.sheet([], w.statement(0)), {}, "CustodyNoEvents", ok),
        ("a later offer replaces the first", "plain", CustodyWorld(story=twice).sheet(), {}, fine, ok),
        ("one body withheld", "plain", _withheld(0), {}, "CustodyBodiesWithheld", ok),
        ("last body withheld", "plain", _withheld(2), {}, "CustodyBodiesWithheld", ok),
        ("two bodies withheld, not in a row", "plain", _withheld(0, 2), {}, "CustodyBodiesWithheld", ok),
        ("two bodies withheld in a row", "plain", _withheld(0, 1), {}, "CustodyUnlinked", low),
        ("events of a closed log", "closed", closed.sheet(statement=moved), {}, fine, ok),
        (
            "development chain",
            "development chain",
            WORLDS["development chain"].sheet(),
            {},
            "ChainProofNone",
            low,
        ),
        ("closed epoch", "closed epoch", WORLDS["closed epoch"].sheet(), {}, "ClosedEpoch", low),
        ("recent enough", "plain", sheet, {"since": STATED}, fine, ok),
        ("older than asked for", "plain", sheet, {"since": STATED + 1}, "CustodyOutdated", low),
        ("older than a known event", "plain", older, {"known": [three]}, "CustodyOutdated", low),
        ("known events are there", "plain", sheet, {"known": [three, one]}, fine, ok),
        (
            "known event withheld",
            "plain",
            w.sheet(r[:2], w.statement(2, size=13)),
            {"known": [two, three]},
            "CustodyEventWithheld",
            bad,
        ),
        (
            "known event anchored an hour before",
            "plain",
            w.sheet(r[:2], w.statement(2, stated_at=STATED + 600)),
            {"known": [three], "at": AT + 4000},
            "CustodyOutdated",
            low,
        ),
        (
            "known event anchored an hour and more before",
            "plain",
            w.sheet(r[:2], w.statement(2, stated_at=STATED + 3000)),
            {"known": [three], "at": AT + 4000},
            "CustodyEventWithheld",
            bad,
        ),
        (
            "known event of another item",
            "plain",
            sheet,
            {"known": [other.receipts[0]]},
            "CustodyKnownEventInvalid",
            open_,
        ),
        (
            "known event forged",
            "plain",
            older,
            {"known": [_but(2, signer="thief").receipts[2]]},
            "CustodyKnownEventInvalid",
            open_,
        ),
        (
            "known event is none",
            "plain",
            sheet,
            {"known": [w.item.receipt]},
            "CustodyKnownEventInvalid",
            open_,
        ),
        (
            "evaluated before the last event",
            "plain",
            w.sheet(statement=w.statement(stated_at=STATED - 2900)),
            {"at": STATED - 2890},
            "EvaluationBeforeAnchor",
            open_,
        ),
        ("sheet of another item", "plain", other.sheet(), {}, "CustodyOtherItem", bad),
        (
            "event of another item",
            "plain",
            w.sheet([one, other.receipts[1], three]),
            {},
            "CustodyOtherItem",
            bad,
        ),
        ("event of another case", "plain", _but(1, case_id=OTHER_CASE).sheet(), {}, "CustodyOtherItem", bad),
        ("event of a privileged item", "plain", _but(1, flags=1).sheet(), {}, "CustodyOtherItem", bad),
        ("first event dropped", "plain", w.sheet([two, three]), {}, "CustodyGap", bad),
        ("middle event dropped", "plain", w.sheet([one, three]), {}, "CustodyGap", bad),
        ("last event dropped", "plain", w.sheet([one, two]), {}, "CustodyCountMismatch", bad),
        ("all events dropped", "plain", w.sheet([]), {}, "CustodyCountMismatch", bad),
        (
            "last event dropped, statement forged",
            "plain",
            _spoilt(older, 3, w.sheet()[-1:] * 64),
            {},
            "CustodyStatementInvalid",
            bad,
        ),
        ("an event twice", "plain", w.sheet([one, two, two, three]), {}, "CustodyGap", bad),
        ("two events swapped", "plain", w.sheet([one, three, two]), {}, "CustodyReordered", bad),
        (
            "an event changed",
            "plain",
            w.sheet([_said(0, purpose="另有他用").receipts[0], two, three]),
            {},
            "CustodyChanged",
            bad,
        ),
        (
            "last event changed",
            "plain",
            w.sheet([one, two, _said(2, purpose="另有他用").receipts[2]]),
            {},
            "CustodyHeadMismatch",
            bad,
        ),
        ("more events than stated", "plain", w.sheet(r, w.statement(2)), {}, "CustodyCountMismatch", bad),
        (
            "taken without an offer",
            "plain",
            CustodyWorld(story=(HANDED[2],)).sheet(),
            {},
            "CustodyHolderMismatch",
            bad,
        ),
        (
            "given by who does not hold it",
            "plain",
            _said(1, giver=8).sheet(),
            {},
            "CustodyHolderMismatch",
            bad,
        ),
        (
            "taken by another than it was offered to",
            "plain",
            _but(2, organisation=8, said={"giver": SUBMITTER, "receiver": 8}).sheet(),
            {},
            "CustodyHolderMismatch",
            bad,
        ),
        (
            "signed by another organisation's key",
            "plain",
            _but(1, signer="thief").sheet(),
            {},
            "KeyOfAnotherOrganisation",
            bad,
        ),
        (
            "event in a log that is not named",
            "plain",
            _but(2, log=LATER_LOG).sheet(),
            {},
            "CustodyLogNotTrusted",
            bad,
        ),
        (
            "event in an evidence log",
            "plain",
            _but(2, log=w.item.origin).sheet(),
            {},
            "CustodyLogNotTrusted",
            bad,
        ),
        (
            "event behind the closed log's end",
            "closed before the last",
            WORLDS["closed before the last"].sheet(statement=moved),
            {},
            "LeafBeyondClosedLog",
            bad,
        ),
        (
            "event after its anchor",
            "plain",
            _said(1, event_time=STATED).sheet(),
            {},
            "CustodyAfterAnchor",
            bad,
        ),
        (
            "event behind the stated size",
            "plain",
            w.sheet(statement=w.statement(size=8)),
            {},
            "CustodyBeyondCheckpoint",
            bad,
        ),
        (
            "other roots",
            "plain",
            w.sheet(statement=w.statement(root_sha256=bytes(32))),
            {},
            "CustodyCheckpointMismatch",
            bad,
        ),
        (
            "other SM3 root",
            "plain",
            w.sheet(statement=w.statement(root_sm3=bytes(32))),
            {},
            "CustodyCheckpointMismatch",
            bad,
        ),
        (
            "other operator's log",
            "other operator",
            WORLDS["other operator"].sheet(),
            {},
            "CustodyLogNotTrusted",
            bad,
        ),
        (
            "statement of an evidence log",
            "plain",
            w.sheet(statement=w.statement(log_id=log_id(w.item.origin))),
            {},
            "CustodyLogNotTrusted",
            bad,
        ),
        (
            "origin of no custody log",
            "no custody log",
            WORLDS["no custody log"].sheet([], WORLDS["no custody log"].statement(0)),
            {},
            "CustodyLogNotTrusted",
            bad,
        ),
        (
            "statement of the future",
            "plain",
            w.sheet(statement=w.statement(stated_at=AT + 1)),
            {},
            "CustodyInFuture",
            bad,
        ),
        (
            "a document's receipt as event",
            "plain",
            w.sheet([one, w.item.receipt, three]),
            {},
            "MalformedCustody",
            bad,
        ),
        ("no receipt as event", "plain", w.sheet([one, b"\x80", three]), {}, "MalformedCustody", bad),
        ("a byte after it", "plain", sheet + b"\x00", {}, "MalformedCustody", bad),
        ("a receipt as sheet", "plain", one, {}, "MalformedCustody", bad),
        (
            "head without events",
            "plain",
            w.sheet(statement=w.statement(count=2, head=None)),
            {},
            "MalformedCustody",
            bad,
        ),
        ("version 2", "plain", _spoilt(sheet, 1, 2), {}, "UnknownVersion", open_),
        (
            "event of a later receipt version",
            "plain",
            w.sheet([_spoilt(one, 1, 2)]),
            {},
            "UnknownVersion",
            open_,
        ),
    ]


def entries() -> list[dict[str, object]]:
    """Leaves with bodies: each kind, and what is refused."""
    out: list[dict[str, object]] = []

    def row(name: str, leaf: bytes, body: bytes, code: str = "Ok") -> None:
        line = {"leaf": leaf.hex(), "body": body.hex()}
        out.append({"name": name, "line": line, "accepted": code == "Ok", "code": code})

    for world in CustodyWorld(story=STORY).events:
        kind = entry.parse_leaf(world.core.leaf).header.evidence_class
        row(f"{kind.name.lower()} at {world.index}", world.core.leaf, world.body)
    base = CustodyWorld(story=STORY).events
    header = base[0].core.leaf[:48]
    fields = cbor.decode(base[0].body, max_bytes=2048, max_depth=3, max_items=64)
    assert isinstance(fields, dict)

    def bad(name: str, code: str = "MalformedInput", kind: CustodyKind = A, **members: Any) -> None:
        body = cbor.encode({**fields, **{int(key[1:]): value for key, value in members.items()}})
        head = header[:1] + bytes([kind]) + header[2:]
        row(name, entry.leaf(head, body), body, code)

    bad("number 0", k2=0)
    bad("number 2 without previous", k2=2)
    bad("number 1 with previous", k3=seeded("previous"))
    bad("no purpose", k9=None)
    bad("purpose with a line feed", k9="a\nb")
    bad("purpose of 201 bytes", k9="x" * 201)
    bad("an access that goes somewhere", k8=4)
    bad("an access with a result", k13=0)
    bad("a copy without digests", kind=CustodyKind.COPY)
    bad("an export without digests", kind=X)
    bad("a transfer from nobody", kind=T, k8=4)
    bad("a transfer to nobody", kind=T, k7=3)
    bad("a transfer to oneself", kind=T, k7=3, k8=3)
    bad("a verification without result", kind=V, k12=[seeded(1), seeded(2)])
    bad("a result that is none", kind=V, k12=[seeded(1), seeded(2)], k13=4)
    bad("body version 2", "UnknownVersion", k0=2)
    bad("class 70", "UnknownEvidenceClass", kind=70)  # type: ignore[arg-type]
    bad("class 63", "UnknownEvidenceClass", kind=63)  # type: ignore[arg-type]
    case = Header(A, 3, seeded("case")).pack()
    row("no case", entry.leaf(case[:16] + bytes(32), base[0].body), base[0].body, "MalformedInput")
    return out


def document() -> bytes:
    """The file."""
    listed = []
    for name, world, sheet, rest, code, status in rows():
        more = {key: _text(value) for key, value in rest.items()}
        line = {"sheet": _text(sheet), "at": AT, **more}
        listed.append({"name": name, "world": world, "line": line, "code": code, "status": status})
    worlds = {
        name: {"receipt": _text(one.item.receipt), "trust": _text(one.trust)} for name, one in WORLDS.items()
    }
    made = {"worlds": worlds, "rows": listed, "entries": entries()}
    return (json.dumps(made, ensure_ascii=False, indent=1) + "\n").encode()


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [_text(one) for one in value] if isinstance(value, list) else value


def load(path: Path = CUSTODY) -> list[dict[str, Any]]:
    """Rows whose lines are whole."""
    document = json.loads(path.read_text())
    for row in document["rows"]:
        row["line"] = {**document["worlds"][row["world"]], **row["line"]}
    return list(document["rows"])


if __name__ == "__main__":
    CUSTODY.write_bytes(document())
