"""What can go wrong between us and the chain.

Reverts of our contracts become errors of the same name as the Solidity custom error, with its values in
`detail`; revert data that no ABI of ours explains is shown as hex. A text that a node wrote is never shown:
it is not ours to vouch for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from protocol.errors import CaseledgerError

_RAW_LIMIT = 260  # bytes of unknown revert data shown: a selector and eight words


class ChainError(CaseledgerError):
    """Root of this room's errors."""

    http_status = 503
    title = "chain"


class SignerUnusable(ChainError):
    """A relayer key is missing or the fast signing library is not in use."""

    http_status = 500
    title = "relayer key unusable"


class DeploymentMissing(ChainError):
    """No record of deployed contracts under this home."""

    title = "nothing deployed here"


class DeploymentMismatch(ChainError):
    """What is on the chain is not what the record, or the committed bytecode, says."""

    http_status = 500
    title = "deployment does not match"


class ContractReverted(ChainError):
    """A call that the contract refuses. Subclasses carry the name of the Solidity custom error."""

    http_status: ClassVar[int] = 422
    title = "refused by the contract"

    def __init__(
        self,
        detail: str = "",
        *,
        field: str | None = None,
        hint: str | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail, field=field, hint=hint)
        self.values: dict[str, Any] = dict(values or {})


class ContractPanic(ContractReverted):
    """Solidity's Panic(uint256): a rule of the language, not of the contract."""

    http_status = 500
    title = "contract panicked"


class UnknownRevert(ContractReverted):
    """Revert data that none of our ABIs explains; `raw` holds it."""

    title = "refused by the contract for an unknown reason"

    def __init__(self, raw: bytes) -> None:
        shown = raw[:_RAW_LIMIT].hex()
        more = f" ({len(raw)} bytes)" if len(raw) > _RAW_LIMIT else ""
        super().__init__(f"revert data 0x{shown}{more}")
        self.raw = raw


# HTTP status by the error's name, first match; the rest is 422.
_STATUS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("ActSignature", "ActWallet", "RegistrySignerMismatch"), 401),
    (("ActExpired",), 403),
    (("LogUnknown", "RegistryOrganisationUnknown", "CaseUnknown", "BatchUnknown"), 404),
    (
        (
            "RegistryNonceMismatch", "RegistryUnchanged", "RegistryKeyTooEarly", "RegistryIdInvalid",
            "RegistryKeyInvalid", "RegistrySuspensionTooEarly", "LogOldSizeMismatch", "LogExists",
            "LogIsClosed", "GovernanceProposalKnown", "GovernanceProposalNotScheduled", "GovernanceTooEarly",
            "GovernanceTooLate", "GovernanceAlreadyObjected", "CaseKnown", "CaseVersionStale",
            "CaseTransitionIllegal", "CaseTooEarly", "CaseTooLate", "CaseOnHold", "CaseHold",
            "CaseAlreadyExtended", "CaseNotReversible", "CaseNotOverdue", "CaseIsMarked", "BatchKnown",
            "BatchIsRecalled", "BatchHasMoved", "BatchRecallTooLate",
        ),
        409,
    ),
    (
        (
            "RegistryKeyOrganisation", "RegistryKeyPurpose", "RegistryKeyState", "RegistryKeyNotYetValid",
            "RegistryKeyExpired", "RegistryKeyRevoked", "RegistryKeyUnknown", "RegistryOrganisation",
            "RegistryNotGovernance", "RegistryNotRegulator", "LogNotGovernance", "GovernanceNotItself",
            "GovernanceNoVote", "CalendarNotGovernance", "CaseNotGovernance", "CaseRoleMissing",
            "CaseOtherCourt", "CaseCourtOnly", "CaseCoSignerInvalid", "CaseNotOriginator",
            "EvidencePrivileged", "BatchNotOwner",
        ),
        403,
    ),
)  # fmt: skip
_HINTS = {
    "ActExpired": "sign the act again with a later validUntil",
    "RegistryNonceMismatch": "sign the act again with the expected nonce",
    "LogOldSizeMismatch": "read the log's head and prove consistency from it",
    "GovernanceTooEarly": "wait for executableFrom",
    "CaseVersionStale": "read the case again and sign for its present version",
    "CaseTooEarly": "wait until the deadline has passed",
    "CaseOnHold": "end the pause first",
}


def contract_status(name: str) -> int:
    """HTTP status for a Solidity custom error."""
    return next((status for names, status in _STATUS if name.startswith(names)), 422)


def contract_hint(name: str) -> str | None:
    """What to do about a Solidity custom error, where that can be said in general."""
    return _HINTS.get(name)


@lru_cache(maxsize=512)
def contract_error_class(name: str) -> type[ContractReverted]:
    """The Python class for a Solidity custom error: same name, made once."""
    return type(
        name,
        (ContractReverted,),
        {
            "__doc__": f"Solidity custom error {name}.",
            "__module__": __name__,
            "http_status": contract_status(name),
        },
    )


def show_value(value: Any) -> str:
    """A decoded ABI value for people: bytes as 0x hex, sequences in brackets."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(show_value(item) for item in value) + "]"
    return str(value)
