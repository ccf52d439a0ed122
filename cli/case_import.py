"""`caseledger case template|import|mapping|batch|row`: bulk import. The work is done in `agent/intake`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import case_agent, case_sending
from cli.case_import_texts import TEXTS
from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from agent.intake.preview import Preview
    from agent.intake.source import Source
    from agent.intake.store import IntakeStore, StoredBatch

VERBS = ("template", "import", "mapping", "batch", "row")
EXIT_OK = 0
EXIT_DEFECTS = 3
"""Done, and some rows came back with defects."""


def _words(name: str) -> str:
    return TEXTS[name].choose(language())


def add_verbs(verbs: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register these verbs."""

    def verb(name: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=_words(name), description=_words(name))
        one.add_argument("--home", metavar="DIR", help=_words("home"))
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
        one.add_argument("--json", action="store_true", help=_words("json"))
        return one

    verb("template").add_argument("--out", type=Path, required=True, metavar="FILE.xlsx", help=_words("out"))

    one = verb("import")
    one.add_argument("file", type=Path, nargs="?", metavar="FILE", help=_words("file"))
    mode = one.add_mutually_exclusive_group()
    for name in ("preview", "confirm", "resume"):
        mode.add_argument(f"--{name}", action="store_true", help=_words(name))
    one.add_argument("--rows", type=int, metavar="N", help=_words("rows"))
    one.add_argument("--sum", metavar="YUAN", help=_words("sum"))
    one.add_argument("--as-of", metavar="DATE", help=_words("as-of"))
    one.add_argument("--encoding", metavar="NAME", help=_words("encoding"))
    one.add_argument("--sheet", metavar="NAME", help=_words("sheet"))
    one.add_argument("--mapping", metavar="NAME", help=_words("use"))
    one.add_argument("--to", action="append", type=int, default=[], metavar="N", help=_words("to"))
    one.add_argument("--errors", type=Path, metavar="FILE", help=_words("errors"))
    one.add_argument("--organisation", type=int, metavar="N", help=_words("organisation"))
    one.add_argument("--quiet", action="store_true", help=_words("quiet"))
    one.add_argument("--no-send", action="store_true", help=_words("no-send"))
    case_agent.add_arguments(one)

    one = verb("mapping")
    one.add_argument("name", metavar="NAME", help=_words("name"))
    one.add_argument("--set", action="append", default=[], metavar="COLUMN=HEADING", help=_words("set"))
    one.add_argument("--product", action="append", default=[], metavar="WORD=PRODUCT", help=_words("product"))
    one.add_argument("--sheet", metavar="NAME", help=_words("sheet"))
    one.add_argument("--encoding", metavar="NAME", help=_words("encoding"))

    one = verb("batch")
    one.add_argument("action", choices=["list", "show", "drop", "proof", *case_sending.ACTIONS])
    one.add_argument("which", nargs="?", default="", metavar="ID", help=_words("which"))
    one.add_argument("--organisation", type=int, metavar="N", help=_words("organisation"))
    one.add_argument("--out", type=Path, metavar="FILE", help=_words("totals-out"))
    case_agent.add_arguments(one)

    one = verb("row")
    one.add_argument("case", metavar="CASE", help=_words("case"))
    one.add_argument("--organisation", type=int, metavar="N", help=_words("organisation"))
    one.add_argument("--hpke-key", metavar="NAME", help=_words("hpke-key"))
    case_agent.add_arguments(one)


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    verbs: dict[str, Callable[[_Command], int]] = {
        "template": _Command.template,
        "import": _Command.import_,
        "mapping": _Command.mapping,
        "batch": _Command.batch,
        "row": _Command.row,
    }
    return verbs[args.verb](_Command(args))


