"""Short questions to a node on loopback, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from pathlib import Path
from typing import Any

from chain.networks.state import Json


def get(port: int, path: str, timeout: float = 3.0) -> Json | None:
    return http_json(port, "GET", path, None, timeout)


def post(port: int, method: str, params: list[Any], timeout: float = 3.0) -> Json | None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    answer = http_json(port, "POST", "/", body, timeout)
    return answer if answer is not None and "result" in answer else None


def http_json(port: int, verb: str, path: str, body: str | None, timeout: float) -> Json | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(verb, path, body, {"Content-Type": "application/json"} if body else {})
        answer = json.loads(connection.getresponse().read(1 << 24))
        return answer if isinstance(answer, dict) else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def disk_usage(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total


def memory_usage(pid: int) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None
