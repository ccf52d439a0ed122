"""The local ledger of one home: database, network, contracts, log, trust file, gateway, worker.

`up` goes through the same steps every time; each looks first and does only what is missing, so that a second
`up` restarts what is dead and changes nothing else. No supervisor: what dies stays visible until `up` or a
person comes. All listeners are on loopback; ports are chosen free once and recorded.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, ClassVar

from agent.intake.party import PINS
from agent.keys import (
    Key,
    KeyLabel,
    Secp256k1Key,
    key_path,
    load_ed25519,
    load_key,
    load_secp256k1,
    new_key,
    save_key,
)
from agent.store import save_pins
from chain import consortium as consortiums
from chain import deploy as deploying
from chain import deployment as deployments
from chain import trustfile
from chain.bindings import REGISTRY, interface
from chain.case_record import CaseRecord
from chain.consortium import Consortium, LogEntry
from chain.deployment import Deployment
from chain.direct import send
from chain.engines import profile
from chain.evm import Evm
from chain.governance import open_log
from chain.networks import processes
from chain.networks.cometbft import CometNetwork
from chain.networks.errors import NetworkMissing, NetworkSettingRefused
from chain.networks.processes import Handle
from chain.networks.state import MAX_VALIDATORS
from chain.rpc import RpcPool
from chain.signer import RelayerKey, load_relayer
from chain.transactions import Call
from cli import stack_cases
from cli.stack_time import NAMES as TIME_NAMES
from cli.stack_time import LocalTime, LocalTimes
from cli.stack_witnesses import WITNESSES, LocalWitness, LocalWitnesses
from cli.trust_build import local_validators
from cli.trust_build import write as write_trust
from protocol.acts import SetHpkeKey
from protocol.custody import ORIGIN_SUFFIX
from protocol.errors import CaseledgerError
from protocol.expect import UINT40_MAX
from protocol.i18n import Language, Text
from protocol.identifiers import log_id
from protocol.keyslot import log_slot_position
from storage.cluster import Cluster
from verifier.succession import accept_first, accept_next
from verifier.trust import TrustFile
from verifier.trust_payload import TimeAuthority
from verifier.witness_policy import EMPTY_POLICY, WitnessPolicy

CONFIGURATION = "caseledger.toml"
GATEWAY, WORKER = "gateway", "worker"
SERVICES = (GATEWAY, WORKER)
READY_SECONDS = 60.0
LASTING = frozenset({"LogHalted", "LogClosed"})
"""Why a gateway is not ready until a person decides: waiting does not help."""
STOP_SECONDS = 30.0
APPROVAL_SECONDS = 3600
VALIDITY = 365 * 24 * 3600
"""Seconds that a trust file made here is valid."""
AGENT_MEMBER = "bank-a"
"""Whose agent the home speaks for by default."""
SERVICE_NICENESS = 2
_ORGANISATION = (
    "roles", "interestGroup", "status", "vote", "nonce", "suspendedUntil", "suspendableFrom", "id", "hpkeKey",
    "hpkeNotBefore", "hpkeNotAfter",
)  # fmt: skip
"""Members of the registry's struct, in its order."""


class ServiceNotReady(CaseledgerError):
    """A process started and did not become ready; its log says why."""

    http_status: ClassVar[int] = 503
    title: ClassVar[str] = "service not ready"


class StepFailed(CaseledgerError):
    """A step of `up` could not be done."""

    http_status: ClassVar[int] = 503
    title: ClassVar[str] = "the local ledger did not start"


_STEPS = {
    "database": Text("数据库", "database"),
    "network": Text("区块链网络（{validators} 个验证节点）", "chain, {validators} validators"),
    "schema": Text("数据表", "tables"),
    "consortium": Text("联盟成员与密钥", "members and keys"),
    "contracts": Text("合约", "contracts"),
    "cases": Text("案件合约 {policy}", "case contracts {policy}"),
    "log": Text(
        "存证与保管流转两个日志、案件规则与工作日（经治理开通）",
        "evidence log, custody log, case rules and working days, opened by governance",
    ),
    "sealing": Text("各成员的收件公钥", "members' sealing keys"),
    "trust": Text("信任文件（法院与监管签署）", "trust file, signed by court and regulator"),
    "gateway": Text("网关 {url}", "gateway {url}"),
    "worker": Text("后台任务", "worker"),
    "witnesses": Text("见证 {who}", "witnesses {who}"),
    "time": Text("时间戳机构 {who}", "time authorities {who}"),
}


