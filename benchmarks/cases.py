"""Cases: steps on a four-validator chain beside bare transactions, triage, reads at 500,000 cases.

Steps go in groups, as the gateway's sender makes them when there is a backlog, and one by one. All kinds of
transaction are signed beforehand and sent by the same relayers to the same nodes in one run, so the ratio
shows what a step costs and not what the network does.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg

from benchmarks.month.cast import Cast
from benchmarks.month.founding import Founded, found
from benchmarks.parts import cluster
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Reach, Row
from cases import listing, triage
from cases.carrying_rules import MOST_GAS, MOST_TOGETHER, MOST_UNDER_WAY, QueuedAct, choose
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.listing import Filters
from cases.paging import Sort
from cases.reading import Reading, show, timeline
from chain.act_carrier import carry
from chain.bindings import CASE_LEDGER, LIFECYCLE, interface
from chain.case_acts import NOWHERE, Origin, call_for, sign
from chain.case_contracts import CaseContracts, PolicyVersion
from chain.engines import profile
from chain.evm import Evm, Sent
from chain.networks.cometbft import CometNetwork
from chain.rpc import RpcPool
from chain.signer import RelayerKey, load_relayer
from chain.transactions import Call
from chain.transactions import sign as sign_transaction
from evidence.repository import Viewer
from protocol.acts import Role
from protocol.case_acts import Import, Move
from protocol.case_batch import CaseLeaf, leaf_hash
from protocol.hashing import SHA256, sha256
from protocol.i18n import Text
from storage.cluster import Cluster
from storage.db import connect_pool, migrate
from storage.roles import DATABASE
from verifier.merkle_tree import all_paths

VALIDATORS = 4
RELAYERS = 4
AT_ONCE = 100
"""Transactions of one sender on their way: enough to fill blocks."""
GAS_TRANSFER, GAS_STEP, GAS_GROUP = 50_000, 700_000, MOST_GAS
FOREVER = 2**40 - 1
ZERO = bytes(32)
CASES = 500_000
NOW = 1_800_000_000
READS = 2_000


def rows(options: Options) -> Iterator[Row]:
    """Transitions, triage, reads."""
    yield asyncio.run(_transitions(options))
    yield _triage(options)
    yield from _reads(options)


# Transitions


@dataclass
class _Lane:
    """One sender, the node that it speaks to, and its next nonce."""

    node: Evm
    key: RelayerKey
    nonce: int


async def _transitions(options: Options) -> Row:
    count = options.pick(800, 160)
    network = CometNetwork.create(options.folder / "net", validators=VALIDATORS, relayers=RELAYERS)
    network.up(wait=120)
    try:
        async with AsyncExitStack() as stack:
            engine, chain_id = profile("cometbft"), network.evm_chain_id
            nodes = [
                Evm(await stack.enter_async_context(RpcPool([url], engine, chain_id=chain_id)))
                for url in network.rpc_urls
            ]
            cast = Cast(1)
            founded = await found(nodes[0], network, cast, gas_price=1)
            lanes = []
            for at in range(RELAYERS):
                key = load_relayer(network.home / "keys" / f"relayer-{at + 1}.key")
                node = nodes[at % len(nodes)]
                lanes.append(_Lane(node, key, await node.nonce(key.address)))
            single = await _imported(cast, founded, lanes[0], chain_id, count // 2, "single")
            grouped = await _imported(cast, founded, lanes[0], chain_id, count // 2, "grouped")
            transfers = [Call(lanes[at % RELAYERS].key.address, b"") for at in range(count)]
            before = await _sequence(nodes[0], founded)
            bare, alone, together = [], [], []
            # The second step of a case can only follow the first.
            for at in range(2):
                bare.append(await _rate(lanes, transfers, GAS_TRANSFER, chain_id))
                groups = _groups(grouped[at], founded)
                rate = await _rate(lanes, groups, GAS_GROUP, chain_id, MOST_UNDER_WAY)
                together.append(rate * len(grouped[at]) / len(groups))
                alone.append(await _rate(lanes, single[at], GAS_STEP, chain_id))
            bare.append(await _rate(lanes, transfers, GAS_TRANSFER, chain_id))
            events = await _sequence(nodes[0], founded) - before
            if events != 3 * count:
                raise BenchFailed(f"{events} events after {2 * count} steps and {count} openings")
    finally:
        network.down()
    raw, rate, by_one = (len(rates) / sum(1 / one for one in rates) for rates in (bare, together, alone))
    return Row(
        "case-steps",
        Text("案件步骤（四节点，一半为首步）", "steps of cases (four validators, half of them first ones)"),
        Figure(rate, "1/s"),
        Reach(">=", Figure(0.8 * raw, "1/s"), Text("裸转账的 0.8", "0.8 of bare transfers")),
        (
            Beside(Text("裸转账，同样的发送方", "bare transfers, same senders"), Figure(raw, "1/s")),
            Beside(Text("每笔交易一步", "one step in each transaction"), Figure(by_one, "1/s")),
        ),
        Text(
            f"{count} 步，各由机构签名，首步带归属证明；有积压时每笔交易至多 {MOST_TOGETHER} 步，"
            f"每个发送方同时在途 {MOST_UNDER_WAY} 笔；裸转账与单步交易 {AT_ONCE} 笔。",
            f"{count} steps, each signed by its organisation, first ones with their inclusion proof; in "
            f"groups of at most {MOST_TOGETHER}, as under a backlog, {MOST_UNDER_WAY} on their way for each "
            f"sender; {AT_ONCE} of bare transfers and single steps.",
        ),
        {"bare": bare, "steps": together, "alone": alone},
    )  # fmt: skip


async def _sequence(node: Evm, founded: Founded) -> int:
    function = interface(CASE_LEDGER).function("sequence")
    answer = await node.call(bytes(20), Call(founded.record.contracts.ledger, function.encode()))
    return int(function.decode(answer)[0])


async def _imported(
    cast: Cast, founded: Founded, lane: _Lane, chain_id: int, cases: int, name: str
) -> tuple[list[Call], list[Call]]:
    """A batch of a bank on the chain, and two steps for each case: asked for completion, then rejected."""
    owner, centre = cast.banks[0], cast.index("centre")
    contracts = founded.record.contracts
    leaves = [
        CaseLeaf(
            1, owner, *(hashlib.sha256(f"{what} {name} {at}".encode()).digest() for what in ("case", "row"))
        )
        for at in range(cases)
    ]
    root, paths = all_paths(SHA256, [leaf_hash(leaf.encode()) for leaf in leaves])
    act = Import(owner, root, cases, ZERO, ZERO, FOREVER)
    await _rate([lane], [call_for(act, sign(act, contracts, cast.key(owner)), contracts)], GAS_STEP, chain_id)
    first: list[Call] = []
    second: list[Call] = []
    ask, reject = (founded.life.transition(name).id for name in ("ask-completion", "reject"))
    for at, (leaf, path) in enumerate(zip(leaves, paths, strict=True)):
        origin = Origin(root, at, leaf.product, leaf.commitment, tuple(path))
        for into, version, step, reason in ((first, 1, ask, 0), (second, 2, reject, 4)):
            move = Move(leaf.case_id, version, step, centre, 0, reason, ZERO, ZERO, ZERO, FOREVER)
            signature = sign(move, contracts, cast.key(centre))
            shown = origin if version == 1 else NOWHERE
            into.append(call_for(move, signature, contracts, origin=shown))
    return first, second


def _groups(steps: Sequence[Call], founded: Founded) -> list[Call]:
    """The transactions that the sender makes of these when all of them wait."""
    waiting = [
        QueuedAct(sha256(step.data), at.to_bytes(32, "big"), step.data, GAS_STEP)
        for at, step in enumerate(steps)
    ]
    made = []
    while waiting:
        taken = choose(waiting)
        waiting = waiting[len(taken) :]
        made.append(carry([act.data for act in taken], founded.record.contracts))
    return made


async def _rate(
    lanes: Sequence[_Lane], calls: Sequence[Call], gas: int, chain_id: int, at_once: int = AT_ONCE
) -> float:
    """Transactions a second from the first given to the last in a block; each must have succeeded."""
    ready: list[list[tuple[bytes, bytes]]] = [[] for _ in lanes]
    for at, call in enumerate(calls):
        lane = lanes[at % len(lanes)]
        signed = sign_transaction(
            lane.key, call, chain_id=chain_id, nonce=lane.nonce, gas=gas, gas_price=1
        )  # fmt: skip
        lane.nonce += 1
        ready[at % len(lanes)].append((signed.raw, signed.hash))
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for lane, mine in zip(lanes, ready, strict=True):
            group.create_task(_send(lane.node, mine, at_once))
    return len(calls) / (time.perf_counter() - started)


async def _send(node: Evm, mine: Sequence[tuple[bytes, bytes]], at_once: int) -> None:
    for begin in range(0, len(mine), at_once):
        part = mine[begin : begin + at_once]
        for raw, _ in part:
            for _ in range(200):
                outcome = await node.send_raw(raw)
                if outcome in (Sent.ACCEPTED, Sent.NONCE_USED):
                    break
                await asyncio.sleep(0.05)
            else:
                raise BenchFailed("a transaction was not taken")
        # Nonces are mined in order, so the last receipt stands for all; failures show in the count of events.
        deadline = time.monotonic() + 120
        while (receipt := await node.receipt(part[-1][1])) is None:
            if time.monotonic() > deadline:
                raise BenchFailed("a transaction is in no block")
            await asyncio.sleep(0.02)
        if not receipt.succeeded:
            raise BenchFailed("a transaction was refused")


# Triage


def _triage(options: Options) -> Row:
    dice = random.Random(7)  # noqa: S311 - repeatable
    table = triage.NEWEST
    values = [
        tuple(
            dice.randrange(2 * max(one.start for one in item.values) + 2)
            if item.bands
            else dice.choice(item.values).code
            for item in table.inputs
        )
        for _ in range(options.pick(400_000, 100_000))
    ]
    started = time.perf_counter()
    outcomes = triage.decide_all(values, table)
    seconds = time.perf_counter() - started
    if sum(outcomes.values()) != len(values):
        raise BenchFailed("a case without a decision")
    return Row(
        "triage",
        Text("分流决定，一核", "triage decisions, one core"),
        Figure(len(values) / seconds, "1/s"),
        Reach(">=", Figure(50_000, "1/s")),
        note=Text(
            f"{len(table.rules)} 条规则，随机输入 {len(values):,} 份。",
            f"{len(table.rules)} rules, {len(values):,} random inputs.",
        ),
    )


# Reads

_FILL = """
INSERT INTO cases.case (case_id, root, position, owner, product, commitment, listed, policy, stage, since,
                        clock_start, deadline, court)
