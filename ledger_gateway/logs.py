"""JSON lines on standard error. What is logged is named here, so that nothing personal can slip in.

Allowed: request id, route template, method, status, duration, sizes, organisation index, error code, loop
and job names. Never: bodies, digests, file names, query strings, keys, addresses of clients.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "request", "route", "method", "status", "seconds", "bytes",
        "organisation", "code", "loop", "job", "count", "number", "size", "height", "port", "pid",
        "component", "version", "error_type", "where", "lag",
    }
)  # fmt: skip


def keep_allowed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drops every field that is not in the list above and says how many."""
    unknown = [name for name in event if name not in ALLOWED_FIELDS]
    for name in unknown:
        del event[name]
    if unknown:
        event["count"] = event.get("count", len(unknown))
    return event


def configure(level: str = "info") -> None:
    """Sets up structlog for this process; library loggers stay at warning and lose their messages' values."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            keep_allowed,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LibraryFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _LibraryFormatter(logging.Formatter):
    """A library's record as one JSON line: where and what type, not what it says."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        level = record.levelname.lower()
        return f'{{"event":"library","level":"{level}","where":"{record.name}","error_type":"{error}"}}'


def where_of(error: BaseException) -> str:
    """File and line of the innermost frame of ours; enough to find a fault without its values."""
    frame = error.__traceback__
    where = "unknown"
    while frame is not None:
        where = f"{frame.tb_frame.f_globals.get('__name__', '?')}:{frame.tb_lineno}"
        frame = frame.tb_next
    return where


def passed_through(error: BaseException, package: str) -> bool:
    """Whether the error came through code of a package."""
    frame = error.__traceback__
    while frame is not None:
        if str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == package:
            return True
        frame = frame.tb_next
    return False


def get(component: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that names its component."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=component)
    return logger
