"""Who founds the ledger: the consortium's configuration, and a generator of one for development.

The configuration is TOML. Keys are addresses; a secret never is in it.
"""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from chain.deploy import Rules
from chain.deployment import GenesisKey, GenesisOrganisation
from chain.errors import ChainError
from protocol.acts import Purpose, Role
from protocol.checkpoint import TYPE_COSIGNATURE
from protocol.custody import ORIGIN_SUFFIX
from protocol.errors import MalformedInput
from protocol.expect import UINT40_MAX, from_hex
from protocol.identifiers import format_address, parse_address, parse_hex32
from verifier.trust_payload import TimeAuthority
from verifier.witness_policy import EMPTY_POLICY, Witness, WitnessGroup, WitnessPolicy

FILE_NAME = "consortium.toml"
_MAX_FILE = 1 << 20
_STATEMENTS = ("sha256", "sm3")
TRUST_ROLES = ("court", "regulator", "centre", "notary", "bank")


class ConsortiumInvalid(ChainError):
    """The consortium's configuration is malformed, or breaks a rule that the contracts would enforce."""

    http_status = 422
    title = "consortium configuration refused"


@dataclass(frozen=True)
class Member:
    """An organisation of the consortium and what only this file knows of it: names and the sealing key."""

    slug: str
    name_zh: str
    name_en: str
    organisation: GenesisOrganisation
    hpke: bytes | None


@dataclass(frozen=True)
class TrustKeyEntry:
    """A key that signs trust files: 32 bytes Ed25519, who holds it, in which role."""

    public_key: bytes
    name: str
    role: str


@dataclass(frozen=True)
class LogEntry:
    """A log to open: origin, operator's index, and the Ed25519 key that signs its promises."""

    origin: str
    operator: int
    public_key: bytes


@dataclass(frozen=True)
class TimeAuthorityEntry:
    """A time-stamp authority: paths of its roots in PEM, beside the configuration; `load` reads them to DER.

    Times in seconds UTC, inclusive.
    """

    name: str
    roots: tuple[str, ...]
    policies: tuple[str, ...] = ()
    not_before: int = 0
    not_after: int | None = None
    certificates: tuple[bytes, ...] = field(default=(), compare=False)

    def trusted(self) -> TimeAuthority:
        """As a trust file names it. Raises ConsortiumInvalid."""
        if not self.certificates:
            raise ConsortiumInvalid(f"{self.name}: its roots were not read", field="time_authority.roots")
        return TimeAuthority(self.name, self.certificates, self.policies, self.not_before, self.not_after)


@dataclass(frozen=True)
class Consortium:
    """`consortium.toml`. Indexes are places in `members`, from 1."""

    name_zh: str
    name_en: str
    threshold: int
    delay: int
    rotation_delay: int
    members: tuple[Member, ...]
    trust_threshold: int
    trust_keys: tuple[TrustKeyEntry, ...]
    logs: tuple[LogEntry, ...]
    controllers: Mapping[str, int]
    """Who may control validators → interest group."""
    validator_keys: Mapping[bytes, str] = field(default_factory=dict)
    """Validator key (32 bytes Ed25519, or 20-byte address) → controller; none for a local network."""
    witness_policy: WitnessPolicy = EMPTY_POLICY
    witness_required: bool = False
    authorities: tuple[TimeAuthorityEntry, ...] = ()
    time_tokens_required: int = 0

    @property
    def attests(self) -> bool:
        """Whether anything is said that only a trust file of version 2 can hold."""
        return bool(
            self.witness_policy != EMPTY_POLICY
            or self.witness_required
            or self.authorities
            or self.time_tokens_required
        )

    def rules(self) -> Rules:
        """What the constructors take."""
        return Rules(
            self.threshold,
            self.delay,
            self.rotation_delay,
            tuple(member.organisation for member in self.members),
        )

    def index(self, slug: str) -> int:
        """The index of a member. Raises ConsortiumInvalid."""
        for position, member in enumerate(self.members, start=1):
            if member.slug == slug:
                return position
        raise ConsortiumInvalid(f"no member {slug}", field="organisation")


class KeyStore(Protocol):
    """Where the generator's secrets go. Implemented by the command over the agent's key files."""

    def ensure(self, name: str, kind: str, purpose: str, organisation: int | None) -> bytes:
        """Make the key if it is not there; its address (20 bytes) or public key (32 bytes)."""
        ...


