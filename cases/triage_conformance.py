"""`caseledger conformance triage`: a JSON line in, an answer out (docs/spec/conformance.md, section 12)."""

from __future__ import annotations

from datetime import date
from typing import Any

from cases import tracks, triage
from cases.conformance import refusal
from cases.decision_table import DecisionTable, Input
from cases.errors import DecisionInputInvalid, DecisionTableUnknown
from protocol.errors import CaseledgerError
from verifier.errors import FieldInvalid, FieldMissing, FieldUnknown
from verifier.strict_json import Json, loads

_FIELDS = {"table", "version", "inputs", "claim", "wage", "about"}
_TABLES = {"triage": triage.TABLES, "track": tracks.TABLES}


def answer(line: bytes) -> dict[str, Any]:
    """`{"outcome": …, "rule": …}` or `{"error": code}`; never an exception."""
    try:
        return _answered(loads(line))
    except CaseledgerError as error:
        return refusal(error)
    except Exception as error:
        return {"error": "VerifierFault", "detail": type(error).__name__}


def _answered(value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FieldInvalid("an object is expected", field="line")
    unknown = sorted(set(value) - _FIELDS)
    if unknown:
        raise FieldUnknown(unknown[0][:64], field="line")
    table = _table(value)
    decision = table.decide(_values(table, value))
    return {
        "outcome": decision.outcome.name,
        "rule": decision.rule.name,
        "number": decision.rule.number,
        "confirm": decision.confirm.name.lower(),
        "used": list(decision.used),
        "open": list(decision.open_questions()),
        "version": table.version,
        "digest": table.digest.hex(),
    }


def _table(value: dict[str, Json]) -> DecisionTable:
    kind = value.get("table", "triage")
    if not isinstance(kind, str) or kind not in _TABLES:
        raise DecisionTableUnknown(str(kind)[:64], field="table")
    versions = _TABLES[kind]
    version = value.get("version", max(versions))
    if type(version) is not int or version not in versions:
        raise DecisionTableUnknown(f"{kind} {str(version)[:20]}", field="version")
    return versions[version]


def _values(table: DecisionTable, value: dict[str, Json]) -> list[int]:
    given = value.get("inputs")
    if not isinstance(given, dict):
        raise FieldMissing("inputs", field="inputs") if given is None else FieldInvalid(field="inputs")
    unknown = sorted(set(given) - set(table.places))
    if unknown:
        raise FieldUnknown(unknown[0][:64], field="inputs")
    found = [_value(item, given) for item in table.inputs]
    if "wage" in value or "claim" in value:
        found[table.places["amount"]] = _share(table, value)
    return found


def _value(item: Input, given: dict[str, Json]) -> int:
    if item.name not in given:
        if item.bands:
            raise FieldMissing(item.name, field="inputs")
        return 0
    raw = given[item.name]
    if item.bands:
        if type(raw) is not int:
            raise FieldInvalid("an integer is expected", field=item.name)
        return raw
    for value in item.values:
        if raw == value.name:
            return value.code
    raise DecisionInputInvalid(f"{str(raw)[:40]} is no value of {item.name}", field=item.name)


def _share(table: DecisionTable, value: dict[str, Json]) -> int:
    """The amount of a track from claim (fen) and wage (yuan), instead of its name."""
    claim, wage = value.get("claim"), value.get("wage")
    inputs = value.get("inputs")
    if table.kind.name != "TRACK" or (isinstance(inputs, dict) and "amount" in inputs):
        raise FieldInvalid("claim and wage stand for the amount of a track", field="claim")
    if type(claim) is not int or type(wage) is not int or claim < 0:
        raise FieldInvalid("claim in fen and wage in yuan, both integers", field="claim")
    return int(tracks.share(claim, tracks.Wage("", date.min.year, wage)))
