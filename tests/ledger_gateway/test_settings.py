"""Settings: one table, overrides by name, nothing accepted that nobody asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ledger_gateway.settings import SettingsInvalid, load


def write(home: Path, text: str) -> Path:
    (home / "caseledger.toml").write_text(text)
    return home


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[gateway]\nprot = 1\n", "prot"),
        ("[gateway]\nport = 70000\n", "port"),
        ('[gateway]\nlog_level = "loud"\n', "log_level"),
        ('[gateway]\nhost = "0.0.0.0"\n', "gateway"),
        ("[gateway\n", "caseledger.toml"),
    ],
)
def test_wrong_setting_is_named_without_its_value(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load(write(tmp_path, text))
    assert caught.value.field == field
    assert "0.0.0.0" not in caught.value.detail  # noqa: S104 - looked for, not bound


def test_listening_beyond_loopback_has_to_be_meant(tmp_path: Path) -> None:
    home = write(tmp_path, '[gateway]\nhost = "0.0.0.0"\nallow_non_loopback = true\n')
    assert load(home).host == "0.0.0.0"  # noqa: S104


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = write(tmp_path, "[gateway]\nport = 4000\n[agent]\nkey = 'x'\n")
    assert load(home).port == 4000
    monkeypatch.setenv("CASELEDGER_PORT", "4001")
    assert load(home).port == 4001


def test_settings_are_frozen(tmp_path: Path) -> None:
    settings = load(tmp_path)
    with pytest.raises(ValidationError):
        settings.port = 1


def test_audience_is_the_address_unless_said_otherwise(tmp_path: Path) -> None:
    assert load(tmp_path).audience_at(81) == "http://127.0.0.1:81"
    assert load(tmp_path, audience="https://ledger.example").audience_at(81) == "https://ledger.example"
