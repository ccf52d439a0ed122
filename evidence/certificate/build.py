"""From receipts, trust file and reports to the document. No I/O, no clock: same input, same document."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from evidence.certificate import qr, words
from evidence.certificate.article17 import sheet
from evidence.certificate.custody import custody_blocks, sheet_name
from evidence.certificate.entries import (
    Entry,
    attestation_blocks,
    file_blocks,
    provenance_blocks,
    record_blocks,
    verdict_table,
)
from evidence.certificate.errors import CertificateNotDue
from evidence.certificate.model import (
    MIME_CBOR,
    MIME_ZIP,
    Attachment,
    Banner,
    Block,
    Column,
    Document,
    Head,
    PageBreak,
    Pairs,
    Part,
    Section,
    Style,
    Table,
    Text,
)
from evidence.certificate.statement import Statement
from evidence.certificate.text import CODE_LEN, file_name, grouped, moment, short_moment, size, visible
from evidence.certificate.words_custody import SHEET_FILE
from protocol.hashing import sha256
from protocol.i18n import Language
from verifier import wording
from verifier.receipt import SUFFIX
from verifier.trust import SUFFIX as TRUST_SUFFIX
from verifier.trust import TrustFile
from verifier.verdict import Result

ONE_BY_ONE = 20
"""Up to so many entries have a page each; more are a table."""
ARCHIVE = "receipts.zip"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Options:
    """What the issuer chooses. `check_url` opens the public check; `check_page` is the SHA-256 (hex) of the
    page that checks in the browser; `signer` is who will sign the PDF.
    """

    languages: tuple[Language, ...] = ("zh", "en")
    check_url: str | None = None
    check_page: str | None = None
    signer: str | None = None
    statement: Statement = field(default_factory=Statement)


def build(entries: Sequence[Entry], trust: bytes, options: Options) -> Document:
    """The document for one entry, a few, or thousands; all verified under `trust` at the same time.

    Raises:
        CertificateNotDue: one of them is not valid.
    """
    _check(entries)
    anchor = TrustFile.parse(trust)
    names = _names(entries)
    writer = _Writer(entries, anchor, names, options)
    parts = tuple(writer.part(lang) for lang in options.languages)
    document = Document(
        writer.code, entries[0].report.evaluated_at, parts, _attachments(entries, names, trust, options)
    )
    return document


def _check(entries: Sequence[Entry]) -> None:
    if not entries:
        raise CertificateNotDue("no receipts")
    for one in entries:
        if one.report.result not in (Result.VALID, Result.VALID_REDUCED_TRUST):
            raise CertificateNotDue(
                f"{one.report.result.value}", field=visible(one.receipt_name),
                hint="caseledger verify --explain says what is wrong with it",
            )  # fmt: skip
        if one.report.evaluated_at != entries[0].report.evaluated_at:
            raise CertificateNotDue("evaluated at different times", field=visible(one.receipt_name))
        if one.report.facts.get("receiptId") != one.parsed.receipt_id.hex():
            raise CertificateNotDue("report of another receipt", field=visible(one.receipt_name))


def code_of(entries: Sequence[Entry]) -> str:
    """The check code: of the receipt, or of all receipts in their order."""
    if len(entries) == 1:
        return entries[0].code
    return sha256(b"".join(one.parsed.receipt_id for one in entries)).hex()[:CODE_LEN]


def _names(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Names of the attached receipts; two of one name carry part of their ids, as receipts on disk do."""
    wanted = [file_name(one.receipt_name).removesuffix(SUFFIX) for one in entries]
    often = Counter(name.casefold() for name in wanted)
    names = [
        f"{name}.{one.parsed.receipt_id.hex()[:16]}{SUFFIX}"
        if often[name.casefold()] > 1
        else f"{name}{SUFFIX}"
        for name, one in zip(wanted, entries, strict=True)
    ]
    # The same receipt twice.
    seen: Counter[str] = Counter()
    for at, name in enumerate(names):
        seen[name.casefold()] += 1
        if seen[name.casefold()] > 1:
            names[at] = f"{at + 1}-{name}"
    return tuple(names)


