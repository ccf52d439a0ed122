"""The `article` of a rule of the lifecycle as a reader writes it: `OM 24; IM 27`, `CPL 206; house`."""

from __future__ import annotations

import re

from cases.clocks import LAWS
from protocol.i18n import Text

HOUSE = Text("中心规则", "rule of the centre")
_MORE_LAWS = {
    "OL": Text("《人民法院在线诉讼规则》（2021）", "Rules on Online Litigation (2021)"),
    "PML": Text("《人民调解法》（2010）", "People's Mediation Law (2010)"),
    "PIPL": Text("《个人信息保护法》（2021）", "Personal Information Protection Law (2021)"),
}
_ARTICLES = re.compile(r"([A-Z]+) (\d+(?:, \d+)*)")


def cite(article: str) -> Text:
    """In both languages; empty for no article."""
    parts = [_one(part) for part in article.split("; ")] if article else []
    return Text("；".join(part.zh for part in parts), "; ".join(part.en for part in parts))


def _one(part: str) -> Text:
    if part == "house":
        return HOUSE
    found = _ARTICLES.fullmatch(part)
    law = None if found is None else LAWS.get(found[1]) or _MORE_LAWS.get(found[1])
    if found is None or law is None:
        return Text(part, part)
    numbers = found[2].split(", ")
    return Text(
        law.zh + "、".join(f"第{number}条" for number in numbers), f"{law.en} Art. {', '.join(numbers)}"
    )
