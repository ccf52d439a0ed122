"""The document that every renderer shows: parts in one language each, made of a few kinds of blocks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from protocol.i18n import Language

Style: TypeAlias = Literal["text", "mono"]
Tone: TypeAlias = Literal["pass", "reduced"]
MIME_CBOR = "application/cbor"
MIME_ZIP = "application/zip"


@dataclass(frozen=True, slots=True)
class Head:
    """Top of a page: title, the code that the QR symbol carries, a few facts."""

    title: str
    subtitle: str
    rows: tuple[tuple[str, str], ...]
    qr: str
    caption: str
    kind: Literal["head"] = "head"


@dataclass(frozen=True, slots=True)
class Banner:
    """The outcome, on the face of the document."""

    tone: Tone
    title: str
    lines: tuple[str, ...]
    kind: Literal["banner"] = "banner"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading."""

    text: str
    kind: Literal["section"] = "section"


@dataclass(frozen=True, slots=True)
class Text:
    """Paragraphs."""

    lines: tuple[str, ...]
    style: Style = "text"
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Label, value and the value's style; lines of a value are separated by LF."""

    rows: tuple[tuple[str, str, Style], ...]
    kind: Literal["pairs"] = "pairs"


@dataclass(frozen=True, slots=True)
class Column:
    """`share` is its part of the width; 0 takes what its content needs."""

    title: str
    share: float = 0
    style: Style = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose header is repeated on each page; `dense` for thousands of rows."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    dense: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class PageBreak:
    """What follows begins a page."""

    kind: Literal["break"] = "break"


Block: TypeAlias = "Head | Banner | Section | Text | Pairs | Table | PageBreak"


@dataclass(frozen=True, slots=True)
class Part:
    """The whole document in one language. `page` is the form of page numbers, with {page} and {pages}."""

    lang: Language
    title: str
    footer: str
    page: str
    blocks: tuple[Block, ...]
    attached: str
    """Heading of the list of attachments, where the attachments themselves have to be listed (HTML)."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels inside. `relationship` is the AFRelationship of ISO 32000-2."""

    name: str
    data: bytes
    mime: str
    relationship: Literal["data", "supplement"]
    description: str


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that a renderer needs. `evaluated_at` in seconds UTC dates it; nothing else does."""

    code: str
    evaluated_at: int
    parts: tuple[Part, ...]
    attachments: tuple[Attachment, ...]

    @property
    def title(self) -> str:
        """In the first language."""
        return self.parts[0].title

    def content(self) -> dict[str, object]:
        """The parts as JSON members."""
        return {"code": self.code, "parts": [asdict(part) for part in self.parts]}
