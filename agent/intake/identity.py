"""Identity numbers of 18 characters: GB 11643 (citizens), GB 32100 (organisations)."""

from __future__ import annotations

import re
from datetime import date
from operator import mul

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ZEROS = 48 * sum(_WEIGHTS)
_CHECK = "10X98765432"
_CITIZEN = re.compile(r"[0-9]{17}[0-9X]")
# GB/T 2260 provinces; 91 stands in the permanent residence cards of foreigners.
_PROVINCES = frozenset(
    map(
        str,
        (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66),
         71, 81, 82, 83, 91),
    )
)  # fmt: skip


_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}
_ORGANISATION = re.compile(rf"[1-9ANY][{_ALPHABET}][0-9]{{6}}[{_ALPHABET}]{{10}}")
_ENTERPRISES = ("91", "92", "93")
_POWERS = tuple(pow(3, position, 31) for position in range(17))


def citizen_check(first17: str) -> str:
    """Check character (ISO 7064 MOD 11-2) of the first 17 digits."""
    return _CHECK[(sum(map(mul, _WEIGHTS, first17.encode("ascii"))) - _ZEROS) % 11]


def organisation_check(first17: str) -> str:
    """Check character (ISO 7064 MOD 31-3) of the first 17 characters."""
    total = sum(power * _VALUE[c] for power, c in zip(_POWERS, first17, strict=True))
    return _ALPHABET[-total % 31]


def citizen_shape(number: str) -> bool:
    """Whether it is written like a citizen's number."""
    return _CITIZEN.fullmatch(number) is not None


def organisation_shape(number: str) -> bool:
    """Whether it is written like a unified social credit code.

    Digits alone are taken for one only where it begins like an enterprise's: of the mistyped numbers of
    citizens, one in 31 would otherwise pass for an organisation.
    """
    if number[:17].isdigit() and not number.startswith(_ENTERPRISES):
        return False
    return _ORGANISATION.fullmatch(number) is not None


def province_known(number: str) -> bool:
    """Whether the first two digits are a province."""
    return number[:2] in _PROVINCES


def birth_date(number: str) -> date | None:
    """The date inside a citizen's number; None where there is no such day."""
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def is_citizen(number: str) -> bool:
    """Shape, province, day of birth and check character."""
    return (
        citizen_shape(number)
        and province_known(number)
        and birth_date(number) is not None
        and citizen_check(number[:17]) == number[17]
    )


def is_organisation(number: str) -> bool:
    """Shape and check character."""
    return organisation_shape(number) and organisation_check(number[:17]) == number[17]
