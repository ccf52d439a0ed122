"""Our own look at a workbook's container before anything in it is parsed.

A workbook is a ZIP of XML. What is refused here by name or size never meets a parser: code, objects, links to
other sources, passwords, overlapping or lying members, and what would unpack to far more than rows can be.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NoReturn
from xml.parsers import expat

from agent.intake.errors import (
    FileDamaged,
    FileTooLarge,
    FormatUnknown,
    WorkbookActive,
    WorkbookBomb,
    WorkbookEncrypted,
    WorkbookLinked,
    WorkbookUnusual,
)

MAX_FILE = 256 << 20
MAX_MEMBERS = 2000
MAX_UNPACKED = 1 << 30
MAX_RATIO = 200
"""Of unpacked to packed size, for members over 8 MiB; rows pack to a tenth, seldom to a fiftieth."""
_RATIO_FROM = 8 << 20
MAX_DEPTH = 64
PIECE = 1 << 16
_LOCAL_HEADER = 30

_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ACTIVE = (
    "xl/macrosheets/",
    "xl/dialogsheets/",
    "xl/embeddings/",
    "xl/activex/",
    "xl/ctrlprops/",
    "customui/",
)
_LINKED = ("xl/externallinks/", "xl/querytables/", "xl/webextensions/", "xl/model/")
_LINKED_PARTS = ("xl/connections.xml",)
_HARMLESS_BINARY = "xl/printersettings/"
_HARMLESS_LINK = "/hyperlink"
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED

Start = Callable[[str, dict[str, str]], None]


class Container:
    """A workbook that may be parsed. Reading is streamed and bounded."""

    def __init__(self, file: BinaryIO) -> None:
        """Looks at the container.

        Raises:
            FormatUnknown, FileTooLarge, FileDamaged, WorkbookEncrypted, WorkbookActive, WorkbookLinked,
            WorkbookBomb, WorkbookUnusual
        """
        size = file.seek(0, 2)
        if size > MAX_FILE:
            raise FileTooLarge(f"{size} bytes, at most {MAX_FILE}", hint="split it, or use CSV")
        file.seek(0)
        if file.read(8) == _COMPOUND:
            raise WorkbookEncrypted(
                "a workbook with a password, or of the old binary form",
                hint="remove the password; save as .xlsx or CSV",
            )
        file.seek(0)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeError):
            raise FileDamaged("not a whole workbook", hint="export it again; compare the sizes") from None
        self._members = self._look()
        self._contents()
        for name in self._members:
            if name.endswith(".rels"):
                self._relations(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Members in the container's order."""
        return tuple(self._members)

    def _look(self) -> dict[str, zipfile.ZipInfo]:
        infos = self._zip.infolist()
        if len(infos) > MAX_MEMBERS:
            raise WorkbookBomb(f"{len(infos)} parts, at most {MAX_MEMBERS}")
        members: dict[str, zipfile.ZipInfo] = {}
        folded: set[str] = set()
        total = 0
        for info in infos:
            name = info.filename
            lower = name.lower()
            if (
                lower in folded
                or name.startswith("/")
                or ".." in name
                or "\\" in name
                or "\0" in info.orig_filename
            ):
                raise WorkbookUnusual("a part with a double or dangerous name", hint="save it again as .xlsx")
            if info.flag_bits & 0x41:
                raise WorkbookEncrypted("a part is encrypted", hint="remove the password")
            if info.compress_type not in (_STORED, _DEFLATED):
                raise WorkbookUnusual("a part is packed in an unusual way", hint="save it again as .xlsx")
            if info.file_size > _RATIO_FROM and info.file_size > MAX_RATIO * max(info.compress_size, 1):
                raise WorkbookBomb("a part unpacks to more than 200 times its size")
            _refuse_part(lower)
            folded.add(lower)
            members[name] = info
            total += info.file_size
        if total > MAX_UNPACKED:
            raise WorkbookBomb(f"unpacks to {total} bytes, at most {MAX_UNPACKED}")
        _refuse_overlap(infos)
        return members

    def _contents(self) -> None:
        if "[Content_Types].xml" not in self._members:
            raise FormatUnknown("a ZIP file, not a workbook", hint="give the .xlsx itself")

        def start(_name: str, attributes: dict[str, str]) -> None:
            kind = attributes.get("ContentType", "").lower()
            if "macroenabled" in kind or "vbaproject" in kind or "activex" in kind:
                raise WorkbookActive("it holds macros", hint="save it as .xlsx without macros")
            if "sheet.binary" in kind:
                raise FormatUnknown("a binary workbook (.xlsb)", hint="save it as .xlsx")

        self.parse("[Content_Types].xml", start)

    def _relations(self, name: str) -> None:
        def start(_name: str, attributes: dict[str, str]) -> None:
            kind = attributes.get("Type", "")
            if attributes.get("TargetMode") == "External" and not kind.endswith(_HARMLESS_LINK):
                raise WorkbookLinked("it links to another file", hint="break the links: Data, Edit Links")

        self.parse(name, start)

    def stream(self, name: str) -> Iterator[bytes]:
        """The content of a part in pieces.

        Raises:
            FileDamaged: absent, cut off, or with another check sum than stated.
        """
        info = self._members.get(name)
        if info is None:
            raise FileDamaged("a part is missing", hint="export it again")
        try:
            with self._zip.open(info) as source:
                while piece := source.read(PIECE):
                    yield piece
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            ValueError,
            RuntimeError,
        ):
            raise FileDamaged(
                "a part is damaged or cut off", hint="export it again; compare the sizes"
            ) from None

    def parse(self, name: str, start: Start, *, bare: bool = False, **handlers: Callable[..., None]) -> None:
        """Runs a part through the XML parser. No document type, no entities, bounded depth, UTF-8 alone.

        `bare`: comments, processing instructions and CDATA are refused too, so that `<row` in the bytes can
        only be a row.

        Raises:
            FileDamaged, WorkbookBomb, WorkbookUnusual, and what the handlers raise
        """
        parser = guarded_parser(start, bare=bare, **handlers)
        try:
            for piece in self.stream(name):
                parser.Parse(piece, False)
            parser.Parse(b"", True)
        except expat.ExpatError:
            raise FileDamaged("a part is not XML", hint="export it again") from None


