"""`caseledger demo`: the story of one dispute's evidence, with real parts. 0 only if each part was so."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cli import demo_case
from protocol.errors import CaseledgerError
from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from chain.networks.cometbft import CometNetwork
    from cli.isolated import Isolation
    from cli.stack import Stack

VALIDATORS = 4
KILLED = 4
BANK, COURT = 5, 3
"""Indexes of bank A, whose agent the demo runs, and of the court."""
FOLDER = "demo"
RECEIPT_SECONDS = "120"
BLOCKS_AFTER_KILL = 3
ATTESTED_SECONDS = 120.0
AUTHORITIES = 2

_TEXTS = {
    "title": Text(
        "演示：一家银行的证据，从存证到法院离线核验。四个节点：银行业协会、中心、法院、监管局。",
        "Demo: a bank's evidence, from anchoring to a court's offline check."
        " Four validators: bank association, centre, court, regulator.",
    ),
    "up": Text("一、启动账本", "1. The ledger starts"),
    "anchor": Text("二、甲银行存证 {count} 份材料", "2. Bank A anchors {count} documents"),
    "accepted": Text("  ✓ 首批已受理并取得签名承诺", "  ✓ the first are accepted, with a signed promise"),
    "killed": Text("  ✗ 强行终止第 {number} 个节点（{who}）", "  ✗ validator {number} ({who}) is killed"),
    "goes_on": Text(
        "  ✓ 其余照常受理；链继续出块 {before} → {after}，验证者集合不变",
        "  ✓ the rest is accepted; blocks go on {before} → {after}, the validator set is unchanged",
    ),
    "receipts": Text(
        "  ✓ {count} 份收据全部到达，本机逐份核验：{result}",
        "  ✓ all {count} receipts are here, each verified on the bank's machine: {result}",
    ),
    "attested": Text(
        "  ✓ 见证联署：{witnesses}；时间戳机构：{authorities}，各签各的",
        "  ✓ cosigned by the witnesses {witnesses}; stamped by the time authorities {authorities}",
    ),
    "custody": Text(
        "  ✓ 甲银行移交、法院签收，流转单 {events} 条逐条相接",
        "  ✓ bank A hands over, the court takes over: {events} custody events, each after the other",
    ),
    "down": Text("四、停掉网关、数据库和整条链", "4. Gateway, database and the whole chain are stopped"),
    "stopped": Text("  ✓ 没有进程存活，端口不再应答", "  ✓ no process lives, no port answers"),
    "court": Text(
        "五、法院断网核验（{how}），手里只有文件、收据、信任文件",
        "5. The court verifies with networking off ({how}): file, receipt and trust file alone",
    ),
    "verdict": Text("  ✓ {file}：{result}", "  ✓ {file}: {result}"),
    "certificate": Text(
        "  ✓ 证书（PDF、HTML，内附收据）：{path}", "  ✓ a certificate (PDF, HTML, the receipt inside): {path}"
    ),
    "unshare": Text("独立网络命名空间，无任何网卡", "a network namespace without any interface"),
    "strace": Text("strace 记录：无任何网络调用", "strace: no network call at all"),
    "tamper": Text("六、各改一个字节", "6. One byte is changed"),
    "named": Text(
        "  ✓ 改动{what} → {result}，指出：{what}（{code}）",
        "  ✓ in the {what} → {result}, named: {what} ({code})",
    ),
    "file": Text("文件", "file"),
    "receipt": Text("收据", "receipt"),
    "trust-file": Text("信任文件", "trust file"),
    "done": Text("全部成立，用时 {seconds:.0f} 秒。", "Each of these was so. {seconds:.0f} s."),
    "failed": Text("演示未成立：{code} {detail}", "The demo failed: {code} {detail}"),
}


class DemoFailed(CaseledgerError):
    """Something of the story was not so."""

    title: ClassVar[str] = "the demo failed"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("demo", help=help_text, description=help_text)
    parser.add_argument("--home", type=Path, metavar="DIR", help="a folder `demo` is made in it")
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Tell the story; 0 when each part was so, 1 otherwise. Everything is stopped at the end."""
    from agent.profile import home_of
    from cli.stack import Narrator, Stack

    lang = language(getattr(args, "lang", None))
    home = (args.home.absolute() if args.home else home_of()) / FOLDER
    started = time.monotonic()
    stack = Stack(home, Narrator(lang))
    demo = Demo(stack, lang)
    try:
        demo.tell()
    except CaseledgerError as error:
        print(_TEXTS["failed"].format(lang, code=error.code, detail=error.detail), file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return 1
    finally:
        stack.down()
    print(_TEXTS["done"].format(lang, seconds=time.monotonic() - started))
    return 0


@dataclass(frozen=True)
class Document:
    """A file, its receipt and its evidence id."""

    path: Path
    receipt: Path
    evidence_id: str


class Demo:
    """The six parts. Each raises when it was not so."""

    def __init__(self, stack: Stack, lang: Language) -> None:
        self._stack = stack
        self._lang = lang
        self._court = stack.home / "court"

    def say(self, name: str, **values: object) -> None:
        print((_TEXTS | demo_case.TEXTS)[name].format(self._lang, **values), flush=True)

    def tell(self) -> None:
        from cli.isolated import available

        isolation = available()
        self.say("title")
        self.say("up")
        self._stack.up(validators=VALIDATORS)
        documents = self._anchor()
        self._attest(documents[0])
        self._hand_over(documents[0])
        self._cases()
        self._stop()
        self._verify(isolation, documents)

    # 2

    def _anchor(self) -> list[Document]:
        from chain.networks.cometbft import CometNetwork
        from cli import samples

        folder = self._stack.home / "documents" / time.strftime("%Y%m%d-%H%M%S")
        made = samples.write(folder)
        total = sum(len(files) for files in made.values())
        self.say("anchor", count=total)
        first, *others = made
        self._add(first, folder / first)
        self.say("accepted")
        network = CometNetwork.load(self._stack.home)
        before, validators = network.height(), network.validators_hash()
        network.kill(KILLED)
        self.say("killed", number=KILLED, who=network.node(KILLED).controller)
        for kind in others:
            self._add(kind, folder / kind)
        after = self._blocks_after(network, before, validators)
        self.say("goes_on", before=before, after=after)
        answer = self._caseledger("evidence", "wait", "--timeout", RECEIPT_SECONDS)
        self._require(
            answer["pending"] == 0 and not answer["invalid"], "ReceiptsMissing", "receipts are missing"
        )
        listed = {item["path"]: item for item in self._caseledger("evidence", "list")}
        mine = [listed[str(path)] for files in made.values() for path in files]
        results = {item["result"] for item in mine}
        self._require(results == {"VALID"}, "ReceiptNotValid", f"receipts are {sorted(map(str, results))}")
        self.say("receipts", count=total, result="VALID")
        return [Document(Path(item["path"]), Path(item["receipt"]), item["evidenceId"]) for item in mine]

    def _add(self, kind: str, folder: Path) -> None:
        from cli import samples

        answer = self._caseledger("evidence", "add", str(folder), "--case", samples.CASE, "--class", kind)
        self._require(
            answer["accepted"] == answer["files"] > 0 and not answer["refused"],
            "NotAccepted",
            f"{kind}: not accepted",
        )

    def _blocks_after(self, network: CometNetwork, before: int, validators: str) -> int:
        """Height once enough blocks were made without the killed node."""
        deadline = time.monotonic() + 30
        while True:
            height = network.height()
            if height >= before + BLOCKS_AFTER_KILL:
                self._require(
                    network.validators_hash() == validators, "ValidatorsChanged", "the validator set changed"
                )
                return height
            self._require(time.monotonic() < deadline, "ChainStopped", "no blocks after the kill")
            time.sleep(0.2)

    def _attest(self, document: Document) -> None:
        """The receipt again, once witnesses and time authorities have signed what the chain holds."""
        deadline = time.monotonic() + ATTESTED_SECONDS
        witnesses: set[str] = set()
        authorities: set[str] = set()
        while not witnesses or len(authorities) < AUTHORITIES:
            self._require(time.monotonic() < deadline, "NotAttested", "cosignatures or tokens are missing")
            self._caseledger("evidence", "receipt", document.evidence_id, "--out", str(document.receipt))
            verified = self._caseledger(
                "verify", str(document.receipt), str(document.path), "--trust", str(self._stack.trust_path)
            )
            compared = [c for verdict in verified["verdicts"] for c in verdict["compared"]]
            for one in compared:
                # "sha256, 7: name, name, time" and "authority: time"
                if one["what"] == "witness.quorum":
                    witnesses |= set(one["value"].split(": ", 1)[1].split(", ")[:-1])
                elif one["what"] == "time.token":
                    authorities.add(one["value"].rsplit(": ", 1)[0])
            time.sleep(0.5)
        self.say(
            "attested",
            witnesses=", ".join(sorted(name.partition(".")[0] for name in witnesses)),
            authorities=", ".join(sorted(authorities)),
        )

    def _hand_over(self, document: Document) -> None:
        """Bank A gives the original to the court, and both sign; the sheet is kept beside the receipt."""
        move = ("--kind", "transfer", "--from", str(BANK), "--to", str(COURT))
        for key, purpose in (("bank-a-act", "移交原件"), ("court-act", "签收原件")):
            answer = self._caseledger(
                "evidence", "custody", "add", document.evidence_id, *move, "--purpose", purpose, "--key", key
            )
            self._require(answer["state"] == "ACCEPTED", "CustodyRefused", str(answer.get("code")))
        deadline = time.monotonic() + ATTESTED_SECONDS
        while True:
            answer = self._caseledger(
                "evidence", "custody", "list", document.evidence_id, "--receipt", str(document.receipt),
                "--out", str(sheet_of(document.receipt)),
            )  # fmt: skip
            if answer["facts"]["custodyEvents"] == 2 and answer["verdict"]["status"] == "PASS":
                break
            self._require(time.monotonic() < deadline, "CustodyMissing", str(answer["verdict"]["code"]))
            time.sleep(0.5)
        self.say("custody", events=answer["facts"]["custodyEvents"])

    # 3

    def _cases(self) -> None:
        story = demo_case.CaseStory(
            self._lang,
            self._stack.trust_path,
            self._caseledger,
            self.say,
            self._require,
        )
        story.tell(self._stack.home / "documents" / time.strftime("%Y%m%d-%H%M%S-case"))

    # 4

    def _stop(self) -> None:
        self.say("down")
        self._stack.down()
        state = self._stack.state()
        alive = [service.name for service in state.services if service.running]
        self._require(
            not alive and not state.database and not state.validators_running,
            "StillRunning",
            f"still running: {alive}",
        )
        self.say("stopped")

    # 5 and 6

    def _verify(self, isolation: Isolation, documents: list[Document]) -> None:
        document = documents[0]
        shutil.rmtree(self._court, ignore_errors=True)
        self._court.mkdir(parents=True)
        names = {
            "file": document.path.name,
            "receipt": document.receipt.name,
            "trust-file": self._stack.trust_path.name,
        }
        for source in (document.path, document.receipt, sheet_of(document.receipt), self._stack.trust_path):
            shutil.copy(source, self._court / source.name)
        self.say("court", how=_TEXTS[isolation.name].choose(self._lang))
        report = self._isolated(isolation, names)
        self._require(report["result"] == "VALID", "NotValid", f"the court's result is {report['result']}")
        custody = next(one for one in report["verdicts"] if one["name"] == "custody")
        self._require(custody["status"] == "PASS", "NotValid", f"the court's custody is {custody['code']}")
        self.say("verdict", file=names["file"], result=report["result"])
        self.say("certificate", path=self._certificate(isolation, names))
        self.say("tamper")
        for what, name in names.items():
            path = self._court / name
            kept = path.read_bytes()
            path.write_bytes(changed(kept))
            report = self._isolated(isolation, names)
            path.write_bytes(kept)
            self._require(
                report["result"] == "INVALID" and report["changed"] == what,
                "TamperingUnnamed",
                f"a changed {what} gave {report['result']}, {report['changed']}",
            )
            code = next(v["code"] for v in report["verdicts"] if v["status"] == "FAIL")
            label = _TEXTS[what].choose(self._lang)
            self.say("named", what=label, result=report["result"], code=code)

    def _certificate(self, isolation: Isolation, names: dict[str, str]) -> Path:
        """What the court files, made without a network as well."""
        made = isolation.run(
            [
                "certificate", names["receipt"], "--file", names["file"], "--trust", names["trust-file"],
                "--out", "certificate", "--lang", self._lang,
            ],
            self._court,
        )  # fmt: skip
        pages = sorted((self._court / "certificate").glob("*.pdf"))
        self._require(made.code == 0 and len(pages) == 1, "NoCertificate", f"ended with {made.code}")
        return pages[0]

    def _isolated(self, isolation: Isolation, names: dict[str, str]) -> dict[str, Any]:
        finished = isolation.run(
            ["verify", names["receipt"], names["file"], "--trust", names["trust-file"], "--json"], self._court
        )
        report: dict[str, Any] = _json(finished.output)
        self._require(
            finished.code == report.get("exitCode"), "NoAnswer", f"the verifier ended with {finished.code}"
        )
        return report

    # helpers

    def _caseledger(self, *arguments: str, failing: bool = False, ends: int = 0) -> Any:
        """An organisation's agent as it runs it, a command of its own that ends with `ends`.

        `failing`: it must be refused, and the refusal is the answer.
        """
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "cli.main", *arguments, "--home", str(self._stack.home), "--json"],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode != ends:
            refused = _json(done.stderr)
            if failing:
                return refused
            code, detail = refused.get("code", done.returncode), refused.get("detail", "")
            raise DemoFailed(f"{' '.join(arguments[:2])}: {code} {detail}", hint=refused.get("hint"))
        self._require(not failing, "NotRefused", " ".join(arguments[:2]))
        return _json(done.stdout)

    @staticmethod
    def _require(condition: bool, code: str, detail: str) -> None:
        if not condition:
            raise DemoFailed(f"{code}: {detail}")


def sheet_of(receipt: Path) -> Path:
    """Where the custody sheet lies beside a receipt."""
    return receipt.with_name(receipt.name.removesuffix(".clr") + ".clc")


def changed(data: bytes) -> bytes:
    """The same bytes with one bit turned, three quarters in."""
    at = len(data) * 3 // 4
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}
