"""A mirror's files through kill -9: what the state says is whole, what it does not say is cut off."""

from __future__ import annotations

import itertools
import secrets
import subprocess
import sys
import time
from pathlib import Path

from monitor.mirror_store import MirrorStore, Segment
from protocol.checkpoint import TREE_HASHES
from verifier.merkle import Frontier

ROOT = Path(__file__).parents[2]
COUNTS = (1, 255, 700, 3, 256, 1000, 5)


def leaves(algorithm: int, begin: int, end: int) -> list[bytes]:
    return [TREE_HASHES[algorithm].leaf(n.to_bytes(8, "big")) for n in range(begin, end)]


def sizes() -> itertools.chain[int]:
    return itertools.chain.from_iterable(itertools.repeat(COUNTS))


def grow(folder: Path) -> None:
    """Append rounds for as long as the process lives, from wherever the files are."""
    store = MirrorStore(folder)
    frontiers = [store.frontier(algorithm) for algorithm in (0, 1)]
    for count in itertools.islice(sizes(), store.kept.number, None):
        begin, end, number = store.kept.size, store.kept.size + count, store.kept.number + 1
        runs = [f.extend(leaves(a, begin, end)) for a, f in enumerate(frontiers)]
        sha256, sm3 = (f.root() for f in frontiers)
        segment = Segment(
            number, end, sha256, sm3, bytes(32), number.to_bytes(32, "big"), number, number, bytes(32)
        )
        store.append(runs, [segment], b"proof %d" % number)
        print(number, flush=True)


def test_rounds_that_were_told_survive_a_kill_and_the_rest_goes_on_from_there(tmp_path: Path) -> None:
    folder, told = tmp_path / "log", 0
    for _ in range(8):
        command = [sys.executable, "-c", f"from {__name__} import grow; from pathlib import Path;"
                   f"grow(Path({str(folder)!r}))"]  # fmt: skip
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = int(process.stdout.readline())
            time.sleep(secrets.randbelow(200) / 1000)
            process.kill()
            told = max([told, *map(int, process.stdout.read().split())])
        store = MirrorStore(folder)
        kept = store.kept
        # The killed process may have been about to say the next one.
        assert kept.number in (told, told + 1)
        assert kept.size == sum(itertools.islice(sizes(), kept.number))
        segments = list(store.segments())
        assert [one.number for one in segments] == list(range(1, kept.number + 1))
        assert store.proof() == b"proof %d" % kept.number
        for algorithm, alg in enumerate(TREE_HASHES):
            whole = Frontier(alg)
            whole.extend(leaves(algorithm, 0, kept.size))
            assert whole.root() == store.frontier(algorithm).root() == segments[-1].root(algorithm)
        store.close()
    assert told > 8
