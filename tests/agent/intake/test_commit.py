"""From a file to a batch: what is written, once, whatever is killed; and nothing of a person in the clear."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.errors import FileChanged, JournalCorrupt
from agent.intake import commit
from agent.intake.cells import Cell
from agent.intake.columns import NAMES
from agent.intake.commit import Request, import_file, resume
from agent.intake.errors import (
    BatchBusy,
    BatchSourceGone,
    BatchUnfinished,
    BatchUnknown,
    DeclaredMismatch,
    NothingToImport,
)
from agent.intake.mapping import ColumnMapping
from agent.intake.port import deliver
from agent.intake.preview import Preview, preview
from agent.intake.proofs import case_proof, pieces
from agent.intake.source import Declared, Source
from agent.intake.store import BatchState, IntakeStore, StoredBatch
from agent.intake.xlsx_write import WrittenSheet, write_workbook
from benchmarks.import_data import make
from protocol.batch_file import read_batch
from protocol.case_batch import (
    BatchRecipient,
    BatchTrailer,
    OpenedRow,
    SealedRow,
    leaf_hash,
    open_row,
)
from protocol.errors import CaseledgerError
from tests.support.intake import HEADINGS, OWNER, TERMS, good, opened, write_csv, write_jsonl, write_xlsx

HOLDER = X25519PrivateKey.from_private_bytes(b"\x31" * 32)
TO = (BatchRecipient(12, HOLDER.public_key().public_bytes_raw()),)
REQUEST = Request(TERMS, ColumnMapping(), TO)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IntakeStore]:
    with IntakeStore(tmp_path / "home", OWNER) as one:
        yield one


def imported(path: Path, store: IntakeStore, request: Request = REQUEST) -> StoredBatch | None:
    with opened(path) as source:
        return import_file(source, request, store)


def previewed(path: Path, store: IntakeStore, declared: Declared | None = None) -> Preview:
    with opened(path) as source:
        return preview(source, TERMS, store, declared=declared)


def rows_in(store: IntakeStore, batch: StoredBatch) -> list[OpenedRow]:
    return [
        open_row(item, item.wrapped[0], 12, HOLDER.private_bytes_raw())
        for item in read_batch(pieces(store.file_path(batch.id)))
        if isinstance(item, SealedRow)
    ]


def contracts(store: IntakeStore, batch: StoredBatch | None) -> list[str]:
    assert batch is not None
    assert batch.state is BatchState.READY
    return [one.row.contract for one in rows_in(store, batch)]


def test_good_rows_go_and_bad_rows_stay(tmp_path: Path, store: IntakeStore) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2, phone="x"), good(3)])
    batch = imported(path, store)
    assert contracts(store, batch) == ["JK-2025-0001", "JK-2025-0003"]
    assert batch is not None
    *_, trailer = read_batch(pieces(store.file_path(batch.id)))
    assert isinstance(trailer, BatchTrailer)
    assert (trailer.root, trailer.count) == (batch.root, 2)


def test_the_same_file_again_changes_nothing(tmp_path: Path, store: IntakeStore) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2, phone="x")])
    first = imported(path, store)
    assert first is not None
    before = {p.name: p.read_bytes() for p in store.folder.iterdir() if p.suffix == ".clbatch"}
    found: list[Preview] = []
    with opened(path) as source:
        assert import_file(source, REQUEST, store, on_preview=found.append) is None
    assert (found[0].new, dict(found[0].known), found[0].bad_rows) == (0, {first.id.hex(): 1}, 1)
    assert {p.name: p.read_bytes() for p in store.folder.iterdir() if p.suffix == ".clbatch"} == before
    assert len(store.batches()) == 1


@pytest.mark.parametrize("again", ["xlsx", "jsonl", "csv"])
def test_an_overlapping_file_brings_its_new_rows_alone(
    tmp_path: Path, store: IntakeStore, again: str
) -> None:
    imported(write_csv(tmp_path / "a.csv", [good(1), good(2)]), store)
    rows = [good(3), good(2), good(1)]
    path = tmp_path / f"b.{again}"
    if again == "csv":
        write_csv(path, rows, "gb18030")
    elif again == "jsonl":
        write_jsonl(path, rows)
    else:
        write_xlsx(path, rows)
    assert contracts(store, imported(path, store)) == ["JK-2025-0003"]


def test_halves_in_any_order_give_the_same_cases(tmp_path: Path) -> None:
    parts = [[good(1), good(2)], [good(2), good(3)], [good(3), good(1), good(4)]]
    known = []
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        with IntakeStore(tmp_path / f"home{order}", OWNER) as store:
            for at in order:
                imported(write_csv(tmp_path / f"{at}.csv", parts[at]), store)
            batches = store.batches()
            known.append(sorted(row.row.contract for b in batches for row in rows_in(store, b)))
    assert known[0] == known[1] == known[2] == [f"JK-2025-000{n}" for n in (1, 2, 3, 4)]


def test_a_known_contract_with_other_content_is_a_defect(tmp_path: Path, store: IntakeStore) -> None:
    imported(write_csv(tmp_path / "a.csv", [good(1)]), store)
    found = previewed(write_csv(tmp_path / "b.csv", [good(1, address="示例省乙市解放路2号")]), store)
    assert found.rules == {"contract-changed": 1}
    assert found.new == 0


def test_none_of_the_rows_with_one_contract_is_taken(tmp_path: Path, store: IntakeStore) -> None:
    rows = [good(1), good(2), good(1, total="x"), good(3), good(3), good(4)]
    found = previewed(write_csv(tmp_path / "a.csv", rows), store)
    assert sorted(found.defects) == [2, 4, 5, 6]
    assert found.new == 2
    assert sum(found.fen.values()) == 2 * 1_023_456
    assert dict(found.defects[2][0].info) == {"rows": "2、4"}
    assert found.rows == found.new + found.bad_rows + sum(found.known.values())
    assert [number for number, _ in found.samples] == [3]


def test_full_width_contract_numbers_are_the_same_contract(tmp_path: Path, store: IntakeStore) -> None:
    rows = [good(1), good(1, contract_no="ＪＫ－２０２５－０００１")]
    assert previewed(write_csv(tmp_path / "a.csv", rows), store).rules == {"contract-repeated": 2}


@pytest.mark.parametrize(
    ("rows", "fen", "agrees"),
    [(2, None, True), (2, 2_046_912, True), (3, None, False), (1, None, False), (2, 2_046_911, False)],
)
def test_declared_rows_and_sum_are_held_against_the_file(
    tmp_path: Path, store: IntakeStore, rows: int, fen: int | None, agrees: bool
) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2)])
    request = replace(REQUEST, declared=Declared(rows, fen))
    if agrees:
        assert imported(path, store, request) is not None
        return
    with pytest.raises(DeclaredMismatch):
        imported(path, store, request)
    assert store.batches() == []


def test_a_truncated_file_is_caught_by_its_own_header(tmp_path: Path, store: IntakeStore) -> None:
    path = write_csv(tmp_path / "a.csv", [good(n) for n in range(9)], before=[["#行数", "9"]])
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"JK-2025-0008")])
    with pytest.raises(DeclaredMismatch):
        imported(path, store)


def test_the_sum_is_not_compared_while_a_total_is_unreadable(tmp_path: Path, store: IntakeStore) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2, total="x")])
    found = previewed(path, store, Declared(2, 1))
    assert (found.unread_totals, found.mismatches()) == (1, [])


def test_a_file_without_a_good_row_makes_no_batch(tmp_path: Path, store: IntakeStore) -> None:
    with pytest.raises(NothingToImport):
        imported(write_csv(tmp_path / "a.csv", [good(1, phone="x")]), store)
    assert store.batches() == []


def test_a_preview_writes_nothing(tmp_path: Path, store: IntakeStore) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1)])
    before = sorted((p.name, p.read_bytes()) for p in store.folder.iterdir())
    previewed(path, store)
    assert sorted((p.name, p.read_bytes()) for p in store.folder.iterdir()) == before


def test_nothing_of_a_person_is_on_disk_in_the_clear(tmp_path: Path, store: IntakeStore) -> None:
    row = good(1)
    path = write_csv(tmp_path / "a.csv", [row, good(2, phone="13900139000x")])
    imported(path, store)
    secrets = [
        row[name] for name in ("debtor_name", "identity_no", "phone", "address", "contract_no", "claims")
    ]
    secrets.append("13900139000x")
    on_disk = {p: p.read_bytes() for p in store.folder.rglob("*") if p.is_file()}
    assert any(p.suffix == ".clbatch" for p in on_disk)
    for secret in secrets:
        planted = path.read_bytes()
        assert secret.encode() in planted, "the search would miss it anywhere"
        for file, data in on_disk.items():
            assert secret.encode() not in data, file.name
    for file in on_disk:
        assert file.stat().st_mode & 0o077 == 0, file.name
    assert store.folder.stat().st_mode & 0o077 == 0


def test_the_index_is_keyed(tmp_path: Path) -> None:
    with IntakeStore(tmp_path / "a", OWNER) as one, IntakeStore(tmp_path / "b", OWNER) as two:
        assert one.contract_key(OWNER, "JK-1") != two.contract_key(OWNER, "JK-1")
        assert one.contract_key(OWNER, "JK-1") != one.contract_key(8, "JK-1")
        assert one.file_key("00" * 32) != two.file_key("00" * 32)
    with IntakeStore(tmp_path / "a", OWNER) as again:
        assert again.contract_key(OWNER, "JK-1") == one.contract_key(OWNER, "JK-1")


def test_case_ids_and_salts_are_never_the_same(tmp_path: Path, store: IntakeStore) -> None:
    batch = imported(write_csv(tmp_path / "a.csv", [good(n) for n in range(20)]), store)
    assert batch is not None
    rows = rows_in(store, batch)
    assert len({row.case_id for row in rows} | {row.salt for row in rows}) == 40


def test_every_case_has_a_proof(tmp_path: Path, store: IntakeStore) -> None:
    batch = imported(write_csv(tmp_path / "a.csv", [good(n) for n in range(5)]), store)
    assert batch is not None
    for n in range(5):
        case_id = store.case_of(f"JK-2025-000{n}")
        assert case_id is not None
        proof = case_proof(store, case_id)
        assert (proof.index, proof.size, proof.root) == (n, 5, batch.root)
        assert leaf_hash(proof.leaf) == store.leaf_hashes(batch.id)[n]
    with pytest.raises(BatchUnknown):
        case_proof(store, bytes(32))


def test_a_second_import_waits_for_the_first(tmp_path: Path, store: IntakeStore) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1)])
    with IntakeStore(tmp_path / "home", OWNER) as other, other.alone(), pytest.raises(BatchBusy):
        imported(path, store)


def test_a_dropped_batch_gives_its_contracts_back(tmp_path: Path, store: IntakeStore) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1)])
    first = imported(path, store)
    assert first is not None
    store.drop(first.id)
    assert not store.file_path(first.id).exists()
    second = imported(path, store)
    assert second is not None
    assert second.id != first.id


def test_a_store_of_another_version_is_refused(tmp_path: Path, store: IntakeStore) -> None:
    with contextlib.closing(sqlite3.connect(store.folder / "batches.db")) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(JournalCorrupt):
        IntakeStore(tmp_path / "home", OWNER)


class Courier:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, batch: StoredBatch, file: Path) -> None:
        list(read_batch(pieces(file)))
        self.sent.append(batch.id)


def test_ready_batches_are_delivered_once(tmp_path: Path, store: IntakeStore) -> None:
    batch = imported(write_csv(tmp_path / "a.csv", [good(1)]), store)
    courier = Courier()
    assert batch is not None
    assert [one.id for one in deliver(store, courier)] == [batch.id] == courier.sent
    assert deliver(store, courier) == []
    assert store.batch(batch.id).state is BatchState.SENT


# interrupted


class Killed(BaseException):
    """Stands for the end of the process at a chosen point."""


def die(*_: object) -> None:
    raise Killed


def interrupted(path: Path, store: IntakeStore, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Ends an import at a step; what is on disk stays as it is."""
    with monkeypatch.context() as patched:
        patched.setattr(commit, "GROUP", 2)
        if where == "rename":
            patched.setattr(os, "rename", die)
        elif where == "ready":
            patched.setattr(IntakeStore, "ready", die)
        elif where == "trailer":
            patched.setattr(commit._Writer, "finish", die)
        elif where == "begin":
            patched.setattr(commit, "_make", die)
        else:
            steps = iter(range(int(where)))
            append = IntakeStore.append

            def journal(self: IntakeStore, *arguments: object) -> None:
                if next(steps, None) is None:
                    raise Killed
                append(self, *arguments)  # type: ignore[arg-type]

            patched.setattr(IntakeStore, "append", journal)
        with pytest.raises(Killed):
            imported(path, store)


