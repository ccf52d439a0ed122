"""One entry of a certificate: its receipt, its report, and the blocks that tell them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from evidence.certificate import words
from evidence.certificate.article17 import Ground
from evidence.certificate.model import Block, Column, Pairs, Section, Style, Table, Text
from evidence.certificate.statement import Statement
from evidence.certificate.text import CODE_LEN, duration, moment, short_moment, size, visible
from protocol import entry
from protocol.entry import Body, EntryClass, EvidenceClass
from protocol.i18n import Language
from protocol.provenance import MAX_TEXT, Provenance
from verifier import attestation, wording
from verifier.attestation import TokenAttestation, WitnessAttestation
from verifier.chainproof import NoProof
from verifier.custody import Sheet
from verifier.receipt import Receipt
from verifier.trust_payload import TrustPayload
from verifier.verdict import Report, Status

MAX_ATTESTED = 10
"""Lines on the page of one entry; the receipt has all."""


@dataclass(frozen=True)
class Entry:
    """One receipt as it was verified. `file_name` is None where no file was compared with it; the receipt's
    bytes are those that `report` is about.
    """

    receipt: bytes
    receipt_name: str
    file_name: str | None
    report: Report
    provenance: bytes | None = None
    """The provenance statement that was shown to the verification."""
    custody: bytes | None = None
    """The custody sheet that was shown."""

    @cached_property
    def parsed(self) -> Receipt:
        return Receipt.parse(self.receipt)

    @cached_property
    def body(self) -> Body | None:
        """What the entry says about its file; None where it is withheld or describes none."""
        core = self.parsed.core
        if core.body is None:
            return None
        body = entry.parse_body(core.body, self.evidence_class)
        return body if isinstance(body, Body) else None

    @cached_property
    def stated(self) -> Provenance | None:
        """The provenance statement, if it is the one that was anchored."""
        if self.provenance is None or self.report.verdict("provenance").status is not Status.PASS:
            return None
        return Provenance.parse(self.provenance)

    @cached_property
    def sheet(self) -> Sheet | None:
        """The custody sheet, if it holds."""
        if self.custody is None or self.report.verdict("custody").status not in (Status.PASS, Status.REDUCED):
            return None
        return Sheet.parse(self.custody)

    @property
    def evidence_class(self) -> EntryClass:
        return entry.parse_leaf(self.parsed.core.leaf).header.evidence_class

    @property
    def submitter(self) -> int:
        return entry.parse_leaf(self.parsed.core.leaf).header.submitter

    @property
    def code(self) -> str:
        """The first digits of the receipt id."""
        return self.parsed.receipt_id.hex()[:CODE_LEN]

    @property
    def compared(self) -> bool:
        """Whether a file was compared with the record, and is the recorded one."""
        return self.report.verdict("content").status is Status.PASS

    @property
    def ground(self) -> Ground:
        core = self.parsed.core
        height = None if isinstance(core.proof, NoProof) else core.proof.height
        return Ground(core.log.origin, core.log.chain_id, height, self.submitter)

    @property
    def pattern(self) -> tuple[object, ...]:
        """Entries with the same pattern have the same verdicts."""
        return (
            tuple((one.name, one.status, one.code) for one in self.report.verdicts),
            tuple((one.kind, one.code) for one in self.report.attestations),
            self.report.unchecked_attestations,
            self.report.facts.get("timeBy"),
        )

    def class_name(self, lang: Language) -> str:
        """The class in words."""
        return self.evidence_class.label.choose(lang)


def file_blocks(one: Entry, lang: Language) -> list[Block]:
    """Name, size and digests of the file."""
    body = one.body
    name = visible(one.file_name) if one.file_name else words.NO_FILE.choose(lang)
    rows: list[tuple[str, str, Style]] = [(words.FILE_NAME.choose(lang), name, "text")]
    if body is None:
        continued = one.evidence_class is EvidenceClass.LOG_CONTINUATION
        why = (words.CONTINUATION if continued else words.WITHHELD).choose(lang)
        rows.append((words.FILE_SIZE.choose(lang), why, "text"))
    else:
        compared = (words.COMPARED if one.compared else words.RECORDED).choose(lang)
        rows += [
            (
                words.FILE_SIZE.choose(lang),
                f"{size(body.content_size, lang)} · {visible(body.media_type)} · {compared}",
                "text",
            ),
            ("SHA-256", body.content_sha256.hex(), "mono"),
            ("SM3", body.content_sm3.hex(), "mono"),
        ]
    return [Section(words.FILE.choose(lang)), Pairs(tuple(rows))]


def record_blocks(one: Entry, statement: Statement, lang: Language) -> list[Block]:
    """Who, what, where and when."""
    core, body = one.parsed.core, one.body
    head = entry.parse_leaf(core.leaf).header
    kind = one.class_name(lang)
    if head.privileged:
        kind = words.PRIVILEGED.format(lang, name=kind)
    case = head.case_commitment.hex()
    checked = any(what == "leaf.case" for what, _ in one.report.verdict("inclusion").compared)
    case_checked: list[tuple[str, str, Style]] = (
        [("", words.CASE_CHECKED.choose(lang), "text")] if checked else []
    )
    rows: list[tuple[str, str, Style]] = [
        (words.EVIDENCE_ID.choose(lang), entry.evidence_id(core.leaf).hex(), "mono"),
        (words.RECEIPT_ID.choose(lang), one.parsed.receipt_id.hex(), "mono"),
        (words.CASE.choose(lang), case, "mono"),
        *case_checked,
        (words.CLASS.choose(lang), kind, "text"),
        (words.SUBMITTER.choose(lang), _submitter(head.submitter, head.sequence, statement, lang), "text"),
        (
            words.PLACE.choose(lang),
            words.PLACE_VALUE.format(
                lang, log=visible(core.log.origin), index=core.inclusion.index, batch=core.link.number
            ),
            "text",
        ),
        (words.CHAIN.choose(lang), _chain(one, lang), "text"),
        (words.ANCHORED.choose(lang), moment(core.link.time, lang), "text"),
        (words.NOT_LATER.choose(lang), not_later(one, lang), "text"),
    ]
    event = one.stated.generated_at if one.stated else None
    if event is None and body is not None:
        event = body.event_time
    if event is not None:
        lag = duration(core.link.time - event, lang)
        if one.report.facts.get("anchorLagLong"):
            lag += words.LAG_LONG.choose(lang)
        value = words.EVENT_VALUE.format(lang, time=moment(event, lang), lag=lag)
        rows.append((words.EVENT_TIME.choose(lang), value, "text"))
    if body is not None and body.links:
        lines = [f"{link.relation.label.choose(lang)} {link.evidence_id.hex()}" for link in body.links[:4]]
        if len(body.links) > 4:
            lines.append(f"… +{len(body.links) - 4}")
        rows.append((words.LINKS.choose(lang), "\n".join(lines), "mono"))
    return [Section(words.RECORD.choose(lang)), Pairs(tuple(rows))]


def provenance_blocks(one: Entry, lang: Language) -> list[Block]:
    """What the submitter stated about how the document came to be; nothing where no statement was shown."""
    said = one.stated
    if said is None:
        return []
    tool, check = said.collector, said.environment
    checked = None
    if check is not None:
        text = words.CHECK_PASSED if check.passed else words.CHECK_FAILED
        checked = text.format(lang, what=visible(check.what, MAX_TEXT), at=moment(check.at, lang))
    collector = None
    if tool is not None:
        digest = f"\nSHA-256 {tool.sha256.hex()}" if tool.sha256 else ""
        collector = f"{visible(tool.name, MAX_TEXT)} {visible(tool.version, MAX_TEXT)}{digest}"
    values = (
        _shown(said.source_system), _shown(said.generating_event),
        None if said.generated_at is None else moment(said.generated_at, lang), _shown(said.mechanism),
        collector, checked, _shown(said.extraction),
        " → ".join(visible(hop, MAX_TEXT) for hop in said.transfer) or None, _shown(said.original),
        words.FORMS[said.form].choose(lang) if said.form else None,
    )  # fmt: skip
    rows: tuple[tuple[str, str, Style], ...] = tuple(
        (label.choose(lang), value or words.NOT_GIVEN.choose(lang), "text")
        for label, value in zip(words.PROVENANCE_ROWS, values, strict=True)
    )
    return [Section(words.PROVENANCE.choose(lang)), Pairs(rows)]


def _shown(text: str | None) -> str | None:
    return None if text is None else visible(text, MAX_TEXT)


def _submitter(index: int, sequence: int, statement: Statement, lang: Language) -> str:
    shown = words.SUBMITTER_INDEX.format(lang, n=index, sequence=sequence)
    name = statement.organisations.get(index)
    more = (
        words.AS_STATED.format(lang, name=name.choose(lang)) if name else words.SUBMITTER_UNNAMED.choose(lang)
    )
    return f"{shown} · {more}"


def _chain(one: Entry, lang: Language) -> str:
    core, height = one.parsed.core, one.report.facts.get("blockHeight")
    if height is None:
        return words.CHAIN_ONLY.format(lang, chain=core.log.chain_id)
    return words.CHAIN_VALUE.format(lang, chain=core.log.chain_id, height=height)


def not_later(one: Entry, lang: Language) -> str:
    """The proved end of the interval in which the content came to exist, and what proves it."""
    facts = one.report.facts
    time, by = facts.get("notLaterThan"), facts.get("timeBy")
    if not isinstance(time, int) or not isinstance(by, str):
        return words.NOT_PROVED.choose(lang)
    return f"{moment(time, lang)} · {words.NOT_LATER_BY[by].choose(lang)}"


def verdict_table(report: Report, lang: Language) -> Table:
    """Every verdict, with what it leaves open."""
    shares = (2.2, 1.5, 7, 6) if lang == "zh" else (2.1, 1.8, 6, 6.5)
    columns = tuple(
        Column(text.choose(lang), weight) for text, weight in zip(words.VERDICTS_COLUMNS, shares, strict=True)
    )
    rows = []
    for verdict in report.verdicts:
        found = wording.say_code(verdict.code, lang)
        if verdict.status is Status.PASS and verdict.code == "Ok":
            found = words.PASSED[verdict.name].choose(lang)
            if report.facts.get("ignoredAlgorithm") and verdict.name in ("content", "inclusion"):
                found = words.IGNORED_SHA256.choose(lang)
        unchecked = wording.NOT_CHECKED.get(verdict.name)
        rows.append(
            (
                wording.NAMES[verdict.name].choose(lang),
                wording.STATUSES[verdict.status].choose(lang),
                found,
                unchecked.choose(lang) if unchecked else "",
            )
        )
    return Table(columns, tuple(rows))


def attestation_blocks(entries: Sequence[Entry], payload: TrustPayload, lang: Language) -> list[Block]:
    """Who witnessed and who stamped entries of one pattern, when, and whether it counted."""
    title = Section(words.ATTESTATIONS.choose(lang))
    found: dict[tuple[str, str, str], tuple[set[str], set[int]]] = {}
    for line in (line for one in entries for line in _attested(one, payload, lang)):
        trees, times = found.setdefault((line.kind, line.who, line.counted), (set(), set()))
        trees |= {line.tree}
        times |= {line.time} if line.time is not None else set()
    if not found:
        return [title, Text((words.ATTESTATIONS_NONE.choose(lang),))]
    rows = []
    for (kind, who, counted), (trees, times) in found.items():
        name = words.KINDS.get(kind)
        spoken = words.TREES["".join(sorted(trees))].choose(lang)
        shown = name.format(lang, trees=spoken) if name else visible(kind, 80)
        rows.append((shown, who, _span(times), counted))
    if len(rows) > MAX_ATTESTED:
        more = words.MORE.format(lang, n=len(rows) - MAX_ATTESTED)
        rows = [*rows[:MAX_ATTESTED], (more, "", "", "")]
    columns = tuple(
        Column(text.choose(lang), weight)
        for text, weight in zip(words.ATTESTATIONS_COLUMNS, (6, 6, 5, 3), strict=True)
    )
    return [title, Table(columns, tuple(rows))]


def _span(times: set[int]) -> str:
    """The first and the last of some times."""
    return " – ".join(short_moment(time) for time in dict.fromkeys((min(times), max(times)))) if times else ""


@dataclass(frozen=True, slots=True)
class _Attested:
    kind: str
    tree: str
    who: str
    time: int | None
    counted: str


def _attested(one: Entry, payload: TrustPayload, lang: Language) -> Iterable[_Attested]:
    for finding in one.report.attestations:
        known = attestation.parse(one.parsed.attestations[finding.position], finding.position)
        tree = str(known.algorithm) if isinstance(known, (WitnessAttestation, TokenAttestation)) else ""
        counted = words.COUNTED.choose(lang)
        if finding.code != "Ok":
            counted = words.NOT_COUNTED.format(lang, why=wording.say_code(finding.code, lang))
        if isinstance(known, WitnessAttestation):
            named = payload.witness_policy.named(known.algorithm)
            for line in known.cosignatures:
                witness = named.get(line.key_id)
                if witness is None:
                    who = words.UNKNOWN_WITNESS.choose(lang)
                    not_counted = wording.say_code("WitnessUnknown", lang)
                    yield _Attested(
                        finding.kind, tree, who, None, words.NOT_COUNTED.format(lang, why=not_counted)
                    )
                else:
                    name, organisation = visible(witness.name), visible(witness.organisation)
                    who = f"{organisation} ({name})" if lang == "en" else f"{organisation}（{name}）"
                    yield _Attested(finding.kind, tree, who, line.time, counted)
        else:
            who, _, time = finding.detail.rpartition(" ")
            stamped = bool(who) and time.isdigit() and finding.code in ("Ok", "TokenExpired")
            yield _Attested(
                finding.kind, tree, visible(who) if stamped else "", int(time) if stamped else None, counted
            )
    for kind in one.report.unchecked_attestations:
        unknown = words.UNKNOWN_KIND.format(lang, kind=visible(kind, 40))
        yield _Attested(unknown, "", "", None, wording.STATUSES[Status.NOT_CHECKED].choose(lang))
