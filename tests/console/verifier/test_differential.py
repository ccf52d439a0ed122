"""Two verifiers, in Python and in JavaScript from the specification alone, agree on every verdict."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from protocol.hashing import SHA3_256, sha256, sm3
from tests.support import trust_contracts
from tests.support.attacks import ATTACKS
from tests.support.custody_mutations import custody_lines
from tests.support.line_mutations import VECTORS, lines
from tests.support.mutations import Case, attested_cases, cases, sign_payload
from tests.support.provenance_mutations import statement_cases
from tests.support.rehash_mutations import rehash_cases
from tests.support.second import Second, needs_node, second
from tests.support.token_mutations import token_cases
from tests.support.world import LINK_TIME, World
from verifier.conformance import answer
from verifier.content import ContentDigests
from verifier.trust_payload import TrustPayload
from verifier.verdict import Report
from verifier.verify import verify_receipt
from verifier.verify_custody import CustodyShown

Verdicts = list[tuple[str, str, str]]


FACTS = (
    "hashRenewedAt",
    "ignoredAlgorithm",
    "anchorLag",
    "anchorLagLong",
    "notLaterThan",
    "timeBy",
    "sourceSystem",
    "transferPath",
    "form",
)
Said = tuple[str, Verdicts, dict[str, object]]


def first(case: Case) -> Said:
    """What the Python verifier says."""
    shown = case.content
    content = None
    if shown is not None:
        content = ContentDigests(len(shown), sha256(shown), sm3(shown), SHA3_256.digest(shown))
    report = verify_receipt(
        case.receipt,
        case.trust,
        content=content,
        at=case.at,
        case_id=case.case,
        provenance=case.provenance,
        ignore_sha256="sha256" in (case.ignored or ""),
        ignore_sm3="sm3" in (case.ignored or ""),
    )
    verdicts = [(v.name, v.status.name, v.code) for v in report.verdicts]
    return report.result.name, verdicts, {name: report.facts.get(name) for name in FACTS}


def other(process: Second, case: Case) -> Said:
    """What the second verifier says."""
    answer = process.ask(
        {
            "receipt": case.receipt.hex(),
            "trust": case.trust.hex(),
            "at": case.at,
            "content": None if case.content is None else case.content.hex(),
            "case": case.case.hex() if case.case else None,
            "ignore": case.ignored,
            "provenance": None if case.provenance is None else case.provenance.hex(),
        }
    )
    if "result" not in answer:
        raise AssertionError(f"{case.about}: {answer}")
    verdicts = [(name, status, code) for name, status, code in answer["verdicts"]]
    return answer["result"], verdicts, {name: answer["facts"].get(name) for name in FACTS}


def compare(made: Iterable[Case]) -> Counter[str]:
    """Codes seen; fails with every disagreement."""
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    with second("receipt", "--verdicts") as process:
        for case in made:
            ours, theirs = first(case), other(process, case)
            seen.update(f"{status} {code}" for _, status, code in ours[1])
            if ours != theirs:
                pairs = [f"{a} / {b}" for a, b in zip(ours[1], theirs[1], strict=True) if a != b]
                name = hashlib.sha256(case.receipt + case.trust).hexdigest()[:8]
                pairs += [
                    f"{key}: {ours[2][key]} / {theirs[2][key]}"
                    for key in FACTS
                    if ours[2][key] != theirs[2][key]
                ]
                wrong.append(f"{case.about} [{name}] {ours[0]} / {theirs[0]}: {'; '.join(pairs)}")
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:40])
    return seen


@needs_node
def test_the_two_read_contracts_of_a_trust_file_alike() -> None:
    """A payload that no dataclass takes is signed all the same."""
    receipt = World().receipt

    def case(name: str, payload: TrustPayload) -> Case:
        return Case(name, receipt, sign_payload(payload.encode()), LINK_TIME, None, None)

    good = compare(case(*one) for one in trust_contracts.GOOD.items())
    assert not good["FAIL MalformedTrustFile"]
    bad = compare(case(*one) for one in trust_contracts.MALFORMED.items())
    assert bad["FAIL MalformedTrustFile"] == len(trust_contracts.MALFORMED)


@needs_node
def test_the_two_agree_on_every_attack_made_by_hand() -> None:
    wrong = []
    with second("receipt", "--verdicts") as process, second("custody", "--verdicts") as keeper:
        for name, attack in ATTACKS.items():
            content = attack.content
            theirs = process.ask(
                {
                    "receipt": attack.receipt.hex(),
                    "trust": attack.trust.hex(),
                    "at": attack.at,
                    "content": content
                    and {"size": content.size, "sha256": content.sha256.hex(), "sm3": content.sm3.hex()},
                    "case": attack.case_id.hex() if attack.case_id else None,
                    "provenance": attack.provenance.hex() if attack.provenance else None,
                }
            )
            if attack.custody:
                sheet = attack.custody.sheet.hex()
                line = {"receipt": attack.receipt.hex(), "trust": attack.trust.hex(), "sheet": sheet}
                theirs = keeper.ask({**line, "at": attack.at})
            report = attack.report()
            ours = [[one.name, one.status.name, one.code] for one in report.verdicts]
            if (report.result.name, ours) != (theirs.get("result"), theirs.get("verdicts")):
                wrong.append(f"{name}: {ours} / {theirs}")
    assert not wrong, "\n".join(wrong)


@needs_node
@pytest.mark.timeout(900)
def test_the_two_agree_on_a_thousand_mutations() -> None:
    seen = compare(cases(1, 1000))
    assert len(seen) > 45, sorted(seen)
    assert seen["FAIL MalformedReceipt"] < 600, seen


@needs_node
def test_the_two_agree_on_attestations() -> None:
    seen = compare(attested_cases(1, 250))
    assert len(seen) > 30, sorted(seen)


@needs_node
def test_the_two_agree_on_provenance_statements() -> None:
    seen = compare(statement_cases(1, 250))
    wanted = {
        "PASS Ok", "PASS ProvenanceIncomplete", "FAIL ProvenanceMismatch", "FAIL MalformedProvenance",
        "FAIL ProvenanceAfterAnchor", "NOT_CHECKED NoProvenance", "NOT_CHECKED BodyWithheld",
        "NOT_CHECKED AlgorithmIgnored", "INDETERMINATE UnknownVersion",
    }  # fmt: skip
    assert wanted <= seen.keys(), sorted(wanted - seen.keys())


@needs_node
def test_the_two_agree_on_hash_renewals() -> None:
    seen = compare(rehash_cases(1, 200))
    assert len(seen) > 25, sorted(seen)


@needs_node
def test_the_two_agree_on_time_tokens() -> None:
    seen = compare(token_cases(1, 150))
    assert len(seen) > 20, sorted(seen)


@needs_node
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_two_agree_on_many_attestations() -> None:
    compare(attested_cases(2, 3000))
    compare(token_cases(2, 2000))
    compare(statement_cases(2, 3000))
    compare(rehash_cases(2, 2000))


@needs_node
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_two_agree_on_ten_thousand_mutations() -> None:
    compare(cases(2, 10_000))


def compare_lines(kind: str, seed: int, count: int) -> Counter[str]:
    """Codes seen over damaged lines; fails with every disagreement."""
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    with second(kind) as process:
        for line, one_fault in lines(kind, seed, count):
            ours = answer(kind, line)
            theirs = process.raw(line)
            seen[str(ours["code"])] += 1
            if ours["accepted"] != theirs["accepted"] or (one_fault and ours["code"] != theirs["code"]):
                said = f"{ours['code']} ({ours['detail']}) / {theirs['code']} ({theirs['detail']})"
                wrong.append(f"{said}: {line[:200]!r}")
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:40])
    return seen


KINDS = {
    "merkle": 8, "entry": 12, "ics23": 12, "mpt-qbft": 14, "mpt-clique": 14,
    "checkpoint": 6, "cosignature": 7, "policy": 6,
    "sm2": 5,
}  # fmt: skip
"""How many different codes a run meets at least."""


@needs_node
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_answer_damaged_lines_alike(kind: str) -> None:
    seen = compare_lines(kind, 1, 250)
    assert len(seen) >= KINDS[kind], seen


@needs_node
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_answer_many_damaged_lines_alike(kind: str) -> None:
    compare_lines(kind, 2, 3000)


def compare_sheets(seed: int, count: int) -> Counter[str]:
    """Codes of *custody* seen; fails with every disagreement over code, status or facts."""
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    with second("custody", "--verdicts") as process:
        for number, line in enumerate(custody_lines(seed, count)):
            report = custody_report(line)
            verdict = report.verdict("custody")
            ours: list[object] = [verdict.status.name, verdict.code]
            ours += [json_safe(report.facts.get(name)) for name in CUSTODY_FACTS]
            answer = process.ask(line)
            said = next(one for one in answer["verdicts"] if one[0] == "custody")
            theirs = [*said[1:], *(answer["facts"].get(name) for name in CUSTODY_FACTS)]
            seen[f"{verdict.status.name} {verdict.code}"] += 1
            if ours != theirs:
                wrong.append(f"{number}: {ours} / {theirs}")
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:40])
    return seen


def json_safe(fact: object) -> object:
    """As JavaScript writes it: an integer that a double does not hold is text."""
    return str(fact) if isinstance(fact, int) and fact > 2**53 - 1 else fact


CUSTODY_FACTS = (
    "custodyEvents", "custodyStatedAt", "custodySize", "custodyLog", "custodyLast", "custodyLastClass",
    "custodyLastTime", "custodyHolder", "custodyPending",
)  # fmt: skip


def custody_report(line: dict[str, Any]) -> Report:
    """What the Python verifier says of a line of kind `custody`."""
    shown = CustodyShown(
        bytes.fromhex(line["sheet"]),
        known=tuple(bytes.fromhex(one) for one in line.get("known", [])),
        since=line.get("since", 0),
    )
    return verify_receipt(
        bytes.fromhex(line["receipt"]), bytes.fromhex(line["trust"]), at=line["at"], custody=shown
    )


@needs_node
def test_the_two_agree_on_custody_sheets() -> None:
    seen = compare_sheets(1, 80)
    assert len(seen) > 15, sorted(seen)


@needs_node
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_two_agree_on_many_custody_sheets() -> None:
    for seed in (2, 3):
        compare_sheets(seed, 700)


@needs_node
@pytest.mark.parametrize(
    "name", ["attested", "attested-ml-dsa", "attested-sm2", "attested-tokens", "attested-rehash"]
)
def test_frozen_receipts_with_attestations_come_out_as_written(name: str) -> None:
    found = json.loads((VECTORS / f"{name}.json").read_text())
    with second("receipt", "--verdicts") as process:
        for row in found["rows"]:
            report = process.ask({**row["line"], "trust": found["trusts"][row["trust"]]})
            assert report["result"] == row["result"], row["name"]
            if "rehash" in row:
                codes = [code for kind, code, _ in report["attestations"] if kind == "rehash"]
                assert (codes, report["facts"].get("hashRenewedAt")) == (row["rehash"], row["hashRenewedAt"])
            if "sm2" in row:
                codes = [code for kind, code, _ in report["attestations"] if kind == "sm2"]
                assert (codes, report["facts"].get("sm2Key")) == (row["sm2"], row["sm2Key"]), row["name"]
    with second("receipt") as process:
        for row in found["rows"]:
            line = {**row["line"], "trust": found["trusts"][row["trust"]]}
            assert process.ask(line)["code"] == row["code"], row["name"]
    for kind, rows in (("cosignature", "cosignatures"), ("sm2", "signatures"), ("entry", "entries")):
        with second(kind) as process:
            for row in found.get(rows, []):
                assert process.ask(row["line"])["code"] == row["code"], row["name"]


@needs_node
def test_frozen_custody_sheets_come_out_as_written() -> None:
    found = json.loads((VECTORS / "custody.json").read_text())
    with second("custody", "--verdicts") as process:
        for row in found["rows"]:
            report = process.ask({**found["worlds"][row["world"]], **row["line"]})
            _, status, code = next(one for one in report["verdicts"] if one[0] == "custody")
            assert (status, code) == (row["status"], row["code"]), row["name"]
    with second("entry") as process:
        for row in found["entries"]:
            assert process.ask(row["line"])["code"] == row["code"], row["name"]


@needs_node
def test_the_frozen_vectors_come_out_as_written() -> None:
    with second("entry") as process:
        for name in ("entry.json", "submission.json"):
            for row in json.loads((VECTORS / name).read_text()):
                assert process.ask(row["line"])["code"] == row["code"], row["name"]
    recorded = json.loads((VECTORS / "recorded" / "qbft.json").read_text())
    comet = json.loads((VECTORS / "recorded" / "cometbft.json").read_text())
    clique = json.loads((VECTORS / "recorded" / "clique.json").read_text())
    rows = {
        "mpt-qbft": recorded["storage_proofs"] + recorded["headers"],
        "ics23": comet["vectors"],
        "mpt-clique": clique["proofs"],
    }
    for kind, entries in rows.items():
        with second(kind) as process:
            for entry in entries:
                assert process.ask(entry)["accepted"], entry.get("kind")