@pytest.mark.parametrize("where", ["begin", "0", "1", "2", "trailer", "rename", "ready"])
@pytest.mark.parametrize("how", ["resume", "again"])
def test_an_import_goes_on_where_it_was_ended(
    tmp_path: Path, store: IntakeStore, monkeypatch: pytest.MonkeyPatch, where: str, how: str
) -> None:
    path = write_csv(tmp_path / "a.csv", [good(n) for n in range(7)])
    interrupted(path, store, monkeypatch, where)
    [unfinished] = store.batches()
    sealed_before = [store.leaf_hashes(unfinished.id)]
    if how == "resume":
        [batch] = resume(store)
    else:
        found = imported(path, store)
        assert found is not None
        batch = found
    assert batch.id == unfinished.id
    assert contracts(store, batch) == [f"JK-2025-000{n}" for n in range(7)]
    assert store.leaf_hashes(batch.id)[: len(sealed_before[0])] == sealed_before[0]
    assert len(store.batches()) == 1
    assert not store.part_path(batch.id).exists()
    assert resume(store) == []


def test_a_batch_goes_on_under_the_terms_it_began_with(
    tmp_path: Path, store: IntakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = good(2, default_date="2026-12-01", overdue_days="0")
    path = write_csv(tmp_path / "a.csv", [good(1), future, good(3), good(4)])
    interrupted(path, store, monkeypatch, "1")
    later = replace(REQUEST, terms=replace(TERMS, today=TERMS.today + timedelta(days=30)))
    assert contracts(store, imported(path, store, later)) == [f"JK-2025-000{n}" for n in (1, 3, 4)]


def test_a_batch_goes_on_with_the_sheet_and_the_mapping_it_began_with(
    tmp_path: Path, store: IntakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.xlsx"
    body: list[list[Cell]] = [[good(n)[name] or None for name in NAMES] for n in range(1, 4)]
    own: list[Cell] = ["流水号", *HEADINGS[1:]]
    with path.open("wb") as out:
        write_workbook(out, [WrittenSheet("封面", [["目录"]]), WrittenSheet("明细", [own, *body])])
    mapping = ColumnMapping({"contract_no": "流水号"})
    request = replace(REQUEST, mapping=mapping, sheet="明细")
    with monkeypatch.context() as patched:
        patched.setattr(commit, "_make", die)
        with pytest.raises(Killed), Source(path, mapping, sheet="明细") as source:
            import_file(source, request, store)
    assert contracts(store, imported(path, store)) == [f"JK-2025-000{n}" for n in (1, 2, 3)]


def test_another_file_waits_until_the_unfinished_batch_is_finished_or_dropped(
    tmp_path: Path, store: IntakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2), good(3)])
    other = write_csv(tmp_path / "b.csv", [good(9)])
    interrupted(path, store, monkeypatch, "1")
    with pytest.raises(BatchUnfinished):
        imported(other, store)
    store.drop(store.batches()[0].id)
    assert contracts(store, imported(other, store)) == ["JK-2025-0009"]


