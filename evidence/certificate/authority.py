"""Asking a time authority, over HTTP (RFC 3161 §3.4) or in this process."""

from __future__ import annotations

from pathlib import Path

import httpx

from evidence.certificate.errors import CertificateNotSigned
from evidence.certificate.signing import Ask
from evidence.local_authority import ROOT_FILE, LocalAuthority
from verifier.timetoken_request import REQUEST_TYPE

TIMEOUT_SECONDS = 20.0
MAX_ANSWER = 262_144


def asking(where: str) -> Ask:
    """The port for a URL, or for the folder of a local authority (development).

    Raises:
        CertificateNotSigned
    """
    if where.startswith(("http://", "https://")):
        return lambda request: _post(where, request)
    folder = Path(where)
    if not (folder / ROOT_FILE).is_file():
        raise CertificateNotSigned(f"{where}: neither a URL nor the folder of a local time authority")
    return LocalAuthority.open(folder, folder.name).answer


def _post(url: str, request: bytes) -> bytes:
    try:
        with (
            httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as http,
            http.stream("POST", url, content=request, headers={"Content-Type": REQUEST_TYPE}) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise CertificateNotSigned(f"the time authority answered {answer.status_code}")
            out = b""
            for part in answer.iter_bytes():
                out += part
                if len(out) > MAX_ANSWER:
                    raise CertificateNotSigned("the time authority's answer is too long")
            return out
    except httpx.HTTPError as error:
        raise CertificateNotSigned(f"the time authority: {type(error).__name__}") from None