@dataclass(frozen=True)
class _Sketch:
    slug: str
    zh: str
    en: str
    role: Role
    group: int
    vote: bool
    trust_role: str | None = None


# Four votes in four interest groups; the operator of the platform is first.
_DEVELOPMENT = (
    _Sketch("centre", "金融纠纷一站式化解中心", "dispute centre", Role.CENTRE, 1, True, "centre"),
    _Sketch("bank-association", "银行业协会", "bank association", Role.BANK, 2, True),
    _Sketch("court", "人民法院", "court", Role.COURT, 3, True, "court"),
    _Sketch("regulator", "金融监管局", "regulator", Role.REGULATOR, 4, True, "regulator"),
    _Sketch("bank-a", "甲银行", "bank A", Role.BANK, 2, False),
    _Sketch("bank-b", "乙银行", "bank B", Role.BANK, 2, False),
)
# Who runs the further validators of a larger local network.
_FURTHER_CONTROLLERS = {
    "insurance-association": 5,
    "securities-association": 6,
    "notary-chamber": 7,
    "enforcement-bureau": 3,
    "consumer-council": 8,
    "university": 9,
}
DEVELOPMENT_ORIGIN = "caseledger.localhost/evidence"
_KEY_PURPOSES = (Purpose.ACT, Purpose.ANCHOR, Purpose.AUTH)


def development(keys: KeyStore, *, delay: int = 1, rotation_delay: int = 1) -> Consortium:
    """A consortium for one machine: centre, bank association, court and regulator vote, two banks do not.

    Key names: `<slug>-act`, `-anchor`, `-auth` (secp256k1), `<slug>-hpke` (x25519), `trust-<slug>` (ed25519,
    centre, court, regulator), `log-centre` (ed25519). Keys that exist are used again.
    """
    members = []
    for index, sketch in enumerate(_DEVELOPMENT, start=1):
        slots = tuple(
            GenesisKey(
                keys.ensure(f"{sketch.slug}-{p.name.lower()}", "secp256k1", p.name.lower(), index),
                p,
                0,
                UINT40_MAX,
            )
            for p in _KEY_PURPOSES
        )
        organisation = GenesisOrganisation(
            secrets.token_bytes(32), sketch.role.mask, sketch.group, sketch.vote, slots
        )
        hpke = keys.ensure(f"{sketch.slug}-hpke", "x25519", "hpke", index)
        members.append(Member(sketch.slug, sketch.zh, sketch.en, organisation, hpke))
    trust = tuple(
        TrustKeyEntry(
            keys.ensure(f"trust-{s.slug}", "ed25519", "trust", index), f"{s.en} (development)", s.trust_role
        )
        for index, s in enumerate(_DEVELOPMENT, start=1)
        if s.trust_role is not None
    )
    log_key = keys.ensure("log-centre", "ed25519", "log", 1)
    origins = (DEVELOPMENT_ORIGIN, DEVELOPMENT_ORIGIN + ORIGIN_SUFFIX)
    groups = {sketch.slug: sketch.group for sketch in _DEVELOPMENT if sketch.vote} | _FURTHER_CONTROLLERS
    return Consortium(
        "开发联盟",
        "Development consortium",
        3,
        delay,
        rotation_delay,
        tuple(members),
        2,
        trust,
        tuple(LogEntry(origin, 1, log_key) for origin in origins),
        groups,
    )


def with_custody_log(consortium: Consortium) -> Consortium:
    """With a custody log beside the first log, of the same operator and key, if it has none yet."""
    first = consortium.logs[0]
    origin = first.origin + ORIGIN_SUFFIX
    if any(log.origin == origin for log in consortium.logs):
        return consortium
    return replace(consortium, logs=(*consortium.logs, replace(first, origin=origin)))


def load(path: Path) -> Consortium:
    """Read a configuration file. Raises ConsortiumInvalid."""
    try:
        with path.open("rb") as source:
            data = source.read(_MAX_FILE + 1)
    except OSError:
        raise ConsortiumInvalid(f"no {path.name}", field=path.name) from None
    found = parse(data)
    return replace(found, authorities=tuple(_with_roots(one, path.parent) for one in found.authorities))


