"""Which trial track a claim may take: small claims, summary, ordinary. An advisor; the court decides.

Small claims depend on the average yearly wage of the province's employed of the year before, or of the newest
year that was published (Civil Procedure Law Art. 165, Interpretation Art. 272). A wage that nobody gave is
not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from cases.decision_table import Decision, DecisionTable
from cases.errors import DecisionInputInvalid, WageInvalid
from cases.tracks_v1 import TRACKS_V1
from protocol.case_row import CaseRow, Reachability
from protocol.i18n import Language, Text

TABLES = {TRACKS_V1.version: TRACKS_V1}
NEWEST = TRACKS_V1
FEN = 100
LOWEST_WAGE, HIGHEST_WAGE = 10_000, 1_000_000


class Share(IntEnum):
    """The claim beside the wage."""

    NOT_STATED = 0
    HALF = 1
    DOUBLE = 2
    ABOVE = 3


@dataclass(frozen=True)
class Wage:
    """Average yearly wage of a province's employed, in yuan, as it was published."""

    province: str
    year: int
    yuan: int

    def __post_init__(self) -> None:
        if not LOWEST_WAGE <= self.yuan <= HIGHEST_WAGE:
            raise WageInvalid(f"{self.yuan} yuan is no yearly wage", field="wage")


@dataclass(frozen=True)
class Advice:
    """What the table says, and what it was measured against."""

    decision: Decision
    amount: int
    wage: Wage | None
    filed: date

    def explain(self, lang: Language) -> str:
        """Track, rule, articles, the threshold in yuan, and that the court decides."""
        text = self.decision.explain(lang)
        if self.wage is not None:
            newest = "" if self.wage.year == self.filed.year - 1 else _NEWEST.choose(lang)
            text += _THRESHOLD.format(
                lang,
                amount=_yuan(self.amount),
                province=self.wage.province,
                year=self.wage.year,
                wage=_yuan(self.wage.yuan * FEN),
                half=_yuan(self.wage.yuan * FEN // 2),
                double=_yuan(self.wage.yuan * FEN * 2),
                newest=newest,
            )
        return text + _COURT.choose(lang)


_THRESHOLD = Text(
    "标的额 {amount} 元；{province} {year} 年就业人员年平均工资 {wage} 元{newest}，百分之五十为 {half} 元，"
    "二倍为 {double} 元。",
    " The claim is {amount} yuan; average yearly wage in {province} for {year}: {wage} yuan{newest}; "
    "one half is {half}, twice is {double}.",
)
_NEWEST = Text("（上年度尚未公布，按已公布的最近年度）", " (the newest that was published)")
_COURT = Text("以上只是建议，由法院决定。", " This is advice: the court decides.")


def share(amount: int, wage: Wage | None) -> Share:
    """The band of an amount in fen. Both limits belong to the lower band."""
    if wage is None:
        return Share.NOT_STATED
    if amount * 2 <= wage.yuan * FEN:
        return Share.HALF
    return Share.DOUBLE if amount <= wage.yuan * FEN * 2 else Share.ABOVE


def advise(
    row: CaseRow,
    *,
    filed: date,
    wage: Wage | None = None,
    stated: Mapping[str, int] | None = None,
    by: DecisionTable = NEWEST,
) -> Advice:
    """The advice for a row, with what else is `stated` by input name and code.

    Raises:
        WageInvalid: the year is not over when the claim is filed.
        DecisionInputInvalid: an input or value that the table does not have.
    """
    if wage is not None and wage.year >= filed.year:
        raise WageInvalid(f"the wage of {wage.year} is not that of a year before {filed.year}", field="wage")
    given = {
        "amount": int(share(row.total, wage)),
        "missing": _MISSING[row.reachability],
        "money": 1,
    }
    for name, code in (stated or {}).items():
        if name not in by.places or name == "amount":
            raise DecisionInputInvalid(f"{name[:40]} cannot be stated", field="stated")
        given[name] = code
    return Advice(by.decide([given.get(item.name, 0) for item in by.inputs]), row.total, wage, filed)


_MISSING = {Reachability.NOT_STATED: 0, Reachability.REACHABLE: 2, Reachability.UNREACHABLE: 1}


def _yuan(fen: int) -> str:
    return f"{fen // FEN:,}" + (f".{fen % FEN:02}" if fen % FEN else "")
