"""`caseledger case triage`: what a person sees and confirms; what a gateway says is checked, not believed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agent.errors import ArgumentRefused, GatewayAnswerInvalid, GatewayRefused, RecipientUnknown
from cases.batches import SealedCase
from cases.decisions import KeptDecision
from cases.errors import EvidenceMissing
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.ports import KeptRow
from cases.triage import Papers
from chain.case_acts import Origin
from cli import case_triage
from cli.case_triage_desk import GatewayDesk, Party
from protocol.case_batch import CaseLeaf, SealedRow, Sealer, leaf_hash
from protocol.case_decision import parse_decision, seal_decision
from protocol.case_row import RowFlag
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256
from protocol.tree import root as tree_root
from tests.cases.test_decisions import FILED, decided
from tests.cases.test_triage import row
from tests.support.case_batches import CENTRE, KEYS, OWNER, recipients

_T = TypeVar("_T")
TABLES = LIFECYCLE_V1.table_hash.hex()
KEY = KEYS[CENTRE].private_bytes_raw()
ROWS = [
    row(owner=OWNER),
    row(owner=OWNER, flags_stated=RowFlag.HARDSHIP, flags=RowFlag.HARDSHIP),
    FILED,
]


def sealed_rows() -> list[SealedRow]:
    sealer = Sealer(recipients(CENTRE, OWNER))
    return [sealer.seal(one.owner, one.product, one.encode()) for one in ROWS]


@dataclass
class Gateway:
    """Answers as the routes do; the acts that it takes move the case by the lifecycle's own rows."""

    rows: list[SealedRow] = field(default_factory=sealed_rows)
    stage: dict[bytes, int] = field(default_factory=dict)
    version: dict[bytes, int] = field(default_factory=dict)
    kept: dict[bytes, list[KeptDecision]] = field(default_factory=dict)
    acts: list[Mapping[str, Any]] = field(default_factory=list)
    papers: tuple[int, ...] = (1, 2)
    lies: dict[str, Any] = field(default_factory=dict)
    busy: int = 0

    @property
    def ids(self) -> list[bytes]:
        return [CaseLeaf.parse(one.leaf).case_id for one in self.rows]

    def _says(self, name: str, answer: _T) -> _T:
        if self.busy:
            self.busy -= 1
            raise GatewayRefused("TooManyRequests", "busy", status=429, retry_after=0.0)
        said: _T = self.lies.get(name, answer)
        return said

    def case_list(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        stages = {LIFECYCLE_V1.stage(name).code for name in parameters["stage"].split(",")}
        found = [one for one in self.ids if self.stage.get(one, 1) in stages]
        at = int(parameters.get("cursor", "0"))
        following = str(at + 2) if at + 2 < len(found) else None
        items = [{"caseId": one.hex()} for one in found[at : at + 2]]
        return self._says("list", {"items": items, "next": following})

    def case_position(self, case_id: str) -> dict[str, Any]:
        of = bytes.fromhex(case_id)
        case = {
            "stage": LIFECYCLE_V1.stages[self.stage.get(of, 1)].name,
            "version": self.version.get(of, 1),
            "openPauses": [],
            "tableHash": LIFECYCLE_V1.table_hash.hex(),
        }
        return self._says("position", {"case": case})

    def case_row(self, case_id: bytes) -> dict[str, Any]:
        index = self.ids.index(case_id)
        hashes = [leaf_hash(one.leaf) for one in self.rows]
        sealed = self.rows[index]
        leaf = CaseLeaf.parse(sealed.leaf)
        path = [hashes[1 - index], hashes[2]] if index < 2 else [tree_root(SHA256, hashes[:2])]
        origin = Origin(tree_root(SHA256, hashes), index, leaf.product, leaf.commitment, tuple(path))
        kept = KeptRow(sealed.ciphertext, sealed.wrapped[0])
        return self._says("row", SealedCase(sealed.leaf, origin, len(hashes), CENTRE, kept).as_json())

    def case_batch(self, root: bytes) -> dict[str, Any] | None:
        batch: dict[str, Any] | None = {"recipients": [CENTRE, OWNER]}
        return self._says("batch", batch)

    def case_decisions(self, case_id: bytes) -> list[dict[str, Any]]:
        return self._says("decisions", [one.as_json() for one in self.kept.get(case_id, [])])

    def case_evidence(self, case_id: bytes) -> list[dict[str, Any]]:
        entries = [
            {"id": f"{number:02x}" * 32, "class": number, "submitter": OWNER, "privileged": False,
             "state": "ANCHORED", "supersededBy": []}
            for number in self.papers
        ]  # fmt: skip
        return self._says("evidence", entries)

    def keep_case_decision(self, case_id: bytes, document: Mapping[str, Any]) -> dict[str, Any]:
        sealed, to = parse_decision(json.loads(json.dumps(document)), case_id)
        chain = self.kept.setdefault(case_id, [])
        assert sealed.previous == (chain[-1].commitment if chain else None)
        chain.append(
            KeptDecision(
                case_id, len(chain) + 1, sealed.commitment, sealed.previous, CENTRE, 1, to,
                sealed.ciphertext, sealed.wrapped[to.index(CENTRE)],
            )
        )  # fmt: skip
        return self._says("keep", chain[-1].as_json())

    def case_act(self, case_id: str, act: Mapping[str, Any]) -> dict[str, Any]:
        of, request = bytes.fromhex(case_id), act["request"]
        step = LIFECYCLE_V1.transitions[request["transition"]]
        assert request["version"] == self.version.get(of, 1)
        assert self.stage.get(of, 1) in step.sources
        assert request["note"] == self.kept[of][-1].commitment.hex()
        self.acts.append(act)
        self.stage[of], self.version[of] = step.target, request["version"] + 1
        return self._says("act", {"id": "ab" * 32, "state": "pending"})

    def case_act_state(self, case_id: str, act_id: str) -> dict[str, Any]:
        return self._says("state", {"id": act_id, "state": "mined"})


def desk(gateway: Gateway, home: Path, *, pins: bool = True) -> GatewayDesk:
    if pins:
        (home / "agent").mkdir(exist_ok=True)
        key = KEYS[OWNER].public_key().public_bytes_raw().hex()
        (home / "agent" / "hpke-pins.json").write_text(json.dumps({str(OWNER): key}))
    party = Party(home, CENTRE, KEY, KEYS[CENTRE].public_key().public_bytes_raw())
    return GatewayDesk(gateway, party, sleep=lambda _: None)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line over this gateway: parsed as ever, keys and contracts from memory."""
    from chain import case_record
    from tests.support.testkeys import private_key

    class Signs:
        def sign_digest(self, digest: bytes) -> bytes:
            return private_key(0, CENTRE).sign_recoverable(digest, hasher=None)

    class Record:
        from chain.case_contracts import CaseContracts, PolicyVersion

        contracts = CaseContracts(
            777, PolicyVersion("LifecycleV1", bytes(32)), *(bytes([n]) * 20 for n in range(1, 7))
        )

    monkeypatch.setattr(case_record, "load", lambda _home: Record())

    def go(gateway: Gateway, *arguments: str) -> int:
        parser = argparse.ArgumentParser()
        case_triage.add_verbs(parser.add_subparsers(dest="verb", required=True))
        args = parser.parse_args(arguments)
        profile: Any = argparse.Namespace(act_key=Signs(), home=tmp_path)
        command = case_triage._Command(args, "zh", CENTRE, profile, desk(gateway, tmp_path))
        return {"triage": command.triage, "track": command.track, "decisions": command.decisions}[args.verb]()

    return go


def stages(gateway: Gateway) -> list[str]:
    return [LIFECYCLE_V1.stages[gateway.stage.get(one, 1)].name for one in gateway.ids]


def test_a_preview_shows_counts_and_reasons_and_changes_nothing(run: Any, capsys: Any) -> None:
    gateway = Gateway()
    assert run(gateway, "triage", "--preview") == 3
    shown = capsys.readouterr().out
    assert "3 起案件" in shown
    assert "集中处置  1 起：待执行 1" in shown
    assert "移送法院  1 起：待执行 0，待人确认 1" in shown
    assert "生活困难" in shown
    assert not gateway.kept
    assert not gateway.acts


def test_without_a_confirmation_nothing_is_carried_out(run: Any, capsys: Any) -> None:
    gateway = Gateway()
    assert run(gateway, "triage") == 3
    assert "没有执行" in capsys.readouterr().out
    assert not gateway.kept


def test_confirmed_cases_move_and_adverse_ones_wait(run: Any, capsys: Any) -> None:
    gateway = Gateway()
    assert run(gateway, "triage", "--confirm") == 3
    assert stages(gateway) == ["CENTRAL", "SPECIAL", "IMPORTED"]
    assert "1 起要由署名人员逐案确认" in capsys.readouterr().out
    case = gateway.ids[2].hex()
    assert run(gateway, "triage", case, "--confirm", "--officer", "李工 0417") == 3
    assert stages(gateway)[2] == "IMPORTED"
    assert run(gateway, "triage", case, "--confirm", "--officer", "李工 0417", "--looked", case) == 0
    assert stages(gateway)[2] == "TRANSFERRED"
    assert run(gateway, "decisions", case) == 0
    shown = capsys.readouterr().out
    assert "李工 0417" in shown
    assert "移送法院" in shown


def test_an_override_needs_who_and_why_and_keeps_what_was_proposed(run: Any, capsys: Any) -> None:
    gateway = Gateway()
    case = gateway.ids[0].hex()
    for missing in (("--reason", "本人要求"), ("--officer", "李工")):
        with pytest.raises(ArgumentRefused):
            run(gateway, "triage", "--override", case, "mediation", *missing, "--confirm")
    with pytest.raises(ArgumentRefused):
        run(gateway, "triage", "--override", case, "prison", "--officer", "李工", "--reason", "x")
    arguments = ("--override", case, "mediation", "--officer", "李工", "--reason", "本人要求", "--confirm")
    assert run(gateway, "triage", *arguments) == 0
    assert stages(gateway) == ["MED_OFFERED", "IMPORTED", "IMPORTED"]
    run(gateway, "decisions", case, "--json")
    (record,) = json.loads(capsys.readouterr().out.splitlines()[-1])["items"]
    assert (record["proposed"], record["decided"], record["reason"]) == (3, 4, "本人要求")


def test_json_is_one_document_and_names_nobody(run: Any, capsys: Any) -> None:
    gateway = Gateway()
    assert run(gateway, "triage", "--json", "--confirm") == 3
    shown = capsys.readouterr().out
    found = json.loads(shown)
    assert found["counts"]["central"] == {"proposed": 1, "all": 1}
    assert {one["rule"] for one in found["cases"]} == {"small", "hardship", "unreachable-filing"}
    assert len(found["done"]) == 2
    for secret in ("某人", "示例甲", "350503199001011232", "13800138000", "15000", "1500000"):
        assert secret not in shown


def test_a_batch_of_others_does_not_keep_the_rest_from_being_done(run: Any, capsys: Any) -> None:
    gateway = Gateway()
    good = gateway.case_row

    def mixed(case_id: bytes) -> dict[str, Any]:
        if case_id == gateway.ids[1]:
            raise GatewayRefused("CaseNotHere", "no such case", status=404)
        return good(case_id)

    gateway.case_row = mixed  # type: ignore[method-assign]
    assert run(gateway, "triage", "--confirm") == 3
    assert stages(gateway) == ["CENTRAL", "IMPORTED", "IMPORTED"]
    assert "CaseNotHere" in capsys.readouterr().out


def test_one_failure_is_told_and_the_next_case_is_done(run: Any, capsys: Any) -> None:
    gateway = Gateway()
    first = gateway.ids[0]
    taken = gateway.case_act

    def once(case_id: str, act: Mapping[str, Any]) -> dict[str, Any]:
        if bytes.fromhex(case_id) == first:
            return {"id": "ab" * 32, "state": "reverted", "code": "CaseVersionStale"}
        return taken(case_id, act)

    gateway.case_act = once  # type: ignore[method-assign]
    assert run(gateway, "triage", "--confirm") == 3
    assert stages(gateway) == ["IMPORTED", "SPECIAL", "IMPORTED"]
    assert "CaseVersionStale" in capsys.readouterr().out
    gateway.case_act = taken  # type: ignore[method-assign]
    assert run(gateway, "triage", "--confirm") == 3
    assert stages(gateway)[0] == "CENTRAL"
    assert len(gateway.kept[first]) == 1


def test_a_busy_gateway_is_waited_out(run: Any) -> None:
    gateway = Gateway(busy=3)
    run(gateway, "triage", "--confirm")
    assert stages(gateway)[0] == "CENTRAL"


def test_papers_that_are_missing_ask_the_bank(run: Any) -> None:
    gateway = Gateway(papers=(1,))
    run(gateway, "triage", "--confirm")
    assert stages(gateway) == ["COMPLETION"] * 3


def everything(here: GatewayDesk) -> None:
    for case_id in here.cases(None, (1,)):
        here.look(case_id)
        to = here.recipients(case_id)
        here.keep(seal_decision(decided(case_id=case_id), to), [one.organisation for one in to])


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("list", {"items": "none"}),
        ("list", {"items": [{"caseId": "XX"}], "next": None}),
        ("position", {"case": None}),
        (
            "position",
            {"case": {"stage": "NOWHERE", "tableHash": LIFECYCLE_V1.table_hash.hex(), "version": 1}},
        ),
        ("batch", {"recipients": [OWNER]}),
        ("batch", None),
        ("decisions", [{"commitment": "07" * 32, "previous": "08" * 32}]),
        ("keep", {"commitment": "07" * 32}),
    ],
)
def test_a_gateway_that_answers_otherwise_is_refused(tmp_path: Path, what: str, answer: Any) -> None:
    gateway = Gateway(lies={what: answer})
    here = desk(gateway, tmp_path)
    with pytest.raises(CaseledgerError):
        everything(here)


def test_another_cases_row_is_refused(tmp_path: Path) -> None:
    gateway = Gateway()
    other = gateway.case_row(gateway.ids[1])
    gateway.lies["row"] = other
    with pytest.raises(GatewayAnswerInvalid):
        desk(gateway, tmp_path).look(gateway.ids[0])


def test_a_recipient_without_a_pinned_key_gets_no_decision(tmp_path: Path) -> None:
    here = desk(Gateway(), tmp_path, pins=False)
    gateway = here._gateway
    case_id = gateway.ids[0]  # type: ignore[attr-defined]
    here.look(case_id)
    with pytest.raises(RecipientUnknown):
        here.recipients(case_id)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "SEALED"},
        {"privileged": True},
        {"submitter": CENTRE},
        {"supersededBy": ["aa"]},
        {"class": 9},
    ],
)
def test_an_entry_that_the_guard_would_refuse_is_no_paper(tmp_path: Path, change: dict[str, Any]) -> None:
    gateway = Gateway()
    entries = gateway.case_evidence(gateway.ids[0])
    gateway.lies["evidence"] = [entries[0] | change, entries[1]]
    here = desk(gateway, tmp_path)
    found = here.look(gateway.ids[0])
    assert found.papers is (Papers.NOT_LOOKED_UP if "state" in change else Papers.INCOMPLETE)
    with pytest.raises(EvidenceMissing):
        here.evidence(gateway.ids[0], LIFECYCLE_V1.transition("admit"))


def test_track_says_threshold_rule_and_that_the_court_decides(run: Any, capsys: Any) -> None:
    gateway = Gateway()
    case = gateway.ids[0].hex()
    assert (
        run(gateway, "track", case, "--wage", "100000", "--wage-year", "2025", "--filed", "2026-07-01") == 0
    )
    shown = capsys.readouterr().out
    assert "小额诉讼" in shown
    assert "由法院决定" in shown
    assert run(gateway, "track", case, "--json", "--state", "foreign=yes") == 0
    assert json.loads(capsys.readouterr().out)["rule"] == "foreign"
    for wrong in (
        ("--wage", "100000"),
        ("--state", "weather=fair"),
        ("--state", "foreign=maybe"),
        ("--filed", "x"),
    ):
        with pytest.raises(CaseledgerError):
            run(gateway, "track", case, *wrong)