def _attachments(
    entries: Sequence[Entry], names: Sequence[str], trust: bytes, options: Options
) -> tuple[Attachment, ...]:
    lang = options.languages[0]
    trusted = Attachment(
        f"trust{TRUST_SUFFIX}", trust, MIME_CBOR, "supplement", words.TRUST_DESCRIPTION.choose(lang)
    )
    if len(entries) <= ONE_BY_ONE:
        receipts = tuple(
            Attachment(name, one.receipt, MIME_CBOR, "data", words.RECEIPT_FILE.choose(lang))
            for name, one in zip(names, entries, strict=True)
        )
        statements = tuple(
            Attachment(name, data, MIME_CBOR, "supplement", words.PROVENANCE_FILE.choose(lang))
            for name, data in _statements(entries).items()
        )
        sheets = tuple(
            Attachment(name, data, MIME_CBOR, "supplement", SHEET_FILE.choose(lang))
            for name, data in _sheets(entries, names).items()
        )
        return (*receipts, *statements, *sheets, trusted)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        packs = {name: one.receipt for name, one in zip(names, entries, strict=True)} | _statements(entries)
        packs |= _sheets(entries, names)
        for name, data in packs.items():
            # A fixed date: the archive, too, depends on nothing but its content.
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    every = words.RECEIPT_FILES.choose(lang)
    return (Attachment(ARCHIVE, packed.getvalue(), MIME_ZIP, "data", every), trusted)


def _statements(entries: Sequence[Entry]) -> dict[str, bytes]:
    """Provenance statements under the names by which the verifier finds them beside a receipt."""
    return {
        f"provenance-{one.body.provenance.hex()[:16]}.clp": one.provenance
        for one in entries
        if one.stated and one.provenance and one.body and one.body.provenance
    }


def _sheets(entries: Sequence[Entry], names: Sequence[str]) -> dict[str, bytes]:
    """Custody sheets under the names by which the verifier finds them beside a receipt."""
    return {
        sheet_name(name): one.custody
        for one, name in zip(entries, names, strict=True)
        if one.sheet and one.custody
    }


