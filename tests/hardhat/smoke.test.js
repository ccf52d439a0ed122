"use strict";
// A second way from source to chain: what hardhat compiles is byte for byte what is committed, and it deploys.
const assert = require("assert");
const fs = require("fs");
const path = require("path");
const hre = require("hardhat");

const fromHardhat = { paths: [path.dirname(require.resolve("hardhat/package.json"))] };
const { Interface } = require(require.resolve("@ethersproject/abi", fromHardhat));

const NAMES = ["ConsortiumRegistry", "ConsortiumGovernance", "EvidenceLog"];
const FOREVER = 2 ** 40 - 1;
const ROLES = [1 << 0, 1 << 3, 1 << 5, 1 << 9];

const committed = (name) =>
  JSON.parse(fs.readFileSync(path.join(__dirname, "..", "..", "chain", "abi", `${name}.json`), "utf8"));
const request = (method, ...params) => hre.network.provider.request({ method, params });

async function send(from, transaction) {
  const hash = await request("eth_sendTransaction", { from, gas: "0x1c9c380", ...transaction });
  return request("eth_getTransactionReceipt", hash);
}

async function deploy(from, name, ...values) {
  const artifact = await hre.artifacts.readArtifact(name);
  const data = artifact.bytecode + new Interface(artifact.abi).encodeDeploy(values).slice(2);
  return (await send(from, { data })).contractAddress;
}

async function view(address, name, method, ...values) {
  const abi = new Interface(committed(name).abi);
  const data = await request("eth_call", { to: address, data: abi.encodeFunctionData(method, values) }, "latest");
  return abi.decodeFunctionResult(method, data);
}

describe("contracts under hardhat", () => {
  let accounts, addresses;

  before(async () => {
    accounts = await request("eth_accounts");
    const nonce = Number(await request("eth_getTransactionCount", accounts[0], "latest"));
    const { rlp, keccak256, toBuffer, bufferToHex } = helpers();
    const governance = bufferToHex(keccak256(rlp([toBuffer(accounts[0]), nonce + 1])).slice(-20));
    const genesis = ROLES.map((roles, i) => ({
      id: "0x" + String(i + 1).padStart(64, "0"),
      roles,
      interestGroup: i + 1,
      vote: true,
      keys: [{ key: accounts[i + 1], purpose: 1, notBefore: 0, notAfter: FOREVER }],
    }));
    const registry = await deploy(accounts[0], "ConsortiumRegistry", governance, 86400, genesis);
    const governed = await deploy(accounts[0], "ConsortiumGovernance", registry, 172800, 3);
    assert.strictEqual(governed.toLowerCase(), governance);
    addresses = { registry, governance, log: await deploy(accounts[0], "EvidenceLog", registry) };
  });

  for (const name of NAMES) {
    it(`${name}: the bytecode is the committed one`, async () => {
      const artifact = await hre.artifacts.readArtifact(name);
      assert.strictEqual(artifact.bytecode, committed(name).bytecode);
      assert.strictEqual(artifact.deployedBytecode, committed(name).deployedBytecode);
      assert.deepStrictEqual(
        artifact.abi.map((entry) => entry.name ?? entry.type).sort(),
        committed(name).abi.map((entry) => entry.name ?? entry.type).sort(),
      );
    });
  }

  it("the genesis is what was given", async () => {
    const [count] = await view(addresses.registry, "ConsortiumRegistry", "organisationCount");
    assert.strictEqual(count, 4);
    const [shares] = await view(addresses.registry, "ConsortiumRegistry", "voteShares");
    assert.deepStrictEqual([shares.votes, shares.courts, shares.regulators], [4, 1, 1]);
    const [governance] = await view(addresses.log, "EvidenceLog", "governance");
    assert.strictEqual(governance.toLowerCase(), addresses.governance);
  });

  it("the deployer cannot open a log", async () => {
    const abi = new Interface(committed("EvidenceLog").abi);
    const data = abi.encodeFunctionData("openLog", ["bank.example/evidence", 1, "0x" + "00".repeat(32)]);
    await assert.rejects(
      request("eth_call", { from: accounts[0], to: addresses.log, data }, "latest"),
      (error) => JSON.stringify(error.data ?? error.message).includes(abi.getSighash("LogNotGovernance").slice(2)),
    );
  });
});

function helpers() {
  const { keccak256 } = require(require.resolve("ethereum-cryptography/keccak", fromHardhat));
  const toBuffer = (hex) => Buffer.from(hex.slice(2), "hex");
  const bufferToHex = (bytes) => "0x" + Buffer.from(bytes).toString("hex");
  // RLP of [address, small nonce]: all that CREATE needs here.
  const rlp = ([address, nonce]) => {
    assert(nonce > 0 && nonce < 0x80);
    return Buffer.concat([Buffer.from([0xd6, 0x94]), address, Buffer.from([nonce])]);
  };
  return { keccak256, toBuffer, bufferToHex, rlp };
}
