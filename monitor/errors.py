"""What a witness refuses, and why: the code is what the operator's worker shows as its trouble."""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import CaseledgerError, MalformedInput


class WitnessRefusal(CaseledgerError):
    """Base of a witness's refusals. Only subclasses are raised."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "not cosigned"


class WitnessRequestMalformed(MalformedInput):
    """Not a request of C2SP tlog-witness."""

    title = "add-checkpoint request malformed"


class OriginUnknown(WitnessRefusal):
    """The trust file names no log of this origin on the witness's chain."""

    http_status = 404
    title = "log not known to this witness"


class LogSignatureMissing(WitnessRefusal):
    """No line of the note is the signature of the log key that the trust file names."""

    http_status = 403
    title = "no signature of the log's key"


class OldSizeMismatch(WitnessRefusal):
    """The witness last cosigned another size than the request proves from; `size` is the witness's."""

    http_status = 409
    title = "the witness stands at another size"

    def __init__(self, size: int, detail: str = "") -> None:
        super().__init__(detail or f"the witness stands at {size}", field="old")
        self.size = size


class ConsistencyRefused(WitnessRefusal):
    """The checkpoint is not shown to continue what the witness cosigned before."""

    title = "not consistent with what was cosigned before"


class SplitView(WitnessRefusal):
    """The log key signed another tree than the one anchored on the chain, or cosigned here, at this size.

    `size` is the witness's where its own cosignature contradicts (tlog-witness answers 409 with it).
    """

    title = "two trees of one size: split view"

    def __init__(self, detail: str, *, size: int | None = None) -> None:
        super().__init__(detail, field="root")
        self.size = size


class CheckpointNotAnchored(WitnessRefusal):
    """The witness's own node shows no anchor of this size."""

    http_status = 503
    retryable = True
    title = "not anchored as far as the witness's node shows"


class OwnNodeUnavailable(WitnessRefusal):
    """The witness's own node gives no answer, or no proof."""

    http_status = 503
    retryable = True
    title = "the witness's node does not answer"


class OwnNodeStale(WitnessRefusal):
    """The newest block of the witness's own node is too old to sign on."""

    http_status = 503
    retryable = True
    title = "the head of the witness's node is stale"


class OwnNodeLied(WitnessRefusal):
    """The witness's own node was caught: another chain, a forged event, a proof that does not verify."""

    http_status = 503
    title = "the witness's node was caught lying"


class WitnessStateRolledBack(WitnessRefusal):
    """The witness's state is older than what it signed; it signs nothing until a person has looked."""

    http_status = 503
    title = "the witness's state was rolled back"


class WitnessStateUnreadable(WitnessRefusal):
    """State or journal is not what this program writes."""

    http_status = 500
    title = "the witness's state cannot be read"


class WitnessInUse(WitnessRefusal):
    """Another process works with this state."""

    http_status = 503
    title = "another witness process runs with this state"


class WitnessSettingsInvalid(WitnessRefusal):
    """A setting of the witness or mirror is missing or wrong."""

    title = "witness settings not usable"


class TrustFileUnusable(WitnessRefusal):
    """The accepted trust file is missing, outside its window, or not about this deployment."""

    http_status = 503
    title = "trust file not usable"


class TilesWithheld(WitnessRefusal):
    """The gateway does not give tiles that an anchor commits to."""

    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    title: ClassVar[str] = "the gateway gives no tiles"
