"""Cases, events and lifecycles as the API shows them: codes for programs, both languages for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cases import deadlines, explain
from cases.calendar import WorkCalendar, local
from cases.citations import cite
from cases.errors import CalendarYearUnknown
from cases.history import Event, Step, spans
from cases.lifecycle import OWNER, Clock, Hold, Lifecycle, Stage, Transition
from cases.machine import CaseState
from protocol.acts import Role
from protocol.i18n import Text

SHORT = 12
"""Hex digits of a case id by which people tell cases apart; the whole id opens a case's evidence."""
NOTHING = Text("", "")

_EVENTS = {
    "opened": Text("案件上链", "the case comes to life on the chain"),
    "paused": Text("期限停止计算：{name}", "the clock stops: {name}"),
    "resumed": Text("期限恢复计算：{name}", "the clock runs again: {name}"),
    "reversed": Text("撤回上一步", "the last step is taken back"),
    "overdue": Text("登记为逾期", "recorded as overdue"),
}
_MOVED = Text("{label}。案件现在是「{stage}」。", "{label}. The case is now “{stage}”.")
_EXTENDED = Text("{label}。「{stage}」的期限延长了。", "{label}. “{stage}” has more time.")
_LAPSED = Text(
    "期限届满，依规则：{label}。案件现在是「{stage}」。",
    "Time ran out, and by the rule: {label}. The case is now “{stage}”.",
)
_SENTENCES = {
    "opened": Text(
        "银行导入的这起纠纷第一次有了动作，从此每一步都记在链上。",
        "The dispute that the institution imported is acted on for the first time. From here, every step is "
        "on the chain.",
    ),
    "paused": Text("因「{name}」，「{stage}」的期限暂停。", "“{name}” stops the clock of “{stage}”."),
    "resumed": Text(
        "「{name}」结束，「{stage}」的期限继续计算。",
        "“{name}” is over, and the clock of “{stage}” runs again.",
    ),
    "reversed": Text(
        "上一步由两家机构共同撤回，案件回到「{stage}」；其间的时间不计入期限。",
        "Two organisations took the last step back. The case is “{stage}” again, and the time in between "
        "does not count.",
    ),
    "overdue": Text(
        "「{stage}」的期限已过，尚无下一步，链上作了登记。",
        "The time for “{stage}” has passed without a next step, and the chain says so.",
    ),
}
_ENTERED = Text("进入「{stage}」", "entering “{stage}”")
_BACK = Text("被撤回的步骤", "a step that was taken back")
_PROVISIONAL = Text(
    "该年度的工作日尚未公布：截止日不早于所示时间，可能顺延。",
    "That year's working days are not published yet: the deadline is no earlier than shown and may move.",
)
_STOPPED = Text(
    "因{name}自{since}起停止计算，现在没有截止日。",
    "Stopped by {name} since {since}: there is no deadline now.",
)
_OTHER_CALENDAR = Text(
    "链上的截止时间为准；本机的工作日表与链上的不同，不能说明其由来。",
    "The deadline is the chain's. The table of working days here is another edition and cannot explain it.",
)


def text(words: Text) -> dict[str, str]:
    """Both languages."""
    return {"zh": words.zh, "en": words.en}


def moment(time: int | None) -> str | None:
    """As a person in Shanghai reads it."""
    return None if time is None else f"{local(time):%Y-%m-%d %H:%M:%S}"


def named(item: Stage | Transition | Hold, **more: Any) -> dict[str, Any]:
    """Code, name and label of a part of the lifecycle."""
    code = item.id if isinstance(item, Transition) else item.code
    return {"code": code, "name": item.name, "label": text(item.label), **more}


def article(source: str) -> dict[str, str]:
    """A rule's source: as the lifecycle spells it, and as a reader cites it."""
    return {"source": source, **text(cite(source))}


