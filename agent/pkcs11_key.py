"""An Ed25519 key that never leaves its token: a smart card or hardware module behind PKCS#11.

`python-pkcs11` is an extra (`caseledger[pkcs11]`) and is imported when the first such key is opened.
"""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agent.keys import KeyFileExposed, KeyFileUnreadable
from protocol.errors import CaseledgerError

KEY_LEN = 32
_OCTET_STRING = b"\x04\x20"
"""DER head of an EC point of 32 bytes; some tokens give it, some the bare point."""
_MAX_PIN = 256


class TokenUnusable(CaseledgerError):
    """The PKCS#11 module, token or key is not there, or refuses."""

    http_status: ClassVar[int] = 503
    title: ClassVar[str] = "PKCS#11 token not usable"


@dataclass(frozen=True)
class TokenAddress:
    """Where a key is: the module's library, the token's label, the file that holds the PIN (mode 0600)."""

    module: Path
    token: str
    pin_file: Path

    def pin(self) -> str:
        """Raises KeyFileUnreadable, KeyFileExposed."""
        try:
            with self.pin_file.open("rb") as source:
                if stat.S_IMODE(os.fstat(source.fileno()).st_mode) & 0o077:
                    raise KeyFileExposed("the PIN file is open to others", field="pin_file", hint="chmod 600")
                return source.read(_MAX_PIN).decode("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise KeyFileUnreadable("the PIN file cannot be read", field="pin_file") from None


class TokenKey:
    """One Ed25519 key pair in a token, found by its label. Holds a session; any thread may sign."""

    def __init__(self, address: TokenAddress, label: str) -> None:
        """Raises TokenUnusable, and errors of the PIN file."""
        self._label = label
        self._lock = threading.Lock()
        self._session: Any = None
        try:
            import pkcs11
        except ImportError:
            raise TokenUnusable("python-pkcs11 is not installed", hint="caseledger[pkcs11]") from None
        self._mechanism = pkcs11.Mechanism.EDDSA
        try:
            token = pkcs11.lib(str(address.module)).get_token(token_label=address.token)
            self._session = token.open(user_pin=address.pin())
            self._key = self._session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
            public = self._session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label)
            point = bytes(public[pkcs11.Attribute.EC_POINT])
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            self.close()
            raise TokenUnusable(f"{label}: {type(error).__name__}", field=label) from None
        self._public = point.removeprefix(_OCTET_STRING) if len(point) == KEY_LEN + 2 else point
        if len(self._public) != KEY_LEN:
            self.close()
            raise TokenUnusable(f"{label}: not an Ed25519 key", field=label)
        self._error = pkcs11.PKCS11Error

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032). Raises TokenUnusable when the token was taken out."""
        try:
            with self._lock:
                return bytes(self._key.sign(message, mechanism=self._mechanism))
        except self._error as error:
            raise TokenUnusable(f"{self._label}: {type(error).__name__}", field=self._label) from None

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.close()
            self._session = None
