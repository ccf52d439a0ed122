"""Errors of the case room. Codes are the class names.

Those of deadlines are the custom errors of the contract as well.
"""

from __future__ import annotations

from protocol.errors import CaseledgerError


class DeadlineRefused(CaseledgerError):
    """Root of what docs/spec/deadline.md §6 refuses."""

    http_status = 422
    title = "no deadline can be computed from this"


class DeadlineUnitUnknown(DeadlineRefused):
    """A unit that is none of the six."""

    title = "unknown unit of a clock"


class DeadlineFlagsInvalid(DeadlineRefused):
    """A flag that this unit does not have."""

    title = "flag does not fit the unit"


class DeadlineCountZero(DeadlineRefused):
    """A clock of no length."""

    title = "a clock needs a length"


class DeadlineCountTooLarge(DeadlineRefused):
    """A clock longer than its unit allows."""

    title = "clock too long"


class DeadlineStartOutOfRange(DeadlineRefused):
    """A start before 1970 or from 2100 on."""

    title = "start out of range"


class DeadlineTooManyHolds(DeadlineRefused):
    """More than 16 holds."""

    title = "too many holds"


class DeadlineHoldEndsBeforeStart(DeadlineRefused):
    """A hold that ends before it begins."""

    title = "hold ends before it begins"


class DeadlineHoldOutOfRange(DeadlineRefused):
    """A hold before 1970 or from 2100 on."""

    title = "hold out of range"


class CalendarYearUnknown(DeadlineRefused):
    """The table of working days does not cover a year that the deadline needs."""

    title = "no table of working days for this year"


class CalendarMalformed(CaseledgerError):
    """The data of working days contradict themselves."""

    http_status = 500
    title = "table of working days not usable"


class CaseIndexDamaged(CaseledgerError):
    """What is stored of a case contradicts the chain or itself; it is read again from the chain."""

    http_status = 500
    title = "index of cases damaged"


class ClockUnknown(CaseledgerError):
    """No clock has this name."""

    http_status = 404
    title = "unknown clock"


class InstalmentsMissing(DeadlineRefused):
    """A period that starts from the last instalment, without instalments."""

    title = "no instalments"


class ClockNotForward(CaseledgerError):
    """This clock counts back from an expiry; it has no deadline after a start."""

    http_status = 422
    title = "the clock counts backward"


class BatchDamaged(CaseledgerError):
    """What is stored of a batch contradicts its root."""

    http_status = 500
    title = "stored batch damaged"


class BatchNotHere(CaseledgerError):
    """No such batch that this caller may know of. The same answer whether there is one or not."""

    http_status = 404
    title = "no such batch for this caller"


class BatchOfAnother(CaseledgerError):
    """An institution brings its own cases alone."""

    http_status = 403
    title = "the batch is another institution's"


class BatchDiffers(CaseledgerError):
    """Another file stands here under this batch id or this root; what is here is never replaced."""

    http_status = 409
    title = "another batch file is here"


class CaseInOtherBatch(CaseledgerError):
    """A case id of the file is known from another batch."""

    http_status = 409
    title = "a case of the file is in another batch"


class BatchRecipientUnknown(CaseledgerError):
    """Rows sealed to nobody who could open them: no active member, or not under its published key."""

    http_status = 422
    title = "recipient or its key unknown"


class BatchesBusy(CaseledgerError):
    """As many files are being taken as this gateway takes at once."""

    http_status = 503
    retryable = True
    title = "other batch files are being taken"


class CaseNotHere(CaseledgerError):
    """No such case that this caller may know of. The same answer whether there is one or not."""

    http_status = 404
    title = "no such case for this caller"


class CaseCodeMistyped(CaseledgerError):
    """What was typed is no code that was ever given; nothing was tried and nothing counted."""

    http_status = 401
    title = "case code mistyped"


