// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { ICaseBatches } from "../interfaces/ICaseBatches.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { ICasePolicy } from "../interfaces/ICasePolicy.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Acts } from "../libraries/Acts.sol";
import { Ids } from "../libraries/Ids.sol";
import { MerkleLog } from "../libraries/MerkleLog.sol";

/// @title Batches of imported cases
/// @dev Slots 0 and 1 belong to EIP712.
contract CaseBatches is EIP712, ICaseBatches {
    uint32 private constant MOST_CASES = 1_000_000;
    uint40 private constant RECALL_TIME = 24 hours;
    bytes1 private constant LEAF = 0x00;
    uint8 private constant LEAF_VERSION = 1;
    bytes32 private constant IMPORT = keccak256(
        "Import(uint32 organisation,bytes32 root,uint32 count,bytes32 rules,bytes32 totals,uint40 validUntil)"
    );
    bytes32 private constant RECALL = keccak256("Recall(uint32 organisation,bytes32 root,uint40 validUntil)");

    IConsortiumRegistry private immutable _registry;
    /// @inheritdoc ICaseBatches
    address public immutable ledger;

    mapping(bytes32 root => Batch batch) private _batches;
    /// @inheritdoc ICaseBatches
    uint64 public sequence;

    /// @param ledger_ the CaseLedger, which is deployed after this one
    constructor(address registry_, address ledger_) EIP712("caseledger", "1") {
        if (registry_.code.length == 0) revert BatchRegistryInvalid(registry_);
        if (ledger_ == address(0)) revert BatchLedgerInvalid(ledger_);
        _registry = IConsortiumRegistry(registry_);
        ledger = ledger_;
    }

    /// @inheritdoc ICaseBatches
    function importBatch(Import calldata request, bytes calldata signature) external {
        Acts.requireInTime(request.validUntil);
        uint16 policy = ICaseLedger(ledger).latestPolicy();
        if (policy == 0) revert BatchNoPolicy();
        if (request.root == 0 || request.count == 0 || request.count > MOST_CASES) {
            revert BatchInvalid(request.root, request.count);
        }
        Batch storage batch = _batches[request.root];
        if (batch.count != 0) revert BatchKnown(request.root);
        _requireSigner(keccak256(abi.encode(IMPORT, request)), request.organisation, signature);
        batch.owner = request.organisation;
        batch.count = request.count;
        batch.time = uint40(block.timestamp);
        batch.policy = policy;
        emit BatchImported(
            ++sequence,
            request.root,
            request.organisation,
            request.count,
            policy,
            request.rules,
            request.totals
        );
    }

    /// @inheritdoc ICaseBatches
    function recallBatch(Recall calldata request, bytes calldata signature) external {
        Acts.requireInTime(request.validUntil);
        Batch storage batch = _requireBatch(request.root);
        if (request.organisation != batch.owner) revert BatchNotOwner(request.organisation, batch.owner);
        uint32 moved = ICaseLedger(ledger).movedOf(request.root);
        if (moved != 0) revert BatchHasMoved(request.root, moved);
        uint40 until = batch.time + RECALL_TIME;
        if (block.timestamp > until) revert BatchRecallTooLate(until, uint40(block.timestamp));
        _requireSigner(keccak256(abi.encode(RECALL, request)), request.organisation, signature);
        batch.recalled = true;
        emit BatchRecalled(++sequence, request.root, request.organisation);
    }

    /// @inheritdoc ICaseBatches
    function batchWith(bytes32 caseId, Origin calldata origin) external view returns (Batch memory) {
        Batch storage batch = _requireBatch(origin.root);
        uint32 owner = batch.owner;
        bytes32 leaf = sha256(
            abi.encodePacked(LEAF, LEAF_VERSION, origin.product, uint16(0), owner, caseId, origin.commitment)
        );
        MerkleLog.requireIncluded(origin.index, batch.count, leaf, origin.root, origin.path);
        ICasePolicy policy = ICasePolicy(ICaseLedger(ledger).policyOf(batch.policy));
        if (policy.productRoles(origin.product) & _registry.organisation(owner).roles == 0) {
            revert BatchProductNotAllowed(origin.product, owner);
        }
        return batch;
    }

    /// @inheritdoc ICaseBatches
    function batchOf(bytes32 root) external view returns (Batch memory) {
        return _batches[root];
    }

    /// @inheritdoc ICaseBatches
    function registry() external view returns (address) {
        return address(_registry);
    }

    function _requireSigner(bytes32 structHash, uint32 organisation, bytes calldata signature) private view {
        address key = Acts.signer(_hashTypedDataV4(structHash), signature);
        _registry.requireWriter(key, organisation, Ids.PURPOSE_ACT);
    }

    function _requireBatch(bytes32 root) private view returns (Batch storage batch) {
        batch = _batches[root];
        if (batch.count == 0) revert BatchUnknown(root);
        if (batch.recalled) revert BatchIsRecalled(root);
    }
}
