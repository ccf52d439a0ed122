"""One case from import to judgment: through gateway, command and, at the end, a court's own node.

Real parts throughout: one validator, PostgreSQL, the gateway and its worker, each organisation's own keys.
"""

from __future__ import annotations

import dataclasses
import io
import json
import secrets
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.keys import key_path, load_x25519
from chain import case_record
from chain.case_acts import SignedCaseAct, document, sign
from cli.main import main
from cli.stack import Stack
from protocol.case_acts import Import
from protocol.case_batch import BatchRecipient
from protocol.entry import EvidenceClass, Header
from protocol.identifiers import case_commitment
from tests.support.case_batches import MadeBatch, made_batch
from tests.support.stack import BANK_A, BANK_B, COURT, Caller, caller, wait_for

pytestmark = [pytest.mark.chain, pytest.mark.database, pytest.mark.timeout(900)]
CENTRE = 1
WAIT = dict.fromkeys(("move", "pause", "resume", "reverse", "cosign"), ("--timeout", "180"))
MEMBERS = {"centre": CENTRE, "court": COURT, "bank-a": BANK_A, "bank-b": BANK_B}


def command(home: Path, *arguments: str, expect: int | None = 0) -> Any:
    """`caseledger … --json`, in this process: three dozen starts of an interpreter are minutes."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*arguments, "--home", str(home), "--json"])
    if expect is not None and code != expect:
        raise AssertionError(f"exit {code}: {out.getvalue()[-600:]} {err.getvalue()[-600:]}")
    text = out.getvalue() or err.getvalue()
    return json.loads(text) if text.strip() else None


@dataclass
class Room:
    """The home's organisations, and one imported case."""

    home: Path
    members: dict[str, Caller]
    case: bytes
    batch: Path

    def run(self, who: str, *words: str, expect: int | None = 0) -> Any:
        """`caseledger case … --json` with that organisation's key."""
        url = self.members[who].url
        return command(
            self.home,
            "case",
            *words,
            "--key",
            f"{who}-act",
            "--gateway",
            url,
            *WAIT.get(words[0], ()),
            expect=expect,
        )

    def moved(self, who: str, *words: str) -> dict[str, Any]:
        """The case after a step that is on the chain."""
        state = self.run(who, words[0], self.case.hex(), *words[1:])
        assert state["state"] == "mined", state
        found: dict[str, Any] = state["case"]
        return found

    def refused(self, who: str, *words: str) -> dict[str, Any]:
        error: dict[str, Any] = self.run(who, words[0], self.case.hex(), *words[1:], expect=1)
        return error

    def evidence(self, who: str, *classes: EvidenceClass) -> list[str]:
        """Anchored entries of the case by that organisation."""
        member, ids = self.members[who], []
        for number in classes:
            header, body = member.entry(self.case)
            head = dataclasses.replace(Header.parse(header), evidence_class=number)
            answer = member.post(member.submission([(head.pack(), body)]))
            assert answer.status_code == 200, answer.content
            ids.append(self._found(member, number))
        return ids

    def _found(self, member: Caller, number: EvidenceClass) -> str:
        """The id of the organisation's newest entry of a class in the case, once its receipt is there."""
        with httpx.Client(base_url=member.url, trust_env=False, timeout=30) as http:

            def newest() -> str | None:
                found = http.get(
                    "/v1/evidence",
                    params={"case": case_commitment(self.case).hex()},
                    headers={**member.headers(), "x-case-id": self.case.hex()},
                ).json()["items"]
                return next(
                    (e["id"] for e in found if e["class"] == number and e["submitter"] == member.index
                     and e["receiptReady"]),
                    None,
                )  # fmt: skip

            return str(wait_for(newest, 60))

    def receipt(self, who: str, entry: str, folder: Path) -> Path:
        member = self.members[who]
        with httpx.Client(base_url=member.url, trust_env=False, timeout=30) as http:
            answer = http.get(
                f"/v1/evidence/{entry}/receipt",
                headers={**member.headers(), "x-case-id": self.case.hex(), "accept": "application/cbor"},
            )
        assert answer.status_code == 200
        path = folder / f"{entry}.clr"
        path.write_bytes(answer.content)
        return path


