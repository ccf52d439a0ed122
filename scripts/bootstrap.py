"""Makes the environment from the locks: hash-checked, binary packages only, all inside the project folder.

Profiles: ``run`` (what the platform needs), ``dev`` (and its tests), ``node`` (node on the tools path),
``npm`` (contract tools), ``slither``, ``halmos``, ``geth`` (the Clique engine's node, built where there is
Go). Each leaves a stamp with the digest of what it was made from, so that a second call does nothing.
Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
BIN = TOOLS / "bin"
REQUIREMENTS = ROOT / "requirements"
UV = TOOLS / "uv" / "bin" / "uv"
NODE_AT_LEAST = 20  # what hardhat 2.29 supports; package.json says the same

# pip's setting -> the variable under which uv reads the same thing, and the separator between several values.
PIP_TO_UV = {
    "index-url": ("UV_DEFAULT_INDEX", ""),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", ""),
    "client-cert": ("SSL_CLIENT_CERT", ""),
    "proxy": ("ALL_PROXY", ""),
}


class BootstrapError(Exception):
    """Something that the person at the keyboard has to mend; the message says how, in both languages."""


def say(zh: str, en: str) -> None:
    english = os.environ.get("CASELEDGER_LANG", "zh").lower().startswith("en")
    print(en if english else zh, file=sys.stderr, flush=True)


def run(command: list[str], *, env: dict[str, str] | None = None, cwd: Path = ROOT) -> None:
    """Run quietly; on failure show the last lines of what the command said."""
    done = subprocess.run(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        sys.stderr.write("\n".join(done.stdout.decode(errors="replace").splitlines()[-40:]) + "\n")
        raise BootstrapError(f"命令失败（{done.returncode}） / command failed: {' '.join(command)}")


def answers(command: list[str]) -> str | None:
    """The command's output, or None when it cannot be run."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def digest(*paths: Path) -> str:
    """Of the files, this Python's minor version and the folder (a moved environment has stale paths)."""
    state = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for path in paths:
        state.update(path.read_bytes())
    return state.hexdigest()


def stamped(stamp: Path, value: str) -> bool:
    return stamp.is_file() and stamp.read_text() == value


@contextmanager
def exclusive() -> Iterator[None]:
    """Two calls at once would write into one environment."""
    folder = ROOT / ".bootstrap"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def base_python() -> str:
    """The interpreter under this one, so that an environment is never built on another environment."""
    return getattr(sys, "_base_executable", None) or sys.executable


def pip_command(venv_python: Path) -> list[str]:
    """A pip that works: the machine's own, else the one that ensurepip puts into the environment."""
    for python in (base_python(), str(venv_python)):
        if answers([python, "-m", "pip", "--version"]):
            return [python, "-m", "pip"]
    if answers([str(venv_python), "-m", "ensurepip"]) is not None:
        return [str(venv_python), "-m", "pip"]
    raise BootstrapError(
        "此 Python 没有 pip 和 ensurepip；Debian/Ubuntu 请安装 python3-venv 后再试。\n"
        "This Python has neither pip nor ensurepip; on Debian or Ubuntu install python3-venv."
    )


def uv_environment(pip: list[str]) -> dict[str, str]:
    """The environment for uv, with the index, certificate and proxy that pip is configured to use."""
    env = dict(os.environ)
    settings: dict[str, str] = {}
    for line in (answers([*pip, "config", "list"]) or "").splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = value.strip().strip("'\"")
    for name, (variable, separator) in PIP_TO_UV.items():
        if name in settings and variable not in env:
            parts = settings[name].replace("\\n", " ").split()
            if name == "find-links":  # uv refuses a folder that is not there; pip only warns
                parts = [part for part in parts if "://" in part or Path(part).is_dir()]
            if parts:
                env[variable] = separator.join(parts) if separator else settings[name]
    env.setdefault("UV_HTTP_TIMEOUT", "180")
    env.setdefault("UV_NO_PROGRESS", "1")
    env["UV_PYTHON_DOWNLOADS"] = "never"
    env["UV_NO_CONFIG"] = "1"
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        env.pop(name, None)
    home = Path(env.get("HOME", "/nonexistent"))
    if "UV_CACHE_DIR" not in env and not os.access(home, os.W_OK):
        env["UV_CACHE_DIR"] = str(ROOT / ".bootstrap" / "uv")
    return env


