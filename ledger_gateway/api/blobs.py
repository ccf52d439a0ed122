"""`/v1/blobs/{cid}`: ciphertext chunks by address, which is their digest; so PUT repeats."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from ledger_gateway.api import deps
from ledger_gateway.api.schemas import problems
from ledger_gateway.edge import read_body
from ledger_gateway.gateway import Gateway
from ledger_gateway.problems import InvalidRequest, NotFound
from protocol.blob import digest_of_cid
from protocol.hashing import sha256

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])
CHUNK = "application/octet-stream"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {"requestBody": {"required": True, "content": {CHUNK: _BINARY}}}


@router.put(
    "/{cid}",
    status_code=201,
    summary="Store one encrypted chunk under its CIDv1",
    responses={200: {"description": "was there already"}, **problems(401, 413, 422, 429, 503)},
    openapi_extra=_BODY,
)
async def put_chunk(cid: str, request: Request, gateway: deps.GatewayDep, viewer: deps.ViewerDep) -> Response:
    """Repeating is harmless. The chunk must hash to the address."""
    digest = digest_of_cid(cid)
    limits = gateway.settings
    data = await read_body(request.scope, request.receive, limits.max_blob_bytes, limits.body_timeout)
    if sha256(data) != digest:
        raise InvalidRequest("the body does not have this address", field="cid", hint="hash the ciphertext")
    if await run_in_threadpool(gateway.blobs.has, cid):
        return Response(status_code=200)
    await run_in_threadpool(gateway.blobs.put, cid, data)
    return Response(status_code=201)


@router.get(
    "/{cid}",
    summary="Fetch one encrypted chunk",
    responses={200: {"content": {CHUNK: {}}}, **problems(401, 404, 422, 429)},
)
async def get_chunk(cid: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep) -> Response:
    """Anybody logged in who knows the address; only recipients can decrypt."""
    await _require(cid, gateway)
    data = await run_in_threadpool(gateway.blobs.get, cid)
    return Response(data, media_type=CHUNK, headers={"etag": f'"{cid}"'})


@router.head("/{cid}", summary="Whether a chunk is there", responses=problems(401, 404, 422, 429))
async def has_chunk(cid: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep) -> Response:
    """200 or 404."""
    await _require(cid, gateway)
    return Response(status_code=200, headers={"etag": f'"{cid}"'})


async def _require(cid: str, gateway: Gateway) -> None:
    digest_of_cid(cid)
    if not await run_in_threadpool(gateway.blobs.has, cid):
        raise NotFound("no chunk with this address", field="cid")
