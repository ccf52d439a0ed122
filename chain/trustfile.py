"""Drafts of trust files from what the chain shows: contracts, logs, validators over time (trust.md).

A draft is a proposal to the trust keys' holders, who look and sign; nothing here makes it trusted. Whoever
controls a validator is not on the chain: the consortium's file says it, and a validator that it does not
name stops the draft.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from chain.bindings import CASE_BATCHES, CASE_LEDGER, EVIDENCE_LOG, interface
from chain.capture import header_rlp
from chain.capture_clique import signers_at as clique_signers
from chain.case_deployment import check_cases
from chain.case_record import CaseRecord
from chain.consortium import Consortium, LogEntry
from chain.deploy import check
from chain.deployment import Deployment
from chain.errors import ChainError
from chain.evm import Evm, binary, quantity
from chain.rpc import RpcPool
from chain.transactions import Call
from protocol.identifiers import log_id
from verifier import qbft
from verifier.cometbft import validators_hash
from verifier.cometbft_rpc import signed_header_from_rpc_json, validators_from_rpc_json
from verifier.strict_json import Fields
from verifier.trust import TrustFile
from verifier.trust_payload import (
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
from verifier.witness_policy import EMPTY_POLICY, WitnessPolicy

YEAR = 365 * 24 * 3600
_CLOSED = 2


class ValidatorUnnamed(ChainError):
    """A validator of the chain whose controller the consortium's file does not name."""

    http_status = 422
    title = "unknown validator"


class LogKeyUnknown(ChainError):
    """A log on the chain that the consortium's file gives no key for, or another operator."""

    http_status = 422
    title = "log not described"


class TrustSigner(Protocol):
    """A trust key: the agent's Ed25519 key file, or a token."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        ...


@dataclass(frozen=True)
class Member:
    """A validator as the chain has it: key (Ed25519 32 bytes, or address 20 bytes) and power."""

    public_key: bytes
    power: int


Named = Mapping[bytes, tuple[str, int]]
"""Validator key → (controller, interest group)."""


def named_validators(consortium: Consortium, keys: Mapping[bytes, str]) -> dict[bytes, tuple[str, int]]:
    """Controllers by validator key, from the consortium's file and the keys that are known by name here."""
    out: dict[bytes, tuple[str, int]] = {}
    for key, controller in (*consortium.validator_keys.items(), *keys.items()):
        if controller in consortium.controllers:
            out[key] = (controller, consortium.controllers[controller])
    return out


async def draft(
    pool: RpcPool,
    deployment: Deployment,
    consortium: Consortium,
    *,
    named: Named,
    now: int,
    held: TrustFile | None = None,
    valid_for: int = YEAR,
    logs: Sequence[LogEntry] | None = None,
    policy: WitnessPolicy | None = None,
    authorities: tuple[TimeAuthority, ...] | None = None,
    ends: Mapping[int, int] | None = None,
    cases: CaseRecord | None = None,
) -> TrustFile:
    """An unsigned trust file for the deployment, or the successor of `held`.

    `logs` defaults to the consortium's; a log that is not open on the chain yet is left out. `policy` and
    `authorities` are the consortium's where its file says anything of the kind, else those of the held file,
    or none, unless given; the file has version 2 as soon as it has either. `ends`: last second of an
    algorithm by its number, beside those of the held file; with any, the file has version 3. `cases`: the
    record of the case contracts, named beside those of the held file; with any, the file has version 4.

    Raises DeploymentMismatch, ValidatorUnnamed, LogKeyUnknown, MalformedTrustFile.
    """
    evm = Evm(pool)
    await check(evm, deployment)
    before = held.payload.chain(deployment.chain_id) if held else None
    epochs = await _epochs(pool, deployment, named, before.epochs if before else ())
    chain = TrustedChain(
        deployment.chain_id,
        deployment.engine,
        deployment.network_id,
        pool.profile.proof,
        epochs,
        PinnedContract(deployment.registry.address, deployment.registry.code_hash),
        PinnedContract(deployment.evidence_log.address, deployment.evidence_log.code_hash),
    )
    entries = consortium.logs if logs is None else logs
    found = await _logs(evm, deployment, entries, held)
    chosen, stamping, required, tokens = _attesting(consortium, held)
    chosen = policy if policy is not None else chosen
    stamping = authorities if authorities is not None else stamping
    version = 2 if chosen != EMPTY_POLICY or stamping or (held and held.payload.version >= 2) else 1
    last = {**(dict(held.payload.algorithm_ends) if held else {}), **(ends or {})}
    if last or (held and held.payload.version >= 3):
        version = 3
    further = set(held.payload.contracts) if held else set()
    if cases is not None:
        await check_cases(evm, deployment, cases)
        further |= set(_further(cases))
    if further or (held and held.payload.version >= 4):
        version = 4
    if version >= 2:
        chain = replace(chain, epochs=await _ended(pool, epochs))
    chains: tuple[TrustedChain, ...] = (chain,)
    if held is not None:
        chains = tuple(chain if c.chain_id == chain.chain_id else c for c in held.payload.chains)
        if chain not in chains:
            chains = (*chains, chain)
    return TrustFile.draft(
        TrustPayload(
            serial=held.payload.serial + 1 if held else 1,
            issued_at=now,
            valid_until=now + valid_for,
            predecessor=held.fingerprint if held else None,
            name=(consortium.name_zh, consortium.name_en),
            threshold=consortium.trust_threshold,
            keys=tuple(TrustKey(k.public_key, k.name, k.role) for k in consortium.trust_keys),
            chains=chains,
            logs=found,
            witnesses_required=required,
            time_tokens_required=tokens,
            version=version,
            witness_policy=chosen,
            authorities=stamping,
            algorithm_ends=tuple(sorted(last.items())),
            contracts=tuple(sorted(further)),
        )
    )


