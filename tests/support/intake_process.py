"""The intake as a process of its own, over a registry that knows the keys of a test.

Arguments: home, port, then `organisation=address` for each auth key.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from intake_server.app import Pace
from intake_server.serve import serve_with
from intake_server.settings import read_settings
from ledger_gateway import logs
from ledger_gateway.auth import Authenticator
from protocol.acts import Domain, Purpose
from protocol.keyslot import KeySlot, KeyState

DOMAIN = Domain(7, b"\x11" * 20)
FOREVER = 2**40 - 1
IDLE = 5.0
"""Seconds of silence that this process bears."""


def main(home: Path, port: int, known: list[str]) -> None:
    slots = {}
    for pair in known:
        organisation, _, address = pair.partition("=")
        slots[bytes.fromhex(address)] = KeySlot(
            int(organisation), Purpose.AUTH, 0, FOREVER, 0, KeyState.ACTIVE
        )
    settings = read_settings(home, "127.0.0.1", port)
    logs.configure()
    login = Authenticator(audience=settings.audience, domain=DOMAIN, keys=slots.get, clock=time.time)
    pace = Pace(idle=IDLE, grace=20.0, rate=4096.0)
    asyncio.run(serve_with(settings, login, lambda: print("ready", flush=True), pace))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
