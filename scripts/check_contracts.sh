#!/bin/sh
# What the contracts must pass before they are committed, apart from the proofs (scripts/prove.py): format, committed
# artifacts, tests, gas, static analysis. slither runs every detector but five: `timestamp` (time locks and validity
# are block time by design), `calls-loop` (approvals and calls of one proposal), `low-level-calls` (governance makes
# the calls that were approved), `assembly` (EIP-1271 with capped return data; the hash loop) and `too-many-digits`.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
PATH="$root/.tools/bin:$root/node_modules/.bin:$PATH"
export PATH
python="$root/.venv/bin/python"
slither="$root/.tools/slither/bin/slither"

echo "forge fmt"
forge fmt --check
echo "artifacts"
"$python" scripts/compile.py --check
echo "tests and gas"
FORGE_SNAPSHOT_CHECK=true forge test

echo "slither"
# In a copy: slither cleans the build folder before it compiles, and needs no tests.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/contracts"
for folder in cases consortium evidence interfaces libraries; do
  cp -R "contracts/$folder" "$copy/contracts/"
done
cp -R scripts foundry.toml slither.config.json "$copy/"
ln -s "$root/node_modules" "$copy/node_modules"
cd "$copy"
"$slither" . --foundry-out-directory contracts/out --config-file slither.config.json --fail-pedantic
