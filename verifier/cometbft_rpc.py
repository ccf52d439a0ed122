"""The JSON-RPC form of CometBFT's `commit` and `validators` answers, read into the types of `cometbft`.

Strict on purpose: every field that the proof covers has one accepted spelling, so a change of a character
is a change of the value or a refusal. `proposer_priority` is not covered by any signature and is ignored.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import date

from verifier.cometbft import BlockId, Commit, CommitSig, Flag, Header, SignedHeader, Timestamp, Validator
from verifier.errors import CometMalformed, FieldInvalid
from verifier.strict_json import Fields, Json

ED25519_TYPE = "tendermint/PubKeyEd25519"
ZERO_TIME = "0001-01-01T00:00:00Z"
# As Go prints a UTC time with nanoseconds: no trailing zeros in the fraction, no offset but Z.
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{0,8}[1-9]))?Z"
)


def parse_time(text: str) -> Timestamp:
    """RFC 3339 UTC time with up to nine digits of fraction, from 1970 to 9999."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise CometMalformed("not an RFC 3339 UTC time in its shortest form", field="time")
    year, month, day, hour, minute, second = (int(match.group(i)) for i in range(1, 7))
    try:
        date(year, month, day)
    except ValueError as error:
        raise CometMalformed("no such day", field="time") from error
    if hour > 23 or minute > 59 or second > 59:
        raise CometMalformed("no such time of day", field="time")
    seconds = timegm((year, month, day, hour, minute, second, 0, 0, 0))
    return Timestamp(seconds, int((match.group(7) or "").ljust(9, "0")))


def _block_id(fields: Fields) -> BlockId:
    parts = fields.child("parts")
    out = BlockId(
        fields.hex("hash", upper=True),
        parts.integer("total"),
        parts.hex("hash", upper=True),
    )
    parts.done()
    fields.done()
    return out


def _header(fields: Fields) -> Header:
    version = fields.child("version")
    app = version.decimal("app") if version.has("app") else 0
    out = Header(
        version_block=version.decimal("block"),
        version_app=app,
        chain_id=fields.text("chain_id"),
        height=fields.decimal("height"),
        time=parse_time(fields.text("time")),
        last_block_id=_block_id(fields.child("last_block_id")),
        last_commit_hash=fields.hex("last_commit_hash", upper=True),
        data_hash=fields.hex("data_hash", upper=True),
        validators_hash=fields.hex("validators_hash", upper=True),
        next_validators_hash=fields.hex("next_validators_hash", upper=True),
        consensus_hash=fields.hex("consensus_hash", upper=True),
        app_hash=fields.hex("app_hash", upper=True),
        last_results_hash=fields.hex("last_results_hash", upper=True),
        evidence_hash=fields.hex("evidence_hash", upper=True),
        proposer_address=fields.hex("proposer_address", upper=True),
    )
    version.done()
    fields.done()
    return out


def _vote(fields: Fields) -> CommitSig:
    number = fields.integer("block_id_flag")
    if number not in (1, 2, 3):
        raise fields.invalid("block_id_flag", "1, 2 or 3")
    flag = Flag(number)
    address, time = fields.hex("validator_address", upper=True), fields.text("timestamp")
    if flag is Flag.ABSENT:
        if address or time != ZERO_TIME or fields.raw("signature") not in (None, ""):
            raise CometMalformed("an absent vote carries nothing", field=fields.name("block_id_flag"))
        vote = CommitSig(flag)
    else:
        vote = CommitSig(flag, parse_time(time), fields.base64("signature"), address)
    fields.done()
    return vote


def signed_header_from_rpc_json(value: Json, path: str = "signed_header") -> SignedHeader:
    """`signed_header` of the RPC method `commit`."""
    fields = Fields(value, path)
    header = _header(fields.child("header"))
    commit_fields = fields.child("commit")
    commit = Commit(
        height=commit_fields.decimal("height"),
        round=commit_fields.integer("round"),
        block_id=_block_id(commit_fields.child("block_id")),
        signatures=tuple(_vote(vote) for vote in commit_fields.children("signatures")),
    )
    commit_fields.done()
    fields.done()
    return SignedHeader(header, commit)


def validators_from_rpc_json(fields: Fields, key: str = "validators") -> list[Validator]:
    """The array `validators` of the RPC method of that name, in the chain's order."""
    out = []
    for entry in fields.children(key):
        pub_key = entry.child("pub_key")
        if pub_key.text("type") != ED25519_TYPE:
            raise pub_key.invalid("type", ED25519_TYPE)
        validator = Validator(pub_key.base64("value"), entry.decimal("voting_power"))
        if entry.hex("address", 20, upper=True) != validator.address:
            raise FieldInvalid("not the address of this key", field=entry.name("address"))
        entry.skip("proposer_priority")
        pub_key.done()
        entry.done()
        out.append(validator)
    return out
