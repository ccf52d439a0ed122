"""A witness's settings: each mistake is named before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.witness import KEY_NAMES, ML_DSA_KEY_NAMES, init, keys_of, listen_address, ml_dsa_keys_of
from monitor.errors import WitnessSettingsInvalid
from monitor.settings import FILE_NAME, load
from protocol.errors import CaseledgerError

GOOD = '[witness]\nname = "court.example/witness"\nsha256_key = "a"\nsm3_key = "b"\n'
ML_DSA = '[witness.ml_dsa]\nname = "court.example/witness/ml-dsa-44"\nsha256_key = "c"\nsm3_key = "d"\n'


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "witness = 1", "[[witness]]\nname = 1", GOOD.replace('"a"', "1"),
        GOOD.replace("sm3_key", "x"),
        GOOD.replace("court.example/witness", "two words"), GOOD.replace("court.example/witness", "a+b"),
        GOOD + "stale_seconds = 0\n", GOOD + "stale_seconds = true\n", GOOD.replace('"a"', '"pkcs11:a"'),
        GOOD + ML_DSA.replace("sm3_key", "x"), GOOD + ML_DSA.replace('"c"', "1"), GOOD + "ml_dsa = 1\n",
        GOOD + ML_DSA.replace('"c"', '"pkcs11:c"'), GOOD + ML_DSA.replace("/ml-dsa-44", ""),
        GOOD + ML_DSA.replace("court", "c" * 255), GOOD + ML_DSA + "more = 1\n",
        GOOD + "[witness.pkcs11]\nmodule = 'x'\n", GOOD + "pkcs11 = 1\n", GOOD + "unknown = 1\n",
    ],
)  # fmt: skip
def test_each_mistake_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(WitnessSettingsInvalid):
        load(tmp_path)


def test_paths_are_of_the_home_unless_absolute(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(GOOD + 'journal = "/second/disk"\n')
    found = load(tmp_path)
    assert found.journal == Path("/second/disk")
    assert found.state == tmp_path / "witness"
    (tmp_path / FILE_NAME).write_text(
        GOOD.replace('"b"', '"pkcs11:sm3"')
        + '[witness.pkcs11]\nmodule = "/m.so"\ntoken = "t"\npin_file = "p"\n'
    )
    token = load(tmp_path).token
    assert token is not None
    assert (token.module, token.pin_file) == (Path("/m.so"), tmp_path / "p")


def test_init_makes_keys_once_and_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('[chain]\nengine = "dev"\n')
    first = init(tmp_path, "court.example/witness")
    assert init(tmp_path, "other") == first
    assert len(set(first)) == 2
    assert (tmp_path / FILE_NAME).read_text().startswith("[chain]")
    assert load(tmp_path).name == "court.example/witness"
    # A key for something else does not sign checkpoints.
    path = tmp_path / "keys" / f"{KEY_NAMES[0]}.json"
    path.write_text(path.read_text().replace('"purpose": "witness"', '"purpose": "log"'))
    with pytest.raises(CaseledgerError) as caught:
        keys_of(load(tmp_path))
    assert caught.value.code == "WitnessKeyPurpose"


def test_ml_dsa_keys_are_added_to_a_home_that_has_the_others(tmp_path: Path) -> None:
    first = init(tmp_path, "court.example/witness")
    assert ml_dsa_keys_of(load(tmp_path)) is None
    assert init(tmp_path, "other", ml_dsa=True) == first
    found = ml_dsa_keys_of(load(tmp_path))
    assert found is not None
    assert found.name == "court.example/witness/ml-dsa-44"
    assert len({key.public_key for key in found.keys.values()}) == 2
    text = (tmp_path / FILE_NAME).read_text()
    init(tmp_path, "other", ml_dsa=True)
    assert (tmp_path / FILE_NAME).read_text() == text
    path = tmp_path / "keys" / f"{ML_DSA_KEY_NAMES[1]}.json"
    assert path.stat().st_mode & 0o077 == 0
    path.write_text(path.read_text().replace('"purpose": "witness"', '"purpose": "log"'))
    with pytest.raises(CaseledgerError) as caught:
        ml_dsa_keys_of(load(tmp_path))
    assert caught.value.code == "WitnessKeyPurpose"
    # A key of another kind does not pass for one.
    (tmp_path / FILE_NAME).write_text(text.replace(ML_DSA_KEY_NAMES[0], KEY_NAMES[0]))
    with pytest.raises(CaseledgerError) as caught:
        ml_dsa_keys_of(load(tmp_path))
    assert caught.value.code == "KeyKindMismatch"


@pytest.mark.parametrize("text", ["", "8790", ":8790", "host:", "host:x", "host:65536"])
def test_an_address_without_host_or_port_is_refused(text: str) -> None:
    with pytest.raises(CaseledgerError):
        listen_address(text)


def test_addresses() -> None:
    assert listen_address("127.0.0.1:1") == ("127.0.0.1", 1)
    assert listen_address("[::1]:8790") == ("::1", 8790)
