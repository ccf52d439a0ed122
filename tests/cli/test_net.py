"""`caseledger net`: what a person types and reads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from chain.networks.cometbft import CometNetwork
from chain.networks.errors import NetworkMissing
from cli import net


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lang", default=None)
    net.add_parser(parser.add_subparsers(dest="command"), "help")
    return net.run(parser.parse_args(words))


@pytest.mark.chain
def test_up_status_kill_restart_down_reset(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--home", str(home)]
    with pytest.raises(NetworkMissing):
        _run("net", "status", *where)
    assert _run("net", "up", "--validators", "1", *where) == 0
    assert "网络已启动" in capsys.readouterr().out
    assert _run("net", "status", *where) == 0
    table = capsys.readouterr().out
    assert "归档" in table
    assert "银行业协会" in table
    assert _run("--lang", "en", "net", "status", *where) == 0
    assert "bank association" in capsys.readouterr().out
    assert _run("net", "kill", "1", *where) == 0
    capsys.readouterr()
    assert _run("net", "status", "--json", *where) == net.EXIT_DOWN
    told = json.loads(capsys.readouterr().out)
    assert told["running"] == 0
    assert told["moving"] is False
    assert _run("net", "restart", "1", *where) == 0
    assert _run("net", "status", "--json", *where) == 0
    assert _run("net", "down", *where) == 0
    assert _run("net", "reset", *where) == 1  # asks, and nobody answers
    assert CometNetwork.load(home)
    assert _run("net", "reset", "--yes", *where) == 0
    with pytest.raises(NetworkMissing):
        CometNetwork.load(home)


@pytest.mark.parametrize("words", [["net"], ["net", "kill"], ["net", "kill", "x"], ["net", "fly"]])
def test_wrong_usage_is_code_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _run(*words)
    assert caught.value.code == 2
