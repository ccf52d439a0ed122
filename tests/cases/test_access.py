"""Who sees which case. Everything that is not allowed is refused, in Python and in SQL alike."""

from __future__ import annotations

import asyncio
import itertools
import os

import asyncpg
import pytest

from cases.access import Standing, clause, may_act, may_have_row, may_see, scopes
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from evidence.repository import Viewer
from protocol.acts import Role
from storage.db import migrate
from tests.conftest import PgDatabase

BANK, OTHER_BANK, CENTRE, COURT, OTHER_COURT, BUREAU, MEDIATORS = 1, 2, 3, 4, 5, 6, 7
STAGES = tuple(StageCode)


def viewer(organisation: int, *roles: Role) -> Viewer:
    return Viewer(organisation, sum(role.mask for role in roles))


def seen(who: Viewer, *, owner: int = BANK, court: int = 0) -> set[StageCode]:
    return {stage for stage in STAGES if may_see(who, Standing(owner, stage, court))}


@pytest.mark.parametrize("role", [Role.BANK, Role.INSURER, Role.SECURITIES])
def test_an_institution_sees_its_own_cases_everywhere_and_no_other(role: Role) -> None:
    assert seen(viewer(BANK, role)) == set(STAGES)
    assert seen(viewer(BANK, role), owner=OTHER_BANK) == set()
    assert seen(viewer(BANK, role), owner=OTHER_BANK, court=BANK) == set()


def test_an_owner_without_the_role_of_an_institution_sees_nothing() -> None:
    for role in set(Role) - {Role.BANK, Role.INSURER, Role.SECURITIES, Role.CENTRE, Role.REGULATOR}:
        assert StageCode.IMPORTED not in seen(viewer(BANK, role)), role


@pytest.mark.parametrize("role", [Role.REGISTRY, Role.NOTARY, Role.WITNESS, Role.CUSTODIAN])
def test_other_members_see_nothing(role: Role) -> None:
    assert scopes(viewer(BANK, role)) == ()
    assert seen(viewer(BANK, role), court=BANK) == set()
    assert clause(viewer(BANK, role)).sql == "(c.listed AND (false))"


def test_a_court_sees_what_is_its_own_what_waits_for_a_court_and_appeals() -> None:
    court = viewer(COURT, Role.COURT)
    assert seen(court, court=COURT) == set(STAGES)
    anybodys = {StageCode.TRANSFERRED, StageCode.NOT_ACCEPTED, StageCode.APPEALED}
    assert seen(court, court=OTHER_COURT) == anybodys
    assert seen(court) == anybodys


def test_an_enforcement_bureau_sees_enforcement_and_no_trial() -> None:
    found = seen(viewer(BUREAU, Role.ENFORCEMENT), court=COURT)
    assert StageCode.ENFORCING in found
    assert not found & {StageCode.FILED, StageCode.TRIAL_SMALL, StageCode.APPEALED, StageCode.TRANSFERRED}


def test_a_mediation_body_sees_mediation_alone() -> None:
    expected = {StageCode.MED_OFFERED, StageCode.MEDIATING, StageCode.MED_AGREED}
    assert seen(viewer(MEDIATORS, Role.MEDIATION)) == expected


def test_police_and_prosecutor_see_what_was_referred_to_each() -> None:
    assert seen(viewer(8, Role.POLICE)) == {StageCode.REFERRED_POLICE}
    assert seen(viewer(9, Role.PROSECUTOR)) == {StageCode.REFERRED_PROSECUTOR}


@pytest.mark.parametrize("role", list(Role))
def test_a_case_of_no_standing_batch_is_seen_by_nobody(role: Role) -> None:
    for stage in STAGES:
        case = Standing(BANK, stage, BANK, listed=False)
        assert not may_see(viewer(BANK, role), case)
        assert not may_act(viewer(BANK, role), LIFECYCLE_V1, case)


def test_whoever_may_sign_the_next_step_may_act_and_nobody_else() -> None:
    court = viewer(COURT, Role.COURT)
    central = Standing(BANK, StageCode.CENTRAL)
    assert not may_see(court, central)
    assert may_act(court, LIFECYCLE_V1, central)  # order-filed
    assert not may_act(viewer(OTHER_BANK, Role.BANK), LIFECYCLE_V1, central)
    assert not may_act(court, LIFECYCLE_V1, Standing(BANK, StageCode.IMPORTED))


def test_a_sealed_row_goes_to_recipients_that_see_the_case_and_never_to_a_regulator() -> None:
    case = Standing(BANK, StageCode.MEDIATING)
    later = Standing(BANK, StageCode.MED_FAILED)
    assert may_have_row(viewer(CENTRE, Role.CENTRE), [BANK, CENTRE], case)
    assert not may_have_row(viewer(CENTRE, Role.CENTRE), [BANK], case)
    assert may_have_row(viewer(MEDIATORS, Role.MEDIATION), [MEDIATORS], case)
    assert not may_have_row(viewer(MEDIATORS, Role.MEDIATION), [MEDIATORS], later)
    regulator = viewer(9, Role.REGULATOR)
    assert may_see(regulator, case)
    assert not may_have_row(regulator, [9], case)
    assert not may_have_row(viewer(9, Role.REGULATOR, Role.CENTRE), [9], case)


def test_roles_add_up() -> None:
    both = viewer(BANK, Role.BANK, Role.MEDIATION)
    assert seen(both) == set(STAGES)
    assert seen(both, owner=OTHER_BANK) == {
        StageCode.MED_OFFERED,
        StageCode.MEDIATING,
        StageCode.MED_AGREED,
    }
    assert scopes(viewer(1, Role.BANK, Role.CENTRE)) == scopes(viewer(1, Role.CENTRE))


def _two_and_three_roles() -> list[tuple[Role, ...]]:
    singles = [(one,) for one in Role]
    return [*singles, *itertools.combinations(Role, 2), (Role.BANK, Role.COURT, Role.MEDIATION)]


@pytest.mark.database
def test_the_sql_clause_says_the_same_as_python(pg: PgDatabase) -> None:
    async def run() -> None:
        await migrate(pg.dsn("migrator"))
        conn = await asyncpg.connect(pg.superuser_dsn)
        try:
            cases = await _every_kind_of_case(conn)
            for roles, organisation in itertools.product(_two_and_three_roles(), (BANK, COURT)):
                who = viewer(organisation, *roles)
                condition = clause(who, first=2)
                found = await conn.fetch(
                    f"SELECT c.case_id FROM cases.case c WHERE c.root = $1 AND {condition.sql}",  # noqa: S608
                    bytes(32),
                    *condition.values,
                )
                expected = {identifier for identifier, one in cases.items() if may_see(who, one)}
                assert {row["case_id"] for row in found} == expected, (roles, organisation)
        finally:
            await conn.close()

    asyncio.run(run())


async def _every_kind_of_case(conn: asyncpg.Connection[asyncpg.Record]) -> dict[bytes, Standing]:
    kinds = itertools.product((BANK, OTHER_BANK), STAGES, (0, COURT, OTHER_COURT, BANK), (True, False))
    cases = {os.urandom(32): Standing(owner, int(stage), court, on) for owner, stage, court, on in kinds}
    await conn.copy_records_to_table(
        "case",
        schema_name="cases",
        columns=("case_id", "root", "position", "product", "commitment", "owner", "stage", "court", "listed"),
        records=[
            (identifier, bytes(32), at, 1, bytes(32), one.owner, one.stage, one.court, one.listed)
            for at, (identifier, one) in enumerate(cases.items())
        ],
    )
    return cases
