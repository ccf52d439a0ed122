"""One frozen settings object: `<home>/caseledger.toml`, table `[gateway]`, overridden by `CASELEDGER_*`.

Built once by the command that starts, handed down; nothing else reads the environment. Secrets are never
values here: they are names of files.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from protocol.custody import ORIGIN_SUFFIX, is_custody_log
from protocol.errors import CaseledgerError

FILE_NAME = "caseledger.toml"
TABLE = "gateway"
HOME_VARIABLE = "CASELEDGER_HOME"
DEFAULT_HOME = ".caseledger"


class SettingsInvalid(CaseledgerError):
    """The settings file or an override is not usable; names the setting, never its value."""

    title = "settings not usable"


def default_home() -> Path:
    """`CASELEDGER_HOME`, or `.caseledger` in the working directory; absolute."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).absolute()


class _TableSource(PydanticBaseSettingsSource):
    """The `[gateway]` table of the home's settings file; absent file or table is an empty one."""

    def __init__(self, settings_cls: type[BaseSettings], home: Path) -> None:
        super().__init__(settings_cls)
        path = home / FILE_NAME
        document = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        table = document.get(TABLE, {})
        self._table: dict[str, Any] = dict(table) if isinstance(table, dict) else {}
        if "witness" in document:
            self._table["witnesses"] = document["witness"]
        if "time_authority" in document:
            self._table["time_authorities"] = document["time_authority"]

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._table.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._table)


class WitnessMlDsaSettings(BaseModel):
    """`[witness.ml_dsa]`: the ML-DSA-44 keys of a witness in hex, under a key name of their own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    sha256_key: str = Field(pattern="^[0-9a-f]{2624}$")
    sm3_key: str = Field(pattern="^[0-9a-f]{2624}$")


class WitnessSettings(BaseModel):
    """One `[[witness]]`: who cosigns this log. Keys are Ed25519 public keys in hex, one for each tree."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=256)
    url: str = Field(pattern=r"^https?://")
    sha256_key: str = Field(pattern="^[0-9a-f]{64}$")
    sm3_key: str = Field(pattern="^[0-9a-f]{64}$")
    ml_dsa: WitnessMlDsaSettings | None = None


