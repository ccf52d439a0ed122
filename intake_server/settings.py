"""Table `[intake]` of `<home>/caseledger.toml`.

[intake]
organisations = [3, 4]                # who may upload; nobody by default
audience = "https://intake.example"   # what login acts name; http://<listen> by default
max_file = 1073741824                 # bytes
max_uploads = 8                       # unfinished files of one organisation
max_total = 4294967296                # bytes of them together
lifetime = 86400                      # seconds that a file may stay
allow_non_loopback = false            # behind a TLS proxy on another machine
"""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intake_server.errors import IntakeSettingsInvalid
from intake_server.shelf import Limits

FILE_NAME = "caseledger.toml"
TABLE = "intake"
FOLDER = ("intake", "uploads")
_NUMBERS = {"max_file": "file", "max_uploads": "uploads", "max_total": "total", "lifetime": "lifetime"}
_MEMBERS = {"organisations", "audience", "allow_non_loopback", *_NUMBERS}


@dataclass(frozen=True)
class IntakeSettings:
    """How one process is set."""

    home: Path
    host: str
    port: int
    organisations: frozenset[int]
    audience: str
    limits: Limits

    @property
    def folder(self) -> Path:
        """Where uploads are."""
        return self.home.joinpath(*FOLDER)


def read_settings(home: Path, host: str, port: int) -> IntakeSettings:
    """The settings of a home.

    Raises:
        IntakeSettingsInvalid
    """
    path = home / FILE_NAME
    try:
        document = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise IntakeSettingsInvalid(f"{FILE_NAME} is not TOML", field=FILE_NAME) from None
    table = document.get(TABLE, {})
    if not isinstance(table, dict) or set(table) - _MEMBERS:
        raise IntakeSettingsInvalid(f"members of [{TABLE}]: {', '.join(sorted(_MEMBERS))}", field=TABLE)
    numbers = {to: _number(table, name) for name, to in _NUMBERS.items() if name in table}
    organisations = table.get("organisations", [])
    if not isinstance(organisations, list) or not organisations:
        raise IntakeSettingsInvalid(
            "nobody may upload", field="organisations", hint=f"organisations = [N] in table [{TABLE}]"
        )
    if any(type(one) is not int or not 0 < one < 1 << 32 for one in organisations):
        raise IntakeSettingsInvalid("a list of organisation indexes", field="organisations")
    audience = table.get("audience", f"http://{f'[{host}]' if ':' in host else host}:{port}")
    if not isinstance(audience, str):
        raise IntakeSettingsInvalid("an address", field="audience")
    if table.get("allow_non_loopback", False) is not True and not _is_loopback(host):
        raise IntakeSettingsInvalid(
            "not a loopback address", field="listen", hint="allow_non_loopback = true, behind TLS"
        )
    return IntakeSettings(home, host, port, frozenset(organisations), audience, Limits(**numbers))


def _number(table: dict[str, Any], name: str) -> int:
    value = table[name]
    if type(value) is not int or value < 1:
        raise IntakeSettingsInvalid("a whole number from 1", field=name)
    return value


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
