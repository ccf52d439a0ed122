"""Token buckets, one for each organisation, in memory: a limit on noise, not a quota."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ledger_gateway.problems import TooManyRequests

MAX_BUCKETS = 10_000


class RateLimiter:
    """`take(key)` spends one token or raises TooManyRequests with the time until the next one."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def take(self, key: int, cost: float = 1.0) -> None:
        now = self._clock()
        tokens, last = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - last) * self._per_second)
        if tokens < cost:
            self._buckets[key] = (tokens, now)
            raise TooManyRequests(
                "the organisation's request rate is used up",
                retry_after=(cost - tokens) / self._per_second,
            )
        self._buckets[key] = (tokens - cost, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
