"""One JSON-RPC request to one node over HTTP, within limits of time, size and nesting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx

from chain.rpc.answers import result_of
from chain.rpc.nodes import Lie, Node, RpcRefused, RpcSettings, TransportFault
from protocol.expect import MAX_NESTING, nesting


class Transport:
    """Connections to all nodes of a pool. Belongs to one event loop."""

    def __init__(self, settings: RpcSettings) -> None:
        self._settings = settings
        self._http: httpx.AsyncClient | None = None
        self._number = 0

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def one(self, node: Node, method: str, params: Any, seconds: float | None = None) -> Any:
        """The result. Raises RpcRefused, TransportFault."""
        self._number += 1
        body = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        return result_of(await self._post(node, body, seconds or self._settings.timeout))

    async def many(self, node: Node, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any | RpcRefused]:
        """Results in the order of the requests, a refusal in its place. Raises TransportFault."""
        first = self._number + 1
        self._number += len(requests)
        answers = await self._post(
            node,
            [
                {"jsonrpc": "2.0", "id": first + i, "method": method, "params": list(params)}
                for i, (method, params) in enumerate(requests)
            ],
            self._settings.timeout,
        )
        listed = answers if isinstance(answers, list) else []
        by_id = {answer.get("id"): answer for answer in listed if isinstance(answer, dict)}
        out: list[Any | RpcRefused] = []
        for i in range(len(requests)):
            try:
                out.append(result_of(by_id.get(first + i)))
            except RpcRefused as error:
                out.append(error)
        return out

    async def _post(self, node: Node, body: Any, seconds: float) -> Any:
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(self._settings.timeout, connect=self._settings.connect_timeout),
                limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
                follow_redirects=False,
                trust_env=False,
            )
        content = bytearray()
        try:
            async with asyncio.timeout(seconds):
                async with self._http.stream("POST", node.url, json=body) as response:
                    if response.status_code >= 500 and node.kind == "evm":
                        raise TransportFault(Lie.UNAVAILABLE)
                    if response.status_code in (401, 403, 404, 407, 429):
                        raise TransportFault(Lie.UNAVAILABLE)
                    async for chunk in response.aiter_bytes():
                        content += chunk
                        if len(content) > self._settings.max_answer:
                            raise TransportFault(Lie.TOO_LARGE)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError):
            raise TransportFault(Lie.UNAVAILABLE) from None
        if nesting(bytes(content)) > MAX_NESTING:
            raise TransportFault(Lie.MALFORMED)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise TransportFault(Lie.MALFORMED) from None
