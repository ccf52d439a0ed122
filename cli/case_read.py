"""`caseledger case list`, `show`, `timeline`, `deadlines`, `code`: cases as an organisation may read them."""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.case_read_texts import TEXTS, case_lines, table, timeline_lines
from protocol.errors import CaseledgerError
from protocol.i18n import Language, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from agent.client import GatewayClient

VERBS = ("list", "show", "timeline", "deadlines", "code")
EXIT_OK = 0
_SHORTEST = 8
_CASE = re.compile(r"[0-9a-f]{8,64}")


class CaseNameAmbiguous(CaseledgerError):
    """The beginning of a case id that several cases have, or none."""

    title = "which case is not clear"


def add_verbs(verbs: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs."""
    lang = language()

    def words(name: str) -> str:
        return TEXTS[name].choose(lang)

    for name in VERBS:
        one = verbs.add_parser(name, help=words(name), description=words(name))
        one.add_argument("--home", default=None, metavar="DIR")
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
        one.add_argument("--gateway", action="append", metavar="URL")
        one.add_argument("--key", metavar="NAME", help="act key under <home>/keys")
        one.add_argument("--trust", type=Path, metavar="FILE")
        one.add_argument("--json", action="store_true")
        if name in ("show", "timeline", "code"):
            one.add_argument("case", metavar="CASE", help="case id, or its first 8 digits and more")
        if name in ("list", "deadlines"):
            _add_filters(one)
        if name == "list":
            one.add_argument("--sort", choices=["case", "deadline"])
        if name == "deadlines":
            one.add_argument("--within", type=int, metavar="DAYS", help=words("within"))
            one.add_argument("--ics", type=Path, metavar="FILE", help=words("ics"))
        if name == "code":
            one.add_argument("--days", type=int, default=90, metavar="N", help=words("days"))
            one.add_argument("--revoke", action="store_true", help=words("revoke"))


def _add_filters(one: argparse.ArgumentParser) -> None:
    lang = language()
    one.add_argument("--stage", action="append", default=[], metavar="NAME", help=TEXTS["stage"].choose(lang))
    one.add_argument("--product", metavar="NAME")
    one.add_argument("--owner", type=int, metavar="ORG")
    one.add_argument("--court", type=int, metavar="ORG")
    one.add_argument("--batch", metavar="ROOT")
    one.add_argument("--overdue", action="store_true")
    one.add_argument("--paused", action="store_true")
    one.add_argument("--provisional", action="store_true")
    one.add_argument("--due-before", type=int, metavar="SECONDS")
    one.add_argument("--due-from", type=int, metavar="SECONDS")
    one.add_argument("--limit", type=int, default=50, metavar="N")
    one.add_argument("--cursor", metavar="CURSOR")
    one.add_argument("--all", action="store_true", help=TEXTS["all"].choose(lang))


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    lang = language(getattr(args, "lang", None))
    with connected(args) as client:
        verbs = {"list": _list, "show": _show, "timeline": _timeline, "deadlines": _deadlines, "code": _code}
        return verbs[args.verb](args, client, lang)


@contextmanager
def connected(args: argparse.Namespace) -> Iterator[GatewayClient]:
    """The first gateway of the organisation whose agent this home is, logged in."""
    from agent.client import GatewayClient
    from agent.errors import ArgumentRefused, KeyNotFound
    from agent.login import LoginTokens
    from agent.profile import home_of, load_profile

    profile = load_profile(home_of(args.home), key=args.key, trust=args.trust, gateways=args.gateway)
    if profile.auth_key is None:
        raise KeyNotFound("no auth key of this organisation", field="key", hint="caseledger keys list")
    if not profile.gateways:
        raise ArgumentRefused("no gateway is known", field="gateway", hint="--gateway URL")
    tokens = LoginTokens(profile.auth_key, profile.organisation, profile.login_domain(), time.time)
    with GatewayClient(profile.gateways[0], tokens=tokens) as client:
        yield client


def _filters(args: argparse.Namespace) -> dict[str, str]:
    found: dict[str, str] = {}
    if args.stage:
        found["stage"] = ",".join(args.stage)
    names = {
        "product": "product", "owner": "owner", "court": "court", "batch": "batch",
        "due_before": "dueBefore", "due_from": "dueFrom", "sort": "sort", "within": "within",
    }  # fmt: skip
    for name, parameter in names.items():
        value = getattr(args, name, None)
        if value is not None:
            found[parameter] = str(value)
    return found | {name: "true" for name in ("overdue", "paused", "provisional") if getattr(args, name)}


def _pages(
    args: argparse.Namespace, client: GatewayClient, path: str
) -> tuple[list[dict[str, Any]], str | None]:
    """Items, and where to go on; with `--all` everything."""
    items: list[dict[str, Any]] = []
    cursor = args.cursor
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        limit = 1000 if args.all else args.limit
        page = client.read_cases(path, _filters(args) | {"limit": str(limit)} | more)
        items += page["items"]
        cursor = page["next"]
        # A page may be short, even empty, where filters are narrow; `next` alone says whether there is more.
        if cursor is None or (not args.all and (items or path != "cases")):
            return items, cursor


def _list(args: argparse.Namespace, client: GatewayClient, lang: Language, path: str = "cases") -> int:
    items, cursor = _pages(args, client, path)
    if args.json:
        print(json.dumps({"items": items, "next": cursor}, ensure_ascii=False))
        return EXIT_OK
    if not items:
        print(TEXTS["none"].choose(lang))
    for line in table(items, lang) if items else ():
        print(line)
    if any(item["provisional"] for item in items):
        print(TEXTS["note"].choose(lang))
    if cursor is not None:
        print(TEXTS["more"].format(lang, next=cursor))
    return EXIT_OK


def _deadlines(args: argparse.Namespace, client: GatewayClient, lang: Language) -> int:
    if args.ics is None:
        return _list(args, client, lang, "deadlines")
    data = client.read_case_file("deadlines.ics", _filters(args))
    _write(args.ics, data)
    if not args.json:
        print(TEXTS["written"].format(lang, path=args.ics))
    return EXIT_OK


def _show(args: argparse.Namespace, client: GatewayClient, lang: Language) -> int:
    found = client.read_cases(f"cases/{case_id_of(client, args.case)}")
    return _print(args, found, case_lines(found, lang))


def _timeline(args: argparse.Namespace, client: GatewayClient, lang: Language) -> int:
    found = client.read_cases(f"cases/{case_id_of(client, args.case)}/timeline")
    return _print(args, found, timeline_lines(found, lang))


def _code(args: argparse.Namespace, client: GatewayClient, lang: Language) -> int:
    from cases.words import moment

    case_id = case_id_of(client, args.case)
    if args.revoke:
        client.revoke_case_code(case_id)
        return _print(args, {"revoked": True}, iter([TEXTS["revoked"].choose(lang)]))
    issued = client.issue_case_code(case_id, args.days)
    until = moment(int(issued["expiresAt"]))
    return _print(args, issued, iter([TEXTS["issued"].format(lang, code=issued["code"], until=until)]))


def _print(args: argparse.Namespace, found: dict[str, Any], lines: Iterator[str]) -> int:
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
        return EXIT_OK
    for line in lines:
        print(line)
    return EXIT_OK


def case_id_of(client: GatewayClient, given: str) -> str:
    """A whole case id, or the one visible case that begins so.

    Raises:
        CaseNameAmbiguous
    """
    text = given.lower().removeprefix("0x")
    if not _CASE.fullmatch(text):
        raise CaseNameAmbiguous(f"at least {_SHORTEST} hex digits are expected", field="case")
    if len(text) == 64:
        return text
    # The gateway looks for whole bytes; an odd digit is compared here.
    near = client.read_cases("cases", {"prefix": text[: len(text) // 2 * 2], "limit": "1000"})["items"]
    found = [item for item in near if str(item["caseId"]).startswith(text)]
    if len(found) != 1:
        raise CaseNameAmbiguous(
            f"{len(found) or 'no'} cases begin with {text}", field="case", hint="give more digits"
        )
    return str(found[0]["caseId"])


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(data)
    os.replace(draft, path)
