// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IWorkCalendar } from "../interfaces/IWorkCalendar.sol";
import { Deadlines } from "../libraries/Deadlines.sol";
import { CalendarTest } from "./base/CalendarTest.sol";
import { Years } from "./base/Years.sol";

/// Gas of setting a year and of a deadline inside another transaction, kept in contracts/snapshots.
/// forge-config: default.isolate = true
contract WorkCalendarGasTest is CalendarTest {
    IWorkCalendar.Hold[] private _holds;

    function test_setYear_gas() public {
        Years.Bits memory bits = Years.of2026();
        vm.prank(address(governance));
        calendar.setYear(2024, bits.low, bits.high, NOTICE);
        vm.snapshotGasLastCall("WorkCalendar", "set a year");
        Years.mark(bits, 2026, 10, 8, 1, false);
        vm.prank(address(governance));
        calendar.setYear(2026, bits.low, bits.high, NOTICE);
        vm.snapshotGasLastCall("WorkCalendar", "correct a year");
    }

    function test_deadline_gas() public {
        uint40 start = noon(2026, 2, 6);
        measure("48 hours", start, Deadlines.pack(48, Deadlines.HOURS, 0));
        measure("10 days over Spring Festival", start, Deadlines.pack(10, Deadlines.DAYS, 0));
        measure("3 working days", start, Deadlines.pack(3, Deadlines.WORKDAYS, 0));
        measure("6 months", start, Deadlines.pack(6, Deadlines.MONTHS, 0));
        measure("2 years, no roll-over", start, Deadlines.pack(2, Deadlines.YEARS, Deadlines.NO_ROLL_OVER));
        for (uint40 i = 0; i < Deadlines.MOST_HOLDS; ++i) {
            _holds.push(IWorkCalendar.Hold(start + (16 - i) * 5 days, start + (16 - i) * 5 days + 2 days));
        }
        measure("6 months, 16 holds in the worst order", start, Deadlines.pack(6, Deadlines.MONTHS, 0));
        measure("60 working days, 16 holds", start, Deadlines.pack(60, Deadlines.WORKDAYS, 0));
    }

    /// The longest clock that there is costs a bounded amount.
    function test_deadline_gasOfTheLongest() public {
        for (uint16 year = 2027; year <= 2045; ++year) {
            setYear(year, Years.weekdays(year));
        }
        measure("3660 working days (the most)", noon(2026, 2, 6), Deadlines.pack(3660, Deadlines.WORKDAYS, 0));
    }

    function measure(string memory name, uint40 start, uint32 clock) private {
        calendar.deadline(start, clock, _holds);
        vm.snapshotGasLastCall("WorkCalendar", name);
    }
}
