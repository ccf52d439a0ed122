"""The demo's second act: a bank's list becomes cases, one of them goes to judgment."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from protocol.i18n import Language, Text

BANK_KEY, CENTRE_KEY, COURT_KEY = "bank-a-act", "centre-act", "court-act"
CENTRE = 1
DEFECTIVE = 7
EXIT_DEFECTS = EXIT_LEFT = 3
"""Imported, and rows came back; proposed, and something is left to decide."""
EXIT_REDUCED = 10
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
STEPS = ("admit", "transfer", "filed", "small-track")
JUDGMENT = "judged-small"
SECONDS = "120"

TEXTS = {
    "case": Text(
        "三、一份名单成为案件，其中一件到判决", "3. A list becomes cases, one of them goes to judgment"
    ),
    "imported": Text(
        "  ✓ 导入 {rows} 行：{good} 件成案（密封后只交中心），{bad} 行退回并逐行说明",
        "  ✓ {rows} rows imported: {good} cases (sealed to the centre), {bad} come back with the reason",
    ),
    "triaged": Text("  ✓ 分流表建议：{counts}", "  ✓ the triage table proposes: {counts}"),
    "stepped": Text(
        "  ✓ {steps}（机构各用自己的密钥签署）", "  ✓ {steps} (each organisation with its own key)"
    ),
    "refused": Text(
        "  ✗ 银行试图自行判决，合约拒绝：{code}（{article}）",
        "  ✗ the bank tries to judge; the contract refuses: {code} ({article})",
    ),
    "timeline": Text(
        "  ✓ 案件时间线 {events} 条，收据齐全、逐份离线核验：{result}；现为「{stage}」",
        "  ✓ its timeline: {events} events, no gap, a receipt each, verified offline: {result}; now {stage}",
    ),
}


class Runner(Protocol):
    """Runs a command of the product, which ends with `ends`, and reads its JSON; `failing`: its refusal."""

    def __call__(self, *arguments: str, failing: bool = False, ends: int = 0) -> Any: ...


class CaseStory:
    """Raises through `require` when something was not so. `record`: that of the case contracts."""

    def __init__(
        self,
        lang: Language,
        trust: Path,
        run: Runner,
        say: Callable[..., None],
        require: Callable[[bool, str, str], None],
    ) -> None:
        self._lang = lang
        self._trust = trust
        self._run = run
        self._say = say
        self._require = require

    def tell(self, folder: Path) -> None:
        """`folder`: where its files go, new."""
        self._say("case")
        root, contract = self._import(folder)
        case_id = str(self._run("case", "batch", "proof", f"@{contract}")["caseId"])
        papers = [
            self._anchor(folder, name, evidence_class, case_id, BANK_KEY)
            for name, evidence_class in (("借款合同.txt", "contract"), ("对账单.txt", "statement"))
        ]
        self._triage(root)
        self._to_trial(case_id, papers)
        judgment = self._anchor(folder, "判决书.txt", "court-document", case_id, COURT_KEY)
        self._judged(case_id, judgment, folder)

    def _import(self, folder: Path) -> tuple[str, str]:
        """Batch root, and the contract number of a case without defect."""
        from cli import samples_cases

        today = datetime.datetime.now(SHANGHAI).date()
        path = samples_cases.write(folder / "名单.csv", today, folder.name)
        found = self._run(
            "case", "import", str(path), "--confirm", "--rows", str(samples_cases.ROWS), "--quiet",
            ends=EXIT_DEFECTS,
        )  # fmt: skip
        self._require(
            (found["rows"], found["defective"]) == (samples_cases.ROWS, DEFECTIVE) and found["root"],
            "NotImported",
            f"{found['defective']} of {found['rows']} rows came back",
        )
        self._say("imported", rows=found["rows"], good=found["new"], bad=found["defective"])
        return str(found["root"]), samples_cases.row_of(1, today, folder.name)["contract_no"]

    def _anchor(self, folder: Path, name: str, evidence_class: str, case_id: str, key: str) -> str:
        """Evidence id of a document of the case, once its receipt is here."""
        path = folder / name
        path.write_text(f"{name}（示例）\n{case_id}\n", encoding="utf-8")
        added = self._run(
            "evidence", "add", str(path), "--case", case_id, "--class", evidence_class,
            "--key", key, "--quiet",
        )  # fmt: skip
        self._run("evidence", "wait", "--timeout", SECONDS, "--key", key)
        return str(added["entries"][0]["evidenceId"])

    def _triage(self, root: str) -> None:
        from cases.triage_v1 import TRIAGE_V1

        found = self._run(
            "case",
            "triage",
            "--batch",
            root,
            "--preview",
            "--organisation",
            str(CENTRE),
            "--key",
            CENTRE_KEY,
            ends=EXIT_LEFT,
        )
        counts = {name: states["all"] for name, states in found["counts"].items()}
        self._require(len(counts) > 1 and not found["unread"], "NotTriaged", f"triage gave {counts}")
        labels = {outcome.name: outcome.label.choose(self._lang) for outcome in TRIAGE_V1.outcomes.values()}
        said = [f"{labels[name]} {count}" for name, count in counts.items()]
        self._say("triaged", counts="，".join(said) if self._lang == "zh" else ", ".join(said))

    def _to_trial(self, case_id: str, papers: list[str]) -> None:
        labels = []
        for step in STEPS:
            needs = ("--evidence", *papers) if step in ("admit", "transfer") else ()
            key = CENTRE_KEY if needs else COURT_KEY
            done = self._run("case", "move", case_id, step, *needs, "--key", key)
            self._require(done["state"] == "mined", "NotMoved", f"{step}: {done['state']}")
            labels.append(done["case"]["label"][self._lang])
        self._say("stepped", steps=" → ".join(labels))

    def _judged(self, case_id: str, judgment: str, folder: Path) -> None:
        refused = self._run(
            "case", "move", case_id, JUDGMENT, "--evidence", judgment, "--key", BANK_KEY, failing=True
        )
        self._require(refused.get("code") == "CaseRoleMissing", "NotRefused", f"the bank got {refused}")
        self._say("refused", code=refused["code"], article=refused["rule"]["cite"][self._lang])
        done = self._run("case", "move", case_id, JUDGMENT, "--evidence", judgment, "--key", COURT_KEY)
        self._require(done["state"] == "mined", "NotMoved", f"{JUDGMENT}: {done['state']}")
        self._timeline(case_id, folder)

    def _timeline(self, case_id: str, folder: Path) -> None:
        """Every event with its receipt, verified on this machine, none left out."""
        events = self._run("case", "timeline", case_id)["events"]
        self._require(len(events) == len(STEPS) + 2, "TimelineIncomplete", f"{len(events)} events")
        written = self._run("case", "receipts", case_id, "--out", str(folder / "receipts"))["written"]
        trusted = ("--trust", str(self._trust))
        # The opening is in one transaction with the first step, so the state after it is that step's.
        verified = self._run("case", "verify", *written, *trusted, ends=EXIT_REDUCED)
        results = [one["result"] for one in verified["receipts"]]
        whole = len(written) == len(events) and not any(verified["holes"].values())
        self._require(
            whole and results == ["VALID_REDUCED_TRUST"] + ["VALID"] * (len(events) - 1),
            "TimelineUnproved",
            f"{len(written)} receipts: {results}",
        )
        self._say(
            "timeline", events=len(events), stage=events[-1]["stage"]["label"][self._lang], result="VALID"
        )