def _with_roots(authority: TimeAuthorityEntry, folder: Path) -> TimeAuthorityEntry:
    """Read the roots; a path is relative to the configuration's folder."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    found: list[bytes] = []
    for name in authority.roots:
        try:
            with (folder / name).open("rb") as source:
                listed = x509.load_pem_x509_certificates(source.read(_MAX_FILE))
        except (OSError, ValueError):
            raise ConsortiumInvalid(
                f"{authority.name}: {name} is no readable certificate in PEM", field="time_authority.roots"
            ) from None
        found += [one.public_bytes(Encoding.DER) for one in listed]
    return replace(authority, certificates=tuple(found))


def parse(data: bytes) -> Consortium:
    """A configuration from its TOML. Raises ConsortiumInvalid naming the member."""
    if len(data) > _MAX_FILE:
        raise ConsortiumInvalid("more than 1 MiB", field=FILE_NAME)
    try:
        document = tomllib.loads(data.decode("utf-8"))
        return _consortium(_Table(document, "consortium"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise ConsortiumInvalid("not TOML in UTF-8", field=FILE_NAME) from None
    except MalformedInput as error:
        raise ConsortiumInvalid(error.detail, field=error.field) from None


class _Table:
    """Reads a TOML table by type; a member that nobody asked for is an error."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ConsortiumInvalid(f"{where}: a table is expected", field=where)
        self._rest = dict(value)
        self._where = where

    def take(self, name: str, kind: type, default: object = ...) -> object:
        where = f"{self._where}.{name}"
        value = self._rest.pop(name, default)
        if value is ...:
            raise ConsortiumInvalid(f"{where} is missing", field=where)
        if value is not default and (
            not isinstance(value, kind) or (kind is int and isinstance(value, bool))
        ):
            raise ConsortiumInvalid(f"{where}: {kind.__name__} is expected", field=where)
        return value

    def has(self, name: str) -> bool:
        return name in self._rest

    def text(self, name: str, default: object = ...) -> str:
        return str(self.take(name, str, default))

    def number(self, name: str, default: object = ...) -> int:
        value = self.take(name, int, default)
        if not isinstance(value, int) or not 0 <= value <= UINT40_MAX:
            raise ConsortiumInvalid(f"{self._where}.{name}: out of range", field=f"{self._where}.{name}")
        return value

    def texts(self, name: str) -> list[str]:
        items = self.take(name, list, [])
        return [str(item) for item in items] if isinstance(items, list) else []

    def tables(self, name: str) -> list[_Table]:
        items = self.take(name, list, [])
        if not isinstance(items, list):
            raise ConsortiumInvalid(f"{self._where}.{name}: a list is expected", field=name)
        return [_Table(item, name) for item in items]

    def done(self) -> None:
        if self._rest:
            names = ", ".join(sorted(self._rest)[:4])
            raise ConsortiumInvalid(f"{self._where}: unknown members {names}", field=self._where)


def _consortium(table: _Table) -> Consortium:
    if table.number("version") != 1:
        raise ConsortiumInvalid("only version 1 is known", field="version")
    name_zh, name_en = table.text("name_zh"), table.text("name_en")
    threshold, delay = table.number("threshold"), table.number("delay")
    rotation_delay = table.number("rotation_delay")
    members = tuple(_member(item) for item in table.tables("organisation"))
    trust_threshold = table.number("trust_threshold", 2)
    trust_keys = tuple(_trust_key(item) for item in table.tables("trust_key"))
    logs = tuple(_log(item, {m.slug: i for i, m in enumerate(members, 1)}) for item in table.tables("log"))
    controllers: dict[str, int] = {}
    validator_keys: dict[bytes, str] = {}
    for item in table.tables("validator"):
        controller = item.text("controller")
        controllers[controller] = item.number("interest_group")
        for key in item.texts("public_keys"):
            validator_keys[_validator_key(key)] = controller
        item.done()
    policy = WitnessPolicy(
        tuple(_witness(item) for item in table.tables("witness")),
        tuple(_witness_group(item) for item in table.tables("witness_group")),
        table.text("witness_quorum", "") or None,
    )
    required = bool(table.take("witness_required", bool, False))
    authorities = tuple(_time_authority(item) for item in table.tables("time_authority"))
    tokens = table.number("time_tokens_required", 0)
    table.done()
    if len({member.slug for member in members}) != len(members):
        raise ConsortiumInvalid("two organisations have one slug", field="organisation.slug")
    addresses = [key.address for member in members for key in member.organisation.keys]
    if len(set(addresses)) != len(addresses):
        raise ConsortiumInvalid("a key is given twice", field="organisation.key.address")
    votes = sum(member.organisation.vote for member in members)
    if not (2 * threshold > votes and threshold <= votes):
        raise ConsortiumInvalid(f"threshold {threshold} of {votes} votes is no majority", field="threshold")
    return Consortium(
        name_zh, name_en, threshold, delay, rotation_delay, members, trust_threshold, trust_keys, logs,
        controllers, validator_keys, policy, required, authorities, tokens,
    )  # fmt: skip


