"""Rounds of SIGKILL on a whole ledger under load, and what has to be so afterwards.

A round ends one or more of gateway, worker, PostgreSQL and one of four validators, some at a named point of
their work, then starts again what is dead, as a supervisor would, and waits until an agent is answered. Which
round does what follows from its number alone; done rounds are written down, so that a run goes on where it
ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from agent.client import GatewayClient
from agent.journal import Entry, Journal, State
from agent.login import LoginTokens
from agent.profile import load_profile
from agent.receipts import ReceiptCollector
from chain import deployment as deployments
from chain.configuration import pool_of
from chain.evm import Evm
from chain.networks import processes
from chain.networks.cometbft import CometNetwork
from cli.stack import SERVICES
from evidence.contract import Anchored, ContractReader
from protocol.entry import evidence_id, parse_leaf
from protocol.identifiers import log_id
from storage.cluster import Cluster
from storage.roles import DATABASE
from tests.support.faulty import FaultyStack
from tests.support.stack import ORIGIN, ROOT, command, environment, wait_for
from verifier.receipt import Receipt

GATEWAY, WORKER, POSTGRES, VALIDATOR = "gateway", "worker", "postgres", "validator"
VICTIMS = (GATEWAY, WORKER, POSTGRES, VALIDATOR)
POINTS = {
    "accept.prepared": GATEWAY,
    "accept.committed": GATEWAY,
    "seal.committed": WORKER,
    "anchor.sent": WORKER,
    "anchor.confirmed": WORKER,
}
AGENTS = ("bank-a-act", "bank-a-act", "bank-b-act")
VALIDATORS = 4
RECEIPTS = 200
"""Receipts that each agent verifies, about."""
PATIENCE = 240.0
"""Seconds for what takes one on an idle machine."""


@dataclass(frozen=True)
class Strike:
    """A victim, and the point at which it ends; None: any moment."""

    victim: str
    point: str | None = None

    def __str__(self) -> str:
        return self.victim if self.point is None else f"{self.victim}@{self.point}"


def at(point: str) -> Strike:
    return Strike(POINTS[point], point)


SHORT: Sequence[tuple[Strike, ...]] = (
    (Strike(VALIDATOR), at("seal.committed"), at("accept.committed")),
    (at("anchor.sent"), Strike(POSTGRES)),
    (at("anchor.confirmed"), at("accept.prepared")),
)
SINGLE = (*((at(point),) for point in POINTS), *((Strike(victim),) for victim in VICTIMS))


def strikes_of(number: int) -> tuple[Strike, ...]:
    """Round `number` of a long run: single ones in turn, between them two at once; sometimes all."""
    rng = random.Random(number)  # noqa: S311 - repeatable
    if number % 20 == 19:
        return tuple(Strike(victim) for victim in VICTIMS)
    if number % 2 == 0:
        return SINGLE[number // 2 % len(SINGLE)]
    first, second = rng.sample(VICTIMS, 2)
    return tuple(
        Strike(victim, rng.choice([None, *(p for p, owner in POINTS.items() if owner == victim)]))
        for victim in (first, second)
    )


@dataclass
class Findings:
    """What the checks at the end found; `checks` has a line for each."""

    checks: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def check(self, name: str, good: bool, told: str) -> None:
        self.checks[name] = told if good else f"WRONG: {told}"
        if not good:
            self.wrong.append(f"{name}: {told}")


class KillRounds:
    """Rounds on the ledger of one home."""

    def __init__(self, home: Path) -> None:
        self.stack = FaultyStack(home)
        self.folder = home / "rounds"
        self.unasked: Counter[str] = Counter()
        self._record = self.folder / "rounds.jsonl"
        self._rng = random.Random()  # noqa: S311 - moments
        self._returning: list[threading.Thread] = []
        self._load: subprocess.Popen[bytes] | None = None

    # -- rounds ---------------------------------------------------------------------------------------

    def done(self) -> list[list[str]]:
        """The strikes of each round so far."""
        if not self._record.exists():
            return []
        return [json.loads(line)["strikes"] for line in self._record.read_text().splitlines()]

    @contextmanager
    def load(self) -> Iterator[None]:
        """Agents submit meanwhile; at the end they finish what they have begun."""
        self.folder.mkdir(exist_ok=True)
        self.stack.disarm()
        self.restart()
        with (self.folder / "load.log").open("ab") as log:
            self._load = subprocess.Popen(
                [sys.executable, "-m", "tests.support.load", str(self.stack.home), str(self.folder), *AGENTS],
                cwd=ROOT, env=environment(), stdout=log, stderr=log,
            )  # fmt: skip
        try:
            self.answered_again()
            yield
            self.all_back()
            self._load.send_signal(signal.SIGTERM)
            if self._load.wait(120) != 0:
                raise AssertionError("an agent gave up: " + self._told())
        finally:
            if self._load.poll() is None:
                self._load.kill()
                self._load.wait()

    def run(self, strikes: Sequence[Strike]) -> None:
        started = time.monotonic()
        time.sleep(self._rng.uniform(0.0, 0.8))
        for strike in sorted(strikes, key=self._order):
            self._strike(strike)
        self.restart()
        self.answered_again()
        seconds = time.monotonic() - started
        number = len(self.done()) + 1
        line = {"round": number, "strikes": [str(strike) for strike in strikes], "seconds": round(seconds, 1)}
        with self._record.open("a") as out:
            out.write(json.dumps(line) + "\n")
        print(f"{number:4d}  {seconds:5.1f} s  {self.accepted():6d} leaves  {' + '.join(map(str, strikes))}",
              flush=True)  # fmt: skip

    @staticmethod
    def _order(strike: Strike) -> int:
        """A point needs the others alive to be reached: the worker's goes before the gateway's."""
        if strike.point is None:
            return 0 if strike.victim == VALIDATOR else 3
        return 1 if strike.victim == WORKER else 2

    def _strike(self, strike: Strike) -> None:
        if strike.point is not None:
            self.stack.arm(strike.point)
            while not self.stack.was_hit(strike.point):
                self._gone(strike.victim, PATIENCE)
                if not self.stack.was_hit(strike.point):
                    self.unasked[strike.victim] += 1
                    self.stack.start(strike.victim)
        elif strike.victim in SERVICES:
            if not self.stack.stop_service(strike.victim, hard=True):
                self.unasked[strike.victim] += 1
        elif strike.victim == POSTGRES:
            self._strike_postgres()
        else:
            self.all_back()
            number = self._rng.randint(1, VALIDATORS)
            network = CometNetwork.load(self.stack.home)
            network.kill(number)
            self._returning.append(threading.Thread(target=network.restart, args=(number,)))

    def _strike_postgres(self) -> None:
        """The whole server, or one of its processes, after which it throws out all others by itself."""
        cluster = Cluster(self.stack.home)
        pid = cluster.status().pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        clients = []
        if children.exists():
            for child in map(int, children.read_text().split()):
                if f" {DATABASE} " in processes.command_line(child):
                    clients.append(child)
        if not clients or self._rng.random() < 0.5:
            cluster.stop(hard=True)
            return
        with suppress(ProcessLookupError):
            os.kill(self._rng.choice(clients), signal.SIGKILL)

    def _gone(self, service: str, seconds: float) -> None:
        def dead() -> bool:
            self._loading()
            return not self.stack.alive(service)

        wait_for(dead, seconds, 0.01)

    def restart(self) -> None:
        """What a supervisor does: start what is dead, and look again at what waits for something else."""
        for thread in self._returning:
            if not thread.ident:
                thread.start()
        Cluster(self.stack.home).start()
        for name in SERVICES:
            self.stack.start(name)

    def all_back(self) -> None:
        """Until every validator takes part again."""
        for thread in self._returning:
            thread.join(PATIENCE)
            if thread.is_alive():
                raise TimeoutError("a validator did not come back")
        self._returning.clear()
        CometNetwork.load(self.stack.home).wait_ready(wait=PATIENCE)

    # -- agents ---------------------------------------------------------------------------------------

    def journals(self) -> list[Path]:
        return sorted(self.folder.glob("*-act.db"))

    def accepted(self) -> int:
        """Leaves that an agent holds a promise for."""
        return sum(map(self._accepted, self.journals()))

    @staticmethod
    def _accepted(path: Path) -> int:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            try:
                row = db.execute("SELECT count(*) FROM entries WHERE state IN ('ACCEPTED', 'RECEIVED')")
                return int(row.fetchone()[0])
            except sqlite3.OperationalError:
                return 0  # being made

    def answered_again(self) -> None:
        """Until one more submission is answered; a service that ended by itself is started again."""
        before = self.accepted()

        def more() -> bool:
            self._loading()
            for name in SERVICES:
                if not self.stack.alive(name):
                    self.unasked[name] += 1
                    self.stack.start(name)
            return self.accepted() > before

        wait_for(more, PATIENCE, 0.05)

    def _loading(self) -> None:
        if self._load is not None and self._load.poll() not in (None, 0):
            raise AssertionError("an agent gave up: " + self._told())

    def _told(self) -> str:
        return (self.folder / "load.log").read_text()[-2000:]

    # -- afterwards -----------------------------------------------------------------------------------

    def findings(self) -> Findings:
        """Collects every receipt and compares agents, database and chain."""
        found = Findings()
        entries, receipts = self._collect(found)
        leaves, events = asyncio.run(self._facts())
        held = {at: evidence_id(leaf) for at, leaf in leaves.items()}

        lost = [e for e in entries if e.leaf_index is None or held.get(e.leaf_index) != e.evidence_id]
        moved = sum(held.get(index) != identity for identity, index in receipts.items())
        found.check("promised leaves missing", bool(entries and receipts) and not lost and not moved,
                    f"{len(lost)} of {len(entries)}; {len(receipts)} receipts valid offline")  # fmt: skip

        given = Counter(e.leaf_index for e in entries)
        twice = sum(1 for count in given.values() if count > 1)
        found.check("indexes reused", not twice and sorted(leaves) == list(range(len(entries))),
                    f"{twice}; log holds {len(leaves)} leaves, agents {len(entries)}")  # fmt: skip

        ends = [event.new_size for event in events]
        found.check(
            "duplicate anchors",
            [event.number for event in events] == list(range(1, len(events) + 1))
            and [event.old_size for event in events] == [0, *ends[:-1]]
            and ends[-1:] == [len(leaves)]
            and len({event.transaction_hash for event in events}) == len(events),
            f"{len(events) - len(set(ends))} of {len(events)}",
        )

        gaps = 0
        headers = [parse_leaf(leaves[at]).header for at in sorted(leaves)]
        for organisation in {header.submitter for header in headers}:
            sequences = [h.sequence for h in headers if h.submitter == organisation]
            gaps += sequences != list(range(1, len(sequences) + 1))
        found.check("submitters with a gap", not gaps, f"{gaps}")

        report = command(self.stack.home, "fsck", expect=None, timeout=1800)
        found.check("fsck findings", report["clean"] and report["chainCompared"],
                    f"{len(report['findings'])} in {report['leaves']} leaves, {report['batches']} batches, "
                    f"{report['proofs']} proofs {report['findings'][:3] or ''}")  # fmt: skip

        status = self.stack.state()
        log = status.evidence["evidence"]["logs"][0] if status.evidence else {}
        calm = status.healthy and log.get("status") == "open" and not log.get("troubles")
        found.check("trouble left", calm, f"{log.get('troubles') or 0}")
        return found

    def _collect(self, found: Findings) -> tuple[list[Entry], dict[bytes, int]]:
        """All entries of all agents; of some, spread over the run, the index that the verified receipt names.

        A receipt of every batch is verified by fsck.
        """
        entries: list[Entry] = []
        receipts: dict[bytes, int] = {}
        for at_, key in enumerate(AGENTS):
            profile = load_profile(self.stack.home, key=key)
            if profile.auth_key is None:
                raise AssertionError(f"no auth key beside {key}")
            domain = profile.login_domain()
            tokens = LoginTokens(profile.auth_key, profile.organisation, domain, time.time)
            with (
                Journal(self.folder / f"{at_}-{key}.db") as journal,
                GatewayClient(profile.gateways[0], tokens=tokens) as gateway,
            ):
                of_agent = journal.entries()
                some = [e.id for e in of_agent[:: 1 + len(of_agent) // RECEIPTS]]
                collection = ReceiptCollector(
                    journal, [gateway], profile.trust, profile.organisation,
                    clock=lambda: time.time() + 1, sleep=time.sleep,
                ).wait(some, folder=self.folder / "receipts", seconds=900)  # fmt: skip
                counts = journal.counts()
                bad = collection.pending + collection.broken + len(collection.invalid)
                good = not bad and set(counts) <= {State.ACCEPTED, State.RECEIVED}
                found.check(f"agent {at_} {key}", good, f"{counts}, {bad} receipts wanting")
                for entry in journal.entries():
                    entries.append(entry)
                    if entry.receipt_path and entry.evidence_id:
                        core = Receipt.parse(Path(entry.receipt_path).read_bytes()).core
                        if evidence_id(core.leaf) == entry.evidence_id:
                            receipts[entry.evidence_id] = core.inclusion.index
        return entries, receipts

    async def _facts(self) -> tuple[dict[int, bytes], list[Anchored]]:
        """Leaves as the database holds them, anchors as the chain does."""
        conn = await asyncpg.connect(Cluster(self.stack.home).superuser_dsn(DATABASE))
        try:
            rows = await conn.fetch("SELECT leaf_index, leaf FROM evidence.entry ORDER BY leaf_index")
        finally:
            await conn.close()
        deployment = deployments.load(self.stack.home)
        async with pool_of(deployment) as pool:
            reader = ContractReader(Evm(pool), deployment.evidence_log.address, first_block=deployment.block)
            return {row["leaf_index"]: row["leaf"] for row in rows}, await reader.anchored_all(
                log_id(ORIGIN), 1
            )

    def table(self, found: Findings) -> str:
        """Victim x rounds, crash point x hits, and the checks."""
        victims, points = Counter[str](), Counter[str]()
        rounds = self.done()
        for strikes in rounds:
            for strike in strikes:
                victim, _, point = strike.partition("@")
                victims[victim] += 1
                if point:
                    points[point] += 1
        rows = [("rounds", len(rounds)), *((f"kill -9 {name}", victims[name]) for name in VICTIMS)]
        rows += [(f"crash at {name}", points[name]) for name in POINTS]
        # A process that starts while its database dies once more gives up; its supervisor starts it again.
        rows += [(f"{name} ended unasked", self.unasked[name]) for name in SERVICES]
        lines = [f"{name:<28} {count:>6}" for name, count in rows]
        return "\n".join(lines + [f"{name:<28} {told}" for name, told in found.checks.items()])
