"""The Article 17 sheet: who runs and controls the platform, from the trust file. Facts, no judgement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evidence.certificate import words
from evidence.certificate.model import Block, Column, Pairs, Section, Style, Table, Text
from evidence.certificate.statement import Statement
from evidence.certificate.text import moment, share, visible
from protocol.i18n import Language
from verifier.trust import TrustFile
from verifier.trust_payload import Epoch, TrustedChain

Row = tuple[str, str, Style]


@dataclass(frozen=True, slots=True)
class Ground:
    """What one receipt stands on: its log, its chain's header height (None: no proof), its submitter."""

    origin: str
    chain_id: int
    height: int | None
    submitter: int


def sheet(trust: TrustFile, grounds: Iterable[Ground], statement: Statement, lang: Language) -> list[Block]:
    """The annex in one language."""
    payload = trust.payload
    listed = sorted(set(grounds), key=lambda one: (one.origin, one.chain_id, one.height or 0, one.submitter))
    zh, en = payload.name
    keys = "；".join(f"{visible(key.name)}（{_role(key.role, lang)}）" for key in payload.keys)
    if lang == "en":
        keys = "; ".join(f"{visible(key.name)} ({_role(key.role, lang)})" for key in payload.keys)
    rows: list[Row] = [
        (words.CONSORTIUM.choose(lang), visible(en if lang == "en" else zh), "text"),
        (
            words.TRUST_KEYS.choose(lang),
            words.TRUST_KEYS_VALUE.format(lang, m=payload.threshold, n=len(payload.keys), who=keys),
            "text",
        ),
        (
            words.TRUST_WINDOW.choose(lang),
            f"{moment(payload.issued_at, lang)}\n{moment(payload.valid_until, lang)}",
            "text",
        ),
    ]
    rows += _operators(trust, listed, statement, lang)
    blocks: list[Block] = [
        Section(words.SHEET.choose(lang)),
        Text((words.SHEET_ABOUT.choose(lang),)),
        Pairs(tuple(rows)),
    ]
    for chain_id in sorted({one.chain_id for one in listed}):
        chain = payload.chain(chain_id)
        if chain is not None:
            heights = {one.height for one in listed if one.chain_id == chain_id}
            blocks += _chain(chain, heights, lang)
    blocks.append(Pairs(tuple(_others(trust, lang))))
    return blocks


def _operators(
    trust: TrustFile, grounds: list[Ground], statement: Statement, lang: Language
) -> Iterable[Row]:
    not_stated = words.NOT_STATED.choose(lang)
    for origin in dict.fromkeys(one.origin for one in grounds):
        log = trust.payload.log(origin)
        if log is None:
            continue
        line = words.OPERATOR_VALUE.format(lang, log=visible(origin), n=log.operator)
        claimed = statement.operator or statement.organisations.get(log.operator)
        if claimed:
            line += "\n" + words.AS_STATED.format(lang, name=claimed.choose(lang))
        yield words.OPERATOR.choose(lang), line, "text"
        submitters = sorted({one.submitter for one in grounds if one.origin == origin})
        same = [one for one in submitters if one == log.operator]
        other = "、".join(str(one) for one in submitters if one != log.operator)
        lines = [words.RELATION_SAME.format(lang, n=one) for one in same]
        if other:
            lines.append(words.RELATION_OTHER.format(lang, who=other, operator=log.operator))
        lines.append(words.RELATION_HINT.choose(lang))
        yield words.RELATION.choose(lang), "\n".join(lines), "text"
    filing = statement.filing_number
    shown = words.AS_STATED.format(lang, name=filing.choose(lang)) if filing else not_stated
    yield words.FILING.choose(lang), shown, "text"


