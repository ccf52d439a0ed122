"""The witness's durable memory: what a rollback, a crash and a second process do to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import WitnessInUse, WitnessStateRolledBack, WitnessStateUnreadable
from monitor.witness_state import JOURNAL, JOURNAL_LIMIT, STATE, Seen, WitnessState

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "centre.example/evidence"


def seen(size: int) -> Seen:
    return Seen(size, size.to_bytes(32, "big"), size + 100)


def grown(folder: Path, journal: Path, *sizes: int) -> None:
    with WitnessState(folder, journal) as state:
        for size in sizes:
            state.advance(ORIGIN, seen(size))


def test_a_state_put_back_to_an_older_one_is_caught_at_start_and_named(tmp_path: Path) -> None:
    folder, journal = tmp_path / "state", tmp_path / "journal"
    grown(folder, journal, 5)
    kept = (folder / STATE).read_bytes()
    grown(folder, journal, 9)
    (folder / STATE).write_bytes(kept)
    with pytest.raises(WitnessStateRolledBack, match=r"state\.json is an older one"):
        WitnessState(folder, journal)


def test_a_deleted_state_is_caught(tmp_path: Path) -> None:
    folder, journal = tmp_path / "state", tmp_path / "journal"
    grown(folder, journal, 5)
    (folder / STATE).unlink()
    with pytest.raises(WitnessStateRolledBack):
        WitnessState(folder, journal)


@pytest.mark.parametrize("sizes", [(5, 9), (5, 9, 12)])
def test_a_journal_put_back_is_caught_once_it_lacks_more_than_a_crash_can_leave(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    folder, journal = tmp_path / "state", tmp_path / "journal"
    grown(folder, journal, *sizes)
    (journal / JOURNAL).unlink()
    with pytest.raises(WitnessStateRolledBack, match=r"journal\.jsonl is an older one"):
        WitnessState(folder, journal)


def test_a_rollback_under_the_running_process_stops_the_next_signature(tmp_path: Path) -> None:
    folder, journal = tmp_path / "state", tmp_path / "journal"
    with WitnessState(folder, journal) as state:
        state.advance(ORIGIN, seen(5))
        kept = (folder / STATE).read_bytes()
        state.advance(ORIGIN, seen(9))
        state.check()
        (folder / STATE).write_bytes(kept)
        with pytest.raises(WitnessStateRolledBack):
            state.check()


def test_a_halt_holds_over_a_restart(tmp_path: Path) -> None:
    with WitnessState(tmp_path) as state:
        state.advance(ORIGIN, seen(5))
        state.halt("WitnessStateRolledBack", "why")
        with pytest.raises(WitnessStateRolledBack):
            state.check()
    with pytest.raises(WitnessStateRolledBack, match=r"halted\.json"):
        WitnessState(tmp_path)


def test_two_processes_do_not_share_a_state(tmp_path: Path) -> None:
    with WitnessState(tmp_path), pytest.raises(WitnessInUse):
        WitnessState(tmp_path)
    WitnessState(tmp_path).close()


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"version": 2}', b'{"version": 1, "revision": -1, "seen": {}}', b"[" * 90_000],
)
def test_a_damaged_state_is_not_taken_for_an_empty_one(tmp_path: Path, damage: bytes) -> None:
    grown(tmp_path, tmp_path, 5)
    (tmp_path / STATE).write_bytes(damage)
    with pytest.raises(WitnessStateUnreadable):
        WitnessState(tmp_path)


def test_the_journal_stays_small_and_keeps_its_high_water_mark(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).parent.mkdir(exist_ok=True)
    with WitnessState(tmp_path) as state:
        for size in range(1, 30):
            state.advance(ORIGIN + "/" + "x" * 20_000 + str(size % 2), seen(size))
    assert (tmp_path / JOURNAL).stat().st_size < JOURNAL_LIMIT + 50_000
    kept = (tmp_path / STATE).read_bytes()
    grown(tmp_path, tmp_path, 40)
    (tmp_path / STATE).write_bytes(kept)
    with pytest.raises(WitnessStateRolledBack):
        WitnessState(tmp_path)


_KILLED = """
import os, signal, sys
from pathlib import Path
from monitor import witness_state
from monitor.witness_state import Seen, WitnessState
folder = Path(sys.argv[1])
state = WitnessState(folder, folder / "journal")
state.advance("a/log", Seen(5, bytes(32), 0))
where = sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "before rename":
    os.replace = die
elif where == "before journal":
    WitnessState._append = die
elif where == "torn journal":
    def torn(self, snapshot):
        with self._journal.open("ab") as out:
            out.write(b'{"version":1,"revi')
        die()
    WitnessState._append = torn
state.advance("a/log", Seen(9, bytes(32), 0))
die()
"""


@pytest.mark.parametrize(
    ("where", "size"), [("before rename", 5), ("before journal", 9), ("torn journal", 9), ("after both", 9)]
)
def test_a_kill_at_any_point_leaves_a_state_that_starts_again(tmp_path: Path, where: str, size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path), where],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    with WitnessState(tmp_path, tmp_path / "journal") as state:
        assert state.snapshot.seen["a/log"].size == size
        state.advance("a/log", Seen(12, bytes(32), 0))
        assert state.check().seen["a/log"].size == 12


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=6),
    back=st.integers(0, 6),
    which=st.sampled_from([STATE, JOURNAL]),
)
def test_any_file_put_back_by_more_than_a_crash_is_caught(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], back: int, which: str
) -> None:
    folder = tmp_path_factory.mktemp("state")
    copies: list[bytes] = [b""]
    with WitnessState(folder) as state:
        for size in sizes:
            state.advance(ORIGIN, seen(size))
            copies.append((folder / which).read_bytes())
    back = min(back, len(sizes))
    old = copies[len(sizes) - back]
    if old:
        (folder / which).write_bytes(old)
    else:
        (folder / which).unlink()
    harmless = back == 0 or (which == JOURNAL and back == 1)
    if harmless:
        with WitnessState(folder) as state:
            assert state.snapshot.seen[ORIGIN].size == sizes[-1]
    else:
        with pytest.raises(WitnessStateRolledBack):
            WitnessState(folder)
    shutil.rmtree(folder)
