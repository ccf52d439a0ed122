"""Builds the browser verifier: one HTML file, `console/verifier/dist/verify.html`, and its SHA-256 beside it.

`--check` builds in memory and fails when the committed file is another one. Needs node and esbuild from the
npm lock; the output depends on the sources and that lock alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "console" / "verifier"
PAGE = SOURCE / "dist" / "verify.html"
DIGEST = SOURCE / "dist" / "verify.html.sha256"
ESBUILD = ROOT / "node_modules" / "esbuild" / "bin" / "esbuild"
LIBRARIES = ("@noble/curves", "@noble/hashes", "@noble/post-quantum")


def node() -> str:
    """The project's own node where bootstrap had to bring one."""
    own = ROOT / ".tools" / "bin" / "node"
    return str(own) if own.exists() else "node"


def bundle(name: str) -> str:
    """One script without imports, in ASCII, safe inside an HTML script element."""
    options = [
        "--bundle",
        "--minify",
        "--format=iife",
        "--target=es2022",
        "--charset=ascii",
        "--legal-comments=none",
    ]
    command = [node(), str(ESBUILD), str(SOURCE / "page" / name), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    text = done.stdout.decode("ascii").strip()
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError(f"{name}: would end its script element")
    return text


def notice() -> str:
    """What the page is, and the licences of what is bundled into it, without addresses."""
    texts = {(ROOT / "node_modules" / name / "LICENSE").read_text(encoding="utf-8") for name in LIBRARIES}
    licences = "\n\n".join(re.sub(r"\s*\(https?://[^)]*\)", "", text).strip() for text in sorted(texts))
    names = ", ".join(LIBRARIES)
    return f"caseledger, Apache-2.0; sources: console/verifier.\nContains {names}:\n\n{licences}\n"


def source_hash(text: str) -> str:
    """A CSP hash source."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def build() -> bytes:
    """The page."""
    style = (SOURCE / "page" / "style.css").read_text(encoding="utf-8")
    script, worker = bundle("main.js"), bundle("worker.js")
    page = (SOURCE / "page" / "page.html").read_text(encoding="utf-8")
    for name, value in {
        "SCRIPT_HASH": source_hash(script), "STYLE_HASH": source_hash(style), "NOTICE": notice(),
        "STYLE": style, "WORKER": worker, "SCRIPT": script,
    }.items():  # fmt: skip
        page = page.replace("{{" + name + "}}", value)
    return page.encode()


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or compare it with the committed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the committed page is stale")
    options = parser.parse_args(arguments)
    page = build()
    digest = f"{hashlib.sha256(page).hexdigest()}  verify.html\n"
    if options.check:
        if not PAGE.is_file() or PAGE.read_bytes() != page or DIGEST.read_text() != digest:
            print("console/verifier/dist is stale: python -m scripts.browser_verifier", file=sys.stderr)
            return 1
        return 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_bytes(page)
    DIGEST.write_text(digest)
    print(digest.strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
