"""The clocks of the law: complete, consistent in both languages, and each deadline says what it stands on."""

from __future__ import annotations

import re
from datetime import date

import pytest

from cases.calendar import first_second, shipped, to_day
from cases.clocks import CLOCKS, LAWS, PAUSES, Bound, articles, clock
from cases.deadlines import Clock, Hold, Unit, compute
from cases.errors import ClockUnknown
from cases.explain import Reason, sentence
from cases.lifecycle_v1 import LIFECYCLE_V1
from protocol.i18n import Text


def at(year: int, month: int, day: int, hour: int = 10, minute: int = 0) -> int:
    return first_second(to_day(date(year, month, day))) + hour * 3600 + minute * 60


def said(name: str, start: int, *holds: Hold, pause: str = "appraisal") -> tuple[str, str]:
    legal = clock(name)
    deadline = compute(shipped(), start, legal.clock, holds)
    names = [PAUSES[pause].label] * len(holds)
    zh, en = (sentence(Reason.of(legal), deadline, lang, names) for lang in ("zh", "en"))
    return zh, en


def test_every_clock_has_its_words_and_its_article() -> None:
    for name, legal in CLOCKS.items():
        assert legal.name == name
        for text in (legal.label, legal.event, *(pause.label for pause in legal.pauses)):
            assert any("一" <= character <= "鿿" for character in text.zh), name
            assert text.en.isascii(), name
        assert legal.articles
        assert all(article.law in LAWS and article.numbers for article in legal.articles)
        assert legal.clock.unit != Unit.SECONDS


@pytest.mark.parametrize(
    ("name", "count", "unit", "law"),
    [
        ("mediator-choice", 2, "working-days", "OM 10"),
        ("mediator-designation", 3, "working-days", "OM 10"),
        ("mediator-acceptance", 3, "working-days", "OM 12"),
        ("mediation-offer", 3, "working-days", "OM 15"),
        ("mediation", 30, "days", "OM 24; IM 27"),
        ("mediation-ordinary", 15, "days", "OM 24; IM 27"),
        ("mediation-simple", 7, "days", "OM 24; IM 27"),
        ("confirmation-application", 30, "days", "CPL 205"),
        ("confirmation", 30, "days", "CPL 187"),
        ("order-notice", 5, "days", "CPL 226; CPI 427"),
        ("order-acceptance", 15, "days", "CPL 227"),
        ("order-objection", 15, "days", "CPL 227"),
        ("order-service", 30, "days", "CPI 430"),
        ("decline-suit", 7, "days", "CPI 438, 439"),
        ("filing", 7, "days", "CPL 126"),
        ("copy-to-defendant", 5, "days", "CPL 128"),
        ("answer", 15, "days", "CPL 128"),
        ("evidence-small", 7, "days", "CER 51; CPI 275"),
        ("evidence-simple", 15, "days", "CER 51"),
        ("evidence-ordinary", 15, "days", "CER 51"),
        ("trial-small", 2, "months", "CPL 168"),
        ("trial-small-extended", 3, "months", "CPL 168"),
        ("trial-simple", 3, "months", "CPL 164"),
        ("trial-simple-extended", 4, "months", "CPL 164"),
        ("trial-ordinary", 6, "months", "CPL 152"),
        ("trial-ordinary-extended", 12, "months", "CPL 152"),
        ("appeal-trial", 3, "months", "CPL 183"),
        ("ruling-appeal-trial", 30, "days", "CPL 183"),
        ("appeal", 15, "days", "CPL 171"),
        ("ruling-appeal", 10, "days", "CPL 171"),
        ("public-notice", 30, "days", "CPL 95"),
        ("preservation-urgent", 48, "hours", "CPL 103; PP 4; CPI 125"),
        ("preservation-before-suit", 48, "hours", "CPL 104; CPI 125"),
        ("preservation-ruling", 5, "days", "PP 4"),
        ("preservation-start", 5, "days", "PP 4"),
        ("preservation-suit", 30, "days", "CPL 104; PP 17"),
        ("preservation-review-request", 5, "days", "PP 25"),
        ("preservation-review", 10, "days", "PP 25"),
        ("preservation-renewal", 7, "days", "PP 18"),
        ("preservation-after-title", 5, "days", "CPI 163"),
        ("freeze-deposit", 1, "years", "CPI 485"),
        ("seizure-movable", 2, "years", "CPI 485"),
        ("seizure-other", 3, "years", "CPI 485"),
        ("enforcement-application", 2, "years", "CPL 250"),
        ("enforcement-notice", 10, "days", "CPI 480"),
        ("asset-clue", 7, "days", "AI 2"),
        ("asset-clue-urgent", 3, "days", "AI 2"),
        ("enforcement", 6, "months", "CPL 237"),
        ("objection-review", 15, "days", "CPL 236, 238"),
        ("objection-reconsideration", 10, "days", "CPL 236"),
        ("limitation", 3, "years", "CC 188, 189, 195"),
        ("limitation-longest", 20, "years", "CC 188"),
    ],
)
def test_lengths_are_those_of_the_articles(name: str, count: int, unit: str, law: str) -> None:
    legal = clock(name)
    assert (legal.clock.count, legal.clock.unit.key) == (count, unit)
    assert legal.articles == articles(law)
    assert "; ".join(map(str, legal.articles)) == law