@pytest.mark.parametrize("change", ["gone", "other"])
def test_an_unfinished_batch_needs_its_own_file(
    tmp_path: Path, store: IntakeStore, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2), good(3)])
    kept = shutil.copy(path, tmp_path / "kept.csv")
    interrupted(path, store, monkeypatch, "1")
    if change == "gone":
        path.unlink()
    else:
        write_csv(path, [good(1), good(2), good(4)])
    with pytest.raises(BatchSourceGone):
        resume(store)
    os.replace(kept, path)
    assert contracts(store, resume(store)[0]) == [f"JK-2025-000{n}" for n in (1, 2, 3)]


def test_a_file_that_changes_under_way_makes_no_batch(
    tmp_path: Path, store: IntakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2)])
    with opened(path) as source, monkeypatch.context() as patched:
        begin = commit._begin

        def meddle(*arguments: object) -> StoredBatch:
            path.write_bytes(path.read_bytes().replace(b"JK-2025-0002", b"JK-2025-0009"))
            return begin(*arguments)  # type: ignore[arg-type]

        patched.setattr(commit, "_begin", meddle)
        with pytest.raises(FileChanged):
            import_file(source, REQUEST, store)
    assert [one.state for one in store.batches()] == [BatchState.MAKING]


def test_three_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """The real command, killed with SIGKILL while it seals, three times; then it is left to finish."""
    home = tmp_path / "home"
    (home / "agent").mkdir(parents=True)
    (home / "agent" / "hpke-pins.json").write_text(f'{{"12": "{TO[0].public_key.hex()}"}}')
    made = make(tmp_path / "a.csv", 1, 6000, "csv", "gb18030")
    command = [
        sys.executable, "-m", "cli.main", "case", "import", str(made.path), "--confirm", "--home", str(home),
        "--organisation", str(OWNER), "--to", "12", "--json",
    ]  # fmt: skip
    sealed: list[int] = []
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        before = sealed[-1] if sealed else 0
        while process.poll() is None and _sealed(home) <= before:
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        sealed.append(_sealed(home))
    assert 0 < sealed[0] < sealed[1] < sealed[2] < made.rows - made.defective
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    with IntakeStore(home, OWNER) as store:
        [batch] = store.batches()
        found = contracts(store, batch)
        assert len(found) == len(set(found)) == made.rows - made.defective
        assert imported(made.path, store) is None


def _sealed(home: Path) -> int:
    path = home / "agent" / "intake" / str(OWNER) / "batches.db"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
        try:
            row = db.execute("SELECT sealed FROM batches").fetchone()
        except sqlite3.OperationalError:
            return 0
    return row[0] if row else 0


def test_a_key_that_cannot_be_sealed_to_begins_no_batch(tmp_path: Path, store: IntakeStore) -> None:
    bad = replace(REQUEST, recipients=(BatchRecipient(12, bytes(32)),))
    with pytest.raises(CaseledgerError):
        imported(write_csv(tmp_path / "a.csv", [good(1)]), store, bad)
    assert store.batches() == []
