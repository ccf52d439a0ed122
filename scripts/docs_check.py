"""Checks that the documents are true in what a machine can see: links, make targets, commands.

``python -m scripts.docs_check``. A relative link must lead to a file (and heading); every ``make X`` in a
code block must be a target, every ``caseledger X …`` a subcommand that answers ``--help``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s;&|(`])(?:\.venv/bin/)?caseledger((?:\s+[a-z][a-z-]*)+)")
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|sol|md|toml|sql|js|json|lock|yml))`")
MAKE = re.compile(r"(?:^|[\s;&|(`])make((?:\s+[a-z][a-z-]*)+)")


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchor(heading: str) -> str:
    """The fragment that the usual renderers give to a heading."""
    kept = re.sub(r"[^\w\s-]", "", re.sub(r"[`*_]", "", heading).lower())
    return re.sub(r"\s", "-", kept.strip())


def code(text: str) -> Iterator[str]:
    """Lines of fenced blocks, without prompts and comments."""
    inside = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif inside:
            yield re.sub(r"(^|\s)#.*$", "", line.lstrip().removeprefix("$ "))
        else:
            yield from (
                span for span in re.findall(r"`([^`]+)`", line) if re.match(r"(make|caseledger)\s", span)
            )


def paths(text: str) -> Iterator[str]:
    """Files of ours that a document names in backticks."""
    for name in PATH.findall(text):
        ours = (ROOT / name.split("/")[0]).is_dir()
        if ours and not (ROOT / name).exists():
            yield f"{name}: no such file"


def headings(file: Path) -> set[str]:
    return {anchor(heading) for heading in HEADING.findall(file.read_text())}


def links(path: Path, text: str) -> Iterator[str]:
    for plain, picture in LINK.findall(text):
        target = plain or picture
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            yield f"link to {target}: no such file"
        elif fragment and file.suffix == ".md" and fragment not in headings(file):
            yield f"link to {target}: no such heading"


def subcommand_exists(words: tuple[str, ...], known: dict[tuple[str, ...], bool]) -> bool:
    if words not in known:
        done = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "caseledger"), *words, "--help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        known[words] = done.returncode == 0
    return known[words]


def commands(text: str, targets: set[str], known: dict[tuple[str, ...], bool]) -> Iterator[str]:
    for line in code(text):
        for found in MAKE.findall(line):
            yield from (f"make {word}: no such target" for word in found.split() if word not in targets)
        for found in COMMAND.findall(line):
            words = tuple(found.split()[:2])
            # The second word may be an argument (a file, a kind), so one of both readings must hold.
            if not (
                subcommand_exists(words[:1], known) and (len(words) == 1 or subcommand_exists(words, known))
            ):
                yield f"caseledger {' '.join(words)}: no such command"


def main() -> int:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known: dict[tuple[str, ...], bool] = {}
    findings = 0
    for path in documents():
        text = path.read_text()
        for finding in [*links(path, text), *paths(text), *commands(text, targets, known)]:
            print(f"{path.relative_to(ROOT)}: {finding}")
            findings += 1
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
