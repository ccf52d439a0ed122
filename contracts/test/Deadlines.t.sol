// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IWorkCalendar } from "../interfaces/IWorkCalendar.sol";
import { CivilDates } from "../libraries/CivilDates.sol";
import { Deadlines } from "../libraries/Deadlines.sol";
import { CalendarTest } from "./base/CalendarTest.sol";
import { Years } from "./base/Years.sol";

contract DeadlinesTest is CalendarTest {
    uint8 private constant KEEP = Deadlines.NO_ROLL_OVER;
    IWorkCalendar.Hold[] private _none;

    // The units

    function test_seconds_runToTheSecond() public view {
        uint40 start = midnight(2026, 2, 15) + 7;
        assertEq(due(start, 90, Deadlines.SECONDS), start + 90);
        assertTrue(Deadlines.isTestClock(Deadlines.pack(90, Deadlines.SECONDS, 0)));
        assertFalse(Deadlines.isTestClock(Deadlines.pack(90, Deadlines.HOURS, 0)));
    }

    function test_hours_runThroughAHoliday() public view {
        assertEq(due(noon(2026, 2, 14), 48, Deadlines.HOURS), noon(2026, 2, 16));
    }

    function test_hours_mayLeaveOutTheHourOfTheEvent() public view {
        uint8 flag = Deadlines.FROM_NEXT_HOUR;
        uint40 ten = midnight(2026, 3, 2) + 10 hours;
        uint40 end = midnight(2026, 3, 4) + 11 hours - 1;
        assertEq(dueFlagged(ten, 48, Deadlines.HOURS, flag), end);
        assertEq(dueFlagged(ten + 3599, 48, Deadlines.HOURS, flag), end);
        assertEq(dueFlagged(ten + 3600, 48, Deadlines.HOURS, flag), end + 1 hours);
        assertEq(dueFlagged(ten - 1, 48, Deadlines.HOURS, flag), end - 1 hours);
    }

    function test_days_doNotCountTheFirst() public view {
        assertEq(due(midnight(2026, 3, 2), 15, Deadlines.DAYS), endOf(2026, 3, 17));
        assertEq(due(endOf(2026, 3, 2), 15, Deadlines.DAYS), endOf(2026, 3, 17));
        assertEq(due(endOf(2026, 3, 2) + 1, 15, Deadlines.DAYS), endOf(2026, 3, 18));
    }

    function test_days_rollOverSpringFestival() public view {
        assertEq(due(noon(2026, 2, 6), 10, Deadlines.DAYS), endOf(2026, 2, 24));
        assertEq(due(noon(2026, 2, 4), 10, Deadlines.DAYS), endOf(2026, 2, 14));
        assertEq(dueFlagged(noon(2026, 2, 6), 10, Deadlines.DAYS, KEEP), endOf(2026, 2, 16));
    }

    function test_workdays_knowMakeUpDays() public view {
        assertEq(due(noon(2026, 2, 13), 3, Deadlines.WORKDAYS), endOf(2026, 2, 25));
        assertEq(due(noon(2026, 2, 26), 2, Deadlines.WORKDAYS), endOf(2026, 2, 28));
    }

    function test_months_endOnTheSameNumberOrTheLastDay() public view {
        assertEq(due(noon(2025, 12, 31), 2, Deadlines.MONTHS), endOf(2026, 2, 28));
        assertEq(due(noon(2026, 1, 30), 1, Deadlines.MONTHS), endOf(2026, 2, 28));
        assertEq(due(noon(2026, 1, 27), 1, Deadlines.MONTHS), endOf(2026, 2, 27));
        assertEq(due(noon(2025, 12, 16), 2, Deadlines.MONTHS), endOf(2026, 2, 24));
    }

    function test_years_knowTheLeapDay() public view {
        assertEq(due(noon(2024, 2, 29), 2, Deadlines.YEARS), endOf(2026, 2, 28));
        assertEq(dueFlagged(noon(2023, 2, 28), 1, Deadlines.YEARS, KEEP), endOf(2024, 2, 28));
        assertEq(dueFlagged(noon(2024, 2, 29), 4, Deadlines.YEARS, KEEP), endOf(2028, 2, 29));
    }

    // Holds

    function test_holds_countOnce() public view {
        uint40 start = noon(2026, 3, 2);
        IWorkCalendar.Hold[] memory holds = new IWorkCalendar.Hold[](2);
        holds[0] = IWorkCalendar.Hold(noon(2026, 3, 6), noon(2026, 3, 10));
        holds[1] = IWorkCalendar.Hold(noon(2026, 3, 4), noon(2026, 3, 8));
        assertEq(dueHeld(start, 15, Deadlines.DAYS, holds), endOf(2026, 3, 23));
    }

    function test_holds_onTheLastDayMoveIt() public view {
        IWorkCalendar.Hold[] memory holds = one(noon(2026, 3, 17), noon(2026, 3, 18));
        assertEq(dueHeld(noon(2026, 3, 2), 15, Deadlines.DAYS, holds), endOf(2026, 3, 18));
        holds = one(noon(2026, 3, 18), noon(2026, 3, 30));
        assertEq(dueHeld(noon(2026, 3, 2), 15, Deadlines.DAYS, holds), endOf(2026, 3, 17));
    }

    function test_holds_areReachedByExtension() public view {
        IWorkCalendar.Hold[] memory holds = new IWorkCalendar.Hold[](2);
        holds[0] = IWorkCalendar.Hold(noon(2026, 3, 18), noon(2026, 3, 20));
        holds[1] = IWorkCalendar.Hold(noon(2026, 3, 16), noon(2026, 3, 18));
        assertEq(dueHeld(noon(2026, 3, 2), 15, Deadlines.DAYS, holds), endOf(2026, 3, 23));
    }

    function test_holds_startDayIsNotCountedTwice() public view {
        uint40 start = noon(2026, 3, 2);
        assertEq(dueHeld(start, 15, Deadlines.DAYS, one(start - 5 days, start)), endOf(2026, 3, 17));
        assertEq(dueHeld(start, 15, Deadlines.DAYS, one(start, start + 1 days)), endOf(2026, 3, 17));
        assertEq(dueHeld(start, 15, Deadlines.DAYS, one(start, start + 2 days)), endOf(2026, 3, 18));
    }

    function test_holds_keepTheRolledDayFree() public view {
        // ends on Saturday 7 March, so on Monday the 9th, which is held until the 11th
        IWorkCalendar.Hold[] memory holds = one(noon(2026, 3, 9), noon(2026, 3, 11));
        assertEq(dueHeld(noon(2026, 3, 2), 5, Deadlines.DAYS, holds), endOf(2026, 3, 11));
    }

    function test_holds_workdaysSkipThem() public view {
        IWorkCalendar.Hold[] memory holds = one(noon(2026, 3, 3), noon(2026, 3, 5));
        assertEq(dueHeld(noon(2026, 3, 2), 3, Deadlines.WORKDAYS, holds), endOf(2026, 3, 9));
    }

    function test_holds_subtractHeldSeconds() public view {
        uint40 start = noon(2026, 3, 2);
        assertEq(dueHeld(start, 48, Deadlines.HOURS, one(start, start + 100)), start + 48 hours + 100);
        assertEq(dueHeld(start, 48, Deadlines.HOURS, one(start - 50, start + 50)), start + 48 hours + 50);
        uint40 last = start + 48 hours;
        assertEq(dueHeld(start, 48, Deadlines.HOURS, one(last, last + 9)), last + 9);
        assertEq(dueHeld(start, 48, Deadlines.HOURS, one(last + 1, last + 9)), last);
    }

    function test_openHold_stopsTheClock() public view {
        uint40 start = noon(2026, 3, 2);
        uint8[4] memory units = [Deadlines.HOURS, Deadlines.DAYS, Deadlines.WORKDAYS, Deadlines.MONTHS];
        for (uint256 i = 0; i < units.length; ++i) {
            assertEq(dueHeld(start, 1, units[i], one(start, 0)), Deadlines.PAUSED);
            assertEq(dueHeld(start, 1, units[i], one(0, 0)), Deadlines.PAUSED);
            assertEq(
                calendar.earliest(start, Deadlines.pack(1, units[i], 0), one(start, 0)), Deadlines.PAUSED
            );
        }
    }

    function test_openHold_afterTheEndChangesNothing() public view {
        uint40 start = noon(2026, 3, 2);
        assertEq(dueHeld(start, 15, Deadlines.DAYS, one(noon(2026, 3, 18), 0)), endOf(2026, 3, 17));
        assertEq(dueHeld(start, 15, Deadlines.DAYS, one(noon(2026, 3, 17), 0)), Deadlines.PAUSED);
        // the period ends on Saturday; the hold begins before the Monday to which it rolls
        assertEq(dueHeld(start, 5, Deadlines.DAYS, one(noon(2026, 3, 9), 0)), Deadlines.PAUSED);
        assertEq(dueHeld(start, 5, Deadlines.DAYS, one(noon(2026, 3, 10), 0)), endOf(2026, 3, 9));
    }

    // What is refused

    function test_clock_refusesWhatItDoesNotKnow() public {
        refused(Deadlines.pack(1, 0, 0), abi.encodeWithSelector(Deadlines.DeadlineUnitUnknown.selector, 0));
        refused(Deadlines.pack(1, 7, 0), abi.encodeWithSelector(Deadlines.DeadlineUnitUnknown.selector, 7));
        refused(
            Deadlines.pack(1, 3, 2), abi.encodeWithSelector(Deadlines.DeadlineFlagsInvalid.selector, 2, 3)
        );
        refused(
            Deadlines.pack(1, 4, 1), abi.encodeWithSelector(Deadlines.DeadlineFlagsInvalid.selector, 1, 4)
        );
        refused(
            Deadlines.pack(1, 2, 1), abi.encodeWithSelector(Deadlines.DeadlineFlagsInvalid.selector, 1, 2)
        );
        refused(
            Deadlines.pack(1, 2, 3), abi.encodeWithSelector(Deadlines.DeadlineFlagsInvalid.selector, 3, 2)
        );
        refused(
            Deadlines.pack(1, 1, 2), abi.encodeWithSelector(Deadlines.DeadlineFlagsInvalid.selector, 2, 1)
        );
        refused(Deadlines.pack(0, 3, 0), abi.encodeWithSelector(Deadlines.DeadlineCountZero.selector));
    }

    function test_clock_boundsTheCount() public {
        uint16[4] memory most = [uint16(10_950), 3660, 360, 30];
        for (uint8 i = 0; i < 4; ++i) {
            Deadlines.requireClock(Deadlines.pack(most[i], 3 + i, 0));
            refused(
                Deadlines.pack(most[i] + 1, 3 + i, 0),
                abi.encodeWithSelector(Deadlines.DeadlineCountTooLarge.selector, most[i] + 1, 3 + i)
            );
        }
        Deadlines.requireClock(Deadlines.pack(type(uint16).max, Deadlines.HOURS, 0));
    }

    function test_start_liesBefore2100() public {
        uint40 end = midnight(2100, 1, 1);
        assertEq(end, Deadlines.END_OF_TIME);
        uint32 clock = Deadlines.pack(30, Deadlines.YEARS, KEEP);
        assertEq(calendar.deadline(end - 1, clock, _none), endOf(2129, 12, 31));
        vm.expectRevert(abi.encodeWithSelector(Deadlines.DeadlineStartOutOfRange.selector, end));
        calendar.deadline(end, clock, _none);
    }

    function test_holds_areBounded() public {
        uint32 clock = Deadlines.pack(15, Deadlines.DAYS, 0);
        uint40 start = noon(2026, 3, 2);
        IWorkCalendar.Hold[] memory holds = new IWorkCalendar.Hold[](16);
        assertEq(calendar.deadline(start, clock, holds), Deadlines.PAUSED);
        holds = new IWorkCalendar.Hold[](17);
        vm.expectRevert(abi.encodeWithSelector(Deadlines.DeadlineTooManyHolds.selector, uint256(17)));
        calendar.deadline(start, clock, holds);

        vm.expectRevert(
            abi.encodeWithSelector(Deadlines.DeadlineHoldEndsBeforeStart.selector, start, start - 1)
        );
        calendar.deadline(start, clock, one(start, start - 1));
        assertEq(calendar.deadline(start, clock, one(start, start)), endOf(2026, 3, 17));

        uint40 end = Deadlines.END_OF_TIME;
        vm.expectRevert(abi.encodeWithSelector(Deadlines.DeadlineHoldOutOfRange.selector, start, end));
        calendar.deadline(start, clock, one(start, end));
        vm.expectRevert(abi.encodeWithSelector(Deadlines.DeadlineHoldOutOfRange.selector, end, 0));
        calendar.deadline(start, clock, one(end, 0));
    }

    function test_yearBeyondTheTable_isRefused() public {
        bytes memory unknown =
            abi.encodeWithSelector(IWorkCalendar.CalendarYearUnknown.selector, uint256(2027));
        uint40 start = noon(2026, 12, 1);
        assertEq(due(start, 30, Deadlines.DAYS), endOf(2026, 12, 31));
        vm.expectRevert(unknown);
        calendar.deadline(start, Deadlines.pack(31, Deadlines.DAYS, 0), _none);
        vm.expectRevert(unknown);
        calendar.deadline(start, Deadlines.pack(24, Deadlines.WORKDAYS, 0), _none);
        assertEq(calendar.earliest(start, Deadlines.pack(2, Deadlines.YEARS, 0), _none), endOf(2028, 12, 1));
        assertEq(
            calendar.earliest(start, Deadlines.pack(24, Deadlines.WORKDAYS, 0), _none), endOf(2026, 12, 25)
        );
        // without roll-over nothing is asked of the calendar
        assertEq(dueFlagged(start, 31, Deadlines.DAYS, KEEP), endOf(2027, 1, 1));
    }

    // Properties

    function testFuzz_dates_roundTrip(uint256 day) public pure {
        day = bound(day, 0, 200_000);
        (uint256 year, uint256 month, uint256 dayOfMonth) = CivilDates.toDate(day);
        assertEq(CivilDates.toDay(year, month, dayOfMonth), day);
        assertTrue(month >= 1 && month <= 12);
        assertTrue(dayOfMonth >= 1 && dayOfMonth <= CivilDates.daysInMonth(year, month));
    }

    function test_dates_areConsecutive() public pure {
        (uint256 year, uint256 month, uint256 dayOfMonth) = (1970, 1, 1);
        for (uint256 day = 0; day < 60_000; ++day) {
            (uint256 y, uint256 m, uint256 d) = CivilDates.toDate(day);
            assertTrue(y == year && m == month && d == dayOfMonth);
            if (++dayOfMonth > CivilDates.daysInMonth(year, month)) {
                dayOfMonth = 1;
                if (++month == 13) (year, month) = (year + 1, 1);
            }
        }
    }

    function testFuzz_deadline_isAWorkdayAfterTheStart(
        uint40 start,
        uint16 count,
        uint8 unit,
        uint256 seed
    )
        public
        view
    {
        start = inside(start);
        unit = uint8(bound(unit, Deadlines.DAYS, Deadlines.MONTHS));
        count = uint16(bound(count, 1, unit == Deadlines.MONTHS ? 3 : 60));
        IWorkCalendar.Hold[] memory holds = some(start, seed);
        uint40 end = dueHeld(start, count, unit, holds);
        assertLt(start, end);
        uint256 day = CivilDates.dayOf(end);
        assertEq(end, CivilDates.lastSecond(day));
        assertTrue(isWorkday(day));
        for (uint256 i = 0; i < holds.length; ++i) {
            assertFalse(CivilDates.dayOf(holds[i].from) <= day && day < CivilDates.dayOf(holds[i].until));
        }
        uint40 earliest = calendar.earliest(start, Deadlines.pack(count, unit, 0), holds);
        assertTrue(start < earliest && earliest <= end);
        // one more is never earlier
        assertTrue(dueHeld(start, count + 1, unit, holds) >= end);
    }

    function testFuzz_hold_neverShortens(uint40 start, uint16 count, uint8 unit, uint256 seed) public view {
        start = inside(start);
        unit = uint8(bound(unit, Deadlines.SECONDS, Deadlines.MONTHS));
        count = uint16(bound(count, 1, unit == Deadlines.MONTHS ? 3 : 60));
        IWorkCalendar.Hold[] memory holds = some(start, seed);
        IWorkCalendar.Hold[] memory fewer = new IWorkCalendar.Hold[](holds.length - 1);
        for (uint256 i = 0; i < fewer.length; ++i) {
            fewer[i] = holds[i + 1];
        }
        assertTrue(dueHeld(start, count, unit, holds) >= dueHeld(start, count, unit, fewer));
    }

    function isWorkday(uint256 day) private view returns (bool) {
        (uint256 year,,) = CivilDates.toDate(day);
        (uint256 low, uint128 high) = calendar.workdays(year);
        return Years.isSet(Years.Bits(low, high), day - CivilDates.toDay(year, 1, 1));
    }

    /// Early enough for 2026 to hold what the fuzz tests ask.
    function inside(uint40 start) private pure returns (uint40) {
        return uint40(bound(start, midnight(2025, 1, 1), midnight(2026, 4, 1)));
    }

    /// Three closed holds of at most ten days.
    function some(uint40 start, uint256 seed) private pure returns (IWorkCalendar.Hold[] memory holds) {
        holds = new IWorkCalendar.Hold[](3);
        for (uint256 i = 0; i < 3; ++i) {
            uint40 from = start - 5 days + uint40(seed % 60 days);
            seed >>= 40;
            holds[i] = IWorkCalendar.Hold(from, from + uint40(seed % 10 days));
            seed >>= 40;
        }
    }

    function one(uint40 from, uint40 until) private pure returns (IWorkCalendar.Hold[] memory holds) {
        holds = new IWorkCalendar.Hold[](1);
        holds[0] = IWorkCalendar.Hold(from, until);
    }

    function due(uint40 start, uint16 count, uint8 unit) private view returns (uint40) {
        return dueHeld(start, count, unit, _none);
    }

    function dueFlagged(uint40 start, uint16 count, uint8 unit, uint8 flags) private view returns (uint40) {
        return calendar.deadline(start, Deadlines.pack(count, unit, flags), _none);
    }

    function dueHeld(
        uint40 start,
        uint16 count,
        uint8 unit,
        IWorkCalendar.Hold[] memory holds
    )
        private
        view
        returns (uint40)
    {
        return calendar.deadline(start, Deadlines.pack(count, unit, 0), holds);
    }

    function refused(uint32 clock, bytes memory reason) private {
        vm.expectRevert(reason);
        calendar.deadline(noon(2026, 3, 2), clock, _none);
    }
}
