"""Language choice: as asked, else the environment, else Chinese."""

from __future__ import annotations

import pytest

from protocol.i18n import Text, choose, language


@pytest.mark.parametrize(
    ("wanted", "environment", "expected"),
    [
        (None, None, "zh"),
        (None, "en", "en"),
        (None, "en_GB.UTF-8", "en"),
        (None, "fr", "zh"),
        ("zh-CN", "en", "zh"),
        ("EN", "zh", "en"),
        ("", "en", "en"),
    ],
)
def test_language(wanted: str | None, environment: str | None, expected: str) -> None:
    environ = {} if environment is None else {"CASELEDGER_LANG": environment}
    assert language(wanted, environ) == expected


def test_text_has_both() -> None:
    text = Text("共 {n} 份", "{n} in all")
    assert choose(text, "zh") == "共 {n} 份"
    assert text.format("en", n=3) == "3 in all"
