// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { ConsortiumTest } from "./base/ConsortiumTest.sol";

/// Gas of whole transactions, kept in contracts/snapshots.
/// forge-config: default.isolate = true
contract ConsortiumGasTest is ConsortiumTest {
    function test_acts_gas() public {
        IConsortiumRegistry.AnnounceKey memory announcing =
            IConsortiumRegistry.AnnounceKey(BANK, vm.addr(0xCAFE), ANCHOR, 0, FOREVER, 0, FOREVER);
        registry.announceKey(announcing, signed(actKey(BANK), announcing));
        vm.snapshotGasLastCall("Consortium", "announceKey");
        vm.warp(block.timestamp + ROTATION_DELAY);
        IConsortiumRegistry.AcceptKey memory accepting =
            IConsortiumRegistry.AcceptKey(BANK, vm.addr(0xCAFE), FOREVER);
        registry.acceptKey(accepting, signed(0xCAFE, accepting));
        vm.snapshotGasLastCall("Consortium", "acceptKey");
        IConsortiumRegistry.RevokeKey memory revoking =
            IConsortiumRegistry.RevokeKey(BANK, vm.addr(anchorKey(BANK)), 1, FOREVER);
        registry.revokeKey(revoking, signed(actKey(BANK), revoking));
        vm.snapshotGasLastCall("Consortium", "revokeKey");
        IConsortiumRegistry.Suspend memory suspending =
            IConsortiumRegistry.Suspend(REGULATOR, BANK, bytes32("reason"), 0, FOREVER);
        registry.suspend(suspending, signed(actKey(REGULATOR), suspending));
        vm.snapshotGasLastCall("Consortium", "suspend");
    }

    function test_governance_gas() public {
        (address[] memory targets, bytes[] memory calls) =
            single(address(evidence), abi.encodeCall(evidence.openLog, ("bank.example/evidence", BANK, 0)));
        scheduled(targets, calls, 0);
        vm.snapshotGasLastCall("Consortium", "schedule, three approvals");
        vm.warp(block.timestamp + DELAY);
        governance.execute(targets, calls, 0);
        vm.snapshotGasLastCall("Consortium", "execute, open a log");
    }
}
