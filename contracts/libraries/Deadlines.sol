// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IWorkCalendar } from "../interfaces/IWorkCalendar.sol";
import { CivilDates } from "./CivilDates.sol";

/// @title The arithmetic of deadlines (docs/spec/deadline.md)
/// @notice A clock is packed into 32 bits, from the least significant: 0-15 count, 16-23 unit, 24-31 flags.
library Deadlines {
    /// TEST CLOCK: no shipped policy counts in seconds.
    uint8 internal constant SECONDS = 1;
    uint8 internal constant HOURS = 2;
    uint8 internal constant DAYS = 3;
    uint8 internal constant WORKDAYS = 4;
    uint8 internal constant MONTHS = 5;
    uint8 internal constant YEARS = 6;
    /// Flag of days, months and years: the last day may be a holiday.
    uint8 internal constant NO_ROLL_OVER = 1;
    /// Flag of hours: the hour of the event is not counted, as civil procedure has it.
    uint8 internal constant FROM_NEXT_HOUR = 2;

    /// What `compute` answers while an open hold stops the clock.
    uint40 internal constant PAUSED = 0;
    uint256 internal constant MOST_HOLDS = 16;
    /// Starts and holds lie before 1 January 2100 in Shanghai.
    uint40 internal constant END_OF_TIME = 4_102_416_000;

    uint256 private constant NEVER = type(uint128).max;

    error DeadlineUnitUnknown(uint8 unit);
    error DeadlineFlagsInvalid(uint8 flags, uint8 unit);
    error DeadlineCountZero();
    error DeadlineCountTooLarge(uint16 count, uint8 unit);
    error DeadlineStartOutOfRange(uint40 start);
    error DeadlineTooManyHolds(uint256 count);
    error DeadlineHoldEndsBeforeStart(uint40 from, uint40 until);
    error DeadlineHoldOutOfRange(uint40 from, uint40 until);

    /// The days of one year, read once.
    struct Year {
        uint256 first;
        uint256 end;
        uint256 low;
        uint256 high;
    }

    function pack(uint16 count, uint8 unit, uint8 flags) internal pure returns (uint32) {
        return uint32(count) | (uint32(unit) << 16) | (uint32(flags) << 24);
    }

    /// The deadline must show that it is not of a real policy.
    function isTestClock(uint32 clock) internal pure returns (bool) {
        return uint8(clock >> 16) == SECONDS;
    }

    /// @notice Reverts unless `clock` can be computed with; for whoever stores clocks.
    function requireClock(uint32 clock) internal pure returns (uint16 count, uint8 unit, uint8 flags) {
        count = uint16(clock);
        unit = uint8(clock >> 16);
        flags = uint8(clock >> 24);
        if (unit < SECONDS || unit > YEARS) revert DeadlineUnitUnknown(unit);
        uint8 known = unit == DAYS || unit >= MONTHS ? NO_ROLL_OVER : unit == HOURS ? FROM_NEXT_HOUR : 0;
        if (flags & ~known != 0) revert DeadlineFlagsInvalid(flags, unit);
        if (count == 0) revert DeadlineCountZero();
        if (count > _mostOf(unit)) revert DeadlineCountTooLarge(count, unit);
    }

    /// @notice The last second of a clock that the event at `start` started, or PAUSED.
    function compute(
        IWorkCalendar calendar,
        uint40 start,
        uint32 clock,
        IWorkCalendar.Hold[] memory holds
    )
        internal
        view
        returns (uint40)
    {
        (uint256 count, uint8 unit, uint8 flags, uint256[] memory held) = _read(start, clock, holds);
        uint256 end = unit == WORKDAYS
            ? _workday(calendar, CivilDates.dayOf(start) + 1, count, held)
            : _running(start, count, unit, flags, held);
        if (end != PAUSED && flags == 0 && (unit == DAYS || unit >= MONTHS)) {
            end = _workday(calendar, end, 1, held);
        }
        return _time(end, unit);
    }

    /// @notice No deadline of this clock is earlier, whatever the calendar says of its days; PAUSED if an open hold
    /// stops it so far. It asks no calendar, so that a clock can be started that ends in a year without a notice.
    function earliest(
        uint40 start,
        uint32 clock,
        IWorkCalendar.Hold[] memory holds
    )
        internal
        pure
        returns (uint40)
    {
        (uint256 count, uint8 unit, uint8 flags, uint256[] memory held) = _read(start, clock, holds);
        return _time(_running(start, count, unit, flags, held), unit);
    }

    function _read(
        uint40 start,
        uint32 clock,
        IWorkCalendar.Hold[] memory holds
    )
        private
        pure
        returns (uint256 count, uint8 unit, uint8 flags, uint256[] memory held)
    {
        (count, unit, flags) = requireClock(clock);
        if (start >= END_OF_TIME) revert DeadlineStartOutOfRange(start);
        held = _held(holds, unit > HOURS);
    }

    /// Where the clock ends if every day is like another: a second, or a day for units of days and more.
    function _running(
        uint256 start,
        uint256 count,
        uint8 unit,
        uint8 flags,
        uint256[] memory held
    )
        private
        pure
        returns (uint256)
    {
        if (unit <= HOURS) {
            if (flags == FROM_NEXT_HOUR) start += 1 hours - 1 - start % 1 hours;
            return _extended(start, start + count * (unit == HOURS ? 1 hours : 1), held);
        }
        uint256 day = CivilDates.dayOf(start);
        uint256 last =
            unit < MONTHS ? day + count : CivilDates.addMonths(day, unit == MONTHS ? count : count * 12);
        return _extended(day + 1, last, held);
    }

    function _time(uint256 end, uint8 unit) private pure returns (uint40) {
        return uint40(unit <= HOURS || end == PAUSED ? end : CivilDates.lastSecond(end));
    }

    /// 30 years, but for working days (some 15) and the TEST CLOCK.
    function _mostOf(uint8 unit) private pure returns (uint256) {
        if (unit == DAYS) return 10_950;
        if (unit == WORKDAYS) return 3660;
        if (unit == MONTHS) return 360;
        if (unit == YEARS) return 30;
        return type(uint16).max;
    }

    /// Holds as `from << 128 | until`, in seconds or days, in the order of their beginnings.
    function _held(
        IWorkCalendar.Hold[] memory holds,
        bool inDays
    )
        private
        pure
        returns (uint256[] memory held)
    {
        uint256 length = holds.length;
        if (length > MOST_HOLDS) revert DeadlineTooManyHolds(length);
        held = new uint256[](length);
        for (uint256 i = 0; i < length; ++i) {
            (uint256 from, uint256 until) = (holds[i].from, holds[i].until);
            if (until != 0 && until < from) revert DeadlineHoldEndsBeforeStart(uint40(from), uint40(until));
            if (from >= END_OF_TIME || until >= END_OF_TIME) {
                revert DeadlineHoldOutOfRange(uint40(from), uint40(until));
            }
            if (inDays) from = CivilDates.dayOf(from);
            if (until == 0) until = NEVER;
            else if (inDays) until = CivilDates.dayOf(until);

            uint256 packed = (from << 128) | until;
            uint256 place = i;
            for (; place > 0 && held[place - 1] > packed; --place) {
                held[place] = held[place - 1];
            }
            held[place] = packed;
        }
    }

    /// `end`, moved by what is held between `first` and the moving end, both included. PAUSED at an open hold.
    function _extended(uint256 first, uint256 end, uint256[] memory held) private pure returns (uint256) {
        for (uint256 i = 0; i < held.length; ++i) {
            (uint256 from, uint256 until) = (held[i] >> 128, uint128(held[i]));
            if (until <= first) continue;
            if (from > end) break;
            if (until == NEVER) return PAUSED;
            end += until - (from > first ? from : first);
            first = until;
        }
        return end;
    }

    /// The `count`-th working day, from `day` on, that is not held. PAUSED at an open hold.
    function _workday(
        IWorkCalendar calendar,
        uint256 day,
        uint256 count,
        uint256[] memory held
    )
        private
        view
        returns (uint256)
    {
        Year memory year = Year(0, 0, 0, 0);
        uint256 next = 0;
        while (true) {
            for (; next < held.length; ++next) {
                (uint256 from, uint256 until) = (held[next] >> 128, uint128(held[next]));
                if (until <= day) continue;
                if (from > day) break;
                if (until == NEVER) return PAUSED;
                day = until;
            }
            if (day >= year.end) year = _yearOf(calendar, day);
            uint256 place = day - year.first;
            if ((place < 256 ? year.low >> place : year.high >> (place - 256)) & 1 == 1) {
                if (--count == 0) break;
            }
            ++day;
        }
        return day;
    }

    function _yearOf(IWorkCalendar calendar, uint256 day) private view returns (Year memory) {
        // slither-disable-next-line unused-return
        (uint256 year,,) = CivilDates.toDate(day);
        (uint256 low, uint256 high) = calendar.workdays(year);
        return Year(CivilDates.toDay(year, 1, 1), CivilDates.toDay(year + 1, 1, 1), low, high);
    }
}
