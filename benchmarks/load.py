"""A load client that costs little: non-blocking sockets, kept alive, one epoll loop, prebuilt requests."""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class LoadResult:
    """What a run saw. Latencies in seconds, one for each answer, in order of arrival."""

    seconds: float
    statuses: Counter[int]
    latencies: list[float] = field(repr=False)
    arrivals: list[float] = field(repr=False, default_factory=list)
    """Seconds after the start at which each answer came."""
    cpu_seconds: float = 0.0
    """What this client itself used; near `seconds`, the client is what bounds the rate."""

    @property
    def rate(self) -> float:
        return sum(self.statuses.values()) / self.seconds

    def rate_within(self, first: float, last: float) -> float:
        """Answers a second between two shares of all answers: no warm-up, no drained tail."""
        low, high = (min(len(self.arrivals) - 1, int(len(self.arrivals) * at)) for at in (first, last))
        return (high - low) / (self.arrivals[high] - self.arrivals[low])

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def http_request(
    method: str, path: str, host: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """One HTTP/1.1 request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Connection:
    __slots__ = ("buffer", "out", "sent_at", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.buffer = b""
        self.out: memoryview = memoryview(b"")
        self.sent_at = 0.0


def drive(address: tuple[str, int], requests: Sequence[bytes], connections: int = 64) -> LoadResult:
    """Sends every request once over `connections` kept-alive connections; returns when all are answered."""
    selector = selectors.DefaultSelector()
    queue: Iterator[bytes] = iter(requests)
    pool = [_Connection(address) for _ in range(min(connections, len(requests)))]
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    arrivals: list[float] = []
    clock = time.perf_counter
    cpu = time.process_time()
    started = clock()
    for connection in pool:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        _next(connection, queue, selector, clock())
    while len(latencies) < len(requests):
        events = selector.select(timeout=60)
        if not events:
            raise TimeoutError(f"{len(requests) - len(latencies)} requests were not answered in 60 s")
        for key, mask in events:
            connection = key.data
            if mask & selectors.EVENT_WRITE:
                _write(connection, selector)
            if mask & selectors.EVENT_READ:
                status = _read(connection)
                if status:
                    now = clock()
                    statuses[status] += 1
                    latencies.append(now - connection.sent_at)
                    arrivals.append(now - started)
                    _next(connection, queue, selector, now)
    seconds = clock() - started
    for connection in pool:
        selector.unregister(connection.socket)
        connection.socket.close()
    selector.close()
    return LoadResult(seconds, statuses, latencies, arrivals, time.process_time() - cpu)


def _next(
    connection: _Connection, queue: Iterator[bytes], selector: selectors.BaseSelector, now: float
) -> None:
    request = next(queue, None)
    if request is None:
        return
    connection.sent_at = now
    connection.out = memoryview(request)
    _write(connection, selector)


def _write(connection: _Connection, selector: selectors.BaseSelector) -> None:
    try:
        sent = connection.socket.send(connection.out)
    except BlockingIOError:
        sent = 0
    connection.out = connection.out[sent:]
    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.out else 0)
    if selector.get_key(connection.socket).events != wanted:
        selector.modify(connection.socket, wanted, connection)


def _read(connection: _Connection) -> int:
    """Status of a complete answer, 0 while it is incomplete."""
    try:
        data = connection.socket.recv(262_144)
    except BlockingIOError:
        return 0
    if not data:
        raise ConnectionError("the server closed a kept-alive connection")
    buffer = connection.buffer + data if connection.buffer else data
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        connection.buffer = buffer
        return 0
    at = buffer.lower().find(b"content-length:", 0, end)
    length = int(buffer[at + 15 : buffer.find(b"\r", at)]) if at >= 0 else 0
    if len(buffer) < end + 4 + length:
        connection.buffer = buffer
        return 0
    connection.buffer = buffer[end + 4 + length :]
    return int(buffer[9:12])
