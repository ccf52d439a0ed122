"""Witness policy and time authorities of a version-2 trust file, every rule checked (attestation.md §4)."""

from __future__ import annotations

import re

from protocol import expect
from protocol.cbor import Value
from protocol.checkpoint import PUBLIC_KEY_LEN, TYPE_COSIGNATURE, TYPE_MLDSA44, check_key_name
from verifier.errors import MalformedTrustFile
from verifier.trust_payload import ROLES, TimeAuthority
from verifier.witness_policy import Witness, WitnessGroup, WitnessPolicy

MAX_WITNESSES = 64
MAX_GROUPS = 64
MAX_AUTHORITIES = 16
MAX_ROOTS = 8
MAX_ROOT = 16_384
MAX_POLICIES = 32
MAX_NAME = 256
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,38})){1,31}")


def policy(value: Value) -> WitnessPolicy:
    """Key 11.

    Raises:
        MalformedTrustFile, MalformedInput
    """
    witnesses, groups, quorum = expect.array(value, "witnesses", 3)
    out = WitnessPolicy(
        tuple(map(_witness, expect.array(witnesses, "witnesses", maximum=MAX_WITNESSES))),
        tuple(map(_group, expect.array(groups, "witness groups", maximum=MAX_GROUPS))),
        None if quorum is None else expect.text(quorum, "quorum", MAX_NAME),
    )
    _check_keys(out)
    _check_groups(out)
    return out


def _check_keys(found: WitnessPolicy) -> None:
    witnesses = found.witnesses
    for what, listed in (
        ("public key", [one.public_key for one in witnesses]),
        ("name", [(one.statement, one.name) for one in witnesses]),
        # A cosignature names its key by these four bytes alone.
        ("key id", [(one.statement, one.key_id) for one in witnesses]),
    ):
        if len(set(listed)) != len(listed):
            raise MalformedTrustFile(f"witnesses: a {what} is listed twice", field="witnesses")


def _check_groups(found: WitnessPolicy) -> None:
    known = {one.name for one in found.witnesses}
    used: set[str] = set()
    for group in found.groups:
        if group.name in known:
            raise MalformedTrustFile(f"the name {group.name} is taken", field="witness groups")
        for member in group.members:
            if member not in known:
                raise MalformedTrustFile(f"{group.name}: {member} is not defined", field="witness groups")
            if member in used:
                # Otherwise one witness could fill two places of a quorum.
                raise MalformedTrustFile(f"{member} is a member twice", field="witness groups")
            used.add(member)
        known.add(group.name)
    if found.quorum is None:
        if known:
            raise MalformedTrustFile("witnesses without a quorum", field="quorum")
    elif found.quorum not in known:
        raise MalformedTrustFile(f"{found.quorum} is not defined", field="quorum")


def _witness(value: Value) -> Witness:
    name, kind, public_key, statement, organisation, role = expect.array(value, "witnesses", 6)
    if kind not in (TYPE_COSIGNATURE, TYPE_MLDSA44) or not isinstance(kind, int):
        raise MalformedTrustFile("witnesses: type is 4 or 6", field="witnesses")
    if role not in ROLES:
        raise MalformedTrustFile(f"witnesses: role is one of {', '.join(ROLES)}", field="witnesses")
    return Witness(
        check_key_name(expect.text(name, "witness name", 255), "witness name"),
        kind,
        expect.octets(public_key, "witness key", PUBLIC_KEY_LEN[kind]),
        expect.uint(statement, "statement", 1),
        expect.text(organisation, "organisation", MAX_NAME),
        expect.text(role, "role", 16),
    )


def _group(value: Value) -> WitnessGroup:
    name, threshold, members = expect.array(value, "witness groups", 3)
    listed = expect.array(members, "members", minimum=1, maximum=MAX_WITNESSES + MAX_GROUPS)
    return WitnessGroup(
        expect.text(name, "group name", MAX_NAME),
        expect.uint(threshold, "threshold", len(listed), minimum=1),
        tuple(expect.text(member, "members", MAX_NAME) for member in listed),
    )


def authorities(value: Value) -> tuple[TimeAuthority, ...]:
    """Key 12.

    Raises:
        MalformedTrustFile, MalformedInput
    """
    out = tuple(map(_authority, expect.array(value, "time authorities", maximum=MAX_AUTHORITIES)))
    names = [one.name for one in out]
    # One root in two authorities would let one signer's token count as two.
    roots = [root for one in out for root in one.roots]
    if len(set(names)) != len(names) or len(set(roots)) != len(roots):
        raise MalformedTrustFile("time authorities: a name or root is listed twice", field="time authorities")
    return out


def _authority(value: Value) -> TimeAuthority:
    name, roots, policies, first, last = expect.array(value, "time authorities", 5)
    first = expect.uint(first, "from", expect.UINT40_MAX)
    oids = tuple(
        expect.text(one, "policies", 256) for one in expect.array(policies, "policies", maximum=MAX_POLICIES)
    )
    if any(_OID.fullmatch(one) is None for one in oids) or len(set(oids)) != len(oids):
        raise MalformedTrustFile("policies: distinct object identifiers are expected", field="policies")
    return TimeAuthority(
        expect.text(name, "authority name", MAX_NAME),
        tuple(map(_root, expect.array(roots, "roots", minimum=1, maximum=MAX_ROOTS))),
        oids,
        first,
        None if last is None else expect.uint(last, "until", expect.UINT40_MAX, minimum=first),
    )


def _root(value: Value) -> bytes:
    """One DER SEQUENCE to its last byte; what is inside is read when a token is checked."""
    der = expect.octets(value, "roots", maximum=MAX_ROOT)
    width = der[1] - 0x80 if len(der) > 4 and der[1] in (0x81, 0x82) else 0
    if len(der) < 4 or der[0] != 0x30 or not width:
        raise MalformedTrustFile("roots: a certificate in DER is expected", field="roots")
    length = int.from_bytes(der[2 : 2 + width], "big")
    if length != len(der) - 2 - width or length < (128, 256)[width - 1]:
        raise MalformedTrustFile("roots: a certificate in DER is expected", field="roots")
    return der