class Narrator:
    """Prints one line for each step, in the person's language, with the time it took."""

    def __init__(self, lang: Language, out: Callable[[str], None] | None = None) -> None:
        self._lang = lang
        self._out = out or (lambda line: print(line, flush=True))

    @contextmanager
    def step(self, name: str, **values: object) -> Iterator[None]:
        started = time.monotonic()
        yield
        label = _STEPS[name].format(self._lang, **values)
        self._out(f"  ✓ {label}  {time.monotonic() - started:.1f} s")


class Silent(Narrator):
    """Says nothing."""

    def __init__(self) -> None:
        super().__init__("en", lambda line: None)


@dataclass(frozen=True)
class ServiceState:
    """A process of ours."""

    name: str
    pid: int | None
    running: bool
    ready: bool


@dataclass(frozen=True)
class StackState:
    """What runs under a home."""

    home: str
    database: bool
    validators: int
    validators_running: int
    moving: bool
    gateway_url: str | None
    services: tuple[ServiceState, ...]
    evidence: dict[str, Any] | None
    cases: dict[str, Any] | None = None
    """Policy and contracts of the case room."""

    @property
    def healthy(self) -> bool:
        return (
            self.database
            and self.moving
            and self.validators_running > 0
            and all(service.running and service.ready for service in self.services)
        )

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "healthy": self.healthy}


