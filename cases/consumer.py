"""The debtor's own view of a case: plain words first in Chinese, what can be done, and who looked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cases import words
from cases.calendar import to_date
from cases.history import Step
from cases.lifecycle import Lifecycle, Stage
from cases.lifecycle_v1 import StageCode
from cases.looks import Look, What
from cases.machine import CaseState
from cases.reading import Found
from protocol.acts import Role
from protocol.i18n import Text

_OBJECT = Text(
    "您可以向中心提出异议。审查期间，这一阶段的期限停止计算。",
    "You may object at the centre. While your objection is looked at, the clock of this stage stands still.",
)
_ASK = Text(
    "您可以带身份证到中心窗口，请工作人员当面说明，或者要求改由人工处理。",
    "You may come to the centre's counter with your identity card and have it explained, or ask that a "
    "person decides.",
)
_RECORDS = Text(
    "您可以要求更正或者补充关于您的信息，可以要求说明谁看过您的案件、为什么。",
    "You may ask for a correction of what is held about you, and why somebody looked at your case.",
)
_SETTLE = Text(
    "您可以随时提出还款方案；谈不成，说过的话不会用来对付您。",
    "You may offer a way to pay at any time. If it fails, what you said is not used against you.",
)
_MEDIATION = Text(
    "同意不同意调解由您决定，开始以后也可以随时退出，没有不利后果。",
    "Whether to mediate is your choice, and you may leave later. Neither has a disadvantage.",
)
_COOLING = Text(
    "冷静期内您可以反悔，告诉中心即可。", "Within the cooling-off time you may still say no: tell the centre."
)
_COURT = Text(
    "您可以答辩、提交证据、申请法律援助；法院的文书会另外送达，以文书写明的期限为准。",
    "You may answer, hand in evidence and ask for legal aid. The court serves its papers separately; their "
    "dates count.",
)
_ORDER = Text(
    "收到支付令后十五日内，您可以还款，也可以向法院书面提出异议。",
    "Within fifteen days of receiving the payment order you may pay, or object to the court in writing.",
)
_APPEAL = Text(
    "不服判决，可以在收到判决书之日起十五日内上诉。",
    "If you disagree with the judgment, you may appeal within fifteen days of receiving it.",
)
_ENFORCEMENT = Text(
    "您可以对执行行为提出书面异议；您和所扶养家属的生活必需费用依法保留。",
    "You may object in writing to an enforcement measure. What you and your dependants need to live is kept "
    "for you by law.",
)
_BREACHED = Text(
    "在所示日期前补上欠款，计划就继续。",
    "Make up the missed payment by the date shown, and the plan goes on.",
)
_CERTIFICATE = Text("您可以要求出具结清证明。", "You may ask for a certificate that all is paid.")
_S = StageCode
_MORE: dict[Text, frozenset[int]] = {
    _SETTLE: frozenset({_S.ADMITTED, _S.CENTRAL, _S.SPECIAL, _S.MED_OFFERED, _S.MEDIATING, _S.MED_FAILED}),
    _MEDIATION: frozenset({_S.MED_OFFERED, _S.MEDIATING}),
    _COOLING: frozenset({_S.SETTLED}),
    _ORDER: frozenset({_S.PO_ISSUED, _S.PO_SERVED}),
    _APPEAL: frozenset({_S.JUDGED}),
    _ENFORCEMENT: frozenset({_S.ENF_APPLIED, _S.ENFORCING, _S.ENF_SETTLED, _S.ENF_ROUND_ENDED}),
    _BREACHED: frozenset({_S.BREACHED}),
    _CERTIFICATE: frozenset({_S.PERFORMED, _S.CLOSED, _S.ENF_CLOSED}),
}
_BEFORE_COURT = frozenset(
    {_S.FILED, _S.TRIAL_SMALL, _S.TRIAL_SIMPLE, _S.TRIAL_ORDINARY, _S.APPEALED, _S.CONF_APPLIED}
)
_WHAT = {
    What.CASE: Text("查看了案件进展", "looked at where the case stands"),
    What.ROW: Text("取得了导入时的资料", "got the details that were imported"),
}
_DISPUTE = "dispute"

RolesOf = Callable[[int], int]


def my_case(found: Found, looks: Sequence[Look], roles_of: RolesOf) -> dict[str, Any]:
    """Everything that the person is told. No whole case id: it opens more than this page."""
    life, state = found.life, found.state
    stage = life.stages[state.stage]
    return {
        "case": found.case_id.hex()[: words.SHORT],
        "testClock": life.test_clock,
        "stage": {"name": stage.name, "label": words.text(stage.label)},
        "says": words.text(stage.plain),
        "since": state.since,
        "sinceShanghai": words.moment(state.since),
        "deadline": state.deadline,
        "deadlineShanghai": words.moment(state.deadline),
        "provisional": state.provisional,
        "why": words.text(words.why(life, state, found.calendar)),
        "institution": _who(found.row["owner"], roles_of),
        "canDo": [words.text(one) for one in can_do(life, state)],
        "timeline": [_event(life, step, roles_of) for step in found.steps],
        "looked": [_look(one, roles_of) for one in looks],
    }


def can_do(life: Lifecycle, state: CaseState) -> tuple[Text, ...]:
    """What is open to the person now, the nearest first."""
    stage = life.stages[state.stage]
    found = [text for text, stages in _MORE.items() if stage.code in stages]
    if stage.code in _BEFORE_COURT:
        found.append(_COURT)
    if _may_object(life, stage):
        found.append(_OBJECT)
    return (*found, _ASK, _RECORDS)


def _may_object(life: Lifecycle, stage: Stage) -> bool:
    return any(life.holds[code].name == _DISPUTE for code in stage.holds)


def _event(life: Lifecycle, step: Step, roles_of: RolesOf) -> dict[str, Any]:
    shown = words.event_words(life, step)
    by = [one for one in (step.event.organisation, step.event.co_organisation) if one]
    return {
        "time": step.event.time,
        "timeShanghai": words.moment(step.event.time),
        "label": shown["label"],
        "plain": shown["plain"],
        "by": [_who(one, roles_of) for one in by],
        "deadlineShanghai": words.moment(step.state.deadline),
    }


def _look(look: Look, roles_of: RolesOf) -> dict[str, Any]:
    return {
        "day": to_date(look.day).isoformat(),
        "by": _who(look.organisation, roles_of),
        "what": words.text(_WHAT[look.what]),
        "times": look.count,
        "lastShanghai": words.moment(look.last_at),
    }


def _who(organisation: int, roles_of: RolesOf) -> dict[str, Any]:
    """An organisation by what it is; the consortium's list of members has its name."""
    roles = [role.label for role in Role if roles_of(organisation) & role.mask]
    return {
        "organisation": organisation,
        "zh": "、".join(role.zh for role in roles) or "成员机构",
        "en": ", ".join(role.en for role in roles) or "a member",
    }