def why(life: Lifecycle, state: CaseState, calendar: WorkCalendar) -> Text:
    """What the deadline rests on: article, event, pauses; empty where no clock runs."""
    stage, clock = life.stages[state.stage], state.clock
    if stage.clock is None or clock.length is None:
        return NOTHING
    if state.provisional:
        return _PROVISIONAL
    try:
        deadline = deadlines.compute(calendar, clock.start, clock.length, spans(clock))
    except CalendarYearUnknown:
        return _stopped(life, state) if state.open_holds else _PROVISIONAL
    if deadline.time != state.deadline:
        # A pause that began after the time had run out stops nothing, but the chain shows no deadline.
        return _stopped(life, state) if state.open_holds else _OTHER_CALENDAR
    reason = explain.Reason(stage.clock.label, _clock_source(life, state), _fill(_ENTERED, stage=stage.label))
    holds = [life.holds[hold.kind].label if hold.kind in life.holds else _BACK for hold in clock.holds]
    return Text(
        explain.sentence(reason, deadline, "zh", holds), explain.sentence(reason, deadline, "en", holds)
    )


def _stopped(life: Lifecycle, state: CaseState) -> Text:
    hold = next(hold for hold in state.clock.holds if hold.until is None)
    name = life.holds[hold.kind].label if hold.kind in life.holds else _BACK
    since = moment(hold.start) or ""
    return _fill(_STOPPED, name=name, since=Text(since, since))


def _clock_source(life: Lifecycle, state: CaseState) -> Text:
    """The article of the clock, with that of what made it longer."""
    stage = life.stages[state.stage]
    sources = [stage.clock.article] if stage.clock else []
    extension = life.transitions.get(state.clock.extension)
    if extension is not None:
        sources.append(extension.article)
    found = [cite(source) for source in dict.fromkeys(sources)]
    return Text("；".join(one.zh for one in found), "; ".join(one.en for one in found))


def standing(life: Lifecycle, state: CaseState, calendar: WorkCalendar) -> dict[str, Any]:
    """Where a case stands: stage, time, pauses."""
    stage = life.stages[state.stage]
    return {
        "stage": named(stage, plain=text(stage.plain), court=stage.court, final=stage.final),
        "since": state.since,
        "sinceShanghai": moment(state.since),
        "deadline": state.deadline,
        "deadlineShanghai": moment(state.deadline),
        "provisional": state.provisional,
        "why": text(why(life, state, calendar)),
        "markedOverdue": state.marked,
        "pauses": pauses(life, state),
    }


def pauses(life: Lifecycle, state: CaseState) -> list[dict[str, Any]]:
    """Of the running clock, open ones and ended ones. `until` null: open."""
    found = []
    for hold in state.clock.holds:
        known = life.holds.get(hold.kind)
        about = named(known) if known else {"code": 0, "name": "reversal", "label": text(_BACK)}
        found.append(
            {
                **about,
                "article": article(known.article) if known else None,
                "organisation": hold.organisation or None,
                "from": hold.start,
                "fromShanghai": moment(hold.start),
                "until": hold.until,
                "untilShanghai": moment(hold.until),
            }
        )
    return found


def event_words(life: Lifecycle, step: Step) -> dict[str, dict[str, str]]:
    """What happened: a label and a sentence."""
    transition = life.transitions.get(step.event.transition or 0)
    hold = life.holds.get(step.event.hold or 0)
    return {
        "label": text(_label(step.event, transition, hold)),
        "plain": text(_plain(life, step, transition, hold)),
    }


def event(life: Lifecycle, step: Step, calendar: WorkCalendar) -> dict[str, Any]:
    """One event with the case after it."""
    one, state = step.event, step.state
    transition = life.transitions.get(one.transition or 0)
    hold = life.holds.get(one.hold or 0)
    return {
        "kind": one.kind,
        **event_words(life, step),
        "time": one.time,
        "timeShanghai": moment(one.time),
        "organisation": one.organisation,
        "coOrganisation": one.co_organisation,
        "transition": None if transition is None else named(transition),
        "article": _article_of(transition, hold),
        "reason": _reason(transition, one.reason),
        "pause": None if hold is None else named(hold),
        "fromStage": named(life.stages[one.from_stage]) if one.from_stage in life.stages else None,
        "version": state.version,
        **standing(life, state, calendar),
        "evidence": one.evidence.hex() if one.evidence else None,
        "statement": one.statement.hex() if one.statement else None,
        "note": one.note.hex() if one.note else None,
    }


