"""What a mirror answers: its tiles in the gateway's layout, inclusion paths, anchors, and how far it is.

Public facts alone; nothing here needs the gateway or a node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from monitor.errors import OriginUnknown, WitnessRequestMalformed
from monitor.mirror import Mirror
from protocol.errors import CaseledgerError
from protocol.tilepath import MAX_LEVEL, parse_tile_path

Message = MutableMapping[str, Any]
_PATH = re.compile(r"/v1/logs/([0-9a-f]{64})/(.+)")
_TILE = re.compile(r"(sm3/)?tile/([0-9]{1,2})/(.+)")
CONCURRENT = 64


class MirrorApp:
    """ASGI application over the logs that are mirrored."""

    def __init__(self, mirrors: Sequence[Mirror]) -> None:
        self._mirrors = {one.log_id.hex(): one for one in mirrors}

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        try:
            if scope["method"] != "GET":
                raise OriginUnknown("only GET", field="method")
            body, kind = self._get(scope["path"], dict(parse_qsl(scope["query_string"].decode("latin-1"))))
            status = 200
        except CaseledgerError as error:
            body, kind = json.dumps(error.as_dict()).encode(), "application/problem+json"
            status = error.http_status
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _get(self, path: str, query: dict[str, str]) -> tuple[bytes, str]:
        if path == "/status":
            return _json({"logs": [one.describe() for one in self._mirrors.values()]})
        found = _PATH.fullmatch(path)
        mirror = self._mirrors.get(found[1]) if found else None
        if found is None or mirror is None:
            raise OriginUnknown("nothing here", field="path")
        if found[2] == "inclusion":
            return _json(self._inclusion(mirror, query))
        tile = _TILE.fullmatch(found[2])
        if tile is None or int(tile[2]) > MAX_LEVEL:
            raise OriginUnknown("nothing here", field="path")
        index, width = parse_tile_path(tile[3])
        data = mirror.store.tile(1 if tile[1] else 0, int(tile[2]), index, width)
        if data is None:
            raise OriginUnknown("no such tile yet", field="tile")
        return data, "application/octet-stream"

    @staticmethod
    def _inclusion(mirror: Mirror, query: dict[str, str]) -> dict[str, Any]:
        """Both paths of leaf `index` in the tree of `size` leaves, by default the mirror's."""
        store = mirror.store
        index, size = _number(query, "index"), _number(query, "size", store.kept.size)
        if not index < size <= store.kept.size:
            raise WitnessRequestMalformed(f"index < size <= {store.kept.size} is expected", field="index")
        return {
            "index": index,
            "size": size,
            "sha256": [one.hex() for one in store.inclusion(0, index, size)],
            "sm3": [one.hex() for one in store.inclusion(1, index, size)],
        }


def _json(value: Any) -> tuple[bytes, str]:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n", "application/json"


def _number(query: dict[str, str], name: str, default: int | None = None) -> int:
    text = query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise WitnessRequestMalformed(f"{name}: a number is expected", field=name)
    return int(text)