class _Command:
    def __init__(self, args: argparse.Namespace) -> None:
        from agent.profile import home_of

        self.args = args
        self.lang: Language = language(getattr(args, "lang", None))
        self.home = home_of(args.home)
        self._shown = 0.0
        self._on_line = False

    def say(self, name: str, **values: object) -> None:
        if not self.args.json:
            print(TEXTS[name].format(self.lang, **values))

    def progress(self, stage: str, done: int) -> None:
        if self.args.quiet or self.args.json or not sys.stderr.isatty():
            return
        now = time.monotonic()
        if now - self._shown > 0.2:
            self._shown, self._on_line = now, True
            print(
                f"\r{TEXTS[stage].format(self.lang, done=f'{done:,}')}", end="", file=sys.stderr, flush=True
            )

    def end_progress(self) -> None:
        if self._on_line:
            self._on_line = False
            print(file=sys.stderr)

    def template(self) -> int:
        from agent.intake.template import write_template

        write_template(self.args.out)
        self.say("written", path=self.args.out)
        return EXIT_OK

    def mapping(self) -> int:
        from agent.intake.mapping import mapping_from, mapping_path, save_mapping

        args = self.args
        path = mapping_path(self.home, args.name)
        save_mapping(path, mapping_from(args.set, args.product, args.sheet, args.encoding))
        self.say("written", path=path)
        return EXIT_OK

    def store(self) -> IntakeStore:
        from agent.intake.party import organisation_of
        from agent.intake.store import IntakeStore

        return IntakeStore(self.home, organisation_of(self.home, self.args.organisation))

    def import_(self) -> int:
        from agent.errors import ArgumentRefused

        with self.store() as store:
            if self.args.resume:
                return self._resume(store)
            if self.args.file is None:
                raise ArgumentRefused("a file is needed", field="file", hint="caseledger case import FILE")
            return self._import(store)

    def _import(self, store: IntakeStore) -> int:
        from agent.intake.asking import request_of
        from agent.intake.commit import import_file
        from agent.intake.preview import preview
        from agent.intake.source import Source

        args = self.args
        request = request_of(
            self.home, store.organisation, mapping=args.mapping, to=args.to if args.confirm else None,
            rows=args.rows, sum_text=args.sum, as_of=args.as_of, encoding=args.encoding, sheet=args.sheet,
        )  # fmt: skip
        shown: list[Preview] = []
        with Source(args.file, request.mapping, encoding=args.encoding, sheet=args.sheet) as source:

            def on_preview(found: Preview) -> None:
                self.end_progress()
                shown.append(found)
                self._show(source, found)

            if not args.confirm:
                on_preview(
                    preview(
                        source, request.terms, store, lang=self.lang, declared=request.declared,
                        progress=self.progress,
                    )
                )  # fmt: skip
                if args.json:
                    print(json.dumps(self._summary(shown[0], None), ensure_ascii=False))
                self.say("only-preview")
                return EXIT_DEFECTS if shown[0].bad_rows or shown[0].mismatches() else EXIT_OK
            batch = import_file(
                source, request, store, lang=self.lang, on_preview=on_preview, progress=self.progress
            )
        self.end_progress()
        if batch is None:
            self.say("again")
        else:
            self._finished(store, batch)
        if args.json:
            print(json.dumps(self._summary(shown[0], batch), ensure_ascii=False))
        return EXIT_DEFECTS if shown[0].bad_rows else EXIT_OK

    def _resume(self, store: IntakeStore) -> int:
        from agent.intake.commit import resume

        finished = resume(store, lang=self.lang, progress=self.progress)
        self.end_progress()
        for batch in finished:
            self._finished(store, batch)
        if not finished:
            self.say("nothing")
        if self.args.json:
            print(json.dumps([_batch_json(store, one) for one in finished], ensure_ascii=False))
        return EXIT_OK

    def _finished(self, store: IntakeStore, batch: StoredBatch) -> None:
        root = batch.root.hex() if batch.root else ""
        self.say("ready", batch=batch.id.hex()[:16], count=f"{batch.expected:,}", root=root)
        if self.args.no_send or not case_agent.has_gateway(self.args, self.home):
            self.say("waiting", path=store.file_path(batch.id))
            return
        self.args.which = batch.id.hex()
        case_sending.send(self.args, self.home, store, self.say)

    def _on_ledger(self, store: IntakeStore) -> int:
        args = self.args
        if args.action == "send":
            shown: Any = [
                _batch_json(store, one) for one in case_sending.send(args, self.home, store, self.say)
            ]
        elif args.action == "recall":
            shown = _batch_json(store, case_sending.recall(args, self.home, store, self.say))
        elif args.action == "status":
            shown = case_sending.status(args, self.home, store, self.say)
        else:
            shown = case_sending.totals(args, store, self.say)
        if args.json:
            print(json.dumps(shown, ensure_ascii=False))
        return EXIT_OK

    def row(self) -> int:
        return case_sending.row(self.args, self.home, self.lang)

    def _summary(self, found: Preview, batch: StoredBatch | None) -> dict[str, Any]:
        stored = None if batch is None else batch.id.hex()
        root = None if batch is None or batch.root is None else batch.root.hex()
        return {**found.summary(), "samples": list(found.sample_lines()), "batch": stored, "root": root}

    def _show(self, source: Source, found: Preview) -> None:
        from agent.intake.rules import RULES
        from agent.intake.validate import yuan
        from protocol.case_row import Product

        self.say("total", file=source.path.name, rows=f"{found.rows:,}")
        self.say("new", new=f"{found.new:,}", sum=yuan(sum(found.fen.values())))
        for product, count in sorted(found.good.items()):
            label = Product(product).label.choose(self.lang)
            self.say("per", product=label, rows=f"{count:,}", sum=yuan(found.fen[product]))
        for name, count in found.known.items():
            self.say("known", count=f"{count:,}", batch=name[:16])
        if found.bad_rows:
            self.say("bad", bad=f"{found.bad_rows:,}")
            for rule, count in found.rules.most_common():
                self.say("rule", count=count, rule=rule, says=_plain(RULES[rule].says, self.lang))
        self._declared(found)
        if found.layout.unused:
            self.say("unused", columns="、".join(found.layout.unused))
        if found.samples and not self.args.json:
            self.say("samples")
            for line in found.sample_lines():
                print("  " + "  ".join(value for value in line.values() if value))
        if found.bad_rows:
            self.say("report", path=self._report(source, found))

    def _declared(self, found: Preview) -> None:
        declared = found.declared
        if mismatches := found.mismatches():
            self.say("mismatch", what="; ".join(mismatches))
        elif declared.fen is not None and found.unread_totals:
            self.say("unsummed", count=found.unread_totals)
        elif declared.rows is None and declared.fen is None:
            self.say("undeclared")
        else:
            self.say("declared")

    def _report(self, source: Source, found: Preview) -> Path:
        from agent.intake.report import write_errors

        path: Path = self.args.errors or source.path.with_name(
            f"{source.path.stem}.errors{source.path.suffix}"
        )
        write_errors(
            source, path, found.layout, found.defects, self.lang,
            headings_at=found.headings_at, part=found.part, widest=found.widest,
        )  # fmt: skip
        return path

    def batch(self) -> int:
        from agent.intake.errors import BatchSent, BatchUnknown
        from agent.intake.proofs import case_proof
        from agent.intake.store import BatchState
        from protocol.identifiers import parse_hex32

        with self.store() as store:
            if self.args.action in case_sending.ACTIONS:
                return self._on_ledger(store)
            which = self.args.which
            if self.args.action == "proof":
                case_id = store.case_of(which[1:]) if which.startswith("@") else parse_hex32(which, "case")
                if case_id is None:
                    raise BatchUnknown("no batch holds this contract", field="case")
                print(json.dumps(case_proof(store, case_id).as_json(), indent=1))
                return EXIT_OK
            chosen = store.batches() if self.args.action == "list" else [store.batch_named(which)]
            if self.args.action == "drop":
                if chosen[0].state in (BatchState.SENT, BatchState.RECALLED):
                    raise BatchSent(
                        "the ledger has it", field="batch", hint="caseledger case batch recall ID"
                    )
                with store.alone():
                    store.drop(chosen[0].id)
                self.say("dropped", batch=chosen[0].id.hex()[:16])
                return EXIT_OK
            documents = [_batch_json(store, one) for one in chosen]
            if self.args.json or self.args.action == "show":
                shown: Any = documents if self.args.action == "list" else documents[0]
                print(json.dumps(shown, ensure_ascii=False, indent=None if self.args.json else 1))
                return EXIT_OK
            for one in chosen:
                moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(one.made_at))
                self.say(
                    "line", batch=one.id.hex()[:16], state=one.state, sealed=f"{one.sealed:,}",
                    expected=f"{one.expected:,}", time=moment,
                )  # fmt: skip
        return EXIT_OK


def _plain(text: Text, lang: Language) -> str:
    """A rule's words where its values are not at hand."""
    import re

    return re.sub(r"\{\w+\}", "…", text.choose(lang))


def _batch_json(store: IntakeStore, batch: StoredBatch) -> dict[str, Any]:
    done = batch.root is not None
    return {
        "batch": batch.id.hex(),
        "state": str(batch.state),
        "cases": batch.expected,
        "sealed": batch.sealed,
        "root": batch.root.hex() if batch.root else None,
        "file": str(store.file_path(batch.id)) if done else None,
        "madeAt": batch.made_at,
        "summary": batch.summary,
    }
