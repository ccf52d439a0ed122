"""Signals reach the process that was started and no other; logs stay small."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chain.networks import processes
from chain.networks.errors import NetworkBusy
from chain.networks.keys import KeyFileRefused, new_key, read_key


def _sleeper(tmp_path: Path, mark: str) -> processes.Handle:
    return processes.spawn(
        [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)", mark],
        log=tmp_path / "log",
        env={"PATH": os.environ["PATH"]},
        mark=mark,
    )


def test_a_started_process_lives_apart_and_is_stopped(tmp_path: Path) -> None:
    handle = _sleeper(tmp_path, "mark-one")
    deadline = time.monotonic() + 10
    while "up" not in (tmp_path / "log").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert handle.alive()
    assert os.getsid(handle.pid) == handle.pid
    assert os.getpriority(os.PRIO_PROCESS, handle.pid) >= 5
    assert processes.stop(handle)
    assert not handle.alive()
    assert not processes.stop(handle)


def test_another_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        handle = processes.Handle(bystander.pid, "mark-two")
        assert not handle.alive()
        assert not processes.stop(handle, hard=True)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    assert not processes.Handle(0, "").alive()


def test_a_log_is_cut_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab") as writer:
        writer.write(b"a" * 5000 + b"end of the old part")
        writer.flush()
        processes.trim_log(log, limit=1000)
        assert log.stat().st_size == 0
        assert (tmp_path / "log.1").read_bytes().endswith(b"end of the old part")
        writer.write(b"new")
        writer.flush()
    assert log.read_bytes() == b"new"
    processes.trim_log(tmp_path / "none")


def test_free_ports_are_free_and_distinct() -> None:
    ports = processes.free_ports(20)
    assert len(set(ports)) == 20
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports[0]))
        holder.listen()
        assert not processes.port_free(ports[0])


def test_two_changers_exclude_each_other(tmp_path: Path) -> None:
    with (
        processes.exclusive(tmp_path / "lock"),
        pytest.raises(NetworkBusy),
        processes.exclusive(tmp_path / "lock", wait=0.2),
    ):
        raise AssertionError("entered twice")
    with processes.exclusive(tmp_path / "lock", wait=0.2):
        pass


def test_key_files_are_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys/relayer.key"
    key = new_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == key
    assert key.secret_hex not in repr(key)
    with pytest.raises(FileExistsError):
        new_key(path)
    path.chmod(0o640)
    with pytest.raises(KeyFileRefused):
        read_key(path)
    path.chmod(0o600)
    for text in ("", "0x12", "zz" * 32, "00" * 32):
        path.write_text(text)
        with pytest.raises(KeyFileRefused):
            read_key(path)
    with pytest.raises(KeyFileRefused):
        read_key(tmp_path / "none")


def test_a_process_that_is_just_starting_is_not_taken_for_dead(tmp_path: Path) -> None:
    """Between two programs (`nice`, then the node) a process shows no command line."""
    for _ in range(40):
        handle = processes.spawn(
            ["/bin/sleep", "30"], log=tmp_path / "log", env=dict(os.environ), mark="sleep 30"
        )
        try:
            assert all(handle.alive() for _ in range(30))
        finally:
            processes.stop(handle, hard=True)
        assert not handle.alive()