class _Writer:
    """Writes the same content in each language."""

    def __init__(
        self, entries: Sequence[Entry], trust: TrustFile, names: Sequence[str], options: Options
    ) -> None:
        self.entries = entries
        self.trust = trust
        self.names = names
        self.options = options
        self.code = code_of(entries)
        self.worst = (
            Result.VALID_REDUCED_TRUST
            if any(one.report.result is Result.VALID_REDUCED_TRUST for one in entries)
            else Result.VALID
        )

    def part(self, lang: Language) -> Part:
        blocks: list[Block]
        if len(self.entries) == 1:
            blocks = self._single(lang)
        elif len(self.entries) <= ONE_BY_ONE:
            blocks = self._several(lang)
        else:
            blocks = self._many(lang)
        blocks.append(PageBreak())
        if len(self.entries) == 1:
            blocks += provenance_blocks(self.entries[0], lang)
        if len(self.entries) <= ONE_BY_ONE:
            for one in self.entries:
                named = len(self.entries) > 1
                blocks += custody_blocks(one, self.options.statement, lang, named=named)
        grounds = (one.ground for one in self.entries)
        blocks += sheet(self.trust, grounds, self.options.statement, lang)
        return Part(
            lang,
            words.TITLE.choose(lang),
            words.FOOTER.format(lang, code=grouped(self.code)),
            words.PAGE.choose(lang),
            tuple(blocks),
            words.ATTACHED.choose(lang),
        )

    def _single(self, lang: Language) -> list[Block]:
        one = self.entries[0]
        return [
            self._head(words.SUBTITLE_ONE.choose(lang), self.code, one.report.result, lang, signed=True),
            self._banner((one,), lang),
            Section(words.ABOUT.choose(lang)),
            Text(tuple(line.choose(lang) for line in words.ABOUT_LINES)),
            *file_blocks(one, lang),
            *record_blocks(one, self.options.statement, lang),
            Section(words.VERDICTS.choose(lang)),
            verdict_table(one.report, lang),
            *attestation_blocks((one,), self.trust.payload, lang),
            *self._trust(lang),
            *self._check(lang),
        ]

    def _overview(self, lang: Language) -> list[Block]:
        subtitle = words.SUBTITLE_MANY.format(lang, n=f"{len(self.entries):,}")
        return [
            self._head(subtitle, self.code, self.worst, lang, signed=True),
            self._banner(self.entries, lang),
            Section(words.ABOUT.choose(lang)),
            Text(tuple(line.choose(lang) for line in words.ABOUT_LINES)),
            Section(words.TOTALS.choose(lang)),
            Pairs(tuple(self._totals(lang))),
            *self._trust(lang),
            *self._check(lang),
        ]

    def _several(self, lang: Language) -> list[Block]:
        blocks = self._overview(lang)
        blocks += [Section(words.TABLE.choose(lang)), self._table(lang, {})]
        total = len(self.entries)
        for at, one in enumerate(self.entries):
            blocks += [
                PageBreak(),
                self._head(words.ITEM.format(lang, n=at + 1, total=total), one.code, one.report.result, lang),
                self._banner((one,), lang),
                *file_blocks(one, lang),
                *record_blocks(one, self.options.statement, lang),
                Section(words.VERDICTS.choose(lang)),
                verdict_table(one.report, lang),
                *attestation_blocks((one,), self.trust.payload, lang),
                *provenance_blocks(one, lang),
            ]
        return blocks

    def _many(self, lang: Language) -> list[Block]:
        groups: dict[tuple[object, ...], list[int]] = {}
        for at, one in enumerate(self.entries):
            groups.setdefault(one.pattern, []).append(at)
        named = {pattern: _letters(at) for at, pattern in enumerate(groups)}
        blocks = self._overview(lang)
        for pattern, members in groups.items():
            title = words.GROUP.format(
                lang, name=named[pattern], n=f"{len(members):,}", numbers=_ranges(members)
            )
            alike = [self.entries[at] for at in members]
            blocks += [
                Section(f"{words.VERDICTS.choose(lang)} · {title}"),
                verdict_table(alike[0].report, lang),
                *attestation_blocks(alike, self.trust.payload, lang),
            ]
        blocks += [PageBreak(), Section(words.TABLE.choose(lang)), self._table(lang, named)]
        return blocks

    def _head(
        self, subtitle: str, code: str, result: Result, lang: Language, *, signed: bool = False
    ) -> Head:
        many = signed and len(self.entries) > 1
        means = (words.CODE_MEANS_MANY if many else words.CODE_MEANS_ONE).choose(lang)
        rows = [
            (words.CODE.choose(lang), f"{grouped(code)}\n{means}"),
            (words.EVALUATED.choose(lang), moment(self.entries[0].report.evaluated_at, lang)),
            (words.RESULT.choose(lang), f"{wording.RESULTS[result].choose(lang)}（{result.value}）"
             if lang == "zh" else f"{wording.RESULTS[result].choose(lang)} ({result.value})"),
        ]  # fmt: skip
        if signed:
            signer = self.options.signer
            shown = (
                words.SIGNED_BY.format(lang, name=visible(signer))
                if signer
                else words.NOT_SIGNED.choose(lang)
            )
            rows.append((words.SIGNED.choose(lang), shown))
        url = self.options.check_url
        caption = (words.SCAN if url else words.SCAN_CODE).choose(lang)
        return Head(words.TITLE.choose(lang), subtitle, tuple(rows), qr.payload(code, url), caption)

    def _banner(self, entries: Sequence[Entry], lang: Language) -> Banner:
        reduced = [one for one in entries if one.report.result is Result.VALID_REDUCED_TRUST]
        bare = sum(not one.compared for one in entries)
        lines = []
        if reduced:
            codes = Counter(code for one in reduced for code in dict.fromkeys(one.report.missing))
            total = len(entries)
            said: dict[str, int] = {}
            for code, n in codes.items():
                what = wording.say_code(code, lang)
                said[what] = max(n, said.get(what, 0))
            separator = "; " if lang == "en" else "；"
            listed = separator.join(
                what if n == total else f"{what} ({n}/{total})" for what, n in said.items()
            )
            lines += [words.REDUCED_MEANS.choose(lang), words.MISSING.format(lang, what=listed)]
        else:
            lines.append(words.VALID_MEANS.choose(lang))
        if bare:
            single = len(entries) == 1
            lines.append(
                words.FILE_NOT_COMPARED.choose(lang)
                if single
                else words.FILES_NOT_COMPARED.format(lang, n=bare)
            )
        result = Result.VALID_REDUCED_TRUST if reduced else Result.VALID
        return Banner("reduced" if reduced else "pass", wording.RESULTS[result].choose(lang), tuple(lines))

    def _trust(self, lang: Language) -> list[Block]:
        zh, en = self.trust.payload.name
        value = words.TRUST_VALUE.format(
            lang, name=visible(en if lang == "en" else zh), serial=self.trust.payload.serial
        )
        rows: tuple[tuple[str, str, Style], ...] = (
            (words.TRUST.choose(lang), f"{value} · {words.FINGERPRINT_HINT.choose(lang)}", "text"),
            (words.FINGERPRINT.choose(lang), self.trust.fingerprint.hex(), "mono"),
        )
        return [Section(words.TRUST.choose(lang)), Pairs(rows)]

    def _check(self, lang: Language) -> list[Block]:
        at = self.entries[0].report.evaluated_at
        command = f"caseledger verify RECEIPT{SUFFIX} FILE --trust trust{TRUST_SUFFIX} --at {at}"
        if len(self.entries) > 1:
            command = f"caseledger verify FOLDER --trust trust{TRUST_SUFFIX} --at {at}"
        lines = [line.format(lang, command=command) for line in words.CHECK_LINES]
        page = self.options.check_page
        lines.append(
            words.CHECK_PAGE.format(lang, digest=page) if page else words.CHECK_PAGE_NONE.choose(lang)
        )
        if self.options.check_url:
            lines.append(words.CHECK_AT.format(lang, url=f"{self.options.check_url}#{self.code}"))
        return [Section(words.CHECK.choose(lang)), Text(tuple(lines))]

    def _totals(self, lang: Language) -> list[tuple[str, str, Style]]:
        entries, separator = self.entries, "; " if lang == "en" else "；"

        def counted(label: Callable[[Entry], str]) -> str:
            return separator.join(f"{name} × {n:,}" for name, n in Counter(map(label, entries)).most_common())

        times = [one.parsed.core.link.time for one in entries]
        whole = sum(one.body.content_size for one in entries if one.body is not None)
        compared = sum(one.compared for one in entries)
        return [
            (
                words.TOTAL_ENTRIES.choose(lang),
                words.TOTAL_FILES.format(lang, n=f"{len(entries):,}", files=f"{compared:,}"),
                "text",
            ),
            (words.TOTAL_SIZE.choose(lang), size(whole, lang), "text"),
            (
                words.TOTAL_RESULTS.choose(lang),
                counted(lambda one: wording.RESULTS[one.report.result].choose(lang)),
                "text",
            ),
            (words.TOTAL_CLASSES.choose(lang), counted(lambda one: one.class_name(lang)), "text"),
            (words.TOTAL_SUBMITTERS.choose(lang), counted(lambda one: self._submitter(one, lang)), "text"),
            (
                words.TOTAL_TIMES.choose(lang),
                words.FROM_TO.format(
                    lang, first=moment(min(times), lang), last=moment(max(times), lang)
                ),
                "text",
            ),
        ]  # fmt: skip

    def _submitter(self, one: Entry, lang: Language) -> str:
        name = self.options.statement.organisations.get(one.submitter)
        shown = words.SUBMITTER_NAME.format(lang, name=name.choose(lang)) if name else ""
        return words.SUBMITTER_TOTAL.format(lang, n=one.submitter, name=shown)

    def _table(self, lang: Language, named: Mapping[tuple[object, ...], str]) -> Table:
        titles = [text.choose(lang) for text in words.TABLE_COLUMNS]
        shares = (0.0, 4.0, 6.4, 2.7, 1.7)
        columns = tuple(
            Column(title, share, "mono" if at == 2 else "text")
            for at, (title, share) in enumerate(zip(titles, shares, strict=True))
        )
        rows = []
        for at, one in enumerate(self.entries):
            body, core = one.body, one.parsed.core
            name = visible(one.file_name) if one.file_name else words.NO_FILE.choose(lang)
            about = one.class_name(lang)
            if body is not None:
                about = f"{size(body.content_size, lang)} · {about}"
                digests = f"SHA-256  {body.content_sha256.hex()}\nSM3      {body.content_sm3.hex()}\n"
            else:
                digests = words.WITHHELD.choose(lang) + "\n"
            digests += f"ID       {one.report.facts['evidenceId']}"
            place = words.INDEX.format(lang, index=core.inclusion.index, batch=core.link.number)
            result = words.RESULT_SHORT[one.report.result.value].choose(lang)
            group = named.get(one.pattern) if named else None
            if group:
                result = words.GROUP_NAME.format(lang, result=result, name=group)
            rows.append(
                (str(at + 1), f"{name}\n{about}", digests, f"{place}\n{short_moment(core.link.time)}", result)
            )
        return Table(columns, tuple(rows), dense=True)


def _letters(number: int) -> str:
    """A, B, … Z, AA, AB …"""
    out = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        out = chr(65 + rest) + out
    return out


def _ranges(members: Sequence[int], most: int = 12) -> str:
    """Positions from 1 as ranges, the first `most` of them."""
    ranges: list[list[int]] = []
    for at in members:
        if ranges and ranges[-1][1] == at:
            ranges[-1][1] = at + 1
        else:
            ranges.append([at + 1, at + 1])
    shown = ["-".join(map(str, dict.fromkeys(pair))) for pair in ranges[:most]]
    return ", ".join(shown) + (", …" if len(ranges) > most else "")
