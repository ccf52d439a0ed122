"""What stands in court: a receipt with witnesses and time tokens, and certificates made from receipts.

The ledger is the local one with four validators, three witnesses and two time authorities, as `caseledger up`
starts it. Everything that is timed is first shown to work: tokens and cosignatures count in the verdict, the
certificate holds the receipt that it was made from, and neither is had for a changed receipt.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.ledger import Ledger, running
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Row
from cli.stack_time import NAMES
from cli.tsa import authority_folder
from evidence.local_authority import ROOT_FILE
from protocol.checkpoint import ALGORITHM_SHA256
from protocol.entry import evidence_id
from protocol.errors import CaseledgerError
from protocol.i18n import Text
from verifier import attestation
from verifier.attestation import TokenAttestation, WitnessAttestation
from verifier.receipt import Receipt
from verifier.verdict import Report, Result
from verifier.verify import verify_receipt

AUTHORITIES = 2
WITNESSES = 3
PATIENCE = 180.0
BULK = 1000
GOOD = (Result.VALID, Result.VALID_REDUCED_TRUST)


def rows(options: Options) -> Iterator[Row]:
    """Size, then verification, then certificates."""
    with running(options.folder, 4) as ledger:
        receipts = _receipts(ledger, options.pick(2000, 200))
        trust = ledger.profile.trust
        authority = authority_folder(ledger.home, NAMES[0])
        yield _size(receipts[0])
        yield _verify(receipts[0], trust, options)
        yield from _certificates(receipts, trust, authority, options)


def _receipts(ledger: Ledger, count: int) -> list[bytes]:
    """Of one bulk submission, once every authority and witness has had its turn; the first by itself."""
    ledger.must_refuse_forgery()
    identities: list[str] = []
    for begin in range(0, count, BULK):
        entries = ledger.submitter.maker.make(min(BULK, count - begin))
        _, leaves = ledger.accept(ledger.submitter.submission(entries))
        identities += [evidence_id(leaf).hex() for leaf in leaves]
    deadline = time.monotonic() + PATIENCE
    while not all(_complete(ledger, one) for one in (identities[0], identities[-1])):
        if time.monotonic() > deadline:
            raise BenchFailed("no receipt with every witness and authority in time")
        time.sleep(0.5)
    out: list[bytes] = []
    for begin in range(0, count, 500):
        items = ledger.client.receipts(identities[begin : begin + 500])
        missing = [item.code for item in items if item.receipt is None]
        if missing:
            raise BenchFailed(f"a receipt is missing: {missing[0]}")
        out += [item.receipt for item in items if item.receipt is not None]
    return out


def _complete(ledger: Ledger, identity: str) -> bool:
    from agent.errors import GatewayRefused

    try:
        receipt = Receipt.parse(ledger.client.receipt(identity))
    except GatewayRefused as error:
        if error.code != "ReceiptNotReady":
            raise
        return False
    tokens, witnesses = _parts(receipt)
    keys = {(one.algorithm, cosignature.key_id) for one in witnesses for cosignature in one.cosignatures}
    return (len(tokens), len(keys)) == (2 * AUTHORITIES, 2 * WITNESSES)


def _parts(receipt: Receipt) -> tuple[list[TokenAttestation], list[WitnessAttestation]]:
    known = [attestation.parse(one, at) for at, one in enumerate(receipt.attestations)]
    tokens = [one for one in known if isinstance(one, TokenAttestation)]
    return tokens, [one for one in known if isinstance(one, WitnessAttestation)]


def _report(receipt: bytes, trust: bytes) -> Report:
    return verify_receipt(receipt, trust, at=int(time.time()))


def _size(data: bytes) -> Row:
    receipt = Receipt.parse(data)
    tokens, witnesses = _parts(receipt)
    two = [one.encode() for one in tokens if one.algorithm == ALGORITHM_SHA256]
    if len(two) != AUTHORITIES or len(witnesses) < 2:
        raise BenchFailed(f"{len(two)} tokens and {len(witnesses)} checkpoints in the receipt")
    bare = len(replace(receipt, attestations=()).encode())
    size = len(replace(receipt, attestations=tuple(two)).encode())
    return Row(
        "receipt-size-tokens",
        Text("收据大小，带两枚时间戳", "receipt with two time tokens"),
        Figure(size, "B"),
        None,
        (
            Beside(Text("不带证明附件", "without attestations"), Figure(bare, "B")),
            Beside(
                Text(
                    "全部：两棵树各两枚时间戳、三个见证", "all: two tokens and three witnesses for each tree"
                ),
                Figure(len(data), "B"),
            ),
        ),
        Text(
            f"两家机构各一枚（RFC 3161），连同证书与吊销列表，每枚约 {(size - bare) // 2} B；4 个验证节点。",
            f"one of each of two authorities (RFC 3161) with certificates and revocation list, about "
            f"{(size - bare) // 2} B each; 4 validators.",
        ),
        {"bare": bare, "twoTokens": size, "all": len(data)},
    )


def _verify(data: bytes, trust: bytes, options: Options) -> Row:
    report = _report(data, trust)
    if report.result not in GOOD:
        raise BenchFailed(f"the receipt is {report.result.value}")
    tokens, witnesses = _parts(Receipt.parse(data))
    spoiled = data.replace(tokens[0].token[-40:], bytes(40))
    if spoiled == data or _report(spoiled, trust).result in GOOD:
        raise BenchFailed("a receipt with a broken token is valid")
    bare = replace(Receipt.parse(data), attestations=()).encode()
    full = _rate(lambda: _report(data, trust), options.pick(200, 40))
    alone = _rate(lambda: _report(bare, trust), options.pick(400, 80))
    return Row(
        "verify-attested",
        Text("核验带四枚时间戳与六份联署的收据", "verify a receipt with four tokens and six cosignatures"),
        Figure(full, "1/s"),
        None,
        (Beside(Text("同一收据不带附件", "the same without attestations"), Figure(alone, "1/s")),),
        Text(
            "一个进程，已预热；每枚时间戳由两套程序各核验一次；令牌被改的收据被判无效。",
            "one process, warm; two implementations check each token; with a broken token it is invalid.",
        ),
        {"tokens": len(tokens), "checkpoints": len(witnesses)},
    )


def _rate(work: Callable[[], object], times: int) -> float:
    work()
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return 1 / statistics.median(took)


def _certificates(receipts: list[bytes], trust: bytes, authority: Path, options: Options) -> Iterator[Row]:
    from evidence.certificate import development, html, pdf
    from evidence.certificate.authority import asking
    from evidence.certificate.build import Options as CertificateOptions
    from evidence.certificate.build import build
    from evidence.certificate.entries import Entry
    from evidence.certificate.signing import SigningKey, sign

    def entry(at: int) -> Entry:
        return Entry(receipts[at], f"{at:05}.clr", None, _report(receipts[at], trust), None)

    def make(at: int) -> bytes:
        document = build([entry(at)], trust, CertificateOptions())
        html.render(document)
        return pdf.render(document)

    _holds(make(0), receipts[:1])
    spoiled = bytearray(receipts[0])
    spoiled[len(spoiled) // 2] ^= 1
    wrong = Entry(bytes(spoiled), "x.clr", None, _report(bytes(spoiled), trust), None)
    with contextlib.suppress(CaseledgerError):
        build([wrong], trust, CertificateOptions())
        raise BenchFailed("a certificate for a changed receipt")
    times = options.pick(30, 8)
    single = _rate(lambda: make(1), times)
    checked = _rate(lambda: _report(receipts[1], trust), times)
    yield Row(
        "certificates",
        Text(
            "证书：一份收据，PDF/A-3 与 HTML，中英双语", "a certificate of one receipt: PDF/A-3, HTML, zh, en"
        ),
        Figure(single, "1/s"),
        None,
        (Beside(Text("其中核验收据", "verifying the receipt alone"), Figure(checked, "1/s")),),
        Text(
            "一个进程，已预热，含核验；PDF 内附的收据逐字节相同；不签名。",
            "one process, warm, with verification; the PDF holds the receipt byte for byte; unsigned.",
        ),
    )
    made = development.make_signer("bench", int(time.time()))
    roots = [made.root, (authority / ROOT_FILE).read_bytes()]
    key, ask = SigningKey.parse(made.key, made.certificate, roots=roots), asking(str(authority))
    _holds(sign(make(2), key, ask), receipts[2:3])
    signed = _rate(lambda: sign(make(2), key, ask), options.pick(15, 4))
    yield Row(
        "certificates-signed",
        Text("同上，签名并加时间戳（PAdES B-T）", "the same, signed with a time stamp (PAdES B-T)"),
        Figure(signed, "1/s"),
        None,
        (Beside(Text("不签名", "unsigned"), Figure(single, "1/s")),),
    )
    yield _table(receipts, trust)


def _table(receipts: list[bytes], trust: bytes) -> Row:
    from evidence.certificate import html, pdf
    from evidence.certificate.build import Options as CertificateOptions
    from evidence.certificate.build import build
    from evidence.certificate.entries import Entry

    at = int(time.time())
    started = time.perf_counter()
    reports = [verify_receipt(one, trust, at=at) for one in receipts]
    verified = time.perf_counter() - started
    entries = [
        Entry(one, f"{number:05}.clr", None, report, None)
        for number, (one, report) in enumerate(zip(receipts, reports, strict=True))
    ]
    document = build(entries, trust, CertificateOptions())
    made = pdf.render(document)
    html.render(document)
    seconds = time.perf_counter() - started
    _holds(made, receipts)
    return Row(
        "certificate-table",
        Text(f"一张证书，{len(receipts):,} 份收据", f"one certificate of {len(receipts):,} receipts"),
        Figure(len(receipts) / seconds, "1/s"),
        None,
        (Beside(Text("只核验这些收据", "verifying them alone"), Figure(len(receipts) / verified, "1/s")),),
        Text(
            f"共 {seconds:.1f} 秒，PDF {len(made) / 1e6:.1f} MB；全部收据在内。",
            f"{seconds:.1f} s in all, PDF of {len(made) / 1e6:.1f} MB; all receipts are inside.",
        ),
        {"seconds": seconds, "bytes": len(made)},
    )


def _holds(made: bytes, receipts: list[bytes]) -> None:
    """Raises BenchFailed unless every receipt is attached as it is, by itself or in an attached archive."""
    import pypdfium2  # type: ignore[import-untyped]

    document = pypdfium2.PdfDocument(made)
    try:
        inside = {bytes(document.get_attachment(at).get_data()) for at in range(document.count_attachments())}
    finally:
        document.close()
    for data in [one for one in inside if zipfile.is_zipfile(io.BytesIO(one))]:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside |= {archive.read(name) for name in archive.namelist()}
    if not inside.issuperset(receipts):
        raise BenchFailed("the certificate does not hold its receipts")
