"""Libraries of the extra `certificate`, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from evidence.certificate.errors import CertificateExtraMissing


def need(name: str) -> Any:
    """The module of this name.

    Raises:
        CertificateExtraMissing
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise CertificateExtraMissing(
            f"{name.partition('.')[0]} is missing", hint="pip install 'caseledger[certificate]'"
        ) from None
