"""A real BFT network of 1 to 7 validators on loopback, each in a detached process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from chain.networks import genesis as gen
from chain.networks import processes
from chain.networks.asking import disk_usage, get, memory_usage, post
from chain.networks.binary import Progress, node_binary
from chain.networks.errors import (
    NetworkError,
    NetworkExists,
    NetworkMissing,
    NetworkNodeUnknown,
    NetworkPortTaken,
    NetworkSettingRefused,
    NetworkStartFailed,
    NetworkToolFailed,
)
from chain.networks.keys import LocalKey, read_key
from chain.networks.nodefiles import (
    app_settings,
    config_settings,
    consensus_address,
    gentx,
    init_home,
    network_keys,
    node_id,
    public_key,
    run,
    spread,
    trim_wal,
)
from chain.networks.state import (
    ARCHIVE,
    BLOCKS_KEPT,
    CONTROLLERS,
    MAX_VALIDATORS,
    MEMORY_SETTINGS,
    PRUNED,
    STATE_VERSION,
    Json,
    NetworkState,
    NetworkStatus,
    Node,
    NodeStatus,
    Ports,
)
from chain.networks.tomledit import edit
from chain.timestamps import parse_time


def _silent(_text: str) -> None:
    return None


class CometNetwork:
    """A local network under `<home>/net`; keys under `<home>/keys`."""

    def __init__(self, home: Path, state: NetworkState) -> None:
        self.home = home
        self.state = state

    @classmethod
    def load(cls, home: Path) -> CometNetwork:
        """Read `<home>/net/network.json`; NetworkMissing if there is none."""
        home = home.resolve()
        path = home / "net" / "network.json"
        try:
            raw = json.loads(path.read_text())
        except FileNotFoundError:
            raise NetworkMissing("no network was created here", hint="caseledger net up") from None
        except (OSError, ValueError):
            raise NetworkError("network.json cannot be read", field="network.json") from None
        try:
            if raw["version"] != STATE_VERSION or raw["engine"] != "cometbft":
                raise NetworkError("network.json is of another version or engine", field="network.json")
            raw["nodes"] = tuple(Node(**{**n, "ports": Ports(**n["ports"])}) for n in raw["nodes"])
            raw.update({name: tuple(raw[name]) for name in ("deployers", "relayers")})
            state = NetworkState(**raw)
        except (KeyError, TypeError):
            raise NetworkError("network.json has an unexpected shape", field="network.json") from None
        return cls(home, state)

    @classmethod
    def create(
        cls,
        home: Path,
        *,
        validators: int = 1,
        reserve: int = 0,
        relayers: int = 4,
        evm_chain_id: int | None = None,
        controllers: Sequence[str] = CONTROLLERS,
        archive: int = 1,
        timeout_commit: str | None = None,
        unbonding_seconds: int = 21 * 24 * 3600,
        fund: Iterable[bytes] = (),
        genesis_change: Callable[[gen.Json], None] | None = None,
        progress: Progress | None = None,
    ) -> CometNetwork:
        """Make homes, keys and a hardened genesis; nothing is started.

        `reserve` homes hold the money of a bond without being bonded: they can join later. `archive` is the
        number of the node that keeps every block; the others prune. `fund` are further addresses that get
        gas money. `genesis_change` sees the hardened genesis last (tests only).
        """
        if not 1 <= validators <= MAX_VALIDATORS:
            raise NetworkSettingRefused(f"1 to {MAX_VALIDATORS} validators", field="validators")
        total = validators + reserve
        if reserve < 0 or total > min(len(controllers), 10):
            raise NetworkSettingRefused("not so many nodes", field="reserve")
        if not 1 <= archive <= validators:
            raise NetworkSettingRefused("the archive is one of the validators", field="archive")
        if timeout_commit is not None and not re.fullmatch(r"[1-9][0-9]{1,4}ms|[1-9][0-9]?s", timeout_commit):
            raise NetworkSettingRefused("a block time is 10ms to 99s", field="block_time")
        funded = list(dict.fromkeys(fund))
        if not 1 <= relayers <= 16 or len(funded) > 32:
            raise NetworkSettingRefused("1 to 16 relayers, at most 32 further addresses", field="relayers")
        home = home.resolve()
        net = home / "net"
        with processes.exclusive(home / ".net.lock"):
            if (net / "network.json").exists():
                raise NetworkExists("a network exists here", hint="caseledger net reset")
            if net.exists():
                shutil.rmtree(net)  # left by a creation that did not finish: no network.json, so no data
            say = progress or _silent
            binary = node_binary(home, progress)
            number = (
                evm_chain_id if evm_chain_id is not None else 1_000_000 + secrets.randbelow(2**31 - 10**6)
            )
            if not 1 <= number < 2**53:
                raise NetworkSettingRefused("an EVM chain id is from 1 to 2^53", field="chain_id")
            net.mkdir(mode=0o700, parents=True)
            chain_id = f"caseledger-{number}"
            numbers = range(1, total + 1)
            ports = processes.free_ports(5 * total)
            folders = {i: f"net/node{i}" for i in numbers}
            say("keys and homes / 生成节点目录与密钥")
            with ThreadPoolExecutor(4) as pool:
                accounts = list(
                    pool.map(
                        lambda i: init_home(binary, home / folders[i], controllers[i - 1], chain_id), numbers
                    )
                )
            nodes = tuple(
                Node(
                    number=i,
                    name=f"node{i}",
                    controller=controllers[i - 1],
                    role=ARCHIVE if i == archive else PRUNED,
                    bonded_at_genesis=i <= validators,
                    folder=folders[i],
                    node_id=node_id(home / folders[i]),
                    consensus_address=consensus_address(home / folders[i]),
                    account=gen.account(accounts[i - 1]),
                    ports=Ports(*ports[5 * (i - 1) : 5 * i]),
                )
                for i in numbers
            )
            deployer, relayer_keys = network_keys(home, relayers)
            paid = [deployer.address, *(k.address for k in relayer_keys), *funded]
            share = gen.RELAYERS_TOGETHER // len(paid)
            settings = gen.GenesisSettings(
                chain_id=chain_id,
                evm_chain_id=number,
                validator_addresses=tuple(accounts),
                relayers=dict.fromkeys(paid, share),
                deployers=(deployer.address,),
                unbonding_seconds=unbonding_seconds,
                evidence_blocks=BLOCKS_KEPT,
            )
            say("genesis / 生成创世文件")
            first = home / folders[1] / "config" / "genesis.json"
            document = gen.harden(json.loads(first.read_text()), settings)
            if genesis_change is not None:
                genesis_change(document)
            spread(home, nodes, document)
            with ThreadPoolExecutor(4) as pool:
                gentxs = list(pool.map(lambda n: gentx(binary, home, n, chain_id), nodes[:validators]))
            spread(home, nodes, gen.with_gentxs(document, gentxs))
            network = cls(
                home,
                NetworkState(
                    version=STATE_VERSION,
                    engine="cometbft",
                    chain_id=chain_id,
                    evm_chain_id=number,
                    timeout_commit=timeout_commit,
                    unbonding_seconds=unbonding_seconds,
                    nodes=nodes,
                    deployers=("keys/deployer.key",),
                    relayers=tuple(f"keys/relayer-{i}.key" for i in range(1, relayers + 1)),
                ),
            )
            network._configure()
            network._save()
            return network

    @classmethod
    def ensure(cls, home: Path, *, validators: int | None = None, **options: Any) -> CometNetwork:
        """Load the network, or create it. A network with another number of validators is not touched."""
        try:
            network = cls.load(home)
        except NetworkMissing:
            return cls.create(home, validators=validators or 1, **options)
        present = sum(n.bonded_at_genesis for n in network.state.nodes)
        if validators is not None and validators != present:
            raise NetworkExists(
                f"the network here has {present} validators, asked for {validators}",
                field="validators",
                hint="caseledger net reset",
            )
        return network

    @property
    def chain_id(self) -> str:
        """CometBFT chain id, as it stands in signed headers."""
        return self.state.chain_id

    @property
    def evm_chain_id(self) -> int:
        """EIP-155 chain id."""
        return self.state.evm_chain_id

    def _serving(self) -> list[Node]:
        """Nodes in the order in which clients should try them: the archive first."""
        started = [n for n in self.state.nodes if n.bonded_at_genesis or n.pid]
        return sorted(started, key=lambda n: n.role != ARCHIVE)

    @property
    def rpc_urls(self) -> list[str]:
        """JSON-RPC addresses, archive first."""
        return [f"http://127.0.0.1:{n.ports.evm}" for n in self._serving()]

    @property
    def ws_urls(self) -> list[str]:
        """JSON-RPC WebSocket addresses, in the same order."""
        return [f"ws://127.0.0.1:{n.ports.evm_ws}" for n in self._serving()]

    @property
    def comet_urls(self) -> list[str]:
        """CometBFT RPC addresses, in the same order."""
        return [f"http://127.0.0.1:{n.ports.comet}" for n in self._serving()]

    @property
    def deployer(self) -> LocalKey:
        """The only key that may create contracts."""
        return read_key(self.home / self.state.deployers[0])

    @property
    def relayers(self) -> list[LocalKey]:
        """Keys that pay for transactions and can do nothing else."""
        return [read_key(self.home / path) for path in self.state.relayers]

    @property
    def consensus_keys(self) -> dict[str, str]:
        """Controller → Ed25519 public key (base64) of its validator, for a trust file."""
        return {n.controller: public_key(self.home / n.folder) for n in self.state.nodes}

    def node(self, number: int) -> Node:
        """The node with this number, from 1."""
        for node in self.state.nodes:
            if node.number == number:
                return node
        raise NetworkNodeUnknown(f"nodes are 1 to {len(self.state.nodes)}", field="node")

    def up(self, *, wait: float = 60.0, progress: Progress | None = None) -> None:
        """Start every node that is not running; return when blocks are made and every node answers."""
        with processes.exclusive(self.home / ".net.lock"):
            self._reload()
            dead = [n for n in self._serving() if not self._handle(n).alive()]
            if len(dead) == len(self._serving()):
                self._repick_ports()
                dead = self._serving()
            for node in dead:
                self._start(node, progress)
        self.wait_ready(wait=wait)

    def down(self) -> int:
        """Stop all nodes; data is kept. Returns how many were running."""
        with processes.exclusive(self.home / ".net.lock"):
            self._reload()
            with ThreadPoolExecutor(4) as pool:
                return sum(pool.map(lambda n: processes.stop(self._handle(n)), self.state.nodes))

    def kill(self, number: int) -> bool:
        """SIGKILL one node. True if it was running."""
        with processes.exclusive(self.home / ".net.lock"):
            self._reload()
            return processes.stop(self._handle(self.node(number)), hard=True)

    def restart(self, number: int, *, wait: float = 60.0, progress: Progress | None = None) -> None:
        """Stop one node if it runs, start it again, wait until it answers with a fresh block."""
        with processes.exclusive(self.home / ".net.lock"):
            self._reload()
            node = self.node(number)
            processes.stop(self._handle(node))
            self._start(node, progress)
        self.wait_ready([number], wait=wait)

    def reset(self) -> None:
        """Stop all and delete the network, its data and its keys."""
        self.down()
        with processes.exclusive(self.home / ".net.lock"):
            shutil.rmtree(self.home / "net")
            for path in (*self.state.deployers, *self.state.relayers):
                (self.home / path).unlink(missing_ok=True)

    def wait_ready(self, numbers: Iterable[int] | None = None, *, wait: float = 60.0) -> None:
        """Until the nodes answer on both interfaces and have a block younger than five seconds.

        NetworkStartFailed names the node and the end of its log. With too few validators running to make
        blocks, answering is enough for the nodes but the call still fails: no block comes.
        """
        chosen = list(numbers) if numbers is not None else [n.number for n in self._serving()]
        deadline = time.monotonic() + wait
        pending = [self.node(i) for i in chosen]
        while pending:
            pending = [n for n in pending if not self._ready(n)]
            if not pending:
                return
            for node in pending:
                if not self._handle(node).alive():
                    raise NetworkStartFailed(f"{node.name} ended: {self._log_tail(node)}", field=node.name)
            if time.monotonic() > deadline:
                names = ", ".join(n.name for n in pending)
                raise NetworkStartFailed(f"no fresh block on {names} after {wait:.0f} s", field=names)
            time.sleep(0.1)

    def join(self, number: int, *, wait: float = 60.0, progress: Progress | None = None) -> float:
        """A reserve node starts, catches up and bonds with its own key. Seconds until it signs blocks."""
        begun = time.monotonic()
        with processes.exclusive(self.home / ".net.lock"):
            self._reload()
            node = self.node(number)
            if not self._handle(node).alive():
                self._start(node, progress)
        self.wait_ready([number], wait=wait)
        node = self.node(number)
        if self._power(node) == 0:
            folder = self.home / node.folder
            request = folder / "join.json"
            request.write_text(
                json.dumps(
                    {
                        "pubkey": {
                            "@type": "/cosmos.crypto.ed25519.PubKey",
                            "key": public_key(folder),
                        },
                        "amount": f"{gen.BOND}{gen.DENOM}",
                        "moniker": node.controller,
                        "commission-rate": "0.1",
                        "commission-max-rate": "0.2",
                        "commission-max-change-rate": "0.01",
                        "min-self-delegation": "1",
                    }
                )
            )
            bonded = self._is_validator(node)
            if bonded:
                self.submit(node, ["staking", "delegate", self._operator(node), f"{gen.BOND}{gen.DENOM}"])
            else:
                self.submit(node, ["staking", "create-validator", str(request)])
        # A change takes effect two blocks later; it is done when a commit carries the new signature.
        self._until(lambda: self.signed_by(number, 1), wait, f"{node.name} did not enter the validator set")
        return time.monotonic() - begun

    def leave(self, number: int, *, wait: float = 60.0) -> float:
        """A validator takes back its whole bond with its own key. Seconds until it is out of the set."""
        begun = time.monotonic()
        self._reload()
        node = self.node(number)
        others = [n for n in self.state.nodes if n.number != number and self._power(n) > 0]
        if not others:
            raise NetworkSettingRefused("the last validator cannot leave", field="node")
        self.submit(node, ["staking", "unbond", self._operator(node), f"{gen.BOND}{gen.DENOM}"])
        self._until(lambda: self._power(node) == 0, wait, f"{node.name} did not leave the validator set")
        return time.monotonic() - begun

    def submit(self, node: Node, command: Sequence[str], *, wait: float = 20.0) -> Json:
        """Send one transaction of the node's own validator account and wait for its result."""
        sent = self.cli(
            [
                "tx",
                *command,
                *("--from", "val", "--keyring-backend", "test"),
                *("--home", str(self.home / node.folder)),
                *("--gas", "1000000", "--gas-prices", f"1{gen.DENOM}"),
                *("--chain-id", self.chain_id, "--node", f"tcp://127.0.0.1:{self._alive_comet()}"),
                *("--output", "json", "--yes"),
            ]
        )
        answer: Json = json.loads(sent)
        if answer.get("code"):
            raise NetworkToolFailed(str(answer.get("raw_log"))[:300])
        return self.transaction(str(answer["txhash"]), wait=wait)

    def transaction(self, txhash: str, *, wait: float = 20.0) -> Json:
        """The result of a native transaction; NetworkToolFailed when it did not come or has a code.

        Found by looking through the blocks: the nodes keep no index of transactions.
        """
        wanted = bytes.fromhex(txhash)
        deadline = time.monotonic() + wait
        height = max(1, self.height() - 5)
        while time.monotonic() < deadline:
            port = self._alive_comet()
            block = get(port, f"/block?height={height}")
            results = get(port, f"/block_results?height={height}")
            if block is None or results is None or "result" not in block or "result" not in results:
                time.sleep(0.1)
                continue
            for index, tx in enumerate(block["result"]["block"]["data"]["txs"] or []):
                if hashlib.sha256(b64decode(tx)).digest() == wanted:
                    result: Json = results["result"]["txs_results"][index]
                    if result.get("code"):
                        raise NetworkToolFailed(str(result.get("log"))[:300])
                    return result
            height += 1
        raise NetworkToolFailed("the transaction is in no block")

    def cli(self, arguments: Sequence[str], *, answers: str = "") -> str:
        """Run the node program; its output. NetworkToolFailed with the last line of its complaint."""
        return run(node_binary(self.home), arguments, self.home, answers=answers)

    def status(self) -> NetworkStatus:
        """Ask every node; never raises because a node is down. Also keeps logs and write-ahead logs short."""
        self._reload()
        with ThreadPoolExecutor(8) as pool:
            nodes = tuple(pool.map(self._node_status, self.state.nodes))
        for node in self.state.nodes:
            processes.trim_log(self._log(node))
            trim_wal(self.home / node.folder)
        hashes = sorted({n.validators_hash for n in nodes if n.validators_hash})
        return NetworkStatus(
            chain_id=self.chain_id,
            evm_chain_id=self.evm_chain_id,
            running=sum(n.running for n in nodes),
            nodes=nodes,
            validators_hashes=tuple(hashes),
            block_seconds=self._block_seconds(),
        )

    def height(self) -> int:
        """The highest block that any node knows."""
        heights = [self._sync(n)[0] for n in self._serving()]
        return max((h for h in heights if h is not None), default=0)

    def validators(self, height: int | None = None) -> dict[str, int]:
        """Consensus address (upper-case hex) → voting power."""
        suffix = f"&height={height}" if height is not None else ""
        answer = get(self._alive_comet(), f"/validators?per_page=100{suffix}")
        if answer is None or "result" not in answer:
            raise NetworkError("no node answers")
        return {v["address"]: int(v["voting_power"]) for v in answer["result"]["validators"]}

    def validators_hash(self, height: int | None = None) -> str:
        """`validators_hash` of the header at `height` (the last one by default), upper-case hex."""
        suffix = f"?height={height}" if height is not None else ""
        answer = get(self._alive_comet(), f"/commit{suffix}")
        if answer is None or "result" not in answer:
            raise NetworkError("no node answers")
        return str(answer["result"]["signed_header"]["header"]["validators_hash"])

    def signed_by(self, number: int, last: int = 5) -> bool:
        """Whether this validator's signature is in one of the last commits."""
        node = self.node(number)
        port = self._alive_comet()
        head = self.height()
        for height in range(head - 1, max(0, head - 1 - last), -1):
            answer = get(port, f"/commit?height={height}")
            if answer is None or "result" not in answer:
                continue
            for signature in answer["result"]["signed_header"]["commit"]["signatures"]:
                if signature["validator_address"] == node.consensus_address:
                    if signature["block_id_flag"] == 2:
                        return True
                    break
        return False

    def _save(self) -> None:
        path = self.home / "net" / "network.json"
        partial = path.with_suffix(".tmp")
        with partial.open("w") as out:
            json.dump(asdict(self.state), out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        partial.chmod(0o600)
        partial.rename(path)

    def _reload(self) -> None:
        self.state = CometNetwork.load(self.home).state

    def _replace(self, node: Node) -> None:
        nodes = tuple(node if n.number == node.number else n for n in self.state.nodes)
        self.state = replace(self.state, nodes=nodes)

    def _handle(self, node: Node) -> processes.Handle:
        return processes.Handle(node.pid, str(self.home / node.folder))

    def _log(self, node: Node) -> Path:
        return self.home / "net" / "logs" / f"{node.name}.log"

    def _log_tail(self, node: Node) -> str:
        with contextlib.suppress(OSError):
            lines = self._log(node).read_text(errors="replace").strip().splitlines()
            return " | ".join(lines[-3:])[-600:]
        return "no log"

    def _repick_ports(self) -> None:
        """All nodes are down: where another program took a port meanwhile, move and tell the peers."""
        nodes = []
        for node in self.state.nodes:
            ports = asdict(node.ports)
            for name, port in ports.items():
                if not processes.becomes_free(port, 2.0):
                    ports[name] = processes.free_ports(1)[0]
            nodes.append(replace(node, ports=Ports(**ports)))
        if tuple(nodes) != self.state.nodes:
            self.state = replace(self.state, nodes=tuple(nodes))
            self._configure()
            self._save()

    def _configure(self) -> None:
        for node in self.state.nodes:
            config = self.home / node.folder / "config"
            peers = ",".join(
                f"{peer.node_id}@127.0.0.1:{peer.ports.p2p}"
                for peer in self.state.nodes
                if peer.number != node.number
            )
            for name, settings in (
                ("config.toml", config_settings(node, peers)),
                ("app.toml", app_settings(node)),
            ):
                path = config / name
                path.write_text(edit(path.read_text(), settings))

    def _start(self, node: Node, progress: Progress | None) -> None:
        for port in asdict(node.ports).values():
            if not processes.becomes_free(port):
                raise NetworkPortTaken(
                    f"port {port} of {node.name} is taken",
                    field=node.name,
                    hint="caseledger net down, then up",
                )
        binary = node_binary(self.home, progress)
        folder = self.home / node.folder
        trim_wal(folder)
        argv = [
            str(binary.path),
            *("start", "--home", str(folder), "--log-level", "error", "--log-no-color"),
            *("--evm.max-tx-gas-wanted", "0"),
        ]
        if node.role == PRUNED:
            argv += ["--min-retain-blocks", str(BLOCKS_KEPT)]
        if self.state.timeout_commit is not None:
            argv += ["--unsafe-consensus-timeout-commit", self.state.timeout_commit]
        environment = binary.environment(folder)
        environment.update(MEMORY_SETTINGS)
        handle = processes.spawn(argv, log=self._log(node), env=environment, mark=str(folder))
        self._replace(replace(node, pid=handle.pid))
        self._save()

    def _alive_comet(self) -> int:
        """The CometBFT port of a node that answers with the highest block."""
        best: tuple[int, int] | None = None
        for node in self._serving():
            if self._handle(node).alive():
                height, _, _ = self._sync(node)
                if height is not None and (best is None or height > best[0]):
                    best = (height, node.ports.comet)
        if best is None:
            raise NetworkError("no node answers", hint="caseledger net up")
        return best[1]

    def _sync(self, node: Node) -> tuple[int | None, float | None, bool]:
        """Height, age of the last block in seconds, whether it is still catching up."""
        answer = get(node.ports.comet, "/status")
        if answer is None or "result" not in answer:
            return None, None, True
        info = answer["result"]["sync_info"]
        return (
            int(info["latest_block_height"]),
            time.time() - parse_time(info["latest_block_time"]),
            bool(info["catching_up"]),
        )

    def _ready(self, node: Node) -> bool:
        height, age, catching_up = self._sync(node)
        if height is None or age is None or height < 2 or age > 5 or catching_up:
            return False
        return post(node.ports.evm, "eth_blockNumber", []) is not None

    def _power(self, node: Node) -> int:
        """Voting power in the header of the last block."""
        return self.validators(self.height()).get(node.consensus_address, 0)

    def _operator(self, node: Node) -> str:
        return self.cli(
            [
                *("keys", "show", "val", "-a", "--bech", "val", "--keyring-backend", "test"),
                *("--home", str(self.home / node.folder)),
            ]
        ).strip()

    def _is_validator(self, node: Node) -> bool:
        try:
            self.cli(
                [
                    *("query", "staking", "validator", self._operator(node)),
                    *("--node", f"tcp://127.0.0.1:{self._alive_comet()}", "--output", "json"),
                    *("--home", str(self.home / node.folder)),
                ]
            )
        except NetworkToolFailed:
            return False
        return True

    def _until(self, done: Callable[[], bool], wait: float, complaint: str) -> None:
        deadline = time.monotonic() + wait
        while not done():
            if time.monotonic() > deadline:
                raise NetworkError(complaint)
            time.sleep(0.1)

    def _block_seconds(self) -> float | None:
        """Mean time of the last 20 blocks."""
        for node in self._serving():
            head, _, _ = self._sync(node)
            if head is None or head < 22:
                continue
            times = []
            for height in (head - 20, head):
                answer = get(node.ports.comet, f"/commit?height={height}")
                if answer is None or "result" not in answer:
                    return None
                times.append(parse_time(answer["result"]["signed_header"]["header"]["time"]))
            return (times[1] - times[0]) / 20
        return None

    def _node_status(self, node: Node) -> NodeStatus:
        handle = self._handle(node)
        running = handle.alive()
        height, age, _ = self._sync(node) if running else (None, None, True)
        peers: int | None = None
        signs: bool | None = None
        power: int | None = None
        validators_hash: str | None = None
        if height is not None:
            net_info = get(node.ports.comet, "/net_info")
            if net_info is not None and "result" in net_info:
                peers = int(net_info["result"]["n_peers"])
            commit = get(node.ports.comet, "/commit")
            if commit is not None and "result" in commit:
                validators_hash = str(commit["result"]["signed_header"]["header"]["validators_hash"])
            with contextlib.suppress(NetworkError):
                power = self._power(node)
                signs = self.signed_by(node.number)
        data = self.home / node.folder / "data"
        disk = disk_usage(data)
        lasting = disk - disk_usage(data / "cs.wal")  # the write-ahead log has a limit
        return NodeStatus(
            number=node.number,
            name=node.name,
            controller=node.controller,
            role=node.role,
            running=running,
            answering=height is not None,
            height=height,
            block_age=age,
            peers=peers,
            signs=signs,
            voting_power=power,
            validators_hash=validators_hash,
            memory_bytes=memory_usage(node.pid) if running else None,
            disk_bytes=disk,
            disk_bytes_per_day=self._growth(node, lasting, height),
        )

    def _growth(self, node: Node, disk: int, height: int | None) -> int | None:
        """Bytes a day, from what the disk held at earlier looks (the oldest of the last day)."""
        path = self.home / "net" / "growth.json"
        samples: dict[str, list[list[float]]] = {}
        now = time.time()
        with processes.exclusive(self.home / ".growth.lock"):
            with contextlib.suppress(OSError, ValueError):
                samples = json.loads(path.read_text())
            own = [s for s in samples.get(node.name, []) if now - s[0] < 86_400 and s[1] <= (height or 0)]
            # Without an earlier look the network's birth is the first: nothing on disk at height 0.
            first = own[0] if own else [now, 0.0, 0.0]
            result: int | None = None
            if height is not None:
                blocks = height - first[1]
                block_seconds = self._block_seconds()
                if blocks >= 100 and block_seconds:
                    result = int((disk - first[2]) / blocks * 86_400 / block_seconds)
                if not own or now - own[-1][0] > 300:
                    own.append([now, float(height), float(disk)])
                samples[node.name] = own[-300:]
                partial = path.with_suffix(".tmp")
                partial.write_text(json.dumps(samples))
                partial.rename(path)
        return result
