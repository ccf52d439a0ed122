"""Waiting for a gateway that does not answer, or says that it is busy: growing pauses for a limited time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from agent.errors import GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable, LogNotTrusted

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0

GatewayFault = GatewayUnreachable | GatewayRefused | LogNotTrusted | GatewayAnswerInvalid
_T = TypeVar("_T")
_jitter = random.SystemRandom()


def temporary(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, GatewayUnreachable) or (isinstance(error, GatewayRefused) and error.temporary)


class Patience:
    """One wait of `seconds`; used once."""

    def __init__(self, seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._give_up = clock() + seconds
        self._pause = FIRST_PAUSE

    @property
    def over(self) -> bool:
        return self._clock() >= self._give_up

    def pause(self, error: Exception) -> None:
        """Wait a little longer than before, or as long as the gateway asks for."""
        asked = error.retry_after if isinstance(error, GatewayRefused) else None
        # Full jitter: many agents that were refused at the same moment must not return at the same one.
        self._sleep(max(asked or 0.0, self._pause * (0.5 + _jitter.random() / 2)))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)


class Storage(Protocol):
    """The part of a gateway's client that storing content uses."""

    def has_chunk(self, cid: str) -> bool: ...
    def put_chunk(self, cid: str, data: bytes) -> None: ...
    def organisations(self) -> list[dict[str, Any]]: ...


class PatientStorage:
    """The same, waiting out faults that are temporary; each request for itself."""

    def __init__(
        self,
        gateway: Storage,
        seconds: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._gateway = gateway
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep

    def has_chunk(self, cid: str) -> bool:
        """Raises what the client raises, once the patience is over."""
        return self._until(lambda: self._gateway.has_chunk(cid))

    def put_chunk(self, cid: str, data: bytes) -> None:
        """Raises what the client raises, once the patience is over."""
        self._until(lambda: self._gateway.put_chunk(cid, data))

    def organisations(self) -> list[Mapping[str, Any]]:
        """Raises what the client raises, once the patience is over."""
        return list(self._until(self._gateway.organisations))

    def _until(self, ask: Callable[[], _T]) -> _T:
        patience = Patience(self._seconds, self._clock, self._sleep)
        while True:
            try:
                return ask()
            except (GatewayUnreachable, GatewayRefused) as error:
                if not temporary(error) or patience.over:
                    raise
                patience.pause(error)
