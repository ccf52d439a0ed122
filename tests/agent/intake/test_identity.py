"""Check characters against published examples, and every single mistake in a number."""

from __future__ import annotations

import random
from datetime import date

import pytest

from agent.intake import identity
from benchmarks.import_data import citizen, organisation

# Examples printed in the standards and on the web; they belong to nobody.
CITIZENS = ["11010519491231002X", "440524188001010014"]
ORGANISATIONS = ["91350100M000100Y43", "914403001922038216"]


@pytest.mark.parametrize("number", CITIZENS)
def test_citizen_examples_pass(number: str) -> None:
    assert identity.is_citizen(number)
    assert not identity.is_organisation(number)


@pytest.mark.parametrize("number", ORGANISATIONS)
def test_organisation_examples_pass(number: str) -> None:
    assert identity.is_organisation(number)


def test_every_wrong_digit_and_every_swap_is_noticed() -> None:
    dice = random.Random(1)  # noqa: S311 - test data
    for _ in range(50):
        number = citizen(
            dice, date(1950 + dice.randrange(50), 1 + dice.randrange(12), 1 + dice.randrange(28))
        )
        assert identity.is_citizen(number)
        for at in range(17):
            for digit in "0123456789":
                if digit != number[at]:
                    assert not identity.is_citizen(number[:at] + digit + number[at + 1 :])
            if number[at] != number[at + 1] and at < 16:
                swapped = number[:at] + number[at + 1] + number[at] + number[at + 2 :]
                assert not identity.is_citizen(swapped)


def test_every_wrong_character_of_a_credit_code_is_noticed() -> None:
    dice = random.Random(2)  # noqa: S311 - test data
    for _ in range(20):
        code = organisation(dice)
        assert identity.is_organisation(code)
        for at in range(18):
            for character in "0123456789ABCDEFGHJKLMNPQRTUWXY":
                if character != code[at]:
                    assert not identity.is_organisation(code[:at] + character + code[at + 1 :])


@pytest.mark.parametrize(
    "number",
    [
        "000199198506012412",
        "",
        "1" * 17,
        "11010519491231002x",
        "１１010519491231002X",
        "99010519491231002X",
        "91350100I000100Y43",
    ],
)
def test_other_shapes_are_neither(number: str) -> None:
    assert not identity.is_citizen(number)
    assert not identity.is_organisation(number)
