"""`/v1/logs/{id}/tile/…`, `…/checkpoint`: the log's trees for mirrors, in the layout of C2SP tlog-tiles.

Hashes alone: there are no entry bundles (`tile/entries`), because entries are not public. The SM3 tree stands
under `/v1/logs/{id}/sm3/`. Both grow with what was accepted and may run ahead of the newest checkpoint.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from evidence.errors import EvidenceNotFound
from evidence.logs import load_log
from evidence.tiles import ALGORITHMS
from evidence.witnessing import newest_checkpoint
from ledger_gateway.api import deps
from ledger_gateway.api.schemas import problems
from ledger_gateway.api.submissions import UNPROVEN
from ledger_gateway.gateway import Gateway
from protocol.identifiers import parse_hex32
from protocol.tilepath import MAX_LEVEL, TILE_WIDTH, parse_tile_path

router = APIRouter(prefix="/v1/logs/{log_id}", tags=["tiles"])

ERRORS = problems(404, 422, 429, 503)
FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
SHORT = {"cache-control": "no-cache"}
LogId = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Level = Annotated[int, Path(ge=0, le=MAX_LEVEL)]


@router.get("/tile/{level}/{tile:path}", summary="A hash tile of the SHA-256 tree", responses=ERRORS)
async def sha256_tile(log_id: LogId, level: Level, tile: str, gateway: deps.GatewayDep) -> Response:
    """32 bytes for each hash."""
    return await _tile(gateway, log_id, 0, level, tile)


@router.get("/sm3/tile/{level}/{tile:path}", summary="A hash tile of the SM3 tree", responses=ERRORS)
async def sm3_tile(log_id: LogId, level: Level, tile: str, gateway: deps.GatewayDep) -> Response:
    """32 bytes for each hash."""
    return await _tile(gateway, log_id, 1, level, tile)


@router.get("/checkpoint", summary="The newest witnessed checkpoint, SHA-256 tree", responses=ERRORS)
async def sha256_checkpoint(log_id: LogId, gateway: deps.GatewayDep) -> Response:
    """A signed note with all cosignatures known by now."""
    return await _checkpoint(gateway, log_id, 0)


@router.get("/sm3/checkpoint", summary="The newest witnessed checkpoint, SM3 tree", responses=ERRORS)
async def sm3_checkpoint(log_id: LogId, gateway: deps.GatewayDep) -> Response:
    """A signed note with all cosignatures known by now."""
    return await _checkpoint(gateway, log_id, 1)


async def _tile(gateway: Gateway, log_id: str, algorithm: int, level: int, tile: str) -> Response:
    gateway.unproven.take(UNPROVEN)
    index, width = parse_tile_path(tile)
    hashes = await gateway.tiles.get(parse_hex32(log_id, "logId"), (algorithm, level, index), width)
    if hashes is None:
        raise EvidenceNotFound(f"no tile of {ALGORITHMS[algorithm].name} of this width yet", field="tile")
    headers = FOREVER if width == TILE_WIDTH else SHORT
    return Response(hashes, media_type="application/octet-stream", headers=headers)


async def _checkpoint(gateway: Gateway, log_id: str, algorithm: int) -> Response:
    gateway.unproven.take(UNPROVEN)
    async with gateway.base.pool.acquire() as conn:
        log = await load_log(conn, parse_hex32(log_id, "logId"))
        note = await newest_checkpoint(conn, log, algorithm)
    if note is None:
        raise EvidenceNotFound("no checkpoint was witnessed yet", field="logId")
    return Response(note.encode(), media_type="text/plain; charset=utf-8", headers=SHORT)
