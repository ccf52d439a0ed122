"""Errors of the evidence room. Codes are the class names."""

from __future__ import annotations

from protocol.errors import CaseledgerError


class LogUnknown(CaseledgerError):
    """The log id is not of a log that this service runs."""

    http_status = 404
    title = "no such log here"


class LogHalted(CaseledgerError):
    """The log accepts and seals nothing until a person decides; the status says why."""

    http_status = 503
    retryable = True
    title = "the log is halted"


class LogClosed(CaseledgerError):
    """The log was closed by governance; its successor takes new entries."""

    http_status = 409
    title = "the log is closed"


class LogNotStarted(CaseledgerError):
    """A successor log takes its continuation entry first."""

    http_status = 503
    retryable = True
    title = "the successor log has no first entry yet"


class ContinuationRefused(CaseledgerError):
    """A log continuation that is not the operator's first entry over its predecessor's closed head."""

    http_status = 422
    title = "log continuation refused"


class ActExpired(CaseledgerError):
    """`validUntil` has passed."""

    http_status = 403
    title = "the act has expired"


class KeyUnknown(CaseledgerError):
    """No registered key made the signature over this act."""

    http_status = 403
    title = "the signer is not registered"


class KeyWrongOrganisation(CaseledgerError):
    """The key belongs to another organisation than the one the request names."""

    http_status = 403
    title = "key of another organisation"


class KeyWrongPurpose(CaseledgerError):
    """The key is registered for something else."""

    http_status = 403
    title = "key of another purpose"


class KeyNotValid(CaseledgerError):
    """The key is not yet, no longer or not at all valid."""

    http_status = 403
    title = "key not valid now"


class OrganisationUnknown(CaseledgerError):
    """No organisation has this index."""

    http_status = 403
    title = "unknown organisation"


class OrganisationSuspended(CaseledgerError):
    """A regulator has stopped the organisation's writing."""

    http_status = 403
    title = "organisation suspended"


class DuplicateEntry(CaseledgerError):
    """An earlier, different submission already brought this entry; nothing of the request was accepted."""

    http_status = 409
    title = "entry is in the log already"


class CustodyItemUnknown(CaseledgerError):
    """No such item here, or the event is not of its case and privilege; the two look the same."""

    http_status = 404
    title = "no such item of evidence"


class CustodyChainMoved(CaseledgerError):
    """The event does not continue its item's chain as it is now: somebody was faster. Look and sign again."""

    http_status = 409
    retryable = True
    title = "the custody chain has moved on"


class CustodyLogMissing(CaseledgerError):
    """This service runs no custody log."""

    http_status = 404
    title = "no custody log here"


class Busy(CaseledgerError):
    """The queue is full. Nothing was accepted; repeat the request after `retry_after` seconds."""

    http_status = 503
    retryable = True
    title = "too much is waiting"

    def __init__(self, detail: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(detail, hint=f"repeat after {retry_after:g} s")
        self.retry_after = retry_after


class NotTheWriter(CaseledgerError):
    """Another process writes this log; ask that one, or this one again later."""

    http_status = 503
    retryable = True
    title = "another process writes this log"


class EvidenceNotFound(CaseledgerError):
    """Not there, or not for this viewer; the two look the same."""

    http_status = 404
    title = "no such evidence"


class ReceiptNotReady(CaseledgerError):
    """Accepted, but not anchored and proved yet."""

    http_status = 409
    retryable = True
    title = "the receipt is not ready"


class NotInClosedLog(CaseledgerError):
    """The log was closed, and this database cannot prove that it holds the entry. Its submitter sends it
    again, to the successor log."""

    http_status = 409
    title = "the log was closed without this entry"


class BodyUnreadable(CaseledgerError):
    """The stored body does not open under its key: damaged, or the key file is another one."""

    http_status = 500
    title = "stored body cannot be opened"


class VaultUnreadable(CaseledgerError):
    """The file with the body keys is missing, damaged or open to others."""

    http_status = 503
    title = "body keys cannot be read"


class RecordDamaged(CaseledgerError):
    """Stored rows contradict each other; `caseledger fsck` says where."""

    http_status = 500
    title = "stored records contradict each other"


class LogForked(CaseledgerError):
    """The contract's head is not one that this database sealed."""

    http_status = 503
    title = "the contract's head is not ours"


class HeadAhead(LogForked):
    """The contract holds more than this database sealed: a stolen anchor key, or a restored database."""

    title = "the contract's head is ahead of the database"


class HeadMismatch(LogForked):
    """The contract's head has another root, operator or count than what was sealed here."""

    title = "the contract's head is another one"


class HeadBehind(LogForked):
    """The contract lost what it had shown: another chain, or a node that lies."""

    title = "the contract's head is behind what it was"


class AnchorPending(CaseledgerError):
    """The anchor is on its way and not in a final block yet."""

    retryable = True
    title = "anchor not final yet"


class AnchorRefused(CaseledgerError):
    """The anchor's transaction ended without anchoring; it is sent again."""

    retryable = True
    title = "anchor transaction failed"


class LogNotOpened(CaseledgerError):
    """The contract does not know the log yet."""

    http_status = 503
    retryable = True
    title = "the log is not open on the chain"


class SignerKeyMissing(CaseledgerError):
    """The registry has no slot for a key that signed accepted entries: their receipts cannot be made."""

    http_status = 500
    title = "a signer's key is not in the registry"


class RepairRefused(CaseledgerError):
    """`caseledger fsck --rebuild` may not or cannot change the tables now; nothing was changed."""

    http_status = 503
    title = "nothing was repaired"