def _validator_key(text: str) -> bytes:
    """Ed25519 key in 64 hex digits, or an address in 40."""
    if len(text.removeprefix("0x")) == 40:
        return parse_address(text, "validator.public_keys")
    return parse_hex32(text, "validator.public_keys")


def _member(table: _Table) -> Member:
    slug, zh, en = table.text("slug"), table.text("name_zh"), table.text("name_en")
    roles = 0
    names = table.take("roles", list)
    for name in names if isinstance(names, list) else []:
        try:
            roles |= Role[str(name).upper()].mask
        except KeyError:
            raise ConsortiumInvalid(f"{slug}: unknown role", field="organisation.roles") from None
    keys = []
    for item in table.tables("key"):
        try:
            purpose = Purpose[item.text("purpose").upper()]
        except KeyError:
            raise ConsortiumInvalid(f"{slug}: unknown purpose", field="organisation.key.purpose") from None
        keys.append(
            GenesisKey(
                parse_address(item.text("address"), "organisation.key.address"),
                purpose,
                item.number("not_before", 0),
                item.number("not_after", UINT40_MAX),
            )
        )
        item.done()
    identifier = parse_hex32(table.text("id"), "organisation.id")
    group, vote = table.number("interest_group"), bool(table.take("vote", bool))
    hpke = table.text("hpke", "")
    table.done()
    organisation = GenesisOrganisation(identifier, roles, group, vote, tuple(keys))
    return Member(slug, zh, en, organisation, parse_hex32(hpke, "organisation.hpke") if hpke else None)


def _trust_key(table: _Table) -> TrustKeyEntry:
    entry = TrustKeyEntry(
        parse_hex32(table.text("public_key"), "trust_key.public_key"),
        table.text("name"),
        table.text("role"),
    )
    table.done()
    if entry.role not in TRUST_ROLES:
        raise ConsortiumInvalid(f"role: one of {', '.join(TRUST_ROLES)}", field="trust_key.role")
    return entry


def _log(table: _Table, indexes: Mapping[str, int]) -> LogEntry:
    operator = table.text("operator")
    if operator not in indexes:
        raise ConsortiumInvalid(f"no member {operator}", field="log.operator")
    entry = LogEntry(
        table.text("origin"), indexes[operator], parse_hex32(table.text("public_key"), "log.public_key")
    )
    table.done()
    return entry


def _witness(table: _Table) -> Witness:
    """`type` is 4 (Ed25519) unless said otherwise; `statement` the tree: sha256 or sm3."""
    statement = table.text("statement")
    if statement not in _STATEMENTS:
        raise ConsortiumInvalid(f"statement: one of {', '.join(_STATEMENTS)}", field="witness.statement")
    key = from_hex(table.text("key").removeprefix("0x"), "witness.key")
    found = Witness(
        table.text("name"),
        table.number("type", TYPE_COSIGNATURE),
        key,
        _STATEMENTS.index(statement),
        table.text("organisation"),
        table.text("role"),
    )
    table.done()
    return found


def _witness_group(table: _Table) -> WitnessGroup:
    found = WitnessGroup(table.text("name"), table.number("threshold"), tuple(table.texts("members")))
    table.done()
    return found


