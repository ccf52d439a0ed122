"""Prometheus metrics of one process, in a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What a gateway counts. Labels are routes and codes: a bounded set, nothing about a person."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "caseledger_http_requests_total", "Requests by route and status.",
            ["route", "status"], registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "caseledger_http_request_seconds", "Time to the answer.",
            ["route"], buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.refusals = Counter(
            "caseledger_refusals_total", "Refused requests by code.", ["code"], registry=self.registry
        )
        self.accepted = Counter(
            "caseledger_leaves_accepted_total", "Leaves accepted.", registry=self.registry
        )
        self.gauges: dict[str, Gauge] = {}
        self._children: dict[tuple[str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Counts one answer; label children are cached because looking them up costs more than counting."""
        child = self._children.get((route, status))
        if child is None:
            child = self._children[route, status] = self.requests.labels(route, str(status))
        child.inc()
        timer = self._timers.get(route)
        if timer is None:
            timer = self._timers[route] = self.seconds.labels(route)
        timer.observe(seconds)

    def set(self, name: str, value: float, documentation: str = "") -> None:
        """Sets the gauge `caseledger_<name>`."""
        gauge = self.gauges.get(name)
        if gauge is None:
            gauge = Gauge(f"caseledger_{name}", documentation or name, registry=self.registry)
            self.gauges[name] = gauge
        gauge.set(value)

    def table(
        self, name: str, label: Sequence[str], values: Mapping[tuple[str, ...], float], documentation: str
    ) -> None:
        """Sets the labelled gauge `caseledger_<name>` to exactly these values; what is gone disappears."""
        gauge = self.gauges.get(name)
        if gauge is None:
            gauge = Gauge(f"caseledger_{name}", documentation, label, registry=self.registry)
            self.gauges[name] = gauge
        gauge.clear()
        for labels, value in values.items():
            gauge.labels(*labels).set(value)

    def render(self) -> bytes:
        return generate_latest(self.registry)