class _KeyFiles:
    """The generator's secrets in the home's key files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ensure(self, name: str, kind: str, purpose: str, organisation: int | None) -> bytes:
        path = key_path(self._folder, name)
        if path.exists():
            key: Key = load_key(path)
        else:
            key = new_key(kind, KeyLabel(name, purpose, organisation))
            save_key(key, self._folder)
        if key.kind != kind:
            raise StepFailed(f"{name} holds a {key.kind} key", field=name)
        return key.address if isinstance(key, Secp256k1Key) else key.public_key


class Stack:
    """The local ledger under `home`."""

    def __init__(self, home: Path, narrator: Narrator | None = None) -> None:
        self.home = home.absolute()
        self.keys = self.home / "keys"
        self.run_folder = self.home / "run"
        self.trust_path = self.home / "trust" / "consortium.cltrust"
        self.accepted_path = self.home / "trust" / "accepted.cltrust"
        self._say = narrator or Silent()
        self.witnesses = LocalWitnesses(self.home, self.run_folder)
        self.times = LocalTimes(self.home, self.run_folder)

    # -- up -------------------------------------------------------------------------------------------

    def up(
        self,
        *,
        validators: int | None = None,
        services: bool = True,
        witnesses: int | None = None,
        authorities: int | None = None,
        test_clock: bool | None = None,
    ) -> StackState:
        """Bring everything to life; safe to call at any time, also while all of it runs.

        `witnesses`: how many local ones there are at least; None: those of before, or with four validators
        and more, three. `authorities`: the same for local time authorities; with four validators, two.
        `test_clock`: time limits of cases run in seconds; None: as the home has it, days in a new one.

        Raises:
            NetworkSettingRefused, PolicyOfAnother: before anything is started
            StepFailed, ServiceNotReady, and what the parts raise
        """
        if validators is not None and not 1 <= validators <= MAX_VALIDATORS:
            raise NetworkSettingRefused(f"1 to {MAX_VALIDATORS} validators", field="validators")
        if witnesses is not None and not 0 <= witnesses <= len(WITNESSES):
            raise NetworkSettingRefused(f"0 to {len(WITNESSES)} witnesses", field="witnesses")
        if authorities is not None and not 0 <= authorities <= len(TIME_NAMES):
            raise NetworkSettingRefused(f"0 to {len(TIME_NAMES)} time authorities", field="authorities")
        stack_cases.recorded(self.home, test_clock=test_clock)
        # A node that answers late is left and asked again; that is no news for the person who waits here.
        logging.getLogger("chain").addHandler(logging.NullHandler())
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with processes.exclusive(self.run_folder / "up.lock", wait=300.0):
            cluster = Cluster(self.home)
            with self._say.step("database"):
                cluster.start()
            network = self._network(validators)
            with self._say.step("schema"):
                self._migrate(cluster)
            with self._say.step("consortium"):
                consortium = self.consortium()
            courts = self.witnesses.prepare(network, witnesses)
            times = self.times.prepare(len(network.rpc_urls), authorities)
            stamping = tuple(one.trusted() for one in times)
            policy = LocalWitnesses.policy(courts)
            asyncio.run(self._chain(cluster, network, consortium, policy, stamping, test_clock))
            port = self._configure(LocalWitnesses.tables(courts) + LocalTimes.tables(times))
            self.witnesses.publish(courts, self.home / deployments.FILE_NAME, self.accepted_path)
            if services:
                self.start_services(port)
                self._start_others(courts, times)
        return self.state()

    def start_services(self, port: int) -> None:
        """Starts worker and gateway unless they run; returns when the gateway is ready.

        Raises:
            ServiceNotReady
        """
        with self._say.step("worker"):
            self._service(WORKER)
        with self._say.step("gateway", url=f"http://127.0.0.1:{port}"):
            self._service(GATEWAY)
            self.wait_ready(GATEWAY)

    def _start_others(self, courts: list[LocalWitness], times: list[LocalTime]) -> None:
        """Last, so that nobody waits for them."""
        if times:
            with self._say.step("time", who=", ".join(one.name for one in times)):
                self.times.start(times, service_environment())
        if courts:
            with self._say.step("witnesses", who=", ".join(one.slug for one in courts)):
                self.witnesses.start(courts, service_environment())

    def _network(self, validators: int | None) -> CometNetwork:
        try:
            count = sum(n.bonded_at_genesis for n in CometNetwork.load(self.home).state.nodes)
        except NetworkMissing:
            count = validators or 1
        with self._say.step("network", validators=validators or count):
            network = CometNetwork.ensure(self.home, validators=validators)
            network.up(wait=120.0)
        return network

    def _migrate(self, cluster: Cluster) -> None:
        from storage.db import migrate

        asyncio.run(migrate(cluster.dsn("migrator")))

    def consortium(self) -> Consortium:
        """The home's consortium; a development one is made where there is none."""
        path = self.home / consortiums.FILE_NAME
        known = consortiums.load(path) if path.exists() else None
        made = consortiums.with_custody_log(known or consortiums.development(_KeyFiles(self.keys)))
        if made != known:
            partial = path.with_suffix(".tmp")
            partial.write_text(consortiums.render(made), encoding="utf-8")
            partial.rename(path)
        return consortiums.load(path)

    async def _chain(
        self,
        cluster: Cluster,
        network: CometNetwork,
        consortium: Consortium,
        policy: WitnessPolicy,
        authorities: tuple[TimeAuthority, ...],
        test_clock: bool | None,
    ) -> None:
        engine = profile("cometbft")
        async with RpcPool(
            network.rpc_urls, engine,
            chain_id=network.evm_chain_id,
            comet_urls=network.comet_urls, comet_chain_id=network.chain_id,
        ) as pool:  # fmt: skip
            evm = Evm(pool)
            deployer = load_relayer(self.home / network.state.deployers[0])
            with self._say.step("contracts"):
                deployment = await self._deploy(evm, deployer, network, consortium, engine.min_gas_price)
            with self._say.step("cases", policy=stack_cases.label(self.home, test_clock)):
                target = self._target(network, engine.min_gas_price)
                cases, fresh = await stack_cases.ensure(
                    evm, deployer, self.home, target, deployment, test_clock=test_clock
                )
                if fresh:
                    # Services that run already know of no cases; they are started again further down.
                    for name in SERVICES:
                        self.stop_service(name)
            with self._say.step("log"):
                await self._open(evm, deployer, deployment, consortium, cases, engine.min_gas_price)
            with self._say.step("sealing"):
                await self._publish_hpke(evm, deployer, deployment, consortium, engine.min_gas_price)
                self._pin(consortium)
                # Evidence and custody of this home's service; a successor is registered by `log begin`.
                first = consortium.logs[0].origin
                for log in consortium.logs:
                    if log.origin in (first, first + ORIGIN_SUFFIX):
                        await self._register(cluster, deployment, log)
            with self._say.step("trust"):
                await self._trust(pool, deployment, consortium, policy, authorities, cases)

    async def _deploy(
        self, evm: Evm, deployer: RelayerKey, network: CometNetwork, consortium: Consortium, gas_price: int
    ) -> Deployment:
        rpc, comet = tuple(network.rpc_urls), tuple(network.comet_urls)
        if (self.home / deployments.FILE_NAME).exists():
            deployment = deployments.load(self.home)
            # A network that was down may have come back on other ports.
            if (deployment.rpc, deployment.comet) != (rpc, comet):
                deployment = deployment.with_urls(rpc, comet)
                deployment.save(self.home)
                # Running services still ask at the old ones; they are started again further down.
                for name in SERVICES:
                    self.stop_service(name)
            await deploying.check(evm, deployment)
            return deployment
        deployment = await deploying.deploy(
            evm, deployer, self._target(network, gas_price), consortium.rules()
        )
        deployment.save(self.home)
        return deployment

    @staticmethod
    def _target(network: CometNetwork, gas_price: int) -> deploying.Network:
        return deploying.Network(
            "cometbft", network.evm_chain_id, network.chain_id, tuple(network.rpc_urls),
            tuple(network.comet_urls), gas_price=gas_price,
        )  # fmt: skip

    async def _open(
        self,
        evm: Evm,
        sender: RelayerKey,
        deployment: Deployment,
        consortium: Consortium,
        cases: CaseRecord,
        gas_price: int,
    ) -> None:
        """Opens what is not open by proposals that the voting members of this home approve."""
        proposals = await stack_cases.undecided(evm, cases)
        proposals += [
            open_log(deployment, log.origin, log.operator)
            for log in consortium.logs
            if not await log_is_open(evm, deployment, log.origin)
        ]
        if not proposals:
            return
        until = int((await evm.head()).time) + APPROVAL_SECONDS
        for proposal in proposals:
            approvals = [
                proposal.approve(
                    deployment, index, load_secp256k1(key_path(self.keys, f"{member.slug}-act")), until
                )
                for index, member in enumerate(consortium.members, start=1)
                if member.organisation.vote
            ]
            call = proposal.schedule(deployment, approvals)
            await self._sent(evm, sender, call, deployment.chain_id, gas_price)
        await asyncio.sleep(deployment.delay + 1.0)
        for proposal in proposals:
            await self._sent(evm, sender, proposal.execute(deployment), deployment.chain_id, gas_price)

    async def _publish_hpke(
        self, evm: Evm, sender: RelayerKey, deployment: Deployment, consortium: Consortium, gas_price: int
    ) -> None:
        """Publishes the sealing key of each member that has none yet; a later one is the member's own."""
        registry = interface(REGISTRY)
        for index, member in enumerate(consortium.members, start=1):
            look = registry.function("organisation")
            answer = await evm.call(bytes(20), Call(deployment.registry.address, look.encode(index)))
            values = dict(zip(_ORGANISATION, look.decode(answer)[0], strict=True))
            if member.hpke is None or any(values["hpkeKey"]):
                continue
            now = int((await evm.head()).time)
            act = SetHpkeKey(index, member.hpke, now, UINT40_MAX, values["nonce"], now + APPROVAL_SECONDS)
            key = load_secp256k1(key_path(self.keys, f"{member.slug}-act"))
            signature = key.sign_digest(act.digest(deployment.registry_domain))
            data = registry.function("setHpkeKey").encode(astuple(act), signature)
            await self._sent(
                evm, sender, Call(deployment.registry.address, data), deployment.chain_id, gas_price
            )

    def _pin(self, consortium: Consortium) -> None:
        """The members' sealing keys for the home's agent, from the consortium's own file; kept if there."""
        path = self.home.joinpath(*PINS)
        if not path.exists():
            members = enumerate(consortium.members, start=1)
            save_pins(path, {index: member.hpke for index, member in members if member.hpke is not None})

    @staticmethod
    async def _sent(evm: Evm, sender: RelayerKey, call: Call, chain_id: int, gas_price: int) -> None:
        """Sends; a time lock that is a block away from its end is waited for."""
        for attempt in range(10):
            try:
                await send(evm, sender, call, chain_id=chain_id, gas_price=gas_price)
                return
            except CaseledgerError as error:
                if error.code != "GovernanceTooEarly" or attempt == 9:
                    raise
                await asyncio.sleep(1.0)

    async def _register(self, cluster: Cluster, deployment: Deployment, log: LogEntry) -> None:
        import asyncpg

        from evidence.logs import create_log

        conn = await asyncpg.connect(cluster.dsn("migrator"))
        try:
            await create_log(
                conn,
                origin=log.origin,
                chain_id=deployment.chain_id,
                contract=deployment.evidence_log.address,
                registry=deployment.registry.address,
                operator=log.operator,
                now=int(time.time()),
            )
        finally:
            await conn.close()

    async def _trust(
        self,
        pool: RpcPool,
        deployment: Deployment,
        consortium: Consortium,
        policy: WitnessPolicy,
        authorities: tuple[TimeAuthority, ...],
        cases: CaseRecord,
    ) -> None:
        """Drafts the trust file from the chain, signs it with the home's trust keys, accepts it.

        One machine plays every part here; in a consortium court and regulator sign on their own machines and
        each verifier accepts the file by a fingerprint that came another way.
        """
        held = None
        if self.trust_path.exists():
            held = TrustFile.parse(self.trust_path.read_bytes())
        names = trustfile.named_validators(consortium, local_validators(self.home))
        made = await trustfile.draft(
            pool, deployment, consortium, named=names, now=int(time.time()), held=held, valid_for=VALIDITY,
            policy=None if policy == EMPTY_POLICY else policy, authorities=authorities or None,
            cases=cases,
        )  # fmt: skip
        if held is not None and not trustfile.changed(held, made):
            return
        made = trustfile.sign(made, map(load_ed25519, sorted(self.keys.glob("trust-*.json"))))
        if held is None:
            accept_first(made, made.fingerprint)
        else:
            accept_next(held, made)
        write_trust(self.trust_path, made)
        write_trust(self.accepted_path, made)

    def _configure(self, tables: str) -> int:
        """Writes the settings file once; a taken port is replaced in it. Returns the gateway's port.

        `tables`: those of local witnesses and time authorities, kept up to date at the file's end.
        """
        port = self._configure_gateway()
        if tables:
            path = self.home / CONFIGURATION
            text = path.read_text(encoding="utf-8")
            wanted = text.partition(_WITNESS_MARK)[0].rstrip("\n") + f"\n\n{_WITNESS_MARK}\n{tables}"
            if wanted != text:
                partial = path.with_suffix(".tmp")
                partial.write_text(wanted, encoding="utf-8")
                partial.rename(path)
                self.stop_service(WORKER)
        return port

    def _configure_gateway(self) -> int:
        path = self.home / CONFIGURATION
        if not path.exists():
            port = processes.free_ports(1)[0]
            partial = path.with_suffix(".tmp")
            partial.write_text(_CONFIGURATION.format(port=port, agent=AGENT_MEMBER), encoding="utf-8")
            partial.rename(path)
            return port
        text = path.read_text(encoding="utf-8")
        port = _port(text)
        if not self._handle(GATEWAY).alive() and not processes.port_free(port):
            fresh = processes.free_ports(1)[0]
            text = text.replace(f"port = {port}", f"port = {fresh}").replace(
                f"127.0.0.1:{port}", f"127.0.0.1:{fresh}"
            )
            partial = path.with_suffix(".tmp")
            partial.write_text(text, encoding="utf-8")
            partial.rename(path)
            port = fresh
        return port

    # -- processes ------------------------------------------------------------------------------------

    def _handle(self, name: str) -> Handle:
        mark = f"{name} --home {self.home}"
        try:
            return Handle(int((self.run_folder / f"{name}.pid").read_text()), mark)
        except (OSError, ValueError):
            return Handle(0, mark)

    def service_command(self, name: str) -> list[str]:
        """What a service is started with; ends with the words by which it is found again."""
        return [sys.executable, "-m", "cli.main", name, "--home", str(self.home)]

    def _service(self, name: str) -> None:
        """Starts a process unless it runs."""
        if self._handle(name).alive():
            return
        handle = processes.spawn(
            self.service_command(name),
            log=self.run_folder / f"{name}.log",
            env=service_environment(),
            mark=self._handle(name).mark,
            niceness=SERVICE_NICENESS,
        )
        partial = self.run_folder / f".{name}.pid"
        partial.write_text(str(handle.pid))
        partial.rename(self.run_folder / f"{name}.pid")

    def wait_ready(self, name: str, seconds: float = READY_SECONDS) -> None:
        """Until the gateway answers `/readyz` with 200.

        Raises:
            ServiceNotReady: with the code that the process gave, never its log's text.
        """
        deadline = time.monotonic() + seconds
        while True:
            if not self._handle(name).alive():
                raise ServiceNotReady(f"{name} ended", field=name, hint=f"run/{name}.log")
            status, body = self._get("/readyz")
            if status == 200:
                return
            code = body.get("code") if body else None
            if time.monotonic() > deadline or code in LASTING:
                raise ServiceNotReady(f"{name}: {code or 'no answer'}", field=name, hint=f"run/{name}.log")
            time.sleep(0.1)

    def stop_service(self, name: str, *, hard: bool = False) -> bool:
        """SIGTERM and wait until it has drained; `hard`: SIGKILL."""
        return processes.stop(self._handle(name), grace=STOP_SECONDS, hard=hard)

    def down(self) -> None:
        """Stops all in the order in which nothing is cut off; data is kept."""
        for name in SERVICES:
            self.stop_service(name)
        for slug in self.witnesses.existing():
            self.witnesses.stop(slug)
        for name in self.times.existing():
            self.times.stop(name)
        with suppress(NetworkMissing):
            CometNetwork.load(self.home).down()
        Cluster(self.home).stop()

    def reset(self) -> None:
        """Stops all and deletes the home: ledger, database, keys, journal."""
        self.down()
        Cluster(self.home).destroy()
        shutil.rmtree(self.home, ignore_errors=True)

    # -- looking --------------------------------------------------------------------------------------

    @property
    def gateway_url(self) -> str | None:
        """Address of the gateway as configured."""
        try:
            return f"http://127.0.0.1:{_port((self.home / CONFIGURATION).read_text(encoding='utf-8'))}"
        except OSError:
            return None

    def state(self) -> StackState:
        """Looks at everything; starts nothing."""
        database = (self.home / "pg").exists() and Cluster(self.home).status().running
        validators = running = 0
        moving = False
        try:
            network = CometNetwork.load(self.home).status()
            validators, running, moving = len(network.nodes), network.running, network.moving
        except NetworkMissing:
            pass
        ready, _ = self._get("/readyz")
        _, evidence = self._get("/v1/status")
        services = []
        for name in SERVICES:
            handle = self._handle(name)
            alive = handle.alive()
            services.append(
                ServiceState(
                    name, handle.pid if alive else None, alive, alive and (name != GATEWAY or ready == 200)
                )
            )
        for slug in self.witnesses.existing():
            pid = self.witnesses.alive(slug)
            services.append(ServiceState(f"witness:{slug}", pid, pid is not None, pid is not None))
        for name in self.times.existing():
            pid = self.times.alive(name)
            services.append(ServiceState(f"time:{name}", pid, pid is not None, pid is not None))
        return StackState(
            str(self.home),
            database,
            validators,
            running,
            moving,
            self.gateway_url,
            tuple(services),
            evidence,
            stack_cases.shown(self.home),
        )

    def _get(self, path: str) -> tuple[int, dict[str, Any] | None]:
        url = self.gateway_url
        if url is None:
            return 0, None
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=3)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            value = json.loads(answer.read(1_000_000))
            return answer.status, value if isinstance(value, dict) else None
        except (OSError, ValueError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()


async def log_is_open(evm: Evm, deployment: Deployment, origin: str) -> bool:
    """Whether the contract knows the log."""
    position = log_slot_position(log_id(origin))
    word = int.from_bytes(await evm.storage(deployment.evidence_log.address, position), "big")
    return bool(word >> 224 & 0xFF)


def _port(text: str) -> int:
    found = re.search(r"^port = (\d+)$", text, re.MULTILINE)
    if found is None:
        raise StepFailed("no port in the settings file", field=CONFIGURATION)
    return int(found[1])


def service_environment() -> dict[str, str]:
    """What a service inherits: paths and language, no more."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR", "CASELEDGER_LANG", "PYTHONPATH")
    chosen = {name: os.environ[name] for name in kept if name in os.environ}
    root = str(Path(__file__).resolve().parent.parent)
    chosen["PYTHONPATH"] = os.pathsep.join(filter(None, (root, chosen.get("PYTHONPATH"))))
    return chosen


_WITNESS_MARK = "# Local witnesses and time authorities, kept by `caseledger up`."
_CONFIGURATION = """# Made by `caseledger up`. Times in seconds. Settings: docs/operator.md
[gateway]
port = {port}
organisation = 1
log_origin = "caseledger.localhost/evidence"
log_key = "log-centre"
custody_key = "centre-act"
anchor_key = "centre-anchor"
relayer_keys = ["relayer-1", "relayer-2"]

[agent]
key = "{agent}-act"
auth_key = "{agent}-auth"
hpke_key = "{agent}-hpke"
gateways = ["http://127.0.0.1:{port}"]
intake_to = [1]
"""
