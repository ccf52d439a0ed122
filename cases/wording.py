"""Why an act on a case was refused: rule, article and plain words, from the case's own policy version.

The code is the contract's; what stands here is chosen by it and filled with the contract's values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cases.calendar import local
from cases.citations import cite
from cases.lifecycle import OWNER, EvidenceNeed, Hold, Lifecycle, Transition
from protocol.acts import Role
from protocol.entry import EvidenceClass
from protocol.i18n import Language, Text


@dataclass(frozen=True)
class Asked:
    """What the act wanted, and where the case stood; None or 0 for what is not known."""

    life: Lifecycle
    step: Transition | None = None
    hold: Hold | None = None
    label: Text | None = None
    """Of an act that is neither a step nor a pause."""
    stage: int = 0
    version: int = 0


@dataclass(frozen=True)
class Rule:
    """The rule that an act went against. `name`: of the transition or pause, else empty."""

    name: str
    article: str
    text: Text

    def as_json(self) -> dict[str, Any]:
        """Member `rule` of a problem document."""
        cited = cite(self.article)
        return {
            "name": self.name,
            "article": self.article,
            "cite": {"zh": cited.zh, "en": cited.en},
            "text": {"zh": self.text.zh, "en": self.text.en},
        }


def rule_of(code: str, values: Mapping[str, Any], asked: Asked) -> Rule:
    """The rule behind a refusal with the contract error `code` and its values."""
    named = asked.step or asked.hold
    words = _WORDS.get(code)
    text = _OTHER if words is None else words
    filled = _values(values, asked)
    return Rule(
        named.name if named else "",
        named.article if named else "",
        Text(text.zh.format_map(_Filled(filled["zh"])), text.en.format_map(_Filled(filled["en"]))),
    )


class _Filled(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "–"


def _values(values: Mapping[str, Any], asked: Asked) -> dict[Language, dict[str, object]]:
    return {"zh": _in("zh", values, asked), "en": _in("en", values, asked)}


def _in(lang: Language, values: Mapping[str, Any], asked: Asked) -> dict[str, object]:
    life, step, hold = asked.life, asked.step, asked.hold
    stage = life.stages.get(int(values.get("stage", 0)) or asked.stage)
    filled: dict[str, object] = dict(values)
    filled["stage"] = stage.label.choose(lang) if stage else "–"
    named = step or hold
    label = named.label if named else asked.label
    filled["step"] = label.choose(lang) if label else "–"
    filled["known"] = asked.version or "–"
    filled["ways"] = _listed(
        (one.label.choose(lang) for one in life.leaving(stage.code) if not one.lapse) if stage else (), lang
    )
    filled["who"] = role_names(int(values["allowed"]), lang) if "allowed" in values else "–"
    if step is not None:
        filled["beside"] = role_names(step.beside, lang) if step.beside else "–"
        filled["reasons"] = _listed((f"{r.label.choose(lang)} ({r.name})" for r in step.reasons), lang)
        filled["needs"] = _listed((need_name(need, lang) for need in step.evidence), lang)
    if "roles" in values:
        filled["who"] = role_names(int(values["roles"]), lang)
    if "class" in values:
        filled["given"] = _class_name(int(values["class"]), lang)
    if "allowed" in values and "class" in values:
        filled["who"] = _listed((_class_name(n, lang) for n in _bits(int(values["allowed"]))), lang)
    pauses = (life.holds[code].label.choose(lang) for code in stage.holds) if stage else ()
    filled["pauses"] = _listed(pauses, lang)
    for name in ("deadline", "time", "validUntil", "notAfter", "notBefore", "revokedAt", "until"):
        if isinstance(values.get(name), int):
            filled[name] = _moment(int(values[name]))
    return filled


def role_names(roles: int, lang: Language) -> str:
    """A set of roles, the owner included, as words."""
    found = [role.label.choose(lang) for role in Role if roles & role.mask]
    if roles & OWNER:
        found.insert(0, _OWNER.choose(lang))
    return _listed(found, lang)


def need_name(need: EvidenceNeed, lang: Language) -> str:
    """One piece of evidence: "contract (from the institution whose case it is)"."""
    either = " / ".join(_class_name(number, lang) for number in need.classes)
    return _NEED.format(lang, what=either, who=role_names(need.roles, lang))


def _class_name(number: int, lang: Language) -> str:
    try:
        return EvidenceClass(number).label.choose(lang)
    except ValueError:
        return str(number)


def _bits(value: int) -> Iterable[int]:
    return (bit for bit in range(16) if value >> bit & 1)


def _listed(words: Iterable[str], lang: Language) -> str:
    return ("、" if lang == "zh" else ", ").join(words) or _NOTHING.choose(lang)


def _moment(time: int) -> str:
    return f"{local(time):%Y-%m-%d %H:%M:%S}" if 0 < time < 1 << 35 else str(time)


_OWNER = Text("提交该案的机构", "the institution whose case it is")
_NOTHING = Text("无", "none")
_NEED = Text("{what}（由{who}提交）", "{what} (from {who})")
_OTHER = Text("合约按其规则拒绝了这一行为。", "The contract refused the act by its rules.")
_KEY = Text("签名密钥{zh}。", "The signing key {en}.")


def _key(zh: str, en: str) -> Text:
    return Text(_KEY.zh.replace("{zh}", zh), _KEY.en.replace("{en}", en))


_WORDS: dict[str, Text] = {
    "CaseUnknown": Text(
        "没有这个案件，或其批次尚未导入、本网关也没有它的批次文件。",
        "No such case; or its batch is not imported, and this gateway does not hold the batch file.",
    ),
    "CaseKnown": Text("案件已经启动，不能再次启动。", "The case is alive already and does not begin again."),
    "CaseVersionStale": Text(
        "案件在此期间有变化：行为写的是第{given}次变更之后，案件现为第{current}次。请重新读取再签。",
        "The case has changed: the act names version {given}, it is at {current}. Read it and sign anew.",
    ),
    "CaseTransitionIllegal": Text(
        "案件现在「{stage}」，不能「{step}」；由此可以：{ways}。",
        "The case stands in “{stage}”, and “{step}” does not leave it. From here: {ways}.",
    ),
    "PolicyTransitionUnknown": Text(
        "该案适用的流程版本没有这一步骤。", "The lifecycle version of this case has no such step."
    ),
    "CaseNotALapse": Text(
        "「{step}」须由机构签署，不因时间届满自行发生。",
        "“{step}” is signed by an organisation; time alone does not make it.",
    ),
    "CaseNotAnAct": Text(
        "「{step}」只因期限届满发生，没有人签署。", "“{step}” happens by time alone; nobody signs it."
    ),
    "CaseTooEarly": Text(
        "「{step}」要等期限届满：{deadline}之后（现为{time}）。",
        "“{step}” waits for the deadline: after {deadline} (now {time}).",
    ),
    "CaseTooLate": Text(
        "「{step}」须在期限内：{deadline}已过（现为{time}）。",
        "“{step}” is for the time before the deadline, and {deadline} has passed (now {time}).",
    ),
    "CaseOnHold": Text(
        "案件的期限正停止计算（{openHolds}项），先恢复再「{step}」。",
        "The clock of the case is stopped ({openHolds} pauses open); let it run again before “{step}”.",
    ),
    "CaseRoleMissing": Text(
        "机构{organisation}无权「{step}」；有权的是：{who}。",
        "Organisation {organisation} may not take “{step}”; these may: {who}.",
    ),
    "CaseOtherCourt": Text(
        "案件属于法院{court}，不属于机构{organisation}。",
        "The case is with court {court}, not with organisation {organisation}.",
    ),
    "CaseCourtOnly": Text(
        "只有法院或执行机构能使案件进入「{stage}」。",
        "Only a court or an enforcement bureau brings a case into “{stage}”.",
    ),
    "CaseCoSignerInvalid": Text(
        "「{step}」的第二签署机构不对（{coOrganisation}）：须为另一家机构，应是：{beside}。",
        "Wrong second organisation ({coOrganisation}) for “{step}”: another one signs as well, of: {beside}.",
    ),
    "CaseReasonInvalid": Text(
        "「{step}」的理由不在清单内；可用：{reasons}。",
        "Not a reason of “{step}”. Its reasons: {reasons}.",
    ),
    "EvidenceCountWrong": Text(
        "「{step}」需要：{needs}（应为{needed}件）。",
        "“{step}” needs: {needs} ({needed} in all).",
    ),
    "EvidencePrivileged": Text(
        "调解保密材料不能作为任何步骤的依据。",
        "Privileged material of a mediation never supports a step.",
    ),
    "EvidenceClassWrong": Text(
        "材料类别不符：所给为{given}，「{step}」需要：{needs}。",
        "Wrong class of evidence: {given}; “{step}” needs: {needs}.",
    ),
    "EvidenceOfOtherCase": Text("材料属于另一案件。", "The evidence is of another case."),
    "EvidenceSubmitterWrong": Text(
        "材料由机构{submitter}提交，「{step}」只接受由以下机构提交的：{who}。",
        "The evidence was submitted by organisation {submitter}; “{step}” takes it from: {who}.",
    ),
    "EvidenceProofMalformed": Text("材料的证明无法读取。", "The proof of the evidence cannot be read."),
    "EvidenceLeafMalformed": Text("材料条目的格式不对。", "The entry is not in the known form."),
    "CaseEvidenceDiffers": Text(
        "所附材料不是行为中写明的材料。", "The evidence shown is not the one that the act names."
    ),
    "MerkleRootMismatch": Text(
        "包含证明与已登记的根不符。", "The inclusion proof does not lead to the recorded root."
    ),
    "LogLinkMismatch": Text(
        "材料所在批次与链上记录不符。", "The batch of the evidence is not the one on the chain."
    ),
    "LogLeafBeyondClosedSize": Text(
        "材料位于已关闭日志的末尾之后，须重新提交。",
        "The evidence lies beyond the end of a closed log and must be submitted again.",
    ),
    "CaseHoldNotAllowed": Text(
        "「{stage}」不能因此停止计算；可用的事由：{pauses}。",
        "“{stage}” does not know this pause. Its pauses: {pauses}.",
    ),
    "CaseHoldOpen": Text("已因同一事由停止计算。", "The clock is stopped for this reason already."),
    "CaseHoldNotOpen": Text("没有因此事由停止计算。", "The clock is not stopped for this reason."),
    "CaseTooManyHolds": Text("一个阶段最多停止计算十五次。", "A stage has at most fifteen pauses."),
    "CaseAlreadyExtended": Text("本阶段的期限已延长过一次。", "The time of this stage was prolonged before."),
    "CaseNotReversible": Text(
        "没有可以撤回的步骤：其后已有变化，或上一步是期限届满。",
        "Nothing can be taken back: something has happened since, or time alone made the last step.",
    ),
    "CaseNotOriginator": Text(
        "上一步由机构{originator}作出，只有它能撤回。",
        "The last step was organisation {originator}'s, which alone takes it back.",
    ),
    "CaseNotOverdue": Text(
        "期限未过，或现在没有期限（{deadline}）。",
        "The deadline has not passed, or there is none ({deadline}).",
    ),
    "CaseIsMarked": Text("这一期限已记为超期。", "This deadline is recorded as passed already."),
    "CalendarYearUnknown": Text(
        "{year}年的工作日历尚未公布，无法断定期限是否已过。",
        "The working days of {year} are not published yet: nobody can say whether the deadline has passed.",
    ),
    "BatchUnknown": Text("该批次没有导入。", "The batch is not imported."),
    "BatchIsRecalled": Text("该批次已撤回。", "The batch was recalled."),
    "BatchProductNotAllowed": Text(
        "该机构不能提交这类纠纷。", "This institution may not bring disputes of this product."
    ),
    "ActExpired": Text(
        "行为的有效期至{validUntil}，已过（现为{time}）；请重新签署。",
        "The act was valid until {validUntil} and it is {time}; sign it again.",
    ),
    "ActSignatureInvalid": Text(
        "签名缺失或格式不对。", "A signature is missing or not in the accepted form."
    ),
    "ActWalletRefused": Text("签名钱包不承认这一签名。", "The signing wallet does not accept the signature."),
    "RegistryKeyUnknown": _key("未登记，或签的是别的内容", "is not registered, or signed something else"),
    "RegistryKeyOrganisation": _key(
        "不是该机构的，或签的是别的内容", "is not this organisation's, or signed something else"
    ),
    "RegistryKeyPurpose": _key("不用于签署行为", "is not for signing acts"),
    "RegistryKeyState": _key("尚未启用或已取消", "is not active"),
    "RegistryKeyNotYetValid": _key("自{notBefore}起有效", "is valid from {notBefore}"),
    "RegistryKeyExpired": _key("已于{notAfter}失效", "expired at {notAfter}"),
    "RegistryKeyRevoked": _key("已于{revokedAt}吊销", "was revoked at {revokedAt}"),
    "RegistryOrganisationSuspended": Text(
        "机构{organisation}的写入被监管机构暂停。",
        "A regulator has stopped organisation {organisation}'s writing.",
    ),
    "RegistryOrganisationRemoved": Text(
        "机构{organisation}已退出。", "Organisation {organisation} was removed."
    ),
}
EXPLAINED = frozenset(_WORDS)
"""Codes with words of their own."""
