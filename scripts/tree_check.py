"""What may not be in the tree: machine paths, addresses of registries or persons, large files, unknown parts.

``python -m scripts.tree_check``. Prints each finding as ``file:line: what`` and exits 1 when there is one.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 1 << 20
LOCKS = {"package-lock.json"}
NOT_INSTALLED = "ipfs"
"""The extra that no lock holds, because nothing imports it yet."""

# Folders that exist on one machine only, and home folders of persons.
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:work|root|home/\w+|Users/\w+|tmp/\w+)/\w")
URL = re.compile(r"\bhttps?://([^\s/\"'`<>):,?#\]}]+)")
EMAIL = re.compile(r"\b[\w.+-]+@((?:[\w-]+\.)+[A-Za-z]{2,})\b")
PRIVATE_KEY = re.compile(r"BEGIN (?:[A-Z]+ )*PRIVATE KEY")
# Hosts that a text may name: this machine, names without a dot, reserved names (RFC 2606), standards.
HOSTS = re.compile(
    r"^(?:localhost|127\.0\.0\.1|\[|0\.0\.0\.0|[\w-]+|\{.*|\$.*"
    r"|(?:[\w-]+\.)*(?:example|test|invalid|localhost)|(?:[\w-]+\.)*example\.(?:com|org|net|cn)"
    r"|(?:www\.)?(?:apache|rfc-editor|ietf|w3|json-schema|c2sp)\.org|schemas\.openxmlformats\.org|[\w.]*ethereum\.org|json-schema\.org)$"
)
# Free software that we could not pass on under Apache-2.0; used as a separate process or not at all.
COPYLEFT = re.compile(r"\b(?:AGPL|GPL)(?:v?[23])?|Affero|GNU General Public", re.IGNORECASE)


def tracked() -> list[Path]:
    """Files in git, and files that would be if added now."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    return sorted(
        {ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    )


def in_text(line: str) -> list[str]:
    """Findings in one line of text."""
    findings = ["path of one machine"] if MACHINE_PATH.search(line) else []
    findings += ["private key"] if PRIVATE_KEY.search(line) else []
    findings += [
        f"host {host} is not among those that we name" for host in URL.findall(line) if not HOSTS.match(host)
    ]
    findings += [f"an address at {host}" for host in EMAIL.findall(line) if not HOSTS.match(host)]
    return findings


def copyleft(licence: str) -> bool:
    return bool(COPYLEFT.search(licence.replace("LGPL", "").replace("GNU Lesser General Public", "")))


def in_files() -> list[str]:
    findings: list[str] = []
    for path in tracked():
        name = path.relative_to(ROOT)
        if path.stat().st_size > LARGEST:
            findings.append(f"{name}: larger than 1 MiB")
            continue
        data = path.read_bytes()
        if b"\0" in data[:8192]:
            continue
        if path.name in LOCKS:
            if '"resolved"' in data.decode():
                findings.append(f"{name}: names where a package was fetched from")
            continue
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            findings += [f"{name}:{number}: {finding}" for finding in in_text(line)]
    return findings


def requirement_name(text: str) -> str:
    return re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0].lower().replace("_", "-")


def direct() -> dict[str, str]:
    """Each direct dependency -> the lock that must hold it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    groups = [project["dependencies"], *(extras[name] for name in extras if name != NOT_INSTALLED)]
    found = {requirement_name(text): "all" for group in groups for text in group}
    for name in ("bootstrap", "build", "node", "slither", "halmos"):
        for line in (ROOT / "requirements" / f"{name}.in").read_text().splitlines():
            found[requirement_name(line)] = "all" if name == "build" else name
    return found


def in_dependencies() -> list[str]:
    findings: list[str] = []
    page = (ROOT / "docs" / "dependencies.md").read_text().lower()
    node = json.loads((ROOT / "package.json").read_text())
    for name in [*direct(), *node.get("dependencies", {}), *node.get("devDependencies", {})]:
        if f"| `{name}` |" not in page:
            findings.append(f"docs/dependencies.md: no line for {name}")
    for name, lock in direct().items():
        if f"\n{name}==" not in "\n" + (ROOT / "requirements" / f"{lock}.lock").read_text():
            findings.append(f"requirements/{lock}.lock: {name} is missing: run `make lock`")
    for distribution in importlib.metadata.distributions():
        meta = distribution.metadata
        licence = " ".join(
            [
                text.split("\n")[0]
                for name in ("License-Expression", "License")
                for text in meta.get_all(name) or []
            ]
            + [value for value in meta.get_all("Classifier") or [] if value.startswith("License ::")]
        )
        if copyleft(licence):
            findings.append(f"{meta['Name']}: licence {licence.strip()}")
    return findings


def main() -> int:
    findings = in_files() + in_dependencies()
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
