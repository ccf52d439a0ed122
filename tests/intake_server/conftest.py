"""One intake process, and for each test a bank of its own; tests may kill the process and start it again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.keys import KeyLabel, Secp256k1Key, new_key
from agent.login import LoginTokens
from tests.support.intake_process import DOMAIN

OTHER_BANK, STRANGER, CENTRE = 8, 9, 12
BANKS = range(100, 140)
TUS = {"Tus-Resumable": "1.0.0"}


class IntakeProcess:
    """The process, and how its callers log in."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys: dict[int, Secp256k1Key] = {}
        for organisation in (OTHER_BANK, STRANGER, *BANKS):
            key = new_key("secp256k1", KeyLabel(f"auth-{organisation}", "auth", organisation))
            assert isinstance(key, Secp256k1Key)
            self.keys[organisation] = key
        self.recipient = X25519PrivateKey.generate()
        pins = home / "agent"
        pins.mkdir(parents=True)
        public = self.recipient.public_key().public_bytes_raw().hex()
        (pins / "hpke-pins.json").write_text(json.dumps({str(CENTRE): public}))
        (home / "caseledger.toml").write_text(
            f"[agent]\nintake_to = [{CENTRE}]\n[intake]\norganisations = {[OTHER_BANK, *BANKS]}\n"
            "max_file = 20000000\nmax_uploads = 3\n"
        )
        self.bank = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        known = [f"{number}={key.address.hex()}" for number, key in self.keys.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.intake_process", str(self.home), str(self.port), *known],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        for _ in range(3000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("nobody listens")

    def kill(self, how: int = signal.SIGKILL) -> None:
        if self._process is not None:
            os.kill(self._process.pid, how)
            self._process.wait(60)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def client(self, organisation: int | None = None) -> httpx.Client:
        """Speaks for an organisation; for the bank of this test where none is named."""
        number = organisation or self.bank
        tokens = LoginTokens(self.keys[number], number, DOMAIN, time.time)
        headers = {"authorization": "Bearer " + tokens.token(self.url), **TUS}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IntakeProcess]:
    process = IntakeProcess(tmp_path_factory.mktemp("intake"))
    process.start()
    yield process
    process.kill(signal.SIGTERM)


@pytest.fixture
def intake(running: IntakeProcess, banks: Iterator[int]) -> IntakeProcess:
    running.bank = next(banks)
    return running


@pytest.fixture(scope="module")
def banks() -> Iterator[int]:
    return iter(BANKS)