class CaseCodeRefused(CaseledgerError):
    """A case code that opens nothing: unknown, taken back, or tried wrongly too often."""

    http_status = 401
    title = "case code refused"


class CaseCodeExpired(CaseledgerError):
    """The right case code, after its time."""

    http_status = 401
    title = "case code expired"


class CaseEventNotHere(CaseledgerError):
    """The case has no event of this number."""

    http_status = 404
    title = "no such event of this case"


class CaseReceiptNotPossible(CaseledgerError):
    """The case has moved on, and no node holds its state after this event any more."""

    http_status = 409
    title = "state after this event is gone"


class PolicyUnknown(CaseledgerError):
    """No policy version of this number is in force here, or none at all yet."""

    http_status = 404
    title = "no such policy version"


class PolicyNotOfThisRelease(CaseledgerError):
    """A policy version that the chain does not have, or whose tables are no lifecycle of this release."""

    http_status = 500
    title = "lifecycle of another release"


class CursorInvalid(CaseledgerError):
    """A cursor that this list did not give, or that belongs to other filters."""

    http_status = 422
    title = "cursor of another list"


class HistoryBroken(CaseledgerError):
    """Changes that are not those of a case, whole and in order."""

    http_status = 500
    title = "the history of a case does not add up"


class DecisionInputInvalid(CaseledgerError):
    """A value that the input of a decision table does not have."""

    http_status = 422
    title = "no value of this input"


class DecisionTableIncomplete(CaseledgerError):
    """No rule fits; the linter keeps such a table from being released."""

    http_status = 500
    title = "decision table has a gap"


class DecisionTableUnknown(CaseledgerError):
    """A table or a version of it that this release does not have."""

    http_status = 404
    title = "unknown decision table"


class TriageStageClosed(CaseledgerError):
    """Triage acts before a case is routed, not afterwards."""

    http_status = 409
    title = "triage does not act in this stage"


class WageInvalid(CaseledgerError):
    """No plausible yearly wage, or of a year that is not over."""

    http_status = 422
    title = "average wage not usable"


class EvidenceNotAnchored(CaseledgerError):
    """An entry that a step rests on is not on the chain yet."""

    http_status = 409
    retryable = True
    title = "evidence not anchored yet"


class TooManyActsWait(CaseledgerError):
    """A thousand acts of this organisation wait for a second signature."""

    http_status = 409
    title = "too many acts wait for a second signature"


class ConfirmationMissing(CaseledgerError):
    """An outcome that a named person confirms, or an override, without a person."""

    http_status = 422
    title = "a named person must confirm"


class DecisionNotReproduced(CaseledgerError):
    """A decision record that claims what its table does not say."""

    http_status = 422
    title = "the table says otherwise"


class DecisionRecipientsWrong(CaseledgerError):
    """A decision that is not sealed to the recipients of its case's batch."""

    http_status = 422
    title = "decision sealed to others"


class DecisionNotLatest(CaseledgerError):
    """A decision that does not name the newest one of its case."""

    http_status = 409
    title = "another decision came before"


class TooManyDecisions(CaseledgerError):
    """More decisions of one case than are kept."""

    http_status = 409
    title = "too many decisions"


class CaseStepNotTaken(CaseledgerError):
    """A step of a run that the chain did not take, or not in time."""

    http_status = 409
    title = "the step was not taken"


class EvidenceMissing(CaseledgerError):
    """A step needs an anchored entry that the case does not have."""

    http_status = 422
    title = "evidence of the case is missing"


class StatisticsQueryInvalid(CaseledgerError):
    """A query that statistics do not answer."""

    http_status = 422
    title = "no such statistics"


class ActNotCarried(CaseledgerError):
    """An act that this service never had to carry."""

    http_status = 404
    title = "no such carried act"


class ActTakenTwice(CaseledgerError):
    """Two senders took the same act; one of them gives way."""

    http_status = 500
    retryable = True
    title = "another sender took the act"
