"""Words and names of the commands that move a case; the commands themselves run in e2e."""

from __future__ import annotations

import string

import httpx
import pytest

from agent.client import GatewayClient
from agent.errors import GatewayRefused
from cases.lifecycle_v1 import LIFECYCLE_V1
from cli.case_act import VERBS, NameUnknown, _named
from cli.case_act_texts import TEXTS
from cli.case_ways import lifecycle
from cli.main import _report


def test_both_languages_have_the_same_places_to_fill() -> None:
    for name, text in TEXTS.items():
        places = [{p for _, p, _, _ in string.Formatter().parse(words) if p} for words in (text.zh, text.en)]
        assert places[0] == places[1], name
    assert set(VERBS) <= set(TEXTS)


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(NameUnknown) as refused:
        _named(LIFECYCLE_V1.holds, "holiday", "kind")
    assert refused.value.hint is not None
    assert "public-notice" in refused.value.hint
    assert _named(LIFECYCLE_V1.transitions, "admit", "transition").id == 1


def test_a_policy_of_another_release_is_not_guessed() -> None:
    assert lifecycle(LIFECYCLE_V1.table_hash.hex()) is LIFECYCLE_V1
    for other in ("00" * 32, "zz", ""):
        with pytest.raises(Exception, match="another release"):
            lifecycle(other)


def _refusal(rule: object) -> GatewayRefused:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(409, json={"code": "CaseTooEarly", "detail": "d", "rule": rule})

    client = GatewayClient("http://127.0.0.1:1", transport=httpx.MockTransport(answer))
    with client, pytest.raises(GatewayRefused) as refused:
        client.case_act("00" * 32, {})
    return refused.value


def test_a_refusal_is_shown_with_its_rule(capsys: pytest.CaptureFixture[str]) -> None:
    rule = {
        "name": "judged", "article": "CPL 155", "cite": {"zh": "第155条", "en": "Art. 155"},
        "text": {"zh": "期限未过。", "en": "The deadline has not passed."},
    }  # fmt: skip
    error = _refusal(rule)
    _report(error, "zh", as_json=False)
    shown = capsys.readouterr().err
    assert "CaseTooEarly" in shown
    assert "期限未过。 (第155条)" in shown
    _report(error, "en", as_json=True)
    assert '"article": "CPL 155"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "rule",
    [None, "text", 7, [], {}, {"text": 5, "cite": []}, {"text": {"zh": "\x1b[2J" + "长" * 5000, "en": None}}],
)
def test_what_a_gateway_writes_as_a_rule_is_cut_to_shape(
    rule: object, capsys: pytest.CaptureFixture[str]
) -> None:
    error = _refusal(rule)
    for lang in ("zh", "en"):
        _report(error, lang, as_json=False)
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert len(shown) < 2000
