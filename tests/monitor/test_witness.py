"""What a witness refuses, what it signs, and that it never signs two stories."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.keys import Ed25519Key, MlDsa44Key
from monitor.errors import OriginUnknown, WitnessRequestMalformed
from monitor.witness import AddCheckpoint, MlDsaKeys, Witness
from monitor.witness_http import WitnessApp
from monitor.witness_state import STATE, Seen, WitnessState
from protocol.checkpoint import (
    TYPE_COSIGNATURE,
    TYPE_MLDSA44,
    NoteSignature,
    key_id,
    verify_cosignature,
)
from protocol.errors import CaseledgerError
from tests.support.witnessing import Heads, LogOperator, body, ed25519, mldsa44, post
from verifier.trust_payload import TrustedLog

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "centre.example/evidence"
NOW = 1_800_000_000
NAME = "court.example/witness"
ML_DSA_NAME = "court.example/witness/ml-dsa-44"


def leaves(count: int, salt: int = 0) -> list[bytes]:
    return [bytes([salt]) + n.to_bytes(8, "big") for n in range(count)]


@dataclass
class Trust:
    log_key: bytes

    def log(self, origin: str) -> TrustedLog:
        if origin != ORIGIN:
            raise OriginUnknown(field="origin")
        return TrustedLog(ORIGIN, 7777, 1, self.log_key)


@dataclass
class Court:
    """One witness over HTTP with its own state, and the honest operator whose heads are anchored."""

    operator: LogOperator
    heads: Heads
    keys: dict[int, Ed25519Key]
    folder: Path
    url: str = ""
    ml_dsa: dict[int, MlDsa44Key] | None = None

    def witness(self, state: WitnessState) -> Witness:
        return Witness(
            NAME, self.keys, state, Trust(self.operator.key.public_key), self.heads,
            ml_dsa=MlDsaKeys(ML_DSA_NAME, self.ml_dsa) if self.ml_dsa else None,
            alarms=self.folder / "alarms", clock=lambda: NOW,
        )  # fmt: skip

    def verify(self, line: bytes, size: int, algorithm: int = 0, operator: LogOperator | None = None) -> None:
        made = NoteSignature.parse(line.removesuffix(b"\n"))
        public = self.keys[algorithm].public_key
        assert (made.name, made.key_id) == (NAME, key_id(NAME, TYPE_COSIGNATURE, public))
        assert made.time == NOW
        checkpoint = (operator or self.operator).checkpoint(size, algorithm)
        verify_cosignature(TYPE_COSIGNATURE, NAME, public, NOW, checkpoint, made.untimed)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        with WitnessState(self.folder / "state", self.folder / "journal") as state:
            config = uvicorn.Config(
                WitnessApp(self.witness(state)), port=0, log_config=None, lifespan="off", ws="none"
            )
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()
            while not server.started:
                threading.Event().wait(0.01)
            self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            try:
                yield
            finally:
                server.should_exit = True
                thread.join()


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    operator = LogOperator(ORIGIN, leaves(40))
    made = Court(operator, Heads(operator, {5, 9, 20, 40}), {0: ed25519(), 1: ed25519()}, tmp_path)
    with made.serving():
        yield made


def code(court: Court, data: bytes) -> tuple[int, str | None]:
    answer = post(court.url, data)
    return answer.status_code, answer.headers.get("x-caseledger-code")


# Malformed


def test_malformed_requests_are_refused(court: Court) -> None:
    good = court.operator.request(0, 5)
    note = court.operator.note(5).encode()
    hash32 = base64.b64encode(bytes(32))
    for bad in (
        b"",
        good[1:],
        good.replace(b"old 0", b"old 00"),
        good.replace(b"old 0", b"old -1"),
        good.replace(b"old 0", b"old 9999999999999999999999"),
        b"old 0\n" + note,
        b"old 0\n" + hash32[:-2] + b"\n\n" + note,
        b"old 0\n" + (hash32 + b"\n") * 64 + b"\n" + note,
        b"old 0\n\n" + note[:-1],
        b"old 0\n\n" + note.replace(b"\n5\n", b"\n05\n"),
        b"old 0\n\n" + b"x" * 40_000,
    ):
        assert code(court, bad) == (400, "WitnessRequestMalformed"), bad[:60]
    assert code(court, body(9, [], note)) == (400, "WitnessRequestMalformed")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_fail_otherwise(data: bytes) -> None:
    with contextlib.suppress(CaseledgerError):
        AddCheckpoint.parse(b"old 1\n" + data)


def test_unknown_paths_and_methods(court: Court) -> None:
    import httpx

    with httpx.Client(trust_env=False) as http:
        assert http.get(f"{court.url}/add-checkpoint").status_code == 404
        assert http.post(f"{court.url}/other").status_code == 404
        status = http.get(f"{court.url}/status").json()
    assert status["name"] == NAME
    assert status["keys"]["1"] == court.keys[1].public_key.hex()
    assert str(court.keys[0].private.hex()) not in json.dumps(status)


# Signatures


def test_an_unknown_log_is_404_and_a_wrong_log_key_403(court: Court) -> None:
    other = LogOperator("other.example/evidence", leaves(5), court.operator.key)
    assert code(court, other.request(0, 5)) == (404, "OriginUnknown")
    thief = LogOperator(ORIGIN, leaves(40))
    assert code(court, thief.request(0, 5)) == (403, "LogSignatureMissing")
    good = court.operator.note(5)
    moved = good.signatures[0].signature
    forged = NoteSignature(ORIGIN, good.signatures[0].key_id, moved[:-1] + bytes([moved[-1] ^ 1]))
    assert code(court, body(0, [], type(good)(good.text, (forged,)).encode())) == (403, "LogSignatureMissing")
    # A note of the SHA-256 tree says nothing about the SM3 tree: the first line is signed.
    sm3_text = court.operator.checkpoint(5, 1).text()
    swapped = type(good)(sm3_text, good.signatures)
    assert code(court, body(0, [], swapped.encode())) == (403, "LogSignatureMissing")
    assert court.heads.asked == []


# Sizes and proofs


def test_another_old_size_is_409_with_the_witness_size(court: Court) -> None:
    assert code(court, court.operator.request(5, 9)) == (409, "OldSizeMismatch")
    court.verify(post(court.url, court.operator.request(0, 5)).content, 5)
    answer = post(court.url, court.operator.request(0, 9))
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (
        409,
        "text/x.tlog.size",
        "5\n",
    )
    court.verify(post(court.url, court.operator.request(5, 9)).content, 9)


def test_a_proof_that_does_not_hold_is_422(court: Court) -> None:
    post(court.url, court.operator.request(0, 5))
    proof = court.operator.consistency(0, 5, 9)
    note = court.operator.note(9).encode()
    for bad in (proof[:-1], [*proof, bytes(32)], [bytes(32), *proof[1:]], proof[::-1], []):
        assert code(court, body(5, bad, note)) == (422, "ConsistencyRefused")
    fresh = LogOperator("x", leaves(1)).consistency(0, 0, 1)
    assert fresh == []
    court.verify(post(court.url, body(5, proof, note)).content, 9)


def test_from_size_zero_no_proof_is_taken(court: Court) -> None:
    note = court.operator.note(5).encode()
    assert code(court, body(0, [bytes(32)], note)) == (422, "ConsistencyRefused")


def test_what_is_not_anchored_is_not_signed_and_leaves_no_trace(court: Court) -> None:
    assert code(court, court.operator.request(0, 7)) == (503, "CheckpointNotAnchored")
    assert not (court.folder / "state" / STATE).exists()
    court.verify(post(court.url, court.operator.request(0, 5)).content, 5)


# Two stories


def test_a_split_view_before_two_witnesses_is_caught_by_the_one_whose_view_is_not_anchored(
    tmp_path: Path,
) -> None:
    honest = LogOperator(ORIGIN, leaves(40))
    forked = LogOperator(ORIGIN, [*leaves(3), *leaves(37, salt=1)], honest.key)
    heads = Heads(honest, {5, 9})
    courts = [Court(honest, heads, {0: ed25519(), 1: ed25519()}, tmp_path / name) for name in ("a", "b")]
    with courts[0].serving(), courts[1].serving():
        courts[0].verify(post(courts[0].url, honest.request(0, 5)).content, 5)
        for algorithm in (0, 1):
            assert code(courts[1], forked.request(0, 5, algorithm)) == (422, "SplitView")
        alarm = json.loads(next((courts[1].folder / "alarms").iterdir()).read_text())
        assert alarm["note"].startswith(ORIGIN)
        courts[1].verify(post(courts[1].url, honest.request(0, 5)).content, 5)


def test_two_trees_of_one_size_are_never_both_signed(court: Court) -> None:
    court.verify(post(court.url, court.operator.request(0, 5)).content, 5)
    forked = LogOperator(ORIGIN, leaves(40, salt=1), court.operator.key)
    answer = post(court.url, forked.request(5, 5))
    assert (answer.status_code, answer.headers["x-caseledger-code"], answer.text) == (409, "SplitView", "5\n")
    proof = forked.consistency(0, 5, 9)
    assert code(court, body(5, proof, forked.note(9).encode())) == (422, "ConsistencyRefused")
    assert len(list((court.folder / "alarms").iterdir())) == 1


def test_each_tree_has_its_own_key_and_state(court: Court) -> None:
    court.verify(post(court.url, court.operator.request(0, 9)).content, 9)
    court.verify(post(court.url, court.operator.request(0, 5, 1)).content, 5, 1)
    court.verify(post(court.url, court.operator.request(5, 9, 1)).content, 9, 1)
    assert court.keys[0].public_key != court.keys[1].public_key


# Rolled back


def test_a_whole_home_put_back_is_caught_by_its_own_cosignature(court: Court) -> None:
    post(court.url, court.operator.request(0, 5))
    newer = NoteSignature.parse(post(court.url, court.operator.request(5, 9)).content[:-1])
    # The machine's snapshot of before: state and journal agree with each other.
    other = Court(court.operator, court.heads, court.keys, court.folder / "restored")
    with other.serving():
        post(other.url, court.operator.request(0, 5))
        assert code(other, court.operator.request(5, 9, more=[newer])) == (503, "WitnessStateRolledBack")
        assert code(other, court.operator.request(5, 9)) == (503, "WitnessStateRolledBack")
    with pytest.raises(CaseledgerError) as caught:
        WitnessState(other.folder / "state", other.folder / "journal")
    assert caught.value.code == "WitnessStateRolledBack"


def test_a_made_up_cosignature_does_not_stop_a_witness(court: Court) -> None:
    post(court.url, court.operator.request(0, 5))
    made = NoteSignature.parse(post(court.url, court.operator.request(5, 9)).content[:-1])
    forged = NoteSignature(made.name, made.key_id, made.signature[:-1] + bytes([made.signature[-1] ^ 1]))
    court.verify(post(court.url, court.operator.request(9, 20, more=[forged])).content, 20)


def test_a_state_put_back_under_the_running_witness_is_caught(court: Court) -> None:
    post(court.url, court.operator.request(0, 5))
    path = court.folder / "state" / STATE
    kept = path.read_bytes()
    post(court.url, court.operator.request(5, 9))
    path.write_bytes(kept)
    assert code(court, court.operator.request(9, 20)) == (503, "WitnessStateRolledBack")


# ML-DSA-44 beside Ed25519


@pytest.fixture
def quantum_court(tmp_path: Path) -> Iterator[Court]:
    operator = LogOperator(ORIGIN, leaves(40))
    keys, more = {0: ed25519(), 1: ed25519()}, {0: mldsa44(), 1: mldsa44()}
    made = Court(operator, Heads(operator, {5, 9, 20, 40}), keys, tmp_path / "quantum", ml_dsa=more)
    with made.serving():
        yield made


def second_line(court: Court, answer: bytes, size: int, algorithm: int = 0) -> NoteSignature:
    """Both lines verify; the ML-DSA-44 one."""
    first, second, rest = answer.split(b"\n")
    assert rest == b""
    court.verify(first + b"\n", size, algorithm)
    assert court.ml_dsa is not None
    public, made = court.ml_dsa[algorithm].public_key, NoteSignature.parse(second)
    assert (made.name, made.key_id) == (ML_DSA_NAME, key_id(ML_DSA_NAME, TYPE_MLDSA44, public))
    assert made.time == NOW
    point = court.operator.checkpoint(size, algorithm)
    verify_cosignature(TYPE_MLDSA44, ML_DSA_NAME, public, NOW, point, made.untimed)
    return made


def test_both_trees_are_cosigned_with_ml_dsa_too(quantum_court: Court) -> None:
    court = quantum_court
    lines = [
        second_line(court, post(court.url, court.operator.request(0, 5, algorithm)).content, 5, algorithm)
        for algorithm in (0, 1)
    ]
    assert lines[0].key_id != lines[1].key_id
    second_line(court, post(court.url, court.operator.request(5, 9)).content, 9)
    assert code(court, court.operator.request(5, 20)) == (409, "OldSizeMismatch")


def test_what_is_refused_gets_no_line_of_either_key(quantum_court: Court) -> None:
    court = quantum_court
    post(court.url, court.operator.request(0, 5))
    forked = LogOperator(ORIGIN, leaves(40, salt=1), court.operator.key)
    for request in (forked.request(5, 5), forked.request(5, 9), court.operator.request(5, 7)):
        answer = post(court.url, request)
        assert answer.status_code >= 400
        assert b"ml-dsa" not in answer.content


def test_a_whole_home_put_back_is_caught_by_its_own_ml_dsa_line(quantum_court: Court) -> None:
    court = quantum_court
    post(court.url, court.operator.request(0, 5))
    newer = second_line(court, post(court.url, court.operator.request(5, 9)).content, 9)
    forged = NoteSignature(newer.name, newer.key_id, newer.signature[:-1] + bytes([newer.signature[-1] ^ 1]))
    folder = court.folder / "restored"
    other = Court(court.operator, court.heads, court.keys, folder, ml_dsa=court.ml_dsa)
    with other.serving():
        post(other.url, court.operator.request(0, 5))
        second_line(other, post(other.url, court.operator.request(5, 5, more=[forged])).content, 5)
        assert code(other, court.operator.request(5, 9, more=[newer])) == (503, "WitnessStateRolledBack")
        assert code(other, court.operator.request(5, 9)) == (503, "WitnessStateRolledBack")


def test_status_names_the_ml_dsa_keys_and_nothing_secret(quantum_court: Court, court: Court) -> None:
    import httpx

    with httpx.Client(trust_env=False) as http:
        text = http.get(f"{quantum_court.url}/status").text
        assert http.get(f"{court.url}/status").json()["mlDsa"] is None
    more = json.loads(text)["mlDsa"]
    assert quantum_court.ml_dsa is not None
    key = quantum_court.ml_dsa[1]
    assert (more["name"], more["keys"]["1"]) == (ML_DSA_NAME, key.public_key.hex())
    assert key.private.hex() not in text


@pytest.mark.parametrize("name", [NAME, ML_DSA_NAME])
def test_the_ml_dsa_keys_have_a_name_and_trees_of_their_own(tmp_path: Path, name: str) -> None:
    operator = LogOperator(ORIGIN, leaves(5))
    same = mldsa44()
    keys = MlDsaKeys(name, {0: mldsa44()} if name == NAME else {0: same, 1: same})
    with WitnessState(tmp_path) as state, pytest.raises(WitnessRequestMalformed):
        Witness(
            NAME, {0: ed25519(), 1: ed25519()}, state, Trust(operator.key.public_key), Heads(operator, {5}),
            ml_dsa=keys,
        )  # fmt: skip


# At once, and killed


def test_concurrent_requests_give_one_line_of_sizes(court: Court) -> None:
    forked = LogOperator(ORIGIN, [*leaves(5), *leaves(35, salt=1)], court.operator.key)
    requests = (
        [court.operator.request(0, 5)] * 4 + [court.operator.request(0, 9)] * 4 + [forked.request(0, 9)]
    )

    async def scenario() -> list[bytes | str]:
        with WitnessState(court.folder / "s2", court.folder / "j2") as state:
            witness = court.witness(state)

            async def one(data: bytes) -> bytes | str:
                try:
                    return await witness.add_checkpoint(data)
                except CaseledgerError as error:
                    return error.code

            got = await asyncio.gather(*map(one, requests * 3))
            assert state.snapshot.revision == 1
            return got

    got = asyncio.run(scenario())
    signed = {position % len(requests) for position, line in enumerate(got) if isinstance(line, bytes)}
    assert signed
    assert signed <= set(range(4)) or signed <= set(range(4, 8))
    assert {line for line in got if isinstance(line, str)} <= {"OldSizeMismatch", "SplitView"}


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from monitor.witness import Witness
from monitor.witness_state import WitnessState
from tests.monitor.test_witness import NAME, ORIGIN, Trust, leaves
from tests.support.witnessing import Heads, LogOperator
from agent.keys import Ed25519Key, KeyLabel
class Dying:
    public_key = bytes(32)
    def sign(self, message):
        os.kill(os.getpid(), signal.SIGKILL)
operator = LogOperator(ORIGIN, leaves(40), Ed25519Key(KeyLabel("log", "log"), bytes.fromhex(sys.argv[2])))
folder = Path(sys.argv[1])
state = WitnessState(folder / "state", folder / "journal")
witness = Witness(NAME, {0: Dying()}, state, Trust(operator.key.public_key), Heads(operator, {5, 9}))
asyncio.run(witness.add_checkpoint(operator.request(0, 9)))
"""


