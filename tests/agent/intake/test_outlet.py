"""Sending a batch: the same act, the same file, whatever happens; what the chain has is not sent again.

The gateway here is the documented API in memory; `tests/e2e/test_case_send.py` goes through a real one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.errors import GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable
from agent.intake import rules
from agent.intake.errors import BatchNotInTime, BatchNotTaken, BatchRecalled, BatchWithoutTotals
from agent.intake.outlet import SIGN_AGAIN_BEFORE, VALID_SECONDS, GatewayOutlet, Party
from agent.intake.port import deliver
from agent.intake.store import BatchState, IntakeStore, StoredBatch
from agent.keys import KeyLabel, Secp256k1Key, new_key
from protocol.acts import Domain, recover
from protocol.batch_file import BatchReader
from protocol.case_acts import Import, Recall
from protocol.case_totals import BatchTotals, ProductTotals, rules_digest
from tests.agent.intake.test_commit import imported
from tests.support.intake import OWNER, good, write_csv

DOMAIN = Domain(777, b"\xca" * 20)
TABLE = b"\x77" * 32


def _key() -> Secp256k1Key:
    key = new_key("secp256k1", KeyLabel("act", "act", OWNER))
    assert isinstance(key, Secp256k1Key)
    return key


KEY = _key()


class Killed(BaseException):
    """SIGKILL, as far as Python goes: nothing below may catch it."""


class FakeGateway:
    """The routes of case batches. `dies_at` names a step after which the sender is killed, `fails` what is
    answered first."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.file: bytes | None = None
        self.batch: dict[str, Any] | None = None
        self.acts: list[dict[str, Any]] = []
        self.dies_at: str | None = None
        self.fails: list[Exception] = []
        self.refuses: str | None = None
        self.mines = True
        self.state = "mined"
        self.code: str | None = None
        self.asked: list[str] = []

    def _step(self, name: str) -> None:
        self.asked.append(name)
        if self.fails:
            raise self.fails.pop(0)

    def _done(self, name: str) -> None:
        if self.dies_at == name:
            self.dies_at = None
            raise Killed

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def put_case_batch(self, batch_id: bytes, file: Path) -> dict[str, Any]:
        self._step("put")
        data = file.read_bytes()
        reader = BatchReader()
        reader.feed(data)
        trailer = reader.close()
        if self.file is None:
            self.file = data
            assert reader.header is not None
            known = self.batch or {"state": "received", "totals": None}
            self.batch = {
                **known, "root": trailer.root.hex(), "count": trailer.count, "owner": reader.header.owner,
                "receivedAt": 1,
            }  # fmt: skip
        assert data == self.file, "another file under the same id"
        self._done("put")
        return {"root": trailer.root.hex()}

    def case_batch(self, root: bytes) -> dict[str, Any] | None:
        self._step("get")
        return self.batch

    def case_batch_act(self, root: bytes, act: Mapping[str, Any]) -> dict[str, Any]:
        self._step("act")
        if self.refuses is not None:
            raise GatewayRefused(self.refuses, "no", status=422)
        assert self.batch is not None, "the file comes first"
        self.acts.append(dict(act))
        if self.mines:
            self.mine(act)
        self._done("act")
        return {"id": "aa" * 32}

    def mine(self, act: Mapping[str, Any]) -> None:
        assert self.batch is not None
        if act["act"] == "Import":
            self.batch |= {"state": "imported", "totals": act["request"]["totals"]}
        else:
            self.batch |= {"state": "recalled"}

    def act_state(self, act_id: str) -> dict[str, Any]:
        self._step("state")
        return {"state": self.state, "code": self.code}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IntakeStore]:
    with IntakeStore(tmp_path / "home", OWNER) as one:
        yield one


@pytest.fixture
def batch(tmp_path: Path, store: IntakeStore) -> StoredBatch:
    rows = [good(1), good(2, product="个人经营性贷款"), good(3)]
    made = imported(write_csv(tmp_path / "a.csv", rows), store)
    assert made is not None
    return made


def outlet(gateway: FakeGateway, store: IntakeStore, patience: float = 30.0) -> GatewayOutlet:
    return GatewayOutlet(
        gateway, store, Party(OWNER, KEY, DOMAIN), triage=TABLE, patience=patience,
        clock=lambda: gateway.now, sleep=gateway.sleep,
    )  # fmt: skip


