// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ICaseBatches } from "../interfaces/ICaseBatches.sol";
import { IConsentGuard, IEvidenceGuard, IStatementGuard } from "../interfaces/ICaseGuards.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { ICasePolicy } from "../interfaces/ICasePolicy.sol";
import { Acts } from "../libraries/Acts.sol";
import { StageRow, TransitionRow } from "../libraries/CaseRows.sol";
import { CaseClocks } from "./CaseClocks.sol";
import { CaseLedgerBase } from "./CaseLedgerBase.sol";

/// @title Where every case stands, since when, until when, and by whose act
contract CaseLedger is CaseClocks {
    /// A transition with the stages around it.
    struct Step {
        TransitionRow row;
        StageRow left;
        StageRow entered;
        uint8 from;
    }

    bytes32 private constant MOVE = keccak256(
        "Move(bytes32 caseId,uint32 version,uint16 transition,uint32 organisation,uint32 coOrganisation,uint16 reason,bytes32 evidence,bytes32 statement,bytes32 note,uint40 validUntil)"
    );
    bytes32 private constant REVERSE = keccak256(
        "Reverse(bytes32 caseId,uint32 version,uint32 organisation,uint32 coOrganisation,bytes32 note,uint40 validUntil)"
    );

    constructor(address registry_, address batches_) CaseLedgerBase(registry_, batches_) { }

    /// @inheritdoc ICaseLedger
    function move(
        Move calldata request,
        ICaseBatches.Origin calldata origin,
        bytes calldata proof,
        bytes calldata signature,
        bytes calldata coSignature
    )
        external
    {
        Acts.requireInTime(request.validUntil);
        Case storage state = _requireCase(request.caseId, origin);
        _requireVersion(state, request.version);
        Step memory step = _stepOf(state, request.transition);
        if (step.row.isLapse()) revert CaseNotAnAct(request.transition);
        _requireClock(request.caseId, state, step.row);
        _requireActors(state, step, request);
        _requireSignatures(step.row, request, signature, coSignature);
        if (!step.row.allowsReason(request.reason)) revert CaseReasonInvalid(request.reason);
        _requireGuards(state, step.row, request, proof);

        _remember(state, request.organisation);
        if (step.row.setsCourt()) state.court = request.organisation;
        _enter(request.caseId, state, request.transition, step);
        _reportMove(request, state, step.from);
    }

    /// @inheritdoc ICaseLedger
    function lapse(bytes32 caseId, uint32 version, uint16 transition) external {
        Case storage state = _requireAlive(caseId);
        _requireVersion(state, version);
        Step memory step = _stepOf(state, transition);
        if (!step.row.isLapse()) revert CaseNotALapse(transition);
        // Whatever a table says: time alone brings no case before a court.
        if (step.entered.isCourt()) revert CaseCourtOnly(0, step.row.target());
        _requireClock(caseId, state, step.row);

        _enter(caseId, state, transition, step);
        state.flags &= ~REVERSIBLE;
        emit CaseMoved(
            _nextSequence(),
            caseId,
            transition,
            0,
            0,
            state.version,
            step.from,
            state.stage,
            0,
            0,
            0,
            0,
            state.deadline
        );
    }

    /// @inheritdoc ICaseLedger
    function reverse(
        Reverse calldata request,
        bytes calldata signature,
        bytes calldata coSignature
    )
        external
    {
        Acts.requireInTime(request.validUntil);
        Case storage state = _requireAlive(request.caseId);
        _requireVersion(state, request.version);
        if (state.flags & REVERSIBLE == 0) revert CaseNotReversible(request.caseId);
        uint32 organisation = request.organisation;
        if (organisation != state.lastOrganisation) {
            revert CaseNotOriginator(organisation, state.lastOrganisation);
        }
        _requireOther(organisation, request.coOrganisation);
        bytes32 structHash = keccak256(abi.encode(REVERSE, request));
        _requireSigner(structHash, organisation, signature);
        _requireSigner(structHash, request.coOrganisation, coSignature);
        uint8 from = state.stage;
        uint8 to = state.previousStage;
        if (_policy(state).stageOf(to).isCourt()) {
            uint32 roles = _rolesOf(organisation) | _rolesOf(request.coOrganisation);
            if (roles & COURT_ROLES == 0) revert CaseCourtOnly(organisation, to);
        }
        _goBack(request.caseId, state);
        _reportReversal(request, state, from);
    }

    /// The step, as the case's own policy has it.
    function _stepOf(Case storage state, uint16 transition) private view returns (Step memory step) {
        step.from = state.stage;
        (step.row, step.left, step.entered) = _policy(state).step(transition, step.from);
        if (!step.row.leaves(step.from)) revert CaseTransitionIllegal(step.from, transition);
    }

    /// Time and pauses allow the step.
    function _requireClock(bytes32 caseId, Case storage state, TransitionRow row) internal view virtual {
        if (state.openHolds != 0 && !row.isHeld()) revert CaseOnHold(state.openHolds);
        if (row.isExtension() && state.extension != 0) revert CaseAlreadyExtended(state.extension);
        bool before = row.isBefore();
        if (!before && !row.isAfter()) return;
        if (state.openHolds != 0) {
            // Time stands still: it has not run out.
            if (before) return;
            revert CaseOnHold(state.openHolds);
        }
        uint40 deadline = _exactDeadline(caseId, state);
        if (before && _now() > deadline) revert CaseTooLate(deadline, _now());
        if (!before && _now() <= deadline) revert CaseTooEarly(deadline, _now());
    }

    function _requireActors(
        Case storage state,
        Step memory step,
        Move calldata request
    )
        internal
        view
        virtual
    {
        uint32 organisation = request.organisation;
        _requireRole(state, organisation, step.row.by());
        if (step.row.isSameCourt() && organisation != state.court) {
            revert CaseOtherCourt(organisation, state.court);
        }
        // Whatever a table says: only courts enter court stages.
        if (step.entered.isCourt() && _rolesOf(organisation) & COURT_ROLES == 0) {
            revert CaseCourtOnly(organisation, step.row.target());
        }
        uint16 beside = step.row.beside();
        if (beside == 0) {
            if (request.coOrganisation != 0) {
                revert CaseCoSignerInvalid(organisation, request.coOrganisation);
            }
            return;
        }
        _requireOther(organisation, request.coOrganisation);
        _requireRole(state, request.coOrganisation, beside);
    }

    function _requireSignatures(
        TransitionRow row,
        Move calldata request,
        bytes calldata signature,
        bytes calldata coSignature
    )
        internal
        view
        virtual
    {
        bytes32 structHash = keccak256(abi.encode(MOVE, request));
        _requireSigner(structHash, request.organisation, signature);
        if (row.beside() != 0) _requireSigner(structHash, request.coOrganisation, coSignature);
    }

    function _requireGuards(
        Case storage state,
        TransitionRow row,
        Move calldata request,
        bytes calldata proof
    )
        internal
        view
        virtual
    {
        ICasePolicy.Guards memory guards = _policy(state).guards();
        bytes32 evidence =
            IEvidenceGuard(guards.evidence).requireEvidence(request.caseId, state.owner, row.needs(), proof);
        if (evidence != request.evidence) revert CaseEvidenceDiffers(evidence, request.evidence);
        if (row.fact() != 0 && guards.statements != address(0)) {
            IStatementGuard(guards.statements).requireFinal(request.caseId, row.fact(), request.statement);
        }
        if (row.consent() != 0 && guards.consents != address(0)) {
            IConsentGuard(guards.consents).requireConsent(request.caseId, row.consent());
        }
    }

    /// Two organisations are two: the second is named, and not the first again.
    function _requireOther(uint32 organisation, uint32 other) private pure {
        if (other == 0 || other == organisation) revert CaseCoSignerInvalid(organisation, other);
    }

    /// Keeps what a reversal needs.
    function _remember(Case storage state, uint32 organisation) private {
        state.lastOrganisation = organisation;
        state.previousStage = state.stage;
        state.previousClockStart = state.clockStart;
        state.previousClock = state.clock;
        state.previousClockId = state.clockId;
        state.previousCourt = state.court;
        state.previousExtension = state.extension;
    }

    function _enter(bytes32 caseId, Case storage state, uint16 transition, Step memory step) private {
        state.version += 1;
        if (step.row.isExtension()) {
            // The same unit, so counts add up (the linter of lifecycle.yaml and this line).
            uint32 more = step.row.clock();
            if (more >> 16 != step.left.clock() >> 16) revert CasePolicyInvalid(address(_policy(state)));
            state.clock += uint16(more);
            state.extension = transition;
            state.flags |= REVERSIBLE | WAS_EXTENSION;
        } else {
            _closeAll(caseId, state);
            state.stage = step.row.target();
            state.since = _now();
            state.clockId += 1;
            state.clockStart = _now();
            state.clock = step.entered.clock();
            state.extension = 0;
            state.flags = REVERSIBLE;
        }
        _settleDeadline(caseId, state);
    }

    /// Enters the stage before the last step again. The list of pauses comes back, with the time in between added, so
    /// the deadline is never earlier than it was.
    function _goBack(bytes32 caseId, Case storage state) private {
        state.version += 1;
        bool stage = state.flags & WAS_EXTENSION == 0;
        uint40 left = state.since;
        state.clock = state.previousClock;
        state.extension = state.previousExtension;
        state.court = state.previousCourt;
        state.flags = 0;
        if (stage) {
            state.stage = state.previousStage;
            state.clockStart = state.previousClockStart;
            state.since = _now();
            uint16 clockId = state.previousClockId;
            state.clockId = clockId;
            _holds[caseId][clockId].push(HoldRecord(0, left, _now(), state.lastOrganisation));
        }
        _settleDeadline(caseId, state);
    }

    function _reportMove(Move calldata request, Case storage state, uint8 from) private {
        emit CaseMoved(
            _nextSequence(),
            request.caseId,
            request.transition,
            request.organisation,
            request.coOrganisation,
            state.version,
            from,
            state.stage,
            request.reason,
            request.evidence,
            request.statement,
            request.note,
            state.deadline
        );
    }

    function _reportReversal(Reverse calldata request, Case storage state, uint8 from) private {
        emit CaseReversed(
            _nextSequence(),
            request.caseId,
            request.organisation,
            request.coOrganisation,
            state.version,
            from,
            state.stage,
            request.note,
            state.deadline
        );
    }
}
