"""Accept over HTTP with 64 connections, single and bulk, beside the bare framework route (see `http.py`)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import http
from benchmarks.ledger import running
from benchmarks.rows import Beside, Figure, Options, Reach, Row
from protocol.i18n import Text

_BARE = Text("框架空路由，同样的请求体", "bare framework route, the same bodies")


def rows(options: Options) -> Iterator[Row]:
    """Bulk, then single."""
    with running(options.folder, 1) as ledger:
        ledger.must_refuse_forgery()
        found = http.run(ledger.home, singles=options.pick(20_000, 5_000), bulks=options.pick(300, 100))
    by_name = {row.name: row for row in found}
    bulk, single = by_name["HTTP bulk"], by_name["HTTP single"]
    yield Row(
        "http-bulk",
        Text(
            f"HTTP 成批接收：{http.CONNECTIONS} 连接，每请求 {http.BULK_LEAVES} 条",
            f"HTTP bulk: {http.CONNECTIONS} connections, {http.BULK_LEAVES} leaves a request",
        ),
        Figure(bulk.leaves_per_second, "leaves/s"),
        Reach(">=", Figure(30_000, "leaves/s")),
        (Beside(_BARE, Figure(by_name["bare framework route, bulk"].leaves_per_second, "leaves/s")),),
        Text(
            f"等待 p50 {bulk.p50_ms:.0f} ms、p99 {bulk.p99_ms:.0f} ms；客户端、网关、数据库与节点同在本机。",
            f"wait p50 {bulk.p50_ms:.0f} ms, p99 {bulk.p99_ms:.0f} ms; client, gateway, database and node "
            "share the machine.",
        ),
        bulk.as_json(),
    )
    yield Row(
        "http-single",
        Text(f"HTTP 单条接收：{http.CONNECTIONS} 连接", f"HTTP single: {http.CONNECTIONS} connections"),
        Figure(single.leaves_per_second, "leaves/s"),
        Reach(">=", Figure(4_000, "leaves/s")),
        (Beside(_BARE, Figure(by_name["bare framework route, single"].requests_per_second, "leaves/s")),),
        Text(
            f"每条一个签名；等待 p50 {single.p50_ms:.0f} ms、p99 {single.p99_ms:.0f} ms；"
            f"其间 {single.refused} 个伪造签名被拒。",
            f"a signature a leaf; wait p50 {single.p50_ms:.0f} ms, p99 {single.p99_ms:.0f} ms; "
            f"{single.refused} forged signatures meanwhile were refused.",
        ),
        single.as_json(),
    )
