"""`caseledger case triage|track|decisions`: the table proposes, people confirm, the ledger records."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from cli import case_agent
from cli.case_triage_texts import TEXTS
from protocol.errors import CaseledgerError
from protocol.i18n import Language, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from agent.profile import Profile
    from cases.triage_plan import CaseAt, Override, Plan
    from cli.case_triage_desk import GatewayDesk
    from cli.case_triage_run import Done

VERBS = ("triage", "track", "decisions")
EXIT_OK = 0
EXIT_LEFT = 3
"""Some cases wait for a person, or were not carried out."""


def add_verbs(verbs: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs under `case`."""

    def verb(name: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=_words(name), description=_words(name))
        one.add_argument("--home", metavar="DIR", help=_words("home"))
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
        one.add_argument("--json", action="store_true", help=_words("json"))
        one.add_argument("--organisation", type=int, metavar="N", help=_words("organisation"))
        one.add_argument("--hpke-key", metavar="NAME", help=_words("hpke-key"))
        case_agent.add_arguments(one)
        return one

    one = verb("triage")
    one.add_argument("cases", nargs="*", metavar="CASE", help=_words("cases"))
    one.add_argument("--batch", metavar="ROOT", help=_words("batch"))
    mode = one.add_mutually_exclusive_group()
    mode.add_argument("--confirm", action="store_true", help=_words("confirm"))
    mode.add_argument("--preview", action="store_true", help=_words("preview"))
    one.add_argument("--officer", metavar="NAME", help=_words("officer"))
    one.add_argument("--looked", action="append", default=[], metavar="CASE", help=_words("looked"))
    one.add_argument(
        "--override",
        action="append",
        nargs=2,
        default=[],
        metavar=("CASE", "OUTCOME"),
        help=_words("override"),
    )
    one.add_argument("--reason", metavar="TEXT", help=_words("reason"))

    one = verb("track")
    one.add_argument("case", metavar="CASE", help=_words("case"))
    one.add_argument("--wage", type=int, metavar="YUAN", help=_words("wage"))
    one.add_argument("--wage-year", type=int, metavar="YEAR", help=_words("wage-year"))
    one.add_argument("--province", default="", metavar="NAME", help=_words("province"))
    one.add_argument("--filed", metavar="DATE", help=_words("filed"))
    one.add_argument("--state", action="append", default=[], metavar="NAME=VALUE", help=_words("state"))

    verb("decisions").add_argument("case", metavar="CASE", help=_words("case"))


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    with ExitStack() as stack:
        command = _Command.open(args, stack)
        return {"triage": command.triage, "track": command.track, "decisions": command.decisions}[args.verb]()


def _words(name: str) -> str:
    return TEXTS[name].choose(language())


