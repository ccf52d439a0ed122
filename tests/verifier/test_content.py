"""Both digests in one read: right for every size, from sources that read in pieces, with flat memory."""

from __future__ import annotations

import hashlib
import io
import tracemalloc

import pytest

from verifier.content import BUFFERS, PIECE, ContentDigests, digest_stream


def pattern(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


@pytest.mark.parametrize(
    "size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, BUFFERS * PIECE, (BUFFERS + 3) * PIECE + 17]
)
def test_digests_are_those_of_hashlib(size: int) -> None:
    data = pattern(size)
    told: list[int] = []
    found = digest_stream(io.BytesIO(data), told.append)
    assert found == ContentDigests(size, hashlib.sha256(data).digest(), hashlib.new("sm3", data).digest())
    assert told[-1] == size
    assert told == sorted(told)


class Dribble(io.RawIOBase):
    """Reads at most 1,000 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._inner.readinto(buffer[:1000])


def test_short_reads_do_not_end_the_file() -> None:
    data = pattern(3 * PIECE + 5)
    assert digest_stream(Dribble(data)).sm3 == hashlib.new("sm3", data).digest()


class Breaking(Dribble):
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._inner.tell() > 2 * PIECE:
            raise OSError("disk")
        return super().readinto(buffer)


def test_a_read_error_comes_through_and_leaves_no_thread() -> None:
    import threading

    with pytest.raises(OSError, match="disk"):
        digest_stream(Breaking(pattern(4 * PIECE)))
    assert "sm3" not in {thread.name for thread in threading.enumerate()}


def test_memory_does_not_grow_with_the_file() -> None:
    data = pattern(24 * PIECE)
    tracemalloc.start()
    digest_stream(io.BytesIO(data))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (BUFFERS + 2) * PIECE