def act_of(document: Mapping[str, Any]) -> Import:
    r = document["request"]
    act = Import(
        r["organisation"], bytes.fromhex(r["root"]), r["count"], bytes.fromhex(r["rules"]),
        bytes.fromhex(r["totals"]), r["validUntil"],
    )  # fmt: skip
    assert recover(act.digest(DOMAIN), bytes.fromhex(document["signature"])) == KEY.address
    return act


def test_totals_are_those_of_the_rows_and_are_kept(store: IntakeStore, batch: StoredBatch) -> None:
    opening = store.totals(batch.id)
    assert opening is not None
    totals = BatchTotals.parse(opening)
    assert (totals.root, totals.owner, totals.count) == (batch.root, OWNER, 3)
    assert totals.products == (
        ProductTotals(1, 2, 2_000_000, 46_912, 0, 2_046_912),
        ProductTotals(4, 1, 1_000_000, 23_456, 0, 1_023_456),
    )
    store.keep_totals(batch.id, b"another")
    assert store.totals(batch.id) == opening


def test_a_batch_is_sent_with_its_act_and_is_sent_then(store: IntakeStore, batch: StoredBatch) -> None:
    gateway = FakeGateway()
    assert [one.id for one in deliver(store, outlet(gateway, store))] == [batch.id]
    assert store.batch(batch.id).state is BatchState.SENT
    (document,) = gateway.acts
    act = act_of(document)
    opening = store.totals(batch.id)
    assert opening is not None
    assert (act.organisation, act.root, act.count) == (OWNER, batch.root, 3)
    assert act.totals == BatchTotals.parse(opening).commitment
    assert act.rules == rules_digest(rules.VERSION, rules.RULES, TABLE)
    assert act.valid_until == gateway.now + VALID_SECONDS
    assert gateway.file == store.file_path(batch.id).read_bytes()
    asked = len(gateway.asked)
    assert deliver(store, outlet(gateway, store)) == []
    assert len(gateway.asked) == asked


@pytest.mark.parametrize("step", ["put", "act"])
def test_killed_at_a_step_and_repeated_the_same_goes_out(
    store: IntakeStore, batch: StoredBatch, step: str
) -> None:
    gateway = FakeGateway()
    gateway.dies_at = step
    with pytest.raises(Killed):
        deliver(store, outlet(gateway, store))
    assert store.batch(batch.id).state is BatchState.READY
    assert [one.id for one in deliver(store, outlet(gateway, store))] == [batch.id]
    assert len({json.dumps(one) for one in gateway.acts}) == 1
    assert gateway.asked.count("put") == 1


def test_the_act_is_journaled_before_anybody_gets_it(store: IntakeStore, batch: StoredBatch) -> None:
    gateway = FakeGateway()
    gateway.mines = False
    gateway.dies_at = "act"
    with pytest.raises(Killed):
        deliver(store, outlet(gateway, store))
    held = store.act(batch.id)
    assert held is not None
    assert json.loads(held) == gateway.acts[0]
    gateway.now += 60
    gateway.mines = True
    deliver(store, outlet(gateway, store))
    assert gateway.acts[1] == gateway.acts[0]


def test_an_act_about_to_end_is_signed_again(store: IntakeStore, batch: StoredBatch) -> None:
    gateway = FakeGateway()
    gateway.mines = False
    gateway.dies_at = "act"
    with pytest.raises(Killed):
        deliver(store, outlet(gateway, store))
    gateway.now += VALID_SECONDS - SIGN_AGAIN_BEFORE
    gateway.mines = True
    deliver(store, outlet(gateway, store))
    first, second = map(act_of, gateway.acts)
    assert second.valid_until > first.valid_until
    assert second.totals == first.totals


def test_what_the_chain_has_from_elsewhere_is_not_sent_to_it_again(
    store: IntakeStore, batch: StoredBatch
) -> None:
    gateway = FakeGateway()
    opening = store.totals(batch.id)
    assert opening is not None
    gateway.batch = {
        "state": "imported", "owner": OWNER, "count": 3, "receivedAt": None,
        "totals": BatchTotals.parse(opening).commitment.hex(),
    }  # fmt: skip
    deliver(store, outlet(gateway, store))
    assert gateway.acts == []
    assert gateway.file is not None, "the gateway gets the file all the same"


