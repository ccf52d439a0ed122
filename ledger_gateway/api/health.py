"""`/healthz`, `/readyz`, `/metrics`, `/v1/status`."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import asyncpg
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from cases import carrying_repository
from cases.keeping_repository import report
from evidence.service import StatusReport
from ledger_gateway.api import deps
from ledger_gateway.gateway import Gateway, readiness
from ledger_gateway.metrics import CONTENT_TYPE, Metrics
from protocol.errors import CaseledgerError
from storage.db import TRANSIENT

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="The process answers")
async def healthz() -> dict[str, bool]:
    """Nothing is looked at: a supervisor must not restart a gateway because the chain stands still."""
    return {"alive": True}


@router.get("/readyz", summary="The chain's head moves and the database writes", responses={503: {}})
async def readyz(gateway: deps.GatewayDep) -> JSONResponse:
    """503 with the code of what is missing. Accepting goes on while only the chain is missing."""
    state = await readiness(gateway)
    return JSONResponse(state.as_json(), status_code=200 if state.ready else 503)


@router.get("/v1/status", summary="What the log is doing")
async def status(gateway: deps.GatewayDep) -> dict[str, Any]:
    """Sizes, batches, troubles by code, nodes; no names, no digests."""
    evidence = await gateway.service.status()
    registry = gateway.base.chain.registry
    intake, custody = gateway.acceptor.metrics, gateway.custody
    return {
        "readiness": (await readiness(gateway)).as_json(),
        "evidence": evidence.as_json(),
        "intake": {
            "queuedLeaves": intake.queued_leaves,
            "acceptedLeaves": intake.accepted_leaves,
            "trouble": intake.trouble,
        },
        "custody": None
        if custody is None
        else {
            "queuedLeaves": custody.acceptor.metrics.queued_leaves,
            "acceptedLeaves": custody.acceptor.metrics.accepted_leaves,
            "trouble": custody.acceptor.metrics.trouble,
            "recordsOwn": custody.recorder is not None,
        },
        "keeper": await keeper_of(gateway),
        "caseActs": await case_acts_of(gateway),
        "registry": {"block": registry.snapshot.block, "source": registry.snapshot.source},
        "nodes": [
            {
                "kind": node.kind,
                "usable": node.usable,
                "reason": node.reason.value if node.reason else None,
                "head": node.head,
                "headAge": None if node.head_time is None else round(time.time() - node.head_time, 1),
            }
            for node in gateway.base.chain.rpc.health()
        ],
    }


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(gateway: deps.GatewayDep) -> Response:
    """Bounded labels; nothing about a person or a document."""
    gauges, intake = gateway.metrics, gateway.acceptor.metrics
    gauges.set("intake_queued_leaves", intake.queued_leaves, "Leaves that wait for their commit.")
    gauges.set("intake_queued_bytes", intake.queued_bytes, "Bytes that wait for their commit.")
    gauges.set("intake_trouble", float(intake.trouble is not None), "1 while nothing can be accepted.")
    if gateway.custody is not None:
        events = gateway.custody.acceptor.metrics
        gauges.set("custody_queued_leaves", events.queued_leaves, "Custody events that wait.")
        trouble = float(events.trouble is not None)
        gauges.set("custody_trouble", trouble, "1 while no custody event can be accepted.")
    gauges.set("registry_age_seconds", min(gateway.base.chain.registry.age, 1e9), "Since last confirmed.")
    heads = [n.head for n in gateway.base.chain.rpc.health() if n.head is not None]
    gauges.set("chain_head", max(heads, default=0), "Newest block seen.")
    gauges.set("ready", float((await readiness(gateway)).ready), "1 while ready.")
    if (keeper := await keeper_of(gateway)) is not None:
        _keeping(gauges, keeper)
    if (acts := await case_acts_of(gateway)) is not None:
        gauges.set("case_acts_waiting", acts["waiting"], "Accepted acts that no transaction has yet.")
        gauges.set("case_acts_oldest_seconds", acts["oldestSeconds"], "Age of the oldest of them.")
        gauges.set("case_acts_under_way", acts["underWay"], "Acts in transactions whose fate is not known.")
    with contextlib.suppress(CaseledgerError):
        _logs(gauges, await gateway.service.status())
    with contextlib.suppress(CaseledgerError, OSError):
        gauges.table(
            "records_renew_before_seconds",
            ["log"],
            {(origin,): float(end) for origin, end in (await gateway.records.ends()).items()},
            "Unix time at which the first evidence record's time stamp ends; the worker renews before.",
        )
    return Response(gauges.render(), media_type=CONTENT_TYPE)


def _logs(gauges: Metrics, status: StatusReport) -> None:
    """What fails now, and how far witnesses and time authorities are behind the anchored head."""
    gauges.table(
        "trouble",
        ["log", "step", "code"],
        {(log.origin, one["step"], one["code"]): 1.0 for log in status.logs for one in log.troubles},
        "1 for each step that fails now.",
    )
    gauges.table(
        "authority_renew_before_seconds",
        ["log", "authority", "tree"],
        {
            (log.origin, one["authority"], one["algorithm"]): float(one["renewBefore"])
            for log in status.logs
            for one in log.stamped
        },
        "Unix time at which the certificate under a time authority's tokens ends; renew before.",
    )
    for name, kind, documentation in (
        ("witness_behind_leaves", "witness", "Anchored leaves that a witness has not cosigned yet."),
        (
            "authority_behind_leaves",
            "authority",
            "Anchored leaves that a time authority has not stamped yet.",
        ),
    ):
        gauges.table(
            name,
            ["log", kind, "tree"],
            {
                (log.origin, one[kind], one["algorithm"]): float(log.anchored - one["size"])
                for log in status.logs
                for one in (log.witnessed if kind == "witness" else log.stamped)
            },
            documentation,
        )


async def keeper_of(gateway: Gateway) -> dict[str, Any] | None:
    """The loop over cases: reminders, marks, lapses. None where there are no cases, or nobody can tell."""
    if gateway.cases is None:
        return None
    try:
        found = await report(gateway.base.pool)
    except (*TRANSIENT, asyncpg.PostgresError):
        return None
    heads = [node.head_time for node in gateway.base.chain.rpc.health() if node.head_time is not None]
    now = int(max(heads)) if heads else found.time
    return {
        "lookedAt": found.looked_at,
        "block": found.block,
        "time": found.time,
        "behindSeconds": None if found.time is None or now is None else max(0, now - found.time),
        "lateSeconds": 0 if now is None else found.late(now),
        "trouble": found.code,
        "changedCases": found.to_look_at,
        "sending": found.sending,
        "givenUp": found.given_up,
    }


async def case_acts_of(gateway: Gateway) -> dict[str, Any] | None:
    """Acts on their way to the chain. None where there are no cases, or nobody can tell."""
    if gateway.cases is None:
        return None
    try:
        found = await carrying_repository.report(gateway.base.pool)
    except (*TRANSIENT, asyncpg.PostgresError):
        return None
    age = 0 if found.oldest is None else max(0, int(time.time()) - found.oldest)
    return {"waiting": found.waiting, "oldestSeconds": age, "underWay": found.under_way}


def _keeping(gauges: Metrics, keeper: dict[str, Any]) -> None:
    if keeper["lookedAt"] is not None:
        gauges.set("keeper_round_unix_seconds", keeper["lookedAt"], "When the keeper's last round ended.")
    if keeper["behindSeconds"] is not None:
        gauges.set("keeper_behind_seconds", keeper["behindSeconds"], "Chain head against the keeper's block.")
    gauges.set("keeper_late_seconds", keeper["lateSeconds"], "Age of the oldest thing due and not done.")
    gauges.set("keeper_trouble", float(keeper["trouble"] is not None), "1 while the keeper's rounds fail.")
    gauges.set("keeper_changed_cases", keeper["changedCases"], "Cases that the keeper has to look at again.")
    gauges.set("keeper_sending", keeper["sending"], "Marks and lapses on their way.")
    gauges.set("keeper_given_up", keeper["givenUp"], "Marks and lapses that were refused too often.")
