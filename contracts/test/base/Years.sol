// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { CivilDates } from "../../libraries/CivilDates.sol";

/// Years of working days, written down as people do: weekdays, without holidays, with make-up days.
library Years {
    struct Bits {
        uint256 low;
        uint128 high;
    }

    /// Monday to Friday. 1 January 1970 was a Thursday.
    function weekdays(uint256 year) internal pure returns (Bits memory bits) {
        uint256 first = CivilDates.toDay(year, 1, 1);
        uint256 length = CivilDates.isLeap(year) ? 366 : 365;
        for (uint256 i = 0; i < length; ++i) {
            if ((first + i + 3) % 7 < 5) set(bits, i, true);
        }
    }

    /// 2026, by the notice of the General Office of the State Council.
    function of2026() internal pure returns (Bits memory bits) {
        bits = weekdays(2026);
        mark(bits, 2026, 1, 1, 3, false);
        mark(bits, 2026, 1, 4, 1, true);
        mark(bits, 2026, 2, 14, 1, true);
        mark(bits, 2026, 2, 15, 9, false);
        mark(bits, 2026, 2, 28, 1, true);
        mark(bits, 2026, 4, 4, 3, false);
        mark(bits, 2026, 5, 1, 5, false);
        mark(bits, 2026, 5, 9, 1, true);
        mark(bits, 2026, 6, 19, 3, false);
        mark(bits, 2026, 9, 20, 1, true);
        mark(bits, 2026, 9, 25, 3, false);
        mark(bits, 2026, 10, 1, 7, false);
        mark(bits, 2026, 10, 10, 1, true);
    }

    /// `count` days from a date on.
    function mark(
        Bits memory bits,
        uint256 year,
        uint256 month,
        uint256 day,
        uint256 count,
        bool workday
    )
        internal
        pure
    {
        uint256 place = CivilDates.toDay(year, month, day) - CivilDates.toDay(year, 1, 1);
        for (uint256 i = 0; i < count; ++i) {
            set(bits, place + i, workday);
        }
    }

    function set(Bits memory bits, uint256 place, bool workday) internal pure {
        if (place < 256) {
            uint256 bit = uint256(1) << place;
            bits.low = workday ? bits.low | bit : bits.low & ~bit;
        } else {
            uint128 bit = uint128(1) << uint128(place - 256);
            bits.high = workday ? bits.high | bit : bits.high & ~bit;
        }
    }

    function isSet(Bits memory bits, uint256 place) internal pure returns (bool) {
        return (place < 256 ? bits.low >> place : uint256(bits.high) >> (place - 256)) & 1 == 1;
    }
}
