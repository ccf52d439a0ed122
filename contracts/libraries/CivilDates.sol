// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Days of the Gregorian calendar in Asia/Shanghai (UTC+8, no summer time)
/// @notice A day is the number of days since 1 January 1970. Exact for every day from then on.
/// @dev Years are counted from 1 March, so that the leap day is a year's last; an era is 400 years, 146,097 days.
library CivilDates {
    uint256 internal constant DAY = 1 days;
    uint256 private constant OFFSET = 8 hours;
    /// Days from 1 March of year 0 to 1 January 1970.
    uint256 private constant SHIFT = 719_468;
    uint256 private constant ERA = 146_097;

    /// The day to which a second belongs.
    function dayOf(uint256 time) internal pure returns (uint256) {
        return (time + OFFSET) / DAY;
    }

    /// The last second of a day.
    function lastSecond(uint256 day) internal pure returns (uint256) {
        return (day + 1) * DAY - OFFSET - 1;
    }

    // Every division here rounds on purpose.
    // slither-disable-start divide-before-multiply
    function toDay(uint256 year, uint256 month, uint256 dayOfMonth) internal pure returns (uint256) {
        uint256 shifted = month > 2 ? year : year - 1;
        uint256 yearOfEra = shifted % 400;
        uint256 dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + dayOfMonth - 1;
        return (shifted / 400) * ERA + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - SHIFT;
    }

    /// Month and day of the month count from 1.
    function toDate(uint256 day) internal pure returns (uint256 year, uint256 month, uint256 dayOfMonth) {
        uint256 dayOfEra = (day + SHIFT) % ERA;
        uint256 yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365;
        uint256 dayOfYear = dayOfEra - (yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100);
        uint256 shifted = (dayOfYear * 5 + 2) / 153;
        dayOfMonth = dayOfYear - (shifted * 153 + 2) / 5 + 1;
        month = shifted < 10 ? shifted + 3 : shifted - 9;
        year = ((day + SHIFT) / ERA) * 400 + yearOfEra + (month > 2 ? 0 : 1);
    }

    // slither-disable-end divide-before-multiply

    function isLeap(uint256 year) internal pure returns (bool) {
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    }

    function daysInMonth(uint256 year, uint256 month) internal pure returns (uint256) {
        if (month == 2) return isLeap(year) ? 29 : 28;
        return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    }

    /// The day of the same number `months` months later, or that month's last day.
    function addMonths(uint256 day, uint256 months) internal pure returns (uint256) {
        (uint256 year, uint256 month, uint256 dayOfMonth) = toDate(day);
        months += year * 12 + month - 1;
        uint256 length = daysInMonth(months / 12, months % 12 + 1);
        return toDay(months / 12, months % 12 + 1, dayOfMonth < length ? dayOfMonth : length);
    }
}
