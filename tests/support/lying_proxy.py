"""A node's front door that lies on demand: forwards JSON-RPC, then changes answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

# method, params, honest result -> what is told instead
Change = Callable[[str, Any, Any], Any]


class LyingProxy:
    """One HTTP listener on loopback in front of one node. `change` None: honest. `silent`: no answers."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.change: Change | None = None
        self.silent = False
        self.asked: Counter[str] = Counter()
        self.url = ""
        self._server: asyncio.Server | None = None
        self._client: httpx.AsyncClient | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def start(self) -> LyingProxy:
        """Listen on a free port."""
        self._client = httpx.AsyncClient(timeout=10, trust_env=False)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self) -> None:
        """Close the listener and all connections."""
        if self._server is not None:
            self._server.close()
        tasks = [task for task in self._open.values() if task is not None]
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.current_task()
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    name, _, value = line.partition(b":")
                    if name.strip().lower() == b"content-length":
                        length = int(value)
                body = json.loads(await reader.readexactly(length))
                if self.silent:
                    return
                answer = json.dumps(await self._answer(body)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                    + str(len(answer)).encode()
                    + b"\r\n\r\n"
                    + answer
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, httpx.HTTPError):
            return
        finally:
            del self._open[writer]
            writer.close()

    async def _answer(self, body: Any) -> Any:
        if self._client is None:
            raise ConnectionError("not started")
        answer = (await self._client.post(self.target, json=body)).json()
        if isinstance(body, list):
            told = {a.get("id"): a for a in answer}
            return [self._one(question, told[question["id"]]) for question in body]
        return self._one(body, answer)

    def _one(self, question: Any, answer: Any) -> Any:
        self.asked[question["method"]] += 1
        if self.change is not None and "result" in answer:
            answer["result"] = self.change(question["method"], question.get("params"), answer["result"])
        return answer


@contextlib.asynccontextmanager
async def lying_proxy(target: str) -> AsyncIterator[LyingProxy]:
    """A proxy in front of `target` for the time of a test."""
    proxy = await LyingProxy(target).start()
    try:
        yield proxy
    finally:
        await proxy.stop()