def test_what_ends_by_itself_is_not_moved_by_holidays_where_a_court_set_it() -> None:
    frozen = {name for name, legal in CLOCKS.items() if legal.clock.unit != Unit.HOURS and legal.clock.flags}
    assert frozen == {"freeze-deposit", "seizure-movable", "seizure-other"}
    assert all(CLOCKS[name].bound is Bound.EXPIRES for name in frozen)


def test_only_the_renewal_counts_backward() -> None:
    assert [name for name, legal in CLOCKS.items() if legal.backward] == ["preservation-renewal"]


def test_the_lifecycle_uses_the_lengths_of_the_law() -> None:
    stages = LIFECYCLE_V1.stages.values()
    named = [stage.clock for stage in stages if stage.clock and stage.clock.name in CLOCKS]
    assert len(named) > 15
    for used in named:
        legal = clock(used.name)
        assert Clock.unpack(used.row()) == legal.clock, used.name
        cited = {number for article in legal.articles for number in re.findall(r"\d+", str(article))}
        assert cited <= set(re.findall(r"\d+", used.article)), used.name


def test_an_unknown_clock_is_refused() -> None:
    with pytest.raises(ClockUnknown):
        clock("appeals")


def test_a_sentence_names_article_event_and_holidays() -> None:
    zh, en = said("appeal", at(2026, 2, 6))
    assert zh == (
        "对判决上诉（《民事诉讼法》（2023）第171条）：自2026年2月6日（判决书送达）的次日起算15日，"
        "原为2026年2月21日届满，2026年2月21日至2026年2月23日不是工作日，届满日顺延，截止2026年2月24日24时。"
    )
    assert en == (
        "appeal against a judgment (Civil Procedure Law (2023) Art. 171): 15 days from the day after "
        "2026-02-06 (the judgment was served); to end on 2026-02-21; moved on because 2026-02-21 to "
        "2026-02-23 are not working; last day 2026-02-24, until midnight."
    )


def test_a_sentence_names_each_hold() -> None:
    zh, en = said("mediation", at(2026, 3, 2), Hold(at(2026, 3, 10), at(2026, 3, 20)))
    assert "因鉴定评估自2026年3月10日至2026年3月19日停止计算10日" in zh
    assert "stopped by appraisal from 2026-03-10 to 2026-03-19, 10 days" in en
    zh, en = said("mediation", at(2026, 3, 2), Hold(at(2026, 3, 10), at(2026, 3, 11)))
    assert "停止计算1日" in zh
    assert "2026-03-10, 1 day;" in en


def test_a_sentence_says_that_a_clock_stands_still() -> None:
    zh, en = said("mediation", at(2026, 3, 2), Hold(at(2026, 3, 10)))
    assert zh.endswith("因鉴定评估自2026年3月10日 10:00:00起停止计算，尚无截止日。")
    assert en.endswith("stopped by appraisal since 2026-03-10 10:00:00; there is no deadline yet.")


def test_working_days_and_hours_have_sentences_of_their_own() -> None:
    zh, en = said("mediation-offer", at(2026, 2, 13))
    assert "3个工作日，2026年2月15日至2026年2月23日不是工作日，不计" in zh
    assert "not counting 2026-02-15 to 2026-02-23" in en
    zh, en = said("preservation-urgent", at(2026, 2, 13, 10, 20))
    assert "的次时起算48小时，截止2026年2月15日 10:59:59" in zh
    assert "48 hours from the full hour after 2026-02-13 10:20:00" in en
    zh, en = said("freeze-deposit", at(2025, 2, 17))
    assert "不因休假日顺延，截止2026年2月17日24时" in zh
    assert "not moved by holidays; last day 2026-02-17" in en


def test_a_test_clock_is_marked_in_both_languages() -> None:
    reason = Reason(Text("调解", "mediation"), Text("内部", "house"), Text("开始", "start"))
    deadline = compute(shipped(), at(2026, 3, 2), Clock(1, Unit.SECONDS))
    for lang in ("zh", "en"):
        assert "TEST CLOCK" in sentence(reason, deadline, lang)
    assert "1 second from" in sentence(reason, deadline, "en")
    held = compute(
        shipped(), at(2026, 3, 2), Clock(5, Unit.SECONDS), [Hold(at(2026, 3, 2), at(2026, 3, 2) + 9)]
    )
    assert "9 seconds" in sentence(reason, held, "en")
