// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ICaseBatches } from "../interfaces/ICaseBatches.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { ICasePolicy } from "../interfaces/ICasePolicy.sol";
import { IWorkCalendar } from "../interfaces/IWorkCalendar.sol";
import { Acts } from "../libraries/Acts.sol";
import { StageRow } from "../libraries/CaseRows.sol";
import { CaseLedgerBase } from "./CaseLedgerBase.sol";

/// @title Deadlines and pauses
abstract contract CaseClocks is CaseLedgerBase {
    /// One place is kept for the time between a step and its reversal.
    uint256 private constant MOST_HOLDS = 15;
    bytes32 private constant PAUSE = keccak256(
        "Pause(bytes32 caseId,uint32 version,uint32 organisation,uint8 kind,bytes32 basis,uint40 validUntil)"
    );
    bytes32 private constant RESUME = keccak256(
        "Resume(bytes32 caseId,uint32 version,uint32 organisation,uint8 kind,bytes32 basis,uint40 validUntil)"
    );

    /// @inheritdoc ICaseLedger
    function pause(
        Pause calldata request,
        ICaseBatches.Origin calldata origin,
        bytes calldata signature
    )
        external
    {
        Acts.requireInTime(request.validUntil);
        Case storage state = _requireCase(request.caseId, origin);
        _requireVersion(state, request.version);
        ICasePolicy policy = _policy(state);
        StageRow stage = policy.stageOf(state.stage);
        uint8 kind = request.kind;
        if (!stage.allowsHold(kind)) revert CaseHoldNotAllowed(state.stage, kind);
        _requireRole(state, request.organisation, policy.holdRoles(kind));
        _requireSigner(keccak256(abi.encode(PAUSE, request)), request.organisation, signature);

        _open(_holds[request.caseId][state.clockId], kind, request.organisation);
        state.openHolds += 1;
        state.deadline = 0;
        state.flags &= ~REVERSIBLE;
        state.version += 1;
        emit CasePaused(
            _nextSequence(), request.caseId, kind, request.organisation, state.version, request.basis
        );
    }

    /// @inheritdoc ICaseLedger
    function resume(Resume calldata request, bytes calldata signature) external {
        Acts.requireInTime(request.validUntil);
        Case storage state = _requireAlive(request.caseId);
        _requireVersion(state, request.version);
        uint8 kind = request.kind;
        _requireRole(state, request.organisation, _policy(state).holdRoles(kind));
        _requireSigner(keccak256(abi.encode(RESUME, request)), request.organisation, signature);

        _close(_holds[request.caseId][state.clockId], kind);
        state.openHolds -= 1;
        state.version += 1;
        _settleDeadline(request.caseId, state);
        emit CaseResumed(
            _nextSequence(),
            request.caseId,
            kind,
            request.organisation,
            state.version,
            request.basis,
            state.deadline
        );
    }

    /// @inheritdoc ICaseLedger
    function markOverdue(bytes32 caseId, ICaseBatches.Origin calldata origin) external {
        Case storage state = _requireCase(caseId, origin);
        if (state.flags & MARKED_OVERDUE != 0) revert CaseIsMarked(caseId);
        uint40 deadline = _exactDeadline(caseId, state);
        if (deadline == 0 || _now() <= deadline) revert CaseNotOverdue(deadline, _now());
        state.flags |= MARKED_OVERDUE;
        emit CaseOverdue(_nextSequence(), caseId, state.stage, state.version, deadline);
    }

    /// @inheritdoc ICaseLedger
    function holdsOf(bytes32 caseId) external view returns (HoldRecord[] memory) {
        return _holds[caseId][_cases[caseId].clockId];
    }

    /// @inheritdoc ICaseLedger
    function deadlineOf(bytes32 caseId) external view returns (uint40 deadline, bool provisional) {
        return _deadline(caseId, _requireAlive(caseId));
    }

    /// @inheritdoc ICaseLedger
    function exactDeadlineOf(bytes32 caseId) external view returns (uint40) {
        return _exact(caseId, _requireAlive(caseId));
    }

    /// @inheritdoc ICaseLedger
    function isOverdue(bytes32 caseId) external view returns (bool) {
        Case storage state = _requireAlive(caseId);
        uint40 deadline = _exactDeadline(caseId, state);
        return deadline != 0 && _now() > deadline;
    }

    /// The clock of a new stage, or a longer one of the same stage, has begun.
    function _settleDeadline(bytes32 caseId, Case storage state) internal virtual override {
        (uint40 deadline, bool provisional) = _deadline(caseId, state);
        state.deadline = deadline;
        uint8 cleared = state.flags & ~(PROVISIONAL | MARKED_OVERDUE);
        // A resumed clock that had run out before the pause was marked then.
        if (deadline != 0 && deadline < _now()) cleared |= state.flags & MARKED_OVERDUE;
        state.flags = provisional ? cleared | PROVISIONAL : cleared;
    }

    /// Begins a pause of a kind that is not open.
    function _open(HoldRecord[] storage records, uint8 kind, uint32 organisation) internal virtual {
        uint256 length = records.length;
        if (length >= MOST_HOLDS) revert CaseTooManyHolds(length);
        for (uint256 i = 0; i < length; ++i) {
            if (records[i].kind == kind && records[i].until == 0) revert CaseHoldOpen(kind);
        }
        records.push(HoldRecord(kind, _now(), 0, organisation));
    }

    /// Ends the open pause of a kind.
    function _close(HoldRecord[] storage records, uint8 kind) internal virtual {
        uint256 length = records.length;
        for (uint256 i = 0; i < length; ++i) {
            if (records[i].kind == kind && records[i].until == 0) {
                records[i].until = _now();
                return;
            }
        }
        revert CaseHoldNotOpen(kind);
    }

    /// Ends every open pause.
    function _closeAll(bytes32 caseId, Case storage state) internal virtual {
        HoldRecord[] storage records = _holds[caseId][state.clockId];
        for (uint256 i = 0; i < records.length; ++i) {
            if (records[i].until == 0) records[i].until = _now();
        }
        state.openHolds = 0;
    }

    /// The deadline while a provisional one still suffices to say that time runs; else the exact one, which reverts
    /// with CalendarYearUnknown where nobody can know it.
    function _exactDeadline(bytes32 caseId, Case storage state) internal view virtual returns (uint40) {
        uint40 stored = state.deadline;
        if (state.flags & PROVISIONAL == 0 || _now() <= stored) return stored;
        return _exact(caseId, state);
    }

    function _requireVersion(Case storage state, uint32 version) internal view {
        if (version != state.version) revert CaseVersionStale(version, state.version);
    }

    /// The deadline; where the calendar does not cover its year, a second before which it does not lie.
    function _deadline(bytes32 caseId, Case storage state) private view returns (uint40, bool) {
        try this.exactDeadlineOf(caseId) returns (uint40 deadline) {
            return (deadline, false);
        } catch (bytes memory reason) {
            if (bytes4(reason) != IWorkCalendar.CalendarYearUnknown.selector) {
                assembly ("memory-safe") {
                    revert(add(reason, 0x20), mload(reason))
                }
            }
            IWorkCalendar.Hold[] memory holds = _intervals(_holds[caseId][state.clockId]);
            return (_calendar(state).earliest(state.clockStart, state.clock, holds), true);
        }
    }

    /// From start, clock and pauses, never from a deadline that was stored; 0 while paused.
    function _exact(bytes32 caseId, Case storage state) private view returns (uint40) {
        if (state.clock == 0 || state.openHolds != 0) return 0;
        IWorkCalendar.Hold[] memory holds = _intervals(_holds[caseId][state.clockId]);
        return _calendar(state).deadline(state.clockStart, state.clock, holds);
    }

    function _calendar(Case storage state) private view returns (IWorkCalendar) {
        return IWorkCalendar(_policy(state).guards().calendar);
    }

    function _intervals(HoldRecord[] storage records)
        private
        view
        returns (IWorkCalendar.Hold[] memory holds)
    {
        uint256 length = records.length;
        holds = new IWorkCalendar.Hold[](length);
        for (uint256 i = 0; i < length; ++i) {
            HoldRecord memory record = records[i];
            holds[i] = IWorkCalendar.Hold(record.from, record.until);
        }
    }
}
