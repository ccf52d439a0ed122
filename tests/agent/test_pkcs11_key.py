"""Ed25519 in a token: signs like a key file, and says what is missing. SoftHSM stands in for the hardware."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ROOT = Path(__file__).resolve().parents[2]
_PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
_PIN = "4711-court"
_MAKE = """
import sys, pkcs11
from pkcs11.util.ec import encode_named_curve_parameters
token = pkcs11.lib(sys.argv[1]).get_token(token_label="court")
with token.open(user_pin=sys.argv[2], rw=True) as session:
    for name in ("witness-sha256", "witness-sm3"):
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC_EDWARDS,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}, local=True)
        parameters.generate_keypair(
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=name)
"""
# In a process of its own: SoftHSM reads its settings once, and stays loaded.
_USE = """
import sys
from pathlib import Path
from agent.pkcs11_key import TokenAddress, TokenKey
from protocol.errors import CaseledgerError
module, folder = Path(sys.argv[1]), Path(sys.argv[2])
def refused(label, token="court", pin="pin", library=module):
    try:
        TokenKey(TokenAddress(library, token, folder / pin), label)
    except CaseledgerError as error:
        return error.code
print(refused("other"), refused("witness-sm3", token="x"), refused("witness-sm3", pin="wrong"),
      refused("witness-sm3", pin="open"), refused("witness-sm3", pin="none"),
      refused("witness-sm3", library=folder / "none.so"))
address = TokenAddress(module, "court", folder / "pin")
for label in ("witness-sha256", "witness-sm3"):
    key = TokenKey(address, label)
    print(key.public_key.hex(), key.sign(b"checkpoint").hex())
    key.close()
"""


@pytest.fixture
def module() -> Path:
    pytest.importorskip("pkcs11", reason="python-pkcs11 is an extra that is not installed")
    chosen = os.environ.get("SOFTHSM2_MODULE")
    for place in (chosen, *_PLACES):
        if place and Path(place).exists():
            return Path(place)
    pytest.skip("no SoftHSM here (package softhsm2, or SOFTHSM2_MODULE)")


def test_a_token_signs_and_each_missing_part_is_named(module: Path, tmp_path: Path) -> None:
    tool = os.environ.get("SOFTHSM2_UTIL") or shutil.which("softhsm2-util")
    if tool is None:
        pytest.skip("no softhsm2-util here")
    (tmp_path / "tokens").mkdir()
    conf = tmp_path / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    environment = {**os.environ, "SOFTHSM2_CONF": str(conf), "PYTHONPATH": str(ROOT)}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(
        tool, "--module", str(module), "--init-token", "--free", "--label", "court", "--pin", _PIN,
        "--so-pin", "87654321",
    )  # fmt: skip
    for name, pin, mode in (("pin", _PIN, 0o600), ("wrong", "0000", 0o600), ("open", _PIN, 0o644)):
        (tmp_path / name).write_text(pin + "\n")
        (tmp_path / name).chmod(mode)
    run(sys.executable, "-c", _MAKE, str(module), _PIN)
    told, *keys = run(sys.executable, "-c", _USE, str(module), str(tmp_path)).splitlines()
    assert told.split() == [
        "TokenUnusable", "TokenUnusable", "TokenUnusable", "KeyFileExposed", "KeyFileUnreadable",
        "TokenUnusable",
    ]  # fmt: skip
    publics = set()
    for line in keys:
        public, signature = (bytes.fromhex(part) for part in line.split())
        Ed25519PublicKey.from_public_bytes(public).verify(signature, b"checkpoint")
        publics.add(public)
    assert len(publics) == 2