def _time_authority(table: _Table) -> TimeAuthorityEntry:
    until = table.number("until") if table.has("until") else None
    found = TimeAuthorityEntry(
        table.text("name"),
        tuple(table.texts("roots")),
        tuple(table.texts("policies")),
        table.number("from", 0),
        until,
    )
    table.done()
    if not found.roots:
        raise ConsortiumInvalid(f"{found.name}: no root", field="time_authority.roots")
    return found


def _quoted(text: str) -> str:
    """A TOML basic string."""
    out = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in out) + '"'


def render(consortium: Consortium) -> str:
    """The TOML of a configuration; `parse` gives back an equal one."""
    lines = [
        "version = 1",
        f"name_zh = {_quoted(consortium.name_zh)}",
        f"name_en = {_quoted(consortium.name_en)}",
        f"threshold = {consortium.threshold}",
        f"delay = {consortium.delay}",
        f"rotation_delay = {consortium.rotation_delay}",
        f"trust_threshold = {consortium.trust_threshold}",
    ]
    policy = consortium.witness_policy
    if policy.quorum is not None:
        lines.append(f"witness_quorum = {_quoted(policy.quorum)}")
    if consortium.witness_required:
        lines.append("witness_required = true")
    if consortium.time_tokens_required:
        lines.append(f"time_tokens_required = {consortium.time_tokens_required}")
    for member in consortium.members:
        org = member.organisation
        roles = ", ".join(_quoted(role.name.lower()) for role in Role if org.roles & role.mask)
        lines += [
            "",
            "[[organisation]]",
            f"slug = {_quoted(member.slug)}",
            f"name_zh = {_quoted(member.name_zh)}",
            f"name_en = {_quoted(member.name_en)}",
            f'id = "{org.id.hex()}"',
            f"roles = [{roles}]",
            f"interest_group = {org.interest_group}",
            f"vote = {'true' if org.vote else 'false'}",
        ]
        if member.hpke is not None:
            lines.append(f'hpke = "{member.hpke.hex()}"')
        for key in org.keys:
            lines += [
                "[[organisation.key]]",
                f'address = "{format_address(key.address)}"',
                f'purpose = "{Purpose(key.purpose).name.lower()}"',
                f"not_before = {key.not_before}",
                f"not_after = {key.not_after}",
            ]
    for trust in consortium.trust_keys:
        lines += [
            "",
            "[[trust_key]]",
            f'public_key = "{trust.public_key.hex()}"',
            f"name = {_quoted(trust.name)}",
            f"role = {_quoted(trust.role)}",
        ]
    for log in consortium.logs:
        lines += [
            "",
            "[[log]]",
            f"origin = {_quoted(log.origin)}",
            f"operator = {_quoted(consortium.members[log.operator - 1].slug)}",
            f'public_key = "{log.public_key.hex()}"',
        ]
    for controller, group in consortium.controllers.items():
        lines += ["", "[[validator]]", f"controller = {_quoted(controller)}", f"interest_group = {group}"]
        keys = [key.hex() for key, holder in consortium.validator_keys.items() if holder == controller]
        if keys:
            lines.append(f"public_keys = [{', '.join(map(_quoted, keys))}]")
    return "\n".join(lines + _render_attesting(consortium)) + "\n"


def _render_attesting(consortium: Consortium) -> list[str]:
    lines: list[str] = []
    for one in consortium.witness_policy.witnesses:
        lines += [
            "",
            "[[witness]]",
            f"name = {_quoted(one.name)}",
            f"type = {one.kind}",
            f'key = "{one.public_key.hex()}"',
            f'statement = "{_STATEMENTS[one.statement]}"',
            f"organisation = {_quoted(one.organisation)}",
            f"role = {_quoted(one.role)}",
        ]
    for group in consortium.witness_policy.groups:
        lines += [
            "",
            "[[witness_group]]",
            f"name = {_quoted(group.name)}",
            f"threshold = {group.threshold}",
            f"members = [{', '.join(map(_quoted, group.members))}]",
        ]
    for authority in consortium.authorities:
        lines += [
            "",
            "[[time_authority]]",
            f"name = {_quoted(authority.name)}",
            f"roots = [{', '.join(map(_quoted, authority.roots))}]",
            f"policies = [{', '.join(map(_quoted, authority.policies))}]",
            f"from = {authority.not_before}",
        ]
        if authority.not_after is not None:
            lines.append(f"until = {authority.not_after}")
    return lines
