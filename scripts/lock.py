"""Resolves the requirements again and writes the locks: hashes, every platform and Python, no registry URL.

``python -m scripts.lock [--upgrade]``. Without it, versions move only where pyproject.toml or a ``.in`` file
forces them.
"""

from __future__ import annotations

import subprocess
import sys

from scripts.bootstrap import REQUIREMENTS, ROOT, Installer

PROJECT = ["pyproject.toml", "requirements/build.in"]
RUN = ("gateway", "devnet", "certificate")
# Without `ipfs`: what it needs comes as source only, and the locks are installed from wheels.
ALL = (*RUN, "pkcs11", "sm2", "dev")
LOCKS = {
    "bootstrap": ["requirements/bootstrap.in"],
    "node": ["requirements/node.in"],
    "all": [*PROJECT, *(f"--extra={name}" for name in ALL)],
    # The same versions as all.lock, so that `dev` is a superset of `run`.
    "run": [*PROJECT, *(f"--extra={name}" for name in RUN), "--constraint", "requirements/all.lock"],
    "slither": ["requirements/slither.in"],
    "halmos": ["requirements/halmos.in"],
}
OPTIONS = [
    "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate",
    "--no-emit-index-url", "--no-emit-find-links",
]  # fmt: skip


def main(arguments: list[str]) -> int:
    installer = Installer()
    uv, env = str(installer.uv()), installer.environment()
    for name, sources in LOCKS.items():
        print(f"{name}.lock", flush=True)
        output = str((REQUIREMENTS / f"{name}.lock").relative_to(ROOT))
        subprocess.run(
            [uv, "pip", "compile", *OPTIONS, *arguments, *sources, "--output-file", output],
            cwd=ROOT,
            env=env,
            check=True,
        )
    if (ROOT / "package.json").is_file():
        print("package-lock.json", flush=True)
        subprocess.run(["npm", "install", "--package-lock-only", "--ignore-scripts"], cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
