"""Conformance kind `sm2`: one SM2 signature with the standard user id."""

from __future__ import annotations

from protocol import sm2
from verifier.strict_json import Fields, Json


def check(value: Json) -> str:
    """Verify one line."""
    fields = Fields(value)
    fields.skip("about")
    public_key, message = fields.hex("publicKey", sm2.PUBLIC_KEY_LEN), fields.hex("message")
    signature = fields.hex("signature", sm2.SIGNATURE_LEN)
    fields.done()
    sm2.verify(public_key, message, signature)
    return f"by {public_key.hex()}"
