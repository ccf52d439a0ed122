"""Words: every verdict code in Chinese, never a claim that a receipt cannot carry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocol import checkpoint
from protocol.errors import CaseledgerError
from protocol.i18n import Language
from tests.support.attacks import ATTACKS as CASES
from verifier import errors, timetoken_errors, wording
from verifier.verdict import NAMES, Changed, Result, Status

ROOM = Path(wording.__file__).parent
LANGUAGES: tuple[Language, ...] = ("zh", "en")


@pytest.mark.parametrize("name", CASES)
def test_codes_have_words_in_both_languages(name: str) -> None:
    code = CASES[name].code
    zh, en = wording.say_code(code, "zh"), wording.say_code(code, "en")
    assert re.search(r"[一-鿿]", zh), code
    assert en
    assert en != code


def test_every_code_that_a_step_gives_by_itself_has_words() -> None:
    source = "".join((ROOM / name).read_text() for name in ("verify.py", "verify_chain.py", "verdict.py"))
    given = set(re.findall(r'Status\.\w+, "(\w+)"', source)) | set(re.findall(r"errors\.(\w+)\(", source))
    assert len(given) > 20
    for code in given:
        assert wording.say_code(code, "zh") != code


def test_everything_that_is_named_has_words() -> None:
    assert set(wording.NAMES) == set(NAMES)
    assert set(wording.STATUSES) == set(Status)
    assert set(wording.RESULTS) == set(Result)
    assert set(wording.CHANGED) == set(Changed)
    source = "".join((ROOM / name).read_text() for name in ("verify.py", "verify_chain.py"))
    for what in re.findall(r'note\("([\w.]+)"', source):
        assert what in wording.COMPARED, what
    assert set(wording.NOT_CHECKED) == set(NAMES) - {"receipt"}


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_words_say_true_or_recognised(lang: Language) -> None:
    tables = (
        wording.RESULTS,
        wording.STATUSES,
        wording.NAMES,
        wording.CHANGED,
        wording._CODES,
        wording.COMPARED,
    )
    said = " ".join(text.choose(lang) for table in tables for text in table.values())
    for claim in ("真实", "法院认", "采信", "authentic", "recognised", "recognized", "is true", "admissible"):
        assert claim not in said


def test_every_error_that_a_proof_can_end_with_has_words() -> None:
    elsewhere = ("Json", "Field", "MerkleFrontier", "MerkleConsistency", "MerkleSizesDecrease")
    for name, kind in vars(errors).items():
        if not isinstance(kind, type) or kind.__module__ != errors.__name__:
            continue
        if name.startswith(elsewhere) or name in ("ProofRefused", "ClaimMismatch", "ConformanceKindUnknown"):
            continue
        assert wording.say_code(name, "zh") != name, name
        assert wording.say_code(name, "en") != name, name


def test_what_attestations_and_tokens_end_with_has_words() -> None:
    for module in (timetoken_errors, checkpoint):
        for name, kind in vars(module).items():
            if not isinstance(kind, type) or kind.__module__ != module.__name__:
                continue
            if not issubclass(kind, CaseledgerError) or name in ("TimeTokenRefused", "NotCounted"):
                continue
            assert wording.say_code(name, "zh") != name, name
            assert wording.say_code(name, "en") not in ("", name), name
    for code in ("WitnessesOnly", "WitnessUnknown", "AlgorithmIgnored", "NothingLeft", "TimeTokensExpired"):
        assert wording.say_code(code, "zh") != code
        assert wording.say_code(code, "en") not in ("", code)
    for lang in LANGUAGES:
        assert all(text.choose(lang) for table in (wording.KINDS, wording.BOUNDS) for text in table.values())


def test_an_unknown_code_is_shown_as_it_is() -> None:
    assert wording.say_code("SomethingNew", "zh") == "SomethingNew"
    assert wording.say_code("SomethingNew", "en") == "SomethingNew"
