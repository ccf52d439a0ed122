"""A bench that would measure something broken fails instead: what it refuses is really wrong."""

from __future__ import annotations

import importlib

import pytest

from benchmarks.__main__ import BENCHES
from benchmarks.attested import _holds
from benchmarks.rows import BenchFailed
from benchmarks.watching import _ed25519, _forged, _requests
from evidence.certificate import pdf
from evidence.certificate.build import ONE_BY_ONE, Options, build
from monitor.witness import AddCheckpoint
from protocol.checkpoint import verify_checkpoint
from protocol.errors import CaseledgerError
from tests.support.certificates import filing


def test_every_bench_has_rows_and_at_least_as_long_in_full_as_in_quick() -> None:
    for bench in BENCHES:
        assert callable(importlib.import_module(f"benchmarks.{bench.module or bench.name}").rows)
        assert bench.limits[0] >= bench.limits[1] > 0


def test_a_forged_checkpoint_is_the_same_one_with_another_signature() -> None:
    key = _ed25519("log", "log")
    requests, _ = _requests(key, 2)
    good, wrong = (AddCheckpoint.parse(data) for data in (requests[1], _forged(requests[1])))
    assert (good.old, good.note.text) == (wrong.old, wrong.note.text)
    verify_checkpoint(key.public_key, good.checkpoint, good.note.signatures[0].signature)
    with pytest.raises(CaseledgerError):
        verify_checkpoint(key.public_key, wrong.checkpoint, wrong.note.signatures[0].signature)


@pytest.mark.parametrize("count", [2, ONE_BY_ONE + 1])
def test_a_certificate_without_one_of_its_receipts_is_noticed(count: int) -> None:
    world = filing(count, version=2)
    entries = world.entries([None] * count)
    made = pdf.render(build(entries[:-1] if count == 2 else entries, world.trust, Options(languages=("en",))))
    receipts = [entry.receipt for entry in entries]
    _holds(made, receipts[:1])
    with pytest.raises(BenchFailed):
        _holds(made, [*receipts, receipts[0] + b"x"])
    if count > ONE_BY_ONE:
        _holds(made, receipts)
    else:
        with pytest.raises(BenchFailed):
            _holds(made, receipts)
