"""`caseledger case reminders`: deadlines that come near, of the cases that the caller sees."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import case_agent
from protocol.i18n import Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from protocol.i18n import Language

VERB = "reminders"
_SHOWN_ID = 12
_TEXTS = {
    "help": Text(
        "期限提醒：走完五成、八成与全部时", "reminders of time limits at half, four fifths, and the end"
    ),
    "home": Text("数据目录（默认 CASELEDGER_HOME）", "data folder (CASELEDGER_HOME otherwise)"),
    "after": Text("从这个位置之后开始（上次的“接着”）", "from after this place: the `next` of the last call"),
    "organisation": Text("机构编号", "organisation index"),
    "json": Text("输出 JSON", "print JSON"),
    "line": Text(
        "{deadline}  {percent:>3} %  {stage}  案件 {case}{marks}",
        "{deadline}  {percent:>3} %  {stage}  case {case}{marks}",
    ),
    "provisional": Text("  待定", "  provisional"),
    "passed": Text("  最后一秒", "  last second"),
    "test": Text("  TEST CLOCK", "  TEST CLOCK"),
    "none": Text("没有新的提醒。", "No new reminders."),
    "next": Text("接着：--after {place}", "go on with: --after {place}"),
}


def _words(name: str) -> str:
    return _TEXTS[name].choose(language())


def add_verbs(verbs: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    one = verbs.add_parser(VERB, help=_words("help"), description=_words("help"))
    one.add_argument("--home", type=Path, metavar="FOLDER", help=_words("home"))
    one.add_argument("--after", type=int, default=0, metavar="PLACE", help=_words("after"))
    one.add_argument("--organisation", type=int, metavar="N", help=_words("organisation"))
    one.add_argument("--json", action="store_true", help=_words("json"))
    case_agent.add_arguments(one)


def run(args: argparse.Namespace) -> int:
    """Run it; the exit code."""
    from agent.intake.party import organisation_of
    from agent.profile import home_of

    lang = language(getattr(args, "lang", None))
    home = home_of(args.home)
    organisation = organisation_of(home, args.organisation)
    items: list[dict[str, Any]] = []
    place, more = args.after, True
    with case_agent.connected(args, home, organisation) as link:
        while more:
            page = link.client.case_reminders(place)
            items += page["items"]
            place, more = page["next"], page["more"]
    if args.json:
        print(json.dumps({"items": items, "next": place}, ensure_ascii=False))
        return 0
    for one in items:
        print(_line(one, lang))
    print(_TEXTS["next" if items else "none"].format(lang, place=place))
    return 0


def _line(one: dict[str, Any], lang: Language) -> str:
    from cases.lifecycle_v1 import LIFECYCLE_V1

    stage = LIFECYCLE_V1.stages.get(one["stage"])
    label = stage.label.choose(lang) if stage else str(one["stage"])
    marks = [
        *(["provisional"] if one["provisional"] else []),
        *(["passed"] if one["percent"] == 100 else []),
        *(["test"] if one["testClock"] else []),
    ]
    return _TEXTS["line"].format(
        lang, deadline=one["deadlineShanghai"], percent=one["percent"], stage=label,
        case=one["caseId"][:_SHOWN_ID], marks="".join(_TEXTS[mark].choose(lang) for mark in marks),
    )  # fmt: skip
