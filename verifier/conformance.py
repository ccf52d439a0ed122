"""`answer(kind, line)`: one JSON line in, one verdict out, never an exception for any input.

docs/spec/conformance.md gives the lines and the codes.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol.errors import CaseledgerError
from verifier.errors import ConformanceKindUnknown
from verifier.strict_json import Json, loads

Check = Callable[[Json], str]


# Imported when asked for: a Merkle check needs neither signatures nor tries.
def _merkle(value: Json) -> str:
    from verifier.conformance_merkle import check

    return check(value)


def _ics23(value: Json) -> str:
    from verifier.conformance_ics23 import check

    return check(value)


def _mpt_qbft(value: Json) -> str:
    from verifier.conformance_qbft import check

    return check(value)


def _mpt_clique(value: Json) -> str:
    from verifier.conformance_clique import check

    return check(value)


def _entry(value: Json) -> str:
    from verifier.conformance_entry import check

    return check(value)


def _receipt(value: Json) -> str:
    from verifier.conformance_receipt import check

    return check(value)


def _custody(value: Json) -> str:
    from verifier.conformance_custody import check

    return check(value)


def _checkpoint(value: Json) -> str:
    from verifier.conformance_checkpoint import check_checkpoint

    return check_checkpoint(value)


def _cosignature(value: Json) -> str:
    from verifier.conformance_checkpoint import check_cosignature

    return check_cosignature(value)


def _policy(value: Json) -> str:
    from verifier.conformance_checkpoint import check_policy

    return check_policy(value)


def _sm2(value: Json) -> str:
    from verifier.conformance_sm2 import check

    return check(value)


CHECKS: dict[str, Check] = {
    "merkle": _merkle,
    "ics23": _ics23,
    "mpt-qbft": _mpt_qbft,
    "mpt-clique": _mpt_clique,
    "entry": _entry,
    "receipt": _receipt,
    "custody": _custody,
    "checkpoint": _checkpoint,
    "cosignature": _cosignature,
    "policy": _policy,
    "sm2": _sm2,
}
"""Kind to check. A check raises CaseledgerError, or returns what was proved, for `detail`."""


def answer(kind: str, line: bytes) -> dict[str, bool | str]:
    """`{"accepted", "code", "detail"}` for one line. Only an unknown `kind` raises."""
    check = CHECKS.get(kind)
    if check is None:
        raise ConformanceKindUnknown(kind, hint=", ".join(CHECKS))
    try:
        detail = check(loads(line))
    except CaseledgerError as error:
        return refusal(error)
    except Exception as error:
        # A fault of this program must not end the stream, and must never count as accepted.
        return {"accepted": False, "code": "VerifierFault", "detail": type(error).__name__}
    return {"accepted": True, "code": "Ok", "detail": detail}


def refusal(error: CaseledgerError) -> dict[str, bool | str]:
    """The answer that an error stands for; the field is named first."""
    detail = f"{error.field}: {error.detail}" if error.field else error.detail
    return {"accepted": False, "code": error.code, "detail": detail}