def _article_of(transition: Transition | None, hold: Hold | None) -> dict[str, str] | None:
    source = transition.article if transition else hold.article if hold else ""
    return article(source) if source else None


def _reason(transition: Transition | None, code: int | None) -> dict[str, Any] | None:
    for one in transition.reasons if transition else ():
        if one.code == code:
            return {"code": one.code, "name": one.name, "label": text(one.label)}
    return None


def _label(one: Event, transition: Transition | None, hold: Hold | None) -> Text:
    if transition is not None:
        return transition.label
    return _fill(_EVENTS[one.kind], name=hold.label if hold else NOTHING)


def _plain(life: Lifecycle, step: Step, transition: Transition | None, hold: Hold | None) -> Text:
    stage = life.stages[step.state.stage]
    if transition is None:
        name = hold.label if hold else NOTHING
        return _fill(_SENTENCES[step.event.kind], name=name, stage=stage.label)
    moved = _EXTENDED if transition.extends else _MOVED
    template = _LAPSED if step.event.kind == "lapsed" else moved
    return _fill(template, label=transition.label, stage=stage.label)


def _fill(template: Text, **words: Text) -> Text:
    return Text(
        template.format("zh", **{name: one.zh for name, one in words.items()}),
        template.format("en", **{name: one.en for name, one in words.items()}),
    )


# The lifecycle itself


def lifecycle(life: Lifecycle, policy: int | None) -> dict[str, Any]:
    """A policy version as data: stages, transitions, pauses, products, reasons."""
    return {
        "policy": policy,
        "lifecycle": life.version,
        "testClock": life.test_clock,
        "tableHash": life.table_hash.hex(),
        "sourceDigest": life.source_digest.hex(),
        "stages": [_stage(one, life) for one in life.stages.values()],
        "transitions": [_transition(one, life) for one in life.transitions.values()],
        "pauses": [named(one, by=roles(one.by), article=article(one.article)) for one in life.holds.values()],
        "products": [
            {"code": one.code, "name": one.name, "label": text(one.label), "by": roles(one.by)}
            for one in life.products.values()
        ],
    }


def roles(bits: int) -> list[str]:
    """Names of a set of roles; `owner` is the institution whose case it is."""
    names = [role.name.lower() for role in Role if bits & role.mask]
    return [*(["owner"] if bits & OWNER else []), *names]


def _clock(clock: Clock | None) -> dict[str, Any] | None:
    if clock is None:
        return None
    return {
        "name": clock.name, "label": text(clock.label), "count": clock.count, "unit": clock.unit.key,
        "article": article(clock.article),
    }  # fmt: skip


def _stage(one: Stage, life: Lifecycle) -> dict[str, Any]:
    return named(
        one, plain=text(one.plain), court=one.court, final=one.final, clock=_clock(one.clock),
        pauses=[life.holds[code].name for code in one.holds],
    )  # fmt: skip


def _transition(one: Transition, life: Lifecycle) -> dict[str, Any]:
    return named(
        one,
        sources=[life.stages[code].name for code in one.sources],
        target=life.stages[one.target].name,
        by=roles(one.by),
        beside=roles(one.beside),
        article=article(one.article),
        when=one.when.name.lower(),
        court=one.court_rule.name.lower(),
        lapse=one.lapse,
        alsoWhilePaused=one.held,
        extends=one.extends,
        clock=_clock(one.clock),
        evidence=[
            {"classes": [kind.name.lower() for kind in need.classes], "from": roles(need.roles)}
            for need in one.evidence
        ],
        fact=one.fact.name.lower() if one.fact else None,
        consent=one.consent.name.lower() if one.consent else None,
        reasons=[{"code": r.code, "name": r.name, "label": text(r.label)} for r in one.reasons],
    )


def possible(steps: Sequence[Transition]) -> list[dict[str, Any]]:
    """Steps that can be taken now."""
    return [named(one, article=article(one.article), lapse=one.lapse) for one in steps]
