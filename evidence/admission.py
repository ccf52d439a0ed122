"""Whether a submission may enter a log: the rules, without I/O.

The order matters to whoever sends: what is wrong with the bytes is said first, then who signed, then whether
the signer may act now.
"""

from __future__ import annotations

from evidence.errors import (
    ActExpired,
    ContinuationRefused,
    KeyNotValid,
    KeyUnknown,
    KeyWrongOrganisation,
    KeyWrongPurpose,
    LogUnknown,
    OrganisationSuspended,
    OrganisationUnknown,
)
from evidence.logs import LogContext
from evidence.ports import RegistryPort
from protocol.acts import Purpose
from protocol.custody import check_place
from protocol.entry import Continuation
from protocol.keyslot import KeySlot
from protocol.submission import CheckedSubmission, Submission

KEY_MARGIN = 60
"""Seconds that a key must still be valid: the receipt's signer check counts at the time of the anchor."""


def check_log(submission: Submission, log: LogContext) -> None:
    """Raise LogUnknown when the submission names another log."""
    if submission.log_id != log.log_id:
        raise LogUnknown("the submission is for another log", field="logId")


def check_classes(checked: CheckedSubmission, log: LogContext) -> None:
    """Custody events stand in custody logs and documents in evidence logs. Raises ClassMisplaced."""
    for kind in {leaf[1] for leaf in checked.leaves}:
        check_place(kind, log.origin)


def check_signer(signer: bytes, organisation: int, registry: RegistryPort) -> KeySlot:
    """The registered slot of an address that signed for `organisation`.

    Raises KeyUnknown (also when the act was signed for another chain, contract or log),
    KeyWrongOrganisation, KeyWrongPurpose.
    """
    slot = registry.key(signer)
    if slot is None:
        raise KeyUnknown(
            "no registered key made this signature",
            field="signature",
            hint="check the chain id, EvidenceLog and log that were signed, and that the key is registered",
        )
    if slot.organisation != organisation:
        raise KeyWrongOrganisation(
            f"the key belongs to organisation {slot.organisation}", field="organisation"
        )
    if slot.purpose is not Purpose.ACT:
        raise KeyWrongPurpose(f"the key's purpose is {slot.purpose.name.lower()}, not act", field="signature")
    return slot


def check_may_act(submission: Submission, slot: KeySlot, registry: RegistryPort, now: int) -> None:
    """Whether the organisation and its key may write at `now`.

    Raises OrganisationUnknown, OrganisationSuspended, KeyNotValid, ActExpired.
    """
    organisation = registry.organisation(submission.organisation)
    if organisation is None:
        raise OrganisationUnknown(f"no organisation {submission.organisation}", field="organisation")
    if not organisation.active:
        raise OrganisationUnknown(
            f"organisation {submission.organisation} is not active", field="organisation"
        )
    if organisation.suspended_until > now:
        raise OrganisationSuspended(f"until {organisation.suspended_until}", field="organisation")
    if not slot.valid_at(now) or not slot.valid_at(now + KEY_MARGIN):
        if slot.revoked_at:
            reason = f"revoked at {slot.revoked_at}"
        elif now < slot.not_before:
            reason = f"valid from {slot.not_before}"
        elif now + KEY_MARGIN > slot.not_after:
            reason = f"valid until {slot.not_after}, at least {KEY_MARGIN} s from now are needed"
        else:
            reason = f"state {slot.state.name.lower()}"
        raise KeyNotValid(reason, field="signature", hint="sign with a key that is valid now")
    if submission.valid_until < now:
        raise ActExpired(
            f"validUntil {submission.valid_until}, now {now}", field="validUntil", hint="sign again"
        )


def is_continuation(checked: CheckedSubmission) -> bool:
    """Whether this is a log continuation (entry.md §3), which always stands alone."""
    return checked.views[0] is None


def check_continuation(checked: CheckedSubmission, log: LogContext) -> None:
    """A continuation is the operator's and states exactly the predecessor's closed head."""
    if log.predecessor is None:
        raise ContinuationRefused("this log continues no other", field="entries[0]")
    if checked.submission.organisation != log.operator:
        raise ContinuationRefused("only the operator continues a log", field="organisation")
    body = Continuation.parse(checked.submission.entries[0][1])
    closed = log.predecessor
    stated = (body.predecessor, body.size, body.root_sha256, body.root_sm3)
    if stated != (closed.log_id, closed.size, closed.root_sha256, closed.root_sm3):
        raise ContinuationRefused("it does not state the predecessor's closed head", field="entries[0].body")
