"use strict";
// Compiles the product's contracts with the same solc (wasm, from node_modules) as forge does, and runs tests/hardhat.
process.env.HARDHAT_DISABLE_TELEMETRY_PROMPT = "true";

const path = require("path");
const { subtask } = require("hardhat/config");
const {
  TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD,
  TASK_COMPILE_SOLIDITY_GET_SOURCE_PATHS,
  TASK_COMPILE_SOLIDITY_LOG_COMPILATION_ERRORS,
} = require("hardhat/builtin-tasks/task-names");

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => {
  const longVersion = require("solc").version();
  if (!longVersion.startsWith(`${solcVersion}+`)) {
    throw new Error(`node_modules holds solc ${longVersion}, the configuration asks for ${solcVersion}`);
  }
  return { compilerPath: require.resolve("solc/soljson.js"), isSolcJs: true, version: solcVersion, longVersion };
});

// forge alone compiles its own tests, proofs and mocks.
subtask(TASK_COMPILE_SOLIDITY_GET_SOURCE_PATHS, async (_args, _hre, runSuper) => {
  const outside = ["test", "mocks", "out", "cache"].map((name) => path.join(__dirname, "contracts", name) + path.sep);
  return (await runSuper()).filter((file) => !outside.some((folder) => file.startsWith(folder)));
});

// This solc warns of future keywords inside OpenZeppelin 5.3.0. Warnings in our own sources end the compilation.
subtask(TASK_COMPILE_SOLIDITY_LOG_COMPILATION_ERRORS, async ({ output, quiet }, _hre, runSuper) => {
  const ours = (output.errors ?? []).filter(
    (error) => error.severity === "error" || !error.sourceLocation?.file.startsWith("@openzeppelin/"),
  );
  await runSuper({ output: { ...output, errors: ours }, quiet });
  if (ours.length > 0) throw new Error("warnings in our own sources are errors");
});

module.exports = {
  solidity: {
    version: "0.8.37",
    settings: {
      evmVersion: "london",
      optimizer: { enabled: true, runs: 10000 },
      metadata: { bytecodeHash: "none", appendCBOR: false },
    },
  },
  networks: { hardhat: { hardfork: "london", chainId: 31337 } },
  paths: { sources: "contracts", tests: "tests/hardhat", artifacts: "artifacts", cache: "cache" },
};
