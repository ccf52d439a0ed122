// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { CaseLedger } from "../../cases/CaseLedger.sol";
import { ICaseBatches } from "../../interfaces/ICaseBatches.sol";
import { ICaseLedger } from "../../interfaces/ICaseLedger.sol";
import { IConsortiumRegistry } from "../../interfaces/IConsortiumRegistry.sol";
import { StageRow, TransitionRow } from "../../libraries/CaseRows.sol";
import { Vm } from "../base/Vm.sol";
import { Svm } from "./Svm.sol";

/// Organisations with any roles, and every key signs for everybody but the courts and enforcement bureaux, for whom nobody
/// signs.
contract CourtlessRegistry {
    uint32 private constant COURT_ROLES = (1 << 5) | (1 << 6);

    address public constant governance = address(0x60);
    mapping(uint32 organisation => uint32 roles) private _roles;

    function requireWriter(address, uint32 index, uint8) external view {
        require(_roles[index] & COURT_ROLES == 0);
    }

    function organisation(uint32 index) external view returns (IConsortiumRegistry.Organisation memory org) {
        org.roles = _roles[index];
    }
}

/// Any policy: a stage has one row, whichever it is; a transition may have another row at each question.
contract AnyPolicy {
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    bool public constant testClock = true;
    mapping(uint8 stage => uint64 row) private _stages;

    function step(
        uint16,
        uint8 stage
    )
        external
        view
        returns (TransitionRow row, StageRow left, StageRow entered)
    {
        row = TransitionRow.wrap(svm.createUint256("transition"));
        return (row, stageOf(stage), stageOf(row.target()));
    }

    function holdRoles(uint8) external pure returns (uint16) {
        return uint16(svm.createUint256("holdRoles"));
    }

    function tableHash() external pure returns (bytes32) {
        return svm.createBytes32("tableHash");
    }

    function stageOf(uint8 stage) public view returns (StageRow) {
        return StageRow.wrap(_stages[stage]);
    }
}

/// Every case is in every batch.
contract AnyBatches {
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    uint16 public policy;
    address public immutable ledger;

    constructor(address ledger_) {
        ledger = ledger_;
    }

    function batchWith(
        bytes32,
        ICaseBatches.Origin calldata
    )
        external
        view
        returns (ICaseBatches.Batch memory batch)
    {
        batch.owner = uint32(svm.createUint256("owner"));
        batch.time = uint40(svm.createUint256("imported"));
        batch.policy = policy;
    }
}

/// The contract with less in its way: what only refuses refuses nothing (clock, pauses, roles, evidence and other guards,
/// ECDSA), and deadlines, pauses and the flags that go with them are anything. What holds here holds of the real one.
contract FreeLedger is CaseLedger {
    Svm private constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    constructor(address registry_, address batches_) CaseLedger(registry_, batches_) { }

    function versionOf(bytes32 caseId) external view returns (uint32) {
        return _cases[caseId].version;
    }

    function placeOf(bytes32 caseId) external view returns (uint32 version, uint8 stage, uint16 clockId) {
        Case storage state = _cases[caseId];
        return (state.version, state.stage, state.clockId);
    }

    function policyFor(bytes32 caseId) external view returns (address) {
        return address(_policy(_cases[caseId]));
    }

    function _requireClock(bytes32, Case storage, TransitionRow) internal view override { }

    function _requireRole(Case storage, uint32, uint16) internal view override { }

    function _requireGuards(
        Case storage,
        TransitionRow,
        Move calldata,
        bytes calldata
    )
        internal
        view
        override
    { }

    /// Whichever key it is, the registry is asked for it.
    function _requireSigner(bytes32, uint32 organisation, bytes calldata) internal view virtual override {
        _registry.requireWriter(address(0xA001), organisation, 1);
    }

    function _exactDeadline(bytes32, Case storage) internal pure override returns (uint40) {
        return uint40(svm.createUint256("exactDeadline"));
    }

    function _settleDeadline(bytes32, Case storage state) internal override {
        state.deadline = uint40(svm.createUint256("deadline"));
        uint8 either = MARKED_OVERDUE | PROVISIONAL;
        state.flags = (state.flags & ~either) | (uint8(svm.createUint256("flags")) & either);
    }

    function _open(HoldRecord[] storage, uint8, uint32) internal override { }

    function _close(HoldRecord[] storage, uint8) internal override { }

    function _closeAll(bytes32, Case storage state) internal override {
        state.openHolds = uint8(svm.createUint256("openHolds"));
    }
}

