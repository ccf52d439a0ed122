// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IEvidenceGuard } from "../interfaces/ICaseGuards.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { IWorkCalendar } from "../interfaces/IWorkCalendar.sol";
import { CivilDates } from "../libraries/CivilDates.sol";
import { CaseTest } from "./base/CaseTest.sol";
import { Years } from "./base/Years.sol";

/// GENESIS is Friday, 15 January 2027, 16:00 in Shanghai; every Monday to Friday is a working day.
contract CaseClocksTest is CaseTest {
    uint8 private constant SUSPENSION = 1;
    uint8 private constant APPRAISAL = 3;
    uint8 private constant DISPUTE = 7;
    uint16 private constant PROLONG = 47;

    // Deadlines

    function test_deadline_ofTheFirstStageRunsFromTheImport() public {
        vm.warp(GENESIS + 2 days);
        pause(0, DISPUTE, CENTRE);
        resume(0, DISPUTE, CENTRE);
        // Two working days after Friday, 15 January, is Tuesday the 19th.
        assertEq(ledger.caseOf(caseId(0)).deadline, lastSecond(2027, 1, 19));
    }

    function test_deadline_ofAStageIsComputedHere() public {
        mediate(0);
        // 14 February 2027 is a Sunday.
        assertEq(ledger.caseOf(caseId(0)).deadline, lastSecond(2027, 2, 15));
    }

    function test_deadline_beyondTheCalendarIsProvisional() public {
        vm.warp(CivilDates.lastSecond(CivilDates.toDay(2028, 11, 30)));
        tryIt(0);
        // Two months on: 30 January 2029, a year that the calendar does not cover.
        (uint40 deadline, bool provisional) = ledger.deadlineOf(caseId(0));
        assertEq(deadline, lastSecond(2029, 1, 30));
        assertTrue(provisional);
        assertEq(ledger.caseOf(caseId(0)).flags & 8, 8);
        assertFalse(ledger.isOverdue(caseId(0)));

        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarYearUnknown.selector, 2029));
        ledger.isOverdue(caseId(0));
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarYearUnknown.selector, 2029));
        ledger.markOverdue(caseId(0), nowhere());
        Years.Bits memory bits = Years.weekdays(2029);
        vm.prank(address(governance));
        calendar.setYear(2029, bits.low, bits.high, "weekdays");
        assertTrue(ledger.isOverdue(caseId(0)));
        (, provisional) = ledger.deadlineOf(caseId(0));
        assertFalse(provisional);
    }

    function test_deadline_inWorkingDaysBeyondTheCalendarIsProvisionalToo() public {
        vm.warp(CivilDates.lastSecond(CivilDates.toDay(2028, 12, 28)));
        admit(0);
        (uint40 deadline, bool provisional) = ledger.deadlineOf(caseId(0));
        assertTrue(provisional);
        assertEq(deadline, lastSecond(2028, 12, 30));
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarYearUnknown.selector, 2029));
        ledger.exactDeadlineOf(caseId(0));
    }

    function test_deadline_ofAFinalStageIsNone() public {
        stepFor(0, 4, BANK, 1);
        assertEq(ledger.caseOf(caseId(0)).deadline, 0);
        assertFalse(ledger.isOverdue(caseId(0)));
        vm.expectPartialRevert(ICaseLedger.CaseNotOverdue.selector);
        ledger.markOverdue(caseId(0), nowhere());
    }

    // Before and after

    function test_after_isRefusedWhileTimeRuns() public {
        admit(0);
        step(0, 5, CENTRE);
        stepWith(0, 8, BANK, CENTRE, only(entry(AGREEMENT, BANK, caseId(0), 0)));
        (uint40 deadline,) = ledger.deadlineOf(caseId(0));
        assertEq(deadline, GENESIS + 1 days);
        vm.warp(deadline);
        expectMove(
            request(0, 9, CENTRE),
            abi.encodeWithSelector(ICaseLedger.CaseTooEarly.selector, deadline, deadline)
        );
        vm.warp(deadline + 1);
        expectMove(
            request(0, 10, CENTRE),
            abi.encodeWithSelector(ICaseLedger.CaseTooLate.selector, deadline, deadline + 1)
        );
        step(0, 9, CENTRE);
        assertEq(stageOf(0), 14);
    }

    // Extensions

    function test_extension_addsToTheClockOnce() public {
        tryIt(0);
        vm.warp(GENESIS + 20 days);
        step(0, PROLONG, COURT);
        ICaseLedger.Case memory state = ledger.caseOf(caseId(0));
        assertEq(state.stage, 28);
        // Two months and one from 15 January.
        assertEq(state.deadline, lastSecond(2027, 4, 15));
        expectMove(
            request(0, PROLONG, COURT),
            abi.encodeWithSelector(ICaseLedger.CaseAlreadyExtended.selector, PROLONG)
        );
    }

    function test_extension_countsEarlierPauses() public {
        tryIt(0);
        vm.warp(GENESIS + 10 days);
        pause(0, SUSPENSION, COURT);
        vm.warp(GENESIS + 15 days);
        resume(0, SUSPENSION, COURT);
        step(0, PROLONG, COURT);
        assertEq(ledger.caseOf(caseId(0)).deadline, lastSecond(2027, 4, 20));
    }

    function test_extension_isRefusedOnceTimeHasRunOut() public {
        tryIt(0);
        (uint40 deadline,) = ledger.deadlineOf(caseId(0));
        vm.warp(deadline + 1);
        expectMove(
            request(0, PROLONG, COURT),
            abi.encodeWithSelector(ICaseLedger.CaseTooLate.selector, deadline, deadline + 1)
        );
    }

    function test_extension_canBeReversed() public {
        tryIt(0);
        (uint40 deadline,) = ledger.deadlineOf(caseId(0));
        step(0, PROLONG, COURT);
        ICaseLedger.Reverse memory reverse =
            ICaseLedger.Reverse(caseId(0), ledger.caseOf(caseId(0)).version, COURT, REGULATOR, 0, FOREVER);
        ledger.reverse(reverse, signed(actKey(COURT), reverse), signed(actKey(REGULATOR), reverse));
        assertEq(ledger.caseOf(caseId(0)).deadline, deadline);
        step(0, PROLONG, COURT);
    }

    // Pauses

    function test_pause_stopsTheClockAndResumeGivesTheDaysBack() public {
        tryIt(0);
        vm.warp(GENESIS + 4 days);
        pause(0, APPRAISAL, COURT);
        (uint40 deadline,) = ledger.deadlineOf(caseId(0));
        assertEq(deadline, 0);
        vm.warp(GENESIS + 400 days);
        assertFalse(ledger.isOverdue(caseId(0)));
        resume(0, APPRAISAL, COURT);
        assertEq(ledger.caseOf(caseId(0)).deadline, rolled(CivilDates.toDay(2027, 3, 15) + 396));
    }

    function test_pause_countsOverlappingTimeOnce() public {
        tryIt(0);
        vm.warp(GENESIS + 4 days);
        pause(0, APPRAISAL, COURT);
        vm.warp(GENESIS + 6 days);
        pause(0, SUSPENSION, COURT);
        vm.warp(GENESIS + 8 days);
        resume(0, APPRAISAL, COURT);
        (uint40 deadline,) = ledger.deadlineOf(caseId(0));
        assertEq(deadline, 0);
        vm.warp(GENESIS + 11 days);
        resume(0, SUSPENSION, COURT);
        assertEq(ledger.caseOf(caseId(0)).deadline, rolled(CivilDates.toDay(2027, 3, 15) + 7));
    }

    /// A pause that begins after the deadline moves nothing, but while it is open nothing is overdue either.
    function test_pause_ofACaseThatIsLateShowsNoDeadline() public {
        tryIt(0);
        (uint40 deadline,) = ledger.deadlineOf(caseId(0));
        vm.warp(deadline + 10 days);
        pause(0, APPRAISAL, COURT);
        pause(0, SUSPENSION, COURT);
        resume(0, APPRAISAL, COURT);
        (uint40 now_,) = ledger.deadlineOf(caseId(0));
        assertEq(now_, 0);
        assertEq(ledger.caseOf(caseId(0)).deadline, 0);
        assertFalse(ledger.isOverdue(caseId(0)));
        vm.warp(block.timestamp + 30 days);
        resume(0, SUSPENSION, COURT);
        assertEq(ledger.caseOf(caseId(0)).deadline, deadline);
        assertTrue(ledger.isOverdue(caseId(0)));
    }

    function test_pause_isRefusedToRolesAndStagesThatDoNotHaveIt() public {
        tryIt(0);
        refusePause(0, APPRAISAL, BANK, ICaseLedger.CaseRoleMissing.selector);
        refusePause(0, DISPUTE, COURT, ICaseLedger.CaseHoldNotAllowed.selector);
        refusePause(0, 0, COURT, ICaseLedger.CaseHoldNotAllowed.selector);
        refusePause(0, 200, COURT, ICaseLedger.CaseHoldNotAllowed.selector);
        stepFor(1, 4, BANK, 1);
        refusePause(1, DISPUTE, CENTRE, ICaseLedger.CaseHoldNotAllowed.selector);
    }

    function test_pause_opensOneOfAKind() public {
        tryIt(0);
        pause(0, APPRAISAL, COURT);
        refusePause(0, APPRAISAL, COURT, ICaseLedger.CaseHoldOpen.selector);
        resume(0, APPRAISAL, COURT);
        ICaseLedger.Resume memory again =
            ICaseLedger.Resume(caseId(0), ledger.caseOf(caseId(0)).version, COURT, APPRAISAL, 0, FOREVER);
        bytes memory signature = signed(actKey(COURT), again);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseHoldNotOpen.selector, APPRAISAL));
        ledger.resume(again, signature);
    }

    function test_pause_isBoundedInNumber() public {
        tryIt(0);
        for (uint256 i = 0; i < 15; ++i) {
            pause(0, APPRAISAL, COURT);
            resume(0, APPRAISAL, COURT);
        }
        refusePause(0, APPRAISAL, COURT, ICaseLedger.CaseTooManyHolds.selector);
    }

    function test_pause_keepsACaseWhereItIs() public {
        tryIt(0);
        pause(0, SUSPENSION, COURT);
        IEvidenceGuard.Entry[] memory judgment = only(entry(COURT_DOCUMENT, COURT, caseId(0), 0));
        ICaseLedger.Move memory move = request(0, 50, COURT);
        move.evidence = digestOf(judgment);
        bytes memory signature = signed(actKey(COURT), move);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseOnHold.selector, uint8(1)));
        ledger.move(move, nowhere(), abi.encode(judgment), signature, "");
        // An agreement ends the pause with the stage.
        send(request(0, 52, COURT), judgment);
        ICaseLedger.Case memory state = ledger.caseOf(caseId(0));
        assertEq(state.stage, 34);
        assertEq(state.openHolds, 0);
    }

    function test_pause_ofACourtStageIsNotForTheCentre() public {
        tryIt(0);
        refusePause(0, SUSPENSION, CENTRE, ICaseLedger.CaseRoleMissing.selector);
    }

    // Overdue

    function test_markOverdue_isForAnybodyAndOnce() public {
        admit(0);
        (uint40 deadline,) = ledger.deadlineOf(caseId(0));
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseNotOverdue.selector, deadline, deadline));
        ledger.markOverdue(caseId(0), nowhere());
        vm.warp(deadline + 1);
        assertTrue(ledger.isOverdue(caseId(0)));
        uint32 version = ledger.caseOf(caseId(0)).version;
        vm.prank(address(0xBEEF));
        ledger.markOverdue(caseId(0), nowhere());
        assertEq(ledger.caseOf(caseId(0)).version, version);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseIsMarked.selector, caseId(0)));
        ledger.markOverdue(caseId(0), nowhere());
        step(0, 5, CENTRE);
        assertEq(ledger.caseOf(caseId(0)).flags & 1, 0);
    }

    function test_markOverdue_bringsAForgottenCaseToLife() public {
        vm.warp(GENESIS + 30 days);
        ledger.markOverdue(caseId(3), origin(3));
        assertEq(ledger.caseOf(caseId(3)).flags & 1, 1);
        assertEq(stageOf(3), 1);
    }

    function test_markOverdue_ofAPausedCaseIsRefused() public {
        tryIt(0);
        pause(0, SUSPENSION, COURT);
        vm.warp(GENESIS + 400 days);
        vm.expectPartialRevert(ICaseLedger.CaseNotOverdue.selector);
        ledger.markOverdue(caseId(0), nowhere());
    }

    // No pause, and no reversal, makes a deadline earlier.

    function testFuzz_pausesNeverShorten(uint32[6] memory waits) public {
        tryIt(0);
        uint40 last = ledger.caseOf(caseId(0)).deadline;
        for (uint256 i = 0; i < 3; ++i) {
            vm.warp(block.timestamp + bound(waits[2 * i], 0, 12 days));
            pause(0, APPRAISAL, COURT);
            vm.warp(block.timestamp + bound(waits[2 * i + 1], 0, 40 days));
            resume(0, APPRAISAL, COURT);
            uint40 deadline = ledger.caseOf(caseId(0)).deadline;
            assertTrue(deadline >= last);
            last = deadline;
        }
    }

    function testFuzz_reversalsNeverShorten(uint32 first, uint32 second) public {
        mediate(0);
        uint40 last = ledger.caseOf(caseId(0)).deadline;
        vm.warp(block.timestamp + bound(first, 0, 29 days));
        stepFor(0, 15, MEDIATION, 4);
        vm.warp(block.timestamp + bound(second, 0, 200 days));
        ICaseLedger.Reverse memory reverse =
            ICaseLedger.Reverse(caseId(0), ledger.caseOf(caseId(0)).version, MEDIATION, CENTRE, 0, FOREVER);
        ledger.reverse(reverse, signed(actKey(MEDIATION), reverse), signed(actKey(CENTRE), reverse));
        assertEq(stageOf(0), 8);
        assertTrue(ledger.caseOf(caseId(0)).deadline >= last);
    }

    // Helpers

    function pause(uint256 which, uint8 kind, uint32 organisation) private {
        ICaseLedger.Pause memory made = pauseRequest(which, kind, organisation);
        bool alive = ledger.caseOf(made.caseId).version != 0;
        ledger.pause(made, alive ? nowhere() : origin(which), signed(actKey(organisation), made));
    }

    function pauseRequest(
        uint256 which,
        uint8 kind,
        uint32 organisation
    )
        private
        view
        returns (ICaseLedger.Pause memory)
    {
        uint32 version = ledger.caseOf(caseId(which)).version;
        return ICaseLedger.Pause(
            caseId(which), version == 0 ? 1 : version, organisation, kind, keccak256("basis"), FOREVER
        );
    }

    function refusePause(uint256 which, uint8 kind, uint32 organisation, bytes4 selector) private {
        ICaseLedger.Pause memory made = pauseRequest(which, kind, organisation);
        bytes memory signature = signed(actKey(organisation), made);
        vm.expectPartialRevert(selector);
        ledger.pause(made, nowhere(), signature);
    }

    function resume(uint256 which, uint8 kind, uint32 organisation) private {
        ICaseLedger.Resume memory made = ICaseLedger.Resume(
            caseId(which), ledger.caseOf(caseId(which)).version, organisation, kind, 0, FOREVER
        );
        ledger.resume(made, signed(actKey(organisation), made));
    }

    function expectMove(ICaseLedger.Move memory move, bytes memory reason) private {
        (bytes memory signature, bytes memory other) = signatures(move);
        vm.expectRevert(reason);
        ledger.move(move, nowhere(), "", signature, other);
    }

    function lastSecond(uint256 year, uint256 month, uint256 day) private pure returns (uint256) {
        return CivilDates.lastSecond(CivilDates.toDay(year, month, day));
    }

    /// The end of `day`, or of the Monday after it.
    function rolled(uint256 day) private pure returns (uint256) {
        uint256 weekday = (day + 3) % 7;
        return CivilDates.lastSecond(weekday < 5 ? day : day + 7 - weekday);
    }
}
