"""Signature recovery beside the event loop.

Recovering a secp256k1 key takes longer than everything else that a single signed leaf costs, and Python does
one thing at a time. Under load a helper process takes part of it: the loop sends it digests and signatures by
the hundred and goes on. Few at a time are recovered on the spot, and so is what would queue up at the helper;
if the helper dies nothing is lost, the loop does the work itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections import deque
from types import TracebackType
from typing import Protocol, Self

from protocol.acts import SIGNATURE_LEN, recover
from protocol.errors import CaseledgerError

DIGEST_LEN = 32
ADDRESS_LEN = 20
ITEM_LEN = DIGEST_LEN + SIGNATURE_LEN
FEW = 4
"""Up to this many at once are not worth a message."""
BACKLOG = 512
"""Recoveries that may wait at the helper: some thirty milliseconds of its work. The loop has enough to do."""
_NOBODY = bytes(ADDRESS_LEN)

_Item = tuple[bytes, bytes, asyncio.Future[bytes]]


class Recoverer(Protocol):
    """Finds out who signed."""

    async def recover(self, digest: bytes, signature: bytes) -> bytes:
        """Address, 20 bytes. Raises BadSignature."""
        ...


class OnTheSpot:
    """Without a helper."""

    async def recover(self, digest: bytes, signature: bytes) -> bytes:
        return recover(digest, signature)


class HelperProcess:
    """`Recoverer` with one helper process. Use as an async context manager."""

    def __init__(self) -> None:
        self._waiting: list[_Item] = []
        self._sent: deque[list[_Item]] = deque()
        self._outstanding = 0
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.helped = 0
        """Recoveries that the helper did."""

    @property
    def pid(self) -> int | None:
        """Of the helper; None before the start."""
        return None if self._process is None else self._process.pid

    async def __aenter__(self) -> Self:
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "evidence.recoverer",
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        finally:
            theirs.close()
        ours.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._reading = asyncio.create_task(self._read(reader), name="recoverer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._process is not None:
            # It ends at the end of its input.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def recover(self, digest: bytes, signature: bytes) -> bytes:
        if self._writer is None or self._outstanding >= BACKLOG or len(signature) != SIGNATURE_LEN:
            return recover(digest, signature)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        if not self._waiting:
            # Whatever else arrives in this turn of the loop goes along.
            loop.call_soon(self._flush)
        self._waiting.append((digest, signature, future))
        self._outstanding += 1
        address = await future
        return recover(digest, signature) if address == _NOBODY else address

    def _flush(self) -> None:
        items, self._waiting = self._waiting, []
        if self._writer is None or len(items) <= FEW:
            self._answer(items, [_NOBODY] * len(items))  # recovered on the spot by whoever asked
            return
        self._sent.append(items)
        message = b"".join(digest + signature for digest, signature, _ in items)
        self._writer.write(len(items).to_bytes(4, "big") + message)

    def _answer(self, items: list[_Item], addresses: list[bytes]) -> None:
        self._outstanding -= len(items)
        for (_, _, future), address in zip(items, addresses, strict=True):
            if not future.done():
                future.set_result(address)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                count = int.from_bytes(await reader.readexactly(4), "big")
                data = await reader.readexactly(count * ADDRESS_LEN)
                self.helped += count
                self._answer(
                    self._sent.popleft(),
                    [data[at : at + ADDRESS_LEN] for at in range(0, len(data), ADDRESS_LEN)],
                )
        self._leave()

    def _leave(self) -> None:
        """The helper is gone or not wanted any more: everything is done on the spot."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        while self._sent:
            items = self._sent.popleft()
            self._answer(items, [_NOBODY] * len(items))


def _serve(descriptor: int) -> None:
    """The helper: answers until the other end closes."""
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rb") as source:
        while len(head := source.read(4)) == 4:
            count = int.from_bytes(head, "big")
            data = source.read(count * ITEM_LEN)
            if len(data) != count * ITEM_LEN:
                return
            answers = [_address(data[at : at + ITEM_LEN]) for at in range(0, len(data), ITEM_LEN)]
            channel.sendall(head + b"".join(answers))


def _address(item: bytes) -> bytes:
    """Zero where nobody signed; the asker finds out why."""
    try:
        return recover(item[:DIGEST_LEN], item[DIGEST_LEN:])
    except CaseledgerError:
        return _NOBODY


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        _serve(int(sys.argv[1]))
