"""Check everything that is stored against itself and against the chain.

Every leaf, id, sequence, signature, promise, tile, root, batch, link, proof, cosignature, time token and
stored chunk is computed again from the rows that are facts. Who owns the database can change any row; a
changed leaf no longer gives the root that was sealed and anchored, and that is what this finds: from the
stored batches alone, and from the contract when a chain is given. Reads one snapshot; memory does not grow
with the log. docs/operator/fsck.md says what each code means and what is repaired.
"""

from __future__ import annotations

from evidence import fsck_custody, fsck_repair
from evidence.capturing import Capturer
from evidence.contract import ContractPort
from evidence.errors import RecordDamaged
from evidence.fsck_chain import ChainCheck
from evidence.fsck_content import EVERY_LOG, ContentCheck
from evidence.fsck_log import LogCheck
from evidence.fsck_report import DEFAULT_OPTIONS, Finder, Finding, FsckOptions, FsckReport
from evidence.fsck_tokens import check_material
from evidence.logs import LogContext, load_logs
from evidence.tiles import extend
from protocol.errors import CaseledgerError
from storage.db import AnyConnection, Pool

__all__ = ["Finding", "FsckOptions", "FsckReport", "rebuild_tiles", "run"]

MOST_ROUNDS = 8
"""Repairs, each followed by a check: one report names at most a thousand findings."""


async def run(
    pool: Pool,
    contract: ContractPort | None = None,
    options: FsckOptions = DEFAULT_OPTIONS,
    owner: AnyConnection | None = None,
) -> FsckReport:
    """Check the logs; with `contract`, against the chain as well. With `options.rebuild` the tiles are made
    anew before; with `owner`, a connection of the tables' owner, what else is derived is repaired and
    everything checked again.

    Raises:
        RepairRefused, and what database and nodes raise
    """
    if options.rebuild:
        async with pool.acquire() as conn:
            for log in await _logs(conn, options):
                await rebuild_tiles(conn, log.log_no)
                await fsck_custody.rebuild(conn, log, options.vault)
    report = await _check(pool, contract, options)
    first = report.findings
    for _ in range(MOST_ROUNDS):
        wrong = fsck_repair.fixable(report.findings) if options.rebuild and owner is not None else []
        if not wrong or owner is None:
            break
        await fsck_repair.apply(owner, wrong)
        if any(fix.table == "batch_proof" for one in wrong for fix in one.fixes):
            await _capture(pool, options)
        again = await _check(pool, contract, options)
        stuck = len(again.findings) >= len(report.findings) and not report.more
        report = again
        if stuck:
            break
    report.repaired = [one for one in first if one not in report.findings]
    return report


async def _logs(conn: AnyConnection, options: FsckOptions) -> list[LogContext]:
    return [log for log in await load_logs(conn) if options.logs is None or log.log_id in options.logs]


async def _check(pool: Pool, contract: ContractPort | None, options: FsckOptions) -> FsckReport:
    """One pass."""
    report = FsckReport(
        chain_compared=contract is not None, promises_verified=bool(options.log_keys), rebuilt=options.rebuild
    )
    content = ContentCheck(report, options.blobs, options.statements)
    try:
        async with pool.acquire() as conn:
            checks: list[LogCheck] = []
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                await check_material(conn, Finder(report, EVERY_LOG))
                for log in await _logs(conn, options):
                    report.logs += 1
                    checks.append(LogCheck(conn, log, report, options, content))
                    await checks[-1].run()
            for one in checks if contract is not None else ():
                assert contract is not None  # noqa: S101 - for the type checker
                chain = ChainCheck(conn, one.log, contract, one.find, one.roots, one.size, options.vault)
                await chain.run()
        if options.logs is None and options.vault is not None:
            content.finish()
    finally:
        content.close()
    return report


async def _capture(pool: Pool, options: FsckOptions) -> None:
    """Capture again what was dropped; what fails is captured by the worker later, and shown as pending."""
    if options.proofs is None:
        return
    async with pool.acquire() as conn:
        logs = await _logs(conn, options)
    for log in logs:
        capturer = Capturer(pool, log, options.proofs)
        try:
            while await capturer.run_once():
                pass
        except CaseledgerError:
            continue


async def rebuild_tiles(conn: AnyConnection, log_no: int) -> None:
    """Drop a log's tiles and make them again from its entries. Nothing else is derived."""
    async with conn.transaction():
        await conn.fetchval("SELECT 1 FROM evidence.tile_state WHERE log_no = $1 FOR UPDATE", log_no)
        await conn.execute("DELETE FROM evidence.tile WHERE log_no = $1", log_no)
        await conn.execute("UPDATE evidence.tile_state SET tiled_size = 0 WHERE log_no = $1", log_no)
    size = await conn.fetchval(
        "SELECT coalesce(max(leaf_index) + 1, 0) FROM evidence.entry WHERE log_no = $1", log_no
    )
    try:
        await extend(conn, log_no, size)
    except RecordDamaged:
        return  # leaves are missing; the check that follows says which
