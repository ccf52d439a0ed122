"""Trust payload from CBOR: every rule of docs/spec/trust.md that needs no signature."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from protocol import cbor, expect, rehash
from protocol.cbor import Value
from protocol.checkpoint import check_log_origin
from protocol.errors import MalformedInput, UnknownVersion
from protocol.hashing import sha256
from protocol.identifiers import check_origin
from verifier import trust_parse_witness
from verifier.clique import ADDRESS, MAX_SIGNERS
from verifier.errors import MalformedTrustFile
from verifier.trust_payload import (
    PROOF_KINDS,
    ROLES,
    VERSIONS,
    Epoch,
    FurtherContract,
    PinnedContract,
    TrustedChain,
    TrustedLog,
    TrustedValidator,
    TrustKey,
    TrustPayload,
)
from verifier.witness_policy import EMPTY_POLICY

MAX_KEYS = 16
MAX_NAME = 256
MAX_CHAINS = 16
MAX_EPOCHS = 4096
MAX_VALIDATORS = 128
MAX_LOGS = 4096
MAX_CONTRACTS = 64
CONTRACT_NAME = "[A-Za-z][A-Za-z0-9]{0,31}"
MAX_POWER = 2**60
MAX_HEIGHT = 2**63 - 1
MAX_PAYLOAD = 2**20


def parse(data: bytes) -> TrustPayload:
    """The payload from CBOR, every rule checked that needs no signature.

    Raises:
        MalformedTrustFile: a rule of the specification is broken.
        UnknownVersion: a payload that a newer verifier may understand.
    """
    try:
        return _parse(data)
    except (MalformedTrustFile, UnknownVersion):
        raise
    except MalformedInput as error:
        raise MalformedTrustFile(f"{error.code}: {error.detail}", field=error.field) from error


def _parse(data: bytes) -> TrustPayload:
    raw = cbor.decode(data, max_bytes=MAX_PAYLOAD, max_depth=8, max_items=MAX_PAYLOAD // 4)
    version = raw.get(0) if isinstance(raw, dict) else None
    if version is not None and expect.uint(version, "trust payload") not in VERSIONS:
        raise UnknownVersion(f"trust payload: {version!r} is not known", field="trust payload")
    number = expect.uint(version, "trust payload") if version is not None else 1
    value = expect.fields(raw, "trust payload", range({1: 11, 2: 13, 3: 14}.get(number, 15)))
    zh, en = expect.array(value[5], "name", 2)
    witnesses, tokens = expect.array(value[10], "policy", 2)
    issued = expect.uint(value[2], "issuedAt", expect.UINT40_MAX)
    out = TrustPayload(
        serial=expect.uint(value[1], "serial", expect.UINT32_MAX, minimum=1),
        issued_at=issued,
        valid_until=expect.uint(value[3], "validUntil", expect.UINT40_MAX, minimum=issued),
        predecessor=expect.octets_or_none(value[4], "predecessor", 32),
        name=(expect.text(zh, "name", MAX_NAME), expect.text(en, "name", MAX_NAME)),
        threshold=expect.uint(value[6], "threshold", MAX_KEYS, minimum=2),
        keys=tuple(map(_key, expect.array(value[7], "trust keys", minimum=2, maximum=MAX_KEYS))),
        chains=tuple(
            _chain(chain, number) for chain in expect.array(value[8], "chains", minimum=1, maximum=MAX_CHAINS)
        ),
        logs=tuple(map(_log, expect.array(value[9], "logs", maximum=MAX_LOGS))),
        witnesses_required=expect.uint(witnesses, "witnesses required", 1 if number >= 2 else MAX_KEYS),
        time_tokens_required=expect.uint(tokens, "time tokens required", 8 if number >= 2 else MAX_KEYS),
        version=number,
        witness_policy=trust_parse_witness.policy(value[11]) if number >= 2 else EMPTY_POLICY,
        authorities=trust_parse_witness.authorities(value[12]) if number >= 2 else (),
        algorithm_ends=_ends(value[13]) if number >= 3 else (),
        contracts=_contracts(value[14]) if number >= 4 else (),
    )
    _check(out)
    if out.encode() != data:
        raise MalformedTrustFile("the payload is not what its members encode to")
    return out


def _check(payload: TrustPayload) -> None:
    """Rules between members."""
    if (payload.serial == 1) != (payload.predecessor is None):
        raise MalformedTrustFile("serial 1, and only it, has no predecessor", field="predecessor")
    _distinct((key.public_key for key in payload.keys), "trust keys")
    if not payload.is_quorum(range(len(payload.keys))):
        raise MalformedTrustFile("all keys together are no quorum", field="threshold")
    _distinct((chain.chain_id for chain in payload.chains), "chains")
    origins = _distinct((log.origin for log in payload.logs), "logs")
    if payload.version >= 2:
        _check_version_2(payload)
    _check_contracts(payload)
    for log in payload.logs:
        if payload.chain(log.chain_id) is None:
            raise MalformedTrustFile(f"log {log.origin} is on a chain that is not listed", field="logs")
        if log.successor is not None and (
            log.closed_size is None or log.successor not in origins - {log.origin}
        ):
            raise MalformedTrustFile(f"log {log.origin}: successor without end, or not listed", field="logs")


def _check_version_2(payload: TrustPayload) -> None:
    for log in payload.logs:
        check_log_origin(log.origin)
        if payload.version >= 3 and log.origin.endswith(rehash.SUFFIX):
            raise MalformedTrustFile(f"log {log.origin}: ends in {rehash.SUFFIX}", field="logs")
    if payload.witnesses_required and payload.witness_policy.quorum is None:
        raise MalformedTrustFile("witnesses are required and none is named", field="policy")
    if payload.time_tokens_required > len(payload.authorities):
        raise MalformedTrustFile("more time tokens are required than authorities are named", field="policy")


def _ends(value: Value) -> tuple[tuple[int, int], ...]:
    listed = [expect.array(one, "algorithm ends", 2) for one in expect.array(value, "algorithm ends")]
    ends = tuple(
        (expect.uint(algorithm, "algorithm", 1), expect.uint(end, "end", expect.UINT40_MAX))
        for algorithm, end in listed
    )
    if any(one[0] >= two[0] for one, two in pairwise(ends)):
        raise MalformedTrustFile("algorithms ascend, none twice", field="algorithm ends")
    return ends


def _contracts(value: Value) -> tuple[FurtherContract, ...]:
    return tuple(map(_contract, expect.array(value, "contracts", maximum=MAX_CONTRACTS)))


def _contract(value: Value) -> FurtherContract:
    chain_id, name, address, code_hash = expect.array(value, "contracts", 4)
    if not re.fullmatch(CONTRACT_NAME, expect.text(name, "contract", 32)):
        raise MalformedTrustFile("a contract's name is letters and digits", field="contracts")
    return FurtherContract(
        expect.uint(chain_id, "chain id", minimum=1),
        str(name),
        expect.octets(address, "contract address", 20),
        expect.octets(code_hash, "contract code hash", 32),
    )


def _check_contracts(payload: TrustPayload) -> None:
    names = [(one.chain_id, one.name.encode()) for one in payload.contracts]
    if any(one >= two for one, two in pairwise(names)):
        raise MalformedTrustFile("contracts ascend by chain and name, none twice", field="contracts")
    for chain_id, _ in names:
        if payload.chain(chain_id) is None:
            raise MalformedTrustFile("a contract is on a chain that is not listed", field="contracts")
    for chain in payload.chains:
        further = [one.address for one in payload.contracts if one.chain_id == chain.chain_id]
        if further:
            _distinct([*further, chain.registry.address, chain.evidence_log.address], "contracts")


def _distinct(values: Iterable[bytes | int | str], field: str) -> set[bytes | int | str]:
    listed = list(values)
    found = set(listed)
    if len(found) != len(listed):
        raise MalformedTrustFile(f"{field}: one is listed twice", field=field)
    return found


def _key(value: Value) -> TrustKey:
    public_key, name, role = expect.array(value, "trust keys", 3)
    if role not in ROLES:
        raise MalformedTrustFile(f"trust keys: role is one of {', '.join(ROLES)}", field="trust keys")
    return TrustKey(
        expect.octets(public_key, "trust keys", 32),
        expect.text(name, "trust keys", MAX_NAME),
        expect.text(role, "trust keys", 16),
    )


def _chain(value: Value, version: int) -> TrustedChain:
    chain_id, engine, network_id, kind, epochs, registry, evidence_log = expect.array(value, "chains", 7)
    kind = expect.text(kind, "proof kind", 32)
    if kind not in PROOF_KINDS:
        raise MalformedTrustFile(f"chains: proof kind is one of {', '.join(PROOF_KINDS)}", field="chains")
    # Version 2 may rest on witnesses alone.
    least = int(kind != "none" and version == 1)
    members = expect.array(epochs, "epochs", minimum=least, maximum=MAX_EPOCHS)
    listed = tuple(_epoch(member, kind, version) for member in members)
    for earlier, later in pairwise(listed):
        if earlier.to_height is None or not (
            earlier.to_height < later.from_height and earlier.number < later.number
        ):
            raise MalformedTrustFile(
                "epochs overlap, or do not ascend, or one but the last is open", field="epochs"
            )
    return TrustedChain(
        expect.uint(chain_id, "chain id", minimum=1),
        expect.text(engine, "engine", 32),
        expect.text(network_id, "network id", 64),
        kind,
        listed,
        _pin(registry, "ConsortiumRegistry"),
        _pin(evidence_log, "EvidenceLog"),
    )


def _epoch(value: Value, kind: str, version: int) -> Epoch:
    closed: Value = None
    if version >= 2:
        number, first, last, members, closed = expect.array(value, "epochs", 5)
        if (closed is None) != (last is None):
            raise MalformedTrustFile("closedAt belongs to a closed epoch, and only to one", field="epochs")
    else:
        number, first, last, members = expect.array(value, "epochs", 4)
    first = expect.uint(first, "from height", MAX_HEIGHT)
    if last is not None:
        last = expect.uint(last, "to height", MAX_HEIGHT, minimum=first)
    listed = expect.array(members, "validators", minimum=1, maximum=MAX_VALIDATORS)
    validators = tuple(_validator(member, PROOF_KINDS[kind]) for member in listed)
    _distinct((validator.public_key for validator in validators), "validators")
    if PROOF_KINDS[kind] == ADDRESS and any(validator.power != 1 for validator in validators):
        raise MalformedTrustFile("a QBFT validator or Clique signer has power 1", field="validators")
    if kind == "mpt-clique":
        addresses = [validator.public_key for validator in validators]
        if len(addresses) > MAX_SIGNERS or addresses != sorted(addresses):
            raise MalformedTrustFile("at most 31 signers, addresses ascending", field="validators")
    if kind == "ics23":
        # The order is part of the validator-set hash; another one could never match a header.
        order = [(-one.power, sha256(one.public_key)[:20]) for one in validators]
        if order != sorted(order):
            raise MalformedTrustFile("validators by power descending, then address", field="validators")
    return Epoch(
        expect.uint(number, "epochs", expect.UINT32_MAX),
        first,
        last,
        validators,
        None if closed is None else expect.uint(closed, "closedAt", expect.UINT40_MAX, minimum=1),
    )


def _validator(value: Value, key_length: int) -> TrustedValidator:
    public_key, power, controller, group = expect.array(value, "validators", 4)
    return TrustedValidator(
        expect.octets(public_key, "validators", key_length),
        expect.uint(power, "power", MAX_POWER, minimum=1),
        expect.text(controller, "controller", MAX_NAME),
        expect.uint(group, "interest group", expect.UINT32_MAX),
    )


def _pin(value: Value, field: str) -> PinnedContract:
    address, code_hash = expect.array(value, field, 2)
    return PinnedContract(expect.octets(address, field, 20), expect.octets(code_hash, field, 32))


def _log(value: Value) -> TrustedLog:
    origin, chain_id, operator, log_key, closed, successor = expect.array(value, "logs", 6)
    return TrustedLog(
        check_origin(expect.text(origin, "origin", 128)),
        expect.uint(chain_id, "chain id", minimum=1),
        expect.uint(operator, "operator", expect.UINT32_MAX, minimum=1),
        expect.octets(log_key, "log key", 32),
        None if closed is None else expect.uint(closed, "closed size", MAX_HEIGHT),
        None if successor is None else check_origin(expect.text(successor, "successor", 128)),
    )
