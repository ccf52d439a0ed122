// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The calendar of working days, and the deadlines that follow from it
/// @notice One bit a day (1 = working day), year by year, from the State Council's notices. A year that governance
/// has not set is refused, never guessed. docs/spec/deadline.md. Every event carries the contract's `sequence`, from
/// 1, without gaps; it is also the calendar's revision: what a year was at any revision can be read for ever.
interface IWorkCalendar {
    /// An interval in which a clock stands still, in UTC seconds; `until` is the first second that runs again, or 0
    /// while the hold is open.
    struct Hold {
        uint40 from;
        uint40 until;
    }

    /// @param notice the name and number of the notice
    event CalendarYearSet(
        uint64 sequence, uint16 indexed year, uint16 workdays, uint256 low, uint128 high, string notice
    );

    error CalendarRegistryInvalid(address registry);
    error CalendarNotGovernance(address caller);
    error CalendarYearOutOfRange(uint16 year);
    /// The bits beyond the year's last day are not zero, or there are fewer than 200 or more than 300 working days.
    error CalendarYearImplausible(uint16 year, uint256 workdays);
    error CalendarNoticeInvalid(uint256 length);
    /// Nothing would change.
    error CalendarYearUnchanged(uint16 year);
    /// A correction would change a day that is not in the future; `dayOfYear` counts from 0.
    error CalendarDayPassed(uint16 year, uint256 dayOfYear);
    /// The calendar does not cover this year.
    error CalendarYearUnknown(uint256 year);

    /// @notice Governed. Sets a year, or corrects those of its days that are still in the future.
    /// @param low day 0 (1 January, least significant bit) to day 255
    /// @param high day 256 to 31 December
    /// @param notice where it comes from, 1 to 256 bytes
    function setYear(uint16 year, uint256 low, uint128 high, string calldata notice) external;

    /// @notice The year's days as they are now. Reverts with CalendarYearUnknown.
    function workdays(uint256 year) external view returns (uint256 low, uint128 high);

    /// @notice The year's days as they were at a revision, and when they were set. Reverts with CalendarYearUnknown.
    function workdaysAt(
        uint256 year,
        uint64 revision
    )
        external
        view
        returns (uint256 low, uint128 high, uint64 setBy, uint40 setAt);

    /// @notice The last second of a clock that the event at `start` started; 0 while an open hold stops it.
    /// @param clock count, unit and flags as packed by Deadlines
    function deadline(uint40 start, uint32 clock, Hold[] calldata holds) external view returns (uint40);

    /// @notice A second before which that deadline does not lie; it needs no year of the calendar. Once it has passed,
    /// `deadline` says.
    function earliest(uint40 start, uint32 clock, Hold[] calldata holds) external pure returns (uint40);

    function governance() external view returns (address);

    /// @notice The sequence of the last event.
    function sequence() external view returns (uint64);
}
