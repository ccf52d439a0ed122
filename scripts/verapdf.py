"""Fetches veraPDF into `.tools/verapdf` and runs it: ``python -m scripts.verapdf [FILE.pdf …]``.

Needs Java and Maven; the jars are compared with the digests in `requirements/verapdf`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.bootstrap import REQUIREMENTS, ROOT, TOOLS

PINS = REQUIREMENTS / "verapdf"
FOLDER = TOOLS / "verapdf"
FLAVOUR = "3u"


class VeraPdfUnusable(Exception):
    """It is not there and cannot be fetched, or is not what is pinned."""


def pinned() -> dict[str, str]:
    """Jar to SHA-256."""
    lines = (PINS / "jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def complete(folder: Path = FOLDER) -> bool:
    """Whether exactly the pinned jars are there."""
    if not folder.is_dir():
        return False
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}
    return found == pinned()


def fetch() -> None:
    """Put the jars in place.

    Raises:
        VeraPdfUnusable
    """
    if complete():
        return
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None:
        raise VeraPdfUnusable("Java and Maven are needed")
    with tempfile.TemporaryDirectory(dir=TOOLS) as work:
        jars = Path(work, "jars")
        command = [
            maven, "--quiet", "--batch-mode", "--file", str(PINS / "pom.xml"),
            "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies", f"-DoutputDirectory={jars}",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=work, check=False, timeout=900)
        if done.returncode or not complete(jars):
            raise VeraPdfUnusable("what was fetched is not what is pinned")
        shutil.rmtree(FOLDER, ignore_errors=True)
        jars.rename(FOLDER)


def check(*files: Path) -> tuple[bool, str]:
    """Whether all files are PDF/A-3u, and what the checker says."""
    java = shutil.which("java")
    if java is None or not complete():
        raise VeraPdfUnusable("run python -m scripts.verapdf first")
    command = [java, "-cp", str(FOLDER / "*"), str(PINS / "Check.java"), FLAVOUR, *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode not in (0, 1) or "compliant" not in done.stdout:
        raise VeraPdfUnusable(done.stderr[-400:])
    return done.returncode == 0, done.stdout


def main(arguments: list[str]) -> int:
    try:
        fetch()
        if not arguments:
            return 0
        good, said = check(*(Path(one).resolve() for one in arguments))
    except VeraPdfUnusable as error:
        print(error, file=sys.stderr)
        return 2
    print(said, end="")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