@dataclass
class _Command:
    args: argparse.Namespace
    lang: Language
    organisation: int
    profile: Profile
    desk: GatewayDesk
    unread: list[tuple[bytes, str]] = field(default_factory=list)

    @classmethod
    def open(cls, args: argparse.Namespace, stack: ExitStack) -> _Command:
        from agent.intake.party import organisation_of
        from agent.profile import home_of, hpke_key
        from cli.case_triage_desk import GatewayDesk, Party

        home = home_of(args.home)
        organisation = organisation_of(home, args.organisation)
        link = stack.enter_context(case_agent.connected(args, home, organisation))
        key = hpke_key(home, args.hpke_key, organisation)
        party = Party(home, organisation, key.private, key.public_key)
        desk = GatewayDesk(link.client, party, patience=link.patience)
        return cls(args, language(getattr(args, "lang", None)), organisation, link.profile, desk)

    # Triage

    def triage(self) -> int:
        from cases.triage_plan import State, plan

        overrides = self._overrides()
        cases = self._cases(overrides)
        known = {
            "on": _today(),
            "organisation": self.organisation,
            "officer": self.args.officer,
            "overrides": overrides,
        }
        plans = plan(cases, confirmed=frozenset(map(_case_id, self.args.looked)), **known)
        if not self.args.json:
            self._show(plans)
        if not self.args.preview and (self.args.confirm or self._asks):
            plans = plan(cases, confirmed=frozenset(self._looked_at(plans)), **known)
        ready = [one for one in plans if one.state in (State.PROPOSED, State.RECORDED)]
        results: list[tuple[Plan, Done | CaseledgerError]] = []
        if ready and self._confirmed(len(ready)):
            results = self._carry_out(ready)
        left = sum(one.state is State.WAITS for one in plans)
        if self.args.json:
            print(json.dumps(self._document(plans, results), ensure_ascii=False))
        elif left:
            self._print("waiting", n=left)
        failed = any(isinstance(done, CaseledgerError) for _, done in results)
        return EXIT_LEFT if left or failed or self.unread or (ready and not results) else EXIT_OK

    @property
    def _asks(self) -> bool:
        """Whether a person sits there to be asked."""
        return not self.args.json and not self.args.preview and sys.stdin.isatty()

    def _overrides(self) -> dict[bytes, Override]:
        from agent.errors import ArgumentRefused
        from cases.triage import NEWEST
        from cases.triage_plan import Override

        found = {}
        for case, name in self.args.override:
            if name not in NEWEST.by_name:
                raise ArgumentRefused(
                    f"{name} is no outcome", field="--override", hint=", ".join(sorted(NEWEST.by_name))
                )
            if not self.args.reason or not self.args.officer:
                raise ArgumentRefused(
                    "an override needs --reason and --officer", field="--override",
                    hint="--officer NAME --reason TEXT",
                )  # fmt: skip
            found[_case_id(case)] = Override(NEWEST.by_name[name], self.args.reason)
        return found

    def _cases(self, overrides: dict[bytes, Override]) -> list[CaseAt]:
        """What can be opened of the cases that were named, or of all that wait."""
        from cases.triage_plan import OPEN_STAGES

        wanted = [*map(_case_id, self.args.cases), *overrides, *map(_case_id, self.args.looked)]
        if not self.args.cases and (self.args.batch or not wanted):
            root = None if self.args.batch is None else _case_id(self.args.batch, "batch")
            wanted += self.desk.cases(root, OPEN_STAGES)
        found = []
        for case_id in dict.fromkeys(wanted):
            try:
                found.append(self.desk.look(case_id))
            except CaseledgerError as error:
                if case_id in overrides or len(wanted) == 1:
                    raise
                # A batch that was not sealed to this organisation must not keep the others from being done.
                self.unread.append((case_id, error.code))
        return found

    def _looked_at(self, plans: Sequence[Plan]) -> list[bytes]:
        """Cases that the person at the desk confirms one by one: named before, or asked now."""
        from cases.triage_plan import State

        looked = list(map(_case_id, self.args.looked))
        if self.args.officer is None or not self._asks:
            return looked
        for one in plans:
            if one.state is State.WAITS and one.at.case_id not in looked:
                words = TEXTS["look"].format(
                    self.lang, case=_short(one.at.case_id), why=one.proposal.explain(self.lang),
                    officer=self.args.officer,
                )  # fmt: skip
                if _yes(words):
                    looked.append(one.at.case_id)
        return looked

    def _confirmed(self, count: int) -> bool:
        if self.args.preview:
            return False
        if self.args.confirm:
            return True
        if self._asks and _yes(TEXTS["ask"].format(self.lang, n=count)):
            return True
        if not self.args.json:
            self._print("not-done")
        return False

    def _carry_out(self, ready: Sequence[Plan]) -> list[tuple[Plan, Done | CaseledgerError]]:
        from chain import case_record
        from cli.case_triage_run import Runner

        self.desk.may_send(self.profile.act_key, case_record.load(self.profile.home).contracts)
        runner = Runner(self.desk, self.organisation, self.desk.recipients, time.time)
        results: list[tuple[Plan, Done | CaseledgerError]] = []
        for one in ready:
            try:
                done: Done | CaseledgerError = runner.carry_out(one)
            except CaseledgerError as error:
                done = error
            results.append((one, done))
            if not self.args.json:
                self._tell(one, done)
        return results

    # What is shown

    def _show(self, plans: Sequence[Plan]) -> None:
        from cases.triage import NEWEST
        from cases.triage_plan import State, counts

        for case_id, code in self.unread:
            self._print("unread", case=_short(case_id), code=code)
        if not plans:
            self._print("none")
            return
        self._print("head", version=NEWEST.version, digest=NEWEST.digest.hex()[:12], n=len(plans))
        for name, of in sorted(counts(plans).items()):
            self._print(
                "count",
                outcome=NEWEST.by_name[name].label.choose(self.lang),
                rest=of.get("done", 0) + of.get("closed", 0),
                **{one: of.get(one, 0) for one in ("all", "proposed", "waits", "recorded")},
            )
        for plan in plans:
            why = plan.proposal.explain(self.lang)
            if plan.reason is not None and plan.state is not State.RECORDED:
                proposed = plan.proposal.outcome.label.choose(self.lang)
                why += TEXTS["instead"].format(self.lang, outcome=proposed, reason=plan.reason)
            self._print(
                "line", case=_short(plan.at.case_id), outcome=plan.outcome.label.choose(self.lang),
                state=TEXTS[str(plan.state)].choose(self.lang), why=why,
            )  # fmt: skip

    def _tell(self, plan: Plan, done: Done | CaseledgerError) -> None:
        case = _short(plan.at.case_id)
        if isinstance(done, CaseledgerError):
            self._print("failed", case=case, code=done.code, detail=done.detail)
            return
        steps = "、".join(step.label.choose(self.lang) for step in plan.steps)
        self._print(
            "moved",
            case=case,
            steps=steps or TEXTS["stays"].choose(self.lang),
            commitment=_short(done.commitment),
        )

    def _document(
        self, plans: Sequence[Plan], results: Sequence[tuple[Plan, Done | CaseledgerError]]
    ) -> dict[str, Any]:
        from cases.triage import NEWEST
        from cases.triage_plan import counts

        return {
            "table": {"version": NEWEST.version, "digest": NEWEST.digest.hex()},
            "counts": counts(plans),
            "cases": [_planned(one) for one in plans],
            "done": [_done(one, done) for one, done in results],
            "unread": [{"caseId": case_id.hex(), "code": code} for case_id, code in self.unread],
        }

    # Track

    def track(self) -> int:
        from agent.errors import ArgumentRefused
        from cases.tracks import NEWEST, Wage, advise

        case = self.desk.look(_case_id(self.args.case))
        if (self.args.wage is None) != (self.args.wage_year is None):
            raise ArgumentRefused("--wage and --wage-year go together", field="--wage")
        wage = None
        if self.args.wage is not None:
            wage = Wage(self.args.province or "—", self.args.wage_year, self.args.wage)
        stated = {}
        for one in self.args.state:
            name, _, value = one.partition("=")
            place = NEWEST.places.get(name)
            codes = {} if place is None else {v.name: v.code for v in NEWEST.inputs[place].values}
            if value not in codes:
                raise ArgumentRefused(
                    f"{one} is not NAME=VALUE of the table", field="--state", hint="docs/triage.md"
                )
            stated[name] = codes[value]
        filed = _today() if self.args.filed is None else _date(self.args.filed)
        advice = advise(case.row, filed=filed, wage=wage, stated=stated)
        decision = advice.decision
        if self.args.json:
            print(json.dumps({
                "caseId": case.case_id.hex(), "track": decision.outcome.name, "rule": decision.rule.name,
                "article": decision.rule.article, "open": list(decision.open_questions()),
                "table": {"version": decision.table.version, "digest": decision.table.digest.hex()},
                "explanation": {"zh": advice.explain("zh"), "en": advice.explain("en")},
            }, ensure_ascii=False))  # fmt: skip
        else:
            print(advice.explain(self.lang))
            self._plain(decision.outcome.plain.choose(self.lang), decision.outcome.human.choose(self.lang))
        return EXIT_OK

    # Decisions

    def decisions(self) -> int:
        from cases.decisions import reproduce

        known, _ = self.desk.decisions(_case_id(self.args.case))
        if self.args.json:
            print(
                json.dumps(
                    {"items": [_record(one.commitment, one.record) for one in known]}, ensure_ascii=False
                )
            )
            return EXIT_OK
        for number, one in enumerate(known, start=1):
            record = one.record
            try:
                proposal, outcome = reproduce(record)
            except CaseledgerError as error:
                self._print("not-reproduced", code=error.code)
                continue
            instead = ""
            if record.reason is not None:
                proposed = proposal.outcome.label.choose(self.lang)
                instead = TEXTS["instead"].format(self.lang, outcome=proposed, reason=record.reason)
            self._print(
                "decision", n=number, time=f"{_local(record.time):%Y-%m-%d %H:%M} UTC+8",
                organisation=record.organisation, officer=f" {record.officer}" if record.officer else "",
                outcome=outcome.label.choose(self.lang), instead=instead, why=proposal.explain(self.lang),
            )  # fmt: skip
            if one is known[-1]:
                self._plain(outcome.plain.choose(self.lang), outcome.human.choose(self.lang))
        return EXIT_OK

    def _plain(self, plain: str, human: str) -> None:
        self._print("tell", plain=plain, human=human)

    def _print(self, name: str, **values: object) -> None:
        print(TEXTS[name].format(self.lang, **values))


