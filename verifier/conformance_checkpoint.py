"""Conformance kinds `checkpoint`, `cosignature` and `policy`: what witnesses sign, and when it is enough."""

from __future__ import annotations

from protocol.cbor import Value
from protocol.checkpoint import (
    MAX_TIME,
    PUBLIC_KEY_LEN,
    SIGNATURE_LEN,
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    TYPE_MLDSA44,
    Checkpoint,
    CheckpointSignatureInvalid,
    CosignatureInvalid,
    SignedNote,
    check_key_name,
    key_id,
    statement_origin,
    verify_checkpoint,
    verify_cosignature,
)
from protocol.errors import MalformedInput
from verifier.errors import ClaimMismatch, CosignatureInFuture, MalformedTrustFile, WitnessQuorumMissing
from verifier.strict_json import Fields, Json
from verifier.trust_parse_witness import MAX_GROUPS, MAX_WITNESSES, policy
from verifier.witness_policy import quorum_by


def check_checkpoint(value: Json) -> str:
    """A signed note: a checkpoint of this log's tree, signed by this log key."""
    fields = Fields(value)
    fields.skip("about")
    note = SignedNote.parse(_utf8(fields, "note"))
    origin = statement_origin(fields.text("origin"), fields.integer("algorithm"))
    public_key = fields.hex("key", PUBLIC_KEY_LEN[TYPE_ED25519])
    head = note.checkpoint
    _claims(fields, head)
    fields.done()
    if head.origin != origin:
        raise ClaimMismatch(f"a checkpoint of {head.origin}", field="origin")
    lines = note.by(origin, key_id(origin, TYPE_ED25519, public_key))
    if not lines:
        raise CheckpointSignatureInvalid("no line by the log's key", field="note")
    for one in lines:
        verify_checkpoint(public_key, head, one.signature)
    return f"{head.origin}, size {head.size}, {len(note.signatures)} signatures"


def check_cosignature(value: Json) -> str:
    """One cosignature over the text of a checkpoint."""
    fields = Fields(value)
    fields.skip("about")
    head = Checkpoint.parse(_utf8(fields, "text"))
    kind = fields.integer("type")
    if kind not in (TYPE_COSIGNATURE, TYPE_MLDSA44):
        raise fields.invalid("type", "4 or 6")
    name = check_key_name(fields.text("name"), "name")
    public_key = fields.hex("publicKey", PUBLIC_KEY_LEN[kind])
    time, signature = _time(fields, "time"), fields.hex("signature", SIGNATURE_LEN[kind])
    identity = key_id(name, kind, public_key)
    claimed = fields.hex("keyId", 4) if fields.has("keyId") else identity
    at = _time(fields, "at") if fields.has("at") else MAX_TIME
    _claims(fields, head)
    fields.done()
    if claimed != identity:
        raise ClaimMismatch(f"key id {identity.hex()}", field="keyId")
    verify_cosignature(kind, name, public_key, time, head, signature)
    if time == 0:
        raise CosignatureInvalid("without a time", field="time")
    if time > at:
        raise CosignatureInFuture(f"{time}, evaluated at {at}", field="time")
    return f"{name} {identity.hex()} at {time}"


def check_policy(value: Json) -> str:
    """A witness policy and the times of cosignatures over one checkpoint: is it a quorum, and since when."""
    fields = Fields(value)
    fields.skip("about")
    form = fields.child("policy")
    quorum = form.raw("quorum")
    members: Value = (
        tuple(map(_witness, form.children("witnesses", MAX_WITNESSES + 1))),
        tuple(map(_group, form.children("groups", MAX_GROUPS + 1))),
        quorum if quorum is None or isinstance(quorum, str) else form.text("quorum"),
    )
    form.done()
    try:
        found = policy(members)
    except MalformedTrustFile:
        raise
    except MalformedInput as error:
        raise MalformedTrustFile(f"{error.code}: {error.detail}", field=error.field) from error
    statement = fields.integer("statement")
    if statement not in (0, 1):
        raise fields.invalid("statement", "0 or 1")
    listed = fields.children("times", MAX_WITNESSES)
    times: dict[str, int] = {}
    for one in listed:
        name, time = one.text("name"), _time(one, "time")
        one.done()
        if name in times:
            raise fields.invalid("times", "each name once")
        times[name] = time
    claimed = _time(fields, "since") if fields.has("since") else None
    fields.done()
    named = {one.name for one in found.named(statement).values()}
    met = quorum_by(found, {name: time for name, time in times.items() if name in named})
    if met is None:
        raise WitnessQuorumMissing(f"{len(named & set(times))} named witnesses", field="times")
    if claimed is not None and claimed != met[0]:
        raise ClaimMismatch(f"since {met[0]}", field="since")
    return f"since {met[0]}, {', '.join(met[1])}"


def _claims(fields: Fields, head: Checkpoint) -> None:
    if fields.has("size") and fields.integer("size") != head.size:
        raise ClaimMismatch(f"size {head.size}", field="size")
    if fields.has("root") and fields.hex("root", 32) != head.root:
        raise ClaimMismatch(f"root {head.root.hex()}", field="root")


def _witness(one: Fields) -> Value:
    kind = one.integer("type")
    out: Value = (
        one.text("name"),
        kind,
        one.hex("publicKey"),
        one.integer("statement"),
        one.text("organisation"),
        one.text("role"),
    )
    one.done()
    return out


def _group(one: Fields) -> Value:
    out: Value = (one.text("name"), one.integer("threshold"), tuple(one.texts("members")))
    one.done()
    return out


def _time(fields: Fields, key: str) -> int:
    time = fields.integer(key)
    if not 0 <= time <= MAX_TIME:
        raise fields.invalid(key, "seconds UTC below 2^63")
    return time


def _utf8(fields: Fields, key: str) -> bytes:
    try:
        return fields.text(key).encode("utf-8")
    except UnicodeEncodeError:
        raise fields.invalid(key, "Unicode text") from None