def guarded_parser(start: Start, *, bare: bool = False, **handlers: Callable[..., None]) -> Any:
    """An expat parser that refuses what no spreadsheet program writes."""
    # typeshed has no public name for the parser's type.
    parser: Any = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0
    on_end = handlers.pop("EndElementHandler", None)

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise WorkbookBomb(f"XML nested deeper than {MAX_DEPTH}")
        start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        if on_end is not None:
            on_end(name)

    def refuse(*_: object) -> NoReturn:
        raise WorkbookUnusual("XML that spreadsheets do not write", hint="save it again as .xlsx")

    def declaration(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
            refuse()

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    if bare:
        parser.CommentHandler = parser.ProcessingInstructionHandler = refuse
        parser.StartCdataSectionHandler = refuse
    for handler, function in handlers.items():
        setattr(parser, handler, function)
    return parser


def _refuse_part(lower: str) -> None:
    if lower.startswith(_ACTIVE) or "vbaproject" in lower or "vbadata" in lower:
        raise WorkbookActive("it holds macros, objects or controls", hint="save it as .xlsx without macros")
    if lower.startswith(_LINKED) or lower in _LINKED_PARTS:
        raise WorkbookLinked("it takes data from elsewhere", hint="break the links and save it again")
    if lower.endswith(".bin") and not lower.startswith(_HARMLESS_BINARY):
        raise WorkbookActive("it holds binary parts", hint="save it as .xlsx, values only")


def _refuse_overlap(infos: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes are how a small file unpacks to petabytes."""
    end = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        if info.header_offset < end:
            raise WorkbookBomb("parts overlap")
        end = info.header_offset + _LOCAL_HEADER + info.compress_size