SELECT sha256(('case ' || n)::text::bytea), sha256(('batch ' || n / 500)::text::bytea), n % 500,
       5 + n / 500 % 40, 1 + n % 4, sha256(('row ' || n)::text::bytea), true, 1, 1, $2 - n % 864000,
       $2 - n % 864000, CASE WHEN n % 5 < 2 THEN NULL ELSE $2 + (n::bigint * 7919) % 34560000 - 3456000 END,
       CASE WHEN n % 3 = 0 THEN 50 + n % 5 ELSE 0 END
FROM generate_series(0, $1::int - 1) AS n"""


def _reads(options: Options) -> Iterator[Row]:
    cases = options.pick(CASES, 100_000)
    with cluster(options.folder / "pg") as server:
        one, page = asyncio.run(_read(server, cases))
    for key, label, times in (
        ("case-read", Text("读一件案件，库中 {n} 件，p99", "one case read among {n}, p99"), one),
        ("case-page", Text("案件列表一页（银行，按期限）", "a page of a bank's list by deadline, p99"), page),
    ):
        p50, p99 = (sorted(times)[math.ceil(part * len(times)) - 1] * 1000 for part in (0.5, 0.99))
        yield Row(
            key,
            Text(label.zh.format(n=f"{cases:,}"), label.en.format(n=f"{cases:,}")),
            Figure(p99, "ms"),
            Reach("<", Figure(30, "ms")),
            note=Text(
                f"p50 {p50:.1f} ms，{len(times):,} 次；案件尚未动过。",
                f"p50 {p50:.1f} ms, {len(times):,} reads; the cases have not moved.",
            ),
        )


async def _read(server: Cluster, cases: int) -> tuple[list[float], list[float]]:
    await migrate(server.dsn("migrator"))
    contracts = CaseContracts(
        1, PolicyVersion(LIFECYCLE, LIFECYCLE_V1.source_digest), *(bytes([at]) * 20 for at in range(1, 7))
    )
    owner = await asyncpg.connect(server.superuser_dsn(DATABASE))
    try:
        await owner.execute("SET statement_timeout = 0")
        await owner.execute("INSERT INTO chain.block VALUES (1, 1, $1, $2)", b"\1" * 32, NOW)
        await owner.execute(
            "INSERT INTO cases.policy VALUES (1, $1, 1, $2, $3, false, 1)",
            contracts.ledger, bytes(20), LIFECYCLE_V1.table_hash,
        )  # fmt: skip
        await owner.execute(_FILL, cases, NOW)
        await owner.execute("VACUUM ANALYZE cases.case")
        ids = [bytes(row[0]) for row in await owner.fetch("SELECT case_id FROM cases.case LIMIT 5000")]
    finally:
        await owner.close()
    dice = random.Random(3)  # noqa: S311 - repeatable
    pool = await connect_pool(server.dsn("gateway"), max_size=2)
    centre, bank = Viewer(1, Role.CENTRE.mask), Viewer(7, Role.BANK.mask)
    try:
        reading, one, pages, cursor = Reading(pool, contracts), [], [], None
        for _ in range(READS):
            started = time.perf_counter()
            case = await reading.find(centre, dice.choice(ids))
            show(case, centre, NOW)
            timeline(case)
            one.append(time.perf_counter() - started)
        async with pool.acquire() as conn:
            for _ in range(READS // 10):
                started = time.perf_counter()
                found = await listing.page(conn, bank, Filters(), Sort.DEADLINE, now=NOW, cursor=cursor)
                pages.append(time.perf_counter() - started)
                cursor = found.next
        return one, pages
    finally:
        await pool.close()
