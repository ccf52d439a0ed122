"""Who sees which case, once for every reader: as a yes or no, and as SQL.

| who | sees |
| --- | --- |
| owner | its own cases, wherever they stand |
| centre, regulator | all cases |
| court | cases that are its own; cases that wait for a court; cases on appeal |
| enforcement bureau | cases that are its own; cases in enforcement |
| mediation body | cases from the offer of mediation to its end |
| police, prosecutor | cases that were referred to them |
| anybody else | none |

Only cases whose batch stands on the chain are seen at all. What the caller may not see is answered like what
is not there. Whoever may sign the next step of a case may send it without seeing the case first (`may_act`):
a court to which a bank brings an application. A sealed row goes to a recipient of its batch that sees the
case, and never to a regulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cases.lifecycle import OWNER, Lifecycle
from cases.lifecycle_v1 import StageCode
from evidence.repository import Viewer
from protocol.acts import Role

SEES_ALL = Role.CENTRE.mask | Role.REGULATOR.mask
INSTITUTIONS = Role.BANK.mask | Role.INSURER.mask | Role.SECURITIES.mask
COURTS = Role.COURT.mask | Role.ENFORCEMENT.mask

# Codes keep their meaning in every later version of the lifecycle.
BY_STAGE: dict[Role, frozenset[int]] = {
    Role.COURT: frozenset({StageCode.TRANSFERRED, StageCode.NOT_ACCEPTED, StageCode.APPEALED}),
    Role.ENFORCEMENT: frozenset(
        {
            StageCode.ENF_APPLIED,
            StageCode.ENFORCING,
            StageCode.ENF_SETTLED,
            StageCode.ENF_ROUND_ENDED,
            StageCode.ENF_CLOSED,
        }
    ),
    Role.MEDIATION: frozenset({StageCode.MED_OFFERED, StageCode.MEDIATING, StageCode.MED_AGREED}),
    Role.POLICE: frozenset({StageCode.REFERRED_POLICE}),
    Role.PROSECUTOR: frozenset({StageCode.REFERRED_PROSECUTOR}),
}
"""Stages in which an organisation of a role sees every case."""


@dataclass(frozen=True)
class Standing:
    """What of a case decides who sees it; columns of cases.case. `court` 0: none."""

    owner: int
    stage: int
    court: int = 0
    listed: bool = True


@dataclass(frozen=True)
class Scope:
    """Cases that are seen for one reason; all members that are not None hold together."""

    owner: int | None = None
    court: int | None = None
    stages: frozenset[int] | None = None

    def holds(self, case: Standing) -> bool:
        """Whether a case is one of them."""
        return (
            (self.owner is None or case.owner == self.owner)
            and (self.court is None or case.court == self.court)
            and (self.stages is None or case.stage in self.stages)
        )


@dataclass(frozen=True)
class Clause:
    """A condition in SQL and the values of its parameters."""

    sql: str
    values: tuple[Any, ...]


def scopes(viewer: Viewer) -> tuple[Scope, ...]:
    """All reasons for which the viewer sees cases; none: it sees nothing."""
    if viewer.roles & SEES_ALL:
        return (Scope(),)
    found = []
    if viewer.roles & INSTITUTIONS:
        found.append(Scope(owner=viewer.organisation))
    if viewer.roles & COURTS:
        found.append(Scope(court=viewer.organisation))
    stages = [codes for role, codes in BY_STAGE.items() if viewer.roles & role.mask]
    if stages:
        found.append(Scope(stages=frozenset().union(*stages)))
    return tuple(found)


def may_see(viewer: Viewer, case: Standing) -> bool:
    """Whether the viewer may know of the case."""
    return case.listed and any(scope.holds(case) for scope in scopes(viewer))


def may_act(viewer: Viewer, life: Lifecycle, case: Standing) -> bool:
    """Whether an act of the viewer is looked at, rather than answered as if there were no case."""
    if may_see(viewer, case):
        return True
    roles = [step.by | step.beside for step in life.leaving(case.stage)]
    return case.listed and any(viewer.roles & one & ~OWNER for one in roles)


def may_have_row(viewer: Viewer, recipients: Iterable[int], case: Standing) -> bool:
    """Whether the viewer gets the sealed row of a case: a recipient of the batch that sees the case."""
    if viewer.roles & Role.REGULATOR.mask or viewer.organisation not in recipients:
        return False
    return may_see(viewer, case)


def clause(viewer: Viewer, *, first: int = 1, table: str = "c") -> Clause:
    """The same as `may_see` over rows of cases.case; parameters are numbered from `first`."""
    parts: list[str] = []
    values: list[Any] = []

    def parameter(value: Any) -> str:
        values.append(value)
        return f"${first + len(values) - 1}"

    for scope in scopes(viewer):
        conditions: Sequence[str] = [
            *([] if scope.owner is None else [f"{table}.owner = {parameter(scope.owner)}"]),
            *([] if scope.court is None else [f"{table}.court = {parameter(scope.court)}"]),
            *(
                []
                if scope.stages is None
                else [f"{table}.stage = ANY({parameter(sorted(scope.stages))}::smallint[])"]
            ),
        ]
        parts.append(" AND ".join(conditions) or "true")
    seen = " OR ".join(f"({part})" for part in parts) or "false"
    return Clause(f"({table}.listed AND ({seen}))", tuple(values))
