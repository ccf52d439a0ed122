"""Commands around a home that holds nothing: a code, a hint, never a traceback, nothing half done."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from cli import local, samples
from cli.demo import changed
from cli.isolated import Isolation, NetworkNotOff, available
from cli.stack import ServiceState, Stack, StackState
from tests.support.stack import ROOT, environment


def run(home: Path, *arguments: str, lang: str = "en") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env={**environment(), "CASELEDGER_HOME": str(home), "CASELEDGER_LANG": lang},
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["evidence", "list"], "KeyNotFound", 1),
        (["evidence", "add", "x", "--case", "c", "--class", "contract"], "KeyNotFound", 1),
        (["gateway"], "DeploymentMissing", 1),
        (["worker"], "DeploymentMissing", 1),
        (["up", "--validators", "9"], "NetworkSettingRefused", 1),
    ],
)
def test_empty_home_is_said_by_code(tmp_path: Path, arguments: list[str], code: str, exit_code: int) -> None:
    done = run(tmp_path / "home", *arguments)
    assert done.returncode == exit_code, done.stderr
    assert code in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home" / "pg").exists()


def test_status_of_nothing_is_down_and_json_says_so(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "status", "--json")
    state = json.loads(done.stdout)
    assert done.returncode == 3
    assert (state["healthy"], state["database"], state["validators"]) == (False, False, 0)


@pytest.mark.parametrize(("lang", "words"), [("zh", ["见证", "时间戳"]), ("en", ["witness", "time"])])
def test_status_names_every_kind_of_service(
    lang: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("gateway", "worker", "witness:court", "time:time-a")
    services = tuple(ServiceState(name, 1, True, True) for name in names)
    state = StackState("h", True, 4, 4, True, "http://127.0.0.1:1", services, None)
    local._print(Namespace(lang=lang), state)
    told = capsys.readouterr().out
    assert all(word in told for word in (*words, "court", "time-a"))


def test_down_of_nothing_is_no_error(tmp_path: Path) -> None:
    assert run(tmp_path / "home", "down").returncode == 0


def test_reset_without_yes_deletes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "keep").write_text("x")
    done = run(home, "reset")
    assert done.returncode == 1
    assert (home / "keep").exists()


@pytest.mark.parametrize(("lang", "word"), [("zh", "数据库"), ("en", "database")])
def test_people_are_answered_in_their_language(tmp_path: Path, lang: str, word: str) -> None:
    assert word in run(tmp_path / "home", "status", lang=lang).stdout


def test_usage_error_exits_with_two(tmp_path: Path) -> None:
    assert run(tmp_path, "evidence", "add").returncode == 2


def test_configured_port_moves_when_somebody_else_took_it(tmp_path: Path) -> None:
    import socket

    stack = Stack(tmp_path)
    port = stack._configure("")
    assert stack._configure("") == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        moved = stack._configure("")
    assert moved != port
    text = (tmp_path / "caseledger.toml").read_text()
    assert f"port = {moved}" in text
    assert f"127.0.0.1:{moved}" in text
    assert str(port) not in text


# networking off


def test_isolated_command_has_no_network_and_runs(tmp_path: Path) -> None:
    isolation = available()
    assert isolation.run(["--help"], tmp_path).code == 0


def test_probe_would_notice_a_network_that_is_on() -> None:
    from cli.isolated import _PROBE

    done = subprocess.run([sys.executable, "-c", _PROBE], timeout=30, check=False)
    assert done.returncode == 1


def test_without_unshare_and_strace_the_demo_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NetworkNotOff):
        available()


def test_isolation_names_the_way_that_was_used() -> None:
    assert isinstance(available(), Isolation)
    assert available().name in ("unshare", "strace")


# samples


def test_samples_are_whole_files_without_a_persons_data(tmp_path: Path) -> None:
    made = samples.write(tmp_path)
    assert len(made) == 6
    for files in made.values():
        for path in files:
            data = path.read_bytes()
            assert data
            if path.suffix == ".pdf":
                start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
                assert data[start : start + 4] == b"xref"
                for number, offset in enumerate(re.findall(rb"(\d{10}) 00000 n", data), start=1):
                    assert data[int(offset) :].startswith(b"%d 0 obj" % number)
            else:
                text = data.decode()
                assert not re.search(r"1[3-9]\d{9}|\d{17}[\dXx]|@", text)


def test_changed_differs_in_one_bit() -> None:
    for data in (b"a", b"abcd" * 100):
        other = changed(data)
        assert len(other) == len(data)
        assert sum((a ^ b).bit_count() for a, b in zip(data, other, strict=True)) == 1
