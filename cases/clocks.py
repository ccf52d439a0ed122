"""The clocks that the law sets: name, article, length, what starts and what pauses them (docs/deadlines.md).

Lengths are those of the articles; what a centre sets for itself ("house") stands in `cases/lifecycle.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from cases.deadlines import FROM_NEXT_HOUR, NO_ROLL_OVER, Clock, Unit
from cases.errors import ClockUnknown
from protocol.i18n import Language, Text

LAWS = {
    "CPL": Text("《民事诉讼法》（2023）", "Civil Procedure Law (2023)"),
    "CPI": Text("《民事诉讼法解释》（2022）", "Interpretation of the Civil Procedure Law (2022)"),
    "OM": Text("《人民法院在线调解规则》（2021）", "Rules on Online Mediation (2021)"),
    "IM": Text("《特邀调解规定》（2016）", "Provisions on Invited Mediation (2016)"),
    "CER": Text("《民事诉讼证据规定》（2019）", "Provisions on Civil Evidence (2019)"),
    "PP": Text("《财产保全规定》（2020）", "Provisions on Property Preservation (2020)"),
    "AI": Text("《财产调查规定》（2020）", "Provisions on Asset Investigation (2020)"),
    "CC": Text("《民法典》", "Civil Code"),
    "LR": Text("《诉讼时效规定》（2020）", "Provisions on Limitation (2020)"),
    "BC": Text("《银行卡规定》（2021）", "Provisions on Bank Cards (2021)"),
}


@dataclass(frozen=True)
class Article:
    """Articles of one law: `CPL 152`, `CPI 438, 439`."""

    law: str
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.law} {', '.join(map(str, self.numbers))}"

    def cite(self, lang: Language) -> str:
        """For a sentence."""
        name = LAWS[self.law].choose(lang)
        if lang == "zh":
            return name + "、".join(f"第{number}条" for number in self.numbers)
        return f"{name} Art. {', '.join(map(str, self.numbers))}"


def articles(text: str) -> tuple[Article, ...]:
    """`"OM 24; IM 27"` as articles."""
    parts = (part.split(" ", 1) for part in text.split("; "))
    return tuple(Article(law, tuple(map(int, numbers.split(", ")))) for law, numbers in parts)


class Bound(Enum):
    """What the end of a clock means."""

    MOST = "most"
    """Whoever must act does so by then."""
    LEAST = "least"
    """A period that is set may not end before."""
    EXPIRES = "expires"
    """What runs until then ends by itself."""


@dataclass(frozen=True)
class Pause:
    """Why a clock stands still; the name is that of a hold in the lifecycle."""

    name: str
    label: Text
    articles: tuple[Article, ...]


def _pause(name: str, zh: str, en: str, law: str) -> Pause:
    return Pause(name, Text(zh, en), articles(law))


PAUSES = {
    pause.name: pause
    for pause in (
        _pause("suspension", "中止诉讼", "suspension of the suit", "CPL 153"),
        _pause("public-notice", "公告送达", "service by public notice", "CPI 243"),
        _pause("appraisal", "鉴定评估", "appraisal", "OM 26; CPI 243"),
        _pause("settlement-talks", "当事人和解", "settlement talks of the parties", "CPI 243"),
        _pause("jurisdiction", "管辖异议", "objection to jurisdiction", "CPI 243; CER 55"),
        _pause("suit-mediation", "诉中调解延长", "extended mediation within the suit", "OM 24"),
        _pause("enforcement-stay", "中止执行", "stay of enforcement", "CPL 267"),
    )
}
_TRIAL = "suspension public-notice appraisal settlement-talks jurisdiction suit-mediation"


@dataclass(frozen=True)
class LegalClock:
    """One clock of the law. `backward` counts from an expiry to the last day on which one may still ask."""

    name: str
    label: Text
    event: Text
    articles: tuple[Article, ...]
    clock: Clock
    pauses: tuple[Pause, ...]
    bound: Bound
    backward: bool = False
    restarts: bool = False
    instalments: bool = False

    def cite(self, lang: Language) -> str:
        """All its articles, for a sentence."""
        return ("、" if lang == "zh" else "; ").join(article.cite(lang) for article in self.articles)


_D, _W, _M, _Y, _H = Unit.DAYS, Unit.WORKING_DAYS, Unit.MONTHS, Unit.YEARS, Unit.HOURS


def _clock(
    name: str,
    length: tuple[int, Unit] | tuple[int, Unit, int],
    law: str,
    zh: tuple[str, str],
    en: tuple[str, str],
    *,
    pauses: str = "",
    bound: Bound = Bound.MOST,
    backward: bool = False,
    restarts: bool = False,
    instalments: bool = False,
) -> LegalClock:
    """`zh` and `en` are label and starting event."""
    return LegalClock(
        name,
        Text(zh[0], en[0]),
        Text(zh[1], en[1]),
        articles(law),
        Clock(*length),
        tuple(PAUSES[pause] for pause in pauses.split()),
        bound,
        backward,
        restarts,
        instalments,
    )


_ALL = (
    # mediation
    _clock("mediator-choice", (2, _W), "OM 10", ("共同选择调解员", "双方同意在线调解"),
           ("choice of a mediator by both parties", "both parties agreed to online mediation")),
    _clock("mediator-designation", (3, _W), "OM 10", ("指定调解员", "法院收到调解申请"),
           ("designation of a mediator", "the court received the application")),
    _clock("mediator-acceptance", (3, _W), "OM 12", ("调解员确认接受", "调解员收到委派"),
           ("acceptance by the mediator", "the mediator received the assignment")),
    _clock("mediation-offer", (3, _W), "OM 15", ("征询对方调解意愿", "调解员接受委派"),
           ("asking the other side", "the mediator accepted")),
    _clock("mediation", (30, _D), "OM 24; IM 27", ("诉前调解", "调解员确认接受"),
           ("mediation before suit", "the mediator confirmed acceptance"), pauses="appraisal"),
    _clock("mediation-ordinary", (15, _D), "OM 24; IM 27", ("立案后调解（普通程序）", "调解员确认接受"),
           ("mediation after filing, ordinary procedure", "the mediator confirmed acceptance"),
           pauses="appraisal"),
    _clock("mediation-simple", (7, _D), "OM 24; IM 27", ("立案后调解（简易程序）", "调解员确认接受"),
           ("mediation after filing, summary procedure", "the mediator confirmed acceptance"),
           pauses="appraisal"),
    # judicial confirmation
    _clock("confirmation-application", (30, _D), "CPL 205", ("共同申请司法确认", "调解协议生效"),
           ("joint application for confirmation", "the agreement took effect")),
    _clock("confirmation", (30, _D), "CPL 187", ("司法确认审查", "司法确认立案"),
           ("review for confirmation", "the application was filed"), pauses="public-notice"),
    # payment order
    _clock("order-notice", (5, _D), "CPL 226; CPI 427", ("支付令受理通知", "法院收到支付令申请"),
           ("notice whether the application is accepted", "the court received the application")),
    _clock("order-acceptance", (15, _D), "CPL 227", ("支付令审查发出", "法院受理支付令申请"),
           ("issue of the payment order", "the application was accepted")),
    _clock("order-objection", (15, _D), "CPL 227", ("支付令清偿或异议", "债务人收到支付令"),
           ("payment or objection by the debtor", "the debtor received the order")),
    _clock("order-service", (30, _D), "CPI 430", ("支付令送达", "法院发出支付令"),
           ("service of the payment order", "the order was issued"), bound=Bound.EXPIRES),
    _clock("decline-suit", (7, _D), "CPI 438, 439", ("表示不同意起诉", "申请人收到终结督促程序裁定"),
           ("time to decline a suit", "the applicant received the ruling that ends the procedure")),
    # filing
    _clock("filing", (7, _D), "CPL 126", ("立案审查", "法院收到起诉状"),
           ("review for filing", "the court received the claim")),
    _clock("copy-to-defendant", (5, _D), "CPL 128", ("发送起诉状副本", "立案"),
           ("copy to the defendant", "the case was filed")),
    _clock("answer", (15, _D), "CPL 128", ("答辩", "被告收到起诉状副本"),
           ("answer of the defendant", "the defendant received the copy")),
    # evidence
    _clock("evidence-small", (7, _D), "CER 51; CPI 275", ("举证期限（小额诉讼）", "收到举证通知"),
           ("evidence period, small claims", "the notice was received"), pauses="jurisdiction"),
    _clock("evidence-simple", (15, _D), "CER 51", ("举证期限（简易程序）", "收到举证通知"),
           ("evidence period, summary procedure", "the notice was received"), pauses="jurisdiction"),
    _clock("evidence-ordinary", (15, _D), "CER 51", ("举证期限（普通程序，不少于）", "收到举证通知"),
           ("evidence period, ordinary procedure, at least", "the notice was received"),
           pauses="jurisdiction", bound=Bound.LEAST),
    # trial
    _clock("trial-small", (2, _M), "CPL 168", ("小额诉讼审限", "立案"),
           ("trial, small claims", "the case was filed"), pauses=_TRIAL),
    _clock("trial-small-extended", (3, _M), "CPL 168", ("小额诉讼审限（延长）", "立案"),
           ("trial, small claims, extended", "the case was filed"), pauses=_TRIAL),
    _clock("trial-simple", (3, _M), "CPL 164", ("简易程序审限", "立案"),
           ("trial, summary procedure", "the case was filed"), pauses=_TRIAL),
    _clock("trial-simple-extended", (4, _M), "CPL 164", ("简易程序审限（延长）", "立案"),
           ("trial, summary procedure, extended", "the case was filed"), pauses=_TRIAL),
    _clock("trial-ordinary", (6, _M), "CPL 152", ("普通程序审限", "立案"),
           ("trial, ordinary procedure", "the case was filed"), pauses=_TRIAL),
    _clock("trial-ordinary-extended", (12, _M), "CPL 152", ("普通程序审限（延长）", "立案"),
           ("trial, ordinary procedure, extended", "the case was filed"), pauses=_TRIAL),
    _clock("appeal-trial", (3, _M), "CPL 183", ("二审审限（判决）", "第二审立案"),
           ("appeal trial against a judgment", "the appeal was filed with the court"), pauses=_TRIAL),
    _clock("ruling-appeal-trial", (30, _D), "CPL 183", ("二审审限（裁定）", "第二审立案"),
           ("appeal against a ruling, decision", "the appeal was filed with the court"), pauses=_TRIAL),
    # appeal, notice
    _clock("appeal", (15, _D), "CPL 171", ("对判决上诉", "判决书送达"),
           ("appeal against a judgment", "the judgment was served")),
    _clock("ruling-appeal", (10, _D), "CPL 171", ("对裁定上诉", "裁定书送达"),
           ("appeal against a ruling", "the ruling was served")),
    _clock("public-notice", (30, _D), "CPL 95", ("公告送达", "发出公告"),
           ("service by public notice", "the notice was published"), bound=Bound.EXPIRES),
    # preservation
    _clock("preservation-urgent", (48, _H, FROM_NEXT_HOUR), "CPL 103; PP 4; CPI 125",
           ("紧急保全裁定", "法院接受保全申请"),
           ("urgent ruling on preservation", "the court took the application")),
    _clock("preservation-before-suit", (48, _H, FROM_NEXT_HOUR), "CPL 104; CPI 125",
           ("诉前保全裁定", "法院接受诉前保全申请"),
           ("ruling on preservation before suit", "the court took the application")),
    _clock("preservation-ruling", (5, _D), "PP 4", ("保全裁定", "接受保全申请或提供担保"),
           ("ruling on preservation", "the application was taken, or security given")),
    _clock("preservation-start", (5, _D), "PP 4", ("保全开始执行", "作出保全裁定"),
           ("start of preservation", "the ruling was made")),
    _clock("preservation-suit", (30, _D), "CPL 104; PP 17", ("诉前保全后起诉", "法院采取保全措施"),
           ("suit after preservation before suit", "the measure was taken"), bound=Bound.EXPIRES),
    _clock("preservation-review-request", (5, _D), "PP 25", ("对保全裁定申请复议", "保全裁定送达"),
           ("request for review of preservation", "the ruling was served")),
    _clock("preservation-review", (10, _D), "PP 25", ("保全复议审查", "法院收到复议申请"),
           ("review of preservation", "the court received the request")),
    _clock("preservation-renewal", (7, _D), "PP 18", ("申请续行保全（届满前）", "保全期限届满"),
           ("request to renew preservation, before expiry", "the measure expires"), backward=True),
    _clock("preservation-after-title", (5, _D), "CPI 163", ("生效后保全的申请执行", "履行期间届满"),
           ("application for enforcement after preservation on a title", "the time to perform ended"),
           bound=Bound.EXPIRES),
    # freezes
    _clock("freeze-deposit", (1, _Y, NO_ROLL_OVER), "CPI 485", ("冻结存款", "采取冻结措施"),
           ("freeze of deposits", "the freeze began"), bound=Bound.EXPIRES),
    _clock("seizure-movable", (2, _Y, NO_ROLL_OVER), "CPI 485", ("查封、扣押动产", "采取查封、扣押措施"),
           ("seizure of movables", "the seizure began"), bound=Bound.EXPIRES),
    _clock("seizure-other", (3, _Y, NO_ROLL_OVER), "CPI 485",
           ("查封不动产、冻结其他财产权", "采取查封、冻结措施"),
           ("seizure of real estate, freeze of other rights", "the measure began"), bound=Bound.EXPIRES),
    # enforcement
    _clock("enforcement-application", (2, _Y), "CPL 250",
           ("申请执行", "履行期间最后一日，无履行期间的为文书生效日"),
           ("application for enforcement", "the last day to perform, or else the day the title took effect"),
           restarts=True, instalments=True),
    _clock("enforcement-notice", (10, _D), "CPI 480", ("执行通知", "法院收到申请执行书"),
           ("notice of enforcement", "the court received the application")),
    _clock("asset-clue", (7, _D), "AI 2", ("核实财产线索", "收到明确具体的财产线索"),
           ("check of an asset clue", "a clear clue was received")),
    _clock("asset-clue-urgent", (3, _D), "AI 2", ("核实财产线索（紧急）", "收到紧急的财产线索"),
           ("check of an asset clue, urgent", "an urgent clue was received")),
    _clock("enforcement", (6, _M), "CPL 237", ("未执行可向上一级法院申请", "法院收到申请执行书"),
           ("enforcement idle, then the higher court", "the court received the application"),
           pauses="enforcement-stay"),
    _clock("objection-review", (15, _D), "CPL 236, 238", ("执行异议审查", "法院收到书面异议"),
           ("review of an objection to enforcement", "the court received the objection")),
    _clock("objection-reconsideration", (10, _D), "CPL 236", ("对异议裁定申请复议", "裁定送达"),
           ("reconsideration of an objection ruling", "the ruling was served")),
    # limitation
    _clock("limitation", (3, _Y), "CC 188, 189, 195",
           ("诉讼时效", "知道或应当知道权利受损，分期的为最后一期届满"),
           ("limitation", "the creditor knew or should have known; of instalments, the last was due"),
           restarts=True, instalments=True),
    _clock("limitation-longest", (20, _Y), "CC 188", ("最长权利保护期间", "权利受到损害"),
           ("longest protection", "the right was infringed")),
)  # fmt: skip

CLOCKS = MappingProxyType({clock.name: clock for clock in _ALL})
"""By name."""


def clock(name: str) -> LegalClock:
    """The clock of this name. Raises ClockUnknown."""
    try:
        return CLOCKS[name]
    except KeyError:
        raise ClockUnknown(name[:64], field="clock", hint="docs/deadlines.md lists them") from None
