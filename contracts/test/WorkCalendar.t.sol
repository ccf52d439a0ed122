// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { WorkCalendar } from "../cases/WorkCalendar.sol";
import { IWorkCalendar } from "../interfaces/IWorkCalendar.sol";
import { CivilDates } from "../libraries/CivilDates.sol";
import { CalendarTest } from "./base/CalendarTest.sol";
import { Years } from "./base/Years.sol";

contract WorkCalendarTest is CalendarTest {
    function test_constructor_takesGovernanceFromTheRegistry() public {
        assertEq(calendar.governance(), address(governance));
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarRegistryInvalid.selector, relayer));
        new WorkCalendar(relayer);
    }

    function test_setYear_throughGovernance() public {
        vm.warp(GENESIS);
        Years.Bits memory bits = Years.weekdays(2027);
        decide(
            address(calendar), abi.encodeCall(calendar.setYear, (2027, bits.low, bits.high, "notice of 2027"))
        );
        (uint256 low, uint128 high) = calendar.workdays(2027);
        assertEq(low, bits.low);
        assertEq(high, bits.high);
        assertEq(calendar.sequence(), 3);
    }

    function test_setYear_reportsTheYear() public {
        Years.Bits memory bits = Years.weekdays(2027);
        vm.expectEmit(true, true, true, true, address(calendar));
        emit IWorkCalendar.CalendarYearSet(3, 2027, 261, bits.low, bits.high, NOTICE);
        setYear(2027, bits);
    }

    function test_setYear_refusesAnyoneButGovernance() public {
        Years.Bits memory bits = Years.weekdays(2027);
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarNotGovernance.selector, deployer));
        vm.prank(deployer);
        calendar.setYear(2027, bits.low, bits.high, NOTICE);
    }

    function test_setYear_boundsTheYear() public {
        vm.startPrank(address(governance));
        Years.Bits memory bits = Years.weekdays(1999);
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarYearOutOfRange.selector, 1999));
        calendar.setYear(1999, bits.low, bits.high, NOTICE);
        bits = Years.weekdays(2200);
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarYearOutOfRange.selector, 2200));
        calendar.setYear(2200, bits.low, bits.high, NOTICE);
        bits = Years.weekdays(2000);
        calendar.setYear(2000, bits.low, bits.high, NOTICE);
        bits = Years.weekdays(2199);
        calendar.setYear(2199, bits.low, bits.high, NOTICE);
    }

    function test_setYear_refusesDaysThatTheYearHasNot() public {
        Years.Bits memory bits = Years.weekdays(2027);
        uint128 beyond = bits.high | (uint128(1) << 109);
        vm.startPrank(address(governance));
        vm.expectRevert(
            abi.encodeWithSelector(IWorkCalendar.CalendarYearImplausible.selector, 2027, uint256(262))
        );
        calendar.setYear(2027, bits.low, beyond, NOTICE);

        bits = Years.weekdays(2028);
        calendar.setYear(2028, bits.low, bits.high | (uint128(1) << 109), NOTICE);
        bits = Years.weekdays(2032);
        vm.expectRevert(
            abi.encodeWithSelector(IWorkCalendar.CalendarYearImplausible.selector, 2032, uint256(263))
        );
        calendar.setYear(2032, bits.low, bits.high | (uint128(1) << 110), NOTICE);
    }

    function test_setYear_refusesTooFewAndTooManyWorkdays() public {
        vm.startPrank(address(governance));
        uint256 low = (uint256(1) << 199) - 1;
        vm.expectRevert(
            abi.encodeWithSelector(IWorkCalendar.CalendarYearImplausible.selector, 2027, uint256(199))
        );
        calendar.setYear(2027, low, 0, NOTICE);
        uint128 high = (uint128(1) << 45) - 1;
        vm.expectRevert(
            abi.encodeWithSelector(IWorkCalendar.CalendarYearImplausible.selector, 2027, uint256(301))
        );
        calendar.setYear(2027, type(uint256).max, high, NOTICE);
        calendar.setYear(2027, type(uint256).max, high >> 1, NOTICE);
        calendar.setYear(2028, (low << 1) | 1, 0, NOTICE);
    }

    function test_setYear_boundsTheNotice() public {
        Years.Bits memory bits = Years.weekdays(2027);
        vm.startPrank(address(governance));
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarNoticeInvalid.selector, uint256(0)));
        calendar.setYear(2027, bits.low, bits.high, "");
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarNoticeInvalid.selector, uint256(257)));
        calendar.setYear(2027, bits.low, bits.high, string(new bytes(257)));
        calendar.setYear(2027, bits.low, bits.high, string(new bytes(256)));
    }

    function test_setYear_correctsOnlyDaysAfterToday() public {
        vm.warp(midnight(2026, 9, 14) - 1);
        Years.Bits memory bits = Years.of2026();
        Years.mark(bits, 2026, 9, 13, 1, true);
        refusedDay(bits, 2026, 9, 13);
        Years.mark(bits, 2026, 9, 13, 1, false);
        // a day before the first bit of the second word, and one in it
        Years.mark(bits, 2026, 9, 14, 1, false);
        setYear(2026, bits);
        Years.mark(bits, 2026, 10, 8, 1, false);
        setYear(2026, bits);

        vm.warp(midnight(2026, 9, 14));
        Years.mark(bits, 2026, 9, 14, 1, true);
        refusedDay(bits, 2026, 9, 14);
        vm.warp(midnight(2026, 10, 8));
        Years.mark(bits, 2026, 9, 14, 1, false);
        Years.mark(bits, 2026, 10, 8, 1, true);
        refusedDay(bits, 2026, 10, 8);
    }

    function test_setYear_refusesARepetition() public {
        Years.Bits memory bits = Years.of2026();
        vm.prank(address(governance));
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarYearUnchanged.selector, 2026));
        calendar.setYear(2026, bits.low, bits.high, NOTICE);
    }

    function test_setYear_fillsAYearThatIsOver() public {
        Years.Bits memory bits = Years.weekdays(2024);
        setYear(2024, bits);
        (uint256 low,) = calendar.workdays(2024);
        assertEq(low, bits.low);
    }

    function test_workdays_refusesAYearThatIsNotSet() public {
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarYearUnknown.selector, uint256(2027)));
        calendar.workdays(2027);
        vm.expectRevert(
            abi.encodeWithSelector(IWorkCalendar.CalendarYearUnknown.selector, uint256(2026 + 65_536))
        );
        calendar.workdays(2026 + 65_536);
    }

    function test_workdaysAt_keepsEveryStateOfAYear() public {
        Years.Bits memory first = Years.of2026();
        Years.Bits memory second = Years.of2026();
        Years.mark(second, 2026, 9, 14, 1, false);
        setYear(2027, Years.weekdays(2027));
        vm.warp(noon(2026, 3, 1));
        setYear(2026, second);

        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarYearUnknown.selector, uint256(2026)));
        calendar.workdaysAt(2026, 1);
        expectState(2, first, 2, noon(2025, 11, 30));
        expectState(3, first, 2, noon(2025, 11, 30));
        expectState(4, second, 4, noon(2026, 3, 1));
        expectState(type(uint64).max, second, 4, noon(2026, 3, 1));
    }

    function testFuzz_setYear_neverChangesAPassedDay(uint256 place, uint256 today) public {
        place = bound(place, 0, 364);
        today = bound(today, 0, 364);
        uint256 first = CivilDates.toDay(2026, 1, 1);
        vm.warp(CivilDates.lastSecond(first + today));
        Years.Bits memory bits = Years.of2026();
        bool before = Years.isSet(bits, place);
        Years.set(bits, place, !before);
        vm.prank(address(governance));
        (bool success,) =
            address(calendar).call(abi.encodeCall(calendar.setYear, (2026, bits.low, bits.high, NOTICE)));
        (uint256 low, uint128 high) = calendar.workdays(2026);
        assertTrue(success == (place > today));
        assertTrue(Years.isSet(Years.Bits(low, high), place) == (success ? !before : before));
    }

    function refusedDay(Years.Bits memory bits, uint256 year, uint256 month, uint256 day) private {
        uint256 place = CivilDates.toDay(year, month, day) - CivilDates.toDay(year, 1, 1);
        vm.prank(address(governance));
        vm.expectRevert(abi.encodeWithSelector(IWorkCalendar.CalendarDayPassed.selector, uint16(year), place));
        calendar.setYear(uint16(year), bits.low, bits.high, NOTICE);
    }

    function expectState(uint64 revision, Years.Bits memory bits, uint64 setBy, uint40 setAt) private view {
        (uint256 low, uint128 high, uint64 by, uint40 when) = calendar.workdaysAt(2026, revision);
        assertEq(low, bits.low);
        assertEq(high, bits.high);
        assertEq(by, setBy);
        assertEq(when, setAt);
    }
}
