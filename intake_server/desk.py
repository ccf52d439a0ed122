"""What becomes of a file that is here to its end: looked at, confirmed, sealed, removed. One at a time.

Beside the upload stand `preview.json` (looked at), `errors` (the file with its error column), `refused.json`
(it cannot be read: removed), `confirmed.json` (which preview the bank means), `sealed.json` (the batch). Each
is written whole, so whoever is killed goes on from the last one. The bank's file and its copy with errors go
as soon as the batch is sealed or the file refused.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.intake.asking import request_of
from agent.intake.commit import Request, import_file, resume
from agent.intake.preview import Preview, preview
from agent.intake.report import write_errors
from agent.intake.source import Source
from agent.intake.store import BatchState, IntakeStore, StoredBatch
from agent.intake.whole import sync_folder
from intake_server.errors import PreviewDiffers, UploadClosed, UploadNotChecked, UploadNotWhole, UploadUnknown
from intake_server.shelf import Shelf, Upload
from protocol.case_totals import BatchTotals, rules_digest
from protocol.errors import CaseledgerError, MalformedInput
from protocol.i18n import Language

PREVIEW, REFUSED, CONFIRMED, SEALED = "preview.json", "refused.json", "confirmed.json", "sealed.json"
FAILED, ERRORS = "failed.json", "errors"
_DECIDES = ("rows", "new", "known", "defective", "products", "sum", "defects")
"""Members of the summary that the bank confirms."""


class Desk:
    """Works on uploads; every method may take long and blocks."""

    def __init__(self, home: Path, shelf: Shelf) -> None:
        self._home = home
        self._shelf = shelf

    # what is asked at once

    def state(self, upload: Upload) -> dict[str, Any]:
        """Where an upload stands, for its organisation."""
        offset = self._shelf.offset(upload)
        found: dict[str, Any] = {
            "upload": upload.id, "length": upload.length, "offset": offset, "expiresAt": upload.expires,
        }  # fmt: skip
        if (sealed := self._noted(upload, SEALED)) is not None:
            return {**found, "state": "sealed", **sealed}
        if (refused := self._noted(upload, REFUSED)) is not None:
            return {**found, "state": "refused", "error": refused}
        if offset < upload.length:
            return {**found, "state": "uploading"}
        if (shown := self._noted(upload, PREVIEW)) is None:
            return {**found, "state": "checking"}
        state = "checked" if self._noted(upload, CONFIRMED) is None else "sealing"
        failed = self._noted(upload, FAILED)
        return {**found, "state": state, **shown, **({} if failed is None else {"error": failed})}

    def confirm(self, upload: Upload, digest: str) -> None:
        """Takes note that the bank wants what a preview says. The same again changes nothing.

        Raises:
            UploadNotWhole, UploadNotChecked, UploadClosed, PreviewDiffers
        """
        if self._noted(upload, SEALED) is not None:
            return
        if self._noted(upload, REFUSED) is not None:
            raise UploadClosed("the file was refused", field="upload", hint="mend it and upload it again")
        if self._shelf.offset(upload) < upload.length:
            raise UploadNotWhole("the file is not here to its end", field="upload")
        shown = self._noted(upload, PREVIEW)
        if shown is None:
            raise UploadNotChecked(
                "the file is being looked at", field="upload", hint="try again in a moment"
            )
        if shown["preview"] != digest:
            raise PreviewDiffers("another preview than the one that was shown", field="preview")
        with suppress(FileNotFoundError):
            (self._shelf.place(upload) / FAILED).unlink()
        self._shelf.note(upload, CONFIRMED, {"preview": digest})

    def errors_file(self, upload: Upload) -> Path:
        """The bank's file with its error column, while the file is here.

        Raises:
            UploadUnknown: no row was defective, or the batch is sealed.
        """
        path = self._shelf.place(upload) / (ERRORS + upload.suffix)
        if not path.exists():
            raise UploadUnknown(
                "no file with errors: none was needed, or the batch is sealed", field="upload"
            )
        return path

    def pending(self) -> list[Upload]:
        """Uploads that wait for `work`, oldest first."""
        waiting = ("checking", "sealing")
        return [one for one in self._shelf.all() if self.state(one)["state"] in waiting]

    # what takes its time

    def work(self, upload: Upload) -> None:
        """The next step of one upload. A refusal is an outcome; anything else is raised, for another try."""
        state = self.state(upload)["state"]
        with self._shelf.held(upload):
            if state == "checking":
                self._check(upload)
            elif state == "sealing":
                self._seal(upload)

    def finish(self) -> None:
        """Completes batches that a kill left half made, so that others can be made. Once, at the start."""
        for organisation in sorted({one.organisation for one in self._shelf.all()}):
            with self._store(organisation) as store:
                if store.batches(BatchState.MAKING):
                    resume(store)

    def _check(self, upload: Upload) -> None:
        try:
            with self._store(upload.organisation) as store:
                request, lang = self._request(upload, None), _lang(upload)
                with self._source(upload, request) as source:
                    found = preview(source, request.terms, store, lang=lang, declared=request.declared)
                    if found.bad_rows:
                        write_errors(
                            source, self._shelf.place(upload) / (ERRORS + upload.suffix), found.layout,
                            found.defects, lang, headings_at=found.headings_at, part=found.part,
                            widest=found.widest,
                        )  # fmt: skip
        except CaseledgerError as error:
            self._shelf.note(upload, REFUSED, error.as_dict())
            self._clear(upload)
            return
        self._shelf.note(
            upload, PREVIEW,
            {"preview": _digest(found), "summary": found.summary(), "samples": list(found.sample_lines())},
        )  # fmt: skip

    def _seal(self, upload: Upload) -> None:
        confirmed = self._noted(upload, CONFIRMED) or {}

        def same(found: Preview) -> None:
            if _digest(found) != confirmed.get("preview"):
                raise PreviewDiffers("the file gives another preview now", field="preview", hint="look again")

        try:
            with self._store(upload.organisation) as store:
                request = self._request(upload, [])
                with self._source(upload, request) as source:
                    ready = [
                        one for one in store.of_file(source.digest) if one.path == str(source.path.absolute())
                    ]
                    batch = ready[-1] if ready and ready[-1].state is not BatchState.MAKING else None
                    if batch is None:
                        batch = import_file(source, request, store, lang=_lang(upload), on_preview=same)
        except CaseledgerError as error:
            self._shelf.note(upload, FAILED, error.as_dict())
            names = (CONFIRMED, PREVIEW) if isinstance(error, PreviewDiffers) else (CONFIRMED,)
            for name in names:
                with suppress(FileNotFoundError):
                    (self._shelf.place(upload) / name).unlink()
            return
        self._shelf.note(upload, SEALED, _sealed(batch))
        self._clear(upload)

    def _clear(self, upload: Upload) -> None:
        """The bank's file and its copy with errors go."""
        for path in (self._shelf.data(upload), self._shelf.place(upload) / (ERRORS + upload.suffix)):
            with suppress(FileNotFoundError):
                path.unlink()
        sync_folder(self._shelf.place(upload))

    def _store(self, organisation: int) -> IntakeStore:
        return IntakeStore(self._home, organisation)

    def _source(self, upload: Upload, request: Request) -> Source:
        return Source(
            self._shelf.data(upload), request.mapping, encoding=request.encoding, sheet=request.sheet
        )

    def _request(self, upload: Upload, to: list[int] | None) -> Request:
        wishes = upload.wishes
        rows, mapping = wishes.get("rows"), wishes.get("mapping")
        if rows is not None and not (rows.isascii() and rows.isdigit() and len(rows) < 10):
            raise MalformedInput("a whole number", field="rows")
        return request_of(
            self._home, upload.organisation, to=to, rows=None if rows is None else int(rows),
            # A mapping belongs to an organisation: its name begins with the organisation's number.
            mapping=None if mapping is None else f"{upload.organisation}-{mapping}",
            sum_text=wishes.get("sum"), as_of=wishes.get("asOf"), encoding=wishes.get("encoding"),
            sheet=wishes.get("sheet"),
        )  # fmt: skip

    def _noted(self, upload: Upload, name: str) -> dict[str, Any] | None:
        found = self._shelf.noted(upload, name)
        return found if isinstance(found, dict) else None


