"""Engine profiles: how a kind of chain node behaves, as data (`engines.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

from chain.errors import ChainError

Finality = Literal["instant"] | int
Proof = Literal["ics23", "mpt-qbft", "mpt-clique", "none"]


class UnknownEngine(ChainError):
    """An engine name that has no profile."""

    http_status = 422
    title = "unknown engine"


class EngineProfileMalformed(ChainError):
    """The profile file does not hold what every profile must say."""

    http_status = 500
    title = "engine profile malformed"


@dataclass(frozen=True)
class EngineProfile:
    """What callers of a node must know. Gas prices in base units, times in seconds."""

    name: str
    label_zh: str
    label_en: str
    finality: Finality
    proof: Proof
    proof_following: int
    poa_extra_data: bool
    min_gas_price: int
    base_fee: bool
    nonce_gaps: Literal["queued", "rejected"]
    replacement: bool
    max_log_range: int
    finalized_tag: bool
    revert_gas: Literal["actual", "limit"]
    block_gas_limit: int
    max_batch: int
    block_seconds: float
    stale_blocks: int
    stale_seconds: float
    comet_rpc: bool
    deploy_permissioned: bool
    proof_state_blocks: int

    @property
    def depth(self) -> int:
        """Blocks on top of a block after which it counts as final; 0 with instant finality."""
        return 0 if self.finality == "instant" else self.finality

    @property
    def instant(self) -> bool:
        """Whether a block is final when it is seen."""
        return self.finality == "instant"


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "proof": ("ics23", "mpt-qbft", "mpt-clique", "none"),
    "nonce_gaps": ("queued", "rejected"),
    "revert_gas": ("actual", "limit"),
}


def parse_profiles(text: str) -> Mapping[str, EngineProfile]:
    """Read a profile file; raises EngineProfileMalformed naming table and member."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise EngineProfileMalformed("not TOML", field="engines.toml") from None
    return {name: _profile(name, table) for name, table in tables.items()}


def _profile(name: str, table: Any) -> EngineProfile:
    if not isinstance(table, dict):
        raise EngineProfileMalformed("not a table", field=name)
    wanted = {f.name for f in fields(EngineProfile)} - {"name"}
    for member in sorted(wanted ^ table.keys()):
        raise EngineProfileMalformed("missing or unknown member", field=f"{name}.{member}")
    kinds = {f.name: f.type for f in fields(EngineProfile)}
    for member, value in table.items():
        kind = str(kinds[member])
        good = {
            "str": isinstance(value, str),
            "bool": isinstance(value, bool),
            "int": isinstance(value, int) and not isinstance(value, bool) and value >= 0,
            "float": isinstance(value, float) and value > 0,
            "Finality": value == "instant"
            or (isinstance(value, int) and not isinstance(value, bool) and value >= 1),
        }.get(kind, value in _CHOICES.get(member, ()))
        if not good:
            raise EngineProfileMalformed("wrong value", field=f"{name}.{member}")
    return EngineProfile(name=name, **cast(dict[str, Any], table))


@cache
def profiles() -> Mapping[str, EngineProfile]:
    """All profiles by name."""
    return parse_profiles(files("chain").joinpath("engines.toml").read_text("utf-8"))


def profile(name: str) -> EngineProfile:
    """The profile of an engine: cometbft, qbft, clique or dev. Raises UnknownEngine."""
    try:
        return profiles()[name]
    except KeyError:
        raise UnknownEngine(
            f"engines are {', '.join(sorted(profiles()))}", field="engine", hint="caseledger.toml"
        ) from None
