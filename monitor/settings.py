"""`[witness]` in `caseledger.toml` of a witness's home.

[witness]
name = "court.example/witness"   # key name in cosignature lines
sha256_key = "witness-sha256"    # key file keys/<name>.json; one for each tree
sm3_key = "witness-sm3"
journal = "/second-disk/witness" # folder of the high-water journal; on another disk than the home
stale_seconds = 60               # older than this, the own node's newest block is not signed on

[witness.ml_dsa]                 # optional: ML-DSA-44 keys beside the Ed25519 ones, always in key files
name = "court.example/witness/ml-dsa-44"   # a key name of their own
sha256_key = "witness-sha256-ml-dsa"
sm3_key = "witness-sm3-ml-dsa"

[witness.pkcs11]                 # for keys named "pkcs11:<label>", in a token
module = "/usr/lib/softhsm/libsofthsm2.so"
token = "court"                  # label of the token
pin_file = "keys/pin"            # mode 0600
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.errors import WitnessSettingsInvalid
from protocol.checkpoint import check_key_name
from protocol.errors import MalformedInput

FILE_NAME = "caseledger.toml"
TABLE = "witness"
BEHIND_PKCS11 = "pkcs11:"
_MEMBERS = ("name", "sha256_key", "sm3_key", "journal", "stale_seconds", "pkcs11", "ml_dsa")


@dataclass(frozen=True)
class TokenSettings:
    """Where keys named `pkcs11:<label>` are."""

    module: Path
    token: str
    pin_file: Path


@dataclass(frozen=True)
class MlDsaSettings:
    """ML-DSA-44 keys: the key name in their lines, and key files by algorithm number."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class WitnessSettings:
    """Paths are absolute. `keys`: key names by algorithm number."""

    home: Path
    name: str
    keys: tuple[str, ...]
    journal: Path
    stale_seconds: float | None = None
    token: TokenSettings | None = None
    ml_dsa: MlDsaSettings | None = None

    @property
    def state(self) -> Path:
        """Folder of the state file."""
        return self.home / "witness"

    @property
    def alarms(self) -> Path:
        """Folder of signed notes that prove a split view."""
        return self.state / "alarms"


def load(home: Path) -> WitnessSettings:
    """Of a witness's home. Raises WitnessSettingsInvalid."""
    home = home.absolute()
    try:
        document = tomllib.loads((home / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise WitnessSettingsInvalid(f"{FILE_NAME} cannot be read", field=FILE_NAME) from None
    table = document.get(TABLE)
    if not isinstance(table, dict):
        raise WitnessSettingsInvalid(f"no table [{TABLE}]", field=TABLE, hint=FILE_NAME)
    unknown = sorted(table.keys() - set(_MEMBERS))
    if unknown:
        raise WitnessSettingsInvalid(f"unknown member {unknown[0]}", field=f"{TABLE}.{unknown[0]}")
    name = _key_name(table, TABLE)
    stale = table.get("stale_seconds")
    if stale is not None and (not isinstance(stale, int | float) or isinstance(stale, bool) or stale <= 0):
        raise WitnessSettingsInvalid("a number of seconds is expected", field=f"{TABLE}.stale_seconds")
    journal = Path(_text(table, "journal", "witness-journal"))
    keys = (_text(table, "sha256_key"), _text(table, "sm3_key"))
    token = _token(table.get("pkcs11"), home)
    if token is None and any(key.startswith(BEHIND_PKCS11) for key in keys):
        raise WitnessSettingsInvalid(f"no table [{TABLE}.pkcs11]", field=f"{TABLE}.pkcs11")
    ml_dsa = _ml_dsa(table.get("ml_dsa"))
    if ml_dsa is not None and ml_dsa.name == name:
        raise WitnessSettingsInvalid("the Ed25519 keys have this name", field=f"{TABLE}.ml_dsa.name")
    return WitnessSettings(home, name, keys, home / journal, stale, token, ml_dsa)


def _key_name(table: dict[str, Any], where: str) -> str:
    name = _text(table, "name")
    try:
        return check_key_name(name, f"{where}.name")
    except MalformedInput as error:
        raise WitnessSettingsInvalid(error.detail, field=error.field) from None


def _ml_dsa(table: Any) -> MlDsaSettings | None:
    where = f"{TABLE}.ml_dsa"
    if table is None:
        return None
    if not isinstance(table, dict) or table.keys() != {"name", "sha256_key", "sm3_key"}:
        raise WitnessSettingsInvalid("name, sha256_key and sm3_key are expected", field=where)
    name = _key_name(table, where)
    keys = (_text(table, "sha256_key"), _text(table, "sm3_key"))
    if any(key.startswith(BEHIND_PKCS11) for key in keys):
        raise WitnessSettingsInvalid("an ML-DSA-44 key is a key file", field=where)
    return MlDsaSettings(name, keys)


def _token(table: Any, home: Path) -> TokenSettings | None:
    if table is None:
        return None
    if not isinstance(table, dict) or table.keys() != {"module", "token", "pin_file"}:
        raise WitnessSettingsInvalid("module, token and pin_file are expected", field=f"{TABLE}.pkcs11")
    where = home / _text(table, "pin_file")
    return TokenSettings(home / _text(table, "module"), _text(table, "token"), where)


def _text(table: dict[str, Any], member: str, default: str | None = None) -> str:
    value = table.get(member, default)
    if not isinstance(value, str) or not value:
        raise WitnessSettingsInvalid("a text is expected", field=f"{TABLE}.{member}")
    return value
