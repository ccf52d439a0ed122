"""A ledger founded once for each test module."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.networks.cometbft import CometNetwork
from tests.support.ledger import Ledger, found, run


@pytest.fixture(scope="module")
def ledger(network1: CometNetwork, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Contracts of a fresh development consortium on the one-validator network."""
    home: Path = tmp_path_factory.mktemp("ledger")
    return run(found(network1, home))
