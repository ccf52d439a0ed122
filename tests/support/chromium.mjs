/** A real Chromium: the one named, the machine's, or the one that an npm package of the lock carries. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PACKED = join(ROOT, "node_modules/@sparticuz/chromium/bin");
const FOLDER = join(ROOT, ".tools/chromium");

function onPath() {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
      if (folder && existsSync(join(folder, name))) return join(folder, name);
    }
  }
  return null;
}

function runs(path, env) {
  try {
    execFileSync(path, ["--version"], { env: { ...process.env, ...env }, stdio: "pipe", timeout: 60_000 });
    return true;
  } catch {
    return false;
  }
}

/** Unpacked once under .tools; written beside and renamed, so that two tests at once do no harm. */
function unpacked() {
  const { version } = JSON.parse(readFileSync(join(PACKED, "../package.json"), "utf8"));
  const folder = join(FOLDER, version);
  const path = join(folder, "chromium");
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const part = `${path}.${process.pid}`;
  const unpack = (name) => brotliDecompressSync(readFileSync(join(PACKED, `${name}.br`)));
  execFileSync("tar", ["-x", "-C", folder], { input: unpack("al2023.tar") });
  writeFileSync(part, unpack("chromium"));
  chmodSync(part, 0o755);
  renameSync(part, path);
  return path;
}

/** `{path, env}`, or `{reason}` where there is none. */
export function findChromium() {
  const named = process.env.CASELEDGER_CHROMIUM || onPath();
  if (named && runs(named, {})) return { path: named, env: {} };
  if (process.platform !== "linux" || process.arch !== "x64" || !existsSync(join(PACKED, "chromium.br"))) {
    return { reason: "no chromium: install one, name it in CASELEDGER_CHROMIUM, or run scripts/bootstrap npm on Linux x86-64" };
  }
  const path = unpacked();
  for (const env of [{}, { LD_LIBRARY_PATH: join(path, "../lib") }]) if (runs(path, env)) return { path, env };
  return { reason: "the packaged chromium does not start here: libraries are missing" };
}
