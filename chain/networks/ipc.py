"""One question to a node over its Unix socket, where its administrative calls are."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

_LIMIT = 1 << 20


def ask(path: Path, method: str, params: list[Any], timeout: float = 5.0) -> Any:
    """The answer's result; None when nobody answers or the node refuses."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(timeout)
            channel.connect(str(path))
            channel.sendall(body)
            while len(data) < _LIMIT:
                part = channel.recv(65_536)
                if not part:
                    return None
                data += part
                if data.endswith(b"\n"):
                    answer = json.loads(data)
                    return answer.get("result") if isinstance(answer, dict) else None
    except (OSError, ValueError):
        return None
    return None
