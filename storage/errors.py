"""Errors of the storage room."""

from __future__ import annotations

from protocol.errors import CaseledgerError


class DatabaseUnavailable(CaseledgerError):
    """PostgreSQL cannot be reached, or refused for a reason that passes (restart, disk full, too busy)."""

    http_status = 503
    retryable = True
    title = "the database is not available"


class DatabaseUnsafe(CaseledgerError):
    """The server would lose what it acknowledged."""

    http_status = 503
    title = "the database does not keep what it commits"


class MigrationChanged(CaseledgerError):
    """A migration that was applied has other bytes now, or the database is newer than this release."""

    http_status = 503
    title = "database and release do not fit"


class StorageFull(CaseledgerError):
    """No space is left; nothing was stored. Retry after space was made."""

    http_status = 503
    retryable = True
    title = "the disk is full"


class BlobNotFound(CaseledgerError):
    """No chunk with this address is here."""

    http_status = 404
    title = "no such stored content"


class BlobCorrupt(CaseledgerError):
    """The bytes under this address have another hash."""

    http_status = 500
    title = "stored content is damaged"


class BlobAddressMismatch(CaseledgerError):
    """The bytes that were sent do not hash to the address they were sent under."""

    http_status = 422
    title = "content does not fit its address"


class ClusterError(CaseledgerError):
    """The embedded database could not be made, started or asked."""

    http_status = 503
    title = "embedded database"


class ClusterToolMissing(ClusterError):
    """The wheel with the server programs is not installed."""

    title = "database programs missing"


class ClusterStartFailed(ClusterError):
    """The server did not come up; its log says why."""

    title = "database did not start"


class ClusterPlaceRefused(ClusterError):
    """A directory that must be private belongs to somebody else or cannot be reached."""

    title = "database place refused"


class ClusterNameRefused(ClusterError):
    """A role or database name outside [a-z][a-z0-9_]*."""

    http_status = 422
    title = "database name refused"
