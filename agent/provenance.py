"""Provenance statements on the organisation's side: from a TOML file that a person writes once.

The salt makes every statement different, so the statement made from a file is kept and used again: the same
`evidence add`, repeated after a kill, says the same.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agent.errors import ArgumentRefused, FileNotReadable
from agent.hashing import PROVENANCE_SUFFIX
from protocol.provenance import Collector, EnvironmentCheck, Provenance, provenance_digest

MAX_FILE = 64 * 1024
_TEXTS = ("source_system", "generating_event", "mechanism", "extraction", "original", "form")
_KNOWN = frozenset((*_TEXTS, "generated_at", "transfer", "collector", "environment"))


def statement_of(path: Path, home: Path) -> bytes:
    """The encoded statement of a TOML file; the same file gives the same statement again.

    Raises:
        FileNotReadable, ArgumentRefused, MalformedProvenance
    """
    try:
        with path.open("rb") as source:
            data = source.read(MAX_FILE + 1)
    except OSError:
        raise FileNotReadable(f"{path.name} cannot be read", field="provenance") from None
    kept = home / "agent" / "provenance" / (hashlib.sha256(data).hexdigest() + PROVENANCE_SUFFIX)
    if kept.is_file():
        statement = kept.read_bytes()
        Provenance.parse(statement)
        return statement
    statement = read_statement(data, path.parent).encode()
    _write(kept, statement)
    return kept.read_bytes()


def read_statement(data: bytes, folder: Path) -> Provenance:
    """A statement with a fresh salt. `folder`: where a collector's `program` is looked for.

    Raises:
        ArgumentRefused: no TOML, a member that is not known, or one of the wrong kind.
    """
    try:
        if len(data) > MAX_FILE:
            raise ValueError
        stated = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, ValueError):
        raise ArgumentRefused("the provenance file is not TOML", field="provenance") from None
    unknown = sorted(set(stated) - _KNOWN)
    if unknown:
        raise ArgumentRefused(
            f"unknown member {unknown[0]}", field="provenance", hint=f"one of {', '.join(sorted(_KNOWN))}"
        )
    texts = {name: _of(stated, name, str) for name in _TEXTS}
    transfer = stated.get("transfer", [])
    if not isinstance(transfer, list) or not all(isinstance(hop, str) for hop in transfer):
        raise ArgumentRefused("transfer is a list of texts", field="transfer")
    return Provenance(
        salt=secrets.token_bytes(32),
        generated_at=_seconds(stated, "generated_at"),
        transfer=tuple(transfer),
        collector=_collector(_of(stated, "collector", dict), folder),
        environment=_environment(_of(stated, "environment", dict)),
        **texts,
    )


def keep_beside(statement: bytes, place: Path) -> Path:
    """Write the statement into a folder, or beside a file, under a name that its digest gives."""
    folder = place if place.is_dir() else place.parent
    target = folder / f"provenance-{provenance_digest(statement).hex()[:16]}{PROVENANCE_SUFFIX}"
    if not target.is_file():
        _write(target, statement)
    return target


def own_program() -> Collector:
    """This agent, as the collector: SHA-256 over its own source files in the order of their names."""
    folder = Path(__file__).parent
    total = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        total.update(hashlib.sha256(file.name.encode() + b"\0" + file.read_bytes()).digest())
    try:
        release = version("caseledger")
    except PackageNotFoundError:
        release = "unreleased"
    return Collector("caseledger-agent", release, total.digest())


def _of(stated: Mapping[str, Any], name: str, kind: type) -> Any:
    value = stated.get(name)
    if value is not None and not isinstance(value, kind):
        raise ArgumentRefused(f"{name}: another kind of value is expected", field=name)
    return value


def _seconds(stated: Mapping[str, Any], name: str) -> int | None:
    value = _of(stated, name, datetime)
    if value is None:
        return None
    if value.tzinfo is None:
        raise ArgumentRefused(
            f"{name}: a time with its offset is expected", field=name, hint="…T09:30:00+08:00"
        )
    return int(value.timestamp())


def _collector(stated: Mapping[str, Any] | None, folder: Path) -> Collector:
    if stated is None:
        return own_program()
    _only(stated, "collector", ("name", "version", "program"))
    program = _of(stated, "program", str)
    digest = None
    if program is not None:
        try:
            with (folder / program).open("rb") as source:
                digest = hashlib.file_digest(source, "sha256").digest()
        except OSError:
            raise FileNotReadable("the collector's program cannot be read", field="program") from None
    return Collector(_needed(stated, "name"), _needed(stated, "version"), digest)


def _environment(stated: Mapping[str, Any] | None) -> EnvironmentCheck | None:
    if stated is None:
        return None
    _only(stated, "environment", ("what", "passed", "at"))
    at, passed = _seconds(stated, "at"), _of(stated, "passed", bool)
    if at is None or passed is None:
        raise ArgumentRefused("environment: what, passed and at are expected", field="environment")
    return EnvironmentCheck(_needed(stated, "what"), passed, at)


def _only(stated: Mapping[str, Any], table: str, names: tuple[str, ...]) -> None:
    for name in stated:
        if name not in names:
            raise ArgumentRefused(
                f"{table}: unknown member {name}", field=table, hint=f"one of {', '.join(names)}"
            )


def _needed(stated: Mapping[str, Any], name: str) -> str:
    value = _of(stated, name, str)
    if value is None:
        raise ArgumentRefused(f"{name} is missing", field=name)
    return str(value)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)
