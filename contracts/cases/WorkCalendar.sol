// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { IWorkCalendar } from "../interfaces/IWorkCalendar.sol";
import { CivilDates } from "../libraries/CivilDates.sol";
import { Deadlines } from "../libraries/Deadlines.sol";

/// @title The calendar of working days, and the deadlines that follow from it
contract WorkCalendar is IWorkCalendar {
    /// Slot 0: low. Slot 1: high 0-127, revision 128-191, setAt 192-231.
    struct Stored {
        uint256 low;
        uint128 high;
        uint64 revision;
        uint40 setAt;
    }

    uint256 private constant FIRST_YEAR = 2000;
    uint256 private constant LAST_YEAR = 2199;
    uint256 private constant FEWEST_WORKDAYS = 200;
    uint256 private constant MOST_WORKDAYS = 300;
    uint256 private constant LONGEST_NOTICE = 256;

    /// @inheritdoc IWorkCalendar
    address public immutable governance;

    /// Every state of a year, oldest first; nothing is overwritten.
    mapping(uint256 year => Stored[] states) private _years;
    /// @inheritdoc IWorkCalendar
    uint64 public sequence;

    constructor(address registry) {
        if (registry.code.length == 0) revert CalendarRegistryInvalid(registry);
        governance = IConsortiumRegistry(registry).governance();
    }

    /// @inheritdoc IWorkCalendar
    function setYear(uint16 year, uint256 low, uint128 high, string calldata notice) external {
        if (msg.sender != governance) revert CalendarNotGovernance(msg.sender);
        if (year < FIRST_YEAR || year > LAST_YEAR) revert CalendarYearOutOfRange(year);
        uint256 length = bytes(notice).length;
        if (length == 0 || length > LONGEST_NOTICE) revert CalendarNoticeInvalid(length);
        uint256 count = _ones(low) + _ones(high);
        bool beyond = high >> (CivilDates.isLeap(year) ? 110 : 109) != 0;
        if (beyond || count < FEWEST_WORKDAYS || count > MOST_WORKDAYS) {
            revert CalendarYearImplausible(year, count);
        }
        Stored[] storage states = _years[year];
        if (states.length != 0) _requireFuture(year, states[states.length - 1], low, high);
        _years[year].push(Stored(low, high, ++sequence, uint40(block.timestamp)));
        emit CalendarYearSet(sequence, year, uint16(count), low, high, notice);
    }

    /// @inheritdoc IWorkCalendar
    function workdays(uint256 year) external view returns (uint256 low, uint128 high) {
        Stored[] storage states = _years[year];
        uint256 length = states.length;
        if (length == 0) revert CalendarYearUnknown(year);
        Stored storage state = states[length - 1];
        return (state.low, state.high);
    }

    /// @inheritdoc IWorkCalendar
    function workdaysAt(
        uint256 year,
        uint64 revision
    )
        external
        view
        returns (uint256 low, uint128 high, uint64 setBy, uint40 setAt)
    {
        Stored[] storage states = _years[year];
        for (uint256 i = states.length; i > 0; --i) {
            Stored memory state = states[i - 1];
            if (state.revision <= revision) return (state.low, state.high, state.revision, state.setAt);
        }
        revert CalendarYearUnknown(year);
    }

    /// @inheritdoc IWorkCalendar
    function deadline(uint40 start, uint32 clock, Hold[] calldata holds) external view returns (uint40) {
        return Deadlines.compute(this, start, clock, holds);
    }

    /// @inheritdoc IWorkCalendar
    function earliest(uint40 start, uint32 clock, Hold[] calldata holds) external pure returns (uint40) {
        return Deadlines.earliest(start, clock, holds);
    }

    /// What differs from the newest state lies after today.
    function _requireFuture(uint16 year, Stored storage state, uint256 low, uint128 high) private view {
        uint256 changedLow = low ^ state.low;
        uint256 changedHigh = high ^ state.high;
        if ((changedLow | changedHigh) == 0) revert CalendarYearUnchanged(year);
        uint256 first = changedLow != 0 ? _lowest(changedLow) : 256 + _lowest(changedHigh);
        if (CivilDates.toDay(year, 1, 1) + first <= CivilDates.dayOf(block.timestamp)) {
            revert CalendarDayPassed(year, first);
        }
    }

    function _ones(uint256 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }

    /// Place of the least significant bit that is set; there is one.
    function _lowest(uint256 bits) private pure returns (uint256 place) {
        while (bits & 1 == 0) {
            bits >>= 1;
            ++place;
        }
    }
}