/// And anybody may do anything, without signing.
contract OpenLedger is FreeLedger {
    constructor(address registry_, address batches_) FreeLedger(registry_, batches_) { }

    function _requireActors(Case storage, Step memory, Move calldata) internal view override { }

    function _requireSignatures(
        TransitionRow,
        Move calldata,
        bytes calldata,
        bytes calldata
    )
        internal
        view
        override
    { }

    function _requireSigner(bytes32, uint32, bytes calldata) internal view override { }
}

/// Proofs by halmos (scripts/prove.py): any caller, any time, any call, any state of the cases, any policy.
/// 1 for equal, 0 for different, without a branch: each branch doubles the paths, and so the questions to the solver.
function same(uint256 a, uint256 b) pure returns (uint256 result) {
    assembly ("memory-safe") {
        result := eq(a, b)
    }
}

abstract contract AnyCase {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Svm internal constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    FreeLedger internal _ledger;
    AnyPolicy internal _policy;
    AnyBatches private _batches;

    function start(bool open) internal {
        CourtlessRegistry registry = new CourtlessRegistry();
        _policy = new AnyPolicy();
        // halmos numbers created contracts in order; the ledger comes after the batches.
        _batches = new AnyBatches(address(0xaaaa0005));
        _ledger = open
            ? new OpenLedger(address(registry), address(_batches))
            : new FreeLedger(address(registry), address(_batches));
        svm.enableSymbolicStorage(address(registry));
        svm.enableSymbolicStorage(address(_policy));
        svm.enableSymbolicStorage(address(_batches));
        svm.enableSymbolicStorage(address(_ledger));
    }

    /// A call that succeeds, and the case that it names.
    function callAnything(address caller, uint40 time) internal returns (bytes4 selector, bytes32 touched) {
        bytes memory data = svm.createCalldata("CaseLedger");
        // 4 + 1024 bytes are any call at all, for a fallback: the ledger has none, and its functions come one by one.
        vm.assume(data.length != 1028);
        selector = bytes4(data);
        // Every act names its case in the first word.
        assembly ("memory-safe") {
            touched := mload(add(data, 0x24))
        }
        vm.assume(_ledger.policyFor(touched) == address(_policy));
        vm.assume(_ledger.policyOf(_batches.policy()) == address(_policy));
        vm.warp(time);
        vm.prank(caller);
        (bool success,) = address(_ledger).call(data);
        vm.assume(success);
    }
}

contract CourtStageProof is AnyCase {
    function setUp() public {
        start(false);
    }

    /// Nobody signs for a court or an enforcement bureau: no case enters a stage that its policy calls a court's, by any
    /// call. A case comes to life in stage 1.
    function check_noCourtStageWithoutACourtsAct(address caller, uint40 time, bytes32 caseId) public {
        (uint32 version, uint8 stage, uint16 clockId) = _ledger.placeOf(caseId);
        callAnything(caller, time);
        (uint32 laterVersion, uint8 laterStage, uint16 laterClockId) = _ledger.placeOf(caseId);

        uint256 unborn = same(laterVersion, 0);
        uint256 stays = same(laterStage, stage) & same(laterClockId, clockId);
        uint256 begins = same(version, 0) & same(laterStage, 1) & same(laterClockId, 1);
        uint256 courts = StageRow.unwrap(_policy.stageOf(laterStage)) >> 8 & 1;
        assert((unborn | stays | begins | (courts ^ 1)) == 1);
    }
}

contract CaseVersionProof is AnyCase {
    function setUp() public {
        start(true);
    }

    /// Each move, pause, resume, reversal and lapse adds one to the version of its case, a case comes to life at version
    /// 1, and nothing else touches a version.
    function check_theVersionGrowsByOne(address caller, uint40 time, bytes32 caseId) public {
        uint256 before = _ledger.versionOf(caseId);
        (bytes4 selector, bytes32 touched) = callAnything(caller, time);
        uint256 later = _ledger.versionOf(caseId);

        uint256 alive = before | same(before, 0);
        uint256 steps = selector == _ledger.markOverdue.selector ? 0 : 1;
        uint256 own = same(uint256(touched), uint256(caseId));
        if (selector == _ledger.activatePolicy.selector) own = 0;
        uint256 mask;
        unchecked {
            mask = 0 - own;
        }
        assert(later == (before & ~mask) | ((alive + steps) & mask));
    }
}
