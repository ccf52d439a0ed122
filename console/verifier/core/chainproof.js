/** Opens a chain proof: who signed its block, and the state that the block holds. */
import { equal, hex, isZero, text } from "./bytes.js";
import { verifyCliqueHeaders } from "./clique.js";
import { headerField, verifyCommit } from "./comet.js";
import { refuse } from "./errors.js";
import { accountCodeHash, accountKey, parseCommitment, proveStore, proveValue, slotKey } from "./ics23.js";
import { lookupAccount, lookupWord } from "./mpt.js";
import { verifySeals } from "./qbft.js";

function existence(bytes, what) {
  const commitment = parseCommitment(bytes);
  if (!commitment.exist) refuse("ProvenValueAbsent", `the chain holds no ${what}`);
  return commitment.exist;
}

/** ICS-23: the stores' roots are opened once, each value when it is asked for. */
function cometState(proof) {
  const appHash = headerField(proof.header, "app_hash");
  let opened = null;
  const stores = () => (opened ??= {
    evm: proveStore(parseCommitment(proof.evm), text("evm"), appHash),
    acc: proveStore(parseCommitment(proof.acc), text("acc"), appHash),
  });
  const code = (account, contract) => {
    const root = stores().acc;
    const value = proveValue(existence(account.proof, "account"), "iavl", root, accountKey(contract), account.value);
    return accountCodeHash(value);
  };
  const word = (item, contract, position) => {
    const root = stores().evm;
    const value = proveValue(existence(item.proof, "word"), "iavl", root, slotKey(contract, position));
    return equal(value, item.value) ? value : refuse("ProvenValueMismatch", "the chain holds another word");
  };
  return {
    root: appHash,
    logCode: (contract) => code(proof.logAccount, contract),
    registryCode: (contract) => code(proof.registryAccount, contract),
    link: (contract, position) => word(proof.link, contract, position),
    key: (contract, position) => word(proof.key, contract, position),
  };
}

function ethState(proof, stateRoot) {
  const word = (account, nodes, contract, position) => {
    const { storageHash } = lookupAccount(stateRoot, contract, account);
    const value = lookupWord(storageHash, position, nodes);
    if (isZero(value)) refuse("ProvenValueAbsent", "the chain holds no word there");
    return value;
  };
  return {
    root: stateRoot,
    logCode: (contract) => lookupAccount(stateRoot, contract, proof.logAccount).codeHash,
    registryCode: (contract) => lookupAccount(stateRoot, contract, proof.registryAccount).codeHash,
    link: (contract, position) => word(proof.logAccount, proof.link, contract, position),
    key: (contract, position) => word(proof.registryAccount, proof.key, contract, position),
  };
}

function epochFor(chain, height) {
  const epoch = chain.epochs.find(({ from, to }) => from <= height && (to === null || height <= to));
  return epoch ?? refuse("EpochNotTrusted", `no validators for height ${height}`);
}

/** Height of the header of a proof. */
export const proofHeight = (proof) => (proof.kind === "ics23" ? proof.header.height : proof.header.number);

/** Whether the trusted chain names validators for this height. */
export function isCovered(chain, height) {
  return chain.epochs.some(({ from, to }) => from <= height && (to === null || height <= to));
}

/** `{epoch, height, time, hash, state}` of a proof whose block the trusted chain's validators signed. */
export function openProof(proof, chain) {
  if (proof.kind === "ics23") {
    const { header, commit } = proof;
    if (header.height !== proof.stateHeight + 1n) refuse("ProofHeightMismatch");
    const epoch = epochFor(chain, header.height);
    const hash = verifyCommit(header, commit, epoch.validators, chain.network);
    return { epoch, height: header.height, time: Number(header.time.seconds), hash, state: cometState(proof) };
  }
  const { header } = proof;
  const epoch = epochFor(chain, header.number);
  const keys = epoch.validators.map(({ key }) => key);
  const opened = {
    epoch, height: header.number, time: Number(header.time), hash: header.hash, state: ethState(proof, header.stateRoot),
  };
  if (proof.kind === "mpt-qbft") {
    verifySeals(header, keys);
    return opened;
  }
  const last = proof.headers.at(-1).number;
  if (last < epoch.from || (epoch.to !== null && last > epoch.to)) {
    refuse("EpochNotTrusted", `height ${last} is of another epoch`);
  }
  const sealers = new Set(verifyCliqueHeaders(proof.headers, keys).map(hex));
  return { ...opened, depth: { following: proof.headers.length - 1, sealers: sealers.size, signers: keys.length } };
}

