"""JSON form of a trust payload: what `trust show --json` prints and `trust new` reads. Hex lower case."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from protocol import expect
from protocol.errors import UnknownVersion
from verifier.trust_payload import (
    VERSIONS,
    Epoch,
    FurtherContract,
    PinnedContract,
    TimeAuthority,
    TrustedChain,
    TrustedLog,
    TrustedValidator,
    TrustKey,
    TrustPayload,
)
from verifier.witness_policy import EMPTY_POLICY, Witness, WitnessGroup, WitnessPolicy

T = TypeVar("T")
MAX_JSON = 4 * 2**20
_MEMBERS = (
    "version", "serial", "issuedAt", "validUntil", "predecessor", "name", "threshold", "keys", "chains",
    "logs", "policy",
)  # fmt: skip
_MEMBERS_2 = (*_MEMBERS, "witnesses", "groups", "quorum", "timeAuthorities")
_MEMBERS_3 = (*_MEMBERS_2, "algorithmEnds")
_MEMBERS_4 = (*_MEMBERS_3, "contracts")


def to_json(payload: TrustPayload) -> dict[str, object]:
    """Members of the payload."""
    out: dict[str, object] = {
        "version": payload.version,
        "serial": payload.serial,
        "issuedAt": payload.issued_at,
        "validUntil": payload.valid_until,
        "predecessor": payload.predecessor.hex() if payload.predecessor else None,
        "name": {"zh": payload.name[0], "en": payload.name[1]},
        "threshold": payload.threshold,
        "keys": [
            {"publicKey": key.public_key.hex(), "name": key.name, "role": key.role} for key in payload.keys
        ],
        "chains": [_chain_json(chain, payload.version) for chain in payload.chains],
        "logs": [
            {
                "origin": log.origin,
                "chainId": log.chain_id,
                "operator": log.operator,
                "logKey": log.log_key.hex(),
                "closedSize": log.closed_size,
                "successor": log.successor,
            }
            for log in payload.logs
        ],
        "policy": {"witnesses": payload.witnesses_required, "timeTokens": payload.time_tokens_required},
    }
    if payload.version >= 2:
        out |= _witness_json(payload)
    if payload.version >= 3:
        out["algorithmEnds"] = [
            {"algorithm": algorithm, "end": end} for algorithm, end in payload.algorithm_ends
        ]
    if payload.version >= 4:
        out["contracts"] = [
            {"chainId": one.chain_id, "name": one.name, **_pin_json(one.pin)} for one in payload.contracts
        ]
    return out


def _witness_json(payload: TrustPayload) -> dict[str, object]:
    return {
        "witnesses": [
            {
                "name": one.name,
                "type": one.kind,
                "publicKey": one.public_key.hex(),
                "statement": one.statement,
                "organisation": one.organisation,
                "role": one.role,
            }
            for one in payload.witness_policy.witnesses
        ],
        "groups": [
            {"name": group.name, "threshold": group.threshold, "members": list(group.members)}
            for group in payload.witness_policy.groups
        ],
        "quorum": payload.witness_policy.quorum,
        "timeAuthorities": [
            {
                "name": one.name,
                "roots": [root.hex() for root in one.roots],
                "policies": list(one.policies),
                "from": one.not_before,
                "until": one.not_after,
            }
            for one in payload.authorities
        ],
    }


def _chain_json(chain: TrustedChain, version: int) -> dict[str, object]:
    return {
        "chainId": chain.chain_id,
        "engine": chain.engine,
        "networkId": chain.network_id,
        "proofKind": chain.proof_kind,
        "epochs": [_epoch_json(epoch, version) for epoch in chain.epochs],
        "registry": _pin_json(chain.registry),
        "evidenceLog": _pin_json(chain.evidence_log),
    }


def _epoch_json(epoch: Epoch, version: int) -> dict[str, object]:
    out: dict[str, object] = {
        "number": epoch.number,
        "from": epoch.from_height,
        "to": epoch.to_height,
        "validators": [
            {
                "publicKey": one.public_key.hex(),
                "power": one.power,
                "controller": one.controller,
                "group": one.group,
            }
            for one in epoch.validators
        ],
    }
    return out | {"closedAt": epoch.closed_at} if version >= 2 else out


def _pin_json(pin: PinnedContract) -> dict[str, str]:
    return {"address": pin.address.hex(), "codeHash": pin.code_hash.hex()}


def from_json(data: bytes) -> TrustPayload:
    """A payload from JSON; the rules between members are checked when it is drafted.

    Raises:
        MalformedInput, UnknownVersion
    """
    document = expect.json_value(data, "trust file", max_bytes=MAX_JSON)
    version = document.get("version") if isinstance(document, dict) else None
    known = version if isinstance(version, int) and not isinstance(version, bool) else 1
    members = {2: _MEMBERS_2, 3: _MEMBERS_3, 4: _MEMBERS_4}.get(known, _MEMBERS)
    value = expect.json_members(document, "trust file", members)
    number = expect.uint(value["version"], "version")
    second, third = number >= 2, number >= 3
    if number not in VERSIONS:
        raise UnknownVersion(f"version: {number} is not known", field="version")
    name = expect.json_members(value["name"], "name", ("zh", "en"))
    policy = expect.json_members(value["policy"], "policy", ("witnesses", "timeTokens"))
    predecessor = value["predecessor"]
    return TrustPayload(
        serial=expect.uint(value["serial"], "serial"),
        issued_at=expect.uint(value["issuedAt"], "issuedAt"),
        valid_until=expect.uint(value["validUntil"], "validUntil"),
        predecessor=None if predecessor is None else expect.from_hex(predecessor, "predecessor", 32),
        name=(_text(name["zh"], "name"), _text(name["en"], "name")),
        threshold=expect.uint(value["threshold"], "threshold"),
        keys=_each(value["keys"], "keys", _key),
        chains=_each(value["chains"], "chains", _chain_2 if second else _chain),
        logs=_each(value["logs"], "logs", _log),
        witnesses_required=expect.uint(policy["witnesses"], "witnesses"),
        time_tokens_required=expect.uint(policy["timeTokens"], "timeTokens"),
        version=number,
        witness_policy=_witness_policy(value) if second else EMPTY_POLICY,
        authorities=_each(value["timeAuthorities"], "timeAuthorities", _authority) if second else (),
        algorithm_ends=_each(value["algorithmEnds"], "algorithmEnds", _end) if third else (),
        contracts=_each(value["contracts"], "contracts", _contract) if number >= 4 else (),
    )


def _witness_policy(value: dict[str, object]) -> WitnessPolicy:
    quorum = value["quorum"]
    return WitnessPolicy(
        _each(value["witnesses"], "witnesses", _witness),
        _each(value["groups"], "groups", _group),
        None if quorum is None else _text(quorum, "quorum"),
    )


def _witness(value: object) -> Witness:
    names = ("name", "type", "publicKey", "statement", "organisation", "role")
    one = expect.json_members(value, "witnesses", names)
    return Witness(
        _text(one["name"], "name"),
        expect.uint(one["type"], "type"),
        expect.from_hex(one["publicKey"], "publicKey", maximum=1312),
        expect.uint(one["statement"], "statement"),
        _text(one["organisation"], "organisation"),
        _text(one["role"], "role"),
    )


def _group(value: object) -> WitnessGroup:
    one = expect.json_members(value, "groups", ("name", "threshold", "members"))
    return WitnessGroup(
        _text(one["name"], "name"),
        expect.uint(one["threshold"], "threshold"),
        _each(one["members"], "members", lambda member: _text(member, "members")),
    )


def _authority(value: object) -> TimeAuthority:
    one = expect.json_members(value, "timeAuthorities", ("name", "roots", "policies", "from", "until"))
    until = one["until"]
    return TimeAuthority(
        _text(one["name"], "name"),
        _each(one["roots"], "roots", lambda root: expect.from_hex(root, "roots", maximum=16_384)),
        _each(one["policies"], "policies", lambda oid: _text(oid, "policies")),
        expect.uint(one["from"], "from"),
        None if until is None else expect.uint(until, "until"),
    )


def _end(value: object) -> tuple[int, int]:
    one = expect.json_members(value, "algorithmEnds", ("algorithm", "end"))
    return expect.uint(one["algorithm"], "algorithm"), expect.uint(one["end"], "end")


def _each(value: object, field: str, read: Callable[[object], T]) -> tuple[T, ...]:
    return tuple(map(read, expect.json_array(value, field, 4096)))


def _text(value: object, field: str) -> str:
    return expect.text(value, field, 256)


def _key(value: object) -> TrustKey:
    one = expect.json_members(value, "keys", ("publicKey", "name", "role"))
    public_key = expect.from_hex(one["publicKey"], "publicKey", 32)
    return TrustKey(public_key, _text(one["name"], "keys"), _text(one["role"], "role"))


def _chain_2(value: object) -> TrustedChain:
    return _chain(value, 2)


def _chain(value: object, version: int = 1) -> TrustedChain:
    names = ("chainId", "engine", "networkId", "proofKind", "epochs", "registry", "evidenceLog")
    one = expect.json_members(value, "chains", names)
    return TrustedChain(
        expect.uint(one["chainId"], "chainId"),
        _text(one["engine"], "engine"),
        _text(one["networkId"], "networkId"),
        _text(one["proofKind"], "proofKind"),
        _each(one["epochs"], "epochs", _epoch_2 if version == 2 else _epoch),
        _pin(one["registry"], "registry"),
        _pin(one["evidenceLog"], "evidenceLog"),
    )


def _epoch_2(value: object) -> Epoch:
    return _epoch(value, ("closedAt",))


def _epoch(value: object, more: tuple[str, ...] = ()) -> Epoch:
    one = expect.json_members(value, "epochs", ("number", "from", "to", "validators", *more))
    last, closed = one["to"], one.get("closedAt")
    return Epoch(
        expect.uint(one["number"], "number"),
        expect.uint(one["from"], "from"),
        None if last is None else expect.uint(last, "to"),
        _each(one["validators"], "validators", _validator),
        None if closed is None else expect.uint(closed, "closedAt"),
    )


def _validator(value: object) -> TrustedValidator:
    one = expect.json_members(value, "validators", ("publicKey", "power", "controller", "group"))
    return TrustedValidator(
        expect.from_hex(one["publicKey"], "publicKey", maximum=32),
        expect.uint(one["power"], "power"),
        _text(one["controller"], "controller"),
        expect.uint(one["group"], "group"),
    )


def _contract(value: object) -> FurtherContract:
    one = expect.json_members(value, "contracts", ("chainId", "name", "address", "codeHash"))
    return FurtherContract(
        expect.uint(one["chainId"], "chainId"),
        _text(one["name"], "contracts"),
        expect.from_hex(one["address"], "contracts", 20),
        expect.from_hex(one["codeHash"], "contracts", 32),
    )


def _pin(value: object, field: str) -> PinnedContract:
    one = expect.json_members(value, field, ("address", "codeHash"))
    return PinnedContract(
        expect.from_hex(one["address"], field, 20), expect.from_hex(one["codeHash"], field, 32)
    )


def _log(value: object) -> TrustedLog:
    names = ("origin", "chainId", "operator", "logKey", "closedSize", "successor")
    one = expect.json_members(value, "logs", names)
    closed, successor = one["closedSize"], one["successor"]
    return TrustedLog(
        _text(one["origin"], "origin"),
        expect.uint(one["chainId"], "chainId"),
        expect.uint(one["operator"], "operator"),
        expect.from_hex(one["logKey"], "logKey", 32),
        None if closed is None else expect.uint(closed, "closedSize"),
        None if successor is None else _text(successor, "successor"),
    )
