"""Login roles of least privilege and how the server comes to know them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from storage.errors import ClusterNameRefused

DATABASE = "caseledger"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")


@dataclass(frozen=True)
class RoleSpec:
    """A login role of least privilege. Table rights are granted by the migrations, not here."""

    name: str
    owns_schema: bool = False
    connection_limit: int = 30
    statement_timeout_ms: int = 60_000
    idle_in_transaction_ms: int = 60_000


ROLES: Mapping[str, RoleSpec] = {
    "migrator": RoleSpec("migrator", owns_schema=True, connection_limit=5, statement_timeout_ms=0),
    "gateway": RoleSpec("gateway", connection_limit=60),
    "sealer": RoleSpec("sealer", connection_limit=15),
    "reader": RoleSpec("reader", connection_limit=15),
}


async def ensure_roles(superuser_dsn: str, passwords: Mapping[str, str], *, database: str = DATABASE) -> None:
    """Create or correct the login roles and the database; idempotent.

    `passwords` maps names of `ROLES` to plain passwords; the server is sent SCRAM verifiers only. The
    migrator owns the schema `public`; the others may connect and use it, tables are granted by migrations.
    Works against any server whose superuser (or createrole and createdb role) DSN is given.
    """
    unknown = set(passwords) - set(ROLES)
    if unknown:
        raise ClusterNameRefused(f"no such role: {', '.join(sorted(unknown))}", field="role")
    target = identifier(database)
    connection = await asyncpg.connect(superuser_dsn)
    try:
        # Two starters at once would both see a role missing.
        await connection.execute("SELECT pg_advisory_lock(7102634519)")
        for name, password in passwords.items():
            spec = ROLES[name]
            exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
            await connection.execute(
                f"{'ALTER' if exists else 'CREATE'} ROLE {identifier(name)} LOGIN NOSUPERUSER NOCREATEDB "
                f"NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT {spec.connection_limit} "
                f"PASSWORD '{scram_verifier(password)}'"
            )
            for setting, value in (
                ("statement_timeout", spec.statement_timeout_ms),
                ("idle_in_transaction_session_timeout", spec.idle_in_transaction_ms),
            ):
                await connection.execute(f"ALTER ROLE {identifier(name)} SET {setting} = {value}")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await connection.execute(f"CREATE DATABASE {target}")
        await connection.execute(f"REVOKE ALL ON DATABASE {target} FROM PUBLIC")
        for name in passwords:
            await connection.execute(f"GRANT CONNECT ON DATABASE {target} TO {identifier(name)}")
    finally:
        await connection.close()
    inside = await asyncpg.connect(superuser_dsn, database=database)
    try:
        await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for name in passwords:
            await inside.execute(f"GRANT USAGE ON SCHEMA public TO {identifier(name)}")
            if ROLES[name].owns_schema:
                await inside.execute(f"GRANT CREATE ON DATABASE {target} TO {identifier(name)}")
                await inside.execute(f"ALTER SCHEMA public OWNER TO {identifier(name)}")
    finally:
        await inside.close()


def identifier(name: str) -> str:
    """A name that needs no quoting; nothing else reaches a statement."""
    if not _NAME.match(name):
        raise ClusterNameRefused("names are lower-case letters, digits and _", field="name")
    return f'"{name}"'


def scram_verifier(password: str, iterations: int = 4096) -> str:
    """What PostgreSQL stores for a password (RFC 5803), so that the password itself is never sent."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()

    def text(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    return f"SCRAM-SHA-256${iterations}:{text(salt)}${text(stored)}:{text(server)}"
