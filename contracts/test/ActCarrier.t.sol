// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ActCarrier } from "../cases/ActCarrier.sol";
import { IActCarrier } from "../interfaces/IActCarrier.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { Acts } from "../libraries/Acts.sol";
import { Babbler, Descent, GasEater } from "../mocks/Ledgers.sol";
import { CaseTest } from "./base/CaseTest.sol";
import { Vm } from "./base/Vm.sol";

contract ActCarrierTest is CaseTest {
    uint16 private constant ASK_COMPLETION = 2;
    uint16 private constant REJECT = 3;
    uint256 private constant AMPLE = 20_000_000;

    ActCarrier private carrier;

    function setUp() public override {
        super.setUp();
        carrier = new ActCarrier(address(ledger));
    }

    function test_constructor_refusesALedgerWithoutCode() public {
        vm.expectRevert(abi.encodeWithSelector(IActCarrier.CarrierLedgerInvalid.selector, relayer));
        new ActCarrier(relayer);
    }

    function test_carry_refusesNoneAndTooMany() public {
        vm.expectRevert(abi.encodeWithSelector(IActCarrier.CarrierCountInvalid.selector, 0));
        carrier.carry(new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(IActCarrier.CarrierCountInvalid.selector, 65));
        carrier.carry(new bytes[](65));
    }

    function test_carry_hasNoRightOfItsOwn() public {
        bytes[] memory acts = new bytes[](1);
        acts[0] = abi.encodeCall(ICaseLedger.activatePolicy, (address(policy)));
        expectRefusal(
            acts[0], 0, abi.encodeWithSelector(ICaseLedger.CaseNotGovernance.selector, address(carrier))
        );
        carrier.carry(acts);
        assertEq(ledger.latestPolicy(), 1);
    }

    function test_carry_takesEachActInOrder() public {
        bytes[] memory acts = new bytes[](4);
        acts[0] = first(0);
        acts[1] = second(0);
        acts[2] = first(1);
        acts[3] = first(2);
        vm.prank(relayer);
        carrier.carry(acts);
        assertEq(ledger.caseOf(caseId(0)).version, 3);
        assertEq(ledger.caseOf(caseId(1)).version, 2);
        assertEq(ledger.caseOf(caseId(2)).version, 2);
    }

    function test_carry_aRefusalUndoesNoOtherAndIsReported() public {
        bytes[] memory acts = new bytes[](3);
        acts[0] = first(0);
        acts[1] = first(0);
        acts[2] = first(1);
        expectRefusal(acts[1], 1, abi.encodeWithSelector(ICaseLedger.CaseKnown.selector, caseId(0)));
        carrier.carry(acts);
        assertEq(ledger.caseOf(caseId(0)).version, 2);
        assertEq(ledger.caseOf(caseId(1)).version, 2);
    }

    function test_carry_thatIsRefusedWhollyIsNoFailure() public {
        bytes[] memory acts = new bytes[](2);
        acts[0] = second(0);
        acts[1] = "";
        expectRefusal(acts[0], 0, abi.encodeWithSelector(ICaseLedger.CaseUnknown.selector, caseId(0)));
        expectRefusal(acts[1], 1, "");
        carrier.carry(acts);
    }

    function test_carry_cutsALongReason() public {
        ActCarrier talker = new ActCarrier(address(new Babbler()));
        bytes[] memory acts = new bytes[](2);
        acts[0] = abi.encodeCall(Babbler.say, (100_000));
        acts[1] = abi.encodeCall(Babbler.say, (3));
        vm.expectEmit(true, true, true, true, address(talker));
        emit IActCarrier.ActRefused(keccak256(acts[0]), 0, new bytes(256));
        vm.expectEmit(true, true, true, true, address(talker));
        emit IActCarrier.ActRefused(keccak256(acts[1]), 1, new bytes(3));
        talker.carry(acts);
    }

    function test_carry_anActThatSpendsAllItsGasIsNotRefused() public {
        ActCarrier starving = new ActCarrier(address(new GasEater()));
        bytes[] memory acts = new bytes[](1);
        acts[0] = "all";
        vm.expectRevert(abi.encodeWithSelector(IActCarrier.CarrierGasShort.selector, 0));
        starving.carry{ gas: AMPLE }(acts);
    }

    /// Each frame gives its reserve back, so deep calls leave more; 18 frames still leave less than a quarter.
    function test_carry_starvationDeepInsideIsNotARefusal() public {
        ActCarrier deep = new ActCarrier(address(new Descent()));
        for (uint256 depth = 0; depth < 18; ++depth) {
            bytes[] memory acts = new bytes[](1);
            acts[0] = abi.encodeCall(Descent.down, (depth));
            vm.expectRevert(abi.encodeWithSelector(IActCarrier.CarrierGasShort.selector, 0));
            deep.carry{ gas: AMPLE }(acts);
        }
    }

    /// Whatever the gas: an act that the ledger would take is taken, or the transaction reverts as a whole.
    function testFuzz_carry_neverRefusesForWantOfGas(uint256 gas) public {
        bytes[] memory acts = new bytes[](3);
        acts[0] = first(0);
        acts[1] = first(1);
        acts[2] = second(1);
        gas = 30_000 + gas % 900_000;
        vm.recordLogs();
        (bool done,) = address(carrier).call{ gas: gas }(abi.encodeCall(IActCarrier.carry, (acts)));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; done && i < logs.length; ++i) {
            assertTrue(logs[i].topics[0] != IActCarrier.ActRefused.selector);
        }
        assertEq(ledger.caseOf(caseId(0)).version, done ? 2 : 0);
        assertEq(ledger.caseOf(caseId(1)).version, done ? 3 : 0);
    }

    function expectRefusal(bytes memory act, uint256 index, bytes memory reason) private {
        vm.expectEmit(true, true, true, true, address(carrier));
        emit IActCarrier.ActRefused(keccak256(act), index, reason);
    }

    /// The first act on a case; it brings it to life.
    function first(uint256 which) private view returns (bytes memory) {
        ICaseLedger.Move memory move = request(which, ASK_COMPLETION, CENTRE);
        return abi.encodeCall(ICaseLedger.move, (move, origin(which), "", signed(actKey(CENTRE), move), ""));
    }

    /// A rejection after it.
    function second(uint256 which) private view returns (bytes memory) {
        ICaseLedger.Move memory move = request(which, REJECT, CENTRE);
        move.version = 2;
        move.reason = 4;
        return abi.encodeCall(ICaseLedger.move, (move, nowhere(), "", signed(actKey(CENTRE), move), ""));
    }
}
