"""`caseledger case move` and its kin: an organisation's acts on a case, signed with its own key.

Through a gateway, which adds proofs and pays, or with `--direct` through a node of one's own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.case_act_texts import TEXTS
from protocol.errors import CaseledgerError
from protocol.i18n import Language, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from agent.keys import Secp256k1Key
    from agent.profile import Profile
    from cases.act_documents import CaseDocument
    from chain.case_contracts import CaseContracts
    from cli.case_ways import Found, Way
    from protocol.case_acts import CaseAct

VERBS = ("move", "pause", "resume", "reverse", "cosign", "lapse", "mark-overdue", "steps")
EXIT_OK = 0
EXIT_FAILED = 1
EXIT_PENDING = 3
"""Not in a block yet, or waiting for the second organisation."""
VALID, VALID_WAITING = 600, 7 * 86_400
MAX_FILE = 1 << 20


class NameUnknown(CaseledgerError):
    """A step, pause or reason that the case's lifecycle does not have; the hint lists what it has."""

    title = "unknown name"


def add_verbs(verbs: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs under `case`."""
    lang = language()

    def words(name: str) -> str:
        return TEXTS[name].choose(lang)

    def verb(
        name: str, *, signs: bool = True, sends: bool = True, case: bool = True
    ) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=words(name), description=words(name))
        one.add_argument("--home", default=None, metavar="DIR")
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
        one.add_argument("--json", action="store_true")
        one.add_argument("--gateway", action="append", metavar="URL")
        one.add_argument("--key", metavar="NAME", help=words("key"))
        one.add_argument("--trust", type=Path, metavar="FILE")
        one.add_argument("--direct", action="store_true", help=words("direct"))
        one.add_argument("--rpc", action="append", default=[], metavar="URL", help=words("rpc"))
        one.add_argument("--batch", type=Path, metavar="FILE", help=words("batch"))
        one.set_defaults(co=0, co_key=None, evidence=[], sign_only=None, dry_run=False)
        if case:
            one.add_argument("case", metavar="CASE", help=words("case"))
        if sends:
            one.add_argument("--relayer", type=Path, metavar="KEY", help=words("relayer"))
            one.add_argument("--no-wait", action="store_true", help=words("no-wait"))
            one.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help=words("timeout"))
            one.add_argument("--dry-run", action="store_true", help=words("dry-run"))
        if signs:
            one.add_argument("--valid", type=int, metavar="SECONDS", help=words("valid"))
            one.add_argument("--note", default="00" * 32, metavar="HEX", help=words("note"))
            one.add_argument("--sign-only", type=Path, metavar="FILE", help=words("sign-only"))
        return one

    def second(one: argparse.ArgumentParser, required: bool) -> None:
        one.add_argument("--co", type=int, default=0, required=required, metavar="ORG", help=words("co"))
        one.add_argument("--co-key", metavar="NAME", help=words("co-key"))

    move = verb("move")
    move.add_argument("transition", metavar="TRANSITION", help=words("transition"))
    move.add_argument("--reason", metavar="NAME", help=words("reason"))
    move.add_argument("--evidence", nargs="+", default=[], metavar="ID", help=words("evidence"))
    second(move, required=False)
    for name in ("pause", "resume"):
        verb(name).add_argument("kind", metavar="KIND", help=words("kind"))
    second(verb("reverse"), required=True)
    verb("cosign", signs=False, case=False).add_argument("act", nargs="?", metavar="ACT", help=words("act"))
    verb("lapse", signs=False).add_argument("transition", metavar="TRANSITION", help=words("transition"))
    verb("mark-overdue", signs=False)
    verb("steps", signs=False, sends=False)


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    with ExitStack() as stack:
        command = _Command.open(args, stack)
        verbs: dict[str, Callable[[], int]] = {
            "cosign": command.cosign,
            "steps": command.steps,
            "lapse": command.by_time,
            "mark-overdue": command.by_time,
        }
        return verbs.get(args.verb, command.act)()


@dataclass
class _Command:
    args: argparse.Namespace
    lang: Language
    profile: Profile
    contracts: CaseContracts
    way: Way

    @classmethod
    def open(cls, args: argparse.Namespace, stack: ExitStack) -> _Command:
        from agent.profile import home_of, load_profile
        from chain import case_record
        from chain.deployment import load
        from cli.case_ways import Direct, ThroughGateway

        profile = load_profile(home_of(args.home), key=args.key, trust=args.trust, gateways=args.gateway)
        contracts = case_record.load(profile.home).contracts
        way: Way
        if args.direct:
            relayer = getattr(args, "relayer", None) or profile.home / "keys" / "relayer.json"
            rpc = tuple(args.rpc) or profile.rpc
            way = Direct(load(profile.home), contracts, rpc, relayer, args.batch)
        else:
            way = ThroughGateway(_gateway(profile, stack))
        return cls(args, language(getattr(args, "lang", None)), profile, contracts, way)

    # Verbs

    def act(self) -> int:
        from chain.case_acts import SignedCaseAct, document, sign

        case_id = self._case_id(self.args.case)
        evidence = self.way.evidence(self.args.evidence)
        act = self._request(case_id, self.way.find(case_id), evidence)
        if self.args.dry_run and not self.args.direct:
            # Without a signature: asking must not give a gateway an act that counts.
            return self._foretell(self.way.check(case_id, document(SignedCaseAct(act, b"", b"", evidence))))
        mine = sign(act, self.contracts, self.profile.act_key)
        other = sign(act, self.contracts, self._co_key()) if self.args.co_key else b""
        body = document(SignedCaseAct(act, mine, other, evidence))
        if self.args.sign_only is not None:
            self.args.sign_only.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
            self._say({"signed": str(self.args.sign_only)}, "signed", path=self.args.sign_only)
            return EXIT_OK
        return self._hand_in(case_id, body)

    def by_time(self) -> int:
        from cases.act_documents import TimeAct, time_document

        case_id = self._case_id(self.args.case)
        found = self.way.find(case_id)
        name = getattr(self.args, "transition", None)
        number = 0 if name is None else _named(found.life.transitions, name, "transition").id
        return self._hand_in(case_id, time_document(TimeAct(case_id, found.version, number)))

    def steps(self) -> int:
        found = self.way.find(self._case_id(self.args.case))
        if self.args.json:
            print(json.dumps({"case": found.case, "steps": list(found.steps)}, ensure_ascii=False))
            return EXIT_OK
        self._print("stands", stage=found.case["label"][self.lang], version=found.version)
        self._tell_deadline(found.case)
        for step in found.steps:
            more = "".join(
                TEXTS[text].format(self.lang, names=", ".join(names))
                for text, names in (
                    ("co-signed", ["x"] if step["coSigned"] else []),
                    ("by-time", ["x"] if step["lapse"] else []),
                    ("with-reasons", step["reasons"]),
                    ("with-evidence", ["/".join(classes) for classes in step["evidence"]]),
                )
                if names
            )
            self._print("step", name=step["name"], label=step["label"][self.lang], more=more)
        return EXIT_OK

    def cosign(self) -> int:
        if self.args.act is None:
            return self._list(self.way.waiting())
        body = self._to_cosign(self.args.act)
        from cases.act_documents import TimeAct, parse
        from chain.case_acts import document, sign

        given = parse(body)
        if isinstance(given.act, TimeAct) or given.organisations[1] != self.profile.organisation:
            raise NameUnknown(
                f"the act does not name organisation {self.profile.organisation} as the second", field="ACT"
            )
        if self.args.dry_run:
            bare = {**body, "signature": ""}
            return self._foretell(self.way.check(given.case_id, bare if not self.args.direct else body))
        signed = given.act
        if not Path(self.args.act).is_file() and given.digest(self.contracts).hex() != self.args.act:
            raise NameUnknown("the gateway shows another act than the one that was named", field="ACT")
        if not self.args.json:
            what, first = self._what(given), given.organisations[0]
            self._print("signing", what=what, case=given.case_id.hex(), first=first)
        mine = sign(signed.act, self.contracts, self.profile.act_key)
        return self._hand_in(given.case_id, {**document(signed), "coSignature": mine.hex()})

    # Parts

    def _request(self, case_id: bytes, found: Found, evidence: tuple[bytes, ...]) -> CaseAct:
        from chain.case_acts import evidence_digest
        from protocol.case_acts import Move, Pause, Resume, Reverse
        from protocol.identifiers import parse_hex32

        args, life, org = self.args, found.life, self.profile.organisation
        note = parse_hex32(args.note, "note")
        waits = args.co and not args.co_key
        until = int(time.time()) + (args.valid or (VALID_WAITING if waits else VALID))
        if args.verb == "reverse":
            return Reverse(case_id, found.version, org, args.co, note, until)
        if args.verb in ("pause", "resume"):
            kind = _named(life.holds, args.kind, "kind").code
            act = Pause if args.verb == "pause" else Resume
            return act(case_id, found.version, org, kind, note, until)
        step = _named(life.transitions, args.transition, "transition")
        reason = 0
        if args.reason is not None:
            reason = _named({r.code: r for r in step.reasons}, args.reason, "reason").code
        return Move(
            case_id, found.version, step.id, org, args.co, reason, evidence_digest(evidence), bytes(32), note,
            until,
        )  # fmt: skip

    def _hand_in(self, case_id: bytes, body: dict[str, Any]) -> int:
        if self.args.dry_run:
            return self._foretell(self.way.check(case_id, body))
        state = self.way.send(case_id, body, 0.0 if self.args.no_wait else self.args.timeout)
        if self.args.json:
            print(json.dumps(state, ensure_ascii=False))
        elif state["state"] == "waiting":
            until = _moment(state["expiresAt"])
            self._print("waiting", co=state["coOrganisation"], id=state["id"], until=until)
        elif state["state"] == "mined":
            self._tell_mined(state)
        elif state["code"] is not None:
            rule = state.get("rule") or {}
            print(f"{state['code']}: {rule.get('text', {}).get(self.lang, '')}")
        else:
            self._print("pending", id=state["id"])
        return {
            "mined": EXIT_OK,
            "reverted": EXIT_FAILED,
            "failed": EXIT_FAILED,
            "vanished": EXIT_FAILED,
        }.get(state["state"], EXIT_PENDING)

    def _foretell(self, answer: dict[str, Any]) -> int:
        if self.args.json:
            print(json.dumps(answer, ensure_ascii=False))
            return EXIT_OK
        case = answer.get("case")
        if case is None:
            self._print("would-unknown")
            return EXIT_OK
        self._print("would", stage=case["label"][self.lang])
        self._tell_deadline(case)
        return EXIT_OK

    def _tell_mined(self, state: dict[str, Any]) -> None:
        case = state["case"]
        if case is None:
            print(state["transaction"])
            return
        self._print(
            "done", block=state["blockNumber"], stage=case["label"][self.lang], version=case["version"]
        )
        self._tell_deadline(case)

    def _tell_deadline(self, case: dict[str, Any]) -> None:
        why = case["explanation"][self.lang]
        if case["deadline"] is None:
            self._print("no-deadline", why=why)
            return
        self._print("deadline", deadline=_moment(case["deadline"]), why=why)

    def _list(self, items: list[dict[str, Any]]) -> int:
        if self.args.json:
            print(json.dumps({"items": items}, ensure_ascii=False))
            return EXIT_OK
        for one in items:
            until = _moment(one["expiresAt"])
            line = TEXTS["listed"].format(
                self.lang, id=one["id"], act=one["act"], case=one["caseId"], first=one["organisation"],
                second=one["coOrganisation"], until=until,
            )  # fmt: skip
            mine = one["organisation"] == self.profile.organisation
            print(line + (TEXTS["mine"].choose(self.lang) if mine else ""))
        if not items:
            self._print("none")
        return EXIT_OK

    def _to_cosign(self, act: str) -> dict[str, Any]:
        """The act's document: from a file, or from the gateway where it waits."""
        if Path(act).is_file():
            from protocol.expect import json_value

            with Path(act).open("rb") as source:
                value = json_value(source.read(MAX_FILE + 1), "act", max_bytes=MAX_FILE)
            if isinstance(value, dict):
                return value
        else:
            for one in self.way.waiting():
                if one["id"] == act:
                    found: dict[str, Any] = one["document"]
                    return found
        raise NameUnknown("no such act waits for this organisation", field="ACT")

    def _what(self, given: CaseDocument) -> str:
        """The act as words, from the document alone."""
        from cases.act_documents import TimeAct
        from protocol.case_acts import Move

        if isinstance(given.act, TimeAct) or not isinstance(given.act.act, Move):
            return given.name
        found = self.way.find(given.case_id)
        step = found.life.transitions.get(given.act.act.transition)
        return "?" if step is None else f"{step.name}: {step.label.choose(self.lang)}"

    def _case_id(self, text: str) -> bytes:
        from protocol.identifiers import parse_hex32

        return parse_hex32(text, "case")

    def _co_key(self) -> Secp256k1Key:
        from agent.keys import key_path, load_secp256k1

        return load_secp256k1(key_path(self.profile.home / "keys", self.args.co_key))

    def _say(self, value: dict[str, Any], text: str, **values: object) -> None:
        print(json.dumps(value) if self.args.json else TEXTS[text].format(self.lang, **values))

    def _print(self, text: str, **values: object) -> None:
        print(TEXTS[text].format(self.lang, **values))


def _gateway(profile: Profile, stack: ExitStack) -> Any:
    from agent.client import GatewayClient
    from agent.errors import GatewayUnreachable
    from agent.login import LoginTokens

    if not profile.gateways:
        raise GatewayUnreachable(
            "no gateway is configured", field="gateway",
            hint="--gateway URL, `gateways` in table [agent] of caseledger.toml, or --direct",
        )  # fmt: skip
    tokens = None
    if profile.auth_key is not None:
        tokens = LoginTokens(profile.auth_key, profile.organisation, profile.login_domain(), time.time)
    return stack.enter_context(GatewayClient(profile.gateways[0], tokens=tokens))


def _moment(time: int) -> str:
    """The wall clock in Shanghai."""
    from cases.calendar import local

    return f"{local(time):%Y-%m-%d %H:%M:%S} UTC+8"


def _named(entries: Any, name: str, field: str) -> Any:
    """The entry of this name. Raises NameUnknown."""
    for entry in entries.values():
        if entry.name == name:
            return entry
    names = ", ".join(sorted(entry.name for entry in entries.values()))
    raise NameUnknown(f"{field} {name!r}", field=field, hint=names or "none")
