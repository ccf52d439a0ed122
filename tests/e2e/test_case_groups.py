"""A burst of acts through a gateway: few transactions, each act with a fate and a change of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from cases.lifecycle_v1 import LIFECYCLE_V1
from chain import act_carrier, case_record, direct
from chain.bindings import revert_error
from chain.case_acts import Origin, SignedCaseAct, call_for, document, sign
from chain.deployment import load
from chain.engines import profile
from chain.evm import Evm, Receipt
from chain.rpc import RpcPool
from chain.signer import load_relayer
from cli.stack import Stack
from protocol.case_acts import Move
from protocol.case_batch import CaseLeaf, leaf_hash
from protocol.hashing import SHA256
from tests.e2e.test_case_through_gateway import CENTRE, batch_of, bring_in
from tests.support.case_batches import MadeBatch
from tests.support.stack import BANK_A, Caller, caller, wait_for
from verifier.merkle_tree import all_paths

pytestmark = [pytest.mark.chain, pytest.mark.database, pytest.mark.timeout(600)]
BURST, AT_ONCE = 40, 16
ASK = LIFECYCLE_V1.transition("ask-completion").id
ZERO, FOREVER = bytes(32), 2**40 - 1


@pytest.fixture(scope="module")
def batch(local_stack: Stack) -> MadeBatch:
    bank = caller(local_stack, "bank-a", BANK_A)
    made = batch_of(local_stack, bank, BURST + 2)
    bring_in(local_stack, bank, made)
    return made


@pytest.fixture(scope="module")
def centre(local_stack: Stack) -> Caller:
    return caller(local_stack, "centre", CENTRE)


def asks(case: CaseLeaf) -> Move:
    return Move(case.case_id, 1, ASK, CENTRE, 0, 0, ZERO, ZERO, ZERO, FOREVER)


def test_a_burst_shares_transactions_and_one_alone_does_not(
    local_stack: Stack, batch: MadeBatch, centre: Caller
) -> None:
    contracts = case_record.load(local_stack.home).contracts
    with httpx.Client(base_url=centre.url, trust_env=False, timeout=60) as http:

        def hand_in(case: CaseLeaf) -> dict[str, Any]:
            act = asks(case)
            body = document(SignedCaseAct(act, sign(act, contracts, centre.key())))
            answer = http.post(f"/v1/cases/{case.case_id.hex()}/acts", json=body)
            assert answer.status_code == 202, answer.text
            found: dict[str, Any] = answer.json()
            return found

        def ended(state: dict[str, Any]) -> dict[str, Any] | None:
            url = f"/v1/cases/{state['caseId']}/acts/{state['id']}"
            found: dict[str, Any] = http.get(url, headers=centre.headers()).json()
            return found if found["state"] not in ("ready", "sent", "included") else None

        with ThreadPoolExecutor(AT_ONCE) as many:
            given = list(many.map(hand_in, batch.leaves[:BURST]))
        ends = [wait_for(lambda state=state: ended(state), 120) for state in given]
        assert {end["state"] for end in ends} == {"mined"}
        assert {(end["case"]["stage"], end["case"]["version"]) for end in ends} == {("COMPLETION", 2)}
        shared = [end["transaction"] for end in ends]
        print(len(set(shared)), "transactions for", BURST, "acts")
        assert len(set(shared)) < BURST
        last = hand_in(batch.leaves[BURST])
        alone = wait_for(lambda: ended(last), 60)
        assert alone["state"] == "mined"
        assert alone["transaction"] not in shared
        status = http.get("/v1/status").json()["caseActs"]
        assert status == {"waiting": 0, "oldestSeconds": 0, "underWay": 0}


def test_a_receipt_of_the_chain_names_the_act_that_was_refused(
    local_stack: Stack, batch: MadeBatch, centre: Caller
) -> None:
    deployment, contracts = load(local_stack.home), case_record.load(local_stack.home).contracts
    at = BURST + 1
    case = batch.leaves[at]
    _, paths = all_paths(SHA256, [leaf_hash(leaf.encode()) for leaf in batch.leaves])
    act = asks(case)
    origin = Origin(batch.root, at, case.product, case.commitment, tuple(paths[at]))
    data = call_for(act, sign(act, contracts, centre.key()), contracts, origin=origin).data
    relayer = load_relayer(local_stack.home / "keys" / "relayer-4.key")

    async def carried() -> Receipt:
        engine = profile(deployment.engine)
        async with RpcPool(deployment.rpc, engine, chain_id=deployment.chain_id) as pool:
            return await direct.send(
                Evm(pool), relayer, act_carrier.carry([data, data], contracts),
                chain_id=deployment.chain_id, gas_price=engine.min_gas_price,
            )  # fmt: skip

    receipt = asyncio.run(carried())
    (refused,) = act_carrier.refusals(receipt.logs, contracts)
    assert refused.concerns(1, data)
    assert revert_error(refused.reason).code == "CaseKnown"
