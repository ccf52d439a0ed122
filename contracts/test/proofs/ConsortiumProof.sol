// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ConsortiumGovernance } from "../../consortium/ConsortiumGovernance.sol";
import { ConsortiumRegistry } from "../../consortium/ConsortiumRegistry.sol";
import { IConsortiumGovernance } from "../../interfaces/IConsortiumGovernance.sol";
import { IConsortiumRegistry } from "../../interfaces/IConsortiumRegistry.sol";
import { Vm } from "../base/Vm.sol";
import { Svm } from "./Svm.sol";

/// Proofs by halmos (scripts/prove.py) of: no single key adds, removes or re-roles an organisation, or changes a policy.
/// The registry changes membership for governance alone, whoever signs; governance schedules nothing on the word of one
/// key, executes nothing that was not scheduled, and changes its threshold for itself alone.
contract ConsortiumProof {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));
    address private constant STOLEN = address(0xA001);

    ConsortiumRegistry private _registry;
    ConsortiumGovernance private _governance;

    /// Four organisations, three of which decide; organisation i has the one act key 0xA000 + i.
    function setUp() public {
        uint32[4] memory roles = [uint32(1), 1 << 3, 1 << 5, 1 << 9];
        IConsortiumRegistry.NewOrganisation[] memory genesis = new IConsortiumRegistry.NewOrganisation[](4);
        for (uint32 i = 0; i < 4; ++i) {
            IConsortiumRegistry.NewKey[] memory keys = new IConsortiumRegistry.NewKey[](1);
            keys[0] = IConsortiumRegistry.NewKey(address(uint160(0xA001 + i)), 1, 0, type(uint40).max);
            genesis[i] =
                IConsortiumRegistry.NewOrganisation(bytes32(uint256(i + 1)), roles[i], i + 1, true, keys);
        }
        // halmos numbers created contracts in order; the governance comes after the registry.
        address expected = address(uint160(0xaaaa0003));
        _registry = new ConsortiumRegistry(expected, 1 days, genesis);
        _governance = new ConsortiumGovernance(address(_registry), 1 days, 3);
    }

    /// Any caller but governance, any call, any signatures, any state: count, roles, groups, votes and status stay.
    function check_membershipChangesForGovernanceAlone(address caller, uint32 index) public {
        svm.enableSymbolicStorage(address(_registry));
        vm.assume(caller != address(_governance));
        uint32 count = _registry.organisationCount();
        IConsortiumRegistry.Organisation memory before = _registry.organisation(index);
        uint32 indexOfId = _registry.indexOf(before.id);
        bytes memory data = svm.createCalldata("ConsortiumRegistry");
        vm.prank(caller);
        (bool success,) = address(_registry).call(data);
        vm.assume(success);

        IConsortiumRegistry.Organisation memory later = _registry.organisation(index);
        assert(_registry.organisationCount() == count);
        assert(_registry.indexOf(before.id) == indexOfId);
        assert(later.id == before.id);
        assert(later.roles == before.roles);
        assert(later.interestGroup == before.interestGroup);
        assert(later.status == before.status);
        assert(later.vote == before.vote);
    }

    /// Up to four approvals, all of whose valid signatures come from one key: nothing is scheduled.
    function check_oneKeySchedulesNothing(bytes32 salt, uint256 count) public {
        vm.assume(count <= 4);
        address[] memory targets = new address[](1);
        bytes[] memory calls = new bytes[](1);
        targets[0] = address(_registry);
        calls[0] = abi.encodeCall(_registry.removeOrganisation, (2));
        bytes32 id = _governance.proposalId(targets, calls, salt);

        for (uint256 n = 0; n <= 4; ++n) {
            if (n != count) continue;
            IConsortiumGovernance.Approval[] memory approvals = new IConsortiumGovernance.Approval[](n);
            for (uint256 i = 0; i < n; ++i) {
                approvals[i] = approvalByOneKey(id);
            }
            (bool success,) = address(_governance)
                .call(abi.encodeCall(_governance.schedule, (targets, calls, salt, approvals)));
            assert(!success);
        }
    }

    /// Nothing is scheduled: no call by anybody but governance itself executes or sets the threshold.
    function check_nothingRunsUnscheduled(address caller) public {
        vm.assume(caller != address(_governance));
        bytes memory data = svm.createCalldata("ConsortiumGovernance");
        bytes4 selector = bytes4(data);
        vm.prank(caller);
        (bool success,) = address(_governance).call(data);
        if (selector == _governance.execute.selector || selector == _governance.setThreshold.selector) {
            assert(!success);
        }
        assert(_governance.threshold() == 3);
    }

    /// Anybody's name under a signature that is the stolen key's, or nobody's.
    function approvalByOneKey(bytes32 id) private view returns (IConsortiumGovernance.Approval memory) {
        uint32 organisation = uint32(svm.createUint256("organisation"));
        uint40 validUntil = uint40(svm.createUint256("validUntil"));
        bytes32 r = svm.createBytes32("r");
        bytes32 s = svm.createBytes32("s");
        uint8 v = uint8(svm.createUint256("v"));
        address signer = ecrecover(digest(id, organisation, validUntil), v, r, s);
        vm.assume(signer == STOLEN || _registry.keySlot(signer) == 0);
        return IConsortiumGovernance.Approval(organisation, validUntil, abi.encodePacked(r, s, v));
    }

    function digest(bytes32 id, uint32 organisation, uint40 validUntil) private view returns (bytes32) {
        bytes32 typeHash = keccak256("Approve(bytes32 proposal,uint32 organisation,uint40 validUntil)");
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("caseledger"),
                keccak256("1"),
                block.chainid,
                address(_governance)
            )
        );
        bytes32 structHash = keccak256(abi.encode(typeHash, id, organisation, validUntil));
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }
}