def test_the_gateway_is_behind_the_chain(store: IntakeStore, batch: StoredBatch) -> None:
    """The contract knows the batch, the gateway's index does not yet: it is waited for."""
    gateway = FakeGateway()
    gateway.refuses = "BatchKnown"

    def slowly(seconds: float) -> None:
        gateway.now += seconds
        opening = store.totals(batch.id)
        assert opening is not None
        assert gateway.batch is not None
        gateway.batch |= {"state": "imported", "totals": BatchTotals.parse(opening).commitment.hex()}

    carrier = GatewayOutlet(
        gateway, store, Party(OWNER, KEY, DOMAIN), clock=lambda: gateway.now, sleep=slowly
    )
    assert len(deliver(store, carrier)) == 1


@pytest.mark.parametrize("member", ["owner", "count", "totals"])
def test_another_batch_on_the_chain_is_no_success(
    store: IntakeStore, batch: StoredBatch, member: str
) -> None:
    gateway = FakeGateway()
    gateway.mines = False
    with pytest.raises(BatchNotInTime):
        deliver(store, outlet(gateway, store))
    assert gateway.batch is not None
    gateway.mine(gateway.acts[0])
    gateway.batch[member] = {"owner": 99, "count": 2, "totals": "00" * 32}[member]
    with pytest.raises(GatewayAnswerInvalid):
        deliver(store, outlet(gateway, store))
    assert store.batch(batch.id).state is BatchState.READY


def test_faults_that_pass_are_waited_out_and_others_are_not(store: IntakeStore, batch: StoredBatch) -> None:
    gateway = FakeGateway()
    gateway.fails = [
        GatewayUnreachable("down"), GatewayRefused("BatchesBusy", "later", status=503, retry_after=2.0)
    ]  # fmt: skip
    assert len(deliver(store, outlet(gateway, store))) == 1
    other = FakeGateway()
    other.fails = [GatewayRefused("BatchDiffers", "no", status=409)]
    with pytest.raises(GatewayRefused):
        outlet(other, store).send(batch, store.file_path(batch.id))


@pytest.mark.parametrize("code", ["KeyUnknown", "BatchNoPolicy", "BatchProductNotAllowed"])
def test_a_refusal_of_the_contract_is_said_and_the_batch_stays_ready(
    store: IntakeStore, batch: StoredBatch, code: str
) -> None:
    gateway = FakeGateway()
    gateway.refuses = code
    with pytest.raises(BatchNotTaken) as caught:
        deliver(store, outlet(gateway, store))
    assert code in caught.value.detail
    assert store.batch(batch.id).state is BatchState.READY
    # Refused in the block, after a simulation that went well.
    later = FakeGateway()
    later.mines, later.state, later.code = False, "reverted", code
    with pytest.raises(BatchNotTaken):
        deliver(store, outlet(later, store))


def test_a_recalled_batch_frees_its_contracts_and_stays_recalled(
    tmp_path: Path, store: IntakeStore, batch: StoredBatch
) -> None:
    gateway = FakeGateway()
    deliver(store, outlet(gateway, store))
    outlet(gateway, store).recall(store.batch(batch.id))
    assert gateway.acts[-1]["act"] == "Recall"
    request = gateway.acts[-1]["request"]
    act = Recall(request["organisation"], bytes.fromhex(request["root"]), request["validUntil"])
    assert recover(act.digest(DOMAIN), bytes.fromhex(gateway.acts[-1]["signature"])) == KEY.address
    assert store.batch(batch.id).state is BatchState.RECALLED
    assert not store.file_path(batch.id).exists()
    assert store.batches(BatchState.READY) == []
    again = imported(tmp_path / "a.csv", store)
    assert again is not None
    assert again.expected == 3
    # The same root is imported once: what the ledger calls recalled is not sent.
    with pytest.raises(BatchRecalled):
        outlet(gateway, store).send(batch, tmp_path / "a.csv")


def test_a_list_of_an_earlier_release_is_carried_over_and_its_batches_are_named(
    tmp_path: Path, store: IntakeStore, batch: StoredBatch
) -> None:
    path = store.folder / "batches.db"
    store.close()
    old = sqlite3.connect(path)
    old.executescript(
        "ALTER TABLE batches DROP COLUMN totals; ALTER TABLE batches DROP COLUMN act; PRAGMA user_version = 1"
    )
    old.close()
    with IntakeStore(tmp_path / "home", OWNER) as opened:
        assert opened.batch(batch.id).state is BatchState.READY
        with pytest.raises(BatchWithoutTotals):
            deliver(opened, outlet(FakeGateway(), opened))
