"""From files to receipts that verify offline, whatever is killed in between. Everything runs for real."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.hashing import hash_file
from agent.journal import Journal, State
from chain.networks.cometbft import CometNetwork
from cli.isolated import Isolation, NetworkUsed, available
from cli.stack import Stack
from protocol.entry import parse_leaf
from tests.conftest import make_home
from tests.support.stack import (
    ASSOCIATION,
    BANK_A,
    ROOT,
    Caller,
    SecondOperator,
    caller,
    command,
    environment,
    wait_for,
)
from verifier.receipt import Receipt
from verifier.verdict import Result
from verifier.verify import verify_receipt

pytestmark = [pytest.mark.chain, pytest.mark.database]
ONE_VALIDATOR = Result.VALID_REDUCED_TRUST


def folder_of(path: Path, count: int, sizes: tuple[int, ...] = (0, 1, 200, 5000, 70_000)) -> Path:
    path.mkdir()
    for i in range(count):
        (path / f"{i:05}.pdf").write_bytes(secrets.token_bytes(8) + bytes(sizes[i % len(sizes)]))
    return path


def add(stack: Stack, *arguments: str, expect: int | None = 0) -> Any:
    return command(stack.home, "evidence", "add", *arguments, expect=expect)


def verified(stack: Stack, folder: Path) -> list[Receipt]:
    """Every file of the folder has a receipt that verifies against it; the receipts."""
    trust = stack.trust_path.read_bytes()
    receipts = []
    for file in sorted(folder.glob("*.pdf")):
        data = file.with_name(file.name + ".clr").read_bytes()
        report = verify_receipt(data, trust, content=hash_file(file).digests, at=int(time.time()) + 1)
        assert report.result is ONE_VALIDATOR, report.as_dict()
        assert len(report.missing) == 1
        assert len(data) <= 8192
        receipts.append(Receipt.parse(data))
    return receipts


def leaves_in_log(stack: Stack) -> int:
    url = stack.gateway_url
    with httpx.Client(base_url=str(url), trust_env=False) as http:
        return int(http.get("/v1/logs").json()["logs"][0]["size"])


def test_two_hundred_files_get_receipts_that_verify_offline(local_stack: Stack, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "docs", 200)
    before = leaves_in_log(local_stack)
    done = add(local_stack, str(folder), "--case", "e2e-200", "--class", "contract", "--wait")
    assert (done["files"], done["fresh"], done["accepted"]) == (200, 200, 200)
    assert done["receipts"] == {"received": 200, "pending": 0, "invalid": [], "broken": 0}
    receipts = verified(local_stack, folder)
    assert leaves_in_log(local_stack) - before == 200
    sequences = sorted(parse_leaf(r.core.leaf).header.sequence for r in receipts)
    assert sequences == list(range(sequences[0], sequences[0] + 200))
    # Once more: nothing new, nothing lost; and again on purpose: one more.
    again = add(local_stack, str(folder), "--case", "e2e-200", "--class", "contract")
    assert (again["fresh"], again["known"], again["accepted"]) == (0, 200, 0)
    meant = add(local_stack, str(folder / "00000.pdf"), "--case", "e2e-200", "--class", "contract", "--again")
    assert (meant["fresh"], meant["accepted"]) == (1, 1)
    assert leaves_in_log(local_stack) - before == 201


def test_receipt_verifies_without_a_network_and_a_changed_file_does_not(
    local_stack: Stack, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "docs", 1)
    add(local_stack, str(folder), "--case", "e2e-offline", "--class", "statement", "--wait")
    arguments = ["verify", "00000.pdf.clr", "00000.pdf", "--trust", str(local_stack.trust_path), "--json"]
    assert available().run(arguments, folder).code == 10
    (folder / "00000.pdf").write_bytes(b"other")
    assert available().run(arguments, folder).code == 20


def test_network_call_under_strace_is_noticed_and_in_a_namespace_impossible(
    local_stack: Stack, tmp_path: Path
) -> None:
    arguments = ["evidence", "list", "--remote", "--home", str(local_stack.home), "--json"]
    strace = shutil.which("strace")
    if strace is not None:
        with pytest.raises(NetworkUsed):
            Isolation("strace", strace).run(arguments, tmp_path)
    if available().name == "unshare":
        assert available().run(arguments, tmp_path).code == 1


def killed_and_resumed(stack: Stack, tmp_path: Path, count: int, kills: int) -> None:
    folder = folder_of(tmp_path / "docs", count)
    before = leaves_in_log(stack)
    arguments = [
        sys.executable, "-m", "cli.main", "evidence", "add", str(folder),
        "--case", f"e2e-kill-{count}", "--class", "dunning", "--home", str(stack.home), "--json",
    ]  # fmt: skip
    journal = Journal(stack.home / "agent" / f"journal-{BANK_A}.db")
    known = len(journal.entries(BANK_A))
    killed = 0
    for attempt in range(kills):
        process = subprocess.Popen(
            arguments, env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # A little later each time: while hashing, while journaling, while sending.
        mark = known + count * (attempt + 1) // (kills + 1)
        wait_for(
            lambda p=process, m=mark: p.poll() is not None or len(journal.entries(BANK_A)) >= m, 120, 0.01
        )
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed, "no run was killed in the middle"
    done = add(stack, str(folder), "--case", f"e2e-kill-{count}", "--class", "dunning", "--wait",
               "--timeout", "400")  # fmt: skip
    assert done["files"] == count
    assert done["receipts"]["pending"] == 0
    assert leaves_in_log(stack) - before == count
    receipts = verified(stack, folder)
    assert len({r.core.leaf for r in receipts}) == count
    assert not journal.entries(BANK_A, states=[State.NEW, State.SIGNED])
    journal.close()


def test_five_hundred_files_killed_in_the_middle_and_resumed(local_stack: Stack, tmp_path: Path) -> None:
    killed_and_resumed(local_stack, tmp_path, 500, 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_files_killed_in_the_middle_and_resumed(local_stack: Stack, tmp_path: Path) -> None:
    killed_and_resumed(local_stack, tmp_path, 10_000, 3)


def test_stored_content_is_opened_by_the_court_and_by_nobody_else(local_stack: Stack, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "docs", 1, (3_000_000,))
    add(
        local_stack,
        str(folder),
        "--case",
        "e2e-store",
        "--class",
        "agreement",
        "--store",
        "--to",
        "3",
        "--wait",
    )
    receipt = str(folder / "00000.pdf.clr")
    court, out = ["--key", "court-act", "--hpke-key", "court-hpke"], tmp_path / "opened.pdf"
    command(local_stack.home, "evidence", "open", receipt, "--out", str(out), *court, expect=0)
    assert out.read_bytes() == (folder / "00000.pdf").read_bytes()
    stranger = ["--key", "bank-b-act", "--hpke-key", "bank-b-hpke"]
    refused = command(
        local_stack.home, "evidence", "open", receipt, "--out", str(tmp_path / "no"), *stranger, expect=1
    )
    assert refused["code"] == "ContentUnavailable"
    chunks = [path for path in (local_stack.home / "blobs").rglob("*") if path.is_file()]
    plain = (folder / "00000.pdf").read_bytes()[:8]
    assert chunks
    assert not any(plain in path.read_bytes() for path in chunks)


def test_recipients_key_that_the_own_node_contradicts_is_refused(local_stack: Stack, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "docs", 1)
    settings = local_stack.home / "caseledger.toml"
    kept = settings.read_text()
    node = CometNetwork.load(local_stack.home).rpc_urls[0]
    arguments = ["--case", "e2e-pins", "--class", "contract", "--store", "--to", "3"]
    settings.write_text(kept.replace("[agent]", f'[agent]\nrpc = ["{node}"]'))
    pins = local_stack.home / "agent" / "hpke-pins.json"
    pinned = pins.read_bytes()
    try:
        done = add(local_stack, str(folder), *arguments)
        assert done["accepted"] == 1
        pins.write_text('{"3": "' + "11" * 32 + '"}')
        refused = add(local_stack, str(folder), *arguments, "--again", expect=1)
        assert refused["code"] == "RecipientKeyMismatch"
    finally:
        settings.write_text(kept)
        pins.write_bytes(pinned)


def test_accepting_goes_on_while_the_chain_is_stopped(local_stack: Stack, tmp_path: Path) -> None:
    network = CometNetwork.load(local_stack.home)
    before = leaves_in_log(local_stack)
    network.down()
    try:
        wait_for(lambda: local_stack.state().evidence and not local_stack.state().services[0].ready, 90)
        stopped = httpx.get(f"{local_stack.gateway_url}/readyz", trust_env=False)
        assert (stopped.status_code, stopped.json()["code"]) == (503, "ChainStopped") or stopped.json()[
            "code"
        ] == "RegistryStale"
        folder = folder_of(tmp_path / "docs", 300)
        done = add(local_stack, str(folder), "--case", "e2e-stopped", "--class", "statement")
        assert done["accepted"] == 300
    finally:
        local_stack.up()
    waited = command(local_stack.home, "evidence", "wait", "--timeout", "200")
    assert waited["pending"] == 0
    assert leaves_in_log(local_stack) - before == 300
    assert len(verified(local_stack, folder)) == 300


def test_up_heals_what_was_killed_and_keeps_what_was_promised(local_stack: Stack) -> None:
    bank = caller(local_stack, "bank-a", BANK_A)
    submission = bank.submission([bank.entry() for _ in range(5)])
    promised = bank.post(submission)
    assert promised.status_code == 200
    for name in ("gateway", "worker"):
        local_stack.stop_service(name, hard=True)
    assert not local_stack.state().healthy
    assert local_stack.up().healthy
    assert bank.post(submission).content == promised.content


def test_sigterm_answers_what_was_taken(local_stack: Stack) -> None:
    bank = caller(local_stack, "bank-a", BANK_A)
    submissions = [bank.submission([bank.entry() for _ in range(50)]) for _ in range(30)]
    answers: dict[int, bytes] = {}

    def send(number: int) -> None:
        try:
            answer = bank.post(submissions[number])
        except httpx.HTTPError:
            return
        if answer.status_code == 200:
            answers[number] = answer.content

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(submissions))]
    for thread in threads[:15]:
        thread.start()
    wait_for(lambda: answers, 30, 0.001)
    local_stack.stop_service("gateway")
    for thread in threads[15:]:
        thread.start()
    for thread in threads:
        thread.join()
    local_stack.up()
    assert 0 < len(answers) < len(submissions)
    for number, content in answers.items():
        assert bank.post(submissions[number]).content == content


# a gateway that drops a bank's acts


class Dropper(BaseHTTPRequestHandler):
    """Shows everything that the real gateway shows and drops every submission."""

    target = ""
    dropped = 0

    def do_GET(self) -> None:
        answer = httpx.get(self.target + self.path, trust_env=False)
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        type(self).dropped += 1
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def dropper(local_stack: Stack) -> Iterator[str]:
    handler = type("_Dropper", (Dropper,), {"target": local_stack.gateway_url, "dropped": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def second(local_stack: Stack) -> Iterator[SecondOperator]:
    operator = SecondOperator(local_stack, make_home())
    try:
        operator.start()
        yield operator
    finally:
        operator.stop()


def test_gateway_that_drops_is_bypassed_through_another_members_gateway(
    local_stack: Stack, second: SecondOperator, dropper: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "docs", 20)
    own_log = leaves_in_log(local_stack)
    arguments = ["--case", "e2e-dropped", "--class", "contract", "--gateway", dropper]
    refused = add(local_stack, str(folder), *arguments, "--patience", "1", expect=1)
    assert refused["code"] == "GatewayUnreachable"
    done = add(
        local_stack, str(folder), *arguments, "--gateway", str(second.stack.gateway_url),
        "--trust", str(second.stack.accepted_path), "--patience", "1", "--wait",
    )  # fmt: skip
    assert (done["accepted"], done["moved"]) == (20, 20)
    assert done["gateways"] == [second.stack.gateway_url]
    assert done["receipts"]["received"] == 20
    assert leaves_in_log(local_stack) == own_log
    assert leaves_in_log(second.stack) == 20
    trust = second.stack.accepted_path.read_bytes()
    for file in folder.glob("*.pdf"):
        data = file.with_name(file.name + ".clr").read_bytes()
        report = verify_receipt(data, trust, content=hash_file(file).digests, at=int(time.time()) + 1)
        assert report.result is ONE_VALIDATOR
        assert Receipt.parse(data).core.log.origin == second.origin


def hpke_act(bank: Caller, stack: Stack) -> dict[str, Any]:
    """A SetHpkeKey act of a bank with the nonce that the registry wants."""
    import asyncio
    import dataclasses

    from chain import deployment as deployments
    from chain.bindings import REGISTRY, interface
    from chain.configuration import pool_of
    from chain.evm import Evm
    from chain.transactions import Call
    from protocol.acts import SetHpkeKey, parse_type

    deployment = deployments.load(stack.home)

    async def nonce() -> int:
        function = interface(REGISTRY).function("nonceOf")
        async with pool_of(deployment) as pool:
            call = Call(deployment.registry.address, function.encode(bank.index))
            return int(function.decode(await Evm(pool).call(bytes(20), call))[0])

    now = int(time.time())
    act = SetHpkeKey(
        bank.index, secrets.token_bytes(32), now - 60, 2**40 - 1, asyncio.run(nonce()), now + 600
    )
    names = [name for _, name in parse_type(act.TYPE).members]
    values = [v.hex() if isinstance(v, bytes) else v for v in dataclasses.astuple(act)]
    signature = bank.key().sign_digest(act.digest(deployment.registry_domain))
    return {
        "act": "SetHpkeKey",
        "request": dict(zip(names, values, strict=True)),
        "signature": signature.hex(),
    }


def registry_key(url: str | None, index: int) -> str | None:
    members = httpx.get(f"{url}/v1/organisations", trust_env=False).json()["organisations"]
    return next((m["hpkeKey"] for m in members if m["index"] == index), None)


def test_any_members_gateway_relays_any_members_act(local_stack: Stack, second: SecondOperator) -> None:
    bank = caller(local_stack, "bank-association", ASSOCIATION)
    document = hpke_act(bank, local_stack)
    url = second.stack.gateway_url
    with httpx.Client(base_url=str(url), trust_env=False, timeout=30) as http:
        answer = http.post("/v1/acts", json=document)
        assert answer.status_code == 202, answer.text
        again = http.post("/v1/acts", json=document)
        assert again.json()["transaction"] == answer.json()["transaction"]
        path = f"/v1/acts/{answer.json()['id']}"
        wait_for(lambda: http.get(path).json()["state"] == "mined", 60)
        other = {**document, "signature": document["signature"][:-2] + "1c"}
        key = {"idempotency-key": "only-once"}
        assert http.post("/v1/acts", json=other, headers=key).status_code >= 400
    # The operator who would drop it sees it on the chain all the same.
    wanted = document["request"]["publicKey"]
    wait_for(lambda: registry_key(local_stack.gateway_url, bank.index) == wanted, 30)


def test_own_node_takes_the_act_without_any_gateway(local_stack: Stack, tmp_path: Path) -> None:
    """The bank's own RPC and its own funded sender; no gateway runs while it acts."""
    import asyncio

    from chain import deployment as deployments
    from chain.configuration import pool_of
    from chain.direct import send
    from chain.evm import Evm
    from chain.signer import load_relayer
    from ledger_gateway.acts import parse_act

    bank = caller(local_stack, "bank-association", ASSOCIATION)
    local_stack.stop_service("gateway")
    try:
        document = hpke_act(bank, local_stack)
        deployment = deployments.load(local_stack.home)
        call = parse_act(document, deployment).call

        async def own() -> bool:
            async with pool_of(deployment) as pool:
                sender = load_relayer(local_stack.home / "keys" / "deployer.key")
                receipt = await send(Evm(pool), sender, call, chain_id=deployment.chain_id, gas_price=1)
                return receipt.succeeded

        assert asyncio.run(own())
    finally:
        local_stack.up()
    wanted = document["request"]["publicKey"]
    wait_for(lambda: registry_key(local_stack.gateway_url, bank.index) == wanted, 30)


def test_second_up_changes_nothing_and_status_is_for_people_and_programs(local_stack: Stack) -> None:
    pids = {s.name: s.pid for s in local_stack.state().services}
    again = command(local_stack.home, "up")
    assert again["healthy"]
    assert {s["name"]: s["pid"] for s in again["services"]} == pids
    status = command(local_stack.home, "status")
    assert status["healthy"]
    assert status["evidence"]["evidence"]["logs"][0]["status"] == "open"


def test_reset_asks_first(local_stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "reset", "--home", str(local_stack.home)],
        env={**environment(), "CASELEDGER_LANG": "en"}, cwd=ROOT, input="no\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "for good" in done.stdout
    assert os.path.exists(local_stack.home / "deployment.json")
