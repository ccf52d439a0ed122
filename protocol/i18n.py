"""Words that a person sees, in Chinese first and in English."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["zh", "en"]
DEFAULT_LANGUAGE: Language = "zh"


@dataclass(frozen=True)
class Text:
    """One message in both languages; placeholders in braces, filled by `format`."""

    zh: str
    en: str

    def choose(self, lang: Language) -> str:
        """The words in `lang`."""
        return self.en if lang == "en" else self.zh

    def format(self, lang: Language, **values: object) -> str:
        """The words in `lang` with the placeholders filled."""
        return self.choose(lang).format(**values)


def language(wanted: str | None = None, environ: Mapping[str, str] = os.environ) -> Language:
    """`wanted` if given, else CASELEDGER_LANG, else Chinese; `en_GB` and `zh-CN` are understood."""
    for candidate in (wanted, environ.get("CASELEDGER_LANG")):
        if candidate:
            return "en" if candidate.lower().startswith("en") else DEFAULT_LANGUAGE
    return DEFAULT_LANGUAGE


def choose(text: Text, lang: Language) -> str:
    """The words of `text` in `lang`."""
    return text.choose(lang)
