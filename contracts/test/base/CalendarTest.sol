// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { WorkCalendar } from "../../cases/WorkCalendar.sol";
import { CivilDates } from "../../libraries/CivilDates.sol";
import { ConsortiumTest } from "./ConsortiumTest.sol";
import { Years } from "./Years.sol";

/// A consortium with a calendar that knows 2025 (weekdays alone) and 2026; today is 30 November 2025.
abstract contract CalendarTest is ConsortiumTest {
    string internal constant NOTICE = unicode"国办发明电〔2025〕7号";
    WorkCalendar internal calendar;

    function setUp() public virtual override {
        super.setUp();
        vm.warp(noon(2025, 11, 30));
        vm.prank(deployer);
        calendar = new WorkCalendar(address(registry));
        setYear(2025, Years.weekdays(2025));
        setYear(2026, Years.of2026());
    }

    /// Governance's call.
    function setYear(uint16 year, Years.Bits memory bits) internal {
        vm.prank(address(governance));
        calendar.setYear(year, bits.low, bits.high, NOTICE);
    }

    /// 12:00 in Shanghai.
    function noon(uint256 year, uint256 month, uint256 day) internal pure returns (uint40) {
        return midnight(year, month, day) + 12 hours;
    }

    function midnight(uint256 year, uint256 month, uint256 day) internal pure returns (uint40) {
        return uint40(CivilDates.toDay(year, month, day) * 1 days - 8 hours);
    }

    /// The last second of a date.
    function endOf(uint256 year, uint256 month, uint256 day) internal pure returns (uint40) {
        return midnight(year, month, day) + 1 days - 1;
    }
}