@pytest.fixture(scope="module")
def room(local_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Room:
    members = {slug: caller(local_stack, slug, index) for slug, index in MEMBERS.items()}
    bank = members["bank-a"]
    batch = batch_of(local_stack, bank)
    path = tmp_path_factory.mktemp("batch") / "batch"
    path.write_bytes(batch.data)
    bring_in(local_stack, bank, batch)
    return Room(local_stack.home, members, batch.leaves[0].case_id, path)


def bring_in(stack: Stack, bank: Caller, batch: MadeBatch) -> None:
    """File and import of a batch, until the chain has it."""
    contracts = case_record.load(stack.home).contracts
    act = Import(BANK_A, batch.root, len(batch.rows), bytes(32), bytes(32), int(time.time()) + 600)
    with httpx.Client(base_url=bank.url, trust_env=False, timeout=30) as http:
        put = http.put(
            f"/v1/case-batches/{batch.header.batch_id.hex()}", content=batch.data, headers=bank.headers()
        )
        assert put.status_code == 201, put.text
        body = document(SignedCaseAct(act, sign(act, contracts, bank.key())))
        url = f"/v1/case-batches/{batch.root.hex()}/acts"
        relayed = http.post(url, json=body, headers=bank.headers())
        assert relayed.status_code == 202, relayed.text
        wait_for(lambda: http.get(f"/v1/acts/{relayed.json()['id']}").json()["state"] == "mined", 60)


def batch_of(stack: Stack, bank: Caller, count: int = 3) -> MadeBatch:
    keys = {index: load_x25519(key_path(stack.keys, f"{slug}-hpke")) for slug, index in MEMBERS.items()}
    to = [BatchRecipient(index, keys[index].public_key) for index in sorted((CENTRE, BANK_A))]
    return made_batch(
        count, owner=bank.index, to=to, batch_id=secrets.token_bytes(32), made_at=int(time.time())
    )


def test_a_case_from_import_to_judgment(room: Room, tmp_path: Path) -> None:
    case = room.case.hex()
    begun = room.run("centre", "steps", case)
    assert begun["case"]["stage"] == "IMPORTED"
    assert {step["name"] for step in begun["steps"]} == {"admit", "ask-completion", "reject"}
    # What is only asked about is refused with its reason, and nothing happens.
    told = room.refused("centre", "move", "admit", "--dry-run")
    assert told["code"] == "EvidenceCountWrong"
    assert "合同" in told["rule"]["text"]["zh"]
    papers = room.evidence("bank-a", EvidenceClass.CONTRACT, EvidenceClass.STATEMENT)
    asked = room.run("centre", "move", case, "admit", "--evidence", *papers, "--dry-run")
    assert asked["case"]["stage"] == "ADMITTED"
    admitted = room.moved("centre", "move", "admit", "--evidence", *papers)
    assert (admitted["stage"], admitted["version"]) == ("ADMITTED", 2)
    assert "2个工作日" in admitted["explanation"]["zh"]
    # Another bank, a skipped stage, a court's step by the bank.
    assert room.refused("bank-b", "move", "withdraw", "--reason", "paid")["code"] == "CaseNotHere"
    assert room.refused("centre", "move", "close")["code"] == "CaseTransitionIllegal"
    assert room.refused("bank-a", "move", "route-central")["code"] == "CaseRoleMissing"
    room.moved("centre", "move", "route-central")
    settle_and_drop(room)
    room.moved("bank-a", "move", "transfer", "--evidence", *papers)
    assert room.refused("bank-a", "move", "filed")["code"] == "CaseRoleMissing"
    filed = room.moved("court", "move", "filed")
    assert (filed["stage"], filed["court"]) == ("FILED", COURT)
    stopped = room.moved("court", "pause", "public-notice")
    assert (stopped["deadline"], stopped["openPauses"]) == (None, ["public-notice"])
    assert room.refused("court", "move", "small-track")["code"] == "CaseOnHold"
    room.moved("court", "resume", "public-notice")
    room.moved("court", "move", "small-track")
    back = room.moved("court", "reverse", "--co", str(CENTRE), "--co-key", "centre-act")
    assert back["stage"] == "FILED"
    room.moved("court", "move", "small-track")
    assert room.refused("court", "mark-overdue")["code"] == "CaseNotOverdue"
    judge_from_the_courts_own_node(room, tmp_path)


def settle_and_drop(room: Room) -> None:
    """Bank and centre settle, each with its own key; the debtor drops it in the cooling-off time."""
    (agreement,) = room.evidence("centre", EvidenceClass.AGREEMENT)
    words = ("move", "settle", "--evidence", agreement, "--co", str(CENTRE))
    half = room.run("bank-a", words[0], room.case.hex(), *words[1:], expect=3)
    assert half["state"] == "waiting"
    assert room.run("court", "cosign")["items"] == []
    (waiting,) = room.run("centre", "cosign")["items"]
    assert waiting["id"] == half["id"]
    assert room.run("court", "cosign", half["id"], expect=1)["code"] == "NameUnknown"
    whole = room.run("centre", "cosign", half["id"])
    assert (whole["state"], whole["case"]["stage"]) == ("mined", "SETTLED")
    assert room.run("centre", "cosign")["items"] == []
    room.moved("centre", "move", "settlement-dropped")


def judge_from_the_courts_own_node(room: Room, tmp_path: Path) -> None:
    """The last step without a gateway: the court's node, its receipt, its relayer."""
    (judgment,) = room.evidence("court", EvidenceClass.COURT_DOCUMENT)
    receipt = room.receipt("court", judgment, tmp_path)
    relayer = str(room.home / "keys" / "relayer-4.key")
    words = ("case", "move", room.case.hex(), "judged-small", "--key", "court-act", "--direct",
             "--relayer", relayer)  # fmt: skip
    missing = command(room.home, *words, expect=1)
    assert missing["code"] == "EvidenceCountWrong"
    foretold = command(room.home, *words, "--evidence", str(receipt), "--dry-run")
    assert foretold["case"]["stage"] == "EFFECTIVE"
    judged = command(room.home, *words, "--evidence", str(receipt))
    assert (judged["state"], judged["case"]["stage"]) == ("mined", "EFFECTIVE")
    # Through the gateway the case is where the court's own node brought it.
    assert room.run("court", "steps", room.case.hex())["case"]["stage"] == "EFFECTIVE"


def test_a_case_comes_to_life_without_a_gateway(room: Room, tmp_path: Path) -> None:
    """The batch file has what the gateway would add: its owner withdraws another of its cases."""
    from protocol.batch_file import read_batch
    from protocol.case_batch import CaseLeaf, SealedRow

    rows = [part for part in read_batch([room.batch.read_bytes()]) if isinstance(part, SealedRow)]
    case = CaseLeaf.parse(rows[1].leaf).case_id.hex()
    words = ("case", "move", case, "withdraw", "--reason", "mistake", "--key", "bank-a-act", "--direct",
             "--relayer", str(room.home / "keys" / "relayer-4.key"))  # fmt: skip
    assert command(room.home, *words, expect=1)["code"] == "CaseNotHere"
    written = tmp_path / "act.json"
    command(room.home, *words, "--batch", str(room.batch), "--sign-only", str(written))
    assert json.loads(written.read_text())["request"]["caseId"] == case
    done = command(room.home, *words, "--batch", str(room.batch))
    assert (done["state"], done["case"]["stage"]) == ("mined", "WITHDRAWN")
    again = command(room.home, *words, "--batch", str(room.batch), expect=1)
    assert again["code"] == "CaseTransitionIllegal"


def test_names_that_the_lifecycle_does_not_have_are_listed(room: Room) -> None:
    wrong = room.refused("centre", "move", "admitt")
    assert wrong["code"] == "NameUnknown"
    assert "admit" in wrong["hint"]
    assert room.refused("court", "pause", "holiday")["code"] == "NameUnknown"