def _further(cases: CaseRecord) -> Iterable[FurtherContract]:
    """Those whose events and state receipts and statistics are made of."""
    for name in (CASE_BATCHES, CASE_LEDGER):
        one = cases.deployed[name]
        yield FurtherContract(cases.chain_id, name, one.address, one.code_hash)


def _attesting(
    consortium: Consortium, held: TrustFile | None
) -> tuple[WitnessPolicy, tuple[TimeAuthority, ...], int, int]:
    """Witnesses, authorities and what of them is required: the consortium's word, else the held file's."""
    if consortium.attests:
        named = tuple(one.trusted() for one in consortium.authorities)
        required = int(consortium.witness_required)
        return consortium.witness_policy, named, required, consortium.time_tokens_required
    if held is None:
        return EMPTY_POLICY, (), 0, 0
    payload = held.payload
    needed = (payload.witnesses_required, payload.time_tokens_required)
    return payload.witness_policy, payload.authorities, *needed


def changed(held: TrustFile, successor: TrustFile) -> bool:
    """Whether a successor says anything new, its place in the line and its window apart."""
    old = held.payload
    new = replace(
        successor.payload,
        serial=old.serial,
        issued_at=old.issued_at,
        valid_until=old.valid_until,
        predecessor=old.predecessor,
    )
    return new != old


def sign(trust: TrustFile, signers: Iterable[TrustSigner]) -> TrustFile:
    """The file with more signatures. Raises TrustSignatureInvalid for a key that the file does not name."""
    for signer in signers:
        trust = trust.with_signature(signer.public_key, signer.sign(trust.message))
    return trust


# Logs


async def _logs(
    evm: Evm, deployment: Deployment, entries: Sequence[LogEntry], held: TrustFile | None
) -> tuple[TrustedLog, ...]:
    kept = {log.origin: log for log in held.payload.logs} if held else {}
    wanted: dict[str, TrustedLog] = dict(kept)
    for entry in entries:
        wanted.setdefault(
            entry.origin,
            TrustedLog(entry.origin, deployment.chain_id, entry.operator, entry.public_key),
        )
    origins = {log_id(origin): origin for origin in wanted}
    out: list[TrustedLog] = []
    for origin, log in wanted.items():
        if log.chain_id != deployment.chain_id:
            out.append(log)
            continue
        state = await _log_state(evm, deployment, origin)
        if state.status == 0:
            if origin in kept:
                raise LogKeyUnknown(f"log {origin} is in the held file and not on the chain", field="logs")
            continue
        if state.operator != log.operator:
            raise LogKeyUnknown(
                f"log {origin} has operator {state.operator}, not {log.operator}", field="logs"
            )
        if state.status == _CLOSED and log.closed_size is None:
            successor = origins.get(state.successor)
            if any(state.successor) and successor is None:
                raise LogKeyUnknown(
                    f"log {origin} has a successor that is not described",
                    field="logs",
                    hint="add the successor log to the consortium's file",
                )
            log = replace(log, closed_size=state.closed_size, successor=successor)
        out.append(log)
    return tuple(out)


@dataclass(frozen=True)
class _LogState:
    status: int
    operator: int
    closed_size: int
    successor: bytes


async def _log_state(evm: Evm, deployment: Deployment, origin: str) -> _LogState:
    function = interface(EVIDENCE_LOG).function("head")
    answer = await evm.call(bytes(20), Call(deployment.evidence_log.address, function.encode(log_id(origin))))
    _, closed_size, _, operator, status, _, successor, _ = function.decode(answer)[0]
    return _LogState(status, operator, closed_size, successor)


# Validators