def _planned(plan: Plan) -> dict[str, Any]:
    """Nothing of the row but the table's own bands goes into it."""
    return {
        "caseId": plan.at.case_id.hex(),
        "state": str(plan.state),
        "proposed": plan.proposal.outcome.name,
        "outcome": plan.outcome.name,
        "rule": plan.proposal.rule.name,
        "article": plan.proposal.rule.article,
        "confirm": plan.proposal.confirm.name.lower(),
        "open": list(plan.proposal.open_questions()),
        "steps": [step.name for step in plan.steps],
        "explanation": {"zh": plan.proposal.explain("zh"), "en": plan.proposal.explain("en")},
        "plain": {"zh": plan.outcome.plain.zh, "en": plan.outcome.plain.en},
        "human": {"zh": plan.outcome.human.zh, "en": plan.outcome.human.en},
    }


def _done(plan: Plan, done: Done | CaseledgerError) -> dict[str, Any]:
    found: dict[str, Any] = {"caseId": plan.at.case_id.hex()}
    if isinstance(done, CaseledgerError):
        return found | {"error": done.code, "detail": done.detail}
    return found | {
        "decision": done.commitment.hex(), "steps": list(done.steps), "version": done.version,
    }  # fmt: skip


def _record(commitment: bytes, record: Any) -> dict[str, Any]:
    from dataclasses import asdict

    values = {
        name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(record).items()
    }
    return {"commitment": commitment.hex(), **values}


def _case_id(text: str, name: str = "case") -> bytes:
    from protocol.identifiers import parse_hex32

    return parse_hex32(text, name)


def _short(value: bytes) -> str:
    return value.hex()[:12]


def _today() -> date:
    return _local(int(time.time())).date()


def _local(seconds: int) -> datetime:
    from cases.calendar import local

    return local(seconds)


def _date(text: str) -> date:
    from agent.errors import ArgumentRefused

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentRefused("YYYY-MM-DD is expected", field="--filed") from None


def _yes(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes", "是")
    except EOFError:
        return False
