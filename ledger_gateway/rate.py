"""Token buckets, one for each organisation, in memory: a limit on noise, not a quota."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ledger_gateway.problems import TooManyRequests

MAX_BUCKETS = 10_000


class RateLimiter:
    """`per_second` requests in the long run, `burst` at once, for each key.

    `check` looks, `charge` spends: a request is charged to whom it has proved to come from, which is known
    only after its signature was checked.
    """

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def _level(self, key: int, now: float) -> float:
        held = self._buckets.get(key)
        if held is None:
            return self._burst
        return min(self._burst, held[0] + (now - held[1]) * self._per_second)

    def check(self, key: int) -> None:
        """Raises TooManyRequests when nothing is left, with the time until something is."""
        if key in self._buckets:
            level = self._level(key, self._clock())
            if level < 1.0:
                raise TooManyRequests(
                    "the request rate is used up", retry_after=(1.0 - level) / self._per_second
                )

    def charge(self, key: int, cost: float = 1.0) -> None:
        """Spends; the level may fall below zero by what was under way at once."""
        now = self._clock()
        self._buckets[key] = (self._level(key, now) - cost, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)

    def take(self, key: int) -> None:
        """`check` and `charge` of one."""
        self.check(key)
        self.charge(key)
