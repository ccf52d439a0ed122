"""`caseledger case batch send|recall|status|totals` and `case row`: batches on the ledger, rows from it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.case_agent import batches_domain, connected
from cli.case_import_texts import TEXTS

if TYPE_CHECKING:
    from agent.intake.opening import OpenedCase
    from agent.intake.outlet import GatewayOutlet
    from agent.intake.store import IntakeStore, StoredBatch
    from protocol.i18n import Language

ACTIONS = ("send", "recall", "status", "totals")
Say = Callable[..., None]


@contextmanager
def outlet(args: argparse.Namespace, home: Path, store: IntakeStore) -> Iterator[GatewayOutlet]:
    """What carries batches to the organisation's gateway, in its name."""
    from agent.intake.outlet import GatewayOutlet, Party
    from cases.triage import NEWEST

    with connected(args, home, store.organisation) as link:
        party = Party(store.organisation, link.profile.act_key, batches_domain(home, link.profile))
        yield GatewayOutlet(link.client, store, party, triage=NEWEST.digest, patience=link.patience)


def send(args: argparse.Namespace, home: Path, store: IntakeStore, say: Say) -> list[StoredBatch]:
    """Sends the batch that is named, or all that are ready."""
    from agent.intake.port import deliver
    from agent.intake.store import BatchState

    named = store.batch_named(args.which).id if args.which else None
    taken: list[StoredBatch] = []
    if store.batches(BatchState.READY):
        with outlet(args, home, store) as carrier:
            taken = deliver(store, carrier, only=named)
    for one in taken:
        say("sent", batch=one.id.hex()[:16])
    if not taken:
        say("none-ready")
    return [store.batch(one.id) for one in taken]


def recall(args: argparse.Namespace, home: Path, store: IntakeStore, say: Say) -> StoredBatch:
    """Takes a batch back."""
    batch = store.batch_named(args.which)
    with outlet(args, home, store) as carrier:
        carrier.recall(batch)
    say("recalled", batch=batch.id.hex()[:16])
    return store.batch(batch.id)


def status(args: argparse.Namespace, home: Path, store: IntakeStore, say: Say) -> list[dict[str, Any]]:
    """What the gateway knows of batches that were made here, or of the one that is named."""
    chosen = [store.batch_named(args.which)] if args.which else store.batches()
    found: list[dict[str, Any]] = []
    with connected(args, home, store.organisation) as link:
        for one in chosen:
            known = None if one.root is None else link.client.case_batch(one.root)
            found.append({"batch": one.id.hex(), "here": str(one.state), "ledger": known})
    for document in found:
        known = document["ledger"] or {}
        say(
            "ledger-line", batch=document["batch"][:16], here=document["here"],
            state=known.get("state", "—"), count=known.get("count", 0), moved=known.get("moved", 0),
            time=_moment(known.get("importedAt")),
        )  # fmt: skip
    return found


def totals(args: argparse.Namespace, store: IntakeStore, say: Say) -> dict[str, Any]:
    """Writes the opening of a batch's totals: who gets it can hold the sums against the chain."""
    from agent.errors import ArgumentRefused
    from agent.intake.errors import BatchWithoutTotals
    from agent.intake.whole import write_whole
    from protocol.case_totals import BatchTotals

    batch = store.batch_named(args.which)
    opening = store.totals(batch.id)
    if opening is None:
        raise BatchWithoutTotals("the batch is not finished, or of an earlier release", field="batch")
    if args.out is None:
        raise ArgumentRefused("where to", field="out", hint="--out FILE")
    with write_whole(args.out) as file:
        file.write(opening)
    found = BatchTotals.parse(opening)
    say("totals", path=args.out, commitment=found.commitment.hex())
    return {"root": found.root.hex(), "commitment": found.commitment.hex(), "file": str(args.out)}


def row(args: argparse.Namespace, home: Path, lang: Language) -> int:
    """Fetches a sealed row, opens it with the organisation's own key and checks it against its leaf."""
    from agent.intake.opening import open_case
    from agent.intake.party import organisation_of
    from agent.profile import hpke_key
    from protocol.identifiers import parse_hex32

    organisation = organisation_of(home, args.organisation)
    case_id = parse_hex32(args.case, "case")
    with connected(args, home, organisation) as link:
        key = hpke_key(home, args.hpke_key, organisation)
        opened = open_case(link.client.case_row(case_id), case_id, organisation, key.private)
    print(json.dumps(opened.as_json(), ensure_ascii=False) if args.json else "\n".join(_lines(opened, lang)))
    return 0


def _lines(opened: OpenedCase, lang: Language) -> Iterator[str]:
    yield TEXTS["row-head"].format(
        lang, case=opened.case_id.hex(), index=opened.index, size=opened.size, root=opened.root.hex()
    )
    for name, value in opened.shown(lang):
        yield f"  {name}  {value}"


def _moment(seconds: int | None) -> str:
    return "—" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