class Installer:
    """Installs locks into environments, through uv, or through pip where uv does not run."""

    def __init__(self) -> None:
        self._pip: list[str] | None = None
        self._env: dict[str, str] | None = None
        self._has_uv = False

    def venv(self, folder: Path) -> Path:
        """The environment's Python, made or remade when it is missing, broken or of another Python."""
        python = folder / "bin" / "python"
        version = "import sys; print(*sys.version_info[:2])"
        if answers([str(python), "-c", version]) != f"{sys.version_info[0]} {sys.version_info[1]}\n":
            shutil.rmtree(folder, ignore_errors=True)
            run([base_python(), "-m", "venv", "--without-pip", str(folder)])
        return python

    def pip(self) -> list[str]:
        if self._pip is None:
            self._pip = pip_command(VENV / "bin" / "python")
        return self._pip

    def environment(self) -> dict[str, str]:
        if self._env is None:
            self._env = uv_environment(self.pip())
        return self._env

    def uv(self) -> Path:
        """The pinned uv, installed when it is not there."""
        if not self._has_uv:
            lock = REQUIREMENTS / "bootstrap.lock"
            stamp = TOOLS / "uv" / ".stamp"
            if not (stamped(stamp, digest(lock)) and UV.is_file()):
                shutil.rmtree(TOOLS / "uv", ignore_errors=True)
                quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
                run([*self.pip(), "install", *quiet, "--require-hashes", "--no-deps",
                     "--target", str(TOOLS / "uv"), "-r", str(lock)])  # fmt: skip
                stamp.write_text(digest(lock))
            self._has_uv = True
        return UV

    def install(self, python: Path, *arguments: str) -> None:
        if answers([str(self.uv()), "--version"]):
            command = [str(UV), "pip", "install", "--quiet", "--python", str(python), *arguments]
            run(command, env=self.environment())
        else:
            run([*self.pip(), "--python", str(python), "install", "--quiet", *arguments])

    def lock(self, python: Path, name: str) -> None:
        self.install(python, "--only-binary", ":all:", "--require-hashes", "-r", str(REQUIREMENTS / name))


def project(installer: Installer, profile: str) -> None:
    """The project's own environment; ``dev`` is a superset of ``run`` with the same versions."""
    lock = {"run": "run.lock", "dev": "all.lock"}[profile]
    sources = {
        name: digest(REQUIREMENTS / name, ROOT / "pyproject.toml") for name in ("run.lock", "all.lock")
    }
    stamps = {"run.lock": VENV / ".stamp-run", "all.lock": VENV / ".stamp-dev"}
    wanted = ["all.lock"] if profile == "dev" else ["run.lock", "all.lock"]
    command = VENV / "bin" / "caseledger"
    if command.exists() and any(stamped(stamps[name], sources[name]) for name in wanted):
        return
    say(
        "正在安装 Python 依赖（按锁文件核对散列）…",
        "Installing the Python packages (hash-checked from the lock) …",
    )
    python = installer.venv(VENV)
    installer.lock(python, lock)
    installer.install(python, "--no-build-isolation", "--no-deps", "--editable", str(ROOT))
    stamps[lock].write_text(sources[lock])


def tool(installer: Installer, name: str) -> None:
    """An environment of its own for a tool whose dependencies disagree with ours."""
    folder, lock = TOOLS / name, REQUIREMENTS / f"{name}.lock"
    if stamped(folder / ".stamp", digest(lock)):
        return
    say(f"正在安装 {name} …", f"Installing {name} …")
    installer.lock(installer.venv(folder), f"{name}.lock")
    (folder / ".stamp").write_text(digest(lock))


