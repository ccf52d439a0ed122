"""Receipts of a case's events from a real chain: captured, kept, verified alone, and not to be altered."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cases.errors import CaseEventNotHere
from cases.events import case_events
from cases.reading import Reading, timeline
from cases.receipts import Receipts
from chain.case_acts import mark_overdue
from chain.cursor import EventCursor, ledger_events
from chain.engines import profile
from chain.networks.cometbft import CometNetwork
from chain.rpc import RpcPool
from cli.main import main
from evidence.repository import Viewer
from protocol.acts import Role
from storage.db import connect_pool, migrate
from tests.conftest import PgDatabase
from tests.e2e.test_case_paths import passed, walk
from tests.support.case_court import INDEX, case_id, court
from tests.support.world import World, signed
from verifier.case_receipt import CaseReceipt, EventKind
from verifier.case_state import Ics23Case
from verifier.cometbft_rpc import validators_from_rpc_json
from verifier.strict_json import Fields
from verifier.trust import TrustFile
from verifier.trust_payload import Epoch, FurtherContract, PinnedContract, TrustedChain, TrustedValidator
from verifier.verdict import Result, Status
from verifier.verify_case import CaseReport, holes, verify_case_receipt

pytestmark = [pytest.mark.chain, pytest.mark.database]
PATHS = (
    "admit transfer filed reverse filed small-track pause:3 resume:3 small-prolonged",
    "ask-completion",
)
CENTRE = Viewer(INDEX["centre"], Role.CENTRE.mask)
OTHER_BANK = Viewer(INDEX["other bank"], Role.BANK.mask)


@dataclass(frozen=True)
class Lived:
    """What readers have: receipts by case and sequence, a trust file, a pin; and when it is."""

    receipts: Mapping[tuple[bytes, int], bytes]
    trust: bytes
    pin: PinnedContract
    at: int
    record: Path

    def check(self, data: bytes, **changes: object) -> CaseReport:
        return verify_case_receipt(data, self.trust, **{"at": self.at, "pin": self.pin, **changes})  # type: ignore[arg-type]

    @property
    def parsed(self) -> list[CaseReceipt]:
        return [CaseReceipt.parse(data) for data in self.receipts.values()]


@pytest.fixture(scope="module")
def lived(network1: CometNetwork, pg: PgDatabase, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    async def live() -> Lived:
        await migrate(pg.dsn("migrator"))
        async with court(network1, len(PATHS)) as made:
            async with asyncio.TaskGroup() as group:
                for which, path in enumerate(PATHS):
                    group.create_task(walk(made, which, path.split(), set()))
            await passed(made, (await made.case(case_id(1)))["deadline"])
            await made.send(made.contracts.ledger, mark_overdue(case_id(1), made.contracts).data)
            await made.case(case_id(1), 2)
            nodes = RpcPool(
                network1.rpc_urls, profile("cometbft"), chain_id=made.deployment.chain_id,
                comet_urls=network1.comet_urls, comet_chain_id=network1.chain_id,
            )  # fmt: skip
            await nodes.__aenter__()
            worker = await connect_pool(pg.dsn("sealer"))
            gateway = await connect_pool(pg.dsn("gateway"))
            try:
                for source in (ledger_events(made.deployment), case_events(made.record)):
                    cursor = EventCursor(worker, made.pool, source)
                    while await cursor.run_once():
                        pass
                reading = Reading(gateway, made.contracts)
                desk = Receipts(gateway, nodes, made.deployment.network_id, made.contracts)
                receipts = {}
                for which in range(len(PATHS)):
                    found = await reading.find(CENTRE, case_id(which))
                    for step in found.steps:
                        sequence = step.event.place.sequence
                        data = await desk.of(found, sequence, 1)
                        assert await desk.of(found, sequence, 2) == data
                        receipts[case_id(which), sequence] = data
                    kept = await desk.kept(case_id(which))
                    assert kept == {step.event.place.sequence for step in found.steps}
                    assert all(one["receipt"]["kept"] for one in timeline(found, kept)["events"])
                    with pytest.raises(CaseEventNotHere):
                        await desk.of(found, 10_000, 1)
                head = await made.evm.head()
                answer = await nodes.validators(head.number)
                listed = validators_from_rpc_json(Fields({"validators": list(answer.result)}, "validators"))
            finally:
                await nodes.__aexit__(None, None, None)
                await worker.close()
                await gateway.close()
            ledger = made.record.deployed["CaseLedger"]
            epoch = Epoch(
                1, 1, None,
                tuple(
                    TrustedValidator(one.pub_key, one.power, f"v{at}", at + 1)
                    for at, one in enumerate(listed)
                ),
            )  # fmt: skip
            base = World()
            chain = TrustedChain(
                made.deployment.chain_id, "cometbft", made.deployment.network_id, "ics23", (epoch,),
                PinnedContract(made.deployment.registry.address, made.deployment.registry.code_hash),
                PinnedContract(made.deployment.evidence_log.address, made.deployment.evidence_log.code_hash),
            )  # fmt: skip
            logs = tuple(
                dataclasses.replace(log, chain_id=made.deployment.chain_id) for log in base.payload.logs
            )
            payload = dataclasses.replace(
                base.payload, chains=(chain,), logs=logs, issued_at=head.time - 10_000,
                valid_until=head.time + 10_000,
            )  # fmt: skip
            home = tmp_path_factory.mktemp("receipts")
            made.record.save(home)
            pin = PinnedContract(ledger.address, ledger.code_hash)
            return Lived(receipts, signed(payload), pin, head.time + 100, home / "cases.json")

    return asyncio.run(live())


def test_every_event_of_a_life_verifies_from_its_receipt_alone(lived: Lived) -> None:
    kinds = set()
    for data in lived.receipts.values():
        report = lived.check(data)
        assert report.receipt is not None
        kinds.add(report.receipt.event.kind)
        opening = report.receipt.event.kind is EventKind.OPENED
        wanted = Result.VALID_REDUCED_TRUST if opening else Result.VALID
        assert report.result is wanted, report.as_dict()
        assert report.verdict("event").code == ("CaseMovedOn" if opening else "Ok")
        assert report.proved is not None
        assert report.proved.owner == INDEX["bank"]
        assert len(data) < 16_384
    assert kinds == {
        EventKind.OPENED, EventKind.MOVED, EventKind.PAUSED, EventKind.RESUMED, EventKind.REVERSED,
        EventKind.OVERDUE,
    }  # fmt: skip


def test_what_an_event_says_cannot_be_altered(lived: Lived) -> None:
    changes = {
        "version": 1, "stage": 1, "deadline": 7, "time": 3600, "organisation": 1, "from_stage": 1,
    }  # fmt: skip
    for receipt in lived.parsed:
        kind = receipt.event.kind
        for name, by in changes.items():
            if kind is EventKind.OPENED and name != "time":
                continue  # what follows an opening is in the same block
            if name in ("organisation", "from_stage") and kind is not EventKind.MOVED:
                continue  # told, not proved
            if name == "deadline" and kind is EventKind.OVERDUE:
                continue  # told: the state has the same deadline all along
            if name == "time" and (
                kind is not EventKind.MOVED or receipt.event.from_stage == receipt.event.stage
            ):
                continue
            event = dataclasses.replace(receipt.event, **{name: getattr(receipt.event, name) + by})
            altered = dataclasses.replace(receipt, event=event).encode()
            report = lived.check(altered)
            assert report.result is Result.INVALID, (kind, name, report.as_dict())
            assert report.verdict("event").code == "CaseEventMismatch"


def test_an_event_of_another_case_or_contract_is_not_proved(lived: Lived) -> None:
    receipt = next(one for one in lived.parsed if one.event.kind is EventKind.MOVED)
    other = dataclasses.replace(
        receipt.event, case_id=case_id(1 if receipt.event.case_id == case_id(0) else 0)
    )
    place = dataclasses.replace(receipt.place, contract=bytes(20))
    for altered in (
        dataclasses.replace(receipt, event=other),
        dataclasses.replace(receipt, place=place),
    ):
        report = lived.check(altered.encode())
        assert report.result is Result.INVALID
        assert report.verdict("state").status is Status.FAIL


def test_no_byte_of_a_proof_can_be_changed_unseen(lived: Lived) -> None:
    receipt = next(one for one in lived.parsed if one.event.kind is EventKind.MOVED)
    data = receipt.encode()
    assert isinstance(receipt.proof, Ics23Case)
    start = data.index(b"ics23")
    for at in range(start, len(data), 97):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert lived.check(altered).result in (Result.INVALID, Result.INDETERMINATE), at


def test_without_a_pin_the_report_says_what_is_missing(lived: Lived) -> None:
    data = next(iter(lived.receipts.values()))
    report = lived.check(data, pin=None)
    assert report.verdict("contract").code == "CaseContractNotPinned"
    assert report.result is Result.VALID_REDUCED_TRUST
    other = PinnedContract(lived.pin.address, bytes(32))
    assert lived.check(data, pin=other).verdict("contract").code == "CodeHashMismatch"
    assert lived.check(data, pin=other).result is Result.INVALID
    elsewhere = PinnedContract(bytes(20), lived.pin.code_hash)
    assert lived.check(data, pin=elsewhere).verdict("contract").code == "ContractNotTrusted"


def test_the_trust_file_names_the_contract_before_anybody_else(lived: Lived) -> None:
    data = list(lived.receipts.values())[-1]
    payload = TrustFile.parse(lived.trust).payload
    (chain,) = payload.chains

    def named(address: bytes, code_hash: bytes, name: str = "CaseLedger") -> bytes:
        one = FurtherContract(chain.chain_id, name, address, code_hash)
        return signed(dataclasses.replace(payload, version=4, contracts=(one,)))

    right = named(lived.pin.address, lived.pin.code_hash)
    other = PinnedContract(bytes(20), bytes(32))
    assert lived.check(data, pin=None).result is Result.VALID_REDUCED_TRUST
    for pin in (None, lived.pin, other):
        assert verify_case_receipt(data, right, at=lived.at, pin=pin).result is Result.VALID
    for wrong, code in (
        (named(bytes(20), lived.pin.code_hash), "ContractNotTrusted"),
        (named(lived.pin.address, bytes(32)), "CodeHashMismatch"),
    ):
        for pin in (None, lived.pin):
            report = verify_case_receipt(data, wrong, at=lived.at, pin=pin)
            assert report.verdict("contract").code == code
            assert report.result is Result.INVALID
    unnamed = named(lived.pin.address, lived.pin.code_hash, "CaseBatches")
    assert verify_case_receipt(data, unnamed, at=lived.at).result is Result.VALID_REDUCED_TRUST


def test_another_trust_file_time_or_no_receipt_does_not_do(lived: Lived) -> None:
    data = list(lived.receipts.values())[-1]
    stranger = verify_case_receipt(data, World().trust, at=lived.at, pin=lived.pin)
    assert stranger.result is not Result.VALID
    assert stranger.verdict("finality").status is Status.FAIL
    assert lived.check(data, at=lived.at - 100_000).result is Result.INDETERMINATE
    for bad in (b"", b"\xff", data[:-1], data + b"\0", data.replace(b"case-receipt", b"case-reseipt")):
        report = lived.check(bad)
        assert report.result is Result.INVALID
        assert report.verdict("receipt").code == "MalformedReceipt"


def test_a_step_that_is_kept_back_leaves_a_hole(lived: Lived) -> None:
    reports = [lived.check(data) for data in lived.receipts.values()]
    assert set(holes(reports).values()) == {()}
    without = [
        one
        for one in reports
        if one.receipt and (one.receipt.event.case_id, one.receipt.event.version) != (case_id(0), 4)
    ]
    assert holes(without)[case_id(0)] == (4,)


def test_the_command_verifies_files_and_names_holes(
    lived: Lived, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trust = tmp_path / "trust.cltrust"
    trust.write_bytes(lived.trust)
    files = []
    for (case, sequence), data in lived.receipts.items():
        if case == case_id(0) and CaseReceipt.parse(data).event.version != 4:
            files.append(tmp_path / f"{sequence}.ccr")
            files[-1].write_bytes(data)
    base = ["case", "verify", *map(str, files), "--trust", str(trust), "--at", str(lived.at)]
    assert main([*base, "--cases", str(lived.record)]) == 10
    text = capsys.readouterr().out
    assert "缺少版本 4" in text
    assert "VALID" in text
    files[0].write_bytes(files[0].read_bytes()[:-1] + b"\0")
    assert main([*base, "--cases", str(lived.record)]) == 20
