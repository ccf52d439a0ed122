"""What the environment is made from, and that pip's own settings reach uv."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import bootstrap


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose pip uses a mirror, a certificate, a proxy and a folder that is not there."""
    for variable, _ in bootstrap.PIP_TO_UV.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(
        bootstrap,
        "answers",
        lambda command: (
            "global.index-url='https://mirror.example/simple'\n"
            "global.cert='certs/authority.pem'\n"
            ":env:.find-links='no/such/folder'\n"
            "install.trusted-host='mirror.example other.example'\n"
        ),
    )


@pytest.mark.usefixtures("configured")
def test_pips_settings_are_handed_to_uv() -> None:
    env = bootstrap.uv_environment(["pip"])
    assert env["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert env["SSL_CERT_FILE"] == "certs/authority.pem"
    assert env["UV_INSECURE_HOST"] == "mirror.example other.example"
    assert "UV_FIND_LINKS" not in env
    assert env["UV_PYTHON_DOWNLOADS"] == "never"


@pytest.mark.usefixtures("configured")
def test_what_the_user_set_for_uv_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own.example/simple")
    assert bootstrap.uv_environment(["pip"])["UV_DEFAULT_INDEX"] == "https://own.example/simple"


def test_a_changed_lock_changes_the_stamp(tmp_path: Path) -> None:
    lock, stamp = tmp_path / "a.lock", tmp_path / ".stamp"
    lock.write_text("one==1\n")
    stamp.write_text(bootstrap.digest(lock))
    assert bootstrap.stamped(stamp, bootstrap.digest(lock))
    lock.write_text("one==2\n")
    assert not bootstrap.stamped(stamp, bootstrap.digest(lock))


def test_every_locked_package_has_a_digest_and_no_address() -> None:
    locks = sorted(bootstrap.REQUIREMENTS.glob("*.lock"))
    assert [lock.stem for lock in locks] == ["all", "bootstrap", "halmos", "node", "run", "slither"]
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, lock.name
        entries = [block for block in text.split("\n") if block and not block.startswith(" ")]
        assert entries
        assert all("==" in entry and entry.endswith("\\") for entry in entries), lock.name


def test_the_two_environments_agree_on_every_version() -> None:
    def versions(name: str) -> dict[str, str]:
        lines = (bootstrap.REQUIREMENTS / name).read_text().splitlines()
        pairs = [line.split(" ")[0].split("==") for line in lines if line and not line.startswith(" ")]
        return {pair[0]: pair[1] for pair in pairs}

    run, everything = versions("run.lock"), versions("all.lock")
    assert run.items() <= everything.items()


def test_an_unknown_profile_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["everything"]) == 2
    assert "everything" in capsys.readouterr().err