def major(node: str) -> int:
    text = (answers([node, "--version"]) or "").strip().removeprefix("v")
    return int(text.split(".")[0]) if text.split(".")[0].isdigit() else 0


def node(installer: Installer) -> None:
    """The machine's node where it is new enough, else the one that PyPI carries, under ``.tools/bin``."""
    path = os.pathsep.join(p for p in os.environ.get("PATH", "").split(os.pathsep) if Path(p) != BIN)
    own, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if own and npm and major(own) >= NODE_AT_LEAST:
        for name in ("node", "npm", "npx"):
            (BIN / name).unlink(missing_ok=True)
        return
    tool(installer, "node")
    BIN.mkdir(parents=True, exist_ok=True)
    for name in ("node", "npm", "npx"):
        target = BIN / name
        target.unlink(missing_ok=True)
        target.symlink_to(TOOLS / "node" / "bin" / name)


def link_forge(modules: Path) -> None:
    """Put forge and anvil themselves on the tools path: npm's wrapper ends with 0 whatever they end with."""
    BIN.mkdir(parents=True, exist_ok=True)
    for name in ("forge", "anvil"):
        found = sorted(modules.glob(f"@foundry-rs/{name}-*/bin/{name}"))
        if not found:
            raise BootstrapError(
                f"此平台没有 {name} 的二进制包 / no binary package of {name} for this platform"
            )
        (BIN / name).unlink(missing_ok=True)
        (BIN / name).symlink_to(found[0])


def npm(installer: Installer) -> None:
    modules = ROOT / "node_modules"
    wanted = digest(ROOT / "package-lock.json")
    node(installer)
    if stamped(modules / ".stamp", wanted) and (BIN / "forge").exists():
        return
    say("正在安装合约工具（npm）…", "Installing the contract tools (npm) …")
    env = {**os.environ, "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])}
    certificates = installer.environment().get("SSL_CERT_FILE")
    if certificates:  # a Node from PyPI knows its own authorities only
        env.setdefault("NODE_EXTRA_CA_CERTS", certificates)
    # Our tools ship their binaries inside the packages: no install script needs to run, so none may.
    # Not `npm ci`: it refuses a lock that lacks the binary packages of other platforms where the registry has
    # none. This takes versions and digests from the lock all the same, and leaves the lock as it is.
    run(["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], env=env)
    link_forge(modules)
    (modules / ".stamp").write_text(wanted)


def geth() -> None:
    """The node of the Clique engine, built by the machine's Go into the user's cache. Optional: without it
    the tests of that engine are skipped, by name."""
    python = VENV / "bin" / "python"
    code = "from chain.networks.geth import geth_binary; print(geth_binary())"
    say("正在准备 geth（首次需构建数分钟）…", "Preparing geth (building it takes minutes, once) …")
    done = subprocess.run(
        [str(python), "-c", code], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["?"])[-1]
        say(f"没有 geth：{reason}", f"no geth: {reason}")


def main(arguments: list[str]) -> int:
    profiles = arguments or ["run"]
    unknown = set(profiles) - {"run", "dev", "node", "npm", "slither", "halmos", "geth"}
    if unknown:
        print(
            f"usage: scripts/bootstrap [run|dev|node|npm|slither|halmos|geth]…  (got {sorted(unknown)})",
            file=sys.stderr,
        )
        return 2
    started = time.monotonic()
    try:
        with exclusive():
            installer = Installer()
            for profile in profiles:
                if profile in ("run", "dev"):
                    project(installer, profile)
                elif profile == "node":
                    node(installer)
                elif profile == "npm":
                    npm(installer)
                elif profile == "geth":
                    geth()
                else:
                    tool(installer, profile)
    except BootstrapError as error:
        print(error, file=sys.stderr)
        return 1
    took = time.monotonic() - started
    if took > 2:
        say(f"环境就绪（{took:.0f} 秒）。", f"Environment ready ({took:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
