"""Errors of the agent: what the person at the bank can act on."""

from __future__ import annotations

from typing import ClassVar

import verifier.errors as verifier_errors
from protocol.errors import CaseledgerError, MalformedInput


class AgentError(CaseledgerError):
    """Base of this room's errors."""

    title = "the agent cannot go on"


class FileNotReadable(AgentError):
    """A named path is absent, no regular file, or not readable."""

    title = "file not readable"


class FileChanged(AgentError):
    """The file was written to while it was read; its digests would belong to no version of it."""

    title = "file changed while it was read"
    retryable = True


class JournalCorrupt(AgentError):
    """The journal is of another version or is damaged."""

    title = "journal not usable"


class UnknownCase(AgentError):
    """A case that is neither 64 hex digits nor a name of this agent."""

    title = "unknown case"


class KeyNotFound(AgentError):
    """No key of the wanted purpose for the organisation."""

    title = "key not found"


class CaseContractsUnknown(AgentError):
    """Nobody told this agent where acts on cases count; a gateway is not asked."""

    title = "case contracts not known"


class TrustMissing(AgentError):
    """No accepted trust file: nobody told this agent which chain and log to believe."""

    title = "no trust file"


class LogNotTrusted(AgentError, verifier_errors.LogNotTrusted):
    """The gateway offers, or a receipt is of, a log that the trust file does not name."""

    title = "log not in the trust file"


class GatewayUnreachable(AgentError):
    """No gateway answered; nothing is lost, the journal holds all."""

    title = "no gateway answered"
    http_status: ClassVar[int] = 503
    retryable = True


class GatewayRefused(AgentError):
    """A gateway's refusal, with its code, field and hint as it gave them."""

    title = "refused by the gateway"

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int,
        field: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, field=field, hint=hint)
        self._code = code
        self.status = status
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        return self._code

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later: 408, 425, 429 and server-side faults."""
        return self.status in (408, 425, 429) or self.status >= 500


class GatewayAnswerInvalid(AgentError):
    """An answer that is not what the specification says; the gateway is wrong or lies."""

    title = "gateway's answer not acceptable"


class PromiseBroken(AgentError):
    """A promised leaf was not in the log at its deadline. The kept promise proves it."""

    title = "promise broken"


class ContentUnavailable(AgentError):
    """Stored content cannot be fetched or opened with this organisation's key."""

    title = "stored content not available"


class RecipientUnknown(AgentError):
    """A recipient without a usable HPKE key in the registry."""

    title = "recipient has no key"


class WaitTimeout(AgentError):
    """Receipts did not arrive in the given time; they may still come."""

    title = "receipts not there yet"
    retryable = True


class ArgumentRefused(MalformedInput):
    """A value on the command line that means nothing here; the hint lists what would."""

    exit_code = 2
    title = "argument refused"
