"""Many JSON-RPC requests in one message, over one connection to a node on this machine."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit


class NodeRefused(Exception):
    """The node answered with an error."""


class Wire:
    """A kept connection. Not for nodes of others: answers are taken as they come."""

    def __init__(self, url: str, timeout: float = 300.0) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)

    def call(self, method: str, *params: Any) -> Any:
        """One request."""
        return self.many([(method, params)])[0]

    def many(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results in order; raises NodeRefused at the first that failed."""
        body = json.dumps(
            [
                {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
                for number, (method, params) in enumerate(requests)
            ]
        )
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answers = json.loads(self._connection.getresponse().read())
        found: list[Any] = [None] * len(requests)
        for answer in answers:
            if "error" in answer:
                raise NodeRefused(f"{requests[answer['id']][0]}: {answer['error']}")
            found[answer["id"]] = answer["result"]
        return found

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
