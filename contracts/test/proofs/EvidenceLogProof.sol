// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EvidenceLog } from "../../evidence/EvidenceLog.sol";
import { IConsortiumRegistry } from "../../interfaces/IConsortiumRegistry.sol";
import { IEvidenceLog } from "../../interfaces/IEvidenceLog.sol";
import { Vm } from "../base/Vm.sol";
import { Svm } from "./Svm.sol";

/// A registry that lets everybody do everything: what is proved holds whoever signs.
contract PermissiveRegistry {
    address public governance;

    constructor(address governance_) {
        governance = governance_;
    }

    function requireWriter(address, uint32, uint8) external pure { }

    function organisation(uint32) external pure returns (IConsortiumRegistry.Organisation memory org) {
        org.status = 1;
    }
}

/// Proofs by halmos (scripts/prove.py): any caller, any call, any state of the log.
contract EvidenceLogProof {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    EvidenceLog private _evidence;

    function setUp() public {
        _evidence = new EvidenceLog(address(new PermissiveRegistry(address(0x60))));
        svm.enableSymbolicStorage(address(_evidence));
    }

    /// The log never shrinks, and nothing of its head is taken back.
    function check_theLogNeverShrinks(address caller, bytes32 logId) public {
        IEvidenceLog.Log memory before = _evidence.head(logId);
        vm.assume(isReachable(before));
        callAnything(caller);
        IEvidenceLog.Log memory later = _evidence.head(logId);

        assert(isReachable(later));
        assert(later.size >= before.size);
        assert(later.batches >= before.batches);
        if (before.status != 0) {
            assert(later.status >= before.status);
            assert(later.operator == before.operator);
            assert(later.predecessor == before.predecessor);
        }
        if (before.status == 2) {
            assert(later.size == before.size);
            assert(later.closedSize == before.closedSize);
            assert(later.successor == before.successor);
        }
        if (later.size == before.size && before.status != 0) {
            assert(later.rootSha256 == before.rootSha256);
        }
    }

    /// A link is written once. By induction: if no link lies beyond the last batch, a call changes no link that is
    /// there, and again leaves none beyond the last batch.
    function check_aLinkIsWrittenOnce(address caller, bytes32 logId, uint64 number) public {
        bytes32 before = _evidence.link(logId, number);
        vm.assume(isReachable(_evidence.head(logId)));
        vm.assume(before == 0 || number <= _evidence.head(logId).batches);
        vm.assume(_evidence.head(logId).batches < type(uint64).max);
        callAnything(caller);
        bytes32 later = _evidence.link(logId, number);

        if (before != 0) assert(later == before);
        assert(later == 0 || number <= _evidence.head(logId).batches);
    }

    /// What every call keeps: a log that was never opened holds nothing.
    function isReachable(IEvidenceLog.Log memory log) private pure returns (bool) {
        return log.status != 0 || (log.size == 0 && log.batches == 0);
    }

    function callAnything(address caller) private {
        bytes memory data = svm.createCalldata("EvidenceLog");
        vm.prank(caller);
        (bool success,) = address(_evidence).call(data);
        vm.assume(success);
    }
}
