"""The command itself: a stream of lines in, as many answers out, exit 0."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import conformance
from verifier.strict_json import MAX_BYTES

ROOT = Path(__file__).parents[2]
COMETBFT = json.loads((ROOT / "tests/vectors/recorded/cometbft.json").read_text())["vectors"]


def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], input=data, capture_output=True, cwd=ROOT, check=False
    )


def ask(kind: str, data: bytes) -> list[dict[str, object]]:
    sink = io.BytesIO()
    conformance.stream(kind, io.BytesIO(data), sink)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_each_line_has_one_answer_whatever_it_is() -> None:
    good = json.dumps(COMETBFT[0]).encode()
    data = b"\n".join([good, b"", b"\xff\xfe", b"{", b"null\r", good])
    result = run("conformance", "ics23", data=data)
    assert (result.returncode, result.stderr) == (0, b"")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [a["accepted"] for a in answers] == [True, False, False, False, False, True]
    assert all(set(a) == {"accepted", "code", "detail"} for a in answers)


def test_no_lines_no_answers() -> None:
    assert ask("merkle", b"") == []


def test_a_line_over_the_limit_is_refused_and_the_next_one_read() -> None:
    for extra, codes in ((0, ["FieldInvalid", "FieldMissing"]), (1, ["JsonLimit", "FieldMissing"])):
        filler = b'"' + b"x" * (MAX_BYTES - 2 + extra) + b'"'
        assert [a["code"] for a in ask("merkle", filler + b"\n{}\n")] == codes
    assert [a["code"] for a in ask("merkle", b"x" * (MAX_BYTES * 2))] == ["JsonLimit"]


def test_answers_come_before_the_stream_ends() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "conformance", "merkle"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(b"{}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["code"] == "FieldMissing"
        process.stdin.close()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "conformance", "merkle"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(b"{}\n" * 10_000, timeout=30)
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    "arguments", [[], ["conformance"], ["conformance", "nope"], ["nope"], ["--lang", "fr"]]
)
def test_usage_errors_exit_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, b"")


def test_help_is_in_the_chosen_language() -> None:
    assert "子命令" in run("--help").stdout.decode()
    assert "commands" in run("--lang", "en", "--help").stdout.decode()


def test_the_command_starts_without_heavy_imports() -> None:
    code = (
        "import sys; before = set(sys.modules); import cli.main; "
        "heavy = {'web3', 'coincurve', 'cryptography', 'Crypto', 'httpx', 'fastapi', 'verifier'}; "
        "print(sorted(heavy & {name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    env = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, cwd=ROOT, check=True)
    assert result.stdout.strip() == b"[]"
