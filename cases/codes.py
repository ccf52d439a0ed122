"""Case codes: how a debtor opens the own case without an account.

26 random symbols of an alphabet without I, L, O and U (130 bits), and two that notice a slip of the finger.
The first six find the row; the rest is known to nobody but the person: kept is a salted digest of the whole.
Codes end, can be taken back, and one that is tried wrongly too often is closed.
"""

from __future__ import annotations

import hmac
import secrets
import unicodedata
from dataclasses import dataclass

from cases.errors import CaseCodeExpired, CaseCodeMistyped, CaseCodeRefused
from storage.db import Pool

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SYMBOLS, HANDLE, CHECK = 26, 6, 2
GROUP = 4
MOST_WRONG = 10
DAY = 86_400
DEFAULT_DAYS, MOST_DAYS = 90, 400
_MODULUS = 1021
"""The greatest prime below 32 · 32: one wrong symbol, or two neighbours swapped, always shows."""
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})
_BETWEEN = " -‐‑‒–—−・·_.\t　"
_NOBODY = bytes(16)


@dataclass(frozen=True)
class Issued:
    """A new code; `code` is shown once and kept nowhere."""

    code: str
    expires_at: int


def new_code() -> str:
    """In groups of four, as people copy it."""
    symbols = "".join(secrets.choice(ALPHABET) for _ in range(SYMBOLS))
    whole = symbols + _check(symbols)
    return "-".join(whole[at : at + GROUP] for at in range(0, len(whole), GROUP))


def parse(typed: str) -> str:
    """The symbols of a code as somebody typed it: any case, gaps and wide letters, O for 0, I or L for 1.

    Raises:
        CaseCodeMistyped: it is no code that was ever given
    """
    text = unicodedata.normalize("NFKC", typed[:200]).upper().translate(_READ_AS)
    text = "".join(symbol for symbol in text if symbol not in _BETWEEN)
    known = len(text) == SYMBOLS + CHECK and all(symbol in ALPHABET for symbol in text)
    if not known or _check(text[:SYMBOLS]) != text[SYMBOLS:]:
        raise CaseCodeMistyped(field="authorization", hint="type the code again as it is on the paper")
    return text[:SYMBOLS]


def _check(symbols: str) -> str:
    value = 0
    for symbol in symbols:
        value = value * len(ALPHABET) + ALPHABET.index(symbol)
    # As in ISO 7064: the whole, check symbols included, leaves 1.
    rest = (1 - value * len(ALPHABET) ** CHECK) % _MODULUS
    return ALPHABET[rest // len(ALPHABET)] + ALPHABET[rest % len(ALPHABET)]


def _digest(symbols: str, salt: bytes) -> bytes:
    return hmac.digest(salt, b"caseledger/case-code/v1" + symbols.encode(), "sha256")


@dataclass(frozen=True)
class Codes:
    """Codes in SQL. Who may issue one is the caller's matter."""

    pool: Pool

    async def issue(self, case_id: bytes, issuer: int, now: int, days: int = DEFAULT_DAYS) -> Issued:
        """A new code for a case; an earlier one ends."""
        code = new_code()
        symbols, salt = parse(code), secrets.token_bytes(16)
        expires_at = now + max(1, min(days, MOST_DAYS)) * DAY
        async with self.pool.acquire() as conn, conn.transaction():
            # One issuer at a time for a case: otherwise both would find no code to take back.
            await conn.execute("SELECT pg_advisory_xact_lock(hashtext($1))", "case-code" + case_id.hex())
            await conn.execute(
                "UPDATE cases.case_code SET revoked_at = $2 WHERE case_id = $1 AND revoked_at IS NULL",
                case_id,
                now,
            )
            await conn.execute(
                """INSERT INTO cases.case_code
                       (handle, case_id, salt, digest, issued_by, issued_at, expires_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)""",
                symbols[:HANDLE], case_id, salt, _digest(symbols, salt), issuer, now, expires_at,
            )  # fmt: skip
        return Issued(code, expires_at)

    async def revoke(self, case_id: bytes, now: int) -> bool:
        """Takes the code of a case back; False where there is none."""
        done = await self.pool.execute(
            "UPDATE cases.case_code SET revoked_at = $2 WHERE case_id = $1 AND revoked_at IS NULL",
            case_id,
            now,
        )
        return done != "UPDATE 0"

    async def open(self, typed: str, now: int) -> bytes:
        """The case that a code opens.

        Raises:
            CaseCodeMistyped, CaseCodeRefused: wrong, taken back or tried too often, and nothing tells which
            CaseCodeExpired: the right code, after its time
        """
        symbols = parse(typed)
        handle = symbols[:HANDLE]
        # Counted before it is compared, so that tries at the same time do not share one count.
        row = await self.pool.fetchrow(
            """UPDATE cases.case_code SET wrong = wrong + 1 WHERE handle = $1 AND wrong < $2
               RETURNING case_id, salt, digest, expires_at, revoked_at""",
            handle,
            MOST_WRONG,
        )
        salt, digest = (_NOBODY, bytes(32)) if row is None else (row["salt"], row["digest"])
        right = hmac.compare_digest(_digest(symbols, salt), digest)
        if row is None or not right or row["revoked_at"] is not None:
            raise CaseCodeRefused(field="authorization", hint="ask the centre for a new code")
        await self.pool.execute("UPDATE cases.case_code SET wrong = 0 WHERE handle = $1", handle)
        if now > row["expires_at"]:
            raise CaseCodeExpired(field="authorization", hint="ask the centre for a new code")
        return bytes(row["case_id"])