class TimeAuthoritySettings(BaseModel):
    """One `[[time_authority]]`: who stamps this log's checkpoints (RFC 3161)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=128)
    url: str = Field(pattern=r"^https?://")
    roots: Path
    """PEM or DER file of its root certificates; a relative one lies in the home."""
    chain: Path | None = None
    """Certificates between its signer and a root, if its tokens leave them out."""
    policies: tuple[str, ...] = Field(default=(), max_length=16)
    revocation: tuple[str, ...] = Field(default=(), max_length=4)
    """Addresses of its revocation lists."""
    every: int = Field(default=60, ge=1, le=86_400)
    """Seconds from one request to the next."""


class Settings(BaseSettings):
    """What a gateway and its worker need to know. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="CASELEDGER_", frozen=True, extra="forbid")

    home: Path
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """0 takes a free port and records it under `run/`."""
    audience: str = ""
    """What login acts name; empty means `http://host:port`."""
    allow_non_loopback: bool = False
    organisation: int = Field(default=1, ge=1, lt=2**32)
    """Index of the operator, whose log this gateway seals."""
    log_origin: str = "caseledger.localhost/evidence"
    custody_origin: str = ""
    """The custody log; empty means `<log_origin>-custody`. Without such a log the gateway keeps none."""
    custody_key: str = ""
    """Act key with which the gateway records what it hands out; empty: it records nothing of its own."""
    log_key: str = "log"
    anchor_key: str = "anchor"
    relayer_keys: tuple[str, ...] = ("relayer-1", "relayer-2")
    """Senders that pay for gas: the first for anchors, the others for relayed acts."""
    database_dsn_file: Path | None = None
    """File that holds the DSN; none means the embedded cluster of the home."""
    deployment_file: Path | None = None
    rpc_urls: tuple[str, ...] = ()
    """Overrides the deployment's node addresses."""
    comet_urls: tuple[str, ...] = ()
    blob_folder: Path | None = None

    max_submission_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    max_blob_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_batch_bytes: int = Field(default=2 * 1024 * 1024 * 1024, ge=1024)
    """Of one batch file; a million cases have about 1 GiB."""
    batches_at_once: int = Field(default=2, ge=1, le=32)
    """Batch files that are taken at the same time; more are asked to come again."""
    max_json_bytes: int = Field(default=1024 * 1024, ge=1024)
    body_timeout: float = Field(default=30.0, gt=0)
    requests_per_second: float = Field(default=20_000.0, gt=0)
    """For each organisation, over all its connections."""
    request_burst: float = Field(default=40_000.0, gt=0)
    anonymous_per_second: float = Field(default=5_000.0, gt=0)
    max_page: int = Field(default=1000, ge=1, le=10_000)
    max_bulk_receipts: int = Field(default=1000, ge=1, le=10_000)
    pool_size: int = Field(default=8, ge=2, le=100)
    drain_seconds: float = Field(default=20.0, gt=0)
    promise_seconds: int = Field(default=24 * 3600, ge=1)
    """How long after acceptance a leaf may take to be in the log."""
    stale_head_seconds: float = Field(default=30.0, gt=0)
    log_level: str = "info"
    witnesses: tuple[WitnessSettings, ...] = Field(default=(), max_length=32)
    """The tables `[[witness]]` of the settings file."""
    time_authorities: tuple[TimeAuthoritySettings, ...] = Field(default=(), max_length=8)
    """The tables `[[time_authority]]`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = init_settings().get("home") or default_home()
        return init_settings, env_settings, _TableSource(settings_cls, Path(home))

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value not in ("debug", "info", "warning", "error"):
            raise ValueError("one of debug, info, warning, error")
        return value

    @model_validator(mode="after")
    def _loopback_unless_asked(self) -> Settings:
        if not self.allow_non_loopback and not _is_loopback(self.host):
            raise ValueError("host is not a loopback address; set allow_non_loopback to mean it")
        return self

    @property
    def custody_log(self) -> str:
        """Origin of the custody log."""
        return self.custody_origin or self.log_origin + ORIGIN_SUFFIX

    @field_validator("custody_origin")
    @classmethod
    def _custody_ending(cls, value: str) -> str:
        if value and not is_custody_log(value):
            raise ValueError(f"ends in {ORIGIN_SUFFIX}")
        return value

    @property
    def relay_lanes(self) -> tuple[str, ...]:
        """Senders of relayed acts."""
        return self.relayer_keys[1:] or self.relayer_keys

    @property
    def run_folder(self) -> Path:
        return self.home / "run"

    @property
    def keys_folder(self) -> Path:
        return self.home / "keys"

    @property
    def blobs(self) -> Path:
        return self.blob_folder or self.home / "blobs"

    @property
    def deployment(self) -> Path:
        return self.deployment_file or self.home / "deployment.json"

    @property
    def case_record(self) -> Path:
        """Beside the deployment's record; a ledger without it has no cases."""
        return self.deployment.parent / "cases.json"

    def audience_at(self, port: int) -> str:
        """The audience when the gateway listens at `port`."""
        return self.audience or f"http://{self.host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(home: Path | None = None, **overrides: Any) -> Settings:
    """Settings of a home. Raises SettingsInvalid naming the first setting that is wrong."""
    base = (home or default_home()).absolute()
    try:
        return Settings(home=base, **overrides)
    except tomllib.TOMLDecodeError:
        raise SettingsInvalid(f"{FILE_NAME} is not TOML", field=FILE_NAME) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "gateway"
        raise SettingsInvalid(str(first["msg"]), field=name, hint=f"table [{TABLE}] of {FILE_NAME}") from None