def _chain(chain: TrustedChain, heights: Iterable[int | None], lang: Language) -> list[Block]:
    network = words.NETWORK_VALUE.format(
        lang, engine=visible(chain.engine), network=visible(chain.network_id), chain=chain.chain_id,
        kind=chain.proof_kind,
    )  # fmt: skip
    codes = "\n".join(
        f"{name}  {pin.code_hash.hex()}"
        for name, pin in (
            ("EvidenceLog         ", chain.evidence_log),
            ("ConsortiumRegistry  ", chain.registry),
        )
    )
    blocks: list[Block] = [
        Pairs(((words.NETWORK.choose(lang), network, "text"), (words.CONTRACTS.choose(lang), codes, "mono")))
    ]
    epochs = {
        epoch.number: epoch
        for height in heights
        if height is not None and (epoch := chain.epoch_at(height)) is not None
    }
    for number in sorted(epochs):
        blocks += _epoch(epochs[number], lang)
    if not epochs:
        blocks.append(Text((words.VALIDATORS_NONE.choose(lang),)))
    return blocks


def _epoch(epoch: Epoch, lang: Language) -> list[Block]:
    total = sum(one.power for one in epoch.validators)
    power: dict[int, int] = {}
    for one in epoch.validators:
        power[one.group] = power.get(one.group, 0) + one.power
    last = "" if epoch.to_height is None else words.UNTIL.format(lang, n=epoch.to_height)
    title = words.VALIDATORS.format(lang, epoch=epoch.number, first=epoch.from_height, last=last)
    rows = tuple(
        (visible(one.controller), str(one.group), str(one.power), share(one.power, total))
        for one in epoch.validators
    )
    columns = tuple(
        Column(text.choose(lang), weight)
        for text, weight in zip(words.VALIDATORS_COLUMNS, (6, 2, 2, 2), strict=True)
    )
    below = all(3 * one < total for one in power.values())
    shares = [
        words.GROUP_SHARE.format(lang, group=group, share=share(held, total))
        for group, held in sorted(power.items())
    ]
    verdict = (words.GROUP_BELOW if below else words.GROUP_ABOVE).choose(lang)
    joined = ("; " if lang == "en" else "；").join([*shares, verdict])
    return [Section(title), Table(columns, rows), Pairs(((words.GROUPS.choose(lang), joined, "text"),))]


def _others(trust: TrustFile, lang: Language) -> Iterable[Row]:
    payload, policy = trust.payload, trust.payload.witness_policy
    comma = ", " if lang == "en" else "、"
    lines = []
    for name in dict.fromkeys(one.name for one in policy.witnesses):
        one = next(witness for witness in policy.witnesses if witness.name == name)
        trees = comma.join(
            ("SHA-256", "SM3")[witness.statement] for witness in policy.witnesses if witness.name == name
        )
        lines.append(f"{visible(one.organisation)} · {_role(one.role, lang)} · {visible(name)} · {trees}")
    for group in policy.groups:
        members = comma.join(map(visible, group.members))
        lines.append(
            words.GROUP_RULE.format(
                lang, name=visible(group.name), m=group.threshold, n=len(group.members), members=members
            )
        )
    if policy.quorum is not None:
        lines.append(words.QUORUM.format(lang, name=visible(policy.quorum)))
    yield words.WITNESSES.choose(lang), "\n".join(lines) or words.WITNESSES_NONE.choose(lang), "text"
    named = [
        visible(one.name) + (f" · {comma.join(one.policies)}" if one.policies else "")
        for one in payload.authorities
    ]
    yield words.AUTHORITIES.choose(lang), "\n".join(named) or words.AUTHORITIES_NONE.choose(lang), "text"
    algorithms = "\n".join(line.choose(lang) for line in words.ALGORITHMS_LINES)
    yield words.ALGORITHMS.choose(lang), algorithms, "text"
    yield words.ENVIRONMENT.choose(lang), words.ENVIRONMENT_VALUE.choose(lang), "text"


def _role(role: str, lang: Language) -> str:
    text = words.ROLES.get(role)
    return visible(role) if text is None else text.choose(lang)
