"""Why an act on a case is refused: the custom errors of CaseLedger and its guards, by the same names.

Each carries the article of the rule that it breaks, where a rule of the lifecycle is at stake.
"""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import CaseledgerError


class CaseRefused(CaseledgerError):
    """Root of what docs/spec/case.md §7 refuses. `article` is the rule's source, or empty."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "refused by the rules of the case"

    def __init__(
        self, detail: str = "", *, article: str = "", field: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(f"{detail} ({article})" if article else detail, field=field, hint=hint)
        self.article = article


class PolicyTransitionUnknown(CaseRefused):
    """The lifecycle has no such transition."""

    title = "unknown transition"


class PolicyStageUnknown(CaseRefused):
    """The lifecycle has no such stage."""

    title = "unknown stage"


class CaseUnknown(CaseRefused):
    """No case of this id has come to life."""

    http_status = 404
    title = "unknown case"


class CaseKnown(CaseRefused):
    """An origin is given for a case that is alive."""

    http_status = 409
    title = "case already alive"


class CaseVersionStale(CaseRefused):
    """The act names another version than the case has."""

    http_status = 409
    title = "case has changed meanwhile"


class CaseTransitionIllegal(CaseRefused):
    """The transition does not leave the stage in which the case stands."""

    http_status = 409
    title = "this step is not possible from here"


class CaseNotALapse(CaseRefused):
    """Time alone does not make this step."""

    title = "not a lapse"


class CaseNotAnAct(CaseRefused):
    """Time alone makes this step; nobody signs it."""

    title = "a lapse is not signed"


class CaseTooEarly(CaseRefused):
    """The step is for the time after the deadline."""

    http_status = 409
    title = "the deadline has not passed"


class CaseTooLate(CaseRefused):
    """The step is for the time before the deadline."""

    http_status = 409
    title = "the deadline has passed"


class CaseOnHold(CaseRefused):
    """The case is paused."""

    http_status = 409
    title = "case is paused"


class CaseRoleMissing(CaseRefused):
    """The organisation has none of the roles, and the case is not its own."""

    http_status = 403
    title = "not this organisation's step"


class CaseOtherCourt(CaseRefused):
    """The case belongs to another court."""

    http_status = 403
    title = "another court's case"


class CaseCourtOnly(CaseRefused):
    """Only a court enters this stage."""

    http_status = 403
    title = "only a court may do this"


class CaseCoSignerInvalid(CaseRefused):
    """A second organisation is missing, the same, or not asked for."""

    http_status = 403
    title = "second organisation missing or wrong"


class CaseReasonInvalid(CaseRefused):
    """A reason that this step does not list, or none where one is needed."""

    title = "reason missing or unknown"


class EvidenceCountWrong(CaseRefused):
    """Not as many entries as the step needs."""

    title = "evidence missing or too much"


class EvidencePrivileged(CaseRefused):
    """Privileged material of a mediation never supports a step."""

    http_status = 403
    title = "privileged material"


class EvidenceClassWrong(CaseRefused):
    """An entry of another class than the step needs."""

    title = "evidence of the wrong class"


class EvidenceOfOtherCase(CaseRefused):
    """An entry of another case."""

    title = "evidence of another case"


class EvidenceSubmitterWrong(CaseRefused):
    """An entry of a submitter whom the step does not accept."""

    title = "evidence of the wrong submitter"


class CaseHoldNotAllowed(CaseRefused):
    """The stage does not know this pause; a final one knows none."""

    http_status = 409
    title = "no such pause in this stage"


class CaseHoldOpen(CaseRefused):
    """A pause of this kind is open."""

    http_status = 409
    title = "already paused for this reason"


class CaseHoldNotOpen(CaseRefused):
    """No pause of this kind is open."""

    http_status = 409
    title = "not paused for this reason"


class CaseTooManyHolds(CaseRefused):
    """Fifteen pauses in one stage."""

    title = "too many pauses"


class CaseAlreadyExtended(CaseRefused):
    """The stage's clock was prolonged before."""

    http_status = 409
    title = "already prolonged"


class CaseNotReversible(CaseRefused):
    """There is no last step that could be taken back."""

    http_status = 409
    title = "nothing to take back"


class CaseNotOriginator(CaseRefused):
    """The last step was another organisation's."""

    http_status = 403
    title = "another organisation's step"


class CaseNotOverdue(CaseRefused):
    """The deadline has not passed, or there is none."""

    http_status = 409
    title = "not overdue"


class CaseIsMarked(CaseRefused):
    """This deadline was marked as passed before."""

    http_status = 409
    title = "already marked as overdue"