async def _epochs(
    pool: RpcPool, deployment: Deployment, named: Named, held: Sequence[Epoch]
) -> tuple[Epoch, ...]:
    """Validator sets from the deployment's block on, continuing those of a held file."""
    kind = pool.profile.proof
    if kind == "none":
        return tuple(held)
    if kind == "ics23":
        mark, members = _comet_mark(pool), _comet_members(pool)
    elif kind == "mpt-clique":
        mark, members = _address_mark(_clique_members(pool)), _clique_members(pool)
    else:
        mark, members = _address_mark(_qbft_members(pool)), _qbft_members(pool)
    newest = max(deployment.block, quantity(await pool.call("eth_blockNumber", [])) - pool.profile.depth)
    out = list(held)
    if out and out[-1].to_height is not None:
        start = out[-1].to_height + 1
    else:
        start = out[-1].from_height if out else deployment.block
    starts = await _changes(mark, start, newest)
    for position, first in enumerate(starts):
        last = starts[position + 1] - 1 if position + 1 < len(starts) else None
        if position == 0 and out and out[-1].to_height is None:
            # The held file's open epoch: it may be closed, never changed.
            out[-1] = replace(out[-1], to_height=last)
            continue
        number = out[-1].number + 1 if out else 1
        out.append(Epoch(number, first, last, _describe(await members(first), named)))
    return tuple(out)


async def _ended(pool: RpcPool, epochs: Sequence[Epoch]) -> tuple[Epoch, ...]:
    """With the time of its last block in every closed epoch."""
    out = []
    for epoch in epochs:
        if epoch.to_height is not None and epoch.closed_at is None:
            block = await pool.call("eth_getBlockByNumber", [hex(epoch.to_height), False])
            epoch = replace(epoch, closed_at=quantity(block["timestamp"]))
        out.append(epoch)
    return tuple(out)


async def _changes(mark: Callable[[int], Awaitable[bytes]], first: int, last: int) -> list[int]:
    """Heights from which another validator set holds, `first` included, by bisection.

    A set that came and went again between two looked-at blocks is not found; a proof from such a block does
    not verify, which is the safe side.
    """
    at_first, at_last = await mark(first), await mark(last)
    starts = [first]

    async def search(low: int, low_mark: bytes, high: int, high_mark: bytes) -> None:
        if low_mark == high_mark:
            return
        if high - low == 1:
            starts.append(high)
            return
        middle = (low + high) // 2
        middle_mark = await mark(middle)
        await search(low, low_mark, middle, middle_mark)
        await search(middle, middle_mark, high, high_mark)

    await search(first, at_first, last, at_last)
    return starts


def _describe(members: Sequence[Member], named: Named) -> tuple[TrustedValidator, ...]:
    out = []
    for member in members:
        if member.public_key not in named:
            raise ValidatorUnnamed(
                f"validator {member.public_key.hex()}",
                field="validator",
                hint="say in the consortium's file who controls it",
            )
        controller, group = named[member.public_key]
        out.append(TrustedValidator(member.public_key, member.power, controller, group))
    return tuple(out)


def _comet_mark(pool: RpcPool) -> Callable[[int], Awaitable[bytes]]:
    async def mark(height: int) -> bytes:
        answer = await pool.commit(height)
        return signed_header_from_rpc_json(answer.result).header.validators_hash

    return mark


def _comet_members(pool: RpcPool) -> Callable[[int], Awaitable[Sequence[Member]]]:
    mark = _comet_mark(pool)

    async def members(height: int) -> Sequence[Member]:
        answer = await pool.validators(height)
        found = validators_from_rpc_json(Fields({"validators": list(answer.result)}, "validators"))
        if validators_hash(found) != await mark(height):
            raise ChainError(f"a node's validators are not those of header {height}")
        return [Member(v.pub_key, v.power) for v in found]

    return members


def _address_mark(
    members: Callable[[int], Awaitable[Sequence[Member]]],
) -> Callable[[int], Awaitable[bytes]]:
    async def mark(height: int) -> bytes:
        return b"".join(member.public_key for member in await members(height))

    return mark


def _qbft_members(pool: RpcPool) -> Callable[[int], Awaitable[Sequence[Member]]]:
    async def members(height: int) -> Sequence[Member]:
        block = await pool.call("eth_getBlockByNumber", [hex(height), False])
        header = qbft.parse_header(header_rlp(block))
        if header.block_hash != binary(block["hash"], 32):
            raise ChainError(f"a node's header {height} does not hash to its block")
        return [Member(address, 1) for address in header.validators]

    return members


def _clique_members(pool: RpcPool) -> Callable[[int], Awaitable[Sequence[Member]]]:
    async def members(height: int) -> Sequence[Member]:
        return [Member(address, 1) for address in await clique_signers(pool, height)]

    return members