def import_of(store: IntakeStore, batch: StoredBatch) -> dict[str, Any] | None:
    """What the bank signs (docs/spec/case.md §6), but for the time until which it counts; and the opening of
    the totals, which is the bank's to keep. None before the batch is whole."""
    opening = store.totals(batch.id)
    if opening is None or batch.root is None:
        return None
    totals, stated = BatchTotals.parse(opening), batch.terms["rules"]
    return {
        "organisation": store.organisation, "root": batch.root.hex(), "count": totals.count,
        "rules": rules_digest(stated["version"], stated["codes"], None).hex(),
        "totals": totals.commitment.hex(), "totalsOpening": opening.hex(),
    }  # fmt: skip


def _sealed(batch: StoredBatch | None) -> dict[str, Any]:
    """None: every good row was imported before."""
    if batch is None:
        return {"batch": None, "root": None, "count": 0}
    return {"batch": batch.id.hex(), "root": (batch.root or b"").hex(), "count": batch.expected}


def _digest(found: Preview) -> str:
    """What a confirmation names: SHA-256 over what would be written and what would not."""
    summary = found.summary()
    core = {name: summary[name] for name in _DECIDES}
    text = json.dumps(core, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _lang(upload: Upload) -> Language:
    return "en" if upload.wishes.get("lang") == "en" else "zh"
