"""CometBFT header and commit as receipts carry them: CBOR arrays without names (docs/spec/receipt.md §2)."""

from __future__ import annotations

from protocol import expect
from protocol.cbor import Encodable, Value
from verifier.cometbft import BlockId, Commit, CommitSig, Flag, Header, Timestamp
from verifier.errors import MalformedReceipt

MAX_VALIDATORS = 128


def encode_header(h: Header) -> Encodable:
    """The 18 values of a header in the order of the specification."""
    last = h.last_block_id
    return [
        h.version_block, h.version_app, h.chain_id, h.height, h.time.seconds, h.time.nanos,
        last.hash, last.parts_total, last.parts_hash, h.last_commit_hash, h.data_hash, h.validators_hash,
        h.next_validators_hash, h.consensus_hash, h.app_hash, h.last_results_hash, h.evidence_hash,
        h.proposer_address,
    ]  # fmt: skip


def parse_header(value: Value) -> Header:
    """A header from its 18 values."""
    raw = expect.array(value, "header", 18)

    def number(at: int) -> int:
        return expect.uint(raw[at], "header")

    def octets(at: int) -> bytes:
        return expect.octets(raw[at], "header", maximum=32)

    return Header(
        number(0), number(1), expect.text(raw[2], "chain id", 50), number(3), Timestamp(number(4), number(5)),
        BlockId(octets(6), number(7), octets(8)), octets(9), octets(10), octets(11), octets(12), octets(13),
        octets(14), octets(15), octets(16), octets(17),
    )  # fmt: skip


def encode_commit(commit: Commit) -> Encodable:
    """Round, part set and votes; height and block hash are the header's."""
    votes: list[Encodable] = []
    for vote in commit.signatures:
        if vote.timestamp is None:
            votes.append([int(vote.flag)])
        else:
            votes.append([int(vote.flag), vote.timestamp.seconds, vote.timestamp.nanos, vote.signature])
    return [commit.round, commit.block_id.parts_total, commit.block_id.parts_hash, votes]


def parse_commit(value: Value, header: Header) -> Commit:
    """The commit for `header`."""
    raw = expect.array(value, "commit", 4)
    block_id = BlockId(header.hash(), expect.uint(raw[1], "commit"), expect.octets(raw[2], "commit", 32))
    votes = expect.array(raw[3], "commit", maximum=MAX_VALIDATORS)
    return Commit(header.height, expect.uint(raw[0], "commit"), block_id, tuple(map(_parse_vote, votes)))


def _parse_vote(value: Value) -> CommitSig:
    raw = expect.array(value, "commit", minimum=1)
    flag = expect.uint(raw[0], "commit", 3, minimum=1)
    if flag == Flag.ABSENT:
        expect.array(raw, "commit", 1)
        return CommitSig(Flag.ABSENT)
    if len(raw) != 4:
        raise MalformedReceipt("a vote has a time and a signature", field="commit")
    time = Timestamp(expect.uint(raw[1], "commit"), expect.uint(raw[2], "commit"))
    return CommitSig(Flag(flag), time, expect.octets(raw[3], "commit", 64))