def test_killed_between_state_and_answer_it_remembers_and_answers_again(tmp_path: Path) -> None:
    operator = LogOperator(ORIGIN, leaves(40))
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path), operator.key.private.hex()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    court = Court(operator, Heads(operator, {5, 9}), {0: ed25519(), 1: ed25519()}, tmp_path)
    with court.serving():
        assert post(court.url, operator.request(0, 5)).text == "9\n"
        forked = LogOperator(ORIGIN, leaves(40, salt=1), operator.key)
        assert code(court, forked.request(9, 9)) == (409, "SplitView")
        court.verify(post(court.url, operator.request(9, 9)).content, 9)


@settings(max_examples=60, deadline=None)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from([0, 5, 9, 20, 40]), st.sampled_from([5, 9, 20, 40]), st.booleans()),
        max_size=12,
    )
)
def test_whatever_is_asked_the_signed_trees_are_one_line(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int, bool]]
) -> None:
    honest = LogOperator(ORIGIN, leaves(40))
    forked = LogOperator(ORIGIN, [*leaves(7), *leaves(33, salt=1)], honest.key)

    async def scenario() -> list[tuple[int, bytes]]:
        signed = []
        with WitnessState(tmp_path_factory.mktemp("state")) as state:
            for old, new, other in moves:
                operator = forked if other else honest
                # A chain that shows whatever is asked: consistency alone must hold the line.
                heads = Heads(operator, {5, 9, 20, 40})
                witness = Witness(
                    NAME, {0: ed25519()}, state, Trust(honest.key.public_key), heads, clock=lambda: NOW
                )
                with contextlib.suppress(CaseledgerError):
                    await witness.add_checkpoint(operator.request(old, new))
                    signed.append((new, operator.checkpoint(new).root))
        return signed

    signed = asyncio.run(scenario())
    for operator in (honest, forked):
        if all(operator.checkpoint(size).root == root for size, root in signed):
            break
    else:
        pytest.fail("two stories were signed")
    assert [size for size, _ in signed] == sorted(size for size, _ in signed)


def test_seen_is_what_was_cosigned(court: Court) -> None:
    post(court.url, court.operator.request(0, 9))
    stored = json.loads((court.folder / "state" / STATE).read_text())["seen"][ORIGIN]
    root = court.operator.checkpoint(9).root
    assert Seen(stored["size"], bytes.fromhex(stored["root"]), stored["block"]) == Seen(9, root, 109)
